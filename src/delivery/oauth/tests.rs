#![allow(clippy::unnecessary_wraps, reason = "answers stand in one list with failures")]

use std::collections::VecDeque;
use std::sync::Mutex as PlainMutex;
use std::sync::atomic::AtomicU64;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use super::*;
use crate::config::{OAuthOptions, Options, Region};
use crate::delivery::clock::Pause;
use crate::delivery::transport::Answer;

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

/// Time that passes in pauses only.
#[derive(Default)]
struct TestClock {
    elapsed: Arc<AtomicU64>,
}

impl TestClock {
    fn pass(&self, seconds: u64) {
        self.elapsed.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed.load(Ordering::Relaxed))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW) + self.elapsed()
    }

    fn pause(&self, duration: Duration) -> Pause {
        let elapsed = Arc::clone(&self.elapsed);
        Box::pin(async move {
            tokio::task::yield_now().await;
            elapsed.fetch_add(u64::try_from(duration.as_millis()).unwrap(), Ordering::Relaxed);
        })
    }
}

/// Answers in order, and remembers the assertions it was shown.
#[derive(Default)]
struct Server {
    answers: PlainMutex<VecDeque<Result<Response, Failure>>>,
    assertions: PlainMutex<Vec<Value>>,
}

impl Transport for Server {
    fn send(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            // Others get the time to ask too.
            tokio::task::yield_now().await;
            self.assertions.lock().unwrap().push(claims_of(&request));
            self.answers.lock().unwrap().pop_front().expect("a request that was not expected")
        })
    }

    fn compresses(&self) -> bool {
        false
    }
}

/// The claims in a token request, with a signature that holds.
fn claims_of(request: &Request) -> Value {
    assert_eq!(request.endpoint.as_str(), "http://localhost:1/token");
    assert!(request.keeps_body);
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    let value = |name: &str| &form.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(value("grant_type"), "client_credentials");
    assert_eq!(value("scope"), "tracking_api:write");
    assert_eq!(value("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (message, signature) = value("client_assertion").rsplit_once('.').unwrap();
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let config = config();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, config.key.public_key())
        .verify(message.as_bytes(), &decode(signature))
        .unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header, json!({ "alg": "RS256", "kid": "key-1", "typ": "JWT" }));
    serde_json::from_slice(&decode(claims)).unwrap()
}

fn granted(token: &str, seconds: u64) -> Result<Response, Failure> {
    let body = json!({ "access_token": token, "expires_in": seconds, "token_type": "Bearer" });
    Ok(Response { status: 200, body: body.to_string().into_bytes(), ..Response::default() })
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Result<Response, Failure> {
    let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Response { status, headers, ..Response::default() })
}

struct Bench {
    tokens: Tokens,
    server: Arc<Server>,
    clock: Arc<TestClock>,
}

impl Bench {
    fn new(answers: impl IntoIterator<Item = Result<Response, Failure>>) -> Self {
        let server =
            Arc::new(Server { answers: PlainMutex::new(answers.into_iter().collect()), ..Server::default() });
        let clock = Arc::new(TestClock::default());
        let transport = Arc::clone(&server) as Arc<dyn Transport>;
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        Self { tokens: Tokens::new(config(), transport, time, Rng::with_seed(7)), server, clock }
    }

    async fn token(&self) -> Result<String, Refusal> {
        self.tokens.current().await.map(|token| token.expose().clone())
    }

    fn requests(&self) -> usize {
        self.server.assertions.lock().unwrap().len()
    }
}

#[tokio::test]
async fn an_assertion_says_who_asks_for_whom_and_when() {
    let bench = Bench::new([granted("one", 60)]);
    bench.token().await.unwrap();
    let claims = bench.server.assertions.lock().unwrap().remove(0);
    assert_eq!(
        claims,
        json!({
            "iss": "client", "sub": "client", "aud": "http://localhost:1",
            "iat": NOW - 5, "exp": NOW + 55, "jti": claims["jti"],
        })
    );
    assert_eq!(claims["jti"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn all_who_wait_share_one_request() {
    let bench = Bench::new([granted("one", 60)]);
    let all = futures_util::future::join_all((0..20).map(|_| bench.token())).await;
    assert_eq!(all, vec![Ok("one".to_owned()); 20]);
    assert_eq!(bench.requests(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_from_half_of_its_life_on() {
    let bench = Bench::new([granted("one", 100), granted("two", 100)]);
    bench.token().await.unwrap();
    bench.clock.pass(49);
    assert_eq!(bench.token().await.unwrap(), "one");
    bench.clock.pass(1);
    assert_eq!(bench.token().await.unwrap(), "two");
    assert_eq!(bench.requests(), 2);
}

#[tokio::test]
async fn a_token_that_can_not_be_renewed_is_used_to_its_end() {
    let bench = Bench::new([granted("one", 100), answer(500, &[]), granted("two", 100)]);
    bench.token().await.unwrap();
    bench.clock.pass(50);
    assert_eq!(bench.token().await.unwrap(), "one");
    assert_eq!(bench.token().await.unwrap(), "one");
    assert_eq!(bench.requests(), 2);
    bench.clock.pass(50);
    assert_eq!(bench.token().await.unwrap(), "two");
}

#[tokio::test]
async fn a_token_that_segment_refused_is_not_used_again() {
    let bench = Bench::new([granted("one", 100), granted("two", 100)]);
    let first = bench.tokens.current().await.unwrap();
    bench.tokens.discard(&first).await;
    let second = bench.tokens.current().await.unwrap();
    assert_eq!(second.expose(), "two");
    // Another batch that had the first one.
    bench.tokens.discard(&first).await;
    assert!(Arc::ptr_eq(&bench.tokens.current().await.unwrap(), &second));
}

#[tokio::test]
async fn what_can_not_succeed_is_told_at_once() {
    for status in [400, 401, 403, 404, 415, 501] {
        let bench = Bench::new([answer(status, &[])]);
        assert_eq!(bench.token().await, Err(Refusal::Permanent(status)));
        assert_eq!((bench.requests(), bench.clock.elapsed()), (1, Duration::ZERO));
    }
}

#[tokio::test]
async fn what_may_succeed_is_tried_again_and_its_failure_shared() {
    let failures = [Err(Failure::Network), Err(Failure::Timeout), answer(302, &[]), answer(503, &[])];
    let bench = Bench::new(failures.into_iter().chain([granted("one", 60)]));
    let all = futures_util::future::join_all((0..5).map(|_| bench.token())).await;
    assert_eq!(all, vec![Err(Refusal::Temporary(DropReason::Server, Some(503))); 5]);
    assert_eq!(bench.requests(), 4);
    assert_eq!(bench.token().await.unwrap(), "one");
}

#[tokio::test]
async fn an_answer_without_a_token_is_a_failure() {
    let body = |text: &str| Ok(Response { status: 200, body: text.into(), ..Response::default() });
    let bench = Bench::new([
        body("{}"),
        body("<html>"),
        body(r#"{"access_token":"","expires_in":5}"#),
        granted("one", 60),
    ]);
    assert_eq!(bench.token().await.unwrap(), "one");
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept_and_is_no_failure() {
    let throttled = (0..5).map(|_| answer(429, &[("retry-after", "7")]));
    let bench = Bench::new(throttled.chain([answer(429, &[]), granted("one", 60)]));
    assert_eq!(bench.token().await.unwrap(), "one");
    assert_eq!(bench.clock.elapsed(), Duration::from_secs(5 * 7 + 5));
}

#[tokio::test]
async fn the_time_of_the_authorization_server_counts() {
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 3_600));
    let bench = Bench::new([answer(401, &[("date", &date)]), granted("one", 60)]);
    assert_eq!(bench.token().await.unwrap(), "one");
    let assertions = bench.server.assertions.lock().unwrap();
    assert_eq!(assertions[1]["iat"], json!(NOW + 3_600 - 5));
}

#[tokio::test]
async fn a_right_clock_is_no_reason_to_ask_again() {
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - 2));
    let bench = Bench::new([answer(401, &[("date", &date)])]);
    assert_eq!(bench.token().await, Err(Refusal::Permanent(401)));
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
