//! What the tests share.

pub mod disk;
pub mod harness;
pub mod real;
pub mod script;
pub mod server;
pub mod spool;
pub mod world;

pub use harness::{Harness, options};
pub use script::Server;
pub use server::Reply;
