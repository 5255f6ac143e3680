//! Looks into snapshots, and into folders of Finder, iTunes and other tools.

mod diff;
mod pattern;

use std::io::{Read, Write};
use std::time::Instant;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use lifeboat_host::discretion::keep_quiet;
use lifeboat_repo::{Damage, PackId, Repository, Snapshot, Tag, same_device};

use self::pattern::Pattern;
use crate::error::{Cause, JobError};
use crate::event::Finding;
use crate::job::{Context, Places, blocking};
use crate::layout::About;
pub use crate::layout::NamedFile;
use crate::view::{self, SnapshotView};
use crate::words::{choose, first, ms, things};

/// The cause of a finding that packs are damaged: what a backup can mend.
pub const PACKS_DAMAGED: &str = "packs-damaged";

/// What to look into.
#[derive(Debug, Clone)]
pub enum Look {
    /// A snapshot of the repository: id, prefix, `latest` or `UDID@date`.
    Snapshot {
        /// Where things lie.
        places: Places,
        /// Which snapshot.
        snapshot: String,
        /// Which device, where the snapshot is named `latest`.
        udid: Option<String>,
    },
    /// A folder as Finder, iTunes and idevicebackup2 make it.
    Folder {
        /// Where it is.
        folder: Utf8PathBuf,
        /// The folder for what can be made again: there its manifest is opened, where it is encrypted.
        cache: Utf8PathBuf,
    },
}

/// One snapshot, in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotInfo {
    /// Its id, 64 hexadecimal digits; empty for a folder.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// Which device.
    pub udid: String,
    /// The device's name.
    pub device_name: Option<String>,
    /// The device's iOS.
    pub ios: Option<String>,
    /// The device's model.
    pub product_type: Option<String>,
    /// `complete`, `partial`, `opened`; `folder` for a folder.
    pub tag: String,
    /// Files that are not in it as the device's manifest has them; 0 for a whole one, `None` where nobody knows.
    pub files_missing: Option<u64>,
    /// Files of the device.
    pub files: Option<u64>,
    /// Bytes of them.
    pub bytes: Option<u64>,
    /// Bytes that the repository grew by.
    pub bytes_added: Option<u64>,
    /// Whether it is dated more than a day in the future: it counts as older than the others, and its age is not known.
    pub dated_in_the_future: bool,
}

/// What there is, and what cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotList {
    /// The snapshots, oldest first; those that are dated in the future before all others.
    pub snapshots: Vec<SnapshotInfo>,
    /// What of the repository cannot be read. A snapshot file that cannot be read is not in the list.
    pub damaged: Vec<Finding>,
}

/// What was found, and what could not be looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundList {
    /// The files, snapshot by snapshot.
    pub found: Vec<Found>,
    /// What of the repository cannot be read: what was looked for may be there.
    pub damaged: Vec<Finding>,
}

/// One snapshot in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotDetails {
    /// The line.
    #[serde(flatten)]
    pub info: SnapshotInfo,
    /// Whether the device encrypted it.
    pub encrypted: bool,
    /// Files under `sealed/`.
    pub sealed: u64,
    /// The first of the files that are not in it as the device's manifest has them.
    pub missing_files: Vec<NamedFile>,
    /// The first of the files that the device itself calls incomplete: they changed or went away while it made the backup.
    pub known_incomplete: Vec<NamedFile>,
    /// The domains, by name.
    pub domains: Vec<DomainSummary>,
    /// The apps that the device had, by bundle id.
    pub apps: Vec<String>,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainSummary {
    /// Its name.
    pub domain: String,
    /// Its files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// `<Domain>/<relative path>`.
    pub path: String,
    /// `file`, `directory` or `symlink`.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// The mode bits.
    pub mode: u32,
    /// When it was changed.
    pub modified: Option<Timestamp>,
    /// Where a symbolic link points.
    pub target: Option<String>,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// A file found in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The snapshot.
    pub snapshot: String,
    /// The snapshot's time.
    pub time: Timestamp,
    /// The file.
    #[serde(flatten)]
    pub entry: Listed,
}

/// What differs between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The older one.
    pub from: String,
    /// The newer one.
    pub to: String,
    /// Only in the newer one.
    pub added: Vec<Changed>,
    /// Only in the older one.
    pub removed: Vec<Changed>,
    /// In both, with other content.
    pub changed: Vec<Changed>,
}

/// One file of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// `<Domain>/<relative path>`.
    pub path: String,
    /// Bytes before, where it was there.
    pub size_before: Option<u64>,
    /// Bytes after, where it is there.
    pub size_after: Option<u64>,
}

/// Lists the snapshots, oldest first. One whose description lies in a damaged part of the repository is in the list with what its
/// file says.
pub async fn list(
    ctx: &Context,
    places: Places,
    udid: Option<&str>,
) -> Result<SnapshotList, JobError> {
    let (udid, host) = (udid.map(ToOwned::to_owned), ctx.host.clone());
    blocking(move || {
        let repository = places.open_now(&*host)?;
        let (found, mut damaged) = snapshots_and_damage(&repository, udid.as_deref())?;
        let mut snapshots = Vec::with_capacity(found.len());
        for snapshot in &found {
            let about = about_or_damage(&repository, snapshot, &mut damaged)?;
            let dated_in_the_future = repository.is_ahead(snapshot);
            let line = view::line(snapshot, about.as_ref());
            snapshots.push(SnapshotInfo { dated_in_the_future, ..line });
        }
        damaged.extend(known_damage(&repository)?);
        Ok(SnapshotList { snapshots, damaged })
    })
    .await
}

/// Returns the finding that packs are known to be damaged and wait for a backup.
pub(crate) fn known_damage(repository: &Repository) -> Result<Option<Finding>, JobError> {
    const NAMED: usize = 5;
    let packs = repository.known_damage()?;
    let (number, names) = (packs.len() as u64, first(packs.iter().map(PackId::short), NAMED));
    let (what, are) = (things(number, "pack"), choose(number, "is", "are"));
    Ok((number > 0).then(|| Finding {
        cause: PACKS_DAMAGED.to_owned(),
        message: format!("{what} {are} known to be missing or damaged ({names})"),
        object: None,
    }))
}

/// Returns what a snapshot says about itself, where it does; where that lies in a damaged part of the repository, that becomes a
/// finding.
pub(crate) fn about_or_damage(
    repository: &Repository,
    snapshot: &Snapshot,
    damaged: &mut Vec<Finding>,
) -> Result<Option<About>, JobError> {
    match view::about(repository, snapshot) {
        Err(error) if error.cause == Cause::RepositoryDamaged => {
            let (cause, object) = (error.cause.id().to_owned(), Some(snapshot.id.to_string()));
            damaged.push(Finding { cause, message: error.message, object });
            Ok(None)
        }
        other => other,
    }
}

/// Returns the snapshots of devices, oldest first; those that hold passwords and certificates are none.
pub(crate) fn device_snapshots(
    repository: &Repository,
    udid: Option<&str>,
) -> Result<Vec<Snapshot>, JobError> {
    Ok(snapshots_and_damage(repository, udid)?.0)
}

/// Returns the snapshots of devices, oldest first, and the snapshot files that cannot be read: nobody knows of which device they
/// are.
pub(crate) fn snapshots_and_damage(
    repository: &Repository,
    udid: Option<&str>,
) -> Result<(Vec<Snapshot>, Vec<Finding>), JobError> {
    let since = Instant::now();
    let (mut snapshots, damage) = repository.snapshots_and_damage()?;
    let (read, unread, ms) = (snapshots.len(), damage.len(), ms(since));
    tracing::info!(read, unread, ms, "the snapshots were read");
    // A snapshot's label is the device's name.
    snapshots.iter().filter_map(|snapshot| snapshot.label.as_deref()).for_each(keep_quiet);
    snapshots.retain(|snapshot| {
        udid.is_none_or(|udid| same_device(&snapshot.udid, udid))
            && !snapshot.is(Tag::Password)
            && !snapshot.is(Tag::Certificate)
    });
    let finding = |damage: &Damage| Finding {
        cause: Cause::RepositoryDamaged.id().to_owned(),
        message: damage.to_string(),
        object: damage.file().map(|id| id.to_string()),
    };
    Ok((snapshots, damage.iter().map(finding).collect()))
}

/// Shows one in full. As all that look into a snapshot, it tells a note where that is incomplete.
pub async fn show(ctx: &Context, look: Look) -> Result<SnapshotDetails, JobError> {
    let ctx = ctx.clone();
    blocking(move || view::open(&ctx, look)?.details()).await
}

/// Lists a folder (`""` for the domains); with `recursive` all below it.
pub async fn ls(
    ctx: &Context,
    look: Look,
    path: &str,
    recursive: bool,
) -> Result<Vec<Listed>, JobError> {
    let (path, ctx) = (path.to_owned(), ctx.clone());
    blocking(move || {
        let mut all = Vec::new();
        let view = view::open(&ctx, look)?;
        view.tell_changed(&ctx.events);
        view.list(&path, recursive, &mut |listed| all.push(listed))?;
        all.sort_by(|a: &Listed, b: &Listed| a.path.cmp(&b.path));
        Ok(all)
    })
    .await
}

/// Writes a file's bytes to `out`; returns how many.
pub async fn cat(
    ctx: &Context,
    look: Look,
    path: &str,
    mut out: Box<dyn Write + Send>,
) -> Result<u64, JobError> {
    let (path, ctx) = (path.to_owned(), ctx.clone());
    blocking(move || {
        // Its lock is held until everything is read.
        let view = view::open(&ctx, look)?;
        let mut reader = Stoppable { reader: view.open(&path)?, cancel: ctx.cancel.clone() };
        let failed = |error| match ctx.go_on() {
            Err(stopped) => stopped,
            Ok(()) => view::unreadable(&path, error),
        };
        let count = std::io::copy(&mut reader, &mut out).map_err(failed)?;
        out.flush().map_err(failed)?;
        Ok(count)
    })
    .await
}

/// A reader that ends with an error as soon as somebody stops the job.
struct Stoppable<R> {
    reader: R,
    cancel: CancellationToken,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("interrupted"));
        }
        self.reader.read(buffer)
    }
}

/// Finds files by a part of their path, or by a pattern with `*` and `?`; in one snapshot, or in all.
pub async fn find(
    ctx: &Context,
    places: Places,
    udid: Option<&str>,
    snapshot: Option<&str>,
    pattern: &str,
) -> Result<FoundList, JobError> {
    let (udid, snapshot) = (udid.map(ToOwned::to_owned), snapshot.map(ToOwned::to_owned));
    let (pattern, ctx) = (Pattern::new(pattern), ctx.clone());
    blocking(move || {
        let repository = places.open_to_read(&ctx.host)?;
        let (snapshots, mut damaged) = match snapshot {
            Some(snapshot) => {
                let one = view::find(&ctx.events, &repository, &snapshot, udid.as_deref())?;
                (vec![one], Vec::new())
            }
            None => snapshots_and_damage(&repository, udid.as_deref())?,
        };
        let mut found = Vec::new();
        for snapshot in snapshots {
            ctx.go_on()?;
            let (id, time) = (snapshot.id, snapshot.time);
            let mut visit = |entry: Listed| {
                if pattern.fits(&entry.path) {
                    found.push(Found { snapshot: id.to_string(), time, entry });
                }
            };
            let mut unread = |path: &str, error: JobError| {
                damaged.push(Finding {
                    cause: error.cause.id().to_owned(),
                    message: format!(
                        "{path} of snapshot {} cannot be read, and what was looked for may be in it: {}",
                        id.short(),
                        error.message
                    ),
                    object: Some(id.to_string()),
                });
            };
            SnapshotView::new(repository.clone(), snapshot).readable(&mut visit, &mut unread)?;
        }
        Ok(FoundList { found, damaged })
    })
    .await
}

/// Compares two snapshots.
pub async fn diff(
    ctx: &Context,
    places: Places,
    udid: Option<&str>,
    a: &str,
    b: &str,
) -> Result<Difference, JobError> {
    let (udid, a, b) = (udid.map(ToOwned::to_owned), a.to_owned(), b.to_owned());
    let ctx = ctx.clone();
    blocking(move || {
        let repository = places.open_to_read(&ctx.host)?;
        let a = view::find(&ctx.events, &repository, &a, udid.as_deref())?;
        let b = view::find(&ctx.events, &repository, &b, udid.as_deref())?;
        diff::compare(&repository, &a, &b)
    })
    .await
}
