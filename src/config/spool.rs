//! The settings of a spool.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::{Secret, whole};
use crate::error::Error;

const DEFAULT_SPOOL_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of a key of XChaCha20-Poly1305.
pub const ENCRYPTION_KEY_LENGTH: usize = 32;

/// What an accepted event survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The end of the process, however it comes.
    #[default]
    Process,
    /// A power loss too, once it is reported persisted.
    Power,
}

/// The spool as JavaScript asks for it.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the TypeScript options carry the documentation of each field")]
pub struct SpoolOptions {
    pub directory: String,
    pub durability: Option<Durability>,
    pub max_bytes: Option<f64>,
    /// Base64.
    pub encryption_keys: Vec<String>,
}

/// A validated spool.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// Where it is.
    pub directory: PathBuf,
    /// What an accepted event survives.
    pub durability: Durability,
    /// Bytes that it may hold.
    pub max_bytes: u64,
    /// The first encrypts, all of them decrypt; none: no encryption.
    pub encryption_keys: Vec<Secret<[u8; ENCRYPTION_KEY_LENGTH]>>,
}

pub(super) fn spool(options: &SpoolOptions) -> Result<SpoolConfig, Error> {
    if options.directory.trim().is_empty() || options.directory.contains('\0') {
        return Err(Error::option("spool.directory", "the path of a local directory"));
    }
    let max_bytes =
        whole("spool.maxBytes", options.max_bytes, DEFAULT_SPOOL_BYTES, 1 << 20..=1 << 40, "bytes")?;
    Ok(SpoolConfig {
        directory: std::path::absolute(&options.directory)
            .map_err(|_| Error::option("spool.directory", "the path of a local directory"))?,
        durability: options.durability.unwrap_or_default(),
        max_bytes,
        encryption_keys: options.encryption_keys.iter().map(encryption_key).collect::<Result<_, _>>()?,
    })
}

/// A key from base64 text.
///
/// # Errors
/// `ERR_OPTION_INVALID` when it is no key.
pub fn encryption_key(base64: &String) -> Result<Secret<[u8; ENCRYPTION_KEY_LENGTH]>, Error> {
    let bytes = BASE64_STANDARD.decode(base64).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Secret::new).ok_or_else(|| Error::option("spool.encryptionKey", "32 random bytes"))
}
