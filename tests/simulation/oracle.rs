//! What has to hold in the simulated world, all the time and at its end.

use std::collections::BTreeSet;
use std::time::Duration;

use companion_segment::testing::Notice;

use super::{Accepted, Ending, Promise, Simulation, Tally, Weather};
use crate::support::disk::Fault;
use crate::support::server::number;

impl Simulation {
    /// Takes in what clients have told.
    pub(super) fn listen(&mut self) {
        for node in 0..self.world.nodes.len() {
            for notice in self.world.nodes[node].memory.take() {
                match notice {
                    Notice::Delivered { events, .. } => {
                        for event in events {
                            let number = number(event.bytes.as_deref().unwrap());
                            assert!(
                                self.arrived.borrow().contains_key(&number),
                                "{number} is said to be delivered"
                            );
                            self.over(number);
                        }
                    }
                    Notice::Dropped { events, cause } => {
                        if cause.reason.name() == "queue_full" {
                            self.evicted_untold = self.evicted_untold.wrapping_sub(events.len() as u64);
                        }
                        for event in events.iter().filter(|event| event.bytes.as_ref() != b"{}") {
                            if cause.at_authorization {
                                // Nothing else is given up for want of a token: retries have no limit here.
                                let is_awaited = self.accepted[&number(&event.bytes)].is_awaited;
                                assert!(is_awaited && cause.reason.name() == "unauthorized", "{cause:?}");
                            }
                            self.over(number(&event.bytes));
                        }
                    }
                    Notice::Persisted { persisted, up_to } => {
                        // The first notice that concerns an event is the one that whoever waits for it hears.
                        let known = self.committed.insert(node, up_to).unwrap_or(0);
                        let concerned = |event: &&mut Accepted| {
                            persisted && event.node == node && (known + 1..=up_to).contains(&event.sequence)
                        };
                        for event in self.accepted.values_mut().filter(concerned) {
                            event.promise = event.promise.max(Promise::Committed);
                        }
                    }
                    Notice::Flushed { id, report } => {
                        let left_over = report.unflushed.len();
                        self.trace(|| {
                            format!("flush {id} of {node}: {left_over} left over, {:?}", report.stats)
                        });
                        assert!(report.stats.balanced(), "{:?}", report.stats);
                        for event in &report.unflushed {
                            self.over(number(event));
                        }
                        if let Some(index) = self.endings.iter().position(|ending| ending.id == id) {
                            self.endings.remove(index);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn over(&mut self, number: u64) {
        self.accepted.get_mut(&number).expect("an event that was accepted").is_over = true;
    }

    /// What has to hold all the time.
    pub(super) fn look(&mut self) {
        let now = self.world.now();
        for Ending { begun, limit, id, .. } in &self.endings {
            assert!(now <= begun + limit + 600_000, "flush {id} takes {} of {limit} us", now - begun);
        }
        for node in &self.alive {
            let stats = self.world.nodes[*node].client.as_ref().unwrap().stats();
            assert!(stats.balanced(), "{stats:?}");
            // Recovered events have a quarter of that beside it, and one piece that is being read.
            assert!(stats.queue_bytes <= self.max_queue_bytes * 5 / 4 + 200_000, "{}", stats.queue_bytes);
            assert!(stats.spool_bytes <= self.max_spool_bytes * 8 / 5 + 200_000, "{}", stats.spool_bytes);
        }
        self.check_rates();
    }

    /// No client makes a storm of a failure: of the last hundred requests with nothing but refusals, how long apart are
    /// the first and the last?
    pub(super) fn check_rates(&self) {
        let requests = &self.world.sent_at;
        if self.weather.get() != Weather::RefusingAll || requests.len() < 1_000 {
            return;
        }
        let recent = requests.iter().rev().take_while(|at| **at + 1_000_000 > self.world.now()).count();
        assert!(recent <= 600 * self.world.nodes.len(), "{recent} requests in a second");
    }

    /// Everything is well again, and stays so for long enough.
    pub(super) fn end(&mut self) {
        self.weather.set(Weather::Healthy);
        if let Some(weather) = &self.token_weather {
            weather.set(Weather::Healthy);
        }
        self.disk.set_fault(Fault::None);
        for node in 0..self.world.nodes.len() {
            self.world.nodes[node].clock.set_wall_offset(0);
        }
        if self.alive.is_empty() {
            self.start();
        }
        for client in self.alive.iter().filter_map(|node| self.world.nodes[*node].client.as_ref()) {
            client.let_go();
        }
        let most = self.world.now() + 3 * 3_600_000_000;
        loop {
            self.world.pass(Duration::from_secs(30));
            self.listen();
            self.look();
            let is_done = |node: &usize| {
                let stats = self.world.nodes[*node].client.as_ref().unwrap().stats();
                let has_looked = !self.has_spool || stats.orphans == Some(0);
                stats.pending == 0 && (stats.spooled == 0) && has_looked
            };
            if self.alive.iter().all(is_done) {
                break;
            }
            let stats: Vec<_> = self
                .alive
                .iter()
                .map(|node| self.world.nodes[*node].client.as_ref().unwrap().stats())
                .collect();
            assert!(self.world.now() < most, "it does not come to an end: {stats:#?}");
        }
        // Directories of processes that have just ended are found with the next look.
        self.world.pass(Duration::from_secs(300));
        for node in 0..self.world.nodes.len() {
            self.count_evictions(node);
        }
        self.listen();
        self.account();
    }

    pub(super) fn account(&mut self) {
        let arrived = self.arrived.borrow();
        let unknown: Vec<_> = arrived.keys().filter(|number| !self.accepted.contains_key(number)).collect();
        assert!(unknown.is_empty(), "{unknown:?} were invented");
        let Tally { kills, power_losses, faults, panics, .. } = self.tally;
        let is_undisturbed = kills + power_losses + faults + panics == 0;
        let is_back = |number: &&u64| self.accepted.get(number).is_some_and(|event| event.is_recalled);
        let back: Vec<_> = arrived.keys().filter(is_back).collect();
        assert!(back.is_empty() || !is_undisturbed, "{back:?} were taken back");
        let lost: BTreeSet<_> = self
            .accepted
            .iter()
            .filter(|(number, event)| !event.is_over && !arrived.contains_key(number))
            .map(|(number, event)| (*number, event.promise, event.node))
            .collect();
        for path in self.disk.files() {
            self.trace(|| format!("left: {} {} bytes", path.display(), self.disk.content(&path).len()));
        }
        let may_be_lost = lost.len() as u64 <= self.evicted_untold;
        assert!(
            may_be_lost || self.is_damaged,
            "{} events are lost: {:?}",
            lost.len(),
            lost.iter().take(9).collect::<Vec<_>>()
        );
        self.tally.duplicates += arrived.values().map(|times| u64::from(times - 1)).sum::<u64>();
    }
}
