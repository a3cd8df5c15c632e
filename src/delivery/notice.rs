//! What the engine tells its owner. The owner says what it listens to, so that silence costs nothing.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::dead_letter::{Cause, DeadLetter};
use crate::error::Error;
use crate::stats::Stats;

/// What an owner listens to beside the events it tracks and the flushes it asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent subscriptions")]
pub struct Interest {
    /// Every delivered event.
    pub delivered: bool,
    /// Every dropped event.
    pub dropped: bool,
    /// Each attempt.
    pub requests: bool,
    /// Each answer.
    pub responses: bool,
    /// The moments at which nothing is pending any more.
    pub drained: bool,
    /// Group commits of the spool.
    pub persisted: bool,
    /// Lines for the log: up to this level, nothing at 0.
    pub log_level: u8,
    /// What was told already has not been taken: nothing more should happen that has to be told.
    pub is_behind: bool,
}

/// How much a line for the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Somebody has to do something.
    Error = 1,
    /// Events were lost, or nearly.
    Warn,
    /// The way things go.
    Info,
    /// For those who look for something.
    Debug,
}

impl Level {
    /// Its name in the `logger` option.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// What a flush came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The counters at that moment.
    pub stats: Stats,
    /// How long it took.
    pub duration: Duration,
    /// What closing left over, handed back.
    pub unflushed: Vec<Bytes>,
}

/// A delivered event.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Its place in the order of acceptance.
    pub sequence: u64,
    /// The sealed JSON, unless whoever waits has the event still.
    pub bytes: Option<Bytes>,
}

/// One thing that happened. None of them holds the write key or an authorization header.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Segment has these.
    Delivered {
        /// Requests that carried them.
        attempts: u32,
        /// Those somebody waits for, or all when [`Interest::delivered`].
        events: Vec<Delivered>,
    },
    /// These were given up.
    Dropped {
        /// Why.
        cause: Cause,
        /// Those somebody waits for, or all when [`Interest::dropped`].
        events: Vec<DeadLetter>,
    },
    /// A request is about to be sent.
    Request {
        /// Where to.
        url: String,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its JSON, uncompressed and without the key.
        body: Vec<u8>,
    },
    /// An answer came.
    Response {
        /// Where from.
        url: String,
        /// Its status.
        status: u16,
        /// What the other side says of it, if that is not the usual.
        status_text: Option<String>,
        /// Its headers, names in lower case.
        headers: Vec<(String, String)>,
        /// The JSON of the request, uncompressed and without the key.
        body: Vec<u8>,
    },
    /// The client is closed, and the spool keeps these tracked events for the next process.
    Kept {
        /// The events.
        events: Vec<DeadLetter>,
    },
    /// The disk was made to keep what was written, or failed to.
    Persisted {
        /// Whether it succeeded.
        persisted: bool,
        /// The last sequence concerned.
        up_to: u64,
    },
    /// Something is wrong that concerns no event in particular.
    Trouble {
        /// What, and what to do.
        error: Error,
        /// The HTTP status, where an answer told.
        status: Option<u16>,
    },
    /// A line for the log.
    Log {
        /// How much it matters.
        level: Level,
        /// What happened.
        message: &'static str,
        /// Facts, by name.
        fields: Map<String, Value>,
    },
    /// Nothing is pending.
    Drained,
    /// A flush is over.
    Flushed {
        /// The owner's name for it.
        id: u32,
        /// What it came to.
        report: Box<Report>,
    },
}

/// Somebody who is told. Called on the engine's thread; it must not block.
pub trait Observer: Send + Sync {
    /// What to tell.
    fn interest(&self) -> Interest;
    /// Something happened.
    fn notify(&self, notice: Notice);
}
