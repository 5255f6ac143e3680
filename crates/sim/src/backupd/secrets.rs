//! Keys of encrypted backups: the keybag and its class keys, the key of `Manifest.db`, and a key for each file (docs/format.md 2).
//!
//! What lies on the host counts: an incremental backup goes on with the keybag it finds there, if the password opens it. The
//! phone keeps the keybag it used last, so that it need not derive a key from the password each time, and counts what it has made:
//! every key follows from the phone's seed and that count, and comes only once.
//!
//! ```text
//! backupd/keys.json     the counts, and the last keybag with its class keys
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::ManifestPlist;
use lifeboat_mobilesync::crypto::{self, CryptoError, Key};
use lifeboat_mobilesync::keybag::{ClassKey, ClassKeys, Keybag, KeybagError, WrappedKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::memory::write_private;
use crate::options::{EncryptionSpec, Password, Rekey};
use crate::phone::Phone;

/// Rounds of the second pass of key derivation on real phones; never more than of the first, so that tests are fast.
const SECOND_ROUNDS: u32 = 10_000;

/// Classes in the order of a keybag, and how many there are.
const CLASSES: std::ops::RangeInclusive<u32> = 1..=11;

/// What an encrypted backup is made with.
#[derive(Debug)]
pub(super) struct Secrets {
    /// The keybag as `Manifest.plist` has it.
    pub(super) bag: Vec<u8>,
    keys: ClassKeys,
    /// The key of the host's last `Manifest.db`.
    pub(super) manifest: Option<WrappedKey>,
}

impl Secrets {
    /// Wraps the key of something of a class; returns what stands in the manifest.
    pub(super) fn seal(&self, class: u32, key: &Key) -> Result<WrappedKey, KeybagError> {
        self.keys.seal(class, key)
    }

    /// Opens a wrapped key, if it is one of this keybag.
    pub(super) fn open(&self, wrapped: &[u8]) -> Result<Key, KeybagError> {
        self.keys.open(&WrappedKey::parse(wrapped)?)
    }
}

/// What the phone keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Kept {
    /// Backups that were begun.
    jobs: u64,
    /// Keybags and salts that were made.
    bags: u64,
    last: Option<LastBag>,
}

/// The keybag used last.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastBag {
    bag: String,
    keys: BTreeMap<u32, String>,
}

impl std::fmt::Debug for LastBag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LastBag")
    }
}

/// Makes and keeps keys.
#[derive(Debug, Clone)]
pub(super) struct Vault {
    path: Utf8PathBuf,
    /// Who the phone is: its seed and its identifier.
    label: String,
    spec: EncryptionSpec,
}

impl Vault {
    pub(super) fn open(phone: &Phone) -> Self {
        Self {
            path: phone.folder.join("backupd/keys.json"),
            label: format!("{} {}", phone.spec.seed, phone.udid()),
            spec: phone.spec.encryption.clone(),
        }
    }

    /// Begins a job; returns the maker of its keys.
    pub(super) fn begin(&self) -> Result<FileKeys, SecretsError> {
        let mut kept = self.read()?;
        kept.jobs += 1;
        self.write(&kept)?;
        Ok(FileKeys { label: format!("{} job {}", self.label, kept.jobs), made: 0 })
    }

    /// Returns the keys of the keybag on the host, if the password opens it. Takes seconds with another keybag than the last.
    pub(super) fn unlock(
        &self,
        password: &Password,
        manifest: &ManifestPlist,
    ) -> Result<Option<Arc<Secrets>>, SecretsError> {
        let bag = manifest.keybag.clone().unwrap_or_default();
        let wrapped = match &manifest.manifest_key {
            Some(bytes) => Some(WrappedKey::parse(bytes)?),
            None => None,
        };
        let keys = match self.last(&bag)? {
            Some(keys) => keys,
            None => match manifest.parse_keybag()?.unlock(password.reveal()) {
                Ok(keys) => {
                    self.keep(&bag, &keys)?;
                    keys
                }
                Err(KeybagError::WrongPassword) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Some(Arc::new(Secrets { bag, keys, manifest: wrapped })))
    }

    /// Returns the keys of a full backup: those of the last keybag when `again` says so and there is one, else new ones. Takes seconds then.
    pub(super) fn full(
        &self,
        password: &Password,
        again: bool,
    ) -> Result<Arc<Secrets>, SecretsError> {
        let mut kept = self.read()?;
        if let Some(last) = kept.last.as_ref().filter(|_| again) {
            let (bag, keys) = last.decode().ok_or(SecretsError::Unreadable)?;
            return Ok(Arc::new(Secrets { bag, keys, manifest: None }));
        }
        kept.bags += 1;
        let (bag, keys) = self.make(kept.bags, password)?;
        self.write(&kept)?;
        self.keep(&bag, &keys)?;
        Ok(Arc::new(Secrets { bag, keys, manifest: None }))
    }

    /// Wraps the keys in a keybag for a new password. Nothing when the old one does not open it.
    pub(super) fn rewrap(
        &self,
        bag: &[u8],
        old: &Password,
        new: &Password,
    ) -> Result<Option<Vec<u8>>, SecretsError> {
        let mut bag = Keybag::parse(bag)?;
        let old = bag.derivation()?.derive(old.reveal().as_bytes())?;
        let keys = match bag.unlock_with(&old) {
            Ok(keys) => keys,
            Err(KeybagError::WrongPassword) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut kept = self.read()?;
        kept.bags += 1;
        self.salt(&mut bag, kept.bags);
        if self.spec.rekey == Rekey::SaltsAndUuid {
            bag.uuid = self.bytes(&format!("bag {} uuid", kept.bags), 16);
        }
        let new = bag.derivation()?.derive(new.reveal().as_bytes())?;
        bag.rewrap(&old, &new)?;
        self.write(&kept)?;
        let bag = bag.encode();
        self.keep(&bag, &keys)?;
        Ok(Some(bag))
    }

    /// Forgets the last keybag: it is of another password.
    pub(super) fn forget(&self) -> Result<(), SecretsError> {
        let kept = self.read()?;
        self.write(&Kept { last: None, ..kept })
    }

    /// Makes a keybag as devices do: eleven classes, those of things that stay on this device wrapped by the device as well.
    fn make(&self, number: u64, password: &Password) -> Result<(Vec<u8>, ClassKeys), SecretsError> {
        let mut bag = Keybag {
            version: 5,
            kind: 1,
            uuid: self.bytes(&format!("bag {number} uuid"), 16),
            hmac_key: self.bytes(&format!("bag {number} hmac"), 40),
            wrap: 0,
            first_kind: Some(1),
            ..Keybag::default()
        };
        self.salt(&mut bag, number);
        let with = bag.derivation()?.derive(password.reveal().as_bytes())?;
        let mut keys = Vec::new();
        for class in CLASSES.rev() {
            let label = format!("bag {number} class {class}");
            let by_device = matches!(class, 5 | 9..=11);
            let key = self.key(&label);
            bag.classes.push(ClassKey {
                uuid: self.bytes(&format!("{label} uuid"), 16),
                class,
                wrap: if by_device { 3 } else { 2 },
                key_type: 0,
                wrapped: Some(crypto::wrap(&with, &key).to_vec()),
            });
            if !by_device {
                keys.push((class, key));
            }
        }
        Ok((bag.encode(), keys.into_iter().collect()))
    }

    fn salt(&self, bag: &mut Keybag, number: u64) {
        bag.salt = self.bytes(&format!("bag {number} salt"), 20);
        bag.first_salt = Some(self.bytes(&format!("bag {number} first salt"), 20));
        bag.first_rounds = Some(self.spec.rounds);
        bag.rounds = self.spec.rounds.min(SECOND_ROUNDS);
    }

    fn key(&self, label: &str) -> Key {
        digest(&format!("{} {label}", self.label))
    }

    fn bytes(&self, label: &str, length: usize) -> Vec<u8> {
        let parts = (0_u8..3).flat_map(|part| *self.key(&format!("{label} {part}")));
        parts.take(length).collect()
    }

    fn last(&self, bag: &[u8]) -> Result<Option<ClassKeys>, SecretsError> {
        let last = self.read()?.last.as_ref().and_then(LastBag::decode);
        Ok(last.filter(|(last, _)| last == bag).map(|(_, keys)| keys))
    }

    fn keep(&self, bag: &[u8], keys: &ClassKeys) -> Result<(), SecretsError> {
        let keys = keys.iter().map(|(class, key)| (class, hex::encode(**key))).collect();
        let last = Some(LastBag { bag: hex::encode(bag), keys });
        let kept = self.read()?;
        self.write(&Kept { last, ..kept })
    }

    fn read(&self) -> Result<Kept, SecretsError> {
        match fs_err::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| SecretsError::Unreadable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&self, kept: &Kept) -> Result<(), SecretsError> {
        let folder = self.path.parent().unwrap_or(Utf8Path::new("."));
        fs_err::create_dir_all(folder)?;
        let bytes = serde_json::to_vec(kept).map_err(|_| SecretsError::Unreadable)?;
        Ok(write_private(&self.path, &bytes)?)
    }
}

impl LastBag {
    fn decode(&self) -> Option<(Vec<u8>, ClassKeys)> {
        let bag = hex::decode(&self.bag).ok()?;
        let mut keys = Vec::new();
        for (class, digits) in &self.keys {
            let mut key = Key::default();
            hex::decode_to_slice(digits, key.as_mut_slice()).ok()?;
            keys.push((*class, key));
        }
        Some((bag, keys.into_iter().collect()))
    }
}

/// Makes the keys of the files of one job: each is another one, and the same phone makes the same.
#[derive(Debug)]
pub(super) struct FileKeys {
    label: String,
    made: u64,
}

impl FileKeys {
    /// Returns the next key.
    pub(super) fn next(&mut self) -> Key {
        self.made += 1;
        digest(&format!("{} key {}", self.label, self.made))
    }
}

fn digest(label: &str) -> Key {
    Key::new(Sha256::digest(format!("simulated backup key: {label}")).into())
}

/// Keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretsError {
    /// The phone's own file is not what it should be.
    #[error("the keys that the phone keeps cannot be read")]
    Unreadable,
    /// The host's keybag, or a key under it, is not what it should be.
    #[error("the keybag cannot be used")]
    Keybag(#[from] KeybagError),
    /// A key cannot be derived.
    #[error("a key cannot be derived")]
    Crypto(#[from] CryptoError),
    /// The phone's folder cannot be used.
    #[error("the phone's folder cannot be used")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Utf8Path, spec: EncryptionSpec) -> Vault {
        Vault { path: folder.join("backupd/keys.json"), label: "1 U".to_owned(), spec }
    }

    fn plist(secrets: &Secrets) -> ManifestPlist {
        ManifestPlist {
            version: "10.0".to_owned(),
            system_domains_version: None,
            date: None,
            is_encrypted: true,
            was_passcode_set: true,
            keybag: Some(secrets.bag.clone()),
            manifest_key: None,
            lockdown: plist::Dictionary::new(),
            applications: plist::Dictionary::new(),
            others: plist::Dictionary::new(),
        }
    }

    #[test]
    fn keys_stay_while_the_password_does_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let spec = EncryptionSpec { rounds: 100, ..EncryptionSpec::default() };
        let (one, two) = (Password::new("one").unwrap(), Password::new("two").unwrap());
        let vault = open(folder, spec.clone());
        let first = vault.full(&one, true).unwrap();
        assert_eq!(first.bag.len(), 1388);
        let again = open(folder, spec.clone());
        assert_eq!(again.full(&one, true).unwrap().bag, first.bag);
        let fresh = again.full(&one, false).unwrap();
        assert_ne!(fresh.keys, first.keys);
        // The keybag of another computer's backup is derived, not remembered.
        let opened = vault.unlock(&one, &plist(&first)).unwrap().unwrap();
        assert_eq!(opened.keys, first.keys);
        assert!(vault.unlock(&two, &plist(&fresh)).unwrap().is_none());

        let (before, bag) = (Keybag::parse(&first.bag).unwrap(), &first.bag);
        assert!(vault.rewrap(bag, &two, &one).unwrap().is_none(), "not its password");
        let new = vault.rewrap(bag, &one, &two).unwrap().unwrap();
        let after = Keybag::parse(&new).unwrap();
        assert_ne!((&after.salt, &after.first_salt), (&before.salt, &before.first_salt));
        assert_eq!(after.uuid, before.uuid);
        assert_eq!(after.unlock("two").unwrap(), first.keys);
        let both = EncryptionSpec { rekey: Rekey::SaltsAndUuid, ..spec };
        let new = open(folder, both).rewrap(bag, &one, &two).unwrap().unwrap();
        assert_ne!(Keybag::parse(&new).unwrap().uuid, before.uuid);
        vault.forget().unwrap();
        assert_ne!(vault.full(&two, true).unwrap().keys, first.keys);
    }

    #[test]
    fn no_two_keys_are_alike_and_a_twin_makes_the_same() {
        let make = || {
            let folder = tempfile::tempdir().unwrap();
            let folder = Utf8Path::from_path(folder.path()).unwrap();
            let vault = open(folder, EncryptionSpec::default());
            let mut jobs = [vault.begin().unwrap(), vault.begin().unwrap()];
            let keys = jobs.iter_mut().flat_map(|job| [job.next(), job.next()]);
            keys.map(|key| *key).collect::<Vec<_>>()
        };
        let keys = make();
        assert_eq!(keys, make());
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }
}
