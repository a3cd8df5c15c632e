//! What Segment refused, kept for people to look at: segments of their own, the oldest of which give way.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::Settings;
use super::disk::Disk;
use super::lease::DEAD_LETTERS;
use super::writer::Writer;

/// Bytes that all dead letters of a source may hold.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;
const SEGMENT_BYTES: u64 = 1024 * 1024;

/// The dead letters of one client.
pub struct DeadLetterLog {
    settings: Arc<Settings>,
    disk: Arc<dyn Disk>,
    writer: Option<Writer>,
    last_sequence: u64,
}

impl DeadLetterLog {
    /// A log that creates its directory with its first letter.
    #[must_use]
    pub const fn new(settings: Arc<Settings>, disk: Arc<dyn Disk>) -> Self {
        Self { settings, disk, writer: None, last_sequence: 0 }
    }

    /// Appends one letter, JSON.
    ///
    /// # Errors
    /// As the file system says.
    pub fn append(&mut self, letter: &[u8], now: u64) -> io::Result<()> {
        let mut writer = match self.writer.take().filter(|writer| writer.length() < SEGMENT_BYTES) {
            Some(writer) => writer,
            None => self.begin(now)?,
        };
        self.last_sequence += 1;
        writer.append(self.last_sequence, now, letter, &self.settings.keyring)?;
        self.writer = Some(writer);
        Ok(())
    }

    fn begin(&self, now: u64) -> io::Result<Writer> {
        let directory = self.settings.directory.join(DEAD_LETTERS);
        self.disk.prepare(&directory)?;
        let mut items = self.disk.list(&directory)?;
        items.sort_by(|left, right| left.name.cmp(&right.name));
        let mut bytes: u64 = items.iter().map(|item| item.length).sum();
        for item in &items {
            if bytes + SEGMENT_BYTES <= MAX_BYTES {
                break;
            }
            self.disk.remove_file(&directory.join(&item.name))?;
            bytes -= item.length;
        }
        // The name begins with the time, so that the oldest sorts first, whoever wrote it.
        let name = format!("{now:016x}-{}.seg", Uuid::new_v4());
        Writer::create(&*self.disk, &directory.join(name), now, now, &self.settings.keyring)
    }
}
