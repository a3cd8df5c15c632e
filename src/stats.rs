//! Counters, by reason. One identity holds at every instant:
//! `accepted = delivered + dropped + spooled + pending`, with `pending` counted on its own.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::ErrorKind;

/// Why `track()` returned `false`: the event was never accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Over [`crate::event::MAX_EVENT_BYTES`].
    TooLarge,
    /// Nested beyond [`crate::event::MAX_DEPTH`].
    TooDeep,
    /// Not an object. The face never sends such text.
    Malformed,
    /// The queue is full and `overflow` is `drop-newest`.
    QueueFull,
    /// The client was closed.
    Closed,
    /// The face could not write the event as JSON.
    NotSerializable,
    /// The face found the event's shape wrong.
    Invalid,
    /// A plugin of the application ended the event, or `integrations` excluded Segment.
    Cancelled,
}

impl Refusal {
    /// All reasons, in the order of their numbers at the border.
    pub const ALL: [Self; 8] = [
        Self::TooLarge,
        Self::TooDeep,
        Self::Malformed,
        Self::QueueFull,
        Self::Closed,
        Self::NotSerializable,
        Self::Invalid,
        Self::Cancelled,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "event_too_large",
            Self::TooDeep | Self::NotSerializable => "not_serializable",
            Self::Malformed | Self::Invalid => "invalid",
            Self::QueueFull => "queue_full",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why an accepted event was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Segment refused it.
    Rejected,
    /// Segment refused the write key.
    Unauthorized,
    /// The rate limit lasted for longer than `maxRateLimitDuration`.
    RateLimited,
    /// Its last attempt met a 5xx, 408, 410 or 460.
    Server,
    /// Its last attempt met a DNS, connect, TLS or connection error.
    Network,
    /// Its last attempt got no complete answer in time.
    Timeout,
    /// Its last attempt met a 3xx.
    Redirect,
    /// `overflow: 'drop-oldest'` made room.
    QueueFull,
    /// Older than `maxEventAge`.
    Expired,
    /// The disk lost it: a damaged record, or a file that somebody removed.
    SpoolDamaged,
    /// Handed back in `unflushed` by `closeAndFlush()`, or left when the process ended.
    Unflushed,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Rejected,
        Self::Unauthorized,
        Self::RateLimited,
        Self::Server,
        Self::Network,
        Self::Timeout,
        Self::Redirect,
        Self::QueueFull,
        Self::Expired,
        Self::SpoolDamaged,
        Self::Unflushed,
    ];

    /// The key in `dropped`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::QueueFull => "queue_full",
            Self::Expired => "expired",
            Self::SpoolDamaged => "spool_damaged",
            Self::Unflushed => "unflushed",
        }
    }

    /// Whether Segment, or the lack of an answer from it, ended the event: what people will want to look into.
    #[must_use]
    pub const fn is_final_answer(self) -> bool {
        !matches!(self, Self::QueueFull | Self::Expired | Self::SpoolDamaged | Self::Unflushed)
    }

    /// The kind of the error a caller gets.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::Rejected => ErrorKind::Rejected,
            Self::Unauthorized => ErrorKind::Unauthorized,
            Self::RateLimited => ErrorKind::RateLimited,
            Self::Server => ErrorKind::Server,
            Self::Network => ErrorKind::Network,
            Self::Timeout => ErrorKind::Timeout,
            Self::Redirect => ErrorKind::Redirect,
            Self::QueueFull => ErrorKind::QueueFull,
            Self::Expired => ErrorKind::Expired,
            Self::SpoolDamaged => ErrorKind::Spool,
            Self::Unflushed => ErrorKind::Closed,
        }
    }
}

/// Whether accepted events are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpoolState {
    /// There is no spool.
    #[default]
    Off,
    /// They are.
    Ready,
    /// The disk fails: events are in memory only, until it is back.
    Degraded,
}

/// What a client has counted since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Calls that returned `true`, and events recovered from ended processes.
    pub accepted: u64,
    /// Events Segment answered with a 2xx.
    pub delivered: u64,
    /// Accepted events that were given up, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Events that are on disk only: they wait for room in memory, or for the next process.
    pub spooled: u64,
    /// The share of `accepted` that was found in the spool of ended processes.
    pub recovered: u64,
    /// Accepted events whose fate is open: waiting or in flight.
    pub pending: u64,
    /// Calls that returned `false` or threw, and events that ended with a plugin, by reason. Not part of
    /// `accepted`.
    pub refused: BTreeMap<&'static str, u64>,
    /// Requests sent, repeats included.
    pub requests: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Bytes of JSON sent.
    pub bytes_raw: u64,
    /// Bytes of request bodies sent, compressed where compression is on.
    pub bytes_sent: u64,
    /// Attempts since the last 2xx that failed.
    pub consecutive_failures: u64,
    /// Requests in flight, pauses between attempts included.
    pub in_flight: u64,
    /// Bytes that waiting and in-flight events hold.
    pub queue_bytes: u64,
    /// Whether events are written to disk before they are accepted.
    pub spool: SpoolState,
    /// Bytes on disk.
    pub spool_bytes: u64,
    /// Segments of ended processes found and not yet taken over; `null` before the first look.
    pub orphans: Option<usize>,
    /// Segments on disk that none of the given keys can read.
    pub locked: usize,
    /// Milliseconds since the last 2xx; `null` before the first.
    pub last_success_age_ms: Option<u64>,
    /// Age in milliseconds of the oldest pending event; `null` when none is pending.
    pub oldest_pending_age_ms: Option<u64>,
}

impl Stats {
    /// Counts accepted events that were given up.
    pub fn count_dropped(&mut self, reason: DropReason, events: u64) {
        if events > 0 {
            *self.dropped.entry(reason.name()).or_default() += events;
        }
    }

    /// Counts calls that were not accepted.
    pub fn count_refused(&mut self, reason: Refusal, calls: u64) {
        if calls > 0 {
            *self.refused.entry(reason.name()).or_default() += calls;
        }
    }

    /// Whether the conservation identity holds.
    #[must_use]
    #[cfg(any(test, feature = "testing"))]
    pub fn balanced(&self) -> bool {
        self.accepted == self.delivered + self.dropped.values().sum::<u64>() + self.spooled + self.pending
    }
}
