//! What the phone writes down about its iCloud backups, in two files of its preferences that every computer backup carries
//! (docs/protocol.md 10.7). Which of the keys a current iOS still writes is a guess (docs/real-device.md).

use plist::{Dictionary, Value};

use crate::memory::Memory;
use crate::state::{Epoch, ICloud, WindowMissing};

/// The names of the two files, without `.plist`.
pub(crate) const NAMES: [&str; 2] = ["com.apple.mobile.ldbackup", "com.apple.MobileBackup"];

/// Seconds from 1970 to 2001.
const COCOA: i64 = 978_307_200;

const HOUR: i64 = 3600;

/// How many windows the phone remembers.
const WINDOWS: i64 = 10;

/// Returns the moment of the last iCloud backup, in seconds since 1970; nothing when there was none.
pub(crate) fn last_backup(memory: &Memory) -> Option<i64> {
    let icloud = &memory.state.icloud;
    icloud.ever.then(|| memory.born - i64::from(icloud.age_hours) * HOUR)
}

/// Returns the number that stands for a moment, as the phone counts.
pub(crate) fn counted(icloud: &ICloud, seconds: i64) -> Value {
    match icloud.epoch {
        Epoch::Unix => seconds.into(),
        Epoch::Cocoa => (seconds - COCOA).into(),
    }
}

/// Returns both files.
pub(crate) fn files(memory: &Memory) -> [(&'static str, Value); 2] {
    let [settings, diary] = NAMES;
    [
        (settings, Value::Dictionary(settings_of(memory))),
        (diary, Value::Dictionary(diary_of(memory))),
    ]
}

/// What lockdownd's domain of backups is made of.
fn settings_of(memory: &Memory) -> Dictionary {
    let icloud = &memory.state.icloud;
    let mut keys = keys([
        ("CloudBackupEnabled", icloud.backup.into()),
        ("LastiTunesBackupHostname", "harbour".into()),
        ("LastiTunesBackupDate", counted(icloud, memory.born - 48 * HOUR)),
        ("RequiresEncryption", memory.state.management.encrypted_backup.into()),
    ]);
    if let Some(last) = last_backup(memory) {
        keys.insert("LastCloudBackupDate".to_owned(), counted(icloud, last));
        keys.insert("LastCloudBackupTZ".to_owned(), "GMT".into());
    }
    keys
}

/// How the scheduler got on.
fn diary_of(memory: &Memory) -> Dictionary {
    let icloud = &memory.state.icloud;
    let mut diary = keys([
        ("AccountEnabledDate", date(memory.born - 400 * 24 * HOUR)),
        ("StateInfo", Value::Dictionary(state_info(memory))),
        ("FailureCount", icloud.failures.into()),
        ("LastOnConditionEvents", Value::Array(windows(memory))),
        ("MissingEncryptionKeyFailureCount", icloud.missing_key_failures.into()),
    ]);
    let pending = icloud.next_bytes.unwrap_or(180_000_000);
    let sizes = keys([
        ("CameraRollDomain", (pending / 2).into()),
        ("HomeDomain", (pending - pending / 2).into()),
        ("_TotalSize", pending.into()),
    ]);
    diary.insert("PreflightSizing".to_owned(), Value::Dictionary(sizes));
    diary.insert("LastPendingSnapshotSize".to_owned(), pending.into());
    if let Some(hours) = icloud.retry_hours {
        diary.insert("RetryAfter".to_owned(), date(memory.born + i64::from(hours) * HOUR));
    }
    let skipped = (0..icloud.skipped_files)
        .map(|number| Value::from(format!("/var/mobile/Library/Caches/skipped-{number}.db")));
    if icloud.skipped_files > 0 {
        diary.insert("SkippedFilesFromBackup".to_owned(), Value::Array(skipped.collect()));
    }
    diary
}

/// State 0 is idle after success, 4 after a failure. The same key under two names: which one a current iOS writes is not known.
fn state_info(memory: &Memory) -> Dictionary {
    let icloud = &memory.state.icloud;
    let failed = icloud.error.is_some();
    let mut info = keys([
        ("state", (if failed { 4 } else { 0 }).into()),
        ("isCloud", true.into()),
        ("isBackground", true.into()),
        ("progress", Value::Real(if failed { 0.31 } else { 1.0 })),
    ]);
    if let Some(last) = last_backup(memory) {
        info.insert("date".to_owned(), date(last));
    }
    if let Some(code) = icloud.error {
        let error = keys([
            ("code", code.into()),
            ("domain", "MBErrorDomain".into()),
            ("date", date(memory.born - HOUR)),
            ("localizedDescription", icloud.error_text.clone().unwrap_or_default().into()),
        ]);
        info.insert("errors".to_owned(), Value::Array(vec![Value::Dictionary(error)]));
    }
    info
}

/// One window a night.
fn windows(memory: &Memory) -> Vec<Value> {
    let icloud = &memory.state.icloud;
    let missing = icloud.window_missing;
    let has = |what| Value::Boolean(missing != Some(what));
    (1..=WINDOWS)
        .rev()
        .map(|night| {
            let duration = match missing {
                None => 25_200,
                Some(WindowMissing::TooShort) => 140,
                Some(_) => 0,
            };
            let mut window = keys([
                ("date", date(memory.born - night * 24 * HOUR)),
                ("duration", duration.into()),
                ("enabled", has(WindowMissing::Enabled)),
                ("locked", has(WindowMissing::Locked)),
                ("onPower", has(WindowMissing::Power)),
                ("onWiFi", has(WindowMissing::Wifi)),
            ]);
            if let Some(code) = icloud.error {
                window.insert("lastErrorCode".to_owned(), code.into());
            }
            Value::Dictionary(window)
        })
        .collect()
}

fn keys<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn date(seconds: i64) -> Value {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    Value::Date(time.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::PhoneSpec;

    fn memory() -> Memory {
        Memory::new(&PhoneSpec::default(), "2026-05-04T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_diary_says_what_the_state_says() {
        let mut memory = memory();
        memory.state.set("icloud.error", "303").unwrap();
        memory.state.set("icloud.failures", "7").unwrap();
        memory.state.set("icloud.retry-hours", "36").unwrap();
        memory.state.set("icloud.window-missing", "wifi").unwrap();
        memory.state.set("icloud.skipped-files", "12").unwrap();
        let diary = diary_of(&memory);
        assert_eq!(diary["FailureCount"], Value::from(7));
        let errors = diary["StateInfo"].as_dictionary().unwrap()["errors"].as_array().unwrap();
        assert_eq!(errors[0].as_dictionary().unwrap()["code"], Value::from(303));
        let windows = diary["LastOnConditionEvents"].as_array().unwrap();
        assert_eq!(windows.len(), 10);
        let window = windows[0].as_dictionary().unwrap();
        assert_eq!(
            (&window["onWiFi"], &window["onPower"]),
            (&Value::from(false), &Value::from(true))
        );
        assert!(diary.contains_key("RetryAfter"));
        assert_eq!(diary["SkippedFilesFromBackup"].as_array().unwrap().len(), 12);
    }

    #[test]
    fn the_last_backup_counts_from_either_year() {
        let mut memory = memory();
        let unix = settings_of(&memory)["LastCloudBackupDate"].as_signed_integer().unwrap();
        assert_eq!(memory.born - unix, 9 * HOUR);
        memory.state.set("icloud.epoch", "cocoa").unwrap();
        let cocoa = settings_of(&memory)["LastCloudBackupDate"].as_signed_integer().unwrap();
        assert_eq!(unix - cocoa, COCOA);
        memory.state.set("icloud.ever", "false").unwrap();
        assert!(!settings_of(&memory).contains_key("LastCloudBackupDate"));
    }
}
