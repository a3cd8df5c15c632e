//! The spool as the command line looks at it.

use std::path::Path;

use napi_derive::napi;

use crate::config::encryption_key;
use crate::queue::spool::cipher::Keyring;
use crate::queue::spool::disk::system::SystemDisk;
use crate::queue::spool::inspect;

fn failed(error: &std::io::Error) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// All segment files of a spool directory: a JSON array of
/// `{ source, instance, path, bytes, isHeld, isCorrupt }`.
#[napi]
pub fn list_spool(directory: String) -> napi::Result<String> {
    inspect::list(&SystemDisk, Path::new(&directory))
        .map(|files| json(&files))
        .map_err(|error| failed(&error))
}

/// What is in one segment, every checksum checked: JSON
/// `{ events, damaged, tornBytes, oldestAt, keyId, problem }`.
#[napi]
pub fn inspect_segment(path: String) -> napi::Result<String> {
    inspect::contents(&SystemDisk, Path::new(&path))
        .map(|contents| json(&contents))
        .map_err(|error| failed(&error))
}

/// The unsettled events of a segment.
#[napi(object)]
pub struct ExportedSegment {
    /// One JSON text a line.
    pub lines: String,
    /// Events that none of the keys decrypts.
    pub locked: f64,
}

/// Reads the unsettled events of one segment. Keys are base64.
#[napi]
#[allow(clippy::cast_precision_loss, reason = "records of one file")]
pub fn export_segment(path: String, keys: Vec<String>) -> napi::Result<ExportedSegment> {
    let keys: Result<Vec<_>, _> = keys.iter().map(encryption_key).collect();
    let keyring = Keyring::new(&keys.map_err(|error| napi::Error::from_reason(error.to_string()))?);
    let (lines, locked) =
        inspect::export(&SystemDisk, Path::new(&path), &keyring).map_err(|error| failed(&error))?;
    Ok(ExportedSegment { lines, locked: locked as f64 })
}
