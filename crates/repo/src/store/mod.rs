//! Where the files of a repository lie.
//!
//! A store keeps whole files by kind and identifier; nothing in it changes after it is written. What it writes is
//! durable when the call returns, and either whole or absent.

use std::{fmt, io};

use crate::id::FileId;

mod local;
mod memory;
mod rustic;

pub use local::LocalStore;
pub use memory::{Counts, MemoryStore};
pub(crate) use rustic::RusticStore;

/// The name under which the one configuration file is listed and read.
pub(crate) const CONFIG_ID: FileId = FileId::new([0; 32]);

/// The kinds of files in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// The one configuration file.
    Config,
    /// Keys.
    Key,
    /// Locks.
    Lock,
    /// Snapshots.
    Snapshot,
    /// Index files.
    Index,
    /// Packs.
    Pack,
}

impl FileKind {
    /// All kinds that have a folder.
    pub const FOLDERS: [Self; 5] = [Self::Key, Self::Lock, Self::Snapshot, Self::Index, Self::Pack];

    /// Returns the name of the folder (of the file, for the configuration).
    pub fn folder(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Key => "keys",
            Self::Lock => "locks",
            Self::Snapshot => "snapshots",
            Self::Index => "index",
            Self::Pack => "data",
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Key => "key",
            Self::Lock => "lock",
            Self::Snapshot => "snapshot",
            Self::Index => "index file",
            Self::Pack => "pack",
        })
    }
}

/// A store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such file.
    #[error("no {kind} {id} at {place}")]
    NotFound {
        /// Its kind.
        kind: FileKind,
        /// Its name.
        id: FileId,
        /// The store.
        place: String,
    },
    /// The file ends before the range that was asked for.
    #[error("{kind} {id} is too short")]
    TooShort {
        /// Its kind.
        kind: FileKind,
        /// Its name.
        id: FileId,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {place}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        place: String,
        /// Why not.
        source: io::Error,
    },
}

impl StoreError {
    /// Returns the same error once more: the first one may be inside another error.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::NotFound { kind, id, place } => {
                Self::NotFound { kind: *kind, id: *id, place: place.clone() }
            }
            Self::TooShort { kind, id } => Self::TooShort { kind: *kind, id: *id },
            Self::Io { action, place, source } => Self::Io {
                action,
                place: place.clone(),
                source: source.raw_os_error().map_or_else(
                    || io::Error::new(source.kind(), source.to_string()),
                    io::Error::from_raw_os_error,
                ),
            },
        }
    }
}

/// A pack on its way into a store: nobody sees it before [`PackSink::finish`].
pub trait PackSink: Send {
    /// Adds bytes at the end.
    fn append(&mut self, data: &[u8]) -> Result<(), StoreError>;

    /// Makes it durable under its name.
    fn finish(self: Box<Self>, id: FileId) -> Result<(), StoreError>;
}

/// The files of a repository.
pub trait Store: Send + Sync + 'static {
    /// Says where it is, for messages.
    fn location(&self) -> String;

    /// Returns the first, by name, of what lies there and is of no repository; a file system's own folder does not count.
    fn stranger(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// Makes the folders of an empty repository.
    fn create(&self) -> Result<(), StoreError>;

    /// Lists the files of a kind with their sizes, in no order.
    fn list(&self, kind: FileKind) -> Result<Vec<(FileId, u64)>, StoreError>;

    /// Reads a whole file.
    fn read(&self, kind: FileKind, id: FileId) -> Result<Vec<u8>, StoreError>;

    /// Reads `length` bytes from `offset`, no more and no fewer.
    fn read_range(
        &self,
        kind: FileKind,
        id: FileId,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, StoreError>;

    /// Writes a whole file; it is durable when this returns.
    fn write(&self, kind: FileKind, id: FileId, data: &[u8]) -> Result<(), StoreError>;

    /// Writes a whole file that is not there yet, and says whether it did: of several who try at once, one does.
    fn write_first(&self, kind: FileKind, id: FileId, data: &[u8]) -> Result<bool, StoreError>;

    /// Starts a pack.
    fn begin_pack(&self) -> Result<Box<dyn PackSink>, StoreError>;

    /// Removes a file; one that is not there is fine.
    fn remove(&self, kind: FileKind, id: FileId) -> Result<(), StoreError>;

    /// Lists the unfinished files that are there now under temporary names.
    fn unfinished(&self) -> Result<Vec<String>, StoreError>;

    /// Removes unfinished files by the names of [`Store::unfinished`]; one that is gone is fine.
    fn remove_unfinished(&self, names: &[String]) -> Result<(), StoreError>;
}
