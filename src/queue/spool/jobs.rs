//! Pieces of work on disk, and what comes of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::disk::LogFile;
use super::lease::Lease;
use super::record::Acknowledgement;
use super::survey::Stretch;
use super::tail::{Prepared, ReadPlan};

/// The most that is read at once: no segment of ours is larger.
pub const MAX_SEGMENT_BYTES: usize = 64 * 1024 * 1024;
/// Work on disk that nobody has to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chore {
    /// Note what is settled, or a correction of times.
    Acknowledge(Arc<Path>, Vec<Acknowledgement>),
    /// Remove a segment that is settled.
    Reclaim(Arc<Path>),
}

/// One piece of work.
#[derive(Debug)]
pub enum Job {
    /// What was settled.
    Chores(Vec<Chore>),
    /// Create a segment before it is needed.
    Prepare {
        /// In this directory.
        directory: PathBuf,
        /// Its number.
        number: u64,
        /// Milliseconds since 1970.
        created_at: u64,
    },
    /// Try a failing disk: what is left, and a new segment.
    Retry {
        /// The instance's directory, unless it has none.
        directory: Option<PathBuf>,
        /// The number of the new segment.
        number: u64,
        /// Milliseconds since 1970.
        created_at: u64,
    },
    /// Does the file still have a name?
    Watch(WatchedFile),
    /// Which directories are there, of instances other than these?
    Scan {
        /// Those that are known.
        known: Vec<PathBuf>,
        /// Chance.
        seed: u64,
    },
    /// Take a directory over, unless its owner lives.
    Claim(PathBuf),
    /// What is in this segment?
    Survey(PathBuf),
    /// Read events that are on disk only, as many as cost no more than `budget` bytes but at least one.
    Read {
        /// Where they are.
        plan: ReadPlan,
        /// Bytes.
        budget: usize,
    },
    /// Read what of a segment somebody waits for.
    ReadAwaited(Vec<ReadPlan>),
    /// Give a directory back, and remove it when it is empty.
    Release(PathBuf),
    /// Append these to the dead letters.
    Bury {
        /// One JSON text each.
        letters: Vec<Bytes>,
        /// Milliseconds since 1970.
        at: u64,
    },
    /// Give everything back; an empty directory of one's own goes.
    Leave(Option<Lease>),
    /// Remove an empty directory of one's own.
    Tidy(Option<Lease>),
}

/// A file that is to be looked at.
#[derive(Clone)]
pub struct WatchedFile(pub Arc<dyn LogFile>);

impl std::fmt::Debug for WatchedFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("WatchedFile")
    }
}

/// What came of a job.
#[derive(Debug)]
pub enum Done {
    /// Chores, whatever came of them: what failed costs at worst a repeated delivery.
    Chores(io::Result<()>),
    /// A segment that is ready, unless the disk refused.
    Prepared(io::Result<Prepared>),
    /// A failing disk was tried.
    Retried(io::Result<Retried>),
    /// Whether the file still has its name.
    Watched(io::Result<bool>),
    /// Directories that nobody was seen to hold, in an order by chance, and segments in them.
    Scanned(io::Result<Vec<(PathBuf, usize)>>),
    /// The numbers of the segments in a directory that is ours now; `None`: its owner lives, or there is nothing in it.
    Claimed(PathBuf, Option<Vec<u64>>),
    /// What is in a segment; `None` when it can't be read now.
    Surveyed(PathBuf, Option<Surveyed>),
    /// Events that were read.
    Read(ReadPlan, io::Result<ReadBack>),
    /// Events that somebody waits for.
    ReadAwaited(Vec<Loaded>),
    /// Whether dead letters could be kept.
    Buried(io::Result<()>),
    /// The directory was given back, and removed if it was empty.
    Released,
    /// An empty directory of one's own is gone.
    Tidied,
    /// Everything was given back.
    Left,
}

/// A failing disk took a segment.
#[derive(Debug)]
pub struct Retried {
    /// What is in the directory of the instance.
    pub names: Vec<String>,
    /// The new segment.
    pub prepared: Prepared,
    /// A new directory, where there was none.
    pub lease: Option<Lease>,
}

/// What is in a segment of an ended process.
#[derive(Debug, PartialEq, Eq)]
pub enum Surveyed {
    /// Events.
    Events {
        /// Bytes on disk, acknowledgements included.
        bytes: u64,
        /// When the oldest unsettled record was accepted, in milliseconds since 1970.
        oldest_at: u64,
        /// Milliseconds to add to the times in it.
        correction: i64,
        /// Its unsettled events.
        stretches: Vec<Stretch>,
        /// Records that can't be read any more.
        damaged: u64,
        /// Bytes at the end that are no record.
        torn: usize,
        /// Nothing in it can be read: it was set aside for people to look at.
        is_set_aside: bool,
    },
    /// All of it was settled.
    Settled,
    /// No key at hand can read it.
    Locked,
    /// A newer version wrote it.
    Newer(u16),
}

/// An event as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its sequence in this client.
    pub sequence: u64,
    /// What its segment calls it.
    pub on_disk: u64,
    /// When it was accepted, in milliseconds since 1970 by the clock of its writer.
    pub accepted_at: u64,
    /// The sealed JSON.
    pub bytes: Bytes,
}

/// What reading brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// The events, in order.
    pub events: Vec<Loaded>,
    /// Sequences that can't be read any more, with what the segment calls them.
    pub lost: Vec<(u64, u64)>,
    /// How many of the plan's events this accounts for.
    pub count: u64,
    /// Where the next of them begins.
    pub offset: u64,
}
