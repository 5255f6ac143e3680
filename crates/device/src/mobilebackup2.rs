//! MobileBackup2: our own engine on DeviceLink.
//!
//! After one request the phone drives: it sends one message after another, and we are the file server it works on. In
//! reading order: [`HostPath`] (what a path of the phone may be), [`HostFiles`] (who carries the operations out),
//! [`Observer`] (who is told).

mod host_files;
mod observer;
mod path;

pub use host_files::{DirectoryEntry, FileError, FileSource, HostFiles};
pub use lifeboat_wire::devicelink::EntryKind;
pub use observer::{
    BackupReply, BackupRequest, FileProblem, Observer, ProblemSource, Silent, TransferEvent,
    TransferStage,
};
pub use path::{HostPath, PathError, Roots};
