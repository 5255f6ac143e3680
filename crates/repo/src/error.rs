//! What can go wrong in a repository, whose fault it is, and how `rustic_core`'s errors become ours.

use std::{error::Error as _, io};

use camino::Utf8PathBuf;
use rustic_core::{ErrorKind, RusticError};

use crate::{
    id::{BlobId, FileId, PackId},
    lock::Holder,
    store::{FileKind, StoreError},
};

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The person: a wrong password, a wrong place, a full disk.
    Person,
    /// The storage: damage, a disk that does not read.
    Storage,
    /// This program.
    Ours,
}

/// One thing of a repository that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A file of the repository is gone.
    #[error("{kind} {id} is missing")]
    MissingFile {
        /// Which folder it belongs to.
        kind: FileKind,
        /// Its name.
        id: FileId,
    },
    /// A file of the repository does not hold what its name promises.
    #[error("{kind} {id} is damaged: {why}")]
    File {
        /// Which folder it is in.
        kind: FileKind,
        /// Its name.
        id: FileId,
        /// What is wrong with it.
        why: Flaw,
    },
    /// A blob inside a pack is not what the index says.
    #[error("pack {pack} holds a damaged blob {blob}: {why}")]
    Blob {
        /// The pack.
        pack: PackId,
        /// The blob.
        blob: BlobId,
        /// What is wrong with it.
        why: Flaw,
    },
    /// A blob that a snapshot needs is in no pack.
    #[error("blob {blob} of `{path}` is in no pack")]
    MissingBlob {
        /// The blob.
        blob: BlobId,
        /// Who needs it.
        path: String,
    },
    /// A blob that is asked for is in no pack.
    #[error("blob {0} is in no pack")]
    LostBlob(BlobId),
    /// A pack that no index knows: not used, and taken in by the next backup.
    #[error("pack {0} is in no index")]
    UnindexedPack(PackId),
    /// A pack that is missing or damaged and is not needed any more: all that was in it was stored again.
    #[error("pack {0} is missing or damaged; all that was in it is whole in other packs")]
    ReplacedPack(PackId),
    /// Something only the second opinion (`rustic_core`) complains about.
    #[error("second opinion: {0}")]
    SecondOpinion(String),
}

impl Damage {
    /// Whether data of a snapshot is in danger; an unindexed or replaced pack is only untidy.
    pub fn is_serious(&self) -> bool {
        !matches!(self, Self::UnindexedPack(_) | Self::ReplacedPack(_))
    }

    /// Returns the file that is missing or damaged as a whole, where it is one.
    pub fn file(&self) -> Option<FileId> {
        match self {
            Self::MissingFile { id, .. } | Self::File { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// Returns the pack that is missing or damaged, where it is one.
    pub(crate) fn bad_pack(&self) -> Option<PackId> {
        match self {
            Self::MissingFile { kind: FileKind::Pack, id }
            | Self::File { kind: FileKind::Pack, id, .. } => Some((*id).into()),
            Self::Blob { pack, .. } => Some(*pack),
            _ => None,
        }
    }
}

/// How a piece of a repository is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Shorter than its smallest form.
    #[error("too short")]
    TooShort,
    /// Longer than any honest one.
    #[error("too long")]
    TooLong,
    /// The authentication code does not fit: changed, or another key.
    #[error("does not authenticate")]
    Unauthentic,
    /// SHA-256 is another one.
    #[error("another digest than its name")]
    Digest,
    /// Length is another one.
    #[error("another length than recorded")]
    Length,
    /// Cannot be decompressed.
    #[error("cannot be decompressed")]
    Compression,
    /// Cannot be parsed.
    #[error("cannot be parsed")]
    Syntax,
    /// The index says something else than the pack.
    #[error("another content than the index says")]
    Index,
}

/// A repository cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// There is no repository.
    #[error("no repository at {0}")]
    Missing(String),
    /// There is one already.
    #[error("there is already a repository at {0}")]
    AlreadyExists(String),
    /// There are packs or snapshots, and the configuration that they need is gone: nothing new may be made in their place.
    #[error("the repository at {0} has lost its `config`")]
    NoConfig(String),
    /// Something else lies where a repository was to be made: its files would lie among others.
    #[error("{place} is not empty: {found} lies there")]
    NotEmpty {
        /// The folder.
        place: String,
        /// What was found in it, the first by name.
        found: String,
    },
    /// This version has no way to reach such a place.
    #[error("a repository at `{0}` is not supported")]
    UnsupportedLocation(String),
    /// Somebody else uses it.
    #[error("the repository is locked by {by}")]
    Locked {
        /// Who.
        by: Holder,
    },
    /// No key opens with this password.
    #[error("wrong repository password")]
    WrongPassword,
    /// All keys are gone.
    #[error("the repository has no key")]
    NoKey,
    /// Something is not as it should be.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// No room left.
    #[error("no space left at {place}")]
    NoSpace {
        /// Where.
        place: String,
    },
    /// Written by a newer program.
    #[error("the repository has format {version}, this program knows format 2")]
    Format {
        /// The format found.
        version: u32,
    },
    /// No snapshot fits.
    #[error("no snapshot `{0}`")]
    NoSuchSnapshot(String),
    /// What was given of an identifier is too little to tell snapshots apart.
    #[error("`{wanted}` is too short: at least {least} characters of a snapshot's id are needed")]
    TooFew {
        /// What was asked for.
        wanted: String,
        /// How many characters there must be.
        least: usize,
    },
    /// Several snapshots fit.
    #[error("`{wanted}` is ambiguous, {count} snapshots begin so: give more characters of the id")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many fit.
        count: usize,
    },
    /// `latest` is asked for, and several devices have one.
    #[error("`latest` is the newest backup of one device, and there are backups of {}: {}", .devices.len(), by_device(.devices))]
    SeveralDevices {
        /// Their UDIDs, in order.
        devices: Vec<String>,
    },
    /// Nothing is at this path of a snapshot.
    #[error("no `{path}` in snapshot {snapshot}")]
    NoSuchPath {
        /// The snapshot, short.
        snapshot: String,
        /// The path.
        path: String,
    },
    /// The lock was lost while writing: another program removed it.
    #[error("the lock of the repository was removed by another program")]
    LockLost,
    /// The writer failed before and does nothing more.
    #[error("the writer stopped after an earlier error: {0}")]
    Stopped(String),
    /// The catalogue in the cache cannot be used; removing it is harmless.
    #[error("the catalogue at {path} cannot be used")]
    Catalogue {
        /// Where it is.
        path: Utf8PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {place}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// The storage has not come to an end with anything for too long: a disk or a network that hangs.
    #[error("{place} has not taken anything for {seconds} seconds")]
    Stalled {
        /// The repository.
        place: String,
        /// How long was waited.
        seconds: u64,
    },
    /// What was to be stored cannot be read.
    #[error("what was to be stored cannot be read")]
    Source {
        /// Why not.
        source: io::Error,
    },
    /// A part of `rustic_core` failed in a way we have no name for.
    #[error("the repository engine failed")]
    Engine {
        /// What it said.
        source: Box<RusticError>,
    },
}

/// Returns what to type for each of several devices.
fn by_device(devices: &[String]) -> String {
    let each: Vec<_> = devices.iter().map(|udid| format!("`-u {udid}`")).collect();
    each.join(", ")
}

impl RepoError {
    /// Says who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Missing(_)
            | Self::AlreadyExists(_)
            | Self::NotEmpty { .. }
            | Self::UnsupportedLocation(_)
            | Self::Locked { .. }
            | Self::WrongPassword
            | Self::NoSpace { .. }
            | Self::Format { .. }
            | Self::NoSuchSnapshot(_)
            | Self::TooFew { .. }
            | Self::SeveralDevices { .. }
            | Self::Ambiguous { .. }
            | Self::NoSuchPath { .. }
            | Self::LockLost => Fault::Person,
            Self::NoKey
            | Self::NoConfig(_)
            | Self::Damaged(_)
            | Self::Catalogue { .. }
            | Self::Io { .. }
            | Self::Stalled { .. }
            | Self::Source { .. } => Fault::Storage,
            Self::Stopped(_) | Self::Engine { .. } => Fault::Ours,
        }
    }

    /// Makes an error of an I/O error; a full disk gets its own name.
    pub(crate) fn io(action: &'static str, place: impl Into<String>, source: io::Error) -> Self {
        let place = place.into();
        if is_no_space(&source) {
            Self::NoSpace { place }
        } else {
            Self::Io { action, place, source }
        }
    }

    /// Makes an error of one file that is wrong.
    pub(crate) fn damaged(kind: FileKind, id: FileId, why: Flaw) -> Self {
        Self::Damaged(Damage::File { kind, id, why })
    }
}

/// Whether a write failed because the disk or the quota is full.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl From<StoreError> for RepoError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { kind: FileKind::Config, place, .. } => Self::Missing(place),
            StoreError::NotFound { kind, id, .. } => {
                Self::Damaged(Damage::MissingFile { kind, id })
            }
            StoreError::TooShort { kind, id } => Self::damaged(kind, id, Flaw::TooShort),
            StoreError::Io { action, place, source } => Self::io(action, place, source),
        }
    }
}

/// `rustic_core` reports a kind and prose; this is the one place that reads them.
impl From<Box<RusticError>> for RepoError {
    fn from(error: Box<RusticError>) -> Self {
        if error.is_incorrect_password() {
            return Self::WrongPassword;
        }
        match error.source().and_then(|source| source.downcast_ref::<StoreError>()) {
            Some(source) => source.again().into(),
            None => Self::Engine { source: error },
        }
    }
}

/// Wraps our storage error so that `rustic_core` carries it through.
pub(crate) fn to_rustic(error: StoreError) -> Box<RusticError> {
    RusticError::with_source(ErrorKind::Backend, "the storage failed", error)
}
