//! The working area of one device: a folder with the journal, the files of the run, and a lock that dies with its process.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use lifeboat_repo::{Announce, FileId};

use super::journal;
use crate::error::{Cause, JobError};

/// The longest list of what runs wrote that is read: of a million files.
const LONGEST_LIST: u64 = 65 << 20;

/// The folder of one device, locked.
#[derive(Debug)]
pub(crate) struct Area {
    folder: Utf8PathBuf,
    _lock: fs::File,
}

/// Whether a UDID is one: it becomes the name of a folder.
pub(crate) fn is_udid(udid: &str) -> bool {
    (8..=64).contains(&udid.len())
        && udid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn disk(what: &str, error: &io::Error) -> JobError {
    let cause = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::WorkingAreaFull,
        _ => Cause::Disk,
    };
    JobError::of(cause, what, error)
}

/// Makes a file that only its owner can read; one that is there is emptied.
pub(crate) fn private_file(path: &Utf8Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Opens a file that is only there to be locked, and makes it where it is not; what it holds stays.
pub(crate) fn lock_file(path: &Utf8Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Makes a folder, and those above it, that only their owner can enter.
pub(crate) fn private_folder(path: &Utf8Path) -> io::Result<()> {
    lifeboat_host::secret::create_private_folder(path)
}

impl Area {
    /// Takes the working area of a device; refuses when another run has it.
    pub(crate) fn take(working_area: &Utf8Path, udid: &str) -> Result<Self, JobError> {
        if !is_udid(udid) {
            return Err(JobError::new(Cause::HostileData, "the device's identifier cannot be one"));
        }
        let folder = working_area.join(udid);
        private_folder(&folder)
            .map_err(|error| disk(&format!("cannot make the working area {folder}"), &error))?;
        let lock = lock_file(&folder.join("lock"))
            .map_err(|error| disk("cannot make the lock of the working area", &error))?;
        match lock.file().try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(JobError::new(
                Cause::AlreadyRunning,
                "another Lifeboat is working on this device",
            )),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(disk("cannot lock the working area", &error))
            }
        }
    }

    /// Says whether a broken run has kept files of a device; needs no lock.
    pub(crate) fn is_kept(working_area: &Utf8Path, udid: &str) -> bool {
        let journal = working_area.join(udid).join("journal");
        is_udid(udid) && journal::keeps_something(&journal, &boot_id())
    }

    /// Says whether a broken run has left anything of a device, were it only its status; needs no lock.
    pub(crate) fn is_left(working_area: &Utf8Path, udid: &str) -> bool {
        is_udid(udid) && journal::tells_of_the_device(&working_area.join(udid).join("journal"))
    }

    /// Says whether a run has the working area of a device now.
    pub(crate) fn is_taken(working_area: &Utf8Path, udid: &str) -> bool {
        let lock = is_udid(udid).then(|| fs::File::open(working_area.join(udid).join("lock")));
        // Whoever looks gives it back at once.
        matches!(
            lock.and_then(Result::ok).map(|lock| lock.file().try_lock_shared()),
            Some(Err(std::fs::TryLockError::WouldBlock))
        )
    }

    /// Moves what a broken run of a device left to `to`, deleting nothing; nothing where it left nothing.
    pub(crate) fn set_aside(
        working_area: &Utf8Path,
        udid: &str,
        to: &Utf8Path,
    ) -> Result<Option<Utf8PathBuf>, JobError> {
        let area = Self::take(working_area, udid)?;
        if !Self::is_left(working_area, udid) {
            return Ok(None);
        }
        let moved = private_folder(to).and_then(|()| {
            for entry in area.folder.read_dir_utf8()? {
                let entry = entry?;
                if entry.file_name() != "lock" {
                    fs::rename(entry.path(), to.join(entry.file_name()))?;
                }
            }
            sync_folder(&area.folder)
        });
        moved.map_err(|error| disk("cannot set aside what a run left", &error))?;
        Ok(Some(to.to_owned()))
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Returns the path of the journal.
    pub(crate) fn journal(&self) -> Utf8PathBuf {
        self.folder.join("journal")
    }

    /// Returns the path of the list of what runs wrote to the repository.
    pub(crate) fn written(&self) -> Utf8PathBuf {
        self.folder.join("written")
    }

    /// Returns what puts a file on that list before it is in the repository. The list is for a count: what it misses does no harm.
    pub(crate) fn announce(&self) -> Announce {
        let path = self.written();
        Arc::new(move |id: FileId| {
            if let Err(error) = note(&path, id) {
                tracing::warn!(%error, "what is written to the repository is not counted");
            }
        })
    }

    /// Returns the files on that list.
    pub(crate) fn announced(&self) -> BTreeSet<FileId> {
        let text = lifeboat_host::read_text(&self.written(), LONGEST_LIST).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Returns a path for something that lives only as long as the run.
    pub(crate) fn scratch(&self, name: &str) -> io::Result<Utf8PathBuf> {
        let folder = self.folder.join("scratch");
        private_folder(&folder)?;
        Ok(folder.join(name))
    }

    /// Returns the folder of the received files.
    pub(crate) fn files(&self) -> Utf8PathBuf {
        self.folder.join("files")
    }

    /// Removes the journal, then everything else: a run that begins after this begins anew.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.clear_kept()?;
        self.clear_scratch()
    }

    /// Removes what earlier runs kept: the journal, then the files that it speaks of.
    pub(crate) fn clear_kept(&self) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.journal()))?;
        sync_folder(&self.folder)?;
        absent_is_fine(fs::remove_file(self.written()))?;
        absent_is_fine(fs::remove_dir_all(self.files()))
    }

    /// Removes what lives only as long as a run.
    pub(crate) fn clear_scratch(&self) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(self.folder.join("scratch")))
    }
}

/// Puts a line at the end of a list that only its owner can read.
fn note(path: &Utf8Path, id: FileId) -> io::Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(format!("{id}\n").as_bytes())
}

pub(crate) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Waits until the names in a folder survive a power cut.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Utf8Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Waits until the names in a folder survive a power cut.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_path: &Utf8Path) -> io::Result<()> {
    Ok(())
}

/// Returns the identifier of the machine's current boot, empty where there is none: then nothing survives but what was synced.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::working_tree::segments::{self, Segments};

    #[test]
    fn one_run_at_a_time_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let first = Area::take(root, "00008110-000A1B2C3D4E5F60").unwrap();
        assert_eq!(
            Area::take(root, "00008110-000A1B2C3D4E5F60").unwrap_err().cause,
            Cause::AlreadyRunning
        );
        drop(first);
        assert!(Area::take(root, "00008110-000A1B2C3D4E5F60").is_ok());
        assert_eq!(Area::take(root, "../../etc/x").unwrap_err().cause, Cause::HostileData);
    }

    #[test]
    fn a_place_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().join("a-file");
        fs::write(&root, b"x").unwrap();
        let error = Area::take(&root, "00008110-000A1B2C3D4E5F60").unwrap_err();
        assert!(error.message.contains(root.as_str()), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let area =
            Area::take(Utf8Path::from_path(dir.path()).unwrap(), "0000000000000000").unwrap();
        let mut segments = Segments::new(area.files()).unwrap();
        segments.begin(false).unwrap();
        let segment = segments::path(&area.files(), 1);
        let scratch = area.scratch("Manifest.db").unwrap();
        drop(private_file(&scratch).unwrap());
        for path in [area.folder().join("lock"), segment, scratch] {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{path}");
        }
    }

    #[test]
    fn what_runs_wrote_is_listed_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let area =
            Area::take(Utf8Path::from_path(dir.path()).unwrap(), "0000000000000000").unwrap();
        assert!(area.announced().is_empty());
        let ids = [1, 2, 3].map(|byte| FileId::new([byte; 32]));
        ids.iter().copied().for_each(&*area.announce());
        // The last line of a run that was killed.
        let list = fs::read_to_string(area.written()).unwrap();
        fs::write(area.written(), format!("{list}0404")).unwrap();
        assert_eq!(area.announced(), BTreeSet::from(ids));
        area.clear_kept().unwrap();
        assert!(area.announced().is_empty());
    }

    #[test]
    fn clearing_leaves_nothing_but_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let area =
            Area::take(Utf8Path::from_path(dir.path()).unwrap(), "0000000000000000").unwrap();
        private_folder(&area.files()).unwrap();
        fs::write(segments::path(&area.files(), 2345), b"x").unwrap();
        fs::write(area.journal(), b"x").unwrap();
        assert_eq!(segments::numbers(&area.files()).unwrap(), [2345]);
        area.clear().unwrap();
        assert_eq!(segments::numbers(&area.files()).unwrap(), [0; 0]);
        let left: Vec<_> =
            fs::read_dir(area.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"]);
    }
}
