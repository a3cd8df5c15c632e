//! The engine of `@companion/segment`: from an accepted event to its fate, off the JavaScript thread.
//!
//! ```text
//! binding -> client -> delivery -> queue -> event -> { stats, config } -> error
//! ```
//! Imports run downwards only. `client::Client` is the way in, `delivery::notice::Observer` the way out;
//! `binding` is the only code that knows Node.

mod aws;
#[cfg(not(target_arch = "wasm32"))]
#[cfg_attr(test, allow(dead_code, reason = "a test binary exports nothing to Node"))]
mod binding;
mod client;
mod commercetools;
mod config;
mod delivery;
mod error;
mod event;
mod lenient;
mod queue;
mod stats;
mod sync;

/// What tests in `tests/`, `fuzz/` and `benches` reach. Not part of the addon.
#[cfg(feature = "testing")]
#[allow(missing_docs, reason = "documented where it is defined")]
pub mod testing {
    pub use crate::aws::unwrap;
    pub use crate::client::{Client, Environment, Undriven};
    pub use crate::commercetools::{Identify, Parsed, UserId, read, read_customer};
    pub use crate::config::{
        Config, Durability, MAX_BATCH_BYTES, OAuthOptions, Options, Overflow, Secret, SpoolConfig,
        SpoolOptions,
    };
    pub use crate::delivery::clock::{Clock, Pause};
    pub use crate::delivery::encode::{Body, Encoder};
    pub use crate::delivery::notice::{Delivered, Interest, Level, Notice, Observer, Report};
    pub use crate::delivery::transport::{Answer, Failure, Request, Response, Transport, Ways};
    pub use crate::delivery::worker::{Attempt, Input, Moment, Output, Worker};
    pub use crate::error::{Error, ErrorKind};
    pub use crate::event::{EventType, Parts};
    pub use crate::queue::spool::disk::{Disk, Item, LOCK_FILE, Lock, LogFile};
    pub use crate::queue::spool::extents::Settled;
    pub use crate::queue::spool::jobs::{Chore, Done, Job};
    pub use crate::queue::spool::maintenance::Maintenance;
    pub use crate::queue::spool::record::Acknowledgement;
    pub use crate::queue::spool::recovery::{Examined, Recovery};
    pub use crate::queue::spool::tail::Tail;
    pub use crate::queue::spool::{Settings, SyncJob};
    pub use crate::queue::{Place, Tracking};
    pub use crate::stats::{DropReason, Refusal, SpoolState, Stats};
    #[cfg(not(target_arch = "wasm32"))]
    pub use crate::{
        binding::mailbox::Mailbox,
        delivery::{
            clock::system::SystemClock,
            engine,
            transport::{callback::CallbackTransport, http::HttpTransport},
        },
        queue::spool::disk::system::SystemDisk,
    };
}
