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
    /// The encrypted connection could not be made.
    #[error("the encrypted connection to the device failed: {0}")]
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
            Self::MuxRefused(_) | Self::Timeout { .. } | Self::Lost(_) => Fault::Network,
            Self::NoService(_)
            | Self::Refused(_)
            | Self::RefusedUnknown(_)
            | Self::Tls(_)
            | Self::Malformed(_) => Fault::Device,
        }
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
            IdeviceError::Socket(source) => Self::Lost(source),
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
            IdeviceError::Rustls(source) => Self::Tls(source.to_string()),
            IdeviceError::PemParseFailed(_) => {
                Self::RecordDamaged("a certificate or key in it is not PEM")
            }
            other => Self::Malformed(other.to_string()),
        }
    }
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
    fn fault_tells_what_is_worth_another_try() {
        assert_eq!(LinkError::Lost(io::ErrorKind::ConnectionReset.into()).fault(), Fault::Network);
        assert_eq!(LinkError::Locked.fault(), Fault::Person);
        assert_eq!(LinkError::Malformed(String::new()).fault(), Fault::Device);
    }
}
