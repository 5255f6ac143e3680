//! A snapshot of the repository.

use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::InfoPlist;
use lifeboat_mobilesync::crypto::Decrypt;
use lifeboat_repo::{Entry, NodeKind, RepoError, Repository, Snapshot};

use super::{BackupView, Below, Domains, changed_meanwhile, no_such_path, not_a_file};
use crate::apple::Resealer;
use crate::error::{Cause, JobError};
use crate::event::{Event, EventSink};
use crate::jobs::snapshots::{FileKind, Listed, SnapshotDetails, SnapshotInfo};
use crate::layout::{ABOUT, About, BACKUP, FILES, IDS, SEALED, sealed_path};
use crate::scratch::Scratch;
use crate::working_tree::base;

/// A snapshot of the repository.
pub(crate) struct SnapshotView {
    pub(crate) repository: Repository,
    pub(crate) snapshot: Snapshot,
    /// The folder for what can be made again.
    cache: Option<Utf8PathBuf>,
}

/// A file that lies sealed and has a name.
struct Named {
    name: String,
    entry: Entry,
}

/// Returns what a snapshot says about itself, where it does.
pub(crate) fn about(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<Option<About>, JobError> {
    let Some(entry) = repository.entry(snapshot, ABOUT)? else { return Ok(None) };
    let Some(content) = entry.node.content() else { return Ok(None) };
    Ok(serde_json::from_slice(&repository.read(content)?).ok())
}

/// Returns the line of a snapshot; without what it says about itself, what its file says.
pub(crate) fn line(snapshot: &Snapshot, about: Option<&About>) -> SnapshotInfo {
    SnapshotInfo {
        id: snapshot.id.to_string(),
        time: snapshot.time,
        udid: snapshot.udid.clone(),
        device_name: about
            .and_then(|about| about.device_name.clone())
            .or_else(|| snapshot.label.clone()),
        ios: about.and_then(|about| about.ios.clone()),
        product_type: about.and_then(|about| about.product_type.clone()),
        tag: snapshot.tags.first().cloned().unwrap_or_default(),
        files_missing: about.map(About::missing),
        files: about.map(|about| about.files),
        bytes: about.map(|about| about.bytes),
        bytes_added: snapshot.summary.map(|summary| summary.bytes_added),
        dated_in_the_future: false,
    }
}

impl SnapshotView {
    /// Looks into a snapshot.
    pub(crate) fn new(repository: Repository, snapshot: Snapshot) -> Self {
        Self { repository, snapshot, cache: None }
    }

    /// Puts copies that it needs for a moment there.
    pub(crate) fn with_cache(self, cache: &Utf8Path) -> Self {
        Self { cache: Some(cache.to_owned()), ..self }
    }

    /// Opens a file that lies under its ID; of an opened backup it lies there as the device encrypted it.
    fn open_by_id(&self, entry: &Entry) -> Result<Box<dyn Read + Send>, JobError> {
        let content = entry.node.content().ok_or_else(|| not_a_file(&entry.path))?;
        let reader = self.repository.reader(content)?;
        let about = about(&self.repository, &self.snapshot)?.filter(About::is_opened);
        let (Some(about), Some(cache), Ok(id)) = (about, &self.cache, entry.name().parse()) else {
            return Ok(Box::new(reader));
        };
        let scratch = Scratch::in_cache(cache)?;
        let place = scratch.path("Manifest.db");
        let resealer = Resealer::of(&self.repository, &self.snapshot, &about, &place)?;
        // What has no key, and what is no whole number of blocks, is of use as it is.
        let key = resealer.and_then(|resealer| resealer.key(&id).ok());
        Ok(match key.filter(|_| content.size > 0 && content.size.is_multiple_of(16)) {
            Some(key) => Box::new(Decrypt::new(&key, reader)),
            None => Box::new(reader),
        })
    }

    /// Returns the path in the snapshot for a path of the view.
    fn inner(path: &str) -> String {
        let path = path.trim_matches('/');
        let first = path.split('/').next().unwrap_or_default();
        match first {
            "" => FILES.to_owned(),
            BACKUP | SEALED | "lifeboat" => path.to_owned(),
            _ => format!("{FILES}/{path}"),
        }
    }

    fn below(
        &self,
        folder: &Entry,
        recursive: bool,
        visit: &mut dyn FnMut(Listed),
    ) -> Result<(), JobError> {
        if recursive {
            let visit = |entry: &Entry| {
                visit(listed(entry));
                Ok(())
            };
            return self.repository.walk_below(folder, visit, |_, error| Err(error.into()));
        }
        for entry in self.repository.entries(&self.snapshot, &folder.path)? {
            visit(listed(&entry));
        }
        Ok(())
    }

    /// Shows all that can be read, as a list of everything does; of what is damaged it tells `damaged` the path and why.
    pub(crate) fn readable(
        &self,
        visit: &mut dyn FnMut(Listed),
        damaged: &mut dyn FnMut(&str, JobError),
    ) -> Result<(), JobError> {
        let named = match self.named() {
            Ok(named) => named,
            Err(error) => {
                skip(IDS, error, damaged)?;
                Vec::new()
            }
        };
        let mut tops = vec![FILES];
        if named.is_empty() {
            tops.push(SEALED);
        }
        for top in tops {
            match self.repository.entry(&self.snapshot, top) {
                Ok(None) => {}
                Ok(Some(entry)) => {
                    if top == SEALED {
                        visit(listed(&entry));
                    }
                    let show = |entry: &Entry| {
                        visit(listed(entry));
                        Ok(())
                    };
                    let unread = |path: &str, error: RepoError| skip(path, error.into(), damaged);
                    self.repository.walk_below(&entry, show, unread)?;
                }
                Err(error) => skip("/", error.into(), damaged)?,
            }
        }
        for named in named {
            visit(Listed { path: named.name, ..listed(&named.entry) });
        }
        Ok(())
    }

    /// Returns the files that lie sealed and have a name, by name.
    fn named(&self) -> Result<Vec<Named>, JobError> {
        let mut found = Vec::new();
        for (id, name) in base::ids(&self.repository, &self.snapshot)? {
            let Ok(id) = id.parse() else { continue };
            if let Some(entry) = self.repository.entry(&self.snapshot, &sealed_path(&id))? {
                found.push(Named { name, entry });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Shows what is sealed and has no names.
    fn sealed(&self, recursive: bool, visit: &mut dyn FnMut(Listed)) -> Result<(), JobError> {
        if let Some(sealed) = self.repository.entry(&self.snapshot, SEALED)? {
            visit(listed(&sealed));
            if recursive {
                self.below(&sealed, true, visit)?;
            }
        }
        Ok(())
    }

    fn apps(&self) -> Result<Vec<String>, JobError> {
        let Some(entry) = self.repository.entry(&self.snapshot, "backup/Info.plist")? else {
            return Ok(Vec::new());
        };
        let Some(content) = entry.node.content() else { return Ok(Vec::new()) };
        let info = InfoPlist::parse(&self.repository.read(content)?);
        Ok(info.map(|info| super::apps(&info)).unwrap_or_default())
    }
}

/// Tells of damage, which ends nothing; another error does.
fn skip(
    path: &str,
    error: JobError,
    damaged: &mut dyn FnMut(&str, JobError),
) -> Result<(), JobError> {
    if error.cause != Cause::RepositoryDamaged {
        return Err(error);
    }
    damaged(path, error);
    Ok(())
}

/// Returns the line of an entry of a snapshot.
pub(crate) fn listed(entry: &Entry) -> Listed {
    let path = entry
        .path
        .strip_prefix(FILES)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(&entry.path);
    let (kind, target) = match &entry.node.kind {
        NodeKind::File(_) => (FileKind::File, None),
        NodeKind::Directory => (FileKind::Directory, None),
        NodeKind::Symlink(target) => (FileKind::Symlink, Some(target.clone())),
    };
    let modified = Some(entry.node.modified);
    Listed {
        path: path.to_owned(),
        kind,
        size: entry.node.size(),
        mode: entry.node.mode,
        modified,
        target,
    }
}

impl BackupView for SnapshotView {
    fn details(&self) -> Result<SnapshotDetails, JobError> {
        let about = about(&self.repository, &self.snapshot)?;
        let mut domains = Domains::default();
        let mut sealed = 0;
        self.repository.walk(&self.snapshot, |entry| {
            let (top, rest) = entry.path.split_once('/').unwrap_or((&entry.path, ""));
            sealed += u64::from(top == SEALED && entry.node.content().is_some());
            if top == FILES && !rest.is_empty() {
                domains.add(rest, entry.node.content().map(|content| content.size));
            }
            Ok::<(), JobError>(())
        })?;
        let (missing_files, known_incomplete) = about
            .as_ref()
            .map(|about| (about.missing_files.clone(), about.known_incomplete.clone()))
            .unwrap_or_default();
        Ok(SnapshotDetails {
            info: line(&self.snapshot, about.as_ref()),
            encrypted: about.as_ref().is_some_and(|about| about.encrypted),
            sealed,
            missing_files,
            known_incomplete,
            domains: domains.into_list(),
            apps: self.apps()?,
        })
    }

    fn list(
        &self,
        path: &str,
        recursive: bool,
        visit: &mut dyn FnMut(Listed),
    ) -> Result<(), JobError> {
        let path = path.trim_matches('/');
        let inner = Self::inner(path);
        let below = Below::new(path, recursive);
        let named = self.named()?;
        let beside: Vec<&Named> =
            named.iter().filter(|named| below.shows(&named.name) || named.name == path).collect();
        match self.repository.entry(&self.snapshot, &inner)? {
            Some(entry) if entry.node.is_directory() => self.below(&entry, recursive, visit)?,
            Some(entry) => visit(listed(&entry)),
            // A snapshot of which everything is sealed has no files to name.
            None if inner == FILES || !beside.is_empty() => {}
            None => return Err(no_such_path(path)),
        }
        for named in &beside {
            visit(Listed { path: named.name.clone(), ..listed(&named.entry) });
        }
        if path.is_empty() && named.is_empty() {
            self.sealed(recursive, visit)?;
        }
        Ok(())
    }

    fn tell_changed(&self, events: &EventSink) {
        // Whoever needs what it says of itself reads it again, and says what is wrong with it.
        let about = about(&self.repository, &self.snapshot).ok().flatten();
        if let Some(note) = about.and_then(|about| changed_meanwhile(&self.snapshot, &about)) {
            events.tell(Event::Note(note));
        }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, JobError> {
        let plain = self.repository.entry(&self.snapshot, &Self::inner(path))?;
        match plain.as_ref().map(|entry| entry.node.content()) {
            Some(Some(content)) => Ok(Box::new(self.repository.reader(content)?)),
            other => {
                let named = self.named()?.into_iter().find(|named| named.name == path);
                let missing = if other.is_some() { not_a_file(path) } else { no_such_path(path) };
                self.open_by_id(&named.ok_or(missing)?.entry)
            }
        }
    }
}
