//! What the phone tells about itself (docs/protocol.md, values).

use lifeboat_wire::lockdown::{ErrorWord, domain};
use plist::{Dictionary, Value};

use super::requests::{Refusal, keys};
use crate::diary;
use crate::fault::twisted;
use crate::options::Ios;
use crate::phone::Phone;
use crate::state::Battery;

/// Keys of the global domain that everybody may read.
const PUBLIC: &[&str] = &[
    "BasebandVersion",
    "BoardId",
    "BuildVersion",
    "CPUArchitecture",
    "ChipID",
    "DeviceClass",
    "DeviceName",
    "DevicePublicKey",
    "DieID",
    "HardwareModel",
    "HardwarePlatform",
    "HasSiDP",
    "PartitionType",
    "ProductName",
    "ProductType",
    "ProductVersion",
    "ProductionSOC",
    "ProtocolVersion",
    "SupportedDeviceFamilies",
    "TelephonyCapability",
    "UniqueChipID",
    "UniqueDeviceID",
    "WiFiAddress",
];

/// Keys that exist and that nobody may read.
const HIDDEN: &[&str] = &["ActivationPrivateKey", "DevicePrivateKey", "EscrowBag"];

/// Domains that exist; those without a function of their own are empty.
const DOMAINS: &[&str] = &[
    "com.apple.Accessibility",
    "com.apple.PurpleBuddy",
    "com.apple.disk_usage",
    "com.apple.disk_usage.factory",
    "com.apple.fairplay",
    "com.apple.fmip",
    "com.apple.iTunes",
    "com.apple.international",
    "com.apple.iqagent",
    "com.apple.mobile.backup",
    "com.apple.mobile.battery",
    "com.apple.mobile.chaperone",
    "com.apple.mobile.data_sync",
    "com.apple.mobile.iTunes",
    "com.apple.mobile.iTunes.SQLMusicLibraryPostProcessCommands",
    "com.apple.mobile.iTunes.accessories",
    "com.apple.mobile.iTunes.store",
    "com.apple.mobile.internal",
    "com.apple.mobile.lockdown_cache",
    "com.apple.mobile.lockdownd",
    "com.apple.mobile.mobile_application_usage",
    "com.apple.mobile.nikita",
    "com.apple.mobile.restriction",
    "com.apple.mobile.software_behavior",
    "com.apple.mobile.sync_data_class",
    "com.apple.mobile.tethered_sync",
    "com.apple.mobile.third_party_termination",
    "com.apple.mobile.user_preferences",
    "com.apple.mobile.wireless_lockdown",
    "com.apple.purplebuddy",
    "com.apple.security.mac.amfi",
    "com.apple.xcode.developerdomain",
];

/// The domain with one dictionary a kind of data that a computer could sync.
const DATA_SYNC: &str = "com.apple.mobile.data_sync";

/// Returns a value, a domain, or the global domain; with the fault `wrong-types` all but the key are of a type they never are.
pub(super) fn get(
    phone: &Phone,
    domain: Option<&str>,
    key: Option<&str>,
    trusted: bool,
) -> Result<Value, ErrorWord> {
    let value = get_right(phone, domain, key, trusted)?;
    let wrong = phone.faults.is_on("wrong-types") && key != Some("DevicePublicKey");
    Ok(match value {
        value if !wrong => value,
        Value::Dictionary(values) if key.is_none() => values
            .into_iter()
            .map(|(key, value)| (key, twisted(value)))
            .collect::<Dictionary>()
            .into(),
        value => twisted(value),
    })
}

fn get_right(
    phone: &Phone,
    domain: Option<&str>,
    key: Option<&str>,
    trusted: bool,
) -> Result<Value, ErrorWord> {
    let Some(name) = domain else { return get_global(phone, key, trusted) };
    if !trusted {
        return Err(ErrorWord::SessionInactive);
    }
    if name == DATA_SYNC && phone.is_locked() {
        return Err(ErrorWord::PasswordProtected);
    }
    let values = if DOMAINS.contains(&name) { of_domain(phone, name) } else { Dictionary::new() };
    match key {
        None => Ok(Value::Dictionary(values)),
        Some(key) => values.get(key).cloned().ok_or(ErrorWord::MissingValue),
    }
}

fn get_global(phone: &Phone, key: Option<&str>, trusted: bool) -> Result<Value, ErrorWord> {
    let mut values = global(phone);
    let Some(key) = key else {
        if !trusted {
            values = values.into_iter().filter(|(key, _)| PUBLIC.contains(&key.as_str())).collect();
        }
        return Ok(Value::Dictionary(values));
    };
    if HIDDEN.contains(&key) {
        return Err(ErrorWord::GetProhibited);
    }
    let value = values.get(key).cloned().ok_or(ErrorWord::MissingValue)?;
    if trusted || PUBLIC.contains(&key) { Ok(value) } else { Err(ErrorWord::SessionInactive) }
}

/// Changes a value, where hosts may.
pub(super) fn set(
    phone: &Phone,
    domain: Option<&str>,
    key: &str,
    value: &Value,
) -> Result<(), ErrorWord> {
    let changed = match (domain, key, value) {
        (None, "DeviceName", Value::String(name)) if !name.is_empty() => {
            phone.remember(|memory| memory.name.clone_from(name))
        }
        (Some(domain::WIRELESS_LOCKDOWN), "EnableWifiConnections", Value::Boolean(on)) => {
            phone.remember(|memory| memory.state.wifi_sync = *on)
        }
        (Some(domain::WIRELESS_LOCKDOWN), "EnableWifiDebugging", Value::Boolean(on)) => {
            phone.remember(|memory| memory.wifi_debugging = *on)
        }
        // A phone whose clock was put right stays right.
        (None, "TimeIntervalSince1970", Value::Real(_) | Value::Integer(_)) => {
            phone.set_clock(seconds(value));
            Ok(())
        }
        (None, key, _) if global(phone).contains_key(key) => return Err(ErrorWord::ImmutableValue),
        _ => return Err(ErrorWord::SetProhibited),
    };
    Ok(changed.map_err(Refusal::from)?)
}

fn seconds(value: &Value) -> f64 {
    let whole = value.as_signed_integer().and_then(|seconds| i32::try_from(seconds).ok());
    value.as_real().or_else(|| whole.map(f64::from)).unwrap_or_default()
}

/// Removes a value, where hosts may: switches of Wi-Fi go back to off.
pub(super) fn remove(phone: &Phone, domain: Option<&str>, key: &str) -> Result<(), ErrorWord> {
    if domain == Some(domain::WIRELESS_LOCKDOWN) {
        return set(phone, domain, key, &Value::Boolean(false))
            .map_err(|_| ErrorWord::RemoveProhibited);
    }
    Err(ErrorWord::RemoveProhibited)
}

fn of_domain(phone: &Phone, name: &str) -> Dictionary {
    match name {
        domain::BACKUP => backup(phone),
        domain::BATTERY => battery(&phone.state().battery),
        domain::DISK_USAGE => disk_usage(phone),
        domain::FIND_MY => keys([("IsAssociated", phone.state().find_my.into())]),
        domain::ITUNES => itunes(),
        domain::MOBILE_ITUNES => mobile_itunes(),
        domain::INTERNATIONAL => international(),
        // The domain is written both ways.
        domain::SETUP | "com.apple.PurpleBuddy" => setup(phone),
        domain::WIRELESS_LOCKDOWN => wireless(phone),
        "com.apple.disk_usage.factory" => factory(phone),
        "com.apple.Accessibility" => keys([
            ("InvertDisplayEnabledByiTunes", Value::from(0)),
            ("VoiceOverTouchEnabledByiTunes", Value::from(0)),
            ("ZoomTouchEnabledByiTunes", Value::from(0)),
        ]),
        "com.apple.mobile.lockdownd" => keys([("ProtocolVersion", "2".into())]),
        "com.apple.mobile.restriction" => keys([("ProhibitAppInstall", Value::Boolean(false))]),
        "com.apple.mobile.software_behavior" => keys([("GoogleMail", Value::Boolean(false))]),
        "com.apple.security.mac.amfi" => keys([("DeveloperModeStatus", Value::Boolean(false))]),
        "com.apple.xcode.developerdomain" => keys([("DeveloperStatus", "Production".into())]),
        DATA_SYNC => data_sync(),
        _ => Dictionary::new(),
    }
}

/// The global domain.
fn global(phone: &Phone) -> Dictionary {
    let identity = &phone.identity;
    let model = &identity.model;
    let memory = phone.memory();
    let now = phone.now();
    let state = &memory.state;
    let activation = if state.activated { "Activated" } else { "Unactivated" };
    let zone = if state.utc_offset == 0 { "Europe/London" } else { "Asia/Tokyo" };
    let mut values = keys([
        ("ActivationState", activation.into()),
        ("ActivationStateAcknowledged", Value::Boolean(true)),
        ("BasebandStatus", "BBInfoAvailable".into()),
        ("BasebandVersion", baseband(phone.ios()).into()),
        ("BluetoothAddress", identity.bluetooth_address.as_str().into()),
        ("BoardId", model.board_id.into()),
        ("BrickState", Value::Boolean(false)),
        ("BuildVersion", phone.build().into()),
        ("CPUArchitecture", model.cpu.into()),
        ("ChipID", model.chip_id.into()),
        ("DeviceClass", "iPhone".into()),
        ("DeviceColor", "1".into()),
        ("DeviceName", memory.name.into()),
        ("DevicePublicKey", Value::Data(phone.key.public_pem().into_bytes())),
        ("DieID", identity.ecid.into()),
        ("EthernetAddress", identity.ethernet_address.as_str().into()),
        ("HardwareModel", model.hardware_model.into()),
        ("HardwarePlatform", model.hardware_platform.into()),
        ("HasSiDP", Value::Boolean(true)),
        ("HostAttached", Value::Boolean(true)),
        ("MLBSerialNumber", format!("{}MLB", identity.serial).into()),
        ("ModelNumber", model.model_number.into()),
        ("NonVolatileRAM", Value::Dictionary(keys([("auto-boot", Value::Data(b"true".to_vec()))]))),
        ("PartitionType", "GUID_partition_scheme".into()),
        ("PasswordProtected", Value::Boolean(phone.is_locked())),
        ("ProductName", "iPhone OS".into()),
        ("ProductType", model.product_type.into()),
        ("ProductVersion", phone.version().into()),
        ("ProductionSOC", Value::Boolean(true)),
        ("ProtocolVersion", "2".into()),
        ("RegionInfo", "B/A".into()),
        ("SerialNumber", identity.serial.as_str().into()),
        ("SoftwareBehavior", Value::Data(vec![0x11, 0, 0, 0, 0, 0, 0, 0])),
        ("SoftwareBundleVersion", "".into()),
        ("SupportedDeviceFamilies", Value::Array(vec![Value::from(1)])),
        ("TelephonyCapability", Value::Boolean(true)),
        ("TimeIntervalSince1970", Value::Real(now.as_duration().as_secs_f64())),
        ("TimeZone", zone.into()),
        ("TimeZoneOffsetFromUTC", Value::Real(f64::from(state.utc_offset))),
        ("TrustedHostAttached", Value::Boolean(!memory.hosts.is_empty())),
        ("UniqueChipID", identity.ecid.into()),
        ("UniqueDeviceID", identity.udid.as_str().into()),
        ("UseRaptorCerts", Value::Boolean(true)),
        ("Uses24HourClock", Value::Boolean(true)),
        ("WiFiAddress", identity.wifi_address.as_str().into()),
    ]);
    values.extend(telephone(phone));
    values
}

fn telephone(phone: &Phone) -> Dictionary {
    let identity = &phone.identity;
    let [imei, imei2] = &identity.imei;
    keys([
        ("IntegratedCircuitCardIdentity", identity.iccid.as_str().into()),
        ("InternationalMobileEquipmentIdentity", imei.as_str().into()),
        ("InternationalMobileEquipmentIdentity2", imei2.as_str().into()),
        ("InternationalMobileSubscriberIdentity", identity.imsi.as_str().into()),
        ("MobileEquipmentIdentifier", identity.meid.as_str().into()),
        ("MobileSubscriberCountryCode", "234".into()),
        ("MobileSubscriberNetworkCode", "10".into()),
        ("PhoneNumber", identity.phone_number.as_str().into()),
        ("SIMStatus", "kCTSIMSupportSIMStatusReady".into()),
    ])
}

fn baseband(ios: Ios) -> &'static str {
    match ios {
        Ios::V15_7 => "8.40.01",
        Ios::V16_1 => "7.21.00",
        Ios::V17 => "4.00.00",
        Ios::V18 => "4.00.01",
        Ios::V26_4 => "1.60.02",
    }
}

/// `WillEncrypt` is absent until a backup password was set once. What there is of iCloud is handed out or not.
fn backup(phone: &Phone) -> Dictionary {
    let memory = phone.memory();
    let icloud = &memory.state.icloud;
    let mut values = keys([
        ("RequiresEncryption", memory.state.management.encrypted_backup.into()),
        ("Version", "3.3".into()),
    ]);
    if let Some(will) = memory.will_encrypt {
        values.insert("WillEncrypt".to_owned(), will.into());
    }
    if icloud.told {
        values.insert("CloudBackupEnabled".to_owned(), icloud.backup.into());
        if let Some(last) = diary::last_backup(&memory) {
            let date = diary::counted(icloud, last);
            values.insert("LastCloudBackupDate".to_owned(), date);
            values.insert("LastCloudBackupTZ".to_owned(), "GMT".into());
        }
    }
    values
}

fn battery(battery: &Battery) -> Dictionary {
    keys([
        ("BatteryCurrentCapacity", battery.level.into()),
        ("BatteryIsCharging", battery.charging.into()),
        ("ExternalChargeCapable", battery.external.into()),
        ("ExternalConnected", battery.external.into()),
        ("FullyCharged", (battery.level == 100).into()),
        ("GasGaugeCapability", Value::Boolean(true)),
        ("HasBattery", Value::Boolean(true)),
    ])
}

/// What the system takes of the flash memory.
const SYSTEM: u64 = 12_000_000_000;

/// Space, from what is really on the phone.
fn disk_usage(phone: &Phone) -> Dictionary {
    let space = phone.space();
    let data = space.total.saturating_sub(SYSTEM);
    let free = space.free.min(data);
    // From iOS 17 what the system could throw away counts as free here, and here only.
    let purgeable = if phone.ios() >= Ios::V17 { (data - free) / 20 } else { 0 };
    keys([
        ("AmountDataAvailable", free.into()),
        ("AmountDataReserved", 209_715_200u64.into()),
        ("AmountRestoreAvailable", (free + purgeable).into()),
        ("CalculateDiskUsage", "OkilyDokily".into()),
        ("NANDInfo", Value::Data(vec![0; 16])),
        ("TotalDataAvailable", (free + purgeable).into()),
        ("TotalDataCapacity", data.into()),
        ("TotalDiskCapacity", space.total.into()),
        ("TotalSystemAvailable", 0u64.into()),
        ("TotalSystemCapacity", SYSTEM.into()),
    ])
}

fn factory(phone: &Phone) -> Dictionary {
    let total = phone.space().total;
    keys([
        ("TotalDiskCapacity", total.into()),
        ("TotalDataCapacity", total.saturating_sub(SYSTEM).into()),
        ("TotalSystemCapacity", SYSTEM.into()),
    ])
}

fn itunes() -> Dictionary {
    keys([
        ("DBVersion", Value::from(5)),
        ("GaplessMusicSupport", Value::Boolean(true)),
        ("LibraryApplications", Value::Array(vec!["com.apple.mobileipod".into()])),
    ])
}

fn mobile_itunes() -> Dictionary {
    let classes = ["Contacts", "Calendars", "Bookmarks", "Notes"];
    keys([
        ("MinITunesVersion", "12.8.0".into()),
        ("MinMacOSVersion", "10.13".into()),
        ("SyncDataClasses", Value::Array(classes.map(Value::from).to_vec())),
    ])
}

fn international() -> Dictionary {
    let languages = ["en", "en-GB", "de", "fr", "es"];
    keys([
        ("Keyboard", "en_GB".into()),
        ("Language", "en".into()),
        ("Locale", "en_GB".into()),
        ("SupportedKeyboards", Value::Array(vec!["en_GB".into(), "de_DE".into()])),
        ("SupportedLanguages", Value::Array(languages.map(Value::from).to_vec())),
        ("SupportedLocales", Value::Array(vec!["en_GB".into(), "de_DE".into()])),
    ])
}

fn setup(phone: &Phone) -> Dictionary {
    let state = phone.state();
    let word = if state.setup_finished { "SetupUsingAssistant" } else { "SetupPartial" };
    let mut values = keys([
        ("SetupDone", state.setup_finished.into()),
        ("SetupFinishedAllSteps", state.setup_finished.into()),
        ("SetupState", word.into()),
    ]);
    if state.restoring {
        values.insert("RestoreState".to_owned(), "RestoreInProgress".into());
    }
    values
}

fn wireless(phone: &Phone) -> Dictionary {
    let memory = phone.memory();
    keys([
        ("EnableWifiConnections", memory.state.wifi_sync.into()),
        ("EnableWifiDebugging", Value::Boolean(memory.wifi_debugging)),
    ])
}

/// Everything lies on the phone itself, not in an account.
fn data_sync() -> Dictionary {
    let on_phone = || {
        let lists = [("AccountNames", Value::Array(vec![])), ("Sources", Value::Array(vec![]))];
        Value::Dictionary(keys(lists))
    };
    keys([
        ("Bookmarks", on_phone()),
        ("Calendars", on_phone()),
        ("Contacts", on_phone()),
        ("Notes", on_phone()),
    ])
}
