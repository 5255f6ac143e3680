//! What a backup has to do: which files are new or changed, which are already there, which rows the manifest gets.

use std::sync::Arc;

use lifeboat_mobilesync::crypto::stored_length;
use lifeboat_mobilesync::file::MbFile;
use lifeboat_mobilesync::{EntryKind, FileId, property_list};
use plist::{Dictionary, Value};

use super::cache::Journal;
use super::opening::{OldRow, OldRows, Resume};
use super::secrets::Secrets;
use crate::disk::{Entry, Frozen, Kind};
use crate::options::EmptyFiles;

/// A device drops all attributes of a file when they are larger together.
const LARGEST_ATTRIBUTES: usize = 2048;

/// The flag of a row whose file went away before it could be sent.
pub(super) const INCOMPLETE: u32 = 16;

/// What is done about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    /// No payload: a directory or a link.
    Nothing,
    /// The host has it in its place.
    Keep,
    /// An earlier try has brought it to `Snapshot/`: it only has to be moved.
    Move,
    /// It has to be sent and moved.
    Send {
        /// An earlier, broken job had brought the same to the host.
        again: bool,
    },
    /// It could not be sent.
    Failed,
}

/// One row of the manifest to be.
#[derive(Debug)]
pub(super) struct Item {
    /// The place in [`Frozen::entries`].
    pub(super) entry: usize,
    pub(super) id: FileId,
    pub(super) flags: u32,
    pub(super) file: MbFile,
    /// Bytes of the payload: of what is sent, not of what is in it.
    pub(super) stored: u64,
    pub(super) todo: Todo,
}

/// What a backup is made with when it is encrypted.
#[derive(Debug, Clone)]
pub(super) struct Sealing {
    pub(super) secrets: Arc<Secrets>,
    pub(super) empty_files: EmptyFiles,
}

impl Sealing {
    /// Returns the bytes of the payload of a file.
    fn stored(&self, plain: u64) -> u64 {
        match (self.empty_files, plain) {
            (EmptyFiles::Nothing, 0) => 0,
            (_, plain) => stored_length(plain),
        }
    }
}

/// What the plan is made from.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The rows of the last manifest.
    pub(super) old: OldRows,
    /// What an earlier try of the same job left.
    pub(super) resume: Option<Resume>,
    /// What hosts confirmed in any job that did not come to its end.
    pub(super) journal: Journal,
    /// How the backup is encrypted, if it is.
    pub(super) sealing: Option<Sealing>,
}

/// Everything a backup has to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) frozen: Arc<Frozen>,
    pub(super) items: Vec<Item>,
    /// Bytes that are to be sent.
    pub(super) bytes: u64,
    /// Payloads of the last backup whose files are gone.
    pub(super) surplus: Vec<FileId>,
    /// The rows of the last manifest.
    pub(super) old: OldRows,
}

impl Plan {
    /// Compares the disk with the last manifest and with what an earlier try has sent.
    pub(super) fn make(frozen: Frozen, known: Known) -> Self {
        let frozen = Arc::new(frozen);
        let mut items = Vec::with_capacity(frozen.entries.len());
        let mut bytes = 0;
        let encrypted = known.sealing.is_some();
        let taken = frozen.entries.iter().enumerate();
        for (index, entry) in taken.filter(|(_, entry)| encrypted || !entry.only_encrypted) {
            let id = FileId::of(&entry.domain, &entry.relative_path);
            let mut file = record(entry);
            let stored = known.sealing.as_ref().map_or(file.size, |seal| seal.stored(file.size));
            let todo = todo(entry, &id, (&mut file, stored), &known);
            if matches!(todo, Todo::Send { .. }) {
                bytes += stored;
            }
            let flags = kind(entry.kind).flags();
            items.push(Item { entry: index, id, flags, file, stored, todo });
        }
        let surplus = surplus(&items, &known.old);
        Self { frozen, items, bytes, surplus, old: known.old }
    }

    /// Returns the entry of an item.
    pub(super) fn entry(&self, item: &Item) -> Option<&Entry> {
        self.frozen.entries.get(item.entry)
    }

    /// Returns the payloads that are to be moved into their place.
    pub(super) fn moves(&self) -> Vec<FileId> {
        let moved = |item: &&Item| matches!(item.todo, Todo::Move | Todo::Send { .. });
        self.items.iter().filter(moved).map(|item| item.id).collect()
    }

    /// Returns the places of the items that are to be sent.
    pub(super) fn sends(&self) -> Vec<usize> {
        let send = |(_, item): &(usize, &Item)| matches!(item.todo, Todo::Send { .. });
        self.items.iter().enumerate().filter(send).map(|(at, _)| at).collect()
    }
}

fn surplus(items: &[Item], old: &OldRows) -> Vec<FileId> {
    let mut now: Vec<FileId> =
        items.iter().filter(|item| item.flags & 1 == 1).map(|item| item.id).collect();
    now.sort_unstable();
    let gone = |(id, row): &(&FileId, &OldRow)| {
        row.kind == EntryKind::File && now.binary_search(id).is_err()
    };
    old.iter().filter(gone).map(|(id, _)| *id).collect()
}

pub(super) const fn kind(kind: Kind) -> EntryKind {
    match kind {
        Kind::File => EntryKind::File,
        Kind::Directory => EntryKind::Directory,
        Kind::Symlink => EntryKind::Symlink,
    }
}

/// Returns the record of an entry; the digest comes when the payload is sent.
fn record(entry: &Entry) -> MbFile {
    MbFile {
        relative_path: entry.relative_path.clone(),
        mode: entry.mode,
        size: if entry.kind == Kind::File { entry.size } else { 0 },
        inode: entry.inode,
        uid: entry.uid,
        gid: entry.gid,
        modified: entry.modified,
        changed: entry.changed,
        birth: entry.birth,
        protection_class: entry.protection_class,
        flags: entry.flags,
        target: entry.target.clone(),
        digest: None,
        encryption_key: None,
        extended_attributes: attributes(entry),
    }
}

fn attributes(entry: &Entry) -> Option<Vec<u8>> {
    if entry.extended_attributes.is_empty() {
        return None;
    }
    let keys: Dictionary = entry
        .extended_attributes
        .iter()
        .map(|(name, value)| (name.clone(), Value::Data(value.clone())))
        .collect();
    let bytes = property_list::to_binary(&Value::Dictionary(keys));
    (bytes.len() <= LARGEST_ATTRIBUTES).then_some(bytes)
}

/// Decides what is done about an entry, and takes over digest and key of a file that is not sent.
fn todo(entry: &Entry, id: &FileId, (file, stored): (&mut MbFile, u64), known: &Known) -> Todo {
    if entry.kind != Kind::File {
        return Todo::Nothing;
    }
    let sealing = known.sealing.as_ref();
    if let Some(old) = known.old.get(id)
        && old.flags & INCOMPLETE == 0
        && old.kind == EntryKind::File
        && is_unchanged(&old.file, file)
        && old.file.digest.is_some() == entry.digest_wanted
        && is_sealed_right(old.file.encryption_key.as_deref(), sealing)
    {
        file.digest.clone_from(&old.file.digest);
        file.encryption_key.clone_from(&old.file.encryption_key);
        return Todo::Keep;
    }
    if let Some(resume) = &known.resume
        && let Some(confirmed) = resume.journal.get(id)
        && confirmed.is_still(file)
        && confirmed.stored == stored
        && resume.stored.get(id) == Some(&stored)
        && is_sealed_right(confirmed.key.as_ref().map(<[u8; 44]>::as_slice), sealing)
    {
        file.digest = confirmed.digest.map(|digest| digest.to_vec());
        file.encryption_key = confirmed.key.map(|key| key.to_vec());
        return Todo::Move;
    }
    Todo::Send { again: known.journal.get(id).is_some_and(|confirmed| confirmed.is_still(file)) }
}

/// Whether a file that the host has can be opened with the keys of this backup, or needs none.
fn is_sealed_right(key: Option<&[u8]>, sealing: Option<&Sealing>) -> bool {
    match (key, sealing) {
        (None, None) => true,
        (Some(key), Some(sealing)) => sealing.secrets.open(key).is_ok(),
        _ => false,
    }
}

/// The phone goes by metadata alone: it never reads a file to find out whether it changed.
fn is_unchanged(old: &MbFile, new: &MbFile) -> bool {
    (old.size, old.modified, old.inode, old.mode, old.protection_class)
        == (new.size, new.modified, new.inode, new.mode, new.protection_class)
}
