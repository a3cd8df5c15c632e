//! Carries out with Tokio what a client's worker asks for, and looks after the worker: a panic in it costs no event.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::{AbortHandle, Abortable, BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::{Map, Value};
use tokio::sync::{Notify, Semaphore};

use super::clock::Clock;
use super::encode::{Body, Encoder};
use super::notice::{Level, Notice, Observer};
use super::oauth::token_request;
use super::oauth::tokens::TokenText;
use super::transport::{Failure, Request, Response, Ways};
use super::worker::{Attempt, Input, Moment, Output, Worker};
use crate::config::{Config, Secret};
use crate::error::{Error, ErrorKind};
use crate::queue::spool::maintenance::Maintenance;
use crate::sync::Mutex;

/// The longest sleep: a machine that was suspended looks around soon after.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Bodies from this size on are written on a thread of the pool, so that they hold nobody up.
const LARGE_BODY: usize = 16 * 1024;
/// So many of them at once, of all clients.
static ENCODING: Semaphore = Semaphore::const_new(2);
/// A worker that panics again and again is given up.
const MAX_PANICS: u32 = 3;
const PANICS_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// What a worker is driven with.
pub struct Driver {
    /// Its state machine.
    pub worker: Worker,
    /// Its settings.
    pub config: Arc<Config>,
    /// Wakes it.
    pub wake: Arc<Notify>,
    /// Whom it tells.
    pub observer: Arc<dyn Observer>,
    /// Its time.
    pub clock: Arc<dyn Clock>,
    /// Its ways out.
    pub ways: Ways,
    /// What can wait on its disk.
    pub maintenance: Option<Maintenance>,
}

/// Something that was under way has come to its end.
enum Ended {
    /// A body is written.
    Encoded(u64, Request, Option<Vec<u8>>, usize),
    /// An input for the worker.
    Input(Input),
}

type Task = Abortable<BoxFuture<'static, Ended>>;

struct Running {
    worker: Worker,
    config: Arc<Config>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    encoder: Arc<Encoder>,
    /// Writes bodies for those who listen to requests.
    without_key: Arc<Encoder>,
    /// Gone once nothing will be sent any more: a client that is over holds no connection.
    ways: Option<Ways>,
    maintenance: Option<Arc<Mutex<Maintenance>>>,
    tasks: FuturesUnordered<Task>,
    requests: HashMap<u64, AbortHandle>,
    panics: u32,
    last_panic: Duration,
}

/// Drives a client until it is over and nobody holds it any more.
pub async fn run(driver: Driver) {
    let Driver { worker, config, wake, observer, clock, ways, maintenance } = driver;
    let mut running = Running {
        encoder: Arc::new(Encoder::new(Some(&config.write_key))),
        without_key: Arc::new(Encoder::new(None)),
        maintenance: maintenance.map(|maintenance| Arc::new(Mutex::new(maintenance))),
        tasks: FuturesUnordered::new(),
        requests: HashMap::new(),
        panics: 0,
        last_panic: Duration::ZERO,
        worker,
        config,
        observer,
        clock,
        ways: Some(ways),
    };
    let mut input = Input::Nothing;
    loop {
        if !running.step(input) || running.worker.is_finished() {
            return;
        }
        let now = running.clock.elapsed();
        let sleep = running.worker.due_at().map_or(LONGEST_SLEEP, |due_at| due_at.saturating_sub(now));
        if sleep.is_zero() {
            // One client with much to do must not keep the others waiting.
            tokio::task::yield_now().await;
        }
        input = tokio::select! {
            biased;
            Some(ended) = running.tasks.next() => match ended {
                Ok(Ended::Input(input)) => input,
                Ok(Ended::Encoded(number, request, seen, raw)) => running.send(number, request, seen, raw),
                // Nobody waits for it any more.
                Err(_aborted) => Input::Nothing,
            },
            () = wake.notified() => Input::Nothing,
            () = running.clock.sleep(sleep.min(LONGEST_SLEEP)) => Input::Nothing,
        };
    }
}

impl Running {
    /// One step of the worker, and what it asks for; false when it is given up.
    fn step(&mut self, input: Input) -> bool {
        let worker = &mut self.worker;
        let (clock, observer) = (&self.clock, &self.observer);
        let outputs = catch_unwind(AssertUnwindSafe(|| {
            let now = Moment { elapsed: clock.elapsed(), wall: clock.wall() };
            worker.step(now, observer.interest(), input)
        }));
        match outputs {
            Ok(outputs) => {
                for output in outputs {
                    self.carry_out(output);
                }
                if self.worker.is_over() {
                    self.ways = None;
                }
                true
            }
            Err(_) => self.recover(),
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(attempt) => self.encode(attempt),
            Output::AskForToken { request, at } => self.ask_for_token(request, at),
            Output::Cancel(request) => {
                if let Some(handle) = self.requests.remove(&request) {
                    handle.abort();
                }
            }
            Output::Job(job) => {
                let Some(maintenance) = self.maintenance.clone() else { return };
                let run = move || maintenance.lock().unwrap_or_else(PoisonError::into_inner).run(job);
                self.spawn(None, async move {
                    let done = tokio::task::spawn_blocking(run).await;
                    Ended::Input(done.map_or(Input::JobLost, Input::Done))
                });
            }
            Output::Sync(job) => self.spawn(None, async move {
                let result = tokio::task::spawn_blocking(move || job.run()).await;
                Ended::Input(Input::Synced(result.unwrap_or_else(|error| Err(std::io::Error::other(error)))))
            }),
            Output::Notify(notice) => self.tell(notice),
        }
    }

    fn tell(&self, notice: Notice) {
        // Whoever fails to listen must not take the engine along.
        drop(catch_unwind(AssertUnwindSafe(|| self.observer.notify(notice))));
    }

    fn spawn(&mut self, request: Option<u64>, task: impl Future<Output = Ended> + Send + 'static) {
        let (handle, registration) = AbortHandle::new_pair();
        let failed = move |_| match request {
            Some(request) => Ended::Input(Input::Answered { request, answer: Err(Failure::Network) }),
            None => Ended::Input(Input::JobLost),
        };
        let task =
            AssertUnwindSafe(task).catch_unwind().map(move |ended| ended.unwrap_or_else(failed)).boxed();
        self.tasks.push(Abortable::new(task, registration));
        if let Some(request) = request {
            self.requests.insert(request, handle);
        }
    }

    /// Writes the body of a request; a large one elsewhere.
    fn encode(&mut self, attempt: Attempt) {
        let number = attempt.request;
        let interest = self.observer.interest();
        let encoding = Encoding {
            config: Arc::clone(&self.config),
            encoder: Arc::clone(&self.encoder),
            without_key: (interest.requests || interest.responses).then(|| Arc::clone(&self.without_key)),
            sent_at: self.clock.wall(),
            attempt,
        };
        let size: usize = encoding.attempt.batch.entries().iter().map(|entry| entry.bytes.len()).sum();
        let failed = move || Ended::Input(Input::Answered { request: number, answer: Err(Failure::Network) });
        if size < LARGE_BODY {
            self.spawn(Some(number), async move { encoding.run().unwrap_or_else(failed) });
            return;
        }
        self.spawn(Some(number), async move {
            let Ok(permit) = ENCODING.acquire().await else { return failed() };
            let encoded = tokio::task::spawn_blocking(move || encoding.run()).await;
            drop(permit);
            encoded.ok().flatten().unwrap_or_else(failed)
        });
    }

    /// Sends a request whose body is written.
    fn send(&mut self, number: u64, request: Request, seen: Option<Vec<u8>>, raw: usize) -> Input {
        let interest = self.observer.interest();
        let url = self.config.endpoint.to_string();
        if let (true, Some(body)) = (interest.requests, &seen) {
            let is_secret = |(name, _): &&(String, String)| name != "Authorization";
            let headers = request.headers.iter().filter(is_secret).cloned().collect();
            self.tell(Notice::Request { url: url.clone(), headers, body: body.clone() });
        }
        let on_the_wire = request.body.len();
        let Some(ways) = &self.ways else { return no_way(number) };
        let (transport, observer) = (Arc::clone(&ways.batches), Arc::clone(&self.observer));
        self.spawn(Some(number), async move {
            let answer = transport.send(request).await;
            if let (true, Some(body), Ok(response)) = (interest.responses, seen, &answer) {
                let Response { status, status_text, headers, .. } = response.clone();
                drop(catch_unwind(AssertUnwindSafe(|| {
                    observer.notify(Notice::Response { url, status, status_text, headers, body });
                })));
            }
            Ended::Input(Input::Answered { request: number, answer })
        });
        Input::Sent { raw, on_the_wire }
    }

    fn ask_for_token(&mut self, number: u64, at: SystemTime) {
        let Some(ways) = &self.ways else { return };
        let (config, transport) = (Arc::clone(&self.config), Arc::clone(&ways.tokens));
        self.spawn(Some(number), async move {
            let request = config.oauth.as_ref().and_then(|oauth| token_request(oauth, at));
            let answer = match request {
                Some(request) => transport.send(request).await,
                None => Err(Failure::Network),
            };
            Ended::Input(Input::Answered { request: number, answer })
        });
    }

    /// The worker has panicked: it begins anew with everything it had, unless it does so again and again.
    fn recover(&mut self) -> bool {
        let now = catch_unwind(AssertUnwindSafe(|| self.clock.elapsed())).unwrap_or(self.last_panic);
        if now.saturating_sub(self.last_panic) > PANICS_FORGOTTEN_AFTER {
            self.panics = 0;
        }
        (self.panics, self.last_panic) = (self.panics + 1, now);
        let is_given_up = self.panics > MAX_PANICS;
        let text = if is_given_up {
            "The engine failed several times in a row and has given this client up; what it had is lost, or in the spool. \
             Please report this."
        } else {
            "The engine failed and has begun anew with everything it had. Please report this."
        };
        let error = Error::new(ErrorKind::Internal, text);
        self.tell(Notice::Log {
            level: Level::Error,
            message: "the engine failed",
            fields: Map::<String, Value>::new(),
        });
        self.tell(Notice::Trouble { error, status: None });
        self.tasks.clear();
        self.requests.clear();
        let worker = &mut self.worker;
        let outputs =
            catch_unwind(AssertUnwindSafe(
                || {
                    if is_given_up { worker.give_up_all() } else { worker.restart() }
                },
            ));
        for output in outputs.unwrap_or_default() {
            self.carry_out(output);
        }
        !is_given_up
    }
}

/// Nothing is sent for a client that is over.
const fn no_way(request: u64) -> Input {
    Input::Answered { request, answer: Err(Failure::Network) }
}

/// The body of one request to be.
struct Encoding {
    config: Arc<Config>,
    encoder: Arc<Encoder>,
    without_key: Option<Arc<Encoder>>,
    sent_at: SystemTime,
    attempt: Attempt,
}

impl Encoding {
    fn run(self) -> Option<Ended> {
        let Self { config, encoder, without_key, sent_at, attempt } = self;
        let events = || attempt.batch.entries().iter().map(|entry| &*entry.bytes);
        // Writing to memory does not fail; if it ever did, the batch would be tried again.
        let Body { bytes, raw_length } = encoder.encode(events(), sent_at, attempt.gzip).ok()?;
        let seen = without_key
            .and_then(|encoder| encoder.encode(events(), sent_at, false).ok())
            .map(|body| body.bytes);
        let mut headers = headers(&config.node_version, attempt.gzip, attempt.retry_count);
        headers.push(("Authorization".into(), authorization(&config.write_key, attempt.token.as_ref())));
        let request =
            Request { endpoint: config.endpoint.clone(), headers, body: bytes.into(), keeps_body: false };
        Some(Ended::Encoded(attempt.request, request, seen, raw_length))
    }
}

/// What opens Segment's door.
fn authorization(write_key: &Secret<String>, token: Option<&TokenText>) -> String {
    match token {
        Some(token) => format!("Bearer {}", token.expose()),
        None => format!("Basic {}", BASE64_STANDARD.encode(format!("{}:", write_key.expose()))),
    }
}

/// Name and version. Whoever inspects an addon without loading it finds its version by this text.
const PRODUCT: &str = concat!("companion-segment/", env!("CARGO_PKG_VERSION"), " ");

fn headers(node_version: &str, gzip: bool, retry_count: u32) -> Vec<(String, String)> {
    let user_agent = format!("{PRODUCT}(node/{node_version})");
    let mut headers =
        vec![("Content-Type".into(), "application/json".into()), ("User-Agent".into(), user_agent)];
    if gzip {
        headers.push(("Content-Encoding".into(), "gzip".into()));
    }
    if retry_count > 0 {
        headers.push(("X-Retry-Count".into(), retry_count.to_string()));
    }
    headers
}
