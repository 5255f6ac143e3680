//! The errors of the crates below become causes here and nowhere else.

use std::io;

use lifeboat_device::LinkError;
use lifeboat_device::mobilebackup2::{BackupError, CancelledBy, DeviceError};
use lifeboat_device::pairing::{PairingError, PairingState};
use lifeboat_device::sync::SyncError;
use lifeboat_host::SecretError;
use lifeboat_repo::RepoError;

use super::clues::underlying;
use super::{Cause, Clues, Fault, JobError, chain};

impl From<RepoError> for JobError {
    fn from(error: RepoError) -> Self {
        let cause = match &error {
            RepoError::Missing(_) => Cause::RepositoryMissing,
            RepoError::AlreadyExists(_)
            | RepoError::UnsupportedLocation(_)
            | RepoError::TooFew { .. }
            | RepoError::Ambiguous { .. } => Cause::WrongUsage,
            RepoError::NotEmpty { .. } => Cause::TargetNotEmpty,
            RepoError::SeveralDevices { .. } => Cause::SeveralDevices,
            RepoError::Locked { .. } | RepoError::LockLost => Cause::RepositoryLocked,
            RepoError::WrongPassword => Cause::WrongPassword,
            RepoError::NoKey | RepoError::NoConfig(_) | RepoError::Damaged(_) => {
                Cause::RepositoryDamaged
            }
            RepoError::NoSpace { .. } => Cause::RepositoryFull,
            RepoError::Format { .. } => Cause::RepositoryTooNew,
            RepoError::NoSuchSnapshot(_) => Cause::NoSuchSnapshot,
            RepoError::NoSuchPath { .. } => Cause::NoSuchPath,
            RepoError::Catalogue { .. } | RepoError::Io { .. } | RepoError::Stalled { .. } => {
                Cause::Disk
            }
            _ => Cause::Internal,
        };
        let clues = match cause.fault() {
            Fault::Storage => Clues::of_storage(&error),
            _ => Clues::default(),
        };
        Self::new(cause, chain(&error)).with(clues)
    }
}

impl From<LinkError> for JobError {
    fn from(error: LinkError) -> Self {
        let cause = match &error {
            LinkError::MuxAbsent { .. } => Cause::MuxUnreachable,
            LinkError::MuxRefused(_) | LinkError::Lost(_) => Cause::ConnectionLost,
            LinkError::DeviceNotFound => Cause::DeviceAbsent,
            LinkError::NotPaired => Cause::NotTrusted,
            LinkError::RecordDamaged(_) | LinkError::NotTrusted => Cause::PairingStale,
            LinkError::Locked => Cause::DeviceLocked,
            LinkError::BeforeFirstUnlock => Cause::NotUnlockedSinceStart,
            LinkError::Timeout { .. } => Cause::DeviceSilent,
            LinkError::HandshakeBroken(_) => Cause::HandshakeBroken,
            LinkError::Tls(_) => Cause::TlsFailed,
            LinkError::NoService(_) | LinkError::Refused(_) | LinkError::RefusedUnknown(_) => {
                Cause::DeviceRefuses
            }
            LinkError::Malformed(_) => Cause::HostileData,
        };
        Self::new(cause, link(&error)).with(Clues::of_link(&error))
    }
}

/// Says in plain words what became of a link. What the libraries below said is for the log: they talk to programmers.
fn link(error: &LinkError) -> String {
    let (LinkError::Lost(said) | LinkError::HandshakeBroken(said)) = error else {
        if let LinkError::Tls(said) = error {
            tracing::info!(said, "the encrypted connection could not be made");
        }
        return chain(error);
    };
    tracing::info!(%said, kind = ?said.kind(), "the link broke");
    match said.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => {
            format!("{error}: the other end closed it")
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("{error}: it was cut")
        }
        io::ErrorKind::NotConnected => format!("{error}: the device was unplugged"),
        _ => error.to_string(),
    }
}

impl From<PairingError> for JobError {
    fn from(error: PairingError) -> Self {
        let cause = match error {
            PairingError::Link(error) => return error.into(),
            PairingError::Denied => Cause::TrustDenied,
            PairingError::NotAnswered(PairingState::Locked) => Cause::DeviceLocked,
            PairingError::NotAnswered(PairingState::TrustDialog) => Cause::TrustNotAnswered,
            PairingError::Supervised => Cause::DeviceRefuses,
            PairingError::NeedsCable => Cause::NeedsCable,
            PairingError::Cancelled => Cause::Interrupted,
            PairingError::Keys => Cause::Internal,
        };
        Self::new(cause, chain(&error))
    }
}

impl From<BackupError> for JobError {
    fn from(error: BackupError) -> Self {
        let clues = Clues::of_backup(&error);
        let cause = match error {
            BackupError::Link(LinkError::DeviceNotFound) => Cause::ConnectionLost,
            BackupError::Link(error) | BackupError::Sync(SyncError::Link(error)) => {
                return error.into();
            }
            BackupError::Sync(SyncError::Held) => Cause::DeviceBusy,
            BackupError::Device(ref error) => device_cause(error),
            BackupError::Host { ref failure, .. } if failure.is_full() => Cause::WorkingAreaFull,
            BackupError::Host { .. } => Cause::Disk,
            BackupError::Cancelled(CancelledBy::Host) => Cause::Interrupted,
            BackupError::Cancelled(CancelledBy::Phone) => Cause::CancelledOnDevice,
            BackupError::NoAnswer { .. } => Cause::DeviceError,
            BackupError::NoCommonVersion { .. } => Cause::Unsupported,
            BackupError::Protocol(_) => Cause::HostileData,
            BackupError::UnknownMessage { ref then, .. } => {
                let then = match &**then {
                    BackupError::Link(error) => link(error),
                    other => chain(other),
                };
                return Self::new(Cause::UnknownMessage, format!("{error}: {then}")).with(clues);
            }
            BackupError::WorkerEnded => Cause::Internal,
        };
        Self::new(cause, chain(&error)).with(clues)
    }
}

/// Whether a number alone has this cause, without the words beside it.
pub(super) fn is_told_by(code: i64, cause: Cause) -> bool {
    device_cause(&DeviceError::parse(code, None)) == cause
}

/// Returns the cause for a number of `MBErrorDomain` (`docs/protocol.md`, errors of MobileBackup2).
fn device_cause(error: &DeviceError) -> Cause {
    let beneath = error.underlying.as_ref().and_then(|beneath| beneath.code);
    match (error.code, underlying(error)) {
        // The text tells whose disk is full; 104 is what iOS puts around it.
        (102 | DeviceError::NO_SPACE_ON_HOST, "no-space-device") => return Cause::DeviceFull,
        (104, _) if beneath == Some(DeviceError::NO_SPACE_ON_HOST) => return Cause::NotEnoughSpace,
        // Protected files of a locked device, not the question for the passcode.
        (DeviceError::LOCKED, "protection-class") => return Cause::DeviceLocked,
        _ => {}
    }
    match error.code {
        // Several: the first one says more.
        2 => match beneath {
            Some(code) if code != 2 => device_cause(&DeviceError::parse(code, None)),
            _ => Cause::DeviceError,
        },
        DeviceError::NOT_UNLOCKED => Cause::NotUnlockedSinceStart,
        DeviceError::FORBIDDEN => Cause::Forbidden,
        DeviceError::RESTORE_IN_PROGRESS => Cause::RestoreInProgress,
        DeviceError::NO_SPACE_ON_HOST => Cause::NotEnoughSpace,
        DeviceError::NO_SPACE_ON_PHONE => Cause::DeviceFull,
        DeviceError::CANCELLED => Cause::CancelledOnDevice,
        DeviceError::PASSWORD => Cause::BackupPassword,
        DeviceError::LOCKED => Cause::PasscodeNotEntered,
        DeviceError::SETUP_UNFINISHED => Cause::SetupUnfinished,
        // Reading or writing on our side, as the device sees it.
        100 | 103 | 104 => Cause::TransferFailed,
        // 204 is no word about the backup that is here: something is gone on the other side, or a restore cannot begin.
        11 | 12 | 203 | DeviceError::CORRUPT => Cause::BackupRejected,
        _ => Cause::DeviceError,
    }
}

impl From<SecretError> for JobError {
    fn from(error: SecretError) -> Self {
        Self::new(Cause::NoPassword, chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitClass;

    #[test]
    fn errors_keep_their_exit_class() {
        let exit = |error: JobError| error.exit();
        assert_eq!(exit(RepoError::Missing("x".into()).into()), ExitClass::RepositoryMissing);
        let not_empty = RepoError::NotEmpty { place: "x".into(), found: "y".into() };
        assert_eq!(exit(not_empty.into()), ExitClass::Usage);
        assert_eq!(exit(RepoError::WrongPassword.into()), ExitClass::WrongPassword);
        assert_eq!(exit(RepoError::NoSpace { place: "x".into() }.into()), ExitClass::NoSpace);
        assert_eq!(exit(LinkError::NotPaired.into()), ExitClass::DeviceNotTrusted);
        assert_eq!(exit(LinkError::Locked.into()), ExitClass::Postponed);
        assert_eq!(exit(PairingError::Denied.into()), ExitClass::DeviceNotTrusted);
        let waited = |state| exit(PairingError::NotAnswered(state).into());
        assert_eq!(waited(PairingState::Locked), ExitClass::Postponed);
        assert_eq!(waited(PairingState::TrustDialog), ExitClass::DeviceNotTrusted);
        let device = |code| exit(BackupError::Device(DeviceError::parse(code, None)).into());
        assert_eq!(device(208), ExitClass::PasscodeNotEntered);
        assert_eq!(device(105), ExitClass::NoSpace);
        assert_eq!(device(205), ExitClass::Failed);
        assert_eq!(exit(BackupError::Cancelled(CancelledBy::Host).into()), ExitClass::Interrupted);
        let lost = LinkError::Lost(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(exit(lost.into()), ExitClass::ConnectionLost);
    }

    #[test]
    fn the_words_of_a_library_are_not_for_people() {
        let said = io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "peer closed connection without sending TLS close_notify: https://docs.rs/rustls",
        );
        let error = JobError::from(BackupError::Link(LinkError::Lost(said)));
        assert_eq!(error.message, "the connection to the device was lost: the other end closed it");
        let tls = JobError::from(LinkError::Tls("received fatal alert: InternalError".into()));
        assert_eq!(tls.message, "the encrypted connection to the device could not be made");
        let broken = LinkError::HandshakeBroken(io::ErrorKind::ConnectionReset.into());
        let broken = JobError::from(broken);
        assert_eq!((broken.cause, broken.exit().code()), (Cause::HandshakeBroken, 17));
        assert!(broken.message.ends_with("it was cut"), "{broken}");
    }

    #[test]
    fn what_lies_beneath_a_number_decides() {
        let cause = |code, text| {
            JobError::from(BackupError::Device(DeviceError::parse(code, Some(text)))).cause
        };
        for (code, text, wanted) in [
            (
                2,
                "Several (MBErrorDomain/2). Underlying error: x (MBErrorDomain/205).",
                Cause::BackupRejected,
            ),
            (10, "Error serializing property list (MBErrorDomain/10)", Cause::DeviceError),
            (
                13,
                "Device has not yet been unlocked (MBErrorDomain/13)",
                Cause::NotUnlockedSinceStart,
            ),
            (
                104,
                "Upload (MBErrorDomain/104). Underlying error: x (MBErrorDomain/105).",
                Cause::NotEnoughSpace,
            ),
            (104, "Upload (MBErrorDomain/104)", Cause::TransferFailed),
            (
                105,
                "Insufficient free disk space on drive to back up (MBErrorDomain/105)",
                Cause::NotEnoughSpace,
            ),
            (105, "Not enough: database or disk is full (MBErrorDomain/105)", Cause::DeviceFull),
            (208, "Device locked (MBErrorDomain/208)", Cause::PasscodeNotEntered),
            (
                208,
                "Failed to acquire the device lock assertion (MBErrorDomain/208)",
                Cause::DeviceLocked,
            ),
        ] {
            assert_eq!(cause(code, text), wanted, "{text}");
        }
    }
}
