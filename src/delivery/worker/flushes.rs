//! Flushes that are not over, and how they learn that they are.
//!
//! A flush waits for every event up to one sequence. In the order in which they began, each counts only the events that
//! the one before it does not wait for: so an event that is settled is counted once, however many flushes are open, and
//! flushes end from the front.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// A flush that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// The owner's name for it.
    pub id: u32,
    /// It waits for events up to this sequence.
    pub up_to: u64,
    /// When it was asked for.
    pub since: Duration,
    /// When its time is up.
    pub deadline: Option<Duration>,
    /// It closes the client.
    pub closes: bool,
}

#[derive(Debug)]
struct Open {
    flush: Flush,
    serial: u64,
    /// Open events that no earlier flush waits for.
    events: u64,
}

/// All flushes of one client.
#[derive(Debug, Default)]
pub struct Flushes {
    open: VecDeque<Open>,
    deadlines: BTreeSet<(Duration, u64)>,
    last_serial: u64,
    /// Events that are settled, of all that had a sequence.
    settled: u64,
}

impl Flushes {
    /// Begins a flush. Nothing after its last event may have been settled yet.
    pub fn begin(&mut self, flush: Flush) {
        let waited_for: u64 = self.open.iter().map(|open| open.events).sum();
        let events = flush.up_to.saturating_sub(self.settled).saturating_sub(waited_for);
        self.last_serial += 1;
        let serial = self.last_serial;
        if let Some(deadline) = flush.deadline {
            self.deadlines.insert((deadline, serial));
        }
        self.open.push_back(Open { flush, serial, events });
    }

    /// These events, first to last, are settled.
    pub fn settle(&mut self, first: u64, last: u64) {
        self.settled += last - first + 1;
        let mut next = first;
        while next <= last {
            let index = self.open.partition_point(|open| open.flush.up_to < next);
            let Some(open) = self.open.get_mut(index) else { return };
            let of_this = last.min(open.flush.up_to);
            open.events = open.events.saturating_sub(of_this - next + 1);
            next = of_this + 1;
        }
    }

    /// Takes a flush that waits for nothing any more.
    pub fn take_ended(&mut self) -> Option<Flush> {
        self.open.front().filter(|open| open.events == 0)?;
        let open = self.open.pop_front()?;
        self.forget_deadline(&open);
        Some(open.flush)
    }

    /// Takes a flush whose time is up.
    pub fn take_due(&mut self, now: Duration) -> Option<Flush> {
        let &(deadline, serial) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.take(serial)
    }

    /// Takes the first flush that `is_taken`.
    pub fn take_first(&mut self, is_taken: impl Fn(&Flush) -> bool) -> Option<Flush> {
        let serial = self.open.iter().find(|open| is_taken(&open.flush))?.serial;
        self.take(serial)
    }

    fn take(&mut self, serial: u64) -> Option<Flush> {
        let index = self.open.binary_search_by_key(&serial, |open| open.serial).ok()?;
        let open = self.open.remove(index)?;
        // What it waited for alone, the next one waits for too.
        if let Some(next) = self.open.get_mut(index) {
            next.events += open.events;
        }
        self.forget_deadline(&open);
        Some(open.flush)
    }

    fn forget_deadline(&mut self, open: &Open) {
        if let Some(deadline) = open.flush.deadline {
            self.deadlines.remove(&(deadline, open.serial));
        }
    }

    /// When the first of them runs out of time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Events that are settled, of all that had a sequence.
    #[must_use]
    pub const fn settled(&self) -> u64 {
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flush(id: u32, up_to: u64) -> Flush {
        Flush { id, up_to, since: Duration::ZERO, deadline: None, closes: false }
    }

    fn ended(flushes: &mut Flushes) -> Vec<u32> {
        std::iter::from_fn(|| flushes.take_ended()).map(|flush| flush.id).collect()
    }

    #[test]
    fn each_ends_with_its_last_event_and_in_order() {
        let mut flushes = Flushes::default();
        flushes.begin(flush(1, 3));
        flushes.begin(flush(2, 3));
        flushes.begin(flush(3, 5));
        flushes.settle(4, 5);
        flushes.settle(1, 2);
        assert_eq!(ended(&mut flushes), [0; 0]);
        flushes.settle(3, 3);
        assert_eq!(ended(&mut flushes), [1, 2, 3]);
        flushes.begin(flush(4, 5));
        assert_eq!(ended(&mut flushes), [4], "nothing to wait for");
    }

    #[test]
    fn one_that_runs_out_of_time_leaves_the_others_alone() {
        let mut flushes = Flushes::default();
        flushes.begin(Flush { deadline: Some(Duration::from_secs(1)), ..flush(1, 2) });
        flushes.begin(flush(2, 5));
        assert_eq!(flushes.next_deadline(), Some(Duration::from_secs(1)));
        assert_eq!(flushes.take_due(Duration::from_secs(1)).map(|flush| flush.id), Some(1));
        flushes.settle(3, 5);
        assert_eq!(ended(&mut flushes), [0; 0]);
        flushes.settle(1, 2);
        assert_eq!((ended(&mut flushes), flushes.next_deadline()), (vec![2], None));
    }

    proptest! {
        #[test]
        fn as_a_count_of_each_would(steps in proptest::collection::vec((0_u8..3, 1_u64..4, any::<u64>()), 1..120)) {
            let mut flushes = Flushes::default();
            let (mut last, mut open) = (0_u64, Vec::<u64>::new());
            let mut naive: Vec<(u32, u64)> = Vec::new();
            let mut id = 0;
            for (step, count, chance) in steps {
                match step {
                    0 => for _ in 0..count { last += 1; open.push(last); },
                    1 => { id += 1; flushes.begin(flush(id, last)); naive.push((id, last)); }
                    _ => for _ in 0..count {
                        if open.is_empty() { break }
                        let index = usize::try_from(chance % open.len() as u64).unwrap();
                        let sequence = open.swap_remove(index);
                        flushes.settle(sequence, sequence);
                    },
                }
                let is_over = |up_to: u64| !open.iter().any(|sequence| *sequence <= up_to);
                let expected: Vec<u32> = naive.iter().filter(|(_, up_to)| is_over(*up_to)).map(|(id, _)| *id).collect();
                naive.retain(|(_, up_to)| !is_over(*up_to));
                prop_assert_eq!(ended(&mut flushes), expected);
            }
        }
    }
}
