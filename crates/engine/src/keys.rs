//! What opens an encrypted backup: its class keys, which earlier snapshots know, or which a password opens.
//!
//! The keybag of a backup comes with its `Manifest.plist`, at the end of the transfer. What might open it is gathered before
//! (`Keyring`); what did is kept in the snapshot itself (`lifeboat/keys.json`), so that no other snapshot is needed to read it.

use std::collections::BTreeMap;

use lifeboat_mobilesync::ManifestPlist;
use lifeboat_mobilesync::keybag::{ClassKeys, Keybag, KeybagError, WrappedKey};
use lifeboat_repo::{Repository, Snapshot, Tag};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::{Cause, JobError};
use crate::job::Context;
use crate::layout::KEYS;
use crate::passwords::{self, Candidate, Question};

/// The version of the file.
const FORMAT: u32 = 1;
/// No honest file is longer.
const LONGEST: u64 = 64 << 10;
/// In how many of the newest snapshots keys are looked for: class keys outlive passwords.
const LOOKED: usize = 30;
/// How often a person is asked.
const ASK: usize = 3;

/// What opens the files of one backup.
#[derive(Clone)]
pub(crate) struct Keys {
    classes: ClassKeys,
    /// SHA-256 of the keybag, in hexadecimal digits.
    bag: String,
    /// The password that made it, where a password snapshot keeps it.
    generation: Option<String>,
}

/// `lifeboat/keys.json`. Nothing in it changes from one backup to the next, unless the password does.
#[derive(Serialize, Deserialize)]
struct KeysFile {
    format: u32,
    keybag: String,
    generation: Option<String>,
    classes: BTreeMap<u32, Hidden>,
}

/// Hexadecimal digits that are wiped when dropped and never shown.
struct Hidden(Zeroizing<String>);

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// Why a backup stays sealed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Locked {
    /// Nobody gave a password, and none is known.
    #[error("its password is not known")]
    Unknown,
    /// Passwords were tried.
    #[error("none of the passwords that are known opens it")]
    Wrong,
    /// `Manifest.plist` has no keybag.
    #[error("its Manifest.plist has no keybag")]
    NoKeybag,
    /// The keybag cannot be read.
    #[error("its keybag is damaged")]
    Keybag(#[source] KeybagError),
    /// The keybag opens, and the key of the manifest does not: it is damaged, or the keybag is another backup's.
    #[error("the key of its manifest is damaged, or its keybag belongs to another backup")]
    ManifestKey(#[source] KeybagError),
    /// The key of the manifest opens, and the manifest is none.
    #[error("its Manifest.db is damaged: {0}")]
    Manifest(String),
}

impl Locked {
    /// Returns the word for programs.
    pub(crate) fn id(&self) -> &'static str {
        match self {
            Self::Unknown => Cause::PasswordUnknown.id(),
            Self::Wrong => Cause::BackupPasswordWrong.id(),
            Self::NoKeybag => "keybag-missing",
            Self::Keybag(_) => "keybag-damaged",
            Self::ManifestKey(_) => "manifest-key-damaged",
            Self::Manifest(_) => "manifest-damaged",
        }
    }

    /// Says whether a password may open it another day; else the backup is not whole, and names the file that is not.
    pub(crate) fn damaged(&self) -> Option<&'static str> {
        match self {
            Self::Unknown | Self::Wrong => None,
            Self::NoKeybag | Self::Keybag(_) | Self::ManifestKey(_) => Some("Manifest.plist"),
            Self::Manifest(_) => Some("Manifest.db"),
        }
    }

    /// Returns the error of a command that cannot go on without.
    pub(crate) fn error(&self, what: &str) -> JobError {
        let cause = match self {
            Self::Unknown => Cause::PasswordUnknown,
            Self::Wrong => Cause::BackupPasswordWrong,
            _ => Cause::BackupEncrypted,
        };
        JobError::of(cause, what, self)
    }
}

impl Keys {
    /// Reads the file.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let file: KeysFile = serde_json::from_slice(bytes).ok()?;
        let mut classes = Vec::new();
        for (class, digits) in &file.classes {
            let mut key = Zeroizing::new([0; 32]);
            hex::decode_to_slice(digits.0.as_bytes(), key.as_mut()).ok()?;
            classes.push((*class, key));
        }
        let (bag, generation) = (file.keybag, file.generation);
        (file.format == FORMAT).then(|| Self {
            classes: classes.into_iter().collect(),
            bag,
            generation,
        })
    }

    /// Returns the bytes of the file; they are wiped when dropped.
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, JobError> {
        let hidden = |(class, key): (u32, &lifeboat_mobilesync::crypto::Key)| {
            (class, Hidden(Zeroizing::new(hex::encode(**key))))
        };
        let file = KeysFile {
            format: FORMAT,
            keybag: self.bag.clone(),
            generation: self.generation.clone(),
            classes: self.classes.iter().map(hidden).collect(),
        };
        serde_json::to_vec(&file)
            .map(Zeroizing::new)
            .map_err(|error| JobError::of(Cause::Internal, "the keys cannot be written", &error))
    }

    /// Opens the key of a file, or of a manifest: 44 bytes.
    pub(crate) fn open(
        &self,
        wrapped: &[u8],
    ) -> Result<lifeboat_mobilesync::crypto::Key, KeybagError> {
        self.classes.open(&WrappedKey::parse(wrapped)?)
    }

    /// Says whether two backups have the same key of the class that wraps this one.
    pub(crate) fn agrees(&self, other: &Self, wrapped: &[u8]) -> bool {
        WrappedKey::parse(wrapped).is_ok_and(|key| {
            let of = |keys: &Self| keys.classes.class(key.class).cloned();
            of(self).is_some() && of(self) == of(other)
        })
    }

    /// Returns the generation of the password, where a password snapshot keeps it.
    pub(crate) fn generation(&self) -> Option<&str> {
        self.generation.as_deref()
    }
}

/// Returns the keys that a snapshot keeps; nothing where it keeps none.
pub(crate) fn of_snapshot(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<Option<Keys>, JobError> {
    let Some(entry) = repository.entry(snapshot, KEYS)? else { return Ok(None) };
    let Some(content) = entry.node.content().filter(|content| content.size <= LONGEST) else {
        return Ok(None);
    };
    Ok(Keys::decode(&Zeroizing::new(repository.read(content)?)))
}

/// What may open the next backup of a device.
#[derive(Clone, Default)]
pub(crate) struct Keyring {
    known: Vec<Keys>,
    candidates: Vec<Candidate>,
}

impl Keyring {
    /// Gathers what earlier snapshots of a device know, newest first, and every password that may be the right one. What cannot
    /// be read is left out, and the log says so.
    pub(crate) fn gather(
        ctx: &Context,
        repository: Option<&Repository>,
        udid: &str,
    ) -> Result<Self, JobError> {
        let mut ring = Self::default();
        if let Some(repository) = repository {
            ring.known = known(repository, udid)?;
        }
        ring.candidates = passwords::candidates(&*ctx.passwords, repository, udid)?;
        Ok(ring)
    }

    /// Says whether there is nothing to try.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.candidates.is_empty()
    }

    /// Says whether an earlier snapshot keeps these keys, of the same password.
    pub(crate) fn knows(&self, keys: &Keys) -> bool {
        self.known.iter().any(|known| known.bag == keys.bag)
    }

    /// Takes keys that were proved.
    pub(crate) fn learn(&mut self, keys: &Keys) {
        if !self.knows(keys) {
            self.known.insert(0, keys.clone());
        }
    }

    /// Takes a password that a person typed.
    pub(crate) fn add(&mut self, candidate: Candidate) {
        self.candidates.insert(0, candidate);
    }

    /// Opens the keybag of a backup: with class keys that are known, which costs nothing; else with the passwords, of which each
    /// costs seconds. `go_on` is asked before each.
    pub(crate) fn open(
        &self,
        manifest: &ManifestPlist,
        go_on: &dyn Fn() -> Result<(), JobError>,
    ) -> Result<Result<Keys, Locked>, JobError> {
        let Some(bytes) = &manifest.keybag else { return Ok(Err(Locked::NoKeybag)) };
        let bag = match Keybag::parse(bytes) {
            Ok(bag) => bag,
            Err(error) => return Ok(Err(Locked::Keybag(error))),
        };
        let fingerprint = hex::encode(Sha256::digest(bytes));
        // Backups of iOS 10.0 and 10.1 have none.
        let proves = |keys: &ClassKeys| match &manifest.manifest_key {
            Some(key) => WrappedKey::parse(key).and_then(|key| keys.open(&key).map(drop)),
            None => Ok(()),
        };
        let same = self.known.iter().find(|keys| keys.bag == fingerprint);
        if let Some(keys) = same {
            return Ok(match proves(&keys.classes) {
                Ok(()) => Ok(keys.clone()),
                Err(error) => Err(Locked::ManifestKey(error)),
            });
        }
        // Another password wraps the same class keys anew.
        let other = self
            .known
            .iter()
            .find(|keys| manifest.manifest_key.is_some() && proves(&keys.classes).is_ok());
        let made = |classes, generation| Keys { classes, bag: fingerprint.clone(), generation };
        let mut unfit = None;
        for candidate in &self.candidates {
            go_on()?;
            match bag.unlock(candidate.password.expose_secret()) {
                Ok(classes) => match proves(&classes) {
                    Ok(()) => return Ok(Ok(made(classes, candidate.generation.clone()))),
                    Err(error) => unfit = Some(Locked::ManifestKey(error)),
                },
                Err(KeybagError::WrongPassword) => {}
                Err(error) => unfit = Some(Locked::Keybag(error)),
            }
        }
        Ok(match (other, unfit) {
            (Some(keys), _) => Ok(made(keys.classes.clone(), None)),
            (None, Some(unfit)) => Err(unfit),
            (None, None) if self.candidates.is_empty() => Err(Locked::Unknown),
            (None, None) => Err(Locked::Wrong),
        })
    }

    /// Opens the keybag as [`Keyring::open`] does, and asks a person where nothing that is known opens it.
    pub(crate) fn open_or_ask(
        &mut self,
        ctx: &Context,
        of: &str,
        manifest: &ManifestPlist,
    ) -> Result<Result<Keys, Locked>, JobError> {
        let go_on = || ctx.go_on();
        let mut opened = self.open(manifest, &go_on)?;
        for asked in 0..ASK {
            if !matches!(opened, Err(Locked::Unknown | Locked::Wrong)) {
                break;
            }
            let question = Question { of, was_wrong: asked > 0 };
            let Some(password) = ctx.passwords.ask(&question) else { break };
            let typed = Self { known: Vec::new(), candidates: vec![Candidate::given(password)] };
            opened = typed.open(manifest, &go_on)?;
        }
        Ok(opened)
    }
}

fn known(repository: &Repository, udid: &str) -> Result<Vec<Keys>, JobError> {
    let mut known: Vec<Keys> = Vec::new();
    let (snapshots, _) = repository.snapshots_and_damage()?;
    let of_device = snapshots.into_iter().rev().filter(|snapshot| {
        snapshot.udid == udid && (snapshot.is(Tag::Complete) || snapshot.is(Tag::Partial))
    });
    for snapshot in of_device.take(LOOKED) {
        match of_snapshot(repository, &snapshot) {
            Ok(Some(keys)) => {
                let same = |other: &Keys| other.bag == keys.bag && other.classes == keys.classes;
                if !known.iter().any(same) {
                    known.push(keys);
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, snapshot = %snapshot.id.short(), "keys cannot be read");
            }
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use lifeboat_mobilesync::crypto::{self, Key};
    use lifeboat_mobilesync::keybag::ClassKey;
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Key {
        Zeroizing::new([byte; 32])
    }

    /// A manifest whose keybag opens with a password; class keys begin at `first`.
    fn manifest(password: &str, salt: u8, first: u8) -> ManifestPlist {
        let mut bag =
            Keybag { salt: vec![salt; 20], rounds: 10, uuid: vec![1; 16], ..Keybag::default() };
        let derived = bag.derivation().unwrap().derive(password.as_bytes()).unwrap();
        for class in 1..=4_u8 {
            let wrapped = crypto::wrap(&derived, &key(first + class)).to_vec();
            let class = u32::from(class);
            bag.classes.push(ClassKey {
                uuid: vec![2; 16],
                class,
                wrap: 2,
                key_type: 0,
                wrapped: Some(wrapped),
            });
        }
        let wrapped = crypto::wrap(&key(first + 4), &key(99));
        let manifest_key = WrappedKey { class: 4, wrapped }.encode();
        let text = plist::Dictionary::from_iter([("Version", plist::Value::from("10.0"))]);
        let mut bytes = Vec::new();
        plist::Value::Dictionary(text).to_writer_binary(&mut bytes).unwrap();
        let plain = ManifestPlist::parse(&bytes).unwrap();
        ManifestPlist {
            is_encrypted: true,
            keybag: Some(bag.encode()),
            manifest_key: Some(manifest_key),
            ..plain
        }
    }

    fn ring(known: &[&Keys], passwords: &[&str]) -> Keyring {
        let candidate = |text: &&str| Candidate {
            password: (*text).to_owned().into(),
            generation: Some(format!("of {text}")),
        };
        Keyring {
            known: known.iter().map(|keys| (*keys).clone()).collect(),
            candidates: passwords.iter().map(candidate).collect(),
        }
    }

    fn open(ring: &Keyring, manifest: &ManifestPlist) -> Result<Keys, &'static str> {
        ring.open(manifest, &|| Ok(())).unwrap().map_err(|locked| locked.id())
    }

    #[test]
    fn a_password_opens_and_the_next_backup_needs_none() {
        let first = manifest("right", 1, 10);
        assert_eq!(open(&ring(&[], &[]), &first).err(), Some("password-unknown"));
        assert_eq!(open(&ring(&[], &["wrong"]), &first).err(), Some("backup-password-wrong"));
        let keys = open(&ring(&[], &["wrong", "right"]), &first).ok().unwrap();
        assert_eq!(keys.generation(), Some("of right"));
        assert_eq!(*keys.open(first.manifest_key.as_ref().unwrap()).unwrap(), *key(99));
        // What was proved once needs no password again, and wrong ones are not even tried.
        let again = open(&ring(&[&keys], &["wrong"]), &first).ok().unwrap();
        assert_eq!(again.generation(), Some("of right"));
        // Another password, the same class keys: the generation is that of whichever opens it.
        let changed = manifest("other", 2, 10);
        let known = open(&ring(&[&keys], &["right"]), &changed).ok().unwrap();
        assert_eq!((known.generation(), known.classes == keys.classes), (None, true));
        let known = open(&ring(&[&keys], &["right", "other"]), &changed).ok().unwrap();
        assert_eq!(known.generation(), Some("of other"));
        // Other class keys: what is known does not help.
        let foreign = manifest("other", 2, 50);
        assert_eq!(open(&ring(&[&keys], &[]), &foreign).err(), Some("password-unknown"));
    }

    #[test]
    fn damage_is_named() {
        let whole = manifest("right", 1, 10);
        let ring = ring(&[], &["right"]);
        let damaged = |change: fn(&mut ManifestPlist)| {
            let mut manifest = whole.clone();
            change(&mut manifest);
            open(&ring, &manifest).err().unwrap()
        };
        assert_eq!(damaged(|manifest| manifest.keybag = None), "keybag-missing");
        let cut = |manifest: &mut ManifestPlist| {
            manifest.keybag.iter_mut().for_each(|bag| bag.truncate(77));
        };
        assert_eq!(damaged(cut), "keybag-damaged");
        let flip = |manifest: &mut ManifestPlist| {
            manifest.manifest_key.iter_mut().for_each(|key| key[20] ^= 1);
        };
        assert_eq!(damaged(flip), "manifest-key-damaged");
        let short = |manifest: &mut ManifestPlist| manifest.manifest_key = Some(vec![4, 0, 0]);
        assert_eq!(damaged(short), "manifest-key-damaged");
        // The keybag of another backup with the same password.
        let foreign = |manifest: &mut ManifestPlist| {
            manifest.keybag = tests::manifest("right", 3, 70).keybag;
        };
        assert_eq!(damaged(foreign), "manifest-key-damaged");
    }

    proptest! {
        #[test]
        fn keys_come_back(classes in prop::collection::btree_map(any::<u32>(), any::<[u8; 32]>(), 0..12), bag in "[0-9a-f]{64}", generation in prop::option::of("[0-9a-f]{32}")) {
            let classes = classes.into_iter().map(|(class, key)| (class, Zeroizing::new(key))).collect();
            let keys = Keys { classes, bag, generation };
            let read = Keys::decode(&keys.encode().unwrap()).unwrap();
            prop_assert!(read.classes == keys.classes);
            prop_assert_eq!((read.bag, read.generation), (keys.bag, keys.generation));
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Keys::decode(&noise));
        }
    }
}
