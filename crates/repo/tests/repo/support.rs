//! What the tests share: repositories in memory and on disk, noise, and running stock restic.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, OnceLock},
};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use lifeboat_repo::{
    Clock, Content, Entry, Location, NewSnapshot, Node, NodeKind, RepoError, Repository, Snapshot,
    SnapshotId, Tag, TreeBuilder, Writer, WriterOptions, moment,
    store::{FileKind, MemoryStore, Store as _},
};
use secrecy::SecretString;

/// The password of all repositories of the tests.
pub(crate) const PASSWORD: &str = "correct horse";
/// The device of all snapshots of the tests.
pub(crate) const UDID: &str = "00008101-000123456789001E";

pub(crate) fn password() -> SecretString {
    PASSWORD.into()
}

/// A folder that is gone after the test.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.folder.path().join(name)).unwrap()
    }

    pub(crate) fn cache(&self) -> Utf8PathBuf {
        self.path("cache")
    }

    pub(crate) fn location(&self) -> Location {
        Location::Local(self.path("repository"))
    }

    pub(crate) fn init(&self) -> Repository {
        Repository::init(&self.location(), &password(), &self.cache()).unwrap()
    }

    pub(crate) fn open(&self) -> Repository {
        Repository::open(&self.location(), &password(), &self.cache()).unwrap()
    }
}

/// An empty repository in memory, and the same one open. Deriving a key takes long, so all others are copies of it.
fn first() -> &'static (MemoryStore, Repository) {
    static FIRST: OnceLock<(MemoryStore, Repository)> = OnceLock::new();
    FIRST.get_or_init(|| {
        let (store, home) = (MemoryStore::new(), Home::new());
        let repository =
            Repository::init_in(Arc::new(store.clone()), &password(), &home.cache()).unwrap();
        (store, repository)
    })
}

/// Returns an empty repository in memory.
pub(crate) fn empty() -> MemoryStore {
    first().0.fork()
}

/// Opens a repository that began as [`empty`].
pub(crate) fn open_in(store: &MemoryStore, home: &Home) -> Result<Repository, RepoError> {
    first().1.reopen_in(Arc::new(store.clone()), &home.cache())
}

/// Opens it with the password.
pub(crate) fn unlock(store: &MemoryStore, home: &Home) -> Result<Repository, RepoError> {
    Repository::open_in(Arc::new(store.clone()), &password(), &home.cache())
}

/// A clock that stands still.
pub(crate) fn clock() -> Clock {
    Arc::new(now)
}

pub(crate) fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

pub(crate) fn writer(repository: &Repository) -> Result<Writer, RepoError> {
    repository.writer(&WriterOptions::new(real_clock()))
}

/// The locks of restic are judged by the real time.
#[expect(clippy::disallowed_methods, reason = "tests have no host")]
pub(crate) fn real_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// Returns bytes that cannot be compressed, always the same for a seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(length);
    out
}

/// Returns text that can be compressed.
pub(crate) fn prose(seed: u64, length: usize) -> Vec<u8> {
    let words = ["the ", "phone ", "asks ", "whether ", "to ", "trust ", "this ", "computer\n"];
    let mut out = Vec::with_capacity(length + 16);
    for byte in noise(seed, length) {
        out.extend_from_slice(words[usize::from(byte) % words.len()].as_bytes());
        if out.len() >= length {
            break;
        }
    }
    out.truncate(length);
    out
}

/// The files of a snapshot for a test, by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Returns a few files of every kind that matters.
pub(crate) fn some_files() -> Files {
    let mut sqlite = b"SQLite format 3\0\x10\x00".to_vec();
    sqlite.extend(prose(3, 300_000));
    BTreeMap::from([
        ("files/CameraRollDomain/Media/DCIM/IMG_0001.JPG".to_owned(), noise(1, 3_000_000)),
        ("files/HomeDomain/Library/SMS/sms.db".to_owned(), sqlite),
        ("files/HomeDomain/Library/empty".to_owned(), Vec::new()),
        ("files/HomeDomain/Library/R&D <\"quoted\"> ümlaut\n.txt".to_owned(), prose(4, 5_000)),
        (
            "files/HomeDomain/Library/Preferences/com.apple.plist".to_owned(),
            b"bplist00 something".to_vec(),
        ),
        ("lifeboat/about.json".to_owned(), b"{}".to_vec()),
    ])
}

pub(crate) fn new_snapshot(tag: Tag) -> NewSnapshot {
    NewSnapshot {
        time: now(),
        udid: UDID.into(),
        tag,
        also: None,
        label: Some("Ann's iPhone".into()),
        description: None,
        parent: None,
    }
}

pub(crate) fn file(content: Content) -> Node {
    Node { mode: 0o640, inode: 77, ..Node::file(content, moment(1_700_000_000, 5_000_000)) }
}

/// Stores files and commits a snapshot of them, with a folder and a link that have nodes of their own.
pub(crate) fn commit(writer: &Writer, files: &Files) -> Result<SnapshotId, RepoError> {
    commit_as(writer, files, Tag::Complete)
}

/// Does the same under a tag.
pub(crate) fn commit_as(writer: &Writer, files: &Files, tag: Tag) -> Result<SnapshotId, RepoError> {
    let mut tree = TreeBuilder::new();
    for (path, data) in files {
        let content = writer.store(data.as_slice(), None)?;
        tree.add(path, file(content)).unwrap();
    }
    let folder = Node { mode: 0o750, uid: 501, ..Node::directory(moment(1_600_000_000, 0)) };
    tree.add("files/HomeDomain/Library", folder).unwrap();
    tree.add("files/HomeDomain/link", Node::symlink("Library/empty", moment(1_600_000_001, 0)))
        .unwrap();
    writer.commit(tree, &new_snapshot(tag)).map(|(id, _)| id)
}

/// Reads all files of a snapshot back.
pub(crate) fn files_of(repository: &Repository, snapshot: &Snapshot) -> Result<Files, RepoError> {
    let mut files = Files::new();
    repository.walk(snapshot, |entry: &Entry| -> Result<(), RepoError> {
        if let NodeKind::File(content) = &entry.node.kind {
            files.insert(entry.path.clone(), repository.read(content)?);
        }
        Ok(())
    })?;
    Ok(files)
}

/// Returns the names of all files of a kind.
pub(crate) fn ids(store: &MemoryStore, kind: FileKind) -> Vec<lifeboat_repo::FileId> {
    store.list(kind).unwrap().into_iter().map(|(id, _)| id).collect()
}

/// Runs stock restic on a repository and returns what it prints; it must succeed.
pub(crate) fn restic(repository: &Utf8Path, home: &Home, arguments: &[&str]) -> String {
    let (ok, out, err) = try_restic(repository, home, arguments);
    assert!(ok, "restic {arguments:?} failed:\n{out}\n{err}");
    out
}

pub(crate) fn try_restic(
    repository: &Utf8Path,
    home: &Home,
    arguments: &[&str],
) -> (bool, String, String) {
    try_restic_with(repository, home, PASSWORD, arguments)
}

/// Runs it with another password.
#[expect(clippy::disallowed_methods, reason = "restic is a stranger that judges what we write")]
pub(crate) fn try_restic_with(
    repository: &Utf8Path,
    home: &Home,
    password: &str,
    arguments: &[&str],
) -> (bool, String, String) {
    let output = Command::new("restic")
        .args(["--no-cache", "--repo", repository.as_str()])
        .args(arguments)
        .env("RESTIC_PASSWORD", password)
        .env("HOME", home.path("home"))
        .current_dir(home.folder.path())
        .output()
        .expect("restic is installed (Debian package `restic`)");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}
