//! A lease on one instance's directory: whoever holds its lock owns what is in it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use uuid::Builder;

use super::disk::{Disk, LOCK_FILE, Lock};

/// Name of the directory for dead letters, beside those of instances.
pub const DEAD_LETTERS: &str = "dead";
const ATTEMPTS: usize = 16;

/// A directory that is ours until this is dropped or the process ends, in whatever way.
pub struct Lease {
    /// Where it is.
    pub path: PathBuf,
    lock: Lock,
}

impl Lease {
    /// Creates a directory for a new instance. Until its lock is held, whoever looks for orphans may take it for one and
    /// tidy it up: then another one is made. It can't be renamed into sight once it is locked, because Windows renames
    /// no directory with an open file in it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(disk: &dyn Disk, directory: &Path, chance: &mut Rng) -> io::Result<Self> {
        disk.prepare(directory)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::create_once(disk, directory, chance) {
                Err(error) if is_tidied_up(&error) && attempts < ATTEMPTS => {}
                other => return other,
            }
        }
    }

    fn create_once(disk: &dyn Disk, directory: &Path, chance: &mut Rng) -> io::Result<Self> {
        let name = Builder::from_random_bytes(chance.u128(..).to_le_bytes()).into_uuid();
        let path = directory.join(name.to_string());
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

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lease").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The file name of a segment.
#[must_use]
pub fn segment_file(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// The path of a segment in a directory.
#[must_use]
pub fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(segment_file(number))
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Barrier};

    use super::{Disk as _, Lease, Rng, acknowledgement_file, segment_number, segment_path};
    use crate::queue::spool::disk::system::SystemDisk;

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
                        if let Ok(Some(lease)) = Lease::claim(&SystemDisk, directory.join(item.name)) {
                            lease.remove(&SystemDisk);
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
                    let lease = Lease::create(&SystemDisk, &directory, &mut Rng::new()).unwrap();
                    assert!(SystemDisk.is_locked(&lease.path).unwrap());
                    assert!(matches!(Lease::claim(&SystemDisk, lease.path.clone()), Ok(None)));
                    std::fs::write(lease.path.join("0000000000000001.seg"), b"kept").unwrap();
                    std::fs::remove_file(lease.path.join("0000000000000001.seg")).unwrap();
                    lease.remove(&SystemDisk);
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

    #[test]
    fn a_directory_stays_while_somebody_may_want_what_is_in_it() {
        let directory = std::env::temp_dir().join(format!("companion-segment-{}", uuid::Uuid::new_v4()));
        for (extension, stays) in [("seg", true), ("corrupt", true), ("ack", false)] {
            let lease = Lease::create(&SystemDisk, &directory, &mut Rng::new()).unwrap();
            let path = lease.path.clone();
            std::fs::write(path.join("0000000000000001").with_extension(extension), b"kept").unwrap();
            lease.remove(&SystemDisk);
            assert_eq!(path.exists(), stays, "{extension}");
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn files_are_named_by_numbers_that_sort() {
        let path = segment_path(Path::new("/spool"), 0x1f);
        assert_eq!(path, Path::new("/spool/000000000000001f.seg"));
        assert_eq!(acknowledgement_file(&path), Path::new("/spool/000000000000001f.ack"));
        for (name, number) in [
            ("000000000000001f.seg", Some(0x1f)),
            ("000000000000001f.ack", None),
            ("1f.seg", None),
            ("000000000000001g.seg", None),
        ] {
            assert_eq!(segment_number(name), number, "{name}");
        }
    }
}
