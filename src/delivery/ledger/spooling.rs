//! The books of a client whose events are on disk too.
//!
//! An event is written, and then kept in memory as well while there is room; without room it is on disk only. What is
//! on disk only is older than what comes next, so new events join it there until it has been read.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Abandoned, Ended, Evicted, Ledger, Spooled, age, signed_milliseconds};
use crate::config::Overflow;
use crate::delivery::batch::Batch;
use crate::delivery::dead_letter::DeadLetter;
use crate::event::MAX_EVENT_BYTES;
use crate::queue::spool::books::{Adopted, Chore, ReadPlan};
use crate::queue::spool::keeper::ReadBack;
use crate::queue::spool::{NotWritten, Settings, Spool, SyncJob};
use crate::queue::{Entry, Tracking};
use crate::stats::{DropReason, SpoolState};

/// Memory is filled up from disk when less than this waits in it.
const READ_BELOW: usize = 1024 * 1024;
/// The most that is read, or written again after a failure, in one go.
const PIECE: usize = 1024 * 1024;

impl Spooled {
    pub(super) fn wakes(&mut self) -> bool {
        self.spool.wakes_for_sync() || self.spool.books().has_chores() || self.spool.has_fault()
    }

    pub(super) fn events(&self) -> u64 {
        self.left + self.spool.books().unread()
    }

    pub(super) fn state(&self) -> SpoolState {
        if self.spool.is_ready() { SpoolState::Ready } else { SpoolState::Degraded }
    }

    pub(super) fn oldest_age(&self, now: Duration) -> Option<Duration> {
        let accepted_at = self.spool.books().oldest_unread_at()?;
        Some(Duration::from_millis(self.settings.wall(now).saturating_sub(accepted_at)))
    }
}

impl Ledger {
    /// From now on events are written to disk first.
    pub fn attach(&mut self, spool: Spool, settings: Arc<Settings>) {
        self.spool = Some(Spooled { spool, settings, postponed: HashSet::new(), left: 0 });
    }

    /// The spool, if there is one.
    pub fn spool_mut(&mut self) -> Option<&mut Spool> {
        self.spool.as_mut().map(|spooled| &mut spooled.spool)
    }

    /// Writes an event, and keeps it in memory too if that has room. A disk that fails leaves memory alone in charge.
    pub(super) fn spool_or_queue(&mut self, entry: Entry, now: Duration) -> Result<Evicted, ()> {
        let mut evicted = Evicted::default();
        loop {
            let Some(Spooled { spool, settings, postponed, .. }) = &mut self.spool else { return Err(()) };
            match spool.append(entry.sequence, settings.wall(now), &entry.bytes, now) {
                Ok(_) if spool.books().all_read() && entry.cost() <= self.queue.room() => {
                    self.queue.append(entry);
                    return Ok(evicted);
                }
                Ok(offset) => {
                    spool.postpone(entry.sequence, offset);
                    if entry.tracking.is_on() {
                        postponed.insert(entry.sequence);
                    }
                    return Ok(evicted);
                }
                Err(NotWritten::Degraded) => {
                    let displaced = self.queue.push(entry).map_err(drop)?;
                    evicted.entries.extend(displaced);
                    return Ok(evicted);
                }
                Err(NotWritten::Full) => {
                    if self.queue.overflow() == Overflow::DropNewest || !self.evict_segment(&mut evicted) {
                        return Err(());
                    }
                }
            }
        }
    }

    /// Gives up the oldest segment in which nothing is in flight; false when there is none.
    fn evict_segment(&mut self, evicted: &mut Evicted) -> bool {
        let Some(Spooled { spool, .. }) = &mut self.spool else { return false };
        let in_flight = self.in_flight.values().flat_map(Batch::entries).map(|entry| entry.sequence);
        let Some((segment, unread)) = spool.evict(in_flight) else { return false };
        evicted
            .entries
            .extend(self.queue.extract(|entry| spool.books().segment_of(entry.sequence) == Some(segment)));
        evicted.unread.extend(unread);
        spool.discard(segment);
        true
    }

    /// Forgets that somebody waits for this event, and says whether somebody did.
    pub fn unpostpone(&mut self, sequence: u64) -> bool {
        self.spool.as_mut().is_some_and(|spooled| spooled.postponed.remove(&sequence))
    }

    /// Whether somebody waits for one of these events.
    #[must_use]
    pub fn any_postponed(&self, plans: &[ReadPlan]) -> bool {
        let Some(Spooled { postponed, .. }) = &self.spool else { return false };
        let awaited = |plan: &ReadPlan| {
            postponed.iter().any(|sequence| (plan.first..plan.first + plan.length).contains(sequence))
        };
        !postponed.is_empty() && plans.iter().any(awaited)
    }

    /// What to read from disk next, and how many bytes of it, when memory has room.
    #[must_use]
    pub fn next_read(&self) -> Option<(ReadPlan, usize)> {
        let Spooled { spool, .. } = self.spool.as_ref()?;
        if !spool.is_ready() || self.queue.waiting_bytes() >= READ_BELOW {
            return None;
        }
        // Half of it: small events cost more in memory than on disk.
        let budget = (self.queue.room() / 2).min(PIECE);
        (budget > MAX_EVENT_BYTES / 2).then(|| spool.books().next_unread().map(|plan| (plan, budget)))?
    }

    /// Takes in what was read. Returns the events that are lost although somebody waits for them, and the flushes
    /// that are over with that.
    pub fn load(&mut self, plan: &ReadPlan, back: ReadBack, now: Duration) -> (Vec<u64>, Vec<Ended>) {
        let Some(Spooled { spool, postponed, .. }) = &mut self.spool else {
            return Default::default();
        };
        if !spool.books_mut().was_read(plan, back.count, back.offset) {
            return Default::default();
        }
        let epoch = i64::try_from(plan.epoch).unwrap_or(i64::MAX);
        for event in back.events {
            let accepted_at_ms = i64::try_from(event.accepted_at).unwrap_or(i64::MAX).saturating_sub(epoch);
            // Whoever has the event still may be shown it again.
            let tracking = if postponed.remove(&event.sequence) { Tracking::Whole } else { Tracking::Nobody };
            self.queue.append(Entry {
                bytes: event.bytes,
                sequence: event.sequence,
                accepted_at_ms,
                tracking,
            });
        }
        spool.settle(back.lost.iter().copied());
        let awaited = back.lost.iter().copied().filter(|sequence| postponed.remove(sequence)).collect();
        self.stats.count_dropped(DropReason::SpoolDamaged, back.lost.len() as u64);
        (awaited, self.tick_off(back.lost.into_iter().map(|sequence| (sequence, 1)), now))
    }

    /// Takes in a segment of an ended process.
    pub fn adopt(&mut self, adopted: Adopted) {
        let (events, damaged) = (adopted.events(), adopted.damaged);
        let Some(Spooled { spool, .. }) = &mut self.spool else { return };
        spool.adopt(adopted, self.last_sequence + 1);
        self.last_sequence += events;
        // They have waited for long enough.
        self.flush_up_to = self.last_sequence;
        self.stats.accepted += events + damaged;
        self.stats.count_dropped(DropReason::SpoolDamaged, damaged);
    }

    /// Tries a failing disk again when its time has come. Returns the events that are lost although somebody waits
    /// for them, and the flushes that are over with that.
    pub fn retry_disk(&mut self, now: Duration) -> (Vec<u64>, Vec<Ended>) {
        let Some(Spooled { spool, postponed, .. }) = &mut self.spool else { return Default::default() };
        let lost = spool.retry(now);
        let is_lost = |sequence: &u64| {
            lost.iter().any(|plan| (plan.first..plan.first + plan.length).contains(sequence))
        };
        let awaited = postponed.extract_if(is_lost).collect();
        self.stats.count_dropped(DropReason::SpoolDamaged, lost.iter().map(|plan| plan.length).sum());
        (awaited, self.tick_off(lost.iter().map(|plan| (plan.first, plan.length)), now))
    }

    /// Writes a piece of what is in memory only, once the disk is back. True when that was the last of it.
    pub fn catch_up(&mut self, now: Duration) -> bool {
        let Some(Spooled { spool, settings, .. }) = &mut self.spool else { return false };
        if !spool.is_catching_up(now) {
            return false;
        }
        let mut budget = PIECE;
        for entry in self.in_flight.values().flat_map(Batch::entries).chain(self.queue.iter()) {
            if spool.books().is_safe(entry.sequence) {
                continue;
            }
            if budget < entry.bytes.len() {
                return false;
            }
            budget -= entry.bytes.len();
            let accepted_at = settings.wall(now.saturating_sub(age(entry, now)));
            match spool.append(entry.sequence, accepted_at, &entry.bytes, now) {
                Ok(_) => {}
                Err(NotWritten::Degraded) => return false,
                Err(NotWritten::Full) => {
                    spool.catch_up_later(now);
                    return false;
                }
            }
        }
        spool.caught_up();
        true
    }

    /// What is to be done on disk.
    pub fn take_chores(&mut self) -> Vec<Chore> {
        self.spool_mut().map(|spool| spool.books_mut().take_chores()).unwrap_or_default()
    }

    /// The next group commit.
    pub fn take_sync(&mut self) -> Option<SyncJob> {
        self.spool_mut().and_then(Spool::take_sync)
    }

    /// Leaves what is on disk to the next process; what is in memory only stays here.
    pub(super) fn leave_spooled(&mut self, now: Duration) -> Abandoned {
        let Some(Spooled { spool, left, .. }) = &mut self.spool else { return Abandoned::default() };
        let unread = spool.books_mut().leave_backlog();
        let mut ranges: Vec<_> = unread.iter().map(|plan| (plan.first, plan.length)).collect();
        let mut kept = Vec::new();
        let in_flight = std::mem::take(&mut self.in_flight);
        let waiting = self.queue.take(usize::MAX);
        self.queue.release(usize::MAX);
        for entry in in_flight.values().flat_map(Batch::entries).chain(&waiting) {
            if spool.books().covers(entry.sequence) {
                ranges.push((entry.sequence, 1));
                kept.extend(entry.tracking.is_on().then(|| DeadLetter::from(entry)));
            } else {
                let Entry { sequence, accepted_at_ms, tracking, .. } = *entry;
                self.queue.append(Entry { bytes: entry.bytes.clone(), sequence, accepted_at_ms, tracking });
            }
        }
        *left += ranges.iter().map(|(_, length)| length).sum::<u64>();
        let ended = self.tick_off(ranges.into_iter(), now);
        Abandoned { lost: Vec::new(), kept, unread, ended }
    }

    /// When the spool has something to do by itself.
    #[must_use]
    pub fn disk_retry_at(&self) -> Option<Duration> {
        self.spool.as_ref().and_then(|spooled| spooled.spool.retry_at())
    }

    /// Whether an event is older than this.
    #[must_use]
    pub fn is_older(entry: &Entry, limit: Duration, now: Duration) -> bool {
        signed_milliseconds(now).saturating_sub(entry.accepted_at_ms) > signed_milliseconds(limit)
    }
}
