//! A private folder on the local disk that goes with the job: for manifests, which are opened as files.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Cause, JobError};
use crate::job::Places;
use crate::working_tree::area::{private_file, private_folder};

/// A folder that goes with the job.
pub(crate) struct Scratch(Utf8PathBuf);

impl Scratch {
    /// Makes it in the cache, or, where that cannot be used, in the working area or the system's folder for passing files.
    pub(crate) fn new(places: &Places) -> Result<Self, JobError> {
        Self::in_first(&[&places.cache, &places.working_area])
    }

    /// Makes it in the cache, or, where that cannot be used, in the system's folder for passing files.
    pub(crate) fn in_cache(cache: &Utf8Path) -> Result<Self, JobError> {
        Self::in_first(&[cache])
    }

    /// Makes it in the first of these folders that takes it; a home that can only be read leaves the system's folder.
    fn in_first(folders: &[&Utf8Path]) -> Result<Self, JobError> {
        let passing = Utf8PathBuf::from_path_buf(std::env::temp_dir()).ok();
        let mut first = None;
        for folder in folders.iter().copied().chain(passing.as_deref()) {
            match Self::in_folder(folder) {
                Ok(scratch) => return Ok(scratch),
                Err(refused) => {
                    tracing::info!(%folder, error = %refused, "no copies of manifests can lie here");
                    first.get_or_insert(refused);
                }
            }
        }
        let error = first.unwrap_or_else(|| io::ErrorKind::NotFound.into());
        Err(JobError::of(Cause::Disk, "a folder for copies of manifests", &error))
    }

    /// Makes it in this folder.
    fn in_folder(folder: &Utf8Path) -> io::Result<Self> {
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
