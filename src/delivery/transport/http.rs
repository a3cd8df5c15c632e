//! The engine's own HTTP: HTTP/1.1 over rustls, connections kept alive, redirects refused.
//!
//! Trust is Mozilla's root store, as in Node, plus the `ca` option; the machine's store is not asked, so a
//! container without certificates works.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Client, Method, Proxy, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use super::{Answer, Failure, MAX_RESPONSE_BYTES, Request, Response, Transport};
use crate::config::Config;
use crate::error::{Error, ErrorKind};

const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection pool of one client.
#[derive(Debug)]
pub struct HttpTransport {
    client: RwLock<Client>,
    settings: Settings,
}

/// What a pool is made of.
#[derive(Debug)]
struct Settings {
    tls: ClientConfig,
    proxy: Option<Proxy>,
    connect_timeout: Duration,
    attempt_timeout: Duration,
    max_idle: usize,
}

impl HttpTransport {
    /// A transport for this configuration; it connects on first use.
    ///
    /// # Errors
    /// `ERR_OPTION_INVALID` for a `proxy` or `ca` that can't be used.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let proxy = config.proxy.as_ref().map(|proxy| Proxy::all(proxy.expose().as_str())).transpose();
        let settings = Settings {
            tls: tls(config.ca.as_deref())?,
            proxy: proxy.map_err(|_| Error::option("proxy", "a URL of an HTTP proxy"))?,
            connect_timeout: config.connect_timeout,
            attempt_timeout: config.request_timeout,
            max_idle: config.max_concurrent_requests,
        };
        let client = settings.pool().map_err(|_| {
            let text = "The HTTP client could not be set up. Check the options proxy and ca.";
            Error::new(ErrorKind::OptionInvalid, text)
        })?;
        Ok(Self { client: RwLock::new(client), settings })
    }

    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange(&self, request: Request) -> Result<Response, Failure> {
        let mut builder = self.client().request(Method::POST, request.endpoint);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let mut answer = builder.body(request.body).send().await.map_err(|error| failure(&error))?;
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut response = Response { status: answer.status().as_u16(), headers, body: Vec::new() };
        // The body is read to its end so that the connection can be used again, but never beyond the cap.
        let mut received = 0;
        while let Some(chunk) = answer.chunk().await.map_err(|error| failure(&error))? {
            received += chunk.len();
            if received > MAX_RESPONSE_BYTES {
                return Ok(response);
            }
            if request.keeps_body {
                response.body.extend_from_slice(&chunk);
            }
        }
        // The connection's task puts it back into the pool; the next request should find it there.
        tokio::task::yield_now().await;
        Ok(response)
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            timeout(self.settings.attempt_timeout, self.exchange(request))
                .await
                .unwrap_or(Err(Failure::Timeout))
        })
    }

    fn compresses(&self) -> bool {
        true
    }

    fn reconnect(&self) {
        // What made one pool makes another; requests under way keep the old one until they are answered.
        if let Ok(fresh) = self.settings.pool() {
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }
}

impl Settings {
    fn pool(&self) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(self.max_idle)
            .tcp_nodelay(true)
            .http1_only();
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder.build()
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() { Failure::Timeout } else { Failure::Network }
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
