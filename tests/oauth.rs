//! Batches of a client with OAuth: one token for all of them, and what becomes of them while there is none.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use companion_segment::testing::{Level, Notice, OAuthOptions, Options, Response};
use serde_json::json;

use crate::support::{Harness, Reply, Server, options};

/// Of no use anywhere but here.
const KEY: &str = include_str!("../src/delivery/oauth/test-key.pem");

fn granted(token: &str, seconds: u64) -> Response {
    let body = json!({ "access_token": token, "expires_in": seconds, "token_type": "Bearer" });
    Response { status: 200, body: body.to_string().into_bytes(), ..Response::default() }
}

fn refused() -> Response {
    let body = json!({ "error": "invalid_client" }).to_string().into_bytes();
    Response { status: 401, body, ..Response::default() }
}

fn failed(status: u16) -> Response {
    Response { status, ..Response::default() }
}

fn throttled(seconds: u64) -> Response {
    let headers = vec![("retry-after".to_owned(), seconds.to_string())];
    Response { status: 429, headers, ..Response::default() }
}

/// A client whose authorization server gives these answers in order, the last one again and again; and how often it was
/// asked.
fn start(options: Options, retries: f64, answers: &[Response]) -> (Harness, Rc<Cell<usize>>) {
    let oauth = OAuthOptions {
        client_id: "client".into(),
        client_key: KEY.into(),
        key_id: "key-1".into(),
        max_retries: Some(retries),
        ..OAuthOptions::default()
    };
    let harness = Harness::start(Options { oauth: Some(oauth), ..options });
    let asked = Rc::new(Cell::new(0));
    let (asking, answers) = (Rc::clone(&asked), answers.to_vec());
    harness.world().token_server = Box::new(move |number| {
        let answer = answers.get(number).or(answers.last()).unwrap().clone();
        asking.set(number + 1);
        (Duration::from_millis(100), Ok(answer))
    });
    (harness, asked)
}

fn tokens(server: &Server) -> Vec<String> {
    let token = |name: Option<&String>| name.unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    server.requests().iter().map(|request| token(request.headers.get("authorization"))).collect()
}

fn troubles(harness: &Harness) -> Vec<String> {
    let text = |notice| match notice {
        Notice::Trouble { error, .. } => Some(error.to_string()),
        _ => None,
    };
    harness.notices().into_iter().filter_map(text).collect()
}

/// What was said of events that the authorization server ended.
fn causes(harness: &Harness) -> Vec<String> {
    let text = |notice| match notice {
        Notice::Dropped { cause, .. } if cause.at_authorization => Some(cause.message()),
        _ => None,
    };
    harness.notices().into_iter().filter_map(text).collect()
}

#[test]
fn one_token_opens_the_door_for_all_batches() {
    let server = Server::replying([]);
    let options = Options { flush_at: Some(2.0), ..options(&server.url) };
    let (harness, asked) = start(options, 3.0, &[granted("one", 3_600)]);
    harness.track_many(6);
    harness.pass(Duration::from_millis(99));
    assert_eq!((asked.get(), server.requests().len()), (1, 0), "nothing leaves without a token");
    assert_eq!(harness.flush().stats.delivered, 6);
    assert_eq!((asked.get(), tokens(&server)), (1, vec!["one".to_owned(); 3]));
}

#[test]
fn a_token_that_segment_refuses_is_exchanged() {
    let server = Server::start(|_, request| {
        Reply::Status(if request.headers["authorization"].ends_with("old") { 401 } else { 200 })
    });
    let (harness, asked) = start(options(&server.url), 3.0, &[granted("old", 3_600), granted("new", 3_600)]);
    harness.track_many(3);
    let report = harness.flush();
    assert_eq!((report.stats.delivered, report.stats.retries), (3, 1));
    assert_eq!((asked.get(), tokens(&server)), (2, vec!["old".to_owned(), "new".to_owned()]));
    assert!(troubles(&harness).is_empty());
}

#[test]
fn a_fresh_token_that_is_refused_too_speaks_of_the_write_key() {
    let server = Server::start(|_, _| Reply::Status(401));
    let (harness, asked) = start(options(&server.url), 3.0, &[granted("one", 3_600)]);
    harness.track_many(3);
    let report = harness.flush();
    assert_eq!((report.stats.pending, server.requests().len(), asked.get()), (3, 2, 2));
    let [text] = troubles(&harness).try_into().unwrap();
    assert!(text.starts_with("401 Unauthorized: Segment refused the write key."), "{text}");
}

#[test]
fn a_refused_client_is_told_once_and_asked_for_again_after_five_minutes() {
    let server = Server::replying([]);
    let answers = [refused(), refused(), granted("one", 3_600)];
    let (harness, asked) = start(options(&server.url), 3.0, &answers);
    harness.track(0).unwrap();
    harness.track_and_wait(1);
    let report = harness.flush();
    assert_eq!((report.stats.pending, report.stats.consecutive_failures, asked.get()), (1, 1, 1));
    assert_eq!(harness.dropped(), [(("unauthorized", Some(401)), vec![1])].into());
    let [told] = causes(&harness).try_into().unwrap();
    assert!(
        told.starts_with("401 Unauthorized: the authorization server refused the OAuth client."),
        "{told}"
    );
    harness.pass(Duration::from_secs(360));
    assert_eq!((asked.get(), harness.stats().consecutive_failures), (2, 2));
    let [text] = troubles(&harness).try_into().unwrap();
    assert!(text.contains("the authorization server refused the OAuth client"), "{text}");
    assert!(text.contains("Check clientId"), "{text}");
    harness.pass(Duration::from_secs(360));
    assert_eq!((asked.get(), harness.delivered()), (3, vec![0]));
    assert_eq!(harness.stats().consecutive_failures, 0);
}

#[test]
fn so_many_failed_requests_for_a_token_are_a_failed_attempt_of_what_waits() {
    let server = Server::replying([]);
    let options = Options { max_retries: Some(1.0), ..options(&server.url) };
    let (harness, asked) = start(options, 1.0, &[failed(503)]);
    harness.listen_to(Level::Info);
    harness.track_many(3);
    harness.begin_flush(9, None, false);
    harness.wait_for(|| asked.get() == 3);
    assert_eq!(harness.stats().pending, 3, "one attempt has failed, one is left");
    let report = harness.report(9);
    assert_eq!((report.stats.dropped["server"], asked.get()), (3, 4));
    assert_eq!(report.stats.consecutive_failures, 4);
    let [told] = causes(&harness).try_into().unwrap();
    assert_eq!(
        told,
        "503 Service Unavailable: the authorization server gave no token for too long. Check authServer; raise maxRetries or maxEventAge to wait for longer."
    );
    let lines = harness.lines();
    let said = lines
        .iter()
        .filter(|line| line.starts_with("info: the authorization server gave no token, asking again "))
        .count();
    assert_eq!(said, 4, "{lines:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_pause_that_the_authorization_server_asks_for_is_kept() {
    let server = Server::replying([]);
    let (harness, asked) = start(options(&server.url), 3.0, &[throttled(30), granted("one", 3_600)]);
    harness.listen_to(Level::Info);
    harness.track_many(3);
    harness.begin_flush(9, None, false);
    harness.pass(Duration::from_secs(30));
    assert_eq!((asked.get(), harness.stats().consecutive_failures), (1, 1));
    assert!(harness.lines()[0].starts_with("info: the authorization server asks for a pause "));
    harness.pass(Duration::from_secs(4));
    assert_eq!((asked.get(), harness.stats().delivered), (2, 3));
}

#[test]
fn a_token_that_can_not_be_renewed_serves_until_its_end() {
    let server = Server::replying([]);
    let answers = [granted("one", 100), failed(503), granted("two", 100)];
    let (harness, asked) = start(options(&server.url), 3.0, &answers);
    harness.listen_to(Level::Warn);
    for (number, seconds) in [(0, 49), (1, 5), (2, 5), (3, 10), (4, 1), (5, 1)] {
        harness.track(number).unwrap();
        harness.flush();
        harness.pass(Duration::from_secs(seconds));
    }
    assert_eq!(asked.get(), 3);
    assert_eq!(tokens(&server), ["one", "one", "one", "one", "one", "two"].map(str::to_owned));
    assert_eq!(
        harness.lines(),
        ["warn: the authorization server did not renew the token, the old one stays in use {}"]
    );
    assert_eq!((harness.stats().delivered, harness.stats().consecutive_failures), (6, 0));
}

#[test]
fn a_flush_ends_the_pause_before_the_next_request_for_a_token() {
    let server = Server::replying([]);
    let answers: Vec<_> = std::iter::repeat_n(failed(503), 8).chain([granted("one", 3_600)]).collect();
    let (harness, asked) = start(options(&server.url), 100.0, &answers);
    harness.track_many(3);
    harness.begin_flush(8, None, false);
    harness.wait_for(|| asked.get() == 8);
    harness.pass(Duration::from_millis(200));
    let report = harness.flush();
    assert_eq!(report.stats.delivered, 3);
    assert!(report.duration < Duration::from_secs(1), "{:?}", report.duration);
}

#[test]
fn after_a_panic_somebody_asks_again() {
    let server = Server::replying([]);
    let (harness, asked) = start(options(&server.url), 3.0, &[granted("one", 3_600)]);
    harness.track_many(3);
    harness.begin_flush(9, None, false);
    assert_eq!(asked.get(), 1);
    harness.world().panic(0);
    assert_eq!((harness.report(9).stats.delivered, asked.get()), (3, 2));
}

#[test]
fn a_token_is_renewed_while_a_batch_is_under_way() {
    let server = Server::replying([Reply::Status(200), Reply::Hang]);
    let options = Options { flush_at: Some(1.0), ..options(&server.url) };
    let (harness, asked) = start(options, 3.0, &[granted("one", 100)]);
    harness.track(0).unwrap();
    harness.pass(Duration::from_secs(45));
    harness.track(1).unwrap();
    harness.pass(Duration::from_secs(10));
    // The answer comes after that to the batch.
    harness.world().token_server = Box::new(|_| (Duration::from_secs(20), Ok(granted("two", 100))));
    harness.track(2).unwrap();
    harness.pass(Duration::from_secs(40));
    assert_eq!((asked.get(), harness.stats().delivered), (1, 3));
    assert_eq!(tokens(&server), ["one", "one", "one", "one"].map(str::to_owned));
}
