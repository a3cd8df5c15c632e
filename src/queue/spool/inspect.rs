//! Looks into a spool without changing anything in it, for the command line.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cipher::{Keyring, Place};
use super::disk::Disk;
use super::jobs::MAX_SEGMENT_BYTES;
use super::lease::acknowledgement_file;
use super::reader::{Found, Scan};
use super::record::{ENCRYPTED, HEADER_LENGTH, Header, HeaderProblem, Record, hex};
use super::survey::{Survey, survey};

/// A segment file, and who has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentFile {
    /// The digest that stands for the write key.
    pub source: String,
    /// The instance that wrote it; `dead` for dead letters.
    pub instance: String,
    /// The file.
    pub path: PathBuf,
    /// Bytes, acknowledgements included.
    pub bytes: u64,
    /// A running process has it.
    pub is_held: bool,
    /// Set aside because nothing in it can be read.
    pub is_corrupt: bool,
}

/// What is in a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// Events to deliver, or dead letters.
    pub events: u64,
    /// Records that can't be read.
    pub damaged: u64,
    /// Bytes at the end that look like a record whose writing was cut short.
    pub torn_bytes: usize,
    /// When the oldest of the events was accepted, in milliseconds since 1970.
    pub oldest_at: Option<u64>,
    /// The key its events are encrypted with.
    pub key_id: Option<String>,
    /// What is wrong with the file as a whole.
    pub problem: Option<&'static str>,
}

/// All segments below a directory, oldest first within their instance.
///
/// # Errors
/// As the file system says.
pub fn list(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut files = Vec::new();
    for source in disk.list(directory)?.into_iter().filter(|item| item.is_directory && is_digest(&item.name))
    {
        let path = directory.join(&source.name);
        for instance in disk.list(&path)?.into_iter().filter(|item| item.is_directory) {
            files.extend(list_instance(disk, &source.name, &instance.name, &path.join(&instance.name))?);
        }
    }
    files.sort_by(|left: &SegmentFile, right| left.path.cmp(&right.path));
    Ok(files)
}

fn is_digest(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn list_instance(disk: &dyn Disk, source: &str, instance: &str, path: &Path) -> io::Result<Vec<SegmentFile>> {
    let items = disk.list(path)?;
    let is_held = disk.is_locked(path)?;
    let length_of = |name: &str| items.iter().find(|item| item.name == name).map_or(0, |item| item.length);
    let file = |name: &String| {
        let path = path.join(name);
        let acknowledgements = acknowledgement_file(&path);
        let beside = acknowledgements.file_name().map_or(0, |name| length_of(&name.to_string_lossy()));
        SegmentFile {
            source: source.to_owned(),
            instance: instance.to_owned(),
            bytes: length_of(name) + beside,
            is_held,
            is_corrupt: path.extension().is_some_and(|extension| extension == "corrupt"),
            path,
        }
    };
    let names = items.iter().map(|item| &item.name);
    Ok(names
        .filter(|name| [".seg", ".corrupt"].iter().any(|suffix| name.strip_suffix(suffix).is_some()))
        .map(file)
        .collect())
}

/// Goes through one segment and checks every checksum.
///
/// # Errors
/// As the file system says.
pub fn contents(disk: &dyn Disk, path: &Path) -> io::Result<Contents> {
    let (bytes, acknowledgements) = read(disk, path)?;
    let (key_id, problem) = match Header::decode(&bytes) {
        Ok(header) if header.key_id == [0; 8] => (None, None),
        Ok(header) => (Some(hex(&header.key_id)), None),
        Err(HeaderProblem::Newer(_)) => (None, Some("written by a newer version")),
        Err(HeaderProblem::Damaged) => (None, Some("the header is damaged")),
    };
    let Survey { stretches, damaged, torn, oldest_at, .. } = survey(&bytes, &acknowledgements);
    let events = stretches.iter().map(|stretch| stretch.length).sum();
    let oldest_at = (events > 0).then_some(oldest_at);
    Ok(Contents { events, damaged, torn_bytes: torn, oldest_at, key_id, problem })
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let bytes = disk.read(path, 0, MAX_SEGMENT_BYTES)?;
    let acknowledgements = match disk.read(&acknowledgement_file(path), 0, MAX_SEGMENT_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    Ok((bytes, acknowledgements))
}

/// The number that every segment's name begins with, dead letters and what was set aside included.
fn number_in_name(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_string_lossy();
    u64::from_str_radix(name.get(..16)?, 16).ok()
}

/// The unsettled events of a segment, one JSON text a line, and how many could not be decrypted.
///
/// # Errors
/// As the file system says.
pub fn export(disk: &dyn Disk, path: &Path, keyring: &Keyring) -> io::Result<(String, u64)> {
    let (bytes, acknowledgements) = read(disk, path)?;
    let header = Header::decode(&bytes).ok();
    let number = header.map(|header| header.number).or_else(|| number_in_name(path)).unwrap_or_default();
    let wanted = survey(&bytes, &acknowledgements).stretches;
    let is_wanted = |record: &Record<'_>| {
        wanted.iter().any(|stretch| {
            (stretch.first_on_disk..stretch.first_on_disk + stretch.length).contains(&record.sequence)
        })
    };
    let (mut lines, mut locked) = (String::new(), 0);
    for found in Scan::new(bytes.get(HEADER_LENGTH..).unwrap_or_default(), true) {
        let Found::Record { record, .. } = found else { continue };
        if !is_wanted(&record) {
            continue;
        }
        let place = Place { segment: number, sequence: record.sequence, accepted_at: record.accepted_at };
        let text = match record.flags & ENCRYPTED {
            0 => Some(record.payload.to_vec()),
            _ => keyring.decrypt(place, record.payload),
        };
        match text.and_then(|text| String::from_utf8(text).ok()) {
            Some(text) => lines.extend([text.as_str(), "\n"]),
            None => locked += 1,
        }
    }
    Ok((lines, locked))
}
