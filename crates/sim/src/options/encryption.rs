//! The backup password of a phone, and how it encrypts.

use std::fmt;

use lifeboat_mobilesync::crypto::MOST_ROUNDS;
use serde::{Deserialize, Serialize};

use super::OptionsError;

/// A backup password; it is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// Takes a password as typed; an empty one is none.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Returns the text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Encryption of backups (`[encryption]`): the password that is set when the phone is first used, and what is not known for
/// sure of real phones (docs/real-device.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct EncryptionSpec {
    /// The backup password; without one backups are not encrypted.
    pub password: Option<Password>,
    /// Rounds of the first, long pass of key derivation: ten million on real phones, few for fast tests.
    pub rounds: u32,
    /// Whether an incremental backup keeps the key of `Manifest.db`.
    pub manifest_key: Reuse,
    /// Whether a full backup keeps the keybag of the last one, as long as the password is the same.
    pub full_keybag: Reuse,
    /// What of a keybag is new when the password changes; the keys in it stay.
    pub rekey: Rekey,
    /// What the payload of an empty file is.
    pub empty_files: EmptyFiles,
    /// The class whose key wraps the key of `Manifest.db`: 3 or 4.
    pub manifest_class: u8,
    /// Whether `Manifest.db` is padded.
    pub manifest_padding: bool,
    /// Whether lists of calls and of visited web sites are in unencrypted backups.
    pub history: History,
    /// How the phone words that management demands encryption when the password is to be removed.
    pub rule_error: RuleError,
}

impl Default for EncryptionSpec {
    fn default() -> Self {
        Self {
            password: None,
            rounds: 10_000_000,
            manifest_key: Reuse::Fresh,
            full_keybag: Reuse::Kept,
            rekey: Rekey::Salts,
            empty_files: EmptyFiles::Block,
            manifest_class: 4,
            manifest_padding: true,
            history: History::Always,
            rule_error: RuleError::Plain,
        }
    }
}

/// Whether something is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reuse {
    /// It is made anew.
    Fresh,
    /// It stays.
    Kept,
}

/// What of a keybag is new under a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rekey {
    /// The salts.
    Salts,
    /// The salts and the UUID.
    SaltsAndUuid,
}

/// The payload of an empty file in an encrypted backup; both have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyFiles {
    /// A block of padding.
    Block,
    /// Nothing.
    Nothing,
}

/// Where lists of calls and of visited web sites are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// In every backup, as Apple's rule file says.
    Always,
    /// In encrypted ones only, as Apple's support pages and reports say.
    Encrypted,
}

/// How the phone words that the password must stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleError {
    /// With the code 22.
    Plain,
    /// With the code 1, and the 22 below it.
    Wrapped,
}

impl EncryptionSpec {
    /// Refuses what no phone could have.
    pub fn check(&self) -> Result<(), OptionsError> {
        if !(1..=MOST_ROUNDS).contains(&self.rounds) {
            return Err(OptionsError::Knob { knob: "rounds", value: self.rounds.into() });
        }
        if !matches!(self.manifest_class, 3 | 4) {
            let value = self.manifest_class.into();
            return Err(OptionsError::Knob { knob: "manifest-class", value });
        }
        if self.password.as_ref().is_some_and(|password| password.reveal().is_empty()) {
            return Err(OptionsError::EmptyPassword);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::PhoneSpec;

    #[test]
    fn a_phone_is_given_its_password_and_never_shows_it() {
        let spec = PhoneSpec::from_toml(
            "[encryption]\npassword = \"sesame canary\"\nrounds = 1000\nmanifest-key = \"kept\"\n\
             full-keybag = \"fresh\"\nrekey = \"salts-and-uuid\"\nempty-files = \"nothing\"\n\
             manifest-class = 3\nmanifest-padding = false\nhistory = \"encrypted\"\nrule-error = \"wrapped\"\n",
        )
        .unwrap();
        spec.check().unwrap();
        assert_eq!(spec.encryption.password, Password::new("sesame canary"));
        assert!(!format!("{spec:?}").contains("canary"));
        let text = toml::to_string(&spec).unwrap();
        assert_eq!(PhoneSpec::from_toml(&text).unwrap(), spec);
        assert_eq!(EncryptionSpec::default().rounds, 10_000_000, "as on real phones");
        assert_eq!(Password::new(""), None);
        for wrong in ["rounds = 0", "manifest-class = 5", "password = \"\""] {
            let spec = PhoneSpec::from_toml(&format!("[encryption]\n{wrong}")).unwrap();
            assert!(spec.check().is_err(), "{wrong}");
        }
    }
}
