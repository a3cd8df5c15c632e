//! One instance's directory: whoever holds its lock owns what is in it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::disk::{Disk, LOCK_FILE, Lock};

/// Name of the directory for dead letters, beside those of instances.
pub const DEAD_LETTERS: &str = "dead";
const ATTEMPTS: usize = 16;

/// A directory that is ours until this is dropped or the process ends, in whatever way.
pub struct Home {
    /// Where it is.
    pub path: PathBuf,
    lock: Lock,
}

impl Home {
    /// Creates a directory for a new instance. Until its lock is held, whoever looks for orphans may take it for one and
    /// tidy it up: then another one is made. It can't be renamed into sight once it is locked, because Windows renames
    /// no directory with an open file in it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(disk: &dyn Disk, directory: &Path) -> io::Result<Self> {
        disk.prepare(directory)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::create_once(disk, directory) {
                Err(error) if is_tidied_up(&error) && attempts < ATTEMPTS => {}
                other => return other,
            }
        }
    }

    fn create_once(disk: &dyn Disk, directory: &Path) -> io::Result<Self> {
        let path = directory.join(Uuid::new_v4().to_string());
        disk.prepare(&path)?;
        let lock = disk.lock(&path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { path, lock })
    }

    /// Takes over a directory; `None` when its owner lives.
    ///
    /// # Errors
    /// As the file system says.
    pub fn claim(disk: &dyn Disk, path: PathBuf) -> io::Result<Option<Self>> {
        Ok(disk.lock(&path)?.map(|lock| Self { path, lock }))
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
        // An open file keeps its directory from being removed on some systems.
        drop(self.lock);
        drop(disk.remove_directory(&self.path));
    }
}

/// Windows says so of a file that is being removed while somebody else has it open.
fn is_tidied_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound)
        || (cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Barrier};

    use super::{Disk as _, Home};
    use crate::queue::spool::disk::SystemDisk;

    /// Whoever tidies up takes every directory that nobody has locked yet for an orphan.
    #[test]
    fn a_new_directory_is_there_and_its_owners_alone_however_busy_others_tidy_up() {
        const OWNERS: usize = 4;
        let directory = std::env::temp_dir().join(format!("companion-segment-{}", uuid::Uuid::new_v4()));
        SystemDisk.prepare(&directory).unwrap();
        let (is_over, start) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(OWNERS + 1)));
        let tidy = {
            let (directory, is_over, start) = (directory.clone(), Arc::clone(&is_over), Arc::clone(&start));
            move || {
                start.wait();
                while !is_over.load(Ordering::Relaxed) {
                    for item in SystemDisk.list(&directory).unwrap() {
                        if let Ok(Some(home)) = Home::claim(&SystemDisk, directory.join(item.name)) {
                            home.remove(&SystemDisk);
                        }
                    }
                }
            }
        };
        let own = {
            let (directory, start) = (directory.clone(), Arc::clone(&start));
            move || {
                start.wait();
                for _ in 0..200 {
                    let home = Home::create(&SystemDisk, &directory).unwrap();
                    assert!(SystemDisk.is_locked(&home.path).unwrap());
                    assert!(matches!(Home::claim(&SystemDisk, home.path.clone()), Ok(None)));
                    std::fs::write(home.path.join("0000000000000001.seg"), b"kept").unwrap();
                    std::fs::remove_file(home.path.join("0000000000000001.seg")).unwrap();
                    home.remove(&SystemDisk);
                }
            }
        };
        let all_ended = std::thread::scope(|scope| {
            let tidying = scope.spawn(tidy);
            let owners: Vec<_> = (0..OWNERS).map(|_| scope.spawn(own.clone())).collect();
            let ended: Vec<_> = owners.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            is_over.store(true, Ordering::Relaxed);
            tidying.join().unwrap();
            ended.iter().all(Result::is_ok)
        });
        assert!(all_ended);
        // Nothing stays behind.
        assert!(SystemDisk.list(&directory).unwrap().is_empty());
        std::fs::remove_dir(&directory).unwrap();
    }
}
