//! From waiting events to their fate: batch, encode, send, judge, try again or let go.
//!
//! ```text
//! queue -> batch -> encode -> transport -> retry::classify -> settle
//!            ^                                  |  |
//!            |          split (400, 413, 422) --+  +-- pause, then the same batch again
//! ```
//! `batch`, `encode` and `retry` are pure. Only `engine` spawns.

pub mod batch;
pub mod clock;
pub mod dead_letter;
pub mod encode;
pub mod engine;
pub mod ledger;
pub mod notice;
pub mod oauth;
pub mod retry;
pub mod shared;
pub mod spooling;
pub mod transport;
pub mod worker;
