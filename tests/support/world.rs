//! A world of clients without tasks, sockets, files or clocks: time passes when nothing is left to do at this moment, and
//! what the disk and the network do is decided by a script or a seed. Everything in it can be repeated.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use companion_segment::testing::{
    Attempt, Body, Client, Clock, Config, Encoder, Environment, Failure, Input, Interest, Job, Maintenance,
    Moment, Notice, Observer, Options, Output, Pause, Report, Response, SyncJob, Undriven, Worker,
};
use fastrand::Rng;

use super::disk::SimulatedDisk;
use super::server::{Recorded, Reply};

/// 2026-11-26, in milliseconds since 1970.
const TODAY: u64 = 1_795_651_200_000;
/// The date on which every world begins.
pub fn began() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(TODAY)
}

/// A step that does not end would hang the test.
const MOST_STEPS: usize = 300_000;

/// Time of one process in the world.
pub struct WorldClock {
    now: Arc<AtomicU64>,
    started: u64,
    /// How wrong the wall clock is, in milliseconds.
    wall_offset: AtomicI64,
}

impl WorldClock {
    /// Sets the wall clock wrong by so many milliseconds.
    pub fn set_wall_offset(&self, milliseconds: i64) {
        self.wall_offset.store(milliseconds, Ordering::Relaxed);
    }
}

impl Clock for WorldClock {
    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.now.load(Ordering::Relaxed) - self.started)
    }

    fn wall(&self) -> SystemTime {
        let right = TODAY + self.now.load(Ordering::Relaxed) / 1_000;
        let shown = right.saturating_add_signed(self.wall_offset.load(Ordering::Relaxed));
        SystemTime::UNIX_EPOCH + Duration::from_millis(shown)
    }

    fn sleep(&self, _: Duration) -> Pause {
        unreachable!("nobody sleeps here")
    }
}

/// Remembers what it is told.
pub struct Memory {
    notices: Mutex<Vec<Notice>>,
    /// What it wants to hear.
    pub interest: Mutex<Interest>,
}

impl Memory {
    /// Everything it was told.
    pub fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap().clone()
    }

    /// Takes everything it was told.
    pub fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut self.notices.lock().unwrap())
    }

    /// Forgets the reports of flushes of this id.
    pub fn forget_report(&self, id: u32) {
        let is_other = |notice: &Notice| !matches!(notice, Notice::Flushed { id: ended, .. } if *ended == id);
        self.notices.lock().unwrap().retain(is_other);
    }

    /// The report of a flush, if it is over.
    pub fn report(&self, id: u32) -> Option<Report> {
        self.notices.lock().unwrap().iter().rev().find_map(|notice| match notice {
            Notice::Flushed { id: ended, report } if *ended == id => Some((**report).clone()),
            _ => None,
        })
    }
}

impl Observer for Memory {
    fn interest(&self) -> Interest {
        *self.interest.lock().unwrap()
    }

    fn notify(&self, notice: Notice) {
        self.notices.lock().unwrap().push(notice);
    }
}

/// A client in the world.
pub struct Node {
    /// The handle; gone once its process let go of it.
    pub client: Option<Client>,
    /// Its time.
    pub clock: Arc<WorldClock>,
    /// What it was told.
    pub memory: Arc<Memory>,
    /// Its state machine; gone with its process.
    pub worker: Option<Worker>,
    config: Config,
    maintenance: Option<Maintenance>,
    is_woken: Arc<AtomicBool>,
    cancelled: HashSet<u64>,
    under_way: usize,
    last_answer: Option<u64>,
    /// Requests at once, at most.
    pub most_under_way: usize,
    /// Pauses before requests while none was under way.
    pub pauses: Vec<Duration>,
}

impl Node {
    fn is_due(&self) -> bool {
        let due = self.worker.as_ref().and_then(Worker::due_at);
        due.is_some_and(|due| due <= self.clock.elapsed())
    }
}

/// What the network does with a request of a node: after how long, and what.
pub type Network = Box<dyn FnMut(usize, &Recorded) -> (Duration, Reply)>;

/// What the authorization server does with the request for a token of this number: after how long, and what.
pub type TokenServer = Box<dyn FnMut(usize) -> (Duration, Result<Response, Failure>)>;

/// An answer with a token that is good for so many seconds.
#[allow(clippy::unnecessary_wraps, reason = "it stands beside failures")]
pub fn granted(seconds: u64) -> Result<Response, Failure> {
    let body = format!(r#"{{"access_token":"token","expires_in":{seconds},"token_type":"Bearer"}}"#);
    Ok(Response { status: 200, body: body.into_bytes(), ..Response::default() })
}

/// What is to happen to a client.
enum Happening {
    /// It is told something.
    Told(Input),
    /// A commit reaches the disk, and it is told.
    Committed(SyncJob),
}

impl Happening {
    fn carry_out(self) -> Input {
        match self {
            Self::Told(input) => input,
            Self::Committed(job) => Input::Synced(job.run()),
        }
    }
}

/// The world.
pub struct World {
    now: Arc<AtomicU64>,
    /// Who is in it.
    pub nodes: Vec<Node>,
    happenings: BTreeMap<(u64, u64), (usize, Happening)>,
    order: u64,
    /// Every request there was.
    pub requests: Vec<Recorded>,
    /// When each of them was sent, in microseconds.
    pub sent_at: Vec<u64>,
    network: Network,
    /// Where clients with OAuth ask for tokens.
    pub token_server: TokenServer,
    /// When they asked, in microseconds.
    pub tokens_asked_at: Vec<u64>,
    /// How long a piece of work on disk takes.
    pub disk_latency: Box<dyn FnMut() -> Duration>,
    /// Whether the outcome of work on disk is lost.
    pub loses_jobs: bool,
    /// Whether what a commit covers is safe from its beginning, or from its end only.
    pub commits_early: bool,
    /// Whether bodies are really written.
    pub encodes: bool,
    /// Steps so far, of all clients.
    pub steps: usize,
}

impl World {
    /// A world with this network.
    pub fn new(network: Network) -> Self {
        Self {
            now: Arc::new(AtomicU64::new(1_000_000)),
            nodes: Vec::new(),
            happenings: BTreeMap::new(),
            order: 0,
            requests: Vec::new(),
            sent_at: Vec::new(),
            network,
            token_server: Box::new(|_| (Duration::from_millis(1), granted(3_600))),
            tokens_asked_at: Vec::new(),
            disk_latency: Box::new(|| Duration::from_micros(50)),
            loses_jobs: false,
            commits_early: false,
            encodes: true,
            steps: 0,
        }
    }

    /// A client begins. Returns its number.
    pub fn start(&mut self, options: Options, disk: &SimulatedDisk, seed: u64, wall_offset: i64) -> usize {
        let clock = Arc::new(WorldClock {
            now: Arc::clone(&self.now),
            started: self.now.load(Ordering::Relaxed),
            wall_offset: AtomicI64::new(wall_offset),
        });
        let memory = Arc::new(Memory { notices: Mutex::default(), interest: Mutex::new(everything()) });
        let is_woken = Arc::new(AtomicBool::new(true));
        let woken = Arc::clone(&is_woken);
        let environment = Environment {
            clock: Arc::clone(&clock) as _,
            generator: Rng::with_seed(seed),
            disk: Arc::new(disk.clone()),
        };
        let config = options.build().unwrap();
        let Undriven { client, worker, maintenance } = Client::undriven(
            config.clone(),
            environment,
            Arc::clone(&memory) as _,
            true,
            Box::new(move || woken.store(true, Ordering::Relaxed)),
        );
        self.nodes.push(Node {
            client: Some(client),
            clock,
            memory,
            worker: Some(worker),
            config,
            maintenance,
            is_woken,
            cancelled: HashSet::new(),
            under_way: 0,
            last_answer: None,
            most_under_way: 0,
            pauses: Vec::new(),
        });
        self.nodes.len() - 1
    }

    /// The client's process is gone, in the middle of whatever it did. Its locks are the disk's affair.
    pub fn kill(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        (it.client, it.worker, it.maintenance) = (None, None, None);
        self.happenings.retain(|_, (of, _)| *of != node);
    }

    /// Whether a client's process is there.
    pub fn is_alive(&self, node: usize) -> bool {
        self.nodes[node].worker.is_some()
    }

    /// Time since the world began, in microseconds.
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Time passes, whatever was to happen meanwhile.
    pub fn skip(&self, duration: Duration) {
        self.now.fetch_add(u64::try_from(duration.as_micros()).unwrap(), Ordering::Relaxed);
    }

    fn schedule(&mut self, node: usize, after: Duration, happening: Happening) {
        self.order += 1;
        let at = self.now() + u64::try_from(after.as_micros()).unwrap();
        self.happenings.insert((at, self.order), (node, happening));
    }

    fn tell(&mut self, node: usize, after: Duration, input: Input) {
        self.schedule(node, after, Happening::Told(input));
    }

    /// One step of a client.
    fn step(&mut self, node: usize, input: Input) {
        self.steps += 1;
        assert!(self.steps < MOST_STEPS, "the world does not come to rest: {input:?} at {}", self.now());
        let it = &mut self.nodes[node];
        if let Input::Answered { request, .. } = &input {
            if it.cancelled.remove(request) {
                return;
            }
            it.under_way -= 1;
            it.last_answer = Some(self.now.load(Ordering::Relaxed));
        }
        let moment = Moment { elapsed: it.clock.elapsed(), wall: it.clock.wall() };
        let Some(worker) = &mut it.worker else { return };
        let outputs = worker.step(moment, it.memory.interest(), input);
        worker.check();
        let is_finished = worker.is_finished();
        for output in outputs {
            self.carry_out(node, output);
        }
        if is_finished {
            self.kill(node);
        }
    }

    /// The client's worker panics in the middle of a step.
    pub fn panic(&mut self, node: usize) {
        let Some(worker) = &mut self.nodes[node].worker else { return };
        let outputs = worker.restart();
        // What was under way is forgotten with the tasks that carried it.
        self.happenings.retain(|_, (of, _)| *of != node);
        self.nodes[node].under_way = 0;
        self.nodes[node].is_woken.store(true, Ordering::Relaxed);
        for output in outputs {
            self.carry_out(node, output);
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        match output {
            Output::Send(attempt) => self.send(node, &attempt),
            Output::AskForToken { request, .. } => {
                self.nodes[node].under_way += 1;
                let (after, answer) = (self.token_server)(self.tokens_asked_at.len());
                self.tokens_asked_at.push(self.now());
                self.tell(node, after, Input::Answered { request, answer });
            }
            Output::Cancel(request) => {
                self.nodes[node].cancelled.insert(request);
                self.nodes[node].under_way -= 1;
            }
            Output::Job(job) => self.run_job(node, job),
            Output::Sync(job) => {
                let after = (self.disk_latency)();
                let commit = Happening::Committed(job);
                let commit = if self.commits_early { Happening::Told(commit.carry_out()) } else { commit };
                self.schedule(node, after, commit);
            }
            Output::Notify(notice) => self.nodes[node].memory.notify(notice),
        }
    }

    fn run_job(&mut self, node: usize, job: Job) {
        let after = (self.disk_latency)();
        let Some(maintenance) = &mut self.nodes[node].maintenance else { return };
        let done = maintenance.run(job);
        self.tell(node, after, if self.loses_jobs { Input::JobLost } else { Input::Done(done) });
    }

    fn send(&mut self, node: usize, attempt: &Attempt) {
        let now = self.now();
        let it = &mut self.nodes[node];
        if let (0, Some(last)) = (it.under_way, it.last_answer)
            && now > last + 500
        {
            it.pauses.push(Duration::from_micros(now - last));
        }
        it.under_way += 1;
        it.most_under_way = it.most_under_way.max(it.under_way);
        let sent_at = it.clock.wall();
        let (raw, length) = if self.encodes {
            let encoder = Encoder::new(Some(&it.config.write_key));
            let events = attempt.batch.entries().iter().map(|entry| &*entry.bytes);
            let Body { bytes, raw_length } = encoder.encode(events, sent_at, attempt.gzip).unwrap();
            (raw_length, bytes.len())
        } else {
            (1, 1)
        };
        let recorded = Recorded::virtually(attempt, sent_at, length);
        let (after, reply) = (self.network)(self.requests.len(), &recorded);
        self.requests.push(recorded);
        self.sent_at.push(now);
        let request = attempt.request;
        self.tell(node, Duration::ZERO, Input::Sent { raw, on_the_wire: length });
        let respond = |status, headers| Ok(Response { status, headers, ..Response::default() });
        let (after, answer) = match reply {
            Reply::Status(status) => (after, respond(status, Vec::new())),
            Reply::With(status, name, value) => (after, respond(status, vec![(name.to_owned(), value)])),
            Reply::Body(_) => (after, respond(200, Vec::new())),
            Reply::Reset | Reply::PartialAnswer => (after, Err(Failure::Network)),
            Reply::Hang | Reply::Drip => (self.nodes[node].config.request_timeout, Err(Failure::Timeout)),
        };
        self.tell(node, after, Input::Answered { request, answer });
    }

    /// Lets everybody do what can be done at this moment.
    pub fn settle(&mut self) {
        loop {
            let now = self.now();
            let woken = (0..self.nodes.len()).find(|node| {
                self.is_alive(*node) && self.nodes[*node].is_woken.swap(false, Ordering::Relaxed)
            });
            if let Some(node) = woken {
                self.step(node, Input::Nothing);
                continue;
            }
            if let Some(entry) = self.happenings.first_entry()
                && entry.key().0 <= now
            {
                let (node, happening) = entry.remove();
                self.step(node, happening.carry_out());
                continue;
            }
            let Some(node) = self.nodes.iter().position(Node::is_due) else { return };
            self.step(node, Input::Nothing);
        }
    }

    /// The next moment at which something happens by itself.
    fn next(&self) -> Option<u64> {
        let due = self.nodes.iter().filter_map(|it| {
            let due = it.worker.as_ref()?.due_at()?;
            Some(it.clock.started + u64::try_from(due.as_micros()).unwrap() + 1)
        });
        let happens = self.happenings.first_key_value().map(|((at, _), _)| *at);
        due.chain(happens).min()
    }

    /// Time passes until something happens, and it happens; false when nothing will any more.
    pub fn advance(&mut self) -> bool {
        self.settle();
        let Some(next) = self.next() else { return false };
        self.now.fetch_max(next, Ordering::Relaxed);
        self.settle();
        true
    }

    /// So much time passes, with everything that happens in it.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now() + u64::try_from(duration.as_micros()).unwrap();
        self.settle();
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.now.fetch_max(next, Ordering::Relaxed);
            self.settle();
        }
        self.now.fetch_max(until, Ordering::Relaxed);
        self.settle();
    }
}

/// Everything there is to hear.
pub fn everything() -> Interest {
    Interest {
        delivered: true,
        dropped: true,
        requests: true,
        responses: true,
        drained: true,
        persisted: true,
        log_level: 0,
        is_behind: false,
    }
}
