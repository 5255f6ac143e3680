//! A trial of a folder: does what a backup does there, on a small scale, and takes it away again.

use std::fs::TryLockError;
use std::io::{self, Write as _};

use camino::{Utf8Path, Utf8PathBuf};

/// How many bytes are written.
const SIZE: usize = 64 << 10;

/// What the trial of a folder showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderTrial {
    /// Whether files can be written there.
    pub state: FolderState,
    /// Rename over an existing file and locks work as on a local disk; nothing where it did not come to that.
    pub rename: Option<bool>,
    /// The system said that this user's quota is used up.
    pub over_quota: bool,
    /// The system said that nothing more fits (bytes or inodes).
    pub full: bool,
    /// A protection of the operating system that keeps programs out.
    pub protection: Option<Protection>,
    /// What the system said, in its own words with its number, such as `Read-only file system (30)`; it names no path.
    pub said: Option<String>,
}

impl FolderTrial {
    /// Returns the trial of a folder where everything works.
    pub fn good() -> Self {
        Self {
            state: FolderState::Writable,
            rename: Some(true),
            over_quota: false,
            full: false,
            protection: None,
            said: None,
        }
    }

    fn of(state: FolderState) -> Self {
        Self { state, rename: None, ..Self::good() }
    }
}

/// Whether files can be written in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderState {
    /// They can, or could but for room.
    Writable,
    /// The file system takes no writes.
    ReadOnly,
    /// This user may not.
    Denied,
    /// Neither the folder nor one above it is there.
    Missing,
    /// Something else has its name.
    NotAFolder,
    /// A link that leads nowhere stands in its place.
    DanglingLink,
    /// The disk fails.
    IoError,
}

/// A protection of the operating system that keeps programs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// macOS: Privacy & Security, Files and Folders.
    MacosPrivacy,
    /// Windows: controlled folder access.
    WindowsControlledFolder,
}

/// Tries a folder; one that is not there yet is tried in its nearest folder above.
///
/// `name` is for the files of the trial: nobody else's may have it.
pub fn try_folder(path: &Utf8Path, name: &str) -> FolderTrial {
    let folder = match nearest(path) {
        Ok(folder) => folder,
        Err(state) => return FolderTrial::of(state),
    };
    let files = Files { first: folder.join(name), second: folder.join(format!("{name}-2")) };
    match files.write() {
        Ok(rename) => FolderTrial { rename: Some(rename), ..FolderTrial::good() },
        Err(error) => told(&error),
    }
}

/// Returns the nearest folder that is there.
fn nearest(path: &Utf8Path) -> Result<Utf8PathBuf, FolderState> {
    for ancestor in path.ancestors() {
        let ancestor = if ancestor.as_str().is_empty() { Utf8Path::new(".") } else { ancestor };
        match ancestor.metadata() {
            Ok(found) if found.is_dir() => return Ok(ancestor.to_owned()),
            Ok(_) => return Err(FolderState::NotAFolder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if ancestor.symlink_metadata().is_ok() {
                    return Err(FolderState::DanglingLink);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => return Err(told(&error).state),
        }
    }
    Err(FolderState::Missing)
}

/// Says what an error of the system means.
fn told(error: &io::Error) -> FolderTrial {
    let mut trial = FolderTrial::of(FolderState::Writable);
    trial.said = Some(said(error));
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => trial.state = FolderState::ReadOnly,
        io::ErrorKind::StorageFull => trial.full = true,
        io::ErrorKind::QuotaExceeded => trial.over_quota = true,
        io::ErrorKind::PermissionDenied => {
            trial.state = FolderState::Denied;
            trial.protection = protection(error);
        }
        io::ErrorKind::NotFound => trial.state = FolderState::Missing,
        io::ErrorKind::NotADirectory => trial.state = FolderState::NotAFolder,
        _ => trial.state = FolderState::IoError,
    }
    trial
}

/// Returns the system's number of an error. Whoever opens files writes their path around what the system said, which stays at the end.
fn number(error: &io::Error) -> Option<i32> {
    let written = || {
        let text = error.to_string();
        text.strip_suffix(')')?.rsplit_once(" (os error ")?.1.parse().ok()
    };
    error.raw_os_error().or_else(written)
}

/// The words of the system, and its number; without a number what was said.
fn said(error: &io::Error) -> String {
    let Some(number) = number(error) else { return error.to_string() };
    let text = io::Error::from_raw_os_error(number).to_string();
    let words = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
    format!("{words} ({number})")
}

/// macOS says "operation not permitted" where its privacy settings say no, and "permission denied" otherwise.
fn protection(error: &io::Error) -> Option<Protection> {
    const EPERM: i32 = 1;
    (cfg!(target_os = "macos") && number(error) == Some(EPERM)).then_some(Protection::MacosPrivacy)
}

/// The files of the trial; they are gone when it is over, however it ends.
struct Files {
    first: Utf8PathBuf,
    second: Utf8PathBuf,
}

impl Files {
    /// Writes, syncs, renames over an existing file, locks. Says whether rename and lock work.
    fn write(&self) -> io::Result<bool> {
        for path in [&self.first, &self.second] {
            let mut file = fs_err::File::create_new(path)?;
            file.write_all(&vec![0x4c; SIZE])?;
            file.sync_all()?;
        }
        let renamed = fs_err::rename(&self.first, &self.second).is_ok() && !self.first.exists();
        Ok(renamed && locks(&self.second)?)
    }
}

/// Two openings of one file must not both get its lock.
fn locks(path: &Utf8Path) -> io::Result<bool> {
    let open = || fs_err::OpenOptions::new().read(true).write(true).open(path);
    let (one, two) = (open()?.into_parts().0, open()?.into_parts().0);
    match one.try_lock() {
        Ok(()) => Ok(matches!(two.try_lock(), Err(TryLockError::WouldBlock))),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(_)) => Ok(false),
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in [&self.first, &self.second] {
            // What was never made cannot be taken away.
            let _gone = fs_err::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    #[test]
    fn a_good_folder_is_writable_and_left_as_it_was() {
        let (_dir, path) = folder();
        assert_eq!(try_folder(&path, ".trial"), FolderTrial::good());
        assert_eq!(try_folder(&path.join("not/yet"), ".trial").state, FolderState::Writable);
        assert_eq!(path.read_dir_utf8().unwrap().count(), 0);
    }

    #[test]
    #[cfg(unix)]
    fn what_stands_in_the_way_is_named() {
        let (_dir, path) = folder();
        fs_err::write(path.join("file"), "x").unwrap();
        assert_eq!(try_folder(&path.join("file"), ".t").state, FolderState::NotAFolder);
        assert_eq!(try_folder(&path.join("file/below"), ".t").state, FolderState::NotAFolder);
        fs_err::os::unix::fs::symlink(path.join("nowhere"), path.join("link")).unwrap();
        assert_eq!(try_folder(&path.join("link"), ".t").state, FolderState::DanglingLink);
        assert_eq!(try_folder(&path.join("link/below"), ".t").state, FolderState::DanglingLink);
    }

    #[test]
    fn errors_of_the_system_have_their_meaning() {
        let of = |kind: io::ErrorKind| told(&kind.into());
        assert_eq!(of(io::ErrorKind::ReadOnlyFilesystem).state, FolderState::ReadOnly);
        assert_eq!(of(io::ErrorKind::PermissionDenied).state, FolderState::Denied);
        assert!(of(io::ErrorKind::StorageFull).full);
        assert!(of(io::ErrorKind::QuotaExceeded).over_quota);
        assert_eq!(of(io::ErrorKind::Other).state, FolderState::IoError);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_device_that_is_always_full_is_full() {
        let error = fs_err::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .and_then(|mut file| file.write_all(b"x"))
            .unwrap_err();
        assert!(told(&error).full, "{error}");
        assert!(error.to_string().contains("/dev/full"), "{error}");
        // Its words and its number, and no path.
        assert_eq!(told(&error).said.as_deref(), Some("No space left on device (28)"));
    }

    #[test]
    fn what_the_system_says_is_told_in_its_words() {
        let (_dir, path) = folder();
        let error = fs_err::File::open(path.join("gone")).unwrap_err();
        let said = told(&error).said.unwrap();
        let (words, number) = said.rsplit_once(" (").unwrap();
        assert!(!words.is_empty() && number.strip_suffix(')').unwrap().parse::<i32>().is_ok());
        assert!(!said.contains("gone") && !said.contains("os error"), "{said}");
        assert_eq!(told(&io::Error::other("strange")).said.as_deref(), Some("strange"));
    }
}
