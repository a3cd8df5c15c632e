//! How many events leave together, when, and what becomes of a refused batch. Pure.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::config::MAX_BATCH_EVENTS;
use crate::queue::Entry;

/// Counts what fits in one request.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    events: usize,
    bytes: usize,
    is_empty: bool,
}

impl Room {
    /// Room for so many events of so many bytes, commas included.
    #[must_use]
    pub const fn new(events: usize, bytes: usize) -> Self {
        Self { events, bytes, is_empty: true }
    }

    /// Whether an event of this size still fits; it is counted then. The first always does: one event is never over the
    /// limit of a request.
    pub const fn takes(&mut self, size: usize) -> bool {
        let size = if self.is_empty { size } else { size + 1 };
        if !self.is_empty && (self.events == 0 || size > self.bytes) {
            return false;
        }
        self.is_empty = false;
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
        true
    }
}

/// What is known of the events that wait.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// How many.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The oldest: its sequence, and when it was accepted.
    pub oldest: Option<(u64, Duration)>,
}

/// What decides when a batch leaves by itself.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// So many events.
    pub flush_at: usize,
    /// The most events in a request.
    pub max_events: usize,
    /// The most bytes in a request.
    pub max_bytes: usize,
    /// The oldest has waited for this long.
    pub flush_interval: Duration,
}

/// When a batch leaves: the one answer to that question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// When the next leaves if nothing else is accepted; `None`: nothing waits.
    pub due_at: Option<Duration>,
    /// It leaves at once when so many events wait.
    pub events: usize,
    /// Or so many bytes.
    pub bytes: usize,
}

/// When a batch leaves. Everything up to the sequence `flush_up_to` was asked for and is due.
#[must_use]
pub fn departure(
    waiting: Waiting,
    rules: Rules,
    flush_up_to: u64,
    last_send: Option<Duration>,
    now: Duration,
) -> Departure {
    let since_last = last_send.map(|then| now.saturating_sub(then));
    let threshold = threshold(rules.flush_at, rules.max_events, since_last);
    let Some((sequence, accepted_at)) = waiting.oldest else {
        // The first to come is to be looked at: its time begins.
        return Departure { due_at: None, events: 1, bytes: rules.max_bytes };
    };
    let is_due =
        sequence <= flush_up_to || waiting.events >= threshold.events || waiting.bytes >= rules.max_bytes;
    let interval = accepted_at + rules.flush_interval;
    let relaxed = threshold.relaxes_in.filter(|_| waiting.events >= rules.flush_at).map(|left| now + left);
    let due_at = if is_due { now } else { relaxed.map_or(interval, |relaxed| relaxed.min(interval)) };
    // With the threshold relaxed later, whoever reaches it now is looked at then.
    let events =
        if relaxed.is_none() && threshold.relaxes_in.is_some() { rules.flush_at } else { threshold.events };
    Departure { due_at: Some(due_at), events, bytes: rules.max_bytes }
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

/// A refused batch is divided into this many: as many requests as by halves find the one bad event, in half the rounds.
const PARTS: usize = 4;

/// Events that travel together. Parts of a batch share its entries.
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

    /// Four parts or as many as there are events, under names from `id` on; none when it is a single event.
    pub fn divide(&self, id: u64) -> impl Iterator<Item = Self> {
        let (start, length) = (self.range.start, self.range.len());
        let parts = if length < 2 { 0 } else { length.min(PARTS) };
        (0..parts).zip(id..).map(move |(part, id)| {
            let border = |part: usize| start + length * part / parts;
            Self { id, entries: Arc::clone(&self.entries), range: border(part)..border(part + 1) }
        })
    }

    /// The same batch with these entries only; `None` when none is left.
    #[must_use]
    pub fn retain(&self, is_kept: impl Fn(&Entry) -> bool) -> Option<Self> {
        let entries: Vec<_> = self.entries().iter().filter(|entry| is_kept(entry)).cloned().collect();
        (!entries.is_empty()).then(|| Self::new(self.id, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Tracking;

    fn fit(sizes: &[usize], max_events: usize, max_bytes: usize) -> usize {
        let mut room = Room::new(max_events, max_bytes);
        sizes.iter().take_while(|size| room.takes(**size)).count()
    }

    #[test]
    fn room_counts_events_bytes_and_commas() {
        assert_eq!(fit(&[10, 10, 10], 2, 1_000), 2);
        assert_eq!(fit(&[10, 10, 10], 9, 31), 2);
        assert_eq!(fit(&[10, 10, 10], 9, 32), 3);
        assert_eq!(fit(&[50], 9, 32), 1);
        assert_eq!(fit(&[50, 1], 9, 32), 1);
    }

    #[test]
    fn a_batch_leaves_by_number_by_bytes_by_time_and_when_asked() {
        let ms = Duration::from_millis;
        let rules = Rules { flush_at: 15, max_events: 2_500, max_bytes: 500_000, flush_interval: ms(10_000) };
        let at = |events, bytes, flush_up_to, last_send| {
            let waiting = Waiting { events, bytes, oldest: (events > 0).then_some((5, ms(1_000))) };
            departure(waiting, rules, flush_up_to, last_send, ms(2_000))
        };
        assert_eq!(at(0, 0, 0, None), Departure { due_at: None, events: 1, bytes: 500_000 });
        assert_eq!(at(14, 9, 0, None), Departure { due_at: Some(ms(11_000)), events: 15, bytes: 500_000 });
        assert_eq!(at(15, 9, 0, None).due_at, Some(ms(2_000)));
        assert_eq!(at(1, 9, 5, None).due_at, Some(ms(2_000)), "asked for");
        assert_eq!(at(1, 500_000, 0, None).due_at, Some(ms(2_000)));
        let spaced = at(15, 9, 0, Some(ms(1_990)));
        assert_eq!(spaced, Departure { due_at: Some(ms(2_015)), events: 2_500, bytes: 500_000 });
        let sooner = Rules { flush_interval: ms(1_010), ..rules };
        let waiting = Waiting { events: 15, bytes: 9, oldest: Some((5, ms(1_000))) };
        let by_time = departure(waiting, sooner, 0, Some(ms(1_990)), ms(2_000));
        assert_eq!(by_time.due_at, Some(ms(2_010)), "the oldest waits no longer for others");
        let few = at(3, 9, 0, Some(ms(1_990)));
        assert_eq!((few.due_at, few.events), (Some(ms(11_000)), 15), "whoever reaches flushAt is looked at");
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
    fn parts_hold_everything_once() {
        for length in 1..=11_u64 {
            let entry = |sequence| Entry {
                bytes: bytes::Bytes::new(),
                sequence,
                accepted_at_ms: 0,
                place: None,
                tracking: Tracking::Nobody,
            };
            let batch = Batch::new(1, (1..=length).map(entry).collect());
            let parts: Vec<_> = batch.divide(2).collect();
            assert_eq!(parts.len(), if length == 1 { 0 } else { usize::try_from(length.min(4)).unwrap() });
            let sequences: Vec<_> =
                parts.iter().flat_map(Batch::entries).map(|entry| entry.sequence).collect();
            assert!(length == 1 || sequences == (1..=length).collect::<Vec<_>>());
            assert!(parts.iter().all(|part| !part.entries().is_empty()));
            let even = batch.retain(|entry| entry.sequence % 2 == 0);
            assert_eq!(even.map_or(0, |even| even.entries().len() as u64), length / 2);
            // Of a part, too.
            for part in parts.iter().chain([&batch]) {
                let rest = |count| {
                    part.without_first(count).entries().iter().map(|entry| entry.sequence).collect::<Vec<_>>()
                };
                let all = rest(0);
                assert_eq!((rest(1), rest(99)), (all[1..].to_vec(), Vec::new()));
            }
        }
    }
}
