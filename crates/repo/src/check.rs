//! Whether a repository is whole.

use crate::error::Damage;

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckProgress {
    /// Packs looked at.
    pub packs_done: u64,
    /// Packs to look at.
    pub packs: u64,
    /// Bytes read.
    pub bytes_done: u64,
    /// Bytes to read.
    pub bytes: u64,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Everything that is wrong, worst first.
    pub damage: Vec<Damage>,
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Packs looked at.
    pub packs: u64,
    /// Blobs in the index.
    pub blobs: u64,
    /// Bytes of packs read and compared; 0 without `read_data`.
    pub bytes_read: u64,
}

impl CheckReport {
    /// Whether no data is in danger.
    pub fn is_ok(&self) -> bool {
        !self.damage.iter().any(Damage::is_serious)
    }
}
