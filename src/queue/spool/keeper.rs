//! The spool's slower half, on the engine's thread and outside the ledger's lock: acknowledging, reclaiming, reading
//! back, and adopting what ended processes left.
//!
//! Adoption goes segment by segment, so that it never holds more than one in memory and never keeps a start, a call
//! or an exit waiting.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Settings;
use super::books::{Adopted, Chore, ReadPlan};
use super::cipher::Place;
use super::disk::{Disk, Item, LogFile};
use super::home::{DEAD_LETTERS, Home, acknowledgement_file, segment_number};
use super::reader::{Found, Scan};
use super::record::{Acknowledgement, ENCRYPTED, HEADER_LENGTH, Header, HeaderProblem, Record};
use super::survey::{age, milliseconds, survey};

/// How often to look for orphans.
pub const SCAN_INTERVAL: Duration = Duration::from_secs(60);
/// The most that is read at once: no segment of ours is larger.
pub const MAX_SEGMENT_BYTES: usize = 64 * 1024 * 1024;
const CHUNK_BYTES: usize = 1024 * 1024;
/// A wall clock that moved against the monotonic one by more than this has jumped.
const JUMP: Duration = Duration::from_secs(3_600);

/// An event as it was read back.
#[derive(Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its sequence in this client.
    pub sequence: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_at: u64,
    /// The sealed JSON.
    pub bytes: Box<[u8]>,
}

/// What reading brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// The events, in order.
    pub events: Vec<Loaded>,
    /// Sequences that can't be read any more.
    pub lost: Vec<u64>,
    /// How many of the plan's events this accounts for.
    pub count: u64,
    /// Where the next of them begins.
    pub offset: u64,
}

/// A segment that waits to be adopted.
#[derive(Debug)]
struct Orphan {
    home: PathBuf,
    path: PathBuf,
}

/// A directory that was taken over.
struct Estate {
    home: Home,
    /// Segments that are not reclaimed yet.
    segments: usize,
}

/// What became of an orphan.
enum Verdict {
    Adopted(Adopted),
    /// All of it was settled.
    Settled,
    /// Not now.
    Later,
    /// Not by us.
    Untouchable {
        is_locked: bool,
    },
}

/// What is known of orphans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Segments found and not yet taken over; `None` before the first look.
    pub waiting: Option<usize>,
    /// Segments that no key at hand can read.
    pub locked: usize,
}

/// The keeper of one client's spool.
pub struct Keeper {
    settings: Arc<Settings>,
    disk: Arc<dyn Disk>,
    max_event_age: Duration,
    acknowledging: HashMap<PathBuf, Arc<dyn LogFile>>,
    orphans: VecDeque<Orphan>,
    deferred: Vec<Orphan>,
    estates: HashMap<PathBuf, Estate>,
    /// Directories that hold something only somebody else can use, with the segments whose key is missing.
    set_aside: BTreeMap<PathBuf, usize>,
    next_scan: Duration,
    has_scanned: bool,
    is_closed: bool,
    /// Monotonic and wall clock when they were first seen to agree.
    agreed: (Duration, SystemTime),
}

impl Keeper {
    /// A keeper that looks for orphans at once.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        disk: Arc<dyn Disk>,
        max_event_age: Duration,
        now: (Duration, SystemTime),
    ) -> Self {
        Self {
            settings,
            disk,
            max_event_age,
            acknowledging: HashMap::new(),
            orphans: VecDeque::new(),
            deferred: Vec::new(),
            estates: HashMap::new(),
            set_aside: BTreeMap::new(),
            next_scan: now.0,
            has_scanned: false,
            is_closed: false,
            agreed: now,
        }
    }

    /// Does what the ledger asked for. What fails here costs at worst a repeated delivery.
    ///
    /// # Errors
    /// The first thing that failed; the rest was done.
    pub fn perform(&mut self, chores: Vec<Chore>) -> io::Result<()> {
        let mut result = Ok(());
        for chore in chores {
            let done = match chore {
                Chore::Acknowledge(segment, ranges) => self.acknowledge(segment, &ranges),
                Chore::Reclaim(segment) => self.reclaim(&segment),
            };
            result = result.and(done);
        }
        result
    }

    fn acknowledge(&mut self, segment: PathBuf, ranges: &[Acknowledgement]) -> io::Result<()> {
        let bytes: Vec<u8> = ranges.iter().flat_map(Acknowledgement::encode).collect();
        let file = match self.acknowledging.get(&segment) {
            Some(file) => Arc::clone(file),
            None => self.disk.open(&acknowledgement_file(&segment))?,
        };
        let written = file.append([&bytes, &[]])?;
        if written == bytes.len() {
            self.acknowledging.insert(segment, file);
            return Ok(());
        }
        // Half an acknowledgement would put all later ones out of step.
        self.acknowledging.remove(&segment);
        let length = self.disk.read(&acknowledgement_file(&segment), 0, MAX_SEGMENT_BYTES)?.len();
        file.truncate((length - written) as u64)
    }

    fn reclaim(&mut self, segment: &Path) -> io::Result<()> {
        self.acknowledging.remove(segment);
        // In this order: without its segment, an acknowledgement harms nobody.
        let removed = missing_is_fine(self.disk.remove_file(segment));
        let removed =
            removed.and_then(|()| missing_is_fine(self.disk.remove_file(&acknowledgement_file(segment))));
        if let Some(home) = segment.parent() {
            self.leave(home);
        }
        removed
    }

    /// One segment less in a directory that was taken over.
    fn leave(&mut self, home: &Path) {
        let Some(estate) = self.estates.get_mut(home) else { return };
        estate.segments = estate.segments.saturating_sub(1);
        if estate.segments == 0
            && let Some(estate) = self.estates.remove(home)
        {
            estate.home.remove(&*self.disk);
        }
    }

    /// When the next look for orphans is due.
    #[must_use]
    pub fn due_at(&self) -> Duration {
        if self.orphans.is_empty() { self.next_scan } else { Duration::ZERO }
    }

    /// What is known of orphans.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let waiting = self.has_scanned.then_some(self.orphans.len() + self.deferred.len());
        Outlook { waiting, locked: self.set_aside.values().sum() }
    }

    /// The next segment of an ended process, if there is one. Does a bounded piece of work.
    ///
    /// # Errors
    /// When the spool's directory can't be read.
    pub fn adopt(
        &mut self,
        own: Option<&Path>,
        now: Duration,
        wall: SystemTime,
    ) -> io::Result<Option<Adopted>> {
        if self.orphans.is_empty() {
            if now < self.next_scan || self.is_closed {
                return Ok(None);
            }
            self.next_scan = now + SCAN_INTERVAL;
            self.orphans.extend(std::mem::take(&mut self.deferred));
            self.scan(own)?;
            self.has_scanned = true;
        }
        let Some(orphan) = self.orphans.pop_front() else { return Ok(None) };
        match self.examine(&orphan.path, now, wall) {
            Ok(Verdict::Adopted(adopted)) => return Ok(Some(adopted)),
            Ok(Verdict::Settled) => drop(self.reclaim(&orphan.path)),
            Ok(Verdict::Later) => self.deferred.push(orphan),
            Ok(Verdict::Untouchable { is_locked }) => {
                *self.set_aside.entry(orphan.home.clone()).or_default() += usize::from(is_locked);
                self.leave(&orphan.home);
            }
            // Its owner removed it, or the disk fails: the next look will tell.
            Err(_) => self.leave(&orphan.home),
        }
        Ok(None)
    }

    fn scan(&mut self, own: Option<&Path>) -> io::Result<()> {
        let items = match self.disk.list(&self.settings.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let is_instance = |item: &&Item| item.is_directory && item.name != DEAD_LETTERS;
        let paths: Vec<_> =
            items.iter().filter(is_instance).map(|item| self.settings.directory.join(&item.name)).collect();
        self.set_aside.retain(|path, _| paths.contains(path));
        for path in paths {
            let is_known = Some(path.as_path()) == own
                || self.estates.contains_key(&path)
                || self.set_aside.contains_key(&path);
            if is_known || self.disk.check(&path).is_err() {
                continue;
            }
            // A directory that can't be locked is somebody else's.
            if let Ok(Some(home)) = Home::claim(&*self.disk, path.clone()) {
                self.take_over(home, path)?;
            }
        }
        Ok(())
    }

    fn take_over(&mut self, home: Home, path: PathBuf) -> io::Result<()> {
        let mut numbers: Vec<_> =
            self.disk.list(&path)?.iter().filter_map(|item| segment_number(&item.name)).collect();
        if numbers.is_empty() {
            home.remove(&*self.disk);
            return Ok(());
        }
        numbers.sort_unstable();
        for number in &numbers {
            let segment = path.join(super::home::segment_file(*number));
            self.orphans.push_back(Orphan { home: path.clone(), path: segment });
        }
        self.estates.insert(path, Estate { home, segments: numbers.len() });
        Ok(())
    }

    fn examine(&mut self, path: &Path, now: Duration, wall: SystemTime) -> io::Result<Verdict> {
        let bytes = self.disk.read(path, 0, MAX_SEGMENT_BYTES)?;
        let header = Header::decode(&bytes);
        match header {
            Err(HeaderProblem::Newer(version)) => {
                tracing::warn!(version, "a newer version wrote a part of the spool; it is left alone");
                return Ok(Verdict::Untouchable { is_locked: false });
            }
            Ok(header) if header.key_id != [0; 8] && !self.settings.keyring.knows(header.key_id) => {
                tracing::warn!("a part of the spool is encrypted with a key that was not given; it is kept");
                return Ok(Verdict::Untouchable { is_locked: true });
            }
            _ => {}
        }
        let acknowledgements = match self.disk.read(&acknowledgement_file(path), 0, MAX_SEGMENT_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let number =
            path.file_name().and_then(|name| segment_number(&name.to_string_lossy())).unwrap_or_default();
        if header.is_err() && !self.can_open(&bytes, number) {
            // Its header, which would have named the key, is destroyed.
            tracing::warn!(
                "a part of the spool can't be decrypted with the keys that were given; it is kept"
            );
            return Ok(Verdict::Untouchable { is_locked: true });
        }
        let survey = survey(&bytes, &acknowledgements);
        if survey.damaged > 0 || survey.torn > 0 {
            let (damaged, torn_bytes) = (survey.damaged, survey.torn);
            tracing::warn!(damaged, torn_bytes, "damage in the spool: sound records are kept");
        }
        let adopted = Adopted {
            path: path.to_path_buf(),
            number,
            bytes: (bytes.len() + acknowledgements.len()) as u64,
            oldest_at: survey.oldest_at,
            epoch: milliseconds(wall.checked_sub(now).unwrap_or(wall)),
            stretches: survey.stretches,
            damaged: survey.damaged,
        };
        if adopted.events() == 0 && adopted.damaged == 0 {
            return Ok(Verdict::Settled);
        }
        if survey.sound == 0 {
            // Nothing in it can be read: it is kept for people to look at.
            self.disk.rename(path, &path.with_extension("corrupt"))?;
        }
        let age = age(adopted.oldest_at, wall);
        if age > self.max_event_age && !self.trusts_clock(now, wall) {
            return Ok(Verdict::Later);
        }
        Ok(Verdict::Adopted(adopted))
    }

    /// Events are given up for their age only by a clock that was seen to run evenly for a while: a machine that
    /// starts with a wrong date must not empty the spool.
    fn trusts_clock(&mut self, now: Duration, wall: SystemTime) -> bool {
        let (then, wall_then) = self.agreed;
        let expected = wall_then + now.saturating_sub(then);
        let drift = wall.duration_since(expected).unwrap_or_else(|error| error.duration());
        if drift > JUMP {
            self.agreed = (now, wall);
            return false;
        }
        now.saturating_sub(then) >= SCAN_INTERVAL
    }

    /// Reads events that are on disk only, as many as cost no more than `budget` bytes but at least one.
    ///
    /// # Errors
    /// As the file system says; a file that is gone is no error, its events are lost.
    pub fn read(&self, plan: &ReadPlan, budget: usize) -> io::Result<ReadBack> {
        let chunk = self.read_chunk(plan, CHUNK_BYTES, budget)?;
        if chunk.count > 0 {
            return Ok(chunk);
        }
        self.read_chunk(plan, MAX_SEGMENT_BYTES, budget)
    }

    fn read_chunk(&self, plan: &ReadPlan, limit: usize, budget: usize) -> io::Result<ReadBack> {
        let bytes = match self.disk.read(&plan.path, plan.offset, limit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let is_end = bytes.len() < limit;
        let mut back = ReadBack { offset: plan.offset, ..ReadBack::default() };
        let mut cost = 0;
        for found in Scan::new(&bytes, is_end) {
            let Found::Record { offset, record } = found else { continue };
            // Others lie in between when the spool caught up after a failure.
            let Some(index) =
                record.sequence.checked_sub(plan.first_on_disk).filter(|index| *index < plan.length)
            else {
                continue;
            };
            if index < back.count {
                continue;
            }
            cost += record.length();
            if cost > budget && !back.events.is_empty() {
                back.offset = plan.offset + offset as u64;
                return Ok(back);
            }
            back.lost.extend((back.count..index).map(|index| plan.first + index));
            match self.open(&record, plan.segment_number) {
                Some(bytes) => {
                    let (sequence, accepted_at) = (plan.first + index, record.accepted_at);
                    back.events.push(Loaded { sequence, accepted_at, bytes });
                }
                None => back.lost.push(plan.first + index),
            }
            back.count = index + 1;
            back.offset = plan.offset + (offset + record.length()) as u64;
            if back.count == plan.length {
                return Ok(back);
            }
        }
        if is_end {
            back.lost.extend((back.count..plan.length).map(|index| plan.first + index));
            back.count = plan.length;
        }
        Ok(back)
    }

    /// Whether the first sound record of a segment can be read. All of them have one key.
    fn can_open(&self, segment: &[u8], number: u64) -> bool {
        let records = segment.get(HEADER_LENGTH..).unwrap_or_default();
        let first = Scan::new(records, true).find_map(|found| match found {
            Found::Record { record, .. } => Some(record),
            _ => None,
        });
        first.is_none_or(|record| self.open(&record, number).is_some())
    }

    fn open(&self, record: &Record<'_>, segment: u64) -> Option<Box<[u8]>> {
        if record.flags & ENCRYPTED == 0 {
            return Some(record.payload.into());
        }
        let place = Place { segment, sequence: record.sequence, accepted_at: record.accepted_at };
        self.settings.keyring.decrypt(place, record.payload).map(Vec::into_boxed_slice)
    }

    /// Lets go of every directory that was taken over.
    pub fn close(&mut self) {
        self.is_closed = true;
        self.estates.clear();
        self.orphans.clear();
        self.acknowledging.clear();
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
