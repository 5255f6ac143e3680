//! The steps of a change of the password, each told before it begins.

use serde::Serialize;

/// A step of a change of the password. What was told before is done and durable; `docs/decisions/0010-password-guardian.md` has what a
/// crash between two of them leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PasswordStep {
    /// Looks up which passwords the device may have.
    LookUp,
    /// Stores the old password that somebody gave.
    StoreOld,
    /// Stores the new password.
    StoreNew,
    /// Tells the device; once for each old password that may be the right one.
    Tell,
    /// The device, which may have the new password by now, reads the `Manifest.plist` of its backup.
    Read,
    /// It writes the file again, with its keybag wrapped for the new password.
    Write,
    /// What it wrote is made durable, before it is told so.
    Keep,
    /// Its answer was heard, and is judged.
    Heard,
    /// The keybag that it wrote is opened with the new password.
    Prove,
    /// What it said of a password is noted: it refused it, or proved it; once for each.
    Note,
}

impl PasswordStep {
    /// Returns the word that events and the log use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LookUp => "look-up",
            Self::StoreOld => "store-old",
            Self::StoreNew => "store-new",
            Self::Tell => "tell",
            Self::Read => "read",
            Self::Write => "write",
            Self::Keep => "keep",
            Self::Heard => "heard",
            Self::Prove => "prove",
            Self::Note => "note",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PasswordStep::{
        Heard, Keep, LookUp, Note, Prove, Read, StoreNew, StoreOld, Tell, Write,
    };

    #[test]
    fn the_word_of_events_is_that_of_the_log() {
        for step in [LookUp, StoreOld, StoreNew, Tell, Read, Write, Keep, Heard, Prove, Note] {
            assert_eq!(serde_json::to_value(step).unwrap(), step.as_str());
        }
    }
}
