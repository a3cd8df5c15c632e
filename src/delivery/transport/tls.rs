//! Whom the engine trusts: Mozilla's roots, what the process was started with, and the `ca` option.
//!
//! A server's own certificate may be given as `ca`, as in Node. Webpki takes no certificate authority for a server, and most
//! tools mark a self-signed certificate as one: for just these certificates there is a rule of its own here.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError, RootCertStore,
    SignatureScheme,
};
use webpki::EndEntityCert;

use crate::error::{Error, ErrorKind};

/// What the process was started with.
#[derive(Debug)]
struct ProcessTrust {
    certificates: Vec<CertificateDer<'static>>,
    with_mozilla: bool,
}

static PROCESS: OnceLock<ProcessTrust> = OnceLock::new();

/// Says once for the process whom Node was told to trust: PEM, and whether that is beside Mozilla's roots or instead of
/// them. What can't be read is left out, as in Node. The first call counts: Node too looks only once.
pub fn trust_for_process(pem: &str, with_mozilla: bool) {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect();
    let _said_before = PROCESS.set(ProcessTrust { certificates, with_mozilla });
}

/// TLS with these certificates (PEM) trusted beside what the process trusts.
///
/// # Errors
/// `ERR_OPTION_INVALID` for a `ca` that can't be used.
pub fn client_config(ca: Option<&str>) -> Result<ClientConfig, Error> {
    let unusable = || Error::option("ca", "one or more valid PEM certificates");
    let no_tls = |_| Error::new(ErrorKind::OptionInvalid, "TLS could not be set up on this machine.");
    let process = PROCESS.get();
    let mut roots = RootCertStore::empty();
    if process.is_none_or(|process| process.with_mozilla) {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let mut given: Vec<_> = process.map(|process| process.certificates.clone()).unwrap_or_default();
    roots.add_parsable_certificates(given.iter().cloned());
    if let Some(ca) = ca {
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            let certificate = certificate.map_err(|_| unusable())?;
            roots.add(certificate.clone()).map_err(|_| unusable())?;
            given.push(certificate);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?;
    if given.is_empty() {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| Error::new(ErrorKind::OptionInvalid, "TLS could not be set up on this machine."))?;
    let verifier = Arc::new(Verifier { chains, given });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Why a server's certificate is not taken, if that is what went wrong.
#[must_use]
pub fn distrust(error: &TlsError) -> Option<&'static str> {
    use CertificateError as Problem;
    let TlsError::InvalidCertificate(problem) = error else { return None };
    Some(match problem {
        Problem::UnknownIssuer => "it was issued by an authority that is not known here",
        Problem::Expired | Problem::ExpiredContext { .. } => "it has expired",
        Problem::NotValidYet | Problem::NotValidYetContext { .. } => "it is not valid yet",
        Problem::NotValidForName | Problem::NotValidForNameContext { .. } => "it is for another host",
        _ => "it can't be verified",
    })
}

/// Webpki's rules, and that of this module for certificates that were given.
#[derive(Debug)]
struct Verifier {
    chains: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Whether it issued itself and is one of those that were given.
    fn is_given(&self, certificate: &CertificateDer<'_>) -> bool {
        self.given.iter().any(|given| given.as_ref() == certificate.as_ref())
            && EndEntityCert::try_from(certificate).is_ok_and(|parsed| parsed.issuer() == parsed.subject())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verdict =
            self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verdict {
            // Webpki looks at the dates first, at the name last.
            Err(error) if is_authority_as_server(&error) && self.is_given(end_entity) => {
                verify_name(end_entity, server_name)
            }
            Err(error) if is_other_name(&error) && self.is_given(end_entity) => {
                verify_name(end_entity, server_name)
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

fn is_authority_as_server(error: &TlsError) -> bool {
    let TlsError::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error else {
        return false;
    };
    matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

const fn is_other_name(error: &TlsError) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(error, TlsError::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
}

/// By its alternative names; as in Node, one that has no DNS name among them is good for its common name.
fn verify_name(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> Result<ServerCertVerified, TlsError> {
    let verdict = rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name);
    let is_common_name = || {
        let ServerName::DnsName(name) = name else { return false };
        EndEntityCert::try_from(certificate).is_ok_and(|parsed| {
            parsed.valid_dns_names().next().is_none()
                && common_names(parsed.subject()).any(|common| matches_name(common, name.as_ref()))
        })
    };
    if verdict.is_ok() || is_common_name() {
        return Ok(ServerCertVerified::assertion());
    }
    verdict.map(|()| ServerCertVerified::assertion())
}

/// The common names of a subject (RFC 5280, section 4.1.2.6): its DER has each right behind the identifier 2.5.4.3.
fn common_names(subject: &[u8]) -> impl Iterator<Item = &str> {
    const IDENTIFIER: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];
    memchr::memmem::find_iter(subject, IDENTIFIER).filter_map(|at| {
        let (&[_tag, length], text) = subject.get(at + IDENTIFIER.len()..)?.split_first_chunk()?;
        // A length of 128 or more takes several bytes; a name of a host is shorter, mostly.
        str::from_utf8(text.get(..usize::from(length))?).ok()
    })
}

/// `*.example.com` stands for one label more.
fn matches_name(pattern: &str, host: &str) -> bool {
    let is_under =
        |domain: &str| host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain));
    pattern.eq_ignore_ascii_case(host)
        || pattern.strip_prefix("*.").is_some_and(|domain| domain.contains('.') && is_under(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_found_in_der() {
        // O=x, CN=a.example
        let subject = [
            &[0x31, 0x0a, 0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x01, b'x'][..],
            &[0x31, 0x12, 0x30, 0x10, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x09],
            b"a.example",
        ]
        .concat();
        assert_eq!(common_names(&subject).collect::<Vec<_>>(), ["a.example"]);
        for length in 0..subject.len() {
            assert_eq!(common_names(&subject[..length]).count(), 0, "cut at {length}");
        }
    }

    #[test]
    fn names_match_as_in_node() {
        for (pattern, host, expected) in [
            ("a.example", "A.Example", true),
            ("*.a.example", "b.a.example", true),
            ("*.a.example", "a.example", false),
            ("*.a.example", "c.b.a.example", false),
            ("*.example", "a.example", false),
            ("*", "a", false),
            ("b.example", "a.example", false),
        ] {
            assert_eq!(matches_name(pattern, host), expected, "{pattern} {host}");
        }
    }
}
