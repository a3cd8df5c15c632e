//! One test for each row of the response table: how many requests, what was delivered, what dropped and why.

use std::time::Duration;

use crate::support::{Harness, Reply, Server, options};

/// Sends three events to a server that answers so, then 200.
fn exchange(replies: Vec<Reply>, max_retries: Option<f64>) -> (Server, Harness) {
    let server = Server::replying(replies);
    let harness =
        Harness::start(companion_segment::Options { max_retries, gzip: Some(false), ..options(&server.url) });
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
fn a_refused_write_key_drops_at_once() {
    for status in [401, 403] {
        dropped_at_once(status, "unauthorized");
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
fn an_unreachable_host_is_retried_until_the_retries_are_spent() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let harness = Harness::start(companion_segment::Options {
        max_retries: Some(3.0),
        ..options(&format!("http://{closed}"))
    });
    harness.track_many(2);
    harness.flush();
    assert_eq!(harness.dropped(), [(("network", None), vec![0, 1])].into());
    assert_eq!((harness.stats().requests, harness.pauses().len()), (4, 3));
}

#[test]
fn an_attempt_ends_in_time_even_while_the_answer_drips() {
    for reply in [Reply::Hang, Reply::Drip] {
        let server = Server::replying([reply]);
        let harness = Harness::start(companion_segment::Options {
            http_request_timeout: Some(200.0),
            ..options(&server.url)
        });
        harness.track_many(1);
        harness.flush();
        assert_eq!(harness.delivered(), [0]);
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn the_body_of_an_answer_is_read_only_so_far() {
    let server = Server::replying([Reply::Body(50_000_000)]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(1);
    harness.flush();
    assert_eq!(harness.delivered(), [0]);
    harness.track(1).unwrap();
    harness.flush();
    assert_eq!(server.connections(), 2, "a connection with the rest of a body on it is not used again");
}

#[test]
fn connections_are_used_again() {
    let server = Server::replying([]);
    let harness = Harness::start(options(&server.url));
    for number in 0..20 {
        harness.track(number).unwrap();
        harness.flush();
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

#[test]
fn events_are_given_up_at_their_age_and_not_before() {
    let server = Server::start(|_, _| Reply::Status(500));
    let hour = 3_600_000.0;
    let harness =
        Harness::start(companion_segment::Options { max_event_age: Some(hour), ..options(&server.url) });
    harness.track(0).unwrap();
    harness.clock.skip(Duration::from_secs(1_800));
    harness.track(1).unwrap();
    harness.flush();
    assert_eq!(harness.dropped(), [(("expired", None), vec![0, 1])].into());
    let waited: Duration = harness.pauses().iter().sum();
    assert!(waited >= Duration::from_secs(3_600) && waited < Duration::from_secs(3_600 + 120), "{waited:?}");
}

#[test]
fn a_batch_is_given_up_after_max_total_backoff() {
    let server = Server::start(|_, _| Reply::Status(500));
    let harness = Harness::start(companion_segment::Options {
        max_total_backoff_duration: Some(100.0),
        ..options(&server.url)
    });
    harness.track(0).unwrap();
    harness.flush();
    assert_eq!(harness.dropped(), [(("server", Some(500)), vec![0])].into());
    assert!(harness.pauses().iter().sum::<Duration>() >= Duration::from_secs(100));
}
