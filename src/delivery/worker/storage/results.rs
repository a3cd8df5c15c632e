//! What came of jobs on disk.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Leaving, Reading};
use crate::delivery::dead_letter::DeadLetter;
use crate::delivery::notice::{Level, Notice};
use crate::delivery::worker::settle::Copies;
use crate::delivery::worker::{Worker, without_answer};
use crate::queue::spool::jobs::{Chore, Done, Job, Loaded, ReadBack, Retried, Surveyed};
use crate::queue::spool::recovery::Examined;
use crate::queue::spool::survey::since_1970;
use crate::queue::spool::tail::{ReadPlan, Tail};
use crate::queue::{Entry, Place, Tracking};
use crate::stats::DropReason;

impl Worker {
    /// Nobody knows what a job has done: its disk is looked at anew.
    pub(in crate::delivery::worker) fn job_lost(&mut self) {
        self.forget_jobs();
        self.degrade(io::Error::other("a piece of work on it came to no end"));
    }

    /// Nobody will hear of a commit that is under way: it counts as failed.
    pub(in crate::delivery::worker) fn forget_commit(&mut self) {
        if self.storage.as_ref().is_some_and(|storage| storage.is_syncing) {
            self.synced(Err(io::Error::other("a commit came to no end")));
        }
    }

    pub(in crate::delivery::worker) fn forget_jobs(&mut self) {
        let Some(storage) = &mut self.storage else { return };
        storage.is_busy = false;
        storage.unnoted.clear();
        storage.recovery.read_failed();
        storage.readings.clear();
        storage.jobs.retain(|job| !matches!(job, Job::ReadAwaited(_) | Job::Bury { .. }));
        self.finish_burials();
    }

    pub(in crate::delivery::worker) fn done(&mut self, done: Done) {
        let now = self.elapsed();
        let wall = since_1970(self.now.wall);
        let Some(storage) = &mut self.storage else { return };
        storage.is_busy = false;
        if matches!(done, Done::Chores(_)) {
            storage.has_noted();
        }
        match done {
            Done::Chores(Err(error)) => {
                // Nothing is lost by it: what is not acknowledged may be sent once more after a crash.
                self.log(
                    Level::Debug,
                    "the spool could not be tidied up",
                    || json!({ "error": error.kind().to_string() }),
                );
            }
            Done::Chores(Ok(())) | Done::Watched(Ok(true)) | Done::Prepared(Err(_)) | Done::Tidied => {}
            Done::Released => storage.recovery.released(),
            Done::Left => {
                // Whatever there is to take over is not this client's affair any more.
                storage.recovery.leave();
                storage.leaving = Leaving::Done;
            }
            Done::Prepared(Ok(prepared)) => {
                let unwanted = self.gate.lock().tail.as_mut().and_then(|tail| tail.prepared(prepared));
                storage.chores.extend(unwanted.map(|path| Chore::Reclaim(path.into())));
            }
            Done::Retried(Ok(retried)) => self.retried(retried),
            Done::Retried(Err(_)) => {
                if let Some(tail) = &mut self.gate.lock().tail {
                    tail.try_later(now);
                }
            }
            Done::Watched(Ok(false)) => {
                self.degrade(io::Error::new(io::ErrorKind::NotFound, "the spool directory was deleted"));
            }
            Done::Watched(Err(error)) => self.degrade(error),
            Done::Scanned(found) => {
                if let Err(error) = &found {
                    let kind = error.kind().to_string();
                    self.log(Level::Warn, "the spool directory can't be read", || json!({ "error": kind }));
                }
                if let Some(storage) = &mut self.storage {
                    let spread = storage.chance.f64();
                    storage.recovery.scanned(found.ok(), now, spread);
                }
            }
            Done::Claimed(path, numbers) => storage.recovery.claimed(path, numbers),
            Done::Surveyed(path, found) => self.surveyed(path, found, now, wall),
            Done::Read(plan, back) => self.read(&plan, back),
            Done::ReadAwaited(events) => self.read_awaited(events),
            Done::Buried(kept) => {
                if let Err(error) = kept {
                    let kind = error.kind().to_string();
                    self.log(Level::Warn, "a dead letter could not be kept", || json!({ "error": kind }));
                }
                if let Some((cause, entries)) =
                    self.storage.as_mut().and_then(|storage| storage.burials.pop_front())
                {
                    self.finish_drop(cause, &entries);
                }
            }
        }
    }

    pub(super) fn retried(&mut self, retried: Retried) {
        let now = self.elapsed();
        let Retried { names, prepared, lease } = retried;
        let mut admission = self.gate.lock();
        let Some(tail) = &mut admission.tail else { return };
        let lost = tail.strike_out(&names);
        tail.begin_anew(prepared, lease, now);
        let awaited = lost
            .iter()
            .flat_map(|unread| unread.first..unread.first + unread.length)
            .filter(|sequence| tail.forget_awaited(*sequence))
            .collect();
        drop(admission);
        if let Some(storage) = &mut self.storage {
            storage.rewrite_from = 0;
        }
        for unread in &lost {
            self.flushes.settle(unread.first, unread.first + unread.length - 1);
        }
        self.lost(lost.iter().map(|unread| unread.length).sum(), awaited);
    }

    /// The disk lost events; of these somebody waits for some.
    pub(super) fn lost(&mut self, events: u64, awaited: Vec<u64>) {
        self.count_dropped(DropReason::SpoolDamaged, events);
        if awaited.is_empty() {
            return;
        }
        let letter = |sequence| DeadLetter { sequence, tracked: true, bytes: b"{}".as_slice().into() };
        let cause = without_answer(DropReason::SpoolDamaged, 0);
        self.tell_dropped(cause, awaited.len() as u64, awaited.into_iter().map(letter).collect());
    }

    pub(super) fn surveyed(&mut self, path: PathBuf, found: Option<Surveyed>, now: Duration, wall: i64) {
        if let Some(Surveyed::Events { damaged, torn, .. }) = &found
            && (*damaged > 0 || *torn > 0)
        {
            let (damaged, torn_bytes) = (*damaged, *torn);
            self.log(
                Level::Warn,
                "damage in the spool: sound records are kept",
                || json!({ "damaged": damaged, "torn_bytes": torn_bytes }),
            );
        }
        let Some(storage) = &mut self.storage else { return };
        if self.is_closing {
            // Whoever is next takes it over.
            storage.recovery.read_failed();
            return;
        }
        match storage.recovery.surveyed(path, found, now, wall) {
            Examined::Nothing => {}
            Examined::Locked => {
                self.log(
                    Level::Warn,
                    "a part of the spool is encrypted with a key that was not given; it is kept",
                    || Value::Null,
                );
            }
            Examined::Newer(version) => {
                self.log(
                    Level::Warn,
                    "a newer version wrote a part of the spool; it is left alone",
                    || json!({ "version": version }),
                );
            }
            Examined::Adoptable(adoptable) => {
                let (events, damaged) = (adoptable.events(), adoptable.damaged);
                let mut admission = self.gate.lock();
                let first = admission.adopt(events, damaged);
                let segment = admission.tail.as_mut().map_or(0, Tail::next_segment);
                // All that was accepted before is known, or has a smaller sequence: nothing of it is skipped.
                self.seen = admission.last_sequence();
                drop(admission);
                let empty = storage.recovery.adopt(adoptable, segment, first);
                storage.chores.extend(empty.map(Chore::Reclaim));
                self.count_dropped(DropReason::SpoolDamaged, damaged);
                if events + damaged > 0 {
                    self.log(
                        Level::Info,
                        "events recovered",
                        || json!({ "events": events, "damaged": damaged }),
                    );
                }
            }
        }
    }

    pub(super) fn read(&mut self, plan: &ReadPlan, back: io::Result<ReadBack>) {
        let Some(storage) = &mut self.storage else { return };
        let is_recovered = storage.recovery.owns(plan.unread.segment);
        let back = match back {
            Ok(back) => back,
            Err(error) => {
                if is_recovered {
                    storage.recovery.read_failed();
                }
                return self.degrade(error);
            }
        };
        let lost = if is_recovered { storage.recovery.load(plan, back) } else { self.load(plan, back) };
        let mut copies = Copies::default();
        let mut awaited = Vec::new();
        for (sequence, place) in &lost {
            self.flushes.settle(*sequence, *sequence);
            copies.add(*place);
            if self.gate.lock().tail.as_mut().is_some_and(|tail| tail.forget_awaited(*sequence)) {
                awaited.push(*sequence);
            }
        }
        self.forget_copies(copies, true);
        if !lost.is_empty() {
            self.lost(lost.len() as u64, awaited);
        }
    }

    /// Takes in own events that were on disk only.
    pub(super) fn load(&mut self, plan: &ReadPlan, back: ReadBack) -> Vec<(u64, Place)> {
        let segment = plan.unread.segment;
        let Some(storage) = &mut self.storage else { return Vec::new() };
        let mut admission = self.gate.lock();
        let admission = &mut *admission;
        let Some(tail) = &mut admission.tail else { return Vec::new() };
        // They had to go while they were read.
        if !tail.was_read(plan, back.count, back.offset) {
            return Vec::new();
        }
        let mut in_queue = 0;
        for Loaded { sequence, on_disk, accepted_at, bytes } in back.events {
            let accepted_at = i64::try_from(accepted_at).unwrap_or(i64::MAX);
            let entry = Entry {
                bytes,
                sequence,
                accepted_at_ms: accepted_at.saturating_sub(plan.epoch),
                place: Some(Place { segment, sequence: on_disk }),
                // Whoever has the event still may be shown it again.
                tracking: if tail.forget_awaited(sequence) { Tracking::Whole } else { Tracking::Nobody },
            };
            if admission.queue.newest() < sequence {
                admission.queue.push(entry);
                in_queue += 1;
            } else {
                // While the disk failed, newer events came into memory only: these do not wait behind them.
                admission.queue.charge(entry.cost());
                storage.read_back_bytes += entry.bytes.len();
                storage.read_back.push(entry);
            }
        }
        tail.put_back(segment, in_queue);
        back.lost
            .into_iter()
            .map(|(sequence, on_disk)| (sequence, Place { segment, sequence: on_disk }))
            .collect()
    }

    pub(super) fn read_awaited(&mut self, events: Vec<Loaded>) {
        let reading = self.storage.as_mut().and_then(|storage| storage.readings.pop_front());
        let Some(Reading { mut awaited, are_evicted }) = reading else { return };
        let letter = |sequence, bytes| DeadLetter { sequence, tracked: true, bytes };
        let mut letters: Vec<_> = events
            .into_iter()
            .filter(|event| awaited.remove(&event.sequence))
            .map(|event| letter(event.sequence, event.bytes))
            .collect();
        // Whoever waits is told, even if nobody knows any more what of.
        letters.extend(awaited.into_iter().map(|sequence| letter(sequence, b"{}".as_slice().into())));
        let cause = without_answer(DropReason::QueueFull, 0);
        self.notify(if are_evicted {
            Notice::Dropped { cause, events: letters }
        } else {
            Notice::Kept { events: letters }
        });
    }
}
