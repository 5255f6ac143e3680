//! Reads, checks and builds the MobileSync backup format.
//!
//! In reading order: [`mod@file`] names the things a backup is made of (file IDs and the records that
//! describe them), [`manifest`] reads `Manifest.db` and `Manifest.plist`, [`status`] and [`info`]
//! the two small property lists beside them, [`keybag`] and [`crypto`] open what is encrypted,
//! [`trial`] finds the right password among several, and [`verify`] holds a manifest against the payloads that are there. With the feature `build`,
//! the module `build` writes all of it, as a device does.
//!
//! Everything that comes in is taken for hostile: sizes are capped, property lists are built only within
//! a budget, no length that was read is trusted. The format itself is described in `docs/format.md`.
//!
//! What this crate is not: it does no protocol and no network, and it knows nothing of
//! repositories or of the apps whose data a backup holds.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod bplist;
#[cfg(feature = "build")]
pub mod build;
pub mod crypto;
pub mod file;
pub mod info;
pub mod keybag;
pub mod manifest;
pub mod proof;
pub mod property_list;
pub mod status;
mod stretch;
pub mod trial;
pub mod verify;

pub use file::{EntryKind, FileId, MbFile, MbFileError};
pub use info::InfoPlist;
pub use manifest::{ManifestDb, ManifestError, ManifestPlist, Row, Tally};
pub use property_list::{Limits, PlistError};
pub use status::{BackupState, SnapshotState, StatusPlist};
