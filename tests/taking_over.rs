//! What ended processes left: whose budget it takes, who takes it, and what happens when somebody stops in the middle.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use companion_segment::testing::{Durability, Level, Options, SpoolOptions};

use crate::support::disk::{Fault, SimulatedDisk};
use crate::support::{Harness, Reply, Server, options};

fn spooling(url: &str) -> Options {
    let spool =
        SpoolOptions { directory: "/spool".into(), max_bytes: Some(1_048_576.0), ..SpoolOptions::default() };
    Options { spool: Some(spool), ..options(url) }
}

/// A process that accepted so many events, from this number on, and was killed.
fn killed_with(disk: &SimulatedDisk, options: Options, numbers: std::ops::Range<u64>) {
    let harness = Harness::on_disk(options, disk);
    for number in numbers {
        harness.track(number).unwrap();
    }
    harness.pass(Duration::from_secs(1));
    disk.kill();
    Box::leak(Box::new(harness));
}

fn down() -> Server {
    Server::start(|_, _| Reply::Status(503))
}

#[test]
fn what_is_taken_over_is_beside_what_new_events_may_take() {
    let (disk, server) = (SimulatedDisk::default(), down());
    for process in 0..3 {
        killed_with(&disk, spooling(&server.url), process * 3_000..process * 3_000 + 3_000);
    }
    let harness = Harness::on_disk(spooling(&server.url), &disk);
    harness.wait_until(|stats| stats.recovered > 0);
    harness.pass(Duration::from_secs(30));
    let stats = harness.stats();
    assert!(stats.queue_bytes > 0 && stats.spool_bytes > 0, "it is counted: {stats:?}");
    assert_eq!(stats.locked, 0);
    for number in 10_000..11_000 {
        harness.track(number).unwrap();
    }
    assert_eq!(harness.stats().refused.len(), 0);
}

#[test]
fn fresh_events_do_not_wait_for_recovered_ones() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, spooling(&down().url), 0..3_000);
    let server = Server::replying([]);
    let harness = Harness::on_disk(
        Options { flush_at: Some(100.0), max_concurrent_requests: Some(1.0), ..spooling(&server.url) },
        &disk,
    );
    harness.wait_until(|stats| stats.delivered > 200);
    for number in 10_000..10_100 {
        harness.track(number).unwrap();
    }
    harness.wait_until(|_| harness.delivered().contains(&10_099));
    assert!(harness.stats().delivered < 1_500, "{}", harness.stats().delivered);
}

#[test]
fn closing_in_the_middle_leaves_everything_to_the_next() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, spooling(&down().url), 0..3_000);
    let hanging = Server::start(|_, _| Reply::Hang);
    // Some have all of it in memory, some have most of it on disk only.
    for (pause, memory) in [0, 100, 1_000, 20_000, 200_000]
        .into_iter()
        .flat_map(|pause| [(pause, None), (pause, Some(65_536.0))])
    {
        let options = Options { max_queue_bytes: memory, ..spooling(&hanging.url) };
        let harness = Harness::on_disk(options, &disk);
        harness.pass(Duration::from_micros(pause));
        let report = harness.close(Duration::from_millis(50));
        assert_eq!(report.stats.dropped.len(), 0, "{:?}", report.stats);
        harness.pass(Duration::from_secs(600));
        let stats = harness.stats();
        assert_eq!((stats.pending, stats.dropped.len(), stats.spool_bytes), (0, 0, 0), "nothing is its own");
        assert_eq!((stats.accepted, stats.spooled), (stats.recovered, stats.recovered));
        let steps = harness.world().steps;
        harness.pass(Duration::from_secs(600));
        assert_eq!(harness.world().steps, steps, "a closed client rests");
    }
    let server = Server::replying([]);
    let next = Harness::on_disk(spooling(&server.url), &disk);
    next.wait_until(|stats| stats.delivered == 3_000);
    assert_eq!(next.stats().dropped.len(), 0);
}

#[test]
fn siblings_share_what_there_is() {
    let (disk, server) = (SimulatedDisk::default(), down());
    for process in 0..6 {
        killed_with(&disk, spooling(&server.url), process * 100..process * 100 + 100);
    }
    let siblings = [(); 3].map(|()| Harness::on_disk(spooling(&server.url), &disk));
    for _ in 0..200 {
        for sibling in &siblings {
            sibling.pass(Duration::from_millis(500));
        }
    }
    let recovered = siblings.each_ref().map(|sibling| sibling.stats().recovered);
    assert!(recovered.iter().all(|events| *events > 0), "{recovered:?}");
}

#[test]
fn a_clock_that_was_wrong_when_events_were_accepted_does_not_make_them_old() {
    for wrong_by in [-8, 8] {
        let (disk, server) = (SimulatedDisk::default(), down());
        let harness = Harness::with_clock_off_by(spooling(&server.url), &disk, wrong_by * 86_400);
        harness.track_many(50);
        harness.pass(Duration::from_secs(5));
        // The machine has found a time server.
        harness.set_wall_offset(0);
        harness.pass(Duration::from_secs(70));
        harness.track(50).unwrap();
        harness.pass(Duration::from_secs(5));
        disk.kill();
        Box::leak(Box::new(harness));
        let server = Server::replying([]);
        let next = Harness::on_disk(spooling(&server.url), &disk);
        next.pass(Duration::from_secs(200));
        let mut delivered = next.delivered();
        delivered.sort_unstable();
        assert!(delivered.into_iter().eq(0..=50), "{wrong_by}: {:?}", next.stats());
    }
}

#[test]
fn what_was_reported_persisted_survives_a_failed_commit_and_a_power_loss() {
    // After each of the things that happen once the disk is tried again.
    for (happenings, commits_early) in
        (0..20).flat_map(|happenings| [(happenings, true), (happenings, false)])
    {
        let (disk, server) = (SimulatedDisk::default(), down());
        let harness = Harness::on_disk(options_on_power(&server.url), &disk);
        harness.world().commits_early = commits_early;
        harness.track_many(8);
        harness.pass(Duration::from_millis(50));
        disk.set_fault(Fault::Sync);
        harness.track(8).unwrap();
        harness.pass(Duration::from_millis(4_900));
        disk.set_fault(Fault::None);
        for _ in 0..happenings {
            harness.world().advance();
        }
        // Of what was not committed, each time another part is there.
        for seed in 0..10 {
            let disk = disk.copy();
            disk.lose_power(&mut fastrand::Rng::with_seed(seed));
            let server = Server::replying([]);
            let next = Harness::on_disk(options_on_power(&server.url), &disk);
            next.pass(Duration::from_secs(120));
            let delivered = next.delivered();
            assert!(
                (0..8).all(|number| delivered.contains(&number)),
                "after {happenings} happenings, commits early: {commits_early}, seed {seed}: {delivered:?}"
            );
        }
    }
}

fn options_on_power(url: &str) -> Options {
    let spool = SpoolOptions {
        directory: "/spool".into(),
        durability: Some(Durability::Power),
        ..SpoolOptions::default()
    };
    Options { spool: Some(spool), ..options(url) }
}

#[test]

fn a_panic_at_any_moment_of_a_recovery_leaves_nothing_behind() {
    for happenings in 0..24 {
        let disk = SimulatedDisk::default();
        killed_with(&disk, spooling(&down().url), 0..40);
        let server = Server::replying([]);
        let next = Harness::on_disk(spooling(&server.url), &disk);
        for _ in 0..happenings {
            next.world().advance();
        }
        next.world().panic(0);
        next.pass(Duration::from_secs(600));
        let delivered: BTreeSet<_> = next.delivered().into_iter().collect();
        assert!(delivered.into_iter().eq(0..40), "after {happenings} happenings: {:?}", next.stats());
    }
}

#[test]
fn what_another_key_would_read_is_set_aside_counted_and_said_once() {
    let with_key = |url: &str, key: u8| {
        let mut options = spooling(url);
        options.spool.as_mut().unwrap().encryption_keys = vec![BASE64_STANDARD.encode([key; 32])];
        options
    };
    let (disk, server) = (SimulatedDisk::default(), down());
    killed_with(&disk, with_key(&server.url, 1), 0..3);
    killed_with(&disk, spooling(&server.url), 3..6);
    let files = disk.files();
    let server = Server::replying([]);
    let harness = Harness::on_disk(with_key(&server.url, 2), &disk);
    harness.listen_to(Level::Info);
    harness.pass(Duration::from_secs(600));
    let stats = harness.stats();
    assert_eq!((stats.recovered, stats.locked, stats.orphans), (3, 1, Some(0)));
    let said = harness.lines().iter().filter(|line| line.contains("encrypted with a key")).count();
    assert_eq!(said, 1);
    let kept: Vec<_> = disk.files().into_iter().filter(|file| files.contains(file)).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
}
