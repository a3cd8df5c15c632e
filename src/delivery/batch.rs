//! How many events leave together, and when. Pure.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::config::MAX_BATCH_EVENTS;
use crate::queue::Entry;

/// How many of the oldest events fit in one request, given their sizes and the bytes left for them.
/// The first always fits: one event is never over the limit of a request.
pub fn fit(sizes: impl Iterator<Item = usize>, max_events: usize, max_bytes: usize) -> usize {
    let mut bytes = 0;
    sizes
        .take(max_events)
        .enumerate()
        .take_while(|(index, size)| {
            bytes += size + usize::from(*index > 0);
            *index == 0 || bytes <= max_bytes
        })
        .count()
}

/// While events keep coming, requests leave at least this far apart, so that each carries more of them: fewer
/// requests, better compression. The first after a rest leaves at once, and a full one never waits.
pub const SPACING: Duration = Duration::from_millis(25);

/// When a send may start by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Events that have to wait.
    pub events: usize,
    /// When fewer will do, if that is later.
    pub relaxes_in: Option<Duration>,
}

/// How many events have to wait for a send to start by itself, given the time since the last one. With an
/// explicit cap on batches it is the cap: `flushAt` means what it says.
#[must_use]
pub fn threshold(flush_at: usize, max_batch_events: usize, since_last: Option<Duration>) -> Threshold {
    let spaced = max_batch_events == MAX_BATCH_EVENTS && flush_at < MAX_BATCH_EVENTS;
    match since_last.and_then(|since| SPACING.checked_sub(since)).filter(|left| !left.is_zero()) {
        Some(left) if spaced => Threshold { events: max_batch_events, relaxes_in: Some(left) },
        _ => Threshold { events: flush_at, relaxes_in: None },
    }
}

/// Events that travel together. Halves of a batch share its entries.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Names this batch among those in flight.
    pub id: u64,
    entries: Arc<Vec<Entry>>,
    range: Range<usize>,
}

impl Batch {
    /// A batch of all these entries.
    #[must_use]
    pub fn new(id: u64, entries: Vec<Entry>) -> Self {
        let range = 0..entries.len();
        Self { id, entries: Arc::new(entries), range }
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        self.entries.get(self.range.clone()).unwrap_or_default()
    }

    /// The same entries but for the first `count`, under the same name.
    #[must_use]
    pub fn without_first(&self, count: usize) -> Self {
        Self { range: (self.range.start + count).min(self.range.end)..self.range.end, ..self.clone() }
    }

    /// Two halves under new names; `None` when there is nothing left to divide.
    #[must_use]
    pub fn split(&self, ids: [u64; 2]) -> Option<[Self; 2]> {
        if self.range.len() < 2 {
            return None;
        }
        let middle = self.range.start + self.range.len() / 2;
        let half = |id, range| Self { id, entries: Arc::clone(&self.entries), range };
        Some([half(ids[0], self.range.start..middle), half(ids[1], middle..self.range.end)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Tracking;

    #[test]
    fn fit_counts_events_bytes_and_commas() {
        assert_eq!(fit([10, 10, 10].into_iter(), 2, 1_000), 2);
        assert_eq!(fit([10, 10, 10].into_iter(), 9, 31), 2);
        assert_eq!(fit([10, 10, 10].into_iter(), 9, 32), 3);
        assert_eq!(fit([50].into_iter(), 9, 32), 1);
        assert_eq!(fit(std::iter::empty(), 9, 32), 0);
    }

    #[test]
    fn a_busy_client_fills_its_requests_and_an_idle_one_sends_at_once() {
        let after = |milliseconds| threshold(15, 2_500, Some(Duration::from_millis(milliseconds)));
        let at_once = Threshold { events: 15, relaxes_in: None };
        assert_eq!(threshold(15, 2_500, None), at_once);
        let left = Some(Duration::from_millis(15));
        assert_eq!(after(10), Threshold { events: 2_500, relaxes_in: left });
        assert_eq!((after(25), after(10_000)), (at_once, at_once));
        assert_eq!(threshold(15, 15, Some(Duration::ZERO)), at_once, "an explicit cap is not spaced");
    }

    #[test]
    fn halves_hold_everything_once() {
        let entries = (1..=5)
            .map(|sequence| Entry {
                bytes: Box::default(),
                sequence,
                accepted_at_ms: 0,
                tracking: Tracking::Nobody,
            })
            .collect();
        let [left, right] = Batch::new(1, entries).split([2, 3]).unwrap();
        let sequences: Vec<_> = left.entries().iter().chain(right.entries()).map(|e| e.sequence).collect();
        assert_eq!(sequences, [1, 2, 3, 4, 5]);
        assert!(left.split([4, 5]).unwrap()[0].split([6, 7]).is_none());
        assert_eq!(right.without_first(1).entries()[0].sequence, 4);
    }
}
