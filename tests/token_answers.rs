//! What answers of the authorization server do to events.
#![allow(clippy::unnecessary_wraps, reason = "answers stand in one list with failures")]

use std::time::Duration;

use companion_segment::testing::{Failure, Notice, OAuthOptions, Options, Response};

use crate::support::world::granted;
use crate::support::{Harness, Server, options};

type Answer = Result<Response, Failure>;

fn with_oauth(url: &str) -> Options {
    let oauth = OAuthOptions {
        client_id: "client".into(),
        client_key: include_str!("../src/delivery/oauth/test-key.pem").into(),
        key_id: "key".into(),
        ..OAuthOptions::default()
    };
    Options { oauth: Some(oauth), ..options(url) }
}

/// A client whose authorization server answers the request of each number so, after a millisecond.
fn start(options: Options, mut answer: impl FnMut(usize) -> Answer + 'static) -> Harness {
    let harness = Harness::start(options);
    harness.world().token_server = Box::new(move |number| (Duration::from_millis(1), answer(number)));
    harness
}

fn answer(status: u16, body: &str) -> Answer {
    Ok(Response { status, body: body.into(), ..Response::default() })
}

fn limited(status: u16, seconds: u64) -> Answer {
    let headers = vec![("retry-after".to_owned(), seconds.to_string())];
    Ok(Response { status, headers, ..Response::default() })
}

/// When tokens were asked for, in seconds after the first time.
fn asked_at(harness: &Harness) -> Vec<u64> {
    let at = harness.world().tokens_asked_at.clone();
    at.iter().map(|moment| (moment - at[0]) / 1_000_000).collect()
}

/// What `error` listeners heard of the client itself.
fn troubles(harness: &Harness) -> Vec<(Option<u16>, String)> {
    let heard = harness.notices().into_iter().filter_map(|notice| match notice {
        Notice::Trouble { error, status } => Some((status, error.to_string())),
        _ => None,
    });
    heard.collect()
}

/// Why events were given up, in words.
fn reasons(harness: &Harness) -> Vec<String> {
    let causes = harness.notices().into_iter().filter_map(|notice| match notice {
        Notice::Dropped { cause, .. } => Some(cause.message()),
        _ => None,
    });
    causes.collect()
}

#[test]
fn whatever_it_answers_for_a_while_costs_no_event() {
    for status in [200, 204, 302, 400, 401, 403, 404, 408, 413, 415, 422, 425, 431, 451, 500, 501, 503, 511] {
        let server = Server::replying([]);
        for body in ["", "<html>", r#"{"error":"invalid_scope"}"#, r#"{"error":"access_denied"}"#] {
            let harness = start(with_oauth(&server.url), move |number| match number {
                0..4 => answer(status, body),
                _ => granted(3_600),
            });
            harness.track_many(100);
            assert_eq!(harness.flush().stats.delivered, 100, "{status} {body}");
            assert_eq!((harness.dropped().len(), troubles(&harness).len()), (0, 0), "{status} {body}");
        }
    }
}

#[test]
fn a_failure_gives_an_event_up_no_faster_than_one_of_segment() {
    for (max_retries, of_tokens, most_requests) in
        [(0, 0, 1), (1, 0, 2), (3, 0, 4), (0, 2, 3), (2, 1, 6), (3, 3, 16)]
    {
        let server = Server::replying([]);
        let mut options = Options { max_retries: Some(f64::from(max_retries)), ..with_oauth(&server.url) };
        options.oauth.as_mut().unwrap().max_retries = Some(f64::from(of_tokens));
        let harness = start(options, |_| answer(404, ""));
        harness.track_many(2);
        let report = harness.flush();
        assert_eq!(harness.dropped(), [(("server", Some(404)), vec![0, 1])].into());
        assert_eq!(harness.world().tokens_asked_at.len(), most_requests, "{max_retries} and {of_tokens}");
        // What Segment's failures would have taken at least, and a bound that somebody waits for.
        let least = (0..max_retries).map(|failure| 250 << failure).sum::<u128>();
        let took = report.duration.as_millis();
        assert!((least..60_000).contains(&took), "{took} ms with {max_retries} and {of_tokens}");
        let [reason] = &reasons(&harness)[..] else { panic!("one reason") };
        assert!(reason.contains("the authorization server gave no token"), "{reason}");
    }
}

#[test]
fn max_total_backoff_begins_with_the_first_failure() {
    let server = Server::replying([]);
    let options = Options { max_total_backoff_duration: Some(5.0), ..with_oauth(&server.url) };
    let harness = start(options, |_| Err(Failure::Network));
    harness.track_many(2);
    let report = harness.flush();
    assert_eq!(harness.dropped(), [(("network", None), vec![0, 1])].into());
    assert!((5_000..13_000).contains(&report.duration.as_millis()), "{:?}", report.duration);
}

#[test]
fn max_event_age_ends_what_waits_for_a_token() {
    let server = Server::replying([]);
    let options = Options { max_event_age: Some(90_000.0), ..with_oauth(&server.url) };
    let harness = start(options, |_| answer(500, ""));
    harness.track_many(2);
    let report = harness.flush();
    assert_eq!(harness.dropped(), [(("expired", None), vec![0, 1])].into());
    assert!((90..92).contains(&report.duration.as_secs()), "{:?}", report.duration);
}

#[test]
fn no_number_of_rate_limits_ends_an_event_but_their_time_does() {
    for status in [429, 503] {
        let server = Server::replying([]);
        let options = Options { max_retries: Some(0.0), ..with_oauth(&server.url) };
        let harness = start(
            options.clone(),
            move |number| {
                if number < 50 { limited(status, 60) } else { granted(3_600) }
            },
        );
        harness.track_many(2);
        assert_eq!(harness.flush().stats.delivered, 2, "{status}");
        assert!(asked_at(&harness)[50] >= 50 * 60);

        let options = Options { max_rate_limit_duration: Some(1.0), ..options };
        let harness = start(options, move |_| limited(status, 6));
        harness.track_many(2);
        let report = harness.flush();
        assert_eq!(harness.dropped(), [(("rate_limited", Some(status)), vec![0, 1])].into());
        assert!((1_000..1_100).contains(&report.duration.as_millis()), "{:?}", report.duration);
        assert_eq!(asked_at(&harness).len(), 1, "not after the pause");
        let [reason] = &reasons(&harness)[..] else { panic!("one reason") };
        assert!(
            reason.contains("authorization server") && reason.contains("maxRateLimitDuration"),
            "{reason}"
        );
    }
}

#[test]
fn a_flush_does_not_end_a_pause_that_it_asked_for() {
    let server = Server::replying([]);
    let harness = start(with_oauth(&server.url), |number| match number {
        0 => limited(429, 60),
        _ => granted(3_600),
    });
    harness.track_many(1);
    for id in 10..20 {
        harness.begin_flush(id, None, false);
        harness.pass(Duration::from_secs(5));
    }
    assert_eq!(asked_at(&harness), [0]);
    harness.pass(Duration::from_secs(20));
    assert_eq!((asked_at(&harness).len(), harness.delivered()), (2, vec![0]));
}

#[test]
fn a_way_out_does() {
    let server = Server::replying([]);
    let harness = start(with_oauth(&server.url), |number| match number {
        0 => limited(429, 60),
        _ => granted(3_600),
    });
    harness.track_many(1);
    harness.begin_flush(9, None, false);
    harness.pass(Duration::from_secs(5));
    assert_eq!(harness.close(Duration::from_secs(1)).stats.delivered, 1);
}

#[test]
fn a_refusal_of_the_client_is_told_at_once_and_probed_every_five_minutes() {
    for error in ["invalid_client", "invalid_grant", "unauthorized_client"] {
        for status in [400, 401, 403] {
            let server = Server::replying([]);
            let body = format!(r#"{{"error":"{error}","error_description":"secret"}}"#);
            let options = Options { max_retries: Some(0.0), ..with_oauth(&server.url) };
            let harness =
                start(options, move |number| if number < 4 { answer(status, &body) } else { granted(3_600) });
            harness.track_many(3);
            harness.track_and_wait(3);
            assert_eq!(harness.flush().stats.pending, 3);
            assert_eq!(harness.dropped(), [(("unauthorized", Some(status)), vec![3])].into(), "{error}");
            let [(told, text)] = &troubles(&harness)[..] else { panic!("told once") };
            assert_eq!(*told, Some(status));
            assert!(text.contains("the authorization server refused the OAuth client"), "{text}");
            assert!(!text.contains("secret"), "{text}");
            harness.wait_until(|stats| stats.delivered == 3);
            let pauses: Vec<_> = asked_at(&harness).windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(pauses.iter().all(|pause| (269..=331).contains(pause)), "{pauses:?}");
            assert_eq!((pauses.len(), troubles(&harness).len()), (4, 1));
        }
    }
}

#[test]
fn a_refusal_is_told_also_where_everybody_waits_for_events() {
    let server = Server::replying([]);
    let harness = start(with_oauth(&server.url), |_| answer(401, r#"{"error":"invalid_client"}"#));
    harness.track_and_wait(0);
    assert_eq!(harness.flush().stats.pending, 0);
    harness.track_and_wait(1);
    harness.wait_until(|stats| stats.pending == 0);
    assert_eq!(harness.dropped(), [(("unauthorized", Some(401)), vec![0, 1])].into());
    assert_eq!(troubles(&harness).len(), 1);
}

#[test]
fn a_refusal_is_told_while_the_old_token_is_good_still() {
    let server = Server::replying([]);
    let harness = start(with_oauth(&server.url), |number| match number {
        0 | 3 => granted(100),
        _ => answer(401, r#"{"error":"invalid_client"}"#),
    });
    let mut told = Vec::new();
    for number in 0..14 {
        harness.track(number).unwrap();
        assert_eq!(harness.flush().stats.delivered, number + 1);
        harness.pass(Duration::from_secs(11));
        told.push(troubles(&harness).len());
    }
    // Refused twice, granted, and refused again when the second token was half over.
    assert_eq!(told, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2], "{:?}", asked_at(&harness));
    assert_eq!(harness.dropped().len(), 0);
}
