//! After the disk failed: what is in memory only is written again, and what was replaced goes when it may.

use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::delivery::notice::{Level, Notice};
use crate::delivery::worker::settle::Copies;
use crate::delivery::worker::{Output, Worker};
use crate::queue::Place;
use crate::queue::spool::tail::{NotWritten, State as DiskState, Tail};

/// Events that are written again in one step, after the disk failed.
const REWRITTEN_AT_ONCE: usize = 256;

impl Worker {
    /// The disk is back: a piece of what is in memory only is written.
    pub(super) fn write_again(&mut self) {
        let now = self.elapsed();
        let is_due = |tail: &Tail| matches!(tail.state(), DiskState::CatchingUp { from } if from <= now);
        if !self.gate.lock().tail.as_ref().is_some_and(is_due) {
            return;
        }
        let Some(in_flight) = self.write_again_in_flight() else { return };
        let Some(waiting) = self.write_again_waiting(REWRITTEN_AT_ONCE.saturating_sub(in_flight)) else {
            return;
        };
        if in_flight + waiting < REWRITTEN_AT_ONCE {
            if let Some(tail) = &mut self.gate.lock().tail {
                tail.caught_up();
            }
            self.log(
                Level::Info,
                "the spool is written again, with everything that was in memory only",
                || Value::Null,
            );
        }
    }

    /// Returns how many were written; `None` when the disk takes no more.
    pub(super) fn write_again_in_flight(&mut self) -> Option<usize> {
        let now = self.elapsed();
        let storage = self.storage.as_mut()?;
        let unsafe_entries: Vec<_> = {
            let admission = self.gate.lock();
            let tail = admission.tail.as_ref()?;
            let batches = self.deliveries.values().flat_map(|delivery| delivery.batch.entries());
            batches
                .filter(|entry| !storage.is_recovered(entry) && !tail.is_safe(storage.current_place(entry)))
                .take(REWRITTEN_AT_ONCE)
                .cloned()
                .collect()
        };
        let mut displaced = Vec::new();
        let mut result = Some(unsafe_entries.len());
        for entry in unsafe_entries {
            let mut admission = self.gate.lock();
            let tail = admission.tail.as_mut()?;
            match tail.append(entry.sequence, entry.accepted_at_ms, &entry.bytes, now) {
                Ok((place, _)) => {
                    tail.take_out(place.segment, 1);
                    displaced.extend(storage.current_place(&entry).map(|old| (old, true)));
                    storage.replaced.insert(entry.sequence, place);
                }
                Err(error) => {
                    put_off(tail, error, now);
                    result = None;
                    break;
                }
            }
        }
        self.displace(displaced);
        result
    }

    pub(super) fn write_again_waiting(&mut self, limit: usize) -> Option<usize> {
        let now = self.elapsed();
        let (mut written, mut looked_at) = (0, 0);
        let mut displaced = Vec::new();
        let mut result = Some(());
        // The lock is held for one write, and for a look at a few that need none.
        while written < limit && looked_at < 64 * REWRITTEN_AT_ONCE {
            looked_at += 1;
            let storage = self.storage.as_mut()?;
            let mut admission = self.gate.lock();
            let admission = &mut *admission;
            let tail = admission.tail.as_mut()?;
            let Some(entry) = admission.queue.first_from(storage.rewrite_from) else { break };
            storage.rewrite_from = entry.sequence + 1;
            if tail.is_safe(entry.place) {
                continue;
            }
            match tail.append(entry.sequence, entry.accepted_at_ms, &entry.bytes, now) {
                Ok((place, _)) => {
                    displaced.extend(entry.place.replace(place).map(|old| (old, false)));
                    written += 1;
                }
                Err(error) => {
                    storage.rewrite_from = entry.sequence;
                    put_off(tail, error, now);
                    result = None;
                    break;
                }
            }
        }
        self.displace(displaced);
        let is_more = looked_at == 64 * REWRITTEN_AT_ONCE;
        result.map(|()| if is_more { limit } else { written })
    }

    /// These copies have been replaced. One that survives a power loss is needed until the new copy does.
    pub(super) fn displace(&mut self, displaced: Vec<(Place, bool)>) {
        let Some(storage) = &mut self.storage else { return };
        let (needed, useless): (Vec<_>, Vec<_>) = {
            let admission = self.gate.lock();
            let is_needed = |place| admission.tail.as_ref().is_some_and(|tail| tail.is_durable(place));
            displaced.into_iter().partition(|(place, _)| storage.is_power && is_needed(*place))
        };
        storage.displaced.extend(needed);
        self.forget_displaced(&useless);
    }

    pub(super) fn forget_displaced(&mut self, displaced: &[(Place, bool)]) {
        for was_busy in [true, false] {
            let mut copies = Copies::default();
            for (place, _) in displaced.iter().filter(|(_, busy)| *busy == was_busy) {
                copies.add(*place);
            }
            self.forget_copies(copies, was_busy);
        }
    }

    pub(super) fn commit(&mut self) {
        let Some(storage) = self.storage.as_mut().filter(|storage| storage.is_power && !storage.is_syncing)
        else {
            return;
        };
        let job = self.gate.lock().tail.as_mut().and_then(Tail::take_sync);
        if let Some(job) = job {
            storage.is_syncing = true;
            storage.committing.append(&mut storage.displaced);
            self.outputs.push(Output::Sync(job));
            return;
        }
        let is_ready = self.gate.lock().tail.as_ref().is_some_and(|tail| tail.state() == DiskState::Ready);
        if is_ready && !storage.displaced.is_empty() {
            // Whatever replaced them is settled, or was committed already.
            let displaced = std::mem::take(&mut storage.displaced);
            self.forget_displaced(&displaced);
        }
    }

    pub(in crate::delivery::worker) fn synced(&mut self, result: io::Result<u64>) {
        let now = self.elapsed();
        let Some(storage) = &mut self.storage else { return };
        storage.is_syncing = false;
        let committed = std::mem::take(&mut storage.committing);
        let (persisted, up_to) = match result {
            Ok(up_to) => {
                if let Some(tail) = &mut self.gate.lock().tail {
                    tail.synced(up_to);
                }
                self.published.synced_up_to = self.published.synced_up_to.max(up_to);
                self.forget_displaced(&committed);
                (true, up_to)
            }
            Err(error) => {
                storage.displaced.extend(committed);
                let up_to = self.gate.lock().tail.as_mut().map_or(0, |tail| tail.sync_failed(error, now));
                self.read_fault();
                (false, up_to)
            }
        };
        if self.interest.persisted {
            // Who hears of it may ask at once.
            self.publish();
            self.notify(Notice::Persisted { persisted, up_to });
        }
    }
}

/// The disk does not take what is in memory only.
fn put_off(tail: &mut Tail, error: NotWritten, now: Duration) {
    if error == NotWritten::Full {
        tail.catch_up_later(now);
    }
}
