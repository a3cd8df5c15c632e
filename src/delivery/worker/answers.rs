//! What answers do to the batches they belong to.

use std::time::Duration;

use serde_json::{Value, json};

use super::route::{Compression, Recovered};
use super::{Attempts, Delivery, State, WAKE_SPREAD, Worker, without_answer};
use crate::delivery::dead_letter::{Cause, status_line};
use crate::delivery::notice::{Level, Notice};
use crate::delivery::retry::{self, Verdict};
use crate::delivery::transport::{Failure, Response};
use crate::error::{Error, ErrorKind};
use crate::stats::DropReason;

impl Worker {
    /// Requests that were given up meanwhile left all the same.
    pub(super) const fn sent(&mut self, raw: usize, on_the_wire: usize) {
        self.published.bytes_raw += raw as u64;
        self.published.bytes_sent += on_the_wire as u64;
    }

    pub(super) fn answered(&mut self, request: u64, answer: &Result<Response, Failure>) {
        if self.token_request == Some(request) {
            self.token_request = None;
            return self.token_answered(answer);
        }
        // Unknown: the client was closed, or the batch given up.
        let Some(id) = self.sending.remove(&request) else { return };
        let Some(mut delivery) = self.deliveries.remove(&id) else { return };
        let State::Sending { gzip, token, .. } =
            std::mem::replace(&mut delivery.state, State::Waiting { not_before: self.elapsed() })
        else {
            return;
        };
        let status = answer.as_ref().ok().map(|response| response.status);
        match status {
            Some(status) => self.log(Level::Debug, "answered", || {
                json!({ "status": status, "batch": id, "events": delivery.batch.entries().len() })
            }),
            None => self.log(Level::Debug, "no answer", || {
                json!({ "failure": format!("{:?}", answer.as_ref().err()), "batch": id, "events": delivery.batch.entries().len() })
            }),
        }
        if let (Some(token), Some(401 | 403 | 511)) = (&token, status)
            && !std::mem::replace(&mut delivery.attempts.token_refused, true)
        {
            if let Some(tokens) = &mut self.tokens {
                tokens.discard(token);
            }
            self.deliveries.insert(id, delivery);
            return;
        }
        if self.repeats_plain(&mut delivery, gzip, status) {
            self.deliveries.insert(id, delivery);
            return;
        }
        if let Err(Failure::Certificate(reason)) = answer {
            self.tell_distrust("Segment's host", reason);
        }
        let verdict = self.judge(answer);
        if !matches!(verdict, Verdict::Throttled(_)) {
            self.route.is_not_limited();
            delivery.limited = None;
        }
        if verdict != Verdict::Delivered {
            self.published.consecutive_failures += 1;
        }
        match verdict {
            Verdict::Delivered => self.delivered(&delivery),
            Verdict::Retry(reason) => self.back_off(delivery, reason, status),
            Verdict::Throttled(pause) => self.throttled(delivery, pause, status),
            Verdict::Split => self.refused(delivery, status),
            Verdict::Drop(DropReason::Unauthorized) => self.unauthorized(delivery, status, false),
            Verdict::Drop(reason) => self.give_up(&delivery, reason, status),
        }
    }

    fn judge(&self, answer: &Result<Response, Failure>) -> Verdict {
        match answer {
            Err(Failure::Network | Failure::Certificate(_)) => Verdict::Retry(DropReason::Network),
            Err(Failure::Timeout) => Verdict::Retry(DropReason::Timeout),
            Ok(response) => {
                let retry_after = response.header("retry-after");
                let reset = response.header("x-ratelimit-reset");
                retry::classify(response.status, retry::requested_pause(retry_after, reset, self.now.wall))
            }
        }
    }

    /// Learns whether the other side takes gzip; true when the same batch is to be sent once more, plain.
    fn repeats_plain(&mut self, delivery: &mut Delivery, gzip: bool, status: Option<u16>) -> bool {
        let Some(status) = status else { return false };
        let was_repeat = std::mem::take(&mut delivery.is_plain_repeat);
        match (status, gzip, self.route.compression) {
            (200..=299, true, _) => self.route.compression = Compression::Taken,
            (200..=299, false, _) if was_repeat => {
                self.route.compression = Compression::Refused;
                self.log(
                    Level::Info,
                    "compressed bodies are refused here, sending plain ones from now on",
                    || Value::Null,
                );
            }
            (200..=299, false, Compression::Doubtful) => self.route.compression = Compression::Untested,
            // A 400 speaks of the content once this route has taken gzip before. Until then every compressed body that was
            // under way is sent once more: nothing is given up for a compression that nobody takes.
            (400, true, Compression::Untested | Compression::Doubtful | Compression::Refused)
            | (415, true, _) => {
                if self.route.compression != Compression::Refused {
                    self.route.compression = Compression::Doubtful;
                }
                delivery.is_plain_repeat = true;
                return true;
            }
            _ => {}
        }
        false
    }

    fn delivered(&mut self, delivery: &Delivery) {
        self.published.delivered += delivery.batch.entries().len() as u64;
        self.published.consecutive_failures = 0;
        self.published.last_success = Some(self.elapsed());
        (self.is_refusal_told, self.is_distrust_told) = (false, false);
        match self.route.succeed() {
            Recovered::Nothing => {}
            Recovered::KeyRefused => {
                self.log(Level::Info, "Segment takes the write key again", || Value::Null);
            }
            Recovered::Outage => self.log(Level::Info, "Segment takes events again", || Value::Null),
        }
        // What waits because of failures need not wait any longer.
        let at = self.elapsed() + WAKE_SPREAD.mul_f64(self.chance.f64());
        self.wake_deliveries(at);
        if let Some(origin) = delivery.part_of {
            let is_open = |other: &Delivery| other.part_of == Some(origin);
            if self.deliveries.values().any(is_open) {
                self.partly_taken.insert(origin);
            } else {
                self.partly_taken.remove(&origin);
            }
        }
        self.tell_delivered(delivery);
        self.settle(delivery.batch.entries());
    }

    fn give_up(&mut self, delivery: &Delivery, reason: DropReason, status: Option<u16>) {
        let cause = Cause::new(reason, status, delivery.attempts.sent);
        self.drop_entries(cause, delivery.batch.entries());
    }

    fn back_off(&mut self, mut delivery: Delivery, reason: DropReason, status: Option<u16>) {
        if !self.counts_failure(&mut delivery) {
            return self.give_up(&delivery, reason, status);
        }
        delivery.attempts.pauses += 1;
        let pause = retry::backoff(delivery.attempts.pauses, &mut self.chance);
        let attempts = delivery.attempts.sent;
        self.log(Level::Info, "delivery failed, trying again", || {
            json!({
                "reason": reason.name(),
                "status": status,
                "attempts": attempts,
                "pause_ms": u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            })
        });
        self.wait(delivery, self.elapsed() + pause);
    }

    /// Counts a failed attempt; false when there are no more to be had.
    pub(super) fn counts_failure(&self, delivery: &mut Delivery) -> bool {
        delivery.attempts.failures += 1;
        let failures = delivery.attempts.failures;
        let is_spent = self.config.max_retries.is_some_and(|retries| failures > retries);
        self.has_time(delivery) && !is_spent
    }

    /// Whether `maxTotalBackoffDuration` is not over, which begins with the first failure.
    pub(super) fn has_time(&self, delivery: &mut Delivery) -> bool {
        let now = self.elapsed();
        let since = *delivery.attempts.first_failure.get_or_insert(now);
        now.saturating_sub(since) < self.config.max_total_backoff
    }

    fn wait(&mut self, mut delivery: Delivery, not_before: Duration) {
        delivery.state = State::Waiting { not_before };
        self.deliveries.insert(delivery.batch.id, delivery);
    }

    fn throttled(&mut self, mut delivery: Delivery, pause: Duration, status: Option<u16>) {
        let now = self.elapsed();
        let pause = self.route.limit(pause, now, &mut self.chance);
        self.log(
            Level::Info,
            "rate limited, waiting",
            || json!({ "pause_ms": u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) }),
        );
        delivery.limited = status;
        self.wait(delivery, now);
    }

    /// Until when Segment, or the authorization server, may go on with rate limits before what waits because of them is
    /// given up.
    pub(super) fn rate_limit_ends_at(&self) -> Option<Duration> {
        self.segment_limit_ends_at().into_iter().chain(self.token_limit_ends_at()).min()
    }

    fn segment_limit_ends_at(&self) -> Option<Duration> {
        let is_limited = self.waiting_deliveries().any(|delivery| delivery.limited.is_some());
        let since = self.route.limited_since().filter(|_| is_limited)?;
        Some(since.saturating_add(self.config.max_rate_limit))
    }

    pub(super) fn end_rate_limit(&mut self) {
        let now = self.elapsed();
        let is_over = |ends_at: Option<Duration>| ends_at.is_some_and(|ends_at| ends_at <= now);
        if is_over(self.segment_limit_ends_at()) {
            for delivery in self.take_waiting(|delivery| delivery.limited.is_some()) {
                self.give_up(&delivery, DropReason::RateLimited, delivery.limited);
            }
        }
        if is_over(self.token_limit_ends_at()) {
            for delivery in self.take_waiting(|delivery| delivery.token_limited.is_some()) {
                self.give_up_without_token(&delivery, DropReason::RateLimited, delivery.token_limited);
            }
        }
    }

    /// Segment refused the content: some event in it is bad, unless everything is refused. Then nothing is given up, but a
    /// batch is divided all the same: an event that is taken is the end of the outage.
    fn refused(&mut self, mut delivery: Delivery, status: Option<u16>) {
        let now = self.elapsed();
        let origin = delivery.part_of.unwrap_or(delivery.batch.id);
        // Where others of the same batch were taken, it is the event and not the way.
        let is_proven = self.partly_taken.contains(&origin);
        let outage = if is_proven { None } else { self.route.refuse_content(now, &mut self.chance) };
        if outage == Some(true) {
            self.tell_outage(status);
        }
        if outage.is_some() && !self.counts_failure(&mut delivery) {
            return self.give_up(&delivery, DropReason::Rejected, status);
        }
        let parts: Vec<_> = delivery.batch.divide(self.last_batch + 1).collect();
        if parts.is_empty() {
            if outage.is_none() {
                if !self.deliveries.values().any(|other| other.part_of == Some(origin)) {
                    self.partly_taken.remove(&origin);
                }
                return self.give_up(&delivery, DropReason::Rejected, status);
            }
            delivery.was_refused = true;
            return self.wait(delivery, now);
        }
        self.last_batch += parts.len() as u64;
        let attempts = Attempts { of_this_batch: 0, ..delivery.attempts };
        let attempts =
            if outage.is_some() { attempts } else { Attempts { sent: attempts.sent, ..Attempts::default() } };
        for batch in parts {
            let part = Delivery { attempts, part_of: Some(origin), ..Delivery::new(batch, now) };
            self.deliveries.insert(part.batch.id, part);
        }
    }

    fn tell_outage(&mut self, status: Option<u16>) {
        let answer = status.map(status_line).unwrap_or_default();
        self.log(
            Level::Error,
            "everything is refused; events are kept and tried again, one request at a time",
            || json!({ "status": status }),
        );
        let text = format!(
            "{answer}: everything is refused, so it is not the fault of single events. They are kept and tried again, one \
             request at a time. Check host and path, and any proxy or firewall on the way."
        );
        self.notify(Notice::Trouble { error: Error::new(ErrorKind::Rejected, text), status });
    }

    /// The write key, or the client by the authorization server, is refused: whoever waits for an event is told, all others
    /// are kept until somebody has mended that.
    pub(super) fn unauthorized(
        &mut self,
        mut delivery: Delivery,
        status: Option<u16>,
        at_authorization: bool,
    ) {
        let now = self.elapsed();
        self.route.refuse_key(now, &mut self.chance);
        let awaited: Vec<_> =
            delivery.batch.entries().iter().filter(|entry| entry.tracking.is_on()).cloned().collect();
        let cause = Cause {
            at_authorization,
            ..Cause::new(DropReason::Unauthorized, status, delivery.attempts.sent)
        };
        self.drop_entries(cause, &awaited);
        if let Some(rest) = delivery.batch.retain(|entry| !entry.tracking.is_on()) {
            if !at_authorization {
                self.tell_unauthorized(status);
            }
            delivery.batch = rest;
            delivery.was_refused = true;
            self.wait(delivery, now);
        }
    }

    /// Told once for each time it begins, and only where events are kept: whoever waits for one hears of that one.
    fn tell_unauthorized(&mut self, status: Option<u16>) {
        if std::mem::replace(&mut self.is_refusal_told, true) {
            return;
        }
        let answer = status.map(status_line).unwrap_or_default();
        self.log(
            Level::Error,
            "Segment refused the write key; events are kept and tried again in five minutes",
            || json!({ "status": status }),
        );
        let text = format!(
            "{answer}: Segment refused the write key. Events are kept and tried again every five minutes. Check the write \
             key and the region of the source."
        );
        self.notify(Notice::Trouble { error: Error::new(ErrorKind::Unauthorized, text), status });
    }

    /// Told once for each time it begins: it hardly ends by itself, and nothing else would be heard of it for hours.
    pub(super) fn tell_distrust(&mut self, server: &str, reason: &'static str) {
        if std::mem::replace(&mut self.is_distrust_told, true) {
            return;
        }
        self.log(
            Level::Error,
            "a server's certificate is not trusted; events are kept and tried again",
            || json!({ "server": server, "reason": reason }),
        );
        let text = format!(
            "The certificate of {server} is not trusted: {reason}. Events are kept and tried again. Where something on the \
             way inspects TLS, give its certificate authority in the option ca, or start Node with NODE_EXTRA_CA_CERTS."
        );
        self.notify(Notice::Trouble { error: Error::new(ErrorKind::Network, text), status: None });
    }

    /// Gives up what is older than `maxEventAge`, wherever it waits.
    pub(super) fn expire(&mut self) {
        let limit = self.expiry_limit_ms();
        let now = self.elapsed_ms();
        let is_old = |at: i64| now.saturating_sub(at) > limit;
        let ids: Vec<_> = self
            .deliveries
            .values()
            .filter(|delivery| matches!(delivery.state, State::Waiting { .. }))
            .filter(|delivery| {
                delivery.batch.entries().first().is_some_and(|entry| is_old(entry.accepted_at_ms))
            })
            .map(|delivery| delivery.batch.id)
            .collect();
        for id in ids {
            self.expire_delivery(id);
        }
        self.expire_queue(is_old);
    }

    /// Gives up what of a batch is older than `maxEventAge`.
    pub(super) fn expire_delivery(&mut self, id: u64) {
        let (limit, now) = (self.expiry_limit_ms(), self.elapsed_ms());
        let Some(mut delivery) = self.deliveries.remove(&id) else { return };
        let entries = delivery.batch.entries();
        let count =
            entries.iter().take_while(|entry| now.saturating_sub(entry.accepted_at_ms) > limit).count();
        let gone = entries.get(..count).unwrap_or_default().to_vec();
        let rest = delivery.batch.without_first(count);
        self.drop_entries(without_answer(DropReason::Expired, delivery.attempts.sent), &gone);
        if !rest.entries().is_empty() {
            delivery.batch = rest;
            self.deliveries.insert(id, delivery);
        }
    }

    pub(super) fn expiry_limit_ms(&self) -> i64 {
        i64::try_from(self.config.max_event_age.as_millis()).unwrap_or(i64::MAX)
    }
}
