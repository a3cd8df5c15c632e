//! What goes into a step of a worker, and what comes out of it.

use std::io;
use std::time::{Duration, SystemTime};

use crate::delivery::batch::Batch;
use crate::delivery::notice::Notice;
use crate::delivery::oauth::tokens::TokenText;
use crate::delivery::transport::{Failure, Response};
use crate::queue::spool::SyncJob;
use crate::queue::spool::jobs::{Done, Job};

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The client's monotonic clock.
    pub elapsed: Duration,
    /// The date.
    pub wall: SystemTime,
}

/// What happened since the last step.
#[derive(Debug)]
pub enum Input {
    /// Nothing but time, or something at the gate.
    Nothing,
    /// A request left: its bytes of JSON, and those on the wire.
    Sent {
        /// Bytes of JSON.
        raw: usize,
        /// Bytes on the wire.
        on_the_wire: usize,
    },
    /// A request has come to its end.
    Answered {
        /// Its number.
        request: u64,
        /// What came.
        answer: Result<Response, Failure>,
    },
    /// A job of the spool is over.
    Done(Done),
    /// A job of the spool came to no end: nobody knows what of it was done.
    JobLost,
    /// A group commit is over.
    Synced(io::Result<u64>),
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Send(Attempt),
    /// Ask the authorization server for a token.
    AskForToken {
        /// The request's number.
        request: u64,
        /// The authorization server's time.
        at: SystemTime,
    },
    /// Nobody waits for this request any more.
    Cancel(u64),
    /// Do this on disk; never more than one at a time.
    Job(Job),
    /// Commit to disk; never more than one at a time.
    Sync(SyncJob),
    /// Tell this.
    Notify(Notice),
}

/// A request to Segment.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its number.
    pub request: u64,
    /// The events.
    pub batch: Batch,
    /// Whether the body is compressed.
    pub gzip: bool,
    /// How often exactly these events were sent before.
    pub retry_count: u32,
    /// With OAuth, what opens the door instead of the write key.
    pub token: Option<TokenText>,
}
