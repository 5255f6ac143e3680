//! Pairing: the device and this computer get to trust each other (`docs/protocol.md` 2.4, 2.5).

use std::fmt;
use std::time::Duration;

use idevice::Idevice;
use idevice::pairing_file::PairingFile;
use jiff::Timestamp;
use lifeboat_wire::lockdown::ErrorWord;
use lifeboat_wire::plist_frame;
use lifeboat_wire::plist_guard::{self, Limits};
use plist::{Dictionary, Value};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::certificates::{CertificateFailure, Certificates};
use crate::error::{Fault, LinkError};
use crate::limit::{ANSWER, within};
use crate::mux::{Device, LABEL, Mux};

/// How often the device is asked again while a person looks at its screen.
const POLL: Duration = Duration::from_secs(1);

/// Why pairing failed.
#[derive(Debug, Error)]
pub enum PairingError {
    /// The person tapped "Don't Trust".
    #[error("trust was denied on the device")]
    Denied,
    /// Nobody answered in time.
    #[error("nobody answered the device's question in time")]
    NotAnswered(PairingState),
    /// The device belongs to an organisation and wants its signature.
    #[error("the device is supervised and wants the signature of its organisation")]
    Supervised,
    /// Pairing needs a cable.
    #[error("the device can only be paired over a cable")]
    NeedsCable,
    /// The job was cancelled.
    #[error("pairing was cancelled")]
    Cancelled,
    /// Keys or certificates could not be made.
    #[error("keys for the pairing could not be made")]
    Keys,
    /// The link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl PairingError {
    /// Returns whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Denied
            | Self::NotAnswered(_)
            | Self::NeedsCable
            | Self::Supervised
            | Self::Cancelled => Fault::Person,
            Self::Keys => Fault::Ours,
            Self::Link(error) => error.fault(),
        }
    }
}

/// What pairing waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingState {
    /// The device is locked: it wants its passcode before it asks anything.
    Locked,
    /// The device asks "Trust This Computer?".
    TrustDialog,
}

/// The keys that both sides keep. Has no [`fmt::Display`] and shows nothing in a log.
#[derive(Clone)]
pub struct PairingRecord(Dictionary);

impl fmt::Debug for PairingRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingRecord")
    }
}

impl PairingRecord {
    /// Reads a record, whoever wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Self, LinkError> {
        let value = plist_guard::parse(bytes, &Limits::FILE)
            .map_err(|_| LinkError::RecordDamaged("it is not a property list"))?;
        let record =
            value.into_dictionary().ok_or(LinkError::RecordDamaged("it is not a dictionary"))?;
        for key in ["HostCertificate", "HostPrivateKey", "RootCertificate"] {
            if record.get(key).and_then(Value::as_data).is_none() {
                return Err(LinkError::RecordDamaged("it lacks a certificate or key"));
            }
        }
        for key in ["HostID", "SystemBUID"] {
            if record.get(key).and_then(Value::as_string).is_none() {
                return Err(LinkError::RecordDamaged("it lacks an identifier"));
            }
        }
        Ok(Self(record))
    }

    /// Returns what unlocks the device's files for a service, where the device gave it.
    pub(crate) fn escrow_bag(&self) -> Option<Vec<u8>> {
        self.0.get("EscrowBag").and_then(Value::as_data).map(<[u8]>::to_vec)
    }

    /// Returns from when to when the certificate of this computer in it is valid; nothing where it cannot be read.
    pub fn validity(&self) -> Option<(Timestamp, Timestamp)> {
        let pem = self.0.get("HostCertificate").and_then(Value::as_data)?;
        crate::certificates::validity(pem)
    }

    fn host_id(&self) -> Option<&str> {
        self.0.get("HostID").and_then(Value::as_string)
    }

    /// Returns the record in `idevice`'s form, which wants some keys that nobody needs.
    pub(crate) fn to_pairing_file(&self) -> Result<PairingFile, LinkError> {
        let mut record = self.0.clone();
        for (key, instead) in
            [("RootPrivateKey", "HostPrivateKey"), ("DeviceCertificate", "HostCertificate")]
        {
            if !record.contains_key(key)
                && let Some(value) = record.get(instead).cloned()
            {
                record.insert(key.into(), value);
            }
        }
        if !record.contains_key("WiFiMACAddress") {
            record.insert("WiFiMACAddress".into(), "".into());
        }
        let file = PairingFile::from_value(&Value::Dictionary(record))
            .map_err(|_| LinkError::RecordDamaged("a certificate or key in it cannot be read"))?;
        check(&file)?;
        Ok(file)
    }
}

/// Checks that certificate and key belong together; `idevice` takes it for granted.
fn check(file: &PairingFile) -> Result<(), LinkError> {
    const DAMAGED: LinkError =
        LinkError::RecordDamaged("its certificate and key do not belong together");
    let key = PrivateKeyDer::from_pem_slice(&file.host_private_key).map_err(|_| DAMAGED)?;
    let chain = vec![file.host_certificate.clone()];
    CertifiedKey::from_der(chain, key, &default_provider()).map(drop).map_err(|_| DAMAGED)
}

/// Pairs with a device, or returns at once where a record exists that it honours.
///
/// `on_state` hears what is waited for, each time that it changes; `limit` bounds the wait for a person. `now` dates
/// the certificates. The record is stored by the mux before this returns.
pub async fn pair(
    mux: &Mux,
    device: &Device,
    now: Timestamp,
    limit: Duration,
    cancel: &CancellationToken,
    mut on_state: impl FnMut(PairingState),
) -> Result<crate::link::Link, PairingError> {
    match crate::link::Link::open(mux, device).await {
        Ok(link) => return Ok(link),
        Err(error) if error.wants_pairing() => {}
        Err(error) => return Err(error.into()),
    }
    let buid = mux.buid().await?;
    let mut lockdown = Plain::open(mux, device).await?;
    let device_key = lockdown.value("DevicePublicKey").await?;
    let device_key =
        device_key.and_then(Value::into_data).ok_or_else(|| malformed("it has no public key"))?;
    let wifi =
        lockdown.value("WiFiAddress").await?.and_then(Value::into_string).unwrap_or_default();
    let made = tokio::task::spawn_blocking(move || Certificates::generate(&device_key, now));
    let made = made.await.map_err(|_| PairingError::Keys)?.map_err(|failure| match failure {
        CertificateFailure::DeviceKey => {
            PairingError::Link(malformed("its public key is no RSA key"))
        }
        CertificateFailure::Ours => PairingError::Keys,
    })?;
    let offer = Offer { made, host_id: Uuid::new_v4().to_string().to_uppercase(), buid, wifi };
    let deadline = tokio::time::Instant::now() + limit;
    let mut state = None;
    loop {
        // A device that waits for a person may close an idle connection: each question has its own.
        let answer = match lockdown.pair(&offer).await {
            Err(LinkError::Lost(_)) => {
                lockdown = Plain::open(mux, device).await?;
                lockdown.pair(&offer).await?
            }
            other => other?,
        };
        let waits = match answer {
            PairAnswer::Trusted(escrow) => return finish(mux, device, &offer, escrow).await,
            PairAnswer::Waits(waits) => waits,
            PairAnswer::Refused(error) => return Err(error),
        };
        if state != Some(waits) {
            state = Some(waits);
            on_state(waits);
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(PairingError::Cancelled),
            () = tokio::time::sleep_until(deadline) => return Err(PairingError::NotAnswered(waits)),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Ends the trust: the device forgets this computer, then the mux forgets the record.
pub async fn forget(mux: &Mux, device: &Device) -> Result<(), PairingError> {
    let bytes = mux.read_record(&device.udid).await?.ok_or(LinkError::NotPaired)?;
    if let Ok(record) = PairingRecord::parse(&bytes)
        && let Some(host_id) = record.host_id()
    {
        let mut lockdown = Plain::open(mux, device).await?;
        match lockdown.unpair(host_id, &record).await {
            // It forgot us already.
            Ok(()) | Err(LinkError::NotTrusted) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(mux.delete_record(&device.udid).await?)
}

async fn finish(
    mux: &Mux,
    device: &Device,
    offer: &Offer,
    escrow: Option<Vec<u8>>,
) -> Result<crate::link::Link, PairingError> {
    let mut record = offer.public();
    let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
    put("HostPrivateKey", Value::Data(offer.made.host_private_key.clone().into_bytes()));
    put("RootPrivateKey", Value::Data(offer.made.root_private_key.clone().into_bytes()));
    put("WiFiMACAddress", offer.wifi.as_str().into());
    put("UDID", device.udid.as_str().into());
    if let Some(escrow) = escrow {
        put("EscrowBag", Value::Data(escrow));
    }
    mux.save_record(&device.udid, plist_guard::to_xml(&Value::Dictionary(record))).await?;
    Ok(crate::link::Link::open(mux, device).await?)
}

fn malformed(what: &str) -> LinkError {
    LinkError::Malformed(what.to_owned())
}

/// What is offered to the device.
struct Offer {
    made: Certificates,
    host_id: String,
    buid: String,
    wifi: String,
}

impl Offer {
    /// Returns the part of the record that the device gets: no private key.
    fn public(&self) -> Dictionary {
        let data = |text: &str| Value::Data(text.as_bytes().to_vec());
        Dictionary::from_iter([
            ("DeviceCertificate", data(&self.made.device_certificate)),
            ("HostCertificate", data(&self.made.host_certificate)),
            ("RootCertificate", data(&self.made.root_certificate)),
            ("HostID", self.host_id.as_str().into()),
            ("SystemBUID", self.buid.as_str().into()),
        ])
    }
}

enum PairAnswer {
    Trusted(Option<Vec<u8>>),
    Waits(PairingState),
    Refused(PairingError),
}

/// A lockdown connection in plain text, for what `idevice` offers only together with its own certificates.
pub(crate) struct Plain(Idevice);

impl Plain {
    pub(crate) async fn open(mux: &Mux, device: &Device) -> Result<Self, LinkError> {
        Ok(Self(mux.open(device, lifeboat_wire::lockdown::PORT).await?))
    }

    /// Returns the name of the program that answers.
    pub(crate) async fn service(&mut self) -> Result<String, LinkError> {
        let answer = self.ask("QueryType", Dictionary::new()).await?;
        let service = answer.get("Type").and_then(Value::as_string);
        service.map(str::to_owned).ok_or_else(|| malformed("it does not say what it is"))
    }

    pub(crate) async fn value(&mut self, key: &str) -> Result<Option<Value>, LinkError> {
        let answer =
            self.ask("GetValue", Dictionary::from_iter([("Key", Value::from(key))])).await?;
        Ok(answer.get("Value").cloned())
    }

    async fn pair(&mut self, offer: &Offer) -> Result<PairAnswer, LinkError> {
        let options = Dictionary::from_iter([("ExtendedPairingErrors", Value::from(true))]);
        let keys = Dictionary::from_iter([
            ("PairRecord", Value::Dictionary(offer.public())),
            ("PairingOptions", Value::Dictionary(options)),
        ]);
        let answer = self.ask("Pair", keys).await?;
        let Some(word) = answer.get("Error").and_then(Value::as_string) else {
            return Ok(PairAnswer::Trusted(
                answer.get("EscrowBag").and_then(Value::as_data).map(<[u8]>::to_vec),
            ));
        };
        Ok(match ErrorWord::parse(word) {
            Some(ErrorWord::PairingDialogResponsePending) => {
                PairAnswer::Waits(PairingState::TrustDialog)
            }
            Some(ErrorWord::PasswordProtected | ErrorWord::DeviceLocked) => {
                PairAnswer::Waits(PairingState::Locked)
            }
            Some(ErrorWord::UserDeniedPairing) => PairAnswer::Refused(PairingError::Denied),
            Some(ErrorWord::MCChallengeRequired) => PairAnswer::Refused(PairingError::Supervised),
            Some(ErrorWord::PairingProhibitedOverThisConnection) => {
                PairAnswer::Refused(PairingError::NeedsCable)
            }
            _ => PairAnswer::Refused(LinkError::from_word(word).into()),
        })
    }

    async fn unpair(&mut self, host_id: &str, record: &PairingRecord) -> Result<(), LinkError> {
        let mut pair_record = Dictionary::from_iter([("HostID", Value::from(host_id))]);
        for key in ["DeviceCertificate", "HostCertificate", "RootCertificate", "SystemBUID"] {
            if let Some(value) = record.0.get(key) {
                pair_record.insert(key.to_owned(), value.clone());
            }
        }
        let keys = Dictionary::from_iter([("PairRecord", Value::Dictionary(pair_record))]);
        let answer = self.ask("Unpair", keys).await?;
        match answer.get("Error").and_then(Value::as_string) {
            None => Ok(()),
            Some(word) => Err(LinkError::from_word(word)),
        }
    }

    async fn ask(&mut self, request: &str, mut keys: Dictionary) -> Result<Dictionary, LinkError> {
        keys.insert("Request".to_owned(), request.into());
        keys.insert("Label".to_owned(), LABEL.into());
        keys.insert("ProtocolVersion".to_owned(), "2".into());
        let frame = plist_frame::encode(&plist_guard::to_xml(&Value::Dictionary(keys)));
        within(ANSWER, "asking the device", async {
            self.0.send_raw(&frame).await?;
            let header: [u8; 4] = self
                .0
                .read_raw(4)
                .await?
                .try_into()
                .map_err(|_| malformed("the answer is cut short"))?;
            let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
            if length > plist_frame::MESSAGE_LIMIT {
                return Err(malformed("the answer is too long"));
            }
            let body = self.0.read_raw(length).await?;
            let value = plist_guard::parse(&body, &Limits::MESSAGE)
                .map_err(|error| LinkError::Malformed(error.to_string()))?;
            value.into_dictionary().ok_or_else(|| malformed("the answer is no dictionary"))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

    use super::*;

    /// A dictionary as a record may be: what must be there, and anything beside it.
    fn any_record() -> impl Strategy<Value = Dictionary> {
        let data = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Data);
        let text = || "[ -~]{0,20}".prop_map(Value::from);
        let more =
            prop::collection::btree_map("[A-Z][A-Za-z]{3,12}", prop_oneof![data(), text()], 0..5);
        ((data(), data(), data()), (text(), text()), more).prop_map(
            |((certificate, key, root), (host, buid), more)| {
                let mut record: Dictionary = more.into_iter().collect();
                for (name, value) in [
                    ("HostCertificate", certificate),
                    ("HostPrivateKey", key),
                    ("RootCertificate", root),
                    ("HostID", host),
                    ("SystemBUID", buid),
                ] {
                    record.insert(name.to_owned(), value);
                }
                record
            },
        )
    }

    proptest! {
        #[test]
        fn records_come_back(record in any_record(), binary: bool) {
            let value = Value::Dictionary(record.clone());
            let bytes = if binary { plist_guard::to_binary(&value) } else { plist_guard::to_xml(&value) };
            let read = PairingRecord::parse(&bytes).unwrap();
            prop_assert_eq!(&read.0, &record);
            // No noise is a certificate that belongs to a key.
            prop_assert!(read.to_pairing_file().is_err());
        }

        #[test]
        fn noise_never_panics(
            record in any_record(),
            noise in prop::collection::vec(any::<u8>(), 0..200),
            at: prop::sample::Index,
            to: u8,
        ) {
            drop(PairingRecord::parse(&noise));
            let mut bytes = plist_guard::to_binary(&Value::Dictionary(record));
            *at.get_mut(&mut bytes) = to;
            if let Ok(record) = PairingRecord::parse(&bytes) {
                drop(record.to_pairing_file());
            }
        }
    }

    fn made() -> Certificates {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        Certificates::generate(key.public_key_pem().as_bytes(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn record(made: &Certificates, host_private_key: &str) -> Dictionary {
        let data = |text: &str| Value::Data(text.as_bytes().to_vec());
        Dictionary::from_iter([
            ("HostCertificate", data(&made.host_certificate)),
            ("RootCertificate", data(&made.root_certificate)),
            ("HostPrivateKey", data(host_private_key)),
            ("HostID", "H".into()),
            ("SystemBUID", "B".into()),
            ("EscrowBag", Value::Data(vec![7; 32])),
        ])
    }

    fn read(record: &Dictionary) -> Result<PairingFile, LinkError> {
        let bytes = plist_guard::to_xml(&Value::Dictionary(record.clone()));
        PairingRecord::parse(&bytes)?.to_pairing_file()
    }

    #[test]
    fn a_record_of_the_least_keys_is_enough() {
        let made = made();
        let record = record(&made, &made.host_private_key);
        let file = read(&record).unwrap();
        assert_eq!(file.host_id, "H");
        assert_eq!(file.escrow_bag, Some(vec![7; 32]));
    }

    #[test]
    fn damaged_records_are_named_and_never_panic() {
        let made = made();
        let whole = record(&made, &made.host_private_key);
        assert!(matches!(PairingRecord::parse(b"x"), Err(LinkError::RecordDamaged(_))));
        for key in ["HostCertificate", "RootCertificate", "HostPrivateKey", "HostID", "SystemBUID"]
        {
            let mut record = whole.clone();
            record.remove(key);
            assert!(matches!(read(&record), Err(LinkError::RecordDamaged(_))), "{key}");
        }
        // The key of another certificate, and no key at all.
        for key in [made.root_private_key.as_str(), "-----BEGIN PRIVATE KEY-----"] {
            assert!(matches!(read(&record(&made, key)), Err(LinkError::RecordDamaged(_))));
        }
        let mut noise = whole;
        noise.insert("HostCertificate".into(), Value::Data(b"noise".to_vec()));
        assert!(matches!(read(&noise), Err(LinkError::RecordDamaged(_))));
    }
}
