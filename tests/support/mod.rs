//! What the tests share.

pub mod clock;
pub mod disk;
pub mod harness;
pub mod server;
pub mod spool;

pub use harness::{Harness, options};
pub use server::{Reply, Server};
