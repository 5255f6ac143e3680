use plist::Dictionary;
use secrecy::{ExposeSecret as _, SecretString};

use super::{BackupError, DeviceError};

/// What becomes of the backup password of a device.
#[derive(Clone, Debug)]
pub enum PasswordChange {
    /// It gets one.
    Set {
        /// The one it gets.
        new: SecretString,
    },
    /// It gets another one.
    Change {
        /// The one it has.
        old: SecretString,
        /// The one it gets.
        new: SecretString,
    },
    /// It loses the one it has: backups are not encrypted any more.
    Off {
        /// The one it has.
        old: SecretString,
    },
}

impl PasswordChange {
    fn present(&self) -> Option<&SecretString> {
        match self {
            Self::Set { .. } => None,
            Self::Change { old, .. } | Self::Off { old } => Some(old),
        }
    }

    fn wanted(&self) -> Option<&SecretString> {
        match self {
            Self::Set { new } | Self::Change { new, .. } => Some(new),
            Self::Off { .. } => None,
        }
    }

    /// Puts the keys into a request that tell what is wanted: which of them are there says it.
    pub(super) fn put(&self, keys: &mut Dictionary) {
        for (name, password) in [("OldPassword", self.present()), ("NewPassword", self.wanted())] {
            if let Some(password) = password {
                keys.insert(name.into(), password.expose_secret().into());
            }
        }
    }

    /// Says whether the device surely has the password that it had before the request that ended with this error. Everything
    /// else may have come after the device took the new one: it reads and rewrites `Manifest.plist` last.
    pub fn is_unchanged(&self, error: &BackupError) -> bool {
        match error {
            // Nothing was asked for yet.
            BackupError::Sync(_) | BackupError::NoCommonVersion { .. } => true,
            BackupError::Device(error) => self.is_refusal(error),
            BackupError::UnknownMessage { then, .. } => self.is_unchanged(then),
            BackupError::Link(_)
            | BackupError::Host { .. }
            | BackupError::Cancelled(_)
            | BackupError::NoAnswer { .. }
            | BackupError::Protocol(_)
            | BackupError::WorkerEnded => false,
        }
    }

    fn is_refusal(&self, error: &DeviceError) -> bool {
        let beneath = error.underlying.as_ref().and_then(|beneath| beneath.code);
        match error.code {
            DeviceError::LOCKED
            | DeviceError::PASSWORD
            | DeviceError::FORBIDDEN
            | DeviceError::NOT_UNLOCKED
            | DeviceError::SETUP_UNFINISHED
            | DeviceError::RESTORE_IN_PROGRESS => true,
            // Management keeps encryption on: that is asked before the password goes.
            1 => beneath == Some(DeviceError::FORBIDDEN) && matches!(self, Self::Off { .. }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::LinkError;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn which_keys_are_there_says_what_is_wanted_and_nothing_shows_them() {
        let (old, new) = (secret("old-canary"), secret("new-canary"));
        for (change, wanted) in [
            (PasswordChange::Set { new: new.clone() }, vec!["NewPassword=new-canary"]),
            (
                PasswordChange::Change { old: old.clone(), new },
                vec!["NewPassword=new-canary", "OldPassword=old-canary"],
            ),
            (PasswordChange::Off { old }, vec!["OldPassword=old-canary"]),
        ] {
            let mut keys = Dictionary::new();
            change.put(&mut keys);
            let mut put: Vec<_> = keys
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_string().unwrap()))
                .collect();
            put.sort();
            assert_eq!(put, wanted);
            assert!(!format!("{change:?}").contains("canary"));
        }
    }

    #[test]
    fn only_a_refusal_leaves_the_password_surely_as_it_was() {
        let change = PasswordChange::Set { new: secret("x") };
        let off = PasswordChange::Off { old: secret("x") };
        let device = |text: &str, code| BackupError::Device(DeviceError::parse(code, Some(text)));
        for code in [207, 208, 22, 13, 25, 212] {
            assert!(change.is_unchanged(&device("", code)), "{code}");
        }
        for code in [1, 2, 103, 205] {
            assert!(!change.is_unchanged(&device("", code)), "{code}");
        }
        let managed = "Error setting WillEncrypt (MBErrorDomain/1). Underlying error: Cannot remove (MBErrorDomain/22)";
        assert!(off.is_unchanged(&device(managed, 1)));
        assert!(!change.is_unchanged(&device(managed, 1)));
        assert!(!change.is_unchanged(&BackupError::Link(LinkError::DeviceNotFound)));
        assert!(!change.is_unchanged(&BackupError::NoAnswer { reason: None }));
    }
}
