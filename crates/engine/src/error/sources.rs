//! The errors of the crates below become causes here and nowhere else.

use lifeboat_device::LinkError;
use lifeboat_device::mobilebackup2::{BackupError, CancelledBy, DeviceError};
use lifeboat_device::pairing::{PairingError, PairingState};
use lifeboat_device::sync::SyncError;
use lifeboat_host::SecretError;
use lifeboat_repo::RepoError;

use super::{Cause, Clues, Fault, JobError, chain};

impl From<RepoError> for JobError {
    fn from(error: RepoError) -> Self {
        let cause = match &error {
            RepoError::Missing(_) => Cause::RepositoryMissing,
            RepoError::AlreadyExists(_)
            | RepoError::UnsupportedLocation(_)
            | RepoError::Ambiguous { .. } => Cause::WrongUsage,
            RepoError::Locked { .. } | RepoError::LockLost => Cause::RepositoryLocked,
            RepoError::WrongPassword => Cause::WrongPassword,
            RepoError::NoKey | RepoError::NoConfig(_) | RepoError::Damaged(_) => {
                Cause::RepositoryDamaged
            }
            RepoError::NoSpace { .. } => Cause::RepositoryFull,
            RepoError::Format { .. } => Cause::RepositoryTooNew,
            RepoError::NoSuchSnapshot(_) => Cause::NoSuchSnapshot,
            RepoError::NoSuchPath { .. } => Cause::NoSuchPath,
            RepoError::Catalogue { .. } | RepoError::Io { .. } => Cause::Disk,
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
            LinkError::Tls(_) => Cause::TlsFailed,
            LinkError::NoService(_) | LinkError::Refused(_) | LinkError::RefusedUnknown(_) => {
                Cause::DeviceRefuses
            }
            LinkError::Malformed(_) => Cause::HostileData,
        };
        Self::new(cause, chain(&error)).with(Clues::of_link(&error))
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
            BackupError::WorkerEnded => Cause::Internal,
        };
        Self::new(cause, chain(&error)).with(clues)
    }
}

/// Returns the cause for a number of `MBErrorDomain` (`docs/protocol.md`, errors of MobileBackup2).
fn device_cause(error: &DeviceError) -> Cause {
    match error.code {
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
        10..=12 | 203 | 204 | DeviceError::CORRUPT => Cause::BackupRejected,
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
        let lost = LinkError::Lost(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(exit(lost.into()), ExitClass::ConnectionLost);
    }
}
