//! What Linux and macOS ask for: modes, owners, inodes.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Options that follow no link and create private files.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE).custom_flags(libc::O_NOFOLLOW);
    options
}

/// Options of a file that grows at its end.
pub fn appending() -> OpenOptions {
    let mut options = options();
    options.append(true);
    options
}

/// A umask can only take away, and what it took is missed by whoever adopts the file.
pub fn make_private(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}

/// Creates one directory that is private to the user.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(DIRECTORY_MODE).create(directory)?;
    std::fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))
}

/// Makes sure that this is a directory, no link, and not another user's.
pub fn check_owner(directory: &Path) -> io::Result<()> {
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

/// Removes a file, whatever its mode says.
pub fn remove_file(file: &Path) -> io::Result<()> {
    std::fs::remove_file(file)
}

/// Whether the file still has a name.
pub fn is_linked(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 0)
}

/// Whether this path leads to this file.
pub fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes names in a directory survive a power loss.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
