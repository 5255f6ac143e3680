//! P09 to P12, P14, P15: what lockdownd tells about storage, power, backups, setup and Find My.

use jiff::Timestamp;
use lifeboat_device::diagnostics;
use lifeboat_device::lockdown::domain;
use plist::{Dictionary, Value as Plist};

use super::{either, flag, nothing, number, told};
use crate::fact::{Facts, Why};
use crate::probe::ProbeContext;
use crate::probe::context;

pub(crate) const STORAGE: &[&str] = &["storage.available", "storage.free-share", "storage.used"];
pub(crate) const BATTERY: &[&str] = &[
    "battery.level",
    "battery.external",
    "battery.charging",
    "battery.temperature",
    "battery.health",
];
pub(crate) const BACKUP: &[&str] = &["backup.encrypted", "backup.encryption-required"];
pub(crate) const CLOUD: &[&str] = &["icloud.backup", "icloud.age"];
pub(crate) const SETUP: &[&str] = &["setup.state", "restore.state"];
pub(crate) const FIND_MY: &[&str] = &["findmy.state"];

/// P09.
pub(crate) async fn storage(context: &ProbeContext) -> Facts {
    match context.domain(domain::DISK_USAGE).await {
        Ok(values) => storage_of(&values),
        Err(why) => nothing(STORAGE, &why),
    }
}

fn storage_of(values: &Dictionary) -> Facts {
    let size = |key: &str| {
        let garbled = || Why::Garbled(format!("value {key} is below zero"));
        number(values, key).and_then(|size| if size < 0 { Err(garbled()) } else { Ok(size) })
    };
    let (available, capacity) = (size("AmountDataAvailable"), size("TotalDataCapacity"));
    let mut facts = Facts::new();
    if let (Ok(available), Ok(capacity)) = (&available, &capacity)
        && *capacity > 0
        && available <= capacity
    {
        facts.tell("storage.used", capacity - available);
        let share = i128::from(*available) * 100 / i128::from(*capacity);
        facts.tell("storage.free-share", i64::try_from(share).unwrap_or(100));
    } else {
        let why = Why::NotThere("the sizes of the device make no share".to_owned());
        facts.unknown(&["storage.used", "storage.free-share"], &why);
    }
    facts.tell("storage.available", told(available));
    facts
}

/// P10.
pub(crate) async fn battery(context: &ProbeContext) -> Facts {
    let registry = async {
        let link = context.link().await?;
        let entry = diagnostics::registry_entry(link, "IOPMPowerSource");
        let absent = || Why::NotThere("the device shows no battery".to_owned());
        context::shared(entry).await?.ok_or_else(absent)
    };
    let (values, registry) = tokio::join!(context.domain(domain::BATTERY), registry);
    let mut facts = match &values {
        Ok(values) => battery_of(values),
        Err(why) => nothing(BATTERY.get(..3).unwrap_or_default(), why),
    };
    match &registry {
        Ok(entry) => facts.merge(registry_of(entry)),
        Err(why) => facts.unknown(BATTERY, why),
    }
    facts
}

fn battery_of(values: &Dictionary) -> Facts {
    let mut facts = Facts::new();
    let level = number(values, "BatteryCurrentCapacity");
    let level = level.and_then(|level| match level {
        0..=100 => Ok(level),
        _ => Err(Why::Garbled(format!("a charge of {level} %"))),
    });
    facts.tell("battery.level", told(level));
    facts.tell("battery.external", told(flag(values, "ExternalConnected")));
    facts.tell("battery.charging", told(flag(values, "BatteryIsCharging")));
    facts
}

/// Temperature stands there in hundredths of a degree; capacities as the battery counts them, from iOS 12.2 on under raw names.
fn registry_of(entry: &Dictionary) -> Facts {
    let mut facts = Facts::new();
    let temperature = number(entry, "Temperature").and_then(|hundredths| match hundredths {
        -5_000..=15_000 => Ok(hundredths / 100),
        _ => Err(Why::Garbled(format!("a temperature of {hundredths}"))),
    });
    facts.tell("battery.temperature", told(temperature));
    let full = number(entry, "AppleRawMaxCapacity").or_else(|_| number(entry, "MaxCapacity"));
    let health = full.and_then(|full| match number(entry, "DesignCapacity")? {
        design @ 1..=100_000 if (101..=100_000).contains(&full) => Ok(full * 100 / design),
        _ => Err(Why::NotThere("the battery does not tell its capacities".to_owned())),
    });
    facts.tell("battery.health", told(health));
    facts
}

/// P11.
pub(crate) async fn backup(context: &ProbeContext) -> Facts {
    match context.domain(domain::BACKUP).await {
        Ok(values) => backup_of(&values),
        Err(why) => nothing(BACKUP, &why),
    }
}

/// Says whether a device encrypts its backups; nothing where it does not say so as it should.
pub(super) fn encrypts(values: &Dictionary) -> Option<bool> {
    match backup_of(values).value("backup.encrypted") {
        Some(crate::fact::Value::Flag(flag)) => Some(*flag),
        _ => None,
    }
}

/// A device that was never told a password writes neither value: absent is no, unless the device says nothing here as it should.
fn backup_of(values: &Dictionary) -> Facts {
    const KEYS: [(&str, &str); 2] =
        [("backup.encrypted", "WillEncrypt"), ("backup.encryption-required", "RequiresEncryption")];
    let garbled = KEYS.iter().find_map(|(_, key)| match flag(values, key) {
        Err(why @ Why::Garbled(_)) => Some(why),
        _ => None,
    });
    let mut facts = Facts::new();
    for (fact, key) in KEYS {
        let found = match flag(values, key) {
            Err(Why::NotThere(_)) => garbled.clone().map_or(Ok(false), Err),
            other => other,
        };
        facts.tell(fact, told(found));
    }
    facts
}

/// P12.
pub(crate) async fn cloud(context: &ProbeContext) -> Facts {
    match context.domain(domain::BACKUP).await {
        Ok(values) => cloud_of(&values, context.host.now()),
        Err(why) => nothing(CLOUD, &why),
    }
}

/// Absent means not known here, never off.
fn cloud_of(values: &Dictionary, now: Timestamp) -> Facts {
    let mut facts = Facts::new();
    facts.tell("icloud.backup", either(flag(values, "CloudBackupEnabled"), "on", "off"));
    facts.tell("icloud.age", told(age(values, "LastCloudBackupDate", now)));
    facts
}

/// Returns the days since a date that a device wrote; one in the future is none.
pub(super) fn age(values: &Dictionary, key: &str, now: Timestamp) -> Result<i64, Why> {
    let made = moment(values, key)?;
    let days = (now.as_second() - made.as_second()) / 86_400;
    if days < 0 { Err(Why::Garbled(format!("date {key} lies in the future"))) } else { Ok(days) }
}

/// Reads a date: as one, or as a number of seconds since 1970 or since 2001. The device itself tries both.
pub(super) fn moment(values: &Dictionary, key: &str) -> Result<Timestamp, Why> {
    /// Seconds from 1970 to 2001.
    const APPLE_EPOCH: i64 = 978_307_200;
    /// Numbers below this (2010 since 1970, 2041 since 2001) count from 2001.
    const BORDER: i64 = 1_262_304_000;
    let garbled = || Why::Garbled(format!("value {key} is no date"));
    let seconds = match values.get(key) {
        Some(Plist::Date(date)) => {
            return Timestamp::try_from(std::time::SystemTime::from(*date)).map_err(|_| garbled());
        }
        _ => number(values, key)?,
    };
    let since = if seconds < BORDER { seconds.saturating_add(APPLE_EPOCH) } else { seconds };
    Timestamp::from_second(since).map_err(|_| garbled())
}

/// P14.
pub(crate) async fn setup(context: &ProbeContext) -> Facts {
    let mut facts = match context.domain(domain::SETUP).await {
        Ok(values) => setup_of(&values),
        Err(why) => nothing(SETUP, &why),
    };
    let why = Why::NotThere("the device tells it only in its log".to_owned());
    facts.unknown(SETUP, &why);
    facts
}

fn setup_of(values: &Dictionary) -> Facts {
    let mut facts = Facts::new();
    let done = match flag(values, "SetupFinishedAllSteps") {
        Err(Why::NotThere(_)) => flag(values, "SetupDone"),
        // A device that was updated says here that it has steps left, long after it was set up.
        Ok(false) => flag(values, "SetupDone").or(Ok(false)),
        other => other,
    };
    facts.tell("setup.state", either(done, "finished", "unfinished"));
    facts
}

/// P15.
pub(crate) async fn find_my(context: &ProbeContext) -> Facts {
    match context.domain(domain::FIND_MY).await {
        Ok(values) => {
            let mut facts = Facts::new();
            facts.tell("findmy.state", either(flag(&values, "IsAssociated"), "on", "off"));
            facts
        }
        Err(why) => nothing(FIND_MY, &why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Value;

    fn values<const N: usize>(pairs: [(&str, Plist); N]) -> Dictionary {
        Dictionary::from_iter(pairs)
    }

    fn is(facts: &Facts, key: &str, wanted: i64) -> bool {
        facts.value(key) == Some(&Value::Number(wanted))
    }

    #[test]
    fn storage_is_what_is_free_without_what_could_be_purged() {
        let facts = storage_of(&values([
            ("AmountDataAvailable", Plist::from(20_000)),
            ("TotalDataAvailable", Plist::from(90_000)),
            ("TotalDataCapacity", Plist::from(100_000)),
        ]));
        assert!(is(&facts, "storage.available", 20_000));
        assert!(is(&facts, "storage.free-share", 20) && is(&facts, "storage.used", 80_000));
        let impossible = storage_of(&values([
            ("AmountDataAvailable", Plist::from(20)),
            ("TotalDataCapacity", Plist::from(10)),
        ]));
        assert!(!impossible.value("storage.used").unwrap().is_known());
        let negative = storage_of(&values([("AmountDataAvailable", Plist::from(-1))]));
        assert!(!negative.value("storage.available").unwrap().is_known());
    }

    #[test]
    fn the_battery_is_read_and_nonsense_is_not_believed() {
        let facts = registry_of(&values([
            ("Temperature", Plist::from(4_150)),
            ("MaxCapacity", Plist::from(100)),
            ("AppleRawMaxCapacity", Plist::from(2_400)),
            ("DesignCapacity", Plist::from(3_000)),
        ]));
        assert!(is(&facts, "battery.temperature", 41) && is(&facts, "battery.health", 80));
        let facts = battery_of(&values([("BatteryCurrentCapacity", Plist::from(900))]));
        assert!(!facts.value("battery.level").unwrap().is_known());
    }

    #[test]
    fn a_date_is_read_in_every_form() {
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let day_before = 1_795_000_000 - 90_000;
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_794_910_000);
        for date in [
            Plist::from(day_before),
            Plist::Real(1_794_910_000.5),
            Plist::from(day_before - 978_307_200),
            Plist::Date(date.into()),
        ] {
            let facts = cloud_of(&values([("LastCloudBackupDate", date.clone())]), now);
            assert!(is(&facts, "icloud.age", 1), "{date:?}");
            assert!(!facts.value("icloud.backup").unwrap().is_known(), "absent is not off");
        }
        for date in [Plist::from("x"), Plist::from(i64::MAX), Plist::from(i64::MIN)] {
            let facts = cloud_of(&values([("LastCloudBackupDate", date)]), now);
            assert!(!facts.value("icloud.age").unwrap().is_known());
        }
    }

    #[test]
    fn absent_settings_of_computer_backups_are_off() {
        let facts = backup_of(&Dictionary::new());
        assert!(facts.is("backup.encrypted", "no"));
        for key in ["WillEncrypt", "RequiresEncryption"] {
            let facts = backup_of(&values([(key, Plist::from("yes"))]));
            for fact in ["backup.encrypted", "backup.encryption-required"] {
                assert!(!facts.value(fact).unwrap().is_known(), "{key}: {fact}");
            }
        }
    }

    #[test]
    fn setup_is_finished_when_it_was_once() {
        let done = values([("SetupDone", true.into()), ("SetupFinishedAllSteps", false.into())]);
        assert!(setup_of(&done).is("setup.state", "finished"));
        let left = values([("SetupDone", false.into())]);
        assert!(setup_of(&left).is("setup.state", "unfinished"));
        assert!(!setup_of(&Dictionary::new()).value("setup.state").unwrap().is_known());
    }
}
