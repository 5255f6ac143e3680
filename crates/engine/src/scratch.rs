//! A private folder on the local disk that goes with the job: for manifests, which are opened as files.
//!
//! A job that is killed leaves its folder. Whoever has one holds a lock that all of them share, and the next job sweeps what is left
//! where nobody holds it: `scratch.lock`, beside the folders. In the system's folder for passing files, which belongs to everybody,
//! there is no such lock: the system itself clears it up.

use std::fs::TryLockError;
use std::io;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::error::{Cause, JobError};
use crate::job::Places;
use crate::working_tree::area::{lock_file, private_file, private_folder};

/// What the names of such folders begin with; a UUID follows.
const PREFIX: &str = "scratch-";
/// What they begin with in a folder that is everybody's.
const OURS: &str = "lifeboat-";
/// The file whose lock says that somebody has such a folder.
const LOCK: &str = "scratch.lock";

/// A folder that goes with the job.
pub(crate) struct Scratch {
    folder: Utf8PathBuf,
    /// Keeps others from sweeping; nothing where the disk knows no locks, or where the folder is everybody's, and nobody sweeps.
    _in_use: Option<fs::File>,
}

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
        let mut first = None;
        for folder in folders {
            match Self::in_folder(folder) {
                Ok(scratch) => return Ok(scratch),
                Err(refused) => {
                    tracing::info!(%folder, error = %refused, "no copies of manifests can lie here");
                    first.get_or_insert(refused);
                }
            }
        }
        Self::in_passing(&std::env::temp_dir()).map_err(|refused| {
            let error = first.unwrap_or(refused);
            JobError::of(Cause::Disk, "a folder for copies of manifests", &error)
        })
    }

    /// Makes it in this folder, where nobody has one after what killed jobs left is swept away.
    fn in_folder(folder: &Utf8Path) -> io::Result<Self> {
        private_folder(folder)?;
        let in_use = lock_file(&folder.join(LOCK))?;
        sweep_with(&in_use, folder);
        let in_use = match in_use.file().lock_shared() {
            Ok(()) => Some(in_use),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            Err(error) => return Err(error),
        };
        Self::make(folder.join(name()), in_use)
    }

    /// Makes it in a folder that belongs to everybody: nobody sweeps there, so that no lock of one person can be in another's way.
    fn in_passing(folder: &Path) -> io::Result<Self> {
        let folder = Utf8PathBuf::try_from(folder.join(format!("{OURS}{}", name())));
        Self::make(folder.map_err(camino::FromPathBufError::into_io_error)?, None)
    }

    fn make(folder: Utf8PathBuf, in_use: Option<fs::File>) -> io::Result<Self> {
        private_folder(&folder)?;
        let scratch = Self { folder, _in_use: in_use };
        // A disk that is full or read-only has folders, and takes no file.
        private_file(&scratch.path("Manifest.db"))?;
        Ok(scratch)
    }

    /// Returns a path in it.
    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "a folder of the job stays behind");
        }
    }
}

fn name() -> String {
    format!("{PREFIX}{}", uuid::Uuid::new_v4().simple())
}

/// Removes what killed jobs left in the places for such folders, where nobody has one.
pub(crate) fn sweep(places: &Places) {
    for folder in [&places.cache, &places.working_area] {
        // Where no lock is there nobody ever had a folder.
        let lock = folder.join(LOCK);
        if let Some(lock) = lock.exists().then(|| lock_file(&lock)).and_then(Result::ok) {
            sweep_with(&lock, folder);
        }
    }
}

/// Sweeps while nobody else can have a folder; lets the lock go again.
fn sweep_with(lock: &fs::File, folder: &Utf8Path) {
    match lock.file().try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return,
        Err(TryLockError::Error(error)) => {
            return tracing::debug!(%error, "the disk knows no locks: nothing is swept");
        }
    }
    for left in left_in(folder) {
        match fs::remove_dir_all(&left) {
            Ok(()) => tracing::info!("a folder that a killed job left is removed"),
            Err(error) => tracing::warn!(%error, "a folder of a killed job stays behind"),
        }
    }
    if let Err(error) = lock.file().unlock() {
        tracing::warn!(%error, "the lock of the job's folders");
    }
}

fn left_in(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let is_one =
        |name: &str| name.strip_prefix(PREFIX).is_some_and(|id| uuid::Uuid::try_parse(id).is_ok());
    let Ok(entries) = folder.read_dir_utf8() else { return Vec::new() };
    let entries = entries.flatten().filter(|entry| is_one(entry.file_name()));
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(camino::Utf8DirEntry::into_path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Utf8Path) -> Vec<String> {
        let entries = folder.read_dir_utf8().unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_job_left_goes_when_nobody_has_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let left = root.join("scratch-00112233445566778899aabbccddeeff");
        let leave = || {
            fs::create_dir(&left).unwrap();
            fs::write(left.join("Manifest.db"), b"plain text").unwrap();
        };
        // What is not ours stays.
        fs::create_dir(root.join("scratch-of-somebody")).unwrap();
        fs::write(root.join("scratch-00112233445566778899aabbccddeef0"), b"a file").unwrap();
        let first = Scratch::in_folder(root).unwrap();
        leave();
        let places = Places {
            repository: root.join("repository"),
            password: None,
            key_file: root.join("key"),
            make_repository: false,
            working_area: root.join("not-there"),
            cache: root.to_owned(),
        };
        // Whose it is nobody can tell while one is in use.
        sweep(&places);
        let second = Scratch::in_folder(root).unwrap();
        assert!(left.exists() && first.path("Manifest.db").exists());
        drop(first);
        sweep(&places);
        assert!(left.exists() && second.path("Manifest.db").exists());
        drop(second);
        sweep(&places);
        let others =
            ["scratch-00112233445566778899aabbccddeef0", "scratch-of-somebody", "scratch.lock"];
        assert_eq!(names(root), others);
        leave();
        let third = Scratch::in_folder(root).unwrap();
        assert!(!left.exists() && third.path("Manifest.db").exists());
        drop(third);
        assert_eq!(names(root), others);
    }

    #[test]
    fn where_no_place_of_ours_takes_it_it_lies_in_the_systems_folder_and_leaves_no_lock_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        fs::write(root.join("no-folder"), b"").unwrap();
        // No folder can be made below a file, whoever tries.
        let made = Scratch::in_cache(&root.join("no-folder/cache")).unwrap();
        assert!(made.path("Manifest.db").exists());
        let everybodys = Utf8PathBuf::try_from(std::env::temp_dir()).unwrap();
        assert_eq!(made.folder.parent(), Some(&*everybodys));
        drop(made);
        let passing = root.join("passing");
        fs::create_dir(&passing).unwrap();
        let made = Scratch::in_passing(passing.as_std_path()).unwrap();
        let [name] = names(&passing).try_into().expect("one folder and nothing beside it");
        assert!(name.starts_with("lifeboat-scratch-"), "{name}");
        drop(made);
        assert!(names(&passing).is_empty());
    }
}
