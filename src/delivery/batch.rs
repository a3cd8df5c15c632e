//! How many events leave together, and when. Pure.

use std::ops::Range;
use std::sync::Arc;

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

/// How many events have to wait for a send to start by itself.
///
/// Batches grow with the backlog: the more requests are in flight, the fuller the next has to be. An idle
/// client sends at `flush_at`, a busy one fills whole requests. An explicit cap is its own threshold.
#[must_use]
pub fn threshold(flush_at: usize, max_batch_events: usize, in_flight: usize) -> usize {
    if max_batch_events < MAX_BATCH_EVENTS {
        return flush_at;
    }
    let growth = 8_usize.saturating_pow(u32::try_from(in_flight).unwrap_or(u32::MAX));
    flush_at.saturating_mul(growth).min(max_batch_events)
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

    #[test]
    fn fit_counts_events_bytes_and_commas() {
        assert_eq!(fit([10, 10, 10].into_iter(), 2, 1_000), 2);
        assert_eq!(fit([10, 10, 10].into_iter(), 9, 31), 2);
        assert_eq!(fit([10, 10, 10].into_iter(), 9, 32), 3);
        assert_eq!(fit([50].into_iter(), 9, 32), 1);
        assert_eq!(fit(std::iter::empty(), 9, 32), 0);
    }

    #[test]
    fn the_threshold_grows_with_what_is_in_flight() {
        let thresholds: Vec<_> = (0..5).map(|in_flight| threshold(15, 2_500, in_flight)).collect();
        assert_eq!(thresholds, [15, 120, 960, 2_500, 2_500]);
        assert_eq!(threshold(15, 15, 3), 15);
        assert_eq!(threshold(1, 2_500, 64), 2_500);
    }

    #[test]
    fn halves_hold_everything_once() {
        let entries = (1..=5)
            .map(|sequence| Entry { bytes: Box::default(), sequence, accepted_at_ms: 0, tracked: false })
            .collect();
        let [left, right] = Batch::new(1, entries).split([2, 3]).unwrap();
        let sequences: Vec<_> = left.entries().iter().chain(right.entries()).map(|e| e.sequence).collect();
        assert_eq!(sequences, [1, 2, 3, 4, 5]);
        assert!(left.split([4, 5]).unwrap()[0].split([6, 7]).is_none());
        assert_eq!(right.without_first(1).entries()[0].sequence, 4);
    }
}
