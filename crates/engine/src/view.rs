//! One way to look into a backup, whether it lies in a snapshot or in a folder of Finder, iTunes or another tool.

mod folder;
mod snapshot;

use std::io::Read;

use jiff::Timestamp;

use crate::error::JobError;
use crate::job::Places;
use crate::jobs::snapshots::{Listed, Look, SnapshotDetails};

pub(crate) use folder::FolderView;
pub(crate) use snapshot::{SnapshotView, about, info};

/// A backup that can be looked into. Paths are `<Domain>/<relative path>`; below `backup/` lie the backup's own files.
pub(crate) trait BackupView: Send {
    /// Describes it.
    fn details(&self) -> Result<SnapshotDetails, JobError>;

    /// Shows what is in a folder, by name; the empty path is the folder of the domains. A file shows itself.
    fn list(
        &self,
        path: &str,
        recursive: bool,
        visit: &mut dyn FnMut(Listed),
    ) -> Result<(), JobError>;

    /// Opens a file.
    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, JobError>;
}

/// Opens what was asked for.
pub(crate) fn open(look: Look) -> Result<Box<dyn BackupView>, JobError> {
    match look {
        Look::Snapshot { places, snapshot, udid } => {
            Ok(Box::new(open_snapshot(&places, &snapshot, udid.as_deref())?))
        }
        Look::Folder(folder) => Ok(Box::new(FolderView::open(folder)?)),
    }
}

/// Opens a snapshot.
pub(crate) fn open_snapshot(
    places: &Places,
    snapshot: &str,
    udid: Option<&str>,
) -> Result<SnapshotView, JobError> {
    let repository = places.open()?;
    let snapshot = repository.resolve(snapshot, udid)?;
    Ok(SnapshotView::new(repository, snapshot))
}

/// Returns a moment as listings show it.
pub(crate) fn seconds(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}
