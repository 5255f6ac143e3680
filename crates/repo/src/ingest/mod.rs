//! The way of a backup into the repository.
//!
//! A file streams through a [`Cut`] in the caller's thread ([`Incoming`]); each blob is named there, and dropped if the
//! repository has it. New ones go through a bounded queue to workers, which compress and seal them straight into packs;
//! a publisher makes full packs durable. [`Writer::commit`] waits for all that, writes the index, then the snapshot.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use crate::{id::FileId, lock::Clock};

mod cut;
mod incoming;
mod open_pack;
mod queue;
mod recover;
mod salvage;
mod tree;
mod worker;
mod writer;

pub use cut::Cut;
pub(crate) use cut::Gear;
pub use incoming::Incoming;
pub(crate) use recover::sealed_list;
pub use salvage::Healing;
pub use tree::{NameFlaw, TreeBuilder, TreeError};
pub use writer::Writer;

/// Lets other threads go first from here on: whoever receives from a device must not wait for those who compress.
///
/// Where a thread has no rank of its own (only Linux gives it one) nothing happens.
pub fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a thread keeps its rank");
    }
}

/// How far back: about a tenth of a core where another thread wants it, and all of it where none does.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// How a writer works.
#[derive(Clone)]
pub struct WriterOptions {
    /// Threads that compress and seal, two unless told otherwise.
    pub workers: NonZeroUsize,
    /// Tells the time for the lock.
    pub clock: Clock,
    /// How long the storage may take for anything, a quarter of an hour unless told otherwise. Then it counts as hung: the writer
    /// fails, and its threads and its lock are left behind.
    pub patience: Duration,
    /// How many bytes of pages of a database's tables, or of frames of a write-ahead log, make a blob at most: at least one page,
    /// 64 KiB unless told otherwise. What one repository was written with decides what the next run does not store again.
    pub group: NonZeroUsize,
    /// Is told of each pack and index file before it is there under its name: whoever is killed afterwards knows what it wrote.
    pub announce: Option<Announce>,
}

/// Is told what a writer is about to write.
pub type Announce = Arc<dyn Fn(FileId) + Send + Sync>;

/// As long as the session with a device waits for a disk.
const PATIENCE: Duration = Duration::from_mins(15);

impl WriterOptions {
    /// Takes two workers and this clock.
    pub fn new(clock: Clock) -> Self {
        Self {
            workers: NonZeroUsize::MIN.saturating_add(1),
            clock,
            patience: PATIENCE,
            group: cut::GROUP,
            announce: None,
        }
    }
}

/// What a writer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteStats {
    /// Files in the snapshot; 0 before the commit.
    pub files: u64,
    /// Folders in the snapshot; 0 before the commit.
    pub directories: u64,
    /// Bytes of the files of the snapshot; 0 before the commit.
    pub bytes: u64,
    /// Pieces of files that were new.
    pub blobs_new: u64,
    /// Pieces of files that the repository had.
    pub blobs_known: u64,
    /// Folders that were new.
    pub trees_new: u64,
    /// Bytes of new blobs and folders before compression.
    pub bytes_new: u64,
    /// Bytes that the repository grew by: packs and index. The snapshot file, some hundred bytes, is not counted: it holds
    /// this very number.
    pub bytes_added: u64,
    /// Packs written.
    pub packs: u64,
}
