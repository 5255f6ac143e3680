//! Trust: `Pair`, `ValidatePair`, `Unpair` (docs/protocol.md, pairing).

use lifeboat_wire::lockdown::ErrorWord;
use plist::{Dictionary, Value};

use super::requests::{Refusal, keys, text};
use crate::keys::{certificate, public_key, random};
use crate::memory::{Consent, TrustedHost};
use crate::phone::Phone;

/// Length of an escrow bag.
const ESCROW_BAG: usize = 32;

/// Answers `Pair`: the owner decides, and the answer is asked for again until they did.
pub(super) fn pair(phone: &Phone, request: &Dictionary) -> Result<Dictionary, ErrorWord> {
    let record = record(request)?;
    let host_id = text(record, "HostID").ok_or(ErrorWord::MissingHostID)?;
    let system_buid = text(record, "SystemBUID").ok_or(ErrorWord::InvalidPairRecord)?;
    let mut host = TrustedHost {
        system_buid: system_buid.to_owned(),
        host_certificate: pem(record, "HostCertificate")?,
        root_certificate: pem(record, "RootCertificate")?,
        device_certificate: pem(record, "DeviceCertificate")?,
        escrow_bag: String::new(),
    };
    let device = certificate(host.device_certificate.as_bytes());
    if device.as_deref().and_then(public_key) != Some(phone.key.public()) {
        return Err(ErrorWord::InvalidPairRecord);
    }
    if !phone.state().management.allow_pairing {
        return Err(ErrorWord::MCProtected);
    }
    if phone.is_locked() {
        return Err(ErrorWord::PasswordProtected);
    }
    match phone.consent(system_buid).map_err(Refusal::from)? {
        Consent::Denied => return Err(ErrorWord::UserDeniedPairing),
        Consent::Asked | Consent::PasscodeWanted => {
            return Err(ErrorWord::PairingDialogResponsePending);
        }
        Consent::Trusted => {}
    }
    let bag: [u8; ESCROW_BAG] = random();
    host.escrow_bag = hex::encode(bag);
    phone
        .remember(|memory| memory.hosts.insert(host_id.to_owned(), host))
        .map_err(Refusal::from)?;
    // Whom it had forgotten it knows again.
    phone.faults.remove("invalid-host");
    phone.notify(HOST_ATTACHED);
    Ok(keys([("EscrowBag", Value::Data(bag.to_vec()))]))
}

/// Posted when a computer is trusted.
const HOST_ATTACHED: &str = "com.apple.mobile.lockdown.trusted_host_attached";
/// Posted when a computer is not trusted any more.
const HOST_DETACHED: &str = "com.apple.mobile.lockdown.host_detached";

/// Answers `ValidatePair`, which tools for old versions still send.
pub(super) fn validate(phone: &Phone, request: &Dictionary) -> Result<Dictionary, ErrorWord> {
    let host_id = text(record(request)?, "HostID").ok_or(ErrorWord::MissingHostID)?;
    if phone.is_locked() {
        return Err(ErrorWord::PasswordProtected);
    }
    phone.trusted_host(host_id).map(|_| Dictionary::new()).ok_or(ErrorWord::InvalidHostID)
}

/// Answers `Unpair`, which comes in plain text and without a session.
pub(super) fn unpair(phone: &Phone, request: &Dictionary) -> Result<Dictionary, ErrorWord> {
    let host_id = text(record(request)?, "HostID").ok_or(ErrorWord::MissingHostID)?;
    let known = phone
        .remember(|memory| {
            let host = memory.hosts.remove(host_id);
            if let Some(host) = &host {
                memory.consents.remove(&host.system_buid);
            }
            host.is_some()
        })
        .map_err(Refusal::from)?;
    if !known {
        return Err(ErrorWord::InvalidHostID);
    }
    phone.notify(HOST_DETACHED);
    Ok(Dictionary::new())
}

fn record(request: &Dictionary) -> Result<&Dictionary, ErrorWord> {
    request.get("PairRecord").and_then(Value::as_dictionary).ok_or(ErrorWord::MissingPairRecord)
}

/// Returns a certificate of the record, when it is one.
fn pem(record: &Dictionary, key: &str) -> Result<String, ErrorWord> {
    let text = match record.get(key) {
        Some(Value::Data(bytes)) => {
            std::str::from_utf8(bytes).map_err(|_| ErrorWord::InvalidPairRecord)?
        }
        Some(Value::String(text)) => text,
        _ => return Err(ErrorWord::InvalidPairRecord),
    };
    // Some tools end the text with a NUL.
    let text = text.trim_end_matches('\0');
    let der = certificate(text.as_bytes());
    if der.as_deref().and_then(public_key).is_none() {
        return Err(ErrorWord::InvalidPairRecord);
    }
    Ok(text.to_owned())
}
