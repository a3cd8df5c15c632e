//! Finds the records in the bytes of a segment, whatever happened to them. Pure, and ends in O(bytes).
//!
//! Where no sound record stands, the search goes on byte by byte until one does: a checksum of 32 bits and a
//! plausible length tell it from chance, and JSON text holds no zero bytes to imitate one. So a flipped byte costs
//! the record it is in and no other.

use super::record::{MAX_PAYLOAD, RECORD_OVERHEAD, Record, decode};

/// Something found in a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A sound record, and where it begins.
    Record {
        /// Bytes from where the search began.
        offset: usize,
        /// The record.
        record: Record<'a>,
    },
    /// Bytes between sound records that are none.
    Damaged {
        /// How many.
        bytes: usize,
        /// Records that were lost with them, as far as their sequences tell; at least 1.
        records: u64,
    },
    /// Bytes at the end that look like a record whose writing was cut short.
    Torn {
        /// How many.
        bytes: usize,
    },
}

/// The search.
#[derive(Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    offset: usize,
    is_end: bool,
    last_sequence: Option<u64>,
}

impl<'a> Scan<'a> {
    /// Searches these bytes, which begin where a record begins. With `is_end` they reach to the end of the segment;
    /// without, the search stops at what may only be cut off.
    #[must_use]
    pub const fn new(bytes: &'a [u8], is_end: bool) -> Self {
        Self { bytes, offset: 0, is_end, last_sequence: None }
    }

    fn record_at(&self, offset: usize) -> Option<Record<'a>> {
        self.bytes.get(offset..).and_then(decode)
    }

    /// How many records a gap of these bytes before this sequence has swallowed.
    fn lost_before(&self, sequence: u64, bytes: usize) -> u64 {
        let by_room = (bytes / RECORD_OVERHEAD).max(1) as u64;
        let gap = self.last_sequence.and_then(|last| sequence.checked_sub(last + 1));
        gap.map_or(1, |missing| missing.clamp(1, by_room))
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let rest = self.bytes.len().checked_sub(self.offset).filter(|rest| *rest > 0)?;
        if let Some(record) = self.record_at(self.offset) {
            let offset = self.offset;
            self.offset += record.length();
            self.last_sequence = Some(record.sequence);
            return Some(Found::Record { offset, record });
        }
        if !self.is_end && rest < RECORD_OVERHEAD + MAX_PAYLOAD {
            return None;
        }
        let next =
            (self.offset + 1..self.bytes.len()).find_map(|offset| Some((offset, self.record_at(offset)?)));
        if let Some((offset, record)) = next {
            let bytes = offset - self.offset;
            let records = self.lost_before(record.sequence, bytes);
            self.offset = offset;
            return Some(Found::Damaged { bytes, records });
        }
        if !self.is_end {
            return None;
        }
        let is_torn = self.bytes.get(self.offset..).is_some_and(is_cut_short);
        self.offset = self.bytes.len();
        Some(if is_torn { Found::Torn { bytes: rest } } else { Found::Damaged { bytes: rest, records: 1 } })
    }
}

/// Whether these bytes may be the beginning of a record that goes on behind their end.
fn is_cut_short(bytes: &[u8]) -> bool {
    let Some(length) = bytes.first_chunk::<4>() else { return true };
    let length = u32::from_le_bytes(*length) as usize;
    length <= MAX_PAYLOAD && RECORD_OVERHEAD + length > bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(count: u64) -> Vec<u8> {
        (1..=count)
            .flat_map(|sequence| bytes_of(sequence, format!(r#"{{"n":{sequence}}}"#).as_bytes()))
            .collect()
    }

    fn bytes_of(sequence: u64, payload: &[u8]) -> Vec<u8> {
        let record = Record { sequence, accepted_at: 5, flags: 0, payload };
        [record.prefix().as_slice(), payload].concat()
    }

    fn sequences(bytes: &[u8]) -> Vec<u64> {
        let sequence = |found| match found {
            Found::Record { record, .. } => Some(record.sequence),
            _ => None,
        };
        Scan::new(bytes, true).filter_map(sequence).collect()
    }

    #[test]
    fn every_flipped_bit_costs_at_most_its_own_record() {
        let sound = segment(6);
        let length = sound.len() / 6;
        for (index, bit) in (0..sound.len()).flat_map(|index| (0..8).map(move |bit| (index, bit))) {
            let mut bytes = sound.clone();
            bytes[index] ^= 1 << bit;
            let hit = (index / length) as u64 + 1;
            let expected: Vec<u64> = (1..=6).filter(|sequence| *sequence != hit).collect();
            assert_eq!(sequences(&bytes), expected, "byte {index}");
        }
    }

    #[test]
    fn every_truncation_keeps_all_whole_records() {
        let sound = segment(6);
        let length = sound.len() / 6;
        for end in 0..=sound.len() {
            let found: Vec<_> = Scan::new(&sound[..end], true).collect();
            let whole = end / length;
            assert_eq!(found.len(), whole + usize::from(end % length > 0));
            assert_eq!(sequences(&sound[..end]).len(), whole);
        }
    }

    #[test]
    fn what_was_lost_is_counted_by_sequence() {
        let mut bytes =
            [bytes_of(1, b"{}"), bytes_of(2, b"{}"), bytes_of(3, b"{}"), bytes_of(4, b"{}")].concat();
        let length = bytes.len() / 4;
        bytes[length + 4] ^= 1;
        bytes[2 * length + 4] ^= 1;
        let damaged = Scan::new(&bytes, true).nth(1).unwrap();
        assert_eq!(damaged, Found::Damaged { bytes: 2 * length, records: 2 });
    }

    #[test]
    fn no_more_is_counted_as_lost_than_there_was_room_for() {
        // Sequences are missing where others were written in between.
        let mut bytes = [bytes_of(1, b"{}"), bytes_of(2, b"{}"), bytes_of(100, b"{}")].concat();
        let length = bytes.len() / 3;
        bytes[length + 4] ^= 1;
        let damaged = Scan::new(&bytes, true).nth(1).unwrap();
        assert_eq!(damaged, Found::Damaged { bytes: length, records: 1 });
    }

    #[test]
    fn a_chunk_stops_at_what_may_only_be_cut_off() {
        let bytes = segment(3);
        assert_eq!(Scan::new(&bytes[..bytes.len() - 1], false).count(), 2);
    }

    #[test]
    fn an_end_that_was_cut_short_is_told_from_one_that_is_damaged() {
        let sound = segment(2);
        let length = sound.len() / 2;
        for end in length + 1..2 * length {
            let last = Scan::new(&sound[..end], true).last();
            assert_eq!(last, Some(Found::Torn { bytes: end - length }));
        }
        let mut damaged = sound;
        damaged[2 * length - 1] ^= 1;
        let last = Scan::new(&damaged, true).last();
        assert_eq!(last, Some(Found::Damaged { bytes: length, records: 1 }));
    }

    #[test]
    fn damage_within_a_chunk_is_passed_over_when_no_record_can_reach_beyond_it() {
        let mut bytes = bytes_of(1, b"{}");
        let length = bytes.len();
        bytes[length - 1] ^= 1;
        bytes.extend(bytes_of(2, &vec![b'x'; MAX_PAYLOAD]));
        assert_eq!(Scan::new(&bytes[..bytes.len() - length], false).next(), None, "read more of it");
        let found: Vec<_> = Scan::new(&bytes, false).take(2).collect();
        assert_eq!(found[0], Found::Damaged { bytes: length, records: 1 });
        assert!(matches!(found[1], Found::Record { offset, .. } if offset == length));
    }
}
