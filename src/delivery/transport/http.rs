//! The engine's own HTTP: HTTP/1.1 over rustls, connections kept alive, redirects not followed.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Uri;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{ACCEPT, HOST, HeaderValue, PROXY_AUTHORIZATION};
use tokio::time::timeout;
use url::{Position, Url};

use super::connector::{Connector, ProxyRoute};
use super::pool::{Connection, Pool, PoolKey};
use super::{Answer, Failure, MAX_RESPONSE_BYTES, Request, Response, Transport, tls};
use crate::config::{Config, Secret};
use crate::delivery::clock::system::SystemClock;
use crate::error::Error;

/// The way of one client to one server.
#[derive(Debug)]
pub struct HttpTransport {
    pool: Arc<Pool>,
    attempt_timeout: Duration,
}

impl HttpTransport {
    /// The way to Segment; it connects on first use.
    ///
    /// # Errors
    /// `ERR_OPTION_INVALID` for a `proxy` or `ca` that can't be used.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::to(&config.endpoint, config.proxy.as_ref(), config)
    }

    /// The way to the authorization server, with OAuth; otherwise that to Segment.
    ///
    /// # Errors
    /// Those of [`HttpTransport::new`].
    pub fn for_tokens(config: &Config) -> Result<Self, Error> {
        match &config.oauth {
            Some(oauth) => Self::to(&oauth.endpoint, oauth.proxy.as_ref(), config),
            None => Self::new(config),
        }
    }

    /// The way to Segment by a clock of the caller's, with connections of its own.
    ///
    /// # Errors
    /// Those of [`HttpTransport::new`].
    #[cfg(feature = "testing")]
    pub fn with_clock(config: &Config, clock: Arc<dyn crate::delivery::clock::Clock>) -> Result<Self, Error> {
        let pool = Pool::new(connector(config.proxy.as_ref(), config)?, clock);
        Ok(Self { pool: Arc::new(pool), attempt_timeout: config.request_timeout })
    }

    fn to(endpoint: &Url, proxy: Option<&Secret<Url>>, config: &Config) -> Result<Self, Error> {
        let key = PoolKey {
            origin: endpoint[..Position::BeforePath].to_owned(),
            proxy: proxy.map(|proxy| proxy.expose().as_str().to_owned()),
            ca: config.ca.clone(),
            connect_timeout: config.connect_timeout,
        };
        let pool = Pool::shared(key, || Arc::new(SystemClock::default()), || connector(proxy, config))?;
        pool.serve(config.max_concurrent_requests);
        Ok(Self { pool, attempt_timeout: config.request_timeout })
    }

    async fn exchange(&self, request: Request) -> Result<Response, Failure> {
        let keeps_body = request.keeps_body;
        let (connection, answer) = self.send_on_connection(&request).await?;
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let status_text = answer
            .extensions()
            .get::<ReasonPhrase>()
            .map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
        let mut response =
            Response { status: answer.status().as_u16(), status_text, headers, body: Vec::new() };
        // The body is read to its end so that the connection can be used again, but never beyond the cap.
        let mut body = answer.into_body();
        let mut received = 0;
        while !body.is_end_stream()
            && let Some(frame) = body.frame().await
        {
            // Trailers are of no use to anybody.
            let Ok(chunk) = frame.map_err(|error| failure(&error))?.into_data() else { continue };
            received += chunk.len();
            if received > MAX_RESPONSE_BYTES {
                return Ok(response);
            }
            if keeps_body {
                response.body.extend_from_slice(&chunk);
            }
        }
        self.pool.give_back(connection).await;
        Ok(response)
    }

    /// Sends on a connection that was used before, if there is one. Servers close idle connections, and may do so while a
    /// request is on its way: one that they have not answered with a single byte is sent again at once on a new connection,
    /// and nobody need know.
    async fn send_on_connection(
        &self,
        request: &Request,
    ) -> Result<(Connection, hyper::Response<Incoming>), Failure> {
        let uri: Uri = request.endpoint.as_str().parse().map_err(|_| Failure::Network)?;
        if let Some(mut connection) = self.pool.idle_connection() {
            match connection.send(self.head_and_body(request, &uri, connection.is_forwarded())?).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(error) if !connection.may_have_been_closed() => return Err(failure(&error)),
                Err(_) => {}
            }
        }
        let mut connection = self.pool.open(uri.clone()).await.map_err(|error| failure(&*error))?;
        let answer = connection.send(self.head_and_body(request, &uri, connection.is_forwarded())?).await;
        Ok((connection, answer.map_err(|error| failure(&error))?))
    }

    fn head_and_body(
        &self,
        request: &Request,
        uri: &Uri,
        is_forwarded: bool,
    ) -> Result<hyper::Request<Full<Bytes>>, Failure> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let host = &request.endpoint[Position::BeforeHost..Position::AfterPort];
        let mut builder =
            if is_forwarded { hyper::Request::post(uri.clone()) } else { hyper::Request::post(path) };
        builder = builder.header(HOST, host).header(ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        // A proxy that passes plain http on reads it from the request; for https it is asked before that.
        if is_forwarded && let Some(credentials) = self.pool.connector().proxy_credentials() {
            builder = builder.header(PROXY_AUTHORIZATION, credentials);
        }
        builder.body(Full::new(request.body.clone())).map_err(|_| Failure::Network)
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            // Not yet an attempt: its time begins with its turn.
            let _slot = self.pool.slot().await;
            timeout(self.attempt_timeout, self.exchange(request)).await.unwrap_or(Err(Failure::Timeout))
        })
    }

    fn compresses(&self) -> bool {
        true
    }

    fn reconnect(&self) {
        // Requests under way keep theirs until they are answered.
        self.pool.clear();
    }
}

fn connector(proxy: Option<&Secret<Url>>, config: &Config) -> Result<Connector, Error> {
    let proxy = proxy.map(|proxy| ProxyRoute::through(proxy.expose())).transpose()?;
    Ok(Connector::new(&tls::client_config(config.ca.as_deref())?, proxy, config.connect_timeout))
}

fn failure(error: &(dyn StdError + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(reason) = error.downcast_ref().and_then(tls::distrust) {
            return Failure::Certificate(reason);
        }
        cause = match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::TimedOut => return Failure::Timeout,
            // What an I/O error was made of is not among its causes.
            Some(error) => error.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    Failure::Network
}
