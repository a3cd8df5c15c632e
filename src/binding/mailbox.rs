//! What the engine has to say, as JSON text, until JavaScript takes it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use serde_json::{Value, json};

use crate::delivery::dead_letter::{Cause, DeadLetter};
use crate::delivery::notice::{Delivered, Interest, Notice, Observer, Report};
use crate::delivery::transport::Request;

/// Weak: it never keeps the process alive. One call at most waits in its queue.
pub type Wake = ThreadsafeFunction<(), (), (), Status, false, true, 1>;

/// Beyond this many bytes of mail that JavaScript has not taken, notices that are only of interest (nobody
/// waits for them) are left out, so a blocked event loop can't exhaust memory.
const COURTESY_BYTES: usize = 32 * 1024 * 1024;

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
    mail: Mutex<Vec<u8>>,
    interest: AtomicU32,
    wake: Wake,
}

impl Mailbox {
    /// An empty mailbox; `wake` is called when it stops being empty.
    pub fn new(wake: Wake) -> Self {
        Self { mail: Mutex::default(), interest: AtomicU32::new(0), wake }
    }

    /// Takes everything: a JSON array.
    pub fn take(&self) -> String {
        let mut mail = std::mem::take(&mut *self.mail());
        if mail.is_empty() {
            return "[]".into();
        }
        mail.push(b']');
        // Every piece was valid UTF-8 already; if not, a mark in a text beats losing the rest.
        String::from_utf8(mail).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// What the face listens to.
    pub fn set_interest(&self, bits: u32) {
        self.interest.store(bits, Ordering::Relaxed);
    }

    fn mail(&self) -> MutexGuard<'_, Vec<u8>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts one notice, written by `write`.
    fn post(&self, courtesy: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let mut mail = self.mail();
        if courtesy && mail.len() > COURTESY_BYTES {
            return;
        }
        let was_empty = mail.is_empty();
        mail.push(if was_empty { b'[' } else { b',' });
        write(&mut mail);
        drop(mail);
        if was_empty {
            // A full queue means that a call is on its way; a closing one, that nobody is there to read.
            self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
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
        self.post(false, |mail| append(mail, &notice));
    }

    /// Posts a line for the logger.
    pub fn post_log(&self, line: &Value) {
        self.post(true, |mail| append(mail, line));
    }

    fn post_exchange(
        &self,
        name: &str,
        url: &str,
        status: Option<u16>,
        headers: &[(String, String)],
        body: &[u8],
    ) {
        let headers: Value = headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let notice = json!({
            "type": name,
            "url": url,
            "status": status,
            "headers": headers,
            "body": String::from_utf8_lossy(body),
        });
        self.post(true, |mail| append(mail, &notice));
    }

    fn post_delivered(&self, attempts: u32, events: &[Delivered]) {
        self.post(false, |mail| {
            mail.extend_from_slice(
                format!(r#"{{"type":"delivered","attempts":{attempts},"events":["#).as_bytes(),
            );
            for (index, event) in events.iter().enumerate() {
                append_event(mail, index, event.sequence, event.bytes.as_deref().unwrap_or(b"null"));
            }
            mail.extend_from_slice(b"]}");
        });
    }

    fn post_dropped(&self, cause: &Cause, events: &[DeadLetter]) {
        let courtesy = events.iter().all(|event| !event.tracked);
        self.post(courtesy, |mail| {
            mail.extend_from_slice(br#"{"type":"dropped","cause":"#);
            let cause = json!({
                "code": cause.reason.kind().code(),
                "reason": cause.reason.name(),
                "status": cause.status,
                "attempts": cause.attempts,
                "message": cause.message(),
            });
            append(mail, &cause);
            mail.extend_from_slice(br#","events":["#);
            for (index, event) in events.iter().enumerate() {
                append_event(mail, index, event.sequence, &event.bytes);
            }
            mail.extend_from_slice(b"]}");
        });
    }

    fn post_kept(&self, events: &[DeadLetter]) {
        self.post(false, |mail| {
            mail.extend_from_slice(br#"{"type":"kept","events":["#);
            for (index, event) in events.iter().enumerate() {
                append_event(mail, index, event.sequence, &event.bytes);
            }
            mail.extend_from_slice(b"]}");
        });
    }

    fn post_flushed(&self, id: u32, report: &Report) {
        self.post(false, |mail| {
            let stats = serde_json::to_string(&report.stats).unwrap_or_default();
            let duration = report.duration.as_secs_f64() * 1_000.0;
            let head = format!(
                r#"{{"type":"flushed","id":{id},"durationMs":{duration:.3},"stats":{stats},"unflushed":["#
            );
            mail.extend_from_slice(head.as_bytes());
            for (index, event) in report.unflushed.iter().enumerate() {
                if index > 0 {
                    mail.push(b',');
                }
                mail.extend_from_slice(event);
            }
            mail.extend_from_slice(b"]}");
        });
    }
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
        }
    }

    fn notify(&self, notice: Notice) {
        match notice {
            Notice::Delivered { attempts, events } => self.post_delivered(attempts, &events),
            Notice::Dropped { cause, events } => self.post_dropped(&cause, &events),
            Notice::Request { url, headers, body } => {
                self.post_exchange("request", &url, None, &headers, &body);
            }
            Notice::Response { url, status, headers, body } => {
                self.post_exchange("response", &url, Some(status), &headers, &body);
            }
            Notice::Kept { events } => self.post_kept(&events),
            Notice::Persisted { persisted, up_to } => {
                let notice = json!({ "type": "persisted", "persisted": persisted, "upTo": up_to });
                self.post(false, |mail| append(mail, &notice));
            }
            Notice::Trouble { error, status } => {
                let notice = json!({
                    "type": "trouble",
                    "code": error.kind().code(),
                    "message": error.to_string(),
                    "status": status,
                });
                self.post(true, |mail| append(mail, &notice));
            }
            Notice::Drained => self.post(true, |mail| append(mail, &json!({ "type": "drained" }))),
            Notice::Flushed { id, report } => self.post_flushed(id, &report),
        }
    }
}
