//! A TLS handshake that tells who signed, even where nobody trusts it.
//!
//! The handshake of [`shake`] ends whatever the certificate says, so that an inspecting proxy can be named; nothing is
//! sent after it. Pages are fetched with a strict configuration (`strict`).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

use crate::net::{NetworkError, connect, within};

/// Apple's own root (`docs/sources.md`): some of its hosts are signed by nobody else.
pub(crate) const APPLE_ROOT: &[u8] = include_bytes!("apple_root.pem");

/// Whose signature counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Mozilla's list and Apple's root.
    #[default]
    Public,
    /// Apple's root alone.
    Apple,
    /// The certificates of this PEM text, beside those of [`Trust::Public`].
    Also(String),
}

/// A question to a host.
#[derive(Debug, Clone)]
pub struct TlsQuestion {
    /// The name that the certificate must be for.
    pub host: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Whose signature counts.
    pub trust: Trust,
    /// Makes the first message this much longer than it need be, in bytes, to see whether large packets get through.
    pub padding: usize,
    /// The limit for all of it.
    pub limit: Duration,
}

/// What a host showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who signed: the issuers' names, the host's own certificate first.
    pub issuers: Vec<String>,
    /// The certificate is valid from.
    pub from: Option<Timestamp>,
    /// The certificate is valid until.
    pub until: Option<Timestamp>,
    /// What is wrong with it, nothing where all is well.
    pub wrong: Option<Distrust>,
}

/// Why a certificate is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody who is trusted signed it.
    Issuer,
    /// It is out of date or not yet valid, by the clock of this machine.
    Time,
    /// It is for another name.
    Name,
    /// Something else.
    Other,
}

/// Shakes hands with a host and tells what it showed.
pub async fn shake(question: &TlsQuestion) -> Result<Signed, NetworkError> {
    let seen = Arc::new(Mutex::new(None));
    let verifier = Arc::new(Witness { inner: verifier(&question.trust)?, seen: Arc::clone(&seen) });
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| NetworkError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = padding(question.padding);
    let name = server_name(&question.host)?;
    let shaken = within(question.limit, async {
        let stream = connect(question.address, question.limit).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(NetworkError::from_io)
    })
    .await;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (shaken, seen) {
        // What was shown is what was asked for; how it ended after that does not matter.
        (_, Some(signed)) => Ok(signed),
        (Err(NetworkError::Lost(source)), None) => match source.get_ref() {
            Some(inner) if inner.is::<Error>() => Err(NetworkError::Tls(inner.to_string())),
            _ => Err(NetworkError::Lost(source)),
        },
        (Err(error), None) => Err(error),
        (Ok(_), None) => Err(NetworkError::Malformed("a host without a certificate")),
    }
}

/// Returns the configuration that trusts only what is trusted.
pub(crate) fn strict(trust: &Trust) -> Result<ClientConfig, NetworkError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| NetworkError::Tls(error.to_string()))?
        .with_webpki_verifier(verifier(trust)?)
        .with_no_client_auth())
}

/// Returns the name as TLS wants it.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, NetworkError> {
    ServerName::try_from(host.to_owned()).map_err(|_| NetworkError::Address(host.to_owned()))
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

fn verifier(trust: &Trust) -> Result<Arc<WebPkiServerVerifier>, NetworkError> {
    let mut roots = RootCertStore::empty();
    if *trust != Trust::Apple {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    add(&mut roots, APPLE_ROOT)?;
    if let Trust::Also(pem) = trust {
        add(&mut roots, pem.as_bytes())?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| NetworkError::Tls(error.to_string()))
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), NetworkError> {
    const WRONG: NetworkError = NetworkError::Malformed("a root certificate that is none");
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| WRONG)?).map_err(|_| WRONG)?;
    }
    Ok(())
}

/// Protocol names that nobody speaks, to fill the first message; the last one is spoken.
fn padding(bytes: usize) -> Vec<Vec<u8>> {
    let filler = (0..bytes.div_ceil(250)).map(|number| {
        let mut name = format!("padding-{number:04}-").into_bytes();
        name.resize(250, b'x');
        name
    });
    if bytes == 0 { Vec::new() } else { filler.chain([b"http/1.1".to_vec()]).collect() }
}

/// Asks the real verifier, keeps its answer and lets the handshake go on.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    seen: Arc<Mutex<Option<Signed>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let chain = std::iter::once(end_entity).chain(intermediates);
        let signed = describe(chain, verified.err().as_ref());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(signed);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// How many certificates of a chain are looked at.
const CHAIN: usize = 8;

fn describe<'a>(
    chain: impl Iterator<Item = &'a CertificateDer<'a>>,
    wrong: Option<&Error>,
) -> Signed {
    let mut signed =
        Signed { issuers: Vec::new(), from: None, until: None, wrong: wrong.map(distrust) };
    for (index, der) in chain.take(CHAIN).enumerate() {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { continue };
        signed.issuers.push(name(certificate.issuer()));
        if index == 0 {
            let validity = certificate.validity();
            signed.from = Timestamp::from_second(validity.not_before.timestamp()).ok();
            signed.until = Timestamp::from_second(validity.not_after.timestamp()).ok();
        }
    }
    signed
}

/// Returns common name and organisation, as far as there are.
fn name(name: &X509Name<'_>) -> String {
    let first = |mut values: Box<dyn Iterator<Item = String> + '_>| values.next();
    let common = first(Box::new(
        name.iter_common_name().filter_map(|value| value.as_str().ok().map(str::to_owned)),
    ));
    let organisation = first(Box::new(
        name.iter_organization().filter_map(|value| value.as_str().ok().map(str::to_owned)),
    ));
    let text = match (common, organisation) {
        (Some(common), Some(organisation)) => format!("{common} ({organisation})"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => name.to_string(),
    };
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn distrust(error: &Error) -> Distrust {
    let Error::InvalidCertificate(error) = error else { return Distrust::Other };
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Distrust::Time,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Distrust::Name
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::Issuer,
        _ => Distrust::Other,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A host on this machine that is signed by a root of its own, and the root.
    pub(crate) struct Host {
        pub(crate) acceptor: TlsAcceptor,
        pub(crate) root: String,
    }

    /// Makes a host `localhost`, valid from and until the years given.
    pub(crate) fn host(from: i32, until: i32) -> Host {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Harbour Inspection Root");
        params.distinguished_name.push(DnType::OrganizationName, "Harbour Ltd");
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &root).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Host { acceptor: TlsAcceptor::from(Arc::new(config)), root: root.pem() }
    }

    async fn look(host: &Host, trust: Trust, name: &str, padding: usize) -> Signed {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let question = TlsQuestion {
            host: name.to_owned(),
            address: listener.local_addr().unwrap(),
            trust,
            padding,
            limit: Duration::from_secs(30),
        };
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that is satisfied may hang up at once.
            drop(host.acceptor.accept(stream).await);
        };
        let (signed, ()) = tokio::join!(shake(&question), serve);
        signed.unwrap()
    }

    #[tokio::test]
    async fn a_foreign_issuer_is_named() {
        let signed = look(&host(2020, 2090), Trust::Public, "localhost", 0).await;
        assert_eq!(signed.wrong, Some(Distrust::Issuer));
        assert_eq!(signed.issuers, ["Harbour Inspection Root (Harbour Ltd)"]);
        assert_eq!(signed.from.unwrap().to_string(), "2020-01-01T00:00:00Z");
    }

    #[tokio::test]
    async fn a_trusted_issuer_is_trusted_and_large_packets_get_through() {
        let good = host(2020, 2090);
        let trust = Trust::Also(good.root.clone());
        assert_eq!(look(&good, trust.clone(), "localhost", 2000).await.wrong, None);
        assert_eq!(look(&good, trust, "elsewhere", 0).await.wrong, Some(Distrust::Name));
    }

    #[tokio::test]
    async fn a_certificate_of_another_time_is_told_from_a_foreign_one() {
        let old = host(2001, 2002);
        let trust = Trust::Also(old.root.clone());
        assert_eq!(look(&old, trust, "localhost", 0).await.wrong, Some(Distrust::Time));
    }

    #[test]
    fn apples_root_is_the_one() {
        use std::fmt::Write as _;
        let der = CertificateDer::from_pem_slice(APPLE_ROOT).unwrap();
        let digest = provider_digest(&der);
        let hex = digest.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        assert_eq!(hex, "b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024");
        assert!(verifier(&Trust::Apple).is_ok());
    }

    fn provider_digest(der: &[u8]) -> Vec<u8> {
        let suite = provider()
            .cipher_suites
            .iter()
            .find_map(rustls::SupportedCipherSuite::tls13)
            .map(|suite| suite.common.hash_provider)
            .filter(|hash| hash.output_len() == 32);
        let sha256 = suite.unwrap_or_else(|| {
            provider()
                .cipher_suites
                .iter()
                .filter_map(rustls::SupportedCipherSuite::tls13)
                .map(|suite| suite.common.hash_provider)
                .find(|hash| hash.output_len() == 32)
                .unwrap()
        });
        sha256.hash(der).as_ref().to_vec()
    }
}
