//! Time, so that tests can own it. Intervals are monotonic; the wall clock is only ever written down.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

/// A pause that a clock keeps.
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the engine asks of time.
pub trait Clock: Send + Sync {
    /// Monotonic time since the clock was made.
    fn elapsed(&self) -> Duration;
    /// The date, for `timestamp`, `sentAt` and HTTP dates.
    fn wall(&self) -> SystemTime;
    /// A pause between attempts.
    fn pause(&self, duration: Duration) -> Pause;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "everybody else asks this clock")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn pause(&self, duration: Duration) -> Pause {
        Box::pin(tokio::time::sleep(duration))
    }
}
