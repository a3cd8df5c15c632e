//! The end of the log, where accepted events are written: this client's own segments, and which of its events are on
//! disk only. It belongs to the gate, behind its lock, and does one `write` for an event; a segment is created here only
//! for the first event after a rest, every other is prepared elsewhere.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::Settings;
use super::backlog::{Backlog, Unread};
use super::commit::{SyncJob, Unsynced};
use super::disk::{Disk, LogFile};
use super::extents::{Extent, Extents, Settled};
use super::lease::{Lease, segment_path};
use super::record::RECORD_OVERHEAD;
use super::writer::Writer;
use crate::config::Durability;
use crate::queue::{Place, SegmentId};

/// How long to leave a failing disk alone.
pub const RETRY: Duration = Duration::from_secs(5);

/// Why an event could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritten {
    /// The spool holds `maxBytes`.
    Full,
    /// The disk fails; memory takes over.
    Degraded,
}

/// Whether the disk can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can.
    Ready,
    /// Events are only in memory until the disk is tried again.
    Degraded {
        /// When that is.
        retry_at: Duration,
    },
    /// The disk is back; from this moment on, what came meanwhile is written.
    CatchingUp {
        /// The moment.
        from: Duration,
    },
}

/// Where to read events that are on disk only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    /// The file.
    pub path: Arc<Path>,
    /// Its number.
    pub number: u64,
    /// What to read of it.
    pub unread: Unread,
    /// What to take off the times in it to get those of the client's own clock.
    pub epoch: i64,
}

/// A segment that had to go for new events.
#[derive(Debug)]
pub struct Eviction {
    /// Which.
    pub segment: SegmentId,
    /// Its file.
    pub path: Arc<Path>,
    /// Its events that wait in memory, too.
    pub in_memory: u64,
    /// Its events that were on disk only.
    pub unread: Vec<ReadPlan>,
    /// Those of them that somebody waits for.
    pub awaited: Vec<u64>,
}

/// A segment that has a name and a header already.
pub struct Prepared {
    /// Its file.
    pub path: PathBuf,
    /// Its number.
    pub number: u64,
    /// What it is written with.
    pub writer: Writer,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Prepared").field("number", &self.number).finish_non_exhaustive()
    }
}

/// The end of one client's log.
pub struct Tail {
    settings: Arc<Settings>,
    disk: Arc<dyn Disk>,
    chance: Rng,
    lease: Option<Lease>,
    active: Option<(SegmentId, Writer)>,
    prepared: Option<Prepared>,
    extents: Extents,
    last_segment: SegmentId,
    last_number: u64,
    state: State,
    fault: Option<io::Error>,
    epoch: i64,
    /// Events up to this one may be in memory only.
    unwritten_up_to: u64,
    backlog: Backlog,
    awaited: BTreeSet<u64>,
    unsynced: Unsynced,
    /// Segments of the group commit under way.
    committing: Vec<SegmentId>,
    /// Something was written since the file's name was last looked for.
    wrote: bool,
    /// A segment was left that may have nothing in it that is needed.
    has_left_one: bool,
}

impl Tail {
    /// Opens the log of a new instance. A disk that refuses does not refuse the start: the log begins degraded and is
    /// tried again. `epoch` is the wall clock at the zero of the client's clock, in milliseconds since 1970.
    #[must_use]
    pub fn open(
        settings: Arc<Settings>,
        disk: Arc<dyn Disk>,
        chance: Rng,
        epoch: i64,
        now: Duration,
    ) -> Self {
        let mut tail = Self {
            settings,
            disk,
            chance,
            lease: None,
            active: None,
            prepared: None,
            extents: Extents::default(),
            last_segment: 0,
            last_number: 0,
            state: State::Ready,
            fault: None,
            epoch,
            unwritten_up_to: 0,
            backlog: Backlog::default(),
            awaited: BTreeSet::new(),
            unsynced: Unsynced::default(),
            committing: Vec::new(),
            wrote: false,
            has_left_one: false,
        };
        if let Err(error) = tail.directory() {
            tail.degrade(error, now);
        }
        tail
    }

    /// The directory of this instance, made if need be.
    fn directory(&mut self) -> io::Result<PathBuf> {
        if let Some(lease) = &self.lease {
            return Ok(lease.path.clone());
        }
        let directory = self.settings.directory.clone();
        let parent = directory.parent().map(Path::to_path_buf);
        if let Some(parent) = &parent {
            self.disk.prepare(parent)?;
        }
        let lease = Lease::create(&*self.disk, &directory, &mut self.chance)?;
        let path = lease.path.clone();
        self.lease = Some(lease);
        self.unsynced.directories.extend(parent.into_iter().chain([directory]));
        Ok(path)
    }

    /// The disk fails: nothing is written until it was tried again.
    pub fn degrade(&mut self, error: io::Error, now: Duration) {
        self.leave_active();
        if self.state == State::Ready {
            // Trouble that has not ended is no news.
            self.fault = Some(error);
        }
        self.state = State::Degraded { retry_at: now + RETRY };
    }

    /// Whether a record for so many bytes is within `maxBytes`.
    #[must_use]
    pub fn has_room(&self, length: usize) -> bool {
        self.extents.bytes() + (RECORD_OVERHEAD + length) as u64 <= self.settings.max_bytes
    }

    /// Whether the disk takes events now.
    #[must_use]
    pub const fn takes_events(&self) -> bool {
        !matches!(self.state, State::Degraded { .. })
    }

    /// Writes an event that was accepted at this moment of the client's clock. Once this returns, it survives the
    /// process. Returns where it is and where in the file it begins.
    ///
    /// # Errors
    /// [`NotWritten`]; the disk is as if nothing had been tried.
    pub fn append(
        &mut self,
        sequence: u64,
        accepted_at_ms: i64,
        event: &[u8],
        now: Duration,
    ) -> Result<(Place, u64), NotWritten> {
        if !self.takes_events() {
            return Err(NotWritten::Degraded);
        }
        if !self.has_room(event.len()) {
            return Err(NotWritten::Full);
        }
        self.write(sequence, accepted_at_ms, event).map_err(|error| {
            self.degrade(error, now);
            NotWritten::Degraded
        })
    }

    fn write(&mut self, sequence: u64, accepted_at_ms: i64, event: &[u8]) -> io::Result<(Place, u64)> {
        let is_full = |(_, writer): &(SegmentId, Writer)| writer.length() >= self.settings.segment_bytes;
        if self.active.as_ref().is_some_and(is_full) {
            self.leave_active();
        }
        if self.active.is_none() {
            let prepared = match self.prepared.take() {
                Some(prepared) => prepared,
                None => self.create()?,
            };
            self.begin(prepared);
        }
        let accepted_at = self.wall(accepted_at_ms);
        let Some((segment, writer)) = &mut self.active else { return Err(io::ErrorKind::NotFound.into()) };
        let segment = *segment;
        let before = writer.length();
        let offset = writer.append(sequence, accepted_at, event, &self.settings.keyring)?;
        let bytes = writer.length() - before;
        self.extents.wrote(segment, bytes, accepted_at);
        self.wrote = true;
        self.unsynced.up_to = self.unsynced.up_to.max(sequence);
        if self.settings.durability == Durability::Power
            && self.unsynced.files.last().is_none_or(|(last, _)| *last != segment)
        {
            self.unsynced.files.push((segment, Arc::clone(writer.file())));
        }
        Ok((Place { segment, sequence }, offset))
    }

    fn create(&mut self) -> io::Result<Prepared> {
        let directory = self.directory()?;
        let number = self.next_number();
        Prepared::create(&*self.disk, &self.settings, &directory, number, self.wall(0))
    }

    fn begin(&mut self, prepared: Prepared) {
        let Prepared { path, number, writer } = prepared;
        let id = self.next_segment();
        if self.settings.durability == Durability::Power {
            self.unsynced.directories.extend(path.parent().map(Path::to_path_buf));
        } else {
            self.unsynced.directories.clear();
        }
        let bytes = writer.length();
        self.extents.insert(id, path.into(), number, bytes, self.epoch);
        self.leave_active();
        self.active = Some((id, writer));
    }

    /// A name for one more segment, of whatever origin.
    pub const fn next_segment(&mut self) -> SegmentId {
        self.last_segment = self.last_segment.wrapping_add(1);
        self.last_segment
    }

    /// The number of the next segment of this instance.
    pub const fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The number and directory of a segment that should be prepared now, because the one being written is half full.
    pub fn wants_prepared(&mut self) -> Option<(PathBuf, u64)> {
        let (_, writer) = self.active.as_ref()?;
        if self.prepared.is_some() || writer.length() < self.settings.segment_bytes / 2 {
            return None;
        }
        let directory = self.lease.as_ref()?.path.clone();
        Some((directory, self.next_number()))
    }

    /// A segment was prepared. Returns the file of one that is not needed.
    pub fn prepared(&mut self, prepared: Prepared) -> Option<PathBuf> {
        let is_ours = self.lease.as_ref().map(|lease| lease.path.as_path()) == prepared.path.parent();
        if is_ours && self.prepared.is_none() && self.takes_events() {
            self.prepared = Some(prepared);
            return None;
        }
        Some(prepared.path)
    }

    /// A moment of the client's clock as milliseconds since 1970.
    #[must_use]
    pub fn wall(&self, at_ms: i64) -> u64 {
        u64::try_from(self.epoch.saturating_add(at_ms)).unwrap_or_default()
    }

    /// The wall clock was moved: from now on it is this at the zero of the client's clock. Returns what has to be noted
    /// for segments that were dated by what it said before: the file, and milliseconds to add.
    pub fn set_epoch(&mut self, epoch: i64) -> Vec<(Arc<Path>, i64)> {
        self.epoch = epoch;
        self.leave_active();
        let moved = self.extents.values_mut().filter(|extent| extent.corrected_epoch != epoch);
        moved
            .map(|extent| {
                extent.corrected_epoch = epoch;
                (Arc::clone(&extent.path), epoch.saturating_sub(extent.epoch))
            })
            .collect()
    }

    /// The wall clock at the zero of the client's clock, in milliseconds since 1970.
    #[must_use]
    pub const fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The event just written there is kept on disk only.
    pub fn postpone(&mut self, sequence: u64, place: Place, offset: u64, is_awaited: bool) {
        if is_awaited {
            self.awaited.insert(sequence);
        }
        let Place { segment, sequence: first_on_disk } = place;
        self.backlog.push(Unread { segment, first: sequence, first_on_disk, length: 1, offset });
    }

    /// Events from this sequence on are not kept on disk only any more: returns where they are.
    pub fn take_back(&mut self, from: u64) -> Vec<Place> {
        self.awaited.split_off(&from);
        let places = |unread: Unread| {
            let on_disk = unread.first_on_disk..unread.first_on_disk + unread.length;
            on_disk.map(move |sequence| Place { segment: unread.segment, sequence })
        };
        self.backlog.take_back(from).into_iter().flat_map(places).collect()
    }

    /// Whether no event of this client's own is on disk only.
    #[must_use]
    pub fn all_read(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Events of this client's own that are on disk only.
    #[must_use]
    pub const fn backlog_events(&self) -> u64 {
        self.backlog.events()
    }

    /// When the oldest of them was accepted, at the latest; in milliseconds since 1970.
    #[must_use]
    pub fn oldest_unread_at(&self) -> Option<u64> {
        let first = self.backlog.front()?;
        self.extents.get(first.segment).map(|extent| extent.oldest_at)
    }

    fn plan_for(&self, unread: Unread) -> Option<ReadPlan> {
        let extent = self.extents.get(unread.segment)?;
        Some(ReadPlan { path: Arc::clone(&extent.path), number: extent.number, unread, epoch: extent.epoch })
    }

    /// What to read next.
    #[must_use]
    pub fn next_unread(&self) -> Option<ReadPlan> {
        self.backlog.front().and_then(|unread| self.plan_for(unread))
    }

    /// The first `count` events of a plan were read; the next begins at `offset`. False when they are no longer
    /// waited for.
    pub fn was_read(&mut self, plan: &ReadPlan, count: u64, offset: u64) -> bool {
        let Some(count) = self.backlog.was_read(plan.unread, count, offset) else { return false };
        self.take_out(plan.unread.segment, count);
        true
    }

    /// Segments that nothing is written to any more and nothing in is needed: they go.
    pub fn drain_settled(&mut self) -> Vec<Arc<Path>> {
        if !std::mem::take(&mut self.has_left_one) {
            return Vec::new();
        }
        let active = self.active.as_ref().map(|(active, _)| *active);
        let is_settled = |id, extent: &Extent| extent.settled >= extent.written && Some(id) != active;
        let settled = self.extents.find_all(is_settled);
        settled.into_iter().filter_map(|id| self.forget(id)).map(|extent| extent.path).collect()
    }

    /// Nothing more is written to the segment at hand.
    fn leave_active(&mut self) {
        self.has_left_one |= self.active.take().is_some();
    }

    /// Forgets that somebody waits for this event, and says whether somebody did.
    pub fn forget_awaited(&mut self, sequence: u64) -> bool {
        self.awaited.remove(&sequence)
    }

    /// Events of this segment were taken from the queue.
    pub fn take_out(&mut self, segment: SegmentId, count: u64) {
        if let Some(extent) = self.extents.get_mut(segment) {
            extent.busy += count;
        }
    }

    /// Events of this segment that were read back wait in the queue.
    pub fn put_back(&mut self, segment: SegmentId, count: u64) {
        if let Some(extent) = self.extents.get_mut(segment) {
            extent.busy = extent.busy.saturating_sub(count);
        }
    }

    /// So many events of this segment need no disk any more; with `ranges` acknowledgements if it stays. `was_busy`: they
    /// had been taken out.
    pub fn settle(&mut self, segment: SegmentId, count: u64, ranges: usize, was_busy: bool) -> Settled {
        let settled = self.extents.settle(segment, count, ranges, was_busy);
        if matches!(settled, Settled::Reclaim(_)) {
            self.was_removed(segment);
        }
        settled
    }

    fn forget(&mut self, segment: SegmentId) -> Option<Extent> {
        let extent = self.extents.remove(segment)?;
        self.was_removed(segment);
        Some(extent)
    }

    fn was_removed(&mut self, segment: SegmentId) {
        if self.active.as_ref().is_some_and(|(active, _)| *active == segment) {
            self.active = None;
        }
        self.unsynced.files.retain(|(id, _)| *id != segment);
    }

    /// Gives up the oldest segment in which nothing is busy, and with it what is there only.
    pub fn evict(&mut self) -> Option<Eviction> {
        let segment = self.extents.oldest_idle()?;
        let unread = self.drain_backlog(segment);
        let in_it = |sequence: &u64| unread.iter().any(|plan| plan.unread.covers(*sequence));
        let awaited: Vec<_> = self.awaited.iter().copied().filter(in_it).collect();
        for sequence in &awaited {
            self.awaited.remove(sequence);
        }
        let extent = self.forget(segment)?;
        let waiting = extent.written.saturating_sub(extent.settled);
        let in_memory = waiting.saturating_sub(unread.iter().map(|plan| plan.unread.length).sum());
        Some(Eviction { segment, path: extent.path, in_memory, unread, awaited })
    }

    fn drain_backlog(&mut self, segment: SegmentId) -> Vec<ReadPlan> {
        let gone = self.backlog.drain(segment);
        gone.into_iter().filter_map(|unread| self.plan_for(unread)).collect()
    }

    /// The directory was looked through after a failure: only these names are left. Strikes out the segments that are
    /// not, and returns what was there only.
    pub fn strike_out(&mut self, names: &[String]) -> Vec<Unread> {
        let is_there = |extent: &Extent| {
            extent.path.file_name().is_some_and(|name| names.iter().any(|known| **known == *name))
        };
        let gone = self.extents.find_all(|_, extent| !is_there(extent));
        if names.is_empty() {
            self.lease = None;
        }
        self.prepared = None;
        let lost = gone.iter().flat_map(|segment| self.backlog.drain(*segment)).collect();
        for segment in gone {
            self.forget(segment);
        }
        lost
    }

    /// A failing disk was tried again and took a segment; events that are in memory only can be written now.
    pub fn begin_anew(&mut self, prepared: Prepared, lease: Option<Lease>, now: Duration) {
        if let Some(lease) = lease {
            self.unsynced.directories.push(self.settings.directory.clone());
            self.lease = Some(lease);
        }
        self.state = State::CatchingUp { from: now };
        self.begin(prepared);
    }

    /// A failing disk was tried again and still fails.
    pub const fn try_later(&mut self, now: Duration) {
        self.state = State::Degraded { retry_at: now.saturating_add(RETRY) };
    }

    /// Everything in memory is on disk again.
    pub fn caught_up(&mut self) {
        if matches!(self.state, State::CatchingUp { .. }) {
            self.state = State::Ready;
            self.unwritten_up_to = 0;
        }
    }

    /// There is no room for what is in memory only.
    pub fn catch_up_later(&mut self, now: Duration) {
        if matches!(self.state, State::CatchingUp { .. }) {
            self.state = State::CatchingUp { from: now + RETRY };
        }
    }

    /// This event is in memory only.
    pub fn was_not_written(&mut self, sequence: u64) {
        self.unwritten_up_to = self.unwritten_up_to.max(sequence);
    }

    /// Whether the disk can be relied on.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether this copy of an event will be there after a crash, and after a power loss once it was committed.
    #[must_use]
    pub fn is_safe(&self, place: Option<Place>) -> bool {
        self.extents.of(place).is_some_and(|extent| !extent.is_suspect)
    }

    /// Whether this copy of an event survives a power loss.
    #[must_use]
    pub fn is_durable(&self, place: Place) -> bool {
        self.extents.get(place.segment).is_some_and(|extent| place.sequence <= extent.synced_up_to)
    }

    /// Whether this copy of an event exists at all.
    #[must_use]
    pub fn has(&self, place: Option<Place>) -> bool {
        self.extents.of(place).is_some()
    }

    /// Whether an event that was just accepted is on disk.
    #[must_use]
    pub fn is_written(&self, sequence: u64) -> bool {
        sequence > self.unwritten_up_to
    }

    /// What went wrong since the last time somebody asked.
    pub const fn take_fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Whether something went wrong since the last time somebody asked.
    #[must_use]
    pub const fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// Whether there is something to commit.
    #[must_use]
    pub fn wants_sync(&self) -> bool {
        self.settings.durability == Durability::Power
            && self.state == State::Ready
            && !(self.unsynced.files.is_empty() && self.unsynced.directories.is_empty())
    }

    /// The next group commit, when there is something to commit.
    pub fn take_sync(&mut self) -> Option<SyncJob> {
        if !self.wants_sync() {
            return None;
        }
        let up_to = self.unsynced.up_to;
        let mut unsynced = std::mem::replace(&mut self.unsynced, Unsynced { up_to, ..Unsynced::default() });
        unsynced.directories.sort();
        unsynced.directories.dedup();
        self.committing = unsynced.files.iter().map(|(id, _)| *id).collect();
        Some(SyncJob { disk: Arc::clone(&self.disk), unsynced })
    }

    /// A group commit of events up to this one succeeded.
    pub fn synced(&mut self, up_to: u64) {
        for id in std::mem::take(&mut self.committing) {
            if let Some(extent) = self.extents.get_mut(id) {
                extent.synced_up_to = up_to;
            }
        }
    }

    /// A group commit failed. What the kernel could not write may be gone from its cache, and a second call would claim
    /// success: these files are neither written nor synced again, and what memory still has is written anew. Returns the
    /// last event that is concerned.
    pub fn sync_failed(&mut self, error: io::Error, now: Duration) -> u64 {
        let later = std::mem::take(&mut self.unsynced.files).into_iter().map(|(id, _)| id);
        for id in std::mem::take(&mut self.committing).into_iter().chain(later) {
            if let Some(extent) = self.extents.get_mut(id) {
                extent.is_suspect = true;
            }
        }
        self.degrade(error, now);
        self.unsynced.up_to
    }

    /// The file being written, when something was written since the last call: its name has to be looked for.
    pub fn take_watched(&mut self) -> Option<Arc<dyn LogFile>> {
        if !std::mem::take(&mut self.wrote) {
            return None;
        }
        self.active.as_ref().map(|(_, writer)| Arc::clone(writer.file()))
    }

    /// Whether [`Tail::take_watched`] has something.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.wrote && self.active.is_some()
    }

    /// On a way out: an empty directory is given up; it is made again when it is needed. Returns it with the file of a
    /// segment that was prepared in vain.
    pub fn rest(&mut self) -> (Option<Lease>, Option<PathBuf>) {
        let prepared = self.prepared.take().map(|prepared| prepared.path);
        // A directory goes once nothing is in it.
        if prepared.is_some() || !self.extents.is_empty() {
            return (None, prepared);
        }
        self.active = None;
        (self.lease.take(), prepared)
    }

    /// Lets go of everything on disk; it stays for the next process. Returns what was on disk only.
    pub fn leave(&mut self) -> (Vec<ReadPlan>, BTreeSet<u64>) {
        let backlog = self.backlog.take();
        let plans = backlog.into_iter().filter_map(|unread| self.plan_for(unread)).collect();
        (plans, std::mem::take(&mut self.awaited))
    }

    /// The client is over. Returns its directory, with whatever is left in it.
    pub fn close(&mut self) -> Option<Lease> {
        self.active = None;
        self.lease.take()
    }

    /// The directory of this instance.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.lease.as_ref().map(|lease| lease.path.as_path())
    }

    /// Bytes of this client's own segments.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.extents.bytes()
    }

    /// What has to hold after every step.
    ///
    /// # Panics
    /// When it does not.
    #[cfg(any(test, feature = "testing"))]
    pub fn check(&self) {
        self.extents.check();
        self.backlog.check(|segment| self.extents.get(segment).is_some());
    }
}

impl Prepared {
    /// Creates a segment with its header.
    ///
    /// # Errors
    /// As the file system says; no file is left then.
    pub fn create(
        disk: &dyn Disk,
        settings: &Settings,
        directory: &Path,
        number: u64,
        created_at: u64,
    ) -> io::Result<Self> {
        let path = segment_path(directory, number);
        let writer = Writer::create(disk, &path, number, created_at, &settings.keyring)?;
        Ok(Self { path, number, writer })
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tail")
            .field("state", &self.state)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
