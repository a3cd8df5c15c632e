//! Which events leave, and when: what is under way already, then what waits.

use std::time::Duration;

use super::route::{Compression, Permission};
use super::steps::{Attempt, Output};
use super::{Delivery, State, Worker};
use crate::delivery::batch::{self, Batch, Room, Waiting};
use crate::delivery::oauth::tokens::Access;
use crate::queue::memory::Which;
use crate::queue::{Entry, SegmentId};

impl Worker {
    /// Begins what may be sent now: what is under way already, then what waits.
    pub(super) fn send(&mut self) {
        if self.config.disable {
            self.discard_all();
            return;
        }
        self.send_again();
        while let Some(which) = self.takes() {
            let taken = if self.is_recovered_turn {
                self.take_recovered(which).or_else(|| self.take_fresh(which))
            } else {
                self.take_fresh(which).or_else(|| self.take_recovered(which))
            };
            let Some((entries, is_recovered)) = taken else { break };
            self.is_recovered_turn = !is_recovered;
            self.last_batch += 1;
            let id = self.last_batch;
            self.deliveries.insert(id, Delivery::new(Batch::new(id, entries), self.elapsed()));
            // Recovered events may be older than those that wait here.
            self.expire_delivery(id);
            if !self.start(id) {
                break;
            }
        }
    }

    /// Sends batches that wait for another attempt: parts first, so that what a bad event holds up is soon over.
    pub(super) fn send_again(&mut self) {
        let now = self.elapsed();
        let mut ready: Vec<_> = self
            .deliveries
            .values()
            .filter(|delivery| matches!(delivery.state, State::Waiting { not_before } if not_before <= now))
            .map(|delivery| {
                (
                    self.route.is_outage() && delivery.was_refused,
                    delivery.part_of.is_none(),
                    delivery.batch.id,
                )
            })
            .collect();
        ready.sort_unstable();
        if self.route.probes_newest() {
            let untried = ready.partition_point(|(is_last_resort, _, _)| !is_last_resort);
            if let Some(untried) = ready.get_mut(..untried) {
                untried.reverse();
            }
        }
        // In an outage, an event that nobody has refused yet tells more of its end than what was refused.
        if self.route.is_outage() && self.has_fresh() {
            return;
        }
        for (_, _, id) in ready {
            if !self.may_send() || !self.start(id) {
                break;
            }
        }
    }

    /// Whether a batch of events that nobody has refused yet may leave now.
    pub(super) fn has_fresh(&self) -> bool {
        let Some(which) = self.takes().filter(|which| *which != Which::Awaited) else { return false };
        let is_due = self.departure().due_at.is_some_and(|due_at| due_at <= self.elapsed());
        is_due && self.gate.lock().queue.oldest(which).is_some_and(|oldest| oldest.sequence <= self.free)
    }

    pub(super) fn may_send(&self) -> bool {
        let has_slot = self.sending.len() < self.config.max_concurrent_requests;
        match self.route.permission(self.elapsed()) {
            Permission::Open => has_slot,
            Permission::Probe => self.sending.is_empty(),
            Permission::ClosedUntil(_) => false,
        }
    }

    /// Which events a new batch may be taken of; `None`: of none.
    pub(super) fn takes(&self) -> Option<Which> {
        // The write key is refused: who waits for an event gets a verdict of Segment's own.
        let is_time = self.route.awaited_from().is_some_and(|from| from <= self.elapsed());
        if is_time && self.sending.is_empty() && self.gate.lock().free().awaited > 0 {
            return Some(Which::Awaited);
        }
        let under_way = self.deliveries.values().filter(|delivery| delivery.part_of.is_none()).count();
        let unnoted = self.storage.as_ref().map_or(0, |storage| storage.unnoted(self.elapsed()));
        let under_way = under_way + unnoted;
        let most = self.config.max_concurrent_requests;
        if self.may_send() && under_way < if self.route.is_outage() { 2 * most } else { most } {
            let is_behind = self.interest.is_behind && self.drains.is_empty();
            return match (is_behind, self.interest.delivered) {
                (false, _) => Some(Which::Any),
                (true, false) => Some(Which::Silent),
                (true, true) => None,
            };
        }
        None
    }

    pub(super) fn waiting(&self) -> Waiting {
        let admission = self.gate.lock();
        let oldest = admission.queue.oldest(Which::Any).filter(|oldest| oldest.sequence <= self.free);
        let moment = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        // What has come since this step began is taken in the next one: a batch is not cut short by it.
        let later = usize::try_from(admission.free_up_to().saturating_sub(self.free)).unwrap_or(usize::MAX);
        let free = admission.free();
        Waiting {
            events: free.events.saturating_sub(later),
            bytes: free.bytes,
            oldest: oldest.map(|entry| (entry.sequence, moment(entry.accepted_at_ms))),
        }
    }

    /// The one answer to when a batch of fresh events leaves.
    pub(super) fn departure(&self) -> batch::Departure {
        batch::departure(self.waiting(), self.rules, self.flush_up_to, self.last_send, self.elapsed())
    }

    pub(super) fn take_fresh(&mut self, which: Which) -> Option<(Vec<Entry>, bool)> {
        let now = self.elapsed();
        if which != Which::Awaited && self.departure().due_at.is_none_or(|due_at| due_at > now) {
            return self.take_read_back(which);
        }
        let mut room = Room::new(self.rules.max_events, self.rules.max_bytes);
        let mut entries = Vec::new();
        let mut admission = self.gate.lock();
        while let Some(oldest) = admission.queue.oldest(which)
            && oldest.sequence <= self.free
            && room.takes(oldest.bytes.len())
            && let Some(entry) = admission.queue.pop(which)
        {
            entries.push(entry);
        }
        if let Some(tail) = &mut admission.tail {
            for stretch in entries.chunk_by(|one, other| segment(one) == segment(other)) {
                if let Some(segment) = stretch.first().and_then(segment) {
                    tail.take_out(segment, stretch.len() as u64);
                }
            }
        }
        drop(admission);
        if entries.is_empty() {
            return self.take_read_back(which);
        }
        self.last_send = Some(now);
        Some((entries, false))
    }

    pub(super) fn take_read_back(&mut self, which: Which) -> Option<(Vec<Entry>, bool)> {
        let storage = self.storage.as_mut().filter(|_| which == Which::Any)?;
        let entries = storage.take_read_back(self.rules);
        (!entries.is_empty()).then_some((entries, false))
    }

    pub(super) fn take_recovered(&mut self, which: Which) -> Option<(Vec<Entry>, bool)> {
        let storage = self.storage.as_mut().filter(|_| which != Which::Awaited)?;
        let entries = storage.take_recovered(self.rules);
        (!entries.is_empty()).then_some((entries, true))
    }

    /// Sends a batch that waits; false when that has to wait for a token.
    pub(super) fn start(&mut self, id: u64) -> bool {
        let now = self.elapsed();
        let token = match self.tokens.as_ref().map(|tokens| tokens.access(now)) {
            None => None,
            Some(access) => {
                self.ask_for_token();
                match access {
                    Access::Granted(token) => Some(token),
                    Access::Wait(_) => return false,
                }
            }
        };
        let Some(delivery) = self.deliveries.get_mut(&id) else { return true };
        self.last_request += 1;
        let request = self.last_request;
        let takes_gzip = matches!(self.route.compression, Compression::Untested | Compression::Taken);
        let gzip = self.config.gzip && self.compresses && takes_gzip && !delivery.is_plain_repeat;
        let retry_count = delivery.attempts.of_this_batch;
        delivery.attempts.sent += 1;
        delivery.attempts.of_this_batch += 1;
        delivery.state = State::Sending { gzip, token: token.clone() };
        self.sending.insert(request, id);
        self.published.requests += 1;
        self.published.retries += u64::from(retry_count > 0);
        let batch = delivery.batch.clone();
        self.outputs.push(Output::Send(Attempt { request, batch, gzip, retry_count, token }));
        true
    }
}

fn segment(entry: &Entry) -> Option<SegmentId> {
    entry.place.map(|place| place.segment)
}
