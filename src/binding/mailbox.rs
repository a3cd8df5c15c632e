//! What the engine has to say, as JSON text, until JavaScript takes it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::delivery::dead_letter::{Cause, DeadLetter};
use crate::delivery::notice::{Delivered, Interest, Notice, Observer, Report};
use crate::delivery::transport::Request;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Beyond this many bytes of mail that JavaScript has not taken, notices that are only of interest (nobody
/// waits for them) are left out, so a blocked event loop can't exhaust memory.
const COURTESY_BYTES: usize = 32 * 1024 * 1024;
/// Beyond this the engine delivers nothing more that has to be told.
const BEHIND_BYTES: usize = 1024 * 1024;
const BEHIND_EVENTS: usize = 4_000;
/// What JavaScript takes at once: a turn of its loop stays short.
const PIECE_BYTES: usize = 256 * 1024;
const PIECE_EVENTS: usize = 1_000;
/// A notice of more events than this, or of more bytes, is written as several.
const NOTICE_EVENTS: usize = 250;
const NOTICE_BYTES: usize = 64 * 1024;

/// The bits of `setInterest`.
mod interest {
    pub const DELIVERED: u32 = 1;
    pub const DROPPED: u32 = 1 << 1;
    pub const REQUESTS: u32 = 1 << 2;
    pub const RESPONSES: u32 = 1 << 3;
    pub const DRAINED: u32 = 1 << 4;
    pub const PERSISTED: u32 = 1 << 5;
}

/// The mail of one client.
pub struct Mailbox {
    mail: Mutex<Mail>,
    interest: AtomicU32,
    log_level: u8,
    /// None once everything is told: whatever it holds of Node is given back with it.
    wake: Mutex<Option<Wake>>,
}

/// Says that there is mail.
type Wake = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Mail {
    notices: VecDeque<Written>,
    bytes: usize,
    events: usize,
    /// JavaScript has been told, or comes again by itself.
    is_expected: bool,
}

/// One notice as JSON.
struct Written {
    json: Vec<u8>,
    events: usize,
}

impl Mail {
    const fn is_behind(&self) -> bool {
        self.bytes > BEHIND_BYTES || self.events > BEHIND_EVENTS
    }
}

impl Mailbox {
    /// An empty mailbox; `wake` is called when it stops being empty. Lines of the log up to this level are mail too.
    #[must_use]
    pub fn new(wake: Wake, log_level: u8) -> Self {
        let wake = Mutex::new(Some(wake));
        Self { mail: Mutex::default(), interest: AtomicU32::new(0), log_level, wake }
    }

    /// Everything is told. From now on nobody is woken; mail that comes all the same can still be taken.
    pub fn end(&self) {
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(wake);
    }

    /// Takes a piece of it: a JSON array, with a last notice of `more` when there is more. Also says whether the engine may
    /// go on now that it could not before.
    pub fn take(&self) -> (String, bool) {
        let mut mail = self.mail();
        let was_behind = mail.is_behind();
        let (mut bytes, mut events) = (0, 0);
        let mut text = vec![b'['];
        while let Some(next) = mail.notices.front() {
            let is_over = bytes + next.json.len() > PIECE_BYTES || events + next.events > PIECE_EVENTS;
            if bytes > 0 && is_over {
                break;
            }
            let Some(Written { json, events: count }) = mail.notices.pop_front() else { break };
            (bytes, events) = (bytes + json.len(), events + count);
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(&json);
        }
        mail.bytes -= bytes;
        mail.events -= events;
        mail.is_expected = !mail.notices.is_empty();
        if mail.is_expected {
            text.extend_from_slice(br#",{"type":"more"}"#);
        } else {
            // What a burst needed is given back.
            mail.notices.shrink_to(64);
        }
        let is_up_again = was_behind && !mail.is_behind();
        drop(mail);
        text.push(b']');
        (text_of(text), is_up_again)
    }

    /// What the face listens to.
    pub fn set_interest(&self, bits: u32) {
        self.interest.store(bits, Ordering::Relaxed);
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts one notice that tells of so many events, written by `write`.
    fn post(&self, courtesy: bool, events: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut json = Vec::new();
        write(&mut json);
        let mut mail = self.mail();
        if courtesy && mail.bytes > COURTESY_BYTES {
            return;
        }
        mail.bytes += json.len();
        mail.events += events;
        mail.notices.push_back(Written { json, events });
        let is_news = !std::mem::replace(&mut mail.is_expected, true);
        drop(mail);
        if is_news && let Some(wake) = &*self.wake.lock().unwrap_or_else(PoisonError::into_inner) {
            wake();
        }
    }

    /// Posts events under a head, in as many notices as they need.
    fn post_events<T>(&self, courtesy: bool, head: &str, events: &[T], parts: impl Fn(&T) -> (u64, &[u8])) {
        let mut rest = events;
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest
                .iter()
                .take(NOTICE_EVENTS)
                .take_while(|event| {
                    let is_first = bytes == 0;
                    bytes += parts(event).1.len();
                    is_first || bytes <= NOTICE_BYTES
                })
                .count();
            let (now, later) = rest.split_at_checked(count.max(1)).unwrap_or((rest, &[]));
            rest = later;
            self.post(courtesy, now.len(), |mail| {
                mail.extend_from_slice(head.as_bytes());
                for (index, event) in now.iter().enumerate() {
                    let (sequence, bytes) = parts(event);
                    append_event(mail, index, sequence, bytes);
                }
                mail.extend_from_slice(b"]}");
            });
        }
    }

    /// Posts a request that the application is to send.
    pub fn post_request(&self, number: u32, request: &Request, timeout: Duration) {
        let headers: Value =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let notice = json!({
            "type": "send",
            "number": number,
            "url": request.endpoint.as_str(),
            "headers": headers,
            "body": String::from_utf8_lossy(&request.body),
            "timeoutMs": timeout.as_secs_f64() * 1_000.0,
            "isForToken": request.keeps_body,
        });
        self.post(false, 0, |mail| append(mail, &notice));
    }

    fn post_exchange(
        &self,
        name: &str,
        url: &str,
        status: Option<(u16, Option<String>)>,
        headers: &[(String, String)],
        body: &[u8],
    ) {
        let (status, status_text) = status.unzip();
        let headers: Value = headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let notice = json!({
            "type": name,
            "url": url,
            "status": status,
            "statusText": status_text.flatten(),
            "headers": headers,
            "body": String::from_utf8_lossy(body),
        });
        self.post(true, 0, |mail| append(mail, &notice));
    }

    fn post_dropped(&self, cause: &Cause, events: &[DeadLetter]) {
        let courtesy = events.iter().all(|event| !event.tracked);
        let cause = json!({
            "code": cause.reason.kind().code(),
            "reason": cause.reason.name(),
            "status": cause.status,
            "attempts": cause.attempts,
            "message": cause.message(),
        });
        let head = format!(r#"{{"type":"dropped","cause":{cause},"events":["#);
        self.post_events(courtesy, &head, events, |event| (event.sequence, &event.bytes));
    }

    fn post_flushed(&self, id: u32, report: &Report) {
        let head = format!(r#"{{"type":"unflushed","id":{id},"events":["#);
        self.post_events(false, &head, &report.unflushed, |event| (0, event));
        let stats = serde_json::to_string(&report.stats).unwrap_or_default();
        let duration = report.duration.as_secs_f64() * 1_000.0;
        let text = format!(r#"{{"type":"flushed","id":{id},"durationMs":{duration:.3},"stats":{stats}}}"#);
        self.post(false, 0, |mail| mail.extend_from_slice(text.as_bytes()));
    }
}

/// Events under their sequence numbers, as JSON.
pub fn written(events: &[(u64, Bytes)]) -> String {
    let mut json = vec![b'['];
    for (index, (sequence, event)) in events.iter().enumerate() {
        append_event(&mut json, index, *sequence, event);
    }
    json.push(b']');
    text_of(json)
}

/// Every piece was valid UTF-8 already; if not, a mark in a text beats losing the rest.
fn text_of(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn append(mail: &mut Vec<u8>, value: &Value) {
    mail.extend_from_slice(value.to_string().as_bytes());
}

fn append_event(mail: &mut Vec<u8>, index: usize, sequence: u64, event: &[u8]) {
    if index > 0 {
        mail.push(b',');
    }
    mail.extend_from_slice(format!("[{sequence},").as_bytes());
    mail.extend_from_slice(event);
    mail.push(b']');
}

impl Observer for Mailbox {
    fn interest(&self) -> Interest {
        let bits = self.interest.load(Ordering::Relaxed);
        Interest {
            delivered: bits & interest::DELIVERED != 0,
            dropped: bits & interest::DROPPED != 0,
            requests: bits & interest::REQUESTS != 0,
            responses: bits & interest::RESPONSES != 0,
            drained: bits & interest::DRAINED != 0,
            persisted: bits & interest::PERSISTED != 0,
            log_level: self.log_level,
            is_behind: self.mail().is_behind(),
        }
    }

    fn notify(&self, notice: Notice) {
        match notice {
            Notice::Delivered { attempts, events } => {
                let head = format!(r#"{{"type":"delivered","attempts":{attempts},"events":["#);
                let parts = |event: &Delivered| (event.sequence, event.bytes.clone());
                let parts: Vec<_> = events.iter().map(parts).collect();
                self.post_events(false, &head, &parts, |(sequence, bytes)| {
                    (*sequence, bytes.as_deref().unwrap_or(b"null"))
                });
            }
            Notice::Dropped { cause, events } => self.post_dropped(&cause, &events),
            Notice::Request { url, headers, body } => {
                self.post_exchange("request", &url, None, &headers, &body);
            }
            Notice::Response { url, status, status_text, headers, body } => {
                self.post_exchange("response", &url, Some((status, status_text)), &headers, &body);
            }
            Notice::Kept { events } => {
                let head = r#"{"type":"kept","events":["#;
                self.post_events(false, head, &events, |event| (event.sequence, &event.bytes));
            }
            Notice::Log { level, message, fields } => {
                let line =
                    json!({ "type": "log", "level": level.name(), "message": message, "fields": fields });
                self.post(true, 0, |mail| append(mail, &line));
            }
            Notice::Persisted { persisted, up_to } => {
                let notice = json!({ "type": "persisted", "persisted": persisted, "upTo": up_to });
                self.post(false, 0, |mail| append(mail, &notice));
            }
            Notice::Trouble { error, status } => {
                let notice = json!({
                    "type": "trouble",
                    "code": error.kind().code(),
                    "message": error.to_string(),
                    "status": status,
                });
                self.post(true, 0, |mail| append(mail, &notice));
            }
            // Never left out: the face holds on to a client until it has heard of this.
            Notice::Drained => self.post(false, 0, |mail| append(mail, &json!({ "type": "drained" }))),
            Notice::Flushed { id, report } => self.post_flushed(id, &report),
        }
    }
}
