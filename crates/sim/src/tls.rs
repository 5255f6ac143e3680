//! TLS as a phone speaks it: the phone is the server, and both sides show a certificate that
//! pairing made.
//!
//! No chain is built and no name is looked at. What counts is the key: the host proves that it
//! has the private half of a certificate that the phone stored when it was paired, its own
//! (`HostCertificate`) or its root (`RootCertificate`); tools differ in which one they show.

use std::sync::Arc;

use aws_lc_rs::signature::{self, RsaParameters, UnparsedPublicKey};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use crate::keys::{self, DeviceKey};
use crate::memory::TrustedHost;
use crate::options::TlsKnob;

/// Makes the server side of every session with one trusted computer.
pub(crate) fn server_config(
    key: &DeviceKey,
    host: &TrustedHost,
    versions: TlsKnob,
) -> Result<Arc<ServerConfig>, TlsError> {
    let versions: &[&SupportedProtocolVersion] = match versions {
        TlsKnob::Any => &[&TLS13, &TLS12],
        TlsKnob::V12 => &[&TLS12],
        TlsKnob::V13 => &[&TLS13],
    };
    let certificate = keys::certificate(host.device_certificate.as_bytes());
    let certificate = certificate.ok_or(TlsError::Certificate { which: "DeviceCertificate" })?;
    let signer = any_supported_type(&key.private())?;
    let own = OwnCertificate(Arc::new(CertifiedKey::new(vec![certificate], signer)));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(Arc::new(KnownHost::new(host)?))
        .with_cert_resolver(Arc::new(own));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Shows the certificate that the host made for this phone's key.
#[derive(Debug)]
struct OwnCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Accepts whoever has the key of a certificate that is stored for this host.
#[derive(Debug)]
struct KnownHost {
    keys: Vec<Vec<u8>>,
}

impl KnownHost {
    fn new(host: &TrustedHost) -> Result<Self, TlsError> {
        let key = |which, pem: &str| {
            let certificate = keys::certificate(pem.as_bytes());
            let key =
                certificate.as_ref().and_then(|der| keys::public_key(der)).map(<[u8]>::to_vec);
            key.ok_or(TlsError::Certificate { which })
        };
        Ok(Self {
            keys: vec![
                key("HostCertificate", &host.host_certificate)?,
                key("RootCertificate", &host.root_certificate)?,
            ],
        })
    }

    fn verify(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let misbehaved = PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme;
        let (_, algorithm) =
            SCHEMES.iter().find(|(scheme, _)| *scheme == signed.scheme).ok_or(misbehaved)?;
        let key = keys::public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        UnparsedPublicKey::new(*algorithm, key)
            .verify(message, signed.signature())
            .map_err(|_| CertificateError::BadSignature)?;
        Ok(HandshakeSignatureValid::assertion())
    }
}

/// Pairing makes RSA keys only.
static SCHEMES: [(SignatureScheme, &RsaParameters); 6] = [
    (SignatureScheme::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256),
    (SignatureScheme::RSA_PSS_SHA384, &signature::RSA_PSS_2048_8192_SHA384),
    (SignatureScheme::RSA_PSS_SHA512, &signature::RSA_PSS_2048_8192_SHA512),
    (SignatureScheme::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (SignatureScheme::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (SignatureScheme::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512),
];

impl ClientCertVerifier for KnownHost {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let key = keys::public_key(end_entity).ok_or(CertificateError::BadEncoding)?;
        if self.keys.iter().any(|known| known == key) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.iter().map(|(scheme, _)| *scheme).collect()
    }
}

/// A session cannot be offered to a host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TlsError {
    /// A stored certificate cannot be read.
    #[error("the {which} that the host sent when it was paired is not a certificate")]
    Certificate {
        /// Which one.
        which: &'static str,
    },
    /// The TLS library refuses.
    #[error("the TLS library refuses the settings")]
    Rustls(#[from] Error),
}
