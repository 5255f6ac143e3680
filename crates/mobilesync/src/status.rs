//! `Status.plist`: where a backup stands.

use std::time::SystemTime;

use crate::property_list::{self, Limits, PlistError};

/// The name of the file.
pub const NAME: &str = "Status.plist";

/// The version that is written since iOS 10.
pub const VERSION: &str = "3.3";

/// How far the run that wrote it had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SnapshotState {
    /// New files go to `Snapshot/`; the backup in the root is the old one, whole.
    Uploading,
    /// Files are being moved from `Snapshot/` to the root.
    Moving,
    /// Files that are no longer wanted are being removed.
    Removing,
    /// Done.
    Finished,
}

impl SnapshotState {
    /// Returns the word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Moving => "moving",
            Self::Removing => "removing",
            Self::Finished => "finished",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Uploading, Self::Moving, Self::Removing, Self::Finished]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// What the backup in the root is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackupState {
    /// There is none yet.
    Empty,
    /// The previous one still counts.
    Old,
    /// This run's counts.
    New,
}

impl BackupState {
    /// Returns the word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Old => "old",
            Self::New => "new",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Empty, Self::Old, Self::New].into_iter().find(|state| state.as_str() == word)
    }
}

/// The six keys of `Status.plist`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusPlist {
    /// What the backup is worth.
    pub backup_state: BackupState,
    /// When it was written.
    pub date: SystemTime,
    /// Whether a full backup is running; false once it is finished.
    pub is_full_backup: bool,
    /// How far the run had come.
    pub snapshot_state: SnapshotState,
    /// Names the device's own copy of the run, in upper case.
    pub uuid: String,
    /// [`VERSION`] since iOS 10.
    pub version: String,
}

impl StatusPlist {
    /// Reads the file, XML or binary. All keys must be there.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlistError> {
        let keys = property_list::parse_dictionary(bytes, &Limits::SMALL)?;
        let text =
            |key| keys.get(key).and_then(plist::Value::as_string).ok_or(PlistError::Key(key));
        let word = |key| text(key).map(|value| (key, value));
        let unknown =
            |(key, value): (&'static str, &str)| PlistError::Value { key, value: value.to_owned() };
        let (backup, snapshot) = (word("BackupState")?, word("SnapshotState")?);
        Ok(Self {
            backup_state: BackupState::parse(backup.1).ok_or_else(|| unknown(backup))?,
            date: keys
                .get("Date")
                .and_then(plist::Value::as_date)
                .ok_or(PlistError::Key("Date"))?
                .into(),
            is_full_backup: keys
                .get("IsFullBackup")
                .and_then(plist::Value::as_boolean)
                .ok_or(PlistError::Key("IsFullBackup"))?,
            snapshot_state: SnapshotState::parse(snapshot.1).ok_or_else(|| unknown(snapshot))?,
            uuid: text("UUID")?.to_owned(),
            version: text("Version")?.to_owned(),
        })
    }

    /// Reads the version alone, also of files whose other keys are of another time.
    pub fn parse_version(bytes: &[u8]) -> Result<Option<String>, PlistError> {
        let keys = property_list::parse_dictionary(bytes, &Limits::SMALL)?;
        Ok(keys.get("Version").and_then(plist::Value::as_string).map(ToOwned::to_owned))
    }

    /// Writes the file as the device does: a binary property list.
    pub fn encode(&self) -> Vec<u8> {
        let mut keys = plist::Dictionary::new();
        keys.insert("BackupState".into(), self.backup_state.as_str().into());
        keys.insert("Date".into(), plist::Value::Date(self.date.into()));
        keys.insert("IsFullBackup".into(), self.is_full_backup.into());
        keys.insert("SnapshotState".into(), self.snapshot_state.as_str().into());
        keys.insert("UUID".into(), self.uuid.as_str().into());
        keys.insert("Version".into(), self.version.as_str().into());
        property_list::to_binary(&plist::Value::Dictionary(keys))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn status(state: SnapshotState) -> StatusPlist {
        StatusPlist {
            backup_state: BackupState::New,
            date: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            is_full_backup: false,
            snapshot_state: state,
            uuid: "5A3B0C1D-2E4F-4A6B-8C7D-9E0F1A2B3C4D".into(),
            version: VERSION.into(),
        }
    }

    /// The size that logs of real backups print.
    #[test]
    fn a_finished_status_has_189_bytes() {
        assert_eq!(status(SnapshotState::Finished).encode().len(), 189);
    }

    #[test]
    fn unknown_words_and_missing_keys_are_named() {
        let bytes = status(SnapshotState::Moving).encode();
        let at = bytes.windows(6).position(|window| window == b"moving").unwrap();
        let mut other = bytes.clone();
        other[at..at + 6].copy_from_slice(b"moowin");
        assert!(matches!(
            StatusPlist::parse(&other),
            Err(PlistError::Value { key: "SnapshotState", .. })
        ));
        let mut keys = property_list::parse_dictionary(&bytes, &Limits::SMALL).unwrap();
        keys.remove("UUID");
        let bytes = property_list::to_xml(&plist::Value::Dictionary(keys));
        assert!(matches!(StatusPlist::parse(&bytes), Err(PlistError::Key("UUID"))));
        assert_eq!(StatusPlist::parse_version(&bytes).unwrap().as_deref(), Some("3.3"));
        assert!(matches!(StatusPlist::parse(b""), Err(PlistError::Empty)));
    }

    proptest! {
        #[test]
        fn it_comes_back(state in 0..4_usize, backup in 0..3_usize, full: bool, seconds in 0..4_000_000_000_u64, uuid in ".{0,40}") {
            let states = [SnapshotState::Uploading, SnapshotState::Moving, SnapshotState::Removing, SnapshotState::Finished];
            let status = StatusPlist {
                backup_state: [BackupState::Empty, BackupState::Old, BackupState::New][backup],
                date: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
                is_full_backup: full,
                uuid,
                ..status(states[state])
            };
            prop_assert_eq!(StatusPlist::parse(&status.encode()).unwrap(), status);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(StatusPlist::parse(&noise));
        }
    }
}
