//! Tokens: when one is asked for, and what answers of the authorization server do to the batches that wait for one.

use std::time::Duration;

use serde_json::{Value, json};

use super::steps::Output;
use super::{Delivery, State, Worker};
use crate::delivery::dead_letter::{Cause, status_line};
use crate::delivery::notice::{Level, Notice};
use crate::delivery::oauth::tokens::Outcome;
use crate::delivery::transport::{Failure, Response};
use crate::error::{Error, ErrorKind};
use crate::stats::DropReason;

impl Worker {
    /// Asks for a token where one is needed, or soon will be.
    pub(super) fn ask_for_token(&mut self) {
        let now = self.now;
        let Some(tokens) = self.tokens.as_mut().filter(|tokens| tokens.wants_to_ask(now.elapsed)) else {
            return;
        };
        let at = tokens.ask(now.elapsed, now.wall);
        self.last_request += 1;
        self.token_request = Some(self.last_request);
        self.outputs.push(Output::AskForToken { request: self.last_request, at });
    }

    pub(super) fn token_answered(&mut self, answer: &Result<Response, Failure>) {
        if let Err(Failure::Certificate(reason)) = answer {
            self.tell_distrust("the authorization server", reason);
        }
        let now = self.now;
        let Some(tokens) = &mut self.tokens else { return };
        match tokens.answered(answer, now.elapsed, now.wall, &mut self.chance) {
            Outcome::Granted => self.is_client_refusal_told = false,
            Outcome::NotRenewed(Some(refusal)) => self.tell_client_refused(refusal),
            Outcome::NotRenewed(None) => {
                self.log(
                    Level::Warn,
                    "the authorization server did not renew the token, the old one stays in use",
                    || Value::Null,
                );
            }
            Outcome::Corrected => {
                self.log(
                    Level::Info,
                    "the authorization server has another time of day, asking again with that",
                    || Value::Null,
                );
            }
            Outcome::Retry(reason, status) => self.token_failed(reason, status, false),
            Outcome::Failed(reason, status) => self.token_failed(reason, status, true),
            Outcome::Throttled(pause, status) => {
                self.published.consecutive_failures += 1;
                let is_waiting = |delivery: &&mut Delivery| matches!(delivery.state, State::Waiting { .. });
                for delivery in self.deliveries.values_mut().filter(is_waiting) {
                    delivery.token_limited = Some(status);
                }
                self.log(
                    Level::Info,
                    "the authorization server asks for a pause",
                    || json!({ "pause_ms": u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) }),
                );
            }
            Outcome::Refused(status) => {
                self.published.consecutive_failures += 1;
                self.tell_client_refused(status);
                self.route.refuse_key(now.elapsed, &mut self.chance);
                for delivery in self.take_waiting(|_| true) {
                    self.unauthorized(delivery, Some(status), true);
                }
            }
        }
    }

    /// There is no token: whatever waits for one has begun to fail. What ends a round counts as a failed attempt.
    fn token_failed(&mut self, reason: DropReason, status: Option<u16>, ends_round: bool) {
        self.published.consecutive_failures += 1;
        self.log(
            Level::Info,
            "the authorization server gave no token, asking again",
            || json!({ "reason": reason.name(), "status": status }),
        );
        for mut delivery in self.take_waiting(|_| true) {
            delivery.token_limited = None;
            let may_wait =
                if ends_round { self.counts_failure(&mut delivery) } else { self.has_time(&mut delivery) };
            if may_wait {
                self.deliveries.insert(delivery.batch.id, delivery);
            } else {
                self.give_up_without_token(&delivery, reason, status);
            }
        }
    }

    pub(super) fn give_up_without_token(
        &mut self,
        delivery: &Delivery,
        reason: DropReason,
        status: Option<u16>,
    ) {
        let cause = Cause::new(reason, status, delivery.attempts.sent);
        self.drop_entries(Cause { at_authorization: true, ..cause }, delivery.batch.entries());
    }

    /// Until when the authorization server may go on with rate limits before what waits because of them is given up.
    pub(super) fn token_limit_ends_at(&self) -> Option<Duration> {
        let is_limited = self.waiting_deliveries().any(|delivery| delivery.token_limited.is_some());
        let since = self.tokens.as_ref()?.limited_since().filter(|_| is_limited)?;
        Some(since.saturating_add(self.config.max_rate_limit))
    }

    /// Told once for each time it begins, and at once: while the token there is stays good, there is time to mend it.
    fn tell_client_refused(&mut self, status: u16) {
        if std::mem::replace(&mut self.is_client_refusal_told, true) {
            return;
        }
        self.log(
            Level::Error,
            "the authorization server refused the OAuth client; without a token events are kept and tried again in five minutes",
            || json!({ "status": status }),
        );
        let text = format!(
            "{}: the authorization server refused the OAuth client. Without a token, events are kept and tried again every \
             five minutes. Check clientId, keyId, clientKey and authServer.",
            status_line(status)
        );
        let error = Error::new(ErrorKind::Unauthorized, text);
        self.notify(Notice::Trouble { error, status: Some(status) });
    }
}
