//! The engine against a scripted HTTP server: real sockets, a clock and chance of our own.

mod bisection;
mod bounds;
mod compression;
mod flushing;
mod pauses;
mod response_table;
mod support;
mod transports;
