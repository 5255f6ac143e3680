//! Settings: the only place that reads the environment and the configuration file.
//!
//! Each value comes from the first of: flag, environment variable, configuration file, default.

mod address;
mod backup_password;
mod place;

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

impl Environment {
    /// Returns the home folder.
    fn home(&self) -> Option<Utf8PathBuf> {
        self.get("HOME").or_else(|| self.get("USERPROFILE")).map(Utf8PathBuf::from)
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

    /// Returns it with its places as paths: what is relative begins at the folder of the file, `~/` at home.
    fn placed(self, folder: &Utf8Path, home: Option<&Utf8Path>) -> Result<Self, SettingsError> {
        let place = |key, path: Option<Utf8PathBuf>| match path {
            Some(path) if path.as_str().is_empty() => Err(SettingsError::NoPlace { key }),
            Some(path) => Ok(Some(match (path.strip_prefix("~"), home) {
                (Ok(below), Some(home)) => home.join(below),
                _ => folder.join(path),
            })),
            None => Ok(None),
        };
        let repository = match self.repository {
            // With a scheme it is whole as it is.
            Some(named)
                if place::folder(&named).is_none_or(|folder| folder != named)
                    && !named.is_empty() =>
            {
                Some(named)
            }
            named => {
                place("repository", named.map(Utf8PathBuf::from))?.map(Utf8PathBuf::into_string)
            }
        };
        Ok(Self {
            repository,
            repository_password_file: place(
                "repository-password-file",
                self.repository_password_file,
            )?,
            working_area: place("working-area", self.working_area)?,
            cache: place("cache", self.cache)?,
            ..self
        })
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
    /// A place is named by an empty text.
    #[error(
        "`{key}` in the configuration file is empty: it names no place (leave it out for the usual one)"
    )]
    NoPlace {
        /// Its key.
        key: &'static str,
    },
    /// What a run keeps would lie in the repository.
    #[error(
        "the working area {area} lies in the repository {repository}: it must have a place of its own"
    )]
    AreaInRepository {
        /// The working area.
        area: Utf8PathBuf,
        /// The repository.
        repository: String,
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
    /// The folder of what this program remembers.
    state: Utf8PathBuf,
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

    /// Returns what of this program lies where a folder is, or around it: nothing else may be put there.
    pub(crate) fn own_place_of(&self, folder: &Utf8Path) -> Option<&'static str> {
        let repository = place::folder(&self.repository).map(|place| ("the repository", place));
        let others = [
            ("the working area", self.working_area.clone()),
            ("the folder of what Lifeboat remembers", self.state.clone()),
            ("the cache", self.cache.clone()),
        ];
        let mut places = repository.into_iter().chain(others);
        places.find(|(_, place)| place::is_within(folder, place)).map(|(what, _)| what)
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
        let repository_is_default = named.is_none() || place::is_at(&repository, &default);
        let mux = match environment.get("USBMUXD_SOCKET_ADDRESS") {
            Some(value) => mux_address("USBMUXD_SOCKET_ADDRESS", value)?,
            None => match &file.usbmuxd {
                Some(value) => mux_address("usbmuxd", value)?,
                None => default_mux(),
            },
        };
        let working_area = environment
            .get("LIFEBOAT_WORKING_AREA")
            .map(Utf8PathBuf::from)
            .or(file.working_area)
            .unwrap_or_else(|| folders.state.join("working"));
        if place::folder(&repository).is_some_and(|folder| place::is_within(&working_area, &folder))
        {
            return Err(SettingsError::AreaInRepository { area: working_area, repository });
        }
        Ok(Self {
            key_file: place::key_file(&folders.config, &repository, repository_is_default),
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
            working_area,
            config: config_file(flags, environment, &folders).1,
            state: folders.state,
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
        let home = environment.home();
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
    let file = ConfigFile::parse(&text)
        .map_err(|source| SettingsError::Parse { path: path.clone(), source: Box::new(source) })?;
    file.placed(path.parent().unwrap_or(Utf8Path::new("")), environment.home().as_deref())
}

#[cfg(test)]
mod tests;
