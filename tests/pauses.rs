//! Rate limits close the whole client; failures back off each batch on its own.

use std::time::Duration;

use companion_segment::testing::Options;

use crate::support::world::began;
use crate::support::{Harness, Reply, Server, options};

fn pauses_after(replies: Vec<Reply>) -> (Server, Vec<Duration>) {
    let server = Server::replying(replies);
    let harness = Harness::start(Options { max_retries: Some(0.0), ..options(&server.url) });
    harness.track_many(3);
    harness.flush();
    assert_eq!(harness.delivered(), [0, 1, 2], "a pause counts as no attempt");
    (server, harness.pauses())
}

fn within(pause: Duration, seconds: u64) {
    let asked = Duration::from_secs(seconds);
    assert!(pause >= asked && pause <= asked * 11 / 10, "{pause:?} for {seconds} s");
}

#[test]
fn retry_after_in_seconds() {
    for status in [429, 503] {
        let (server, pauses) = pauses_after(vec![Reply::With(status, "retry-after", "7".into())]);
        assert_eq!((server.requests().len(), pauses.len()), (2, 1));
        within(pauses[0], 7);
    }
}

#[test]
fn retry_after_as_a_date() {
    let date = httpdate::fmt_http_date(began() + Duration::from_secs(90));
    let (_, pauses) = pauses_after(vec![Reply::With(429, "retry-after", date)]);
    assert!(pauses[0] > Duration::from_secs(80) && pauses[0] < Duration::from_secs(100), "{pauses:?}");
}

#[test]
fn rate_limit_reset() {
    let (_, pauses) = pauses_after(vec![Reply::With(429, "x-ratelimit-reset", "30".into())]);
    within(pauses[0], 30);
}

#[test]
fn pauses_are_held_between_1_and_300_seconds() {
    let replies = ["0", "86400"].map(|text| Reply::With(429, "retry-after", text.into()));
    let (_, pauses) = pauses_after(replies.into());
    within(pauses[0], 1);
    within(pauses[1], 300);
}

#[test]
fn a_limit_closes_the_whole_client() {
    let server = Server::start(|index, _| match index {
        0 => Reply::With(429, "retry-after", "60".into()),
        _ => Reply::Status(200),
    });
    let harness = Harness::start(Options {
        flush_at: Some(1.0),
        max_concurrent_requests: Some(1.0),
        ..options(&server.url)
    });
    harness.track_many(5);
    harness.flush();
    assert_eq!(server.requests().len(), 6);
    assert_eq!(harness.pauses().len(), 1, "after the gate all go");
    assert_eq!(harness.stats().delivered, 5);
}

#[test]
fn a_limit_that_never_ends_is_given_up_after_max_rate_limit() {
    let server = Server::start(|_, _| Reply::With(429, "retry-after", "60".into()));
    let harness = Harness::start(Options { max_rate_limit_duration: Some(600.0), ..options(&server.url) });
    harness.track_many(2);
    let report = harness.flush();
    assert_eq!(harness.dropped(), [(("rate_limited", Some(429)), vec![0, 1])].into());
    assert_eq!(report.duration.as_secs(), 600, "in time, not after the pause that was asked for");
}

#[test]
fn a_limit_that_outlasts_max_rate_limit_is_given_up_in_time() {
    for (status, requested) in [(429, 6), (503, 6), (429, 300)] {
        let limit = Reply::With(status, "retry-after", requested.to_string());
        let server = Server::start(move |_, _| limit.clone());
        let harness = Harness::start(Options { max_rate_limit_duration: Some(1.0), ..options(&server.url) });
        harness.track_many(2);
        let report = harness.flush();
        assert_eq!(harness.dropped(), [(("rate_limited", Some(status)), vec![0, 1])].into());
        assert_eq!(server.requests().len(), 1, "not after the pause");
        assert!((1_000..1_100).contains(&report.duration.as_millis()), "{:?}", report.duration);
    }
}

#[test]
fn a_request_that_is_under_way_when_max_rate_limit_is_over_is_waited_for() {
    let server = Server::replying([Reply::With(429, "retry-after", "1".into()), Reply::Hang]);
    let harness = Harness::start(Options { max_rate_limit_duration: Some(1.5), ..options(&server.url) });
    harness.track_many(2);
    assert_eq!(harness.flush().stats.delivered, 2);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn backoff_doubles_from_half_a_second_with_equal_jitter() {
    let server = Server::replying(vec![Reply::Status(500); 9]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(1);
    harness.flush();
    let full = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
    let pauses = harness.pauses();
    assert_eq!(pauses.len(), full.len());
    for (pause, full) in pauses.iter().zip(full) {
        assert!((full / 2..=full).contains(&pause.as_millis()), "{pause:?} of {full} ms");
    }
}

#[test]
fn sent_at_is_fresh_and_the_event_stays_the_same() {
    let server = Server::replying([Reply::Status(500)]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(1);
    harness.flush();
    let requests = server.requests();
    assert_ne!(requests[0].body["sentAt"], requests[1].body["sentAt"]);
    assert_eq!(requests[0].events(), requests[1].events());
}
