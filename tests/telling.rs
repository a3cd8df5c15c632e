//! What a client's owner is told, when, and what waits while it does not take what it was told.

use std::time::Duration;

use companion_segment::testing::{EventType, Interest, Notice, Options, Parts, Tracking};

use crate::support::{Harness, Reply, Server, options};

fn ends(harness: &Harness) -> Vec<&'static str> {
    let end = |notice| match notice {
        Notice::Drained => Some("drained"),
        Notice::Flushed { .. } => Some("flushed"),
        _ => None,
    };
    let ends = harness.notices().into_iter().filter_map(end).collect();
    harness.world().nodes[0].memory.take();
    ends
}

#[test]
fn that_nothing_is_pending_is_told_once_each_time_and_before_the_flush() {
    let server = Server::replying([]);
    let harness = Harness::start(options(&server.url));
    for _ in 0..2 {
        harness.track_many(3);
        harness.pass(Duration::from_secs(1));
        assert!(ends(&harness).is_empty());
        harness.flush();
        assert_eq!(ends(&harness), ["drained", "flushed"]);
        harness.flush();
        assert_eq!(ends(&harness), ["flushed"]);
    }
    harness.change_interest(|interest| interest.drained = false);
    harness.track_many(3);
    harness.flush();
    assert_eq!(ends(&harness), ["flushed"]);
}

#[test]
fn of_delivered_events_those_that_somebody_waits_for_are_told() {
    let server = Server::replying([]);
    let harness = Harness::start(options(&server.url));
    harness.change_interest(|interest| interest.delivered = false);
    for tracking in [Tracking::Whole, Tracking::Nobody, Tracking::Fate] {
        let text = br#"{"userId":"u","event":"e","n":1}"#;
        harness.with(|client| client.enqueue(text, EventType::Track, Parts::default(), tracking)).unwrap();
    }
    harness.flush();
    let told = harness.notices().into_iter().find_map(|notice| match notice {
        Notice::Delivered { attempts, events } => Some((attempts, events)),
        _ => None,
    });
    let (attempts, events) = told.unwrap();
    let events: Vec<_> = events.iter().map(|event| (event.sequence, event.bytes.is_some())).collect();
    assert_eq!((attempts, events), (1, vec![(1, true), (3, false)]), "who has the event still needs no copy");
}

/// A client that was told to wait for five minutes, with one event in a batch and one, ten seconds younger, in the queue.
/// Both are too old after a minute.
fn in_a_rate_limit(change: impl FnOnce(&mut Interest)) -> Harness {
    let server = Server::replying([Reply::With(429, "retry-after", "300".into())]);
    let harness = Harness::start(Options { max_event_age: Some(60_000.0), ..options(&server.url) });
    harness.track(0).unwrap();
    harness.begin_flush(9, None, false);
    harness.pass(Duration::from_secs(10));
    harness.change_interest(change);
    harness.track(1).unwrap();
    harness
}

fn expired(harness: &Harness) -> u64 {
    harness.stats().dropped.get("expired").copied().unwrap_or_default()
}

#[test]
fn what_is_too_old_goes_although_nothing_may_be_sent() {
    let harness = in_a_rate_limit(|_| {});
    harness.pass(Duration::from_secs(49));
    assert_eq!(expired(&harness), 0);
    harness.pass(Duration::from_secs(2));
    assert_eq!(expired(&harness), 1, "the batch");
    harness.pass(Duration::from_secs(10));
    assert_eq!(expired(&harness), 2, "the queue too");
    assert_eq!(harness.dropped(), [(("expired", None), vec![0, 1])].into());
}

#[test]
fn nothing_more_is_given_up_while_what_was_told_waits_to_be_taken() {
    let harness = in_a_rate_limit(|interest| interest.is_behind = true);
    harness.pass(Duration::from_secs(100));
    assert_eq!(expired(&harness), 1, "the batch is no more than what was under way");
    harness.change_interest(|interest| interest.is_behind = false);
    harness.with(companion_segment::testing::Client::wake);
    assert_eq!(expired(&harness), 2);
}

#[test]
fn what_nobody_hears_of_is_given_up_although_something_waits_to_be_taken() {
    let harness = in_a_rate_limit(|interest| {
        interest.is_behind = true;
        interest.dropped = false;
    });
    harness.pass(Duration::from_secs(61));
    assert_eq!(expired(&harness), 2);
}

#[test]
fn a_flush_waits_for_what_is_under_way_although_the_write_key_is_refused() {
    let server = Server::replying([Reply::Status(401), Reply::Hang, Reply::Status(401)]);
    let harness = Harness::start(Options { flush_at: Some(1.0), ..options(&server.url) });
    harness.track_many(2);
    harness.begin_flush(9, None, false);
    assert_eq!(server.requests().len(), 2);
    let report = harness.report(9);
    assert_eq!(report.stats.pending, 2);
    assert!(report.duration > Duration::from_secs(14), "the second one has its own answer");
}
