//! A client with a scripted server, a clock that skips and an observer that remembers.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use companion_segment::delivery::notice::{Interest, Notice, Observer, Report};
use companion_segment::delivery::transport::Transport;
use companion_segment::delivery::transport::http::HttpTransport;
use companion_segment::queue::Tracking;
use companion_segment::queue::spool::disk::{Disk, SystemDisk};
use companion_segment::{Client, Environment, EventType, Options, Parts, Refusal, Stats};

use super::clock::SkippingClock;
use super::disk::SimulatedDisk;

/// Options for a server under test.
pub fn options(url: &str) -> Options {
    Options {
        write_key: "test-key".into(),
        host: Some(url.into()),
        flush_interval: Some(3_600_000.0),
        node_version: "20.19.0".into(),
        ..Options::default()
    }
}

/// Remembers what it is told.
pub struct Memory {
    reports: Mutex<Sender<(u32, Report)>>,
    notices: Mutex<Vec<Notice>>,
}

impl Observer for Memory {
    fn interest(&self) -> Interest {
        Interest {
            delivered: true,
            dropped: true,
            requests: true,
            responses: true,
            drained: true,
            persisted: true,
        }
    }

    fn notify(&self, notice: Notice) {
        if let Notice::Flushed { id, report } = &notice {
            self.reports.lock().unwrap().send((*id, (**report).clone())).unwrap();
        }
        self.notices.lock().unwrap().push(notice);
    }
}

/// One client under test.
pub struct Harness {
    /// The client.
    pub client: Client,
    /// Its time.
    pub clock: Arc<SkippingClock>,
    memory: Arc<Memory>,
    reports: Receiver<(u32, Report)>,
}

impl Harness {
    /// A client on these options.
    pub fn start(options: Options) -> Self {
        let config = options.clone().build().unwrap();
        Self::with_transport(options, Arc::new(HttpTransport::new(&config).unwrap()))
    }

    /// A client that sends in another way.
    pub fn with_transport(options: Options, transport: Arc<dyn Transport>) -> Self {
        Self::with(options, transport, Arc::new(SystemDisk), SkippingClock::default())
    }

    /// A client whose spool is on this disk.
    pub fn on_disk(options: Options, disk: &SimulatedDisk) -> Self {
        Self::with_clock_off_by(options, disk, 0)
    }

    /// A client whose spool is on this disk and whose wall clock is wrong by so many seconds.
    pub fn with_clock_off_by(options: Options, disk: &SimulatedDisk, seconds: i64) -> Self {
        let config = options.clone().build().unwrap();
        let clock = SkippingClock::default();
        clock.set_wall_offset(seconds);
        Self::with(options, Arc::new(HttpTransport::new(&config).unwrap()), Arc::new(disk.clone()), clock)
    }

    fn with(
        options: Options,
        transport: Arc<dyn Transport>,
        disk: Arc<dyn Disk>,
        clock: SkippingClock,
    ) -> Self {
        let (sender, reports) = channel();
        let memory = Arc::new(Memory { reports: Mutex::new(sender), notices: Mutex::default() });
        let clock = Arc::new(clock);
        let environment =
            Environment { clock: Arc::clone(&clock) as _, generator: fastrand::Rng::with_seed(42), disk };
        let observer = Arc::clone(&memory) as _;
        let client = Client::start(options.build().unwrap(), environment, observer, transport, 1).unwrap();
        Self { client, clock, memory, reports }
    }

    /// Tracks an event that carries a number.
    pub fn track(&self, number: u64) -> Result<u64, Refusal> {
        self.track_text(&format!(r#"{{"userId":"u","event":"e","n":{number}}}"#))
    }

    /// Tracks an event whose fate somebody waits for.
    pub fn track_and_wait(&self, number: u64) {
        let text = format!(r#"{{"userId":"u","event":"e","n":{number}}}"#);
        self.client.enqueue(text.as_bytes(), EventType::Track, Parts::default(), Tracking::Whole).unwrap();
    }

    /// Tracks an event of this text.
    pub fn track_text(&self, text: &str) -> Result<u64, Refusal> {
        self.client.enqueue(text.as_bytes(), EventType::Track, Parts::default(), Tracking::Nobody)
    }

    /// Tracks events that carry the numbers from 0.
    pub fn track_many(&self, count: u64) {
        for number in 0..count {
            self.track(number).unwrap();
        }
    }

    /// Flushes and waits for the report.
    pub fn flush(&self) -> Report {
        self.client.flush(1, None, false);
        self.report(1)
    }

    /// Closes within this time and waits for the report.
    pub fn close(&self, timeout: Duration) -> Report {
        self.client.flush(2, Some(timeout), true);
        self.report(2)
    }

    /// Waits for the report of a flush.
    pub fn report(&self, id: u32) -> Report {
        loop {
            let (ended, report) = self.reports.recv_timeout(Duration::from_secs(60)).expect("the flush ends");
            assert!(report.stats.balanced(), "{:?}", report.stats);
            if ended == id {
                return report;
            }
        }
    }

    /// Wakes the worker, so that it sees that the clock was put forward.
    pub fn poke(&self) {
        self.client.flush(0, Some(Duration::ZERO), false);
    }

    /// Waits until the counters are so.
    pub fn wait_until(&self, is_so: impl Fn(&Stats) -> bool) {
        self.wait_for(|| is_so(&self.stats()));
    }

    /// Waits until something is so.
    pub fn wait_for(&self, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "still not so: {:?}", self.stats());
            std::thread::yield_now();
        }
    }

    /// The numbers of the delivered events, in the order of their delivery.
    pub fn delivered(&self) -> Vec<u64> {
        let events = self.notices().into_iter().filter_map(|notice| match notice {
            Notice::Delivered { events, .. } => Some(events),
            _ => None,
        });
        events.flatten().map(|event| number(event.bytes.as_deref().unwrap_or_default())).collect()
    }

    /// The numbers of the dropped events under reason and status.
    pub fn dropped(&self) -> BTreeMap<(&'static str, Option<u16>), Vec<u64>> {
        let mut dropped: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for notice in self.notices() {
            if let Notice::Dropped { cause, events } = notice {
                let numbers = events.iter().map(|event| number(&event.bytes));
                dropped.entry((cause.reason.name(), cause.status)).or_default().extend(numbers);
            }
        }
        dropped
    }

    /// Everything it was told.
    pub fn notices(&self) -> Vec<Notice> {
        self.memory.notices.lock().unwrap().clone()
    }

    /// The pauses between attempts, in order.
    pub fn pauses(&self) -> Vec<Duration> {
        self.clock.pauses.lock().unwrap().clone()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        let stats = self.client.stats();
        assert!(stats.balanced(), "{stats:?}");
        stats
    }
}

/// The number an event carries.
pub fn number(event: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(event).unwrap()["n"].as_u64().unwrap()
}
