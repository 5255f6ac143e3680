//! The room on a volume.

use camino::{Utf8Path, Utf8PathBuf};

/// The room on a volume, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user can still write.
    pub free: u64,
    /// Bytes that the volume holds in all.
    pub total: u64,
}

/// Why the room on a volume cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system refused to tell.
    #[error("cannot tell the free space of {path}")]
    Unknown {
        /// The path that was asked about.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Returns the room on the volume of `path`; where it does not exist yet, of its nearest folder that does.
pub fn space(path: &Utf8Path) -> Result<Space, DiskError> {
    statvfs(nearest(path)).map_err(|source| DiskError::Unknown { path: path.to_owned(), source })
}

/// Returns how many more files the volume of `path` can hold; nothing where it knows no such limit.
pub fn free_files(path: &Utf8Path) -> Result<Option<u64>, DiskError> {
    free_inodes(nearest(path))
        .map_err(|source| DiskError::Unknown { path: path.to_owned(), source })
}

fn nearest(path: &Utf8Path) -> &Utf8Path {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Utf8Path::new("."))
}

/// Some file systems (btrfs, many shares) make inodes as they go and say that they have none at all.
#[cfg(unix)]
fn free_inodes(path: &Utf8Path) -> std::io::Result<Option<u64>> {
    let path = if path.as_str().is_empty() { Utf8Path::new(".") } else { path };
    let stat = rustix::fs::statvfs(path.as_std_path())?;
    Ok((stat.f_files > 0).then_some(stat.f_favail))
}

#[cfg(not(unix))]
fn free_inodes(_path: &Utf8Path) -> std::io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(unix)]
fn statvfs(path: &Utf8Path) -> std::io::Result<Space> {
    let path = if path.as_str().is_empty() { Utf8Path::new(".") } else { path };
    let stat = rustix::fs::statvfs(path.as_std_path())?;
    Ok(Space {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

#[cfg(not(unix))]
fn statvfs(_path: &Utf8Path) -> std::io::Result<Space> {
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let space_there = space(&path).unwrap();
        assert!(space_there.total > 0 && space_there.free <= space_there.total);
        assert_eq!(space(&path.join("a/b")).unwrap().total, space_there.total);
        assert_ne!(free_files(&path.join("a/b")).unwrap(), Some(0));
    }

    #[test]
    fn a_bare_name_is_looked_up_in_the_current_folder() {
        assert!(space(Utf8Path::new("not-there")).unwrap().total > 0);
    }
}
