//! The owner of one client's state: a state machine without tasks, clocks, sockets or files of its own.
//!
//! ```text
//! Input (an answer, a finished job, or nothing: the time has come) -> step() -> Outputs (requests, jobs, notices)
//! ```
//! A driver carries out what a step asks for and brings back what came of it: [`super::driver`] with Tokio, a simulation in
//! the tests. Between two steps the gate admits events; each step begins by reading what the gate has.

mod answers;
mod authorization;
mod ends;
mod flushes;
mod route;
mod schedule;
mod sending;
mod settle;
mod steps;
mod storage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Map, Value};

use super::batch::{Batch, Rules};
use super::dead_letter::Cause;
use super::gate::{Command, Gate, signed_milliseconds};
use super::notice::{Interest, Level, Notice, Report};
use super::oauth::tokens::{TokenText, Tokens};
use super::snapshot::{Published, Snapshot};
use crate::config::{Config, MAX_BATCH_BYTES};
use crate::queue::spool::tail::Tail;
use crate::stats::DropReason;
use flushes::{Flush, Flushes};
use route::Route;
pub use steps::{Attempt, Input, Moment, Output};
use storage::Storage;

/// The most that somebody who wants things sent now has to wait for the end of a pause.
const WAKE_SPREAD: Duration = Duration::from_millis(100);
/// After a rest of this length memory is given back.
const IDLE: Duration = Duration::from_secs(5);

/// How often a batch, and the batch it was a part of, was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    /// Requests that carried these events.
    sent: u32,
    /// Requests with exactly these events.
    of_this_batch: u32,
    /// Of those, the ones that count against `maxRetries`.
    failures: u32,
    /// Pauses since somebody wanted things sent now: each is twice as long.
    pauses: u32,
    first_failure: Option<Duration>,
    /// Segment has refused one token for these events already.
    token_refused: bool,
}

#[derive(Clone, Debug)]
enum State {
    /// To be sent, but not before this moment.
    Waiting { not_before: Duration },
    /// In this request.
    Sending { gzip: bool, token: Option<TokenText> },
}

/// A batch on its way.
#[derive(Debug)]
struct Delivery {
    batch: Batch,
    attempts: Attempts,
    state: State,
    /// The batch that was refused and this is a part of. Parts are not counted as batches under way.
    part_of: Option<u64>,
    /// It is sent once more, plain, because compression may be what was refused.
    is_plain_repeat: bool,
    /// The last answer to it asked for a pause.
    limited: Option<u16>,
    /// It waited for a token when the authorization server asked for a pause.
    token_limited: Option<u16>,
    /// The last answer to it was a refusal of its content, or of the write key.
    was_refused: bool,
}

/// A way out of the process that somebody waits for.
#[derive(Clone, Copy, Debug)]
struct Drain {
    ticket: u64,
    since: Duration,
    deadline: Duration,
}

/// One client.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts about one client")]
pub struct Worker {
    config: Arc<Config>,
    gate: Arc<Gate>,
    snapshot: Arc<Snapshot>,
    chance: Rng,
    rules: Rules,
    compresses: bool,
    now: Moment,
    interest: Interest,
    deliveries: BTreeMap<u64, Delivery>,
    /// Requests under way, and the batch in each.
    sending: HashMap<u64, u64>,
    token_request: Option<u64>,
    last_batch: u64,
    last_request: u64,
    route: Route,
    /// Refused batches of which some part was taken: what of them is refused is refused for itself.
    partly_taken: BTreeSet<u64>,
    tokens: Option<Tokens>,
    flushes: Flushes,
    drains: Vec<Drain>,
    flush_up_to: u64,
    /// The last event that was accepted when the gate was last read: nothing later is taken before the commands are known.
    seen: u64,
    /// The last of them that may leave.
    free: u64,
    published: Published,
    storage: Option<Storage>,
    last_send: Option<Duration>,
    is_recovered_turn: bool,
    /// Events were pending since `drained` was told last.
    was_busy: bool,
    is_refusal_told: bool,
    is_distrust_told: bool,
    is_client_refusal_told: bool,
    is_closing: bool,
    /// Nobody holds the client any more.
    is_released: bool,
    /// Flushes that end when the spool's directory was given back.
    farewells: Vec<(u32, Report)>,
    idle_since: Option<Duration>,
    due_at: Option<Duration>,
    outputs: Vec<Output>,
}

impl Worker {
    /// A client that has not begun. `envelope` is what a request's body holds beside events; `compresses`: whether bodies
    /// may be compressed on their way.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        gate: Arc<Gate>,
        snapshot: Arc<Snapshot>,
        mut chance: Rng,
        now: Moment,
        envelope: usize,
        compresses: bool,
    ) -> Self {
        let has_spool = gate.lock().tail.is_some();
        let storage = has_spool.then(|| Storage::new(&config, now, chance.fork()));
        let tokens = config.oauth.as_ref().map(|oauth| Tokens::new(oauth.max_retries));
        let rules = Rules {
            flush_at: config.flush_at,
            max_events: config.max_batch_events,
            max_bytes: MAX_BATCH_BYTES.saturating_sub(envelope),
            flush_interval: config.flush_interval,
        };
        Self {
            config,
            gate,
            snapshot,
            chance,
            rules,
            compresses,
            now,
            interest: Interest::default(),
            deliveries: BTreeMap::new(),
            sending: HashMap::new(),
            token_request: None,
            last_batch: 0,
            last_request: 0,
            route: Route::default(),
            partly_taken: BTreeSet::new(),
            tokens,
            flushes: Flushes::default(),
            drains: Vec::new(),
            flush_up_to: 0,
            seen: 0,
            free: 0,
            published: Published::default(),
            storage,
            last_send: None,
            is_recovered_turn: false,
            was_busy: false,
            is_refusal_told: false,
            is_distrust_told: false,
            is_client_refusal_told: false,
            is_closing: false,
            is_released: false,
            farewells: Vec::new(),
            idle_since: None,
            due_at: Some(Duration::ZERO),
            outputs: Vec::new(),
        }
    }

    /// Takes in what happened and says what is to be done.
    pub fn step(&mut self, now: Moment, interest: Interest, input: Input) -> Vec<Output> {
        self.now = now;
        self.interest = interest;
        // Before anything is settled: a flush counts what is open when it begins.
        self.read_gate();
        match input {
            Input::Nothing => {}
            Input::Sent { raw, on_the_wire } => self.sent(raw, on_the_wire),
            Input::Answered { request, answer } => self.answered(request, &answer),
            Input::Done(done) => self.done(done),
            Input::JobLost => self.job_lost(),
            Input::Synced(result) => self.synced(result),
        }
        self.end_what_is_due();
        self.maintain();
        self.send();
        self.conclude();
        self.maintain();
        self.rest();
        std::mem::take(&mut self.outputs)
    }

    /// When the next step is due although nothing happens; `None`: never.
    #[must_use]
    pub const fn due_at(&self) -> Option<Duration> {
        self.due_at
    }

    /// Whether the client is over: nothing will be sent any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.published.is_over
    }

    /// Whether the client is over and nobody can ask anything of it any more.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.is_released && self.published.is_over
    }

    /// After a panic in the middle of a step: requests and jobs under way are forgotten, and what they carried waits again.
    pub fn restart(&mut self) -> Vec<Output> {
        self.outputs.clear();
        self.sending.clear();
        self.token_request = None;
        if let Some(tokens) = &mut self.tokens {
            tokens.forget_request();
        }
        for delivery in self.deliveries.values_mut() {
            delivery.state = State::Waiting { not_before: self.now.elapsed };
        }
        self.forget_jobs();
        self.forget_commit();
        self.due_at = Some(Duration::ZERO);
        std::mem::take(&mut self.outputs)
    }

    /// It panics again and again: nothing is accepted any more, and whoever waits is told that it is over.
    pub fn give_up_all(&mut self) -> Vec<Output> {
        self.outputs = self.restart();
        self.gate.close();
        self.is_closing = true;
        let lost = self.leave_spooled();
        self.abandon(&lost);
        self.published.is_over = true;
        self.published.drained_up_to = u64::MAX;
        self.publish();
        self.notify(Notice::Drained);
        for (id, report) in std::mem::take(&mut self.farewells) {
            self.notify(Notice::Flushed { id, report: Box::new(report) });
        }
        let stats = self.snapshot.stats(&self.gate, self.elapsed());
        while let Some(flush) = self.flushes.take_first(|_| true) {
            let duration = self.elapsed().saturating_sub(flush.since);
            let report = Report { stats: stats.clone(), duration, unflushed: Vec::new() };
            self.notify(Notice::Flushed { id: flush.id, report: Box::new(report) });
        }
        std::mem::take(&mut self.outputs)
    }

    fn elapsed(&self) -> Duration {
        self.now.elapsed
    }

    fn elapsed_ms(&self) -> i64 {
        signed_milliseconds(self.now.elapsed)
    }

    fn notify(&mut self, notice: Notice) {
        self.outputs.push(Output::Notify(notice));
    }

    fn log(&mut self, level: Level, message: &'static str, fields: impl FnOnce() -> Value) {
        if self.interest.log_level >= level as u8 {
            let fields = match fields() {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
            self.notify(Notice::Log { level, message, fields });
        }
    }

    /// Accepted events whose fate is open.
    const fn outstanding(&self) -> u64 {
        self.seen - self.flushes.settled()
    }

    fn waiting_deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values().filter(|delivery| matches!(delivery.state, State::Waiting { .. }))
    }

    /// Takes the batches that wait and are like this.
    fn take_waiting(&mut self, is_taken: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let wanted = self.waiting_deliveries().filter(|delivery| is_taken(delivery));
        let ids: Vec<_> = wanted.map(|delivery| delivery.batch.id).collect();
        ids.into_iter().filter_map(|id| self.deliveries.remove(&id)).collect()
    }

    fn read_gate(&mut self) {
        let (commands, evictions, fault) = {
            let mut admission = self.gate.lock();
            admission.tells_evictions = self.interest.dropped;
            self.seen = admission.last_sequence();
            self.free = admission.free_up_to();
            // Before any of it is settled, so that the end of every event is followed by `drained`.
            self.was_busy |= self.outstanding() > 0;
            let fault = admission.tail.as_mut().and_then(Tail::take_fault);
            (std::mem::take(&mut admission.commands), std::mem::take(&mut admission.evictions), fault)
        };
        for command in commands {
            self.obey(command);
        }
        if !evictions.is_empty() {
            self.evicted(evictions);
        }
        if let Some(error) = fault {
            self.report_fault(&error);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Flush { id, up_to, since, deadline, closes } => {
                self.flush_up_to = self.flush_up_to.max(up_to);
                self.is_closing |= closes;
                self.flushes.begin(Flush { id, up_to, since, deadline, closes });
                self.end_pauses(closes, deadline);
            }
            Command::Drain { ticket, up_to, deadline } => {
                self.flush_up_to = self.flush_up_to.max(up_to);
                self.drains.push(Drain { ticket, since: self.elapsed(), deadline });
                self.end_pauses(true, Some(deadline));
            }
            Command::Close { up_to } => {
                self.flush_up_to = self.flush_up_to.max(up_to);
                (self.is_closing, self.is_released) = (true, true);
            }
        }
    }

    /// Somebody wants things sent now: whatever waits only because of a failure is tried again at once, a little apart
    /// from what other processes do at the same moment.
    fn end_pauses(&mut self, is_way_out: bool, deadline: Option<Duration>) {
        let now = self.elapsed();
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_sub(now));
        let at = now + WAKE_SPREAD.min(left / 4).mul_f64(self.chance.f64());
        self.route.end_pause(at, is_way_out);
        if let Some(tokens) = &mut self.tokens {
            tokens.end_pause(at, is_way_out);
        }
        self.wake_deliveries(at);
    }

    fn wake_deliveries(&mut self, at: Duration) {
        for delivery in self.deliveries.values_mut() {
            // What is under way now does not pay for failures of before either.
            delivery.attempts.pauses = 0;
            if let State::Waiting { not_before } = &mut delivery.state {
                *not_before = at.min(*not_before);
            }
        }
    }

    fn publish(&mut self) {
        self.published.in_flight = self.deliveries.len() as u64;
        let oldest = self.deliveries.values().filter_map(|delivery| delivery.batch.entries().first());
        self.published.oldest_in_flight_at = oldest.map(|entry| entry.accepted_at_ms).min();
        self.publish_storage();
        self.snapshot.publish(&self.published);
    }

    /// What has to hold after every step.
    ///
    /// # Panics
    /// When it does not.
    #[cfg(any(test, feature = "testing"))]
    pub fn check(&self) {
        let admission = self.gate.lock();
        if let Some(tail) = &admission.tail {
            tail.check();
        }
        let queued = admission.queue.iter().filter(|entry| entry.sequence <= self.seen).count() as u64;
        let in_flight: usize = self.deliveries.values().map(|delivery| delivery.batch.entries().len()).sum();
        let postponed = admission.tail.as_ref().map_or(0, Tail::backlog_events);
        let storage = self.storage.as_ref().map_or(0, Storage::events);
        let evicted = admission.evictions.len();
        let later = admission.last_sequence() - self.seen;
        if later == 0 && evicted == 0 {
            let found = queued + in_flight as u64 + postponed + storage;
            assert_eq!(
                self.outstanding(),
                found,
                "queued {queued}, in flight {in_flight}, on disk {postponed} and {storage}"
            );
        }
        drop(admission);
        if let Some(storage) = &self.storage {
            storage.check();
        }
        let is_sending = |delivery: &Delivery| matches!(delivery.state, State::Sending { .. });
        for id in self.sending.values() {
            assert!(self.deliveries.get(id).is_some_and(is_sending), "a request without its batch");
        }
        let sending = self.deliveries.values().filter(|delivery| is_sending(delivery)).count();
        assert_eq!(sending, self.sending.len(), "a batch without its request");
        assert!(self.sending.len() <= self.config.max_concurrent_requests, "requests at once");
        let stats = self.snapshot.stats(&self.gate, self.elapsed());
        assert!(stats.balanced(), "{stats:?}");
    }
}

impl Delivery {
    fn new(batch: Batch, now: Duration) -> Self {
        Self {
            batch,
            attempts: Attempts::default(),
            state: State::Waiting { not_before: now },
            part_of: None,
            is_plain_repeat: false,
            limited: None,
            token_limited: None,
            was_refused: false,
        }
    }
}

/// Why events were given up that no answer ended.
fn without_answer(reason: DropReason, attempts: u32) -> Cause {
    Cause::new(reason, None, attempts)
}
