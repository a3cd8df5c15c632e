//! What a client with a spool does beside sending: hand out jobs, take in what came of them, and write again what a
//! failing disk did not take.

mod leaving;
mod results;
mod rewriting;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use super::{Moment, Output, Worker};
use crate::config::{Config, Durability};
use crate::delivery::batch::{Room, Rules};
use crate::delivery::dead_letter::Cause;
use crate::delivery::gate::signed_milliseconds;
use crate::delivery::notice::{Level, Notice};
use crate::error::{Error, ErrorKind};
use crate::event::MAX_EVENT_BYTES;
use crate::queue::spool::jobs::{Chore, Job, WatchedFile};
use crate::queue::spool::record::Acknowledgement;
use crate::queue::spool::recovery::Recovery;
use crate::queue::spool::survey::since_1970;
use crate::queue::spool::tail::{Eviction, State as DiskState, Tail};
use crate::queue::{Entry, Fifo, Place};

/// Memory is filled up from disk when less than this waits in it.
const READ_BELOW: usize = 1024 * 1024;
/// The most that is read in one go.
const PIECE: usize = 1024 * 1024;
/// After something was written: when to make sure that its file still has a name.
const WATCH: Duration = Duration::from_millis(100);
/// A disk that takes longer than this to note the end of a batch holds up no other.
const NOTING: Duration = Duration::from_millis(50);
/// The wall clock is compared with the monotonic one at least this often, while something is on disk.
const CLOCK_CHECK: Duration = Duration::from_secs(60);
/// A wall clock that moved by less has not been set.
const CLOCK_TOLERANCE_MS: u64 = 2_000;
/// Events on disk that are read because somebody waits for them.
#[derive(Debug)]
struct Reading {
    awaited: BTreeSet<u64>,
    /// They had to go for new ones; else the client is closed and the spool keeps them.
    are_evicted: bool,
}

/// Whether everything on disk was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Asked,
    Done,
}

/// What of a spool only the worker knows.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts about one disk")]
pub(super) struct Storage {
    pub(super) recovery: Recovery,
    pub(super) chores: Vec<Chore>,
    /// When batches were settled whose end is not noted on disk yet: after a crash they would be sent once more.
    pub(super) unnoted: Vec<Duration>,
    /// How many of them the job under way notes.
    noting: usize,
    chance: Rng,
    is_power: bool,
    jobs: VecDeque<Job>,
    readings: VecDeque<Reading>,
    /// Events that are given up, once they are among the dead letters.
    burials: VecDeque<(Cause, Vec<Entry>)>,
    is_busy: bool,
    is_syncing: bool,
    /// Copies that were replaced, and whether their events were taken from the queue: they are needed until the new copy
    /// has been committed.
    displaced: Vec<(Place, bool)>,
    /// Those that the commit under way makes superfluous.
    committing: Vec<(Place, bool)>,
    /// New copies of events in flight.
    replaced: HashMap<u64, Place>,
    /// The next waiting event that may have to be written again.
    rewrite_from: u64,
    /// Own events that were on disk only.
    read_back: Fifo<Entry>,
    read_back_bytes: usize,
    is_recovery_turn: bool,
    watch_at: Option<Duration>,
    next_clock_check: Duration,
    leaving: Leaving,
    leave_by: Option<Duration>,
}

impl Storage {
    pub(super) fn new(config: &Config, now: Moment, chance: Rng) -> Self {
        let (max_bytes, durability) = config
            .spool
            .as_ref()
            .map_or((0, Durability::Process), |spool| (spool.max_bytes, spool.durability));
        let wall = since_1970(now.wall);
        Self {
            recovery: Recovery::new(
                config.max_event_age,
                max_bytes,
                config.max_queue_bytes,
                now.elapsed,
                wall,
            ),
            chores: Vec::new(),
            unnoted: Vec::new(),
            noting: 0,
            chance,
            is_power: durability == Durability::Power,
            jobs: VecDeque::new(),
            readings: VecDeque::new(),
            burials: VecDeque::new(),
            is_busy: false,
            is_syncing: false,
            displaced: Vec::new(),
            committing: Vec::new(),
            replaced: HashMap::new(),
            rewrite_from: 0,
            read_back: Fifo::default(),
            read_back_bytes: 0,
            is_recovery_turn: false,
            watch_at: None,
            next_clock_check: now.elapsed,
            leaving: Leaving::No,
            leave_by: None,
        }
    }

    /// The copy of an event that is settled now.
    pub(super) fn place_of(&mut self, entry: &Entry) -> Option<Place> {
        self.replaced.remove(&entry.sequence).or(entry.place)
    }

    fn current_place(&self, entry: &Entry) -> Option<Place> {
        self.replaced.get(&entry.sequence).copied().or(entry.place)
    }

    pub(super) fn is_recovered(&self, entry: &Entry) -> bool {
        entry.place.is_some_and(|place| self.recovery.owns(place.segment))
    }

    pub(super) const fn release(&mut self, recovered: usize) {
        self.recovery.release(recovered);
    }

    /// A batch of own events that were on disk only.
    pub(super) fn take_read_back(&mut self, rules: Rules) -> Vec<Entry> {
        let mut room = Room::new(rules.max_events, rules.max_bytes);
        let mut entries = Vec::new();
        while self.read_back.front().is_some_and(|entry| room.takes(entry.bytes.len()))
            && let Some(entry) = self.read_back.pop()
        {
            self.read_back_bytes -= entry.bytes.len();
            entries.push(entry);
        }
        entries
    }

    /// A batch of recovered events.
    pub(super) fn take_recovered(&mut self, rules: Rules) -> Vec<Entry> {
        let mut room = Room::new(rules.max_events, rules.max_bytes);
        let mut entries = Vec::new();
        while self.recovery.oldest().is_some_and(|entry| room.takes(entry.bytes.len()))
            && let Some(entry) = self.recovery.pop()
        {
            entries.push(entry);
        }
        // Files of several writers are not in one order.
        entries.sort_by_key(|entry| entry.accepted_at_ms);
        entries
    }

    /// Whether somebody will look for the name of the file that is written.
    pub(super) const fn watches(&self) -> bool {
        self.watch_at.is_some()
    }

    /// Batches whose end a disk that is well will have noted soon: until then they count as under way, so that a crash costs
    /// no more repeats than there are requests at once.
    pub(super) fn unnoted(&self, now: Duration) -> usize {
        self.unnoted.iter().filter(|settled_at| now < **settled_at + NOTING).count()
    }

    /// When the first of them no longer counts.
    pub(super) fn unnoted_until(&self, now: Duration) -> Option<Duration> {
        self.unnoted.iter().map(|settled_at| *settled_at + NOTING).filter(|until| *until > now).min()
    }

    /// What the last job had to note is on disk.
    fn has_noted(&mut self) {
        let noted = std::mem::take(&mut self.noting).min(self.unnoted.len());
        self.unnoted.drain(..noted);
    }

    /// Whether no event waits to be among the dead letters.
    pub(super) fn has_buried(&self) -> bool {
        self.burials.is_empty()
    }

    /// Whether a commit is under way.
    pub(super) const fn commits(&self) -> bool {
        self.is_syncing
    }

    /// Accepted events that are in no queue and no batch.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn events(&self) -> u64 {
        let buried: usize = self.burials.iter().map(|(_, entries)| entries.len()).sum();
        self.recovery.backlog_events() + (self.recovery.loaded() + self.read_back.len() + buried) as u64
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn check(&self) {
        self.recovery.check();
        let bytes: usize = self.read_back.iter().map(|entry| entry.bytes.len()).sum();
        assert_eq!(bytes, self.read_back_bytes, "bytes read back");
    }
}

impl Worker {
    /// Does what is due on disk, as far as nothing has to be waited for.
    pub(super) fn maintain(&mut self) {
        if self.storage.is_none() {
            return;
        }
        self.check_clock();
        self.watch();
        self.reclaim_left();
        self.write_again();
        self.commit();
        self.start_job();
    }

    /// When the disk has something to be done by itself.
    pub(super) fn storage_due_at(&self) -> Option<Duration> {
        let storage = self.storage.as_ref()?;
        if storage.leaving == Leaving::Done {
            return None;
        }
        let state = self.gate.lock().tail.as_ref().map(Tail::state);
        let disk = match state {
            Some(DiskState::Degraded { retry_at }) if !storage.is_busy => Some(retry_at),
            Some(DiskState::CatchingUp { from }) => Some(from),
            _ => None,
        };
        let is_sound = !matches!(state, Some(DiskState::Degraded { .. }));
        let may_begin = !storage.is_busy && is_sound && !self.is_leaving();
        let recovery = storage.recovery.due_at().filter(|_| may_begin);
        let watch = storage.watch_at.filter(|_| !storage.is_busy);
        let clock = (self.outstanding() > 0).then_some(storage.next_clock_check);
        let leave_by = storage.leave_by.filter(|_| !self.farewells.is_empty());
        [disk, recovery, watch, clock, leave_by].into_iter().flatten().min()
    }

    /// Whether nothing new is to be begun.
    fn is_leaving(&self) -> bool {
        self.is_closing || !self.drains.is_empty()
    }

    /// A clock that was wrong when events were written dates them wrongly for whoever recovers them.
    fn check_clock(&mut self) {
        let now = self.now;
        let Some(storage) = self.storage.as_mut() else { return };
        storage.next_clock_check = now.elapsed + CLOCK_CHECK;
        let epoch = since_1970(now.wall).saturating_sub(signed_milliseconds(now.elapsed));
        let mut admission = self.gate.lock();
        let Some(tail) =
            admission.tail.as_mut().filter(|tail| tail.epoch().abs_diff(epoch) > CLOCK_TOLERANCE_MS)
        else {
            return;
        };
        for (path, milliseconds) in tail.set_epoch(epoch) {
            storage.chores.push(Chore::Acknowledge(path, vec![Acknowledgement::correction(milliseconds)]));
        }
    }

    fn reclaim_left(&mut self) {
        let left = self.gate.lock().tail.as_mut().map(Tail::drain_settled).unwrap_or_default();
        if let Some(storage) = &mut self.storage {
            storage.chores.extend(left.into_iter().map(Chore::Reclaim));
        }
    }

    /// Something was written: soon somebody makes sure that its file still has a name.
    fn watch(&mut self) {
        let now = self.elapsed();
        let is_watched = self.gate.lock().tail.as_ref().is_some_and(Tail::is_watched);
        let Some(storage) = &mut self.storage else { return };
        storage.watch_at = if is_watched { storage.watch_at.or(Some(now + WATCH)) } else { None };
    }

    fn read_fault(&mut self) {
        let fault = self.gate.lock().tail.as_mut().and_then(Tail::take_fault);
        if let Some(error) = fault {
            self.report_fault(&error);
        }
    }

    /// The disk fails: events are in memory only.
    fn degrade(&mut self, error: io::Error) {
        let now = self.elapsed();
        if let Some(tail) = self.gate.lock().tail.as_mut().filter(|tail| tail.state() == DiskState::Ready) {
            tail.degrade(error, now);
        }
        self.read_fault();
    }

    /// Tells of a failing disk, once for each failure.
    pub(super) fn report_fault(&mut self, error: &io::Error) {
        let directory = self
            .config
            .spool
            .as_ref()
            .map_or_else(String::new, |spool| spool.directory.display().to_string());
        let text = format!(
            "The spool can't be used: {error}. Events are kept in memory only until it can. Check the disk and its \
             directory {directory}, and who owns it."
        );
        self.log(Level::Error, "the spool can't be used", || json!({ "error": error.to_string() }));
        self.notify(Notice::Trouble { error: Error::new(ErrorKind::Spool, text), status: None });
    }

    fn start_job(&mut self) {
        let Some(job) = self.next_job() else { return };
        if let Some(storage) = &mut self.storage {
            storage.is_busy = true;
        }
        self.outputs.push(Output::Job(job));
    }

    fn next_job(&mut self) -> Option<Job> {
        let now = self.elapsed();
        let is_empty = self.outstanding() == 0;
        let (is_closing, is_leaving) = (self.is_closing, self.is_leaving());
        let storage = self.storage.as_mut().filter(|storage| !storage.is_busy)?;
        if storage.leaving != Leaving::No {
            return None;
        }
        if !storage.chores.is_empty() {
            storage.noting = storage.unnoted.len();
            return Some(Job::Chores(std::mem::take(&mut storage.chores)));
        }
        if let Some(job) = storage.jobs.pop_front() {
            return Some(job);
        }
        let mut admission = self.gate.lock();
        let held_from = admission.held_from();
        let queue_room = admission.queue.room();
        let waiting_bytes = admission.queue.waiting_bytes() + storage.read_back_bytes;
        let tail = admission.tail.as_mut()?;
        // A disk that fails is left as it is: a copy too many is delivered twice at worst.
        let is_failing = tail.state() != DiskState::Ready;
        let is_committed =
            !storage.is_syncing && (is_failing || (!tail.wants_sync() && storage.displaced.is_empty()));
        if is_leaving && is_empty && is_committed {
            let (lease, prepared) = tail.rest();
            if let Some(path) = prepared {
                return Some(Job::Chores(vec![Chore::Reclaim(path.into())]));
            }
            if is_closing {
                storage.leaving = Leaving::Asked;
                return Some(Job::Leave(lease.or_else(|| tail.close())));
            }
            if lease.is_some() {
                return Some(Job::Tidy(lease));
            }
        }
        if let DiskState::Degraded { retry_at } = tail.state() {
            let directory = tail.path().map(std::path::Path::to_path_buf);
            // Until then a failing disk is left alone.
            return (retry_at <= now).then(|| Job::Retry {
                directory,
                number: tail.next_number(),
                created_at: tail.wall(signed_milliseconds(now)),
            });
        }
        if storage.watch_at.is_some_and(|watch_at| watch_at <= now) {
            storage.watch_at = None;
            if let Some(file) = tail.take_watched() {
                return Some(Job::Watch(WatchedFile(file)));
            }
        }
        if let Some((directory, number)) = tail.wants_prepared() {
            return Some(Job::Prepare { directory, number, created_at: tail.wall(signed_milliseconds(now)) });
        }
        // Half of it: small events cost more in memory than on disk.
        let budget = (queue_room / 2).min(PIECE);
        let own = (waiting_bytes < READ_BELOW && budget > MAX_EVENT_BYTES / 2)
            .then(|| tail.next_unread())
            .flatten()
            .filter(|plan| held_from.is_none_or(|from| plan.unread.first + plan.unread.length <= from));
        storage.is_recovery_turn = !storage.is_recovery_turn;
        if let Some(plan) = own.as_ref().filter(|_| !storage.is_recovery_turn) {
            return Some(Job::Read { plan: plan.clone(), budget });
        }
        storage.recovery.reconsider(now);
        let seed = storage.chance.u64(..);
        let of_recovery = storage.recovery.next_job(tail.path(), now, seed, is_leaving);
        of_recovery.or_else(|| own.map(|plan| Job::Read { plan, budget }))
    }

    pub(super) fn evicted_segment(&mut self, eviction: Eviction) {
        let Some(storage) = &mut self.storage else { return };
        let Eviction { path, unread, awaited, .. } = eviction;
        if awaited.is_empty() {
            storage.chores.push(Chore::Reclaim(path));
            return;
        }
        storage.jobs.push_back(Job::ReadAwaited(unread));
        storage.readings.push_back(Reading { awaited: awaited.into_iter().collect(), are_evicted: true });
        storage.jobs.push_back(Job::Chores(vec![Chore::Reclaim(path)]));
    }

    /// Keeps what Segment refused where people can look at it; false when nothing is to be kept. Their end is told once
    /// that is done.
    pub(super) fn bury(&mut self, cause: &Cause, entries: &[Entry]) -> bool {
        let at_ms = self.elapsed_ms();
        let Some(storage) = self.storage.as_mut().filter(|_| cause.reason.is_final_answer()) else {
            return false;
        };
        let at = self.gate.lock().tail.as_ref().map_or(0, |tail| tail.wall(at_ms));
        let facts = format!(
            r#"{{"reason":"{}","status":{},"attempts":{},"droppedAtMs":{at},"event":"#,
            cause.reason.name(),
            cause.status.map_or_else(|| "null".into(), |status| status.to_string()),
            cause.attempts,
        );
        let letters =
            entries.iter().map(|entry| [facts.as_bytes(), &entry.bytes, b"}"].concat().into()).collect();
        storage.jobs.push_back(Job::Bury { letters, at });
        storage.burials.push_back((cause.clone(), entries.to_vec()));
        true
    }

    /// Does not wait any longer for dead letters to be kept.
    pub(super) fn finish_burials(&mut self) {
        while let Some((cause, entries)) =
            self.storage.as_mut().and_then(|storage| storage.burials.pop_front())
        {
            self.finish_drop(cause, &entries);
        }
    }

    pub(super) fn publish_storage(&mut self) {
        let Some(storage) = &self.storage else { return };
        let recovery = &storage.recovery;
        self.published.recovery_backlog = recovery.backlog_events();
        self.published.recovered = recovery.recovered();
        self.published.recovered_bytes = recovery.loaded_bytes();
        self.published.adopted_bytes = recovery.bytes();
        self.published.orphans = recovery.orphans();
        self.published.locked = recovery.locked();
        let loaded =
            recovery.oldest().into_iter().chain(storage.read_back.front()).map(|entry| entry.accepted_at_ms);
        let unread =
            recovery.oldest_unread_at().map(|(at, epoch)| i64::try_from(at).unwrap_or(i64::MAX) - epoch);
        let oldest = loaded.chain(unread).chain(self.published.oldest_in_flight_at);
        self.published.oldest_in_flight_at = oldest.min();
    }
}
