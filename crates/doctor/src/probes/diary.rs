//! P28: the device's own diary of iCloud Backup, out of the last finished backup (`docs/protocol.md` 10.7).
//!
//! Nobody documents these files. What they hold is read where it has the form that was seen, and is not known otherwise.

use jiff::Timestamp;
use lifeboat_device::lockdown::domain;
use lifeboat_mobilesync::Limits;
use lifeboat_mobilesync::property_list::parse_dictionary;
use plist::{Dictionary, Value as Plist};

use super::values::moment;
use super::{bytes, flag, nothing, number, stored, told};
use crate::fact::{Facts, Value, Why};
use crate::probe::ProbeContext;

pub(crate) const TELLS: &[&str] = &[
    "diary.state",
    "diary.failures",
    "diary.retry",
    "diary.missing-key-failures",
    "diary.window-missing",
    "diary.size",
    "diary.skipped-files",
    "diary.error",
    "icloud.error",
    "icloud.error-code",
];
/// What is over as soon as an iCloud backup came to its end, and what an older diary does not measure.
const TROUBLE: &[&str] = &[
    "diary.failures",
    "diary.retry",
    "diary.missing-key-failures",
    "diary.window-missing",
    "diary.skipped-files",
    "icloud.error",
];

/// Where the diary lies in a backup: the first domain that has the file counts.
const DOMAINS: [&str; 2] = ["HomeDomain", "RootDomain"];
const FILES: [&str; 2] = [
    "Library/Preferences/com.apple.MobileBackup.plist",
    "Library/Preferences/com.apple.mobile.ldbackup.plist",
];
/// A diary is some kilobytes.
const SIZE: usize = 4 << 20;
const LIMITS: Limits = Limits { bytes: SIZE, objects: 200_000, depth: 24 };
/// A diary that is older than this, in seconds, does not say what is the case today.
const FRESH: i64 = 86_400;
/// The date of the last finished iCloud backup: the diary has it, and lockdownd tells the same of today.
const LAST: &str = "LastCloudBackupDate";
/// A charge that is shorter than this, in seconds, is no night.
const SHORT: i64 = 600;

/// P28.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let Some(backups) = context.backups.clone() else {
        return nothing(TELLS, &Why::NotThere("no place for backups is set".to_owned()));
    };
    let udid = match (&context.udid, context.device().await) {
        (Some(udid), _) => udid.clone(),
        (None, Ok(device)) => device.udid.clone(),
        (None, Err(why)) => return nothing(TELLS, &why),
    };
    let read = stored(move || {
        let made = backups.last(&udid)?.and_then(|existing| existing.made);
        let mut found = Vec::new();
        for file in FILES {
            for domain in DOMAINS {
                if let Some(bytes) = backups.file(&udid, domain, file, SIZE)? {
                    found.push(bytes);
                    break;
                }
            }
        }
        Ok((found, made))
    });
    match read.await {
        Ok((files, _)) if files.is_empty() => {
            let mut facts = Facts::new();
            facts.tell("diary.state", "not-found");
            facts.unknown(TELLS, &Why::NotThere("no backup holds the diary".to_owned()));
            facts
        }
        Ok((files, made)) => {
            let values = context.domain(domain::BACKUP).await;
            let last = values.and_then(|values| moment(&values, LAST)).ok();
            diary(&files, &Days { now: context.host.now(), made, last })
        }
        Err(why) => nothing(TELLS, &why),
    }
}

/// What a diary is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    /// The time now.
    pub now: Timestamp,
    /// When the backup was made that holds the diary, where it says.
    pub made: Option<Timestamp>,
    /// When the device made its last iCloud backup, as it says today.
    pub last: Option<Timestamp>,
}

/// Reads the diary out of its files; what makes no sense is not known. What went wrong counts only while the diary is of today, and
/// no iCloud backup came to its end after it was written.
pub fn diary(files: &[Vec<u8>], days: &Days) -> Facts {
    let mut keys = Dictionary::new();
    for bytes in files {
        if let Ok(list) = parse_dictionary(bytes, &LIMITS) {
            for (key, value) in list {
                if !keys.contains_key(&key) {
                    keys.insert(key, value);
                }
            }
        }
    }
    if keys.is_empty() {
        return nothing(TELLS, &Why::Garbled("a diary that is no property list".to_owned()));
    }
    let mut facts = Facts::new();
    facts.tell("diary.state", "found");
    facts.tell("diary.size", told(size(&keys)));
    let code = last_error(&keys, days.last);
    let error = code.clone().map(|code| code.map_or("none", word));
    if is_over(&keys, days) {
        facts.tell("diary.error", "none");
        let why = "iCloud Backup came to its end after the last backup to this computer was made";
        facts.unknown(TROUBLE, &Why::NotThere(why.to_owned()));
        return facts;
    }
    facts.tell("diary.error", told(error.clone()));
    let age = days.made.map(|made| days.now.as_second() - made.as_second());
    // One that is dated in the future says as little of today.
    if age.is_none_or(|age| !(-FRESH..=FRESH).contains(&age)) {
        let why = "the last backup to this computer is not of today; a new one tells it";
        facts.unknown(TROUBLE, &Why::NotThere(why.to_owned()));
        return facts;
    }
    for (fact, key) in [
        ("diary.failures", "FailureCount"),
        ("diary.missing-key-failures", "MissingEncryptionKeyFailureCount"),
    ] {
        facts.tell(fact, told(count(&keys, key)));
    }
    facts.tell("diary.retry", retry(&keys, days.now));
    facts.tell("diary.window-missing", told(window_missing(&keys)));
    facts.tell("diary.skipped-files", told(skipped(&keys)));
    facts.tell("icloud.error", told(error));
    facts.tell("icloud.error-code", told(code.map(|code| code.unwrap_or(0))));
    facts
}

/// Whether an iCloud backup came to its end after what the diary tells: the device names a later one today than the diary knew.
fn is_over(keys: &Dictionary, days: &Days) -> bool {
    let Some(last) = days.last else { return false };
    let known = moment(keys, LAST).ok().or(days.made);
    known.is_some_and(|known| last.as_second() > known.as_second())
}

/// A counter that the device removes when it is zero.
fn count(keys: &Dictionary, key: &str) -> Result<i64, Why> {
    match number(keys, key) {
        Err(Why::NotThere(_)) => Ok(0),
        Ok(count) if count < 0 => Err(Why::Garbled(format!("{key} is below zero"))),
        other => other,
    }
}

fn retry(keys: &Dictionary, now: Timestamp) -> Value {
    let dates = ["RetryAfter", "MissingEncryptionKeyRetryAfter"];
    let waiting = dates.iter().any(|key| moment(keys, key).is_ok_and(|date| date > now));
    Value::from(if waiting { "waiting" } else { "none" })
}

/// Returns what was missing in most of the last windows in which a backup could have been.
fn window_missing(keys: &Dictionary) -> Result<&'static str, Why> {
    const WORDS: [(&str, &[&str]); 4] = [
        ("enabled", &["enabled"]),
        ("power", &["power"]),
        ("wifi", &["wifi", "wlan"]),
        ("locked", &["lock"]),
    ];
    let absent = || Why::NotThere("the diary holds no windows".to_owned());
    let windows = keys.get("LastOnConditionEvents").and_then(Plist::as_array).ok_or_else(absent)?;
    let windows: Vec<&Dictionary> =
        windows.iter().rev().take(20).filter_map(Plist::as_dictionary).collect();
    if windows.is_empty() {
        return Err(absent());
    }
    let most = |count: usize| count * 2 > windows.len();
    let lacks = |parts: &[&str]| {
        windows.iter().filter(|window| condition(window, parts) == Some(false)).count()
    };
    let worst = WORDS.iter().map(|(word, parts)| (lacks(parts), *word)).max_by_key(|(n, _)| *n);
    if let Some((count, word)) = worst
        && most(count)
    {
        return Ok(word);
    }
    let short = |window: &&&Dictionary| {
        let key = window.keys().find(|key| key.to_ascii_lowercase().contains("duration"));
        key.is_some_and(|key| number(window, key).is_ok_and(|seconds| seconds < SHORT))
    };
    Ok(if most(windows.iter().filter(short).count()) { "too-short" } else { "none" })
}

/// Finds a condition by a part of its name: their spelling differs between versions.
fn condition(window: &Dictionary, parts: &[&str]) -> Option<bool> {
    let key = window.keys().find(|key| {
        let key = key.to_ascii_lowercase();
        parts.iter().any(|part| key.contains(part))
    })?;
    flag(window, key).ok()
}

/// The size of the next backup as the device worked it out, the sum under a name of its own.
fn size(keys: &Dictionary) -> Result<i64, Why> {
    let sizing = keys.get("PreflightSizing").and_then(Plist::as_dictionary);
    let sum = sizing.and_then(|sizing| number(sizing, "_TotalSize").ok());
    match sum.map_or_else(|| number(keys, "LastPendingSnapshotSize"), Ok) {
        Ok(size) if size < 0 => Err(Why::Garbled("a size below zero".to_owned())),
        other => other,
    }
}

fn skipped(keys: &Dictionary) -> Result<i64, Why> {
    match keys.get("SkippedFilesFromBackup") {
        None => Ok(0),
        Some(Plist::Array(files)) => Ok(bytes(u64::try_from(files.len()).unwrap_or(u64::MAX))),
        Some(Plist::Dictionary(files)) => Ok(bytes(u64::try_from(files.len()).unwrap_or(u64::MAX))),
        Some(_) => Err(Why::Garbled("skipped files that are no list".to_owned())),
    }
}

/// The number of the last error that the diary lists; nothing where it lists none, or where an iCloud backup came to its end after it.
fn last_error(keys: &Dictionary, last: Option<Timestamp>) -> Result<Option<i64>, Why> {
    let absent = || Why::NotThere("the diary lists no errors".to_owned());
    let state = keys.get("StateInfo").and_then(Plist::as_dictionary).ok_or_else(absent)?;
    let errors = state.get("errors").and_then(Plist::as_array).ok_or_else(absent)?;
    // The one with the latest date; where they have none, the last of the list.
    let errors = errors.iter().filter_map(Plist::as_dictionary);
    let dated = |error: &&Dictionary| moment(error, "date").unwrap_or(Timestamp::MIN);
    let newest = errors.max_by_key(dated);
    let ended = last.into_iter().chain(moment(keys, LAST).ok()).max();
    let is_over = |error: &&Dictionary| {
        moment(error, "date").is_ok_and(|date| ended.is_some_and(|ended| date < ended))
    };
    newest
        .filter(|error| !is_over(error))
        .map(|error| number(error, "code").or_else(|_| number(error, "errorCode")))
        .transpose()
}

/// Returns the word of `icloud.error` for a number of `MBErrorDomain`.
fn word(code: i64) -> &'static str {
    match code {
        0 => "none",
        17 => "rate-limit",
        18..=20 => "helper",
        22 => "policy",
        25 => "restoring",
        100 => "skipped-files",
        105 | 106 => "device-full",
        202 | 217..=220 => "cancelled",
        204 => "disabled",
        205 | 500 | 501 => "damaged",
        209 => "missing-keys",
        210 => "no-account",
        223 => "deferred",
        300 => "network",
        301 => "refused",
        302 | 306 | 307 => "server",
        303 => "quota",
        304 => "outage",
        305 => "account",
        308 => "unreachable",
        309 | 310 => "response",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A diary of this hour, and no iCloud backup since.
    fn now() -> Days {
        Days { now: at(1_795_000_000), made: Some(at(1_794_999_000)), last: None }
    }

    fn list(inner: &str) -> Vec<u8> {
        format!("<plist version=\"1.0\"><dict>{inner}</dict></plist>").into_bytes()
    }

    #[test]
    fn a_diary_is_read() {
        let windows =
            "<dict><key>enabled</key><true/><key>onPower</key><true/><key>locked</key><false/>\
            <key>onWiFi</key><true/><key>duration</key><real>9000</real></dict>"
                .repeat(3);
        let text = format!(
            "<key>FailureCount</key><integer>4</integer>\
            <key>RetryAfter</key><date>2030-01-01T00:00:00Z</date>\
            <key>LastOnConditionEvents</key><array>{windows}</array>\
            <key>PreflightSizing</key><dict><key>_TotalSize</key><integer>7000</integer></dict>\
            <key>SkippedFilesFromBackup</key><array><string>a</string></array>\
            <key>StateInfo</key><dict><key>errors</key><array>\
            <dict><key>code</key><integer>303</integer><key>date</key><date>2026-11-01T00:00:00Z</date></dict>\
            <dict><key>code</key><integer>300</integer><key>date</key><date>2026-10-01T00:00:00Z</date></dict>\
            </array></dict>"
        );
        let facts = diary(&[list(&text)], &now());
        for (key, word) in [
            ("diary.state", "found"),
            ("diary.retry", "waiting"),
            ("diary.window-missing", "locked"),
            ("icloud.error", "quota"),
        ] {
            assert!(facts.is(key, word), "{key}: {:?}", facts.value(key));
        }
        for (key, number) in [
            ("diary.failures", 4),
            ("diary.missing-key-failures", 0),
            ("diary.size", 7000),
            ("diary.skipped-files", 1),
        ] {
            assert_eq!(facts.value(key), Some(&Value::Number(number)), "{key}");
        }
    }

    #[test]
    fn a_diary_of_the_wrong_types_is_not_known() {
        let text = "<key>FailureCount</key><string>4</string><key>RetryAfter</key><true/>\
            <key>LastOnConditionEvents</key><integer>1</integer><key>PreflightSizing</key><array/>\
            <key>StateInfo</key><string>x</string><key>SkippedFilesFromBackup</key><true/>";
        let facts = diary(&[list(text)], &now());
        assert!(facts.is("diary.state", "found") && facts.is("diary.retry", "none"));
        for key in ["diary.failures", "diary.window-missing", "diary.size", "icloud.error"] {
            assert!(!facts.value(key).unwrap().is_known(), "{key}");
        }
        let broken = diary(&[b"noise".to_vec(), Vec::new()], &now());
        assert!(matches!(broken.value("diary.state"), Some(Value::Unknown(Why::Garbled(_)))));
    }

    /// What `explain` says of a number and what the doctor makes of it are one: a cause that its row names, and not "nobody knows".
    #[test]
    fn the_numbers_of_icloud_mean_what_their_rows_say() {
        use crate::patterns::Patterns;
        use crate::{Catalogue, For, diagnose};
        for row in crate::errors::all().iter().filter(|row| row.domain == "MBErrorDomain") {
            for code in row.codes.iter().copied() {
                let line =
                    format!("backupd[98]: Backup failed: Error Domain=MBErrorDomain Code={code}");
                let logged = Patterns::builtin().facts([line.as_str()]);
                assert!(logged.is("icloud.error", word(code)), "{code}: {logged:?}");
                if !(217..=220).contains(&code) && !(300..=310).contains(&code) {
                    continue;
                }
                let mut facts = Facts::new();
                facts.tell("icloud.error", word(code));
                let found = diagnose(Catalogue::builtin(), &facts, For::Icloud);
                let primary = found.primary().map(|found| found.id.as_str()).unwrap_or_default();
                assert!(row.causes.iter().any(|cause| cause == primary), "{code}: {primary}");
            }
        }
    }

    #[test]
    fn short_charges_are_seen() {
        let window =
            "<dict><key>onPower</key><true/><key>duration</key><integer>90</integer></dict>";
        let text = format!("<key>LastOnConditionEvents</key><array>{window}</array>");
        assert!(diary(&[list(&text)], &now()).is("diary.window-missing", "too-short"));
    }

    const FAILED: &str = "<key>FailureCount</key><integer>4</integer>\
        <key>MissingEncryptionKeyFailureCount</key><integer>2</integer>\
        <key>LastCloudBackupDate</key><date>2026-11-01T00:00:00Z</date>\
        <key>StateInfo</key><dict><key>errors</key><array><dict><key>code</key>\
        <integer>303</integer></dict></array></dict>";

    fn is_told(facts: &Facts, key: &str) -> bool {
        facts.value(key).is_some_and(Value::is_known)
    }

    #[test]
    fn an_old_diary_measures_nothing_of_today() {
        let days_away = |days: i64| Some(at(1_795_000_000 + days * 86_400));
        // One that is dated in the future is no younger than one of long ago.
        for made in [days_away(-2), days_away(2), days_away(90), None] {
            let facts = diary(&[list(FAILED)], &Days { made, ..now() });
            assert!(facts.is("diary.error", "quota") && facts.is("diary.state", "found"));
            assert!(TROUBLE.iter().all(|key| !is_told(&facts, key)), "{facts:?}");
        }
    }

    #[test]
    fn an_icloud_backup_since_then_ends_the_trouble() {
        let known: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let same = diary(&[list(FAILED)], &Days { last: Some(known), ..now() });
        assert!(same.is("icloud.error", "quota") && same.is("diary.error", "quota"));
        let later = at(known.as_second() + 3600);
        let facts = diary(&[list(FAILED)], &Days { last: Some(later), ..now() });
        assert!(facts.is("diary.error", "none"));
        assert!(TROUBLE.iter().all(|key| !is_told(&facts, key)), "{facts:?}");
    }

    #[test]
    fn an_error_that_an_icloud_backup_followed_is_over() {
        let failed = |success: &str| {
            list(&format!(
                "<key>LastCloudBackupDate</key><date>{success}</date><key>StateInfo</key><dict><key>errors</key><array>\
                <dict><key>code</key><integer>303</integer><key>date</key><date>2026-11-02T00:00:00Z</date></dict>\
                <dict><key>code</key><integer>300</integer><key>date</key><date>2026-11-01T00:00:00Z</date></dict>\
                </array></dict>"
            ))
        };
        let before = diary(&[failed("2026-11-01T23:00:00Z")], &now());
        assert!(before.is("icloud.error", "quota") && before.is("diary.error", "quota"));
        let after = diary(&[failed("2026-11-03T00:00:00Z")], &now());
        assert!(after.is("icloud.error", "none") && after.is("diary.error", "none"), "{after:?}");
        assert_eq!(after.value("icloud.error-code"), Some(&Value::Number(0)));
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in any::<Vec<u8>>(), text in "(<key>[A-Za-z]{1,9}</key><integer>-?[0-9]{1,25}</integer>){0,4}") {
            drop(diary(&[bytes], &now()));
            drop(diary(&[list(&text)], &now()));
        }
    }
}
