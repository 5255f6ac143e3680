//! Passwords of encrypted backups: where they come from, and the snapshots that keep them.
//!
//! A *password snapshot* belongs to no device's backups: host name `lifeboat`, tag `password`, and one file,
//! [`PATH`]. It is written before a device is told a password, so that none that passed through this program is lost. What a
//! backup proved lies in that backup's own `lifeboat/keys.json`, which names the generation; what the device itself said of a password
//! is noted in a snapshot of the same kind ([`Word`], [`TOLD`]).

use std::sync::Arc;

use jiff::Timestamp;
use lifeboat_repo::{
    Clock, NewSnapshot, Node, Repository, Snapshot, SnapshotId, Tag, TreeBuilder, Writer,
    WriterOptions,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::{Cause, JobError};
use crate::job::Context;

/// The one file of a password snapshot.
pub const PATH: &str = "lifeboat/password.json";
/// The one file of a snapshot that notes what a device said of a password.
pub const TOLD: &str = "lifeboat/password-told.json";
/// The host name of snapshots that belong to no device.
pub const HOST: &str = "lifeboat";
/// The version of the file.
pub const FORMAT: u32 = 1;
/// No honest file is longer.
const LONGEST: u64 = 64 << 10;

/// A password as a password snapshot keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredPassword {
    /// The version of the file.
    pub format: u32,
    /// The device.
    pub udid: String,
    /// Names this password among those of the device; never used twice.
    pub generation: String,
    /// The password, as it is typed.
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    pub password: SecretString,
    /// When it was agreed upon.
    pub created: Timestamp,
}

fn expose<S: Serializer>(password: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(password.expose_secret())
}

fn hide<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

impl StoredPassword {
    /// Makes one of a new generation.
    pub fn new(udid: &str, password: SecretString, created: Timestamp) -> Self {
        let generation = uuid::Uuid::new_v4().simple().to_string();
        let udid = udid.to_owned();
        Self { format: FORMAT, udid, generation, password, created }
    }

    /// Returns the bytes of the file; they are wiped when dropped.
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, JobError> {
        serde_json::to_vec(self).map(Zeroizing::new).map_err(|error| {
            JobError::of(Cause::Internal, "the password cannot be written", &error)
        })
    }

    /// Reads the file.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(bytes).ok()?;
        (read.format == FORMAT).then_some(read)
    }
}

/// What a device said of a password that is kept. It is noted when it is certain, and a note that a crash keeps from being written
/// is missed by nobody: then the password is one of which nothing is known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// It does not have it: it refused to take it, or says that it is not the one that it has.
    Refused,
    /// It wrote a keybag that opens with it.
    Proved,
}

/// The note of what a device said of a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The version of the file.
    pub format: u32,
    /// The device.
    pub udid: String,
    /// Which of its passwords.
    pub generation: String,
    /// What it said.
    pub word: Word,
    /// When.
    pub at: Timestamp,
}

impl Told {
    /// Makes one.
    pub fn new(udid: &str, generation: &str, word: Word, at: Timestamp) -> Self {
        let (udid, generation) = (udid.to_owned(), generation.to_owned());
        Self { format: FORMAT, udid, generation, word, at }
    }

    /// Reads the file.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(bytes).ok()?;
        (read.format == FORMAT).then_some(read)
    }
}

/// Notes what a device said of a password; it is durable when this returns.
pub fn note(writer: &Writer, told: &Told) -> Result<SnapshotId, JobError> {
    let bytes = serde_json::to_vec(told).map_err(|error| {
        JobError::of(Cause::Internal, "what the device said cannot be written", &error)
    })?;
    commit(writer, TOLD, &bytes, told.at)
}

/// Writes a password snapshot; it is durable when this returns.
pub fn write(writer: &Writer, password: &StoredPassword) -> Result<SnapshotId, JobError> {
    commit(writer, PATH, &password.encode()?, password.created)
}

fn commit(
    writer: &Writer,
    path: &str,
    bytes: &[u8],
    time: Timestamp,
) -> Result<SnapshotId, JobError> {
    let mut tree = TreeBuilder::new();
    let content = writer.store(bytes, None)?;
    let node = Node::file(content, time);
    tree.add(path, node).map_err(|error| {
        JobError::of(Cause::Internal, "the password's snapshot cannot be put together", &error)
    })?;
    let new = NewSnapshot {
        time,
        udid: HOST.to_owned(),
        tag: Tag::Password,
        also: None,
        label: None,
        description: None,
        parent: None,
    };
    let (snapshot, _) = writer.commit(tree, &new)?;
    Ok(snapshot)
}

/// Writes a password snapshot into a repository that nobody here writes to.
pub fn store(
    ctx: &Context,
    repository: &Repository,
    password: &StoredPassword,
) -> Result<SnapshotId, JobError> {
    let host = ctx.host.clone();
    let clock: Clock = Arc::new(move || host.now());
    write(&repository.writer(&WriterOptions::new(clock))?, password)
}

/// A password that the repository keeps.
#[derive(Debug)]
pub struct Kept {
    /// The password.
    pub password: StoredPassword,
    /// What the device said of it last; nothing where nothing is noted.
    pub word: Option<Word>,
}

impl Kept {
    /// Whether the device refused it.
    pub fn is_refused(&self) -> bool {
        self.word == Some(Word::Refused)
    }
}

/// Returns the passwords of a device that the repository keeps, newest first, each with its snapshot, whatever the device said of
/// them. One that cannot be read is left out, and the log says so.
pub fn stored(
    repository: &Repository,
    udid: &str,
) -> Result<Vec<(Snapshot, StoredPassword)>, JobError> {
    Ok(files(repository, udid)?.0)
}

/// Returns the passwords of a device that the repository keeps, those that it refused behind the others, else the newest first. One
/// that cannot be read is left out, and the log says so.
pub fn kept(repository: &Repository, udid: &str) -> Result<Vec<Kept>, JobError> {
    let (stored, told) = files(repository, udid)?;
    let with_word = |(_, password): (Snapshot, StoredPassword)| {
        let of_it = told.iter().filter(|told| told.generation == password.generation);
        let word = of_it.max_by_key(|told| told.at).map(|told| told.word);
        Kept { password, word }
    };
    let mut kept: Vec<_> = stored.into_iter().map(with_word).collect();
    kept.sort_by_key(Kept::is_refused);
    Ok(kept)
}

/// What the password snapshots of a device hold, newest first.
type Files = (Vec<(Snapshot, StoredPassword)>, Vec<Told>);

fn files(repository: &Repository, udid: &str) -> Result<Files, JobError> {
    let (snapshots, _) = repository.snapshots_and_damage()?;
    let (mut stored, mut told) = (Vec::new(), Vec::new());
    for snapshot in snapshots.into_iter().rev().filter(|snapshot| snapshot.is(Tag::Password)) {
        match file(repository, &snapshot) {
            Ok(Some(File::Password(password))) if password.udid == udid => {
                stored.push((snapshot, password));
            }
            Ok(Some(File::Told(one))) if one.udid == udid => told.push(one),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, snapshot = %snapshot.id.short(), "a password cannot be read");
            }
        }
    }
    Ok((stored, told))
}

/// What a password snapshot holds.
enum File {
    Password(StoredPassword),
    Told(Told),
}

fn file(repository: &Repository, snapshot: &Snapshot) -> Result<Option<File>, JobError> {
    let bytes = |path: &str| {
        let entry = repository.entry(snapshot, path)?;
        let content = entry.as_ref().and_then(|entry| entry.node.content());
        let content = content.filter(|content| content.size <= LONGEST);
        let read = content.map(|content| repository.read(content).map(Zeroizing::new));
        read.transpose().map_err(JobError::from)
    };
    if let Some(bytes) = bytes(PATH)? {
        return Ok(StoredPassword::decode(&bytes).map(File::Password));
    }
    let told = bytes(TOLD)?;
    Ok(told.and_then(|bytes| Told::decode(&bytes)).map(File::Told))
}

/// Reads a password snapshot; nothing where it holds no password that is understood.
pub fn read(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<Option<StoredPassword>, JobError> {
    Ok(match file(repository, snapshot)? {
        Some(File::Password(password)) => Some(password),
        _ => None,
    })
}

/// A password that may be the right one.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The password.
    pub password: SecretString,
    /// Its generation, where a password snapshot keeps it.
    pub generation: Option<String>,
}

impl Candidate {
    /// Makes one that a person gave.
    pub fn given(password: SecretString) -> Self {
        Self { password, generation: None }
    }
}

impl From<StoredPassword> for Candidate {
    fn from(stored: StoredPassword) -> Self {
        Self { password: stored.password, generation: Some(stored.generation) }
    }
}

/// Why a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The name of the device, or of the folder.
    pub of: &'a str,
    /// The last answer was not the right one.
    pub was_wrong: bool,
}

/// Where passwords of encrypted backups come from.
pub trait Passwords: Send + Sync {
    /// Returns the passwords that may be those of a device, the likeliest first. Asks nobody.
    fn candidates(&self, udid: &str) -> Result<Vec<Candidate>, JobError>;

    /// Asks a person, where there is one; nothing where there is none, or where the answer is nothing.
    fn ask(&self, _question: &Question<'_>) -> Option<SecretString> {
        None
    }
}

/// Nobody gave one.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPasswords;

impl Passwords for NoPasswords {
    fn candidates(&self, _udid: &str) -> Result<Vec<Candidate>, JobError> {
        Ok(Vec::new())
    }
}

/// A list of passwords, in this order.
#[derive(Debug, Clone, Default)]
pub struct Given(pub Vec<SecretString>);

impl Passwords for Given {
    fn candidates(&self, _udid: &str) -> Result<Vec<Candidate>, JobError> {
        Ok(self.0.iter().cloned().map(Candidate::given).collect())
    }
}

/// The passwords that the snapshots of a repository keep.
pub struct Stored<'a>(pub &'a Repository);

impl Passwords for Stored<'_> {
    fn candidates(&self, udid: &str) -> Result<Vec<Candidate>, JobError> {
        Ok(kept(self.0, udid)?.into_iter().map(|kept| kept.password.into()).collect())
    }
}

/// Returns every candidate, each once: those that a person gave, then those that the repository keeps; those that the device refused
/// come last, and cost nothing where another one is right. One that is both has the generation of the repository's.
pub fn candidates(
    given: &dyn Passwords,
    repository: Option<&Repository>,
    udid: &str,
) -> Result<Vec<Candidate>, JobError> {
    let mut all = given.candidates(udid)?;
    let kept = repository.map_or(Ok(Vec::new()), |repository| Stored(repository).candidates(udid));
    for candidate in kept? {
        let same = |known: &&mut Candidate| {
            known.password.expose_secret() == candidate.password.expose_secret()
        };
        match all.iter_mut().find(same) {
            Some(known) => {
                known.generation.get_or_insert_with(|| candidate.generation.unwrap_or_default());
            }
            None => all.push(candidate),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use lifeboat_host::fake::FakeHost;
    use lifeboat_repo::Location;
    use proptest::prelude::*;

    use super::*;
    use crate::event::EventSink;

    fn password(text: &str, seconds: i64) -> StoredPassword {
        let created = Timestamp::from_second(seconds).unwrap();
        StoredPassword::new("0000000000000000", text.to_owned().into(), created)
    }

    /// An empty repository in this folder, and what a job needs.
    fn repository(dir: &tempfile::TempDir) -> (Context, Repository) {
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let place = Location::from(root.join("repository"));
        let secret = "a password".to_owned().into();
        let repository = Repository::init(&place, &secret, &root.join("cache")).unwrap();
        (Context::new(Arc::new(FakeHost::default()), EventSink::silent()), repository)
    }

    #[test]
    fn what_a_repository_keeps_comes_back_newest_first_and_of_its_device_only() {
        let dir = tempfile::tempdir().unwrap();
        let (ctx, repository) = repository(&dir);
        let (old, new) = (password("old", 1), password("new", 2));
        let other = StoredPassword { udid: "1111111111111111".to_owned(), ..password("other", 3) };
        for password in [&new, &old, &other] {
            store(&ctx, &repository, password).unwrap();
        }
        let kept = stored(&repository, "0000000000000000").unwrap();
        let kept: Vec<_> = kept.iter().map(|(_, kept)| &kept.generation).collect();
        assert_eq!(kept, [&new.generation, &old.generation]);
        let given = Given(vec!["typed".to_owned().into(), "old".to_owned().into()]);
        let found = candidates(&given, Some(&repository), "0000000000000000").unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|found| (found.password.expose_secret(), found.generation.clone()))
            .collect();
        let generation = |password: &StoredPassword| Some(password.generation.clone());
        assert_eq!(told, [("typed", None), ("old", generation(&old)), ("new", generation(&new))]);
        // A backup is never taken for a device's.
        assert!(repository.latest("0000000000000000").unwrap().is_none());
        assert!(!format!("{old:?}").contains("\"old\""), "never shown");
    }

    #[test]
    fn what_the_device_refused_is_kept_and_tried_last() {
        let dir = tempfile::tempdir().unwrap();
        let (ctx, repository) = repository(&dir);
        let passwords = ["old", "new", "again"];
        let at = |second| Timestamp::from_second(second).unwrap();
        let of: Vec<_> = passwords.iter().zip(1..).map(|(text, at)| password(text, at)).collect();
        for password in &of {
            store(&ctx, &repository, password).unwrap();
        }
        let host = ctx.host.clone();
        let writer = repository.writer(&WriterOptions::new(Arc::new(move || host.now()))).unwrap();
        let tell = |of: &StoredPassword, word, second| {
            note(&writer, &Told::new(&of.udid, &of.generation, word, at(second))).unwrap();
        };
        tell(&of[2], Word::Refused, 10);
        // What is said of another device's password, or of one that nobody keeps, is of no matter here.
        let other = Told::new("1111111111111111", &of[1].generation, Word::Refused, at(10));
        note(&writer, &other).unwrap();
        note(&writer, &Told::new(&of[0].udid, "nobody's", Word::Refused, at(10))).unwrap();
        let found = || {
            let kept = kept(&repository, "0000000000000000").unwrap();
            let told = kept
                .iter()
                .map(|kept| (kept.password.password.expose_secret().to_owned(), kept.word));
            told.collect::<Vec<_>>()
        };
        let shown = |text: &str, word| (text.to_owned(), word);
        let last = shown("again", Some(Word::Refused));
        assert_eq!(found(), [shown("new", None), shown("old", None), last]);
        let tried = candidates(&NoPasswords, Some(&repository), "0000000000000000").unwrap();
        let tried: Vec<_> = tried.iter().map(|one| one.password.expose_secret()).collect();
        assert_eq!(tried, ["new", "old", "again"]);
        // The last word counts.
        tell(&of[2], Word::Proved, 11);
        tell(&of[1], Word::Proved, 11);
        tell(&of[1], Word::Refused, 12);
        let first = shown("again", Some(Word::Proved));
        assert_eq!(found(), [first, shown("old", None), shown("new", Some(Word::Refused))]);
    }

    proptest! {
        #[test]
        fn a_note_comes_back(generation in "[0-9a-f]{32}", refused in any::<bool>(), second in 0_i64..4_000_000_000) {
            let word = if refused { Word::Refused } else { Word::Proved };
            let told = Told::new("0000000000000000", &generation, word, Timestamp::from_second(second).unwrap());
            prop_assert_eq!(Told::decode(&serde_json::to_vec(&told).unwrap()), Some(told));
        }

        #[test]
        fn a_password_comes_back(text in any::<String>(), seconds in 0_i64..4_000_000_000) {
            let stored = password(&text, seconds);
            let read = StoredPassword::decode(&stored.encode().unwrap()).unwrap();
            prop_assert_eq!(read.password.expose_secret(), text);
            prop_assert_eq!((read.udid, read.generation, read.created), (stored.udid, stored.generation, stored.created));
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(StoredPassword::decode(&noise));
            drop(Told::decode(&noise));
        }
    }

    #[test]
    fn a_newer_file_is_not_understood() {
        let newer = StoredPassword { format: FORMAT + 1, ..password("x", 1) };
        assert!(StoredPassword::decode(&newer.encode().unwrap()).is_none());
    }
}
