//! P27: the backup of this device that is there.

use jiff::Timestamp;
use lifeboat_mobilesync::property_list::parse_dictionary;
use lifeboat_mobilesync::{Limits, SnapshotState, StatusPlist};

use super::{bytes, nothing, stored, text};
use crate::fact::{Facts, Value, Why};
use crate::probe::{Existing, ProbeContext};

pub(crate) const TELLS: &[&str] =
    &["existing.state", "existing.age", "existing.dated", "existing.bytes"];

/// Clocks of computers that share a place are not all right to the hour: only what is further ahead than this, in seconds, is dated
/// in the future.
const AHEAD: i64 = 86_400;

/// P27.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let Some(backups) = context.backups.clone() else {
        return nothing(TELLS, &Why::NotThere("no place for backups is set".to_owned()));
    };
    let udid = match udid(context).await {
        Ok(udid) => udid,
        Err(why) => return nothing(TELLS, &why),
    };
    match stored(move || backups.last(&udid)).await {
        Ok(Some(existing)) => {
            let ios = match context.values().await {
                Ok(values) => text(values, "ProductVersion").ok(),
                Err(_) => None,
            };
            told(&existing, ios.as_deref(), context.host.now())
        }
        Ok(None) => {
            let mut facts = Facts::new();
            facts.tell("existing.state", "none");
            let why = Why::NotThere("there is no backup of this device".to_owned());
            facts.unknown(TELLS, &why);
            facts
        }
        Err(why) => nothing(TELLS, &why),
    }
}

/// Returns which device it is about, there or not.
pub(super) async fn udid(context: &ProbeContext) -> Result<String, Why> {
    match (&context.udid, context.device().await) {
        (Some(udid), _) => Ok(udid.clone()),
        (None, Ok(device)) => Ok(device.udid.clone()),
        (None, Err(why)) => Err(why),
    }
}

fn told(existing: &Existing, ios: Option<&str>, now: Timestamp) -> Facts {
    let mut facts = Facts::new();
    facts.tell("existing.state", state(existing, ios));
    let unknown = || Value::Unknown(Why::NotThere("it does not say".to_owned()));
    let (age, dated) = match existing.made.map(|made| now.as_second() - made.as_second()) {
        None => (unknown(), unknown()),
        Some(age) if age < -AHEAD => {
            let why = "it is dated in the future: a clock was wrong when it was made, or is now";
            (Why::NotThere(why.to_owned()).into(), Value::from("future"))
        }
        Some(age) => (Value::from(age.max(0) / 86_400), Value::from("past")),
    };
    facts.tell("existing.age", age);
    facts.tell("existing.dated", dated);
    facts.tell("existing.bytes", existing.bytes.map_or_else(unknown, |size| bytes(size).into()));
    facts
}

/// Says what state a backup is in, the worst first. `ios` is what the device runs now.
pub(crate) fn state(existing: &Existing, ios: Option<&str>) -> &'static str {
    if existing.being_written {
        return "being-written";
    }
    let broken = |bytes: &Option<Vec<u8>>| bytes.as_deref().is_some_and(|bytes| !is_list(bytes));
    if existing.database_broken || broken(&existing.status) || broken(&existing.manifest) {
        return "corrupt";
    }
    if existing.rows_missing.is_some_and(|rows| rows > 0) {
        return "rows-missing";
    }
    if is_newer(existing.ios.as_deref(), ios) {
        return "newer-format";
    }
    let status = existing.status.as_deref().map(StatusPlist::parse);
    let finished = match &status {
        Some(Ok(status)) => status.snapshot_state == SnapshotState::Finished,
        Some(Err(_)) => return "corrupt",
        None => existing.complete,
    };
    if existing.left_over || !finished { "unfinished" } else { "good" }
}

/// A property list that is whole; one of no bytes is what a full disk leaves behind.
fn is_list(bytes: &[u8]) -> bool {
    parse_dictionary(bytes, &Limits::LARGE).is_ok()
}

/// A device refuses a backup of a newer generation of iOS than its own.
fn is_newer(backup: Option<&str>, device: Option<&str>) -> bool {
    let major = |version: &str| version.split('.').next()?.parse::<u32>().ok();
    match (backup.and_then(major), device.and_then(major)) {
        (Some(backup), Some(device)) => backup > device,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str) -> Vec<u8> {
        format!(
            "<plist version=\"1.0\"><dict><key>BackupState</key><string>new</string>\
            <key>SnapshotState</key><string>{state}</string><key>Version</key><string>3.3</string>\
            <key>IsFullBackup</key><true/><key>UUID</key><string>U</string>\
            <key>Date</key><date>2026-11-01T00:00:00Z</date></dict></plist>"
        )
        .into_bytes()
    }

    fn good() -> Existing {
        Existing {
            complete: true,
            status: Some(status("finished")),
            ios: Some("26.1".into()),
            ..Existing::default()
        }
    }

    #[test]
    fn the_state_is_what_the_files_show() {
        for (existing, wanted) in [
            (good(), "good"),
            (Existing { being_written: true, ..good() }, "being-written"),
            (Existing { status: Some(Vec::new()), ..good() }, "corrupt"),
            (Existing { manifest: Some(b"noise".to_vec()), ..good() }, "corrupt"),
            (Existing { database_broken: true, ..good() }, "corrupt"),
            (Existing { status: Some(status("uploading")), ..good() }, "unfinished"),
            (Existing { left_over: true, ..good() }, "unfinished"),
            (Existing { status: None, ..good() }, "good"),
            (Existing { status: None, complete: false, ..good() }, "unfinished"),
            (Existing { rows_missing: Some(3), ..good() }, "rows-missing"),
            (Existing { ios: Some("27.0".into()), ..good() }, "newer-format"),
        ] {
            assert_eq!(state(&existing, Some("26.3")), wanted, "{existing:?}");
        }
        assert_eq!(state(&good(), None), "good");
    }

    /// Its age is not known, and it is not of today either.
    #[test]
    fn a_backup_that_is_dated_in_the_future_has_no_age() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let of = |made: i64| {
            let made = Timestamp::from_second(made).ok();
            told(&Existing { made, bytes: Some(u64::MAX), ..good() }, None, now)
        };
        let facts = of(2_000_000);
        assert!(facts.is("existing.dated", "future"));
        assert!(!facts.value("existing.age").unwrap().is_known(), "{facts:?}");
        assert_eq!(facts.value("existing.bytes"), Some(&Value::Number(i64::MAX)));
        // Two clocks that differ by an hour are no such thing.
        for (made, age) in [(1_003_600, 0), (1_000_000, 0), (1_000_000 - 200_000, 2)] {
            let facts = of(made);
            assert!(facts.is("existing.dated", "past"), "{made}");
            assert_eq!(facts.value("existing.age"), Some(&Value::Number(age)), "{made}");
        }
        let undated = told(&good(), None, now);
        assert!(!undated.value("existing.dated").unwrap().is_known());
    }
}
