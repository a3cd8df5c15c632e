//! The books of one client: what waits, what is in flight, what became of the rest, and who waits for it.
//!
//! Synchronous and without a clock of its own; [`super::shared`] keeps it behind one lock, which is why the
//! conservation identity holds for every reader.

mod spooling;
#[cfg(test)]
mod tests;
mod waiters;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::batch::{self, Batch};
use super::dead_letter::DeadLetter;
use crate::config::{Config, MAX_BATCH_BYTES};
use crate::queue::memory::Queue;
use crate::queue::spool::books::ReadPlan;
use crate::queue::spool::{Settings, Spool};
use crate::queue::{Entry, Tracking};
use crate::stats::{DropReason, Refusal, SpoolState, Stats};
pub use waiters::Ended;
use waiters::{Waiter, Waiters};

/// Everything one client keeps account of.
#[derive(Debug)]
pub struct Ledger {
    queue: Queue,
    spool: Option<Spooled>,
    in_flight: HashMap<u64, Batch>,
    last_batch: u64,
    last_sequence: u64,
    flush_up_to: u64,
    stats: Stats,
    waiters: Waiters,
    closing: bool,
    wake_events: usize,
    wake_bytes: usize,
    last_success: Option<Duration>,
    last_send: Option<Duration>,
}

/// What acceptance changed.
#[derive(Debug)]
pub struct Accepted {
    /// Order of acceptance.
    pub sequence: u64,
    /// Events that made room.
    pub evicted: Evicted,
    /// The worker sleeps and should not any more.
    pub wake: bool,
    /// Flushes that the evictions ended.
    pub ended: Vec<Ended>,
}

/// Events that made room.
#[derive(Debug, Default)]
pub struct Evicted {
    /// Those that were in memory.
    pub entries: Vec<Entry>,
    /// Those that were on disk only.
    pub unread: Vec<ReadPlan>,
}

impl Evicted {
    fn len(&self) -> u64 {
        self.entries.len() as u64 + self.unread.iter().map(|plan| plan.length).sum::<u64>()
    }

    /// Whether there were none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.unread.is_empty()
    }

    fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        let entries = self.entries.iter().map(|entry| (entry.sequence, 1));
        entries.chain(self.unread.iter().map(|plan| (plan.first, plan.length)))
    }
}

/// What closing left undelivered.
#[derive(Debug, Default)]
pub struct Abandoned {
    /// Events that were in memory only. They are handed back.
    pub lost: Vec<DeadLetter>,
    /// Tracked events that the spool keeps.
    pub kept: Vec<DeadLetter>,
    /// Events that were on disk only and stay there.
    pub unread: Vec<ReadPlan>,
    /// Flushes that are over.
    pub ended: Vec<Ended>,
}

/// The spool and what of it only the ledger knows.
#[derive(Debug)]
struct Spooled {
    spool: Spool,
    settings: std::sync::Arc<Settings>,
    /// Tracked events that are on disk only.
    postponed: HashSet<u64>,
    /// Events that were left on disk for the next process.
    left: u64,
}

/// What the worker does next.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The client was closed and nothing is left.
    pub finished: bool,
    /// When something falls due by itself.
    pub due_in: Option<Duration>,
}

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            queue: Queue::new(config.max_queue_bytes, config.overflow),
            spool: None,
            in_flight: HashMap::new(),
            last_batch: 0,
            last_sequence: 0,
            flush_up_to: 0,
            stats: Stats::default(),
            waiters: Waiters::default(),
            closing: false,
            wake_events: 1,
            wake_bytes: usize::MAX,
            last_success: None,
            last_send: None,
        }
    }

    /// Takes an event in.
    ///
    /// # Errors
    /// [`Refusal::Closed`] or [`Refusal::QueueFull`], counted.
    pub fn accept(
        &mut self,
        bytes: Box<[u8]>,
        tracking: Tracking,
        now: Duration,
    ) -> Result<Accepted, Refusal> {
        if self.closing {
            return Err(self.refuse(Refusal::Closed));
        }
        let sequence = self.last_sequence + 1;
        let entry = Entry { bytes, sequence, accepted_at_ms: signed_milliseconds(now), tracking };
        let placed = match self.spool {
            Some(_) => self.spool_or_queue(entry, now),
            None => self.queue.push(entry).map(Evicted::from).map_err(drop),
        };
        let Ok(evicted) = placed else { return Err(self.refuse(Refusal::QueueFull)) };
        self.last_sequence = sequence;
        self.stats.accepted += 1;
        self.stats.count_dropped(DropReason::QueueFull, evicted.len());
        let ended = if evicted.is_empty() { Vec::new() } else { self.tick_off(evicted.ranges(), now) };
        let wake = self.queue.len() >= self.wake_events
            || self.queue.waiting_bytes() >= self.wake_bytes
            || self.spool.as_mut().is_some_and(Spooled::wakes);
        if wake {
            // Once is enough until the worker has looked.
            (self.wake_events, self.wake_bytes) = (usize::MAX, usize::MAX);
        }
        Ok(Accepted { sequence, evicted, wake, ended })
    }

    /// Counts a call that was not accepted.
    pub fn refuse(&mut self, reason: Refusal) -> Refusal {
        self.stats.count_refused(reason);
        reason
    }

    /// The next batch, if one should leave now.
    pub fn take(&mut self, config: &Config, envelope: usize, now: Duration) -> Option<Batch> {
        let busy = self.in_flight.len() >= config.max_concurrent_requests;
        if busy || !self.is_due(config, envelope, now) {
            return None;
        }
        let count = batch::fit(self.queue.sizes(), config.max_batch_events, MAX_BATCH_BYTES - envelope);
        self.last_batch += 1;
        let mut entries = self.queue.take(count);
        // Recovered events joined the queue later than they were accepted.
        entries.sort_by_key(|entry| entry.accepted_at_ms);
        let batch = Batch::new(self.last_batch, entries);
        self.in_flight.insert(batch.id, batch.clone());
        self.last_send = Some(now);
        Some(batch)
    }

    /// Whether a batch should leave, a free connection provided.
    fn is_due(&self, config: &Config, envelope: usize, now: Duration) -> bool {
        self.queue.oldest().is_some_and(|oldest| {
            oldest.sequence <= self.flush_up_to
                || self.queue.len() >= self.threshold(config, now).events
                || self.queue.waiting_bytes() >= MAX_BATCH_BYTES - envelope
                || age(oldest, now) >= config.flush_interval
        })
    }

    /// What comes next; arms the wake-up that [`Ledger::accept`] gives.
    pub fn plan(&mut self, config: &Config, envelope: usize, now: Duration) -> Plan {
        let busy = self.in_flight.len() >= config.max_concurrent_requests;
        let mut due_at = self.waiters.next_deadline();
        if busy {
            (self.wake_events, self.wake_bytes) = (usize::MAX, usize::MAX);
        } else {
            let threshold = self.threshold(config, now);
            self.wake_events = if self.queue.is_empty() { 1 } else { threshold.events };
            self.wake_bytes = MAX_BATCH_BYTES - envelope;
            if let Some(oldest) = self.queue.oldest() {
                let interval = now + config.flush_interval.saturating_sub(age(oldest, now));
                let relaxed = threshold.relaxes_in.map(|left| now + left);
                due_at = [due_at, relaxed, Some(interval)].into_iter().flatten().min();
            }
            if self.is_due(config, envelope, now) {
                // Events have come since the worker looked for a batch, and nobody wakes it for them.
                due_at = Some(now);
            }
        }
        Plan { finished: self.is_over(), due_in: due_at.map(|due| due.saturating_sub(now)) }
    }

    /// Divides a batch in flight; `None` when it is a single event.
    pub fn split(&mut self, batch: &Batch) -> Option<[Batch; 2]> {
        let halves = batch.split([self.last_batch + 1, self.last_batch + 2])?;
        self.last_batch += 2;
        self.in_flight.remove(&batch.id);
        for half in &halves {
            self.in_flight.insert(half.id, half.clone());
        }
        Some(halves)
    }

    /// Segment has the batch.
    pub fn deliver(&mut self, batch: &Batch, now: Duration) -> Vec<Ended> {
        self.in_flight.remove(&batch.id);
        self.stats.delivered += batch.entries().len() as u64;
        self.last_success = Some(now);
        self.stats.consecutive_failures = 0;
        self.settle(batch.entries(), now)
    }

    /// The first `count` events of the batch are given up; the rest stays in flight.
    pub fn give_up(&mut self, batch: &Batch, count: usize, reason: DropReason, now: Duration) -> Vec<Ended> {
        let rest = batch.without_first(count);
        if rest.entries().is_empty() {
            self.in_flight.remove(&batch.id);
        } else {
            self.in_flight.insert(batch.id, rest);
        }
        let gone = batch.entries().get(..count).unwrap_or(batch.entries());
        self.stats.count_dropped(reason, gone.len() as u64);
        self.settle(gone, now)
    }

    /// Counts one attempt.
    pub const fn sent(&mut self, raw: usize, on_the_wire: usize, repeated: bool) {
        self.stats.requests += 1;
        self.stats.retries += repeated as u64;
        self.stats.bytes_raw += raw as u64;
        self.stats.bytes_sent += on_the_wire as u64;
    }

    /// Counts one attempt that brought no 2xx.
    pub const fn failed(&mut self) {
        self.stats.consecutive_failures += 1;
    }

    /// Begins a flush of everything accepted so far. It may be over at once.
    pub fn flush(
        &mut self,
        id: u32,
        timeout: Option<Duration>,
        closes: bool,
        now: Duration,
    ) -> Option<Ended> {
        self.closing |= closes;
        self.flush_up_to = self.last_sequence;
        let waiter = Waiter {
            id,
            up_to: self.last_sequence,
            remaining: self.outstanding(),
            since: now,
            deadline: timeout.map(|timeout| now + timeout),
            closes,
        };
        if waiter.remaining == 0 {
            return Some(waiter.end(self.stats(now), now));
        }
        self.waiters.push(waiter);
        None
    }

    /// Sends what waits and accepts nothing more, with nobody waiting for it.
    pub const fn close(&mut self) {
        self.closing = true;
        self.request_flush();
    }

    /// Sends what waits, whatever the thresholds.
    pub const fn request_flush(&mut self) {
        self.flush_up_to = self.last_sequence;
    }

    /// Ends the flushes whose time is up. When one of them closes the client, what is pending is abandoned: what the
    /// spool has stays there, the rest is handed back in that flush's report and counted as dropped from then on.
    pub fn expire(&mut self, now: Duration) -> (Vec<Ended>, Option<Abandoned>) {
        let due = self.waiters.take_due(now);
        if !due.iter().any(|waiter| waiter.closes) {
            let stats = self.stats(now);
            return (due.iter().map(|waiter| waiter.end(stats.clone(), now)).collect(), None);
        }
        let kept = self.leave_spooled(now);
        let stats = self.stats(now);
        let mut ended: Vec<_> = due.iter().map(|waiter| waiter.end(stats.clone(), now)).collect();
        let abandoned = self.abandon(kept, now);
        for (_, end) in due.iter().zip(&mut ended).filter(|(waiter, _)| waiter.closes) {
            end.report.unflushed = abandoned.lost.iter().map(|letter| letter.bytes.clone()).collect();
        }
        (ended, Some(abandoned))
    }

    /// Gives up everything pending, oldest first.
    fn abandon(&mut self, kept: Abandoned, now: Duration) -> Abandoned {
        let mut lost: Vec<_> = std::mem::take(&mut self.in_flight)
            .values()
            .flat_map(Batch::entries)
            .map(DeadLetter::from)
            .chain(self.queue.take(usize::MAX).iter().map(DeadLetter::from))
            .collect();
        lost.sort_by_key(|letter| letter.sequence);
        self.stats.count_dropped(DropReason::Unflushed, lost.len() as u64);
        self.queue.release(usize::MAX);
        let mut ended = kept.ended;
        ended.extend(self.tick_off(lost.iter().map(|letter| (letter.sequence, 1)), now));
        Abandoned { lost, ended, ..kept }
    }

    /// Whether the client was closed and has nothing left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.closing && self.outstanding() == 0
    }

    /// Accepted events in memory whose fate is open.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let in_flight: usize = self.in_flight.values().map(|batch| batch.entries().len()).sum();
        (self.queue.len() + in_flight) as u64
    }

    /// Accepted events that this client still has to deliver.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.pending() + self.spool.as_ref().map_or(0, |spooled| spooled.spool.books().unread())
    }

    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self, now: Duration) -> Stats {
        let oldest_in_flight = self.in_flight.values().filter_map(|batch| batch.entries().first());
        let oldest = oldest_in_flight.chain(self.queue.oldest()).map(|entry| age(entry, now)).max();
        let oldest = oldest.max(self.spool.as_ref().and_then(|spooled| spooled.oldest_age(now)));
        Stats {
            pending: self.pending(),
            spooled: self.spool.as_ref().map_or(0, Spooled::events),
            recovered: self.spool.as_ref().map_or(0, |spooled| spooled.spool.recovered()),
            spool: self.spool.as_ref().map_or(SpoolState::Off, Spooled::state),
            spool_bytes: self.spool.as_ref().map_or(0, |spooled| spooled.spool.books().bytes()),
            in_flight: self.in_flight.len() as u64,
            queue_bytes: self.queue.charged() as u64,
            last_success_age_ms: self.last_success.map(|then| milliseconds(now.saturating_sub(then))),
            oldest_pending_age_ms: oldest.map(milliseconds),
            ..self.stats.clone()
        }
    }

    fn threshold(&self, config: &Config, now: Duration) -> batch::Threshold {
        let since_last = self.last_send.map(|then| now.saturating_sub(then));
        batch::threshold(config.flush_at, config.max_batch_events, since_last)
    }

    /// These events of batches are over: their room is free, on disk too.
    fn settle(&mut self, entries: &[Entry], now: Duration) -> Vec<Ended> {
        self.queue.release(entries.iter().map(Entry::cost).sum());
        if let Some(Spooled { spool, .. }) = &mut self.spool {
            spool.settle(entries.iter().map(|entry| entry.sequence));
        }
        self.tick_off(entries.iter().map(|entry| (entry.sequence, 1)), now)
    }

    /// Tells the waiters that these ranges of events are over.
    fn tick_off(&mut self, ranges: impl Iterator<Item = (u64, u64)>, now: Duration) -> Vec<Ended> {
        let over = self.waiters.tick_off(ranges);
        if over.is_empty() {
            return Vec::new();
        }
        let stats = self.stats(now);
        over.iter().map(|waiter| waiter.end(stats.clone(), now)).collect()
    }
}

impl From<Vec<Entry>> for Evicted {
    fn from(entries: Vec<Entry>) -> Self {
        Self { entries, unread: Vec::new() }
    }
}

fn age(entry: &Entry, now: Duration) -> Duration {
    let age = signed_milliseconds(now).saturating_sub(entry.accepted_at_ms);
    Duration::from_millis(u64::try_from(age).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed_milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
