//! One test for each row of the response table: how many requests, what was delivered, what dropped and why.

use std::time::Duration;

use crate::support::{Harness, Reply, Server, options};

/// Sends three events to a server that answers so, then 200.
fn exchange(replies: Vec<Reply>, max_retries: Option<f64>) -> (Server, Harness) {
    let server = Server::replying(replies);
    let harness = Harness::start(companion_segment::testing::Options {
        max_retries,
        gzip: Some(false),
        ..options(&server.url)
    });
    harness.track_many(3);
    harness.flush();
    (server, harness)
}

fn delivered_after(reply: Reply) {
    let (server, harness) = exchange(vec![reply.clone(), reply], None);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(harness.delivered(), [0, 1, 2]);
    assert!(harness.dropped().is_empty());
    let retry_counts: Vec<_> =
        requests.iter().map(|request| request.headers.get("x-retry-count").map(String::as_str)).collect();
    assert_eq!(retry_counts, [None, Some("1"), Some("2")]);
    let stats = harness.stats();
    assert_eq!((stats.requests, stats.retries, stats.consecutive_failures), (3, 2, 0));
}

fn given_up_as(reply: Reply, reason: &'static str, status: Option<u16>) {
    let (server, harness) = exchange(vec![reply; 10], Some(2.0));
    assert_eq!(server.requests().len(), 3, "maxRetries 2 means 3 attempts");
    assert_eq!(harness.dropped(), [((reason, status), vec![0, 1, 2])].into());
    assert!(harness.delivered().is_empty());
}

fn dropped_at_once(status: u16, reason: &'static str) {
    let (server, harness) = exchange(vec![Reply::Status(status)], None);
    assert_eq!(server.requests().len(), 1, "{status}");
    assert_eq!(harness.dropped(), [((reason, Some(status)), vec![0, 1, 2])].into());
    assert_eq!(harness.stats().dropped, [(reason, 3)].into());
}

#[test]
fn every_2xx_is_delivered_with_one_request() {
    for status in [200, 201, 202, 204] {
        let (server, harness) = exchange(vec![Reply::Status(status)], None);
        assert_eq!(server.requests().len(), 1);
        assert_eq!(harness.delivered(), [0, 1, 2]);
    }
}

#[test]
fn a_3xx_is_never_success_and_never_followed() {
    let elsewhere = Server::replying([]);
    for status in [301, 302, 303, 304, 307, 308] {
        delivered_after(Reply::With(status, "location", elsewhere.url.clone()));
        given_up_as(Reply::With(status, "location", elsewhere.url.clone()), "redirect", Some(status));
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_refused_write_key_keeps_what_nobody_waits_for() {
    for status in [401, 403] {
        let server = Server::replying([Reply::Status(status), Reply::Status(status)]);
        let harness = Harness::start(options(&server.url));
        harness.track_many(3);
        harness.track_and_wait(3);
        let report = harness.flush();
        assert_eq!((report.stats.pending, server.requests().len()), (3, 1), "the flush has its answer");
        assert_eq!(harness.dropped(), [(("unauthorized", Some(status)), vec![3])].into());
        // Whoever waits for another one gets a verdict of Segment's own.
        harness.track_and_wait(4);
        harness.pass(Duration::from_secs(2));
        assert_eq!(harness.dropped(), [(("unauthorized", Some(status)), vec![3, 4])].into());
        harness.pass(Duration::from_secs(331));
        assert_eq!(harness.delivered(), [0, 1, 2]);
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn what_segments_own_list_retries_is_retried() {
    for status in [408, 410, 460, 500, 502, 503, 504, 511, 520, 599] {
        delivered_after(Reply::Status(status));
    }
    given_up_as(Reply::Status(500), "server", Some(500));
}

#[test]
fn a_429_without_a_pause_is_retried_and_counted() {
    delivered_after(Reply::Status(429));
    given_up_as(Reply::Status(429), "rate_limited", Some(429));
}

#[test]
fn other_4xx_and_501_and_505_are_dropped_at_once() {
    for status in [402, 404, 405, 409, 415, 425, 431, 451, 499, 501, 505] {
        dropped_at_once(status, "rejected");
    }
}

#[test]
fn broken_connections_are_retried() {
    delivered_after(Reply::Reset);
    given_up_as(Reply::Reset, "network", None);
}

#[test]
fn events_are_given_up_at_their_age_and_not_before() {
    let server = Server::start(|_, _| Reply::Status(500));
    let hour = 3_600_000.0;
    let harness = Harness::start(companion_segment::testing::Options {
        max_event_age: Some(hour),
        ..options(&server.url)
    });
    harness.track(0).unwrap();
    harness.skip(Duration::from_secs(1_800));
    harness.track(1).unwrap();
    let report = harness.flush();
    assert_eq!(harness.dropped(), [(("expired", None), vec![0, 1])].into());
    assert_eq!(report.duration.as_secs(), 3_600, "the younger one, to the second");
}

#[test]
fn a_batch_is_given_up_after_max_total_backoff() {
    let server = Server::start(|_, _| Reply::Status(500));
    let harness = Harness::start(companion_segment::testing::Options {
        max_total_backoff_duration: Some(100.0),
        ..options(&server.url)
    });
    harness.track(0).unwrap();
    let report = harness.flush();
    assert_eq!(harness.dropped(), [(("server", Some(500)), vec![0])].into());
    assert!(report.duration >= Duration::from_secs(100));
}

#[test]
fn without_time_for_another_attempt_the_first_failure_is_the_end() {
    let server = Server::start(|_, _| Reply::Status(500));
    let harness = Harness::start(companion_segment::testing::Options {
        max_total_backoff_duration: Some(0.0),
        ..options(&server.url)
    });
    harness.track(0).unwrap();
    harness.flush();
    assert_eq!(harness.dropped(), [(("server", Some(500)), vec![0])].into());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn failures_in_a_row_are_counted_until_a_success() {
    let server = Server::replying([Reply::Status(503), Reply::Reset, Reply::Status(429)]);
    let harness = Harness::start(options(&server.url));
    harness.track(0).unwrap();
    harness.begin_flush(9, None, false);
    harness.wait_until(|stats| stats.consecutive_failures == 3);
    assert_eq!(harness.stats().last_success_age_ms, None);
    assert_eq!(harness.report(9).stats.consecutive_failures, 0);
}
