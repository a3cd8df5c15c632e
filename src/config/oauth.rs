//! The settings of OAuth 2.0 (Segment docs, "OAuth 2.0": client credentials with an RS256 assertion).

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::proxy::Proxies;
use super::{Region, Secret, base, max_retries, without_trailing_slash};
use crate::error::Error;

/// Segment's authorization servers (Segment docs, "OAuth 2.0"); tokens are good in their region only.
const AUTH_SERVER_US: &str = "https://oauth2.segment.io";
const AUTH_SERVER_EU: &str = "https://oauth2.eu1.segmentapis.com";
const SCOPE: &str = "tracking_api:write";
const DEFAULT_RETRIES: u32 = 3;

/// OAuth as JavaScript asks for it.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the TypeScript options carry the documentation of each field")]
pub struct OAuthOptions {
    pub client_id: String,
    pub client_key: String,
    pub key_id: String,
    pub auth_server: Option<String>,
    pub scope: Option<String>,
    pub max_retries: Option<f64>,
}

/// Validated settings of OAuth.
#[derive(Clone, Debug)]
pub struct OAuthConfig {
    /// Segment's name for the application.
    pub client_id: String,
    /// Segment's name for the key.
    pub key_id: String,
    /// Signs assertions.
    pub key: Arc<dyn SigningKey>,
    /// The authorization server as it was given: the audience of assertions.
    pub audience: String,
    /// Where tokens are asked for.
    pub endpoint: Url,
    /// HTTP proxy on the way there, perhaps with credentials.
    pub proxy: Option<Secret<Url>>,
    /// What tokens are to allow.
    pub scope: String,
    /// Failed requests after the first before those who wait are told.
    pub max_retries: u32,
}

/// A private RSA key. It shows itself to nobody.
pub trait SigningKey: fmt::Debug + Send + Sync {
    /// The RS256 signature of a message; `None` when the system has no randomness.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

/// Reads a key of 2048 bits or more as PEM; `None` when it is none.
pub type ReadKey = fn(&str) -> Option<Arc<dyn SigningKey>>;

impl OAuthOptions {
    /// Checks every field; `retries` is the client's own `maxRetries`.
    pub(super) fn build(
        self,
        region: Region,
        retries: Option<u32>,
        insecure: bool,
        proxies: &Proxies,
        read_key: ReadKey,
    ) -> Result<OAuthConfig, Error> {
        let server = self.auth_server.as_deref().unwrap_or(match region {
            Region::Us => AUTH_SERVER_US,
            Region::Eu => AUTH_SERVER_EU,
        });
        let mut endpoint = without_trailing_slash(base("oauthSettings.authServer", server, insecure)?);
        let path = format!("{}/token", endpoint.path().trim_end_matches('/'));
        endpoint.set_path(&path);
        let own_retries = max_retries("oauthSettings.maxRetries", self.max_retries)?;
        Ok(OAuthConfig {
            client_id: present("oauthSettings.clientId", self.client_id)?,
            key_id: present("oauthSettings.keyId", self.key_id)?,
            key: read_key(&self.client_key).ok_or_else(unusable_key)?,
            audience: server.to_owned(),
            proxy: proxies.to(&endpoint),
            endpoint,
            scope: self.scope.unwrap_or_else(|| SCOPE.to_owned()),
            max_retries: own_retries.or(retries).unwrap_or(DEFAULT_RETRIES),
        })
    }
}

fn present(field: &'static str, text: String) -> Result<String, Error> {
    if text.trim().is_empty() { Err(Error::option(field, "a text that is not blank")) } else { Ok(text) }
}

fn unusable_key() -> Error {
    let limit = "an RSA private key of 2048 bits or more as PEM (BEGIN PRIVATE KEY)";
    Error::option("oauthSettings.clientKey", limit)
}
