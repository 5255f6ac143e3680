//! The keybag: class keys of an encrypted backup, wrapped with a key made from the password.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::crypto::{self, CryptoError, Derivation, Key, WRAPPED};

/// Bit of `WRAP`: wrapped with a key that never leaves the device.
const BY_DEVICE: u32 = 1;
/// Bit of `WRAP`: wrapped with the key made from the password.
const BY_PASSWORD: u32 = 2;

/// The longest bag that is looked at; real ones have 1388 bytes.
const LONGEST: usize = 64 << 10;

/// Why a keybag cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeybagError {
    /// The bag ends inside an item.
    #[error("the keybag is cut off")]
    Truncated,
    /// The bag is far longer than any real one.
    #[error("the keybag has {0} bytes")]
    TooLarge(usize),
    /// An item has an impossible length.
    #[error("the keybag's item {0} has a wrong length")]
    Item(String),
    /// An item that must be there is not.
    #[error("the keybag has no {0}")]
    Missing(&'static str),
    /// The password does not open it.
    #[error("the password does not open the keybag")]
    WrongPassword,
    /// No key of this class is in the bag.
    #[error("the keybag has no key of class {0}")]
    NoClass(u32),
    /// A key could not be opened.
    #[error("a key cannot be opened")]
    Crypto(#[from] CryptoError),
}

/// One class key, wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassKey {
    /// `UUID`.
    pub uuid: Vec<u8>,
    /// `CLAS`: the Data Protection class.
    pub class: u32,
    /// `WRAP`: bit 1 by the device, bit 2 by the password.
    pub wrap: u32,
    /// `KTYP`.
    pub key_type: u32,
    /// `WPKY`: the wrapped key.
    pub wrapped: Option<Vec<u8>>,
}

/// A keybag as it stands in `Manifest.plist`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keybag {
    /// `VERS`.
    pub version: u32,
    /// `TYPE`: 1 in a backup.
    pub kind: u32,
    /// `UUID` of the bag.
    pub uuid: Vec<u8>,
    /// `HMCK`.
    pub hmac_key: Vec<u8>,
    /// `WRAP` of the bag.
    pub wrap: u32,
    /// `SALT`.
    pub salt: Vec<u8>,
    /// `ITER`.
    pub rounds: u32,
    /// `DPWT`.
    pub first_kind: Option<u32>,
    /// `DPIC`.
    pub first_rounds: Option<u32>,
    /// `DPSL`.
    pub first_salt: Option<Vec<u8>>,
    /// The class keys in the order of the bag.
    pub classes: Vec<ClassKey>,
}

impl Keybag {
    /// Reads a bag. Unknown items are stepped over.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeybagError> {
        if bytes.len() > LONGEST {
            return Err(KeybagError::TooLarge(bytes.len()));
        }
        let mut bag = Self::default();
        let mut seen_uuid = false;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (tag, value, behind) = item(rest)?;
            rest = behind;
            if tag == b"UUID" && seen_uuid {
                bag.classes.push(ClassKey { uuid: value.to_vec(), ..ClassKey::default() });
            } else if let Some(class) = bag.classes.last_mut() {
                class.set(tag, value)?;
            } else {
                seen_uuid |= tag == b"UUID";
                bag.set(tag, value)?;
            }
        }
        Ok(bag)
    }

    fn set(&mut self, tag: &[u8], value: &[u8]) -> Result<(), KeybagError> {
        match tag {
            b"VERS" => self.version = number(tag, value)?,
            b"TYPE" => self.kind = number(tag, value)?,
            b"UUID" => self.uuid = value.to_vec(),
            b"HMCK" => self.hmac_key = value.to_vec(),
            b"WRAP" => self.wrap = number(tag, value)?,
            b"SALT" => self.salt = value.to_vec(),
            b"ITER" => self.rounds = number(tag, value)?,
            b"DPWT" => self.first_kind = Some(number(tag, value)?),
            b"DPIC" => self.first_rounds = Some(number(tag, value)?),
            b"DPSL" => self.first_salt = Some(value.to_vec()),
            _ => {}
        }
        Ok(())
    }

    /// Writes the bag in the order in which devices write it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1388);
        put_number(&mut out, *b"VERS", Some(self.version));
        put_number(&mut out, *b"TYPE", Some(self.kind));
        put(&mut out, *b"UUID", Some(&self.uuid));
        put(&mut out, *b"HMCK", Some(&self.hmac_key));
        put_number(&mut out, *b"WRAP", Some(self.wrap));
        put(&mut out, *b"SALT", Some(&self.salt));
        put_number(&mut out, *b"ITER", Some(self.rounds));
        put_number(&mut out, *b"DPWT", self.first_kind);
        put_number(&mut out, *b"DPIC", self.first_rounds);
        put(&mut out, *b"DPSL", self.first_salt.as_deref());
        for class in &self.classes {
            put(&mut out, *b"UUID", Some(&class.uuid));
            put_number(&mut out, *b"CLAS", Some(class.class));
            put_number(&mut out, *b"WRAP", Some(class.wrap));
            put_number(&mut out, *b"KTYP", Some(class.key_type));
            put(&mut out, *b"WPKY", class.wrapped.as_deref());
        }
        out
    }

    /// Returns how this bag makes a key from a password: with one pass before iOS 10.2, with two since.
    pub fn derivation(&self) -> Result<Derivation, KeybagError> {
        if self.salt.is_empty() {
            return Err(KeybagError::Missing("SALT"));
        }
        let first = self.first_salt.clone().zip(self.first_rounds);
        Ok(Derivation { salt: self.salt.clone(), rounds: self.rounds, first })
    }

    /// Opens the bag with a password (UTF-8, as typed). Takes seconds with a real bag.
    pub fn unlock(&self, password: &str) -> Result<ClassKeys, KeybagError> {
        let key = self.derivation()?.derive(password.as_bytes())?;
        self.unlock_with(&key)
    }

    /// Opens the bag with the key made from the password.
    pub fn unlock_with(&self, key: &Key) -> Result<ClassKeys, KeybagError> {
        let mut keys = BTreeMap::new();
        for class in &self.classes {
            // What the device wrapped too stays closed everywhere else.
            if class.wrap & (BY_PASSWORD | BY_DEVICE) != BY_PASSWORD {
                continue;
            }
            if let Some(wrapped) = &class.wrapped
                && let Ok(key) = crypto::unwrap(key, wrapped)
            {
                keys.insert(class.class, key);
            }
        }
        if keys.keys().any(|class| (1..=4).contains(class)) {
            Ok(ClassKeys { keys })
        } else {
            Err(KeybagError::WrongPassword)
        }
    }

    /// Wraps the keys with another key, as a device does when its password changes: the keys themselves stay. Nothing is
    /// changed when `old` does not open them.
    #[cfg(feature = "build")]
    pub fn rewrap(&mut self, old: &Key, new: &Key) -> Result<(), KeybagError> {
        let mut classes = self.classes.clone();
        for class in classes.iter_mut().filter(|class| class.wrap & BY_PASSWORD != 0) {
            if let Some(wrapped) = &mut class.wrapped {
                let key = crypto::unwrap(old, wrapped).map_err(|_| KeybagError::WrongPassword)?;
                *wrapped = crypto::wrap(new, &key).to_vec();
            }
        }
        self.classes = classes;
        Ok(())
    }
}

impl ClassKey {
    fn set(&mut self, tag: &[u8], value: &[u8]) -> Result<(), KeybagError> {
        match tag {
            b"CLAS" => self.class = number(tag, value)?,
            b"WRAP" => self.wrap = number(tag, value)?,
            b"KTYP" => self.key_type = number(tag, value)?,
            b"WPKY" => self.wrapped = Some(value.to_vec()),
            _ => {}
        }
        Ok(())
    }
}

/// The class keys of an opened bag.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ClassKeys {
    keys: BTreeMap<u32, Key>,
}

impl fmt::Debug for ClassKeys {
    /// Says which classes there are, and never a key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.keys.keys()).finish()
    }
}

impl ClassKeys {
    /// Opens the key of a file or of `Manifest.db`.
    pub fn open(&self, key: &WrappedKey) -> Result<Key, KeybagError> {
        let class = self.keys.get(&key.class).ok_or(KeybagError::NoClass(key.class))?;
        Ok(crypto::unwrap(class, &key.wrapped)?)
    }

    /// Wraps a key with the key of a class, as [`ClassKeys::open`] opens it.
    pub fn seal(&self, class: u32, key: &Key) -> Result<WrappedKey, KeybagError> {
        let with = self.keys.get(&class).ok_or(KeybagError::NoClass(class))?;
        Ok(WrappedKey { class, wrapped: crypto::wrap(with, key) })
    }

    /// Returns the key of a class.
    pub fn class(&self, class: u32) -> Option<&Key> {
        self.keys.get(&class)
    }

    /// Returns every class with its key.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Key)> {
        self.keys.iter().map(|(class, key)| (*class, key))
    }
}

impl FromIterator<(u32, Key)> for ClassKeys {
    fn from_iter<I: IntoIterator<Item = (u32, Key)>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect() }
    }
}

/// `EncryptionKey` of a file, or `ManifestKey`: a class and a key wrapped with the class key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The class whose key wraps it.
    pub class: u32,
    /// The wrapped key.
    pub wrapped: [u8; WRAPPED],
}

impl WrappedKey {
    /// Reads the 44 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeybagError> {
        let wrong = || KeybagError::Item("EncryptionKey".to_owned());
        let (class, wrapped) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
        Ok(Self {
            class: u32::from_le_bytes(*class),
            wrapped: wrapped.try_into().map_err(|_| wrong())?,
        })
    }

    /// Writes the 44 bytes.
    pub fn encode(&self) -> Vec<u8> {
        [self.class.to_le_bytes().as_slice(), &self.wrapped].concat()
    }
}

/// Splits off one item: its tag and value, and what lies behind it.
fn item(bytes: &[u8]) -> Result<Item<'_>, KeybagError> {
    let (tag, rest) = bytes.split_first_chunk::<4>().ok_or(KeybagError::Truncated)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(KeybagError::Truncated)?;
    let length =
        usize::try_from(u32::from_be_bytes(*length)).map_err(|_| KeybagError::Truncated)?;
    let (value, rest) = rest.split_at_checked(length).ok_or(KeybagError::Truncated)?;
    Ok((tag, value, rest))
}

type Item<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn number(tag: &[u8], value: &[u8]) -> Result<u32, KeybagError> {
    let bytes = value
        .try_into()
        .map_err(|_| KeybagError::Item(String::from_utf8_lossy(tag).into_owned()))?;
    Ok(u32::from_be_bytes(bytes))
}

fn put(out: &mut Vec<u8>, tag: [u8; 4], value: Option<&[u8]>) {
    if let Some(value) = value {
        out.extend(tag);
        out.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(value);
    }
}

fn put_number(out: &mut Vec<u8>, tag: [u8; 4], value: Option<u32>) {
    put(out, tag, value.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};
    use zeroize::Zeroizing;

    use super::*;

    /// The bag of vector V6.
    fn bag() -> Keybag {
        let mut bag = Keybag {
            version: 5,
            kind: 1,
            uuid: vec![0xb0; 16],
            hmac_key: vec![0; 40],
            wrap: 0,
            salt: (0..20).collect(),
            rounds: 1000,
            first_kind: Some(1),
            first_rounds: Some(2000),
            first_salt: Some((0x20..0x34).collect()),
            classes: Vec::new(),
        };
        let key = bag.derivation().unwrap().derive(b"correct horse").unwrap();
        for class in (1..=11_u8).rev() {
            bag.classes.push(ClassKey {
                uuid: vec![class; 16],
                class: class.into(),
                wrap: if matches!(class, 5 | 9 | 10 | 11) { 3 } else { 2 },
                key_type: 0,
                wrapped: Some(crypto::wrap(&key, &Zeroizing::new([class; 32])).to_vec()),
            });
        }
        bag
    }

    #[test]
    fn v6_keybag() {
        let bag = bag();
        let bytes = bag.encode();
        assert_eq!(bytes.len(), 1388);
        assert_eq!(
            hex::encode(Sha256::digest(&bytes)),
            "768456b775c6ed19247fd220257f5c1fd5170ab6fb11cba016691b6850241aaf"
        );
        for (class, wrapped) in [
            (1, "8cdba7c38de7cb423e55458b1846b3172e04d533b0d06bb6990aa431d283b929d90b6189206dbe06"),
            (3, "6b9690230e0f24e18be9d7980d6160edc3e97ccbdd2588f3279b6243aa435dcd369b2ca069017b0c"),
            (4, "500d9f550acf2f3f195cac7ad135ad31e18267db20a632063031b61189f0c641527afcf08482f3ef"),
            (
                11,
                "f53ba3199b97e5ba59de2b93624ba6daf46c5f6e78ad09571abd4925d5c902c7503c17da018ccdb2",
            ),
        ] {
            let found = bag.classes.iter().find(|found| found.class == class).unwrap();
            assert_eq!(hex::encode(found.wrapped.as_ref().unwrap()), wrapped, "class {class}");
        }
        let read = Keybag::parse(&bytes).unwrap();
        assert_eq!(read, bag);
        let keys = read.unlock("correct horse").unwrap();
        assert_eq!(keys.class(4).map(|key| **key), Some([4; 32]));
        assert!(keys.class(11).is_none(), "the device's own key would be needed");
        let file_key: [u8; 32] = std::array::from_fn(|at| 0x40 + at.to_le_bytes()[0]);
        let wrapped = WrappedKey {
            class: 3,
            wrapped: crypto::wrap(keys.class(3).unwrap(), &Zeroizing::new(file_key)),
        };
        assert_eq!(
            hex::encode(wrapped.encode()),
            "03000000ba1db0ceb051c399c8eed4f28cfead0e0f5b7a3d581bdf0f3442c8fdd40ff0a9d75f1e5710842f43"
        );
        assert_eq!(*keys.open(&WrappedKey::parse(&wrapped.encode()).unwrap()).unwrap(), file_key);
        assert_eq!(keys.seal(3, &Zeroizing::new(file_key)).unwrap(), wrapped);
        assert_eq!(keys.iter().map(|(class, _)| class).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 7, 8]);
        assert_eq!(format!("{keys:?}"), "{1, 2, 3, 4, 6, 7, 8}", "no key is told");
        let again: ClassKeys = keys.iter().map(|(class, key)| (class, key.clone())).collect();
        assert_eq!(again, keys);
        let other = WrappedKey { class: 9, ..wrapped };
        assert_eq!(keys.open(&other).unwrap_err(), KeybagError::NoClass(9));
    }

    #[test]
    fn wrong_passwords_and_damage_are_told() {
        let bag = bag();
        assert_eq!(bag.unlock("Correct horse").unwrap_err(), KeybagError::WrongPassword);
        assert_eq!(bag.unlock("").unwrap_err(), KeybagError::WrongPassword);
        let bytes = bag.encode();
        assert_eq!(Keybag::parse(&bytes[..bytes.len() - 1]).unwrap_err(), KeybagError::Truncated);
        assert_eq!(
            Keybag::parse(b"VERS\0\0\0\x03abc").unwrap_err(),
            KeybagError::Item("VERS".into())
        );
        assert_eq!(Keybag::default().unlock("x").unwrap_err(), KeybagError::Missing("SALT"));
        assert!(WrappedKey::parse(&[0; 43]).is_err());
    }

    #[cfg(feature = "build")]
    #[test]
    fn a_new_password_leaves_the_keys_as_they_are() {
        let mut bag = bag();
        let before = bag.clone();
        let key = |bag: &Keybag, password: &str| {
            bag.derivation().unwrap().derive(password.as_bytes()).unwrap()
        };
        let (old, keys) = (key(&bag, "correct horse"), bag.unlock("correct horse").unwrap());
        bag.salt = vec![7; 20];
        let new = key(&bag, "battery staple");
        assert_eq!(bag.clone().rewrap(&new, &old), Err(KeybagError::WrongPassword));
        bag.rewrap(&old, &new).unwrap();
        assert_eq!(bag.unlock("battery staple").unwrap(), keys);
        assert_eq!(bag.unlock("correct horse").unwrap_err(), KeybagError::WrongPassword);
        let device = |bag: &Keybag| {
            let class = bag.classes.iter().find(|class| class.class == 11).unwrap();
            class.wrapped.clone().unwrap()
        };
        assert_eq!(
            crypto::unwrap(&new, &device(&bag)),
            crypto::unwrap(&old, &device(&before)),
            "what the device wrapped too is wrapped anew as well"
        );
    }

    #[test]
    fn a_bag_with_one_class_that_opens_is_enough() {
        let mut bag = bag();
        for class in bag.classes.iter_mut().filter(|class| class.class != 2) {
            class.wrapped = class.wrapped.take().filter(|_| class.class > 6).map(|_| vec![0; 40]);
        }
        let keys = bag.unlock("correct horse").unwrap();
        assert_eq!(keys.iter().map(|(class, _)| class).collect::<Vec<_>>(), [2]);
        bag.first_rounds = Some(crypto::MOST_ROUNDS + 1);
        let absurd = CryptoError::Rounds(crypto::MOST_ROUNDS + 1);
        assert_eq!(bag.unlock("correct horse").unwrap_err(), KeybagError::Crypto(absurd));
    }

    /// One pass, and no items of the second: the rest of vector V5.
    #[test]
    fn a_bag_of_before_ios_10_2_opens_with_one_pass() {
        let wrapped = hex::decode(
            "eba582ae3f5731863d270bd875e4c15566bd7847f98536f6674cf6cadc113f8b5bb7a71ebc48b7a5",
        );
        let class = ClassKey {
            uuid: vec![2; 16],
            class: 2,
            wrap: 2,
            wrapped: Some(wrapped.unwrap()),
            ..ClassKey::default()
        };
        let bag = Keybag {
            version: 3,
            kind: 1,
            uuid: vec![1; 16],
            salt: vec![0; 20],
            rounds: 10_000,
            classes: vec![class],
            ..Keybag::default()
        };
        let bytes = bag.encode();
        assert!(!bytes.windows(4).any(|tag| tag == b"DPIC" || tag == b"DPSL"));
        let keys = Keybag::parse(&bytes).unwrap().unlock("0000").unwrap();
        assert_eq!(keys.class(2).map(|key| **key), Some([0; 32]));
    }

    fn any_bag() -> impl Strategy<Value = Keybag> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..50);
        let class = (bytes(), any::<u32>(), any::<u32>(), any::<u32>(), prop::option::of(bytes()))
            .prop_map(|(uuid, class, wrap, key_type, wrapped)| ClassKey {
                uuid,
                class,
                wrap,
                key_type,
                wrapped,
            });
        let header =
            (any::<u32>(), any::<u32>(), bytes(), bytes(), any::<u32>(), bytes(), any::<u32>());
        let first = prop::option::of((any::<u32>(), any::<u32>(), bytes()));
        (header, first, prop::collection::vec(class, 0..12)).prop_map(|(header, first, classes)| {
            let (version, kind, uuid, hmac_key, wrap, salt, rounds) = header;
            let (first_kind, first_rounds, first_salt) = match first {
                Some((kind, rounds, salt)) => (Some(kind), Some(rounds), Some(salt)),
                None => (None, None, None),
            };
            Keybag {
                version,
                kind,
                uuid,
                hmac_key,
                wrap,
                salt,
                rounds,
                first_kind,
                first_rounds,
                first_salt,
                classes,
            }
        })
    }

    proptest! {
        #[test]
        fn bags_come_back(bag in any_bag()) {
            prop_assert_eq!(Keybag::parse(&bag.encode()).unwrap(), bag);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Keybag::parse(&noise));
        }

        #[test]
        fn damage_never_panics(bag in any_bag(), at: prop::sample::Index, to: u8) {
            let mut bytes = bag.encode();
            *at.get_mut(&mut bytes) = to;
            drop(Keybag::parse(&bytes));
        }
    }
}
