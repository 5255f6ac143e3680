//! `Manifest.db` and `Manifest.plist`: what is in a backup.

mod db;
mod plist_file;
mod sealed;

use camino::Utf8PathBuf;
use thiserror::Error;

pub use db::{Finder, ManifestDb, Row, Tally};
pub use plist_file::ManifestPlist;
#[cfg(feature = "build")]
pub use sealed::seal;
pub use sealed::{Unsealed, unseal};

use crate::property_list::PlistError;

/// The name of the database.
pub const DB_NAME: &str = "Manifest.db";
/// The name of the property list.
pub const PLIST_NAME: &str = "Manifest.plist";
/// The name of what backups of iOS 9 and older have instead of the database.
pub const OLD_NAME: &str = "Manifest.mbdb";

/// Why a manifest cannot be read.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file is not there.
    #[error("{0} is missing")]
    Missing(Utf8PathBuf),
    /// The backup was made by iOS 9 or older, in another format.
    #[error(
        "the backup holds Manifest.mbdb: it was made by iOS 9 or older, whose format is not read"
    )]
    OldFormat,
    /// The file is no SQLite database: encrypted, or something else.
    #[error("{0} is not a SQLite database (encrypted or damaged)")]
    NotADatabase(Utf8PathBuf),
    /// The encrypted database ends inside a block.
    #[error("the encrypted manifest has {0} bytes: it is cut off inside a block")]
    CutOff(u64),
    /// What the key makes of the file is no database.
    #[error("the key does not open the manifest: it is another manifest's key, or damage")]
    WrongKey,
    /// The database is shorter than its header says.
    #[error("the manifest has {found} bytes, its header says {expected}")]
    Truncated {
        /// What the header says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The database lacks the table, or holds it in a way that is not to be trusted.
    #[error("the manifest has no usable table Files")]
    Schema,
    /// SQLite found damage.
    #[error("the manifest is damaged: {0}")]
    Damaged(String),
    /// SQLite failed.
    #[error("the manifest cannot be read as a database")]
    Sqlite(#[from] rusqlite::Error),
    /// The property list cannot be read.
    #[error("Manifest.plist cannot be read")]
    Plist(#[from] PlistError),
    /// The machine failed.
    #[error("the manifest cannot be read")]
    Io(#[from] std::io::Error),
}
