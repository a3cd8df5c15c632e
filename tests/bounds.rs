//! Bytes, events and requests stay within their bounds, and every count is exact.

use std::time::Duration;

use companion_segment::testing::MAX_BATCH_BYTES;
use companion_segment::testing::{Options, Refusal, SpoolOptions};

use crate::support::disk::{Fault, SimulatedDisk};
use crate::support::{Harness, Reply, Server, options};

const QUEUE_BYTES: f64 = 65_536.0;

fn small(url: &str, overflow: &str) -> Options {
    let overflow = serde_json::from_value(overflow.into()).unwrap();
    // Small batches, so that most of the queue waits and little of it is in flight.
    Options {
        max_queue_bytes: Some(QUEUE_BYTES),
        overflow: Some(overflow),
        flush_at: Some(10.0),
        ..options(url)
    }
}

#[test]
fn drop_newest_refuses_and_counts() {
    let server = Server::start(|_, _| Reply::Hang);
    let harness = Harness::start(small(&server.url, "drop-newest"));
    let refused = (0..1_000).filter(|&number| harness.track(number) == Err(Refusal::QueueFull)).count();
    let stats = harness.stats();
    assert!(refused > 0 && (64_000..=65_536).contains(&stats.queue_bytes), "{}", stats.queue_bytes);
    assert_eq!(stats.refused, [("queue_full", refused as u64)].into());
    assert_eq!(stats.accepted, 1_000 - refused as u64);
    assert_eq!(stats.pending, stats.accepted);
}

#[test]
fn drop_oldest_keeps_the_newest_and_counts() {
    let server = Server::start(|index, _| if index < 4 { Reply::Hang } else { Reply::Status(200) });
    let harness = Harness::start(small(&server.url, "drop-oldest"));
    harness.track_many(1_000);
    let stats = harness.stats();
    assert_eq!((stats.accepted, stats.refused.len()), (1_000, 0));
    assert!(stats.queue_bytes <= 65_536);
    let dropped = harness.dropped().remove(&("queue_full", None)).unwrap();
    assert_eq!(stats.dropped, [("queue_full", dropped.len() as u64)].into());
    assert_eq!(stats.pending + dropped.len() as u64, 1_000);
    assert!(!dropped.contains(&999));
    assert!(dropped.is_sorted());
}

#[test]
fn what_is_kept_during_an_outage_is_delivered_once_afterwards() {
    let server = Server::start(|index, _| Reply::Status(if index < 40 { 503 } else { 200 }));
    let harness = Harness::start(options(&server.url));
    harness.track_many(20_000);
    harness.flush();
    let mut delivered = harness.delivered();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..20_000).collect::<Vec<_>>());
}

#[test]
fn no_request_is_over_500_kb_or_2500_events() {
    let server = Server::replying([]);
    let harness = Harness::start(Options { gzip: Some(false), ..options(&server.url) });
    let filling = "x".repeat(30_000);
    for number in 0..100 {
        harness.track_text(&format!(r#"{{"userId":"u","event":"e","n":{number},"x":"{filling}"}}"#)).unwrap();
    }
    harness.track_many(10_000);
    harness.flush();
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.length <= MAX_BATCH_BYTES));
    assert!(requests.iter().all(|request| request.events().len() <= 2_500));
    assert!(requests.iter().any(|request| request.length > MAX_BATCH_BYTES - 31_000), "requests are filled");
    assert_eq!(harness.stats().delivered, 10_100);
}

#[test]
fn an_explicit_flush_at_caps_every_request() {
    let server = Server::replying([]);
    let harness = Harness::start(Options { flush_at: Some(10.0), ..options(&server.url) });
    harness.track_many(95);
    harness.flush();
    let mut sizes: Vec<_> = server.requests().iter().map(|request| request.events().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
}

#[test]
fn at_most_max_concurrent_requests_at_once() {
    let server = Server::replying([]);
    let harness = Harness::start(Options {
        flush_at: Some(5.0),
        max_concurrent_requests: Some(3.0),
        ..options(&server.url)
    });
    harness.track_many(500);
    harness.flush();
    assert_eq!(harness.stats().delivered, 500);
    assert_eq!(harness.world().nodes[0].most_under_way, 3);
}

#[test]
fn batches_leave_by_themselves_at_flush_at_and_at_flush_interval() {
    let server = Server::replying([]);
    let by_count = Harness::start(options(&server.url));
    by_count.track_many(15);
    let by_time = Harness::start(Options { flush_interval: Some(1.0), ..options(&server.url) });
    by_time.track_many(1);
    by_count.wait_until(|stats| stats.delivered == 15);
    by_time.wait_until(|stats| stats.delivered == 1);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_identity_holds_at_every_instant() {
    let server = Server::start(|index, request| match index % 7 {
        0 => Reply::Status(503),
        1 => Reply::Reset,
        2 => Reply::With(429, "retry-after", "1".into()),
        3 if request.numbers().iter().any(|number| number % 50 == 0) => Reply::Status(400),
        _ => Reply::Status(200),
    });
    let harness = Harness::start(small(&server.url, "drop-oldest"));
    for number in 0..5_000 {
        harness.track(number).unwrap();
        harness.stats();
    }
    harness.flush();
    assert_eq!(harness.stats().pending, 0);
}

#[test]
fn what_comes_while_something_waits_on_disk_alone_waits_behind_it() {
    let server = Server::replying([]);
    let spool = SpoolOptions { directory: "/spool".into(), ..SpoolOptions::default() };
    let harness = Harness::on_disk(
        Options {
            spool: Some(spool),
            max_queue_bytes: Some(65_536.0),
            flush_at: Some(100.0),
            max_concurrent_requests: Some(1.0),
            ..options(&server.url)
        },
        &SimulatedDisk::default(),
    );
    harness.track_many(400);
    assert!(harness.stats().spooled > 0);
    harness.wait_until(|stats| stats.delivered == 100);
    // Memory has room again.
    harness.track(400).unwrap();
    harness.flush();
    assert_eq!(harness.delivered(), (0..=400).collect::<Vec<_>>());
}

#[test]
fn what_is_read_back_behind_newer_events_is_charged_like_any_other() {
    let server = Server::start(|number, _| if number < 2 { Reply::Status(200) } else { Reply::Hang });
    let (spool, disk) =
        (SpoolOptions { directory: "/spool".into(), ..SpoolOptions::default() }, SimulatedDisk::default());
    let harness = Harness::on_disk(
        Options {
            spool: Some(spool),
            max_queue_bytes: Some(65_536.0),
            flush_at: Some(100.0),
            max_concurrent_requests: Some(1.0),
            ..options(&server.url)
        },
        &disk,
    );
    // All of them are equally long.
    harness.track(1_000).unwrap();
    let each = harness.stats().queue_bytes;
    for number in 1_001..1_400 {
        harness.track(number).unwrap();
    }
    harness.wait_until(|stats| stats.delivered == 200);
    harness.world().disk_latency = Box::new(|| Duration::from_secs(1));
    // The end of the batch is noted, and what is on disk alone begins to be read.
    harness.pass(Duration::from_millis(1));
    let before = harness.stats();
    // While it is read, the disk takes no more: what comes is in memory only.
    disk.set_fault(Fault::Full);
    harness.track(1_400).unwrap();
    harness.pass(Duration::from_secs(2));
    let stats = harness.stats();
    assert!(stats.spooled < before.spooled, "{stats:?}");
    assert_eq!(stats.queue_bytes, stats.pending * each);
    assert!(stats.pending > before.pending + 1);
}
