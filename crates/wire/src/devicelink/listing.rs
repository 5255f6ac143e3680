use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use plist::{Date, Dictionary, Value};

use super::elements::integer;

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// Anything else.
    Unknown,
}

impl EntryKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "DLFileTypeDirectory",
            Self::Regular => "DLFileTypeRegular",
            Self::Unknown => "DLFileTypeUnknown",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "DLFileTypeDirectory" => Self::Directory,
            "DLFileTypeRegular" => Self::Regular,
            _ => Self::Unknown,
        }
    }
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListingEntry {
    /// What it is.
    pub kind: EntryKind,
    /// Its length in bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub modified: i64,
}

/// The answer to `DLContentsOfDirectory`: the entries of one directory by name, not recursive.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listing(pub BTreeMap<String, ListingEntry>);

impl Listing {
    /// Makes the dictionary.
    pub fn to_dictionary(&self) -> Dictionary {
        let entry = |entry: &ListingEntry| {
            let mut keys = Dictionary::new();
            keys.insert("DLFileType".into(), entry.kind.as_str().into());
            let size = i64::try_from(entry.size).unwrap_or(i64::MAX);
            keys.insert("DLFileSize".into(), size.into());
            keys.insert("DLFileModificationDate".into(), date(entry.modified).into());
            Value::Dictionary(keys)
        };
        self.0.iter().map(|(name, value)| (name.clone(), entry(value))).collect()
    }

    /// Reads the dictionary; what is absent is unknown, empty or 1970.
    pub fn from_dictionary(dictionary: &Dictionary) -> Self {
        let entry = |value: &Value| {
            let keys = value.as_dictionary();
            let get = |key| keys.and_then(|keys| keys.get(key));
            ListingEntry {
                kind: get("DLFileType")
                    .and_then(Value::as_string)
                    .map_or(EntryKind::Unknown, EntryKind::parse),
                size: get("DLFileSize")
                    .and_then(integer)
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0),
                modified: get("DLFileModificationDate").and_then(Value::as_date).map_or(0, seconds),
            }
        };
        Self(dictionary.iter().map(|(name, value)| (name.clone(), entry(value))).collect())
    }
}

fn date(seconds: i64) -> Date {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH).into()
}

fn seconds(date: Date) -> i64 {
    let time = SystemTime::from(date);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s),
    }
}
