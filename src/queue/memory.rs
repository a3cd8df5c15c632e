//! The queue in memory: first in, first out, bounded by bytes.
//!
//! Entries that a request has taken stay charged to the bound until [`Queue::release`], so the bound holds
//! for everything the client keeps, in flight or not.

use super::{Entry, Fifo, SegmentId};
use crate::config::Overflow;

/// A bounded queue in two lanes, so that events somebody waits for can be taken before all others when nothing else may
/// leave. Each lane ascends by sequence.
#[derive(Debug)]
pub struct Queue {
    silent: Fifo<Entry>,
    awaited: Fifo<Entry>,
    waiting_bytes: usize,
    charged: usize,
    limit: usize,
    overflow: Overflow,
}

/// Which events to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The oldest.
    Any,
    /// Only those that somebody waits for.
    Awaited,
    /// Only those that nobody waits for.
    Silent,
}

impl Queue {
    /// An empty queue that holds at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize, overflow: Overflow) -> Self {
        Self {
            silent: Fifo::default(),
            awaited: Fifo::default(),
            waiting_bytes: 0,
            charged: 0,
            limit,
            overflow,
        }
    }

    /// Makes room for an event of this cost, and hands over what had to go for it; false when there is none and the
    /// policy can make none. Then nothing has changed.
    pub fn make_room(&mut self, cost: usize, mut evicted: impl FnMut(Entry)) -> bool {
        if self.charged + cost <= self.limit {
            return true;
        }
        let could_free = match self.overflow {
            Overflow::DropNewest => 0,
            Overflow::DropOldest => self.waiting_bytes + self.len() * Entry::OVERHEAD,
        };
        if self.charged - could_free + cost > self.limit {
            return false;
        }
        while self.charged + cost > self.limit
            && let Some(oldest) = self.pop(Which::Any)
        {
            self.release(oldest.cost());
            evicted(oldest);
        }
        true
    }

    /// Appends an event. For those who have made room, or have to keep it whatever the bound says.
    pub fn push(&mut self, entry: Entry) {
        self.charged += entry.cost();
        self.waiting_bytes += entry.bytes.len();
        let lane = if entry.tracking.is_on() { &mut self.awaited } else { &mut self.silent };
        lane.push(entry);
    }

    /// The bound, in bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// What gives way at the bound.
    #[must_use]
    pub const fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Bytes left below the bound.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.limit.saturating_sub(self.charged)
    }

    fn lane(&self, which: Which) -> Option<(&Entry, bool)> {
        let silent = self.silent.front().filter(|_| which != Which::Awaited);
        let awaited = self.awaited.front().filter(|_| which != Which::Silent);
        match (silent, awaited) {
            (Some(silent), Some(awaited)) if silent.sequence < awaited.sequence => Some((silent, false)),
            (_, Some(awaited)) => Some((awaited, true)),
            (Some(silent), None) => Some((silent, false)),
            (None, None) => None,
        }
    }

    /// Takes the oldest. It stays charged to the bound.
    pub fn pop(&mut self, which: Which) -> Option<Entry> {
        let (_, is_awaited) = self.lane(which)?;
        let entry = if is_awaited { self.awaited.pop() } else { self.silent.pop() }?;
        self.waiting_bytes -= entry.bytes.len();
        Some(entry)
    }

    /// Takes back everything from this sequence on, oldest first: nothing of it is charged any more.
    pub fn take_back(&mut self, from: u64) -> Vec<Entry> {
        let mut taken = Vec::new();
        for lane in [&mut self.silent, &mut self.awaited] {
            while lane.back().is_some_and(|newest| newest.sequence >= from)
                && let Some(entry) = lane.pop_newest()
            {
                self.waiting_bytes -= entry.bytes.len();
                self.charged = self.charged.saturating_sub(entry.cost());
                taken.push(entry);
            }
        }
        taken.sort_unstable_by_key(|entry| entry.sequence);
        taken
    }

    /// Takes so many events whose only copy on disk goes with this segment, oldest first: nothing of them is charged any
    /// more. Others may wait before them.
    pub fn take_of(&mut self, segment: SegmentId, count: u64) -> Vec<Entry> {
        let is_in_it = |entry: &Entry| entry.place.is_some_and(|place| place.segment == segment);
        let mut taken = self.awaited.take(count, is_in_it);
        taken.extend(self.silent.take(count - taken.len() as u64, is_in_it));
        for entry in &taken {
            self.waiting_bytes -= entry.bytes.len();
            self.charged = self.charged.saturating_sub(entry.cost());
        }
        taken.sort_unstable_by_key(|entry| entry.sequence);
        taken
    }

    /// The oldest.
    #[must_use]
    pub fn oldest(&self, which: Which) -> Option<&Entry> {
        self.lane(which).map(|(entry, _)| entry)
    }

    /// The sequence of the newest; 0 when none waits.
    #[must_use]
    pub fn newest(&self) -> u64 {
        let newest = |lane: &Fifo<Entry>| lane.back().map_or(0, |entry| entry.sequence);
        newest(&self.silent).max(newest(&self.awaited))
    }

    /// The first waiting event from this sequence on.
    pub fn first_from(&mut self, sequence: u64) -> Option<&mut Entry> {
        let silent = self.silent.first_from(sequence, |entry| entry.sequence);
        let awaited = self.awaited.first_from(sequence, |entry| entry.sequence);
        match (silent, awaited) {
            (Some(silent), Some(awaited)) if silent.sequence > awaited.sequence => Some(awaited),
            (Some(silent), _) => Some(silent),
            (None, awaited) => awaited,
        }
    }

    /// Gives back the charge of entries that were taken and are settled now.
    pub const fn release(&mut self, cost: usize) {
        self.charged = self.charged.saturating_sub(cost);
    }

    /// Charges what is kept elsewhere on behalf of this queue.
    pub const fn charge(&mut self, cost: usize) {
        self.charged += cost;
    }

    /// Events waiting.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.silent.len() + self.awaited.len()
    }

    /// Events waiting that somebody waits for.
    #[must_use]
    pub const fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Bytes of JSON waiting.
    #[must_use]
    pub const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Bytes charged to the bound: waiting and taken.
    #[must_use]
    pub const fn charged(&self) -> usize {
        self.charged
    }

    /// All waiting events.
    #[cfg(any(test, feature = "testing"))]
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.silent.iter().chain(self.awaited.iter())
    }

    /// Gives back memory that nothing needs now.
    pub fn trim(&mut self) {
        self.silent.trim();
        self.awaited.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Place, Tracking};
    use proptest::prelude::*;

    fn entry(sequence: u64, size: usize) -> Entry {
        let tracking = if sequence.is_multiple_of(3) { Tracking::Fate } else { Tracking::Nobody };
        Entry { bytes: vec![b'x'; size].into(), sequence, accepted_at_ms: 0, place: None, tracking }
    }

    fn push(queue: &mut Queue, entry: Entry) -> Option<Vec<u64>> {
        let mut evicted = Vec::new();
        let has_room = queue.make_room(entry.cost(), |gone| evicted.push(gone.sequence));
        has_room.then(|| {
            queue.push(entry);
            evicted
        })
    }

    #[test]
    fn first_in_first_out_across_both_lanes() {
        let mut queue = Queue::new(10_000, Overflow::DropNewest);
        for sequence in 1..=7 {
            push(&mut queue, entry(sequence, 10)).unwrap();
        }
        assert_eq!(
            (1..=4).map(|_| queue.pop(Which::Any).unwrap().sequence).collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
        assert_eq!(queue.pop(Which::Awaited).unwrap().sequence, 6);
        assert!(queue.pop(Which::Awaited).is_none());
        assert_eq!(queue.first_from(6).unwrap().sequence, 7);
        assert_eq!(queue.oldest(Which::Silent).unwrap().sequence, 5);
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let mut queue = Queue::new(10_000, Overflow::DropNewest);
        for sequence in 1..=4 {
            push(&mut queue, entry(sequence, 10)).unwrap();
        }
        let before = (queue.charged(), queue.waiting_bytes(), queue.len(), queue.awaited());
        for sequence in 5..=9 {
            push(&mut queue, entry(sequence, 10)).unwrap();
        }
        let taken: Vec<_> = queue.take_back(5).iter().map(|entry| entry.sequence).collect();
        assert_eq!(taken, [5, 6, 7, 8, 9]);
        assert_eq!((queue.charged(), queue.waiting_bytes(), queue.len(), queue.awaited()), before);
        assert!(queue.take_back(5).is_empty());
    }

    #[test]
    fn what_goes_with_a_segment_leaves_no_trace_and_takes_nothing_else() {
        let mut queue = Queue::new(10_000, Overflow::DropOldest);
        queue.push(entry(1, 10));
        for sequence in 2..=9 {
            let place = Place { segment: if sequence < 8 { 1 } else { 2 }, sequence };
            queue.push(Entry { place: Some(place), ..entry(sequence, 10) });
        }
        let taken: Vec<_> = queue.take_of(1, 6).iter().map(|entry| entry.sequence).collect();
        assert_eq!(taken, [2, 3, 4, 5, 6, 7]);
        assert_eq!((queue.len(), queue.awaited(), queue.newest()), (3, 1, 9));
        assert_eq!((queue.charged(), queue.waiting_bytes()), (3 * entry(0, 10).cost(), 30));
        assert!(queue.take_of(1, 6).is_empty());
    }

    #[test]
    fn the_newest_and_the_next_are_found_in_either_lane() {
        let mut queue = Queue::new(10_000, Overflow::DropNewest);
        assert_eq!(queue.newest(), 0);
        assert!(queue.first_from(0).is_none());
        let mut newest = Vec::new();
        for sequence in [2, 3, 5, 6, 7] {
            queue.push(entry(sequence, 10));
            newest.push(queue.newest());
        }
        assert_eq!(newest, [2, 3, 5, 6, 7]);
        let found: Vec<_> = (1..=8).map(|from| queue.first_from(from).map(|entry| entry.sequence)).collect();
        let expected = [Some(2), Some(2), Some(3), Some(5), Some(5), Some(6), Some(7), None];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_kept_elsewhere_is_charged_until_it_is_released() {
        let mut queue = Queue::new(100, Overflow::DropOldest);
        queue.charge(60);
        assert_eq!((queue.charged(), queue.room()), (60, 40));
        assert!(!queue.make_room(41, |_| ()), "nothing that could go");
        queue.release(60);
        assert_eq!(queue.room(), 100);
    }

    #[test]
    fn drop_newest_refuses_at_the_bound() {
        let mut queue = Queue::new(2 * entry(0, 36).cost(), Overflow::DropNewest);
        assert!(push(&mut queue, entry(1, 36)).is_some() && push(&mut queue, entry(2, 36)).is_some());
        assert_eq!(push(&mut queue, entry(3, 0)), None);
        let taken = queue.pop(Which::Any).unwrap();
        assert_eq!(push(&mut queue, entry(4, 0)), None, "in flight stays charged");
        queue.release(taken.cost());
        assert!(push(&mut queue, entry(5, 36)).is_some());
    }

    #[test]
    fn drop_oldest_makes_room_but_never_from_what_is_in_flight() {
        let mut queue = Queue::new(2 * entry(0, 36).cost(), Overflow::DropOldest);
        push(&mut queue, entry(1, 36)).unwrap();
        push(&mut queue, entry(2, 36)).unwrap();
        assert_eq!(push(&mut queue, entry(3, 36)), Some(vec![1]));
        queue.pop(Which::Any);
        queue.pop(Which::Any);
        assert_eq!(push(&mut queue, entry(4, 36)), None);
    }

    proptest! {
        #[test]
        fn never_over_the_bound(sizes in proptest::collection::vec(0_usize..2_000, 1..200), drop_oldest: bool) {
            let overflow = if drop_oldest { Overflow::DropOldest } else { Overflow::DropNewest };
            let mut queue = Queue::new(8_000, overflow);
            let (mut kept, mut evicted, mut refused) = (0, 0, 0);
            for (sequence, size) in sizes.iter().enumerate() {
                match push(&mut queue, entry(sequence as u64, *size)) {
                    Some(gone) => { kept += 1; evicted += gone.len(); }
                    None => refused += 1,
                }
                prop_assert!(queue.charged() <= 8_000);
            }
            prop_assert_eq!(kept + refused, sizes.len());
            prop_assert_eq!(queue.len(), kept - evicted);
            let bytes: usize = queue.iter().map(|entry| entry.bytes.len()).sum();
            prop_assert_eq!(bytes, queue.waiting_bytes());
        }
    }
}
