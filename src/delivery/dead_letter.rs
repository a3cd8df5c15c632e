//! What is said of an event that was given up: to its caller, to `error` listeners, to the log.

use bytes::Bytes;

use crate::queue::Entry;
use crate::stats::DropReason;

/// An accepted event that will not be delivered.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Its place in the order of acceptance.
    pub sequence: u64,
    /// Somebody waits for this event's own fate.
    pub tracked: bool,
    /// The sealed JSON.
    pub bytes: Bytes,
}

impl From<&Entry> for DeadLetter {
    fn from(entry: &Entry) -> Self {
        Self { sequence: entry.sequence, tracked: entry.tracking.is_on(), bytes: entry.bytes.clone() }
    }
}

/// Why events were given up, once for all that shared the fate.
#[derive(Clone, Debug)]
pub struct Cause {
    /// The reason they are counted under.
    pub reason: DropReason,
    /// The HTTP status, where an answer ended them.
    pub status: Option<u16>,
    /// Requests that carried them.
    pub attempts: u32,
    /// It was not Segment but the authorization server that ended them.
    pub at_authorization: bool,
}

impl Cause {
    /// Why Segment, or nobody at all, ended events.
    #[must_use]
    pub fn new(reason: DropReason, status: Option<u16>, attempts: u32) -> Self {
        Self { reason, status, attempts, at_authorization: false }
    }

    /// What happened and what to do. The texts start as the troubleshooting guide
    /// lists them ("Error Messages Reference").
    #[must_use]
    pub fn message(&self) -> String {
        let status = self.status.map(status_line);
        let answer = status.as_deref().unwrap_or("No answer");
        let attempts = if self.attempts == 1 { "attempt" } else { "attempts" };
        let after = format!("given up after {} {attempts}", self.attempts);
        if self.at_authorization {
            return self.message_of_authorization(answer);
        }
        match self.reason {
            DropReason::Rejected => format!("{answer}: Segment refused this event. Check its shape and size, and that host and path are Segment's."),
            DropReason::Unauthorized => format!("{answer}: Segment refused the write key. Check the write key and the region of the source."),
            DropReason::RateLimited => format!("{answer}: rate limited for too long, {after}. Send fewer events or raise maxRateLimitDuration."),
            DropReason::Server => format!("{answer}: {after}. Check Segment's status page; raise maxRetries or maxEventAge to wait for longer."),
            DropReason::Redirect => format!("{answer}: redirects are never followed, {after}. Check host, path and any proxy on the way."),
            DropReason::Network => format!("Connection failed: {after}. Check DNS, firewall, proxy and TLS certificates."),
            DropReason::Timeout => format!("Network timeout: {after}. Check connectivity or raise httpRequestTimeout."),
            DropReason::QueueFull => "The queue was full and overflow is 'drop-oldest'. Raise maxQueueBytes or track less.".into(),
            DropReason::Expired => format!("Older than maxEventAge, {after}."),
            DropReason::SpoolDamaged => "The disk lost this event. Check the disk, and who may write to the spool directory.".into(),
            DropReason::Unflushed => "The client was closed before this event could be delivered. Give closeAndFlush() a longer timeout.".into(),
        }
    }
}

impl Cause {
    /// There was no token to send them with.
    fn message_of_authorization(&self, answer: &str) -> String {
        let (what, cure) = match self.reason {
            DropReason::Unauthorized => (
                "the authorization server refused the OAuth client",
                "Check clientId, keyId, clientKey and authServer.",
            ),
            DropReason::RateLimited => (
                "the authorization server asked for pauses for too long",
                "Use fewer clients, or raise maxRateLimitDuration.",
            ),
            DropReason::Network => (
                "there is no way to the authorization server",
                "Check authServer, DNS, firewall, proxy and TLS certificates.",
            ),
            DropReason::Timeout => (
                "the authorization server did not answer in time",
                "Check connectivity and authServer, or raise httpRequestTimeout.",
            ),
            DropReason::Redirect => (
                "the authorization server redirects, and redirects are never followed",
                "Check authServer and any proxy on the way.",
            ),
            _ => (
                "the authorization server gave no token for too long",
                "Check authServer; raise maxRetries or maxEventAge to wait for longer.",
            ),
        };
        format!("{answer}: {what}. {cure}")
    }
}

/// `400 Bad Request`
#[must_use]
pub fn status_line(status: u16) -> String {
    let name = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    name.map_or_else(|| status.to_string(), |name| format!("{status} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_start_as_the_troubleshooting_guide_says() {
        let text = |reason, status| Cause::new(reason, status, 3).message();
        for (reason, status, start) in [
            (DropReason::Rejected, Some(400), "400 Bad Request"),
            (DropReason::Unauthorized, Some(401), "401 Unauthorized"),
            (DropReason::Server, Some(500), "500 Internal Server Error"),
            (DropReason::Network, None, "Connection failed"),
            (DropReason::Timeout, None, "Network timeout"),
        ] {
            assert!(text(reason, status).starts_with(start), "{}", text(reason, status));
        }
        let cause = Cause::new(DropReason::Unauthorized, Some(400), 0);
        let text_of_server = Cause { at_authorization: true, ..cause }.message();
        assert!(text_of_server.starts_with("400 Bad Request: the authorization server"), "{text_of_server}");
        for reason in [DropReason::Server, DropReason::Redirect, DropReason::Network, DropReason::Timeout] {
            let text = Cause { at_authorization: true, ..Cause::new(reason, None, 0) }.message();
            assert!(text.contains("the authorization server") && text.contains("authServer"), "{text}");
            assert!(!text.contains("Segment"), "{text}");
        }
        assert!(text(DropReason::Server, Some(599)).starts_with("599: given up after 3 attempts"));
    }
}
