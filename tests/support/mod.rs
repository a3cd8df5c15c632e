//! What the tests share.

pub mod clock;
pub mod harness;
pub mod server;

pub use harness::{Harness, options};
pub use server::{Reply, Server};
