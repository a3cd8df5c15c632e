//! Tokens: asked for by one batch on behalf of all, kept until half of their life is over.

mod assertion;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as PlainMutex, PoisonError};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use serde::Deserialize;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::clock::Clock;
use super::retry::{self, Verdict};
use super::transport::{Failure, Request, Response, Transport};
use crate::config::{OAuthConfig, Secret};
use crate::stats::DropReason;

/// Segment's tokens live for days; one that says nothing of its end is asked for again after this.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
/// A token that could not be renewed in time is good still; no need to ask for another with every batch.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);
/// Analytics-node's: what a 429 without `Retry-After` asks for.
const THROTTLE_PAUSE: Duration = Duration::from_secs(5);
/// A clock that differs by more may be why an assertion was refused.
const TOLERATED_SKEW: Duration = Duration::from_secs(5);

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The authorization server does not know the client or its key; asking again changes nothing.
    Permanent(u16),
    /// Too many requests failed.
    Temporary(DropReason, Option<u16>),
}

/// The tokens of one client.
pub struct Tokens {
    config: OAuthConfig,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    generator: PlainMutex<Rng>,
    state: Mutex<State>,
    /// Rounds of requests that came to nothing.
    failed_rounds: AtomicU64,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    last_refusal: Option<Refusal>,
    /// By how much the authorization server's clock is ahead (or behind, the other way).
    skew: Skew,
}

#[derive(Clone)]
struct Token {
    text: Arc<Secret<String>>,
    /// Moments of the client's clock.
    renew_from: Duration,
    good_until: Duration,
}

#[derive(Clone, Copy, Default)]
struct Skew {
    ahead: Duration,
    behind: Duration,
}

/// What came of one request.
enum Asked {
    Granted(Token),
    Refused(u16),
    Throttled(Duration),
    Failed(DropReason, Option<u16>),
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: f64,
}

impl Tokens {
    /// Tokens that are asked for through `transport`.
    #[must_use]
    pub fn new(
        config: OAuthConfig,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        generator: Rng,
    ) -> Self {
        Self {
            config,
            transport,
            clock,
            generator: PlainMutex::new(generator),
            state: Mutex::default(),
            failed_rounds: AtomicU64::new(0),
        }
    }

    /// A token. Whoever asks while one is being asked for waits for that one, and shares its fate.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn current(&self) -> Result<Arc<Secret<String>>, Refusal> {
        let rounds = self.failed_rounds.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(token) = state.good_token(self.clock.elapsed()) {
            return Ok(self.renewed(&mut state, token).await);
        }
        if let Some(refusal) = state.last_refusal
            && self.failed_rounds.load(Ordering::Acquire) > rounds
        {
            return Err(refusal);
        }
        let answer = self.ask_until_known(&mut state).await;
        if let Err(refusal) = answer {
            state.last_refusal = Some(refusal);
            self.failed_rounds.fetch_add(1, Ordering::AcqRel);
        }
        answer
    }

    /// Segment did not take this token: the next one is a fresh one.
    pub async fn discard(&self, refused: &Arc<Secret<String>>) {
        let mut state = self.state.lock().await;
        if state.token.as_ref().is_some_and(|token| Arc::ptr_eq(&token.text, refused)) {
            state.token = None;
        }
    }

    /// From half of its life on, a token is exchanged for another while it is still good.
    async fn renewed(&self, state: &mut State, token: Token) -> Arc<Secret<String>> {
        if self.clock.elapsed() < token.renew_from {
            return token.text;
        }
        if let Asked::Granted(fresh) = self.ask(state).await {
            let text = Arc::clone(&fresh.text);
            state.token = Some(fresh);
            return text;
        }
        tracing::warn!("the OAuth token could not be renewed, the old one stays in use");
        let text = Arc::clone(&token.text);
        state.token = Some(Token { renew_from: self.clock.elapsed() + RENEWAL_PAUSE, ..token });
        text
    }

    async fn ask_until_known(&self, state: &mut State) -> Result<Arc<Secret<String>>, Refusal> {
        let mut failures = 0;
        let mut corrected = false;
        loop {
            let before = state.skew;
            match self.ask(state).await {
                Asked::Granted(token) => {
                    let text = Arc::clone(&token.text);
                    state.token = Some(token);
                    return Ok(text);
                }
                Asked::Refused(_) if !corrected && state.skew.differs_from(before) => corrected = true,
                Asked::Refused(status) => {
                    tracing::error!(status, "the authorization server refused the OAuth client");
                    return Err(Refusal::Permanent(status));
                }
                Asked::Throttled(pause) => self.clock.pause(pause).await,
                Asked::Failed(reason, status) => {
                    failures += 1;
                    if failures > self.config.max_retries {
                        return Err(Refusal::Temporary(reason, status));
                    }
                    tracing::info!(reason = reason.name(), status, "no OAuth token, asking again");
                    let pause = self.backoff(failures);
                    self.clock.pause(pause).await;
                }
            }
        }
    }

    fn backoff(&self, failures: u32) -> Duration {
        retry::backoff(failures, &mut self.generator.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn ask(&self, state: &mut State) -> Asked {
        let id = Uuid::new_v4().to_string();
        let Some(assertion) =
            assertion::assertion(&self.config, state.skew.applied_to(self.clock.wall()), &id)
        else {
            return Asked::Failed(DropReason::Network, None);
        };
        let request = Request {
            endpoint: self.config.endpoint.clone(),
            headers: vec![("Content-Type".into(), "application/x-www-form-urlencoded".into())],
            body: assertion::form(&self.config.scope, &assertion).into_bytes(),
            keeps_body: true,
        };
        let asked_at = self.clock.elapsed();
        match self.transport.send(request).await {
            Ok(response) => {
                let wall = self.clock.wall();
                if let Some(date) =
                    response.header("date").and_then(|date| httpdate::parse_http_date(date).ok())
                {
                    state.skew = Skew::between(wall, date);
                }
                judged(&response, asked_at, wall)
            }
            Err(Failure::Timeout) => Asked::Failed(DropReason::Timeout, None),
            Err(Failure::Network) => Asked::Failed(DropReason::Network, None),
        }
    }
}

fn judged(response: &Response, asked_at: Duration, wall: SystemTime) -> Asked {
    let status = response.status;
    let pause = retry::requested_pause(response.header("retry-after"), None, wall);
    match (status, retry::classify(status, pause)) {
        (_, Verdict::Delivered) => match serde_json::from_slice::<Grant>(&response.body) {
            Ok(grant) if !grant.access_token.is_empty() => Asked::Granted(grant.at(asked_at)),
            _ => Asked::Failed(DropReason::Server, Some(status)),
        },
        (429, verdict) => Asked::Throttled(match verdict {
            Verdict::Throttled(pause) => pause,
            _ => THROTTLE_PAUSE,
        }),
        (_, Verdict::Throttled(pause)) => Asked::Throttled(pause),
        (_, Verdict::Retry(reason)) => Asked::Failed(reason, Some(status)),
        (_, Verdict::Split | Verdict::Drop(_)) => Asked::Refused(status),
    }
}

impl State {
    fn good_token(&self, now: Duration) -> Option<Token> {
        self.token.as_ref().filter(|token| now < token.good_until).cloned()
    }
}

impl Grant {
    fn at(self, asked_at: Duration) -> Token {
        let life = Duration::try_from_secs_f64(self.expires_in).unwrap_or(SHORTEST_LIFE).max(SHORTEST_LIFE);
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

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokens").finish_non_exhaustive()
    }
}
