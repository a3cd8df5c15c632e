//! Flush sends everything accepted before the call; close ends in time and hands the rest back.

use std::time::Duration;

use companion_segment::testing::{Options, Refusal, SpoolOptions};

use crate::support::harness::number;
use crate::support::{Harness, Reply, Server, options};

#[test]
fn a_flush_covers_what_is_in_flight_and_what_waits_and_joins_others() {
    let server = Server::replying([Reply::Status(503), Reply::Status(503)]);
    let harness = Harness::start(Options { flush_at: Some(15.0), ..options(&server.url) });
    harness.track_many(18);
    harness.begin_flush(7, None, false);
    harness.track(18).unwrap();
    harness.begin_flush(8, None, false);
    let reports = [harness.report(7), harness.report(8)];
    assert!(reports[0].stats.delivered >= 18);
    assert_eq!(reports[1].stats.delivered, 19);
}

#[test]
fn a_flush_of_nothing_ends_at_once() {
    let server = Server::replying([]);
    let harness = Harness::start(options(&server.url));
    assert_eq!(harness.flush().stats.accepted, 0);
    assert!(server.requests().is_empty());
}

#[test]
fn a_flush_that_runs_out_of_time_reports_and_goes_on() {
    let server = Server::replying([Reply::Hang]);
    let harness = Harness::start(Options { http_request_timeout: Some(1_000.0), ..options(&server.url) });
    harness.track_many(3);
    harness.begin_flush(5, Some(Duration::from_millis(20)), false);
    let report = harness.report(5);
    assert_eq!((report.stats.pending, report.unflushed.len()), (3, 0));
    harness.flush();
    assert_eq!(harness.delivered(), [0, 1, 2]);
}

#[test]
fn close_delivers_and_then_refuses() {
    let server = Server::replying([]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(3);
    let report = harness.close(Duration::from_secs(10));
    assert_eq!((report.stats.delivered, report.unflushed.len()), (3, 0));
    assert_eq!(harness.track(3), Err(Refusal::Closed));
    assert_eq!(harness.stats().refused, [("closed", 1)].into());
    assert_eq!(harness.close(Duration::ZERO).stats.delivered, 3, "closing again is harmless");
}

#[test]
fn close_against_a_server_that_hangs_hands_the_rest_back_in_time() {
    let server = Server::start(|_, _| Reply::Hang);
    let harness = Harness::start(Options { flush_at: Some(2.0), ..options(&server.url) });
    harness.track_many(11);
    let report = harness.close(Duration::from_millis(200));
    assert_eq!(report.duration.as_millis(), 200);
    let unflushed: Vec<_> = report.unflushed.iter().map(|event| number(event)).collect();
    assert_eq!(unflushed, (0..11).collect::<Vec<_>>(), "all of them, oldest first");
    assert_eq!(report.stats.pending, 11);
    let stats = harness.stats();
    assert_eq!((stats.pending, stats.dropped["unflushed"], stats.queue_bytes), (0, 11, 0));
}

#[test]
fn what_was_handed_back_is_not_sent_later() {
    let server = Server::start(|index, _| if index == 0 { Reply::Status(503) } else { Reply::Status(200) });
    let harness = Harness::start(Options { disable: None, ..options(&server.url) });
    harness.track_many(1);
    harness.begin_flush(2, Some(Duration::ZERO), true);
    let report = harness.report(2);
    let handed_back = report.unflushed.len();
    assert_eq!(handed_back as u64 + report.stats.delivered, 1);
}

#[test]
fn dropping_the_handle_still_delivers() {
    let server = Server::replying([]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(3);
    harness.world().nodes[0].client = None;
    while harness.world().advance() {}
    assert!(!harness.world().is_alive(0), "its worker has ended");
    assert_eq!(
        (server.requests().len(), harness.delivered()),
        (1, vec![0, 1, 2]),
        "and not before it was answered"
    );
}

#[test]
fn a_disabled_client_sends_nothing_and_counts_everything() {
    let server = Server::replying([]);
    let harness = Harness::start(Options { disable: Some(true), ..options(&server.url) });
    harness.track_many(20);
    assert_eq!(harness.flush().stats.delivered, 20);
    assert!(server.requests().is_empty());
}

/// A way out of a client with one event, and whether it is over after so many milliseconds.
fn way_out(harness: &Harness, timeout: u64) -> impl Fn(u64) -> bool + '_ {
    harness.track(0).unwrap();
    let ticket = harness.with(|client| client.begin_drain(Duration::from_millis(timeout)));
    let began = harness.world().now();
    move |after| {
        let passed = Duration::from_micros(harness.world().now() - began);
        harness.pass(Duration::from_millis(after).saturating_sub(passed));
        harness.with(|client| client.has_drained(ticket))
    }
}

#[test]
fn a_way_out_is_over_with_the_last_event_or_with_its_time() {
    let server = Server::replying([]);
    assert!(way_out(&Harness::start(options(&server.url)), 60_000)(1_000), "delivered");
    for reply in [Reply::Hang, Reply::Status(503)] {
        let server = Server::start(move |_, _| reply.clone());
        let harness = Harness::start(options(&server.url));
        let is_over = way_out(&harness, 5_000);
        assert!(!is_over(4_900));
        assert!(is_over(5_100), "its time is up");
    }
}

#[test]
fn a_way_out_is_over_when_the_write_key_is_refused() {
    let server = Server::start(|_, _| Reply::Status(401));
    let harness = Harness::start(options(&server.url));
    assert!(way_out(&harness, 60_000)(1_000));
    assert!(way_out(&harness, 60_000)(1_000), "it was asked again");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_way_out_waits_until_the_end_of_its_events_is_noted_on_disk() {
    let server = Server::replying([]);
    let spool = SpoolOptions { directory: "/spool".into(), ..SpoolOptions::default() };
    let harness = Harness::start(Options { spool: Some(spool), ..options(&server.url) });
    harness.pass(Duration::from_secs(1));
    harness.world().disk_latency = Box::new(|| Duration::from_secs(1));
    let is_over = way_out(&harness, 60_000);
    assert!(!is_over(500));
    assert_eq!(harness.stats().delivered, 1);
    assert!(is_over(5_000));
}
