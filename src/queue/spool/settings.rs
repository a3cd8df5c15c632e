//! What a spool is told once.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::cipher::Keyring;
use super::record::hex;
use crate::config::{Durability, Secret, SpoolConfig};

/// A segment is closed at this size, or at a sixteenth of what the spool may hold.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// What a spool is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of all instances with this write key.
    pub directory: PathBuf,
    /// Bytes that segments may hold.
    pub max_bytes: u64,
    /// Bytes at which a segment is closed.
    pub segment_bytes: u64,
    /// What an accepted event survives.
    pub durability: Durability,
    /// Encryption.
    pub keyring: Keyring,
}

impl Settings {
    /// The settings for a source. Its directory is named by a digest: neither key nor host is in the spool.
    #[must_use]
    pub fn new(config: &SpoolConfig, write_key: &Secret<String>) -> Self {
        let hash = Sha256::digest(write_key.expose().as_bytes());
        let name: String = hex(&hash).chars().take(16).collect();
        Self {
            directory: config.directory.join(name),
            max_bytes: config.max_bytes,
            segment_bytes: SEGMENT_BYTES.min(config.max_bytes / 16),
            durability: config.durability,
            keyring: Keyring::new(&config.encryption_keys),
        }
    }
}
