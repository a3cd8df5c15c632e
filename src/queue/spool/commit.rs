//! Group commits: what they cover, and doing one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{Disk, LogFile};
use crate::queue::SegmentId;

/// What a power loss could still take.
#[derive(Clone, Default)]
pub struct Unsynced {
    /// Files with content that is not committed.
    pub files: Vec<(SegmentId, Arc<dyn LogFile>)>,
    /// Directories with names that are not committed.
    pub directories: Vec<PathBuf>,
    /// The last event that was written.
    pub up_to: u64,
}

/// One group commit.
pub struct SyncJob {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) unsynced: Unsynced,
}

impl SyncJob {
    /// Blocks until the disk has everything.
    ///
    /// # Errors
    /// As the file system says.
    pub fn run(self) -> io::Result<u64> {
        for (_, file) in &self.unsynced.files {
            file.sync()?;
        }
        for directory in &self.unsynced.directories {
            self.disk.sync_directory(directory)?;
        }
        Ok(self.unsynced.up_to)
    }
}

impl std::fmt::Debug for SyncJob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SyncJob").field("up_to", &self.unsynced.up_to).finish_non_exhaustive()
    }
}
