//! The border to Node: the only code that knows napi, and a thin one. JSON text crosses, never objects.
//!
//! What happens in the engine reaches JavaScript in one way: it is written into a [`mailbox`], and a weak,
//! bounded thread-safe function of capacity one says that there is mail. JavaScript then takes it in pieces that
//! each leave its event loop time for other things. A full queue means that JavaScript has been told already, so nothing can be lost on the way.

#![allow(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

mod aws;
mod commercetools;
mod enqueue;
mod environment;
pub mod mailbox;
mod spool;

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use napi::bindgen_prelude::{Env, JsValue, ObjectFinalize};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{JsString, Status, sys};
use napi_derive::napi;

use crate::client::{Client, Environment};
use crate::config::Options;
use crate::delivery::transport::callback::CallbackTransport;
use crate::delivery::transport::http::HttpTransport;
use crate::delivery::transport::{Failure, Response, Transport, Ways, tls};
use crate::error::{Error, ErrorKind};
use crate::event::MAX_EVENT_BYTES;
use crate::stats::Refusal;
use mailbox::Mailbox;

/// Weak: it never keeps the process alive. One call at most waits in its queue.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true, 1>;

/// An option that can't be used, for the face to throw.
#[napi(object)]
pub struct OptionProblem {
    /// Stable error code.
    pub code: String,
    /// What to do.
    pub message: String,
    /// The option at fault.
    pub field: Option<String>,
    /// What it may be.
    pub limit: Option<String>,
}

impl From<&Error> for OptionProblem {
    fn from(error: &Error) -> Self {
        Self {
            code: error.kind().code().into(),
            message: error.to_string(),
            field: error.field().map(Into::into),
            limit: error.limit().map(Into::into),
        }
    }
}

/// The version of the package that this addon was built for.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Checks options (JSON text) as the constructor will; `null` when they can be used.
#[napi]
pub fn check_options(options: String) -> Option<OptionProblem> {
    let check = || {
        let config = parse(&options)?.build()?;
        HttpTransport::new(&config).and_then(|_| HttpTransport::for_tokens(&config)).map(drop)
    };
    check().err().as_ref().map(OptionProblem::from)
}

fn parse(options: &str) -> Result<Options, Error> {
    // serde's text may quote a value, so it goes no further.
    serde_json::from_str(options).map_err(|_| {
        let text = "An option has the wrong type. See the options table of the README.";
        Error::new(ErrorKind::OptionInvalid, text)
    })
}

/// Whom Node was told to trust: PEM, and whether that is beside Mozilla's roots. The first call for a process counts.
#[napi]
pub fn trust_for_process(pem: String, with_mozilla: bool) {
    tls::trust_for_process(&pem, with_mozilla);
}

/// An error with its own code instead of one of napi's.
fn to_napi(error: &Error) -> napi::Error<&'static str> {
    napi::Error::new(error.kind().code(), error.to_string())
}

/// The bits of `usesCallback`.
mod callback_for {
    pub const BATCHES: u32 = 1;
    pub const TOKENS: u32 = 1 << 1;
}

/// About what one client holds outside of V8's heap, without events. V8 has to know, or it sees no reason to collect clients
/// that nobody refers to any more.
const CLIENT_BYTES: i64 = 32 * 1024;

/// One client of the engine. The face alone uses it.
#[napi(custom_finalize)]
pub struct NativeClient {
    handle: u32,
    client: Arc<Client>,
    mailbox: Arc<Mailbox>,
    transport_while_open: Weak<dyn Transport>,
    callback: Option<Arc<CallbackTransport>>,
}

#[napi]
impl NativeClient {
    /// Starts a client. `wake` is called when there is mail to take; `logLevel` is 0 (silent) to 5 (trace);
    /// `usesCallback` says which requests come as mail instead of being sent: 1 batches, 2 those for tokens.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        options: String,
        #[napi(ts_arg_type = "() => void")] wake: Wake,
        log_level: u32,
        uses_callback: u32,
    ) -> napi::Result<Self, &'static str> {
        let config = parse(&options).and_then(Options::build).map_err(|error| to_napi(&error))?;
        // A full queue means that a call is on its way; a closing one, that nobody is there to read.
        let wake = Box::new(move || {
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        });
        let mailbox = Arc::new(Mailbox::new(wake, u8::try_from(log_level).unwrap_or(u8::MAX)));
        let http = |bit| match bit {
            callback_for::TOKENS => HttpTransport::for_tokens(&config),
            _ => HttpTransport::new(&config),
        };
        let callback = (uses_callback != 0).then(|| {
            let outlet = Arc::clone(&mailbox);
            let timeout = config.request_timeout;
            let send = Box::new(move |number, request| outlet.post_request(number, &request, timeout));
            Arc::new(CallbackTransport::new(send, timeout))
        });
        let way = |bit: u32| -> napi::Result<Arc<dyn Transport>, &'static str> {
            match &callback {
                Some(callback) if uses_callback & bit != 0 => Ok(Arc::clone(callback) as Arc<dyn Transport>),
                _ => Ok(Arc::new(http(bit).map_err(|error| to_napi(&error))?)),
            }
        };
        let transport = way(callback_for::BATCHES)?;
        let tokens = if config.oauth.is_some() { way(callback_for::TOKENS)? } else { Arc::clone(&transport) };
        environment::enter(env).map_err(|error| napi::Error::new("GenericFailure", error.reason.clone()))?;
        let observer = Arc::clone(&mailbox);
        // Connections go with the last client that is not over; this handle stays until it is collected.
        let transport_while_open = Arc::downgrade(&transport);
        let ways = Ways { batches: transport, tokens };
        let client =
            Client::start(config, Environment::default(), observer, ways).map_err(|error| to_napi(&error))?;
        let client = Arc::new(client);
        // With a callback nothing can leave any more once JavaScript has stopped.
        let exiting = Arc::new(AtomicBool::new(callback.is_some()));
        let handle = environment::remember(&client, &exiting);
        // It only makes V8 collect earlier.
        let _unknown = env.adjust_external_memory(CLIENT_BYTES);
        Ok(Self { handle, client, mailbox, transport_while_open, callback })
    }

    /// The number by which [`enqueue`] knows this client.
    #[napi]
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// Counts a call that the face refused, by the number of its reason.
    #[napi]
    pub fn refuse(&self, reason: u32) {
        if let Some(&reason) = Refusal::ALL.get((reason as usize).wrapping_sub(1)) {
            self.client.refuse(reason);
        }
    }

    /// Begins a flush; its report comes as mail under this id. A negative timeout means none.
    #[napi]
    pub fn flush(&self, id: u32, timeout_ms: f64, closes: bool) {
        self.client.flush(id, Duration::try_from_secs_f64(timeout_ms / 1_000.0).ok(), closes);
    }

    /// Bytes that the queue may hold.
    #[napi]
    #[allow(clippy::cast_precision_loss, reason = "at most 2^36")]
    pub fn max_queue_bytes(&self) -> f64 {
        self.client.max_queue_bytes() as f64
    }

    /// Milliseconds that a way out of the process may wait.
    #[napi]
    pub fn exit_timeout(&self) -> f64 {
        self.client.exit_timeout().as_secs_f64() * 1_000.0
    }

    /// Whether an accepted event is as safe on disk as `durability` promises: 1 yes, 0 no, -1 when that is being seen
    /// to and mail will tell.
    #[napi]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sequence that enqueue returned"
    )]
    pub fn is_persisted(&self, sequence: f64) -> i32 {
        self.client.is_persisted(sequence as u64).map_or(-1, i32::from)
    }

    /// Takes back what is held, oldest first: a JSON array of sequence numbers and events.
    #[napi]
    pub fn recall(&self) -> String {
        mailbox::written(&self.client.recall())
    }

    /// The counters as JSON text.
    #[napi]
    pub fn stats(&self) -> String {
        serde_json::to_string(&self.client.stats()).unwrap_or_default()
    }

    /// Which notices to post beside those of tracked events and flushes: a set of bits.
    #[napi]
    pub fn set_interest(&self, bits: u32) {
        self.mailbox.set_interest(bits);
    }

    /// The next request goes over a new connection: after a standstill of the process nobody knows whether the other
    /// side still has the old ones.
    #[napi]
    pub fn reconnect(&self) {
        if let Some(transport) = self.transport_while_open.upgrade() {
            transport.reconnect();
        }
    }

    /// Takes a piece of the mail: a JSON array, oldest first. Ends with `{"type":"more"}` when there is more of it.
    #[napi]
    pub fn take_mail(&self) -> String {
        let (mail, is_up_again) = self.mailbox.take();
        if is_up_again {
            self.client.wake();
        }
        mail
    }

    /// Blocks until everything is settled or the time is up; returns how many events are not. For the exit handler only.
    #[napi]
    #[allow(clippy::cast_precision_loss, reason = "fewer than fit into the queue")]
    pub fn drain(&self, timeout_ms: f64) -> f64 {
        let timeout = Duration::try_from_secs_f64(timeout_ms / 1_000.0).unwrap_or_default();
        let ticket = self.client.begin_drain(timeout);
        self.client.end_drain(ticket, timeout) as f64
    }

    /// The client is closed, and its last flush was told: `wake` is never called again, and Node forgets it.
    #[napi]
    pub fn end(&self) {
        self.mailbox.end();
    }

    /// The application's answer to a request that came as mail. A status of 0 stands for no answer, with
    /// `timedOut` telling why; `statusText` is `null` where the usual one will do; headers are a JSON object with names in lower case, `body` is only read where the
    /// request's mail asked for it.
    #[napi]
    pub fn answer(
        &self,
        number: u32,
        status: u32,
        status_text: Option<String>,
        headers: String,
        timed_out: bool,
        body: Option<String>,
    ) {
        let Some(callback) = &self.callback else { return };
        let failure = if timed_out { Failure::Timeout } else { Failure::Network };
        let answer = match u16::try_from(status) {
            Ok(status) if status > 0 => {
                let body = body.unwrap_or_default().into_bytes();
                Ok(Response { status, status_text, headers: header_list(&headers), body })
            }
            _ => Err(failure),
        };
        callback.answer(number, answer);
    }
}

impl ObjectFinalize for NativeClient {
    fn finalize(self, env: Env) -> napi::Result<()> {
        env.adjust_external_memory(-CLIENT_BYTES).map(drop)
    }
}

impl Drop for NativeClient {
    fn drop(&mut self) {
        environment::forget(self.handle);
    }
}

/// The process ends: blocks until nothing of this thread's clients is pending, or the time that each of them has is up;
/// those of the handles in `done` have been waited for already. Idle clients get the time to tidy up. For the exit handler
/// only.
#[napi]
pub fn drain_clients(done: Vec<u32>) {
    environment::drain_clients(&done);
}

/// The turn of the event loop in which this client took in events is over: they may leave now.
#[napi]
pub fn let_go(handle: u32) {
    environment::with_client(handle, Client::let_go);
}

fn header_list(json: &str) -> Vec<(String, String)> {
    serde_json::from_str::<std::collections::BTreeMap<String, String>>(json)
        .map(|headers| headers.into_iter().collect())
        .unwrap_or_default()
}

fn refused(reason: Refusal) -> f64 {
    let position = Refusal::ALL.iter().position(|&known| known == reason).unwrap_or_default();
    -f64::from(u32::try_from(position + 1).unwrap_or(u32::MAX))
}

/// Lets `look` see the string as UTF-8, or `None` when it is over the limit of an event.
///
/// One call and one copy into memory that is used again: the usual two calls (measure, then copy into a new
/// allocation) cost more than everything else `track()` does here.
fn with_utf8<T>(text: &JsString, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
    // Node cuts at a character: one that does not fit leaves at most 3 bytes empty, and 1 is for the NUL.
    const ROOM: usize = MAX_EVENT_BYTES + 8;
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; ROOM]);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let value = text.value();
        let mut length = 0;
        // SAFETY: `value` is a live handle of the current call, and the buffer is valid for the length given.
        let status = unsafe {
            sys::napi_get_value_string_utf8(
                value.env,
                value.value,
                scratch.as_mut_ptr().cast(),
                scratch.len(),
                &raw mut length,
            )
        };
        if status != sys::Status::napi_ok {
            return look(Some(b""));
        }
        look(scratch.get(..length).filter(|text| text.len() <= MAX_EVENT_BYTES))
    })
}
