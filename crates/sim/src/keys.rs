//! The phone's own key, and as much of X.509 as pairing needs.
//!
//! Certificates of hosts have empty names and the serial number 0, which strict readers refuse
//! (docs/protocol.md, pair records), so only the way to the public key is walked here.

use std::fmt::Write as _;
use std::io;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use camino::Utf8Path;
use fs_err as fs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::memory::write_private;

/// The key pair of one phone, made once and kept in its folder.
#[derive(Debug)]
pub struct DeviceKey {
    private: Vec<u8>,
    public: Vec<u8>,
}

impl DeviceKey {
    /// Reads the key from its file, or makes one.
    pub fn open(path: &Utf8Path) -> Result<Self, KeyError> {
        let pair = match fs::read(path) {
            Ok(der) => KeyPair::from_pkcs8(&der).map_err(|_| KeyError::Damaged)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generate)?;
                write_private(path, private_der(&pair)?.as_ref())?;
                pair
            }
            Err(error) => return Err(error.into()),
        };
        let private = private_der(&pair)?.as_ref().to_vec();
        Ok(Self { private, public: pair.public_key().as_ref().to_vec() })
    }

    /// Returns the public half as lockdownd tells it: PEM of a PKCS#1 key.
    pub fn public_pem(&self) -> String {
        pem("RSA PUBLIC KEY", &self.public)
    }

    /// Returns the public half, PKCS#1.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Returns the private half for the TLS server.
    pub fn private(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.private.clone()).into()
    }
}

fn private_der(pair: &KeyPair) -> Result<Pkcs8V1Der<'static>, KeyError> {
    pair.as_der().map_err(|_| KeyError::Damaged)
}

/// Returns the first certificate of a PEM text.
pub fn certificate(pem: &[u8]) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem).ok()
}

/// Returns the RSA key (PKCS#1) that a certificate is for.
///
/// The way there: Certificate → `TBSCertificate` → (version, serial number, signature, issuer,
/// validity, subject) → `SubjectPublicKeyInfo` → `BIT STRING`.
pub fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const BIT_STRING: u8 = 0x03;
    let (tag, outer, _) = element(certificate)?;
    let (inner_tag, mut rest, _) = element(outer)?;
    if tag != SEQUENCE || inner_tag != SEQUENCE {
        return None;
    }
    if let (VERSION, _, after) = element(rest)? {
        rest = after;
    }
    for _ in 0..5 {
        rest = element(rest)?.2;
    }
    let (tag, info, _) = element(rest)?;
    let (_, _, after_algorithm) = element(info)?;
    let (bits_tag, bits, _) = element(after_algorithm)?;
    let (unused, key) = bits.split_first()?;
    (tag == SEQUENCE && bits_tag == BIT_STRING && *unused == 0).then_some(key)
}

/// Splits DER into the tag and content of its first element, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Returns random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// Writes bytes as PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = base64(der);
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    writeln!(text, "-----END {label}-----").expect("a String takes everything");
    text
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let letter = ALPHABET[(bits >> shift & 0x3f) as usize];
            text.push(if at <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// The phone's key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The system gave no key.
    #[error("no RSA key could be made")]
    Generate,
    /// The file holds something else.
    #[error("the key of the simulated phone is damaged")]
    Damaged,
    /// Reading or writing failed.
    #[error("the key of the simulated phone cannot be kept")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_ends_as_it_should() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_key_of_a_certificate_is_found() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serial_number = Some(rcgen::SerialNumber::from(vec![0]));
        let signed = params.self_signed(&key).unwrap();
        let der = certificate(signed.pem().as_bytes()).unwrap();
        assert_eq!(public_key(&der), Some(rcgen::PublicKeyData::der_bytes(&key)));
    }

    #[test]
    fn a_key_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("key.der");
        let key = DeviceKey::open(&path).unwrap();
        assert!(key.public_pem().starts_with("-----BEGIN RSA PUBLIC KEY-----\nMIIB"));
        assert_eq!(DeviceKey::open(&path).unwrap().public(), key.public());
    }

    proptest! {
        #[test]
        fn noise_is_no_certificate(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            assert_eq!(public_key(&noise), public_key(&noise));
            drop(certificate(&noise));
        }
    }
}
