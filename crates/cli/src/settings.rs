//! Settings: the only place that reads the environment and the configuration file.
//!
//! Each value comes from the first of: flag, environment variable, configuration file, default.

mod address;
mod backup_password;

use std::collections::BTreeMap;
use std::ffi::OsString;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_doctor::probe::OutsideFile;
use lifeboat_engine::{DoctorSettings, Mux};
use lifeboat_host::read_text;
use serde::Deserialize;

use self::address::{default_mux, mux_address};
pub(crate) use self::backup_password::BackupPassword;

/// The variables that this program reads, beside all that begin with `LIFEBOAT_`.
const VARIABLES: [&str; 19] = [
    "HOME",
    "USERPROFILE",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "USBMUXD_SOCKET_ADDRESS",
    "CREDENTIALS_DIRECTORY",
    "USER",
    "USERNAME",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "NO_COLOR",
    "BACKUP_PASSWORD",
    "BACKUP_PASSWORD_FILE",
    "BACKUP_PASSWORD_NEW",
    "BACKUP_PASSWORD_NEW_FILE",
];

/// The longest configuration file and the like that is read, in bytes.
const LONGEST_FILE: u64 = 1 << 20;

/// The environment, as it was when the program started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    texts: BTreeMap<String, String>,
    /// Variables that this program reads and that hold no text.
    unreadable: Vec<String>,
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        Self::of(std::env::vars_os())
    }

    fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            // No variable that this program reads has another name than text.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => {
                    environment.texts.insert(name, value);
                }
                Err(_) if name.starts_with("LIFEBOAT_") || VARIABLES.contains(&name.as_str()) => {
                    environment.unreadable.push(name);
                }
                Err(_) => {}
            }
        }
        environment
    }

    /// Makes sure that no variable of this program was lost.
    ///
    /// # Errors
    ///
    /// Where one is set and is not UTF-8: without it another repository or device would be meant.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        match self.unreadable.first() {
            Some(name) => Err(SettingsError::NotText { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// Returns a variable, if it is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self::of(variables.map(|(name, value)| (name.into(), value.into())))
    }
}

/// The configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConfigFile {
    repository: Option<String>,
    repository_password_file: Option<Utf8PathBuf>,
    udid: Option<String>,
    usbmuxd: Option<String>,
    working_area: Option<Utf8PathBuf>,
    cache: Option<Utf8PathBuf>,
    #[serde(default)]
    doctor: DoctorTable,
}

/// The table `[doctor]` of the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct DoctorTable {
    /// Ask nothing outside the local network.
    offline: bool,
    /// Addresses of services outside it.
    outside: OutsideFile,
}

impl ConfigFile {
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// What the command line says about settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--repo`
    pub(crate) repository: Option<String>,
    /// `--udid`
    pub(crate) udid: Option<String>,
    /// `--config`
    pub(crate) config: Option<Utf8PathBuf>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A variable cannot be used.
    #[error("the variable {name} is not UTF-8")]
    NotText {
        /// Its name.
        name: String,
    },
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file")]
    Read(#[source] std::io::Error),
    /// The configuration file is not what it should be.
    #[error("the configuration file {path} is not valid")]
    Parse {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong in it, and where.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A device is named by an empty text.
    #[error("{by} is empty: it names no device (leave it out where there is only one)")]
    NoUdid {
        /// What it was given as.
        by: &'static str,
    },
    /// An address cannot be understood.
    #[error("{name} is not an address: {value:?} (write HOST:PORT, a path, or UNIX:PATH)")]
    Address {
        /// What it was given as.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// The certificates that the doctor is to trust cannot be read.
    #[error("cannot read the file of certificates that `doctor.outside` names")]
    Certificates(#[source] std::io::Error),
    /// There is no home folder to put the defaults in.
    #[error("cannot tell where to keep things: HOME is not set")]
    NoHome,
    /// A host's name has no address.
    #[error("cannot find the address of {host}")]
    NoSuchHost {
        /// The name.
        host: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// All settings, after flags, environment and file were put together.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The repository, as given: a path or a URL.
    pub(crate) repository: String,
    /// True when nobody named a repository.
    pub(crate) repository_is_default: bool,
    /// The file with the repository's password, when somebody named one.
    pub(crate) password_file: Option<Utf8PathBuf>,
    /// Where the key of this repository is kept when we make it.
    pub(crate) key_file: Utf8PathBuf,
    /// The folder of the systemd credentials.
    pub(crate) credentials: Option<Utf8PathBuf>,
    /// The device that is meant.
    pub(crate) udid: Option<String>,
    /// Where devices are reached.
    pub(crate) mux: Mux,
    /// The folder for new files and journals of runs.
    pub(crate) working_area: Utf8PathBuf,
    /// The folder for what can be made again.
    pub(crate) cache: Utf8PathBuf,
    /// The backup password that a device has, where somebody gives it.
    pub(crate) backup_password: BackupPassword,
    /// The backup password that a device is to get, where somebody gives it.
    pub(crate) backup_password_new: BackupPassword,
    /// The configuration file, whether it is there or not.
    pub(crate) config: Utf8PathBuf,
    doctor: DoctorTable,
}

fn read_certificates(path: &str) -> Result<String, SettingsError> {
    read_text(Utf8Path::new(path), LONGEST_FILE).map_err(SettingsError::Certificates)
}

impl Settings {
    /// Returns what the doctor is told; reads the file of certificates where one is named.
    pub(crate) fn doctor(&self) -> Result<DoctorSettings, SettingsError> {
        let file = self.doctor.outside.clone();
        let trusted = match &file.trusted_certificates {
            Some(path) => Some(read_certificates(path)?),
            None => None,
        };
        Ok(DoctorSettings {
            outside: file.over_defaults(trusted),
            offline: self.doctor.offline,
            ..DoctorSettings::default()
        })
    }

    /// Puts the settings together.
    pub(crate) fn new(flags: &Flags, environment: &Environment) -> Result<Self, SettingsError> {
        let folders = Folders::new(environment)?;
        let file = read_file(flags, environment, &folders)?;
        let named = flags
            .repository
            .clone()
            .or_else(|| environment.get("LIFEBOAT_REPO").map(str::to_owned))
            .or(file.repository);
        let default = folders.data.join("repository");
        let repository = named.clone().unwrap_or_else(|| default.to_string());
        let repository_is_default = named.is_none() || Utf8Path::new(&repository) == default;
        let mux = match environment.get("USBMUXD_SOCKET_ADDRESS") {
            Some(value) => mux_address("USBMUXD_SOCKET_ADDRESS", value)?,
            None => match &file.usbmuxd {
                Some(value) => mux_address("usbmuxd", value)?,
                None => default_mux(),
            },
        };
        Ok(Self {
            key_file: key_file(&folders.config, &repository, repository_is_default),
            repository,
            repository_is_default,
            password_file: environment
                .get("LIFEBOAT_REPO_PASSWORD_FILE")
                .map(Utf8PathBuf::from)
                .or(file.repository_password_file),
            credentials: environment.get("CREDENTIALS_DIRECTORY").map(Utf8PathBuf::from),
            backup_password: BackupPassword::new(
                environment,
                "BACKUP_PASSWORD",
                "lifeboat-backup-password",
            ),
            backup_password_new: BackupPassword::new(
                environment,
                "BACKUP_PASSWORD_NEW",
                "lifeboat-backup-password-new",
            ),
            udid: udid(flags, environment, file.udid)?,
            mux,
            working_area: environment
                .get("LIFEBOAT_WORKING_AREA")
                .map(Utf8PathBuf::from)
                .or(file.working_area)
                .unwrap_or_else(|| folders.state.join("working")),
            config: config_file(flags, environment, &folders).1,
            cache: environment
                .get("LIFEBOAT_CACHE")
                .map(Utf8PathBuf::from)
                .or(file.cache)
                .unwrap_or(folders.cache),
            doctor: file.doctor,
        })
    }
}

/// Returns the device that is meant. One that is named and empty is refused, as `-u ""` is: another would be meant.
fn udid(
    flags: &Flags,
    environment: &Environment,
    file: Option<String>,
) -> Result<Option<String>, SettingsError> {
    let variable = environment.texts.get("LIFEBOAT_UDID").cloned();
    let named = [
        ("-u", flags.udid.clone()),
        ("the variable LIFEBOAT_UDID", variable),
        ("`udid` in the configuration file", file),
    ];
    let first = named.into_iter().find_map(|(source, udid)| Some((source, udid?)));
    match first {
        Some((source, udid)) if udid.is_empty() => Err(SettingsError::NoUdid { by: source }),
        first => Ok(first.map(|(_, udid)| udid)),
    }
}

/// The folders of this program.
struct Folders {
    config: Utf8PathBuf,
    data: Utf8PathBuf,
    state: Utf8PathBuf,
    cache: Utf8PathBuf,
}

impl Folders {
    fn new(environment: &Environment) -> Result<Self, SettingsError> {
        let home = environment
            .get("HOME")
            .or_else(|| environment.get("USERPROFILE"))
            .map(Utf8PathBuf::from);
        let folder = |variable: &str, below: &str| -> Result<Utf8PathBuf, SettingsError> {
            // A relative path in such a variable is to be ignored, says the XDG specification.
            match environment.get(variable).map(Utf8PathBuf::from).filter(|path| path.is_absolute())
            {
                Some(path) => Ok(path.join("lifeboat")),
                None => {
                    Ok(home.as_ref().ok_or(SettingsError::NoHome)?.join(below).join("lifeboat"))
                }
            }
        };
        Ok(Self {
            config: folder("XDG_CONFIG_HOME", ".config")?,
            data: folder("XDG_DATA_HOME", ".local/share")?,
            state: folder("XDG_STATE_HOME", ".local/state")?,
            cache: folder("XDG_CACHE_HOME", ".cache")?,
        })
    }
}

/// Returns the configuration file, and whether somebody named it.
fn config_file(flags: &Flags, environment: &Environment, folders: &Folders) -> (bool, Utf8PathBuf) {
    let named =
        flags.config.clone().or_else(|| environment.get("LIFEBOAT_CONFIG").map(Utf8PathBuf::from));
    (named.is_some(), named.unwrap_or_else(|| folders.config.join("config.toml")))
}

fn read_file(
    flags: &Flags,
    environment: &Environment,
    folders: &Folders,
) -> Result<ConfigFile, SettingsError> {
    let (named, path) = config_file(flags, environment, folders);
    let text = match read_text(&path, LONGEST_FILE) {
        Ok(text) => text,
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(ConfigFile::default());
        }
        Err(error) => return Err(SettingsError::Read(error)),
    };
    ConfigFile::parse(&text)
        .map_err(|source| SettingsError::Parse { path, source: Box::new(source) })
}

/// The key of the default repository lies beside the configuration; those of others in a folder there, by their place.
fn key_file(config: &Utf8Path, repository: &str, is_default: bool) -> Utf8PathBuf {
    use std::fmt::Write as _;
    if is_default {
        return config.join("repository.key");
    }
    let place = if repository.contains("://") {
        repository.to_owned()
    } else {
        camino::absolute_utf8(Utf8Path::new(repository)).map_or_else(
            |_| repository.to_owned(),
            |path| path.as_str().trim_end_matches('/').to_owned(),
        )
    };
    let mut name = String::new();
    for byte in place.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                name.push(char::from(byte));
            }
            other => write!(name, "%{other:02X}").expect("a String takes everything"),
        }
    }
    config.join("keys").join(format!("{name}.key"))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use proptest::prelude::*;

    use super::address::Address;
    use super::*;

    fn read(text: &str) -> Result<Address<'_>, String> {
        Address::parse("x", text).map_err(|error| error.to_string())
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_refused_by_name_and_others_are_nothing_to_us() {
        use std::os::unix::ffi::OsStringExt as _;
        let bad = || OsString::from_vec(b"/r\xff".to_vec());
        for name in VARIABLES.into_iter().chain(["LIFEBOAT_REPO", "LIFEBOAT_NEW"]) {
            let error = Environment::of([(name.into(), bad())]).check().unwrap_err();
            assert_eq!(error.to_string(), format!("the variable {name} is not UTF-8"));
        }
        let other = Environment::of([("LS_COLORS".into(), bad()), ("HOME".into(), "/h".into())]);
        assert!(other.check().is_ok());
        assert_eq!(other.get("HOME"), Some("/h"));
    }

    proptest! {
        #[test]
        fn addresses_come_back(
            path in "/[^/\\x00][^\\x00]{0,20}",
            octets: [u8; 4],
            groups: [u16; 8],
            port in 1_u16..,
            host in "[a-z][a-z0-9.-]{0,12}",
        ) {
            for prefix in ["", "UNIX:", "unix://"] {
                let text = format!("{prefix}{path}");
                prop_assert_eq!(read(&text), Ok(Address::Known(Mux::Unix(path.clone().into()))));
            }
            for ip in [IpAddr::from(octets), IpAddr::from(groups)] {
                let mux = Mux::Tcp(SocketAddr::from((ip, port)));
                let text = mux.to_string();
                prop_assert_eq!(read(&text), Ok(Address::Known(mux)));
            }
            let text = format!("{host}:{port}");
            prop_assert_eq!(read(&text), Ok(Address::Host(&host, port)));
        }

        #[test]
        fn noise_never_panics(noise in any::<String>(), near in "(unix:|UNIX:|\\[)?[a-z0-9:./\\]-]{0,16}(:[0-9]{0,6})?") {
            for text in [noise, near] {
                drop(Address::parse("x", &text));
                drop(ConfigFile::parse(&text));
                drop(key_file(Utf8Path::new("/c"), &text, false));
            }
        }

        #[test]
        fn a_configuration_comes_back(texts in prop::collection::vec(prop::option::of("[ -~]{0,20}"), 3)) {
            let [repository, udid, area] = texts.try_into().expect("three");
            let mut table = toml::Table::new();
            for (key, value) in [("repository", &repository), ("udid", &udid), ("working-area", &area)] {
                if let Some(value) = value {
                    table.insert(key.to_owned(), value.clone().into());
                }
            }
            let file = ConfigFile::parse(&table.to_string()).unwrap();
            prop_assert_eq!(file.repository, repository);
            prop_assert_eq!(file.udid, udid);
            prop_assert_eq!(file.working_area.map(Utf8PathBuf::into_string), area);
        }

        #[test]
        fn two_repositories_never_share_a_key_file(one in "/[ -~]{1,12}", other in "/[ -~]{1,12}") {
            let file = |place: &str| key_file(Utf8Path::new("/c"), place, false);
            // Paths are compared by their parts: `/.` and `//` are one place.
            if Utf8Path::new(&one) != Utf8Path::new(&other) {
                prop_assert_ne!(file(&one), file(&other));
            }
        }
    }

    fn home() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    #[test]
    fn defaults_lie_in_the_folders_of_the_xdg_specification() {
        let (_dir, home) = home();
        let settings =
            Settings::new(&Flags::default(), &Environment::from([("HOME", home.as_str())]))
                .unwrap();
        assert_eq!(settings.repository, home.join(".local/share/lifeboat/repository").as_str());
        assert!(settings.repository_is_default);
        assert_eq!(settings.key_file, home.join(".config/lifeboat/repository.key"));
        assert_eq!(settings.working_area, home.join(".local/state/lifeboat/working"));
        assert_eq!(settings.cache, home.join(".cache/lifeboat"));
        let moved = Environment::from([
            ("HOME", home.as_str()),
            ("XDG_DATA_HOME", "/data"),
            ("XDG_CACHE_HOME", "no"),
        ]);
        let settings = Settings::new(&Flags::default(), &moved).unwrap();
        assert_eq!(settings.repository, "/data/lifeboat/repository");
        assert_eq!(settings.cache, home.join(".cache/lifeboat"));
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let (_dir, home) = home();
        let file = home.join("config.toml");
        fs_err::write(
            &file,
            "repository = \"/from/file\"\nudid = \"file\"\nusbmuxd = \"127.0.0.1:5\"\n",
        )
        .unwrap();
        let flags = Flags { config: Some(file), ..Flags::default() };
        let plain = Environment::from([("HOME", home.as_str())]);
        let settings = Settings::new(&flags, &plain).unwrap();
        assert_eq!(
            (settings.repository.as_str(), settings.udid.as_deref()),
            ("/from/file", Some("file"))
        );
        assert_eq!(settings.mux.to_string(), "127.0.0.1:5");
        let environment = Environment::from([
            ("HOME", home.as_str()),
            ("LIFEBOAT_REPO", "/from/environment"),
            ("USBMUXD_SOCKET_ADDRESS", "UNIX:/run/mux"),
        ]);
        let settings = Settings::new(&flags, &environment).unwrap();
        assert_eq!(settings.repository, "/from/environment");
        assert_eq!(settings.mux, Mux::Unix("/run/mux".into()));
        let flags =
            Flags { repository: Some("/from/flag".into()), udid: Some("flag".into()), ..flags };
        let settings = Settings::new(&flags, &environment).unwrap();
        assert_eq!(
            (settings.repository.as_str(), settings.udid.as_deref()),
            ("/from/flag", Some("flag"))
        );
        assert_eq!(settings.key_file, home.join(".config/lifeboat/keys/%2Ffrom%2Fflag.key"));
    }

    #[test]
    fn a_device_that_is_named_and_empty_is_refused_by_where_it_stands() {
        let (_dir, home) = home();
        let file = home.join("config.toml");
        fs_err::write(&file, "udid = \"\"\n").unwrap();
        let plain = [("HOME", home.as_str())];
        let empty = [("HOME", home.as_str()), ("LIFEBOAT_UDID", "")];
        let named = |udid: Option<&str>| Flags {
            config: Some(file.clone()),
            udid: udid.map(str::to_owned),
            ..Flags::default()
        };
        let udid = |flags: Flags, environment: Environment| {
            let settings = Settings::new(&flags, &environment);
            settings.map(|settings| settings.udid).map_err(|error| error.to_string())
        };
        let why = |error: Result<_, String>| error.unwrap_err();
        assert!(
            why(udid(named(None), plain.into())).starts_with("`udid` in the configuration file")
        );
        let variable = why(udid(named(None), empty.into()));
        assert!(variable.starts_with("the variable LIFEBOAT_UDID is empty"), "{variable}");
        assert!(why(udid(named(Some("")), plain.into())).starts_with("-u is empty"));
        // What does not count is not looked at.
        assert_eq!(udid(named(Some("U")), empty.into()), Ok(Some("U".to_owned())));
        assert_eq!(udid(Flags::default(), plain.into()), Ok(None));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let (_dir, home) = home();
        let file = home.join("config.toml");
        fs_err::write(&file, "repositry = \"/x\"\n").unwrap();
        let flags = Flags { config: Some(file), ..Flags::default() };
        let error =
            Settings::new(&flags, &Environment::from([("HOME", home.as_str())])).unwrap_err();
        let SettingsError::Parse { source, .. } = error else { panic!("{error}") };
        assert!(source.to_string().contains("unknown field `repositry`"), "{source}");
    }

    #[test]
    fn a_named_file_must_be_there() {
        let (_dir, home) = home();
        let flags = Flags { config: Some(home.join("none.toml")), ..Flags::default() };
        let error =
            Settings::new(&flags, &Environment::from([("HOME", home.as_str())])).unwrap_err();
        assert!(matches!(error, SettingsError::Read(_)));
    }
}
