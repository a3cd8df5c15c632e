//! The handle: take an event in, flush, close, count.

#[cfg(not(target_arch = "wasm32"))]
mod start;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::json;

use crate::config::{Config, Durability};
use crate::delivery::clock::Clock;
use crate::delivery::encode::Encoder;
use crate::delivery::gate::{Gate, signed_milliseconds};
use crate::delivery::notice::{Level, Notice, Observer};
use crate::delivery::snapshot::Snapshot;
use crate::delivery::worker::{Moment, Worker};
use crate::event::{EventType, Parts, Seal};
use crate::queue::Tracking;
use crate::queue::spool::Settings;
use crate::queue::spool::disk::Disk;
use crate::queue::spool::maintenance::Maintenance;
use crate::queue::spool::survey::since_1970;
use crate::queue::spool::tail::Tail;
use crate::stats::{Refusal, Stats};

/// One source of events. Dropping it sends what is left and then ends its worker.
pub struct Client {
    config: Arc<Config>,
    gate: Arc<Gate>,
    snapshot: Arc<Snapshot>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
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

/// A client before anything drives it.
pub struct Undriven {
    /// The handle.
    pub client: Client,
    /// Its state machine.
    pub worker: Worker,
    /// What can wait on its disk, with a spool.
    pub maintenance: Option<Maintenance>,
}

impl Client {
    /// A client that something else than the engine drives. `wake` is called when its worker has something to look at.
    #[must_use]
    pub fn undriven(
        config: Config,
        environment: Environment,
        observer: Arc<dyn Observer>,
        compresses: bool,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Undriven {
        let Environment { clock, mut generator, disk } = environment;
        let config = Arc::new(config);
        let now = Moment { elapsed: clock.elapsed(), wall: clock.wall() };
        // A client that sends nothing has no spool: what it would take over, it could only throw away.
        let settings = config
            .spool
            .as_ref()
            .filter(|_| !config.disable)
            .map(|spool| Arc::new(Settings::new(spool, &config.write_key)));
        let epoch = since_1970(now.wall).saturating_sub(signed_milliseconds(now.elapsed));
        let tail = settings.as_ref().map(|settings| {
            Tail::open(Arc::clone(settings), Arc::clone(&disk), generator.fork(), epoch, now.elapsed)
        });
        let maintenance = settings.map(|settings| Maintenance::new(settings, disk, generator.fork()));
        let gate = Arc::new(Gate::new(&config, tail, wake));
        let snapshot = Arc::new(Snapshot::default());
        let envelope = Encoder::new(Some(&config.write_key)).envelope_length();
        let worker = Worker::new(
            Arc::clone(&config),
            Arc::clone(&gate),
            Arc::clone(&snapshot),
            generator,
            now,
            envelope,
            compresses,
        );
        let seal = Seal::new(&config.node_version);
        Undriven { client: Self { config, gate, snapshot, clock, observer, seal }, worker, maintenance }
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
        self.take_in(text, event_type, parts, tracking, false)
    }

    /// The same, but the event does not leave before [`Client::let_go`], and until then [`Client::recall`] takes it back.
    ///
    /// # Errors
    /// Why it was refused; it is counted and nothing was kept.
    pub fn enqueue_held(
        &self,
        text: &[u8],
        event_type: EventType,
        parts: Parts,
        tracking: Tracking,
    ) -> Result<u64, Refusal> {
        self.take_in(text, event_type, parts, tracking, true)
    }

    fn take_in(
        &self,
        text: &[u8],
        event_type: EventType,
        parts: Parts,
        tracking: Tracking,
        holds: bool,
    ) -> Result<u64, Refusal> {
        let mut is_sealed = false;
        let accepted = self.seal.seal(text, event_type, parts, self.clock.wall(), |event| {
            is_sealed = true;
            self.gate.accept(event, tracking, holds, self.clock.elapsed())
        });
        // The gate counts what it refuses itself.
        if let (Err(reason), false) = (&accepted, is_sealed) {
            self.refuse(*reason);
        }
        accepted
    }

    /// The turn of the event loop is over: what was held may leave.
    pub fn let_go(&self) {
        self.gate.let_go();
    }

    /// Takes back what is held, oldest first: sequences and sealed events. It is as if they had not been accepted.
    #[must_use]
    pub fn recall(&self) -> Vec<(u64, Bytes)> {
        self.gate.recall().into_iter().map(|entry| (entry.sequence, entry.bytes)).collect()
    }

    /// Counts a call that never became an event.
    #[allow(clippy::must_use_candidate, reason = "it hands back its argument for convenience")]
    pub fn refuse(&self, reason: Refusal) -> Refusal {
        if self.observer.interest().log_level >= Level::Debug as u8 {
            let fields = [("reason".to_owned(), json!(format!("{reason:?}")))].into_iter().collect();
            self.observer.notify(Notice::Log { level: Level::Debug, message: "event refused", fields });
        }
        self.gate.refuse(reason)
    }

    /// Sends everything accepted so far without waiting for thresholds; the observer hears the report under
    /// this id. With `closes`, nothing is accepted any more, and what the timeout leaves over is handed back.
    pub fn flush(&self, id: u32, timeout: Option<Duration>, closes: bool) {
        self.gate.flush(id, timeout, closes, self.clock.elapsed());
    }

    /// Accepts nothing more and sends what is left.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Makes the worker look around: something that it had to wait for may be there.
    pub fn wake(&self) {
        self.gate.wake();
    }

    /// Begins a way out of the process: everything is sent now. Returns its ticket.
    #[must_use]
    pub fn begin_drain(&self, timeout: Duration) -> u64 {
        self.gate.drain(timeout, self.clock.elapsed())
    }

    /// Blocks the calling thread until nothing is pending or the time is up; returns what still is. For ways
    /// out of the process only.
    #[must_use]
    pub fn end_drain(&self, ticket: u64, timeout: Duration) -> u64 {
        self.snapshot.wait_for_drain(ticket, timeout);
        self.stats().pending
    }

    /// Whether a way out has come to its end.
    #[must_use]
    #[cfg(feature = "testing")]
    pub fn has_drained(&self, ticket: u64) -> bool {
        self.snapshot.read().drained_up_to >= ticket
    }

    /// Whether an event that was just accepted is as safe on disk as `durability` promises; `None` while that is being
    /// seen to.
    #[must_use]
    pub fn is_persisted(&self, sequence: u64) -> Option<bool> {
        let is_written = self.gate.lock().tail.as_ref().is_some_and(|tail| tail.is_written(sequence));
        let durability = self.config.spool.as_ref().map(|spool| spool.durability).unwrap_or_default();
        if !is_written {
            return Some(false);
        }
        (durability == Durability::Process || self.snapshot.read().synced_up_to >= sequence).then_some(true)
    }

    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.snapshot.stats(&self.gate, self.clock.elapsed())
    }

    /// Bytes that its queue may hold.
    #[must_use]
    pub fn max_queue_bytes(&self) -> usize {
        self.config.max_queue_bytes
    }

    /// How long a way out of the process may wait.
    #[must_use]
    pub fn exit_timeout(&self) -> Duration {
        self.config.exit_timeout
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}
