//! What a simulated phone is: the options of a server and the TOML description of one phone.

mod encryption;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

pub use encryption::{EmptyFiles, EncryptionSpec, History, Password, Rekey, Reuse, RuleError};

use crate::disk::{Life, Profile};
use crate::state::State;

/// Tells the time; the host's clock is passed in, so that tests can set it.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// Where the simulated usbmuxd listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 takes any free one.
    Tcp(SocketAddr),
    /// The path of a UNIX socket, which is made (and replaced, when nobody serves it any more).
    Unix(Utf8PathBuf),
}

impl Listen {
    /// Any free port of this machine.
    pub fn loopback() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

impl FromStr for Listen {
    type Err = OptionsError;

    /// Reads `HOST:PORT`, `UNIX:path`, `unix://path` or a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("UNIX:")) {
            if path.is_empty() {
                return Err(OptionsError::Listen { text: text.to_owned() });
            }
            return Ok(Self::Unix(path.into()));
        }
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| OptionsError::Listen { text: text.to_owned() })
    }
}

/// Everything a server of simulated phones needs to know.
#[derive(Clone)]
pub struct Options {
    /// Where the usbmuxd socket is.
    pub listen: Listen,
    /// The folder that keeps phones, pair records and the control socket; made with mode 0700.
    pub state: Utf8PathBuf,
    /// The phones that are plugged in.
    pub phones: Vec<PhoneSpec>,
    /// The clock of the host, which is also the phones' unless the fault `clock` is on.
    pub clock: Clock,
    /// Leave the trust dialog and the passcode sheet to `ctl` instead of answering them at once.
    pub ask: bool,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("state", &self.state)
            .field("phones", &self.phones)
            .field("ask", &self.ask)
            .finish_non_exhaustive()
    }
}

/// One phone, as its TOML file describes it. Every field has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct PhoneSpec {
    /// The name its owner gave it.
    pub name: String,
    /// Its identifier; made from the seed when absent.
    pub udid: Option<String>,
    /// The iOS version it runs.
    pub ios: Ios,
    /// How much is on it.
    pub profile: Profile,
    /// Everything random about the phone follows from this number.
    pub seed: u64,
    /// Days of life after the first content, lived before the phone is first seen.
    pub days: u32,
    /// What real phones do differently.
    pub knobs: Knobs,
    /// Its backup password, and how it encrypts.
    pub encryption: EncryptionSpec,
    /// What is set on it and measured by it, when it is first used.
    pub state: State,
    /// What its processes write into the log.
    pub log: LogSpec,
    /// What it does wrong from the start, as `sim ctl fault`.
    pub fault: Vec<FaultSpec>,
}

/// What the processes of a phone write into its log without being asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct LogSpec {
    /// Lines that every listener hears at once: `PROCESS: TEXT`, `PROCESS/LEVEL: TEXT`, or just the text of backupd. What a customer's
    /// phone hides stands as `<private:WHAT>`.
    pub lines: Vec<String>,
    /// Apple's logging profile is installed: nothing is hidden.
    pub private: bool,
}

/// A fault that is on from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpec {
    /// Its name.
    pub name: String,
    /// Values of its keys.
    #[serde(flatten)]
    pub values: BTreeMap<String, FaultValue>,
}

/// A value of a fault's key: a number, a text or a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FaultValue {
    /// `code = 105`
    Number(i64),
    /// `at = "space"`
    Text(String),
}

impl FaultSpec {
    /// Returns the values as `sim ctl fault` gives them.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let text = |value: &FaultValue| match value {
            FaultValue::Number(number) => number.to_string(),
            FaultValue::Text(text) => text.clone(),
        };
        self.values.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }
}

impl Default for PhoneSpec {
    fn default() -> Self {
        Self {
            name: "Robin's iPhone".to_owned(),
            udid: None,
            ios: Ios::V18,
            profile: Profile::Tiny,
            seed: 1,
            days: 0,
            knobs: Knobs::default(),
            encryption: EncryptionSpec::default(),
            state: State::default(),
            log: LogSpec::default(),
            fault: Vec::new(),
        }
    }
}

impl PhoneSpec {
    /// Refuses what no phone could be.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.knobs.check()?;
        self.encryption.check()
    }

    /// Reads a phone from TOML.
    pub fn from_toml(text: &str) -> Result<Self, OptionsError> {
        toml::from_str(text).map_err(|source| OptionsError::Toml { source })
    }
}

/// What real phones do differently from one another, or from what is known for sure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Knobs {
    /// The DeviceLink version the phone offers: 300 or 400; 500 is a phone newer than all programs.
    pub devicelink: u32,
    /// Data bytes in one upload frame, 1 to 1 MiB.
    pub chunk: usize,
    /// Seed of the order in which the 512 folders are made; 0 = ascending.
    pub directory_order: u64,
    /// How the phone makes the next `Manifest.db`.
    pub manifest: ManifestKnob,
    /// What a day of its life brings.
    pub life: Life,
    /// Folders of which `Manifest.db` alone tells, each with attributes that fill a page: a large one without a large phone.
    pub more_folders: u32,
    /// Whether every backup asks for the passcode; absent = as the iOS version does (from 15.7.1).
    pub passcode_prompt: Option<bool>,
    /// The phone starts plugged in.
    pub plugged: bool,
    /// Whether the phone has a passcode at all.
    pub passcode: bool,
    /// The phone starts with its screen locked.
    pub locked: bool,
    /// The phone starts restarted and not yet unlocked.
    pub before_first_unlock: bool,
    /// Bytes a second that a connection of the phone can send; absent = as fast as it goes.
    pub throttle: Option<u64>,
    /// Largest piece the phone writes at once, which cuts frames in the middle; absent = whole.
    /// libimobiledevice 1.3.0 gives up on pieces under 4 bytes, in which a length is cut.
    pub fragment: Option<usize>,
    /// TLS versions the phone speaks.
    pub tls: TlsKnob,
    /// Whether the phone says goodbye in TLS before it closes; real ones often do not.
    pub close_notify: bool,
    /// Milliseconds the owner takes to answer the trust dialog or the passcode sheet.
    pub owner_delay_ms: u64,
    /// Seconds after which an unanswered passcode sheet goes away.
    pub passcode_timeout: u64,
    /// Seconds a started service waits for the host to connect.
    pub accept_window: u64,
    /// Seconds without a request after which lockdownd closes a connection.
    pub lockdown_idle: u64,
    /// Seconds the phone is silent while it looks through its files.
    pub scan_silence: u64,
    /// Seconds from a restart to the moment the phone is on the bus again.
    pub restart_seconds: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            devicelink: 300,
            chunk: 32 * 1024,
            directory_order: 1,
            manifest: ManifestKnob::InPlace,
            life: Life::Whole,
            more_folders: 0,
            passcode_prompt: None,
            plugged: true,
            passcode: true,
            locked: false,
            before_first_unlock: false,
            throttle: None,
            fragment: None,
            tls: TlsKnob::Any,
            close_notify: false,
            owner_delay_ms: 0,
            passcode_timeout: 180,
            accept_window: 60,
            lockdown_idle: 60,
            scan_silence: 0,
            restart_seconds: 2,
        }
    }
}

/// How the phone makes the `Manifest.db` of an incremental backup; nobody knows which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManifestKnob {
    /// The last one, with rows replaced, added and removed.
    InPlace,
    /// A new one, with its rows in random order.
    Rebuilt,
}

/// Which TLS versions the phone speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsKnob {
    /// 1.2 and 1.3.
    #[serde(rename = "any")]
    Any,
    /// 1.2 only.
    #[serde(rename = "1.2")]
    V12,
    /// 1.3 only.
    #[serde(rename = "1.3")]
    V13,
}

/// An iOS version the simulator can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Ios {
    /// The last one that makes a backup without asking for the passcode.
    V15_7,
    /// The first one that asks for the passcode.
    V16_1,
    /// The first one with `RemoteXPC` beside lockdownd.
    V17,
    /// The one most phones had in 2025.
    V18,
    /// The one that hides the Wi-Fi address.
    V26_4,
}

impl Ios {
    /// All versions, oldest first.
    pub const ALL: [Self; 5] = [Self::V15_7, Self::V16_1, Self::V17, Self::V18, Self::V26_4];

    /// The version as lockdownd tells it.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V15_7 => "15.7",
            Self::V16_1 => "16.1",
            Self::V17 => "17.0",
            Self::V18 => "18.0",
            Self::V26_4 => "26.4",
        }
    }

    /// The build as lockdownd tells it.
    pub const fn build(self) -> &'static str {
        match self {
            Self::V15_7 => "19H12",
            Self::V16_1 => "20B82",
            Self::V17 => "21A329",
            Self::V18 => "22A3354",
            Self::V26_4 => "23E246",
        }
    }

    /// The build of a beta of this version: four digits that begin with 5, and a letter.
    pub fn beta_build(self) -> String {
        let letter = self.build().find(|letter: char| letter.is_ascii_uppercase()).unwrap_or(0);
        format!("{}5299m", self.build().get(..=letter).unwrap_or_default())
    }

    /// Whether every backup asks for the passcode (docs/protocol.md, passcode prompt).
    pub fn asks_passcode(self) -> bool {
        self >= Self::V16_1
    }
}

impl fmt::Display for Ios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

impl FromStr for Ios {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|ios| ios.version() == text || ios.version().strip_suffix(".0") == Some(text))
            .ok_or_else(|| OptionsError::Ios { text: text.to_owned() })
    }
}

impl TryFrom<String> for Ios {
    type Error = OptionsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Ios> for String {
    fn from(ios: Ios) -> Self {
        ios.version().to_owned()
    }
}

/// A description that cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Not an address to listen on.
    #[error("`{text}` is neither HOST:PORT nor the path of a socket")]
    Listen {
        /// What was given.
        text: String,
    },
    /// Not an iOS version the simulator plays.
    #[error("iOS `{text}` cannot be simulated; there are 15.7, 16.1, 17, 18 and 26.4")]
    Ios {
        /// What was given.
        text: String,
    },
    /// Not a phone description.
    #[error("the description of the phone is not valid")]
    Toml {
        /// What the TOML reader says.
        source: toml::de::Error,
    },
    /// A knob outside its range.
    #[error("the knob `{knob}` cannot be {value}")]
    Knob {
        /// Which knob.
        knob: &'static str,
        /// The value it was given.
        value: u64,
    },
    /// A password of no letters.
    #[error("an empty backup password is none; leave it out")]
    EmptyPassword,
    /// An identifier that no phone could have, and that would not be a safe name of a folder.
    #[error("`{udid}` is not the identifier of a phone")]
    Udid {
        /// What was given.
        udid: String,
    },
    /// Two phones with the same identifier.
    #[error("two phones have the identifier {udid}")]
    SameUdid {
        /// The identifier.
        udid: String,
    },
}

impl Knobs {
    /// Refuses values that no phone could have.
    pub fn check(&self) -> Result<(), OptionsError> {
        let knob = |knob, value| Err(OptionsError::Knob { knob, value });
        if ![300, 400, 500].contains(&self.devicelink) {
            return knob("devicelink", self.devicelink.into());
        }
        if !(1..=1 << 20).contains(&self.chunk) {
            return knob("chunk", self.chunk as u64);
        }
        if self.throttle == Some(0) {
            return knob("throttle", 0);
        }
        if self.fragment == Some(0) {
            return knob("fragment", 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_knobs() -> impl Strategy<Value = Knobs> {
        let number = || prop::option::of(1_u64..1 << 40);
        let manifest = prop::sample::select(vec![ManifestKnob::InPlace, ManifestKnob::Rebuilt]);
        let tls = prop::sample::select(vec![TlsKnob::Any, TlsKnob::V12, TlsKnob::V13]);
        let switches = (any::<[bool; 4]>(), prop::option::of(any::<bool>()));
        let numbers = (any::<bool>(), 1_usize..=1 << 20, number(), number(), 0_u64..1 << 40);
        (switches, numbers, manifest, tls).prop_map(|(switches, numbers, manifest, tls)| {
            let ([passcode, locked, before_first_unlock, close_notify], passcode_prompt) = switches;
            let (is_new, chunk, order, throttle, seconds) = numbers;
            Knobs {
                devicelink: if is_new { 400 } else { 300 },
                chunk,
                directory_order: order.unwrap_or(0),
                manifest,
                life: if close_notify { Life::Whole } else { Life::MessagesAndPhotos },
                more_folders: u32::from(is_new) * 7,
                passcode_prompt,
                passcode,
                locked,
                before_first_unlock,
                throttle,
                fragment: is_new.then_some(chunk),
                tls,
                close_notify,
                owner_delay_ms: seconds,
                passcode_timeout: seconds,
                accept_window: seconds,
                lockdown_idle: seconds,
                scan_silence: seconds,
                plugged: passcode,
                restart_seconds: seconds,
            }
        })
    }

    fn any_phone() -> impl Strategy<Value = PhoneSpec> {
        let kinds =
            (prop::sample::select(Ios::ALL.to_vec()), prop::sample::select(Profile::ALL.to_vec()));
        let texts = (any::<String>(), prop::option::of(any::<String>()));
        let whole = (any_knobs(), any_state(), prop::collection::vec(any_fault(), 0..3));
        let log = (prop::collection::vec(any::<String>(), 0..3), any::<bool>());
        (texts, kinds, 0_u64..1 << 62, any::<u32>(), whole, log).prop_map(
            |(
                (name, udid),
                (ios, profile),
                seed,
                days,
                (knobs, state, fault),
                (lines, private),
            )| {
                let log = LogSpec { lines, private };
                let encryption = EncryptionSpec::default();
                PhoneSpec {
                    name,
                    udid,
                    ios,
                    profile,
                    seed,
                    days,
                    knobs,
                    encryption,
                    state,
                    log,
                    fault,
                }
            },
        )
    }

    fn any_fault() -> impl Strategy<Value = FaultSpec> {
        let value = prop_oneof![
            any::<i64>().prop_map(FaultValue::Number),
            any::<String>().prop_map(FaultValue::Text),
        ];
        let values = prop::collection::btree_map("k[a-z-]{1,8}", value, 0..3);
        (any::<String>(), values).prop_map(|(name, values)| FaultSpec { name, values })
    }

    fn any_state() -> impl Strategy<Value = State> {
        let texts = (prop::option::of(any::<String>()), prop::option::of(0_u64..1 << 62));
        (texts, any::<[bool; 4]>(), any::<u8>(), prop::option::of(any::<i64>())).prop_map(
            |((version, available), [beta, backup, told, supervised], level, error)| {
                let mut state = State { beta, version, ..State::default() };
                state.storage.available = available;
                state.battery.level = level;
                (state.icloud.backup, state.icloud.told, state.icloud.error) =
                    (backup, told, error);
                state.management.supervised = supervised;
                state
            },
        )
    }

    proptest! {
        #[test]
        fn phones_come_back(phone in any_phone()) {
            let text = toml::to_string(&phone).unwrap();
            phone.knobs.check().unwrap();
            prop_assert_eq!(PhoneSpec::from_toml(&text).unwrap(), phone);
        }

        #[test]
        fn noise_never_panics(
            noise in any::<String>(),
            line in "(name|ios|seed|profile|knobs|udid|colour)( = |\\.)(\"[ -~]{0,8}\"|[0-9.e+-]{1,20}|true|\\[\\]|chunk = 0)",
        ) {
            for text in [noise, line] {
                if let Ok(phone) = PhoneSpec::from_toml(&text) {
                    drop(phone.knobs.check());
                }
                drop((text.parse::<Listen>(), text.parse::<Ios>(), text.parse::<Profile>()));
            }
        }

        #[test]
        fn addresses_come_back(path in "[^\\x00]{1,20}", octets: [u8; 4], port: u16) {
            let unix = Listen::Unix(path.clone().into());
            prop_assert_eq!(&format!("unix://{path}").parse::<Listen>().unwrap(), &unix);
            let address = SocketAddr::from((octets, port));
            prop_assert_eq!(address.to_string().parse::<Listen>().unwrap(), Listen::Tcp(address));
        }
    }

    #[test]
    fn a_phone_is_read_from_toml() {
        let spec = PhoneSpec::from_toml(
            "name = \"Kim\"\nios = \"26.4\"\nprofile = \"small\"\nseed = 7\n[knobs]\ndevicelink = 400\nmanifest = \"rebuilt\"\ntls = \"1.2\"\n",
        )
        .unwrap();
        assert_eq!(spec.ios, Ios::V26_4);
        assert_eq!(spec.knobs.devicelink, 400);
        assert_eq!(spec.knobs.manifest, ManifestKnob::Rebuilt);
        assert_eq!(spec.knobs.tls, TlsKnob::V12);
        spec.knobs.check().unwrap();
    }

    #[test]
    fn unknown_fields_and_versions_are_refused() {
        assert!(PhoneSpec::from_toml("colour = \"red\"").is_err());
        assert!(PhoneSpec::from_toml("ios = \"9\"").is_err());
        assert!(PhoneSpec::from_toml("[knobs]\ndevicelink = \"x\"").is_err());
        assert_eq!("18".parse::<Ios>().unwrap(), Ios::V18);
        let odd = Knobs { chunk: 0, ..Knobs::default() };
        assert!(odd.check().is_err());
    }

    #[test]
    fn addresses_are_told_apart() {
        assert_eq!("UNIX:/tmp/x".parse::<Listen>().unwrap(), Listen::Unix("/tmp/x".into()));
        assert_eq!("/tmp/x".parse::<Listen>().unwrap(), Listen::Unix("/tmp/x".into()));
        assert_eq!("127.0.0.1:0".parse::<Listen>().unwrap(), Listen::loopback());
        for text in ["nonsense", "UNIX:", "unix://", ""] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
