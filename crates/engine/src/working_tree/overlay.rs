//! The working tree itself: the base, what the device changed, and where the bytes of new files lie.
//!
//! A new file is written once to the working area and, in the same pass, cut and packed into the repository. From time
//! to time the packs are made durable; the journal then says so and the copy in the working area goes. The files that
//! steer a backup (Status.plist, the manifests) stay in the working area until the end.
//!
//! The journal comes after the bytes that it speaks of: a Status.plist is journaled only when everything received before it
//! is durable, so that no state of the disk can claim more than there is.

mod durable;
mod reading;
mod receive;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use lifeboat_host::Host;
use lifeboat_mobilesync::FileId;
use lifeboat_repo::{Content, Incoming, Repository, Writer};
use sha1::Sha1;

use super::area::{self, Area};
use super::base::Base;
use super::journal::{Journal, Record};
use super::tree::{Directory, Node, Origin, Refused, Tree};
use crate::error::JobError;
use crate::layout::CONTROL;

/// How the tree keeps what it receives.
pub(crate) struct Settings {
    /// The machine: clock and room.
    pub(crate) host: Arc<dyn Host>,
    /// The repository that new files go into; `None` keeps them in the working area.
    pub(crate) writer: Option<Arc<Writer>>,
    /// For reading what lies in packs already.
    pub(crate) repository: Option<Repository>,
    /// Where the repository's disk is.
    pub(crate) repository_place: Utf8PathBuf,
    /// Bytes received after which the packs are made durable.
    pub(crate) checkpoint: u64,
    /// Bytes of the disks that are not offered to the device.
    pub(crate) reserve: u64,
    /// Below this room on its disk the working area gets no copies: files go straight into packs.
    pub(crate) area_minimum: u64,
}

/// A file that was received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// SHA-1 of its bytes, as manifests have it.
    pub(crate) sha1: [u8; 20],
    /// Its blobs, where it went into the repository.
    pub(crate) content: Option<Content>,
    /// Whether those are durable and the journal says so.
    packed: bool,
    /// Whether the working area has its bytes.
    local: bool,
    /// How many names it has.
    names: u32,
}

/// What was counted in this run.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Files received.
    pub(crate) files: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Bytes of those that an earlier part of the run had received.
    pub(crate) bytes_again: u64,
}

/// What the device asked for when it found too little room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// Bytes that it wanted on top.
    pub(crate) more: u64,
    /// Bytes that were offered.
    pub(crate) offered: u64,
}

enum Feed {
    Off,
    Sniffing(Vec<u8>),
    On(Box<Incoming>),
}

struct Arriving {
    path: String,
    number: u64,
    file: Option<fs::File>,
    size: u64,
    sha1: Sha1,
    feed: Feed,
}

/// The state of a working tree.
pub(crate) struct Overlay {
    pub(super) settings: Settings,
    pub(super) area: Area,
    pub(super) tree: Tree,
    pub(super) base: Option<Base>,
    pub(super) received: HashMap<u64, Received>,
    pub(super) journal: Journal,
    pub(super) next: u64,
    /// Received before this run: payload name to size.
    pub(super) earlier: HashMap<FileId, u64>,
    /// Everything up to this number is durable.
    synced: u64,
    /// Something that was not made durable yet is in packs only.
    straight: bool,
    /// Whether the working area's disk has room for copies, as far as it was looked at.
    has_room: Option<bool>,
    /// Bytes received since the packs were made durable.
    pending: u64,
    /// The journal has lines that are not durable yet and must be.
    unsynced_status: bool,
    garbage: Vec<u64>,
    arriving: Option<Arriving>,
    counts: Counts,
    was_full: Option<bool>,
    demand: Option<Demand>,
    failure: Option<JobError>,
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn is_control(path: &str) -> bool {
    CONTROL.contains(&last(path))
}

fn full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Overlay {
    pub(super) fn new(
        settings: Settings,
        area: Area,
        journal: Journal,
        tree: Tree,
        base: Option<Base>,
    ) -> Self {
        Self {
            settings,
            area,
            tree,
            base,
            received: HashMap::new(),
            journal,
            next: 1,
            earlier: HashMap::new(),
            synced: 0,
            straight: false,
            has_room: None,
            pending: 0,
            unsynced_status: false,
            garbage: Vec::new(),
            arriving: None,
            counts: Counts::default(),
            was_full: None,
            demand: None,
            failure: None,
        }
    }

    /// Takes a file that an earlier part of the run received.
    pub(super) fn keep(&mut self, number: u64, sha1: [u8; 20], content: Option<Content>) {
        let packed = content.is_some();
        // What packs have needs no copy.
        let local = !packed;
        self.received.insert(number, Received { sha1, content, packed, local, names: 0 });
    }

    /// Counts the names of kept files, and forgets those that have none.
    pub(super) fn count_names(&mut self) -> io::Result<()> {
        let mut names: BTreeMap<u64, u32> = BTreeMap::new();
        for (_, node) in self.tree.directory("").map(Directory::entries).into_iter().flatten() {
            node.for_each_file(&mut |file| {
                if let Origin::Received(number) = file.origin {
                    *names.entry(number).or_default() += 1;
                }
            });
        }
        self.received.retain(|number, received| {
            received.names = names.get(number).copied().unwrap_or(0);
            received.names > 0
        });
        for number in self.area.numbers()? {
            self.next = self.next.max(number + 1);
            if !self.received.get(&number).is_some_and(|received| received.local) {
                fs::remove_file(self.area.file(number))?;
            }
        }
        Ok(())
    }

    /// Returns what was counted in this run.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Says whether the device sent everything, where it said so in this run.
    pub(crate) fn was_full(&self) -> Option<bool> {
        self.was_full
    }

    /// Returns what the device wanted when it found too little room.
    pub(crate) fn demand(&self) -> Option<Demand> {
        self.demand
    }

    /// Takes the first failure on our side.
    pub(crate) fn take_failure(&mut self) -> Option<JobError> {
        self.failure.take()
    }

    /// Returns the snapshot that was presented.
    pub(crate) fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// Returns the working area.
    pub(crate) fn area(&self) -> &Area {
        &self.area
    }

    /// Returns the tree.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns a received file.
    pub(crate) fn received(&self, number: u64) -> Option<&Received> {
        self.received.get(&number)
    }

    /// Returns how many payloads the working area and the packs hold for the next run, and their bytes.
    pub(crate) fn kept(&self) -> (u64, u64) {
        let mut kept = (0, 0);
        for (_, node) in self.tree.directory("").map(Directory::entries).into_iter().flatten() {
            count_received(node, "", &mut kept);
        }
        kept
    }

    /// Whether anything that the device sent is here; Info.plist is the host's own.
    pub(super) fn has_arrivals(&self) -> bool {
        let arrived = self.tree.files(&|file| matches!(file.origin, Origin::Received(_)));
        arrived.iter().any(|path| last(path) != "Info.plist")
    }

    /// Writes down that what came is no whole backup.
    pub(crate) fn refuse(&mut self) -> Result<(), Trouble> {
        self.append(&Record::Refused)
    }

    fn append(&mut self, record: &Record) -> Result<(), Trouble> {
        self.journal.append(record).map_err(|error| self.area_failed(error))
    }

    /// Gives up names; a file without a name goes at the next good moment.
    fn release(&mut self, node: Option<Node>) {
        let Some(node) = node else { return };
        let mut gone = Vec::new();
        node.for_each_file(&mut |file| {
            if let Origin::Received(number) = file.origin {
                gone.push(number);
            }
        });
        for number in gone {
            let Some(received) = self.received.get_mut(&number) else { continue };
            received.names = received.names.saturating_sub(1);
            if received.names == 0 {
                if received.local {
                    self.garbage.push(number);
                }
                self.received.remove(&number);
            }
        }
    }

    /// Makes a folder.
    pub(super) fn create_directory(&mut self, path: &str) -> Result<(), Trouble> {
        let is_new = self.tree.directory(path).is_err();
        self.tree.create_directory(path)?;
        if is_new {
            self.append(&Record::Mkdir { path: path.to_owned() })?;
        }
        Ok(())
    }

    /// Moves.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Trouble> {
        let old = self.tree.rename(from, to)?;
        self.append(&Record::Move { from: from.to_owned(), to: to.to_owned() })?;
        self.release(old);
        Ok(())
    }

    /// Removes.
    pub(super) fn remove(&mut self, path: &str) -> Result<(), Trouble> {
        let old = self.tree.remove(path)?;
        self.append(&Record::Remove { path: path.to_owned() })?;
        self.release(Some(old));
        Ok(())
    }

    /// Copies.
    pub(super) fn copy(&mut self, from: &str, to: &str) -> Result<(), Trouble> {
        let mut copied = Vec::new();
        self.tree.node(from)?.for_each_file(&mut |file| copied.push(file.origin));
        let old = self.tree.copy(from, to)?;
        if from != to {
            for origin in copied {
                if let Origin::Received(number) = origin
                    && let Some(received) = self.received.get_mut(&number)
                {
                    received.names += 1;
                }
            }
        }
        self.append(&Record::Copy { from: from.to_owned(), to: to.to_owned() })?;
        self.release(old);
        Ok(())
    }

    /// Returns the bytes that the device may still send.
    pub(super) fn free_bytes(&mut self) -> Result<u64, Trouble> {
        self.tightest().map(|(_, free)| free)
    }

    /// Returns the folder whose disk bounds what can come, and what is offered of it.
    pub(crate) fn tightest(&self) -> Result<(&Utf8Path, u64), Trouble> {
        let room = |place| {
            self.settings
                .host
                .free_bytes(place)
                .map_err(|_| Trouble::Io(io::Error::other("cannot tell the free space")))
        };
        let repository = self.settings.repository_place.as_path();
        let repository = (repository, room(repository)?);
        let area = (self.area.folder(), room(self.area.folder())?);
        // Copies in the working area are given up where its disk is small; the manifests are not.
        let counts = self.settings.writer.is_none() || area.1 < self.settings.area_minimum;
        let (place, free) = if counts && area.1 < repository.1 { area } else { repository };
        Ok((place, free.saturating_sub(self.settings.reserve)))
    }

    /// Notes what the device wants; nothing here can be given up for it.
    pub(super) fn purge(&mut self, more: u64) -> Trouble {
        let offered = self.free_bytes().unwrap_or(0);
        self.demand = Some(Demand { more, offered });
        Trouble::Unsupported
    }

    /// Writes a file of the host's own.
    pub(crate) fn write_own(&mut self, path: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let counts = self.counts;
        self.begin(path)?;
        self.write(bytes)?;
        self.finish()?;
        self.counts = counts;
        Ok(())
    }
}

fn count_received(node: &Node, name: &str, kept: &mut (u64, u64)) {
    match node {
        Node::File(file) => {
            if matches!(file.origin, Origin::Received(_)) && !is_control(name) {
                kept.0 += 1;
                kept.1 += file.size;
            }
        }
        Node::Directory(directory) => {
            directory.entries().for_each(|(name, node)| count_received(node, name, kept));
        }
    }
}

/// Why an operation of the working tree failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The tree refuses.
    Refused(Refused),
    /// A disk is full.
    NoSpace,
    /// Not offered.
    Unsupported,
    /// A disk, or the repository.
    Io(io::Error),
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Returns the identifier of the machine's boot.
pub(super) fn boot_id() -> String {
    area::boot_id()
}
