//! What of a client's state other threads can see: written by the worker once a turn, read by whoever counts or waits.

use std::time::Duration;

use super::gate::{Gate, signed_milliseconds};
use crate::queue::memory::Which;
use crate::queue::spool::tail::{State, Tail};
use crate::stats::{DropReason, Refusal, SpoolState, Stats};
use crate::sync::{Condvar, Mutex, PoisonError};

/// Counters of the worker. All of events, where nothing else is said.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Segment answered with a 2xx.
    pub delivered: u64,
    /// Given up, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Left on disk for the next process.
    pub left: u64,
    /// Taken over from ended processes and on disk only.
    pub recovery_backlog: u64,
    /// Taken over from ended processes.
    pub recovered: u64,
    /// Bytes of them in memory.
    pub recovered_bytes: usize,
    /// Bytes of segments that were taken over.
    pub adopted_bytes: u64,
    /// Segments that were found and not taken over yet.
    pub orphans: Option<usize>,
    /// Segments that no key can read.
    pub locked: usize,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Bytes of JSON sent.
    pub bytes_raw: u64,
    /// Bytes of bodies sent.
    pub bytes_sent: u64,
    /// Attempts since the last 2xx that failed.
    pub consecutive_failures: u64,
    /// Batches that are not settled.
    pub in_flight: u64,
    /// When the oldest of their events was accepted, in milliseconds of the client's clock.
    pub oldest_in_flight_at: Option<i64>,
    /// When the last 2xx came.
    pub last_success: Option<Duration>,
    /// Events up to this one survive a power loss.
    pub synced_up_to: u64,
    /// Ways out that came to their end.
    pub drained_up_to: u64,
    /// The client is over: closed, empty, and its directory given back.
    pub is_over: bool,
}

/// The published state, and who waits for it to change.
#[derive(Debug, Default)]
pub struct Snapshot {
    published: Mutex<Published>,
    changed: Condvar,
}

impl Snapshot {
    /// Writes it.
    pub fn publish(&self, published: &Published) {
        let mut current = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let has_ended =
            published.drained_up_to > current.drained_up_to || published.is_over != current.is_over;
        current.clone_from(published);
        drop(current);
        if has_ended {
            self.changed.notify_all();
        }
    }

    /// Reads it.
    #[must_use]
    pub fn read(&self) -> Published {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Blocks the calling thread until a way out has come to its end, or the client is over.
    pub fn wait_for_drain(&self, ticket: u64, timeout: Duration) {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |published: &mut Published| published.drained_up_to < ticket && !published.is_over;
        drop(self.changed.wait_timeout_while(published, timeout, is_open));
    }

    /// The counters of a client as they are now.
    #[must_use]
    pub fn stats(&self, gate: &Gate, now: Duration) -> Stats {
        // In this order: what is settled was accepted before, so the identity never runs short.
        let published = self.read();
        let admission = gate.lock();
        let tail = admission.tail.as_ref();
        let mut stats =
            Stats { accepted: admission.accepted(), delivered: published.delivered, ..Stats::default() };
        for (reason, count) in DropReason::ALL.into_iter().zip(published.dropped) {
            stats.count_dropped(reason, count);
        }
        stats.count_dropped(DropReason::QueueFull, admission.evicted());
        for (reason, count) in Refusal::ALL.into_iter().zip(admission.refused()) {
            stats.count_refused(reason, count);
        }
        stats.spooled = tail.map_or(0, Tail::backlog_events) + published.recovery_backlog + published.left;
        let settled = stats.delivered + stats.dropped.values().sum::<u64>() + stats.spooled;
        stats.pending = stats.accepted.saturating_sub(settled);
        stats.recovered = published.recovered;
        stats.queue_bytes = (admission.queue.charged() + published.recovered_bytes) as u64;
        stats.spool = match tail.map(Tail::state) {
            None => SpoolState::Off,
            Some(State::Ready) => SpoolState::Ready,
            Some(State::Degraded { .. } | State::CatchingUp { .. }) => SpoolState::Degraded,
        };
        stats.spool_bytes = tail.map_or(0, Tail::bytes) + published.adopted_bytes;
        let waiting = admission.queue.oldest(Which::Any).map(|entry| entry.accepted_at_ms);
        let on_disk =
            tail.and_then(|tail| Some(i64::try_from(tail.oldest_unread_at()?).ok()? - tail.epoch()));
        drop(admission);
        let oldest = [waiting, on_disk, published.oldest_in_flight_at].into_iter().flatten().min();
        let age = |at: i64| u64::try_from(signed_milliseconds(now).saturating_sub(at)).unwrap_or_default();
        stats.oldest_pending_age_ms = oldest.map(age);
        let since_success = published.last_success.map(|then| now.saturating_sub(then).as_millis());
        stats.last_success_age_ms = since_success.map(|age| u64::try_from(age).unwrap_or(u64::MAX));
        let Published { requests, retries, bytes_raw, bytes_sent, consecutive_failures, .. } = published;
        let Published { in_flight, orphans, locked, .. } = published;
        Stats {
            requests,
            retries,
            bytes_raw,
            bytes_sent,
            consecutive_failures,
            in_flight,
            orphans,
            locked,
            ..stats
        }
    }
}
