//! How big a repository is.

/// What a repository holds, by the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Snapshots.
    pub snapshots: u64,
    /// Packs.
    pub packs: u64,
    /// Blobs in the index.
    pub blobs: u64,
    /// Bytes on disk, of all files.
    pub bytes: u64,
    /// Bytes of all blobs before compression.
    pub raw_bytes: u64,
}
