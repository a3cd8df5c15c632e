//! Reading segments: what is in one that an ended process left, and events that are on disk only.

use std::io;
use std::path::Path;

use bytes::BytesMut;

use super::cipher::{Keyring, Place};
use super::disk::Disk;
use super::jobs::MAX_SEGMENT_BYTES;
use super::jobs::{Loaded, ReadBack, Surveyed};
use super::lease::{acknowledgement_file, segment_number};
use super::reader::{Found, Scan};
use super::record::{ENCRYPTED, HEADER_LENGTH, Header, HeaderProblem, Record};
use super::survey::survey as survey_bytes;
use super::tail::ReadPlan;

const CHUNK_BYTES: usize = 1024 * 1024;

/// Reads segments on one disk.
pub struct Reading<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// Keys to read by.
    pub keyring: &'a Keyring,
}

impl Reading<'_> {
    /// What is in this segment.
    ///
    /// # Errors
    /// As the file system says.
    pub fn survey(&self, path: &Path) -> io::Result<Surveyed> {
        let bytes = self.disk.read(path, 0, MAX_SEGMENT_BYTES)?;
        let header = Header::decode(&bytes);
        match header {
            Err(HeaderProblem::Newer(version)) => return Ok(Surveyed::Newer(version)),
            Ok(header) if header.key_id != [0; 8] && !self.keyring.knows(header.key_id) => {
                return Ok(Surveyed::Locked);
            }
            _ => {}
        }
        let acknowledgements = match self.disk.read(&acknowledgement_file(path), 0, MAX_SEGMENT_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let number =
            path.file_name().and_then(|name| segment_number(&name.to_string_lossy())).unwrap_or_default();
        if header.is_err() && !self.can_open(&bytes, number) {
            // Its header, which would have named the key, is destroyed.
            return Ok(Surveyed::Locked);
        }
        let survey = survey_bytes(&bytes, &acknowledgements);
        if survey.stretches.is_empty() && survey.damaged == 0 {
            return Ok(Surveyed::Settled);
        }
        let is_set_aside = survey.sound == 0;
        if is_set_aside {
            // Nothing in it can be read: it is kept for people to look at.
            self.disk.rename(path, &path.with_extension("corrupt"))?;
        }
        Ok(Surveyed::Events {
            bytes: (bytes.len() + acknowledgements.len()) as u64,
            oldest_at: survey.oldest_at,
            correction: survey.correction,
            stretches: survey.stretches,
            damaged: survey.damaged,
            torn: survey.torn,
            is_set_aside,
        })
    }

    /// A file that is gone is no error: its events are lost.
    pub fn read(&self, plan: &ReadPlan, budget: usize) -> io::Result<ReadBack> {
        let chunk = self.read_chunk(plan, CHUNK_BYTES, budget)?;
        if chunk.count > 0 {
            return Ok(chunk);
        }
        self.read_chunk(plan, MAX_SEGMENT_BYTES, budget)
    }

    fn read_chunk(&self, plan: &ReadPlan, limit: usize, budget: usize) -> io::Result<ReadBack> {
        let unread = plan.unread;
        let bytes = match self.disk.read(&plan.path, unread.offset, limit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let is_end = bytes.len() < limit;
        let mut back = ReadBack { offset: unread.offset, ..ReadBack::default() };
        let named = |index: u64| (unread.first + index, unread.first_on_disk + index);
        let mut cost = 0;
        // All of them are pieces of one buffer: as small as what is kept of it.
        let mut kept = BytesMut::with_capacity(budget.min(bytes.len()));
        for found in Scan::new(&bytes, is_end) {
            let Found::Record { offset, record } = found else { continue };
            // Others lie in between when the spool caught up after a failure.
            let Some(index) =
                record.sequence.checked_sub(unread.first_on_disk).filter(|index| *index < unread.length)
            else {
                continue;
            };
            if index < back.count {
                continue;
            }
            cost += record.length();
            if cost > budget && !back.events.is_empty() {
                back.offset = unread.offset + offset as u64;
                return Ok(back);
            }
            back.lost.extend((back.count..index).map(named));
            if self.open(&record, plan.number, &mut kept) {
                let (sequence, on_disk) = named(index);
                let bytes = kept.split().freeze();
                back.events.push(Loaded { sequence, on_disk, accepted_at: record.accepted_at, bytes });
            } else {
                back.lost.push(named(index));
            }
            back.count = index + 1;
            back.offset = unread.offset + (offset + record.length()) as u64;
            if back.count == unread.length {
                return Ok(back);
            }
        }
        if is_end {
            back.lost.extend((back.count..unread.length).map(named));
            back.count = unread.length;
        }
        Ok(back)
    }

    /// Whether the first sound record of a segment can be read. All of them have one key.
    fn can_open(&self, segment: &[u8], number: u64) -> bool {
        let records = segment.get(HEADER_LENGTH..).unwrap_or_default();
        let first = Scan::new(records, true).find_map(|found| match found {
            Found::Record { record, .. } => Some(record),
            _ => None,
        });
        first.is_none_or(|record| self.open(&record, number, &mut BytesMut::new()))
    }

    /// Appends the text of a record; false when no key fits.
    fn open(&self, record: &Record<'_>, segment: u64, to: &mut BytesMut) -> bool {
        if record.flags & ENCRYPTED == 0 {
            to.extend_from_slice(record.payload);
            return true;
        }
        let place = Place { segment, sequence: record.sequence, accepted_at: record.accepted_at };
        let text = self.keyring.decrypt(place, record.payload);
        to.extend_from_slice(text.as_deref().unwrap_or_default());
        text.is_some()
    }
}
