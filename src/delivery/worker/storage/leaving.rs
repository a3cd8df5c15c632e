//! What a client that ends leaves to the next process.

use std::time::Duration;

use super::{Leaving, Reading};
use crate::delivery::dead_letter::DeadLetter;
use crate::delivery::notice::Notice;
use crate::delivery::worker::Worker;
use crate::queue::Entry;
use crate::queue::spool::jobs::Job;
use crate::queue::spool::tail::{State as DiskState, Tail};

/// How long a closed client waits beyond its time for a disk that does not answer.
const LEAVE_GRACE: Duration = Duration::from_millis(500);

impl Worker {
    /// Events in memory that came from disk.
    pub(in crate::delivery::worker) fn take_loaded(&mut self) -> Vec<Entry> {
        let Some(storage) = &mut self.storage else { return Vec::new() };
        storage.read_back_bytes = 0;
        let read_back = std::iter::from_fn(|| storage.read_back.pop());
        let mut loaded: Vec<_> = read_back.collect();
        loaded.extend(std::iter::from_fn(|| storage.recovery.pop()));
        loaded
    }

    /// Whether an event will be there for the next process.
    pub(in crate::delivery::worker) fn is_on_disk(&self, entry: &Entry) -> bool {
        let Some(storage) = &self.storage else { return false };
        let place = storage.current_place(entry);
        storage.is_recovered(entry) || self.gate.lock().tail.as_ref().is_some_and(|tail| tail.has(place))
    }

    /// These events, and all that are on disk only, are left to the next process.
    pub(in crate::delivery::worker) fn leave_on_disk(&mut self, kept: &[Entry]) {
        let Some(storage) = &mut self.storage else { return };
        let (plans, awaited) = self.gate.lock().tail.as_mut().map_or_else(Default::default, Tail::leave);
        let unread: Vec<_> = plans.iter().map(|plan| plan.unread).chain(storage.recovery.leave()).collect();
        let own: usize = kept.iter().filter(|entry| !storage.is_recovered(entry)).map(Entry::cost).sum();
        let recovered: usize = kept.iter().filter(|entry| storage.is_recovered(entry)).map(Entry::cost).sum();
        storage.recovery.release(recovered);
        storage.recovery.forget_segments();
        if !awaited.is_empty() {
            storage.jobs.push_back(Job::ReadAwaited(plans));
            storage.readings.push_back(Reading { awaited, are_evicted: false });
        }
        self.gate.lock().queue.release(own);
        for entry in kept {
            self.flushes.settle(entry.sequence, entry.sequence);
        }
        for unread in &unread {
            self.flushes.settle(unread.first, unread.first + unread.length - 1);
        }
        self.published.left += kept.len() as u64 + unread.iter().map(|unread| unread.length).sum::<u64>();
        let told: Vec<_> = kept.iter().filter(|entry| entry.tracking.is_on()).map(DeadLetter::from).collect();
        if !told.is_empty() {
            self.notify(Notice::Kept { events: told });
        }
    }

    /// Whether everything on disk was given back, or there is nothing.
    pub(in crate::delivery::worker) fn has_left(&self) -> bool {
        self.storage.as_ref().is_none_or(|storage| storage.leaving == Leaving::Done)
    }

    /// A closed client does not wait for its disk for ever.
    pub(in crate::delivery::worker) fn leave_by(&mut self, deadline: Option<Duration>) {
        let now = self.elapsed();
        let Some(storage) = &mut self.storage else { return };
        if let Some(deadline) = deadline {
            storage.leave_by.get_or_insert(deadline.max(now + LEAVE_GRACE));
        }
        if storage.leave_by.is_some_and(|leave_by| leave_by <= now) {
            storage.leaving = Leaving::Done;
        }
    }

    /// Whether nothing is left to do on disk.
    pub(in crate::delivery::worker) fn is_tidy(&self) -> bool {
        let Some(storage) = &self.storage else { return true };
        let is_quiet =
            !storage.is_busy && !storage.is_syncing && storage.chores.is_empty() && storage.jobs.is_empty();
        let admission = self.gate.lock();
        let is_left = |tail: &Tail| {
            let is_empty = tail.bytes() == 0;
            let is_committed = !tail.wants_sync() && storage.displaced.is_empty();
            tail.state() != DiskState::Ready || (is_committed && (!is_empty || tail.path().is_none()))
        };
        is_quiet && admission.tail.as_ref().is_none_or(is_left)
    }
}
