//! A clock whose pauses cost no time: they are written down and the clock is put forward.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use companion_segment::delivery::clock::{Clock, Pause};

/// Real time plus what was paused.
pub struct SkippingClock {
    start: Instant,
    /// What was asked for, in order.
    pub pauses: Mutex<Vec<Duration>>,
    skipped: Mutex<Duration>,
    /// How wrong the wall clock is, in seconds.
    wall_offset: Mutex<i64>,
}

impl Default for SkippingClock {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            pauses: Mutex::default(),
            skipped: Mutex::default(),
            wall_offset: Mutex::default(),
        }
    }
}

impl SkippingClock {
    /// Puts the clock forward.
    pub fn skip(&self, duration: Duration) {
        *self.skipped.lock().unwrap() += duration;
    }

    /// Sets the wall clock wrong by so many seconds.
    pub fn set_wall_offset(&self, seconds: i64) {
        *self.wall_offset.lock().unwrap() = seconds;
    }
}

impl Clock for SkippingClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed() + *self.skipped.lock().unwrap()
    }

    fn wall(&self) -> SystemTime {
        let offset = *self.wall_offset.lock().unwrap();
        let right = SystemTime::now() + *self.skipped.lock().unwrap();
        let wrong_by = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { right - wrong_by } else { right + wrong_by }
    }

    fn pause(&self, duration: Duration) -> Pause {
        self.pauses.lock().unwrap().push(duration);
        self.skip(duration);
        Box::pin(tokio::task::yield_now())
    }
}
