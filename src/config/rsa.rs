//! Private keys as ring reads them.

use std::fmt;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::oauth::SigningKey;
use super::{Config, Options};
use crate::error::Error;

struct RsaKey(KeyPair);

impl Options {
    /// Checks every field and fills in the defaults.
    ///
    /// # Errors
    /// As [`Options::build_with`].
    pub fn build(self) -> Result<Config, Error> {
        self.build_with(read_key)
    }
}

fn read_key(pem: &str) -> Option<Arc<dyn SigningKey>> {
    let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(key)) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(key)) => KeyPair::from_der(key.secret_pkcs1_der()),
        _ => return None,
    };
    Some(Arc::new(RsaKey(pair.ok()?)))
}

impl SigningKey for RsaKey {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}
