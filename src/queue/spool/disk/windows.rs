//! What Windows asks for: access control lists, owners by their security identifier, no links. Long paths are std's work.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_GENERIC_WRITE, FILE_STANDARD_INFO,
    FileStandardInfo, GetFileInformationByHandleEx, READ_CONTROL, WRITE_DAC,
};

use super::security::{Owner, User};

/// Options that follow no link. Files inherit the access control list of their directory.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    options
}

/// Options of a file that grows at its end. Not `append`: a file that may only be appended to can't be cut back.
pub fn appending() -> OpenOptions {
    let mut options = options();
    options.write(true).access_mode(FILE_GENERIC_WRITE);
    options
}

/// The directory has seen to it.
#[allow(clippy::unnecessary_wraps, reason = "the other systems' can fail")]
pub const fn make_private(_: &File) -> io::Result<()> {
    Ok(())
}

/// Creates one directory that only this user and the system may use, with all that will be in it.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    std::fs::create_dir(directory)?;
    let handle = open_directory(directory, READ_CONTROL | WRITE_DAC)?;
    User::of_this_process()?.keep_for_itself(handle.as_raw_handle())
}

/// Makes sure that this is a directory, no link, and this user's, or of the system or its administrators, who may read
/// everything in any case.
pub fn check_owner(directory: &Path) -> io::Result<()> {
    let denied = |problem: &'static str| Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    let metadata = std::fs::symlink_metadata(directory)?;
    if metadata.is_symlink() {
        return denied("a directory of the spool is a link");
    }
    if !metadata.is_dir() {
        return denied("the spool directory is not a directory");
    }
    let handle = open_directory(directory, READ_CONTROL)?;
    let owner = Owner::of(handle.as_raw_handle())?;
    if owner.is_of_system() || owner.is(&User::of_this_process()?) {
        return Ok(());
    }
    denied("a directory of the spool belongs to another user")
}

fn open_directory(directory: &Path, access: u32) -> io::Result<File> {
    OpenOptions::new()
        .access_mode(access)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(directory)
}

/// Removes a file, also one that something has marked as read-only: not every file system passes over the mark.
pub fn remove_file(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut permissions = std::fs::metadata(file)?.permissions();
            if !permissions.readonly() {
                return Err(error);
            }
            #[allow(
                clippy::permissions_set_readonly_false,
                reason = "on Windows it clears the mark and no more"
            )]
            permissions.set_readonly(false);
            std::fs::set_permissions(file, permissions)?;
            std::fs::remove_file(file)
        }
        removed => removed,
    }
}

/// Whether the file still has a name.
pub fn is_linked(file: &File) -> io::Result<bool> {
    let mut facts = FILE_STANDARD_INFO::default();
    let size = u32::try_from(size_of::<FILE_STANDARD_INFO>()).unwrap_or_default();
    // SAFETY: the handle is open for as long as `file` lives, and the buffer is as large as said.
    let succeeded = unsafe {
        GetFileInformationByHandleEx(file.as_raw_handle(), FileStandardInfo, (&raw mut facts).cast(), size)
    };
    if succeeded == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(facts.NumberOfLinks > 0 && !facts.DeletePending)
}

/// Whether this path leads to this file. Nobody renames a lock file: one that has a name has this one.
pub fn is_named(file: &File, _: &Path) -> io::Result<bool> {
    is_linked(file)
}

/// There is no such call; NTFS keeps its names in a journal.
#[allow(clippy::unnecessary_wraps, reason = "the other systems' can fail")]
pub const fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
