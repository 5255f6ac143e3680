use lifeboat_wire::devicelink::Status;

use super::HostPath;

/// Where a transfer is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TransferStage {
    /// Services are started, the sync lock is asked for.
    Starting,
    /// The phone shows a sheet and waits for its passcode.
    WaitingForPasscode,
    /// The phone reads our control files or looks at its own data; it may be silent for an hour.
    Preparing,
    /// The phone sends files.
    Receiving,
    /// The phone has its files moved to their places.
    Moving,
    /// The phone has files removed that are no longer in the backup.
    Removing,
    /// The phone compares what we have with its manifest.
    Verifying,
    /// The phone has answered; the session is being closed.
    Closing,
}

/// What became of a file that did not arrive whole, or an operation that did not work. The backup goes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileProblem {
    /// The path on the host, as the phone named it.
    pub path: String,
    /// The path on the phone, empty when unknown.
    pub device_path: String,
    /// The number.
    pub status: Status,
    /// The words of whoever failed.
    pub text: String,
    /// Whose failure it is.
    pub by: ProblemSource,
}

/// Who failed with a file.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ProblemSource {
    /// The phone could not read it.
    Phone,
    /// We could not keep or give it.
    Host,
}

/// What happens during a transfer.
#[derive(Clone, Debug)]
pub enum TransferEvent<'a> {
    /// A new stage.
    Stage(TransferStage),
    /// The phone's own estimate, 0 to 100, of what is done when the current operation ends.
    Progress {
        /// The percentage.
        percent: f64,
    },
    /// The phone announced a batch of so many bytes, 0 for unknown.
    Batch {
        /// The bytes.
        bytes: u64,
    },
    /// Bytes of file content arrived.
    Received {
        /// How many more.
        bytes: u64,
    },
    /// Bytes of file content were sent to the phone.
    Sent {
        /// How many more.
        bytes: u64,
    },
    /// A file arrived whole and lies in its place.
    FileReceived {
        /// Its path on the host.
        path: &'a HostPath,
        /// Its path on the phone.
        device_path: &'a str,
        /// Its length.
        bytes: u64,
    },
    /// Something failed and the backup goes on.
    FileError(&'a FileProblem),
    /// The phone asked for space and was answered.
    Purged {
        /// What it wanted.
        wanted: u64,
        /// What was freed.
        freed: u64,
    },
    /// The phone sent a message that is not known.
    UnknownMessage {
        /// Its name.
        name: &'a str,
    },
}

/// Is told what happens during a transfer, from the session's tasks; it must not block.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn tell(&self, event: TransferEvent<'_>);
}

/// An observer that listens to nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn tell(&self, _event: TransferEvent<'_>) {}
}

/// What is asked of the phone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BackupRequest {
    /// Sends `ForceFullBackup`. Recent phones decide by the host's files alone: to be sure, hide the control files as well.
    pub force_full: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackupReply {
    /// Files that arrived whole, control files included.
    pub files_received: u64,
    /// Bytes of file content that arrived.
    pub bytes_received: u64,
    /// Bytes of file content sent to the phone.
    pub bytes_sent: u64,
    /// Messages of the phone.
    pub messages: u64,
    /// What failed along the way.
    pub problems: Vec<FileProblem>,
    /// The version of DeviceLink in use.
    pub devicelink: i64,
}
