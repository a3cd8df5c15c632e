//! Connections to one server in one way. All clients of the process with equal settings share them, and they are gone with
//! the last of those clients.
#![allow(
    clippy::disallowed_methods,
    reason = "no client owns these tasks: that of a connection ends with it, the sweeper with its pool"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, Uri};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::connector::{BoxError, Connector};
use crate::delivery::clock::Clock;
use crate::error::Error;

/// An idle connection is closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// No request begins on a connection that is older: a name may have moved to another address. Five minutes are promised.
const MAX_AGE: Duration = Duration::from_secs(4 * 60);
/// So many requests are under way at once, of all clients; the others wait without that counting as an attempt. A process
/// with thousands of clients needs its descriptors for other things.
const MAX_REQUESTS: usize = 64;
/// So many idle connections are kept, or as many as the client with the most requests at once may need.
const MAX_IDLE: usize = 16;
/// Those beyond are kept for this long only: a burst comes in waves.
const SURPLUS_TIMEOUT: Duration = Duration::from_secs(1);

/// What makes connections usable for another client. It holds secrets: never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// Scheme, host and port of the server.
    pub origin: String,
    /// URL of the proxy, perhaps with credentials.
    pub proxy: Option<String>,
    /// Further certificate authorities, PEM.
    pub ca: Option<String>,
    /// For connecting, TLS included.
    pub connect_timeout: Duration,
}

static POOLS: Mutex<Option<HashMap<PoolKey, Weak<Pool>>>> = Mutex::new(None);

/// Connections to one server.
pub struct Pool {
    connector: Connector,
    clock: Arc<dyn Clock>,
    slots: Semaphore,
    max_idle: AtomicUsize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is at the end.
    connections: Vec<Connection>,
    /// Closes those that stay idle; there is one as long as there is an idle connection.
    sweeper: Option<AbortHandle>,
}

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    has_answered: Arc<AtomicBool>,
    is_forwarded: bool,
    is_used: bool,
    opened_at: Duration,
    idle_since: Duration,
}

impl Pool {
    /// The pool for these settings: the one that other clients have already, or what `connect` makes.
    ///
    /// # Errors
    /// Those of `connector`.
    pub fn shared(
        key: PoolKey,
        clock: impl FnOnce() -> Arc<dyn Clock>,
        connector: impl FnOnce() -> Result<Connector, Error>,
    ) -> Result<Arc<Self>, Error> {
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        let pools = pools.get_or_insert_default();
        if let Some(pool) = pools.get(&key).and_then(Weak::upgrade) {
            return Ok(pool);
        }
        pools.retain(|_, pool| pool.strong_count() > 0);
        let pool = Arc::new(Self::new(connector()?, clock()));
        pools.insert(key, Arc::downgrade(&pool));
        Ok(pool)
    }

    /// A pool that nobody else has.
    pub fn new(connector: Connector, clock: Arc<dyn Clock>) -> Self {
        Self {
            connector,
            clock,
            slots: Semaphore::new(MAX_REQUESTS),
            max_idle: AtomicUsize::new(MAX_IDLE),
            idle: Mutex::default(),
        }
    }

    /// How its connections are made.
    pub const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// A client has come that may have so many requests under way.
    pub fn serve(&self, requests: usize) {
        self.max_idle.fetch_max(requests, Ordering::Relaxed);
    }

    /// Waits for the turn of a request; `None` never comes.
    pub async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// A connection that was used before, if there is one that can be used again.
    pub fn idle_connection(&self) -> Option<Connection> {
        let now = self.clock.elapsed();
        let mut idle = self.idle();
        while let Some(connection) = idle.connections.pop() {
            if connection.sender.is_ready() && connection.is_fresh(now) {
                return Some(connection);
            }
        }
        None
    }

    /// A new connection.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn open(&self, uri: Uri) -> Result<Connection, BoxError> {
        let opened_at = self.clock.elapsed();
        let stream = self.connector.connect(uri).await?;
        let (has_answered, is_forwarded) = (stream.has_answered(), stream.is_forwarded());
        let (sender, connection) = http1::handshake(stream).await?;
        // It ends with its sender; what it fails with, the request on it is told.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Connection {
            sender,
            has_answered,
            is_forwarded,
            is_used: false,
            opened_at,
            idle_since: opened_at,
        })
    }

    /// Takes a connection back whose last answer has been read.
    pub async fn give_back(self: &Arc<Self>, mut connection: Connection) {
        connection.is_used = true;
        // The task of the connection looks up from the answer; the next request should find the connection here.
        tokio::task::yield_now().await;
        if connection.sender.is_ready() {
            return self.keep(connection);
        }
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            let ready = timeout(IDLE_TIMEOUT, connection.sender.ready()).await;
            if let (Ok(Ok(())), Some(pool)) = (ready, pool.upgrade()) {
                pool.keep(connection);
            }
        });
    }

    /// Lets go of idle connections.
    pub fn clear(&self) {
        self.idle().connections.clear();
    }

    fn keep(self: &Arc<Self>, mut connection: Connection) {
        connection.idle_since = self.clock.elapsed();
        if !connection.is_fresh(connection.idle_since) {
            return;
        }
        let mut idle = self.idle();
        idle.connections.push(connection);
        // One that has become one too many is closed earlier than the sweeper would look.
        let is_surplus = idle.connections.len() == self.max_idle.load(Ordering::Relaxed) + 1;
        if is_surplus || idle.sweeper.is_none() {
            let sweeper = tokio::spawn(sweep(Arc::downgrade(self), Arc::clone(&self.clock))).abort_handle();
            if let Some(other) = idle.sweeper.replace(sweeper) {
                other.abort();
            }
        }
    }

    /// Closes what is idle for too long; returns when to look again, if there is something left.
    fn sweep(&self) -> Option<Duration> {
        let now = self.clock.elapsed();
        let mut idle = self.idle();
        idle.connections.retain(|connection| !connection.sender.is_closed() && connection.is_fresh(now));
        // The ones that were used least lately come first.
        let surplus = idle.connections.len().saturating_sub(self.max_idle.load(Ordering::Relaxed));
        let is_over = |connection: &Connection| now.saturating_sub(connection.idle_since) >= SURPLUS_TIMEOUT;
        let over = idle.connections.iter().take(surplus).take_while(|connection| is_over(connection)).count();
        drop(idle.connections.drain(..over));
        let Some(oldest) = idle.connections.first() else {
            idle.sweeper = None;
            return None;
        };
        let timeout = if over < surplus { SURPLUS_TIMEOUT } else { IDLE_TIMEOUT };
        Some((oldest.idle_since + timeout).saturating_sub(now))
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(sweeper) = self.idle().sweeper.take() {
            sweeper.abort();
        }
    }
}

/// Closes connections that stay idle, until there are none.
async fn sweep(pool: Weak<Pool>, clock: Arc<dyn Clock>) {
    loop {
        let Some(next) = pool.upgrade().and_then(|pool| pool.sweep()) else { return };
        clock.sleep(next).await;
    }
}

impl Connection {
    /// Whether a request may begin on it.
    fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.opened_at) < MAX_AGE && now.saturating_sub(self.idle_since) < IDLE_TIMEOUT
    }

    /// Whether requests on it name the server in full.
    pub const fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.has_answered.store(false, Ordering::Relaxed);
        self.sender.send_request(request).await
    }

    /// Whether the other side may have closed it before it saw the request: it was used before, and nothing has come.
    pub fn may_have_been_closed(&self) -> bool {
        self.is_used && !self.has_answered.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}
