//! The ways out: the request as it leaves, a callback instead of HTTP, a proxy, an unusable setting.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use companion_segment::testing::CallbackTransport;
use companion_segment::testing::HttpTransport;
use companion_segment::testing::{ErrorKind, Notice, Options};
use companion_segment::testing::{Failure, Request, Response};

use crate::support::real::RealHarness as Harness;
use crate::support::server::Server;
use crate::support::{Reply, options};

#[test]
fn the_request_is_the_one_analytics_node_sends() {
    let server = Server::replying([]);
    let harness = Harness::start(Options { path: Some("/v9/import".into()), ..options(&server.url) });
    harness.track_many(1);
    harness.flush();
    let request = &server.requests()[0];
    assert_eq!(request.line.trim_end(), "POST /v9/import HTTP/1.1");
    assert_eq!(request.headers["authorization"], "Basic dGVzdC1rZXk6");
    assert_eq!(request.headers["content-type"], "application/json");
    assert!(request.headers["user-agent"].starts_with("companion-segment/"));
    assert_eq!(request.body["writeKey"], "test-key");
}

#[test]
fn a_callback_sends_and_the_engine_still_rules() {
    let answers = Arc::new(Mutex::new(vec![
        Ok(Response {
            status: 503,
            headers: vec![("retry-after".into(), "1".into())],
            ..Response::default()
        }),
        Err(Failure::Timeout),
        Ok(Response { status: 200, ..Response::default() }),
    ]));
    let transport: Arc<OnceLock<Arc<CallbackTransport>>> = Arc::default();
    let own = Arc::clone(&transport);
    let outlet = Box::new(move |number, request: Request| {
        assert!(request.body.starts_with(br#"{"batch":["#), "plain JSON");
        let answer = answers.lock().unwrap().remove(0);
        let transport = Arc::clone(own.get().unwrap());
        // From another thread, as JavaScript would.
        std::thread::spawn(move || transport.answer(number, answer));
    });
    let callback = Arc::new(CallbackTransport::new(outlet, Duration::from_secs(30)));
    transport.set(Arc::clone(&callback)).unwrap();
    let harness = Harness::with_transport(options("http://127.0.0.1:9"), callback);
    harness.track_many(2);
    harness.flush();
    assert_eq!(harness.delivered(), [0, 1]);
    assert_eq!(harness.stats().requests, 3);
}

#[test]
fn a_callback_that_never_answers_times_out() {
    let callback = Arc::new(CallbackTransport::new(Box::new(|_, _| {}), Duration::from_millis(5)));
    let harness = Harness::with_transport(
        Options { max_retries: Some(1.0), ..options("http://127.0.0.1:9") },
        callback,
    );
    harness.track_many(1);
    harness.flush();
    assert_eq!(harness.dropped(), [(("timeout", None), vec![0])].into());
}

#[test]
fn a_proxy_gets_the_request() {
    let proxy = Server::replying([]);
    let harness = Harness::start(Options {
        proxy: Some(proxy.url.clone()),
        allow_insecure_host: Some(true),
        ..options("http://segment.test")
    });
    harness.track_many(1);
    harness.flush();
    assert_eq!(proxy.requests()[0].line.trim_end(), "POST http://segment.test/v1/batch HTTP/1.1");
    assert_eq!(harness.delivered(), [0]);
}

#[test]
fn a_certificate_that_is_none_is_refused() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    let config = Options { ca: Some(broken.into()), ..options("https://a.example") }.build().unwrap();
    let error = HttpTransport::new(&config).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::OptionInvalid, Some("ca")));
}

#[test]
fn a_dropped_connection_in_the_pool_costs_nothing() {
    let server = Server::start(|index, _| if index == 1 { Reply::Reset } else { Reply::Status(200) });
    let harness = Harness::start(options(&server.url));
    for number in 0..3 {
        harness.track(number).unwrap();
        harness.flush();
    }
    assert_eq!(harness.delivered(), [0, 1, 2]);
}

#[test]
fn an_unreachable_host_is_retried_until_the_retries_are_spent() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let harness = Harness::start(Options { max_retries: Some(3.0), ..options(&format!("http://{closed}")) });
    harness.track_many(2);
    harness.flush();
    assert_eq!(harness.dropped(), [(("network", None), vec![0, 1])].into());
    assert_eq!(harness.stats().requests, 4);
}

#[test]
fn an_attempt_ends_in_time_even_while_the_answer_drips() {
    for reply in [Reply::Hang, Reply::Drip] {
        let server = Server::replying([reply]);
        let harness = Harness::start(Options { http_request_timeout: Some(200.0), ..options(&server.url) });
        harness.track_many(1);
        harness.flush();
        assert_eq!(harness.delivered(), [0]);
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn the_body_of_an_answer_is_read_only_so_far() {
    let server = Server::replying([Reply::Body(50_000_000)]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(1);
    harness.flush();
    assert_eq!(harness.delivered(), [0]);
    harness.track(1).unwrap();
    harness.flush();
    assert_eq!(server.connections(), 2, "a connection with the rest of a body on it is not used again");
}

#[test]
fn connections_are_used_again() {
    let server = Server::replying([]);
    let harness = Harness::start(options(&server.url));
    for number in 0..20 {
        harness.track(number).unwrap();
        harness.flush();
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

#[test]
fn draining_blocks_until_nothing_is_pending() {
    let server = Server::replying([Reply::Status(503)]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(3);
    let ticket = harness.client.begin_drain(Duration::from_secs(30));
    assert_eq!(harness.client.end_drain(ticket, Duration::from_secs(30)), 0);
    assert_eq!(harness.stats().delivered, 3);
}

#[test]
fn observers_hear_each_exchange_without_the_key() {
    let server = Server::replying([Reply::Status(500)]);
    let harness = Harness::start(options(&server.url));
    harness.track_many(2);
    harness.flush();
    let texts: Vec<_> = harness.notices().iter().map(|notice| format!("{notice:?}")).collect();
    let count = |name: &str| texts.iter().filter(|text| text.starts_with(name)).count();
    assert_eq!((count("Request"), count("Response"), count("Drained")), (2, 2, 1));
    for notice in harness.notices() {
        if let Notice::Request { headers, body, .. } = notice {
            assert!(headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("authorization")));
            assert!(!String::from_utf8(body).unwrap().contains("test-key"));
        }
    }
}
