//! A refused batch is divided until the bad events are alone.

use std::collections::BTreeSet;

use companion_segment::testing::Notice;

use crate::support::{Harness, Reply, Server, options};

/// A server that refuses every batch with one of these events in it.
fn poisoned(status: u16, poison: impl Into<BTreeSet<u64>>) -> Server {
    let poison = poison.into();
    Server::start(move |_, request| {
        let is_bad = request.numbers().iter().any(|number| poison.contains(number));
        Reply::Status(if is_bad { status } else { 200 })
    })
}

fn run(server: &Server, events: u64) -> Harness {
    let harness = Harness::start(companion_segment::testing::Options {
        gzip: Some(false),
        max_concurrent_requests: Some(1.0),
        ..options(&server.url)
    });
    // Closed for long enough that all of them leave in one request.
    harness.track_many(events);
    harness.flush();
    harness
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

#[test]
fn one_poison_event_loses_exactly_itself() {
    for status in [400, 413, 422] {
        let server = poisoned(status, [7]);
        let harness = run(&server, 15);
        assert_eq!(harness.dropped(), [(("rejected", Some(status)), vec![7])].into());
        assert_eq!(sorted(harness.delivered()), (0..15).filter(|&n| n != 7).collect::<Vec<_>>());
    }
}

#[test]
fn one_in_2500_costs_some_twenty_requests() {
    let server = poisoned(400, [1_234]);
    let harness = Harness::start(companion_segment::testing::Options {
        gzip: Some(false),
        flush_at: Some(2_500.0),
        ..options(&server.url)
    });
    harness.track_many(2_500);
    harness.flush();
    assert_eq!(harness.dropped(), [(("rejected", Some(400)), vec![1_234])].into());
    assert_eq!(sorted(harness.delivered()), (0..2_500).filter(|&n| n != 1_234).collect::<Vec<_>>());
    // 500 KB hold some 1,900 of these events: a quarter of a quarter and so on is one event after at most 6 steps.
    let refused = |request: &&crate::support::server::Recorded| request.numbers().contains(&1_234);
    let requests = server.requests();
    assert!((6..=7).contains(&requests.iter().filter(refused).count()));
    assert!(requests.len() <= 26, "{}", requests.len());
}

#[test]
fn several_bad_events_lose_only_themselves() {
    let bad = [0, 1, 13, 30];
    let server = poisoned(400, bad);
    let harness = run(&server, 31);
    assert_eq!(sorted(harness.dropped().into_values().flatten().collect()), bad);
    assert_eq!(harness.stats().delivered, 27);
}

#[test]
fn when_every_event_is_bad_it_ends() {
    let server = Server::start(|_, _| Reply::Status(400));
    let harness = run(&server, 8);
    assert_eq!(harness.stats().dropped, [("rejected", 8)].into());
}

#[test]
fn halves_are_retried_like_any_batch() {
    let server = Server::start(|index, request| match index {
        0 => Reply::Status(400),
        1 => Reply::Status(503),
        _ => Reply::Status(if request.numbers().contains(&3) { 400 } else { 200 }),
    });
    let harness = Harness::start(companion_segment::testing::Options {
        gzip: Some(false),
        flush_at: Some(4.0),
        ..options(&server.url)
    });
    harness.track_many(4);
    harness.flush();
    assert_eq!(harness.dropped(), [(("rejected", Some(400)), vec![3])].into());
    assert_eq!(sorted(harness.delivered()), [0, 1, 2]);
    assert_eq!(harness.pauses().len(), 1);
}

#[test]
fn nothing_is_delivered_twice() {
    let server = poisoned(400, [2, 9]);
    let harness = run(&server, 15);
    let accepted: Vec<_> = server
        .requests()
        .iter()
        .map(crate::support::server::Recorded::numbers)
        .filter(|numbers| !numbers.iter().any(|number| [2, 9].contains(number)))
        .flatten()
        .collect();
    assert_eq!(sorted(accepted), sorted(harness.delivered()));
}

#[test]
fn the_attempts_of_an_event_go_on_and_those_of_its_batch_begin_anew() {
    let server = poisoned(400, [7]);
    let harness = run(&server, 15);
    let requests = server.requests();
    assert!(requests.iter().all(|request| !request.headers.contains_key("x-retry-count")));
    let carried = requests.iter().filter(|request| request.numbers().contains(&7)).count();
    let attempts = harness.notices().into_iter().find_map(|notice| match notice {
        Notice::Dropped { cause, .. } => Some(cause.attempts as usize),
        _ => None,
    });
    assert_eq!((carried, attempts), (3, Some(3)));
}
