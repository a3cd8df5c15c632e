//! Tokens: what there is to know about them, and the request for one.

mod assertion;
#[cfg(test)]
mod tests;
pub mod tokens;

use std::time::SystemTime;

use uuid::Uuid;

use super::transport::Request;
use crate::config::OAuthConfig;

/// A request for a token; `at` is the authorization server's time. `None` when it can't be signed.
#[must_use]
pub fn token_request(config: &OAuthConfig, at: SystemTime) -> Option<Request> {
    let assertion = assertion::assertion(config, at, &Uuid::new_v4().to_string())?;
    Some(Request {
        endpoint: config.endpoint.clone(),
        headers: vec![("Content-Type".into(), "application/x-www-form-urlencoded".into())],
        body: assertion::form(&config.scope, &assertion).into_bytes().into(),
        keeps_body: true,
    })
}
