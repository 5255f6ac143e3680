//! What a phone remembers over a restart of the simulator, beside its content.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::options::{Password, PhoneSpec};
use crate::state::State;

/// A computer the owner trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedHost {
    /// The computer, over all its pairings.
    pub system_buid: String,
    /// The leaf of the host's key, PEM as the host sent it.
    pub host_certificate: String,
    /// The host's own root, PEM.
    pub root_certificate: String,
    /// The certificate the host made for the phone's key, PEM.
    pub device_certificate: String,
    /// What unlocks the data of the phone while its screen is locked, hex.
    pub escrow_bag: String,
}

/// What the owner said to a computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// The trust dialog is on the screen.
    Asked,
    /// The owner tapped Trust and has to enter the passcode now.
    PasscodeWanted,
    /// The computer is trusted.
    Trusted,
    /// The owner tapped Don't Trust.
    Denied,
}

/// Everything that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Version of this file.
    pub format: u32,
    /// The name the owner (or a host) gave the phone.
    pub name: String,
    /// Whether the screen is locked.
    pub locked: bool,
    /// Whether it was restarted and not yet unlocked.
    pub before_first_unlock: bool,
    /// Seconds since 1970 when it was first used: what is told as so many hours ago is counted from here.
    #[serde(default)]
    pub born: i64,
    /// Seconds since 1970 when it was started last.
    #[serde(default)]
    pub started: Option<i64>,
    /// What is set on it and measured by it.
    #[serde(default)]
    pub state: State,
    /// The backup password, in the keychain.
    #[serde(default)]
    pub backup_password: Option<Password>,
    /// `WillEncrypt` in lockdown: absent until a backup password was set once.
    #[serde(default)]
    pub will_encrypt: Option<bool>,
    /// Where older versions kept [`State::wifi_sync`].
    #[serde(default, skip_serializing)]
    wifi_connections: bool,
    /// Whether developers may connect over Wi-Fi.
    pub wifi_debugging: bool,
    /// Trusted computers by `HostID`.
    pub hosts: BTreeMap<String, TrustedHost>,
    /// Answers of the owner by `SystemBUID`: a tool may come back with a new `HostID`.
    pub consents: BTreeMap<String, Consent>,
}

/// The version of the file that is written.
const FORMAT: u32 = 1;

/// Keeps [`Memory`] in a file.
#[derive(Debug)]
pub struct Kept {
    path: Utf8PathBuf,
    memory: Memory,
}

impl Kept {
    /// Reads the file, or starts with `first` when there is none.
    pub fn open(path: &Utf8Path, first: impl FnOnce() -> Memory) -> Result<Self, MemoryError> {
        let memory = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice::<Memory>(&bytes)
                .map_err(|source| MemoryError::Json { path: path.to_owned(), source })?
                .grown(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => first(),
            Err(error) => return Err(error.into()),
        };
        if memory.format != FORMAT {
            return Err(MemoryError::Format { path: path.to_owned(), format: memory.format });
        }
        let kept = Self { path: path.to_owned(), memory };
        kept.save()?;
        Ok(kept)
    }

    /// Returns what is remembered.
    pub fn get(&self) -> &Memory {
        &self.memory
    }

    /// Changes what is remembered, and the file with it.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Memory) -> T) -> Result<T, MemoryError> {
        let before = self.memory.clone();
        let result = change(&mut self.memory);
        if self.memory != before {
            self.save()?;
        }
        Ok(result)
    }

    fn save(&self) -> Result<(), MemoryError> {
        let bytes = serde_json::to_vec_pretty(&self.memory)
            .map_err(|source| MemoryError::Json { path: self.path.clone(), source })?;
        write_private(&self.path, &bytes)?;
        Ok(())
    }
}

impl Memory {
    /// What a phone remembers that was never used before.
    pub fn new(spec: &PhoneSpec, now: jiff::Timestamp) -> Self {
        let before_first_unlock = spec.knobs.before_first_unlock;
        Self {
            format: FORMAT,
            name: spec.name.clone(),
            locked: spec.knobs.locked || before_first_unlock,
            before_first_unlock,
            born: now.as_second(),
            started: None,
            state: spec.state.clone(),
            backup_password: spec.encryption.password.clone(),
            will_encrypt: spec.encryption.password.is_some().then_some(true),
            wifi_connections: false,
            wifi_debugging: false,
            hosts: BTreeMap::new(),
            consents: BTreeMap::new(),
        }
    }

    /// Takes over what an older version kept elsewhere.
    fn grown(mut self) -> Self {
        self.state.wifi_sync |= std::mem::take(&mut self.wifi_connections);
        self
    }
}

/// Replaces a file as a whole, readable by its owner only.
pub(crate) fn write_private(path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Utf8Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Makes a folder that only its owner may enter.
pub(crate) fn private_folder(path: &Utf8Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The memory of a phone cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The file is not what was written.
    #[error("{path} is not the memory of a simulated phone")]
    Json {
        /// The file.
        path: Utf8PathBuf,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// The file is of another version.
    #[error("{path} has format {format}; this program knows format 1")]
    Format {
        /// The file.
        path: Utf8PathBuf,
        /// Its version.
        format: u32,
    },
    /// Reading or writing failed.
    #[error("the memory of a simulated phone cannot be kept")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_remembers_its_hosts_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("memory.json");
        let noon: jiff::Timestamp = "2026-05-04T12:00:00Z".parse().unwrap();
        let mut spec = PhoneSpec { name: "Kim".to_owned(), ..PhoneSpec::default() };
        spec.knobs.before_first_unlock = true;
        let first = || Memory::new(&spec, noon);
        let mut kept = Kept::open(&path, first).unwrap();
        assert!(kept.get().locked);
        kept.change(|memory| memory.consents.insert("B".to_owned(), Consent::Trusted)).unwrap();
        let other = PhoneSpec { name: "other".to_owned(), ..PhoneSpec::default() };
        let again = Kept::open(&path, || Memory::new(&other, noon)).unwrap();
        assert_eq!(again.get(), kept.get());
        fs::write(&path, b"{\"format\": 9}").unwrap();
        assert!(Kept::open(&path, first).is_err());
    }

    #[test]
    fn the_memory_of_an_older_version_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("memory.json");
        let old = r#"{"format": 1, "name": "Kim", "locked": false, "before_first_unlock": false,
            "wifi_connections": true, "wifi_debugging": false, "hosts": {}, "consents": {}}"#;
        fs::write(&path, old).unwrap();
        let first = || unreachable!("there is a memory");
        let kept = Kept::open(&path, first).unwrap();
        assert!(kept.get().state.wifi_sync);
        assert!(Kept::open(&path, first).unwrap().get().state.wifi_sync);
    }
}
