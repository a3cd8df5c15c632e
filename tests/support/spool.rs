//! One life of a process with a spool, without anything around it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use companion_segment::config::{Durability, Secret, SpoolConfig};
use companion_segment::queue::spool::disk::Disk;
use companion_segment::queue::spool::keeper::{Keeper, SCAN_INTERVAL};
use companion_segment::queue::spool::{NotWritten, Settings, Spool};

/// Small segments, so that everything that happens at their ends happens often.
pub const SEGMENT_BYTES: u64 = 1_024;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// What a life is set up with.
#[derive(Clone)]
pub struct Setup {
    /// Where.
    pub directory: PathBuf,
    /// What an event survives.
    pub durability: Durability,
    /// Keys.
    pub keys: Vec<Secret<[u8; 32]>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { directory: "/spool".into(), durability: Durability::Process, keys: Vec::new() }
    }
}

/// A process, from its start to its end.
pub struct Life {
    /// What it writes with.
    pub spool: Spool,
    keeper: Keeper,
    now: Duration,
    wall: u64,
    last_sequence: u64,
    /// Unsettled events by sequence.
    pub open: BTreeMap<u64, u64>,
    /// Sequences of its own events, not adopted ones.
    pub own: BTreeSet<u64>,
    /// Records that were found damaged.
    pub damaged: u64,
}

/// The payload of an event: what it must look like can be told from its id.
pub fn payload(id: u64) -> Vec<u8> {
    format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(usize::try_from(id * 37 % 120).unwrap())).into_bytes()
}

/// The id in a payload; panics on one that was changed.
pub fn id_of(bytes: &[u8]) -> u64 {
    let id = serde_json::from_slice::<serde_json::Value>(bytes).expect("sound JSON")["id"].as_u64().unwrap();
    assert_eq!(bytes, payload(id), "what is delivered is what was accepted");
    id
}

impl Life {
    /// Begins, and takes over everything that ended ones left.
    pub fn begin(disk: Arc<dyn Disk>, setup: &Setup) -> Self {
        let config = SpoolConfig {
            directory: setup.directory.clone(),
            durability: setup.durability,
            max_bytes: 1 << 30,
            encryption_keys: setup.keys.clone(),
        };
        let key = Secret::new("key".to_owned());
        let mut settings = Settings::new(&config, &key, SystemTime::now());
        settings.segment_bytes = SEGMENT_BYTES;
        let settings = Arc::new(settings);
        let now = Duration::ZERO;
        let wall = settings.wall(now);
        let spool = Spool::open(Arc::clone(&settings), Arc::clone(&disk), now);
        let keeper = Keeper::new(settings, disk, WEEK, (now, SystemTime::now()));
        let mut life = Self {
            spool,
            keeper,
            now,
            wall,
            last_sequence: 0,
            open: BTreeMap::new(),
            own: BTreeSet::new(),
            damaged: 0,
        };
        life.adopt();
        life
    }

    /// Time passes.
    pub fn wait(&mut self, duration: Duration) {
        self.now += duration;
    }

    /// Looks for orphans until there are none.
    pub fn adopt(&mut self) {
        let own = self.spool.home().map(Path::to_path_buf);
        loop {
            match self.keeper.adopt(own.as_deref(), self.now, SystemTime::now()) {
                Ok(Some(adopted)) => {
                    self.damaged += adopted.damaged;
                    let events = adopted.events();
                    self.spool.adopt(adopted, self.last_sequence + 1);
                    self.last_sequence += events;
                    self.tidy();
                }
                Ok(None) if self.keeper.due_at() > self.now => break,
                Ok(None) => {}
                Err(_) => break,
            }
        }
        self.now += SCAN_INTERVAL;
        while let Some(plan) = self.spool.books().next_unread() {
            let Ok(back) = self.keeper.read(&plan, 2_000) else { break };
            self.damaged += back.lost.len() as u64;
            self.spool.settle(back.lost.iter().copied());
            assert!(self.spool.books_mut().was_read(&plan, back.count, back.offset) && back.count > 0);
            for event in back.events {
                self.open.insert(event.sequence, id_of(&event.bytes));
            }
        }
        self.tidy();
    }

    /// Accepts an event; false when the disk did not take it. Some are kept on disk only.
    pub fn append(&mut self, id: u64, on_disk_only: bool) -> bool {
        let sequence = self.last_sequence + 1;
        let written = self.spool.append(sequence, self.wall, &payload(id), self.now);
        assert_ne!(written, Err(NotWritten::Full));
        let Ok(offset) = written else { return false };
        self.last_sequence = sequence;
        if on_disk_only {
            self.spool.postpone(sequence, offset);
        }
        self.open.insert(sequence, id);
        self.own.insert(sequence);
        true
    }

    /// Reads back what is on disk only, and checks it against what was accepted.
    pub fn read_back(&mut self) {
        while let Some(plan) = self.spool.books().next_unread() {
            let Ok(back) = self.keeper.read(&plan, 500) else { return };
            assert!(self.spool.books_mut().was_read(&plan, back.count, back.offset) && back.count > 0);
            for event in &back.events {
                assert_eq!(self.open[&event.sequence], id_of(&event.bytes));
            }
            self.spool.settle(back.lost.iter().copied());
            for lost in &back.lost {
                self.damaged += 1;
                self.open.remove(lost);
            }
        }
    }

    /// Settles the `count` oldest from the `skip`th on; returns their ids.
    pub fn settle(&mut self, skip: usize, count: usize) -> Vec<u64> {
        let settled: Vec<_> = self.open.keys().copied().skip(skip).take(count).collect();
        self.spool.settle(settled.iter().copied());
        settled.iter().filter_map(|sequence| self.open.remove(sequence)).collect()
    }

    /// Acknowledges and reclaims.
    pub fn tidy(&mut self) {
        let chores = self.spool.books_mut().take_chores();
        // What fails is repeated by the next life.
        drop(self.keeper.perform(chores));
    }

    /// Commits to disk; true when that held.
    pub fn sync(&mut self) -> Option<u64> {
        let job = self.spool.take_sync()?;
        let (persisted, up_to) = self.spool.synced(job.run(), self.now);
        persisted.then_some(up_to)
    }

    /// Tries a failing disk again, and writes what is in memory only.
    pub fn recover(&mut self) {
        self.wait(Duration::from_secs(6));
        self.spool.retry(self.now);
        self.read_back();
        for (sequence, id) in &self.open {
            if !self.spool.books().is_safe(*sequence)
                && self.spool.append(*sequence, self.wall, &payload(*id), self.now).is_err()
            {
                return;
            }
        }
        self.spool.caught_up();
    }
}
