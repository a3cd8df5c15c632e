//! A client as users have it: the engine's own thread, real time, a server on loopback.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use companion_segment::testing::{
    Client, Environment, EventType, HttpTransport, Interest, Notice, Observer, Options, Parts, Refusal,
    Report, Stats, Tracking, Transport,
};

use super::harness::{delivered_in, dropped_in};

/// Remembers what it is told.
pub struct Memory {
    reports: Mutex<Sender<(u32, Report)>>,
    notices: Mutex<Vec<Notice>>,
}

impl Observer for Memory {
    fn interest(&self) -> Interest {
        super::world::everything()
    }

    fn notify(&self, notice: Notice) {
        if let Notice::Flushed { id, report } = &notice {
            self.reports.lock().unwrap().send((*id, (**report).clone())).unwrap();
        }
        self.notices.lock().unwrap().push(notice);
    }
}

/// One client under test.
pub struct RealHarness {
    /// The client.
    pub client: Client,
    memory: Arc<Memory>,
    reports: Receiver<(u32, Report)>,
}

impl RealHarness {
    /// A client on these options.
    pub fn start(options: Options) -> Self {
        let config = options.clone().build().unwrap();
        Self::with_transport(options, Arc::new(HttpTransport::new(&config).unwrap()))
    }

    /// A client that sends in another way.
    pub fn with_transport(options: Options, transport: Arc<dyn Transport>) -> Self {
        Self::with(options, transport, Environment::default())
    }

    /// A client in an environment.
    pub fn with(options: Options, transport: Arc<dyn Transport>, environment: Environment) -> Self {
        let (sender, reports) = channel();
        let memory = Arc::new(Memory { reports: Mutex::new(sender), notices: Mutex::default() });
        let observer = Arc::clone(&memory) as _;
        let client = Client::start(options.build().unwrap(), environment, observer, transport).unwrap();
        Self { client, memory, reports }
    }

    /// Tracks an event that carries a number.
    pub fn track(&self, number: u64) -> Result<u64, Refusal> {
        let text = format!(r#"{{"userId":"u","event":"e","n":{number}}}"#);
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
        self.memory.notices.lock().unwrap().clone()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        let stats = self.client.stats();
        assert!(stats.balanced(), "{stats:?}");
        stats
    }
}
