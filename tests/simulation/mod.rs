//! Whole clients, several processes on one directory, in a world that fails by a seed: the network in every way it can,
//! the disk, the power, the clock, and the engine itself. After every step the worker's own invariants are checked
//! ([`World`] calls `check()`), and at the end every event that was accepted is accounted for.
//!
//! `SIMULATION_SEEDS=200000` runs so many, `SIMULATION_SEED=17` runs one of them alone, `SIMULATION_TRACE=1` with every
//! action written down.

mod actions;
mod oracle;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use companion_segment::testing::{
    Durability, Failure, OAuthOptions, Options, Overflow, Response, SpoolOptions,
};
use fastrand::Rng;

use crate::support::disk::SimulatedDisk;
use crate::support::server::{Recorded, Reply};
use crate::support::world::{TokenServer, World, granted};

/// How the other side is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Healthy,
    Failing(u16),
    Hanging,
    Resetting,
    Limited,
    RefusingAll,
    RefusingKey,
    /// Every event whose number is a multiple of this is bad.
    Poisoned(u64),
}

/// What was promised of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Promise {
    /// Delivered or told, as long as its process lives.
    InMemory,
    /// It survives its process.
    OnDisk,
    /// It survives a power loss.
    Committed,
}

struct Accepted {
    node: usize,
    sequence: u64,
    promise: Promise,
    /// Somebody waits for its end.
    is_awaited: bool,
    /// Its end was told, or it is excused: its process was killed, or somebody damaged the disk.
    is_over: bool,
    /// It was taken back before it could leave.
    is_recalled: bool,
}

struct Ending {
    node: usize,
    id: u32,
    begun: u64,
    limit: u64,
}

#[derive(Default)]
struct Tally {
    accepted: u64,
    kills: u64,
    power_losses: u64,
    faults: u64,
    panics: u64,
    duplicates: u64,
    recalled: u64,
}

struct Simulation {
    world: World,
    disk: SimulatedDisk,
    rng: Rng,
    weather: Rc<Cell<Weather>>,
    /// How the authorization server is, where clients have OAuth.
    token_weather: Option<Rc<Cell<Weather>>>,
    arrived: Rc<RefCell<BTreeMap<u64, u32>>>,
    options: Options,
    has_spool: bool,
    alive: Vec<usize>,
    accepted: BTreeMap<u64, Accepted>,
    endings: Vec<Ending>,
    /// The last event that each client's commits have concerned.
    committed: BTreeMap<usize, u64>,
    last_number: u64,
    last_flush: u32,
    is_damaged: bool,
    /// Every action is written down.
    traces: bool,
    /// Events that had to go from disk, and were counted but not told one by one.
    evicted_untold: u64,
    max_queue_bytes: u64,
    max_spool_bytes: u64,
    tally: Tally,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let weather = Rc::new(Cell::new(Weather::Healthy));
        let arrived = Rc::new(RefCell::new(BTreeMap::new()));
        let network = {
            let (weather, arrived, mut rng) = (Rc::clone(&weather), Rc::clone(&arrived), rng.fork());
            move |_, request: &Recorded| {
                let after = Duration::from_micros(rng.u64(200..150_000));
                let is_bad =
                    |number: &u64| matches!(weather.get(), Weather::Poisoned(n) if number.is_multiple_of(n));
                let reply = match weather.get() {
                    Weather::Failing(status) => Reply::Status(status),
                    Weather::Hanging => Reply::Hang,
                    Weather::Resetting => Reply::Reset,
                    Weather::Limited => Reply::With(429, "retry-after", rng.u64(1..40).to_string()),
                    Weather::RefusingAll => Reply::Status([400, 413, 422][rng.usize(..3)]),
                    Weather::RefusingKey => Reply::Status(401),
                    Weather::Poisoned(_) if request.n.iter().any(is_bad) => Reply::Status(400),
                    Weather::Healthy | Weather::Poisoned(_) => Reply::Status(200),
                };
                // An answer may be lost although the events arrived.
                let is_taken =
                    matches!(reply, Reply::Status(200)) || (matches!(reply, Reply::Reset) && rng.bool());
                if is_taken {
                    for number in &request.n {
                        *arrived.borrow_mut().entry(*number).or_insert(0) += 1;
                    }
                }
                (after, reply)
            }
        };
        let has_spool = rng.u8(..4) > 0;
        let durability = if rng.bool() { Durability::Power } else { Durability::Process };
        let max_queue_bytes: u32 = if rng.bool() { 65_536 } else { 1 << 20 };
        let max_spool_bytes: u32 = 1 << 20;
        let spool = SpoolOptions {
            directory: "/spool".into(),
            durability: Some(durability),
            max_bytes: Some(f64::from(max_spool_bytes)),
            ..SpoolOptions::default()
        };
        // Whether there is OAuth takes no number of the seed's: the other two thirds stay what they were.
        let token_weather = seed.is_multiple_of(3).then(|| Rc::new(Cell::new(Weather::Healthy)));
        let oauth = token_weather.as_ref().map(|_| OAuthOptions {
            client_id: "client".into(),
            client_key: include_str!("../../src/delivery/oauth/test-key.pem").into(),
            key_id: "key".into(),
            ..OAuthOptions::default()
        });
        let options = Options {
            oauth,
            write_key: "key".into(),
            node_version: "20.0.0".into(),
            flush_at: rng.bool().then(|| f64::from(rng.u16(1..60))),
            flush_interval: Some(f64::from(rng.u16(1..10_000))),
            max_concurrent_requests: Some(f64::from(rng.u8(1..6))),
            max_queue_bytes: Some(f64::from(max_queue_bytes)),
            overflow: Some(if rng.bool() { Overflow::DropNewest } else { Overflow::DropOldest }),
            spool: has_spool.then_some(spool),
            ..Options::default()
        };
        let mut world = World::new(Box::new(network));
        world.encodes = false;
        if let Some(weather) = &token_weather {
            world.token_server = token_server(Rc::clone(weather), Rng::with_seed(seed));
        }
        let mut latency = rng.fork();
        world.disk_latency = Box::new(move || Duration::from_micros(latency.u64(20..20_000)));
        world.commits_early = rng.bool();
        let mut simulation = Self {
            world,
            disk: SimulatedDisk::default(),
            rng,
            weather,
            token_weather,
            arrived,
            options,
            has_spool,
            alive: Vec::new(),
            accepted: BTreeMap::new(),
            endings: Vec::new(),
            committed: BTreeMap::new(),
            last_number: 0,
            last_flush: 0,
            is_damaged: false,
            traces: std::env::var_os("SIMULATION_TRACE").is_some(),
            evicted_untold: 0,
            max_queue_bytes: max_queue_bytes.into(),
            max_spool_bytes: max_spool_bytes.into(),
            tally: Tally::default(),
        };
        for _ in 0..simulation.rng.usize(1..4) {
            simulation.start();
        }
        simulation
    }

    fn start(&mut self) {
        let seed = self.rng.u64(..);
        let node = self.world.start(self.options.clone(), &self.disk, seed, 0);
        self.alive.push(node);
    }

    #[allow(clippy::print_stderr, reason = "asked for by SIMULATION_TRACE")]
    fn trace(&self, text: impl FnOnce() -> String) {
        if self.traces {
            eprintln!("{}", text());
        }
    }

    fn someone(&mut self) -> Option<usize> {
        (!self.alive.is_empty()).then(|| self.alive[self.rng.usize(..self.alive.len())])
    }
}

/// An authorization server that is as the weather is.
fn token_server(weather: Rc<Cell<Weather>>, mut rng: Rng) -> TokenServer {
    Box::new(move |_| {
        let after = Duration::from_micros(rng.u64(200..150_000));
        let answer = |status, headers: &[(&str, String)], body: &str| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            Ok(Response { status, status_text: None, headers, body: body.into() })
        };
        let answer = match weather.get() {
            Weather::Failing(status) => answer(status, &[], "<html>"),
            Weather::Hanging => return (Duration::from_secs(15), Err(Failure::Timeout)),
            Weather::Resetting => Err(Failure::Network),
            Weather::Limited => answer(429, &[("retry-after", rng.u64(1..40).to_string())], ""),
            Weather::RefusingKey => answer(401, &[], r#"{"error":"invalid_client"}"#),
            Weather::Healthy | Weather::RefusingAll | Weather::Poisoned(_) => granted(rng.u64(1..600)),
        };
        (after, answer)
    })
}

fn run(seed: u64) -> Tally {
    let mut simulation = Simulation::new(seed);
    for _ in 0..simulation.rng.usize(10..70) {
        simulation.act();
    }
    simulation.end();
    simulation.tally
}

#[test]
fn whatever_fails_every_event_is_accounted_for() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = variable("SIMULATION_SEED") {
        run(seed);
        return;
    }
    let (seeds, start) = (variable("SIMULATION_SEEDS").unwrap_or(2_000), Instant::now());
    let mut sum = Tally::default();
    for seed in 0..seeds {
        let tally = catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|_| {
            panic!("seed {seed} fails; alone: SIMULATION_SEED={seed} cargo test --features testing --test engine simulation")
        });
        sum.accepted += tally.accepted;
        sum.kills += tally.kills;
        sum.power_losses += tally.power_losses;
        sum.faults += tally.faults;
        sum.panics += tally.panics;
        sum.duplicates += tally.duplicates;
        sum.recalled += tally.recalled;
    }
    let Tally { accepted, kills, power_losses, faults, panics, duplicates, recalled } = sum;
    assert!(kills > 0 && power_losses > 0 && faults > 0 && panics > 0 && duplicates > 0, "the paths ran");
    assert!(recalled > 0, "events were taken back");
    println!(
        "chaos: {{\"row\":\"simulation\",\"sequences\":{seeds},\"accepted\":{accepted},\"kills\":{kills},\
         \"powerLosses\":{power_losses},\"faults\":{},\"duplicates\":{duplicates},\"lost\":0,\"corrupted\":0,\"seconds\":{:.1}}}",
        faults + panics,
        start.elapsed().as_secs_f64()
    );
}
