//! Connections: straight to the server or through a proxy, with TLS or without, each within one timeout.

use std::error::Error as StdError;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::ClientConfig;
use tokio::time::timeout;
use tower_service::Service;
use url::Url;

use crate::error::Error;

/// A connection that nobody answers on is noticed after about a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_RETRIES: u32 = 3;

type Direct = HttpsConnector<HttpConnector>;
type Tunneled = HttpsConnector<Tunnel<Direct>>;
/// Why there is no connection.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A proxy and what it is told about us.
#[derive(Clone, Debug)]
pub struct ProxyRoute {
    uri: Uri,
    credentials: Option<HeaderValue>,
}

impl ProxyRoute {
    /// Everything goes through this proxy. Credentials in the URL are sent as Basic authentication.
    ///
    /// # Errors
    /// `ERR_OPTION_INVALID` when that is no URL of an HTTP proxy.
    pub fn through(proxy: &Url) -> Result<Self, Error> {
        let any = Uri::from_static("https://segment.invalid");
        let route = Matcher::builder()
            .all(proxy.as_str())
            .build()
            .intercept(&any)
            .ok_or_else(|| Error::option("proxy", "a URL of an HTTP proxy"))?;
        let credentials = route.basic_auth().cloned().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Ok(Self { uri: route.uri().clone(), credentials })
    }
}

/// Makes the connections of one pool.
#[derive(Clone, Debug)]
pub struct Connector {
    direct: Direct,
    proxied: Option<(ProxyRoute, Tunneled)>,
    timeout: Duration,
}

impl Connector {
    /// A connector that takes `timeout` at most for a connection, TLS and proxy included.
    #[must_use]
    pub fn new(tls: &ClientConfig, proxy: Option<ProxyRoute>, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(KEEP_ALIVE));
        tcp.set_keepalive_retries(Some(KEEP_ALIVE_RETRIES));
        let over_tls =
            || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let direct = over_tls().wrap_connector(tcp);
        let proxied = proxy.map(|route| {
            let mut tunnel = Tunnel::new(route.uri.clone(), direct.clone());
            if let Some(credentials) = &route.credentials {
                tunnel = tunnel.with_auth(credentials.clone());
            }
            (route, over_tls().wrap_connector(tunnel))
        });
        Self { direct, proxied, timeout }
    }

    /// What a proxy has to be told with each request of plain http.
    #[must_use]
    pub fn proxy_credentials(&self) -> Option<HeaderValue> {
        self.proxied.as_ref().and_then(|(route, _)| route.credentials.clone())
    }

    /// Opens a connection for requests to `uri`.
    ///
    /// # Errors
    /// What DNS, the machine, TLS or the proxy say; [`io::ErrorKind::TimedOut`] when it takes too long.
    pub async fn connect(&self, uri: Uri) -> Result<Stream, BoxError> {
        timeout(self.timeout, self.clone().open(uri))
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    async fn open(mut self, uri: Uri) -> Result<Stream, BoxError> {
        let is_https = uri.scheme_str() == Some("https");
        match &mut self.proxied {
            None => Ok(Stream::new(self.direct.call(uri).await?, false)),
            // The proxy passes plain http on itself.
            Some((route, _)) if !is_https => {
                Ok(Stream::new(self.direct.call(route.uri.clone()).await?, true))
            }
            Some((_, tunneled)) => Ok(Stream::new(tunneled.call(uri).await?, false)),
        }
    }
}

trait ReadWrite: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> ReadWrite for T {}

/// An open connection.
pub struct Stream {
    io: Box<dyn ReadWrite>,
    is_forwarded: bool,
    has_answered: Arc<AtomicBool>,
}

impl Stream {
    fn new(io: impl ReadWrite + 'static, is_forwarded: bool) -> Self {
        Self { io: Box::new(io), is_forwarded, has_answered: Arc::default() }
    }

    /// Whether it ends at a proxy that passes requests on: they name the server in full.
    pub const fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }

    /// Becomes true with every byte that comes, those of TLS itself left out.
    pub fn has_answered(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_answered)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // What a cursor has taken can't be asked afterwards, so the little that comes is copied.
        let mut chunk = [MaybeUninit::uninit(); 4_096];
        let room = buffer.remaining().min(chunk.len());
        let mut chunk = ReadBuf::uninit(chunk.get_mut(..room).unwrap_or_default());
        let result = Pin::new(&mut self.io).poll_read(context, chunk.unfilled());
        if !chunk.filled().is_empty() {
            self.has_answered.store(true, Ordering::Relaxed);
            buffer.put_slice(chunk.filled());
        }
        result
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }
}
