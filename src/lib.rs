//! The engine of `@companion/segment`: from an accepted event to its fate, off the JavaScript thread.
//!
//! ```text
//! binding -> client -> delivery -> queue -> event -> { stats, config } -> error
//! ```
//! Imports run downwards only. [`client::Client`] is the way in, [`delivery::notice::Observer`] the way out;
//! `binding` is the only code that knows Node.

pub mod aws;
#[cfg_attr(test, allow(dead_code, reason = "a test binary exports nothing to Node"))]
mod binding;
pub mod client;
pub mod commercetools;
pub mod config;
pub mod delivery;
pub mod error;
pub mod event;
mod lenient;
pub mod queue;
pub mod stats;

pub use client::{Client, Environment};
pub use config::{Config, Options};
pub use error::{Error, ErrorKind};
pub use event::{EventType, Parts};
pub use stats::{DropReason, Refusal, Stats};
