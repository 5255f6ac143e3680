//! MobileBackup2: our own engine on DeviceLink.
//!
//! After one request the phone drives: it sends one message after another, and we are the file server it works on. In
//! reading order:
//!
//! * [`HostPath`]: what a path of the phone may be;
//! * [`HostFiles`]: who carries the operations out, on a thread of its own (`worker`);
//! * [`Observer`]: who is told;
//! * [`backup`], [`change_password`] and `session`: one job, from the request to the polite end; `serve`: each message and its answer;
//! * `transfer`: streams of files in both directions;
//! * [`switch_cloud_backup`]: the one request without files;
//! * [`BackupError`], [`DeviceError`]: how it can end.

mod cloud;
mod device_error;
mod error;
mod host_files;
mod observer;
mod password;
mod path;
mod serve;
mod session;
mod side;
mod transfer;
mod transport;
mod worker;

pub use cloud::switch_cloud_backup;
pub use device_error::{DeviceError, Underlying};
pub use error::{BackupError, CancelledBy, HostFailure, ProtocolError};
pub use host_files::{DirectoryEntry, DirectoryEntryKind, FileError, FileSource, HostFiles};
pub use observer::{
    BackupReply, BackupRequest, FileProblem, Observer, ProblemSource, Silent, TransferEvent,
    TransferStage,
};
pub use password::PasswordChange;
pub use path::{HostPath, PathError, Roots};
pub use session::{backup, change_password};

#[cfg(test)]
mod tests;
