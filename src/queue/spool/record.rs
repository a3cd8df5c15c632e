//! The format on disk, version 1. Pure; every number is little-endian.
//!
//! | segment header, 64 bytes | | record | |
//! |---|---|---|---|
//! | magic | 8 bytes | length of the payload | u32 |
//! | version | u16 | CRC-32C of everything else in the record | u32 |
//! | flags, reserved | u16, u32: 0 | sequence | u64 |
//! | segment number | u64 | accepted at, ms since 1970 | u64 |
//! | created at, ms since 1970 | u64 | flags | u8 |
//! | key id, 0 without encryption | 8 bytes | payload | |
//! | reserved | 20 bytes: 0 | | |
//! | CRC-32C of the bytes before it | u32 | | |
//!
//! A record stands by itself: with its header destroyed, a segment still yields every record. An acknowledgement
//! (`first u64 | last u64 | CRC-32C u32`) says that the records from first to last are settled; with the largest number as
//! its first, that the times in the segment are off by `last` (i64) milliseconds.

/// The first bytes of a segment.
pub const MAGIC: [u8; 8] = *b"CSEGSPL\0";
/// The version this code writes, and the newest it reads.
pub const VERSION: u16 = 1;
/// Bytes of a segment header.
pub const HEADER_LENGTH: usize = 64;
/// Bytes of a record beside its payload.
pub const RECORD_OVERHEAD: usize = 25;
/// Bytes of an acknowledgement.
pub const ACKNOWLEDGEMENT_LENGTH: usize = 20;
/// More than an event with its encryption, or a dead letter, can ever need.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// In the place of the first settled sequence: this is no acknowledgement but a correction of times.
const CORRECTION: u64 = u64::MAX;

/// The payload is encrypted: `nonce | ciphertext | tag`.
pub const ENCRYPTED: u8 = 1;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number in the file's name.
    pub number: u64,
    /// Milliseconds since 1970.
    pub created_at: u64,
    /// Which key its records are encrypted with; zeros without encryption.
    pub key_id: [u8; 8],
}

/// Why a header can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderProblem {
    /// Cut short, or its checksum is wrong. The records may be fine.
    Damaged,
    /// Written by a newer version: not to be touched.
    Newer(u16),
}

impl Header {
    /// The bytes of the header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LENGTH);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.created_at.to_le_bytes());
        bytes.extend_from_slice(&self.key_id);
        bytes.extend_from_slice(&[0; 20]);
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of a segment.
    ///
    /// # Errors
    /// [`HeaderProblem`]
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderProblem> {
        Self::checked(bytes).ok_or(HeaderProblem::Damaged).and_then(|(version, header)| {
            if version > VERSION { Err(HeaderProblem::Newer(version)) } else { Ok(header) }
        })
    }

    fn checked(bytes: &[u8]) -> Option<(u16, Self)> {
        let (content, mut checksum) = bytes.get(..HEADER_LENGTH)?.split_at_checked(HEADER_LENGTH - 4)?;
        if crc32c::crc32c(content) != u32::from_le_bytes(take(&mut checksum)?) {
            return None;
        }
        let mut rest = content;
        if take::<8>(&mut rest)? != MAGIC {
            return None;
        }
        let version = u16::from_le_bytes(take(&mut rest)?);
        let _flags_and_reserved = take::<6>(&mut rest)?;
        let number = u64::from_le_bytes(take(&mut rest)?);
        let created_at = u64::from_le_bytes(take(&mut rest)?);
        Some((version, Self { number, created_at, key_id: take(&mut rest)? }))
    }
}

/// One event as it lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its writer's order of acceptance.
    pub sequence: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_at: u64,
    /// [`ENCRYPTED`] or 0.
    pub flags: u8,
    /// The sealed JSON, or its ciphertext.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Bytes on disk.
    #[must_use]
    pub const fn length(&self) -> usize {
        RECORD_OVERHEAD + self.payload.len()
    }

    /// The bytes before the payload.
    #[must_use]
    pub fn prefix(&self) -> [u8; RECORD_OVERHEAD] {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut facts = [0; 17];
        let parts = self.sequence.to_le_bytes().into_iter().chain(self.accepted_at.to_le_bytes());
        for (place, byte) in facts.iter_mut().zip(parts.chain([self.flags])) {
            *place = byte;
        }
        let checksum = checksum(length, &facts, self.payload).to_le_bytes();
        let mut prefix = [0; RECORD_OVERHEAD];
        for (place, byte) in prefix.iter_mut().zip(length.into_iter().chain(checksum).chain(facts)) {
            *place = byte;
        }
        prefix
    }
}

fn checksum(length: [u8; 4], facts: &[u8; 17], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&length), facts), payload)
}

/// The record that these bytes begin with, if there is a whole and sound one.
///
/// What can't be a record is told by its facts, so that a search through damaged bytes does not spend a checksum of 64 KiB
/// on each of them: no client has accepted 2^48 events, and no event is from the year 10,000.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let mut rest = bytes;
    let length = take::<4>(&mut rest)?;
    let size = u32::from_le_bytes(length) as usize;
    if size > MAX_PAYLOAD {
        return None;
    }
    let expected = u32::from_le_bytes(take(&mut rest)?);
    let facts = take::<17>(&mut rest)?;
    let payload = rest.get(..size)?;
    let is_plausible = matches!(facts, [_, _, _, _, _, _, 0, 0, _, _, _, _, _, _, 0, 0, 0 | ENCRYPTED]);
    if !is_plausible || checksum(length, &facts, payload) != expected {
        return None;
    }
    let mut fact = facts.as_slice();
    let sequence = u64::from_le_bytes(take(&mut fact)?);
    let accepted_at = u64::from_le_bytes(take(&mut fact)?);
    let [flags] = take(&mut fact)?;
    Some(Record { sequence, accepted_at, flags, payload })
}

/// The records from `first` to `last` are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The first settled sequence.
    pub first: u64,
    /// The last settled sequence.
    pub last: u64,
}

impl Acknowledgement {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ACKNOWLEDGEMENT_LENGTH);
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.last.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Says that the wall clock by which the times in the segment were written was wrong: so many milliseconds have to be
    /// added. No record has such a sequence, so that whoever does not know of corrections passes over it.
    #[must_use]
    pub fn correction(milliseconds: i64) -> Self {
        Self { first: CORRECTION, last: u64::from_le_bytes(milliseconds.to_le_bytes()) }
    }

    /// The milliseconds of a correction.
    #[must_use]
    pub fn as_correction(&self) -> Option<i64> {
        (self.first == CORRECTION).then(|| i64::from_le_bytes(self.last.to_le_bytes()))
    }

    /// All sound ones of a file. A damaged one is passed over: sending twice beats losing.
    pub fn decode_all(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.chunks_exact(ACKNOWLEDGEMENT_LENGTH).filter_map(|bytes| {
            let mut rest = bytes;
            let first = u64::from_le_bytes(take(&mut rest)?);
            let last = u64::from_le_bytes(take(&mut rest)?);
            let content = bytes.get(..ACKNOWLEDGEMENT_LENGTH - 4)?;
            let is_sound = crc32c::crc32c(content) == u32::from_le_bytes(take(&mut rest)?);
            is_sound.then_some(Self { first, last })
        })
    }
}

fn take<const LENGTH: usize>(bytes: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (taken, rest) = bytes.split_first_chunk::<LENGTH>()?;
    *bytes = rest;
    Some(*taken)
}

/// Bytes as hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Frozen, and computed by another program: what these bytes say must be readable for ever.

    #[test]
    fn golden_header() {
        let golden = concat!(
            "4353454753504c000100000000000000070000000000000000a8da769b010000",
            "010203040506070800000000000000000000000000000000000000009bd758ec",
        );
        let header = Header { number: 7, created_at: 1_767_225_600_000, key_id: [1, 2, 3, 4, 5, 6, 7, 8] };
        assert_eq!(hex(&header.encode()), golden);
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn golden_record() {
        let golden = concat!(
            "100000000616015603000000000000007ba8da769b010000007b227479706522",
            "3a22747261636b227d",
        );
        let payload = br#"{"type":"track"}"#;
        let record = Record { sequence: 3, accepted_at: 1_767_225_600_123, flags: 0, payload };
        let bytes = [record.prefix().as_slice(), record.payload].concat();
        assert_eq!(hex(&bytes), golden);
        assert_eq!(decode(&bytes), Some(record));
    }

    #[test]
    fn golden_acknowledgement() {
        let range = Acknowledgement { first: 4, last: 9 };
        assert_eq!(hex(&range.encode()), "04000000000000000900000000000000fc4f738f");
        assert_eq!(Acknowledgement::decode_all(&range.encode()).collect::<Vec<_>>(), [range]);
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = Header { number: 1, created_at: 0, key_id: [0; 8] }.encode();
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderProblem::Damaged));
        let checksum = crc32c::crc32c(&bytes[..60]).to_le_bytes();
        bytes[60..].copy_from_slice(&checksum);
        assert_eq!(Header::decode(&bytes), Err(HeaderProblem::Newer(2)));
        assert_eq!(Header::decode(&bytes[..40]), Err(HeaderProblem::Damaged));
    }

    #[test]
    fn a_damaged_acknowledgement_settles_nothing() {
        let sound = Acknowledgement { first: 4, last: 9 };
        let mut bytes = [sound.encode(), Acknowledgement { first: 10, last: 12 }.encode()].concat();
        bytes[25] ^= 1;
        bytes.extend_from_slice(&[1, 2, 3]);
        assert_eq!(Acknowledgement::decode_all(&bytes).collect::<Vec<_>>(), [sound]);
    }
}
