//! Pauses hear who wants things sent, one success wakes whatever waits, and a failure makes no storm.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use companion_segment::testing::{Notice, Options};

use crate::support::server::Recorded;
use crate::support::{Harness, Reply, Server, options};

/// A server that answers so until it is well again.
fn ill_server(reply: Reply) -> (Server, Rc<Cell<bool>>) {
    let is_well = Rc::new(Cell::new(false));
    let well = Rc::clone(&is_well);
    let server = Server::start(move |_, _| if well.get() { Reply::Status(200) } else { reply.clone() });
    (server, is_well)
}

/// A client with a hundred events that has failed for so long that its pauses are a minute, and a server that is well now.
fn after_an_outage(reply: Reply) -> (Server, Harness) {
    let (server, is_well) = ill_server(reply);
    let harness = Harness::start(Options { flush_at: Some(25.0), ..options(&server.url) });
    harness.track_many(100);
    harness.pass(Duration::from_secs(400));
    assert_eq!(harness.stats().delivered, 0);
    is_well.set(true);
    (server, harness)
}

fn failures() -> [Reply; 3] {
    [Reply::Status(503), Reply::Status(429), Reply::Reset]
}

#[test]
fn closing_ends_every_pause() {
    for reply in failures() {
        let (_server, harness) = after_an_outage(reply.clone());
        let report = harness.close(Duration::from_secs(5));
        assert_eq!((report.stats.delivered, report.unflushed.len()), (100, 0), "{reply:?}");
        assert!(report.duration < Duration::from_secs(1), "{:?}", report.duration);
    }
}

#[test]
fn a_flush_ends_every_pause() {
    for reply in failures() {
        let (_server, harness) = after_an_outage(reply.clone());
        let report = harness.flush();
        assert_eq!(report.stats.delivered, 100, "{reply:?}");
        assert!(report.duration < Duration::from_secs(1), "{:?}", report.duration);
    }
}

#[test]
fn a_way_out_ends_every_pause() {
    for reply in failures() {
        let (_server, harness) = after_an_outage(reply.clone());
        let _ticket = harness.with(|client| client.begin_drain(Duration::from_secs(1)));
        harness.pass(Duration::from_secs(1));
        assert_eq!(harness.stats().delivered, 100, "{reply:?}");
    }
}

#[test]
fn a_flush_ends_a_pause_once_and_a_failure_after_that_is_paused_for_again() {
    let (server, _ill) = ill_server(Reply::Status(503));
    let harness = Harness::start(options(&server.url));
    harness.track_many(3);
    harness.pass(Duration::from_secs(400));
    let before = server.requests().len();
    harness.begin_flush(9, None, false);
    harness.pass(Duration::from_secs(2));
    let asked = server.requests().len() - before;
    assert!((1..=4).contains(&asked), "{asked} requests");
}

#[test]
fn a_pause_that_segment_asked_for_is_kept_by_a_flush_and_ended_by_a_close() {
    let server = Server::replying([Reply::With(429, "retry-after", "300".into())]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(3);
    harness.begin_flush(8, None, false);
    harness.pass(Duration::from_secs(1));
    harness.begin_flush(9, None, false);
    harness.pass(Duration::from_secs(60));
    assert_eq!(server.requests().len(), 1, "Segment asked for five minutes");
    let report = harness.close(Duration::from_secs(5));
    assert_eq!((report.stats.delivered, report.unflushed.len()), (3, 0));
}

#[test]
fn the_first_success_wakes_all_that_wait() {
    let (server, is_well) = ill_server(Reply::Status(503));
    let harness = Harness::start(Options { flush_at: Some(25.0), ..options(&server.url) });
    harness.track_many(100);
    harness.pass(Duration::from_secs(400));
    is_well.set(true);
    harness.wait_until(|stats| stats.delivered > 0);
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.stats().delivered, 100);
}

#[test]
fn a_request_that_hangs_while_all_is_well_again_is_soon_repeated() {
    let (_server, harness) = after_an_outage(Reply::Hang);
    let report = harness.flush();
    assert_eq!(report.stats.delivered, 100);
    // One that was under way has its own time, and then no pause of a minute.
    assert!(report.duration < Duration::from_secs(17), "{:?}", report.duration);
}

#[test]
fn a_400_to_everything_is_an_outage_and_no_storm() {
    for status in [400, 413, 422] {
        let (server, is_well) = ill_server(Reply::Status(status));
        let harness = Harness::start(options(&server.url));
        harness.track_many(2_000);
        harness.pass(Duration::from_secs(60));
        let requests = server.requests();
        assert!(requests.len() < 140, "{} requests", requests.len());
        let compressed = requests.iter().filter(|request| request.is_gzip()).count();
        assert!(status != 400 || compressed <= 4, "compression is doubted once: {compressed}");
        let mut seen = BTreeSet::new();
        for request in &requests {
            let is_new = seen.insert(request.n.clone());
            assert_ne!(is_new, request.headers.contains_key("x-retry-count"), "a part begins anew");
        }
        let stats = harness.stats();
        let dropped = stats.dropped.get("rejected").copied().unwrap_or_default();
        assert!(dropped < 64, "{dropped} were given up before it was clear");
        let troubles =
            harness.notices().iter().filter(|notice| matches!(notice, Notice::Trouble { .. })).count();
        assert_eq!(troubles, 1, "told once");
        let least = server.requests().len();
        harness.pass(Duration::from_secs(600));
        assert!(server.requests().len() - least <= 25, "one request at a time, with a back-off");
        is_well.set(true);
        harness.flush();
        assert_eq!(harness.stats().delivered, 2_000 - dropped);
    }
}

#[test]
fn an_outage_ends_although_some_events_are_bad() {
    // Of the events that wait, most are bad; what comes later is good.
    let server =
        Server::start(|_, request| Reply::Status(if request.n.iter().any(|n| *n < 400) { 400 } else { 200 }));
    let harness = Harness::start(options(&server.url));
    harness.track_many(400);
    harness.pass(Duration::from_secs(120));
    for number in 400..450 {
        harness.track(number).unwrap();
    }
    harness.pass(Duration::from_secs(3_600));
    let delivered = harness.delivered();
    assert!((400..450).all(|number| delivered.contains(&number)), "good events are not held up for ever");
}

#[test]
fn bad_events_in_a_row_hold_up_none_of_their_neighbours() {
    // In batches of seven whole batches are bad: that looks like an outage, and is found out by probes.
    let cases = [(100, None, 5), (100, Some(100.0), 5), (63, None, 5), (200, None, 5), (129, Some(7.0), 600)];
    for (bad, flush_at, seconds) in cases {
        let is_bad = move |number: &u64| (20..20 + bad).contains(number);
        let server = Server::start(move |_, request| {
            Reply::Status(if request.n.iter().any(is_bad) { 400 } else { 200 })
        });
        let harness = Harness::start(Options { flush_at, ..options(&server.url) });
        harness.track_many(1_000 + bad);
        let report = harness.flush();
        assert_eq!((report.stats.delivered, report.stats.dropped["rejected"]), (1_000, bad), "{flush_at:?}");
        assert!(
            report.duration < Duration::from_secs(seconds),
            "{bad} bad events, {flush_at:?}: {:?}",
            report.duration
        );
    }
}

#[test]
fn a_bad_event_does_not_hold_its_neighbours_up() {
    let time = |bad: &'static [u64]| {
        let server = Server::start(move |_, request| {
            Reply::Status(if request.n.iter().any(|n| bad.contains(n)) { 400 } else { 200 })
        });
        let harness =
            Harness::start(Options { gzip: Some(false), flush_at: Some(1_000.0), ..options(&server.url) });
        harness.track_many(20_000);
        let report = harness.flush();
        assert_eq!(report.stats.delivered + bad.len() as u64, 20_000);
        report.duration
    };
    let none = time(&[]);
    assert!(time(&[10_000]) <= none * 13 / 10, "one bad event: {:?} for {none:?}", time(&[10_000]));
    let ten = [500, 2_500, 4_500, 6_500, 8_500, 10_500, 12_500, 14_500, 16_500, 18_500];
    let with_ten = time(Box::leak(Box::new(ten)));
    assert!(with_ten <= none * 4, "ten bad events: {with_ten:?} for {none:?}");
}

#[test]
fn while_batches_wait_for_another_attempt_no_others_take_their_places() {
    let (server, _ill) = ill_server(Reply::Status(503));
    let few = Options { flush_at: Some(1.0), max_concurrent_requests: Some(2.0), ..options(&server.url) };
    let harness = Harness::start(few);
    harness.track_many(10);
    harness.pass(Duration::from_secs(60));
    let tried: BTreeSet<_> = server.requests().iter().flat_map(Recorded::numbers).collect();
    assert_eq!(tried, [0, 1].into());
}

#[test]
fn what_comes_after_a_refused_write_key_leaves_when_it_may_although_nothing_else_waits() {
    for seconds in [0, 400] {
        let server = Server::replying([Reply::Status(401)]);
        let harness = Harness::start(Options { flush_at: Some(15.0), ..options(&server.url) });
        harness.track_and_wait(100);
        harness.flush();
        assert_eq!(harness.dropped(), [(("unauthorized", Some(401)), vec![100])].into());
        harness.pass(Duration::from_secs(seconds));
        harness.track_many(15);
        harness.pass(Duration::from_secs(1));
        assert_eq!(harness.delivered().len(), if seconds == 0 { 0 } else { 15 }, "after {seconds} s");
        harness.pass(Duration::from_secs(400));
        assert_eq!(harness.delivered().len(), 15, "after {seconds} s");
    }
}
