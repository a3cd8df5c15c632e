//! The engine fails in the middle of its work: nobody waits for ever, and no event is lost by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use companion_segment::testing::{
    Answer, Clock, Environment, Failure, Notice, Options, Pause, Request, Response, SystemClock, Transport,
};

use crate::support::options;
use crate::support::real::RealHarness;

/// Panics in its first so many calls.
struct Panicking {
    left: AtomicU32,
    clock: SystemClock,
}

impl Panicking {
    fn new(times: u32) -> Self {
        Self { left: AtomicU32::new(times), clock: SystemClock::default() }
    }

    fn maybe_panic(&self) {
        let is_over =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err();
        assert!(is_over, "a panic that was planted");
    }
}

impl Clock for Panicking {
    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn wall(&self) -> SystemTime {
        if std::thread::current().name() == Some("segment") {
            self.maybe_panic();
        }
        self.clock.wall()
    }

    fn sleep(&self, duration: Duration) -> Pause {
        self.clock.sleep(duration)
    }
}

impl Transport for Panicking {
    fn send(&self, _: Request) -> Answer<'_> {
        self.maybe_panic();
        Box::pin(async { Ok::<_, Failure>(Response { status: 200, ..Response::default() }) })
    }

    fn compresses(&self) -> bool {
        true
    }
}

fn internal_troubles(harness: &RealHarness) -> usize {
    let is_internal = |notice: &&Notice| matches!(notice, Notice::Trouble { error, .. } if error.kind().code() == "ERR_INTERNAL");
    harness.notices().iter().filter(is_internal).count()
}

fn with_clock_that_panics(times: u32) -> RealHarness {
    let environment = Environment { clock: Arc::new(Panicking::new(times)), ..Environment::default() };
    RealHarness::with(options("http://127.0.0.1:9"), Arc::new(Panicking::new(0)), environment)
}

#[test]
fn a_step_that_panics_is_told_and_the_client_goes_on() {
    let harness = with_clock_that_panics(2);
    harness.track_many(20);
    assert_eq!(harness.flush().stats.delivered, 20);
    assert_eq!(internal_troubles(&harness), 2);
}

#[test]
fn a_client_that_panics_again_and_again_is_given_up_and_nobody_waits_for_ever() {
    let harness = with_clock_that_panics(100);
    harness.track_many(20);
    harness.client.flush(1, None, false);
    let ticket = harness.client.begin_drain(Duration::from_secs(60));
    let _left = harness.client.end_drain(ticket, Duration::from_secs(60));
    let stats = harness.stats();
    assert_eq!((stats.pending, stats.accepted), (0, stats.dropped.values().sum()));
}

#[test]
fn a_transport_that_panics_is_a_failed_attempt() {
    let harness = RealHarness::with_transport(
        Options { max_concurrent_requests: Some(1.0), ..options("http://127.0.0.1:9") },
        Arc::new(Panicking::new(1)),
    );
    harness.track_many(3);
    assert_eq!(harness.flush().stats.delivered, 3);
    assert_eq!((harness.stats().requests, internal_troubles(&harness)), (2, 0));
}
