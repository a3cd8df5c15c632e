//! One opaque error for the whole engine: a kind with a stable code, and a text that says what to do.
//!
//! Texts never hold a write key, a header, a body or anything a customer sent: they end in logs.

use std::fmt;

/// What went wrong in here; JavaScript has kinds of its own for events it refuses. The codes are part of the public API and
/// never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No write key, or a blank one.
    WriteKeyMissing,
    /// An option is unknown, of the wrong type or out of bounds.
    OptionInvalid,
    /// The queue holds `maxQueueBytes` already.
    QueueFull,
    /// The client was closed.
    Closed,
    /// Segment refused the event (4xx, 501, 505).
    Rejected,
    /// Segment refused the write key (401, 403).
    Unauthorized,
    /// Segment asked for a pause (429) for longer than the client may wait.
    RateLimited,
    /// Segment failed (5xx, 408, 410, 460).
    Server,
    /// DNS, connect, TLS or a broken connection.
    Network,
    /// No complete answer within `httpRequestTimeout`.
    Timeout,
    /// A 3xx answer: never success and never followed.
    Redirect,
    /// The event waited for longer than `maxEventAge`.
    Expired,
    /// The disk failed the spool.
    Spool,
    /// The machine refused a thread or a socket.
    Resources,
    /// The engine itself failed.
    Internal,
}

impl ErrorKind {
    /// The stable code JavaScript sees as `error.code`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WriteKeyMissing => "ERR_WRITE_KEY_MISSING",
            Self::OptionInvalid => "ERR_OPTION_INVALID",
            Self::QueueFull => "ERR_QUEUE_FULL",
            Self::Closed => "ERR_CLOSED",
            Self::Rejected => "ERR_REJECTED",
            Self::Unauthorized => "ERR_UNAUTHORIZED",
            Self::RateLimited => "ERR_RATE_LIMITED",
            Self::Server => "ERR_SERVER",
            Self::Network => "ERR_NETWORK",
            Self::Timeout => "ERR_TIMEOUT",
            Self::Redirect => "ERR_REDIRECT",
            Self::Expired => "ERR_EXPIRED",
            Self::Spool => "ERR_SPOOL",
            Self::Resources => "ERR_RESOURCES",
            Self::Internal => "ERR_INTERNAL",
        }
    }
}

/// An error of the engine. Match on [`Error::kind`]; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    field: Option<&'static str>,
    limit: Option<String>,
}

impl Error {
    /// An error of this kind with a text that says what happened and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), field: None, limit: None }
    }

    /// An option that can't be used: which one, and what it may be.
    pub fn option(field: &'static str, limit: impl Into<String>) -> Self {
        let limit = limit.into();
        Self {
            kind: ErrorKind::OptionInvalid,
            message: format!("The option {field} must be {limit}."),
            field: Some(field),
            limit: Some(limit),
        }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The option or event field at fault.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// What the field may be, with its unit.
    #[must_use]
    pub fn limit(&self) -> Option<&str> {
        self.limit.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
