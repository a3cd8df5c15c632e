//! The machine's own file system.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::{Disk, Item, LOCK_FILE, Lock, LogFile, platform};

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn prepare(&self, directory: &Path) -> io::Result<()> {
        match platform::create_directory(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let Some(parent) = directory.parent() else { return Err(error) };
                prepare_parents(parent)?;
                platform::create_directory(directory)?;
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.check(directory)
    }

    fn check(&self, directory: &Path) -> io::Result<()> {
        platform::check_owner(directory)
    }

    fn lock(&self, directory: &Path) -> io::Result<Option<Lock>> {
        let path = directory.join(LOCK_FILE);
        let file = platform::options().write(true).create(true).truncate(false).open(&path)?;
        platform::make_private(&file)?;
        match file.try_lock() {
            // Who held it before has removed it meanwhile: that is no lock which anybody else would see.
            Ok(()) if !platform::is_named(&file, &path)? => Err(io::ErrorKind::NotFound.into()),
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn is_locked(&self, directory: &Path) -> io::Result<bool> {
        let file = match platform::options().read(true).open(directory.join(LOCK_FILE)) {
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
        open_log(platform::appending().create_new(true), file)
    }

    fn open(&self, file: &Path) -> io::Result<Arc<dyn LogFile>> {
        open_log(platform::appending().create(true), file)
    }

    fn read(&self, file: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut file = platform::options().read(true).open(file)?;
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
        platform::remove_file(file)
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::remove_dir(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        platform::sync_directory(directory)
    }
}

fn open_log(options: &OpenOptions, path: &Path) -> io::Result<Arc<dyn LogFile>> {
    let mut file = options.open(path)?;
    platform::make_private(&file)?;
    file.seek(SeekFrom::End(0))?;
    Ok(Arc::new(file))
}

/// The directories above the spool's own: made where missing, else not ours to judge.
fn prepare_parents(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        prepare_parents(parent)?;
    }
    match platform::create_directory(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

impl LogFile for File {
    fn append(&self, parts: [&[u8]; 2]) -> io::Result<usize> {
        write_whole(self, parts)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        let mut file = self;
        file.seek(SeekFrom::End(0)).map(drop)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn is_linked(&self) -> io::Result<bool> {
        platform::is_linked(self)
    }
}

/// Writes both parts and returns how many bytes were taken: all of them, or fewer when something went wrong on the way.
/// One call where the system takes several buffers at once; Windows takes the first of them only.
fn write_whole(mut file: impl io::Write, parts: [&[u8]; 2]) -> io::Result<usize> {
    let mut slices = parts.map(IoSlice::new);
    let mut left = &mut slices[..];
    let mut written = 0;
    loop {
        IoSlice::advance_slices(&mut left, 0);
        if left.is_empty() {
            return Ok(written);
        }
        match file.write_vectored(left) {
            Ok(0) => return Ok(written),
            Ok(bytes) => {
                written += bytes;
                IoSlice::advance_slices(&mut left, bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if written > 0 => return Ok(written),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IoSlice, io, write_whole};

    /// Takes at most `piece` bytes of the first buffer, as Windows does, and fails once `room` is used up.
    struct Hesitant {
        taken: Vec<u8>,
        piece: usize,
        room: usize,
        interruptions: usize,
    }

    impl io::Write for &mut Hesitant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.interruptions > 0 {
                self.interruptions -= 1;
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(self.piece).min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            self.write(parts.first().map_or(&[], |part| part))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_record_is_written_whole_however_little_a_call_takes() {
        for piece in 1..=8 {
            for interruptions in 0..3 {
                let mut file = Hesitant { taken: Vec::new(), piece, room: 100, interruptions };
                assert_eq!(write_whole(&mut file, [b"head", b"payload"]).unwrap(), 11);
                assert_eq!(file.taken, b"headpayload");
            }
        }
    }

    #[test]
    fn what_a_full_disk_took_is_told() {
        for room in 1..11 {
            let mut file = Hesitant { taken: Vec::new(), piece: 3, room, interruptions: 0 };
            assert_eq!(write_whole(&mut file, [b"head", b"payload"]).unwrap(), room);
        }
        let mut file = Hesitant { taken: Vec::new(), piece: 3, room: 0, interruptions: 0 };
        let error = write_whole(&mut file, [b"head", b"payload"]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(write_whole(&mut file, [b"", b""]).unwrap(), 0);
    }
}
