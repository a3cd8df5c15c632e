//! Encryption at rest: XChaCha20-Poly1305 for each record, with any number of keys to read by.
//!
//! A record is bound to its place: sequence, time, flags and segment number are authenticated with it, so records
//! can't be exchanged for one another. The nonce is a random part drawn once per segment and the sequence, which
//! makes it unique without asking for randomness at each event.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

use crate::config::{ENCRYPTION_KEY_LENGTH as KEY_LENGTH, Secret};

const NONCE_LENGTH: usize = 24;
const CONTEXT: &[u8] = b"companion-segment spool 1";

/// Names a key without telling anything of it.
pub type KeyId = [u8; 8];

/// The keys of a spool. The first encrypts, all of them decrypt.
#[derive(Clone, Debug)]
pub struct Keyring(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Key({:02x?})", self.id)
    }
}

/// What a record is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The segment's number.
    pub segment: u64,
    /// The record's sequence.
    pub sequence: u64,
    /// When it was accepted.
    pub accepted_at: u64,
}

impl Place {
    fn authenticated(self) -> Vec<u8> {
        let numbers = [self.segment, self.sequence, self.accepted_at];
        CONTEXT.iter().copied().chain(numbers.into_iter().flat_map(u64::to_le_bytes)).collect()
    }
}

impl Keyring {
    /// A ring of these keys; none means no encryption.
    #[must_use]
    pub fn new(keys: &[Secret<[u8; KEY_LENGTH]>]) -> Self {
        let key = |secret: &Secret<[u8; KEY_LENGTH]>| {
            let content = [CONTEXT, b" key id", secret.expose().as_slice()].concat();
            let mut id = KeyId::default();
            for (place, byte) in id.iter_mut().zip(Sha256::digest(&content)) {
                *place = byte;
            }
            Key { id, cipher: XChaCha20Poly1305::new(secret.expose().into()) }
        };
        Self(keys.iter().map(key).collect())
    }

    /// The id of the key that encrypts; zeros without encryption.
    #[must_use]
    pub fn writing_id(&self) -> KeyId {
        self.0.first().map(|key| key.id).unwrap_or_default()
    }

    /// Whether records are encrypted.
    #[must_use]
    #[cfg(test)]
    pub const fn encrypts(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether records under this id can be read.
    #[must_use]
    pub fn knows(&self, id: KeyId) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// `nonce | ciphertext | tag`, or `None` when nothing is to be encrypted.
    #[must_use]
    pub fn encrypt(&self, random: [u8; 16], place: Place, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.0.first()?;
        let mut nonce = XNonce::default();
        for (at, byte) in nonce.iter_mut().zip(random.into_iter().chain(place.sequence.to_le_bytes())) {
            *at = byte;
        }
        let payload = Payload { msg: plain, aad: &place.authenticated() };
        // It fails for texts of 256 GB, which an event is not.
        let sealed = key.cipher.encrypt(&nonce, payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// The text under any of the keys; `None` when none fits or the record was tampered with.
    #[must_use]
    pub fn decrypt(&self, place: Place, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LENGTH)?;
        let aad = place.authenticated();
        let payload = || Payload { msg: sealed, aad: &aad };
        self.0.iter().find_map(|key| key.cipher.decrypt(XNonce::from_slice(nonce), payload()).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { segment: 1, sequence: 2, accepted_at: 3 };

    fn ring(keys: &[u8]) -> Keyring {
        Keyring::new(&keys.iter().map(|byte| Secret::new([*byte; KEY_LENGTH])).collect::<Vec<_>>())
    }

    #[test]
    fn any_key_of_the_ring_reads_and_the_first_writes() {
        let old = ring(&[1]).encrypt([9; 16], PLACE, b"text").unwrap();
        let rotated = ring(&[2, 1]);
        assert_eq!(rotated.decrypt(PLACE, &old).unwrap(), b"text");
        assert_eq!(rotated.writing_id(), ring(&[2]).writing_id());
        assert!(rotated.knows(ring(&[1]).writing_id()) && !ring(&[1]).knows(rotated.writing_id()));
        assert_eq!(ring(&[3]).decrypt(PLACE, &old), None);
        assert!(!old.windows(4).any(|bytes| bytes == b"text"));
    }

    #[test]
    fn a_record_can_not_be_moved_or_changed() {
        let sealed = ring(&[1]).encrypt([9; 16], PLACE, b"text").unwrap();
        for place in
            [Place { segment: 2, ..PLACE }, Place { sequence: 3, ..PLACE }, Place { accepted_at: 4, ..PLACE }]
        {
            assert_eq!(ring(&[1]).decrypt(place, &sealed), None);
        }
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(ring(&[1]).decrypt(PLACE, &changed), None, "byte {index}");
        }
    }

    #[test]
    fn without_keys_nothing_is_encrypted() {
        assert!(!ring(&[]).encrypts());
        assert_eq!(ring(&[]).encrypt([0; 16], PLACE, b"text"), None);
        assert_eq!(ring(&[]).writing_id(), [0; 8]);
    }

    #[test]
    fn keys_show_themselves_to_nobody() {
        assert!(!format!("{:?}", ring(&[0xab])).contains("abababab"));
    }
}
