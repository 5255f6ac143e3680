//! One way to look into a backup, whether it lies in a snapshot or in a folder of Finder, iTunes or another tool.

mod folder;
mod snapshot;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Instant;

use jiff::Timestamp;
use lifeboat_mobilesync::InfoPlist;
use lifeboat_repo::{RepoError, Repository, Snapshot};

use crate::error::{Cause, JobError};
use crate::event::{Event, EventSink, Note};
use crate::job::Context;
use crate::jobs::snapshots::{DomainSummary, Listed, Look, SnapshotDetails};
use crate::layout::{About, MOST_NAMED, NamedFile};
use crate::words::{choose, ms, things};

pub(crate) use folder::{FolderView, find as backup_folder};
pub(crate) use snapshot::{SnapshotView, about, line};

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

    /// Tells a note of the files that the device itself calls incomplete, where that is known.
    fn tell_changed(&self, _events: &EventSink) {}

    /// Opens a file.
    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, JobError>;
}

/// Opens what was asked for; tells where it is incomplete. A repository is locked for reading as long as the view is there.
pub(crate) fn open(ctx: &Context, look: Look) -> Result<Box<dyn BackupView>, JobError> {
    match look {
        Look::Snapshot { places, snapshot, udid } => {
            let repository = places.open_to_read(&ctx.host)?;
            let view = in_repository(&ctx.events, repository, &snapshot, udid.as_deref())?;
            Ok(Box::new(view.with_cache(&places.cache)))
        }
        Look::Folder { folder, cache } => Ok(Box::new(FolderView::open(ctx, folder, &cache)?)),
    }
}

/// Looks into a snapshot of an open repository; tells where it is incomplete.
pub(crate) fn in_repository(
    events: &EventSink,
    repository: Repository,
    snapshot: &str,
    udid: Option<&str>,
) -> Result<SnapshotView, JobError> {
    let snapshot = find(events, &repository, snapshot, udid)?;
    Ok(SnapshotView::new(repository, snapshot))
}

/// Finds the snapshot that a person names; tells where it is incomplete, and where a newer one may be meant that cannot be read.
pub(crate) fn find(
    events: &EventSink,
    repository: &Repository,
    wanted: &str,
    udid: Option<&str>,
) -> Result<Snapshot, JobError> {
    let since = Instant::now();
    let (snapshot, unread) = repository.resolve_and_damage(wanted, udid)?;
    let (found, unread_files) = (snapshot.id.short(), unread.len());
    tracing::info!(%found, unread = unread_files, ms = ms(since), "a snapshot was looked for");
    if !unread.is_empty() {
        let message = format!(
            "{} cannot be read, and a newer one may be among them (taken is {}); `lifeboat check` says more",
            things(unread.len() as u64, "snapshot file"),
            snapshot.id.short()
        );
        events.tell(Event::Note(Note::new("snapshots-unreadable", message)));
    }
    // Whoever needs what it says of itself reads it again, and says what is wrong with it.
    let about = about(repository, &snapshot).ok().flatten();
    let missing = about.as_ref().map_or(0, About::missing);
    if missing > 0 {
        let (files, are) = (things(missing, "file"), choose(missing, "is", "are"));
        let message = format!(
            "this backup is incomplete: {files} {are} missing (snapshot {}){}",
            snapshot.id.short(),
            naming(about.as_ref().map_or(&[], |about| &about.missing_files), missing)
        );
        events.tell(Event::Note(Note::new("incomplete", message)));
    }
    Ok(snapshot)
}

/// How many files a note names.
const NAMED: usize = 20;

/// Returns `: a (stale), b (missing) and 3 more` for the end of a note, of `total` files; nothing where none has a name.
pub(crate) fn naming(files: &[NamedFile], total: u64) -> String {
    if files.is_empty() {
        return String::new();
    }
    let first = files.iter().take(NAMED);
    let names: Vec<_> = first.map(|file| format!("{} ({})", file.name(), file.why)).collect();
    let more = match total.saturating_sub(names.len() as u64) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(": {}{more}", names.join(", "))
}

/// Says which files of a snapshot the device itself calls incomplete; nothing where there are none.
pub(crate) fn changed_meanwhile(snapshot: &Snapshot, about: &About) -> Option<Note> {
    let files = &about.known_incomplete;
    let (count, more) =
        (files.len() as u64, if files.len() < MOST_NAMED { "" } else { " or more" });
    let message = format!(
        "{}{more} of snapshot {} changed or went away while the device made the backup, and what it had then is not in it{}",
        things(count, "file"),
        snapshot.id.short(),
        naming(files, count)
    );
    (!files.is_empty()).then(|| Note::new("changed-meanwhile", message))
}

/// The domains of a backup, counted file by file.
#[derive(Default)]
struct Domains(BTreeMap<String, DomainSummary>);

impl Domains {
    /// Counts what lies at `<Domain>/<relative path>`; a size makes it a file.
    fn add(&mut self, path: &str, size: Option<u64>) {
        let domain = path.split('/').next().unwrap_or_default();
        let summary = self.0.entry(domain.to_owned()).or_insert_with(|| DomainSummary {
            domain: domain.to_owned(),
            files: 0,
            bytes: 0,
        });
        if let Some(size) = size {
            summary.files += 1;
            summary.bytes += size;
        }
    }

    /// Returns how many files there are, and their bytes.
    fn totals(&self) -> (u64, u64) {
        let add =
            |(files, bytes), domain: &DomainSummary| (files + domain.files, bytes + domain.bytes);
        self.0.values().fold((0, 0), add)
    }

    /// Returns them by name.
    fn into_list(self) -> Vec<DomainSummary> {
        self.0.into_values().collect()
    }
}

/// Returns the apps that Info.plist names, in order.
fn apps(info: &InfoPlist) -> Vec<String> {
    let mut apps: Vec<String> =
        info.installed_applications().into_iter().map(ToOwned::to_owned).collect();
    apps.sort();
    apps
}

/// What is listed: a folder, or all below it.
struct Below {
    prefix: String,
    recursive: bool,
}

impl Below {
    /// Lists the folder at `path`; the empty path is the folder of the domains.
    fn new(path: &str, recursive: bool) -> Self {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        Self { prefix, recursive }
    }

    /// Whether a path lies below the folder at all.
    fn has(&self, path: &str) -> bool {
        path.starts_with(&self.prefix)
    }

    /// Whether a path is listed.
    fn shows(&self, path: &str) -> bool {
        path.strip_prefix(&self.prefix)
            .is_some_and(|rest| !rest.is_empty() && (self.recursive || !rest.contains('/')))
    }
}

/// Says why a file cannot be read to its end: for the repository's sake, or for the disk's.
pub(crate) fn unreadable(path: &str, error: io::Error) -> JobError {
    let what = format!("cannot read `{path}` to its end");
    match error.downcast::<RepoError>() {
        Ok(error) => {
            let error = JobError::from(error);
            JobError { message: format!("{what}: {}", error.message), ..error }
        }
        Err(error) => JobError::of(Cause::Disk, &what, &error),
    }
}

/// Says that nothing is there.
fn no_such_path(path: &str) -> JobError {
    JobError::new(Cause::NoSuchPath, format!("there is no `{path}` in this backup"))
}

/// Says that it is no file.
fn not_a_file(path: &str) -> JobError {
    JobError::new(Cause::NoSuchPath, format!("`{path}` is not a file"))
}

/// Returns a moment as listings show it.
pub(crate) fn seconds(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}
