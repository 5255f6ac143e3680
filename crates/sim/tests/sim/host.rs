//! A host for tests: a mux client, a lockdown client, a TLS client, each as plain as can be.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use lifeboat_sim::phone::Phone;
use lifeboat_sim::{Listen, Options, PhoneSpec, Server};
use lifeboat_wire::mux::{self, Answer, DeviceProperties, Packet, Request};
use lifeboat_wire::plist_frame;
use lifeboat_wire::plist_guard::{self, Limits};
use plist::{Dictionary, Value};
use rcgen::{CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A noon in 2026: the tests never look at the clock.
pub(crate) fn noon() -> jiff::Timestamp {
    "2026-05-04T12:00:00Z".parse().unwrap()
}

/// A server with its state in a folder that goes with it.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(spec: PhoneSpec, ask: bool) -> Self {
        Self::start(vec![spec], ask, tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start(
        phones: Vec<PhoneSpec>,
        ask: bool,
        folder: tempfile::TempDir,
    ) -> Self {
        let options = Options {
            listen: Listen::loopback(),
            state: folder.path().to_path_buf().try_into().unwrap(),
            phones,
            clock: Arc::new(noon),
            ask,
        };
        Self { server: lifeboat_sim::serve(options).await.unwrap(), folder }
    }

    /// Ends the server and keeps the folder.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.server.shutdown().await;
        self.folder
    }

    pub(crate) fn phone(&self) -> &Arc<Phone> {
        &self.server.phones[0]
    }

    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(&self.server.listening).await.unwrap()
    }

    pub(crate) async fn mux(&self, request: Request) -> Answer {
        ask(&mut self.dial().await, &request).await
    }

    pub(crate) async fn devices(&self) -> Vec<DeviceProperties> {
        let Answer::Devices(devices) = self.mux(Request::ListDevices).await else { panic!("list") };
        devices
    }

    /// Opens a stream to a port of the first device.
    pub(crate) async fn connect(&self, port: u16) -> Result<TcpStream, mux::ResultCode> {
        let device_id = self.devices().await[0].device_id;
        let mut stream = self.dial().await;
        match ask(&mut stream, &Request::Connect { device_id, port }).await {
            Answer::Result(mux::ResultCode::Ok) => Ok(stream),
            Answer::Result(code) => Err(code),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn lockdown(&self) -> Plists {
        Plists(Line::Plain(self.connect(mux::LOCKDOWN_PORT).await.unwrap()))
    }

    /// Pairs and returns what the host has to remember.
    pub(crate) async fn pair(&self) -> Record {
        let mut lockdown = self.lockdown().await;
        let mut record = Record::new(&mut lockdown, "BUID-1").await;
        let answer = lockdown.ask(record.pair_request()).await;
        record.escrow_bag =
            answer.get("EscrowBag").and_then(Value::as_data).expect("an escrow bag").to_vec();
        record
    }

    /// Pairs, opens a session, and returns both.
    pub(crate) async fn session(&self) -> (Plists, Record) {
        let record = self.pair().await;
        let mut lockdown = self.lockdown().await;
        lockdown.start_session(&record, Shown::Host).await;
        (lockdown, record)
    }

    /// Starts a service and connects to it.
    pub(crate) async fn service(&self, lockdown: &mut Plists, record: &Record, name: &str) -> Line {
        let answer = lockdown
            .ask(keys([("Request", "StartService".into()), ("Service", name.into())]))
            .await;
        assert_eq!(answer.get("EnableServiceSSL"), Some(&Value::Boolean(true)), "{answer:?}");
        let port = answer["Port"].as_unsigned_integer().unwrap();
        let stream = self.connect(u16::try_from(port).unwrap()).await.unwrap();
        record.handshake(stream, Shown::Root).await.unwrap()
    }
}

/// Sends a request of version 1 and reads the answer.
pub(crate) async fn ask(stream: &mut TcpStream, request: &Request) -> Answer {
    stream.write_all(&Packet::plist(7, &request.to_plist()).encode()).await.unwrap();
    let packet = packet(stream).await.expect("an answer");
    assert_eq!(packet.tag, 7);
    Answer::from_packet(&packet).unwrap()
}

/// Reads exactly one packet; nothing at the end.
pub(crate) async fn packet(stream: &mut TcpStream) -> Option<Packet> {
    let mut header = [0; mux::HEADER_LENGTH];
    stream.read_exact(&mut header).await.ok()?;
    let length = u32::from_le_bytes(*header.first_chunk().unwrap()) as usize;
    let mut rest = vec![0; length - mux::HEADER_LENGTH];
    stream.read_exact(&mut rest).await.unwrap();
    let mut decoder = mux::Decoder::new(mux::PACKET_LIMIT);
    decoder.push(&header);
    decoder.push(&rest);
    decoder.next().unwrap()
}

/// A stream that may be in TLS.
pub(crate) enum Line {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Gone,
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Gone => Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// Property lists over a stream.
pub(crate) struct Plists(pub(crate) Line);

impl Plists {
    pub(crate) async fn send(&mut self, keys: Dictionary) {
        let xml = plist_guard::to_xml(&Value::Dictionary(keys));
        self.0.write_all(&plist_frame::encode(&xml)).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Returns the next dictionary; nothing when the phone has closed.
    pub(crate) async fn receive(&mut self) -> Option<Dictionary> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).await.ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame).await.unwrap();
        plist_guard::parse(&frame, &Limits::MESSAGE).unwrap().into_dictionary()
    }

    pub(crate) async fn ask(&mut self, request: Dictionary) -> Dictionary {
        self.send(request).await;
        self.receive().await.expect("an answer")
    }

    /// Asks and returns the error word.
    pub(crate) async fn error(&mut self, request: Dictionary) -> String {
        let answer = self.ask(request).await;
        text(&answer, "Error").unwrap_or_else(|| panic!("no error: {answer:?}")).to_owned()
    }

    pub(crate) async fn value(&mut self, domain: Option<&str>, key: &str) -> Dictionary {
        let mut request = keys([("Request", "GetValue".into()), ("Key", key.into())]);
        if let Some(domain) = domain {
            request.insert("Domain".to_owned(), domain.into());
        }
        self.ask(request).await
    }

    pub(crate) async fn start_session(&mut self, record: &Record, shown: Shown) -> String {
        let answer = self.ask(record.session_request()).await;
        assert_eq!(answer.get("EnableSessionSSL"), Some(&Value::Boolean(true)), "{answer:?}");
        let Line::Plain(stream) = std::mem::replace(&mut self.0, Line::Gone) else { panic!("TLS") };
        self.0 = record.handshake(stream, shown).await.unwrap();
        text(&answer, "SessionID").unwrap().to_owned()
    }

    /// Ends the session as tools do: the answer in TLS, then plain text on the same stream.
    pub(crate) async fn stop_session(&mut self, id: &str) {
        let request = keys([("Request", "StopSession".into()), ("SessionID", id.into())]);
        let answer = self.ask(request).await;
        assert!(answer.get("Error").is_none(), "{answer:?}");
        let Line::Tls(mut tls) = std::mem::replace(&mut self.0, Line::Gone) else {
            panic!("plain")
        };
        tls.get_mut().1.send_close_notify();
        tls.flush().await.unwrap();
        tokio::io::copy(&mut tls, &mut tokio::io::sink()).await.unwrap();
        self.0 = Line::Plain(tls.into_inner().0);
    }
}

/// Which certificate a host shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Host,
    Root,
    Stranger,
}

/// RSA keys take long to make, so that all tests share these.
static KEYS: LazyLock<[KeyPair; 3]> = LazyLock::new(|| {
    std::array::from_fn(|_| KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap())
});

/// The phone's key, which comes as PKCS#1 in PEM.
struct PhoneKey(Vec<u8>);

impl PublicKeyData for PhoneKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

/// A pair record, with the private halves.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) host_id: String,
    pub(crate) system_buid: String,
    pub(crate) escrow_bag: Vec<u8>,
    root: (String, CertificateDer<'static>),
    host: (String, CertificateDer<'static>),
    device: (String, CertificateDer<'static>),
}

impl Record {
    /// Makes certificates as tools do: serial number 0, no names.
    pub(crate) async fn new(lockdown: &mut Plists, system_buid: &str) -> Self {
        let answer = lockdown.value(None, "DevicePublicKey").await;
        let pem = String::from_utf8(answer["Value"].as_data().unwrap().to_vec()).unwrap();
        let phone_key = PhoneKey(body_of_pem(&pem));
        let params = |ca| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.serial_number = Some(vec![0].into());
            params.is_ca = if ca {
                IsCa::Ca(rcgen::BasicConstraints::Unconstrained)
            } else {
                IsCa::ExplicitNoCa
            };
            params
        };
        let both = |certificate: rcgen::Certificate| (certificate.pem(), certificate.der().clone());
        let root = params(true).self_signed(&KEYS[0]).unwrap();
        let issuer = Issuer::new(params(true), &KEYS[0]);
        Self {
            host_id: uuid::Uuid::new_v4().to_string().to_uppercase(),
            system_buid: system_buid.to_owned(),
            escrow_bag: Vec::new(),
            root: both(root),
            host: both(params(false).signed_by(&KEYS[1], &issuer).unwrap()),
            device: both(params(false).signed_by(&phone_key, &issuer).unwrap()),
        }
    }

    pub(crate) fn pair_request(&self) -> Dictionary {
        let data = |pem: &str| Value::Data(pem.as_bytes().to_vec());
        let record = keys([
            ("DeviceCertificate", data(&self.device.0)),
            ("HostCertificate", data(&self.host.0)),
            ("HostID", self.host_id.as_str().into()),
            ("RootCertificate", data(&self.root.0)),
            ("SystemBUID", self.system_buid.as_str().into()),
        ]);
        keys([("Request", "Pair".into()), ("PairRecord", Value::Dictionary(record))])
    }

    pub(crate) fn unpair_request(&self) -> Dictionary {
        let mut request = self.pair_request();
        request.insert("Request".to_owned(), "Unpair".into());
        request
    }

    pub(crate) fn session_request(&self) -> Dictionary {
        keys([
            ("Request", "StartSession".into()),
            ("HostID", self.host_id.as_str().into()),
            ("SystemBUID", self.system_buid.as_str().into()),
        ])
    }

    /// Shows a certificate to the phone, and demands the one that was made for it.
    pub(crate) async fn handshake(&self, stream: TcpStream, shown: Shown) -> std::io::Result<Line> {
        let (certificate, key) = match shown {
            Shown::Host => (&self.host.1, &KEYS[1]),
            Shown::Root => (&self.root.1, &KEYS[0]),
            Shown::Stranger => {
                let own = CertificateParams::default().self_signed(&KEYS[2]).unwrap();
                return self.handshake_with(stream, own.der().clone(), &KEYS[2]).await;
            }
        };
        self.handshake_with(stream, certificate.clone(), key).await
    }

    async fn handshake_with(
        &self,
        stream: TcpStream,
        certificate: CertificateDer<'static>,
        key: &KeyPair,
    ) -> std::io::Result<Line> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ThisPhone(self.device.1.clone())))
            .with_client_auth_cert(vec![certificate], key)
            .unwrap();
        let name = ServerName::try_from("Device").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Ok(Line::Tls(Box::new(tls)))
    }
}

fn algorithms() -> rustls::crypto::WebPkiSupportedAlgorithms {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
}

/// Accepts the certificate that the host itself made.
#[derive(Debug)]
struct ThisPhone(CertificateDer<'static>);

impl ServerCertVerifier for ThisPhone {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        assert_eq!(*certificate, self.0);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// The bytes in a PEM text, by way of a property list, which has the same base64.
fn body_of_pem(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let xml = format!("<?xml version=\"1.0\"?><plist version=\"1.0\"><data>{body}</data></plist>");
    plist_guard::parse(xml.as_bytes(), &Limits::MESSAGE).unwrap().into_data().unwrap()
}

pub(crate) fn keys<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(crate) fn text<'a>(keys: &'a Dictionary, key: &str) -> Option<&'a str> {
    keys.get(key).and_then(Value::as_string)
}
