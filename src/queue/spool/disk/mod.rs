//! What the spool asks of a disk, so that tests can own its failures; and the machine's own.

#[cfg(windows)]
mod security;
#[cfg(not(target_arch = "wasm32"))]
pub mod system;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

/// A lock that is held until it is dropped, or until the process ends in whatever way.
pub type Lock = Box<dyn Any + Send + Sync>;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Whether it is a directory, and no link to one.
    pub is_directory: bool,
    /// Bytes of a file.
    pub length: u64,
}

/// A file system, as far as the spool uses one. Files are private to the user, links are never followed.
pub trait Disk: Send + Sync {
    /// Makes sure of a directory and those above it. What is made is private to the user.
    ///
    /// # Errors
    /// Also when what is there belongs to somebody else or is a link.
    fn prepare(&self, directory: &Path) -> io::Result<()>;
    /// Locks a directory through its lock file; `None` when somebody holds it.
    ///
    /// # Errors
    /// When it can't be locked at all.
    fn lock(&self, directory: &Path) -> io::Result<Option<Lock>>;
    /// Makes sure that a directory is one, no link, and not another user's.
    ///
    /// # Errors
    /// When it is.
    fn check(&self, directory: &Path) -> io::Result<()>;
    /// Whether somebody holds the lock of a directory. Changes nothing.
    ///
    /// # Errors
    /// As the file system says.
    fn is_locked(&self, directory: &Path) -> io::Result<bool>;
    /// Creates a file that is not there yet, to append to.
    ///
    /// # Errors
    /// As the file system says.
    fn create(&self, file: &Path) -> io::Result<Arc<dyn LogFile>>;
    /// Opens a file to append to, or creates it.
    ///
    /// # Errors
    /// As the file system says.
    fn open(&self, file: &Path) -> io::Result<Arc<dyn LogFile>>;
    /// Up to `limit` bytes from `offset`.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, file: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>>;
    /// What is in a directory.
    ///
    /// # Errors
    /// As the file system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<Item>>;
    /// Removes a file.
    ///
    /// # Errors
    /// As the file system says.
    fn remove_file(&self, file: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the file system says.
    fn remove_directory(&self, directory: &Path) -> io::Result<()>;
    /// Renames a file or directory.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes names in a directory survive a power loss.
    ///
    /// # Errors
    /// As the file system says.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// A file that grows at its end.
pub trait LogFile: Send + Sync {
    /// Appends both parts with one call and returns how many bytes the disk took.
    ///
    /// # Errors
    /// As the file system says.
    fn append(&self, parts: [&[u8]; 2]) -> io::Result<usize>;
    /// Cuts the file back.
    ///
    /// # Errors
    /// As the file system says.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes the content survive a power loss.
    ///
    /// # Errors
    /// After one, what was written may be gone even if a later call succeeds.
    fn sync(&self) -> io::Result<()>;
    /// Whether the file still has a name.
    ///
    /// # Errors
    /// As the file system says.
    fn is_linked(&self) -> io::Result<bool>;
}

/// The file whose lock stands for its directory.
pub const LOCK_FILE: &str = "lock";
