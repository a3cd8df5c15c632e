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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::spool::record::{Header, Record};

    /// Of one record.
    const LENGTH: u64 = 27;

    /// A segment of these records, the later the sequence, the earlier accepted.
    fn segment(sequences: &[u64]) -> Vec<u8> {
        let mut bytes = Header { number: 1, created_at: 0, key_id: [0; 8] }.encode();
        for sequence in sequences {
            let record =
                Record { sequence: *sequence, accepted_at: 1_000 - sequence, flags: 0, payload: b"{}" };
            bytes.extend_from_slice(&record.prefix());
            bytes.extend_from_slice(record.payload);
        }
        bytes
    }

    fn acknowledgements(ranges: &[(u64, u64)]) -> Vec<u8> {
        ranges.iter().flat_map(|&(first, last)| Acknowledgement { first, last }.encode()).collect()
    }

    fn stretch(first_on_disk: u64, length: u64, index: u64) -> Stretch {
        Stretch { first_on_disk, length, offset: HEADER_LENGTH as u64 + index * LENGTH }
    }

    #[test]
    fn what_is_not_settled_is_found_in_stretches() {
        let survey = survey(&segment(&[1, 2, 3, 4, 7, 8]), &acknowledgements(&[(2, 2)]));
        assert_eq!(survey.stretches, [stretch(1, 1, 0), stretch(3, 2, 2), stretch(7, 2, 4)]);
        assert_eq!((survey.sound, survey.damaged, survey.torn, survey.oldest_at), (6, 0, 0, 992));
    }

    #[test]
    fn acknowledgements_may_overlap_and_come_in_any_order() {
        let records = segment(&[1, 2, 3, 4, 5, 6, 7, 8]);
        for ranges in [&[(6, 6), (1, 7), (3, 4)][..], &[(3, 5), (1, 3), (5, 7)], &[(1, 3), (4, 7), (4, 4)]] {
            let survey = survey(&records, &acknowledgements(ranges));
            assert_eq!(survey.stretches, [stretch(8, 1, 7)], "{ranges:?}");
        }
    }

    #[test]
    fn the_last_correction_holds_for_what_is_not_settled() {
        let records = segment(&[1, 2, 3]);
        let mut noted = acknowledgements(&[(3, 3)]);
        for milliseconds in [5_000, -500] {
            noted.extend(Acknowledgement::correction(milliseconds).encode());
        }
        let open = survey(&records, &noted);
        assert_eq!((open.correction, open.oldest_at, open.stretches.len()), (-500, 498, 1));
        noted.extend(acknowledgements(&[(1, 2)]));
        let settled = survey(&records, &noted);
        assert_eq!((settled.stretches.len(), settled.sound, settled.oldest_at), (0, 3, u64::MAX));
    }

    #[test]
    fn damage_and_a_torn_end_are_counted() {
        let mut bytes = segment(&[1, 2, 3, 4, 5]);
        let second = HEADER_LENGTH + 27;
        bytes[second + 4] ^= 1;
        bytes.truncate(bytes.len() - 7);
        let survey = survey(&bytes, &[]);
        assert_eq!((survey.sound, survey.damaged, survey.torn), (3, 1, 20));
    }
}
