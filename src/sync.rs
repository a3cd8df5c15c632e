//! The few things that threads share. Under `cfg(shuttle)` they are those of a scheduler that tries orders by chance.

#[cfg(shuttle)]
pub use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub use std::sync::{Condvar, Mutex, MutexGuard};

pub use std::sync::PoisonError;
