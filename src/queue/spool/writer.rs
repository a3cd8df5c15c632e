//! The segment being written.

use std::io;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::cipher::{Keyring, Place};
use super::disk::{Disk, LogFile};
use super::record::{ENCRYPTED, HEADER_LENGTH, Header, Record};

/// Appends records to one file.
pub struct Writer {
    file: Arc<dyn LogFile>,
    number: u64,
    random: [u8; 16],
    length: u64,
}

impl Writer {
    /// Creates the file with its header.
    ///
    /// # Errors
    /// As the file system says; no file is left then.
    pub fn create(
        disk: &dyn Disk,
        path: &Path,
        number: u64,
        created_at: u64,
        keyring: &Keyring,
    ) -> io::Result<Self> {
        let file = disk.create(path)?;
        let header = Header { number, created_at, key_id: keyring.writing_id() }.encode();
        let written = file.append([&header, &[]]);
        if !matches!(written, Ok(HEADER_LENGTH)) {
            drop(disk.remove_file(path));
            return Err(written.err().unwrap_or_else(cut_short));
        }
        Ok(Self { file, number, random: *Uuid::new_v4().as_bytes(), length: HEADER_LENGTH as u64 })
    }

    /// Appends one record and returns where it begins. Once this returns, the kernel has it.
    ///
    /// # Errors
    /// As the file system says. Nothing must be appended after that: the end of the file is not to be trusted.
    pub fn append(
        &mut self,
        sequence: u64,
        accepted_at: u64,
        event: &[u8],
        keyring: &Keyring,
    ) -> io::Result<u64> {
        let place = Place { segment: self.number, sequence, accepted_at };
        let encrypted = keyring.encrypt(self.random, place, event);
        let flags = if encrypted.is_some() { ENCRYPTED } else { 0 };
        let record = Record { sequence, accepted_at, flags, payload: encrypted.as_deref().unwrap_or(event) };
        let written = self.file.append([&record.prefix(), record.payload]);
        if !matches!(written, Ok(bytes) if bytes == record.length()) {
            // If this fails too, whoever reads the file finds a torn end and passes over it.
            drop(self.file.truncate(self.length));
            return Err(written.err().unwrap_or_else(cut_short));
        }
        let offset = self.length;
        self.length += record.length() as u64;
        Ok(offset)
    }

    /// Bytes in the file.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The file itself.
    #[must_use]
    pub const fn file(&self) -> &Arc<dyn LogFile> {
        &self.file
    }
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the disk took only a part of it")
}
