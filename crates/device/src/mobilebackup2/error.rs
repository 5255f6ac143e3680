use lifeboat_wire::{
    devicelink::{MessageError, Status},
    files::FilesError,
    plist_frame::FrameError,
};
use thiserror::Error;

use super::{DeviceError, PathError};
use crate::{
    error::{Fault, LinkError},
    sync::SyncError,
};

/// How a job with MobileBackup2 fails.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The way to the device.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The sync lock.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The phone answered with an error.
    #[error("the device ended the job")]
    Device(#[source] DeviceError),
    /// Our own files failed, and the phone ended the job because of it.
    #[error("the host's files failed: {failure}")]
    Host {
        /// What failed first.
        failure: HostFailure,
        /// What the phone said then.
        #[source]
        device: Option<Box<DeviceError>>,
    },
    /// Somebody cancelled.
    #[error("cancelled {0}")]
    Cancelled(CancelledBy),
    /// The phone ended the session without an answer to the request.
    #[error("the device ended the session without an answer ({})", reason.as_deref().unwrap_or("no reason given"))]
    NoAnswer {
        /// The reason it gave.
        reason: Option<String>,
    },
    /// The phone speaks no version of DeviceLink or MobileBackup2 that we speak.
    #[error("the device speaks no common version of {protocol} (it offers {offered})")]
    NoCommonVersion {
        /// Which protocol.
        protocol: &'static str,
        /// What it offers.
        offered: String,
    },
    /// The phone's messages are malformed or hostile.
    #[error("the device broke the protocol")]
    Protocol(#[from] ProtocolError),
    /// The phone sent a message that nobody knows, was told so, and went no further (`docs/protocol.md` 4.8).
    #[error("the device sent the message {name:?}, which is not known, and went no further")]
    UnknownMessage {
        /// The name of the message, shortened.
        name: String,
        /// How the job ended then.
        #[source]
        then: Box<BackupError>,
    },
    /// A defect of this program.
    #[error("the thread that carries out file operations ended early")]
    WorkerEnded,
}

impl BackupError {
    /// Returns whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Link(error) | Self::Sync(SyncError::Link(error)) => error.fault(),
            Self::Sync(_) | Self::Host { .. } | Self::Cancelled(_) => Fault::Person,
            Self::Device(error) => match error.code {
                DeviceError::NOT_UNLOCKED
                | DeviceError::LOCKED
                | DeviceError::NO_SPACE_ON_HOST
                | DeviceError::NO_SPACE_ON_PHONE
                | DeviceError::CANCELLED
                | DeviceError::PASSWORD
                | DeviceError::FORBIDDEN
                | DeviceError::RESTORE_IN_PROGRESS
                | DeviceError::SETUP_UNFINISHED => Fault::Person,
                _ => Fault::Device,
            },
            Self::NoAnswer { .. }
            | Self::NoCommonVersion { .. }
            | Self::Protocol(_)
            | Self::UnknownMessage { .. } => Fault::Device,
            Self::WorkerEnded => Fault::Ours,
        }
    }
}

/// Who cancelled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CancelledBy {
    /// This program, through its token.
    Host,
    /// The person, on the phone.
    Phone,
}

impl std::fmt::Display for CancelledBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host => "here",
            Self::Phone => "on the device",
        })
    }
}

/// The first operation on our own files that failed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text}")]
pub struct HostFailure {
    /// The number that the phone was told; [`Status::NO_SPACE`] is a full disk.
    pub status: Status,
    /// What went wrong.
    pub text: String,
    /// With which path.
    pub path: String,
}

impl HostFailure {
    /// Says whether the disk is full.
    pub fn is_full(&self) -> bool {
        self.status == Status::NO_SPACE
    }
}

/// Bytes or messages that no phone should send.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// A unit is longer than allowed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A unit is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A stream of files is malformed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A path leads where it must not.
    #[error("path {path:?} was refused")]
    Path {
        /// The path, shortened.
        path: String,
        /// Why.
        #[source]
        reason: PathError,
    },
    /// A message that cannot come now.
    #[error("unexpected message {0}")]
    Unexpected(String),
    /// The answer to the request has no number.
    #[error("the answer to the request has no error code")]
    NoErrorCode,
}

impl ProtocolError {
    /// Makes the error for a refused path.
    pub(super) fn path(path: &str, reason: PathError) -> Self {
        Self::Path { path: path.chars().take(200).collect(), reason }
    }

    /// Says whether the bytes that follow can still be told apart.
    pub(super) fn in_step(&self) -> bool {
        !matches!(self, Self::Frame(_) | Self::Files(_))
    }
}
