//! The certificates of a pairing (`docs/protocol.md` 2.5): a root of our own, a leaf for us, a leaf for the device.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SerialNumber, SignatureAlgorithm, date_time_ymd,
};

/// Certificates and keys in PEM.
pub(crate) struct Certificates {
    pub(crate) root_certificate: String,
    pub(crate) root_private_key: String,
    pub(crate) host_certificate: String,
    pub(crate) host_private_key: String,
    pub(crate) device_certificate: String,
}

/// How long a pairing's certificates are good for, in years.
const YEARS: i16 = 10;

/// The public key of a device: PKCS#1 DER of an RSA key.
struct DeviceKey(Vec<u8>);

impl PublicKeyData for DeviceKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

/// Why no certificates could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificateFailure {
    /// The device's public key is not an RSA key in PEM.
    DeviceKey,
    /// The keys or signatures could not be made.
    Ours,
}

impl Certificates {
    /// Makes the certificates for the device whose `DevicePublicKey` is `device_key`. Takes a second of CPU: two RSA
    /// keys are generated.
    pub(crate) fn generate(device_key: &[u8], now: Timestamp) -> Result<Self, CertificateFailure> {
        let ours = |_| CertificateFailure::Ours;
        let device_key =
            DeviceKey(rsa_public_key(device_key).ok_or(CertificateFailure::DeviceKey)?);
        let root_key =
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(ours)?;
        let host_key =
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(ours)?;
        let mut root = params(now);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_certificate = root.self_signed(&root_key).map_err(ours)?;
        let issuer = Issuer::from_params(&root, &root_key);
        let mut leaf = params(now);
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        let host_certificate = leaf.signed_by(&host_key, &issuer).map_err(ours)?;
        let device_certificate = leaf.signed_by(&device_key, &issuer).map_err(ours)?;
        Ok(Self {
            root_certificate: root_certificate.pem(),
            root_private_key: root_key.serialize_pem(),
            host_certificate: host_certificate.pem(),
            host_private_key: host_key.serialize_pem(),
            device_certificate: device_certificate.pem(),
        })
    }
}

/// Returns parameters as every host uses them: no names, ten years.
fn params(now: Timestamp) -> CertificateParams {
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |year: i16| {
        let month = u8::try_from(today.month()).unwrap_or(1);
        // Every month has 28 days: the 29th of February would not exist ten years later.
        date_time_ymd(i32::from(year), month, u8::try_from(today.day()).unwrap_or(1).min(28))
    };
    let mut params = CertificateParams::default();
    // A day earlier than the device's clock may think that it is.
    params.not_before = day(today.year() - 1);
    params.not_after = day(today.year() + YEARS);
    params.serial_number = Some(SerialNumber::from(1_u64));
    params.distinguished_name = DistinguishedName::new();
    params
}

/// Returns the PKCS#1 DER of an RSA public key in PEM (`RSA PUBLIC KEY`, or `PUBLIC KEY` around it).
fn rsa_public_key(text: &[u8]) -> Option<Vec<u8>> {
    let parsed = pem::parse(text).ok()?;
    match parsed.tag() {
        "RSA PUBLIC KEY" => Some(parsed.contents().to_vec()),
        "PUBLIC KEY" => inner_key(parsed.contents()),
        _ => None,
    }
}

/// Takes the key out of a `SubjectPublicKeyInfo`: `SEQUENCE { algorithm SEQUENCE, BIT STRING { 00, key } }`.
fn inner_key(der: &[u8]) -> Option<Vec<u8>> {
    let (0x30, outer, _) = element(der)? else { return None };
    let (0x30, _, rest) = element(outer)? else { return None };
    let (0x03, bits, _) = element(rest)? else { return None };
    bits.strip_prefix(&[0]).map(<[u8]>::to_vec)
}

/// Splits the first DER element off: tag, content, what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Returns from when to when a certificate (PEM) is valid; nothing where it cannot be read.
pub(crate) fn validity(pem: &[u8]) -> Option<(Timestamp, Timestamp)> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let validity = certificate.validity();
    let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some((moment(validity.not_before)?, moment(validity.not_after)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device_key() -> KeyPair {
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key")
    }

    #[test]
    fn the_device_leaf_carries_the_device_key() {
        let key = device_key();
        let pkcs1 = key.der_bytes().to_vec();
        let text = pem::encode(&pem::Pem::new("RSA PUBLIC KEY", pkcs1.clone()));
        let made =
            Certificates::generate(text.as_bytes(), Timestamp::UNIX_EPOCH).expect("certificates");
        let leaf = pem::parse(&made.device_certificate).expect("PEM");
        assert!(leaf.contents().windows(pkcs1.len()).any(|window| window == pkcs1));
        let spki = pem::encode(&pem::Pem::new("PUBLIC KEY", key.subject_public_key_info()));
        assert_eq!(rsa_public_key(spki.as_bytes()), Some(pkcs1));
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            let failure = Certificates::generate(text.as_bytes(), Timestamp::UNIX_EPOCH).err();
            assert_eq!(failure, Some(CertificateFailure::DeviceKey), "{text}");
        }
    }
}
