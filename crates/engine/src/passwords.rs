//! Passwords of encrypted backups: where they come from, and the snapshots that keep them.
//!
//! A *password snapshot* belongs to no device's backups: host name `lifeboat`, tag `password`, and one file,
//! [`PATH`]. It is written before a device is told a password, so that none that passed through this program is lost. What a
//! backup proved lies in that backup's own `lifeboat/keys.json`, which names the generation.

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
    /// When the device surely refused it: it has another one. It stays among those that are tried, behind the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Timestamp>,
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
        Self { format: FORMAT, udid, generation, password, created, refused: None }
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

/// Writes a password snapshot; it is durable when this returns.
pub fn write(writer: &Writer, password: &StoredPassword) -> Result<SnapshotId, JobError> {
    let mut tree = TreeBuilder::new();
    let content = writer.store(password.encode()?.as_slice(), None)?;
    let node = Node::file(content, password.created);
    tree.add(PATH, node).map_err(|error| {
        JobError::of(Cause::Internal, "the password's snapshot cannot be put together", &error)
    })?;
    let new = NewSnapshot {
        time: password.created,
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

/// Returns the passwords of a device that the repository keeps, newest first, each once, with a snapshot of it. One that cannot be
/// read is left out, and the log says so.
pub fn stored(
    repository: &Repository,
    udid: &str,
) -> Result<Vec<(Snapshot, StoredPassword)>, JobError> {
    let (snapshots, _) = repository.snapshots_and_damage()?;
    let mut found: Vec<(Snapshot, StoredPassword)> = Vec::new();
    for snapshot in snapshots.into_iter().rev().filter(|snapshot| snapshot.is(Tag::Password)) {
        match read(repository, &snapshot) {
            Ok(Some(password)) if password.udid == udid => {
                let same = |(_, known): &&mut (Snapshot, StoredPassword)| {
                    known.generation == password.generation
                };
                match found.iter_mut().find(same) {
                    // What the device answered is kept in a second one.
                    Some((_, known)) => known.refused = known.refused.or(password.refused),
                    None => found.push((snapshot, password)),
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, snapshot = %snapshot.id.short(), "a password cannot be read");
            }
        }
    }
    Ok(found)
}

/// Reads a password snapshot; nothing where it holds none that is understood.
pub fn read(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<Option<StoredPassword>, JobError> {
    let Some(entry) = repository.entry(snapshot, PATH)? else { return Ok(None) };
    let Some(content) = entry.node.content().filter(|content| content.size <= LONGEST) else {
        return Ok(None);
    };
    Ok(StoredPassword::decode(&Zeroizing::new(repository.read(content)?)))
}

/// A password that may be the right one.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The password.
    pub password: SecretString,
    /// Its generation, where a password snapshot keeps it.
    pub generation: Option<String>,
    /// Whether the device once refused it.
    pub is_refused: bool,
}

impl Candidate {
    /// Makes one that a person gave.
    pub fn given(password: SecretString) -> Self {
        Self { password, generation: None, is_refused: false }
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
        let candidate = |(_, stored): (Snapshot, StoredPassword)| Candidate {
            password: stored.password,
            generation: Some(stored.generation),
            is_refused: stored.refused.is_some(),
        };
        let mut all: Vec<_> = stored(self.0, udid)?.into_iter().map(candidate).collect();
        // Of what the device refused only something else than the device can make the right one.
        all.sort_by_key(|candidate| candidate.is_refused);
        Ok(all)
    }
}

/// Returns every candidate, each once: those that a person gave, then those that the repository keeps. One that is both has the
/// generation of the repository's.
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

    #[test]
    fn what_a_repository_keeps_comes_back_newest_first_and_of_its_device_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let place = Location::from(root.join("repository"));
        let secret = "a password".to_owned().into();
        let repository = Repository::init(&place, &secret, &root.join("cache")).unwrap();
        let ctx = Context::new(Arc::new(FakeHost::default()), EventSink::silent());
        let (old, new) = (password("old", 1), password("new", 2));
        let other = StoredPassword { udid: "1111111111111111".to_owned(), ..password("other", 3) };
        for password in [&new, &old, &other] {
            store(&ctx, &repository, password).unwrap();
        }
        // What the device answers comes later, and takes nothing away.
        let refused = StoredPassword { refused: Some(new.created), ..new.clone() };
        store(&ctx, &repository, &refused).unwrap();
        let newest = password("newest", 4);
        store(
            &ctx,
            &repository,
            &StoredPassword { refused: Some(newest.created), ..newest.clone() },
        )
        .unwrap();
        let kept = stored(&repository, "0000000000000000").unwrap();
        let kept: Vec<_> =
            kept.iter().map(|(_, kept)| (&kept.generation, kept.refused.is_some())).collect();
        assert_eq!(
            kept,
            [(&newest.generation, true), (&new.generation, true), (&old.generation, false)]
        );
        let given = Given(vec!["typed".to_owned().into(), "old".to_owned().into()]);
        let found = candidates(&given, Some(&repository), "0000000000000000").unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|found| (found.password.expose_secret(), found.generation.clone()))
            .collect();
        let generation = |password: &StoredPassword| Some(password.generation.clone());
        assert_eq!(
            told,
            [
                ("typed", None),
                ("old", generation(&old)),
                ("newest", generation(&newest)),
                ("new", generation(&new))
            ]
        );
        // A backup is never taken for a device's.
        assert!(repository.latest("0000000000000000").unwrap().is_none());
        assert!(!format!("{old:?}").contains("\"old\""), "never shown");
    }

    proptest! {
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
        }
    }

    #[test]
    fn a_newer_file_is_not_understood() {
        let newer = StoredPassword { format: FORMAT + 1, ..password("x", 1) };
        assert!(StoredPassword::decode(&newer.encode().unwrap()).is_none());
    }
}
