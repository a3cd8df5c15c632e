//! What ended processes left: which directory is looked into next, which of its segments are taken over when, and which
//! of their events are in memory. Pure: it hands out [`Job`]s and is told what came of them.
//!
//! One directory at a time, so that siblings share what there is; never more of it at once than half of what the spool may
//! hold, beside what this client's own events may take; and only a little of it in memory.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::backlog::{Backlog, Unread};
use super::extents::Settled;
use super::jobs::{Job, ReadBack, Surveyed};
use super::lease::segment_path;
use super::record::ACKNOWLEDGEMENT_LENGTH;
use super::survey::Stretch;
use super::tail::ReadPlan;
use crate::event::MAX_EVENT_BYTES;
use crate::queue::{Entry, Fifo, Place, SegmentId, Tracking};

/// How often to look for what ended processes left, give or take a tenth.
pub const SCAN_INTERVAL: Duration = Duration::from_secs(60);
/// A wall clock that moved against the monotonic one by more than this has jumped.
const JUMP_MS: u64 = 3_600_000;
/// The most that is read in one go.
const PIECE: usize = 1024 * 1024;
/// The most of recovered events that is in memory.
const MEMORY: usize = 8 * 1024 * 1024;

/// A segment of an ended process that was taken over.
#[derive(Debug)]
struct Adopted {
    path: Arc<Path>,
    number: u64,
    bytes: u64,
    unsettled: u64,
    epoch: i64,
    oldest_at: u64,
}

/// The directory that is being taken over.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Segments nobody has looked into yet.
    waiting: VecDeque<u64>,
    /// Segments that are too old to be true, as long as nobody knows whether the clock can be trusted.
    deferred: Vec<u64>,
    /// One is being looked into.
    is_surveying: bool,
    /// Something in it is of use to somebody else only.
    is_set_aside: bool,
}

/// A segment that can be taken over, once its events have sequences.
#[derive(Debug)]
pub struct Adoptable {
    path: PathBuf,
    bytes: u64,
    oldest_at: u64,
    epoch: i64,
    stretches: Vec<Stretch>,
    /// Records that can't be read any more.
    pub damaged: u64,
    is_set_aside: bool,
}

impl Adoptable {
    /// Events that can be delivered.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.length).sum()
    }
}

/// What there is to say of a segment.
#[derive(Debug)]
pub enum Examined {
    /// It can be taken over.
    Adoptable(Adoptable),
    /// No key at hand can read it.
    Locked,
    /// A newer version wrote it.
    Newer(u16),
    /// Nothing.
    Nothing,
}

/// The recovery of one client.
#[derive(Debug)]
pub struct Recovery {
    max_event_age: Duration,
    /// Bytes of segments that may be taken over at once.
    max_adopted_bytes: u64,
    max_loaded_bytes: usize,
    next_scan: Duration,
    candidates: Option<VecDeque<(PathBuf, usize)>>,
    is_asking: bool,
    /// Segments in the directory that is being claimed.
    claiming: usize,
    directory: Option<Directory>,
    /// Directories that hold something only somebody else can use, with the segments whose key is missing.
    set_aside: BTreeMap<PathBuf, usize>,
    segments: BTreeMap<SegmentId, Adopted>,
    bytes: u64,
    backlog: Backlog,
    loaded: Fifo<Entry>,
    loaded_bytes: usize,
    recovered: u64,
    /// Monotonic and wall clock (milliseconds) when they were first seen to agree.
    agreed: (Duration, i64),
}

impl Recovery {
    /// A recovery that looks around at once.
    #[must_use]
    pub fn new(
        max_event_age: Duration,
        max_spool_bytes: u64,
        max_queue_bytes: usize,
        now: Duration,
        wall: i64,
    ) -> Self {
        Self {
            max_event_age,
            max_adopted_bytes: max_spool_bytes / 2,
            max_loaded_bytes: MEMORY.min(max_queue_bytes / 4).max(2 * MAX_EVENT_BYTES),
            next_scan: now,
            candidates: None,
            is_asking: false,
            claiming: 0,
            directory: None,
            set_aside: BTreeMap::new(),
            segments: BTreeMap::new(),
            bytes: 0,
            backlog: Backlog::default(),
            loaded: Fifo::default(),
            loaded_bytes: 0,
            recovered: 0,
            agreed: (now, wall),
        }
    }

    /// What to do next, if there is something and nothing of this recovery is being done. `own` is the directory of this
    /// instance. On a way out nothing more is taken over.
    pub fn next_job(
        &mut self,
        own: Option<&Path>,
        now: Duration,
        seed: u64,
        is_leaving: bool,
    ) -> Option<Job> {
        if self.is_asking {
            return None;
        }
        let job = self.wanted(own, now, seed, is_leaving)?;
        self.is_asking = true;
        Some(job)
    }

    fn wanted(&mut self, own: Option<&Path>, now: Duration, seed: u64, is_leaving: bool) -> Option<Job> {
        if self.has_room()
            && let Some(plan) = self.next_unread()
        {
            let budget = (self.max_loaded_bytes.saturating_sub(self.loaded_bytes) / 2).min(PIECE);
            return Some(Job::Read { plan, budget });
        }
        if let Some(directory) = &mut self.directory {
            if !is_leaving
                && self.bytes < self.max_adopted_bytes
                && let Some(number) = directory.waiting.pop_front()
            {
                directory.is_surveying = true;
                return Some(Job::Survey(segment_path(&directory.path, number)));
            }
            if directory.waiting.is_empty() && directory.deferred.is_empty() && self.segments.is_empty() {
                let Directory { path, is_set_aside, .. } = self.directory.take()?;
                if is_set_aside {
                    self.set_aside.entry(path.clone()).or_default();
                }
                return Some(Job::Release(path));
            }
            return None;
        }
        if is_leaving {
            return None;
        }
        if let Some((path, segments)) = self.candidates.as_mut().and_then(VecDeque::pop_front) {
            self.claiming = segments;
            return Some(Job::Claim(path));
        }
        (self.next_scan <= now).then(|| {
            let known = own.map(Path::to_path_buf).into_iter().chain(self.set_aside.keys().cloned());
            Job::Scan { known: known.collect(), seed }
        })
    }

    fn has_room(&self) -> bool {
        self.loaded_bytes <= self.max_loaded_bytes / 2
    }

    /// When there is something to do by itself; at once when a job is waiting to be handed out.
    #[must_use]
    pub fn due_at(&self) -> Option<Duration> {
        if self.is_asking {
            return None;
        }
        let can_read = self.has_room() && !self.backlog.is_empty();
        let at_once = match &self.directory {
            Some(directory) => {
                let is_over = directory.waiting.is_empty() && directory.deferred.is_empty();
                (self.bytes < self.max_adopted_bytes && !directory.waiting.is_empty())
                    || (is_over && self.segments.is_empty())
            }
            None => self.candidates.as_ref().is_some_and(|candidates| !candidates.is_empty()),
        };
        if can_read || at_once {
            return Some(Duration::ZERO);
        }
        let has_deferred = self.directory.as_ref().is_some_and(|directory| !directory.deferred.is_empty());
        (self.directory.is_none() || has_deferred).then_some(self.next_scan)
    }

    /// At the time of a scan, what was put off is looked at again.
    pub fn reconsider(&mut self, now: Duration) {
        if let Some(directory) = &mut self.directory
            && !directory.deferred.is_empty()
            && self.next_scan <= now
        {
            self.next_scan = now + SCAN_INTERVAL;
            directory.waiting.extend(std::mem::take(&mut directory.deferred));
        }
    }

    /// Directories that nobody holds were found, or the spool can't be read now. `spread` is a share of 1, by chance.
    pub fn scanned(&mut self, found: Option<Vec<(PathBuf, usize)>>, now: Duration, spread: f64) {
        self.is_asking = false;
        self.next_scan = now + SCAN_INTERVAL.mul_f64(0.9 + 0.2 * spread);
        if let Some(found) = found {
            self.candidates = Some(found.into());
        }
    }

    /// A directory is ours, or somebody else's.
    pub fn claimed(&mut self, path: PathBuf, numbers: Option<Vec<u64>>) {
        (self.is_asking, self.claiming) = (false, 0);
        if let Some(numbers) = numbers {
            self.directory = Some(Directory {
                path,
                waiting: numbers.into(),
                deferred: Vec::new(),
                is_surveying: false,
                is_set_aside: false,
            });
        }
    }

    /// Something was looked into, or given back.
    pub fn surveyed(&mut self, path: PathBuf, found: Option<Surveyed>, now: Duration, wall: i64) -> Examined {
        self.is_asking = false;
        if let Some(directory) = &mut self.directory {
            directory.is_surveying = false;
        }
        match found {
            // Its owner removed it, or the disk fails: the next look will tell.
            None => Examined::Nothing,
            Some(Surveyed::Settled) => {
                // Nothing of it is needed: it goes like any other.
                let adoptable = Adoptable {
                    path,
                    bytes: 0,
                    oldest_at: u64::MAX,
                    epoch: 0,
                    stretches: Vec::new(),
                    damaged: 0,
                    is_set_aside: false,
                };
                Examined::Adoptable(adoptable)
            }
            Some(Surveyed::Locked) => {
                self.set_directory_aside(true);
                Examined::Locked
            }
            Some(Surveyed::Newer(version)) => {
                self.set_directory_aside(false);
                Examined::Newer(version)
            }
            Some(Surveyed::Events {
                bytes, oldest_at, correction, stretches, damaged, is_set_aside, ..
            }) => {
                let age = u64::try_from(wall).unwrap_or_default().saturating_sub(oldest_at);
                let is_too_old = oldest_at < u64::MAX && Duration::from_millis(age) > self.max_event_age;
                if is_too_old && !self.trusts_clock(now, wall) {
                    if let (Some(directory), Some(number)) = (&mut self.directory, number_of(&path)) {
                        directory.deferred.push(number);
                    }
                    return Examined::Nothing;
                }
                let elapsed = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
                let epoch = wall.saturating_sub(elapsed).saturating_sub(correction);
                let adoptable = Adoptable { path, bytes, oldest_at, epoch, stretches, damaged, is_set_aside };
                Examined::Adoptable(adoptable)
            }
        }
    }

    fn set_directory_aside(&mut self, is_locked: bool) {
        if let Some(directory) = &mut self.directory {
            directory.is_set_aside = true;
            *self.set_aside.entry(directory.path.clone()).or_default() += usize::from(is_locked);
        }
    }

    /// Events are given up for their age only by a clock that was seen to run evenly for a while: a machine that
    /// starts with a wrong date must not empty the spool.
    fn trusts_clock(&mut self, now: Duration, wall: i64) -> bool {
        let (then, wall_then) = self.agreed;
        let passed = i64::try_from(now.saturating_sub(then).as_millis()).unwrap_or(i64::MAX);
        if wall.abs_diff(wall_then.saturating_add(passed)) > JUMP_MS {
            self.agreed = (now, wall);
            return false;
        }
        now.saturating_sub(then) >= SCAN_INTERVAL
    }

    /// Takes a segment over: its events get sequences from `first` on. Returns its file when nothing in it is needed.
    pub fn adopt(&mut self, adoptable: Adoptable, segment: SegmentId, first: u64) -> Option<Arc<Path>> {
        let events = adoptable.events();
        self.recovered += events;
        let Adoptable { path, bytes, oldest_at, epoch, stretches, is_set_aside, .. } = adoptable;
        if is_set_aside {
            return None;
        }
        if events == 0 {
            return Some(path.into());
        }
        let mut next = first;
        for Stretch { first_on_disk, length, offset } in stretches {
            self.backlog.push(Unread { segment, first: next, first_on_disk, length, offset });
            next += length;
        }
        self.bytes += bytes;
        let number = number_of(&path).unwrap_or_default();
        let path = path.into();
        self.segments.insert(segment, Adopted { path, number, bytes, unsettled: events, epoch, oldest_at });
        None
    }

    fn next_unread(&self) -> Option<ReadPlan> {
        let unread = self.backlog.front()?;
        let segment = self.segments.get(&unread.segment)?;
        let (path, number, epoch) = (Arc::clone(&segment.path), segment.number, segment.epoch);
        Some(ReadPlan { path, number, unread, epoch })
    }

    /// Whether a plan is this recovery's.
    #[must_use]
    pub fn owns(&self, segment: SegmentId) -> bool {
        self.segments.contains_key(&segment)
    }

    /// Takes in what was read. Returns the events that are lost, with their places.
    pub fn load(&mut self, plan: &ReadPlan, back: ReadBack) -> Vec<(u64, Place)> {
        self.is_asking = false;
        let segment = plan.unread.segment;
        if self.backlog.was_read(plan.unread, back.count, back.offset).is_none() {
            return Vec::new();
        }
        for event in back.events {
            let accepted_at = i64::try_from(event.accepted_at).unwrap_or(i64::MAX);
            let entry = Entry {
                bytes: event.bytes,
                sequence: event.sequence,
                accepted_at_ms: accepted_at.saturating_sub(plan.epoch),
                place: Some(Place { segment, sequence: event.on_disk }),
                tracking: Tracking::Nobody,
            };
            self.loaded_bytes += entry.cost();
            self.loaded.push(entry);
        }
        back.lost
            .into_iter()
            .map(|(sequence, on_disk)| (sequence, Place { segment, sequence: on_disk }))
            .collect()
    }

    /// Reading failed: it is tried again once the disk is.
    pub const fn read_failed(&mut self) {
        (self.is_asking, self.claiming) = (false, 0);
    }

    /// A directory was given back.
    pub const fn released(&mut self) {
        self.is_asking = false;
    }

    /// The recovered event that waits for longest.
    #[must_use]
    pub fn oldest(&self) -> Option<&Entry> {
        self.loaded.front()
    }

    /// Takes it. It stays charged until [`Recovery::release`].
    pub fn pop(&mut self) -> Option<Entry> {
        self.loaded.pop()
    }

    /// So many bytes of recovered events are settled.
    pub const fn release(&mut self, cost: usize) {
        self.loaded_bytes = self.loaded_bytes.saturating_sub(cost);
    }

    /// So many events of a segment need no disk any more.
    pub fn settle(&mut self, segment: SegmentId, count: u64, ranges: usize) -> Settled {
        let Some(adopted) = self.segments.get_mut(&segment) else { return Settled::Unknown };
        adopted.unsettled = adopted.unsettled.saturating_sub(count);
        if adopted.unsettled > 0 {
            let bytes = (ranges * ACKNOWLEDGEMENT_LENGTH) as u64;
            adopted.bytes += bytes;
            self.bytes += bytes;
            return Settled::Acknowledge(Arc::clone(&adopted.path));
        }
        let Some(adopted) = self.segments.remove(&segment) else { return Settled::Unknown };
        self.bytes -= adopted.bytes;
        Settled::Reclaim(adopted.path)
    }

    /// Events that were taken over and are on disk only.
    #[must_use]
    pub const fn backlog_events(&self) -> u64 {
        self.backlog.events()
    }

    /// When the oldest of them was accepted, in milliseconds since 1970, and what that is less at the zero of the client's
    /// clock.
    #[must_use]
    pub fn oldest_unread_at(&self) -> Option<(u64, i64)> {
        let first = self.backlog.front()?;
        self.segments.get(&first.segment).map(|segment| (segment.oldest_at, segment.epoch))
    }

    /// Takes over nothing more, and forgets what is on disk only: it stays for the next process. Returns what that is.
    pub fn leave(&mut self) -> Vec<Unread> {
        self.candidates = Some(VecDeque::new());
        self.directory = None;
        self.is_asking = true;
        self.backlog.take()
    }

    /// Nothing that was taken over is this client's any more.
    pub fn forget_segments(&mut self) {
        self.segments.clear();
        self.bytes = 0;
    }

    /// Events waiting in memory.
    #[must_use]
    #[cfg(any(test, feature = "testing"))]
    pub const fn loaded(&self) -> usize {
        self.loaded.len()
    }

    /// Bytes of segments that were taken over.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of recovered events in memory.
    #[must_use]
    pub const fn loaded_bytes(&self) -> usize {
        self.loaded_bytes
    }

    /// Events that were taken over so far.
    #[must_use]
    pub const fn recovered(&self) -> u64 {
        self.recovered
    }

    /// Segments that were found and not taken over yet; `None` before the first look.
    #[must_use]
    pub fn orphans(&self) -> Option<usize> {
        let found: usize = self.candidates.as_ref()?.iter().map(|(_, segments)| segments).sum();
        let of_directory = self.directory.as_ref().map_or(0, |directory| {
            directory.waiting.len() + directory.deferred.len() + usize::from(directory.is_surveying)
        });
        Some(found + self.claiming + of_directory)
    }

    /// Segments that no key at hand can read.
    #[must_use]
    pub fn locked(&self) -> usize {
        self.set_aside.values().sum()
    }

    /// What has to hold after every step.
    ///
    /// # Panics
    /// When it does not.
    #[cfg(any(test, feature = "testing"))]
    pub fn check(&self) {
        self.backlog.check(|segment| self.segments.contains_key(&segment));
        let bytes: u64 = self.segments.values().map(|segment| segment.bytes).sum();
        assert_eq!(bytes, self.bytes, "bytes of adopted segments");
        let loaded: usize = self.loaded.iter().map(Entry::cost).sum();
        assert!(loaded <= self.loaded_bytes, "recovered events in memory are charged");
    }
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_name().and_then(|name| super::lease::segment_number(&name.to_string_lossy()))
}
