//! The assertion by which a client proves who it is (RFC 7523, RFC 7519). Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use url::form_urlencoded;

use crate::config::OAuthConfig;

/// An assertion is good for a minute; a clock that is a little ahead must not make it one of the future.
const EARLIER: Duration = Duration::from_secs(5);
const LIFETIME: Duration = Duration::from_secs(60);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A signed assertion; `now` is the authorization server's time. `None` when it can't be signed.
#[must_use]
pub fn assertion(config: &OAuthConfig, now: SystemTime, id: &str) -> Option<String> {
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(EARLIER);
    let header = json!({ "alg": "RS256", "kid": config.key_id, "typ": "JWT" });
    let claims = json!({
        "iss": config.client_id,
        "sub": config.client_id,
        "aud": config.audience,
        "iat": issued.as_secs(),
        "exp": (issued + LIFETIME).as_secs(),
        "jti": id,
    });
    let part = |json: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = config.key.sign(message.as_bytes())?;
    Some(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

/// The body of a token request.
#[must_use]
pub fn form(scope: &str, assertion: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_assertion_type", ASSERTION_TYPE)
        .append_pair("client_assertion", assertion)
        .append_pair("scope", scope)
        .finish()
}
