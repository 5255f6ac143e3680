//! What `ideviceinfo` reads is what the simulated phone is: every domain that the tool knows.

use std::collections::BTreeMap;

use lifeboat_testkit::{Home, Sim};

/// Domains with values that do not hang on the phone, as the tool prints them; those that it knows and that are in none of the tables
/// here are empty on a phone.
const FIXED: [(&str, &str); 11] = [
    (
        "com.apple.mobile.battery",
        "BatteryCurrentCapacity: 83\nBatteryIsCharging: true\nExternalChargeCapable: true\nExternalConnected: true\n\
         FullyCharged: false\nGasGaugeCapability: true\nHasBattery: true\n",
    ),
    (
        "com.apple.purplebuddy",
        "SetupDone: true\nSetupFinishedAllSteps: true\nSetupState: SetupUsingAssistant\n",
    ),
    (
        "com.apple.PurpleBuddy",
        "SetupDone: true\nSetupFinishedAllSteps: true\nSetupState: SetupUsingAssistant\n",
    ),
    ("com.apple.mobile.lockdownd", "ProtocolVersion: 2\n"),
    ("com.apple.xcode.developerdomain", "DeveloperStatus: Production\n"),
    (
        "com.apple.international",
        "Keyboard: en_GB\nLanguage: en\nLocale: en_GB\nSupportedKeyboards[2]: \n 0: en_GB\n 1: de_DE\n\
         SupportedLanguages[5]: \n 0: en\n 1: en-GB\n 2: de\n 3: fr\n 4: es\n\
         SupportedLocales[2]: \n 0: en_GB\n 1: de_DE\n",
    ),
    (
        "com.apple.mobile.data_sync",
        "Bookmarks: \n AccountNames[0]: \n Sources[0]: \nCalendars: \n AccountNames[0]: \n Sources[0]: \n\
         Contacts: \n AccountNames[0]: \n Sources[0]: \nNotes: \n AccountNames[0]: \n Sources[0]: \n",
    ),
    ("com.apple.mobile.restriction", "ProhibitAppInstall: false\n"),
    ("com.apple.mobile.software_behavior", "GoogleMail: false\n"),
    (
        "com.apple.iTunes",
        "DBVersion: 5\nGaplessMusicSupport: true\nLibraryApplications[1]: \n 0: com.apple.mobileipod\n",
    ),
    (
        "com.apple.mobile.iTunes",
        "MinITunesVersion: 12.8.0\nMinMacOSVersion: 10.13\n\
         SyncDataClasses[4]: \n 0: Contacts\n 1: Calendars\n 2: Bookmarks\n 3: Notes\n",
    ),
];

/// Domains with values of this phone; checked one by one.
const OWN: [&str; 4] = [
    "com.apple.disk_usage",
    "com.apple.disk_usage.factory",
    "com.apple.mobile.backup",
    "com.apple.mobile.wireless_lockdown",
];

/// What the tool prints of a domain, or of the global one.
fn told(home: &Home, domain: Option<&str>) -> String {
    let tool = home.command("ideviceinfo");
    let run =
        domain.map_or(tool.ok(), |domain| home.command("ideviceinfo").args(["-q", domain]).ok());
    assert!(!run.err().contains("ERROR"), "{domain:?}: {run}");
    run.out()
}

fn pairs(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(": ")).collect()
}

/// Reads every domain, and compares it with what the phone is; gives back how many bytes are taken on it.
pub(crate) fn are_those_of_the_phone(home: &Home, sim: &Sim, ios: &str, build: &str) -> u64 {
    global(home, sim, ios, build);
    for domain in known(home) {
        if OWN.contains(&domain.as_str()) {
            continue;
        }
        let wanted = FIXED.iter().find(|(name, _)| *name == domain).map_or("", |(_, text)| text);
        assert_eq!(told(home, Some(&domain)), wanted, "{domain}");
    }
    let wireless = told(home, Some("com.apple.mobile.wireless_lockdown"));
    assert_eq!(wireless, "EnableWifiConnections: true\nEnableWifiDebugging: false\n");
    let told_of_backup = told(home, Some("com.apple.mobile.backup"));
    let mut backup = pairs(&told_of_backup);
    let date = backup.remove("LastCloudBackupDate").and_then(|date| date.parse::<i64>().ok());
    assert!(date.is_some_and(|date| date > 1_700_000_000), "{told_of_backup}");
    let wanted = [
        ("CloudBackupEnabled", "true"),
        ("LastCloudBackupTZ", "GMT"),
        ("RequiresEncryption", "false"),
        ("Version", "3.3"),
    ];
    assert_eq!(backup, BTreeMap::from(wanted));
    disk(home, ios)
}

fn global(home: &Home, sim: &Sim, ios: &str, build: &str) {
    let state = sim.ctl(home, &["state"]).json();
    let all = told(home, None);
    let all = pairs(&all);
    let expected = [
        ("UniqueDeviceID", sim.udid()),
        ("DeviceName", state["name"].as_str().expect("a name")),
        ("ProductVersion", ios),
        ("BuildVersion", build),
        ("ProductName", "iPhone OS"),
        ("DeviceClass", "iPhone"),
        ("ActivationState", "Activated"),
        ("PasswordProtected", "false"),
        ("TrustedHostAttached", "true"),
        ("TimeZone", "Europe/London"),
    ];
    for (key, value) in expected {
        assert_eq!(all.get(key), Some(&value), "{key}");
    }
    assert_eq!(state["ios"], ios);
    // The identifier is made of the chip and its number; that of an old phone is a digest (docs/protocol.md).
    let number = |key: &str| all[key].parse::<u64>().expect("a number");
    if ios == "15.7" {
        assert_eq!(sim.udid().len(), 40);
    } else {
        assert_eq!(format!("{:08X}-{:016X}", number("ChipID"), number("UniqueChipID")), sim.udid());
    }
    for key in ["SerialNumber", "ProductType", "HardwareModel", "WiFiAddress", "PhoneNumber"] {
        assert!(all.get(key).is_some_and(|value| !value.is_empty()), "{key} is missing");
    }
}

/// The domains in the tool's own help.
fn known(home: &Home) -> Vec<String> {
    let usage = home.command("ideviceinfo").arg("-h").ok().out();
    let (_, after) = usage.split_once("Known domains are:").expect("a list of domains");
    let domains: Vec<String> = after
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("com.apple."))
        .map(str::to_owned)
        .collect();
    for domain in FIXED.iter().map(|(domain, _)| *domain).chain(OWN) {
        assert!(domains.iter().any(|known| known == domain), "the tool no longer knows {domain}");
    }
    domains
}

/// Numbers of the disk; gives back how many bytes of it the phone's own data take.
fn disk(home: &Home, ios: &str) -> u64 {
    let (usage, factory) = (
        told(home, Some("com.apple.disk_usage")),
        told(home, Some("com.apple.disk_usage.factory")),
    );
    let (usage, factory) = (pairs(&usage), pairs(&factory));
    let number = |key: &str| -> u64 { usage[key].parse().expect("a number of bytes") };
    for key in ["TotalDiskCapacity", "TotalDataCapacity", "TotalSystemCapacity"] {
        assert_eq!(factory[key], usage[key], "{key}");
    }
    let (data, free) = (number("TotalDataCapacity"), number("AmountDataAvailable"));
    assert_eq!(number("TotalDiskCapacity"), 128_000_000_000);
    assert_eq!(data + number("TotalSystemCapacity"), number("TotalDiskCapacity"));
    assert!(free < data, "{usage:?}");
    // What could be purged counts as available from iOS 17 (docs/protocol.md).
    let old = ios == "15.7";
    assert_eq!(number("TotalDataAvailable") == free, old, "{usage:?}");
    assert_eq!(usage["CalculateDiskUsage"], "OkilyDokily");
    data - free
}
