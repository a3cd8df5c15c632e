//! What the spool asks of a disk, so that tests can own its failures; and the machine's own.

use std::any::Any;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

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

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    }
    options
}

/// A umask can only take away, and what it took is missed by whoever adopts the file.
fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

fn create_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(directory)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(unix)]
fn check_owner(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::symlink_metadata(directory)?;
    // SAFETY: it takes nothing, touches no memory and can't fail.
    let user = unsafe { libc::geteuid() };
    let problem = if metadata.is_symlink() {
        "a directory of the spool is a symbolic link"
    } else if !metadata.is_dir() {
        "the spool directory is not a directory"
    } else if metadata.uid() != user && metadata.uid() != 0 {
        "a directory of the spool belongs to another user"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

#[cfg(not(unix))]
fn check_owner(directory: &Path) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(directory)?;
    if metadata.is_dir() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "the spool directory is not a directory"))
}

impl Disk for SystemDisk {
    fn prepare(&self, directory: &Path) -> io::Result<()> {
        match create_directory(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let Some(parent) = directory.parent() else { return Err(error) };
                prepare_parents(parent)?;
                create_directory(directory)?;
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.check(directory)
    }

    fn check(&self, directory: &Path) -> io::Result<()> {
        check_owner(directory)
    }

    fn lock(&self, directory: &Path) -> io::Result<Option<Lock>> {
        let file = options().write(true).create(true).truncate(false).open(directory.join(LOCK_FILE))?;
        make_private(&file)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn is_locked(&self, directory: &Path) -> io::Result<bool> {
        let file = match options().read(true).open(directory.join(LOCK_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create(&self, file: &Path) -> io::Result<Arc<dyn LogFile>> {
        let file = options().append(true).create_new(true).open(file)?;
        make_private(&file)?;
        Ok(Arc::new(file))
    }

    fn open(&self, file: &Path) -> io::Result<Arc<dyn LogFile>> {
        let file = options().append(true).create(true).open(file)?;
        make_private(&file)?;
        Ok(Arc::new(file))
    }

    fn read(&self, file: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut file = options().read(true).open(file)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Item>> {
        let item = |entry: io::Result<std::fs::DirEntry>| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Somebody else may have removed it since.
            let Ok(metadata) = entry.metadata() else { return Ok(None) };
            Ok(Some(Item { name, is_directory: metadata.is_dir(), length: metadata.len() }))
        };
        std::fs::read_dir(directory)?.map(item).filter_map(Result::transpose).collect()
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        std::fs::remove_file(file)
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::remove_dir(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    #[cfg(unix)]
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    /// Windows has no such call; NTFS keeps its names in a journal.
    #[cfg(not(unix))]
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// The directories above the spool's own: made where missing, else not ours to judge.
fn prepare_parents(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        prepare_parents(parent)?;
    }
    match create_directory(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

impl LogFile for File {
    fn append(&self, parts: [&[u8]; 2]) -> io::Result<usize> {
        let mut file = self;
        loop {
            match file.write_vectored(&parts.map(IoSlice::new)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    #[cfg(unix)]
    fn is_linked(&self) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt as _;
        Ok(self.metadata()?.nlink() > 0)
    }

    /// An open file can't be removed there.
    #[cfg(not(unix))]
    fn is_linked(&self) -> io::Result<bool> {
        Ok(true)
    }
}
