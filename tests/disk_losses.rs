//! A disk that loses files, pieces of work or the outcome of a commit: what of it is noticed, and what it costs.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use companion_segment::testing::{Durability, Level, Notice, Options, SpoolOptions, SpoolState};

use crate::support::disk::{Fault, SimulatedDisk};
use crate::support::{Harness, Reply, Server, options};

fn spooling(url: &str, durability: Durability) -> Options {
    let spool =
        SpoolOptions { directory: "/spool".into(), durability: Some(durability), ..SpoolOptions::default() };
    Options { spool: Some(spool), ..options(url) }
}

fn delete_all(disk: &SimulatedDisk) {
    for path in disk.files() {
        disk.delete(&path);
    }
}

fn commits(harness: &Harness) -> Vec<(bool, u64)> {
    let commit = |notice| match notice {
        Notice::Persisted { persisted, up_to } => Some((persisted, up_to)),
        _ => None,
    };
    harness.notices().into_iter().filter_map(commit).collect()
}

/// Of many events most are on disk alone, and the first request holds up all others.
fn with_little_memory(url: &str) -> Options {
    Options {
        max_queue_bytes: Some(65_536.0),
        max_concurrent_requests: Some(1.0),
        http_request_timeout: Some(300_000.0),
        ..spooling(url, Durability::Process)
    }
}

#[test]
fn an_event_is_committed_although_nothing_is_to_be_sent() {
    let server = Server::replying([]);
    let options = spooling(&server.url, Durability::Power);
    let harness = Harness::on_disk(options, &SimulatedDisk::default());
    harness.pass(Duration::from_secs(1));
    harness.world().nodes[0].memory.take();
    // The first to come is looked at for its own sake.
    for number in 0..2 {
        harness.track(number).unwrap();
        harness.pass(Duration::from_millis(1));
    }
    assert_eq!((commits(&harness), server.requests().len()), (vec![(true, 1), (true, 2)], 0));
}

#[test]
fn a_commit_whose_outcome_nobody_knows_has_failed() {
    let server = Server::replying([]);
    let options = spooling(&server.url, Durability::Power);
    let harness = Harness::on_disk(options, &SimulatedDisk::default());
    harness.pass(Duration::from_secs(1));
    harness.world().nodes[0].memory.take();
    harness.track(0).unwrap();
    harness.world().panic(0);
    harness.pass(Duration::from_millis(1));
    assert_eq!(commits(&harness), [(false, 1)]);
    harness.pass(Duration::from_secs(60));
    assert_eq!(commits(&harness).last(), Some(&(true, 1)), "written and committed once more");
}

#[test]
fn a_deleted_file_is_noticed_and_written_again_although_nothing_is_to_be_sent() {
    let (server, disk) = (Server::replying([]), SimulatedDisk::default());
    let harness = Harness::on_disk(spooling(&server.url, Durability::Process), &disk);
    harness.track(0).unwrap();
    harness.pass(Duration::from_secs(1));
    delete_all(&disk);
    harness.track(1).unwrap();
    harness.pass(Duration::from_millis(150));
    assert_eq!(harness.stats().spool, SpoolState::Degraded);
    harness.pass(Duration::from_secs(60));
    assert_eq!((harness.stats().spool, server.requests().len()), (SpoolState::Ready, 0));
    assert!(commits(&harness).is_empty(), "only who asks for commits pays for them");
    disk.kill();
    let next = Harness::on_disk(spooling(&server.url, Durability::Process), &disk);
    next.pass(Duration::from_secs(60));
    assert_eq!(next.stats().recovered, 2);
}

#[test]
fn what_was_on_a_deleted_disk_alone_is_counted_as_lost() {
    let (server, disk) = (Server::replying([Reply::Hang, Reply::Hang]), SimulatedDisk::default());
    let small = with_little_memory(&server.url);
    let harness = Harness::on_disk(small, &disk);
    harness.track_many(2_000);
    harness.track_and_wait(2_000);
    delete_all(&disk);
    let report = harness.flush();
    let lost = report.stats.dropped["spool_damaged"];
    assert!(lost > 1_000, "{lost}");
    assert_eq!(report.stats.delivered, 2_001 - lost, "what was in memory");
    let told = |notice: &Notice| matches!(notice, Notice::Dropped { events, .. } if events.len() == 1 && events[0].sequence == 2_001);
    assert!(harness.notices().iter().any(told), "whoever waits hears of it");
}

#[test]
fn a_piece_of_work_that_comes_to_no_end_is_a_disk_that_fails() {
    let (server, disk) = (Server::replying([]), SimulatedDisk::default());
    let harness = Harness::on_disk(spooling(&server.url, Durability::Process), &disk);
    harness.world().loses_jobs = true;
    harness.track(0).unwrap();
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.stats().spool, SpoolState::Degraded);
    harness.world().loses_jobs = false;
    harness.pass(Duration::from_secs(60));
    assert_eq!(harness.stats().spool, SpoolState::Ready);
    harness.flush();
    assert_eq!(harness.delivered(), [0]);
}

#[test]
fn what_is_given_up_is_among_the_dead_letters_before_a_flush_ends_with_a_refused_write_key() {
    let server = Server::replying([Reply::Status(401)]);
    let options = spooling(&server.url, Durability::Process);
    let harness = Harness::on_disk(options, &SimulatedDisk::default());
    harness.pass(Duration::from_secs(1));
    harness.world().disk_latency = Box::new(|| Duration::from_secs(1));
    harness.track_and_wait(0);
    harness.track(1).unwrap();
    let report = harness.flush();
    assert_eq!((report.stats.pending, report.stats.dropped["unauthorized"]), (1, 1));
}

#[test]
fn closing_waits_for_a_disk_that_never_answers_half_a_second_at_most() {
    let server = Server::replying([]);
    let options = spooling(&server.url, Durability::Process);
    let harness = Harness::on_disk(options, &SimulatedDisk::default());
    harness.pass(Duration::from_secs(1));
    harness.track(0).unwrap();
    harness.world().disk_latency = Box::new(|| Duration::from_secs(3_600));
    let began = harness.world().now();
    let report = harness.close(Duration::from_millis(100));
    assert_eq!(report.stats.delivered, 1);
    assert!(harness.world().now() - began < 700_000);
}

#[test]
fn closing_does_not_wait_until_dead_letters_are_kept() {
    let server = Server::replying([Reply::Status(402)]);
    let options = spooling(&server.url, Durability::Process);
    let harness = Harness::on_disk(options, &SimulatedDisk::default());
    harness.pass(Duration::from_secs(1));
    harness.world().disk_latency = Box::new(|| Duration::from_secs(3_600));
    harness.track(0).unwrap();
    let began = harness.world().now();
    harness.close(Duration::from_millis(100));
    assert!(harness.world().now() - began < 700_000);
    assert_eq!(harness.dropped(), [(("rejected", Some(402)), vec![0])].into());
    assert_eq!(harness.stats().pending, 0);
}

#[test]
fn what_was_in_memory_only_is_written_piece_by_piece_once_the_disk_is_back() {
    let (server, disk) = (Server::start(|_, _| Reply::Hang), SimulatedDisk::default());
    // Some are in flight, more are in the queue.
    let few = Options {
        flush_at: Some(100.0),
        max_concurrent_requests: Some(1.0),
        ..spooling(&server.url, Durability::Process)
    };
    let harness = Harness::on_disk(few, &disk);
    disk.set_fault(Fault::All);
    harness.track_many(1_000);
    assert_eq!(harness.stats().spool, SpoolState::Degraded);
    disk.set_fault(Fault::None);
    harness.pass(Duration::from_secs(14));
    assert_eq!(harness.stats().spool, SpoolState::Ready);
    disk.kill();
    Box::leak(Box::new(harness));
    let next = Harness::on_disk(spooling(&server.url, Durability::Process), &disk);
    next.pass(Duration::from_secs(60));
    assert_eq!(next.stats().recovered, 1_000);
}

#[test]
fn a_file_that_could_not_be_committed_goes_when_all_of_it_is_written_elsewhere() {
    let (server, disk) = (Server::start(|_, _| Reply::Hang), SimulatedDisk::default());
    let harness = Harness::on_disk(spooling(&server.url, Durability::Power), &disk);
    harness.pass(Duration::from_secs(1));
    disk.set_fault(Fault::Sync);
    harness.track(0).unwrap();
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.stats().spool, SpoolState::Degraded);
    let holds_event = |path: &&PathBuf| String::from_utf8_lossy(&disk.content(path)).contains("messageId");
    let files = disk.files();
    let first: Vec<_> = files.iter().filter(holds_event).collect();
    assert_eq!(first.len(), 1);
    disk.set_fault(Fault::None);
    harness.pass(Duration::from_secs(60));
    assert_eq!((harness.stats().spool, harness.stats().pending), (SpoolState::Ready, 1));
    let files = disk.files();
    let second: Vec<_> = files.iter().filter(holds_event).collect();
    assert!(second.len() == 1 && first != second, "{first:?} {second:?}");
}

#[test]
fn an_event_that_is_damaged_on_disk_before_it_is_read_is_counted_as_lost() {
    let (server, disk) = (Server::replying([Reply::Hang]), SimulatedDisk::default());
    let small = with_little_memory(&server.url);
    let harness = Harness::on_disk(small, &disk);
    harness.track_many(2_000);
    let files = disk.files();
    let path = files.iter().max_by_key(|path| disk.content(path).len()).unwrap();
    let mut bytes = disk.content(path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.replace(path, bytes);
    let report = harness.flush();
    assert_eq!((report.stats.delivered, &report.stats.dropped), (1_999, &[("spool_damaged", 1)].into()));
}

#[test]
fn what_is_found_on_disk_is_said() {
    let (server, disk) = (Server::start(|_, _| Reply::Hang), SimulatedDisk::default());
    let harness = Harness::on_disk(spooling(&server.url, Durability::Process), &disk);
    harness.track_many(9);
    disk.kill();
    Box::leak(Box::new(harness));
    let files = disk.files();
    let path = files.iter().max_by_key(|path| disk.content(path).len()).unwrap();
    let mut bytes = disk.content(path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.replace(path, bytes);
    let next = Harness::on_disk(spooling(&server.url, Durability::Process), &disk);
    next.listen_to(Level::Info);
    next.pass(Duration::from_secs(60));
    let lines = next.lines();
    let damage = r#"warn: damage in the spool: sound records are kept {"damaged":1,"torn_bytes":0}"#;
    let found = r#"info: events recovered {"damaged":1,"events":8}"#;
    assert_eq!(lines.iter().filter(|line| line.starts_with("warn")).collect::<Vec<_>>(), [damage]);
    assert!(lines.iter().any(|line| line == found), "{lines:?}");
}

#[test]
fn a_spool_without_room_is_left_alone_for_a_while_and_then_written_again() {
    let is_well = Rc::new(Cell::new(false));
    let well = Rc::clone(&is_well);
    let server = Server::start(move |_, _| if well.get() { Reply::Status(200) } else { Reply::Status(503) });
    let disk = SimulatedDisk::default();
    let mut small = spooling(&server.url, Durability::Process);
    small.spool.as_mut().unwrap().max_bytes = Some(1_048_576.0);
    let harness = Harness::on_disk(small, &disk);
    disk.set_fault(Fault::All);
    harness.track_many(5_000);
    disk.set_fault(Fault::None);
    harness.pass(Duration::from_secs(60));
    assert_eq!((harness.stats().spool, harness.stats().pending), (SpoolState::Degraded, 5_000));
    is_well.set(true);
    harness.flush();
    harness.pass(Duration::from_secs(60));
    assert_eq!((harness.stats().spool, harness.stats().delivered), (SpoolState::Ready, 5_000));
}

#[test]
fn what_goes_wrong_is_told_with_the_event_that_it_concerned() {
    let (server, disk) = (Server::replying([]), SimulatedDisk::default());
    let harness = Harness::on_disk(spooling(&server.url, Durability::Process), &disk);
    harness.pass(Duration::from_secs(1));
    harness.track(0).unwrap();
    disk.set_fault(Fault::Full);
    // Nothing leaves, and nobody waits for it.
    harness.track(1).unwrap();
    let is_trouble = |notice: &Notice| matches!(notice, Notice::Trouble { .. });
    assert_eq!(harness.notices().iter().filter(|notice| is_trouble(notice)).count(), 1);
}

#[test]
fn a_disk_that_still_fails_is_left_alone_for_seconds() {
    let (server, disk) = (Server::replying([]), SimulatedDisk::default());
    let harness = Harness::on_disk(spooling(&server.url, Durability::Process), &disk);
    disk.set_fault(Fault::All);
    harness.track(0).unwrap();
    let before = harness.world().steps;
    harness.pass(Duration::from_secs(60));
    let steps = harness.world().steps - before;
    assert!((12..100).contains(&steps), "{steps} in a minute");
    assert_eq!(harness.stats().spool, SpoolState::Degraded);
}

#[test]
fn an_event_is_persisted_when_its_durability_says_so() {
    for durability in [Durability::Process, Durability::Power] {
        let (server, disk) = (Server::replying([]), SimulatedDisk::default());
        let harness = Harness::on_disk(spooling(&server.url, durability), &disk);
        harness.pass(Duration::from_secs(1));
        let is_persisted = |sequence| harness.with(|client| client.is_persisted(sequence));
        let at_once = (durability == Durability::Process).then_some(true);
        assert_eq!(harness.track(0), Ok(1));
        assert_eq!(is_persisted(1), at_once, "{durability:?}");
        harness.pass(Duration::from_secs(1));
        assert_eq!(is_persisted(1), Some(true));
        disk.set_fault(Fault::All);
        assert_eq!(harness.track(1), Ok(2));
        assert_eq!(is_persisted(2), Some(false));
        disk.set_fault(Fault::None);
        harness.pass(Duration::from_secs(60));
        assert_eq!(is_persisted(2), Some(true), "it was written when the disk was back");
    }
}
