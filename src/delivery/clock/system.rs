//! The machine's own clock.

use std::time::{Duration, SystemTime};

use super::{Clock, Pause};

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock(Duration);

impl Default for SystemClock {
    fn default() -> Self {
        Self(since_boot())
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        since_boot().saturating_sub(self.0)
    }

    #[allow(clippy::disallowed_methods, reason = "everybody else asks this clock")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> Pause {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Time since the machine was started, suspended or not. `Instant` stands still while a laptop sleeps or a container is
/// frozen: an event would then look younger than it is, and the wall clock as if somebody had set it.
#[cfg(unix)]
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes one timespec, and that is what it is given.
    let status = unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    if status != 0 {
        return Duration::ZERO;
    }
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(not(unix))]
fn since_boot() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let clock = SystemClock::default();
        let first = clock.elapsed();
        while clock.elapsed() == first {}
        assert!(clock.elapsed() > first);
    }
}
