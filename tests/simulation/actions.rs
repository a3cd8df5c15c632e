//! What may happen in the simulated world.

use std::time::Duration;

use companion_segment::testing::{Client, EventType, Parts, Tracking};

use super::{Accepted, Ending, Promise, Simulation, Weather};
use crate::support::disk::Fault;
use crate::support::server::number;

impl Simulation {
    pub(super) fn act(&mut self) {
        let action = self.rng.u8(..100);
        self.trace(|| {
            format!("{action} at {} {:?} alive {:?}", self.world.now(), self.weather.get(), self.alive)
        });
        match action {
            0..40 => self.track(),
            40..58 => {
                let longest = [1_000, 100_000, 5_000_000, 400_000_000][self.rng.usize(..4)];
                self.world.pass(Duration::from_micros(self.rng.u64(..longest)));
            }
            58..68 => self.change_weather(),
            68..76 => self.flush(false),
            76..80 => self.flush(true),
            80..85 => self.kill_one(),
            85..88 => self.start_if_few(),
            88..93 => self.fail_disk(),
            93..95 => self.lose_power(),
            95..97 => self.panic_one(),
            97 => self.move_clock(),
            _ => self.damage(),
        }
        self.listen();
        self.look();
    }

    pub(super) fn track(&mut self) {
        let Some(node) = self.someone() else { return };
        let count = [1, 3, 40, 400][self.rng.usize(..4)];
        // A turn of the event loop, which may still be going on afterwards.
        let holds = self.rng.u8(..3) == 0;
        for _ in 0..self.rng.u64(1..=count) {
            self.last_number += 1;
            let number = self.last_number;
            let padding = "x".repeat(self.rng.usize(..300));
            let text = format!(r#"{{"userId":"u","event":"e","n":{number},"x":"{padding}"}}"#);
            let tracking = if self.rng.u8(..8) == 0 { Tracking::Whole } else { Tracking::Nobody };
            let Some(client) = &self.world.nodes[node].client else { return };
            let enqueue = if holds { Client::enqueue_held } else { Client::enqueue };
            let accepted = enqueue(client, text.as_bytes(), EventType::Track, Parts::default(), tracking);
            let Ok(sequence) = accepted else { continue };
            self.tally.accepted += 1;
            let is_written = client.is_persisted(sequence) != Some(false);
            let promise = if is_written { Promise::OnDisk } else { Promise::InMemory };
            let is_awaited = tracking.is_on();
            self.accepted.insert(
                number,
                Accepted { node, sequence, promise, is_awaited, is_over: false, is_recalled: false },
            );
            if self.rng.u8(..64) == 0 {
                self.world.settle();
            }
        }
        self.world.settle();
        if self.rng.bool() {
            self.end_turn(node);
        }
    }

    /// What was tracked in it leaves, or is taken back for plugins.
    pub(super) fn end_turn(&mut self, node: usize) {
        let Some(client) = &self.world.nodes[node].client else { return };
        if self.rng.u8(..4) > 0 {
            client.let_go();
        } else {
            for (_, event) in client.recall() {
                let number = number(&event);
                assert!(!self.arrived.borrow().contains_key(&number), "{number} was held");
                self.over(number);
                self.accepted.get_mut(&number).expect("an event that was accepted").is_recalled = true;
                self.tally.recalled += 1;
            }
        }
        self.world.settle();
    }

    pub(super) fn change_weather(&mut self) {
        if let Some(weather) = self.token_weather.clone()
            && self.rng.bool()
        {
            weather.set(match self.rng.u8(..9) {
                0..3 => Weather::Healthy,
                3 => Weather::Failing(404),
                4 => Weather::Failing(500),
                5 => Weather::Hanging,
                6 => Weather::Resetting,
                7 => Weather::Limited,
                _ => Weather::RefusingKey,
            });
            return;
        }
        self.weather.set(match self.rng.u8(..14) {
            0..5 => Weather::Healthy,
            5 => Weather::Failing(500),
            6 => Weather::Failing(503),
            7 => Weather::Hanging,
            8 => Weather::Resetting,
            9 => Weather::Limited,
            10 => Weather::RefusingAll,
            11 => Weather::RefusingKey,
            _ => Weather::Poisoned(self.rng.u64(2..60)),
        });
    }

    pub(super) fn flush(&mut self, closes: bool) {
        let Some(node) = self.someone() else { return };
        self.last_flush += 1;
        let limit = if closes || self.rng.bool() { Some(self.rng.u64(0..8_000)) } else { None };
        let Some(client) = &self.world.nodes[node].client else { return };
        client.flush(self.last_flush, limit.map(Duration::from_millis), closes);
        if let Some(limit) = limit {
            let begun = self.world.now();
            self.endings.push(Ending { node, id: self.last_flush, begun, limit: limit * 1_000 });
        }
        if closes {
            self.alive.retain(|alive| *alive != node);
        }
        self.world.settle();
    }

    pub(super) fn start_if_few(&mut self) {
        if self.alive.len() < 4 {
            self.start();
        }
    }

    pub(super) fn kill_one(&mut self) {
        let Some(node) = self.someone() else { return };
        self.tally.kills += 1;
        self.kill(node, Promise::OnDisk);
        if self.rng.bool() {
            self.start();
        }
    }

    /// What was promised less than this is excused.
    pub(super) fn kill(&mut self, node: usize, survives: Promise) {
        self.count_evictions(node);
        self.listen();
        self.alive.retain(|alive| *alive != node);
        self.endings.retain(|ending| ending.node != node);
        self.world.kill(node);
        for event in self.accepted.values_mut().filter(|event| event.node == node && event.promise < survives)
        {
            event.is_over = true;
        }
    }

    /// Before a client is gone, or at the end.
    pub(super) fn count_evictions(&mut self, node: usize) {
        if let Some(client) = &self.world.nodes[node].client {
            self.evicted_untold = self
                .evicted_untold
                .wrapping_add(client.stats().dropped.get("queue_full").copied().unwrap_or_default());
        }
    }

    pub(super) fn lose_power(&mut self) {
        self.tally.power_losses += 1;
        for node in 0..self.world.nodes.len() {
            if self.world.is_alive(node) {
                self.kill(node, Promise::Committed);
            }
        }
        // What ended processes left was promised as far as it was committed.
        for event in self.accepted.values_mut().filter(|event| event.promise < Promise::Committed) {
            event.is_over = true;
        }
        self.disk.lose_power(&mut self.rng);
        self.disk.set_fault(Fault::None);
        self.start();
    }

    pub(super) fn fail_disk(&mut self) {
        self.tally.faults += 1;
        let faults = [Fault::None, Fault::None, Fault::Full, Fault::Short, Fault::Sync, Fault::All];
        self.disk.set_fault(faults[self.rng.usize(..faults.len())]);
    }

    pub(super) fn panic_one(&mut self) {
        let Some(node) = self.someone() else { return };
        self.tally.panics += 1;
        self.world.panic(node);
        self.world.settle();
    }

    pub(super) fn move_clock(&mut self) {
        let Some(node) = self.someone() else { return };
        let days = [0, 0, -3, 3][self.rng.usize(..4)];
        self.world.nodes[node].clock.set_wall_offset(days * 86_400_000);
    }

    pub(super) fn damage(&mut self) {
        let files = self.disk.files();
        // Rarely: after it, loss can't be told from damage.
        if files.is_empty() || self.rng.u8(..6) > 0 {
            return;
        }
        self.is_damaged = true;
        self.tally.faults += 1;
        let path = &files[self.rng.usize(..files.len())];
        let mut bytes = self.disk.content(path);
        match self.rng.u8(..3) {
            0 => self.disk.delete(path),
            1 if !bytes.is_empty() => {
                let length = self.rng.usize(..bytes.len());
                bytes.truncate(length);
                self.disk.replace(path, bytes);
            }
            _ if !bytes.is_empty() => {
                let index = self.rng.usize(..bytes.len());
                bytes[index] ^= 1 << self.rng.u8(..8);
                self.disk.replace(path, bytes);
            }
            _ => {}
        }
    }
}
