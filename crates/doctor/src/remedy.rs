//! Remedies: who does it, what this program can do itself, and which probes tell whether it helped.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::catalogue::For;

/// Who mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The person, following the steps.
    Person,
    /// This program.
    Program,
}

/// One way to mend a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// Its id: the heading in the cause's file.
    pub id: String,
    /// Who does it.
    pub who: Who,
    /// What the program does, where it does something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// The program asks before it does it: something restarts, changes or goes.
    pub consent: bool,
    /// The probes that tell whether it helped, by id.
    pub recheck: Vec<String>,
    /// The steps, in Markdown.
    pub text: String,
}

macro_rules! actions {
    ($($(#[doc = $about:literal])+ $name:ident = $id:literal,)+) => {
        /// What this program can do about a cause. The ids are a contract: the catalogue's files name them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[doc = $about])+ $name,)+
        }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the id that the catalogue uses.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// Returns what it does, as one sentence.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($about),+),)+
                }
            }

            /// Returns what it does where that kind of backup is the trouble.
            pub fn about_for(self, concern: For) -> &'static str {
                match (self, concern) {
                    // No backup to this computer has begun, and none to iCloud can be begun from here.
                    (Self::RetryBackup, For::Icloud) => {
                        "Makes a backup to this computer, so that there is one while iCloud has none."
                    }
                    _ => self.about(),
                }
            }
        }
    };
}

actions! {
    /// Restarts the device. It must be unlocked with its passcode afterwards.
    RestartDevice = "restart-device",
    /// Restarts usbmuxd on this computer.
    RestartUsbmuxd = "restart-usbmuxd",
    /// Starts usbmuxd on this computer.
    StartUsbmuxd = "start-usbmuxd",
    /// Asks the device for trust and waits for the answer.
    PairAgain = "pair-again",
    /// Sets the pairing record of this computer aside; a copy stays.
    ForgetPairing = "forget-pairing",
    /// Waits until the device was unlocked.
    WaitForUnlock = "wait-for-unlock",
    /// Starts the backup again; what arrived already is not sent twice.
    RetryBackup = "retry-backup",
    /// Makes a backup to this computer that asks the device for everything.
    FullBackup = "full-backup",
    /// Sets what is left of a broken backup aside, deleting nothing.
    SetAsideBackup = "set-aside-backup",
    /// Puts the backup in another place, which the person names.
    ChooseDestination = "choose-destination",
    /// Keeps this computer awake while a backup runs.
    HoldOffSleep = "hold-off-sleep",
    /// Switches iCloud Backup on.
    IcloudBackupOn = "icloud-backup-on",
    /// Lets the device be reached over Wi-Fi.
    SetWifiSync = "set-wifi-sync",
    /// Sets the device's clock to true time.
    SetDeviceClock = "set-device-clock",
    /// Gives the device a backup password, which is stored in the repository before the device hears of it.
    SetBackupPassword = "set-backup-password",
    /// Asks for passwords that you remember, tries them against the newest backup, and keeps the one that is right.
    TryBackupPassword = "try-backup-password",
    /// Keeps the password that nobody chose, opens what it locks, and gives the device a clean one in its place.
    CleanBackupPassword = "clean-backup-password",
}

/// There is no such action.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no action `{0}`")]
pub struct UnknownAction(pub String);

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.id() == text)
            .ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_backup_to_this_computer_whatever_is_the_trouble() {
        for action in Action::ALL {
            let same = action.about_for(For::Icloud) == action.about_for(For::Computer);
            assert_eq!(same, *action != Action::RetryBackup, "{action}");
        }
        assert!(Action::RetryBackup.about_for(For::Icloud).contains("to this computer"));
    }
}
