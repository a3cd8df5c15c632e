//! What is in a segment, and how old it is. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::reader::{Found, Scan};
use super::record::{Acknowledgement, HEADER_LENGTH};

/// A moment of the wall clock in milliseconds since 1970.
#[must_use]
pub fn since_1970(wall: SystemTime) -> i64 {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Consecutive unsettled records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What the file calls the first.
    pub first_on_disk: u64,
    /// How many.
    pub length: u64,
    /// Where the first begins.
    pub offset: u64,
}

/// What is in a segment.
#[derive(Debug, Default)]
pub struct Survey {
    /// Unsettled events.
    pub stretches: Vec<Stretch>,
    /// Records that can be read, settled ones included.
    pub sound: u64,
    /// Records that can't be read.
    pub damaged: u64,
    /// Bytes at the end that are no record.
    pub torn: usize,
    /// When the oldest unsettled record was accepted; the largest number when there is none.
    pub oldest_at: u64,
    /// Milliseconds to add to the times in the segment, because the clock of its writer was wrong.
    pub correction: i64,
}

/// Goes through a segment and its acknowledgements.
#[must_use]
pub fn survey(segment: &[u8], acknowledgements: &[u8]) -> Survey {
    let settled = settled(acknowledgements);
    let is_settled =
        |sequence: u64| settled.range(..=sequence).next_back().is_some_and(|(_, last)| *last >= sequence);
    let mut survey = Survey { oldest_at: u64::MAX, ..Survey::default() };
    for found in Scan::new(segment.get(HEADER_LENGTH..).unwrap_or_default(), true) {
        match found {
            Found::Damaged { records, .. } => survey.damaged += records,
            Found::Torn { bytes } => survey.torn = bytes,
            Found::Record { offset, record } => {
                survey.sound += 1;
                if is_settled(record.sequence) {
                    continue;
                }
                survey.oldest_at = survey.oldest_at.min(record.accepted_at);
                let offset = (HEADER_LENGTH + offset) as u64;
                match survey.stretches.last_mut() {
                    Some(last) if last.first_on_disk + last.length == record.sequence => last.length += 1,
                    _ => survey.stretches.push(Stretch { first_on_disk: record.sequence, length: 1, offset }),
                }
            }
        }
    }
    survey.correction = Acknowledgement::decode_all(acknowledgements)
        .filter_map(|record| record.as_correction())
        .last()
        .unwrap_or_default();
    if survey.oldest_at < u64::MAX {
        survey.oldest_at = survey.oldest_at.saturating_add_signed(survey.correction);
    }
    survey
}

/// Settled ranges, first to last, without overlaps.
fn settled(acknowledgements: &[u8]) -> BTreeMap<u64, u64> {
    let mut ranges: Vec<_> = Acknowledgement::decode_all(acknowledgements)
        .filter(|range| range.as_correction().is_none())
        .map(|range| (range.first, range.last))
        .collect();
    ranges.sort_unstable();
    let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
    for (first, last) in ranges {
        match merged.last_entry() {
            Some(mut range) if *range.get() >= first => *range.get_mut() = last.max(*range.get()),
            _ => drop(merged.insert(first, last)),
        }
    }
    merged
}
