//! One client in a world of its own, with a scripted server.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use companion_segment::testing::{
    Client, EventType, Interest, Level, Notice, Options, Parts, Refusal, Report, Stats, Tracking,
};

use serde_json::Value;

use super::disk::SimulatedDisk;
use super::script;
pub use super::server::number;
use super::world::World;

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

static SEED: AtomicU64 = AtomicU64::new(42);

/// One client under test.
pub struct Harness {
    world: RefCell<World>,
}

impl Harness {
    /// A client on these options.
    pub fn start(options: Options) -> Self {
        Self::on_disk(options, &SimulatedDisk::default())
    }

    /// A client whose spool is on this disk.
    pub fn on_disk(options: Options, disk: &SimulatedDisk) -> Self {
        Self::with_clock_off_by(options, disk, 0)
    }

    /// A client whose spool is on this disk and whose wall clock is wrong by so many seconds.
    pub fn with_clock_off_by(options: Options, disk: &SimulatedDisk, seconds: i64) -> Self {
        let url = options.host.clone().unwrap();
        let answer_after = Duration::from_millis(1);
        let mut world = World::new(Box::new(move |_, request| (answer_after, script::reply(&url, request))));
        // Each process has chances of its own.
        let seed = SEED.fetch_add(1, Ordering::Relaxed);
        world.start(options, disk, seed, seconds * 1_000);
        world.settle();
        Self { world: RefCell::new(world) }
    }

    /// The world it is in.
    pub fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// Lets the client do something with its handle, and whatever follows from that at once.
    pub fn with<T>(&self, act: impl FnOnce(&Client) -> T) -> T {
        let result = act(self.world().nodes[0].client.as_ref().unwrap());
        self.world().settle();
        result
    }

    /// Tracks an event that carries a number.
    pub fn track(&self, number: u64) -> Result<u64, Refusal> {
        self.track_text(&format!(r#"{{"userId":"u","event":"e","n":{number}}}"#))
    }

    /// Tracks an event whose fate somebody waits for.
    pub fn track_and_wait(&self, number: u64) {
        let text = format!(r#"{{"userId":"u","event":"e","n":{number}}}"#);
        self.with(|client| {
            client.enqueue(text.as_bytes(), EventType::Track, Parts::default(), Tracking::Whole).unwrap()
        });
    }

    /// Tracks an event that does not leave before [`Client::let_go`].
    pub fn track_held(&self, number: u64, tracking: Tracking) -> Result<u64, Refusal> {
        let text = format!(r#"{{"userId":"u","event":"e","n":{number}}}"#);
        self.with(|client| client.enqueue_held(text.as_bytes(), EventType::Track, Parts::default(), tracking))
    }

    /// Takes back what is held: the numbers of the events.
    pub fn recall(&self) -> Vec<u64> {
        let recalled = self.with(Client::recall);
        recalled.iter().map(|(_, bytes)| number(bytes)).collect()
    }

    /// Tracks an event of this text.
    pub fn track_text(&self, text: &str) -> Result<u64, Refusal> {
        let tracked = self.with(|client| {
            client.enqueue(text.as_bytes(), EventType::Track, Parts::default(), Tracking::Nobody)
        });
        self.world().pass(Duration::from_micros(5));
        tracked
    }

    /// Tracks events that carry the numbers from 0.
    pub fn track_many(&self, count: u64) {
        for number in 0..count {
            self.track(number).unwrap();
        }
    }

    /// Begins a flush.
    pub fn begin_flush(&self, id: u32, timeout: Option<Duration>, closes: bool) {
        self.with(|client| client.flush(id, timeout, closes));
    }

    /// Flushes and waits for the report.
    pub fn flush(&self) -> Report {
        self.world().nodes[0].memory.forget_report(1);
        self.begin_flush(1, None, false);
        self.report(1)
    }

    /// Closes within this time and waits for the report.
    pub fn close(&self, timeout: Duration) -> Report {
        self.world().nodes[0].memory.forget_report(2);
        self.begin_flush(2, Some(timeout), true);
        self.report(2)
    }

    /// Waits for the report of a flush.
    pub fn report(&self, id: u32) -> Report {
        self.wait_for(|| self.world().nodes[0].memory.report(id).is_some());
        let report = self.world().nodes[0].memory.report(id).unwrap();
        assert!(report.stats.balanced(), "{:?}", report.stats);
        report
    }

    /// Puts the clock forward, past whatever would have happened meanwhile.
    pub fn skip(&self, duration: Duration) {
        self.world().skip(duration);
        self.world().settle();
    }

    /// Lets time pass.
    pub fn pass(&self, duration: Duration) {
        self.world().pass(duration);
    }

    /// Sets the wall clock wrong by so many seconds.
    pub fn set_wall_offset(&self, seconds: i64) {
        self.world().nodes[0].clock.set_wall_offset(seconds * 1_000);
    }

    /// Waits until the counters are so.
    pub fn wait_until(&self, is_so: impl Fn(&Stats) -> bool) {
        self.wait_for(|| is_so(&self.stats()));
    }

    /// Waits until something is so.
    pub fn wait_for(&self, is_so: impl Fn() -> bool) {
        while !is_so() {
            let goes_on = self.world().advance();
            assert!(goes_on, "nothing will happen any more: {:?}", self.stats());
        }
    }

    /// The numbers of the delivered events, in the order of their delivery.
    pub fn delivered(&self) -> Vec<u64> {
        delivered_in(&self.notices())
    }

    /// The numbers of the dropped events under reason and status.
    pub fn dropped(&self) -> BTreeMap<(&'static str, Option<u16>), Vec<u64>> {
        dropped_in(&self.notices())
    }

    /// Everything it was told.
    pub fn notices(&self) -> Vec<Notice> {
        self.world().nodes[0].memory.notices()
    }

    /// Makes it hear lines for the log, up to this level.
    pub fn listen_to(&self, level: Level) {
        self.change_interest(|interest| interest.log_level = level as u8);
    }

    /// Makes it hear other things.
    pub fn change_interest(&self, change: impl FnOnce(&mut Interest)) {
        change(&mut self.world().nodes[0].memory.interest.lock().unwrap());
    }

    /// The lines for the log, each with its facts.
    pub fn lines(&self) -> Vec<String> {
        let line = |notice| match notice {
            Notice::Log { level, message, fields } => {
                Some(format!("{}: {message} {}", level.name(), Value::Object(fields)))
            }
            _ => None,
        };
        self.notices().into_iter().filter_map(line).collect()
    }

    /// The pauses between attempts, in order.
    pub fn pauses(&self) -> Vec<Duration> {
        self.world().nodes[0].pauses.clone()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        let stats = self.world().nodes[0].client.as_ref().unwrap().stats();
        assert!(stats.balanced(), "{stats:?}");
        stats
    }
}

/// The numbers of the delivered events, in the order of their delivery.
pub fn delivered_in(notices: &[Notice]) -> Vec<u64> {
    let events = notices.iter().filter_map(|notice| match notice {
        Notice::Delivered { events, .. } => Some(events),
        _ => None,
    });
    events.flatten().map(|event| number(event.bytes.as_deref().unwrap_or_default())).collect()
}

/// The numbers of the dropped events under reason and status.
pub fn dropped_in(notices: &[Notice]) -> BTreeMap<(&'static str, Option<u16>), Vec<u64>> {
    let mut dropped: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for notice in notices {
        if let Notice::Dropped { cause, events } = notice {
            let numbers = events.iter().map(|event| number(&event.bytes));
            dropped.entry((cause.reason.name(), cause.status)).or_default().extend(numbers);
        }
    }
    dropped
}
