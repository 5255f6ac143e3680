//! The disk of the simulated phone: synthetic content that is coherent, deterministic per seed, and lives.
//!
//! In reading order: `profile` (how much there is), `entry` (one file), `domains` (rules of the backup
//! domains), `index` (the list of all files, kept across restarts), `prng` and `media` (randomness, files made
//! on the fly), `maker` (puts files and databases on the disk), `content` (what is in them, one module a kind of
//! data), `apps`, `life` (a day passes), `frozen` (a consistent view for one backup), `digest` (the oracle)
//! and `afc` (the view of `/var/mobile/Media`).
//!
//! Databases are real SQLite files, changed only through SQL and kept in write-ahead mode as on a phone; everything
//! else is either a few bytes in the index or made where it is read, so that 20 GB need no disk.
//! The shapes follow docs/format.md 3.

mod afc;
mod apps;
mod content;
mod digest;
mod domains;
mod entry;
mod frozen;
mod index;
mod life;
mod maker;
mod media;
mod prng;
mod profile;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

pub use afc::{AfcError, AfcSpace, AfcStat};
pub use apps::{App, AppKind, Container};
pub use digest::digest;
pub use entry::{Content, Entry, Kind};
pub use frozen::Frozen;
pub use life::{Life, MOST_DAYS};
pub use media::{Generated, GeneratedReader, Shape};
pub use profile::Profile;

use apps::InstalledApp;
use frozen::Copy;
use index::Index;
use maker::Maker;

/// What can go wrong with the phone's folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// There is no phone in the folder.
    #[error("no simulated phone in {0}")]
    Missing(Utf8PathBuf),
    /// There is a phone in the folder already.
    #[error("there is a simulated phone in {0} already")]
    Exists(Utf8PathBuf),
    /// The phone was made by another version of this program.
    #[error(
        "the simulated phone in {folder} has version {version} of the index, which this program cannot read"
    )]
    Version {
        /// The phone's folder.
        folder: Utf8PathBuf,
        /// What its index says.
        version: i64,
    },
    /// The index lacks a property or holds a wrong one.
    #[error("the index of the simulated phone has no usable {0}")]
    Property(&'static str),
    /// So many days are not lived at once.
    #[error("{0} days are too many: {MOST_DAYS} at a time are the most")]
    TooManyDays(u32),
    /// The name of a profile is not known.
    #[error("unknown profile {0:?}: it is one of tiny, small, ordinary, media, large")]
    UnknownProfile(String),
    /// The iOS version is not a number with dots.
    #[error("unusable iOS version {0:?}")]
    UnusableVersion(String),
    /// A database refused.
    #[error("database {path}")]
    Sqlite {
        /// Which one.
        path: Utf8PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file system refused; the message names the path.
    #[error("the phone's folder cannot be used")]
    Io(#[from] io::Error),
    /// A property list could not be written.
    #[error("a property list could not be written")]
    Plist(#[from] plist::Error),
}

/// Says whether an error, or what it comes from, is a full disk or a quota that is used up.
pub fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        let sqlite =
            error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error);
        // The index of a log is a file that grows with it, and SQLite has another word where that finds no room.
        let is_full = |error: &rusqlite::ffi::Error| {
            error.code == rusqlite::ErrorCode::DiskFull
                || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
        };
        matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
            || sqlite.is_some_and(is_full)
    })
}

impl DiskError {
    pub(crate) fn sqlite(path: &Utf8Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Sqlite { path: path.clone(), source }
    }
}

/// Version of iOS, as far as the shape of the content depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ios {
    pub(crate) major: u16,
    pub(crate) minor: u16,
}

impl std::str::FromStr for Ios {
    type Err = DiskError;

    fn from_str(text: &str) -> Result<Self, DiskError> {
        let unusable = || DiskError::UnusableVersion(text.to_owned());
        let mut parts = text.split('.').map(|part| part.parse::<u16>().map_err(|_| unusable()));
        let major = parts.next().ok_or_else(unusable)??;
        let minor = parts.next().transpose()?.unwrap_or(0);
        Ok(Self { major, minor })
    }
}

/// The disk of one simulated phone.
#[derive(Debug)]
pub struct Disk {
    folder: Utf8PathBuf,
    index: Index,
    profile: Profile,
    seed: u64,
    ios: Ios,
    apps: Vec<InstalledApp>,
    copies: BTreeMap<u64, Arc<Copy>>,
    afc: afc::Overlay,
}

impl Disk {
    /// Makes the content of a new phone in `folder`, which must not hold one yet.
    pub fn create(
        folder: &Utf8Path,
        profile: Profile,
        seed: u64,
        ios: &str,
        now: Timestamp,
    ) -> Result<Self, DiskError> {
        let version: Ios = ios.parse()?;
        fs_err::create_dir_all(folder)?;
        let mut index = Index::create(folder)?;
        let mut maker = Maker::new(folder, &mut index, profile, seed, version, now.as_second());
        let apps = content::create(&mut maker)?;
        maker.finish()?;
        index.set_property("profile", profile.as_str())?;
        index.set_property("seed", &seed.to_string())?;
        index.set_property("ios", ios)?;
        apps::save(&index, &apps)?;
        afc::Overlay::create(&index, seed, now)?;
        index.save()?;
        let afc = afc::Overlay::open(&index)?;
        let folder = folder.to_owned();
        let copies = BTreeMap::new();
        Ok(Self { folder, index, profile, seed, ios: version, apps, copies, afc })
    }

    /// Opens the content that [`Disk::create`] left in `folder`.
    pub fn open(folder: &Utf8Path) -> Result<Self, DiskError> {
        let mut index = Index::open(folder)?;
        life::recover(&mut index)?;
        let property = |key: &'static str| index.property(key)?.ok_or(DiskError::Property(key));
        let profile: Profile = property("profile")?.parse()?;
        let seed = property("seed")?.parse().map_err(|_| DiskError::Property("seed"))?;
        let ios: Ios = property("ios")?.parse()?;
        let apps = apps::load(&index)?;
        let afc = afc::Overlay::open(&index)?;
        frozen::clear(folder)?;
        let folder = folder.to_owned();
        Ok(Self { folder, index, profile, seed, ios, apps, copies: BTreeMap::new(), afc })
    }

    /// Opens the phone in `folder`, or makes it if there is none.
    pub fn open_or_create(
        folder: &Utf8Path,
        profile: Profile,
        seed: u64,
        ios: &str,
        now: Timestamp,
    ) -> Result<Self, DiskError> {
        if folder.join(index::FILE_NAME).exists() {
            Self::open(folder)
        } else {
            Self::create(folder, profile, seed, ios, now)
        }
    }

    /// Returns the profile the phone was made with.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Returns the seed the phone was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns all apps, system apps first.
    pub fn apps(&self) -> Vec<App> {
        apps::describe(self.seed, &self.apps)
    }

    /// Returns where each container domain lies on the phone.
    pub fn containers(&self) -> Vec<Container> {
        apps::containers(self.seed, self.index.domains())
    }
}

#[cfg(test)]
mod tests;
