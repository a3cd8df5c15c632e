//! The engine with a spool: what a user relies on when Segment, the disk, or the clock misbehaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use companion_segment::testing::Notice;
use companion_segment::testing::Options;
use companion_segment::testing::SpoolState;
use companion_segment::testing::{Durability, Overflow, SpoolOptions};

use crate::support::disk::{Fault, SimulatedDisk};
use crate::support::harness::number;
use crate::support::{Harness, Reply, Server, options};

fn spooling(url: &str) -> Options {
    let spool = SpoolOptions { directory: "/spool".into(), ..SpoolOptions::default() };
    Options { spool: Some(spool), exit_timeout: Some(0.0), ..options(url) }
}

/// A client whose server never answers, with this many events; its process is then killed.
fn killed_with(disk: &SimulatedDisk, events: u64) {
    let server = Server::start(|_, _| Reply::Hang);
    let harness = Harness::on_disk(spooling(&server.url), disk);
    harness.track_many(events);
    disk.kill();
    Box::leak(Box::new(harness));
}

fn troubles(harness: &Harness) -> Vec<&'static str> {
    let troubles = harness.notices().into_iter().filter_map(|notice| match notice {
        Notice::Trouble { error, .. } => Some(error.kind().code()),
        _ => None,
    });
    troubles.collect()
}

#[test]
fn the_next_process_delivers_what_a_killed_one_had_accepted() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 100);
    let server = Server::replying([]);
    let harness = Harness::on_disk(spooling(&server.url), &disk);
    harness.wait_until(|stats| stats.recovered == 100);
    harness.flush();
    assert_eq!(harness.delivered(), (0..100).collect::<Vec<_>>());
    let stats = harness.stats();
    assert_eq!((stats.accepted, stats.delivered, stats.spool_bytes), (100, 100, 0));
    assert!(disk.files().is_empty(), "nothing is left: {:?}", disk.files());
}

#[test]
fn what_memory_has_no_room_for_waits_on_disk_in_order() {
    let gate = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let open = Arc::clone(&gate);
    let server = Server::start(move |_, _| {
        if open.load(std::sync::atomic::Ordering::SeqCst) { Reply::Status(200) } else { Reply::Status(500) }
    });
    let options = Options { max_queue_bytes: Some(65_536.0), ..spooling(&server.url) };
    let harness = Harness::on_disk(options, &SimulatedDisk::default());
    harness.track_many(5_000);
    let stats = harness.stats();
    assert!(stats.spooled > 3_000 && stats.queue_bytes <= 65_536, "{stats:?}");
    gate.store(true, std::sync::atomic::Ordering::SeqCst);
    harness.flush();
    let mut delivered = harness.delivered();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..5_000).collect::<Vec<_>>());
}

#[test]
fn closing_leaves_the_rest_to_the_next_process() {
    let disk = SimulatedDisk::default();
    let hanging = Server::start(|_, _| Reply::Hang);
    let harness = Harness::on_disk(spooling(&hanging.url), &disk);
    for number in 0..30 {
        harness.track_and_wait(number);
    }
    let report = harness.close(Duration::ZERO);
    assert_eq!((report.stats.spooled, report.stats.pending, report.unflushed.len()), (30, 0, 0));
    let kept = harness
        .notices()
        .iter()
        .any(|notice| matches!(notice, Notice::Kept { events } if events.len() == 30));
    assert!(kept, "whoever waits for an event is told");
    assert!(harness.dropped().is_empty());
    let server = Server::replying([]);
    let next = Harness::on_disk(spooling(&server.url), &disk);
    next.wait_until(|stats| stats.recovered == 30);
    next.flush();
    assert_eq!(next.delivered(), (0..30).collect::<Vec<_>>());
}

#[test]
fn a_full_spool_refuses_the_newest_or_gives_up_the_oldest() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let server = Server::start(|_, _| Reply::Status(500));
        let spool = SpoolOptions {
            max_bytes: Some(1_048_576.0),
            directory: "/spool".into(),
            ..SpoolOptions::default()
        };
        let options = Options {
            spool: Some(spool),
            overflow: Some(overflow),
            max_queue_bytes: Some(65_536.0),
            ..spooling(&server.url)
        };
        let disk = SimulatedDisk::default();
        let harness = Harness::on_disk(options, &disk);
        let refused = (0..8_000).filter(|number| harness.track(*number).is_err()).count() as u64;
        harness.pass(Duration::from_secs(1));
        let on_disk: usize = disk.files().iter().map(|path| disk.content(path).len()).sum();
        assert!(on_disk <= 1_048_576, "{on_disk}");
        let stats = harness.stats();
        assert!(stats.spool_bytes <= 1_048_576, "{}", stats.spool_bytes);
        let dropped = stats.dropped.get("queue_full").copied().unwrap_or_default();
        assert_eq!(stats.accepted + refused, 8_000);
        match overflow {
            Overflow::DropNewest => assert!(refused > 1_000 && dropped == 0),
            Overflow::DropOldest => assert!(refused == 0 && dropped > 1_000, "{refused} {dropped}"),
        }
    }
}

#[test]
fn what_a_full_spool_gives_up_is_given_up_in_memory_too() {
    let hanging = Server::start(|_, _| Reply::Hang);
    let disk = SimulatedDisk::default();
    let with = |url: &str| {
        let spool = SpoolOptions {
            max_bytes: Some(1_048_576.0),
            directory: "/spool".into(),
            ..SpoolOptions::default()
        };
        let options = spooling(url);
        Options { spool: Some(spool), overflow: Some(Overflow::DropOldest), flush_at: Some(1.0), ..options }
    };
    let options = Options { max_concurrent_requests: Some(1.0), ..with(&hanging.url) };
    let harness = Harness::on_disk(options, &disk);
    harness.track_many(8_000);
    let stats = harness.stats();
    let mut expected = harness.dropped().remove(&("queue_full", None)).expect("some had to go");
    assert_eq!(stats.dropped, [("queue_full", expected.len() as u64)].into());
    assert_eq!(stats.pending + expected.len() as u64, 8_000);
    assert!(expected.len() > 1_000 && expected.is_sorted() && !expected.contains(&0), "one is in flight");
    // Whatever was not given up is still on disk.
    disk.kill();
    Box::leak(Box::new(harness));
    let server = Server::replying([]);
    let next = Harness::on_disk(with(&server.url), &disk);
    next.wait_until(|stats| stats.recovered == 8_000 - expected.len() as u64);
    next.flush();
    expected.extend(next.delivered());
    expected.sort_unstable();
    assert_eq!(expected, (0..8_000).collect::<Vec<_>>());
}

#[test]
fn a_failing_disk_leaves_memory_in_charge_until_it_is_back() {
    for fault in [Fault::Full, Fault::Short, Fault::All] {
        let disk = SimulatedDisk::default();
        let server = Server::start(|_, _| Reply::Hang);
        let harness = Harness::on_disk(spooling(&server.url), &disk);
        harness.track_many(10);
        disk.set_fault(fault);
        harness.track_many(10);
        assert_eq!(harness.stats().spool, SpoolState::Degraded, "{fault:?}");
        assert_eq!(troubles(&harness), ["ERR_SPOOL"], "said once");
        disk.set_fault(Fault::None);
        harness.skip(Duration::from_secs(6));

        harness.wait_until(|stats| stats.spool == SpoolState::Ready);
        disk.kill();
        Box::leak(Box::new(harness));
        let server = Server::replying([]);
        let next = Harness::on_disk(spooling(&server.url), &disk);
        next.wait_until(|stats| stats.recovered == 20);
    }
}

#[test]
fn a_spool_that_can_not_be_opened_does_not_refuse_the_start() {
    let disk = SimulatedDisk::default();
    disk.set_fault(Fault::All);
    let server = Server::replying([]);
    let harness = Harness::on_disk(spooling(&server.url), &disk);
    harness.track_many(20);
    harness.flush();
    assert_eq!(harness.delivered().len(), 20);
    assert_eq!((harness.stats().spool, troubles(&harness)), (SpoolState::Degraded, vec!["ERR_SPOOL"]));
}

#[test]
fn a_refused_write_key_keeps_everything_and_is_probed_with_one_request() {
    let server = Server::replying([Reply::Status(401), Reply::Status(403)]);
    let harness = Harness::on_disk(spooling(&server.url), &SimulatedDisk::default());
    harness.track_many(6_000);
    assert_eq!(harness.flush().stats.delivered, 0);
    harness.pass(Duration::from_secs(700));
    let mut delivered = harness.delivered();
    delivered.sort_unstable();
    assert!(delivered.into_iter().eq(0..6_000));
    assert!(harness.dropped().is_empty());
    assert!(troubles(&harness).iter().all(|code| *code == "ERR_UNAUTHORIZED"));
    assert!(harness.pauses().iter().any(|pause| *pause > Duration::from_secs(270)), "five minutes");
}

#[test]
fn a_commit_that_fails_is_never_reported_as_persisted() {
    let disk = SimulatedDisk::default();
    let server = Server::start(|_, _| Reply::Hang);
    let spool = SpoolOptions {
        durability: Some(Durability::Power),
        directory: "/spool".into(),
        ..SpoolOptions::default()
    };
    let harness = Harness::on_disk(Options { spool: Some(spool), ..spooling(&server.url) }, &disk);
    let commits = |harness: &Harness| -> Vec<(bool, u64)> {
        let notices = harness.notices().into_iter();
        let commit = |notice| match notice {
            Notice::Persisted { persisted, up_to } => Some((persisted, up_to)),
            _ => None,
        };
        notices.filter_map(commit).collect()
    };
    harness.track_many(5);
    harness.wait_for(|| commits(&harness).last() == Some(&(true, 5)));
    disk.set_fault(Fault::Sync);
    harness.track_many(5);
    harness.wait_for(|| commits(&harness).last().is_some_and(|(persisted, _)| !persisted));
    disk.set_fault(Fault::None);
    harness.skip(Duration::from_secs(6));

    harness.wait_until(|stats| stats.spool == SpoolState::Ready);
    harness.track_many(1);
    harness.wait_for(|| commits(&harness).last() == Some(&(true, 11)));
    disk.lose_power(&mut fastrand::Rng::with_seed(3));
    Box::leak(Box::new(harness));
    let server = Server::replying([]);
    let next = Harness::on_disk(spooling(&server.url), &disk);
    next.wait_until(|stats| stats.recovered >= 11);
}

#[test]
fn spool_clock_jumps_neither_lose_nor_hold_back_events() {
    // Forward and backward, by an hour and by a year, with events on disk and in memory.
    let (start, mut accepted) = (Instant::now(), 0);
    for jump in [3_600, -3_600, 365 * 86_400, -365 * 86_400_i64] {
        let disk = SimulatedDisk::default();
        killed_with(&disk, 50);
        let server = Server::replying([Reply::Status(500)]);
        let harness = Harness::with_clock_off_by(spooling(&server.url), &disk, jump);
        harness.track_many(50);
        harness.set_wall_offset(0);
        harness.skip(Duration::from_secs(61));

        harness.wait_until(|stats| stats.recovered == 50);
        harness.flush();
        assert!(harness.dropped().is_empty(), "{jump}: {:?}", harness.dropped());
        assert_eq!(harness.delivered().len(), 100);
        accepted += harness.stats().accepted;
    }
    println!(
        "chaos: {{\"row\":\"clock\",\"accepted\":{accepted},\"kills\":4,\"faults\":8,\"lost\":0,\"corrupted\":0,\"seconds\":{:.1}}}",
        start.elapsed().as_secs_f64()
    );
}

#[test]
fn spool_clock_decides_on_age_only_after_a_second_look() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 50);
    let server = Server::replying([]);
    let eight_days = 8 * 86_400;
    let harness = Harness::with_clock_off_by(spooling(&server.url), &disk, eight_days);
    harness.wait_until(|stats| stats.orphans.is_some());
    assert_eq!((harness.stats().recovered, harness.stats().orphans), (0, Some(1)));
    harness.skip(Duration::from_secs(61));
    // An event, to wake it.
    harness.track_many(1);
    harness.wait_until(|stats| stats.recovered == 50);
    harness.flush();
    assert_eq!(harness.stats().dropped, [("expired", 50)].into());
    assert_eq!(harness.delivered(), [0]);
}

#[test]
fn what_was_recovered_leaves_at_once() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 3);
    let server = Server::replying([]);
    let harness = Harness::on_disk(spooling(&server.url), &disk);
    harness.wait_until(|stats| stats.delivered == 3);
}

#[test]
fn what_segment_refuses_is_kept_for_people_to_look_at() {
    let disk = SimulatedDisk::default();
    let server = Server::start(|_, _| Reply::Status(400));
    let harness = Harness::on_disk(spooling(&server.url), &disk);
    harness.track_many(1);
    harness.flush();
    let letters: Vec<_> =
        disk.files().into_iter().filter(|path| path.to_string_lossy().contains("/dead/")).collect();
    assert_eq!(letters.len(), 1);
    let text = String::from_utf8_lossy(&disk.content(&letters[0])).into_owned();
    assert!(
        text.contains(r#"{"reason":"rejected","status":400,"attempts":"#) && text.contains(r#""n":0"#),
        "{text}"
    );
}

#[test]
fn a_disabled_client_leaves_the_spool_alone() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 3);
    let files = disk.files();
    let disabled = Options { disable: Some(true), ..spooling("https://segment.invalid") };
    let harness = Harness::on_disk(disabled, &disk);
    harness.track_many(2);
    harness.flush();
    assert_eq!((harness.stats().accepted, harness.stats().spool), (2, SpoolState::Off));
    assert_eq!(disk.files(), files);
}

#[test]
fn the_end_of_a_batch_is_noted_on_disk_before_another_takes_its_place() {
    // A disk that takes longer than 50 ms holds nobody up.
    for (latency, pause) in [(20, 20), (1_000, 50)] {
        let server = Server::replying([]);
        let one_by_one =
            Options { flush_at: Some(1.0), max_concurrent_requests: Some(1.0), ..spooling(&server.url) };
        let harness = Harness::on_disk(one_by_one, &SimulatedDisk::default());
        harness.world().disk_latency = Box::new(move || Duration::from_millis(latency));
        harness.track_many(3);
        harness.flush();
        let sent_at = harness.world().sent_at.clone();
        let pauses: Vec<_> = sent_at.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000).collect();
        // One millisecond is the answer's.
        assert_eq!(pauses, [pause + 1; 2], "a disk that takes {latency} ms");
    }
}

#[test]
fn what_is_read_while_nothing_may_be_sent_leaves_when_it_may() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 3);
    let server = Server::replying([Reply::Status(401)]);
    let harness = Harness::on_disk(spooling(&server.url), &disk);
    harness.world().disk_latency = Box::new(|| Duration::from_secs(5));
    // Its refusal is told, so that it does not wait: nothing but what is on disk is left.
    harness.track_and_wait(100);
    harness.begin_flush(9, None, false);
    harness.pass(Duration::from_secs(60));
    assert_eq!((harness.stats().recovered, server.requests().len()), (3, 1));
    harness.pass(Duration::from_secs(300));
    assert_eq!(harness.delivered(), [0, 1, 2]);
}

#[test]
fn files_of_which_nothing_is_needed_any_more_are_removed() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let (server, disk) = (Server::replying([]), SimulatedDisk::default());
        let spool = SpoolOptions {
            max_bytes: Some(1_048_576.0),
            directory: "/spool".into(),
            ..SpoolOptions::default()
        };
        let options = Options { spool: Some(spool), overflow: Some(overflow), ..spooling(&server.url) };
        let harness = Harness::on_disk(options, &disk);
        harness.track_many(1_500);
        assert!(disk.files().len() > 4);
        harness.flush();
        harness.pass(Duration::from_secs(60));
        let files = disk.files();
        assert!(files.len() <= 2, "the one that is written and the one prepared: {files:?}");
    }
}

#[test]
fn whoever_waits_for_an_event_hears_that_its_file_was_given_up() {
    let server = Server::start(|_, _| Reply::Hang);
    let spool =
        SpoolOptions { max_bytes: Some(1_048_576.0), directory: "/spool".into(), ..SpoolOptions::default() };
    let options = Options {
        spool: Some(spool),
        overflow: Some(Overflow::DropOldest),
        max_queue_bytes: Some(65_536.0),
        ..spooling(&server.url)
    };
    let harness = Harness::on_disk(options, &SimulatedDisk::default());
    harness.change_interest(|interest| interest.dropped = false);
    harness.track_many(1_000);
    harness.track_and_wait(1_000);
    harness.track_many(5_000);
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.dropped(), [(("queue_full", None), vec![1_000])].into());
}

#[test]
fn closing_tells_whoever_waits_for_an_event_that_is_on_disk_alone_that_it_is_kept() {
    let server = Server::start(|_, _| Reply::Hang);
    let small = Options { max_queue_bytes: Some(65_536.0), ..spooling(&server.url) };
    let harness = Harness::on_disk(small, &SimulatedDisk::default());
    harness.track_many(1_000);
    harness.track_and_wait(1_000);
    let report = harness.close(Duration::from_secs(1));
    assert_eq!(
        (report.stats.queue_bytes, harness.stats().queue_bytes, harness.stats().spooled),
        (0, 0, 1_001)
    );
    let kept = harness.notices().into_iter().find_map(|notice| match notice {
        Notice::Kept { events } => Some(events),
        _ => None,
    });
    let [event] = kept.unwrap().try_into().unwrap();
    assert_eq!(number(&event.bytes), 1_000);
}
