//! What the caller's thread and the engine's thread share: the books behind one lock, and who is told.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::Notify;

use super::batch::Batch;
use super::clock::Clock;
use super::dead_letter::{Cause, DeadLetter};
use super::encode::Encoder;
use super::ledger::{Abandoned, Ended, Ledger, Plan};
use super::notice::{Delivered, Notice, Observer};
use super::spooling::Storage;
use crate::config::Config;
use crate::queue::spool::disk::Disk;
use crate::queue::{Entry, Tracking};
use crate::stats::{DropReason, Refusal, Stats};

/// One client, seen from both threads.
pub struct Shared {
    /// How it was set up.
    pub config: Config,
    /// Writes its bodies.
    pub encoder: Encoder,
    /// Its time.
    pub clock: Arc<dyn Clock>,
    /// Whom it tells.
    pub observer: Arc<dyn Observer>,
    /// Wakes its worker.
    pub wake: Notify,
    /// The span that all its lines belong to.
    pub span: tracing::Span,
    /// The slower half of its spool.
    pub(super) storage: Option<Storage>,
    ledger: Mutex<Ledger>,
    settled: Condvar,
    generator: Mutex<Rng>,
}

impl Shared {
    /// A client that has not started.
    #[must_use]
    pub fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        generator: Rng,
        disk: Arc<dyn Disk>,
        observer: Arc<dyn Observer>,
        span: tracing::Span,
    ) -> Self {
        let mut ledger = Ledger::new(&config);
        let storage = span.in_scope(|| Storage::open(&config, &mut ledger, disk, &*clock));
        Self {
            encoder: Encoder::new(Some(&config.write_key)),
            ledger: Mutex::new(ledger),
            storage,
            config,
            clock,
            observer,
            wake: Notify::new(),
            span,
            settled: Condvar::new(),
            generator: Mutex::new(generator),
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Nothing panics while it holds the lock; if something did, the counters are still the best there are.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chance, for jitter.
    pub fn with_generator<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.generator.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes an event in, or says why not.
    ///
    /// # Errors
    /// [`Refusal::Closed`] or [`Refusal::QueueFull`].
    pub fn accept(&self, bytes: Box<[u8]>, tracking: Tracking) -> Result<u64, Refusal> {
        let mut ledger = self.ledger();
        let accepted = ledger.accept(bytes, tracking, self.clock.elapsed());
        let has_fault = ledger.spool_mut().is_some_and(|spool| spool.has_fault());
        drop(ledger);
        if has_fault {
            self.report_fault();
        }
        let accepted = accepted?;
        if accepted.wake {
            self.wake.notify_one();
        }
        if !accepted.evicted.is_empty() {
            self.span.in_scope(|| self.report_evicted(&accepted.evicted));
            self.conclude(accepted.ended);
        }
        Ok(accepted.sequence)
    }

    /// Counts a call that was not accepted.
    pub fn refuse(&self, reason: Refusal) -> Refusal {
        self.span.in_scope(|| tracing::debug!(?reason, "event refused"));
        self.ledger().refuse(reason)
    }

    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        // In this order: what is taken over in between is then counted twice rather than not at all.
        let outlook = self.storage.as_ref().map(Storage::outlook).unwrap_or_default();
        let mut stats = self.ledger().stats(self.clock.elapsed());
        (stats.orphans, stats.locked) = (outlook.waiting, outlook.locked);
        stats
    }

    /// The next batch, if one should leave now.
    pub fn take(&self) -> Option<Batch> {
        self.ledger().take(&self.config, self.encoder.envelope_length(), self.clock.elapsed())
    }

    /// What the worker does next.
    pub fn plan(&self) -> Plan {
        let now = self.clock.elapsed();
        let mut plan = self.ledger().plan(&self.config, self.encoder.envelope_length(), now);
        let storage_due = self.storage_due_at().map(|due| due.saturating_sub(now));
        plan.due_in = plan.due_in.into_iter().chain(storage_due).min();
        plan
    }

    /// Divides a batch in flight; `None` when it is a single event.
    pub fn split(&self, batch: &Batch) -> Option<[Batch; 2]> {
        self.ledger().split(batch)
    }

    /// Counts one attempt.
    pub fn sent(&self, raw: usize, on_the_wire: usize, repeated: bool) {
        self.ledger().sent(raw, on_the_wire, repeated);
    }

    /// Counts one attempt that brought no 2xx.
    pub fn failed(&self) {
        self.ledger().failed();
    }

    /// Segment has the batch.
    pub fn deliver(&self, batch: &Batch, attempts: u32) {
        tracing::debug!(events = batch.entries().len(), attempts, "batch delivered");
        let all = self.observer.interest().delivered;
        let events: Vec<_> = batch
            .entries()
            .iter()
            .filter(|entry| all || entry.tracking.is_on())
            .map(|entry| {
                let bytes = (all || entry.tracking == Tracking::Whole).then(|| entry.bytes.clone());
                Delivered { sequence: entry.sequence, bytes }
            })
            .collect();
        let ended = self.ledger().deliver(batch, self.clock.elapsed());
        self.do_chores();
        if !events.is_empty() {
            self.observer.notify(Notice::Delivered { attempts, events });
        }
        self.conclude(ended);
    }

    /// The first `count` events of the batch are given up; the rest stays in flight.
    pub fn give_up(&self, batch: &Batch, count: usize, cause: Cause) -> Batch {
        let gone = batch.entries().get(..count).unwrap_or(batch.entries());
        self.bury(&cause, gone);
        let ended = self.ledger().give_up(batch, count, cause.reason, self.clock.elapsed());
        self.do_chores();
        self.report_dropped(cause, gone);
        self.conclude(ended);
        batch.without_first(count)
    }

    /// Gives up what is older than `maxEventAge` and returns the rest.
    pub fn drop_expired(&self, batch: Batch, attempts: u32) -> Batch {
        let now = self.clock.elapsed();
        let expired = |entry: &&Entry| Ledger::is_older(entry, self.config.max_event_age, now);
        match batch.entries().iter().take_while(expired).count() {
            0 => batch,
            count => self.give_up(&batch, count, Cause::new(DropReason::Expired, None, attempts)),
        }
    }

    /// Begins a flush of everything accepted so far; its end is a [`Notice::Flushed`].
    pub fn flush(&self, id: u32, timeout: Option<Duration>, closes: bool) {
        let ended = self.ledger().flush(id, timeout, closes, self.clock.elapsed());
        match ended {
            Some(ended) => {
                if closes {
                    self.leave_storage();
                }
                self.report_flushed(vec![ended]);
            }
            None => self.wake.notify_one(),
        }
        if closes {
            self.wake.notify_one();
        }
    }

    /// Sends what waits and accepts nothing more.
    pub fn close(&self) {
        self.ledger().close();
        self.wake.notify_one();
    }

    /// Ends the flushes whose time is up. Everything pending is abandoned with one that closes.
    pub fn expire(&self) {
        let (ended, abandoned) = self.ledger().expire(self.clock.elapsed());
        match abandoned {
            Some(abandoned) => {
                self.report_abandoned(abandoned);
                self.conclude(ended);
            }
            None => self.report_flushed(ended),
        }
    }

    /// Blocks the calling thread until nothing is pending or the time is up. Only for ways out of the
    /// process, when there is no loop left to block. Returns what is still pending.
    pub fn drain(&self, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        let mut ledger = self.ledger();
        ledger.request_flush();
        self.wake.notify_one();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if ledger.outstanding() == 0 || left.is_zero() {
                let pending = ledger.pending();
                drop(ledger);
                self.tidy_up();
                return pending;
            }
            let waited = self.settled.wait_timeout(ledger, left);
            ledger = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn report_abandoned(&self, abandoned: Abandoned) {
        let Abandoned { lost, mut kept, unread, ended } = abandoned;
        let cause = Cause::new(DropReason::Unflushed, None, 0);
        self.report_letters(cause, lost);
        kept.extend(self.read_awaited(&unread));
        if !kept.is_empty() {
            self.observer.notify(Notice::Kept { events: kept });
        }
        self.conclude(ended);
    }

    fn report_dropped(&self, cause: Cause, entries: &[Entry]) {
        let all = self.observer.interest().dropped;
        let told =
            entries.iter().filter(|entry| all || entry.tracking.is_on()).map(DeadLetter::from).collect();
        self.report_some(cause, entries.len(), told);
    }

    fn report_letters(&self, cause: Cause, letters: Vec<DeadLetter>) {
        if letters.is_empty() {
            return;
        }
        let (all, count) = (self.observer.interest().dropped, letters.len());
        self.report_some(cause, count, letters.into_iter().filter(|letter| all || letter.tracked).collect());
    }

    /// Says that events are gone, to those who want to know of these.
    pub(super) fn report_some(&self, cause: Cause, count: usize, events: Vec<DeadLetter>) {
        tracing::warn!(
            events = count,
            reason = cause.reason.name(),
            status = cause.status,
            attempts = cause.attempts,
            "events dropped"
        );
        if !events.is_empty() {
            self.observer.notify(Notice::Dropped { cause, events });
        }
    }

    /// After events were settled: tells whoever waits for the moment.
    pub(super) fn conclude(&self, ended: Vec<Ended>) {
        let (is_over, outstanding) = {
            let ledger = self.ledger();
            (ledger.is_over(), ledger.outstanding())
        };
        if is_over {
            // Whoever hears that the client is closed may start the next one on the same spool.
            self.leave_storage();
        }
        self.settled.notify_all();
        if self.observer.interest().drained && outstanding == 0 {
            self.observer.notify(Notice::Drained);
        }
        self.report_flushed(ended);
    }

    fn report_flushed(&self, ended: Vec<Ended>) {
        for Ended { id, report } in ended {
            self.observer.notify(Notice::Flushed { id, report: Box::new(report) });
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}
