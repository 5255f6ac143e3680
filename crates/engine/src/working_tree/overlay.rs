//! The working tree itself: the base, what the device changed, and where the bytes of new files lie.
//!
//! A new file is written once to the working area; behind it, a thread cuts and packs what came into the repository. From
//! time to time the packs are made durable; the journal then says so and the bytes in the working area go. The files that
//! steer a backup (Status.plist, the manifests) stay in the working area until the end. Where its disk has no room, files
//! go straight into packs.
//!
//! The journal comes after the bytes that it speaks of: a Status.plist is journaled only when everything received before it
//! is durable, so that no state of the disk can claim more than there is.

mod durable;
mod reading;
mod receive;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_host::Host;
use lifeboat_mobilesync::FileId;
use lifeboat_repo::{Content, Incoming, Repository, Writer};
use sha1::Sha1;

use super::area::{self, Area};
use super::base::Base;
use super::checked::Sum;
use super::journal::{Journal, Record, is_control};
use super::packer::{Failure, Packed, Packer, Task};
use super::segments::{Segments, Span};
use super::tree::{Directory, Node, Origin, Refused, Tree};
use crate::error::JobError;
use crate::opening::Source;

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
    /// Whether files wait in the working area until [`Overlay::let_pack`]: what is encrypted can be opened only when the
    /// manifest is there.
    pub(crate) hold: bool,
}

/// A file that was received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// SHA-1 of its bytes, as manifests have it, once they went into the repository.
    pub(crate) sha1: Option<[u8; 20]>,
    /// Its blobs, where it went into the repository.
    pub(crate) content: Option<Content>,
    /// Where the working area has its bytes, and their checksum.
    pub(crate) local: Option<(Span, u32)>,
    /// Whether the blobs are durable and the journal says so.
    packed: bool,
    /// Whether the packer has it.
    queued: bool,
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

/// The file that is being received.
struct Arriving {
    path: String,
    number: u64,
    size: u64,
    sink: Sink,
}

/// Where its bytes go.
enum Sink {
    Area(Sum),
    Straight(Straight),
}

/// A file on its way into packs that the working area has no room for.
struct Straight {
    /// Its first bytes, until they tell how it is to be cut.
    first: Vec<u8>,
    incoming: Option<Box<Incoming>>,
    sha1: Sha1,
}

/// The state of a working tree.
pub(crate) struct Overlay {
    pub(super) settings: Settings,
    pub(super) area: Area,
    pub(super) segments: Segments,
    packer: Option<Packer>,
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
    /// Bytes that went straight into packs since those were made durable.
    pending: u64,
    /// The journal has lines that are not durable yet and must be.
    unsynced_status: bool,
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
    ) -> io::Result<Self> {
        Ok(Self {
            segments: Segments::new(area.files())?,
            packer: None,
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
            arriving: None,
            counts: Counts::default(),
            was_full: None,
            demand: None,
            failure: None,
        })
    }

    /// Takes a file that an earlier part of the run received.
    pub(super) fn keep(&mut self, number: u64, kept: Kept) {
        let received = match kept {
            Kept::Packed { content, sha1 } => Received {
                sha1: Some(sha1),
                content: Some(content),
                packed: true,
                ..Received::default()
            },
            Kept::Local(span, sum) => {
                self.segments.keep(span);
                Received { local: Some((span, sum)), ..Received::default() }
            }
        };
        self.received.insert(number, received);
    }

    /// Counts the names of kept files, forgets those that have none, and goes on packing the others.
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        let mut names: BTreeMap<u64, u32> = BTreeMap::new();
        let mut pack = BTreeSet::new();
        self.tree.for_each_file(&mut |name, file| {
            if let Origin::Received(number) = file.origin {
                *names.entry(number).or_default() += 1;
                if !is_control(name) {
                    pack.insert(number);
                }
            }
        });
        let segments = &mut self.segments;
        self.received.retain(|number, received| {
            received.names = names.get(number).copied().unwrap_or(0);
            if received.names == 0
                && let Some((span, _)) = received.local
            {
                segments.release(span);
            }
            received.names > 0
        });
        self.segments.collect_leftovers()?;
        for number in pack {
            self.pack(number)?;
        }
        Ok(())
    }

    /// Lets a received file go into the repository.
    fn pack(&mut self, number: u64) -> io::Result<()> {
        let Some(writer) = self.settings.writer.as_ref().filter(|_| !self.settings.hold) else {
            return Ok(());
        };
        let Some(received) = self.received.get_mut(&number) else { return Ok(()) };
        let Some((span, sum)) = received.local.filter(|_| !received.queued) else { return Ok(()) };
        let packer = match &mut self.packer {
            Some(packer) => packer,
            none => none.insert(Packer::start(
                self.segments.folder(),
                writer.clone(),
                self.settings.checkpoint,
            )?),
        };
        received.queued = true;
        packer.put(Task { number, span, sum });
        Ok(())
    }

    /// Lets everything that waits in the working area go into the repository as it came, and what comes from now on.
    pub(crate) fn let_pack(&mut self) -> Result<(), Trouble> {
        if !std::mem::replace(&mut self.settings.hold, false) {
            return Ok(());
        }
        let mut waiting = BTreeSet::new();
        self.tree.for_each_file(&mut |name, file| {
            if let Origin::Received(number) = file.origin
                && !is_control(name)
            {
                waiting.insert(number);
            }
        });
        for number in waiting {
            self.pack(number).map_err(|error| self.area_failed(error))?;
        }
        Ok(())
    }

    /// Returns where a received file lies.
    pub(crate) fn source(&self, number: u64) -> Option<Source> {
        let received = self.received.get(&number)?;
        match (received.local, &received.content) {
            (Some((span, sum)), _) => Some(Source::Local(span, sum)),
            (None, Some(content)) => Some(Source::Stored(content.clone())),
            (None, None) => None,
        }
    }

    /// Returns where the segments of the working area lie.
    pub(crate) fn segments(&self) -> &Utf8Path {
        self.segments.folder()
    }

    /// Returns the repository.
    pub(crate) fn repository(&self) -> Option<&Repository> {
        self.settings.repository.as_ref()
    }

    /// Makes readable what went straight into packs.
    pub(crate) fn make_readable(&mut self) -> Result<(), Trouble> {
        if self.straight { self.checkpoint() } else { Ok(()) }
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

    /// Returns the bytes that came and do not lie in packs yet.
    pub(crate) fn unpacked(&self) -> u64 {
        self.packer.as_ref().map_or(0, Packer::waiting)
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
            self.forget(number);
        }
    }

    /// Forgets a file that has no name and that the packer does not read.
    fn forget(&mut self, number: u64) {
        let gone = |received: &Received| received.names == 0 && !received.queued;
        if self.received.get(&number).is_some_and(gone)
            && let Some(Received { local: Some((span, _)), .. }) = self.received.remove(&number)
        {
            self.segments.release(span);
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

    /// Returns the folder of the repository.
    pub(crate) fn repository_place(&self) -> &Utf8Path {
        &self.settings.repository_place
    }

    /// Returns the bytes of each disk that are never offered to the device.
    pub(crate) fn reserve(&self) -> u64 {
        self.settings.reserve
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

/// What is left of a file that an earlier part of the run received.
pub(super) enum Kept {
    /// The packs have it for good.
    Packed {
        /// Its blobs.
        content: Content,
        /// SHA-1 of its bytes.
        sha1: [u8; 20],
    },
    /// The working area has it, with this checksum.
    Local(Span, u32),
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
