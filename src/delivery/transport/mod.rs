//! How a request leaves: over HTTP by the engine, or through a callback of the application.

#[cfg(not(target_arch = "wasm32"))]
pub mod callback;
#[cfg(not(target_arch = "wasm32"))]
mod connector;
#[cfg(not(target_arch = "wasm32"))]
pub mod http;
#[cfg(not(target_arch = "wasm32"))]
mod pool;
#[cfg(not(target_arch = "wasm32"))]
pub mod tls;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use url::Url;

/// The most an answer's body may hold; the rest is not read.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// One attempt.
pub struct Request {
    /// Where to.
    pub endpoint: Url,
    /// Names in the case they are sent in. Holds the authorization: never log it.
    pub headers: Vec<(String, String)>,
    /// The body as it goes on the wire.
    pub body: Bytes,
    /// Whether the answer's body is of use.
    pub keeps_body: bool,
}

/// An answer of any status.
#[derive(Clone, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// What the other side says of it; `None`: the usual.
    pub status_text: Option<String>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most [`MAX_RESPONSE_BYTES`]; empty unless the request asked for it. May hold a token: never log it.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

/// No answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// DNS, connect, TLS or a broken connection.
    Network,
    /// The server's certificate is not taken, and why.
    Certificate(&'static str),
    /// Not complete in time.
    Timeout,
}

/// The answer to come.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send + 'a>>;

/// Sends requests. It neither retries nor follows redirects.
pub trait Transport: Send + Sync {
    /// Sends one request and reads the whole answer, within the configured time.
    fn send(&self, request: Request) -> Answer<'_>;
    /// Whether bodies may be compressed on this way.
    fn compresses(&self) -> bool;
    /// Lets go of idle connections, if it keeps any.
    fn reconnect(&self) {}
}

/// The ways out of one client.
pub struct Ways {
    /// To Segment.
    pub batches: Arc<dyn Transport>,
    /// To the authorization server, with OAuth.
    pub tokens: Arc<dyn Transport>,
}

impl From<Arc<dyn Transport>> for Ways {
    fn from(transport: Arc<dyn Transport>) -> Self {
        Self { batches: Arc::clone(&transport), tokens: transport }
    }
}
