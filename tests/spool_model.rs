//! The log against a model of it: whatever happens in whatever order, what was accepted and not settled is there
//! afterwards, and nothing else is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use companion_segment::config::Durability;
use fastrand::Rng;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::disk::{Fault, SimulatedDisk};
use crate::support::spool::{Life, Setup};

#[derive(Clone, Copy, Debug)]
enum Action {
    Append { count: u8, on_disk_only: bool },
    ReadBack,
    Settle { skip: u8, count: u8 },
    Tidy,
    Sync,
    Fail(Fault),
    Recover,
    Kill,
    LosePower(u64),
    FlipByte { file: u8, offset: u16 },
    Truncate { file: u8, length: u16 },
    RemoveFile(u8),
}

fn action() -> impl Strategy<Value = Action> {
    let fault = prop_oneof![Just(Fault::Full), Just(Fault::Short), Just(Fault::Sync), Just(Fault::All)];
    prop_oneof![
        8 => (1..12_u8, any::<bool>()).prop_map(|(count, on_disk_only)| Action::Append { count, on_disk_only }),
        3 => Just(Action::ReadBack),
        5 => (0..4_u8, 1..30_u8).prop_map(|(skip, count)| Action::Settle { skip, count }),
        4 => Just(Action::Tidy),
        3 => Just(Action::Sync),
        2 => fault.prop_map(Action::Fail),
        2 => Just(Action::Recover),
        3 => Just(Action::Kill),
        1 => any::<u64>().prop_map(Action::LosePower),
        1 => (any::<u8>(), any::<u16>()).prop_map(|(file, offset)| Action::FlipByte { file, offset }),
        1 => (any::<u8>(), any::<u16>()).prop_map(|(file, length)| Action::Truncate { file, length }),
        1 => any::<u8>().prop_map(Action::RemoveFile),
    ]
}

/// What happened over all sequences, so that the test can tell whether it tested anything.
#[derive(Default)]
struct Tally {
    sequences: u64,
    appended: u64,
    kills: u64,
    power_losses: u64,
    faults: u64,
    damages: u64,
    duplicates: u64,
}

struct Model {
    disk: SimulatedDisk,
    setup: Setup,
    life: Life,
    last_id: u64,
    /// Accepted and on disk.
    must_be_there: BTreeSet<u64>,
    /// Settled, or not taken by a failing disk: may come back, need not.
    may_be_there: BTreeSet<u64>,
    /// Committed: survives a power loss.
    persisted: BTreeSet<u64>,
    /// Somebody damaged files: what must be there may be lost, but nothing may be invented.
    is_damaged: bool,
    has_failed_commit: bool,
}

impl Model {
    fn new(durability: Durability, is_encrypted: bool) -> Self {
        let keys =
            if is_encrypted { vec![companion_segment::config::Secret::new([7; 32])] } else { Vec::new() };
        let setup = Setup { durability, keys, ..Setup::default() };
        let disk = SimulatedDisk::default();
        let life = Life::begin(Arc::new(disk.clone()), &setup);
        Self {
            disk,
            setup,
            life,
            last_id: 0,
            must_be_there: BTreeSet::new(),
            may_be_there: BTreeSet::new(),
            persisted: BTreeSet::new(),
            is_damaged: false,
            has_failed_commit: false,
        }
    }

    fn perform(&mut self, action: Action, tally: &mut Tally) {
        match action {
            Action::Append { count, on_disk_only } => {
                for _ in 0..count {
                    self.last_id += 1;
                    tally.appended += 1;
                    if self.life.append(self.last_id, on_disk_only) {
                        self.must_be_there.insert(self.last_id);
                    } else {
                        self.may_be_there.insert(self.last_id);
                    }
                }
            }
            Action::ReadBack => self.life.read_back(),
            Action::Settle { skip, count } => {
                // What is on disk only is read before it can be settled.
                self.life.read_back();
                if !self.life.spool.books().all_read() {
                    return;
                }
                for id in self.life.settle(skip.into(), count.into()) {
                    self.must_be_there.remove(&id);
                    self.persisted.remove(&id);
                    self.may_be_there.insert(id);
                }
            }
            Action::Tidy => self.life.tidy(),
            Action::Sync => {
                if let Some(up_to) = self.life.sync() {
                    // What was adopted was promised by nobody.
                    let committed = self.life.open.range(..=up_to);
                    let own = committed.filter(|(sequence, _)| self.life.own.contains(sequence));
                    self.persisted
                        .extend(own.map(|(_, id)| *id).filter(|id| self.must_be_there.contains(id)));
                }
            }
            Action::Fail(fault) => {
                tally.faults += 1;
                self.has_failed_commit |= fault == Fault::Sync || fault == Fault::All;
                self.disk.set_fault(fault);
            }
            Action::Recover => {
                self.disk.set_fault(Fault::None);
                self.life.recover();
            }
            Action::Kill => {
                tally.kills += 1;
                self.disk.kill();
                self.restart(tally);
            }
            Action::LosePower(seed) => {
                tally.power_losses += 1;
                self.disk.lose_power(&mut Rng::with_seed(seed));
                let lost: Vec<_> = self.must_be_there.difference(&self.persisted).copied().collect();
                for id in lost {
                    self.must_be_there.remove(&id);
                    self.may_be_there.insert(id);
                }
                self.restart(tally);
            }
            Action::FlipByte { file, offset } => self.damage(file, tally, |bytes| {
                let offset = usize::from(offset) % bytes.len();
                bytes[offset] ^= 0x10;
            }),
            Action::Truncate { file, length } => {
                self.damage(file, tally, |bytes| bytes.truncate(usize::from(length) % bytes.len()));
            }
            Action::RemoveFile(file) => {
                if let Some(path) = self.pick(file) {
                    tally.damages += 1;
                    self.is_damaged = true;
                    self.disk.delete(&path);
                }
            }
        }
    }

    fn pick(&self, file: u8) -> Option<std::path::PathBuf> {
        let files = self.disk.files();
        files.get(usize::from(file) % files.len().max(1)).cloned()
    }

    fn damage(&mut self, file: u8, tally: &mut Tally, change: impl FnOnce(&mut Vec<u8>)) {
        let Some(path) = self.pick(file) else { return };
        let mut bytes = self.disk.content(&path);
        if bytes.is_empty() {
            return;
        }
        tally.damages += 1;
        self.is_damaged = true;
        change(&mut bytes);
        self.disk.replace(&path, bytes);
    }

    fn restart(&mut self, tally: &mut Tally) {
        self.disk.set_fault(Fault::None);
        self.life = Life::begin(Arc::new(self.disk.clone()), &self.setup);
        let mut found = BTreeSet::new();
        for id in self.life.open.values() {
            let is_new = found.insert(*id);
            // After a failed commit there may be an old and a new copy, until the old one is acknowledged.
            assert!(is_new || self.has_failed_commit, "event {id} is there twice");
            tally.duplicates += u64::from(!is_new);
            assert!(
                self.must_be_there.contains(id) || self.may_be_there.contains(id),
                "event {id} was invented"
            );
        }
        tally.duplicates += found.intersection(&self.may_be_there).count() as u64;
        if !self.is_damaged {
            let lost: Vec<_> = self.must_be_there.difference(&found).collect();
            assert!(lost.is_empty(), "events {lost:?} are lost");
        }
        // Without its acknowledgements, what was settled long ago may come back too.
        self.may_be_there.extend(self.must_be_there.difference(&found));
        self.may_be_there.retain(|id| !found.contains(id));
        self.must_be_there.clone_from(&found);
        // What a life has taken over from synced files is as durable as it was.
        self.persisted = self.persisted.intersection(&found).copied().collect();
    }
}

#[test]
fn whatever_happens_what_was_accepted_is_there() {
    let sequences =
        std::env::var("SPOOL_SEQUENCES").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
    let mut runner =
        TestRunner::new(Config { cases: sequences, failure_persistence: None, ..Config::default() });
    let tally = std::cell::RefCell::new(Tally::default());
    let start = Instant::now();
    let strategy = (proptest::collection::vec(action(), 1..60), any::<bool>(), any::<bool>());
    runner
        .run(&strategy, |(actions, is_power, is_encrypted)| {
            let tally = &mut tally.borrow_mut();
            tally.sequences += 1;
            let durability = if is_power { Durability::Power } else { Durability::Process };
            let mut model = Model::new(durability, is_encrypted);
            for action in actions.into_iter().chain([Action::Kill]) {
                model.perform(action, tally);
            }
            Ok(())
        })
        .unwrap();
    let Tally { sequences, appended, kills, power_losses, faults, damages, duplicates } = tally.into_inner();
    assert!(power_losses > 0 && faults > 0 && damages > 0 && duplicates > 0, "the paths ran");
    println!(
        "chaos: {{\"row\":\"model\",\"sequences\":{sequences},\"accepted\":{appended},\"kills\":{kills},\
         \"powerLosses\":{power_losses},\"faults\":{},\"duplicates\":{duplicates},\"lost\":0,\"corrupted\":0,\"seconds\":{:.1}}}",
        faults + damages,
        start.elapsed().as_secs_f64()
    );
}
