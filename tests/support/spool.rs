//! One life of a process with a log, without a client around it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use companion_segment::testing::{
    Disk, Done, Durability, Examined, Job, Maintenance, Place, Recovery, Secret, Settings, SpoolConfig, Tail,
};

/// Small segments, so that everything that happens at their ends happens often.
pub const SEGMENT_BYTES: u64 = 1_024;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// What a life is set up with.
#[derive(Clone)]
pub struct Setup {
    /// Where.
    pub directory: PathBuf,
    /// Keys.
    pub keys: Vec<Secret<[u8; 32]>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { directory: "/spool".into(), keys: Vec::new() }
    }
}

/// A process, from its start to its end.
pub struct Life {
    tail: Tail,
    maintenance: Maintenance,
    last_sequence: u64,
    /// Its own unsettled events by sequence, and those it has taken over.
    pub open: BTreeMap<u64, u64>,
    places: BTreeMap<u64, Place>,
    /// Records that were found damaged.
    pub damaged: u64,
}

/// The payload of an event: what it must look like can be told from its id.
pub fn payload(id: u64) -> Vec<u8> {
    format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(usize::try_from(id * 37 % 120).unwrap())).into_bytes()
}

/// The id in a payload; panics on one that was changed.
fn id_of(bytes: &[u8]) -> u64 {
    let id = serde_json::from_slice::<serde_json::Value>(bytes).expect("sound JSON")["id"].as_u64().unwrap();
    assert_eq!(bytes, payload(id), "what is delivered is what was accepted");
    id
}

impl Life {
    /// Begins, and takes over everything that ended ones left.
    pub fn begin(disk: Arc<dyn Disk>, setup: &Setup) -> Self {
        let config = SpoolConfig {
            directory: setup.directory.clone(),
            durability: Durability::Process,
            max_bytes: 1 << 30,
            encryption_keys: setup.keys.clone(),
        };
        let mut settings = Settings::new(&config, &Secret::new("key".to_owned()));
        settings.segment_bytes = SEGMENT_BYTES;
        let settings = Arc::new(settings);
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let wall = i64::try_from(wall.as_millis()).unwrap();
        let tail =
            Tail::open(Arc::clone(&settings), Arc::clone(&disk), fastrand::Rng::new(), wall, Duration::ZERO);
        let maintenance = Maintenance::new(settings, disk, fastrand::Rng::new());
        let mut life = Self {
            tail,
            maintenance,
            last_sequence: 0,
            open: BTreeMap::new(),
            places: BTreeMap::new(),
            damaged: 0,
        };
        life.recover(wall);
        life
    }

    /// Takes over what there is, in memory too.
    fn recover(&mut self, wall: i64) {
        let now = Duration::ZERO;
        let mut recovery = Recovery::new(WEEK, 1 << 30, 1 << 30, now, wall);
        let own = self.tail.path().map(Path::to_path_buf);
        while recovery.due_at().is_some_and(|due| due <= now) {
            let Some(job) = recovery.next_job(own.as_deref(), now, 7, false) else { break };
            // Everything in it is open still.
            if let Job::Release(_) = job {
                break;
            }
            match self.maintenance.run(job) {
                Done::Scanned(found) => recovery.scanned(found.ok(), now, 0.5),
                Done::Claimed(path, numbers) => recovery.claimed(path, numbers),
                Done::Surveyed(path, found) => {
                    if let Examined::Adoptable(adoptable) = recovery.surveyed(path, found, now, wall) {
                        self.damaged += adoptable.damaged;
                        let (events, first) = (adoptable.events(), self.last_sequence + 1);
                        self.last_sequence += events;
                        recovery.adopt(adoptable, self.tail.next_segment(), first);
                    }
                }
                Done::Read(plan, back) => {
                    let lost = recovery.load(&plan, back.unwrap());
                    self.damaged += lost.len() as u64;
                }
                other => panic!("{other:?}"),
            }
            while let Some(entry) = recovery.pop() {
                recovery.release(entry.cost());
                self.open.insert(entry.sequence, id_of(&entry.bytes));
            }
        }
    }

    /// Accepts an event.
    pub fn append(&mut self, id: u64) -> bool {
        let sequence = self.last_sequence + 1;
        let Ok((place, _)) = self.tail.append(sequence, 0, &payload(id), Duration::ZERO) else {
            return false;
        };
        self.last_sequence = sequence;
        self.open.insert(sequence, id);
        self.places.insert(sequence, place);
        true
    }

    /// Settles the `count` oldest.
    pub fn settle(&mut self, count: usize) {
        use companion_segment::testing::{Acknowledgement, Chore, Settled};
        for sequence in self.open.keys().copied().take(count).collect::<Vec<_>>() {
            self.open.remove(&sequence);
            let place = self.places[&sequence];
            let range = Acknowledgement { first: place.sequence, last: place.sequence };
            let chore = match self.tail.settle(place.segment, 1, 1, false) {
                Settled::Reclaim(path) => Chore::Reclaim(path),
                Settled::Acknowledge(path) => Chore::Acknowledge(path, vec![range]),
                Settled::Unknown => continue,
            };
            self.maintenance.run(Job::Chores(vec![chore]));
        }
    }
}
