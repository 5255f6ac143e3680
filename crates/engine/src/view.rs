//! One way to look into a backup, whether it lies in a snapshot or in a folder of Finder, iTunes or another tool.

mod folder;
mod snapshot;

use std::io::Read;

use jiff::Timestamp;
use lifeboat_repo::{Repository, Snapshot};

use crate::error::JobError;
use crate::event::{Event, EventSink, Note};
use crate::job::Places;
use crate::jobs::snapshots::{Listed, Look, SnapshotDetails};
use crate::words::{choose, things};

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

/// Opens what was asked for; tells where it is incomplete.
pub(crate) fn open(events: &EventSink, look: Look) -> Result<Box<dyn BackupView>, JobError> {
    match look {
        Look::Snapshot { places, snapshot, udid } => {
            Ok(Box::new(open_snapshot(events, &places, &snapshot, udid.as_deref())?))
        }
        Look::Folder(folder) => Ok(Box::new(FolderView::open(folder)?)),
    }
}

/// Opens a snapshot; tells where it is incomplete.
pub(crate) fn open_snapshot(
    events: &EventSink,
    places: &Places,
    snapshot: &str,
    udid: Option<&str>,
) -> Result<SnapshotView, JobError> {
    let repository = places.open()?;
    let snapshot = find(events, &repository, snapshot, udid)?;
    Ok(SnapshotView::new(repository, snapshot))
}

/// Finds the snapshot that a person names; tells where it is incomplete.
pub(crate) fn find(
    events: &EventSink,
    repository: &Repository,
    wanted: &str,
    udid: Option<&str>,
) -> Result<Snapshot, JobError> {
    let snapshot = repository.resolve(wanted, udid)?;
    // Whoever needs what it says of itself reads it again, and says what is wrong with it.
    let missing = about(repository, &snapshot).ok().flatten().map_or(0, |about| about.missing());
    if missing > 0 {
        let (files, are) = (things(missing, "file"), choose(missing, "is", "are"));
        let message = format!(
            "this backup is incomplete: {files} {are} missing (snapshot {})",
            snapshot.id.short()
        );
        events.tell(Event::Note(Note::new("incomplete", message)));
    }
    Ok(snapshot)
}

/// Returns a moment as listings show it.
pub(crate) fn seconds(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}
