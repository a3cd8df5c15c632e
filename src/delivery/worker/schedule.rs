//! When the worker looks around again: the one place that decides it.

use std::time::Duration;

use super::route::Permission;
use super::{IDLE, State, Worker};
use crate::delivery::gate::WakeAt;
use crate::delivery::oauth::tokens::Access;
use crate::queue::memory::Which;

impl Worker {
    /// What comes next: when, and at what the gate wakes.
    pub(super) fn rest(&mut self) {
        let now = self.elapsed();
        let mut due = self.drains.iter().map(|drain| drain.deadline).min();
        let mut soon = |at: Option<Duration>| due = due.into_iter().chain(at).min();
        soon(self.flushes.next_deadline());
        soon(self.storage_due_at());
        soon(self.next_expiry());
        soon(self.rate_limit_ends_at());
        let mut wake_at = WakeAt {
            unwatched: self.storage.as_ref().is_some_and(|storage| !storage.watches()),
            uncommitted: self.storage.as_ref().is_some_and(|storage| !storage.commits()),
            ..WakeAt::NEVER
        };
        let permission = self.route.permission(now);
        let has_slot = self.sending.len() < self.config.max_concurrent_requests;
        let token_at = self.tokens.as_ref().map(|tokens| tokens.access(now));
        let opens_at = match permission {
            Permission::Open if has_slot => Some(now),
            Permission::ClosedUntil(at) => Some(at),
            Permission::Probe if self.sending.is_empty() => Some(now),
            _ => None,
        };
        if let Some(opens_at) = opens_at {
            let token_at = match token_at {
                Some(Access::Wait(at)) => at,
                _ => Some(Duration::ZERO),
            };
            // While somebody asks for a token, its answer is what is waited for.
            if let Some(token_at) = token_at {
                let opens_at = opens_at.max(token_at);
                let waiting = self.deliveries.values().filter_map(|delivery| match delivery.state {
                    State::Waiting { not_before } => Some(not_before),
                    State::Sending { .. } => None,
                });
                soon(waiting.min().map(|not_before| not_before.max(opens_at)));
                if opens_at > now {
                    // Whatever comes until then is looked at when the way opens.
                    soon(Some(opens_at));
                } else if let Some(which) = self.takes().filter(|which| *which != Which::Awaited) {
                    let departure = self.departure();
                    (wake_at.events, wake_at.bytes) = (departure.events, departure.bytes);
                    let oldest = self.gate.lock().queue.oldest(which).map(|entry| entry.sequence);
                    if oldest.is_some_and(|oldest| oldest <= self.free) {
                        soon(departure.due_at);
                    }
                }
            }
        }
        if let Some(from) = self.route.awaited_from().filter(|_| self.sending.is_empty()) {
            let waits = self.gate.lock().free().awaited > 0;
            wake_at.awaited = !waits;
            soon(waits.then_some(from));
        }
        soon(self.storage.as_ref().and_then(|storage| storage.unnoted_until(now)));
        let idle_at = self.idle_at();
        let is_quiet = self.gate.lock().arm(wake_at);
        self.due_at = if is_quiet { due.into_iter().chain(idle_at).min() } else { Some(now) };
        self.publish();
    }

    /// Gives memory back after a while without events, or when the client is over: JavaScript may hold it for long still.
    pub(super) fn idle_at(&mut self) -> Option<Duration> {
        let now = self.elapsed();
        if self.outstanding() > 0 {
            self.idle_since = Some(now);
            self.gate.lock().trim(false);
            return None;
        }
        if self.published.is_over {
            self.idle_since = None;
            self.gate.lock().trim(true);
            return None;
        }
        let since = self.idle_since?;
        if now < since + IDLE {
            return Some(since + IDLE);
        }
        self.idle_since = None;
        self.gate.lock().trim(true);
        None
    }
}
