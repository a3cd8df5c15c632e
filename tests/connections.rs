//! Connections: which requests share them, which are sent again on a new one, and when they are gone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use companion_segment::testing::{Clock, HttpTransport, Options, Pause, Request, Transport as _};

use crate::support::real::RealHarness as Harness;
use crate::support::server::Server;
use crate::support::{Reply, options};

/// Options under which a single failed attempt ends an event.
fn impatient(url: &str) -> Options {
    Options { max_retries: Some(0.0), ..options(url) }
}

/// Tracks and flushes one event after the other.
fn deliver(harness: &Harness, count: u64) {
    for number in 0..count {
        harness.track(number).unwrap();
        harness.flush();
    }
}

/// Answers 200 but to these requests.
fn server_with(replies: &'static [(usize, Reply)]) -> Server {
    Server::start(|index, _| {
        let found = replies.iter().find(|(number, _)| *number == index);
        found.map_or(Reply::Status(200), |(_, reply)| reply.clone())
    })
}

#[test]
fn a_reset_on_a_used_connection_costs_no_attempt() {
    // Every request but the first on each connection.
    let server = Server::start(|index, _| if index % 2 == 1 { Reply::Reset } else { Reply::Status(200) });
    let harness = Harness::start(impatient(&server.url));
    deliver(&harness, 6);
    assert_eq!(harness.delivered(), [0, 1, 2, 3, 4, 5]);
    assert_eq!((harness.stats().requests, harness.stats().retries), (6, 0), "nobody hears of it");
    assert_eq!((server.requests().len(), server.connections()), (11, 6));
    let counts: BTreeSet<_> =
        server.requests().iter().map(|request| request.headers.contains_key("x-retry-count")).collect();
    assert_eq!(counts, [false].into());
}

#[test]
fn requests_at_once_on_connections_that_were_closed_cost_no_attempt() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    // Whatever comes for the first time after the four that opened the connections is reset.
    let server = Server::start(move |index, request| {
        let is_first_time = seen.lock().unwrap().insert(request.numbers());
        if index >= 4 && is_first_time { Reply::Reset } else { Reply::Status(200) }
    });
    let harness = Harness::start(Options { flush_at: Some(1.0), ..impatient(&server.url) });
    for round in 0..2 {
        for number in 0..4 {
            harness.track(round * 4 + number).unwrap();
        }
        harness.flush();
    }
    assert_eq!(harness.stats().delivered, 8);
    assert_eq!(harness.stats().requests, 8);
}

#[test]
fn a_reset_on_a_new_connection_is_a_failed_attempt() {
    let server = server_with(&[(0, Reply::Reset)]);
    let harness = Harness::start(impatient(&server.url));
    deliver(&harness, 2);
    assert_eq!(harness.dropped(), [(("network", None), vec![0])].into());
    assert_eq!((harness.delivered(), server.requests().len()), (vec![1], 2));
}

#[test]
fn a_request_is_sent_again_once() {
    let server = server_with(&[(1, Reply::Reset), (2, Reply::Reset)]);
    let harness = Harness::start(impatient(&server.url));
    deliver(&harness, 2);
    assert_eq!(harness.dropped(), [(("network", None), vec![1])].into());
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn an_answer_that_has_begun_is_a_failed_attempt() {
    let server = server_with(&[(1, Reply::PartialAnswer)]);
    let harness = Harness::start(impatient(&server.url));
    deliver(&harness, 2);
    assert_eq!(harness.dropped(), [(("network", None), vec![1])].into());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_used_connection_that_stays_silent_is_a_timeout() {
    let server = server_with(&[(1, Reply::Hang)]);
    let harness = Harness::start(Options { http_request_timeout: Some(300.0), ..impatient(&server.url) });
    deliver(&harness, 2);
    assert_eq!(harness.dropped(), [(("timeout", None), vec![1])].into());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_request_for_a_token_is_sent_again_as_well() {
    let server = server_with(&[(1, Reply::Reset)]);
    let config = options(&server.url).build().unwrap();
    let transport = HttpTransport::for_tokens(&config).unwrap();
    let request = || Request {
        endpoint: config.endpoint.clone(),
        headers: Vec::new(),
        body: "{}".into(),
        keeps_body: true,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..2 {
            assert_eq!(transport.send(request()).await.unwrap().status, 200);
        }
    });
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn clients_with_equal_settings_share_connections() {
    let server = Server::replying([]);
    let clients: Vec<_> = (0..50)
        .map(|number| Harness::start(Options { write_key: format!("key-{number}"), ..options(&server.url) }))
        .collect();
    for client in &clients {
        deliver(client, 1);
    }
    assert_eq!((server.requests().len(), server.connections()), (50, 1));
}

#[test]
fn clients_at_once_have_a_bounded_number_of_connections() {
    let server = Server::replying([]);
    let clients: Vec<_> = (0..400).map(|_| Harness::start(options(&server.url))).collect();
    for client in &clients {
        client.track(0).unwrap();
        client.client.flush(1, None, false);
    }
    for client in &clients {
        assert_eq!(client.report(1).stats.delivered, 1);
    }
    // 64 requests at once, and hardly a connection that is closed only to be opened again.
    assert!(server.connections() < 80, "{}", server.connections());
}

#[test]
fn other_ways_are_not_shared() {
    let server = Server::replying([]);
    let other = Server::replying([]);
    let proxied = |proxy: &str| Options {
        proxy: Some(proxy.into()),
        allow_insecure_host: Some(true),
        ..options("http://segment.test")
    };
    let with_user = other.url.replace("http://", "http://user:pass@");
    let clients = [
        options(&server.url),
        Options { ca: Some(include_str!("support/authority.pem").into()), ..options(&server.url) },
        proxied(&other.url),
        proxied(&with_user),
    ]
    .map(Harness::start);
    for client in &clients {
        deliver(client, 2);
    }
    assert_eq!((server.connections(), other.connections()), (2, 2));
    let credentials: Vec<_> =
        other.requests().iter().map(|request| request.headers.contains_key("proxy-authorization")).collect();
    assert_eq!(credentials, [false, false, true, true]);
}

#[test]
fn connections_go_with_the_last_client_that_closes() {
    let server = Server::replying([]);
    let clients = [options(&server.url), options(&server.url)].map(Harness::start);
    for client in &clients {
        deliver(client, 1);
    }
    let [first, second] = &clients;
    first.client.flush(2, None, true);
    first.report(2);
    deliver(second, 1);
    assert_eq!(server.connections(), 1, "the other one has it still");
    // Closed, and still held: nobody has to forget a client for its connections to go.
    second.client.flush(3, None, true);
    second.report(3);
    server.wait_until_closed(1);
}

/// Time as the test says.
#[derive(Default)]
struct SteppedClock(Mutex<Duration>);

impl SteppedClock {
    fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for SteppedClock {
    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn sleep(&self, _: Duration) -> Pause {
        Box::pin(std::future::pending())
    }
}

#[test]
fn connections_are_renewed_within_five_minutes_however_busy_they_are() {
    let server = Server::replying([]);
    let clock = Arc::new(SteppedClock::default());
    let config = options(&server.url).build().unwrap();
    let transport = HttpTransport::with_clock(&config, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let harness = Harness::with_transport(options(&server.url), Arc::new(transport));
    let mut opened_at = vec![0];
    for second in (0..1_800).step_by(10) {
        harness.track(second).unwrap();
        harness.flush();
        if server.connections() > opened_at.len() {
            opened_at.push(second);
        }
        clock.pass(10);
    }
    assert!(opened_at.len() >= 6, "{opened_at:?}");
    for pair in opened_at.windows(2) {
        assert!((120..=300).contains(&(pair[1] - pair[0])), "{opened_at:?}");
    }
}

#[test]
fn a_connection_that_was_idle_for_long_is_not_used() {
    let server = Server::replying([]);
    let clock = Arc::new(SteppedClock::default());
    let config = options(&server.url).build().unwrap();
    let transport = HttpTransport::with_clock(&config, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let harness = Harness::with_transport(options(&server.url), Arc::new(transport));
    deliver(&harness, 1);
    clock.pass(29);
    deliver(&harness, 1);
    assert_eq!(server.connections(), 1);
    clock.pass(31);
    deliver(&harness, 1);
    assert_eq!(server.connections(), 2);
}
