//! `Manifest.plist`: keybag, apps and lockdown values of a backup.

use std::time::SystemTime;

use crate::crypto::Key;
use crate::keybag::{ClassKeys, Keybag, KeybagError, WrappedKey};
use crate::property_list::{self, Limits, PlistError};

/// The content of `Manifest.plist`.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestPlist {
    /// "10.0" beside a `Manifest.db`, "9.1" beside a `Manifest.mbdb`.
    pub version: String,
    /// Version of the device's table of domains.
    pub system_domains_version: Option<String>,
    /// When the backup was made.
    pub date: Option<SystemTime>,
    /// Whether payloads are encrypted.
    pub is_encrypted: bool,
    /// Whether the device had a passcode.
    pub was_passcode_set: bool,
    /// The keybag; unencrypted backups may have one too, which opens nothing.
    pub keybag: Option<Vec<u8>>,
    /// The wrapped key of `Manifest.db`.
    pub manifest_key: Option<Vec<u8>>,
    /// Lockdown values of the device.
    pub lockdown: plist::Dictionary,
    /// Containers by bundle ID.
    pub applications: plist::Dictionary,
    /// Keys that have no field here, kept as they are.
    pub others: plist::Dictionary,
}

impl ManifestPlist {
    /// Reads the file, XML or binary.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlistError> {
        let mut keys = property_list::parse_dictionary(bytes, &Limits::LARGE)?;
        let text = |value: Option<plist::Value>| value.and_then(plist::Value::into_string);
        let flag = |value: Option<plist::Value>| {
            value.and_then(|value| value.as_boolean()).unwrap_or(false)
        };
        let data = |value: Option<plist::Value>| value.and_then(plist::Value::into_data);
        let dictionary = |value: Option<plist::Value>| {
            value.and_then(plist::Value::into_dictionary).unwrap_or_default()
        };
        Ok(Self {
            version: text(keys.remove("Version")).ok_or(PlistError::Key("Version"))?,
            system_domains_version: text(keys.remove("SystemDomainsVersion")),
            date: keys.remove("Date").and_then(|value| value.as_date()).map(Into::into),
            is_encrypted: flag(keys.remove("IsEncrypted")),
            was_passcode_set: flag(keys.remove("WasPasscodeSet")),
            keybag: data(keys.remove("BackupKeyBag")),
            manifest_key: data(keys.remove("ManifestKey")),
            lockdown: dictionary(keys.remove("Lockdown")),
            applications: dictionary(keys.remove("Applications")),
            others: keys,
        })
    }

    /// Reads the keybag.
    pub fn parse_keybag(&self) -> Result<Keybag, KeybagError> {
        Keybag::parse(self.keybag.as_deref().ok_or(KeybagError::Missing("BackupKeyBag"))?)
    }

    /// Opens the key of `Manifest.db`; nothing when that is not encrypted, as before iOS 10.2.
    pub fn open_manifest_key(&self, keys: &ClassKeys) -> Result<Option<Key>, KeybagError> {
        match &self.manifest_key {
            Some(bytes) => keys.open(&WrappedKey::parse(bytes)?).map(Some),
            None => Ok(None),
        }
    }

    /// Writes the file as the device does: a binary property list.
    pub fn encode(&self) -> Vec<u8> {
        let mut keys = self.others.clone();
        let mut put = |key: &str, value: Option<plist::Value>| {
            if let Some(value) = value {
                keys.insert(key.to_owned(), value);
            }
        };
        put("BackupKeyBag", self.keybag.clone().map(plist::Value::Data));
        put("Version", Some(self.version.as_str().into()));
        put("Date", self.date.map(|date| plist::Value::Date(date.into())));
        put("ManifestKey", self.manifest_key.clone().map(plist::Value::Data));
        put("SystemDomainsVersion", self.system_domains_version.as_deref().map(Into::into));
        put("WasPasscodeSet", Some(self.was_passcode_set.into()));
        put("Lockdown", Some(self.lockdown.clone().into()));
        put("Applications", Some(self.applications.clone().into()));
        put("IsEncrypted", Some(self.is_encrypted.into()));
        property_list::to_binary(&plist::Value::Dictionary(keys))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn texts() -> impl Strategy<Value = plist::Dictionary> {
        prop::collection::hash_map("[a-z.]{1,12}", ".{0,20}", 0..5).prop_map(|map| {
            map.into_iter().map(|(key, value)| (key, plist::Value::String(value))).collect()
        })
    }

    proptest! {
        #[test]
        fn it_comes_back(
            flags: (bool, bool),
            seconds in prop::option::of(0..4_000_000_000_u64),
            blobs in prop::option::of((prop::collection::vec(any::<u8>(), 0..1400), prop::collection::vec(any::<u8>(), 44))),
            dictionaries in (texts(), texts(), texts()),
        ) {
            let (keybag, manifest_key) = blobs.unzip();
            let manifest = ManifestPlist {
                version: "10.0".into(),
                system_domains_version: Some("24.0".into()),
                date: seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
                is_encrypted: flags.0,
                was_passcode_set: flags.1,
                keybag,
                manifest_key,
                lockdown: dictionaries.0,
                applications: dictionaries.1,
                others: dictionaries.2,
            };
            prop_assert_eq!(ManifestPlist::parse(&manifest.encode()).unwrap(), manifest);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(ManifestPlist::parse(&noise));
        }
    }

    #[test]
    fn keys_are_opened_as_far_as_there_are_any() {
        let plist = |manifest_key: Option<Vec<u8>>| ManifestPlist {
            version: "10.0".into(),
            system_domains_version: None,
            date: None,
            is_encrypted: true,
            was_passcode_set: false,
            keybag: None,
            manifest_key,
            lockdown: plist::Dictionary::new(),
            applications: plist::Dictionary::new(),
            others: plist::Dictionary::new(),
        };
        let missing = plist(None).parse_keybag().unwrap_err();
        assert_eq!(missing, KeybagError::Missing("BackupKeyBag"));
        let keys: ClassKeys = [(3, Key::new([3; 32]))].into_iter().collect();
        assert_eq!(plist(None).open_manifest_key(&keys), Ok(None), "before iOS 10.2");
        let sealed = keys.seal(3, &Key::new([9; 32])).unwrap();
        let opened = plist(Some(sealed.encode())).open_manifest_key(&keys).unwrap();
        assert_eq!(opened.map(|key| *key), Some([9; 32]));
        let other = WrappedKey { class: 4, ..sealed };
        let error = plist(Some(other.encode())).open_manifest_key(&keys).unwrap_err();
        assert_eq!(error, KeybagError::NoClass(4));
        let damaged = plist(Some(vec![3; 43])).open_manifest_key(&keys).unwrap_err();
        assert_eq!(damaged, KeybagError::Item("EncryptionKey".into()));
    }

    #[test]
    fn an_empty_file_is_no_manifest_yet() {
        assert!(matches!(ManifestPlist::parse(b""), Err(PlistError::Empty)));
    }
}
