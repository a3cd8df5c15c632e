//! Time, so that tests can own it. Intervals are monotonic; the wall clock is only ever written down.

#[cfg(not(target_arch = "wasm32"))]
pub mod system;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

/// A pause that a clock keeps.
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the engine asks of time.
pub trait Clock: Send + Sync {
    /// Monotonic time since the clock was made. It goes on while the machine is suspended.
    fn elapsed(&self) -> Duration;
    /// The date, for `timestamp`, `sentAt` and HTTP dates.
    fn wall(&self) -> SystemTime;
    /// A pause of this length.
    fn sleep(&self, duration: Duration) -> Pause;
}
