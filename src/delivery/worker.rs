//! One client's loop on the engine's thread, and the life of one batch.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fastrand::Rng;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::batch::Batch;
use super::dead_letter::{Cause, status_line};
use super::encode::Encoder;
use super::notice::Notice;
use super::oauth::{Refusal, Tokens};
use super::retry::{self, Verdict};
use super::shared::Shared;
use super::transport::{Failure, Request, Response, Transport, Ways};
use crate::config::Secret;
use crate::error::{Error, ErrorKind};
use crate::stats::DropReason;

/// How often a refused write key is tried again.
const PROBE_INTERVAL: Duration = Duration::from_secs(300);

/// Delivers until the client is closed and empty.
pub async fn run(shared: Arc<Shared>, ways: Ways) {
    let courier = Courier::new(&shared, ways);
    let mut deliveries = FuturesUnordered::new();
    let mut commit = None;
    loop {
        shared.tend();
        while let Some(batch) = shared.take() {
            deliveries.push(courier.deliver(batch));
        }
        if commit.is_none() {
            // fdatasync may take its time: not this thread's.
            commit = shared.take_sync().map(|job| tokio::task::spawn_blocking(|| job.run()));
        }
        let plan = shared.plan();
        if plan.finished {
            break;
        }
        if plan.due_in == Some(Duration::ZERO) {
            // A spool with much to do must not keep the connections waiting.
            tokio::task::yield_now().await;
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            Some(()) = deliveries.next() => {}
            result = committed(&mut commit) => {
                commit = None;
                shared.synced(result);
            }
            () = sleep(plan.due_in) => {}
        }
        // When closing runs out of time, everything is handed back: the loop ends, and with it the requests in flight.
        shared.expire();
    }
    shared.leave_storage();
    tracing::debug!("client closed");
}

type Commit = tokio::task::JoinHandle<io::Result<u64>>;

async fn committed(commit: &mut Option<Commit>) -> io::Result<u64> {
    match commit {
        Some(commit) => commit.await.unwrap_or_else(|error| Err(io::Error::other(error))),
        None => std::future::pending().await,
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Carries batches to their fate. All of a client's batches share the gate that a rate limit closes.
struct Courier<'a> {
    shared: &'a Shared,
    transport: Arc<dyn Transport>,
    /// With OAuth.
    tokens: Option<Tokens>,
    /// Writes bodies for those who listen to requests.
    without_key: Encoder,
    route: Mutex<Route>,
    /// The gate was opened before its time.
    opened: Notify,
}

/// What batches learn from each other.
#[derive(Debug)]
struct Route {
    compression: Compression,
    /// Nobody sends before this moment of the client's clock.
    open_from: Duration,
    /// Segment refuses the write key.
    parked: bool,
    /// Since when Segment has answered with nothing but rate limits.
    limited_since: Option<Duration>,
}

/// Whether the other side takes gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Untested,
    Taken,
    Refused,
}

/// How often a batch, and the batch it was split from, was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    /// Requests that carried these events.
    sent: u32,
    /// Requests with exactly these events.
    of_this_batch: u32,
    /// Of those, the ones that count against `maxRetries`.
    failures: u32,
    first_failure: Option<Duration>,
    /// Segment has refused one token for these events already.
    token_refused: bool,
}

enum Next {
    Settled,
    Again(Batch),
    Halves([Batch; 2]),
}

impl<'a> Courier<'a> {
    fn new(shared: &'a Shared, ways: Ways) -> Self {
        let Ways { batches: transport, tokens } = ways;
        let tokens = shared.config.oauth.clone().map(|oauth| {
            let generator = shared.with_generator(Rng::fork);
            Tokens::new(oauth, tokens, Arc::clone(&shared.clock), generator)
        });
        let route = Route {
            compression: Compression::Untested,
            open_from: Duration::ZERO,
            parked: false,
            limited_since: None,
        };
        let opened = Notify::new();
        Self { shared, transport, tokens, without_key: Encoder::new(None), route: Mutex::new(route), opened }
    }

    fn with_route<T>(&self, look: impl FnOnce(&mut Route) -> T) -> T {
        look(&mut self.route.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a batch until every event in it is settled, halving it where Segment refuses it.
    async fn deliver(&self, batch: Batch) {
        let mut open = vec![(batch, Attempts::default())];
        while let Some((mut batch, mut attempts)) = open.pop() {
            loop {
                match self.attempt(batch, &mut attempts).await {
                    Next::Settled => break,
                    Next::Again(same) => batch = same,
                    Next::Halves([left, right]) => {
                        let inherited = Attempts { sent: attempts.sent, ..Attempts::default() };
                        open.push((right, inherited));
                        open.push((left, inherited));
                        break;
                    }
                }
            }
        }
    }

    async fn attempt(&self, batch: Batch, attempts: &mut Attempts) -> Next {
        let batch = self.shared.drop_expired(batch, attempts.sent);
        if batch.entries().is_empty() {
            return Next::Settled;
        }
        if self.shared.config.disable {
            self.shared.deliver(&batch, 0);
            return Next::Settled;
        }
        if let Some(closed_for) = self.gate() {
            tokio::select! {
                () = self.shared.clock.pause(closed_for) => {}
                () = self.opened.notified() => {}
            }
            return Next::Again(batch);
        }
        let access = match self.access().await {
            Ok(access) => access,
            Err(refusal) => return self.without_access(batch, refusal, attempts).await,
        };
        let answer = self.send(&batch, attempts, &access).await;
        if let (Access::Token(token), Some(tokens), Ok(response)) = (&access, &self.tokens, &answer)
            && matches!(response.status, 401 | 403 | 511)
            && !std::mem::replace(&mut attempts.token_refused, true)
        {
            tokens.discard(token).await;
            return Next::Again(batch);
        }
        let (verdict, status) = self.judge(&answer);
        match verdict {
            Verdict::Delivered => {
                self.open_gate();
                self.shared.deliver(&batch, attempts.sent);
                Next::Settled
            }
            Verdict::Drop(DropReason::Unauthorized) if self.shared.storage.is_some() => {
                self.park(status);
                Next::Again(batch)
            }
            Verdict::Split => match self.shared.split(&batch) {
                Some(halves) => Next::Halves(halves),
                None => self.give_up(&batch, DropReason::Rejected, status, attempts),
            },
            Verdict::Drop(reason) => self.give_up(&batch, reason, status, attempts),
            Verdict::Throttled(pause) => {
                if self.close_gate(pause) {
                    Next::Again(batch)
                } else {
                    self.give_up(&batch, DropReason::RateLimited, status, attempts)
                }
            }
            Verdict::Retry(reason) => self.back_off(batch, reason, status, attempts).await,
        }
    }

    async fn access(&self) -> Result<Access, Refusal> {
        match &self.tokens {
            Some(tokens) => tokens.current().await.map(Access::Token),
            None => Ok(Access::WriteKey),
        }
    }

    /// There is no token: what is not known to be in vain is tried again.
    async fn without_access(&self, batch: Batch, refusal: Refusal, attempts: &mut Attempts) -> Next {
        self.shared.failed();
        match refusal {
            Refusal::Temporary(reason, status) => self.back_off(batch, reason, status, attempts).await,
            Refusal::Permanent(status) if self.shared.storage.is_some() => {
                self.park(Some(status));
                Next::Again(batch)
            }
            Refusal::Permanent(status) => {
                let reason = DropReason::Unauthorized;
                let cause = Cause::new(reason, Some(status), attempts.sent);
                let cause = Cause { at_authorization: true, ..cause };
                self.shared.give_up(&batch, batch.entries().len(), cause);
                Next::Settled
            }
        }
    }

    fn give_up(&self, batch: &Batch, reason: DropReason, status: Option<u16>, attempts: &Attempts) -> Next {
        let cause = Cause::new(reason, status, attempts.sent);
        self.shared.give_up(batch, batch.entries().len(), cause);
        Next::Settled
    }

    async fn back_off(
        &self,
        batch: Batch,
        reason: DropReason,
        status: Option<u16>,
        attempts: &mut Attempts,
    ) -> Next {
        let now = self.shared.clock.elapsed();
        attempts.failures += 1;
        let since = *attempts.first_failure.get_or_insert(now);
        let config = &self.shared.config;
        let spent = config.max_retries.is_some_and(|retries| attempts.failures > retries);
        if spent || now.saturating_sub(since) >= config.max_total_backoff {
            return self.give_up(&batch, reason, status, attempts);
        }
        let pause = self.shared.with_generator(|generator| retry::backoff(attempts.failures, generator));
        tracing::info!(
            reason = reason.name(),
            status,
            attempts = attempts.sent,
            pause_ms = pause.as_millis(),
            "delivery failed, trying again"
        );
        self.shared.clock.pause(pause).await;
        Next::Again(batch)
    }

    /// How long the client still has to wait. While the write key is refused, one batch is let through as a probe.
    fn gate(&self) -> Option<Duration> {
        let now = self.shared.clock.elapsed();
        self.with_route(|route| {
            let left = route.open_from.checked_sub(now).filter(|left| !left.is_zero());
            if left.is_none() && route.parked {
                route.open_from = now + PROBE_INTERVAL;
            }
            left
        })
    }

    /// The write key is refused: what is safe on disk waits there until somebody has mended that.
    fn park(&self, status: Option<u16>) {
        let until = self.shared.clock.elapsed() + PROBE_INTERVAL;
        self.with_route(|route| {
            route.parked = true;
            route.open_from = until;
        });
        let answer = status.map(status_line).unwrap_or_default();
        tracing::error!(
            status,
            "Segment refused the write key; events are kept and tried again in five minutes"
        );
        let text = format!(
            "{answer}: Segment refused the write key. Events are kept in the spool and tried again every five \
             minutes. Check the write key and the region of the source."
        );
        let error = Error::new(ErrorKind::Unauthorized, text);
        self.shared.observer.notify(Notice::Trouble { error, status });
    }

    fn open_gate(&self) {
        let was_parked = self.with_route(|route| {
            if route.parked {
                route.open_from = Duration::ZERO;
            }
            std::mem::take(&mut route.parked)
        });
        if was_parked {
            tracing::info!("Segment takes the write key again");
            self.opened.notify_waiters();
        }
    }

    /// Makes the whole client wait; false when it has been rate limited for too long already.
    fn close_gate(&self, pause: Duration) -> bool {
        let now = self.shared.clock.elapsed();
        let pause = self.shared.with_generator(|generator| retry::spread(pause, generator));
        tracing::info!(pause_ms = pause.as_millis(), "rate limited, waiting");
        self.with_route(|route| {
            let since = *route.limited_since.get_or_insert(now);
            route.open_from = route.open_from.max(now + pause);
            now.saturating_sub(since) < self.shared.config.max_rate_limit
        })
    }

    fn judge(&self, answer: &Result<Response, Failure>) -> (Verdict, Option<u16>) {
        let (verdict, status) = match answer {
            Err(Failure::Network) => (Verdict::Retry(DropReason::Network), None),
            Err(Failure::Timeout) => (Verdict::Retry(DropReason::Timeout), None),
            Ok(response) => {
                let pause = retry::requested_pause(
                    response.header("retry-after"),
                    response.header("x-ratelimit-reset"),
                    self.shared.clock.wall(),
                );
                (retry::classify(response.status, pause), Some(response.status))
            }
        };
        if !matches!(verdict, Verdict::Throttled(_)) {
            self.with_route(|route| route.limited_since = None);
        }
        if verdict != Verdict::Delivered {
            self.shared.failed();
        }
        (verdict, status)
    }

    /// One attempt, and a second without compression where compression may be what was refused.
    async fn send(
        &self,
        batch: &Batch,
        attempts: &mut Attempts,
        access: &Access,
    ) -> Result<Response, Failure> {
        let compression = self.with_route(|route| route.compression);
        let gzip =
            self.shared.config.gzip && self.transport.compresses() && compression != Compression::Refused;
        let answer = self.exchange(batch, attempts, access, gzip).await;
        let Ok(response) = &answer else { return answer };
        let learned = match response.status {
            200..=299 if gzip => Some(Compression::Taken),
            // A 400 speaks of the content once this route has taken gzip before.
            400 if gzip && compression == Compression::Untested => None,
            415 if gzip => None,
            _ => return answer,
        };
        if let Some(learned) = learned {
            self.with_route(|route| route.compression = learned);
            return answer;
        }
        let plain = self.exchange(batch, attempts, access, false).await;
        if matches!(&plain, Ok(response) if (200..=299).contains(&response.status)) {
            tracing::info!("compressed bodies are refused here, sending plain ones from now on");
            self.with_route(|route| route.compression = Compression::Refused);
        }
        plain
    }

    #[tracing::instrument(level = "debug", skip_all, fields(batch = batch.id, events = batch.entries().len()))]
    async fn exchange(
        &self,
        batch: &Batch,
        attempts: &mut Attempts,
        access: &Access,
        gzip: bool,
    ) -> Result<Response, Failure> {
        attempts.sent += 1;
        attempts.of_this_batch += 1;
        let config = &self.shared.config;
        let events = || batch.entries().iter().map(|entry| &*entry.bytes);
        let sent_at = self.shared.clock.wall();
        // Writing to memory does not fail; if it ever did, the batch would be tried again.
        let body = self.shared.encoder.encode(events(), sent_at, gzip).map_err(|_| Failure::Network)?;
        let mut headers = headers(&config.node_version, gzip, attempts.of_this_batch);
        let interest = self.shared.observer.interest();
        let seen = (interest.requests || interest.responses).then(|| {
            self.without_key.encode(events(), sent_at, false).map(|body| body.bytes).unwrap_or_default()
        });
        if let (true, Some(body)) = (interest.requests, &seen) {
            self.shared.observer.notify(Notice::Request {
                url: config.endpoint.to_string(),
                headers: headers.clone(),
                body: body.clone(),
            });
        }
        headers.push(("Authorization".into(), access.authorization(&config.write_key)));
        self.shared.sent(body.raw_length, body.bytes.len(), attempts.of_this_batch > 1);
        let request =
            Request { endpoint: config.endpoint.clone(), headers, body: body.bytes, keeps_body: false };
        let answer = self.transport.send(request).await;
        match &answer {
            Ok(response) => tracing::debug!(status = response.status, "answered"),
            Err(failure) => tracing::debug!(?failure, "no answer"),
        }
        if let (true, Some(body), Ok(response)) = (interest.responses, seen, &answer) {
            self.shared.observer.notify(Notice::Response {
                url: config.endpoint.to_string(),
                status: response.status,
                headers: response.headers.clone(),
                body,
            });
        }
        answer
    }
}

/// What opens Segment's door.
enum Access {
    WriteKey,
    Token(Arc<Secret<String>>),
}

impl Access {
    fn authorization(&self, write_key: &Secret<String>) -> String {
        match self {
            Self::WriteKey => {
                format!("Basic {}", BASE64_STANDARD.encode(format!("{}:", write_key.expose())))
            }
            Self::Token(token) => format!("Bearer {}", token.expose()),
        }
    }
}

/// Name and version. Whoever inspects an addon without loading it finds its version by this text.
const PRODUCT: &str = concat!("companion-segment/", env!("CARGO_PKG_VERSION"), " ");

fn headers(node_version: &str, gzip: bool, attempt: u32) -> Vec<(String, String)> {
    let user_agent = format!("{PRODUCT}(node/{node_version})");
    let mut headers =
        vec![("Content-Type".into(), "application/json".into()), ("User-Agent".into(), user_agent)];
    if gzip {
        headers.push(("Content-Encoding".into(), "gzip".into()));
    }
    if attempt > 1 {
        headers.push(("X-Retry-Count".into(), (attempt - 1).to_string()));
    }
    headers
}
