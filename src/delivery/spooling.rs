//! What a client with a spool does between requests, on the engine's thread: keep the disk tidy, take over what ended
//! processes left, read back what is on disk only, and try again when the disk failed.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use super::dead_letter::{Cause, DeadLetter};
use super::ledger::{Evicted, Ledger};
use super::notice::Notice;
use super::shared::Shared;
use crate::config::{Config, Durability};
use crate::error::{Error, ErrorKind};
use crate::queue::Entry;
use crate::queue::spool::books::ReadPlan;
use crate::queue::spool::dead_letters::DeadLetterLog;
use crate::queue::spool::disk::Disk;
use crate::queue::spool::keeper::{Keeper, MAX_SEGMENT_BYTES, Outlook};
use crate::queue::spool::{Settings, Spool, SyncJob};
use crate::stats::DropReason;

/// What of a spool needs no lock of the ledger.
pub struct Storage {
    settings: Arc<Settings>,
    disk: Arc<dyn Disk>,
    durability: Durability,
    keeper: Mutex<Keeper>,
    /// As of the keeper's last look, so that nobody waits for one that goes on.
    outlook: Mutex<Outlook>,
    dead_letters: Mutex<DeadLetterLog>,
}

impl Storage {
    /// Opens the spool that the configuration asks for, if it does. A client that sends nothing has none: what it
    /// would take over, it could only throw away.
    pub fn open(
        config: &Config,
        ledger: &mut Ledger,
        disk: Arc<dyn Disk>,
        clock: &dyn Clock,
    ) -> Option<Self> {
        let spool_config = config.spool.as_ref().filter(|_| !config.disable)?;
        let (now, wall) = (clock.elapsed(), clock.wall());
        let epoch = wall.checked_sub(now).unwrap_or(wall);
        let settings = Arc::new(Settings::new(spool_config, &config.write_key, epoch));
        let spool = Spool::open(Arc::clone(&settings), Arc::clone(&disk), now);
        ledger.attach(spool, Arc::clone(&settings));
        let keeper = Keeper::new(Arc::clone(&settings), Arc::clone(&disk), config.max_event_age, (now, wall));
        let dead_letters = DeadLetterLog::new(Arc::clone(&settings), Arc::clone(&disk));
        Some(Self {
            settings,
            disk,
            durability: spool_config.durability,
            keeper: Mutex::new(keeper),
            outlook: Mutex::default(),
            dead_letters: Mutex::new(dead_letters),
        })
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of orphans.
    pub fn outlook(&self) -> Outlook {
        *self.outlook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Does what is due on disk: a bounded piece of it.
    pub fn tend(&self) {
        let Some(storage) = &self.storage else { return };
        self.report_fault();
        self.retry_disk();
        self.do_chores();
        self.adopt(storage);
        self.read_back(storage);
    }

    /// When [`Shared::tend`] has something to do by itself.
    pub(super) fn storage_due_at(&self) -> Option<Duration> {
        let storage = self.storage.as_ref()?;
        let keeper_due = storage.keeper().due_at();
        let ledger = self.ledger();
        let has_to_read = ledger.next_read().is_some();
        // A failing disk is left alone until then.
        ledger.disk_retry_at().or(if has_to_read { Some(Duration::ZERO) } else { Some(keeper_due) })
    }

    fn retry_disk(&self) {
        let now = self.clock.elapsed();
        let mut ledger = self.ledger();
        let (awaited, ended) = ledger.retry_disk(now);
        let is_back = ledger.catch_up(now);
        drop(ledger);
        if is_back {
            tracing::info!("the spool is written again, with everything that was in memory only");
        }
        self.report_lost(awaited);
        self.conclude_if_any(ended);
        self.report_fault();
    }

    /// Acknowledges and reclaims what was settled.
    pub(super) fn do_chores(&self) {
        let Some(storage) = &self.storage else { return };
        let chores = self.ledger().take_chores();
        if chores.is_empty() {
            return;
        }
        if let Err(error) = storage.keeper().perform(chores) {
            // Nothing is lost by it: what is not acknowledged may be sent once more after a crash.
            tracing::debug!(error = %error.kind(), "the spool could not be tidied up");
        }
    }

    fn adopt(&self, storage: &Storage) {
        let now = self.clock.elapsed();
        let mut keeper = storage.keeper();
        if keeper.due_at() > now || self.ledger().disk_retry_at().is_some() {
            return;
        }
        let own = self.ledger().spool_mut().and_then(|spool| spool.home().map(std::path::Path::to_path_buf));
        match keeper.adopt(own.as_deref(), now, self.clock.wall()) {
            Ok(Some(adopted)) => {
                tracing::info!(events = adopted.events(), damaged = adopted.damaged, "events recovered");
                self.ledger().adopt(adopted);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error.kind(), "the spool directory can't be read"),
        }
        *storage.outlook.lock().unwrap_or_else(PoisonError::into_inner) = keeper.outlook();
        drop(keeper);
        self.do_chores();
    }

    /// Reads what is on disk only, while memory has room for it.
    fn read_back(&self, storage: &Storage) {
        let Some((plan, budget)) = self.ledger().next_read() else { return };
        let read = storage.keeper().read(&plan, budget);
        let now = self.clock.elapsed();
        match read {
            Ok(back) => {
                let (awaited, ended) = self.ledger().load(&plan, back, now);
                self.report_lost(awaited);
                self.conclude_if_any(ended);
            }
            Err(error) => {
                if let Some(spool) = self.ledger().spool_mut() {
                    spool.failed(error, now);
                }
                self.report_fault();
            }
        }
    }

    fn conclude_if_any(&self, ended: Vec<super::ledger::Ended>) {
        if !ended.is_empty() {
            self.conclude(ended);
        }
    }

    /// Tells of a failing disk, once for each failure.
    pub(super) fn report_fault(&self) {
        let fault = self.ledger().spool_mut().and_then(Spool::take_fault);
        let Some(error) = fault else { return };
        let text = format!(
            "The spool can't be used: {error}. Events are kept in memory only until it can. Check the disk and its \
             directory {}, and who owns it.",
            self.config
                .spool
                .as_ref()
                .map_or_else(String::new, |spool| spool.directory.display().to_string()),
        );
        self.span.in_scope(|| tracing::error!(error = %error, "the spool can't be used"));
        self.observer.notify(Notice::Trouble { error: Error::new(ErrorKind::Spool, text), status: None });
    }

    /// Events that nobody can read any more, but somebody waits for.
    fn report_lost(&self, awaited: Vec<u64>) {
        if awaited.is_empty() {
            return;
        }
        let letter = |sequence| DeadLetter { sequence, tracked: true, bytes: b"{}".as_slice().into() };
        let cause = Cause::new(DropReason::SpoolDamaged, None, 0);
        self.report_some(cause, awaited.len(), awaited.into_iter().map(letter).collect());
    }

    /// Tells of events that made room for new ones.
    pub(super) fn report_evicted(&self, evicted: &Evicted) {
        let cause = Cause::new(DropReason::QueueFull, None, 0);
        let all = self.observer.interest().dropped;
        let mut told: Vec<_> = evicted
            .entries
            .iter()
            .filter(|entry| all || entry.tracking.is_on())
            .map(DeadLetter::from)
            .collect();
        told.extend(self.read_awaited(&evicted.unread));
        let on_disk: u64 = evicted.unread.iter().map(|plan| plan.length).sum();
        self.report_some(cause, evicted.entries.len() + usize::try_from(on_disk).unwrap_or(usize::MAX), told);
    }

    /// Those of the events on disk that somebody waits for, while their file is still there.
    pub(super) fn read_awaited(&self, plans: &[ReadPlan]) -> Vec<DeadLetter> {
        let Some(storage) = &self.storage else { return Vec::new() };
        if !self.ledger().any_postponed(plans) {
            return Vec::new();
        }
        let keeper = storage.keeper();
        let events = plans.iter().filter_map(|plan| keeper.read(plan, MAX_SEGMENT_BYTES).ok());
        let events: Vec<_> = events.flat_map(|back| back.events).collect();
        drop(keeper);
        let mut ledger = self.ledger();
        events
            .into_iter()
            .filter(|event| ledger.unpostpone(event.sequence))
            .map(|event| DeadLetter { sequence: event.sequence, tracked: true, bytes: event.bytes })
            .collect()
    }

    /// Keeps what Segment refused where people can look at it.
    pub(super) fn bury(&self, cause: &Cause, entries: &[Entry]) {
        let Some(storage) = &self.storage else { return };
        if !cause.reason.is_final_answer() {
            return;
        }
        let now = storage.settings.wall(self.clock.elapsed());
        let mut log = storage.dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = format!(
            r#"{{"reason":"{}","status":{},"attempts":{},"droppedAtMs":{now},"event":"#,
            cause.reason.name(),
            cause.status.map_or_else(|| "null".into(), |status| status.to_string()),
            cause.attempts,
        );
        for entry in entries {
            let letter = [facts.as_bytes(), &entry.bytes, b"}"].concat();
            if let Err(error) = log.append(&letter, now) {
                tracing::warn!(error = %error.kind(), "a dead letter could not be kept");
                return;
            }
        }
    }

    /// The next group commit, when `durability` is `power` and there is something to commit.
    pub fn take_sync(&self) -> Option<SyncJob> {
        self.storage.as_ref().filter(|storage| storage.durability == Durability::Power)?;
        self.ledger().take_sync()
    }

    /// A group commit is over.
    pub fn synced(&self, result: io::Result<u64>) {
        let now = self.clock.elapsed();
        let told = self.ledger().spool_mut().map(|spool| spool.synced(result, now));
        if let Some((persisted, up_to)) = told {
            if self.observer.interest().persisted {
                self.observer.notify(Notice::Persisted { persisted, up_to });
            }
            self.report_fault();
        }
    }

    /// Whether an event is as safe as `durability` promises; `None` while that is being seen to.
    pub fn is_persisted(&self, sequence: u64) -> Option<bool> {
        self.ledger().spool_mut().map_or(Some(false), |spool| spool.is_persisted(sequence))
    }

    /// On the way out: what can be committed is, and an empty directory goes.
    pub(super) fn tidy_up(&self) {
        let Some(storage) = &self.storage else { return };
        self.do_chores();
        if let Some(job) = self.take_sync() {
            self.synced(job.run());
        }
        let home = self.ledger().spool_mut().and_then(Spool::leave_home_if_empty);
        if let Some(home) = home {
            home.remove(&*storage.disk);
        }
    }

    /// The client is over: what is on disk is there for the next process, or for another client of this one.
    pub fn leave_storage(&self) {
        let Some(storage) = &self.storage else { return };
        self.tidy_up();
        storage.keeper().close();
        if let Some(spool) = self.ledger().spool_mut() {
            spool.close();
        }
    }
}
