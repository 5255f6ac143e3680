//! The way of a backup into the repository.

use std::{io::Read, num::NonZeroUsize};

use crate::{
    error::RepoError,
    id::SnapshotId,
    lock::Clock,
    node::{Content, Node},
    snapshot::NewSnapshot,
};

mod cut;

pub use cut::Cut;

/// How a writer works.
#[derive(Clone)]
pub struct WriterOptions {
    /// Threads that compress and seal, two unless told otherwise.
    pub workers: NonZeroUsize,
    /// Tells the time for the lock.
    pub clock: Clock,
}

impl WriterOptions {
    /// Takes two workers and this clock.
    pub fn new(clock: Clock) -> Self {
        Self { workers: NonZeroUsize::MIN.saturating_add(1), clock }
    }
}

/// What a writer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteStats {
    /// Files in the snapshot.
    pub files: u64,
    /// Folders in the snapshot.
    pub directories: u64,
    /// Bytes of the files of the snapshot.
    pub bytes: u64,
    /// Blobs that were new.
    pub blobs_new: u64,
    /// Blobs that the repository had.
    pub blobs_known: u64,
    /// Bytes of new blobs before compression.
    pub bytes_new: u64,
    /// Bytes that the repository grew by, packs and index.
    pub bytes_added: u64,
    /// Packs written.
    pub packs: u64,
}

/// Takes files into a repository. Share it by reference or in an `Arc`; files may come from several threads.
pub struct Writer;

impl Writer {
    /// Starts a file that arrives in pieces.
    pub fn begin(&self, _cut: Cut) -> Incoming {
        todo!()
    }

    /// Stores all that a reader gives; the cut is chosen by the first bytes when none is given.
    pub fn store(&self, _reader: impl Read, _cut: Option<Cut>) -> Result<Content, RepoError> {
        todo!()
    }

    /// Makes all that was stored so far durable and findable, without a snapshot.
    pub fn flush(&self) -> Result<(), RepoError> {
        todo!()
    }

    /// Publishes a snapshot. All its blobs are durable before; the writer can go on afterwards.
    pub fn commit(
        &self,
        _tree: TreeBuilder,
        _new: &NewSnapshot,
    ) -> Result<(SnapshotId, WriteStats), RepoError> {
        todo!()
    }

    /// Returns what was counted so far.
    pub fn stats(&self) -> WriteStats {
        todo!()
    }
}

/// A file on its way into the repository. `'static` and `Send`. Dropping it forgets the file.
pub struct Incoming;

impl Incoming {
    /// Takes the next bytes.
    pub fn write(&mut self, _data: &[u8]) -> Result<(), RepoError> {
        todo!()
    }

    /// Ends the file.
    pub fn finish(self) -> Result<Content, RepoError> {
        todo!()
    }
}

/// Why a node cannot be placed in a tree; the node is not in it then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A part of the path cannot be a file name.
    #[error("`{path}` has a part that cannot be a file name: {why}")]
    Name {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: NameFlaw,
    },
    /// There is a node at this path already.
    #[error("`{path}` is there already")]
    Taken {
        /// The path.
        path: String,
    },
    /// A file or link would have to be a folder, or the reverse.
    #[error("`{path}` is a file and a folder")]
    FileAndFolder {
        /// The path of the file.
        path: String,
    },
}

/// Why a text cannot be a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFlaw {
    /// Nothing between two slashes, or nothing at all.
    #[error("it is empty")]
    Empty,
    /// `.` or `..`.
    #[error("it is a dot or two")]
    Dots,
    /// NUL.
    #[error("it contains NUL")]
    Nul,
    /// More than 255 bytes.
    #[error("it is longer than 255 bytes")]
    Long,
}

/// Collects the nodes of a snapshot in any order.
#[derive(Debug, Default)]
pub struct TreeBuilder;

impl TreeBuilder {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Places a node; folders above it that have no node yet are made up.
    pub fn add(&mut self, _path: &str, _node: Node) -> Result<(), TreeError> {
        todo!()
    }
}
