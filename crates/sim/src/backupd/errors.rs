//! What a phone says of each error, and why: the words of `MBErrorDomain` (docs/protocol.md 9.1). The fault `error` plays them by code and reason.

use super::fail::{MbError, Underlying};
use super::run::Step;

/// An error as a phone words it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wording {
    code: i64,
    /// Empty for the most usual reason of a code.
    reason: &'static str,
    text: &'static str,
    /// Code, text and path of what lies under it. `%` stands for the phone's identifier.
    under: Option<(i64, &'static str, &'static str)>,
    /// Where in a backup it comes.
    at: Step,
}

const fn plain(code: i64, reason: &'static str, at: Step, text: &'static str) -> Wording {
    Wording { code, reason, text, under: None, at }
}

const fn over(
    (code, reason, at): (i64, &'static str, Step),
    text: &'static str,
    under: (i64, &'static str, &'static str),
) -> Wording {
    Wording { code, reason, text, under: Some(under), at }
}

const IO: &str = "Input/output error (5)";
const UPLOADING: &str = "Multiple errors uploading files";
const PROPERTIES: &str = "Error reading backup properties";

/// Every error with its reasons, sorted by code; the first of a code is the usual one.
const WORDINGS: &[Wording] = &[
    plain(1, "", Step::Upload, "Error copying keychain data"),
    plain(1, "lockdown", Step::Request, "Failed to connect to lockdown"),
    plain(1, "apps", Step::Request, "Error initializing app manager"),
    over(
        (1, "encryption-rule", Step::Request),
        "Error setting WillEncrypt value in lockdown",
        (
            22,
            "Cannot remove iTunes Backup Encryption - Encrypted Backup MDM setting present on device",
            "",
        ),
    ),
    plain(1, "disconnected", Step::Upload, "Computer disconnected: Lost connection"),
    over((2, "", Step::Upload), "Multiple errors", (4, "No such file or directory", "")),
    plain(
        3,
        "",
        Step::Scan,
        "Failed to create snapshot: File exists (17) at path \"/private/var\"",
    ),
    plain(4, "", Step::Scan, "No such file or directory"),
    plain(5, "", Step::Directories, "Not a directory"),
    plain(6, "", Step::Upload, "Is a directory"),
    plain(7, "", Step::Directories, "Too many levels of symbolic links"),
    plain(8, "", Step::Upload, "Attribute not found"),
    plain(9, "", Step::Upload, "File modified while being uploaded"),
    plain(10, "", Step::Manifest, "Error serializing property list"),
    plain(11, "", Step::Status, "Cannot parse a NULL or zero-length data"),
    plain(12, "", Step::Status, "Cannot parse property list"),
    plain(13, "", Step::Request, "Device has not yet been unlocked"),
    plain(14, "", Step::Scan, "No free mount points for APFS snapshot"),
    plain(14, "state", Step::Request, "Not in idle state"),
    plain(15, "", Step::Scan, "Timed out waiting for the snapshot to be unmounted"),
    plain(16, "", Step::Upload, "Database is closed"),
    plain(17, "", Step::Upload, "The server asked to retry later"),
    plain(18, "", Step::Upload, "Error communicating with a helper application"),
    plain(19, "", Step::Upload, "Connection interrupted (NSCocoaErrorDomain/4097)"),
    plain(20, "", Step::Upload, "Connection invalid (NSCocoaErrorDomain/4099)"),
    plain(21, "", Step::Space, "Purging disk space is not implemented"),
    plain(22, "", Step::Request, "iTunes Backup is disabled by MDM"),
    plain(22, "mdm", Step::Request, "iTunes Backup is disabled by MDM"),
    plain(22, "education", Step::Request, "iTunes Backup is disabled for this device in EDU mode"),
    plain(22, "return-to-service", Step::Request, "iTunes Backup is disabled in RRTS mode"),
    plain(22, "cloud", Step::Request, "Cloud backup is disabled by MDM"),
    plain(
        22,
        "encryption",
        Step::Request,
        "Cannot remove iTunes Backup Encryption - Encrypted Backup MDM setting present on device",
    ),
    plain(24, "", Step::Upload, "Operation not permitted"),
    plain(
        25,
        "",
        Step::Request,
        "iTunes Backup is unavailable while an iCloud Restore is in progress",
    ),
    plain(26, "", Step::Moving, "Cross-device link"),
    plain(100, "", Step::Upload, IO),
    plain(100, "skipped-files", Step::Scan, "Too many skipped files during scanning (11 > 10)"),
    over(
        (101, "", Step::Upload),
        "Error opening file",
        (100, IO, "/.ba/mobile/Library/SMS/sms.db"),
    ),
    plain(102, "", Step::Scan, "Error creating temporary file at path \"/var/tmp\""),
    over(
        (102, "no-space", Step::Scan),
        "Error creating temporary file",
        (106, "No space left on device", "/var/tmp"),
    ),
    plain(102, "snapshot", Step::Scan, "Failed to create the snapshot directory"),
    over((103, "", Step::Status), PROPERTIES, (100, IO, "%/Manifest.plist")),
    over((104, "", Step::Upload), UPLOADING, (100, IO, "%/Snapshot")),
    over(
        (104, "media-busy", Step::Upload),
        UPLOADING,
        (
            100,
            "Resource busy (16)",
            "/.ba/mobile/Media/iTunes_Control/iTunes/MediaLibrary.sqlitedb",
        ),
    ),
    over((104, "modified", Step::Upload), UPLOADING, (9, "File modified while being uploaded", "")),
    over((104, "no-space", Step::Upload), UPLOADING, (105, "No space left on device", "")),
    over(
        (104, "locked", Step::Upload),
        UPLOADING,
        (100, IO, "/.ba/mobile/Library/Health/healthdb_secure.sqlite"),
    ),
    plain(105, "", Step::Space, "Insufficient free disk space on drive to back up"),
    plain(105, "device", Step::Scan, "Not enough free space on device: database or disk is full"),
    plain(106, "", Step::Scan, "No space writing data to temporary file"),
    plain(106, "restore", Step::Request, "Insufficient free disk space on device to restore"),
    plain(202, "", Step::Scan, "Backup canceled"),
    plain(202, "upload", Step::Upload, "File upload cancelled"),
    plain(203, "", Step::Status, "Unsupported properties version"),
    plain(203, "restore", Step::Request, "Backup is from an incompatible OS version"),
    plain(204, "", Step::Request, "Backups disabled from server action"),
    plain(204, "reset", Step::Request, "Backups reset from server action"),
    plain(204, "restore", Step::Request, "Initial backup failed while uploading files"),
    over(
        (205, "", Step::Status),
        PROPERTIES,
        (11, "Cannot parse a NULL or zero-length data", "%/Manifest.plist"),
    ),
    plain(205, "status", Step::Status, "Error reading status"),
    plain(205, "keybag", Step::Status, "No keybag in manifest"),
    plain(205, "encryption-key", Step::Status, "Encryption key missing"),
    plain(205, "state", Step::Status, "Invalid snapshot state"),
    plain(205, "missing", Step::Verify, "Manifest references files not in backup"),
    plain(205, "quota", Step::Scan, "Snapshot has a reserved quota size of 0"),
    plain(207, "", Step::Request, "Invalid password"),
    plain(207, "changed", Step::Status, "Encryption settings changed"),
    plain(
        207,
        "management",
        Step::Request,
        "No backup password set when required by device management",
    ),
    plain(208, "", Step::Request, "Device locked"),
    plain(208, "timeout", Step::Request, "Device locked - timeout waiting for passcode entry"),
    plain(
        208,
        "protection-class",
        Step::Status,
        "fcntl permission error setting protection class (device locked?)",
    ),
    plain(208, "assertion", Step::Upload, "Failed to acquire the device lock assertion"),
    plain(209, "", Step::Scan, "Missing encryption keys"),
    plain(210, "", Step::Request, "No account"),
    plain(211, "", Step::Request, "Find My iPhone must be disabled before restoring"),
    plain(212, "", Step::Request, "Unable to backup until Setup is finished"),
    plain(213, "", Step::Request, "File was not restored in the foreground"),
    plain(217, "", Step::Upload, "Backup canceled"),
    plain(218, "", Step::Upload, "Backup canceled (engine)"),
    plain(219, "", Step::Upload, "Backup canceled (power)"),
    plain(220, "", Step::Upload, "Backup canceled (network)"),
    plain(221, "", Step::Upload, "Backup canceled (lock)"),
    plain(222, "", Step::Upload, "Backup canceled (other)"),
    plain(223, "", Step::Upload, "Backup canceled (deferred)"),
    plain(224, "", Step::Upload, "Backup canceled (condition)"),
    plain(300, "", Step::Upload, "Network failure"),
    plain(301, "", Step::Upload, "The server refused (HTTP 403)"),
    plain(302, "", Step::Upload, "The server failed (HTTP 500)"),
    plain(303, "", Step::Upload, "Quota exceeded"),
    plain(304, "", Step::Upload, "Service unavailable"),
    plain(305, "", Step::Upload, "Not authenticated"),
    plain(306, "", Step::Upload, "Failed dependency"),
    plain(307, "", Step::Upload, "Account moved"),
    plain(308, "", Step::Upload, "Network unreachable"),
    plain(309, "", Step::Upload, "Invalid response message"),
    plain(310, "", Step::Upload, "Internal error of the server"),
    plain(400, "", Step::Upload, "An item was never finished"),
    plain(500, "", Step::Verify, "Snapshot verification: metadata missing"),
    plain(501, "", Step::Verify, "Snapshot verification: metadata mismatch"),
    plain(555, "", Step::Request, "Force disallowed by behavior option"),
    plain(556, "", Step::Upload, "Unknown error"),
    plain(557, "", Step::Upload, "Unknown error"),
];

impl Wording {
    /// Finds the words of a code for a reason; without a reason the usual ones.
    pub(super) fn find(code: i64, reason: &str) -> Option<&'static Self> {
        WORDINGS.iter().find(|known| known.code == code && known.reason == reason)
    }

    /// Where the error comes.
    pub(super) fn step(&self) -> Step {
        self.at
    }

    /// Returns the error, on a phone with this identifier.
    pub(super) fn error(&self, udid: &str) -> MbError {
        let error = MbError::new(self.code, self.text);
        match self.under {
            None => error,
            Some((code, text, path)) => {
                let path = (!path.is_empty()).then(|| path.replace('%', udid));
                error.over(Underlying { code, text: text.to_owned(), path })
            }
        }
    }
}

/// Returns the error of a code for a reason, on a phone with this identifier; a reason that is not known has no words.
pub(super) fn worded(code: i64, reason: &str, udid: &str) -> MbError {
    Wording::find(code, reason)
        .map_or_else(|| MbError::new(code, "Unknown error"), |known| known.error(udid))
}

/// Whether a phone has words for an error: the fault `error` is refused otherwise.
pub(crate) fn is_known(code: i64, reason: &str) -> bool {
    reason.is_empty() || Wording::find(code, reason).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_and_each_code_has_a_usual_reason() {
        assert!(WORDINGS.is_sorted_by_key(|known| known.code));
        for known in WORDINGS {
            assert!(Wording::find(known.code, "").is_some(), "{}", known.code);
            let same = |other: &&Wording| other.code == known.code && other.reason == known.reason;
            assert_eq!(WORDINGS.iter().filter(same).count(), 1, "{} {}", known.code, known.reason);
        }
    }

    /// Texts that reports of real failures quote.
    #[test]
    fn errors_read_as_in_reports() {
        let text = |code, reason| Wording::find(code, reason).unwrap().error("U").to_string();
        assert_eq!(
            text(3, ""),
            "Failed to create snapshot: File exists (17) at path \"/private/var\" (MBErrorDomain/3)"
        );
        assert_eq!(
            text(205, ""),
            "Error reading backup properties (MBErrorDomain/205). Underlying error: Cannot parse a NULL or zero-length data at path \"U/Manifest.plist\" (MBErrorDomain/11)."
        );
        assert_eq!(
            text(1, "encryption-rule"),
            "Error setting WillEncrypt value in lockdown (MBErrorDomain/1). Underlying error: Cannot remove iTunes Backup Encryption - Encrypted Backup MDM setting present on device (MBErrorDomain/22)."
        );
        assert_eq!(text(212, ""), "Unable to backup until Setup is finished (MBErrorDomain/212)");
        assert!(is_known(999, "") && !is_known(22, "weather"));
    }
}
