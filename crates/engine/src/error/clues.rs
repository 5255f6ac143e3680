//! What is known about a failure beyond its cause: the device's number, what lies beneath it, what became of the connection,
//! what the disk said. The doctor's facts of a run are made of these.

use std::error::Error;
use std::io;

use lifeboat_device::LinkError;
use lifeboat_device::mobilebackup2::{BackupError, DeviceError, HostFailure};
use lifeboat_device::sync::SyncError;

/// What is known about a failure beyond its cause. Words are those of `job.*` in the doctor's table of facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clues {
    /// The device's error number (`MBErrorDomain`).
    pub code: Option<i64>,
    /// What the text or the inner error of the device's answer says: a word of `job.underlying`.
    pub underlying: Option<&'static str>,
    /// What became of the connection: a word of `job.link`.
    pub link: Option<&'static str>,
    /// What the disk said: a word of `job.host-error`.
    pub host_error: Option<&'static str>,
    /// Where the mux did not answer: a word of `mux.state`.
    pub mux: Option<&'static str>,
    /// The path on the device that its answer names.
    pub path: Option<String>,
}

impl Clues {
    /// Looks for an error of the system in the chain of an error of the storage.
    pub(super) fn of_storage(error: &(dyn Error + 'static)) -> Self {
        let (mut found, mut next) = (None, Some(error));
        while let Some(error) = next {
            // The innermost one is what the system itself said.
            found = error.downcast_ref::<io::Error>().or(found);
            next = error.source();
        }
        Self { host_error: found.map(host_error), ..Self::default() }
    }

    /// Says what a link's error shows.
    pub(super) fn of_link(error: &LinkError) -> Self {
        let link = match error {
            LinkError::Lost(error) if closed(error) => Some("closed-by-device"),
            LinkError::Lost(_) | LinkError::MuxRefused(_) | LinkError::DeviceNotFound => {
                Some("lost")
            }
            LinkError::Timeout { .. } => Some("timeout"),
            LinkError::Tls(_) | LinkError::HandshakeBroken(_) => Some("tls-failed"),
            LinkError::MuxAbsent { source, .. } => {
                return Self { mux: Some(mux(source)), ..Self::default() };
            }
            LinkError::Malformed(_) => Some("garbled"),
            LinkError::NotPaired
            | LinkError::RecordDamaged(_)
            | LinkError::NotTrusted
            | LinkError::Locked
            | LinkError::BeforeFirstUnlock
            | LinkError::NoService(_)
            | LinkError::Refused(_)
            | LinkError::RefusedUnknown(_) => None,
        };
        Self { link, ..Self::default() }
    }

    /// Says what the end of a transfer shows.
    pub(super) fn of_backup(error: &BackupError) -> Self {
        match error {
            BackupError::Link(error) | BackupError::Sync(SyncError::Link(error)) => {
                Self::of_link(error)
            }
            BackupError::Device(error) => Self::of_device(error),
            BackupError::Host { failure, device } => {
                let device = device.as_deref().map(Self::of_device).unwrap_or_default();
                Self { host_error: Some(of_status(failure)), ..device }
            }
            BackupError::NoAnswer { .. } => {
                Self { link: Some("closed-by-device"), ..Self::default() }
            }
            BackupError::NoCommonVersion { .. } => {
                Self { link: Some("version-refused"), ..Self::default() }
            }
            BackupError::UnknownMessage { then, .. } => {
                Self { link: Some("garbled"), ..Self::of_backup(then) }
            }
            BackupError::Protocol(_) => Self { link: Some("garbled"), ..Self::default() },
            BackupError::Sync(SyncError::Held)
            | BackupError::Cancelled(_)
            | BackupError::WorkerEnded => Self::default(),
        }
    }

    fn of_device(error: &DeviceError) -> Self {
        Self {
            code: Some(error.code),
            underlying: Some(underlying(error)),
            link: Some("kept"),
            path: error.underlying.as_ref().and_then(|beneath| beneath.path.clone()),
            ..Self::default()
        }
    }
}

/// What is the matter with the mux, by what the system said of its socket.
fn mux(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "missing",
        io::ErrorKind::PermissionDenied => "denied",
        io::ErrorKind::TimedOut => "hung",
        _ => "stopped",
    }
}

/// The other side hung up; anything else broke on the way.
fn closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted)
}

fn of_status(failure: &HostFailure) -> &'static str {
    if failure.is_full() { "no-space" } else { "other" }
}

/// Returns the word of `job.host-error` for an error of the system.
fn host_error(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "no-space",
        io::ErrorKind::QuotaExceeded => "quota",
        io::ErrorKind::ReadOnlyFilesystem => "read-only",
        io::ErrorKind::PermissionDenied => "denied",
        io::ErrorKind::InvalidFilename => "name-too-long",
        io::ErrorKind::FileTooLarge => "file-too-big",
        io::ErrorKind::StaleNetworkFileHandle | io::ErrorKind::NotConnected => "gone",
        _ => of_number(error.raw_os_error()),
    }
}

/// What has no kind of its own in the standard library.
#[cfg(unix)]
fn of_number(number: Option<i32>) -> &'static str {
    use rustix::io::Errno;
    match number.map(Errno::from_raw_os_error) {
        Some(Errno::IO) => "io",
        Some(Errno::NODEV | Errno::NXIO) => "gone",
        _ => "other",
    }
}

#[cfg(not(unix))]
fn of_number(_number: Option<i32>) -> &'static str {
    "other"
}

/// What a device's words mean, the most exact first. The words are those of iOS 26 (`docs/sources.md`).
const WORDS: &[(&str, &str)] = &[
    ("insufficient free disk space on device", "no-space-device"),
    ("insufficient free disk space on drive", "no-space-host"),
    ("failed to create snapshot: file exists", "snapshot-exists"),
    ("no free mount points", "no-mount-points"),
    ("unmount", "unmount-timeout"),
    ("zero-length", "zero-length"),
    ("no keybag in manifest", "no-keybag"),
    ("encryption key missing", "no-keybag"),
    ("incompatible os version", "newer-format"),
    ("unsupported properties version", "newer-format"),
    ("edu mode", "education-mode"),
    ("rrts mode", "return-to-service"),
    ("required by device management", "encryption-rule"),
    ("encrypted backup mdm setting", "encryption-rule"),
    ("is disabled by mdm", "behaviour"),
    ("database or disk is full", "no-space-device"),
    ("keychain", "keychain"),
    ("protection class", "protection-class"),
    ("lock assertion", "protection-class"),
    ("waiting for passcode", "passcode-timeout"),
    ("passcode entry", "passcode-timeout"),
    ("media database", "media-busy"),
    ("modified", "modified"),
    ("too many skipped files", "skipped-files"),
    ("input/output error", "io"),
    ("i/o error", "io"),
];

/// Returns the word of `job.underlying` for a device's error.
pub(super) fn underlying(error: &DeviceError) -> &'static str {
    let beneath = error.underlying.as_ref();
    let inner = beneath.map(|beneath| beneath.text.to_lowercase()).unwrap_or_default();
    let outer = error.text.to_lowercase();
    for text in [&inner, &outer] {
        if let Some((_, word)) = WORDS.iter().find(|(part, _)| text.contains(part)) {
            return word;
        }
    }
    // Without words of its own the number beneath says it.
    match beneath.and_then(|beneath| beneath.code) {
        Some(DeviceError::NO_SPACE_ON_HOST) => "no-space-host",
        Some(DeviceError::NO_SPACE_ON_PHONE) => "no-space-device",
        Some(9) => "modified",
        Some(100) => "io",
        _ if inner.contains("no space left") => "no-space-host",
        _ if beneath.is_some() => "other",
        _ => "none",
    }
}

/// Whether the device itself gave up waiting for its passcode; a person who sends the sheet away does not want to be asked again.
pub(crate) fn passcode_timed_out(error: &DeviceError) -> bool {
    error.code == DeviceError::LOCKED && underlying(error) == "passcode-timeout"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_device_are_told_apart() {
        for (code, text, word) in [
            (
                105,
                "Insufficient free disk space on drive to back up (MBErrorDomain/105)",
                "no-space-host",
            ),
            (106, "Insufficient free disk space on device (MBErrorDomain/106)", "no-space-device"),
            (
                1,
                "Failed (MBErrorDomain/1). Underlying error: Error copying keychain data (MBErrorDomain/1).",
                "keychain",
            ),
            (
                3,
                "Failed to create snapshot: File exists (17) at path /private/var (MBErrorDomain/3)",
                "snapshot-exists",
            ),
            (14, "No free mount points for APFS snapshot (MBErrorDomain/14)", "no-mount-points"),
            (
                205,
                "Error reading backup status (MBErrorDomain/205). Underlying error: Cannot parse a NULL or zero-length data (MBErrorDomain/11).",
                "zero-length",
            ),
            (205, "No keybag in manifest (MBErrorDomain/205)", "no-keybag"),
            (
                208,
                "Timed out: timeout waiting for passcode entry (MBErrorDomain/208)",
                "passcode-timeout",
            ),
            (208, "Device locked (MBErrorDomain/208)", "none"),
            (
                100,
                "Too many skipped files during scanning (12 > 10) (MBErrorDomain/100)",
                "skipped-files",
            ),
            (
                22,
                "iTunes backup is disabled for this device in EDU mode (MBErrorDomain/22)",
                "education-mode",
            ),
            (
                104,
                "Multiple errors uploading files (MBErrorDomain/104). Underlying error: x (MBErrorDomain/105).",
                "no-space-host",
            ),
            (
                104,
                "Upload (MBErrorDomain/104). Underlying error: something else (MBErrorDomain/1).",
                "other",
            ),
        ] {
            assert_eq!(underlying(&DeviceError::parse(code, Some(text))), word, "{text}");
        }
    }

    #[test]
    fn every_word_is_one_of_the_table() {
        let mut facts = lifeboat_doctor::Facts::new();
        for (_, word) in WORDS {
            facts.insert("job.underlying", *word).unwrap();
        }
        for word in ["no-space-host", "no-space-device", "modified", "io", "other", "none"] {
            facts.insert("job.underlying", word).unwrap();
        }
        for word in [
            "lost",
            "closed-by-device",
            "timeout",
            "tls-failed",
            "version-refused",
            "garbled",
            "kept",
        ] {
            facts.insert("job.link", word).unwrap();
        }
    }

    #[test]
    fn what_the_disk_said_is_found_at_the_end_of_the_chain() {
        for (error, word) in [
            (io::Error::from(io::ErrorKind::StorageFull), "no-space"),
            (io::Error::from(io::ErrorKind::ReadOnlyFilesystem), "read-only"),
            (io::Error::from(io::ErrorKind::PermissionDenied), "denied"),
            (io::Error::other("strange"), "other"),
        ] {
            assert_eq!(Clues::of_storage(&error).host_error, Some(word));
            let mut facts = lifeboat_doctor::Facts::new();
            facts.insert("job.host-error", word).unwrap();
        }
        #[cfg(unix)]
        assert_eq!(Clues::of_storage(&io::Error::from_raw_os_error(5)).host_error, Some("io"));
    }
}
