//! The queue on disk: a log of segments in a directory of this instance's own.
//!
//! An event is appended before it is accepted and acknowledged once it is settled; a segment goes when all of it is.
//! What an ended process left behind is adopted by the next. [`Spool`] belongs behind the ledger's lock and does
//! nothing slow; [`keeper`] does what can wait, on the engine's thread. `docs/RELIABILITY.md` says what this promises.

pub mod books;
pub mod cipher;
mod commit;
pub mod dead_letters;
pub mod disk;
pub mod home;
pub mod inspect;
pub mod keeper;
pub mod reader;
pub mod record;
mod settings;
pub mod survey;
pub mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Durability;
use books::{Adopted, Books, ReadPlan, SegmentId};
use disk::Disk;
use home::{Home, segment_file};
use record::RECORD_OVERHEAD;
use writer::Writer;

pub use commit::SyncJob;
use commit::Unsynced;
pub use settings::Settings;

/// How long to leave a failing disk alone.
const RETRY: Duration = Duration::from_secs(5);
/// How often to make sure that the files still have names.
const WATCH: Duration = Duration::from_millis(100);

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
enum State {
    Ready,
    /// Events are only in memory until the disk is tried again.
    Degraded {
        retry_at: Duration,
    },
    /// The disk is back; from this moment on, what came meanwhile is written.
    CatchingUp {
        from: Duration,
    },
}

/// The spool of one client, as the ledger sees it.
pub struct Spool {
    settings: Arc<Settings>,
    disk: Arc<dyn Disk>,
    books: Books,
    home: Option<Home>,
    writer: Option<(SegmentId, Writer)>,
    last_number: u64,
    state: State,
    fault: Option<io::Error>,
    watched_at: Duration,
    unsynced: Unsynced,
    synced_up_to: u64,
    /// A group commit is under way, or somebody has been woken to start one.
    syncing: bool,
    /// Segments of the group commit under way.
    committing: Vec<SegmentId>,
    recovered: u64,
}

impl Spool {
    /// Opens a spool. A disk that refuses does not refuse the start: the spool begins degraded and tries again.
    #[must_use]
    pub fn open(settings: Arc<Settings>, disk: Arc<dyn Disk>, now: Duration) -> Self {
        let mut spool = Self {
            settings,
            disk,
            books: Books::default(),
            home: None,
            writer: None,
            last_number: 0,
            state: State::Ready,
            fault: None,
            watched_at: now,
            unsynced: Unsynced::default(),
            synced_up_to: 0,
            syncing: false,
            committing: Vec::new(),
            recovered: 0,
        };
        if let Err(error) = spool.enter_home() {
            spool.degrade(error, now);
        }
        spool
    }

    fn enter_home(&mut self) -> io::Result<PathBuf> {
        if let Some(home) = &self.home {
            return Ok(home.path.clone());
        }
        let directory = self.settings.directory.clone();
        let parent = directory.parent().map(Path::to_path_buf);
        if let Some(parent) = &parent {
            self.disk.prepare(parent)?;
        }
        let home = Home::create(&*self.disk, &directory)?;
        let path = home.path.clone();
        self.home = Some(home);
        self.unsynced.directories.extend(parent.into_iter().chain([directory]));
        Ok(path)
    }

    fn degrade(&mut self, error: io::Error, now: Duration) {
        self.writer = None;
        if self.state == State::Ready {
            // Trouble that has not ended is no news.
            self.fault = Some(error);
        }
        self.state = State::Degraded { retry_at: now + RETRY };
    }

    /// Writes an event. Once this returns, it survives the process.
    ///
    /// # Errors
    /// [`NotWritten`]; the disk is as if nothing had been tried.
    pub fn append(
        &mut self,
        sequence: u64,
        accepted_at: u64,
        event: &[u8],
        now: Duration,
    ) -> Result<u64, NotWritten> {
        if matches!(self.state, State::Degraded { .. }) {
            return Err(NotWritten::Degraded);
        }
        if self.books.bytes() + (RECORD_OVERHEAD + event.len()) as u64 > self.settings.max_bytes {
            return Err(NotWritten::Full);
        }
        self.write(sequence, accepted_at, event, now).map_err(|error| {
            self.degrade(error, now);
            NotWritten::Degraded
        })
    }

    fn write(&mut self, sequence: u64, accepted_at: u64, event: &[u8], now: Duration) -> io::Result<u64> {
        self.watch(now)?;
        if self.writer.as_ref().is_some_and(|(_, writer)| writer.length() >= self.settings.segment_bytes) {
            self.writer = None;
        }
        if self.writer.is_none() {
            self.writer = Some(self.begin_segment(now)?);
        }
        let Some((id, writer)) = &mut self.writer else { return Err(io::ErrorKind::NotFound.into()) };
        let before = writer.length();
        let offset = writer.append(sequence, accepted_at, event, &self.settings.keyring)?;
        self.books.take_out(sequence);
        self.books.record(sequence, *id, writer.length() - before);
        self.unsynced.up_to = self.unsynced.up_to.max(sequence);
        if self.settings.durability == Durability::Power
            && self.unsynced.files.last().is_none_or(|(last, _)| last != id)
        {
            self.unsynced.files.push((*id, Arc::clone(writer.file())));
        }
        Ok(offset)
    }

    fn begin_segment(&mut self, now: Duration) -> io::Result<(SegmentId, Writer)> {
        let home = self.enter_home()?;
        self.last_number += 1;
        let number = self.last_number;
        let path = home.join(segment_file(number));
        let created_at = self.settings.wall(now);
        let writer = Writer::create(&*self.disk, &path, number, created_at, &self.settings.keyring)?;
        if self.settings.durability == Durability::Power {
            self.unsynced.directories.push(home);
        } else {
            self.unsynced.directories.clear();
        }
        Ok((
            self.books.open(path, number, writer.length(), created_at, self.settings.wall(Duration::ZERO)),
            writer,
        ))
    }

    /// Now and then: is the file that we write still in its directory?
    fn watch(&mut self, now: Duration) -> io::Result<()> {
        if now < self.watched_at + WATCH {
            return Ok(());
        }
        self.watched_at = now;
        match &self.writer {
            Some((_, writer)) if !writer.file().is_linked()? => {
                Err(io::Error::new(io::ErrorKind::NotFound, "the spool directory was deleted"))
            }
            _ => Ok(()),
        }
    }

    /// The event just written at this offset is kept on disk only.
    pub fn postpone(&mut self, sequence: u64, offset: u64) {
        if let Some((id, _)) = &self.writer {
            self.books.postpone(sequence, *id, offset);
        }
    }

    /// These events need no disk any more.
    pub fn settle(&mut self, sequences: impl Iterator<Item = u64>) {
        self.books.settle(sequences);
        self.drop_reclaimed_writer();
    }

    fn drop_reclaimed_writer(&mut self) {
        if self.writer.as_ref().is_some_and(|(id, _)| !self.books.has(*id)) {
            self.writer = None;
        }
        let books = &self.books;
        self.unsynced.files.retain(|(id, _)| books.has(*id));
    }

    /// Chooses a segment to give up, with the events that were only there; [`Spool::discard`] then removes it.
    pub fn evict(&mut self, busy: impl Iterator<Item = u64>) -> Option<(SegmentId, Vec<ReadPlan>)> {
        let busy: std::collections::BTreeSet<_> =
            busy.filter_map(|sequence| self.books.segment_of(sequence)).collect();
        self.books.evict(|id| busy.contains(&id))
    }

    /// Removes an evicted segment.
    pub fn discard(&mut self, id: SegmentId) {
        self.books.discard(id);
        self.drop_reclaimed_writer();
    }

    /// Tries a failing disk again once its time has come. Returns the events that are lost because they were only
    /// there. On success the ledger writes what is in memory only and then says [`Spool::caught_up`].
    pub fn retry(&mut self, now: Duration) -> Vec<ReadPlan> {
        match self.state {
            State::Degraded { retry_at } if retry_at <= now => {}
            _ => return Vec::new(),
        }
        let lost = self.look_after_home();
        self.state = State::CatchingUp { from: now };
        self.watched_at = now;
        match self.begin_segment(now) {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => self.degrade(error, now),
        }
        lost
    }

    /// Strikes out what is no longer in our directory.
    fn look_after_home(&mut self) -> Vec<ReadPlan> {
        let Some(home) = &self.home else { return Vec::new() };
        let names = match self.disk.list(&home.path) {
            Ok(items) => items.into_iter().map(|item| home.path.join(item.name)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(_) => return Vec::new(),
        };
        if names.is_empty() {
            self.home = None;
        }
        let gone: Vec<_> =
            self.books.own_segments().filter(|(_, path)| !names.contains(path)).map(|(id, _)| id).collect();
        gone.into_iter().flat_map(|id| self.books.lose(id)).collect()
    }

    /// Everything in memory is on disk again.
    pub fn caught_up(&mut self) {
        if matches!(self.state, State::CatchingUp { .. }) {
            self.state = State::Ready;
        }
    }

    /// There is no room for what is in memory only.
    pub fn catch_up_later(&mut self, now: Duration) {
        if matches!(self.state, State::CatchingUp { .. }) {
            self.state = State::CatchingUp { from: now + RETRY };
        }
    }

    /// Whether the disk is back and the ledger has to write what is in memory only.
    #[must_use]
    pub fn is_catching_up(&self, now: Duration) -> bool {
        matches!(self.state, State::CatchingUp { from } if from <= now)
    }

    /// Whether events are written.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// When to try a failing disk again.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Duration> {
        match self.state {
            State::Degraded { retry_at } => Some(retry_at),
            State::CatchingUp { from } => Some(from),
            State::Ready => None,
        }
    }

    /// Whether something went wrong since the last time somebody asked.
    #[must_use]
    pub const fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// What went wrong since the last time somebody asked.
    pub const fn take_fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Something else than writing failed.
    pub fn failed(&mut self, error: io::Error, now: Duration) {
        if self.state == State::Ready {
            self.degrade(error, now);
        }
    }

    /// Whether somebody should be woken for a group commit; true once for each.
    pub fn wakes_for_sync(&mut self) -> bool {
        let wakes = self.settings.durability == Durability::Power && !self.syncing;
        self.syncing |= wakes;
        wakes
    }

    /// The next group commit, when there is something to commit.
    pub fn take_sync(&mut self) -> Option<SyncJob> {
        let has_work = self.settings.durability == Durability::Power
            && self.is_ready()
            && self.unsynced.up_to > self.synced_up_to;
        self.syncing = has_work;
        if !has_work {
            return None;
        }
        let up_to = self.unsynced.up_to;
        let mut unsynced = std::mem::replace(&mut self.unsynced, Unsynced { up_to, ..Unsynced::default() });
        unsynced.directories.dedup();
        self.committing = unsynced.files.iter().map(|(id, _)| *id).collect();
        Some(SyncJob { disk: Arc::clone(&self.disk), unsynced })
    }

    /// A group commit is over. Returns whether it succeeded, and up to which sequence events are concerned.
    pub fn synced(&mut self, result: io::Result<u64>, now: Duration) -> (bool, u64) {
        self.syncing = false;
        match result {
            Ok(up_to) => {
                self.synced_up_to = self.synced_up_to.max(up_to);
                (true, up_to)
            }
            // What the kernel could not write may be gone from its cache, and a second call would claim success:
            // these files are neither written nor synced again, and what memory still has is written anew.
            Err(error) => {
                let later = std::mem::take(&mut self.unsynced.files).into_iter().map(|(id, _)| id);
                self.books.suspect(std::mem::take(&mut self.committing).into_iter().chain(later));
                self.degrade(error, now);
                (false, self.unsynced.up_to)
            }
        }
    }

    /// Whether an event is as safe as `durability` promises: `None` while that is being seen to.
    #[must_use]
    pub fn is_persisted(&self, sequence: u64) -> Option<bool> {
        if !self.books.covers(sequence) {
            return Some(false);
        }
        (self.settings.durability == Durability::Process || sequence <= self.synced_up_to).then_some(true)
    }

    /// Takes in a segment of an ended process; its events get sequences from `first` on.
    pub fn adopt(&mut self, adopted: Adopted, first: u64) {
        self.recovered += adopted.events();
        self.books.adopt(adopted, first);
    }

    /// Gives the directory back when nothing is in it. It is made again when it is needed.
    pub fn leave_home_if_empty(&mut self) -> Option<Home> {
        if self.books.own_segments().next().is_some() {
            return None;
        }
        self.writer = None;
        self.home.take()
    }

    /// Lets go of everything on disk; it stays for the next process.
    pub fn close(&mut self) {
        self.writer = None;
        self.home = None;
    }

    /// The directory of this instance.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.home.as_ref().map(|home| home.path.as_path())
    }

    /// Events of ended processes that were taken in.
    #[must_use]
    pub const fn recovered(&self) -> u64 {
        self.recovered
    }

    /// Which events are where.
    #[must_use]
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// The books, for reading back and for chores. Settling goes through [`Spool::settle`].
    pub const fn books_mut(&mut self) -> &mut Books {
        &mut self.books
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Spool")
            .field("state", &self.state)
            .field("books", &self.books)
            .finish_non_exhaustive()
    }
}
