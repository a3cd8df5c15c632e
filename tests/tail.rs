//! The end of the log by itself: when its files are prepared, committed and given up, and what is known of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use companion_segment::testing::{
    Acknowledgement, Chore, Disk, Done, Durability, Job, Maintenance, Place, Secret, Settings, SpoolConfig,
    Tail,
};

use crate::support::disk::{Fault, SimulatedDisk};

const EPOCH: i64 = 1_767_225_600_000;
const HEADER: u64 = 64;
/// Beside the text of an event.
const OVERHEAD: u64 = 25;
const EVENT: &[u8] = br#"{"type":"track"}"#;
const RECORD: u64 = OVERHEAD + 16;
const NOW: Duration = Duration::ZERO;

/// A log whose segments have room for four events.
struct Log {
    disk: SimulatedDisk,
    tail: Tail,
    maintenance: Maintenance,
}

impl Log {
    fn open(durability: Durability, max_bytes: u64) -> Self {
        let config =
            SpoolConfig { directory: "/spool".into(), durability, max_bytes, encryption_keys: Vec::new() };
        let mut settings = Settings::new(&config, &Secret::new("key".to_owned()));
        settings.segment_bytes = HEADER + 4 * RECORD;
        let (settings, disk) = (Arc::new(settings), SimulatedDisk::default());
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let chance = fastrand::Rng::with_seed(1);
        let tail = Tail::open(Arc::clone(&settings), Arc::clone(&shared), chance.clone(), EPOCH, NOW);
        Self { disk, tail, maintenance: Maintenance::new(settings, shared, chance) }
    }

    /// Appends an event that was accepted so many milliseconds after the client's zero.
    fn append(&mut self, sequence: u64, at_ms: i64) -> Option<(Place, u64)> {
        self.tail.append(sequence, at_ms, EVENT, NOW).ok()
    }

    /// Prepares a segment; returns the file of one that is not taken.
    fn prepare(&mut self, directory: PathBuf, number: u64) -> Option<PathBuf> {
        let created_at = EPOCH.unsigned_abs();
        let Done::Prepared(Ok(prepared)) =
            self.maintenance.run(Job::Prepare { directory, number, created_at })
        else {
            panic!("nothing is prepared");
        };
        self.tail.prepared(prepared)
    }

    fn commit(&mut self) {
        let up_to = self.tail.take_sync().expect("something to commit").run().unwrap();
        self.tail.synced(up_to);
    }
}

fn on_process() -> Log {
    Log::open(Durability::Process, 1 << 20)
}

#[test]
fn the_bound_is_exact() {
    let mut log = Log::open(Durability::Process, HEADER + 3 * RECORD);
    let taken = (1..=4).map(|sequence| log.append(sequence, 0).is_some()).collect::<Vec<_>>();
    assert_eq!(taken, [true, true, true, false]);
    assert_eq!(log.tail.bytes(), HEADER + 3 * RECORD);
    assert!(!log.tail.has_room(0), "not even for the shortest");
}

#[test]
fn the_next_segment_is_prepared_once_when_half_of_one_is_written() {
    let mut log = on_process();
    let mut wanted = Vec::new();
    for sequence in 1..=4 {
        log.append(sequence, 0).unwrap();
        if let Some((directory, number)) = log.tail.wants_prepared() {
            wanted.push((sequence, number));
            assert_eq!(log.prepare(directory, number), None);
        }
    }
    assert_eq!(wanted, [(2, 2)]);
    let files = log.disk.files();
    let (place, _) = log.append(5, 0).unwrap();
    assert_eq!((place.segment, log.disk.files()), (2, files), "it is written to the one that was prepared");
}

#[test]
fn a_segment_that_was_prepared_in_vain_is_given_back() {
    let mut log = on_process();
    log.append(1, 0).unwrap();
    log.append(2, 0).unwrap();
    let (own, number) = log.tail.wants_prepared().unwrap();
    // An instance that had to make itself another directory.
    let other = PathBuf::from("/spool/other");
    log.disk.prepare(&other).unwrap();
    let file = log.prepare(other.clone(), number);
    assert_eq!(file.as_deref().and_then(|file| file.parent()), Some(other.as_path()));
    assert_eq!(log.prepare(own.clone(), number), None);
    assert!(log.prepare(own.clone(), number + 1).is_some(), "there is one already");
    let mut log = on_process();
    log.append(1, 0).unwrap();
    let own = log.tail.path().unwrap().to_path_buf();
    log.tail.degrade(std::io::ErrorKind::Other.into(), NOW);
    assert!(log.prepare(own, 9).is_some(), "nothing is written to a disk that fails");
}

#[test]
fn a_commit_covers_each_file_once() {
    let mut log = Log::open(Durability::Power, 1 << 20);
    for sequence in 1..=10 {
        log.append(sequence, 0).unwrap();
    }
    log.commit();
    assert_eq!(log.disk.file_syncs(), 3, "ten events in three files");
    log.append(11, 0).unwrap();
    log.commit();
    assert_eq!(log.disk.file_syncs(), 4);
    assert!(!log.tail.wants_sync());
}

#[test]
fn what_was_committed_survives_a_power_loss_and_what_came_later_may_not() {
    let mut log = Log::open(Durability::Power, 1 << 20);
    let mut places: Vec<_> = (1..=2).map(|sequence| log.append(sequence, 0).unwrap().0).collect();
    let is_durable =
        |log: &Log, places: &[Place]| places.iter().map(|place| log.tail.is_durable(*place)).collect();
    let before: Vec<_> = is_durable(&log, &places);
    assert_eq!(before, [false, false]);
    log.commit();
    places.push(log.append(3, 0).unwrap().0);
    let after: Vec<_> = is_durable(&log, &places);
    assert_eq!(after, [true, true, false]);
}

#[test]
fn an_empty_segment_that_is_left_goes() {
    let mut log = on_process();
    let (first, _) = log.append(1, 0).unwrap();
    let directory = log.tail.path().unwrap().to_path_buf();
    assert!(log.tail.drain_settled().is_empty());
    log.tail.degrade(std::io::ErrorKind::Other.into(), NOW);
    let retry = |log: &mut Log, number| {
        let created_at = EPOCH.unsigned_abs();
        let job = Job::Retry { directory: Some(directory.clone()), number, created_at };
        let Done::Retried(Ok(retried)) = log.maintenance.run(job) else { panic!("the disk is well") };
        log.tail.strike_out(&retried.names);
        log.tail.begin_anew(retried.prepared, retried.lease, NOW);
    };
    retry(&mut log, 2);
    assert!(log.tail.drain_settled().is_empty(), "one has an event in it, the other is written to");
    log.tail.set_epoch(EPOCH + 1);
    let left = log.tail.drain_settled();
    assert_eq!(
        left.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>(),
        [directory.join("0000000000000002.seg")]
    );
    assert!(log.tail.drain_settled().is_empty(), "once");
    assert!(log.tail.has(Some(first)));
    let kept = log.tail.rest();
    assert!(kept.0.is_none() && kept.1.is_none(), "a directory stays while something is in it");
}

#[test]
fn what_is_taken_back_from_the_disk_is_named_one_by_one() {
    let mut log = on_process();
    for sequence in 1..=6 {
        let (place, offset) = log.append(sequence, 0).unwrap();
        log.tail.postpone(sequence, place, offset, sequence == 5);
    }
    let mut taken = |from| {
        let mut places: Vec<_> = log.tail.take_back(from).iter().map(|place| place.sequence).collect();
        places.sort_unstable();
        (places, log.tail.backlog_events())
    };
    assert_eq!(taken(6), (vec![6], 5));
    assert_eq!(taken(3), (vec![3, 4, 5], 2));
    assert!(!log.tail.forget_awaited(5), "nobody waits for it any more");
}

#[test]
fn the_age_of_what_is_on_disk_alone_is_that_of_the_oldest_in_its_file() {
    let mut log = on_process();
    assert_eq!(log.tail.oldest_unread_at(), None);
    for (sequence, at_ms) in [(1, 300), (2, 100), (3, 200)] {
        let (place, offset) = log.append(sequence, at_ms).unwrap();
        log.tail.postpone(sequence, place, offset, false);
    }
    assert_eq!(log.tail.oldest_unread_at(), Some(EPOCH.unsigned_abs() + 100));
}

#[test]
fn an_empty_directory_is_given_up_on_a_way_out() {
    let mut log = on_process();
    let parent = log.tail.path().unwrap().parent().unwrap().to_path_buf();
    assert_eq!(log.disk.list(&parent).unwrap().len(), 1);
    let (lease, _) = log.tail.rest();
    log.maintenance.run(Job::Tidy(lease));
    assert!(log.disk.list(&parent).unwrap().is_empty());
}

#[test]
fn half_an_acknowledgement_puts_none_out_of_step() {
    let mut log = on_process();
    log.append(1, 0).unwrap();
    let segment = log.disk.files().remove(0);
    let mut acknowledge = |number, fault| {
        log.disk.set_fault(fault);
        let range = Acknowledgement { first: number, last: number };
        let done =
            log.maintenance.run(Job::Chores(vec![Chore::Acknowledge(segment.as_path().into(), vec![range])]));
        assert!(matches!(done, Done::Chores(Ok(()))));
        range.encode()
    };
    let first = acknowledge(1, Fault::None);
    acknowledge(2, Fault::Short);
    let third = acknowledge(3, Fault::None);
    assert_eq!(log.disk.content(&segment.with_extension("ack")), [first, third].concat());
}

#[test]
fn a_directory_that_was_deleted_is_made_anew() {
    let mut log = on_process();
    let directory = log.tail.path().unwrap().to_path_buf();
    log.disk.delete(&directory.join(companion_segment::testing::LOCK_FILE));
    log.disk.remove_directory(&directory).unwrap();
    let job = Job::Retry { directory: Some(directory.clone()), number: 1, created_at: 0 };
    let Done::Retried(Ok(retried)) = log.maintenance.run(job) else { panic!("the disk is well") };
    assert_eq!(retried.names, Vec::<String>::new());
    assert!(retried.lease.is_some_and(|lease| lease.path != directory));
}
