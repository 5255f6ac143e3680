use std::{
    fmt,
    io::{self, ErrorKind, Read},
};

use lifeboat_wire::devicelink::Status;
use thiserror::Error;

use super::HostPath;

/// Carries out what the phone asks for, on whatever stands for its folder.
///
/// The phone works alone and in order: one file is received at a time, and nothing else happens between
/// [`begin`](Self::begin) and [`finish`](Self::finish) or [`abandon`](Self::abandon). All calls block; the session makes them on a
/// thread of its own.
pub trait HostFiles: Send {
    /// Opens a file to be sent to the phone.
    fn open(&mut self, path: &HostPath) -> Result<FileSource, FileError>;

    /// Begins to receive a file, under a temporary name. Missing parent directories are made.
    fn begin(&mut self, path: &HostPath) -> Result<(), FileError>;

    /// Takes the next bytes of the file being received.
    fn write(&mut self, data: &[u8]) -> Result<(), FileError>;

    /// Puts the received file in its place; what was there is replaced.
    fn finish(&mut self) -> Result<(), FileError>;

    /// Drops the file being received: the phone said that it is broken, or the link was lost. A second call does nothing.
    fn abandon(&mut self);

    /// Lists a directory, one level deep.
    fn list(&mut self, path: &HostPath) -> Result<Vec<DirectoryEntry>, FileError>;

    /// Makes a directory and its parents; one that exists is fine.
    fn create_directory(&mut self, path: &HostPath) -> Result<(), FileError>;

    /// Renames a file or a directory; what was at `to` is replaced.
    fn rename(&mut self, from: &HostPath, to: &HostPath) -> Result<(), FileError>;

    /// Removes a file, or a directory with all that is in it.
    fn remove(&mut self, path: &HostPath) -> Result<(), FileError>;

    /// Copies a file, or a directory with all that is in it.
    fn copy(&mut self, from: &HostPath, to: &HostPath) -> Result<(), FileError>;

    /// Returns how many bytes can still be written.
    fn free_bytes(&mut self) -> Result<u64, FileError>;

    /// Tries to free that many bytes and returns how many were freed.
    fn purge(&mut self, bytes: u64) -> Result<u64, FileError>;

    /// Makes everything so far durable. Called before a new `Status.plist` is put in its place, so that it is never newer than
    /// what it describes, and before the phone is told that a control file arrived.
    fn sync(&mut self) -> Result<(), FileError>;
}

/// A file on its way to the phone.
pub struct FileSource {
    /// Its length; a reader that ends earlier is an error, later bytes are not read.
    pub size: u64,
    /// Its content.
    pub reader: Box<dyn Read + Send>,
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSource").field("size", &self.size).finish_non_exhaustive()
    }
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DirectoryEntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DirectoryEntry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DirectoryEntryKind,
    /// Its length in bytes, 0 for a directory.
    pub size: u64,
    /// Seconds since 1970.
    pub modified: i64,
}

/// Why an operation on the host's files failed.
#[derive(Debug, Error)]
pub enum FileError {
    /// There is no such file.
    #[error("no such file or directory")]
    NotFound,
    /// It exists.
    #[error("file exists")]
    Exists,
    /// A directory was expected.
    #[error("not a directory")]
    NotADirectory,
    /// A file was expected.
    #[error("is a directory")]
    IsADirectory,
    /// Links lead in a circle.
    #[error("too many levels of symbolic links")]
    Loop,
    /// The disk is full.
    #[error("no space left on device")]
    NoSpace,
    /// It is not done here.
    #[error("operation not supported")]
    Unsupported,
    /// Input or output failed.
    #[error("input or output failed")]
    Io(#[source] io::Error),
}

impl FileError {
    /// Returns the number that tells the phone.
    pub fn status(&self) -> Status {
        match self {
            Self::NotFound => Status::NOT_FOUND,
            Self::Exists => Status::EXISTS,
            Self::NotADirectory => Status::NOT_A_DIRECTORY,
            Self::IsADirectory => Status::IS_A_DIRECTORY,
            Self::Loop => Status::LOOP,
            Self::NoSpace => Status::NO_SPACE,
            Self::Unsupported => Status::GENERIC,
            Self::Io(_) => Status::IO,
        }
    }

    /// Returns the number that tells the phone of a file of its that could not be taken in: no space, input or output, or
    /// anything. A phone takes "not found" and "exists" there for a damaged backup (`docs/protocol.md` 4.6, 9.1).
    pub fn upload_status(&self) -> Status {
        match self {
            Self::NoSpace => Status::NO_SPACE,
            Self::Io(_) => Status::IO,
            Self::NotFound
            | Self::Exists
            | Self::NotADirectory
            | Self::IsADirectory
            | Self::Loop
            | Self::Unsupported => Status::GENERIC,
        }
    }

    /// Returns the text for the phone's log, in the words of its own system.
    pub fn phone_text(&self) -> &'static str {
        match self {
            Self::NotFound => "No such file or directory",
            Self::Exists => "File exists",
            Self::NotADirectory => "Not a directory",
            Self::IsADirectory => "Is a directory",
            Self::Loop => "Too many levels of symbolic links",
            Self::NoSpace => "No space left on device",
            Self::Unsupported => "Operation not supported",
            Self::Io(_) => "Input/output error",
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AlreadyExists => Self::Exists,
            ErrorKind::NotADirectory => Self::NotADirectory,
            ErrorKind::IsADirectory => Self::IsADirectory,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace,
            ErrorKind::Unsupported => Self::Unsupported,
            _ => Self::Io(error),
        }
    }
}
