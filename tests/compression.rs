//! gzip, and what happens where it is not taken.

use crate::support::server::Recorded;
use crate::support::{Harness, Reply, Server, options};

/// A server that takes plain bodies only.
fn plain_only(status: u16) -> Server {
    Server::start(move |_, request| Reply::Status(if request.is_gzip() { status } else { 200 }))
}

fn encodings(server: &Server) -> Vec<bool> {
    server.requests().iter().map(Recorded::is_gzip).collect()
}

#[test]
fn bodies_are_compressed_by_default() {
    let server = Server::replying([]);
    let harness =
        Harness::start(companion_segment::testing::Options { flush_at: Some(500.0), ..options(&server.url) });
    harness.track_many(500);
    harness.flush();
    let stats = harness.stats();
    assert_eq!(encodings(&server), [true]);
    assert_eq!(server.requests()[0].length as u64, stats.bytes_sent);
    assert!(stats.bytes_sent * 4 < stats.bytes_raw, "{stats:?}");
}

#[test]
fn refused_compression_is_tried_plain_once_and_then_stays_off() {
    for status in [400, 415] {
        let server = plain_only(status);
        let harness = Harness::start(options(&server.url));
        for number in 0..3 {
            harness.track(number).unwrap();
            harness.flush();
        }
        assert_eq!(encodings(&server), [true, false, false, false]);
        assert_eq!(harness.delivered(), [0, 1, 2]);
    }
}

#[test]
fn a_poison_event_does_not_turn_compression_off() {
    let server =
        Server::start(|_, request| Reply::Status(if request.numbers().contains(&1) { 400 } else { 200 }));
    let harness =
        Harness::start(companion_segment::testing::Options { flush_at: Some(2.0), ..options(&server.url) });
    harness.track_many(2);
    harness.flush();
    harness.track(2).unwrap();
    harness.flush();
    assert_eq!(harness.dropped(), [(("rejected", Some(400)), vec![1])].into());
    // Plain once and then until something is taken: a server that refuses everything is not asked everything twice.
    assert_eq!(encodings(&server), [true, false, false, false, true]);
}

#[test]
fn gzip_can_be_switched_off() {
    let server = Server::replying([]);
    let harness =
        Harness::start(companion_segment::testing::Options { gzip: Some(false), ..options(&server.url) });
    harness.track_many(1);
    harness.flush();
    assert_eq!(encodings(&server), [false]);
}

#[test]
fn a_server_that_has_taken_gzip_refuses_the_content() {
    let server = Server::replying([Reply::Status(200), Reply::Status(400)]);
    let harness = Harness::start(options(&server.url));
    for number in 0..2 {
        harness.track(number).unwrap();
        harness.flush();
    }
    assert_eq!(harness.dropped(), [(("rejected", Some(400)), vec![1])].into());
    assert_eq!(encodings(&server), [true, true], "not sent once more, plain");
}
