//! The way in.

use std::sync::Arc;

use camino::Utf8Path;
use secrecy::SecretString;

use crate::{
    check::{CheckProgress, CheckReport},
    error::RepoError,
    ingest::{Writer, WriterOptions},
    location::Location,
    node::{Content, Entry},
    reader::Reader,
    snapshot::Snapshot,
    stats::Stats,
    store::Store,
};

/// An open repository. Clones share it.
#[derive(Clone)]
pub struct Repository;

impl Repository {
    /// Makes a new repository and opens it.
    pub fn init(
        _at: &Location,
        _password: &SecretString,
        _cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        todo!()
    }

    /// Opens a repository. `cache` is a folder for what can be made again at any time.
    pub fn open(
        _at: &Location,
        _password: &SecretString,
        _cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        todo!()
    }

    /// Makes a new repository in a store of the caller's.
    pub fn init_in(
        _store: Arc<dyn Store>,
        _password: &SecretString,
        _cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        todo!()
    }

    /// Opens the repository in a store of the caller's.
    pub fn open_in(
        _store: Arc<dyn Store>,
        _password: &SecretString,
        _cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        todo!()
    }

    /// Returns the identifier in the configuration of the repository.
    pub fn id(&self) -> &str {
        todo!()
    }

    /// Says where it is.
    pub fn location(&self) -> String {
        todo!()
    }

    /// Adds a key that opens with another password.
    pub fn add_key(&self, _password: &SecretString) -> Result<(), RepoError> {
        todo!()
    }

    /// Lists all snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, RepoError> {
        todo!()
    }

    /// Finds a snapshot: `latest`, the beginning of its identifier, or `UDID@date`; of this device only, where given.
    pub fn resolve(&self, _wanted: &str, _udid: Option<&str>) -> Result<Snapshot, RepoError> {
        todo!()
    }

    /// Locks the repository for writing beside other writers.
    pub fn writer(&self, _options: &WriterOptions) -> Result<Writer, RepoError> {
        todo!()
    }

    /// Lists what is in a folder of a snapshot, by name; the root is the empty path.
    pub fn entries(&self, _snapshot: &Snapshot, _path: &str) -> Result<Vec<Entry>, RepoError> {
        todo!()
    }

    /// Returns what is at a path of a snapshot.
    pub fn entry(&self, _snapshot: &Snapshot, _path: &str) -> Result<Option<Entry>, RepoError> {
        todo!()
    }

    /// Shows every node of a snapshot, a folder before what is in it; stops at the first error of `visit`.
    pub fn walk<E: From<RepoError>>(
        &self,
        _snapshot: &Snapshot,
        _visit: impl FnMut(&Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        todo!()
    }

    /// Opens the content of a file.
    pub fn reader(&self, _content: &Content) -> Result<Reader, RepoError> {
        todo!()
    }

    /// Reads the whole content of a small file.
    pub fn read(&self, _content: &Content) -> Result<Vec<u8>, RepoError> {
        todo!()
    }

    /// Checks structure and, with `read_data`, every byte of every pack.
    pub fn check(
        &self,
        _read_data: bool,
        _progress: &mut dyn FnMut(CheckProgress),
    ) -> Result<CheckReport, RepoError> {
        todo!()
    }

    /// Counts what the repository holds.
    pub fn stats(&self) -> Result<Stats, RepoError> {
        todo!()
    }
}
