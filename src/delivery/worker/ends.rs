//! The ends of flushes, of ways out, and of the client: who is told, and when.

use serde_json::Value;

use super::Worker;
use super::flushes::Flush;
use crate::delivery::notice::{Level, Notice, Report};

impl Worker {
    pub(super) fn end_what_is_due(&mut self) {
        let now = self.elapsed();
        self.expire();
        self.end_rate_limit();
        self.tell_drained();
        while let Some(flush) = self.flushes.take_due(now) {
            self.end_flush(flush);
        }
        // A refused write key is no reason to wait: whoever asked since has its answer.
        if let Some(refused_at) = self.route.key_refused_at()
            && self.is_answered()
        {
            while let Some(flush) = self.flushes.take_first(|flush| flush.since < refused_at) {
                self.end_flush(flush);
            }
        }
        while let Some(flush) = self.flushes.take_ended() {
            self.end_flush(flush);
        }
    }

    /// Whether nothing is under way, and whatever was given up is told.
    fn is_answered(&self) -> bool {
        self.sending.is_empty() && self.storage.as_ref().is_none_or(super::storage::Storage::has_buried)
    }

    /// Tells that nothing is pending any more, before flushes hear of it.
    fn tell_drained(&mut self) {
        let is_empty = self.outstanding() == 0;
        if is_empty && std::mem::take(&mut self.was_busy) && self.interest.drained {
            self.notify(Notice::Drained);
        }
        self.was_busy |= !is_empty;
    }

    /// Tells whoever waits for the moment.
    pub(super) fn conclude(&mut self) {
        self.tell_drained();
        while let Some(flush) = self.flushes.take_ended() {
            self.end_flush(flush);
        }
        let outstanding = self.outstanding();
        self.end_drains();
        if !self.farewells.is_empty() {
            self.leave_by(None);
        }
        if self.is_closing && outstanding == 0 && !self.published.is_over && self.has_left() {
            self.published.is_over = true;
            self.log(Level::Debug, "client closed", || Value::Null);
        }
        if self.published.is_over {
            self.publish();
            for (id, report) in std::mem::take(&mut self.farewells) {
                self.notify(Notice::Flushed { id, report: Box::new(report) });
            }
        }
    }

    pub(super) fn end_drains(&mut self) {
        let now = self.elapsed();
        let is_tidy = self.outstanding() == 0 && self.is_tidy();
        let refused_at = self.route.key_refused_at();
        while let Some(drain) = self.drains.first().copied() {
            let is_refused = refused_at.is_some_and(|at| drain.since < at) && self.is_answered();
            if !is_tidy && !is_refused && now < drain.deadline {
                break;
            }
            self.drains.remove(0);
            self.published.drained_up_to = self.published.drained_up_to.max(drain.ticket);
        }
    }

    /// A flush is over, in time or not. At the deadline of one that closes, everything pending is abandoned.
    pub(super) fn end_flush(&mut self, flush: Flush) {
        let unflushed =
            if flush.closes && self.outstanding() > 0 { self.leave_spooled() } else { Vec::new() };
        self.publish();
        let stats = self.snapshot.stats(&self.gate, self.elapsed());
        let duration = self.elapsed().saturating_sub(flush.since);
        let bytes = unflushed.iter().map(|entry| entry.bytes.clone()).collect();
        let report = Report { stats, duration, unflushed: bytes };
        self.abandon(&unflushed);
        if self.is_closing && flush.closes {
            // Whoever hears that the client is closed hears nothing after it, and may start the next one on the same spool.
            self.farewells.push((flush.id, report));
            self.leave_by(flush.deadline);
        } else {
            self.notify(Notice::Flushed { id: flush.id, report: Box::new(report) });
        }
    }
}
