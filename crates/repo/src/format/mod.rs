//! restic's repository format, version 2: what bytes mean. No I/O here.
//!
//! * [`seal`]: AES-256 in counter mode with Poly1305-AES around everything
//! * [`hash`]: SHA-256, the name of everything
//! * [`pack`]: many sealed blobs in one file, their list at its end
//! * [`file`]: the small sealed JSON files, compressed
//! * [`index`], [`snapshot`], [`lock`], [`config`]: what those say
//! * [`quote`]: names as Go quotes them
//! * [`tree`]: a folder as JSON, to the byte as restic writes it, so that an equal folder keeps its name

pub(crate) mod config;
pub(crate) mod file;
pub(crate) mod hash;
pub(crate) mod index;
pub(crate) mod lock;
pub(crate) mod pack;
pub(crate) mod quote;
pub(crate) mod random;
pub(crate) mod seal;
pub(crate) mod snapshot;
pub(crate) mod tree;

use serde::{Deserialize, Serialize};

/// The two kinds of blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BlobKind {
    /// A piece of a file.
    Data,
    /// A folder.
    Tree,
}
