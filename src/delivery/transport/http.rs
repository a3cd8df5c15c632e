//! The engine's own HTTP: HTTP/1.1 over rustls, connections kept alive, redirects not followed.
//!
//! Trust is Mozilla's root store, as in Node, plus the `ca` option; the machine's store is not asked, so a
//! container without certificates works.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes};
use hyper::header::{ACCEPT, HeaderValue, PROXY_AUTHORIZATION};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use super::connector::{Connector, ProxyRoute};
use super::{Answer, Failure, MAX_RESPONSE_BYTES, Request, Response, Transport};
use crate::config::Config;
use crate::error::{Error, ErrorKind};

const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

type Pool = Client<Connector, Full<Bytes>>;

/// A connection pool of one client.
#[derive(Debug)]
pub struct HttpTransport {
    pool: RwLock<Pool>,
    connector: Connector,
    attempt_timeout: Duration,
    max_idle: usize,
}

impl HttpTransport {
    /// A transport for this configuration; it connects on first use.
    ///
    /// # Errors
    /// `ERR_OPTION_INVALID` for a `proxy` or `ca` that can't be used.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let proxy = config.proxy.as_ref().map(|proxy| ProxyRoute::through(proxy.expose())).transpose()?;
        let connector = Connector::new(&tls(config.ca.as_deref())?, proxy, config.connect_timeout);
        let max_idle = config.max_concurrent_requests;
        let pool = RwLock::new(pool(&connector, max_idle));
        Ok(Self { pool, connector, attempt_timeout: config.request_timeout, max_idle })
    }

    fn pool(&self) -> Pool {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange(&self, request: Request) -> Result<Response, Failure> {
        let keeps_body = request.keeps_body;
        let request = self.request(request).map_err(|_| Failure::Network)?;
        let answer = self.pool().request(request).await.map_err(|error| failure(&error))?;
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut response = Response { status: answer.status().as_u16(), headers, body: Vec::new() };
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
        // The connection's task puts it back into the pool; the next request should find it there.
        tokio::task::yield_now().await;
        Ok(response)
    }

    fn request(&self, request: Request) -> http::Result<hyper::Request<Full<Bytes>>> {
        let mut builder =
            hyper::Request::post(request.endpoint.as_str()).header(ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        // A proxy that passes plain http on reads it from the request; for https it is asked before that.
        if request.endpoint.scheme() == "http"
            && let Some(credentials) = self.connector.proxy_credentials()
        {
            builder = builder.header(PROXY_AUTHORIZATION, credentials);
        }
        builder.body(Full::new(request.body))
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            timeout(self.attempt_timeout, self.exchange(request)).await.unwrap_or(Err(Failure::Timeout))
        })
    }

    fn compresses(&self) -> bool {
        true
    }

    fn reconnect(&self) {
        // Requests under way keep the old pool until they are answered.
        let fresh = pool(&self.connector, self.max_idle);
        *self.pool.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

fn pool(connector: &Connector, max_idle: usize) -> Pool {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(max_idle)
        .build(connector.clone())
}

fn failure(error: &(dyn StdError + 'static)) -> Failure {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let is_timeout = |error: &(dyn StdError + 'static)| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    };
    if causes.any(is_timeout) { Failure::Timeout } else { Failure::Network }
}

fn tls(ca: Option<&str>) -> Result<ClientConfig, Error> {
    let unusable = || Error::option("ca", "one or more valid PEM certificates");
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(ca) = ca {
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::new(ErrorKind::OptionInvalid, "TLS could not be set up on this machine."))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
