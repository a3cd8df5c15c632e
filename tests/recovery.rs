//! What ended processes left, by itself: what is looked into when, how much of it at once, and by whose clock it is old.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use companion_segment::testing::{
    Acknowledgement, Disk, Done, Durability, Examined, Job, Maintenance, Place, Recovery, Secret, Settings,
    SpoolConfig, Tail,
};

use crate::support::disk::{Fault, SimulatedDisk};

const START: Duration = Duration::ZERO;
const LATER: Duration = Duration::from_secs(61);
const DAY_MS: i64 = 86_400_000;
const EPOCH: i64 = 1_767_225_600_000;
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Of the records below.
const RECORD: u64 = 25 + 1_000;
/// The least that recovered events may take in memory: two of the largest.
const MEMORY: usize = 64 * 1024;

struct Bench {
    maintenance: Maintenance,
    recovery: Recovery,
    adopted: u32,
    last_sequence: u64,
    reads: Vec<usize>,
    lost: Vec<u64>,
}

fn settings() -> Arc<Settings> {
    settings_with(10)
}

/// Settings with so many records in a file.
fn settings_with(records: u64) -> Arc<Settings> {
    let config = SpoolConfig {
        directory: "/spool".into(),
        durability: Durability::Process,
        max_bytes: 1 << 22,
        encryption_keys: Vec::new(),
    };
    let mut settings = Settings::new(&config, &Secret::new("key".to_owned()));
    settings.segment_bytes = 64 + records * RECORD;
    Arc::new(settings)
}

/// A process that accepted so many events in files of ten, and was killed.
fn killed_with(disk: &SimulatedDisk, events: u64) {
    killed_on(settings(), disk, events);
}

fn killed_on(settings: Arc<Settings>, disk: &SimulatedDisk, events: u64) {
    let disk_of_it: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut tail = Tail::open(settings, disk_of_it, fastrand::Rng::with_seed(events), EPOCH, START);
    for sequence in 1..=events {
        tail.append(sequence, 0, &[b'x'; 1_000], START).unwrap();
    }
    disk.kill();
}

impl Bench {
    fn new(disk: &SimulatedDisk, max_spool_bytes: u64) -> Self {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        Self {
            maintenance: Maintenance::new(settings(), shared, fastrand::Rng::with_seed(1)),
            recovery: Recovery::new(WEEK, max_spool_bytes, 0, START, EPOCH),
            adopted: 0,
            last_sequence: 0,
            reads: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Does the next job, if there is one, and says which it was.
    fn step(&mut self, now: Duration, wall: i64, is_leaving: bool) -> Option<&'static str> {
        self.recovery.reconsider(now);
        let job = self.recovery.next_job(None, now, 7, is_leaving)?;
        assert!(self.recovery.next_job(None, now, 7, is_leaving).is_none(), "one at a time");
        let name = match &job {
            Job::Scan { .. } => "scan",
            Job::Claim(_) => "claim",
            Job::Survey(_) => "survey",
            Job::Read { budget, .. } => {
                self.reads.push(*budget);
                "read"
            }
            Job::Release(_) => "release",
            other => panic!("{other:?}"),
        };
        match self.maintenance.run(job) {
            Done::Scanned(found) => self.recovery.scanned(found.ok(), now, 0.5),
            Done::Claimed(path, numbers) => self.recovery.claimed(path, numbers),
            Done::Surveyed(path, found) => {
                if let Examined::Adoptable(adoptable) = self.recovery.surveyed(path, found, now, wall) {
                    self.adopted += 1;
                    let first = self.last_sequence + 1;
                    self.last_sequence += adoptable.events();
                    self.recovery.adopt(adoptable, self.adopted, first);
                }
            }
            Done::Read(plan, back) => {
                let lost = self.recovery.load(&plan, back.unwrap());
                self.lost.extend(lost.iter().map(|(sequence, _)| sequence));
            }
            Done::Released => self.recovery.released(),
            other => panic!("{other:?}"),
        }
        self.recovery.check();
        Some(name)
    }

    /// Does everything that can be done at this moment.
    fn steps(&mut self, now: Duration, wall: i64) -> Vec<&'static str> {
        let steps: Vec<_> = std::iter::from_fn(|| self.step(now, wall, false)).take(100).collect();
        assert!(steps.len() < 100, "it comes to rest: {steps:?}");
        steps
    }
}

#[test]
fn a_little_of_it_is_in_memory_and_that_is_refilled_by_halves() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 200);
    let mut bench = Bench::new(&disk, 1 << 30);
    bench.steps(START, EPOCH);
    assert_eq!(bench.reads[0], MEMORY / 2);
    let loaded = bench.recovery.loaded_bytes();
    assert!((MEMORY / 2..=MEMORY).contains(&loaded), "{loaded}");
    let mut taken = 0;
    while bench.recovery.loaded_bytes() > MEMORY / 2 {
        let entry = bench.recovery.pop().unwrap();
        taken += 1;
        assert_eq!(entry.sequence, taken, "in their order");
        bench.recovery.release(entry.cost());
    }
    assert_eq!(bench.step(START, EPOCH, true), Some("read"), "what was taken over is sent on a way out, too");
}

#[test]
fn never_more_of_it_than_half_of_the_spool_and_nothing_on_a_way_out() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 100);
    // Half of it are two files and a bit.
    let mut bench = Bench::new(&disk, 4 * 11 * RECORD);
    let names: Vec<_> = (0..3).map(|_| bench.step(START, EPOCH, false).unwrap()).collect();
    assert_eq!((names, bench.recovery.orphans()), (vec!["scan", "claim", "survey"], Some(9)));
    assert_eq!(bench.recovery.oldest_unread_at(), Some((EPOCH.unsigned_abs(), EPOCH)));
    while bench.step(START, EPOCH, true) == Some("read") {}
    assert_eq!(bench.recovery.oldest_unread_at(), None);
    assert_eq!((bench.adopted, bench.step(START, EPOCH, true)), (1, None));
    bench.steps(START, EPOCH);
    assert_eq!((bench.adopted, bench.recovery.orphans()), (3, Some(7)));
    assert_eq!(bench.recovery.due_at(), None, "until something of it is settled");
    // What is noted of a file counts, too.
    let before = bench.recovery.bytes();
    bench.recovery.settle(1, 3, 2);
    assert_eq!(bench.recovery.bytes(), before + 2 * 20);
    bench.recovery.settle(1, 7, 1);
    assert_eq!(bench.recovery.bytes(), 2 * (64 + 10 * RECORD));
    assert_eq!(bench.recovery.due_at(), Some(Duration::ZERO));
}

#[test]
fn others_are_looked_for_once_a_minute_give_or_take_a_tenth() {
    let disk = SimulatedDisk::default();
    for (spread, seconds) in [(0.0, 54), (0.5, 60), (1.0, 66)] {
        let mut recovery = Bench::new(&disk, 1 << 20).recovery;
        assert!(matches!(recovery.next_job(None, START, 7, false), Some(Job::Scan { .. })));
        recovery.scanned(Some(Vec::new()), Duration::from_secs(5), spread);
        let due = recovery.due_at().unwrap();
        let too_early = due.saturating_sub(Duration::from_millis(1));
        assert!(due.abs_diff(Duration::from_secs(5 + seconds)) < Duration::from_millis(1), "{due:?}");
        assert!(recovery.next_job(None, too_early, 7, false).is_none());
        assert!(matches!(recovery.next_job(None, due, 7, false), Some(Job::Scan { .. })));
    }
}

#[test]
fn what_seems_too_old_is_put_off_until_the_clock_has_run_evenly_for_a_while() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 5);
    let mut bench = Bench::new(&disk, 1 << 20);
    let in_eight_days = EPOCH + 8 * DAY_MS;
    // The clock is set once the client runs.
    let after = |now: Duration| in_eight_days + i64::try_from(now.as_millis()).unwrap();
    assert_eq!(bench.steps(START, after(START)), ["scan", "claim", "survey"]);
    assert_eq!((bench.adopted, bench.recovery.orphans()), (0, Some(1)), "its directory is not given back");
    assert_eq!(bench.recovery.due_at(), Some(Duration::from_secs(60)));
    assert!(bench.steps(Duration::from_secs(59), after(START)).is_empty(), "not before");
    assert_eq!(bench.steps(LATER, after(LATER)), ["survey", "read"], "a second look");
    assert_eq!(bench.adopted, 1);
}

#[test]
fn a_clock_that_has_just_jumped_makes_nothing_old() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 5);
    let mut bench = Bench::new(&disk, 1 << 20);
    // It was right for ten minutes.
    let now = Duration::from_secs(600);
    bench.steps(now, EPOCH + 600_000 + 8 * DAY_MS);
    assert_eq!((bench.adopted, bench.recovery.orphans()), (0, Some(1)));
    // And then it is set once more.
    let next = now + Duration::from_secs(60);
    assert_eq!(bench.steps(next, EPOCH + 660_000 + 16 * DAY_MS), ["survey"]);
    assert_eq!((bench.adopted, bench.recovery.due_at()), (0, Some(next + Duration::from_secs(60))));
}

#[test]
fn a_directory_stays_ours_while_something_of_it_is_not_settled() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 5);
    let mut bench = Bench::new(&disk, 1 << 20);
    assert_eq!(bench.steps(START, EPOCH), ["scan", "claim", "survey", "read"]);
    let entry = bench.recovery.oldest().unwrap();
    assert_eq!(entry.place, Some(Place { segment: 1, sequence: 1 }));
    bench.recovery.settle(1, 4, 1);
    assert!(bench.steps(START, EPOCH).is_empty());
    bench.recovery.settle(1, 1, 1);
    assert_eq!(bench.steps(START, EPOCH), ["release"]);
    assert!(disk.files().iter().all(|file: &PathBuf| file.extension().is_some()));
}

#[test]
fn what_was_in_a_file_that_is_gone_is_lost() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 15);
    let mut bench = Bench::new(&disk, 1 << 20);
    let names: Vec<_> = (0..3).map(|_| bench.step(START, EPOCH, false).unwrap()).collect();
    assert_eq!(names, ["scan", "claim", "survey"]);
    disk.delete(&disk.files()[0]);
    bench.steps(START, EPOCH);
    assert_eq!(bench.lost, (1..=10).collect::<Vec<_>>());
    assert_eq!(bench.recovery.pop().map(|entry| entry.sequence), Some(11));
}

fn directories(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let parent = &settings().directory;
    disk.list(parent).unwrap().into_iter().map(|item| parent.join(item.name)).collect()
}

#[test]
fn of_those_whose_owners_lived_only_a_few_are_tried_again() {
    let disk = SimulatedDisk::default();
    (1..=40).for_each(|events| killed_with(&disk, events));
    let all = directories(&disk);
    assert_eq!(all.len(), 40);
    disk.prepare(&settings().directory.join("dead")).unwrap();
    let mut maintenance = Bench::new(&disk, 1 << 20).maintenance;
    let mut scan = |known: &[PathBuf]| {
        let Done::Scanned(found) = maintenance.run(Job::Scan { known: known.to_vec(), seed: 3 }) else {
            panic!("a scan");
        };
        let mut found = found.unwrap();
        found.sort();
        found
    };
    let locks: Vec<_> = all.iter().map(|directory| disk.lock(directory).unwrap().unwrap()).collect();
    assert!(scan(&[]).is_empty());
    drop(locks);
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(scan(&[]).len());
    }
    assert_eq!(counts, [16, 32, 40, 40], "sixteen more each time");
    let but_for_two = scan(&all[..2]);
    assert!(but_for_two.iter().map(|(path, _)| path).eq(&all[2..]));
    let files: usize = but_for_two.iter().map(|(_, segments)| segments).sum();
    let of_two = |file: &PathBuf| all[..2].iter().any(|directory| file.starts_with(directory));
    assert_eq!(files, disk.files().iter().filter(|file| !of_two(file)).count());
}

#[test]
fn a_directory_with_nothing_in_it_is_removed() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 0);
    assert_eq!(directories(&disk).len(), 1);
    let mut bench = Bench::new(&disk, 1 << 20);
    assert_eq!(bench.steps(START, EPOCH), ["scan", "claim"]);
    assert!(directories(&disk).is_empty());
}

#[test]
fn as_many_are_read_as_cost_no_more_than_allowed_but_at_least_one() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 5);
    let mut bench = Bench::new(&disk, 1 << 20);
    (0..3).for_each(|_| assert!(bench.step(START, EPOCH, false).is_some()));
    let Some(Job::Read { plan, .. }) = bench.recovery.next_job(None, START, 7, false) else {
        panic!("something to read");
    };
    for (budget, count) in [(0, 1), (RECORD, 1), (2 * RECORD - 1, 1), (2 * RECORD, 2), (1 << 20, 5)] {
        let budget = usize::try_from(budget).unwrap();
        let Done::Read(_, back) = bench.maintenance.run(Job::Read { plan: plan.clone(), budget }) else {
            panic!("it is read");
        };
        let back = back.unwrap();
        assert_eq!((back.count, back.events.len() as u64), (count, count), "{budget}");
        assert_eq!((back.offset, back.lost.len()), (64 + count * RECORD, 0), "the next begins behind it");
    }
}

#[test]
fn what_is_noted_of_a_file_counts_with_it() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 5);
    let noted = Acknowledgement { first: 1, last: 2 }.encode();
    disk.open(&disk.files()[0].with_extension("ack")).unwrap().append([&noted, &[]]).unwrap();
    let mut bench = Bench::new(&disk, 1 << 20);
    bench.steps(START, EPOCH);
    assert_eq!((bench.last_sequence, bench.recovery.bytes()), (3, 64 + 5 * RECORD + 20));
}

#[test]
fn damage_that_is_larger_than_what_is_read_at_once_is_passed_over() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 10);
    let mut bench = Bench::new(&disk, 1 << 20);
    (0..3).for_each(|_| assert!(bench.step(START, EPOCH, false).is_some()));
    let file = &disk.files()[0];
    let mut content = disk.content(file);
    let last = content.split_off(64 + 9 * 1_025);
    content.resize(64 + 1_200_000, 0xaa);
    content[64..].fill(0xaa);
    content.extend(last);
    disk.replace(file, content);
    assert_eq!(bench.steps(START, EPOCH), ["read"]);
    assert_eq!(bench.lost, (1..=9).collect::<Vec<_>>());
    assert_eq!(bench.recovery.pop().map(|entry| entry.sequence), Some(10));
}

#[test]
fn a_record_that_a_piece_cuts_off_is_read_with_the_next() {
    let disk = SimulatedDisk::default();
    killed_on(settings_with(2_000), &disk, 1_500);
    let mut bench = Bench::new(&disk, 1 << 24);
    (0..3).for_each(|_| assert!(bench.step(START, EPOCH, false).is_some()));
    let Some(Job::Read { plan, .. }) = bench.recovery.next_job(None, START, 7, false) else {
        panic!("something to read");
    };
    // Even where more is allowed than a piece has.
    let Done::Read(_, back) = bench.maintenance.run(Job::Read { plan, budget: 1 << 24 }) else {
        panic!("it is read");
    };
    let back = back.unwrap();
    assert_eq!((back.count, back.lost.len()), ((1 << 20) / RECORD, 0));
}

#[test]
fn what_follows_a_stretch_is_no_part_of_it() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 10);
    let file = &disk.files()[0];
    let settled = Acknowledgement { first: 6, last: 10 }.encode();
    disk.open(&file.with_extension("ack")).unwrap().append([&settled, &[]]).unwrap();
    let mut bench = Bench::new(&disk, 1 << 20);
    (0..3).for_each(|_| assert!(bench.step(START, EPOCH, false).is_some()));
    let mut content = disk.content(file);
    content[64 + 4 * 1_025 + 100] ^= 1;
    disk.replace(file, content);
    bench.steps(START, EPOCH);
    let read: Vec<_> =
        std::iter::from_fn(|| bench.recovery.pop()).map(|entry| entry.place.unwrap().sequence).collect();
    assert_eq!((read, bench.lost), (vec![1, 2, 3, 4], vec![5]));
}

#[test]
fn a_disk_that_can_not_be_read_now_loses_nothing() {
    let disk = SimulatedDisk::default();
    killed_with(&disk, 5);
    let mut bench = Bench::new(&disk, 1 << 20);
    (0..3).for_each(|_| assert!(bench.step(START, EPOCH, false).is_some()));
    let job = bench.recovery.next_job(None, START, 7, false).unwrap();
    disk.set_fault(Fault::All);
    let Done::Read(_, back) = bench.maintenance.run(job) else { panic!("it is read") };
    assert!(back.is_err());
    bench.recovery.read_failed();
    disk.set_fault(Fault::None);
    assert_eq!(bench.steps(START, EPOCH), ["read"]);
    assert_eq!((bench.lost.len(), bench.recovery.pop().map(|entry| entry.sequence)), (0, Some(1)));
}

#[test]
fn a_spool_that_nobody_has_written_to_yet_is_empty() {
    let mut bench = Bench::new(&SimulatedDisk::default(), 1 << 20);
    assert_eq!((bench.steps(START, EPOCH), bench.recovery.orphans()), (vec!["scan"], Some(0)));
}
