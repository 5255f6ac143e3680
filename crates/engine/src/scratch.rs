//! A private folder on the local disk that goes with the job: for manifests, which are opened as files.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Cause, JobError};
use crate::job::Places;
use crate::working_tree::area::{private_file, private_folder};

/// A folder that goes with the job.
pub(crate) struct Scratch(Utf8PathBuf);

impl Scratch {
    /// Makes it in the cache, or, where that cannot be used, in the working area.
    pub(crate) fn new(places: &Places) -> Result<Self, JobError> {
        let made = Self::in_folder(&places.cache).or_else(|error| {
            tracing::info!(%error, "the cache cannot be used, the job goes on without it");
            Self::in_folder(&places.working_area)
        });
        made.map_err(|error| JobError::of(Cause::Disk, "a folder for copies of manifests", &error))
    }

    /// Makes it in this folder.
    pub(crate) fn in_folder(folder: &Utf8Path) -> io::Result<Self> {
        let folder = folder.join(format!("scratch-{}", uuid::Uuid::new_v4().simple()));
        private_folder(&folder)?;
        let scratch = Self(folder);
        // A disk that is full or read-only has folders, and takes no file.
        private_file(&scratch.path("Manifest.db"))?;
        Ok(scratch)
    }

    /// Returns a path in it.
    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_dir_all(&self.0) {
            tracing::warn!(%error, "a folder of the job stays behind");
        }
    }
}
