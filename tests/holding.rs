//! Events that are held to the end of a turn of the event loop: none leaves before, and all can be taken back.

use std::time::Duration;

use companion_segment::testing::{Client, Options, Overflow, SpoolOptions, SpoolState, Tracking};

use crate::support::disk::SimulatedDisk;
use crate::support::{Harness, Reply, Server, options};

const TURN: Duration = Duration::from_secs(5);

fn eager(url: &str) -> Options {
    Options { flush_at: Some(1.0), flush_interval: Some(0.0), ..options(url) }
}

fn spooling(url: &str) -> Options {
    let spool = SpoolOptions { directory: "/spool".into(), ..SpoolOptions::default() };
    Options { spool: Some(spool), exit_timeout: Some(0.0), ..eager(url) }
}

fn track_held(harness: &Harness, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let tracking = if number.is_multiple_of(3) { Tracking::Whole } else { Tracking::Nobody };
        harness.track_held(number, tracking).unwrap();
    }
}

#[test]
fn what_is_held_leaves_with_the_end_of_the_turn_and_not_before() {
    let server = Server::replying([]);
    let harness = Harness::start(eager(&server.url));
    track_held(&harness, 0..7);
    harness.track(7).unwrap();
    harness.pass(TURN);
    assert!(server.requests().is_empty());
    assert_eq!(harness.stats().pending, 8);
    harness.with(Client::let_go);
    harness.wait_until(|stats| stats.delivered == 8);
    assert_eq!(harness.delivered(), (0..8).collect::<Vec<_>>());
}

#[test]
fn what_was_there_before_leaves_beside_what_is_held() {
    let server = Server::replying([]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(3);
    track_held(&harness, 3..6);
    harness.begin_flush(1, Some(TURN), false);
    harness.wait_until(|stats| stats.delivered == 3);
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.delivered(), [0, 1, 2]);
    harness.with(Client::let_go);
    assert_eq!(
        harness.report(1).stats.delivered,
        6,
        "a flush that was asked for in the turn waits for all of it"
    );
}

#[test]
fn what_is_taken_back_was_never_accepted() {
    let server = Server::replying([]);
    let harness = Harness::start(eager(&server.url));
    harness.track_many(2);
    harness.wait_until(|stats| stats.delivered == 2);
    track_held(&harness, 2..9);
    harness.begin_flush(1, None, false);
    assert_eq!(harness.recall(), (2..9).collect::<Vec<_>>());
    assert!(harness.recall().is_empty(), "it is taken back once");
    assert_eq!(harness.report(1).stats.accepted, 2, "nobody waits for it");
    harness.with(Client::let_go);
    harness.track(9).unwrap();
    harness.wait_until(|stats| stats.delivered == 3);
    let stats = harness.stats();
    assert_eq!((stats.accepted, stats.pending, stats.queue_bytes), (3, 0, 0));
    assert!(stats.dropped.is_empty() && harness.dropped().is_empty(), "{:?}", stats.dropped);
    assert_eq!(harness.delivered(), [0, 1, 9]);
}

#[test]
fn ways_out_and_the_end_of_a_client_wait_for_no_turn() {
    let server = Server::replying([]);
    let harness = Harness::start(eager(&server.url));
    track_held(&harness, 0..3);
    let ticket = harness.with(|client| client.begin_drain(TURN));
    harness.wait_until(|stats| stats.delivered == 3);
    assert_eq!(harness.with(|client| client.end_drain(ticket, TURN)), 0);

    track_held(&harness, 3..6);
    harness.begin_flush(2, Some(Duration::ZERO), true);
    let report = harness.report(2);
    assert_eq!(report.unflushed.len(), 3, "a close that has no time hands back all");
    assert_eq!((harness.stats().pending, harness.stats().dropped["unflushed"]), (0, 3));
}

#[test]
fn a_turn_that_takes_in_more_than_half_of_the_queue_does_not_fill_it() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let server = Server::replying([]);
        let options =
            Options { max_queue_bytes: Some(65_536.0), overflow: Some(overflow), ..eager(&server.url) };
        let harness = Harness::start(options);
        for number in 0..2_000 {
            harness.track_held(number, Tracking::Nobody).unwrap();
            harness.pass(Duration::from_micros(500));
        }
        assert!(harness.stats().dropped.is_empty(), "{:?}", harness.stats());
        let left = 2_000 - harness.stats().delivered;
        assert!((10..400).contains(&left), "{left} are held");
        let recalled = harness.recall();
        assert_eq!(recalled.last(), Some(&1_999));
        let accepted = harness.flush().stats.accepted;
        assert_eq!(accepted, 2_000 - recalled.len() as u64);
    }
}

#[test]
fn a_killed_process_has_what_it_held_in_its_spool() {
    let disk = SimulatedDisk::default();
    let hanging = Server::start(|_, _| Reply::Hang);
    let killed = Harness::on_disk(spooling(&hanging.url), &disk);
    track_held(&killed, 0..50);
    disk.kill();
    let server = Server::replying([]);
    let harness = Harness::on_disk(spooling(&server.url), &disk);
    harness.wait_until(|stats| stats.recovered == 50 && stats.delivered == 50);
    assert_eq!(harness.delivered(), (0..50).collect::<Vec<_>>());
    Box::leak(Box::new(killed));
}

#[test]
fn what_is_taken_back_is_gone_from_the_disk_too() {
    let disk = SimulatedDisk::default();
    let server = Server::replying([]);
    let harness = Harness::on_disk(spooling(&server.url), &disk);
    track_held(&harness, 0..50);
    assert_eq!(harness.recall().len(), 50);
    harness.flush();
    assert_eq!((harness.stats().accepted, harness.stats().spool_bytes), (0, 0));
    harness.track(50).unwrap();
    harness.flush();
    harness.pass(Duration::from_secs(60));
    disk.kill();
    let next = Harness::on_disk(spooling(&server.url), &disk);
    next.pass(Duration::from_secs(60));
    assert_eq!((harness.delivered(), next.delivered()), (vec![50], vec![]));
    Box::leak(Box::new(harness));
}

#[test]
fn what_is_held_on_disk_only_waits_there_and_can_be_taken_back() {
    let disk = SimulatedDisk::default();
    let server = Server::replying([]);
    let options = Options { max_queue_bytes: Some(65_536.0), ..spooling(&server.url) };
    for is_recalled in [false, true] {
        let harness = Harness::on_disk(options.clone(), &disk);
        harness.wait_until(|stats| stats.spool == SpoolState::Ready);
        track_held(&harness, 0..3_000);
        let held = harness.stats();
        let recalled = if is_recalled { harness.recall() } else { Vec::new() };
        if is_recalled {
            assert!(recalled.iter().copied().eq(recalled[0]..3_000), "all that is held, wherever it is");
            assert!(recalled.len() > 2_000 && harness.stats().spooled == 0, "{:?}", harness.stats());
        } else {
            harness.with(Client::let_go);
        }
        assert!(held.pending + held.spooled + held.delivered == 3_000, "{held:?}");
        harness.flush();
        let mut seen = harness.delivered();
        let is_known = recalled.iter().any(|number| seen.contains(number));
        assert!(!is_known, "what was taken back is not sent");
        seen.extend(recalled);
        seen.sort_unstable();
        assert_eq!(seen, (0..3_000).collect::<Vec<_>>());
    }
}
