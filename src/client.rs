//! The handle: take an event in, flush, close, count.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tracing::Instrument as _;

use crate::config::Config;
use crate::delivery::clock::{Clock, SystemClock};
use crate::delivery::engine;
use crate::delivery::notice::Observer;
use crate::delivery::shared::Shared;
use crate::delivery::transport::Ways;
use crate::delivery::worker;
use crate::error::Error;
use crate::event::{EventType, Parts, Seal};
use crate::queue::Tracking;
use crate::queue::spool::disk::{Disk, SystemDisk};
use crate::stats::{Refusal, Stats};

/// One source of events. Dropping it sends what is left and then ends its worker.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    seal: Seal,
}

/// What a test may replace.
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub generator: Rng,
    /// The disk that a spool is on.
    pub disk: Arc<dyn Disk>,
}

impl Default for Environment {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), generator: Rng::new(), disk: Arc::new(SystemDisk) }
    }
}

impl Client {
    /// Starts a client; its worker runs on the engine's thread.
    ///
    /// # Errors
    /// When that thread can't be started.
    pub fn start(
        config: Config,
        environment: Environment,
        observer: Arc<dyn Observer>,
        ways: impl Into<Ways>,
        name: u32,
    ) -> Result<Self, Error> {
        let seal = Seal::new(&config.node_version);
        let span = tracing::error_span!("client", name);
        let Environment { clock, generator, disk } = environment;
        let shared = Arc::new(Shared::new(config, clock, generator, disk, observer, span.clone()));
        engine::spawn(worker::run(Arc::clone(&shared), ways.into()).instrument(span))?;
        Ok(Self { shared, seal })
    }

    /// Takes one event in: its text as `JSON.stringify` wrote it. Returns its place in the order of
    /// acceptance. Never waits for the network.
    ///
    /// # Errors
    /// Why it was refused; it is counted and nothing was kept.
    pub fn enqueue(
        &self,
        text: &[u8],
        event_type: EventType,
        parts: Parts,
        tracking: Tracking,
    ) -> Result<u64, Refusal> {
        let sealed = self
            .seal
            .seal(text, event_type, parts, self.shared.clock.wall())
            .map_err(|reason| self.shared.refuse(reason))?;
        self.shared.accept(sealed, tracking)
    }

    /// Counts a call that never became a text.
    #[allow(clippy::must_use_candidate, reason = "it hands back its argument for convenience")]
    pub fn refuse(&self, reason: Refusal) -> Refusal {
        self.shared.refuse(reason)
    }

    /// Sends everything accepted so far without waiting for thresholds; the observer hears the report under
    /// this id. With `closes`, nothing is accepted any more, and what the timeout leaves over is handed back.
    pub fn flush(&self, id: u32, timeout: Option<Duration>, closes: bool) {
        self.shared.flush(id, timeout, closes);
    }

    /// Accepts nothing more and sends what is left.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Blocks the calling thread until nothing is pending or the time is up; returns what still is. For ways
    /// out of the process only.
    #[must_use]
    pub fn drain(&self, timeout: Duration) -> u64 {
        self.shared.drain(timeout)
    }

    /// Whether an event is as safe on disk as `durability` promises; `None` while that is being seen to.
    #[must_use]
    pub fn is_persisted(&self, sequence: u64) -> Option<bool> {
        self.shared.is_persisted(sequence)
    }

    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Bytes that its queue may hold.
    #[must_use]
    pub fn max_queue_bytes(&self) -> usize {
        self.shared.config.max_queue_bytes
    }

    /// How long a way out of the process may wait.
    #[must_use]
    pub fn exit_timeout(&self) -> Duration {
        self.shared.config.exit_timeout
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}
