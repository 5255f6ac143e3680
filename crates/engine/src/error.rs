//! Why a job did not work: one cause with a word for programs, whose fault it is, the next step, and the exit class.
//!
//! The errors of the crates below become causes here and nowhere else.

mod clues;
mod sources;

use serde::Serialize;

use crate::jobs::backup::BackupSummary;
use crate::stage::Stage;

pub use clues::Clues;
pub(crate) use clues::passcode_timed_out;

/// Whose fault a failure is. Only the device's and the network's are worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A defect of this program, or of the machine it runs on.
    Ours,
    /// Something that a person must do or decide.
    Person,
    /// The device.
    Device,
    /// The cable, the network, what carries the bytes.
    Network,
    /// The storage that holds the repository or the working area.
    Storage,
}

/// The classes of exit statuses; the numbers are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitClass {
    /// Done.
    Done,
    /// Failed, cause known.
    Failed,
    /// Wrong usage.
    Usage,
    /// Done, but something is missing.
    Incomplete,
    /// The doctor found something that keeps a backup from coming about.
    Blocking,
    /// Conditions are not met yet.
    Postponed,
    /// There is no repository.
    RepositoryMissing,
    /// Somebody else has the repository.
    RepositoryLocked,
    /// The password or key does not open it.
    WrongPassword,
    /// The device is not there.
    DeviceNotFound,
    /// The device does not trust this computer.
    DeviceNotTrusted,
    /// The passcode was not entered on the device.
    PasscodeNotEntered,
    /// No space.
    NoSpace,
    /// The connection was lost.
    ConnectionLost,
    /// Somebody stopped it.
    Interrupted,
}

impl ExitClass {
    /// Returns the exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Blocking => 4,
            Self::Postponed => 5,
            Self::RepositoryMissing => 10,
            Self::RepositoryLocked => 11,
            Self::WrongPassword => 12,
            Self::DeviceNotFound => 13,
            Self::DeviceNotTrusted => 14,
            Self::PasscodeNotEntered => 15,
            Self::NoSpace => 16,
            Self::ConnectionLost => 17,
            Self::Interrupted => 130,
        }
    }
}

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $id:literal, $fault:ident, $exit:ident, $next:literal;)+) => {
        /// The cause of a failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Cause {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Cause {
            /// Every cause.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word for programs.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }

            /// Returns whose fault it is.
            pub fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)+ }
            }

            /// Returns the class of the exit status.
            pub fn exit(self) -> ExitClass {
                match self { $(Self::$variant => ExitClass::$exit,)+ }
            }

            /// Returns the one thing to do next.
            pub fn next_step(self) -> &'static str {
                match self { $(Self::$variant => $next,)+ }
            }
        }
    };
}

causes! {
    /// Nothing answers at the mux's address.
    MuxUnreachable = "mux-unreachable", Person, DeviceNotFound, "Start `usbmuxd` (on Debian: `apt install usbmuxd`), or set USBMUXD_SOCKET_ADDRESS to where it listens.";
    /// No device is there.
    NoDevice = "no-device", Person, DeviceNotFound, "Plug the device in, unlock it, and try again.";
    /// The device that was asked for is not there.
    DeviceAbsent = "device-absent", Person, DeviceNotFound, "Plug that device in, or see `lifeboat devices` for those that are there.";
    /// Several devices and none was chosen.
    SeveralDevices = "several-devices", Person, Usage, "Choose one with `-u UDID`: `lifeboat devices` lists those that can be reached, `lifeboat status` those that have backups.";
    /// The device does not trust this computer yet.
    NotTrusted = "not-trusted", Person, DeviceNotTrusted, "Run `lifeboat pair`, unlock the device and tap Trust.";
    /// Somebody tapped “Don't Trust”.
    TrustDenied = "trust-denied", Person, DeviceNotTrusted, "Unplug the device, plug it in again, run `lifeboat pair` and tap Trust.";
    /// Nobody answered the trust dialog.
    TrustNotAnswered = "trust-not-answered", Person, DeviceNotTrusted, "Run `lifeboat pair`, unlock the device and tap Trust.";
    /// Pairing works over a cable only.
    NeedsCable = "needs-cable", Person, DeviceNotTrusted, "Connect the device with a cable and run `lifeboat pair`.";
    /// The device no longer knows the pairing record.
    PairingStale = "pairing-stale", Person, DeviceNotTrusted, "Run `lifeboat pair` again and tap Trust on the device.";
    /// The TLS handshake with the device failed.
    TlsFailed = "tls-failed", Device, ConnectionLost, "Unplug the device, plug it in again and try again; if it stays, run `lifeboat pair --forget` and pair anew.";
    /// The device broke off in the middle of the TLS handshake: the link shook, or the device forgot this computer.
    HandshakeBroken = "handshake-broken", Network, ConnectionLost, "Unplug the device, plug it in again and try again; if it stays, run `lifeboat pair` and tap Trust.";
    /// The device is locked.
    DeviceLocked = "device-locked", Person, Postponed, "Unlock the device with its passcode and try again.";
    /// The device was restarted and not unlocked since.
    NotUnlockedSinceStart = "not-unlocked-since-start", Person, Postponed, "Unlock the device once with its passcode, then try again.";
    /// Another program is syncing with the device.
    DeviceBusy = "device-busy", Person, Postponed, "Wait until the other program (Finder, iTunes, another backup) has finished.";
    /// Another Lifeboat works on this device.
    AlreadyRunning = "already-running", Person, Postponed, "Wait until the other run has ended.";
    /// The device did not answer in time.
    DeviceSilent = "device-silent", Device, ConnectionLost, "Unlock the device, unplug it, plug it in again and try again.";
    /// The connection was lost.
    ConnectionLost = "connection-lost", Network, ConnectionLost, "Check the cable and run the backup again.";
    /// The passcode was not entered.
    PasscodeNotEntered = "passcode-not-entered", Person, PasscodeNotEntered, "Run the backup again and type the passcode on the device when it asks.";
    /// The device has a backup in Setup Assistant, is restoring, or is managed so that it refuses.
    DeviceRefuses = "device-refuses", Person, Failed, "Finish the set-up or the restore on the device, or ask who manages it.";
    /// An iCloud restore is under way on the device.
    RestoreInProgress = "restore-in-progress", Person, Postponed, "Wait until the device has finished its restore, then try again.";
    /// Setup Assistant is not finished.
    SetupUnfinished = "setup-unfinished", Person, Postponed, "Finish the set-up on the device, then try again.";
    /// Somebody tapped cancel on the device.
    CancelledOnDevice = "cancelled-on-device", Person, Interrupted, "Run the backup again, and let it come to its end on the device.";
    /// Management forbids it.
    Forbidden = "forbidden", Person, Failed, "The organisation that manages this device forbids it: ask them.";
    /// The device wants a backup password that does not fit or is not set.
    BackupPassword = "backup-password", Person, Failed, "The backup password is missing or not the right one: `lifeboat explain 207` says what helps.";
    /// The backup password that was given is not the one that the device has, or that opens a backup.
    BackupPasswordWrong = "backup-password-wrong", Person, WrongPassword, "`lifeboat password test` finds the right one among those that you remember; give it with BACKUP_PASSWORD_FILE. `lifeboat explain password/forgotten` says what is left where nobody knows it.";
    /// Nobody gave a backup password, and none is known.
    NoBackupPassword = "no-backup-password", Person, WrongPassword, "Type it on a terminal, or give it in a file: the one that the device has with BACKUP_PASSWORD_FILE, a new one with BACKUP_PASSWORD_NEW_FILE.";
    /// The device has a backup password already.
    BackupPasswordSet = "backup-password-set", Person, Failed, "`lifeboat password status` says whether it is known here, `lifeboat password change` changes it.";
    /// The device has no backup password.
    BackupPasswordOff = "backup-password-off", Person, Failed, "`lifeboat password set` sets one.";
    /// The device says that its last backup on this computer is damaged.
    BackupRejected = "backup-rejected", Device, Failed, "Run `lifeboat backup --full`: it starts over, and snapshots made before stay as they are.";
    /// The device reported an error.
    DeviceError = "device-error", Device, Failed, "Unlock the device and try again; if it stays, restart the device.";
    /// The device could not write (or we could not) during the transfer.
    TransferFailed = "transfer-failed", Device, Failed, "Unlock the device and run the backup again; if it stays, restart the device.";
    /// The device itself is full.
    DeviceFull = "device-full", Person, NoSpace, "Free some space on the device.";
    /// Bytes from the device that make no sense, or want what is forbidden.
    HostileData = "hostile-data", Device, Failed, "Restart the device and try again; if it stays, this needs a look at the log (`-v`).";
    /// The device sent a message that is not known, and went no further when it was declined.
    UnknownMessage = "unknown-message", Device, Failed, "Use a newer Lifeboat; if there is none, report the name of the message.";
    /// An iOS or a backup format that this program does not handle.
    Unsupported = "unsupported", Device, Failed, "Lifeboat handles iOS 10 and later.";
    /// The disk of the working area is full.
    WorkingAreaFull = "working-area-full", Storage, NoSpace, "Free space on the disk of the working area, then run again.";
    /// The disk of the repository is full.
    RepositoryFull = "repository-full", Storage, NoSpace, "Free space on the disk of the repository, then run again.";
    /// The device says that the space offered is not enough.
    NotEnoughSpace = "not-enough-space", Storage, NoSpace, "Free space on the disks of the repository and of the working area, or choose larger ones.";
    /// The target of an export is full.
    TargetFull = "target-full", Storage, NoSpace, "Free space there, or choose another folder.";
    /// There is no repository.
    RepositoryMissing = "repository-missing", Person, RepositoryMissing, "Check the path, or make one with `lifeboat repo init`.";
    /// A repository was made here, its key is here, and it is not there.
    RepositoryGone = "repository-gone", Person, RepositoryMissing, "Connect or mount the disk that it is on, or say where it is now with `--repo` and give its key file with LIFEBOAT_REPO_PASSWORD_FILE; `lifeboat repo init` begins anew in that place.";
    /// Somebody else has the repository.
    RepositoryLocked = "repository-locked", Person, RepositoryLocked, "Wait for the other program; if there is none, `restic unlock` removes a stale lock.";
    /// The password does not open the repository.
    WrongPassword = "wrong-password", Person, WrongPassword, "Check the password file or the key file: none of the repository's keys opens with what is in it.";
    /// There is no password and no key file.
    NoPassword = "no-password", Person, WrongPassword, "Give the password with LIFEBOAT_REPO_PASSWORD_FILE, or put the key file back.";
    /// The repository was written by a newer program.
    RepositoryTooNew = "repository-too-new", Person, Failed, "Use a newer Lifeboat.";
    /// The command makes no sense.
    WrongUsage = "wrong-usage", Person, Usage, "See `lifeboat --help`.";
    /// The repository is damaged.
    RepositoryDamaged = "repository-damaged", Storage, Failed, "Run `lifeboat check --read-data` to see what is affected.";
    /// There is no such snapshot.
    NoSuchSnapshot = "no-such-snapshot", Person, Failed, "`lifeboat snapshots` lists those that are there.";
    /// There is no such path in the snapshot.
    NoSuchPath = "no-such-path", Person, Failed, "`lifeboat ls` lists what is there.";
    /// The folder is not a backup.
    NotABackup = "not-a-backup", Person, Failed, "Give the folder that holds Manifest.db (named like the device's UDID).";
    /// The backup is encrypted and cannot be opened here.
    BackupEncrypted = "backup-encrypted", Person, Failed, "Export it with `--as finder`: programs that know the backup password open it.";
    /// Nobody knows the password of an encrypted backup.
    PasswordUnknown = "password-unknown", Person, WrongPassword, "Give the backup password with BACKUP_PASSWORD_FILE, or export it with `--as finder`: programs that ask for the password open it.";
    /// A backup is not encrypted where one was expected that is.
    NotEncrypted = "not-encrypted", Person, Failed, "It can be read as it is: `lifeboat ls` and `lifeboat export` need no backup password for it.";
    /// The target of an export is not empty.
    TargetNotEmpty = "target-not-empty", Person, Usage, "Choose a folder that is absent or empty.";
    /// Some files did not arrive.
    FilesMissing = "files-missing", Device, Incomplete, "Back up again: what the device could not read this time it may read then.";
    /// What arrived is not a whole backup.
    VerifyFailed = "verify-failed", Device, Failed, "Run `lifeboat backup --full`; snapshots made before stay as they are.";
    /// A file or folder of ours cannot be read or written.
    Disk = "disk", Storage, Failed, "Check the disk and the permissions of that folder.";
    /// Somebody stopped the job.
    Interrupted = "interrupted", Person, Interrupted, "Run it again.";
    /// The waiting time is over.
    TimedOut = "timed-out", Person, Postponed, "Try again when the device is there and unlocked.";
    /// No time server answers.
    TrueTimeUnknown = "true-time-unknown", Network, Failed, "Connect this computer to the internet and try again, or set the clock on the device itself: Settings > General > Date & Time > Set Automatically.";
    /// What a backup needs is not given now: power, a temperature.
    ConditionsNotMet = "conditions-not-met", Person, Postponed, "Run `lifeboat doctor`: it says what is missing.";
    /// The doctor found something that keeps a backup from coming about.
    Blocked = "blocked", Person, Failed, "Run `lifeboat doctor`: it says what to do.";
    /// A defect of this program.
    Internal = "internal", Ours, Failed, "This is a defect: please report it.";
    /// Not known.
    Unknown = "unknown", Device, Failed, "Try again with `-v`; the log says more.";
}

impl Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

/// A job that did not work.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    /// The primary cause.
    pub cause: Cause,
    /// Where it happened, where the job has stages.
    pub stage: Option<Stage>,
    /// What happened, lowercase, without full stop; names the object.
    pub message: String,
    /// What a backup kept; `None` for other jobs and where nothing was begun.
    pub summary: Option<Box<BackupSummary>>,
    /// What else is known about it.
    pub clues: Box<Clues>,
}

impl JobError {
    /// Makes an error.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, stage: None, message: message.into(), summary: None, clues: Box::default() }
    }

    /// Makes the error of a job that somebody stopped.
    pub(crate) fn interrupted() -> Self {
        Self::new(Cause::Interrupted, "interrupted")
    }

    /// Makes an error of a cause and the error behind it, with the chain of its sources in the message.
    pub fn of(cause: Cause, what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut made = Self::new(cause, format!("{what}: {}", chain(error)));
        if made.cause.fault() == Fault::Storage {
            made.clues = Box::new(Clues::of_storage(error));
        }
        made
    }

    /// Adds what else is known.
    #[must_use]
    fn with(mut self, clues: Clues) -> Self {
        self.clues = Box::new(clues);
        self
    }

    /// Says in which stage it happened, unless that is known already.
    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        self.stage.get_or_insert(stage);
        self
    }

    /// Masks a UDID in the message: paths of the device and of the working area begin with it, and what a service prints is a log.
    #[must_use]
    pub(crate) fn discreet(mut self, udid: &str) -> Self {
        if !udid.is_empty() {
            self.message = self.message.replace(udid, "<udid>");
        }
        self
    }

    /// Returns whose fault it is.
    pub fn fault(&self) -> Fault {
        self.cause.fault()
    }

    /// Returns the class of the exit status.
    pub fn exit(&self) -> ExitClass {
        self.cause.exit()
    }

    /// Returns the one thing to do next.
    pub fn next_step(&self) -> &'static str {
        self.step_of_number().unwrap_or_else(|| self.cause.next_step())
    }

    /// Returns what the table of numbers says, which `lifeboat explain N` tells, too; nothing where the device gave none, or where its
    /// words, the disk or what lies beneath it said more than the number.
    pub(crate) fn step_of_number(&self) -> Option<&'static str> {
        let code = self.clues.code.filter(|code| sources::is_told_by(*code, self.cause))?;
        lifeboat_doctor::errors::of_device(code)?.remedy.as_deref()
    }
}

/// Returns an error's text and those of its sources, joined by colons, none twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

/// Says in which stage an error happened.
pub(crate) trait At<T> {
    /// Adds the stage.
    fn at(self, stage: Stage) -> Result<T, JobError>;
}

impl<T, E: Into<JobError>> At<T> for Result<T, E> {
    fn at(self, stage: Stage) -> Result<T, JobError> {
        self.map_err(|error| error.into().at(stage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kebab_case_and_unique() {
        let mut ids: Vec<_> = Cause::ALL.iter().map(|cause| cause.id()).collect();
        assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn no_cause_exits_with_zero_and_every_next_step_is_a_sentence() {
        for cause in Cause::ALL {
            assert_ne!(cause.exit().code(), 0, "{}", cause.id());
            assert!(cause.next_step().ends_with('.'), "{}", cause.id());
        }
    }
}
