//! A repository of snapshots in restic's format, version 2.
//!
//! A [`Repository`] keeps, encrypted and without keeping anything twice, what devices backed up. Whoever has the
//! password and stock `restic` can list, check and restore it; `FORMAT.md` of this crate says what lies in it.
//!
//! Writing and reading are our own. A [`Writer`] takes files in any order while they arrive, cuts them into blobs, and
//! [`Writer::commit`] publishes a snapshot as one small file, written last. Before it nothing happened, after it
//! everything did. Snapshots, folders and ranges of files are read through an index in memory and a catalogue on disk, and
//! [`Repository::check`] names what is damaged. `rustic_core` makes and opens keys and gives the check a second opinion;
//! `docs/decisions/0001-repository-in-restics-format.md` says why.
//!
//! In reading order:
//!
//! * [`Location`], [`Repository`]: the way in
//! * [`Node`], [`Content`], [`Snapshot`], [`RepoError`]: the words
//! * [`Writer`], [`Incoming`], [`TreeBuilder`], [`Cut`]: the way of a backup into the repository
//! * [`Entry`], [`Reader`]: the way out; the catalogue in the cache answers without parsing trees again
//! * [`CheckReport`], [`Healing`]: what is damaged, and what the next writer does about it
//! * `format`: restic's codec, no I/O; `store`: where the files lie
//!
//! What is not found: bytes that changed in a pack that keeps its length. Only reading tells, and nothing here reads without a
//! reason. [`Repository::check`] with all data finds them, and so does whoever reads such a blob; from then on the pack is not
//! built upon.
//!
//! Not here: what a backup means (`mobilesync`), and when to make one (`engine`).

mod catalogue;
mod check;
mod error;
mod format;
#[doc(hidden)]
pub mod fuzz;
mod id;
mod index;
mod ingest;
mod keys;
mod location;
mod lock;
mod node;
mod reader;
mod repository;
mod snapshot;
mod stats;
pub mod store;

pub use check::{CheckProgress, CheckReport};
pub use error::{Damage, Fault, Flaw, RepoError};
pub use id::{BlobId, FileId, InvalidId, PackId, SnapshotId, TreeId};
pub use ingest::{
    Announce, Cut, Healing, Incoming, NameFlaw, TreeBuilder, TreeError, WriteStats, Writer,
    WriterOptions, stand_back,
};
pub use keys::generate_password;
pub use location::Location;
pub use lock::{Clock, Holder};
pub use node::{Content, Entry, Node, NodeKind, moment};
pub use reader::Reader;
pub use repository::{ABOUT, Repository};
pub use snapshot::{NewSnapshot, Snapshot, Summary, Tag, same_device, shown_time};
pub use stats::Stats;
