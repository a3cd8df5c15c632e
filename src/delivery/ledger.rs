//! The books of one client: what waits, what is in flight, what became of the rest, and who waits for it.
//!
//! Synchronous and without a clock of its own; [`super::shared`] keeps it behind one lock, which is why the
//! conservation identity holds for every reader.

use std::collections::HashMap;
use std::time::Duration;

use super::batch::{self, Batch};
use super::notice::Report;
use crate::config::{Config, MAX_BATCH_BYTES};
use crate::queue::Entry;
use crate::queue::memory::Queue;
use crate::stats::{DropReason, Refusal, Stats};

/// Everything one client keeps account of.
#[derive(Debug)]
pub struct Ledger {
    queue: Queue,
    in_flight: HashMap<u64, Batch>,
    last_batch: u64,
    last_sequence: u64,
    flush_up_to: u64,
    stats: Stats,
    waiters: Vec<Waiter>,
    closing: bool,
    wake_events: usize,
    wake_bytes: usize,
    last_success: Option<Duration>,
    last_send: Option<Duration>,
}

/// A flush that is not over.
#[derive(Debug)]
struct Waiter {
    id: u32,
    up_to: u64,
    remaining: u64,
    since: Duration,
    deadline: Option<Duration>,
    closes: bool,
}

/// A flush that is over.
#[derive(Debug)]
pub struct Ended {
    /// The owner's name for it.
    pub id: u32,
    /// What it came to.
    pub report: Report,
}

/// What acceptance changed.
#[derive(Debug)]
pub struct Accepted {
    /// Order of acceptance.
    pub sequence: u64,
    /// Events that made room.
    pub evicted: Vec<Entry>,
    /// The worker sleeps and should not any more.
    pub wake: bool,
    /// Flushes that the evictions ended.
    pub ended: Vec<Ended>,
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
            in_flight: HashMap::new(),
            last_batch: 0,
            last_sequence: 0,
            flush_up_to: 0,
            stats: Stats::default(),
            waiters: Vec::new(),
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
    pub fn accept(&mut self, bytes: Box<[u8]>, tracked: bool, now: Duration) -> Result<Accepted, Refusal> {
        if self.closing {
            return Err(self.refuse(Refusal::Closed));
        }
        let sequence = self.last_sequence + 1;
        let entry = Entry { bytes, sequence, accepted_at_ms: milliseconds(now), tracked };
        let Ok(evicted) = self.queue.push(entry) else { return Err(self.refuse(Refusal::QueueFull)) };
        self.last_sequence = sequence;
        self.stats.accepted += 1;
        self.stats.count_dropped(DropReason::QueueFull, evicted.len() as u64);
        let ended = if evicted.is_empty() { Vec::new() } else { self.tick_off(&evicted, now) };
        let wake = self.queue.len() >= self.wake_events || self.queue.waiting_bytes() >= self.wake_bytes;
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
        let oldest = self.queue.oldest()?;
        if self.in_flight.len() >= config.max_concurrent_requests {
            return None;
        }
        let room = MAX_BATCH_BYTES - envelope;
        let due = oldest.sequence <= self.flush_up_to
            || self.queue.len() >= self.threshold(config, now).events
            || self.queue.waiting_bytes() >= room
            || age(oldest, now) >= config.flush_interval;
        if !due {
            return None;
        }
        let count = batch::fit(self.queue.sizes(), config.max_batch_events, room);
        self.last_batch += 1;
        let batch = Batch::new(self.last_batch, self.queue.take(count));
        self.in_flight.insert(batch.id, batch.clone());
        self.last_send = Some(now);
        Some(batch)
    }

    /// What comes next; arms the wake-up that [`Ledger::accept`] gives.
    pub fn plan(&mut self, config: &Config, envelope: usize, now: Duration) -> Plan {
        let busy = self.in_flight.len() >= config.max_concurrent_requests;
        let mut due_at = self.waiters.iter().filter_map(|waiter| waiter.deadline).min();
        if busy {
            (self.wake_events, self.wake_bytes) = (usize::MAX, usize::MAX);
        } else {
            let threshold = self.threshold(config, now);
            self.wake_events = if self.queue.is_empty() { 1 } else { threshold.events };
            self.wake_bytes = MAX_BATCH_BYTES - envelope;
            if let Some(oldest) = self.queue.oldest() {
                let interval = Duration::from_millis(oldest.accepted_at_ms) + config.flush_interval;
                let relaxed = threshold.relaxes_in.map(|left| now + left);
                due_at = [due_at, relaxed, Some(interval)].into_iter().flatten().min();
            }
        }
        Plan {
            finished: self.closing && self.pending() == 0,
            due_in: due_at.map(|due| due.saturating_sub(now)),
        }
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
        self.release(batch.entries());
        self.tick_off(batch.entries(), now)
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
        self.release(gone);
        self.tick_off(gone, now)
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
            remaining: self.pending(),
            since: now,
            deadline: timeout.map(|timeout| now + timeout),
            closes,
        };
        if waiter.remaining == 0 {
            return Some(self.end(&waiter, now));
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

    /// Ends the flushes whose time is up. When one of them closes the client, all that is pending is
    /// abandoned: it is handed back in that flush's report and counted as dropped from then on.
    pub fn expire(&mut self, now: Duration) -> (Vec<Ended>, Option<Vec<Batch>>) {
        let is_due = |waiter: &Waiter| waiter.deadline.is_some_and(|deadline| deadline <= now);
        let (due, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiters).into_iter().partition(is_due);
        self.waiters = open;
        let closes = due.iter().any(|waiter| waiter.closes);
        let mut ended: Vec<_> = due.iter().map(|waiter| self.end(waiter, now)).collect();
        if !closes {
            return (ended, None);
        }
        let (abandoned, others) = self.abandon(now);
        let unflushed =
            || abandoned.iter().flat_map(Batch::entries).map(|entry| entry.bytes.clone()).collect();
        for (waiter, end) in due.iter().zip(&mut ended).filter(|(waiter, _)| waiter.closes) {
            debug_assert_eq!(waiter.id, end.id);
            end.report.unflushed = unflushed();
        }
        ended.extend(others);
        (ended, Some(abandoned))
    }

    /// Gives up everything pending, oldest first.
    pub fn abandon(&mut self, now: Duration) -> (Vec<Batch>, Vec<Ended>) {
        let mut abandoned: Vec<_> = std::mem::take(&mut self.in_flight).into_values().collect();
        self.last_batch += 1;
        abandoned.push(Batch::new(self.last_batch, self.queue.take(usize::MAX)));
        abandoned.sort_by_key(|batch| batch.entries().first().map_or(u64::MAX, |entry| entry.sequence));
        let mut ended = Vec::new();
        for batch in &abandoned {
            self.stats.count_dropped(DropReason::Unflushed, batch.entries().len() as u64);
            self.release(batch.entries());
            ended.extend(self.tick_off(batch.entries(), now));
        }
        (abandoned, ended)
    }

    /// Accepted events whose fate is open.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let in_flight: usize = self.in_flight.values().map(|batch| batch.entries().len()).sum();
        (self.queue.len() + in_flight) as u64
    }

    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self, now: Duration) -> Stats {
        let oldest_in_flight = self.in_flight.values().filter_map(|batch| batch.entries().first());
        let oldest = oldest_in_flight.chain(self.queue.oldest()).map(|entry| age(entry, now)).max();
        Stats {
            pending: self.pending(),
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

    fn release(&mut self, entries: &[Entry]) {
        self.queue.release(entries.iter().map(Entry::cost).sum());
    }

    /// Tells the waiters that these events are settled.
    fn tick_off(&mut self, entries: &[Entry], now: Duration) -> Vec<Ended> {
        for waiter in &mut self.waiters {
            let settled = entries.iter().filter(|entry| entry.sequence <= waiter.up_to).count();
            waiter.remaining = waiter.remaining.saturating_sub(settled as u64);
        }
        let over = |waiter: &Waiter| waiter.remaining == 0;
        let (over, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiters).into_iter().partition(over);
        self.waiters = open;
        over.iter().map(|waiter| self.end(waiter, now)).collect()
    }

    fn end(&self, waiter: &Waiter, now: Duration) -> Ended {
        let duration = now.saturating_sub(waiter.since);
        Ended { id: waiter.id, report: Report { stats: self.stats(now), duration, unflushed: Vec::new() } }
    }
}

fn age(entry: &Entry, now: Duration) -> Duration {
    now.saturating_sub(Duration::from_millis(entry.accepted_at_ms))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
