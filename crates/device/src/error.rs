//! What goes wrong below MobileBackup2: at the mux, on the link, in a service. `idevice`'s errors become ours here.

use std::io;

use idevice::IdeviceError;
use lifeboat_wire::lockdown::ErrorWord;
use thiserror::Error;

/// Whose fault it is. Only the last two are worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A defect of this program.
    Ours,
    /// The person can mend it: unlock, tap Trust, plug in, start a service.
    Person,
    /// The device answered what it should not.
    Device,
    /// The way to the device.
    Network,
}

/// Why the device could not be reached or refused.
#[derive(Debug, Error)]
pub enum LinkError {
    /// Nothing answers where the mux (usbmuxd) should be.
    #[error("nothing answers at {address}, where usbmuxd should be")]
    MuxAbsent {
        /// The address that was tried.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The mux answered with an error.
    #[error("usbmuxd refused: {0}")]
    MuxRefused(&'static str),
    /// The device is not there (any more).
    #[error("the device is not connected")]
    DeviceNotFound,
    /// There is no pairing record: this computer was never trusted.
    #[error("the device is not paired with this computer")]
    NotPaired,
    /// The pairing record is damaged or lacks something.
    #[error("the pairing record of the device cannot be used: {0}")]
    RecordDamaged(&'static str),
    /// The device does not know this computer any more.
    #[error("the device does not trust this computer any more")]
    NotTrusted,
    /// The device is locked with its passcode.
    #[error("the device is locked")]
    Locked,
    /// The device was restarted and not unlocked since.
    #[error("the device was restarted and has not been unlocked since")]
    BeforeFirstUnlock,
    /// The device does not offer the service.
    #[error("the device does not offer the service {0}")]
    NoService(String),
    /// The device refused with a word of its protocol.
    #[error("the device refused: {}", .0.as_str())]
    Refused(ErrorWord),
    /// The device refused with a word that nobody knows.
    #[error("the device refused with an unknown word: {0}")]
    RefusedUnknown(String),
    /// No answer in time.
    #[error("no answer within {seconds} s ({doing})")]
    Timeout {
        /// What was being done.
        doing: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The connection broke.
    #[error("the connection to the device was lost")]
    Lost(#[source] io::Error),
    /// The device broke the connection off while its encryption was agreed on: it forgot this computer, or the link broke
    /// (`docs/protocol.md` 2.6). Which of the two cannot be told.
    #[error("the device broke off while the encrypted connection was made")]
    HandshakeBroken(#[source] io::Error),
    /// The encrypted connection could not be made. What the TLS library says is for the log.
    #[error("the encrypted connection to the device could not be made")]
    Tls(String),
    /// An answer that makes no sense.
    #[error("the device's answer makes no sense: {0}")]
    Malformed(String),
}

impl LinkError {
    /// Returns whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::MuxAbsent { .. }
            | Self::DeviceNotFound
            | Self::NotPaired
            | Self::NotTrusted
            | Self::Locked
            | Self::BeforeFirstUnlock
            | Self::RecordDamaged(_) => Fault::Person,
            Self::MuxRefused(_)
            | Self::Timeout { .. }
            | Self::HandshakeBroken(_)
            | Self::Lost(_) => Fault::Network,
            Self::NoService(_)
            | Self::Refused(_)
            | Self::RefusedUnknown(_)
            | Self::Tls(_)
            | Self::Malformed(_) => Fault::Device,
        }
    }

    /// Says whether pairing anew is what a person who asks for it can do about this.
    pub fn wants_pairing(&self) -> bool {
        matches!(
            self,
            Self::NotPaired | Self::NotTrusted | Self::RecordDamaged(_) | Self::HandshakeBroken(_)
        )
    }

    /// Returns the error for a word of lockdownd.
    pub(crate) fn from_word(word: &str) -> Self {
        match ErrorWord::parse(word) {
            Some(ErrorWord::InvalidHostID) => Self::NotTrusted,
            Some(
                ErrorWord::PasswordProtected | ErrorWord::DeviceLocked | ErrorWord::EscrowLocked,
            ) => Self::Locked,
            Some(known) => Self::Refused(known),
            None => Self::RefusedUnknown(word.chars().take(200).collect()),
        }
    }
}

impl From<IdeviceError> for LinkError {
    fn from(error: IdeviceError) -> Self {
        use idevice::usbmuxd::errors::UsbmuxdError;
        match error {
            IdeviceError::Socket(source) => lost(source),
            IdeviceError::Timeout => Self::Timeout { doing: "talking to the device", seconds: 0 },
            IdeviceError::DeviceNotFound | IdeviceError::Usbmuxd(UsbmuxdError::BadDevice) => {
                Self::DeviceNotFound
            }
            IdeviceError::Usbmuxd(UsbmuxdError::ConnectionRefused) => {
                Self::MuxRefused("the device did not open the port")
            }
            IdeviceError::Usbmuxd(_) => Self::MuxRefused("the command was not understood"),
            IdeviceError::InvalidHostID => Self::NotTrusted,
            IdeviceError::DeviceLocked => Self::Locked,
            IdeviceError::GetProhibited => Self::Refused(ErrorWord::GetProhibited),
            IdeviceError::SessionInactive => Self::Refused(ErrorWord::SessionInactive),
            IdeviceError::UnknownErrorType(word) => Self::from_word(&word),
            IdeviceError::Rustls(source) => tls(&source),
            IdeviceError::PemParseFailed(_) => {
                Self::RecordDamaged("a certificate or key in it is not PEM")
            }
            other => Self::Malformed(other.to_string()),
        }
    }
}

/// Says what an error of a stream means. With TLS 1.3 the device says only behind the handshake that it does not take our
/// certificate.
fn lost(error: io::Error) -> LinkError {
    match said(&error) {
        Some(rustls::Error::AlertReceived(alert)) if refuses_us(*alert) => LinkError::NotTrusted,
        _ => LinkError::Lost(error),
    }
}

/// Says what an error within a TLS handshake means (`docs/protocol.md` 2.6).
pub(crate) fn handshake(error: io::Error) -> LinkError {
    match said(&error) {
        Some(said) => tls(said),
        None => LinkError::HandshakeBroken(error),
    }
}

fn tls(said: &rustls::Error) -> LinkError {
    match said {
        rustls::Error::AlertReceived(alert) if refuses_us(*alert) => LinkError::NotTrusted,
        other => LinkError::Tls(other.to_string()),
    }
}

/// Returns what the TLS library said, where an error is its own.
fn said(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Whether an alert says that the device does not take the certificate that we show.
fn refuses_us(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_device_become_errors() {
        assert!(matches!(LinkError::from_word("InvalidHostID"), LinkError::NotTrusted));
        assert!(matches!(LinkError::from_word("PasswordProtected"), LinkError::Locked));
        assert!(matches!(
            LinkError::from_word("InvalidService"),
            LinkError::Refused(ErrorWord::InvalidService)
        ));
        assert!(matches!(LinkError::from_word("NeverSeen"), LinkError::RefusedUnknown(_)));
        let idevice = IdeviceError::UnknownErrorType("EscrowLocked".into());
        assert!(matches!(LinkError::from(idevice), LinkError::Locked));
    }

    #[test]
    fn only_an_alert_about_our_certificate_says_that_we_are_not_trusted() {
        use rustls::{AlertDescription as Alert, Error};
        let io = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        for alert in [Alert::UnknownCA, Alert::CertificateUnknown] {
            assert!(matches!(handshake(io(Error::AlertReceived(alert))), LinkError::NotTrusted));
            let behind = IdeviceError::Socket(io(Error::AlertReceived(alert)));
            assert!(matches!(LinkError::from(behind), LinkError::NotTrusted));
        }
        for other in [
            Error::AlertReceived(Alert::ProtocolVersion),
            Error::AlertReceived(Alert::InternalError),
            Error::HandshakeNotComplete,
        ] {
            assert!(matches!(handshake(io(other)), LinkError::Tls(_)));
        }
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
            assert!(matches!(handshake(kind.into()), LinkError::HandshakeBroken(_)));
            assert!(matches!(
                LinkError::from(IdeviceError::Socket(kind.into())),
                LinkError::Lost(_)
            ));
        }
    }

    #[test]
    fn what_the_tls_library_says_is_not_for_people() {
        let error = LinkError::Tls("received fatal alert: InternalError, https://docs.rs".into());
        assert!(!error.to_string().contains("alert") && !error.to_string().contains("docs.rs"));
    }

    #[test]
    fn fault_tells_what_is_worth_another_try() {
        assert_eq!(LinkError::Lost(io::ErrorKind::ConnectionReset.into()).fault(), Fault::Network);
        assert_eq!(LinkError::Locked.fault(), Fault::Person);
        assert_eq!(LinkError::Malformed(String::new()).fault(), Fault::Device);
    }
}
