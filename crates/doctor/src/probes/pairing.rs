//! P04 to P06: the mode of the device, the trust between it and this computer, whether it is locked.

use std::time::Duration;

use lifeboat_device::link::Link;
use lifeboat_device::lockdown::{ErrorWord, service};
use lifeboat_device::mux::Connection;
use lifeboat_device::pairing::{PairingError, PairingRecord, PairingState, pair};
use lifeboat_device::{Device, LinkError, identity};
use tokio_util::sync::CancellationToken;

use super::{aside, flag, nothing};
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const MODE: &[&str] = &["device.mode", "device.answers"];
pub(crate) const TRUST: &[&str] = &["pairing.state", "pairing.tls"];
pub(crate) const LOCK: &[&str] = &["lock.state"];

/// For one try to make the link.
const LIMIT: Duration = Duration::from_secs(4);

/// P04.
pub(crate) async fn mode(context: &ProbeContext) -> Facts {
    let mut facts = Facts::new();
    match context.device().await {
        Ok(device) => {
            let mux = context.mux();
            let asked = identity::identity(&mux, device);
            let asked = tokio::time::timeout(LIMIT, asked).await;
            answered(&mut facts, asked.ok().map(|asked| asked.map(|identity| identity.service)));
        }
        Err(why) => {
            facts.unknown(&["device.answers"], &why);
            // A device in another mode is on the bus and nowhere else.
            let host = std::sync::Arc::clone(&context.host);
            let bus = aside(move || host.usb()).await;
            let told = match bus {
                Ok(Ok(bus)) => super::bus::other_mode(&bus),
                Ok(Err(_)) | Err(_) => None,
            };
            facts.tell("device.mode", told.map_or(Value::Unknown(why), Value::from));
        }
    }
    facts
}

/// Says what the answer to "who are you" means; nothing is no answer in time.
fn answered(facts: &mut Facts, answer: Option<Result<String, LinkError>>) {
    let (answers, mode) = match answer {
        None | Some(Err(LinkError::Timeout { .. })) => ("hung", Err(Why::TimedOut)),
        Some(Ok(service)) if service == "com.apple.mobile.lockdown" => ("yes", Ok("normal")),
        Some(Ok(service)) if service == "com.apple.mobile.restored" => ("yes", Ok("restore")),
        Some(Ok(service)) => {
            ("garbled", Err(Why::Garbled(format!("it calls itself {}", super::plain(&service)))))
        }
        Some(Err(error @ (LinkError::Malformed(_) | LinkError::Tls(_)))) => {
            ("garbled", Err(context::link(&error)))
        }
        Some(Err(error)) => ("refused", Err(context::link(&error))),
    };
    facts.tell("device.answers", answers);
    facts.tell("device.mode", super::told(mode));
}

/// What a try to make the link showed.
#[derive(Debug)]
pub(crate) struct PairingLook {
    /// The word of `pairing.state`.
    state: Result<&'static str, Why>,
    /// The word of `pairing.tls`.
    tls: Result<&'static str, Why>,
    /// The link, where there is one.
    pub(crate) link: Result<Link, Why>,
}

/// Tries to make the link; all probes that need one wait for this.
pub(crate) async fn try_link(context: &ProbeContext) -> PairingLook {
    let device = match context.device().await {
        Ok(device) => device,
        Err(why) => {
            return PairingLook { state: Err(why.clone()), tls: Err(why.clone()), link: Err(why) };
        }
    };
    let opened = match tokio::time::timeout(LIMIT, Link::open(&context.mux(), device)).await {
        Ok(opened) => opened,
        Err(_) => Err(LinkError::Timeout { doing: "opening a link", seconds: LIMIT.as_secs() }),
    };
    match opened {
        Err(LinkError::NotPaired) if context.ask_trust => ask(context, device).await,
        opened => looked(opened, device.connection),
    }
}

fn looked(opened: Result<Link, LinkError>, connection: Connection) -> PairingLook {
    let error = match opened {
        Ok(link) => return PairingLook { state: Ok("trusted"), tls: Ok("ok"), link: Ok(link) },
        Err(error) => error,
    };
    let why = context::link(&error);
    let tls = match error {
        LinkError::Tls(_) => Ok("failed"),
        LinkError::HandshakeBroken(_) => Ok("broken-off"),
        _ => Err(why.clone()),
    };
    let state = state(&error, connection).ok_or_else(|| why.clone());
    PairingLook { state, tls, link: Err(why) }
}

/// Says which state of trust an error of the link shows; nothing where it shows another trouble.
fn state(error: &LinkError, connection: Connection) -> Option<&'static str> {
    match error {
        LinkError::NotPaired => Some("no-record"),
        LinkError::RecordDamaged(_)
        | LinkError::MuxRefused("the pairing record cannot be read") => Some("record-unreadable"),
        LinkError::NotTrusted => Some("stale"),
        LinkError::Locked | LinkError::BeforeFirstUnlock => Some("passcode-needed"),
        LinkError::Refused(word) => match word {
            ErrorWord::PairingDialogResponsePending => Some("dialog-pending"),
            ErrorWord::UserDeniedPairing => Some("denied"),
            ErrorWord::MCProtected | ErrorWord::MCChallengeRequired => Some("management"),
            ErrorWord::PairingProhibitedOverThisConnection => {
                Some(if connection == Connection::Network { "needs-cable" } else { "prohibited" })
            }
            ErrorWord::MissingPairRecord | ErrorWord::InvalidPairRecord => Some("stale"),
            ErrorWord::SavePairRecordFailed => Some("record-not-storable"),
            _ => None,
        },
        _ => None,
    }
}

/// Asks a device for trust once, and looks what it says; nobody waits for the person.
async fn ask(context: &ProbeContext, device: &Device) -> PairingLook {
    let (mux, now, cancel) = (context.mux(), context.host.now(), CancellationToken::new());
    let asked = pair(&mux, device, now, Duration::ZERO, &cancel, |_| ());
    let word = match tokio::time::timeout(LIMIT, asked).await {
        Err(_) => return untrusted(Err(Why::TimedOut)),
        Ok(Ok(link)) => return looked(Ok(link), device.connection),
        Ok(Err(error)) => match error {
            PairingError::Denied => Ok("denied"),
            PairingError::NotAnswered(PairingState::TrustDialog) => Ok("dialog-pending"),
            PairingError::NotAnswered(PairingState::Locked) => Ok("passcode-needed"),
            PairingError::Supervised => Ok("management"),
            PairingError::NeedsCable if device.connection == Connection::Network => {
                Ok("needs-cable")
            }
            PairingError::NeedsCable => Ok("prohibited"),
            PairingError::Cancelled | PairingError::Keys => Ok("no-record"),
            PairingError::Link(error @ LinkError::MuxRefused(_)) => {
                tracing::debug!(%error, "the pairing record was not stored");
                Ok("record-not-storable")
            }
            PairingError::Link(error) => {
                state(&error, device.connection).ok_or_else(|| context::link(&error))
            }
        },
    };
    untrusted(word)
}

fn untrusted(state: Result<&'static str, Why>) -> PairingLook {
    let why = Why::Refused("the device does not trust this computer yet".to_owned());
    PairingLook { state, tls: Err(why.clone()), link: Err(why) }
}

/// P05.
pub(crate) async fn trust(context: &ProbeContext) -> Facts {
    let look = context.pairing().await;
    let mut facts = Facts::new();
    facts.tell("pairing.state", super::told(look.state.clone()));
    let tls = match (Box::pin(outdated(context)).await, &look.tls) {
        (Some(word), Ok(_)) => Ok(word),
        // The certificates are the cause where the session fails at the same time.
        (Some(word), Err(_)) => Ok(word),
        (None, tls) => tls.clone(),
    };
    facts.tell("pairing.tls", super::told(tls));
    facts
}

/// Says whether the certificate of this computer is out of date by its clock.
async fn outdated(context: &ProbeContext) -> Option<&'static str> {
    let device = context.device().await.ok()?;
    let mux = context.mux();
    // Boxed: the future of a whole conversation is large.
    let read = Box::pin(mux.read_record(&device.udid));
    let record = context::shared(read).await.ok()??;
    let (from, until) = PairingRecord::parse(&record).ok()?.validity()?;
    let now = context.host.now();
    if now < from {
        Some("not-yet-valid")
    } else if now > until {
        Some("expired")
    } else {
        None
    }
}

/// P06.
pub(crate) async fn lock(context: &ProbeContext) -> Facts {
    let word = match context.values().await {
        // True only while it is locked with a passcode (`docs/protocol.md` 2.8).
        Ok(values) => match flag(values, "PasswordProtected") {
            Ok(false) => Ok("unlocked"),
            Ok(true) => locked(context).await,
            Err(why) => Err(why),
        },
        Err(why) => match &context.pairing().await.state {
            Ok("passcode-needed") => Ok("locked"),
            _ => Err(why),
        },
    };
    match word {
        Ok(word) => {
            let mut facts = Facts::new();
            facts.tell("lock.state", word);
            facts
        }
        Err(why) => nothing(LOCK, &why),
    }
}

/// A device that was not unlocked since it started refuses a service that needs its files.
async fn locked(context: &ProbeContext) -> Result<&'static str, Why> {
    let link = context.link().await?;
    match tokio::time::timeout(LIMIT, link.start_service(service::AFC)).await {
        Ok(Err(LinkError::BeforeFirstUnlock)) => Ok("before-first-unlock"),
        Ok(_) => Ok("locked"),
        Err(_) => Err(Why::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_device_has_its_state() {
        let refused = |word| LinkError::Refused(word);
        for (error, connection, wanted) in [
            (LinkError::NotPaired, Connection::Usb, Some("no-record")),
            (LinkError::NotTrusted, Connection::Usb, Some("stale")),
            (LinkError::Locked, Connection::Usb, Some("passcode-needed")),
            (LinkError::RecordDamaged("x"), Connection::Usb, Some("record-unreadable")),
            (refused(ErrorWord::UserDeniedPairing), Connection::Usb, Some("denied")),
            (refused(ErrorWord::MCProtected), Connection::Usb, Some("management")),
            (
                refused(ErrorWord::PairingProhibitedOverThisConnection),
                Connection::Network,
                Some("needs-cable"),
            ),
            (
                refused(ErrorWord::PairingProhibitedOverThisConnection),
                Connection::Usb,
                Some("prohibited"),
            ),
            (refused(ErrorWord::InvalidResponse), Connection::Usb, None),
            (LinkError::Malformed(String::new()), Connection::Usb, None),
        ] {
            assert_eq!(state(&error, connection), wanted, "{error}");
        }
        let broken = looked(Err(LinkError::Tls("x".into())), Connection::Usb);
        assert_eq!(broken.tls, Ok("failed"));
    }

    #[test]
    fn the_mode_is_what_answers() {
        let told = |answer| {
            let mut facts = Facts::new();
            answered(&mut facts, answer);
            facts
        };
        let restore = told(Some(Ok("com.apple.mobile.restored".to_owned())));
        assert!(restore.is("device.mode", "restore") && restore.is("device.answers", "yes"));
        assert!(told(None).is("device.answers", "hung"));
        assert!(told(Some(Ok("noise".to_owned()))).is("device.answers", "garbled"));
        let lost = LinkError::Lost(std::io::ErrorKind::BrokenPipe.into());
        assert!(told(Some(Err(lost))).is("device.answers", "refused"));
    }
}
