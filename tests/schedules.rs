//! Threads in every order that chance comes up with: what the gate, the snapshot and the mailbox promise holds in all of
//! them, and nobody waits for a wake-up that never comes (the scheduler reports a deadlock). Time stands still.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --features testing --test schedules`; `SCHEDULES=100000` tries so many.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test that panics has done its work")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use companion_segment::testing::{
    Client, Clock, Delivered, Environment, EventType, Input, Interest, Mailbox, Moment, Notice, Observer,
    Options, Output, Parts, Pause, Response, SystemDisk, Tracking, Undriven, Worker,
};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

fn check(test: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(500);
    shuttle::check_random(test, schedules);
}

/// Nobody waits for so long: time stands still.
const LONG: Duration = Duration::from_secs(60);

/// It stands still.
struct Still;

impl Clock for Still {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn sleep(&self, _: Duration) -> Pause {
        unreachable!("nobody sleeps here")
    }
}

/// Something that can be waited for, once for each time or for several at once.
#[derive(Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.has_rung.lock().unwrap() = true;
        self.rings.notify_one();
    }

    fn wait(&self) {
        let mut has_rung =
            self.rings.wait_while(self.has_rung.lock().unwrap(), |has_rung| !*has_rung).unwrap();
        *has_rung = false;
    }
}

#[derive(Default)]
struct Told {
    flushed: Mutex<Vec<u32>>,
    delivered: Mutex<usize>,
    rings: Condvar,
}

impl Observer for Told {
    fn interest(&self) -> Interest {
        Interest { delivered: true, ..Interest::default() }
    }

    fn notify(&self, notice: Notice) {
        match notice {
            Notice::Flushed { id, report } => {
                assert!(report.stats.balanced());
                self.flushed.lock().unwrap().push(id);
            }
            Notice::Delivered { events, .. } => *self.delivered.lock().unwrap() += events.len(),
            _ => return,
        }
        self.rings.notify_all();
    }
}

/// Drives a worker as the engine's thread does; every request is answered at once.
fn drive(mut worker: Worker, bell: &Bell, told: &Told) {
    let mut inputs = vec![Input::Nothing];
    while !worker.is_finished() {
        let input = match inputs.pop() {
            Some(input) => input,
            None => {
                if worker.due_at() != Some(Duration::ZERO) {
                    bell.wait();
                }
                Input::Nothing
            }
        };
        let now = Moment { elapsed: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };
        for output in worker.step(now, told.interest(), input) {
            match output {
                Output::Send(attempt) => {
                    let answer = Ok(Response { status: 200, ..Response::default() });
                    inputs.push(Input::Answered { request: attempt.request, answer });
                }
                Output::Notify(notice) => told.notify(notice),
                Output::Cancel(_) => {}
                other => unreachable!("{other:?}"),
            }
        }
        worker.check();
    }
}

fn start(flush_at: f64) -> (Arc<Client>, thread::JoinHandle<()>, Arc<Told>) {
    let (bell, told) = (Arc::new(Bell::default()), Arc::new(Told::default()));
    let rung = Arc::clone(&bell);
    let options = Options {
        write_key: "key".into(),
        flush_at: Some(flush_at),
        node_version: "20".into(),
        ..Options::default()
    };
    let environment = Environment {
        clock: Arc::new(Still),
        generator: fastrand::Rng::with_seed(1),
        disk: Arc::new(SystemDisk),
    };
    let wake = Box::new(move || rung.ring());
    let observer = Arc::clone(&told) as Arc<dyn Observer>;
    let Undriven { client, worker, .. } =
        Client::undriven(options.build().unwrap(), environment, observer, false, wake);
    let listening = Arc::clone(&told);
    let engine = thread::spawn(move || drive(worker, &bell, &listening));
    (Arc::new(client), engine, told)
}

fn track(client: &Client) {
    let text = br#"{"userId":"u","event":"e"}"#;
    client.enqueue(text, EventType::Track, Parts::default(), Tracking::Nobody).unwrap();
    assert!(client.stats().balanced());
}

#[test]
fn every_event_that_is_accepted_is_delivered_without_anybody_asking() {
    check(|| {
        let (client, engine, _told) = start(1.0);
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let client = Arc::clone(&client);
                thread::spawn(move || (0..2).for_each(|_| track(&client)))
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        let ticket = client.begin_drain(LONG);
        assert_eq!(client.end_drain(ticket, LONG), 0);
        assert_eq!(client.stats().delivered, 4);
        drop(client);
        engine.join().unwrap();
    });
}

#[test]
fn a_batch_that_is_full_wakes_the_worker() {
    check(|| {
        let (client, engine, told) = start(3.0);
        let caller = {
            let client = Arc::clone(&client);
            thread::spawn(move || (0..3).for_each(|_| track(&client)))
        };
        caller.join().unwrap();
        // Nobody flushes: if the wake-up got lost, this would never end.
        let delivered = told.delivered.lock().unwrap();
        drop(told.rings.wait_while(delivered, |delivered| *delivered < 3).unwrap());
        drop(client);
        engine.join().unwrap();
    });
}

#[test]
fn the_end_of_a_turn_wakes_the_worker_for_what_was_held() {
    check(|| {
        let (client, engine, told) = start(2.0);
        let caller = {
            let client = Arc::clone(&client);
            thread::spawn(move || {
                let text = br#"{"userId":"u","event":"e"}"#;
                for turn in 0..2 {
                    for _ in 0..2 {
                        client
                            .enqueue_held(text, EventType::Track, Parts::default(), Tracking::Nobody)
                            .unwrap();
                    }
                    if turn == 0 {
                        client.let_go();
                    }
                }
                // Those of the second turn are taken back and come again.
                let recalled = client.recall();
                recalled.iter().for_each(|_| track(&client));
            })
        };
        caller.join().unwrap();
        let delivered = told.delivered.lock().unwrap();
        drop(told.rings.wait_while(delivered, |delivered| *delivered < 4).unwrap());
        assert_eq!((client.stats().accepted, client.stats().pending), (4, 0));
        drop(client);
        engine.join().unwrap();
    });
}

#[test]
fn flushes_and_ways_out_from_several_threads_all_end() {
    check(|| {
        let (client, engine, told) = start(100.0);
        let flusher = |id: u32| {
            let client = Arc::clone(&client);
            thread::spawn(move || {
                track(&client);
                client.flush(id, None, false);
                let ticket = client.begin_drain(LONG);
                let _left = client.end_drain(ticket, LONG);
            })
        };
        let flushers = [flusher(1), flusher(2)];
        flushers.into_iter().for_each(|flusher| flusher.join().unwrap());
        let flushed = told.flushed.lock().unwrap();
        drop(told.rings.wait_while(flushed, |flushed| flushed.len() < 2).unwrap());
        assert_eq!(client.stats().delivered, 2);
        drop(client);
        engine.join().unwrap();
    });
}

#[test]
fn closing_while_others_track_loses_nothing() {
    check(|| {
        let (client, engine, told) = start(1.0);
        let closer = {
            let client = Arc::clone(&client);
            thread::spawn(move || client.flush(7, None, true))
        };
        let text = br#"{"userId":"u","event":"e"}"#;
        let accepted = (0..3)
            .filter(|_| client.enqueue(text, EventType::Track, Parts::default(), Tracking::Nobody).is_ok())
            .count();
        closer.join().unwrap();
        let flushed = told.flushed.lock().unwrap();
        drop(told.rings.wait_while(flushed, |flushed| flushed.is_empty()).unwrap());
        let stats = client.stats();
        assert_eq!((stats.delivered, stats.pending), (accepted as u64, 0));
        drop(client);
        engine.join().unwrap();
    });
}

#[test]
fn mail_is_taken_whole_and_in_order_whoever_posts_it() {
    check(|| {
        let bell = Arc::new(Bell::default());
        let rung = Arc::clone(&bell);
        let mailbox = Arc::new(Mailbox::new(Box::new(move || rung.ring()), 0));
        let posters: Vec<_> = (0..2_u64)
            .map(|poster| {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || {
                    for number in 0..3 {
                        let events = vec![Delivered { sequence: poster * 10 + number, bytes: None }];
                        mailbox.notify(Notice::Delivered { attempts: 1, events });
                    }
                })
            })
            .collect();
        let mut taken = Vec::new();
        while taken.len() < 6 {
            bell.wait();
            loop {
                let (mail, _) = mailbox.take();
                let notices: Vec<serde_json::Value> = serde_json::from_str(&mail).unwrap();
                let events = notices.iter().filter_map(|notice| notice["events"][0][0].as_u64());
                taken.extend(events);
                if notices.last().is_none_or(|last| last["type"] != "more") {
                    break;
                }
            }
        }
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        let of = |poster: u64| taken.iter().filter(move |number| **number / 10 == poster).copied();
        assert!(of(0).is_sorted() && of(1).is_sorted() && taken.len() == 6, "{taken:?}");
    });
}
