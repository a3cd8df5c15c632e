//! One instance's directory: whoever holds its lock owns what is in it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::disk::{Disk, LOCK_FILE, Lock};

/// Name of the directory for dead letters, beside those of instances.
pub const DEAD_LETTERS: &str = "dead";
const ATTEMPTS: usize = 3;

/// A directory that is ours until this is dropped or the process ends, in whatever way.
pub struct Home {
    /// Where it is.
    pub path: PathBuf,
    _lock: Lock,
}

impl Home {
    /// Creates a directory for a new instance. It gets its name only once its lock is held, so that nobody takes it
    /// for an orphan.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(disk: &dyn Disk, directory: &Path) -> io::Result<Self> {
        disk.prepare(directory)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::create_once(disk, directory) {
                // Somebody tidied up between two of our steps.
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS => {}
                other => return other,
            }
        }
    }

    fn create_once(disk: &dyn Disk, directory: &Path) -> io::Result<Self> {
        let name = Uuid::new_v4().to_string();
        let unnamed = directory.join(format!(".{name}"));
        disk.prepare(&unnamed)?;
        let lock = disk.lock(&unnamed)?.ok_or(io::ErrorKind::NotFound)?;
        let path = directory.join(name);
        disk.rename(&unnamed, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Takes over a directory; `None` when its owner lives.
    ///
    /// # Errors
    /// As the file system says.
    pub fn claim(disk: &dyn Disk, path: PathBuf) -> io::Result<Option<Self>> {
        Ok(disk.lock(&path)?.map(|lock| Self { path, _lock: lock }))
    }

    /// Removes the directory, unless something is left in it that somebody may still want.
    pub fn remove(self, disk: &dyn Disk) {
        let Ok(items) = disk.list(&self.path) else { return };
        if items.iter().any(|item| item.name != LOCK_FILE && !is_acknowledgement_file(&item.name)) {
            return;
        }
        for item in &items {
            // What can't be removed now is removed by the next one who looks.
            drop(disk.remove_file(&self.path.join(&item.name)));
        }
        drop(disk.remove_directory(&self.path));
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Home").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The file name of a segment.
#[must_use]
pub fn segment_file(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// The number in the file name of a segment.
#[must_use]
pub fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")
        .filter(|digits| digits.len() == 16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
}

/// The file that keeps the acknowledgements of a segment.
#[must_use]
pub fn acknowledgement_file(segment: &Path) -> PathBuf {
    segment.with_extension("ack")
}

fn is_acknowledgement_file(name: &str) -> bool {
    name.strip_suffix(".ack").is_some()
}

/// Bytes as hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
