//! The state of a phone: what its owner, its management and Apple have set on it, and what its hardware measures.
//!
//! [`State`] stands in the description of a phone (`[state]`), is kept over a restart, and is changed by `sim ctl set KEY=VALUE` and
//! by hosts where they may. Every service that tells something of it reads it here, so that they never contradict each other.

use serde::{Deserialize, Serialize};

/// Everything that can be set. The default is a healthy phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct State {
    /// Activated with Apple.
    pub activated: bool,
    /// The build is a beta.
    pub beta: bool,
    /// The iOS version it tells in place of its own, such as one that is newer than every program.
    pub version: Option<String>,
    /// Setup Assistant is done.
    pub setup_finished: bool,
    /// A restore from iCloud still runs in the background.
    pub restoring: bool,
    /// Find My is on.
    pub find_my: bool,
    /// Hosts may connect over Wi-Fi (`EnableWifiConnections`).
    pub wifi_sync: bool,
    /// Days since it was started.
    pub uptime_days: u32,
    /// What an aborted backup left on the phone, until it is restarted.
    pub leftover: Leftover,
    /// An app is being downloaded.
    pub downloading: bool,
    /// A VPN app from the store is installed.
    pub vpn_app: bool,
    /// Hours and minutes that its time zone is ahead of UTC, in seconds.
    pub utc_offset: i32,
    /// Flash memory.
    pub storage: Storage,
    /// Battery and charger.
    pub battery: Battery,
    /// Device management.
    pub management: Management,
    /// iCloud Backup.
    pub icloud: ICloud,
}

impl Default for State {
    fn default() -> Self {
        Self {
            activated: true,
            beta: false,
            version: None,
            setup_finished: true,
            restoring: false,
            find_my: true,
            wifi_sync: true,
            uptime_days: 2,
            leftover: Leftover::Nothing,
            downloading: false,
            vpn_app: false,
            utc_offset: 0,
            storage: Storage::default(),
            battery: Battery::default(),
            management: Management::default(),
            icloud: ICloud::default(),
        }
    }
}

/// What an aborted backup left behind (docs/protocol.md 9.1, codes 3, 14 and 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leftover {
    /// Nothing.
    Nothing,
    /// A snapshot of the file system: the next one cannot be made.
    Snapshot,
    /// Mounts of snapshots: there is no mount point left.
    Mounts,
    /// A snapshot that cannot be unmounted.
    Busy,
}

/// Flash memory; what is absent follows from the content of the phone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Storage {
    /// Bytes of the whole memory.
    pub capacity: Option<u64>,
    /// Bytes that are free without throwing anything away.
    pub available: Option<u64>,
}

/// Battery and charger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Battery {
    /// Charge in per cent.
    pub level: u8,
    /// It charges.
    pub charging: bool,
    /// Something gives power.
    pub external: bool,
    /// Temperature in degrees Celsius.
    pub temperature: i32,
    /// Full charge in per cent of the design capacity.
    pub health: u8,
}

impl Default for Battery {
    fn default() -> Self {
        Self { level: 83, charging: true, external: true, temperature: 28, health: 91 }
    }
}

/// Device management.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Management {
    /// Supervised by an organisation.
    pub supervised: bool,
    /// Who manages it.
    pub organization: Option<String>,
    /// It may be paired with other computers (`allowHostPairing`).
    pub allow_pairing: bool,
    /// It may be backed up to iCloud (`allowCloudBackup`).
    pub cloud_backup: bool,
    /// Computer backups have to be encrypted (`forceEncryptedBackup`).
    pub encrypted_backup: bool,
    /// Why computer backups are forbidden, when they are.
    pub forbids: Option<Forbids>,
    /// The configuration profiles that are installed.
    pub profiles: Vec<InstalledProfile>,
}

impl Default for Management {
    fn default() -> Self {
        Self {
            supervised: false,
            organization: None,
            allow_pairing: true,
            cloud_backup: true,
            encrypted_backup: false,
            forbids: None,
            profiles: Vec::new(),
        }
    }
}

/// Why management forbids computer backups (docs/protocol.md 9.1, code 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forbids {
    /// A setting of device management.
    Mdm,
    /// A device that several pupils share.
    Education,
    /// A device that was wiped for the next employee.
    ReturnToService,
    /// A behaviour option of Apple's own builds.
    Behaviour,
}

impl Forbids {
    /// The reason, as the fault `error` names it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Mdm => "mdm",
            Self::Education => "education",
            Self::ReturnToService => "return-to-service",
            Self::Behaviour => "behaviour",
        }
    }
}

/// A configuration profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InstalledProfile {
    /// What the person sees.
    pub name: String,
    /// `PayloadIdentifier`.
    pub identifier: String,
    /// `PayloadType` of each thing in it: `com.apple.vpn.managed`, `com.apple.applicationaccess` …
    #[serde(default)]
    pub payloads: Vec<String>,
}

/// iCloud Backup, as the phone knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ICloud {
    /// Back Up This iPhone is on.
    pub backup: bool,
    /// Whether lockdownd hands out `CloudBackupEnabled` and `LastCloudBackupDate`: nobody knows
    /// (docs/real-device.md), so both answers are played.
    pub told: bool,
    /// From which year the number in `LastCloudBackupDate` counts.
    pub epoch: Epoch,
    /// A backup was finished once.
    pub ever: bool,
    /// Hours from the last backup to the moment the phone was first used in a simulation.
    pub age_hours: u32,
    /// Failures in a row since.
    pub failures: u32,
    /// The error of the last failure, a code of `MBErrorDomain`.
    pub error: Option<i64>,
    /// The text of that error.
    pub error_text: Option<String>,
    /// Hours from the first use to the moment before which it does not try again.
    pub retry_hours: Option<i32>,
    /// Failures because files had no key.
    pub missing_key_failures: u32,
    /// What was missing in the last windows in which it could have been made.
    pub window_missing: Option<WindowMissing>,
    /// Files that the last backup had to leave out.
    pub skipped_files: u32,
    /// Bytes of the next backup, as the phone worked them out.
    pub next_bytes: Option<u64>,
}

impl Default for ICloud {
    fn default() -> Self {
        Self {
            backup: true,
            told: true,
            epoch: Epoch::Unix,
            ever: true,
            age_hours: 9,
            failures: 0,
            error: None,
            error_text: None,
            retry_hours: None,
            missing_key_failures: 0,
            window_missing: None,
            skipped_files: 0,
            next_bytes: None,
        }
    }
}

/// From which year a number of seconds counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Epoch {
    /// 1970.
    Unix,
    /// 2001, as Apple's frameworks do.
    Cocoa,
}

/// What a window lacked in which an iCloud backup could have been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowMissing {
    /// Power.
    Power,
    /// Wi-Fi.
    Wifi,
    /// A locked screen.
    Locked,
    /// The switch.
    Enabled,
    /// Time: the windows were too short.
    TooShort,
}

impl State {
    /// Sets one key, as `battery.level` to `15`; no text sets it back to what it is on a healthy phone.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), StateError> {
        let refuse = || StateError { key: key.to_owned(), value: text.to_owned() };
        let literal = toml::from_str::<toml::Table>(&format!("value = {text}"));
        let literal = literal.ok().and_then(|mut table| table.remove("value"));
        let spelled = Some(toml::Value::String(text.to_owned()));
        let choices = if text.is_empty() { vec![None] } else { vec![literal, spelled] };
        for choice in choices {
            if text.is_empty() != choice.is_none() {
                continue;
            }
            let mut table = toml::Table::try_from(&*self).map_err(|_| refuse())?;
            put(&mut table, key, choice).ok_or_else(refuse)?;
            if let Ok(state) = table.try_into() {
                *self = state;
                return Ok(());
            }
        }
        Err(refuse())
    }
}

/// Puts a value at a path of names with dots; nothing where the path leads through no table.
fn put(table: &mut toml::Table, key: &str, value: Option<toml::Value>) -> Option<()> {
    if let Some((first, rest)) = key.split_once('.') {
        return put(table.get_mut(first)?.as_table_mut()?, rest, value);
    }
    match value {
        Some(value) => drop(table.insert(key.to_owned(), value)),
        None => drop(table.remove(key)),
    }
    Some(())
}

/// A state that no phone has.
#[derive(Debug, thiserror::Error)]
#[error("a phone has no state `{key}` that could be `{value}`")]
pub struct StateError {
    /// What was to be set.
    pub key: String,
    /// To what.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_set_by_its_path() {
        let mut state = State::default();
        for (key, value) in [
            ("battery.level", "15"),
            ("icloud.error", "303"),
            ("icloud.window-missing", "power"),
            ("management.forbids", "return-to-service"),
            ("version", "28.0"),
            ("setup-finished", "false"),
            (
                "management.profiles",
                "[{ name = \"VPN\", identifier = \"a\", payloads = [\"com.apple.vpn.managed\"] }]",
            ),
        ] {
            state.set(key, value).unwrap();
        }
        assert_eq!((state.battery.level, state.icloud.error), (15, Some(303)));
        assert_eq!(state.icloud.window_missing, Some(WindowMissing::Power));
        assert_eq!(state.management.forbids, Some(Forbids::ReturnToService));
        assert_eq!(state.version.as_deref(), Some("28.0"), "a number that is a text");
        assert_eq!(state.management.profiles.len(), 1);
        assert!(!state.setup_finished);
        for key in ["icloud.error", "setup-finished", "version"] {
            state.set(key, "").unwrap();
        }
        assert_eq!(
            (state.icloud.error, state.setup_finished, state.version.clone()),
            (None, true, None)
        );
        let before = state.clone();
        for (key, value) in [
            ("battery.level", "full"),
            ("battery", "5"),
            ("battery.level", "300"),
            ("colour", "red"),
            ("battery.level.deep", "1"),
            ("icloud.epoch", "1904"),
        ] {
            assert!(state.set(key, value).is_err(), "{key}={value}");
        }
        assert_eq!(state, before);
    }
}
