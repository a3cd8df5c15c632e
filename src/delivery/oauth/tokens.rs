//! The tokens of one client: when to ask for one, what an answer means, how long to wait. Pure.
//!
//! One request asks on behalf of all batches. A token is used until half of its life is over, then exchanged for another
//! while it is still good.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use serde::Deserialize;

use crate::config::Secret;
use crate::delivery::retry::{self, Verdict};
use crate::delivery::transport::{Failure, Response};
use crate::stats::DropReason;

/// Segment's tokens live for days; a life that makes no sense is taken for this.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
/// `expires_in` is only recommended (RFC 6749, section 5.1). Without it a token is exchanged this often, and at once when
/// Segment refuses it.
const UNKNOWN_LIFE: Duration = Duration::from_secs(3_600);
/// A token that could not be renewed in time is good still; no need to ask for another with every batch.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);
/// Analytics-node's: what a 429 without `Retry-After` asks for.
const THROTTLE_PAUSE: Duration = Duration::from_secs(5);
/// A clock that differs by more may be why an assertion was refused.
const TOLERATED_SKEW: Duration = Duration::from_secs(5);

/// A token as it is sent.
pub type TokenText = Arc<Secret<String>>;

/// Whether there is a token.
#[derive(Clone, Debug)]
pub enum Access {
    /// This one.
    Granted(TokenText),
    /// Not before somebody has answered, or before this moment.
    Wait(Option<Duration>),
}

/// What an answer of the authorization server changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a token, or another one.
    Granted,
    /// The token could not be renewed; it stays in use. The status, where it does not know the client or its key.
    NotRenewed(Option<u16>),
    /// It does not know the client, perhaps only because the clock here is wrong: asked again at once, with its own time.
    Corrected,
    /// Asked again after a pause.
    Retry(DropReason, Option<u16>),
    /// The same, and so many requests have failed that it counts as a failed attempt of every batch that waits.
    Failed(DropReason, Option<u16>),
    /// It asks for a pause, with this status.
    Throttled(Duration, u16),
    /// It does not know the client or its key.
    Refused(u16),
}

#[derive(Clone, Debug)]
struct Token {
    text: TokenText,
    /// Moments of the client's clock.
    renew_from: Duration,
    good_until: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Skew {
    ahead: Duration,
    behind: Duration,
}

/// The tokens of one client.
#[derive(Debug)]
pub struct Tokens {
    /// Failed requests after the first that count as one failed attempt.
    max_retries: u32,
    token: Option<Token>,
    is_asking: bool,
    asked_at: Duration,
    retry_at: Duration,
    failures: u32,
    limited_since: Option<Duration>,
    /// By how much the authorization server's clock is ahead (or behind, the other way).
    skew: Skew,
    is_corrected: bool,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: Option<f64>,
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Tokens {
    /// No token yet.
    #[must_use]
    pub fn new(max_retries: u32) -> Self {
        Self {
            max_retries,
            token: None,
            is_asking: false,
            asked_at: Duration::ZERO,
            retry_at: Duration::ZERO,
            failures: 0,
            limited_since: None,
            skew: Skew::default(),
            is_corrected: false,
        }
    }

    /// The token to send with, if there is one.
    #[must_use]
    pub fn access(&self, now: Duration) -> Access {
        match &self.token {
            Some(token) if now < token.good_until => Access::Granted(Arc::clone(&token.text)),
            _ if self.is_asking => Access::Wait(None),
            _ => Access::Wait(Some(self.retry_at)),
        }
    }

    /// Whether to ask for a token now, given that there is something to send.
    #[must_use]
    pub fn wants_to_ask(&self, now: Duration) -> bool {
        let is_fresh = self.token.as_ref().is_some_and(|token| now < token.renew_from.min(token.good_until));
        !self.is_asking && !is_fresh && now >= self.retry_at
    }

    /// A token is asked for; returns the authorization server's time, as far as it is known.
    pub fn ask(&mut self, now: Duration, wall: SystemTime) -> SystemTime {
        self.is_asking = true;
        self.asked_at = now;
        self.skew.applied_to(wall)
    }

    /// The request under way has gone with whoever carried it.
    pub const fn forget_request(&mut self) {
        self.is_asking = false;
    }

    /// Somebody wants things sent now: the pause ends at `at`. What the authorization server asked for only ends
    /// `for_good`, where the alternative is not to send at all.
    pub fn end_pause(&mut self, at: Duration, for_good: bool) {
        if for_good || self.limited_since.is_none() {
            self.retry_at = self.retry_at.min(at);
        }
    }

    /// Since when the authorization server has answered with nothing but rate limits.
    #[must_use]
    pub const fn limited_since(&self) -> Option<Duration> {
        self.limited_since
    }

    /// Segment did not take this token: the next one is a fresh one.
    pub fn discard(&mut self, refused: &TokenText) {
        if self.token.as_ref().is_some_and(|token| Arc::ptr_eq(&token.text, refused)) {
            self.token = None;
        }
    }

    /// The authorization server has answered.
    pub fn answered(
        &mut self,
        answer: &Result<Response, Failure>,
        now: Duration,
        wall: SystemTime,
        chance: &mut Rng,
    ) -> Outcome {
        self.is_asking = false;
        let before = self.skew;
        let date = answer.as_ref().ok().and_then(|response| response.header("date"));
        if let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) {
            self.skew = Skew::between(wall, date);
        }
        let has_token = self.token.as_ref().is_some_and(|token| now < token.good_until);
        let judged = judged(answer, wall);
        if !matches!(judged, Judged::Throttled(..)) {
            self.limited_since = None;
        }
        let outcome = match judged {
            Judged::Granted(grant) => {
                self.token = Some(grant.from(self.asked_at));
                (self.failures, self.retry_at, self.is_corrected) = (0, now, false);
                return Outcome::Granted;
            }
            Judged::Refused(_) if !self.is_corrected && self.skew.differs_from(before) => {
                self.is_corrected = true;
                self.retry_at = now;
                return Outcome::Corrected;
            }
            Judged::Refused(status) => {
                self.is_corrected = false;
                self.retry_at = now;
                Outcome::Refused(status)
            }
            Judged::Throttled(pause, status) => {
                let pause = retry::spread(pause, chance);
                self.limited_since.get_or_insert(now);
                self.retry_at = now + pause;
                Outcome::Throttled(pause, status)
            }
            Judged::Failed(reason, status) => {
                let (pause, ends_round) = self.fail();
                self.retry_at = now + retry::backoff(pause, chance);
                if ends_round { Outcome::Failed(reason, status) } else { Outcome::Retry(reason, status) }
            }
        };
        if has_token {
            if let Some(token) = &mut self.token {
                token.renew_from = now + RENEWAL_PAUSE;
            }
            (self.failures, self.limited_since, self.retry_at) = (0, None, now);
            let refusal = if let Outcome::Refused(status) = outcome { Some(status) } else { None };
            return Outcome::NotRenewed(refusal);
        }
        outcome
    }

    /// Counts a failure: which pause follows, and whether it ends a round. A round is one attempt of whoever waits, and
    /// what comes between two rounds is what comes between two attempts.
    fn fail(&mut self) -> (u32, bool) {
        let of_round = self.max_retries.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        let rounds = self.failures / of_round;
        match self.failures % of_round {
            0 => (rounds, true),
            in_round => (in_round, false),
        }
    }
}

enum Judged {
    Granted(Grant),
    Refused(u16),
    Throttled(Duration, u16),
    Failed(DropReason, Option<u16>),
}

fn judged(answer: &Result<Response, Failure>, wall: SystemTime) -> Judged {
    let response = match answer {
        Ok(response) => response,
        Err(Failure::Timeout) => return Judged::Failed(DropReason::Timeout, None),
        Err(Failure::Network | Failure::Certificate(_)) => return Judged::Failed(DropReason::Network, None),
    };
    let status = response.status;
    let pause = retry::requested_pause(response.header("retry-after"), None, wall);
    match (status, retry::classify(status, pause)) {
        (_, Verdict::Delivered) => match serde_json::from_slice::<Grant>(&response.body) {
            Ok(grant) if !grant.access_token.is_empty() => Judged::Granted(grant),
            _ => Judged::Failed(DropReason::Server, Some(status)),
        },
        (_, Verdict::Throttled(pause)) => Judged::Throttled(pause, status),
        (429, _) => Judged::Throttled(THROTTLE_PAUSE, status),
        _ if refuses_client(response) => Judged::Refused(status),
        (_, Verdict::Retry(reason)) => Judged::Failed(reason, Some(status)),
        (_, Verdict::Split | Verdict::Drop(_)) => Judged::Failed(DropReason::Server, Some(status)),
    }
}

/// Whether the answer says that the client or its key is not known: an error of RFC 6749, section 5.2. Any other answer may
/// come from something on the way, and is worth another request.
fn refuses_client(response: &Response) -> bool {
    let is_error = |error: &str| matches!(error, "invalid_client" | "invalid_grant" | "unauthorized_client");
    (400..=499).contains(&response.status)
        && serde_json::from_slice::<Refusal>(&response.body).is_ok_and(|refusal| is_error(&refusal.error))
}

impl Grant {
    fn from(self, asked_at: Duration) -> Token {
        let life = match self.expires_in {
            Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(SHORTEST_LIFE).max(SHORTEST_LIFE),
            None => UNKNOWN_LIFE,
        };
        Token {
            text: Arc::new(Secret::new(self.access_token)),
            renew_from: asked_at.saturating_add(life / 2),
            good_until: asked_at.saturating_add(life),
        }
    }
}

impl Skew {
    fn between(here: SystemTime, there: SystemTime) -> Self {
        Self {
            ahead: there.duration_since(here).unwrap_or_default(),
            behind: here.duration_since(there).unwrap_or_default(),
        }
    }

    fn applied_to(self, here: SystemTime) -> SystemTime {
        here.checked_add(self.ahead).and_then(|time| time.checked_sub(self.behind)).unwrap_or(here)
    }

    fn differs_from(self, other: Self) -> bool {
        self.ahead.abs_diff(other.ahead) + self.behind.abs_diff(other.behind) > TOLERATED_SKEW
    }
}
