//! The engine against a scripted HTTP server: real sockets, a clock and chance of our own.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has done its work; clippy knows this of test functions, not of their helpers"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the server has threads, and the clock of the tests is on top of the real one"
)]

mod bisection;
mod bounds;
mod compression;
mod connections;
mod dead_letters;
mod disk_losses;
mod flushing;
mod holding;
mod oauth;
mod outages;
mod panics;
mod pauses;
mod recovery;
mod response_table;
mod simulation;
mod spool_damage;
mod spool_kill;
mod spooling;
mod support;
mod tail;
mod taking_over;
mod telling;
mod token_answers;
mod transports;
