//! Everything on disk that can wait: acknowledging, reclaiming, reading back, looking for and into what ended processes
//! left, dead letters. Whoever owns the log hands out one [`Job`] at a time and gets its [`Done`]; where it runs is not
//! its business. It blocks, so it must not run on the engine's thread.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;

use super::Settings;
use super::dead_letters::DeadLetterLog;
use super::disk::{Disk, Item, LogFile};
use super::jobs::{Chore, Done, Job, MAX_SEGMENT_BYTES, Retried, WatchedFile};
use super::lease::{DEAD_LETTERS, Lease, acknowledgement_file, segment_number};
use super::reading::Reading;
use super::record::Acknowledgement;
use super::tail::Prepared;

/// Directories of others whose owners lived at the last look are tried again, but no more of them at once than this.
const MAX_CLAIMS: usize = 16;

/// Does the work of one client's log.
pub struct Maintenance {
    settings: Arc<Settings>,
    disk: Arc<dyn Disk>,
    chance: Rng,
    acknowledging: HashMap<Arc<Path>, Arc<dyn LogFile>>,
    leases: BTreeMap<PathBuf, Lease>,
    /// Directories whose owners lived at the last look.
    held: Vec<PathBuf>,
    dead_letters: DeadLetterLog,
}

impl Maintenance {
    /// For a log with these settings on this disk.
    #[must_use]
    pub fn new(settings: Arc<Settings>, disk: Arc<dyn Disk>, chance: Rng) -> Self {
        let dead_letters = DeadLetterLog::new(Arc::clone(&settings), Arc::clone(&disk));
        Self {
            settings,
            disk,
            chance,
            acknowledging: HashMap::new(),
            leases: BTreeMap::new(),
            held: Vec::new(),
            dead_letters,
        }
    }

    /// Does one job.
    pub fn run(&mut self, job: Job) -> Done {
        match job {
            Job::Chores(chores) => Done::Chores(self.perform(chores)),
            Job::Prepare { directory, number, created_at } => {
                Done::Prepared(Prepared::create(&*self.disk, &self.settings, &directory, number, created_at))
            }
            Job::Retry { directory, number, created_at } => {
                Done::Retried(self.retry(directory, number, created_at))
            }
            Job::Watch(WatchedFile(file)) => Done::Watched(file.is_linked()),
            Job::Scan { known, seed } => Done::Scanned(self.scan(&known, seed)),
            Job::Claim(path) => {
                let numbers = self.claim(&path).unwrap_or_default();
                Done::Claimed(path, numbers)
            }
            Job::Survey(path) => {
                let surveyed = self.reading().survey(&path).ok();
                Done::Surveyed(path, surveyed)
            }
            Job::Read { plan, budget } => {
                let back = self.reading().read(&plan, budget);
                Done::Read(plan, back)
            }
            Job::ReadAwaited(plans) => {
                let read = plans.iter().filter_map(|plan| self.reading().read(plan, MAX_SEGMENT_BYTES).ok());
                Done::ReadAwaited(read.flat_map(|back| back.events).collect())
            }
            Job::Release(path) => {
                if let Some(lease) = self.leases.remove(&path) {
                    lease.remove(&*self.disk);
                }
                Done::Released
            }
            Job::Bury { letters, at } => {
                Done::Buried(letters.iter().try_for_each(|letter| self.dead_letters.append(letter, at)))
            }
            Job::Leave(own) => {
                self.acknowledging.clear();
                for (_, lease) in std::mem::take(&mut self.leases) {
                    lease.remove(&*self.disk);
                }
                self.remove(own);
                Done::Left
            }
            Job::Tidy(own) => {
                self.remove(own);
                Done::Tidied
            }
        }
    }

    fn reading(&self) -> Reading<'_> {
        Reading { disk: &*self.disk, keyring: &self.settings.keyring }
    }

    fn remove(&self, own: Option<Lease>) {
        if let Some(lease) = own {
            lease.remove(&*self.disk);
        }
    }

    fn perform(&mut self, chores: Vec<Chore>) -> io::Result<()> {
        let mut result = Ok(());
        for chore in chores {
            let done = match chore {
                Chore::Acknowledge(segment, ranges) => self.acknowledge(segment, &ranges),
                Chore::Reclaim(segment) => self.reclaim(&segment),
            };
            result = result.and(done);
        }
        result
    }

    fn acknowledge(&mut self, segment: Arc<Path>, ranges: &[Acknowledgement]) -> io::Result<()> {
        let bytes: Vec<u8> = ranges.iter().flat_map(Acknowledgement::encode).collect();
        let file = match self.acknowledging.get(&segment) {
            Some(file) => Arc::clone(file),
            None => self.disk.open(&acknowledgement_file(&segment))?,
        };
        let written = file.append([&bytes, &[]])?;
        if written == bytes.len() {
            self.acknowledging.insert(segment, file);
            return Ok(());
        }
        // Half an acknowledgement would put all later ones out of step.
        self.acknowledging.remove(&segment);
        let length = self.disk.read(&acknowledgement_file(&segment), 0, MAX_SEGMENT_BYTES)?.len();
        file.truncate((length - written) as u64)
    }

    fn reclaim(&mut self, segment: &Path) -> io::Result<()> {
        self.acknowledging.remove(segment);
        // In this order: without its segment, an acknowledgement harms nobody.
        missing_is_fine(self.disk.remove_file(segment))
            .and_then(|()| missing_is_fine(self.disk.remove_file(&acknowledgement_file(segment))))
    }

    fn retry(&mut self, directory: Option<PathBuf>, number: u64, created_at: u64) -> io::Result<Retried> {
        let names = match directory.as_deref().map(|directory| self.disk.list(directory)) {
            None => Vec::new(),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Some(items) => items?.into_iter().map(|item| item.name).collect(),
        };
        let lease = if names.is_empty() { Some(self.create_lease()?) } else { None };
        let directory = lease.as_ref().map(|lease| lease.path.clone()).or(directory);
        let directory = directory.ok_or(io::ErrorKind::NotFound)?;
        let prepared = Prepared::create(&*self.disk, &self.settings, &directory, number, created_at)?;
        Ok(Retried { names, prepared, lease })
    }

    fn create_lease(&mut self) -> io::Result<Lease> {
        if let Some(parent) = self.settings.directory.parent() {
            self.disk.prepare(parent)?;
        }
        Lease::create(&*self.disk, &self.settings.directory, &mut self.chance)
    }

    /// The directories that nobody holds. Each look costs a lock, so of those that were held the last time only a few are
    /// tried again: a fleet on one directory must not lock each other every minute, all with all.
    fn scan(&mut self, known: &[PathBuf], seed: u64) -> io::Result<Vec<(PathBuf, usize)>> {
        // Nothing is taken over while somebody looks around. What is held all the same was claimed for a worker that
        // panicked before it heard of it: it would be held for as long as the process lives.
        self.leases.retain(|path, _| known.contains(path));
        let items = match self.disk.list(&self.settings.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let is_instance = |item: &&Item| item.is_directory && item.name != DEAD_LETTERS;
        let mut paths: Vec<_> = items
            .iter()
            .filter(is_instance)
            .map(|item| self.settings.directory.join(&item.name))
            .filter(|path| !known.contains(path))
            .collect();
        Rng::with_seed(seed).shuffle(&mut paths);
        self.held.retain(|path| paths.contains(path));
        let mut again = MAX_CLAIMS;
        let mut found = Vec::new();
        for path in paths {
            let was_held = self.held.contains(&path);
            if was_held && again == 0 {
                continue;
            }
            again -= usize::from(was_held);
            if self.disk.check(&path).is_err() {
                continue;
            }
            self.held.retain(|held| *held != path);
            // A directory that can't be looked at is somebody else's.
            match self.disk.is_locked(&path) {
                Ok(true) => self.held.push(path),
                Ok(false) => {
                    let Ok(items) = self.disk.list(&path) else { continue };
                    let segments = items.iter().filter(|item| segment_number(&item.name).is_some()).count();
                    found.push((path, segments));
                }
                Err(_) => {}
            }
        }
        Ok(found)
    }

    fn claim(&mut self, path: &Path) -> io::Result<Option<Vec<u64>>> {
        self.disk.check(path)?;
        let Some(lease) = Lease::claim(&*self.disk, path.to_path_buf())? else { return Ok(None) };
        let items = self.disk.list(path)?;
        let mut numbers: Vec<_> = items.iter().filter_map(|item| segment_number(&item.name)).collect();
        if numbers.is_empty() {
            lease.remove(&*self.disk);
            return Ok(None);
        }
        numbers.sort_unstable();
        self.leases.insert(path.to_path_buf(), lease);
        Ok(Some(numbers))
    }
}

impl std::fmt::Debug for Maintenance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Maintenance").field("leases", &self.leases).finish_non_exhaustive()
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
