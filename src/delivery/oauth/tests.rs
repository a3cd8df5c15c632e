#![allow(clippy::unnecessary_wraps, reason = "answers stand in one list with failures")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fastrand::Rng;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::token_request;
use super::tokens::{Access, Outcome, Tokens};
use crate::config::{OAuthConfig, OAuthOptions, Options, Region};
use crate::delivery::transport::{Failure, Response};
use crate::stats::DropReason;

/// Of no use anywhere but here.
const KEY: &str = include_str!("test-key.pem");
const NOW: u64 = 1_800_000_000;

fn config() -> OAuthConfig {
    let oauth = OAuthOptions {
        client_id: "client".into(),
        client_key: KEY.into(),
        key_id: "key-1".into(),
        auth_server: Some("http://localhost:1".into()),
        ..OAuthOptions::default()
    };
    Options { write_key: "key".into(), oauth: Some(oauth), ..Options::default() }
        .build()
        .unwrap()
        .oauth
        .unwrap()
}

/// As DER of PKCS #1.
fn public_key() -> Vec<u8> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap().public().as_ref().to_vec()
}

fn date(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn an_assertion_says_who_asks_for_whom_and_when() {
    let config = config();
    let request = token_request(&config, date(NOW)).unwrap();
    assert_eq!(request.endpoint.as_str(), "http://localhost:1/token");
    assert!(request.keeps_body);
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    let value = |name: &str| &form.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(value("grant_type"), "client_credentials");
    assert_eq!(value("scope"), "tracking_api:write");
    assert_eq!(value("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (message, signature) = value("client_assertion").rsplit_once('.').unwrap();
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key())
        .verify(message.as_bytes(), &decode(signature))
        .unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header, json!({ "alg": "RS256", "kid": "key-1", "typ": "JWT" }));
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
    let expected = json!({
        "iss": "client", "sub": "client", "aud": "http://localhost:1",
        "iat": NOW - 5, "exp": NOW + 55, "jti": claims["jti"],
    });
    assert_eq!(claims, expected);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 36);
}

fn granted(token: &str, seconds: Option<u64>) -> Result<Response, Failure> {
    let body = json!({ "access_token": token, "expires_in": seconds, "token_type": "Bearer" });
    Ok(Response { status: 200, body: body.to_string().into_bytes(), ..Response::default() })
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Response, Failure> {
    let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Response { status, headers, body: body.as_bytes().to_vec(), ..Response::default() })
}

/// Tokens, and a moment.
struct Bench {
    tokens: Tokens,
    seconds: u64,
    chance: Rng,
}

impl Bench {
    fn new() -> Self {
        Self { tokens: Tokens::new(3), seconds: 0, chance: Rng::with_seed(7) }
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn token(&self) -> Option<String> {
        match self.tokens.access(self.now()) {
            Access::Granted(token) => Some(token.expose().clone()),
            Access::Wait(_) => None,
        }
    }

    /// Asks, and is answered at once.
    fn ask(&mut self, answer: &Result<Response, Failure>) -> Outcome {
        let now = self.now();
        assert!(self.tokens.wants_to_ask(now));
        self.tokens.ask(now, date(NOW + self.seconds));
        assert!(!self.tokens.wants_to_ask(now), "one request for all");
        self.tokens.answered(answer, now, date(NOW + self.seconds), &mut self.chance)
    }
}

#[test]
fn a_token_is_renewed_from_half_of_its_life_on() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(&granted("one", Some(100))), Outcome::Granted);
    bench.seconds = 49;
    assert!(!bench.tokens.wants_to_ask(bench.now()));
    bench.seconds = 50;
    assert_eq!(bench.token().as_deref(), Some("one"), "in use until there is another");
    assert_eq!(bench.ask(&granted("two", Some(100))), Outcome::Granted);
    assert_eq!(bench.token().as_deref(), Some("two"));
}

#[test]
fn a_token_that_can_not_be_renewed_is_used_to_its_end() {
    let mut bench = Bench::new();
    bench.ask(&granted("one", Some(100)));
    bench.seconds = 50;
    assert_eq!(bench.ask(&answer(500, &[], "")), Outcome::NotRenewed(None));
    assert!(!bench.tokens.wants_to_ask(bench.now()), "not with every batch");
    assert_eq!(bench.token().as_deref(), Some("one"));
    bench.seconds = 100;
    assert_eq!(bench.token(), None);
    assert!(bench.tokens.wants_to_ask(bench.now()));
}

#[test]
fn a_refusal_is_news_while_the_token_is_good() {
    let mut bench = Bench::new();
    bench.ask(&granted("one", Some(100)));
    bench.seconds = 50;
    let refusal = answer(401, &[], r#"{"error":"invalid_client"}"#);
    assert_eq!(bench.ask(&refusal), Outcome::NotRenewed(Some(401)));
    assert_eq!(bench.token().as_deref(), Some("one"));
}

#[test]
fn a_token_without_an_end_is_good_until_it_is_refused() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(&granted("one", None)), Outcome::Granted);
    bench.seconds = 1_000;
    assert_eq!(bench.token().as_deref(), Some("one"));
    assert!(!bench.tokens.wants_to_ask(bench.now()));
}

#[test]
fn a_token_that_segment_refused_is_not_used_again() {
    let mut bench = Bench::new();
    bench.ask(&granted("one", Some(100)));
    let Access::Granted(first) = bench.tokens.access(bench.now()) else { panic!("granted") };
    bench.tokens.discard(&first);
    assert_eq!(bench.token(), None);
    bench.ask(&granted("two", Some(100)));
    // Another batch that had the first one.
    bench.tokens.discard(&first);
    assert_eq!(bench.token().as_deref(), Some("two"));
    assert_eq!(Arc::strong_count(&first), 1);
}

#[test]
fn only_an_error_of_oauth_refuses_the_client() {
    for error in ["invalid_client", "invalid_grant", "unauthorized_client"] {
        for status in [400, 401, 403] {
            let body = json!({ "error": error }).to_string();
            assert_eq!(Bench::new().ask(&answer(status, &[], &body)), Outcome::Refused(status), "{error}");
        }
    }
    for status in [400, 401, 403, 404, 413, 415, 422, 425, 431, 501] {
        for body in ["", "<html>", r#"{"message":"nobody is home"}"#, r#"{"error":"invalid_scope"}"#] {
            let outcome = Bench::new().ask(&answer(status, &[], body));
            assert_eq!(outcome, Outcome::Retry(DropReason::Server, Some(status)), "{status} {body}");
        }
    }
}

#[test]
fn every_fourth_failure_counts_as_a_failed_attempt_and_is_followed_by_its_pause() {
    let mut bench = Bench::new();
    let failures = [Err(Failure::Network), Err(Failure::Timeout), answer(302, &[], ""), answer(503, &[], "")];
    let mut pauses = Vec::new();
    for (index, failure) in failures.iter().cycle().take(16).enumerate() {
        let outcome = bench.ask(failure);
        assert_eq!(matches!(outcome, Outcome::Failed(..)), index % 4 == 3, "{index}: {outcome:?}");
        let Access::Wait(Some(until)) = bench.tokens.access(bench.now()) else { panic!("waits") };
        pauses.push(until.saturating_sub(bench.now()));
        bench.seconds += 61;
    }
    let full = [
        500, 1_000, 2_000, 500, 500, 1_000, 2_000, 1_000, 500, 1_000, 2_000, 2_000, 500, 1_000, 2_000, 4_000,
    ];
    for (pause, full) in pauses.iter().zip(full) {
        assert!((full / 2..=full).contains(&pause.as_millis()), "{pauses:?}");
    }
    assert_eq!(bench.ask(&granted("one", Some(60))), Outcome::Granted);
}

#[test]
fn an_answer_without_a_token_is_a_failure() {
    for body in ["{}", "<html>", r#"{"access_token":"","expires_in":5}"#] {
        let outcome = Bench::new().ask(&answer(200, &[], body));
        assert_eq!(outcome, Outcome::Retry(DropReason::Server, Some(200)));
    }
}

#[test]
fn a_pause_that_is_asked_for_is_kept_and_is_no_failure() {
    for (headers, seconds) in [(&[("retry-after", "7")][..], 7), (&[], 5)] {
        let mut bench = Bench::new();
        let Outcome::Throttled(pause, 429) = bench.ask(&answer(429, headers, "")) else {
            panic!("throttled")
        };
        assert!(pause >= Duration::from_secs(seconds) && pause <= Duration::from_secs(seconds) * 11 / 10);
        assert!(!bench.tokens.wants_to_ask(bench.now()));
        bench.tokens.end_pause(bench.now(), false);
        assert!(!bench.tokens.wants_to_ask(bench.now()), "only a way out ends it");
        bench.seconds += seconds + 1;
        assert!(bench.tokens.wants_to_ask(bench.now()));
    }
}

#[test]
fn the_time_of_the_authorization_server_counts() {
    let there = httpdate::fmt_http_date(date(NOW + 3_600));
    let refusal = answer(401, &[("date", &there)], r#"{"error":"invalid_client"}"#);
    let mut bench = Bench::new();
    assert_eq!(bench.ask(&refusal), Outcome::Corrected, "perhaps the clock");
    assert_eq!(bench.tokens.ask(bench.now(), date(NOW)), date(NOW + 3_600));
    let outcome = bench.tokens.answered(&refusal, bench.now(), date(NOW), &mut bench.chance);
    assert_eq!(outcome, Outcome::Refused(401), "it was not the clock");
}

#[test]
fn a_right_clock_is_no_reason_to_ask_again() {
    let there = httpdate::fmt_http_date(date(NOW - 2));
    let refusal = answer(401, &[("date", &there)], r#"{"error":"invalid_client"}"#);
    assert_eq!(Bench::new().ask(&refusal), Outcome::Refused(401));
}

#[test]
fn settings_that_can_not_be_used_are_refused_by_name() {
    type Change = fn(&mut OAuthOptions);
    let cases: [(&str, Change); 7] = [
        ("oauthSettings.clientId", |oauth| oauth.client_id = " ".into()),
        ("oauthSettings.keyId", |oauth| oauth.key_id = String::new()),
        ("oauthSettings.clientKey", |oauth| oauth.client_key = "-----BEGIN PRIVATE KEY-----\nabc\n".into()),
        ("oauthSettings.clientKey", |oauth| oauth.client_key = String::new()),
        ("oauthSettings.authServer", |oauth| oauth.auth_server = Some("http://oauth2.example".into())),
        ("oauthSettings.authServer", |oauth| oauth.auth_server = Some("nowhere".into())),
        ("oauthSettings.maxRetries", |oauth| oauth.max_retries = Some(-1.0)),
    ];
    for (field, change) in cases {
        let mut oauth = OAuthOptions {
            client_id: "client".into(),
            client_key: KEY.into(),
            key_id: "key-1".into(),
            ..OAuthOptions::default()
        };
        change(&mut oauth);
        let error = Options { write_key: "key".into(), oauth: Some(oauth), ..Options::default() }
            .build()
            .unwrap_err();
        assert_eq!(error.field(), Some(field));
        assert!(!error.to_string().contains("abc"), "{error}");
    }
}

#[test]
fn each_region_has_its_authorization_server() {
    for (region, endpoint) in [
        (Region::Us, "https://oauth2.segment.io/token"),
        (Region::Eu, "https://oauth2.eu1.segmentapis.com/token"),
    ] {
        let oauth = OAuthOptions {
            client_id: "client".into(),
            client_key: KEY.into(),
            key_id: "key-1".into(),
            ..OAuthOptions::default()
        };
        let options = Options {
            write_key: "key".into(),
            oauth: Some(oauth),
            region: Some(region),
            ..Options::default()
        };
        assert_eq!(options.build().unwrap().oauth.unwrap().endpoint.as_str(), endpoint);
    }
}

#[test]
fn nothing_shows_the_key() {
    let shown = format!("{:?}", config());
    assert!(shown.contains("[redacted]") && !shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn rate_limits_last_from_the_first_of_them_until_another_answer() {
    let mut bench = Bench::new();
    let limit = answer(429, &[("retry-after", "10")], "");
    for seconds in [5, 20, 40] {
        bench.seconds = seconds;
        assert!(matches!(bench.ask(&limit), Outcome::Throttled(_, 429)));
        assert_eq!(bench.tokens.limited_since(), Some(Duration::from_secs(5)));
    }
    bench.seconds = 60;
    bench.ask(&answer(500, &[], ""));
    assert_eq!(bench.tokens.limited_since(), None);
}
