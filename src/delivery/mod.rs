//! From waiting events to their fate: batch, encode, send, judge, try again or let go.
//!
//! ```text
//! JavaScript -> gate -> worker -> driver -> transport, disk
//!                 ^       |  ^       |
//!                 |       v  +-------+ answers, finished jobs
//!              stats <- snapshot
//! ```
//! The worker owns all state of a client and does no I/O; `batch`, `encode` and `retry` are pure. Only `engine` spawns.

pub mod batch;
pub mod clock;
pub mod dead_letter;
#[cfg(not(target_arch = "wasm32"))]
pub mod driver;
pub mod encode;
#[cfg(not(target_arch = "wasm32"))]
pub mod engine;
pub mod gate;
pub mod held;
pub mod notice;
pub mod oauth;
pub mod retry;
pub mod snapshot;
pub mod transport;
pub mod worker;
