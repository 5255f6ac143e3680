//! Where a job is: one word for events, errors and the page.

use serde::Serialize;

/// The stages of a job, in the order of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Looks for the device.
    Discover,
    /// Makes the trusted link to it.
    Link,
    /// Presents the last snapshot as a working tree.
    Prepare,
    /// The device sends what is new.
    Transfer,
    /// Checks what arrived against the manifest.
    Verify,
    /// Writes the snapshot.
    Snapshot,
    /// Applies retention.
    Retain,
    /// Reads a repository or a backup (check, export).
    Read,
}

impl Stage {
    /// Returns the word that events and summaries use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Link => "link",
            Self::Prepare => "prepare",
            Self::Transfer => "transfer",
            Self::Verify => "verify",
            Self::Snapshot => "snapshot",
            Self::Retain => "retain",
            Self::Read => "read",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
