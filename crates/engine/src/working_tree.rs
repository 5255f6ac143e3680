//! What a device sees of its backup during a run: the last snapshot plus what the run changed, in Apple's layout.
//!
//! Nothing is copied out of the repository: the snapshot is presented as metadata (`base`), changes are metadata too (`tree`),
//! each written to a journal before it is answered (`journal`), and the bytes of new files go to the working area (`area`,
//! `segments`) and, behind it, into packs (`overlay`, `packer`). Whatever moment a run ends at, the next one finds the state
//! that its journal tells.

pub(crate) mod area;
pub(crate) mod base;
pub(crate) mod checked;
pub(crate) mod journal;
pub(crate) mod overlay;
mod packer;
pub(crate) mod rows;
pub(crate) mod segments;
pub(crate) mod tree;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use camino::Utf8Path;
use lifeboat_device::mobilebackup2::{
    DirectoryEntry, DirectoryEntryKind, FileError, FileSource, HostFiles, HostPath,
};
use lifeboat_mobilesync::FileId;
use lifeboat_repo::{BlobId, Content, Repository};

use self::area::Area;
use self::base::{Base, Proven};
use self::checked::Checked;
use self::journal::{FORMAT, Journal, Payloads, Place, Record};
use self::overlay::{Kept, Overlay, Settings, Trouble};
use self::segments::Span;
use self::tree::{File, Node, Origin, Refused, Tree};
use crate::error::{Cause, JobError};

/// A working tree. Clones share it: one goes to the session with the device, one stays with the job.
#[derive(Clone)]
pub(crate) struct WorkingTree(Arc<Mutex<Overlay>>);

/// How a tree was opened.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Opened {
    /// It goes on with files that a broken run kept.
    pub(crate) resumed: bool,
    /// Something was kept that cannot be used: it rests on a snapshot that is gone or no longer the newest.
    pub(crate) discarded: bool,
}

/// Returns the failure of the working area's disk.
pub(crate) fn disk(what: &str, error: &io::Error) -> JobError {
    let cause = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::WorkingAreaFull,
        _ => Cause::Disk,
    };
    JobError::of(cause, what, error)
}

/// What stands in the journal of an earlier run.
struct Left {
    base: Option<String>,
    records: Vec<Record>,
}

impl WorkingTree {
    /// Opens the working tree of a device: what a broken run kept, where it can go on; else the newest snapshot that serves,
    /// or with `full` nothing.
    pub(crate) fn open(
        area: Area,
        settings: Settings,
        udid: &str,
        newest: Option<Proven>,
        full: bool,
    ) -> Result<(Self, Opened), JobError> {
        let failed = |error: io::Error| disk("cannot read the working area", &error);
        let (journal, records) = Journal::open(&area.journal()).map_err(failed)?;
        let mut opened = Opened::default();
        let newest = if full { None } else { newest };
        if let Some(kept) = usable(records, udid) {
            let refused = full && kept.records.contains(&Record::Refused);
            if refused {
                tracing::debug!("what was kept is no whole backup and goes");
            } else if kept.base == newest.as_ref().map(|newest| newest.snapshot.id.to_string()) {
                let overlay = resume(area, settings, journal, newest, kept.records)?;
                opened.resumed = overlay.kept().0 > 0;
                return Ok((Self(Arc::new(Mutex::new(overlay))), opened));
            } else {
                let mut payloads = Payloads::default();
                kept.records.iter().for_each(|record| payloads.take(record));
                opened.discarded = payloads.is_some_left(&overlay::boot_id());
            }
        }
        drop(journal);
        area.clear_kept().map_err(failed)?;
        let (mut journal, _) = Journal::open(&area.journal()).map_err(failed)?;
        let base = newest.as_ref().map(|newest| newest.snapshot.id.to_string());
        let begin =
            Record::Begin { format: FORMAT, udid: udid.to_owned(), base, boot: overlay::boot_id() };
        journal.append(&begin).and_then(|()| journal.sync()).map_err(failed)?;
        let mut tree = Tree::default();
        let base = load_base(&settings, newest, &mut tree)?;
        let overlay = Overlay::new(settings, area, journal, tree, base).map_err(failed)?;
        Ok((Self(Arc::new(Mutex::new(overlay))), opened))
    }

    /// Returns the state; no call holds it across a wait for the device.
    pub(crate) fn state(&self) -> MutexGuard<'_, Overlay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether somebody works on the state now.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.0.try_lock(), Err(TryLockError::WouldBlock))
    }
}

fn load_base(
    settings: &Settings,
    proven: Option<Proven>,
    tree: &mut Tree,
) -> Result<Option<Base>, JobError> {
    let (Some(proven), Some(repository)) = (proven, &settings.repository) else {
        return Ok(None);
    };
    Base::load(repository, settings.writer.as_deref(), proven, tree).map(Some)
}

fn usable(records: Vec<Record>, udid: &str) -> Option<Left> {
    let base = match records.first()? {
        Record::Begin { format: FORMAT, udid: of, base, .. } if of == udid => base.clone(),
        _ => return None,
    };
    // A journal without a file or a change keeps nothing.
    (records.len() > 1).then_some(Left { base, records })
}

fn resume(
    area: Area,
    settings: Settings,
    mut journal: Journal,
    base: Option<Proven>,
    records: Vec<Record>,
) -> Result<Overlay, JobError> {
    let failed = |error: io::Error| disk("cannot read the working area", &error);
    let boot = overlay::boot_id();
    let mut survivors = Survivors::find(&area, &settings, &records, &boot);
    let mut tree = Tree::default();
    let base = load_base(&settings, base, &mut tree)?;
    // A number is given out once: what an old record says of it never means another file.
    let next = records.iter().filter_map(Record::number).max().map_or(1, |number| number + 1);
    let mut earlier = HashMap::new();
    if let Some(writer) = &settings.writer {
        let added = |record: &Record| match record {
            Record::Added { bytes } => Some(*bytes),
            _ => None,
        };
        let noted = records.iter().filter_map(added).max().unwrap_or(0);
        // What an older program wrote is not on the list.
        let written = match &settings.repository {
            Some(repository) => repository.bytes_of(&area.announced())?,
            None => 0,
        };
        // This run may have written already: what it found damaged is stored again.
        let own = writer.stats().bytes_added;
        writer.count_added_before(noted.max(written).saturating_sub(own));
    }
    for record in records {
        if let Record::Put { path, size, .. } = &record
            && let Ok(id) = path.rsplit('/').next().unwrap_or_default().parse::<FileId>()
        {
            earlier.insert(id, *size);
        }
        replay(&mut tree, record);
    }
    // What is gone is not there: the device sees that in the listings and sends it again.
    let lost = tree.files(&|file| match file.origin {
        Origin::Received(number) => !survivors.0.contains_key(&number),
        Origin::Base(_) => false,
    });
    journal.append(&Record::Resume { boot }).map_err(failed)?;
    for path in lost {
        // What comes after this rests on the file not being there.
        tree.remove(&path).map_err(|refused| JobError::from(Trouble::Refused(refused)))?;
        journal.append(&Record::Remove { path }).map_err(failed)?;
    }
    let mut overlay = Overlay::new(settings, area, journal, tree, base).map_err(failed)?;
    overlay.earlier = earlier;
    overlay.next = next;
    for (number, kept) in std::mem::take(&mut survivors.0) {
        overlay.keep(number, kept);
    }
    overlay.take_over().map_err(failed)?;
    Ok(overlay)
}

fn digest(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

/// Which received files still have their bytes.
struct Survivors(BTreeMap<u64, Kept>);

impl Survivors {
    fn find(area: &Area, settings: &Settings, records: &[Record], boot: &str) -> Self {
        let put: BTreeMap<u64, (u64, Option<Place>)> = records
            .iter()
            .filter_map(|record| match record {
                Record::Put { number, size, place, .. } => Some((*number, (*size, *place))),
                _ => None,
            })
            .collect();
        let mut found = BTreeMap::new();
        let mut synced = 0;
        // A machine that does not tell its boots may have been restarted.
        let mut same_boot = !boot.is_empty();
        for record in records {
            match record {
                Record::Begin { boot: then, .. } | Record::Resume { boot: then } => {
                    same_boot &= then == boot;
                }
                Record::Synced { number } => synced = *number,
                Record::Packed { number, blobs, sha1 } => {
                    let size = put.get(number).map_or(0, |(size, _)| *size);
                    let content =
                        content(blobs, size).filter(|content| is_there(settings, content));
                    if let (Some(content), Some(sha1)) = (content, digest(sha1)) {
                        found.insert(*number, Kept::Packed { content, sha1 });
                    }
                }
                _ => {}
            }
        }
        for (number, (size, place)) in put {
            let Some(Place { segment, offset, sum }) = place else { continue };
            let span = Span { segment, offset, size };
            // After a power cut only what was made durable counts.
            if (same_boot || number <= synced)
                && !found.contains_key(&number)
                && is_whole(&area.files(), span, sum)
            {
                found.insert(number, Kept::Local(span, sum));
            }
        }
        Self(found)
    }
}

/// Whether a file is what was received: a disk may give other bytes than it was given.
fn is_whole(folder: &Utf8Path, span: Span, sum: u32) -> bool {
    let read = || {
        let mut reader = Checked::new(segments::open(folder, span)?);
        io::copy(&mut reader, &mut io::sink())?;
        let passed = reader.passed();
        Ok::<bool, io::Error>((passed.size, passed.sum) == (span.size, sum))
    };
    let whole = read().unwrap_or(false);
    if !whole {
        tracing::debug!(segment = span.segment, "a kept file is gone or damaged");
    }
    whole
}

fn content(blobs: &[String], size: u64) -> Option<Content> {
    let blobs = blobs.iter().map(|blob| blob.parse::<BlobId>().ok()).collect::<Option<Vec<_>>>()?;
    Some(Content { blobs, size })
}

/// Whether the packs still have a content: somebody may have pruned what no snapshot held, or a pack is damaged.
fn is_there(settings: &Settings, content: &Content) -> bool {
    let read = |repository: &Repository| repository.reader(content).is_ok();
    settings.repository.as_ref().is_some_and(read)
        && settings.writer.as_ref().is_none_or(|writer| writer.holds(content))
}

/// Does again what a record says. Files whose bytes are gone take part, so that all else comes out as it was.
fn replay(tree: &mut Tree, record: Record) {
    let done = match record {
        Record::Put { path, number, size, modified, .. } => {
            tree.put(&path, File { origin: Origin::Received(number), size, modified }).map(drop)
        }
        Record::Mkdir { path } => tree.create_directory(&path),
        Record::Move { from, to } => tree.rename(&from, &to).map(drop),
        Record::Remove { path } => tree.remove(&path).map(drop),
        Record::Copy { from, to } => tree.copy(&from, &to).map(drop),
        Record::Begin { .. }
        | Record::Resume { .. }
        | Record::Added { .. }
        | Record::Refused
        | Record::Packed { .. }
        | Record::Synced { .. } => Ok(()),
    };
    if let Err(refused) = done {
        tracing::warn!(?refused, "a record of the journal cannot be done again");
    }
}

impl From<Trouble> for FileError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(Refused::NotFound) => Self::NotFound,
            Trouble::Refused(Refused::Exists) => Self::Exists,
            Trouble::Refused(Refused::NotADirectory) => Self::NotADirectory,
            Trouble::Refused(Refused::IsADirectory) => Self::IsADirectory,
            Trouble::Refused(Refused::TooMuch) => Self::Loop,
            Trouble::NoSpace => Self::NoSpace,
            Trouble::Unsupported => Self::Unsupported,
            Trouble::Io(error) => Self::Io(error),
        }
    }
}

impl HostFiles for WorkingTree {
    fn open(&mut self, path: &HostPath) -> Result<FileSource, FileError> {
        let (size, reader) = self.state().open(path.as_str())?;
        Ok(FileSource { size, reader })
    }

    fn begin(&mut self, path: &HostPath) -> Result<(), FileError> {
        Ok(self.state().begin(path.as_str())?)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), FileError> {
        Ok(self.state().write(data)?)
    }

    fn finish(&mut self) -> Result<(), FileError> {
        Ok(self.state().finish()?)
    }

    fn abandon(&mut self) {
        self.state().abandon();
    }

    fn list(&mut self, path: &HostPath) -> Result<Vec<DirectoryEntry>, FileError> {
        let state = self.state();
        let directory = state.tree().directory(path.as_str()).map_err(Trouble::Refused)?;
        Ok(directory.entries().map(|(name, node)| entry(name, node)).collect())
    }

    fn create_directory(&mut self, path: &HostPath) -> Result<(), FileError> {
        Ok(self.state().create_directory(path.as_str())?)
    }

    fn rename(&mut self, from: &HostPath, to: &HostPath) -> Result<(), FileError> {
        Ok(self.state().rename(from.as_str(), to.as_str())?)
    }

    fn remove(&mut self, path: &HostPath) -> Result<(), FileError> {
        Ok(self.state().remove(path.as_str())?)
    }

    fn copy(&mut self, from: &HostPath, to: &HostPath) -> Result<(), FileError> {
        Ok(self.state().copy(from.as_str(), to.as_str())?)
    }

    fn free_bytes(&mut self) -> Result<u64, FileError> {
        Ok(self.state().free_bytes()?)
    }

    fn purge(&mut self, bytes: u64) -> Result<u64, FileError> {
        Err(self.state().purge(bytes).into())
    }

    fn sync(&mut self) -> Result<(), FileError> {
        Ok(self.state().sync()?)
    }
}

fn entry(name: &str, node: &Node) -> DirectoryEntry {
    let (kind, size, modified) = match node {
        Node::File(file) => (DirectoryEntryKind::File, file.size, file.modified),
        Node::Directory(_) => (DirectoryEntryKind::Directory, 0, 0),
    };
    DirectoryEntry { name: name.to_owned(), kind, size, modified }
}

#[cfg(test)]
mod tests;
