//! The end of events: what is counted, who is told, what of them on disk is not needed any more.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::{State, Worker, without_answer};
use crate::delivery::dead_letter::{Cause, DeadLetter};
use crate::delivery::gate::Evictions;
use crate::delivery::notice::{Delivered, Level, Notice};
use crate::queue::memory::Which;
use crate::queue::spool::extents::Settled;
use crate::queue::spool::jobs::Chore;
use crate::queue::spool::record::Acknowledgement;
use crate::queue::{Entry, Place, SegmentId, Tracking};
use crate::stats::DropReason;

/// More settled batches than this are not counted while the disk notes their end.
const MOST_UNNOTED: usize = 256;
/// The most that is given up for its age at once: what is told of it has to be taken.
const EXPIRED_AT_ONCE: usize = 1_000;

/// Copies on disk that nobody needs any more, by segment.
#[derive(Debug, Default)]
pub(super) struct Copies(BTreeMap<SegmentId, (u64, Vec<Acknowledgement>)>);

impl Copies {
    pub(super) fn add(&mut self, place: Place) {
        let (count, ranges) = self.0.entry(place.segment).or_default();
        *count += 1;
        match ranges.last_mut() {
            Some(range) if range.last + 1 == place.sequence => range.last = place.sequence,
            _ => ranges.push(Acknowledgement { first: place.sequence, last: place.sequence }),
        }
    }
}

impl Worker {
    /// These events, which were taken from a queue, are over: their room is free, on disk too.
    pub(super) fn settle(&mut self, entries: &[Entry]) {
        let (mut own, mut recovered) = (0, 0);
        let mut copies = Copies::default();
        for entry in entries {
            self.flushes.settle(entry.sequence, entry.sequence);
            match &mut self.storage {
                Some(storage) if storage.is_recovered(entry) => recovered += entry.cost(),
                _ => own += entry.cost(),
            }
            let place = self.storage.as_mut().and_then(|storage| storage.place_of(entry));
            if let Some(place) = place {
                copies.add(place);
            }
        }
        self.gate.lock().queue.release(own);
        if let Some(storage) = &mut self.storage {
            storage.release(recovered);
        }
        self.forget_copies(copies, true);
    }

    /// Nobody needs these copies any more. `was_busy`: their events had been taken from the queue.
    pub(super) fn forget_copies(&mut self, copies: Copies, was_busy: bool) {
        if copies.0.is_empty() {
            return;
        }
        let now = self.elapsed();
        let Some(storage) = &mut self.storage else { return };
        if storage.unnoted.len() < MOST_UNNOTED {
            storage.unnoted.push(now);
        }
        let mut admission = self.gate.lock();
        for (segment, (count, ranges)) in copies.0 {
            let settled = if storage.recovery.owns(segment) {
                storage.recovery.settle(segment, count, ranges.len())
            } else if let Some(tail) = &mut admission.tail {
                tail.settle(segment, count, ranges.len(), was_busy)
            } else {
                Settled::Unknown
            };
            match settled {
                Settled::Reclaim(path) => storage.chores.push(Chore::Reclaim(path)),
                Settled::Acknowledge(path) => storage.chores.push(Chore::Acknowledge(path, ranges)),
                Settled::Unknown => {}
            }
        }
    }

    /// These events, which were taken from a queue, are given up.
    pub(super) fn drop_entries(&mut self, cause: Cause, entries: &[Entry]) {
        // Whoever hears of an event that Segment refused finds it among the dead letters.
        if !entries.is_empty() && !self.bury(&cause, entries) {
            self.finish_drop(cause, entries);
        }
    }

    /// The same, once they are kept where people can look at them.
    pub(super) fn finish_drop(&mut self, cause: Cause, entries: &[Entry]) {
        self.count_dropped(cause.reason, entries.len() as u64);
        let all = self.interest.dropped;
        let told =
            entries.iter().filter(|entry| all || entry.tracking.is_on()).map(DeadLetter::from).collect();
        self.tell_dropped(cause, entries.len() as u64, told);
        self.settle(entries);
    }

    pub(super) fn count_dropped(&mut self, reason: DropReason, events: u64) {
        if let Some(count) = self.published.dropped.get_mut(reason as usize) {
            *count += events;
        }
    }

    /// Says that events are gone, to those who want to know of these.
    pub(super) fn tell_dropped(&mut self, cause: Cause, count: u64, events: Vec<DeadLetter>) {
        self.log(Level::Warn, "events dropped", || {
            json!({
                "events": count,
                "reason": cause.reason.name(),
                "status": cause.status,
                "attempts": cause.attempts,
            })
        });
        if !events.is_empty() {
            self.notify(Notice::Dropped { cause, events });
        }
    }

    pub(super) fn tell_delivered(&mut self, delivery: &super::Delivery) {
        let attempts = delivery.attempts.sent;
        let entries = delivery.batch.entries();
        self.log(
            Level::Debug,
            "batch delivered",
            || json!({ "events": entries.len(), "attempts": attempts }),
        );
        let all = self.interest.delivered;
        let events: Vec<_> = entries
            .iter()
            .filter(|entry| all || entry.tracking.is_on())
            .map(|entry| {
                let bytes = (all || entry.tracking == Tracking::Whole).then(|| entry.bytes.clone());
                Delivered { sequence: entry.sequence, bytes }
            })
            .collect();
        if !events.is_empty() {
            self.notify(Notice::Delivered { attempts, events });
        }
    }

    /// Events had to go for new ones. The gate has counted them.
    pub(super) fn evicted(&mut self, evictions: Evictions) {
        let count = evictions.len() - evictions.recalled;
        for (first, last) in evictions.ranges {
            self.flushes.settle(first, last);
        }
        let mut copies = Copies::default();
        for place in evictions.places {
            copies.add(place);
        }
        self.forget_copies(copies, false);
        if count > 0 {
            self.tell_dropped(without_answer(DropReason::QueueFull, 0), count, evictions.told);
        }
        for eviction in evictions.segments {
            self.evicted_segment(eviction);
        }
    }

    /// Gives up events at the front of the queue that are too old.
    pub(super) fn expire_queue(&mut self, is_old: impl Fn(i64) -> bool) {
        if self.interest.is_behind && self.interest.dropped {
            return;
        }
        let mut gone = Vec::new();
        let mut admission = self.gate.lock();
        while gone.len() < EXPIRED_AT_ONCE
            && let Some(oldest) = admission.queue.oldest(Which::Any)
            && oldest.sequence <= self.free
            && is_old(oldest.accepted_at_ms)
            && let Some(entry) = admission.queue.pop(Which::Any)
        {
            if let (Some(tail), Some(place)) = (&mut admission.tail, entry.place) {
                tail.take_out(place.segment, 1);
            }
            gone.push(entry);
        }
        drop(admission);
        self.drop_entries(without_answer(DropReason::Expired, 0), &gone);
    }

    /// When the next event that waits is too old.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        let waiting =
            self.deliveries.values().filter(|delivery| matches!(delivery.state, State::Waiting { .. }));
        let of_batches = waiting.filter_map(|delivery| delivery.batch.entries().first());
        let oldest = of_batches.map(|entry| entry.accepted_at_ms).min();
        let is_held_up = self.interest.is_behind && self.interest.dropped;
        let admission = self.gate.lock();
        let of_queue =
            admission.queue.oldest(Which::Any).filter(|entry| !is_held_up && entry.sequence <= self.free);
        let of_queue = of_queue.map(|entry| entry.accepted_at_ms);
        let oldest = [oldest, of_queue].into_iter().flatten().min()?;
        let expires = oldest.saturating_add(self.expiry_limit_ms()).saturating_add(1);
        Some(Duration::from_millis(u64::try_from(expires).unwrap_or_default()))
    }

    /// The client sends nothing: what it accepts counts as delivered.
    pub(super) fn discard_all(&mut self) {
        loop {
            let mut entries = Vec::new();
            let mut admission = self.gate.lock();
            while entries.len() < self.rules.max_events
                && let Some(oldest) = admission.queue.oldest(Which::Any)
                && oldest.sequence <= self.free
                && let Some(entry) = admission.queue.pop(Which::Any)
            {
                entries.push(entry);
            }
            drop(admission);
            if entries.is_empty() {
                return;
            }
            self.last_batch += 1;
            let batch = crate::delivery::batch::Batch::new(self.last_batch, entries);
            let delivery = super::Delivery::new(batch, self.elapsed());
            self.published.delivered += delivery.batch.entries().len() as u64;
            self.tell_delivered(&delivery);
            self.settle(delivery.batch.entries());
        }
    }

    /// Everything pending stays behind: what the spool has stays there, the rest is returned, oldest first.
    pub(super) fn leave_spooled(&mut self) -> Vec<Entry> {
        self.finish_burials();
        let requests: Vec<_> =
            self.sending.drain().map(|(request, _)| super::Output::Cancel(request)).collect();
        self.outputs.extend(requests);
        let mut entries: Vec<_> = std::mem::take(&mut self.deliveries)
            .into_values()
            .flat_map(|it| it.batch.entries().to_vec())
            .collect();
        let mut admission = self.gate.lock();
        while let Some(entry) = admission.queue.pop(Which::Any) {
            if let (Some(tail), Some(place)) = (&mut admission.tail, entry.place) {
                tail.take_out(place.segment, 1);
            }
            entries.push(entry);
        }
        admission.forget_held();
        drop(admission);
        // Nothing is accepted any more, so all of it is known now.
        self.seen = self.gate.lock().last_sequence();
        entries.extend(self.take_loaded());
        entries.sort_by_key(|entry| entry.sequence);
        let (kept, lost): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| self.is_on_disk(entry));
        self.leave_on_disk(&kept);
        lost
    }

    /// Nobody will send these any more.
    pub(super) fn abandon(&mut self, lost: &[Entry]) {
        self.drop_entries(without_answer(DropReason::Unflushed, 0), lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_in_a_row_are_one_acknowledgement() {
        let mut copies = Copies::default();
        for (segment, sequence) in [(1, 5), (1, 6), (2, 7), (1, 7), (1, 9)] {
            copies.add(Place { segment, sequence });
        }
        let range = |first, last| Acknowledgement { first, last };
        let expected = [(1, (4, vec![range(5, 7), range(9, 9)])), (2, (1, vec![range(7, 7)]))];
        assert_eq!(copies.0, expected.into());
    }
}
