//! What JavaScript's threads do with a client: admit events and ask for things. One mutex, held for moves of numbers and
//! bytes and, with a spool, for the one `write` of the event being accepted.
//!
//! The worker takes from here: waiting events, commands in their order, and what had to go for new events.

use std::time::Duration;

use super::dead_letter::DeadLetter;
use super::held::{Held, Share};
use crate::config::{Config, Overflow};
use crate::event::Sealed;
use crate::queue::arena::Arena;
use crate::queue::memory::Queue;
use crate::queue::spool::tail::{Eviction, NotWritten, Tail};
use crate::queue::{Entry, Place, Tracking};
use crate::stats::Refusal;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// One turn of the event loop holds no more of the queue than half of it.
const HELD_SHARE: usize = 2;

/// Something that is asked of the worker, in order with events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Deliver what was accepted so far.
    Flush {
        /// The owner's name for it.
        id: u32,
        /// The last event it waits for.
        up_to: u64,
        /// When it was asked for.
        since: Duration,
        /// When its time is up.
        deadline: Option<Duration>,
        /// It closes the client.
        closes: bool,
    },
    /// A way out of the process: deliver what was accepted so far and tidy up.
    Drain {
        /// Its number.
        ticket: u64,
        /// The last event it waits for.
        up_to: u64,
        /// When its time is up.
        deadline: Duration,
    },
    /// Deliver what was accepted, and end.
    Close {
        /// The last event.
        up_to: u64,
    },
}

/// What had to go for new events since the worker last looked.
#[derive(Debug, Default)]
pub struct Evictions {
    /// The sequences, as ranges of first and last.
    pub ranges: Vec<(u64, u64)>,
    /// Copies on disk that nobody needs any more.
    pub places: Vec<Place>,
    /// What there is to tell.
    pub told: Vec<DeadLetter>,
    /// Segments of the spool that went as a whole.
    pub segments: Vec<Eviction>,
    /// Of the sequences, those that were called back: nothing of them is lost.
    pub recalled: u64,
}

impl Evictions {
    fn add(&mut self, first: u64, last: u64) {
        match self.ranges.last_mut() {
            Some(range) if range.1 + 1 == first => range.1 = last,
            _ => self.ranges.push((first, last)),
        }
    }

    /// Events, those that were called back included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there were none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// At what the worker wants to be woken. Between two of its turns it is woken once.
#[derive(Clone, Copy, Debug)]
pub struct WakeAt {
    /// So many events wait.
    pub events: usize,
    /// So many bytes wait.
    pub bytes: usize,
    /// One waits that somebody waits for.
    pub awaited: bool,
    /// A file was written to whose name nobody looks after yet.
    pub unwatched: bool,
    /// There is something to commit to disk.
    pub uncommitted: bool,
}

impl WakeAt {
    /// For nothing.
    pub const NEVER: Self =
        Self { events: usize::MAX, bytes: usize::MAX, awaited: false, unwatched: false, uncommitted: false };
}

/// Behind the gate's mutex.
#[derive(Debug)]
pub struct Admission {
    /// Events that wait to be taken.
    pub queue: Queue,
    /// The end of the log on disk.
    pub tail: Option<Tail>,
    /// What is asked of the worker.
    pub commands: Vec<Command>,
    /// What had to go.
    pub evictions: Evictions,
    /// Whether events that had to go are told although nobody waits for them.
    pub tells_evictions: bool,
    arena: Arena,
    held: Held,
    last_sequence: u64,
    /// The last event that a command waits for.
    asked_up_to: u64,
    /// Recovered events that could not be read; they have no sequence.
    damaged: u64,
    evicted: u64,
    recalled: u64,
    refused: [u64; Refusal::ALL.len()],
    is_closed: bool,
    last_ticket: u64,
    wake_at: WakeAt,
    is_woken: bool,
}

/// Admits events of one client.
pub struct Gate {
    admission: Mutex<Admission>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Gate {
    /// An open gate. `wake` wakes the worker; it must not block.
    #[must_use]
    pub fn new(config: &Config, tail: Option<Tail>, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        let admission = Admission {
            queue: Queue::new(config.max_queue_bytes, config.overflow),
            tail,
            commands: Vec::new(),
            evictions: Evictions::default(),
            tells_evictions: false,
            arena: Arena::default(),
            held: Held::default(),
            last_sequence: 0,
            asked_up_to: 0,
            damaged: 0,
            evicted: 0,
            recalled: 0,
            refused: [0; Refusal::ALL.len()],
            is_closed: false,
            last_ticket: 0,
            wake_at: WakeAt { events: 1, ..WakeAt::NEVER },
            is_woken: false,
        };
        Self { admission: Mutex::new(admission), wake }
    }

    /// The admission, for the worker and for whoever counts.
    pub fn lock(&self) -> MutexGuard<'_, Admission> {
        // Nothing panics while it holds the lock; if something did, the counters are still the best there are.
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the worker.
    pub fn wake(&self) {
        (self.wake)();
    }

    /// Takes an event in, or says why not. With `holds` it does not leave before [`Gate::let_go`].
    ///
    /// # Errors
    /// [`Refusal::Closed`] or [`Refusal::QueueFull`], counted.
    pub fn accept(
        &self,
        event: &Sealed<'_>,
        tracking: Tracking,
        holds: bool,
        now: Duration,
    ) -> Result<u64, Refusal> {
        let mut admission = self.lock();
        let accepted = admission.accept(event, tracking, holds, now);
        let wakes = admission.wakes();
        drop(admission);
        if wakes {
            self.wake();
        }
        accepted
    }

    /// What was held may leave.
    pub fn let_go(&self) {
        let mut admission = self.lock();
        let wakes = admission.let_go();
        drop(admission);
        if wakes {
            self.wake();
        }
    }

    /// Takes back what is held, oldest first: it is as if it had not been accepted.
    pub fn recall(&self) -> Vec<Entry> {
        let mut admission = self.lock();
        let recalled = admission.recall();
        let wakes = admission.wakes();
        drop(admission);
        if wakes {
            self.wake();
        }
        recalled
    }

    /// Counts a call that was not accepted.
    pub fn refuse(&self, reason: Refusal) -> Refusal {
        self.lock().refuse(reason)
    }

    /// Begins a flush of everything accepted so far.
    pub fn flush(&self, id: u32, timeout: Option<Duration>, closes: bool, now: Duration) {
        let mut admission = self.lock();
        admission.is_closed |= closes;
        let deadline = timeout.map(|timeout| now.saturating_add(timeout));
        let up_to = admission.asks_for_all();
        admission.commands.push(Command::Flush { id, up_to, since: now, deadline, closes });
        drop(admission);
        self.wake();
    }

    /// Begins a way out; returns its ticket.
    pub fn drain(&self, timeout: Duration, now: Duration) -> u64 {
        let mut admission = self.lock();
        admission.last_ticket += 1;
        let ticket = admission.last_ticket;
        // No turn comes to its end any more.
        admission.let_go();
        let up_to = admission.asks_for_all();
        admission.commands.push(Command::Drain { ticket, up_to, deadline: now.saturating_add(timeout) });
        drop(admission);
        self.wake();
        ticket
    }

    /// Accepts nothing more; what was accepted is still delivered.
    pub fn close(&self) {
        let mut admission = self.lock();
        admission.is_closed = true;
        admission.let_go();
        let up_to = admission.asks_for_all();
        admission.commands.push(Command::Close { up_to });
        drop(admission);
        self.wake();
    }
}

impl Admission {
    fn accept(
        &mut self,
        event: &Sealed<'_>,
        tracking: Tracking,
        holds: bool,
        now: Duration,
    ) -> Result<u64, Refusal> {
        if self.is_closed {
            return Err(self.refuse(Refusal::Closed));
        }
        let sequence = self.last_sequence + 1;
        if holds {
            self.held.begin(sequence, self.queue.limit() / HELD_SHARE);
        }
        let accepted_at_ms = signed_milliseconds(now);
        let is_kept = match &self.tail {
            Some(tail) if tail.takes_events() => self.write(event, sequence, accepted_at_ms, tracking, now),
            _ => self.keep(event, sequence, accepted_at_ms, tracking),
        };
        if !is_kept {
            return Err(self.refuse(Refusal::QueueFull));
        }
        self.last_sequence = sequence;
        Ok(sequence)
    }

    /// Keeps an event in memory only; false when there is no room.
    fn keep(&mut self, event: &Sealed<'_>, sequence: u64, accepted_at_ms: i64, tracking: Tracking) -> bool {
        if !self.make_room(event.len() + Entry::OVERHEAD) {
            return false;
        }
        self.arena.write(event.pieces());
        let bytes = self.arena.keep();
        if let Some(tail) = &mut self.tail {
            tail.was_not_written(sequence);
        }
        self.push(Entry { bytes, sequence, accepted_at_ms, place: None, tracking });
        true
    }

    fn push(&mut self, entry: Entry) {
        self.held.queued(&entry);
        self.queue.push(entry);
    }

    fn make_room(&mut self, cost: usize) -> bool {
        let Self { queue, held, evictions, evicted, tells_evictions, .. } = self;
        queue.make_room(cost, |gone| {
            held.evicted(&gone);
            *evicted += 1;
            evictions.add(gone.sequence, gone.sequence);
            evictions.places.extend(gone.place);
            if *tells_evictions || gone.tracking.is_on() {
                evictions.told.push(DeadLetter::from(&gone));
            }
        })
    }

    /// Writes an event to disk, and keeps it in memory too if that has room and nothing older waits on disk alone. A disk
    /// that fails leaves memory alone in charge.
    fn write(
        &mut self,
        event: &Sealed<'_>,
        sequence: u64,
        accepted_at_ms: i64,
        tracking: Tracking,
        now: Duration,
    ) -> bool {
        while self.tail.as_ref().is_some_and(|tail| !tail.has_room(event.len())) {
            if self.queue.overflow() == Overflow::DropNewest || !self.evict_segment() {
                return false;
            }
        }
        let Some(tail) = &mut self.tail else { return false };
        let text = self.arena.write(event.pieces());
        match tail.append(sequence, accepted_at_ms, text, now) {
            Ok((place, _)) if tail.all_read() && event.len() + Entry::OVERHEAD <= self.queue.room() => {
                let bytes = self.arena.keep();
                self.push(Entry { bytes, sequence, accepted_at_ms, place: Some(place), tracking });
                true
            }
            Ok((place, offset)) => {
                if self.held.keeps(event.len()) {
                    let bytes = self.arena.keep();
                    self.held.keep(Entry { bytes, sequence, accepted_at_ms, place: Some(place), tracking });
                } else {
                    self.arena.discard();
                }
                tail.postpone(sequence, place, offset, tracking.is_on());
                true
            }
            Err(NotWritten::Degraded | NotWritten::Full) => {
                self.arena.discard();
                self.keep(event, sequence, accepted_at_ms, tracking)
            }
        }
    }

    /// Gives up the oldest segment in which nothing is in flight; false when there is none.
    fn evict_segment(&mut self) -> bool {
        let Some(eviction) = self.tail.as_mut().and_then(Tail::evict) else { return false };
        for gone in self.queue.take_of(eviction.segment, eviction.in_memory) {
            self.held.evicted(&gone);
            self.evicted += 1;
            self.evictions.add(gone.sequence, gone.sequence);
            if self.tells_evictions || gone.tracking.is_on() {
                self.evictions.told.push(DeadLetter::from(&gone));
            }
        }
        for plan in &eviction.unread {
            self.evicted += plan.unread.length;
            self.evictions.add(plan.unread.first, plan.unread.first + plan.unread.length - 1);
        }
        self.evictions.segments.push(eviction);
        true
    }

    /// Ends the holding; true when the worker is to be woken now.
    fn let_go(&mut self) -> bool {
        let held = self.held.end();
        let is_asked_for = held.began_at().is_some_and(|first| first <= self.asked_up_to);
        self.wakes() || is_asked_for || held.has_on_disk()
    }

    fn recall(&mut self) -> Vec<Entry> {
        let held = self.held.end();
        let Some(from) = held.from() else { return Vec::new() };
        let mut entries = self.queue.take_back(from);
        let places = self.tail.as_mut().map(|tail| tail.take_back(from)).unwrap_or_default();
        entries.extend(held.on_disk(|entry| entry.place.is_some_and(|place| places.contains(&place))));
        entries.sort_unstable_by_key(|entry| entry.sequence);
        for entry in &entries {
            self.evictions.add(entry.sequence, entry.sequence);
            self.evictions.places.extend(entry.place);
        }
        let count = entries.len() as u64;
        self.evictions.recalled += count;
        self.recalled += count;
        entries
    }

    /// Somebody waits for everything accepted so far; returns the last of it.
    const fn asks_for_all(&mut self) -> u64 {
        self.asked_up_to = self.last_sequence;
        self.last_sequence
    }

    /// The last event that may leave.
    #[must_use]
    pub fn free_up_to(&self) -> u64 {
        self.held.from().map_or(self.last_sequence, |from| from - 1)
    }

    /// What waits in the queue and may leave.
    #[must_use]
    pub fn free(&self) -> Share {
        let Share { events, bytes, awaited } = self.held.in_queue();
        Share {
            events: self.queue.len().saturating_sub(events),
            bytes: self.queue.waiting_bytes().saturating_sub(bytes),
            awaited: self.queue.awaited().saturating_sub(awaited),
        }
    }

    /// The first event that may not.
    #[must_use]
    pub const fn held_from(&self) -> Option<u64> {
        self.held.from()
    }

    /// Everything in the queue was taken, held or not.
    pub fn forget_held(&mut self) {
        self.held.end();
    }

    /// Counts a call that was not accepted.
    pub fn refuse(&mut self, reason: Refusal) -> Refusal {
        if let Some(count) = self.refused.get_mut(reason as usize) {
            *count += 1;
        }
        reason
    }

    /// Whether the worker is to be woken now; true once until it has looked.
    fn wakes(&mut self) -> bool {
        if self.is_woken {
            return false;
        }
        let WakeAt { events, bytes, awaited, unwatched, uncommitted } = self.wake_at;
        let free = self.free();
        let wakes = free.events >= events
            || free.bytes >= bytes
            || (awaited && free.awaited > 0)
            || !self.evictions.is_empty()
            || self.tail.as_ref().is_some_and(|tail| {
                tail.has_fault() || (unwatched && tail.is_watched()) || (uncommitted && tail.wants_sync())
            });
        self.is_woken = wakes;
        wakes
    }

    /// The worker goes to sleep: at this it wants to be woken. False when it has to look again at once.
    pub fn arm(&mut self, wake_at: WakeAt) -> bool {
        self.wake_at = wake_at;
        self.is_woken = false;
        let has_news = !self.commands.is_empty() || self.wakes();
        !has_news
    }

    /// Gives names to events of an ended process that were taken over; returns the first. `damaged` could not be read.
    pub const fn adopt(&mut self, events: u64, damaged: u64) -> u64 {
        let first = self.last_sequence + 1;
        self.last_sequence += events;
        self.damaged += damaged;
        first
    }

    /// The last event that was accepted.
    #[must_use]
    pub const fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Events that were accepted, recovered ones included, and those not that were called back.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.last_sequence + self.damaged - self.recalled
    }

    /// Accepted events that had to go for others.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Calls that were not accepted, in the order of [`Refusal::ALL`].
    #[must_use]
    pub const fn refused(&self) -> [u64; Refusal::ALL.len()] {
        self.refused
    }

    /// Gives back memory that nothing needs now.
    pub fn trim(&mut self, rests: bool) {
        self.arena.trim(rests);
        if rests {
            self.queue.trim();
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gate").finish_non_exhaustive()
    }
}

/// A moment of the client's clock in milliseconds.
#[must_use]
pub fn signed_milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evictions_in_a_row_are_one_range() {
        let mut evictions = Evictions::default();
        for (first, last) in [(1, 1), (2, 2), (3, 5), (8, 9)] {
            evictions.add(first, last);
        }
        assert_eq!((evictions.len(), evictions.ranges), (7, vec![(1, 5), (8, 9)]));
    }
}
