//! The queue in memory: first in, first out, bounded by bytes.
//!
//! Entries that a request has taken stay charged to the bound until [`Queue::release`], so the bound holds
//! for everything the client keeps, in flight or not.

use std::collections::VecDeque;

use super::Entry;
use crate::config::Overflow;

/// A bounded queue.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    charged: usize,
    limit: usize,
    overflow: Overflow,
}

/// The event found no room.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Queue {
    /// An empty queue that holds at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize, overflow: Overflow) -> Self {
        Self { waiting: VecDeque::new(), waiting_bytes: 0, charged: 0, limit, overflow }
    }

    /// Appends an event and returns the ones that had to go for it.
    ///
    /// # Errors
    /// [`Full`] when there is no room and the policy can make none; nothing has changed then.
    pub fn push(&mut self, entry: Entry) -> Result<Vec<Entry>, Full> {
        let cost = entry.cost();
        let mut evicted = Vec::new();
        if self.charged + cost > self.limit {
            let could_free: usize = match self.overflow {
                Overflow::DropNewest => 0,
                Overflow::DropOldest => self.waiting_bytes + self.waiting.len() * Entry::OVERHEAD,
            };
            if self.charged - could_free + cost > self.limit {
                return Err(Full);
            }
            while self.charged + cost > self.limit {
                let Some(oldest) = self.pop() else { break };
                self.release(oldest.cost());
                evicted.push(oldest);
            }
        }
        self.append(entry);
        Ok(evicted)
    }

    /// Appends an event whatever the bound says. For those who have looked at [`Queue::room`].
    pub fn append(&mut self, entry: Entry) {
        self.charged += entry.cost();
        self.waiting_bytes += entry.bytes.len();
        self.waiting.push_back(entry);
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

    /// Removes the waiting events that `gone` names and gives back their charge.
    pub fn extract(&mut self, gone: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let (extracted, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|entry| gone(entry));
        self.waiting = kept.into();
        self.waiting_bytes -= extracted.iter().map(|entry| entry.bytes.len()).sum::<usize>();
        self.release(extracted.iter().map(Entry::cost).sum());
        extracted
    }

    /// The waiting events, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.waiting.iter()
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.waiting.pop_front()?;
        self.waiting_bytes -= entry.bytes.len();
        if self.waiting.is_empty() && self.waiting.capacity() > 1_024 {
            // What a burst needed is given back once the burst is gone.
            self.waiting.shrink_to(1_024);
        }
        Some(entry)
    }

    /// Takes the oldest `count` events. They stay charged to the bound.
    pub fn take(&mut self, count: usize) -> Vec<Entry> {
        let mut taken = Vec::with_capacity(count.min(self.waiting.len()));
        while taken.len() < count
            && let Some(entry) = self.pop()
        {
            taken.push(entry);
        }
        taken
    }

    /// Gives back the charge of entries that were taken and are settled now.
    pub const fn release(&mut self, cost: usize) {
        self.charged = self.charged.saturating_sub(cost);
    }

    /// Sizes of the waiting events, oldest first.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        self.waiting.iter().map(|entry| entry.bytes.len())
    }

    /// The event that has waited for longest.
    #[must_use]
    pub fn oldest(&self) -> Option<&Entry> {
        self.waiting.front()
    }

    /// Events waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Tracking;
    use proptest::prelude::*;

    fn entry(sequence: u64, size: usize) -> Entry {
        Entry { bytes: vec![b'x'; size].into(), sequence, accepted_at_ms: 0, tracking: Tracking::Nobody }
    }

    fn sequences(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.sequence).collect()
    }

    #[test]
    fn first_in_first_out() {
        let mut queue = Queue::new(10_000, Overflow::DropNewest);
        for sequence in 1..=3 {
            queue.push(entry(sequence, 10)).unwrap();
        }
        assert_eq!(sequences(&queue.take(2)), [1, 2]);
        assert_eq!(queue.oldest().unwrap().sequence, 3);
    }

    #[test]
    fn drop_newest_refuses_at_the_bound() {
        let mut queue = Queue::new(2 * entry(0, 36).cost(), Overflow::DropNewest);
        assert!(queue.push(entry(1, 36)).is_ok() && queue.push(entry(2, 36)).is_ok());
        assert_eq!(queue.push(entry(3, 0)).unwrap_err(), Full);
        let taken = queue.take(1);
        assert_eq!(queue.push(entry(4, 0)).unwrap_err(), Full, "in flight stays charged");
        queue.release(taken[0].cost());
        assert!(queue.push(entry(5, 36)).is_ok());
    }

    #[test]
    fn drop_oldest_makes_room_but_never_from_what_is_in_flight() {
        let mut queue = Queue::new(2 * entry(0, 36).cost(), Overflow::DropOldest);
        queue.push(entry(1, 36)).unwrap();
        queue.push(entry(2, 36)).unwrap();
        assert_eq!(sequences(&queue.push(entry(3, 36)).unwrap()), [1]);
        queue.take(2);
        assert_eq!(queue.push(entry(4, 36)).unwrap_err(), Full);
    }

    proptest! {
        #[test]
        fn never_over_the_bound(sizes in proptest::collection::vec(0_usize..2_000, 1..200), drop_oldest: bool) {
            let overflow = if drop_oldest { Overflow::DropOldest } else { Overflow::DropNewest };
            let mut queue = Queue::new(8_000, overflow);
            let (mut kept, mut evicted, mut refused) = (0, 0, 0);
            for (sequence, size) in sizes.iter().enumerate() {
                match queue.push(entry(sequence as u64, *size)) {
                    Ok(gone) => { kept += 1; evicted += gone.len(); }
                    Err(Full) => refused += 1,
                }
                prop_assert!(queue.charged() <= 8_000);
            }
            prop_assert_eq!(kept + refused, sizes.len());
            prop_assert_eq!(queue.len(), kept - evicted);
            let bytes: usize = queue.sizes().sum();
            prop_assert_eq!(bytes, queue.waiting_bytes());
        }
    }
}
