//! The working tree itself: the base, what the device changed, and where the bytes of new files lie.
//!
//! A new file is written once to the working area and, in the same pass, cut and packed into the repository. From time
//! to time the packs are made durable; the journal then says so and the copy in the working area goes. The files that
//! steer a backup (Status.plist, the manifests) stay in the working area until the end.
//!
//! The journal comes after the bytes that it speaks of: a Status.plist is journaled only when everything received before it
//! is durable, so that no state of the disk can claim more than there is.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::sync::Arc;

use camino::Utf8PathBuf;
use fs_err as fs;
use lifeboat_host::Host;
use lifeboat_mobilesync::{FileId, SnapshotState, StatusPlist};
use lifeboat_repo::{Content, Cut, Incoming, RepoError, Repository, Writer};
use sha1::{Digest as _, Sha1};

use super::area::{self, Area};
use super::base::Base;
use super::journal::{Journal, Record};
use super::tree::{Directory, File, Node, Origin, Refused, Tree};
use crate::error::{Cause, JobError};
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
        let local = fs::metadata(self.area.file(number)).is_ok();
        self.received.insert(number, Received { sha1, content, packed, local, names: 0 });
        self.next = self.next.max(number + 1);
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

    /// Starts to receive a file.
    pub(super) fn begin(&mut self, path: &str) -> Result<(), Trouble> {
        self.abandon();
        self.tree.check_put(path)?;
        let number = self.next;
        self.next += 1;
        let control = is_control(path);
        let feed = if control || self.settings.writer.is_none() {
            Feed::Off
        } else {
            Feed::Sniffing(Vec::new())
        };
        let copy = matches!(feed, Feed::Off) || self.area_has_room(number);
        let file = if copy { Some(self.create(number)?) } else { None };
        self.arriving = Some(Arriving {
            path: path.to_owned(),
            number,
            file,
            size: 0,
            sha1: Sha1::new(),
            feed,
        });
        Ok(())
    }

    /// Looks at the disk now and then: each time for all files of a folder would cost too much.
    fn area_has_room(&mut self, number: u64) -> bool {
        if number % 64 == 1 || self.straight {
            let free = self.settings.host.free_bytes(self.area.folder()).unwrap_or(u64::MAX);
            return free >= self.settings.area_minimum;
        }
        true
    }

    fn create(&mut self, number: u64) -> Result<fs::File, Trouble> {
        let made = self.area.make_folder_of(number).and_then(|()| {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            options.open(self.area.file(number))
        });
        made.map_err(|error| self.area_failed(error))
    }

    fn area_failed(&mut self, error: io::Error) -> Trouble {
        let cause = if full(&error) { Cause::WorkingAreaFull } else { Cause::Disk };
        let what = "cannot write to the working area";
        self.failure.get_or_insert_with(|| JobError::of(cause, what, &error));
        Trouble::Io(error)
    }

    fn repository_failed(&mut self, error: RepoError) -> Trouble {
        let trouble = if matches!(error, RepoError::NoSpace { .. }) {
            Trouble::NoSpace
        } else {
            Trouble::Io(io::Error::other("the repository cannot be written"))
        };
        let mut error = JobError::from(error);
        if error.cause == Cause::TargetFull {
            error.cause = Cause::RepositoryFull;
        }
        self.failure.get_or_insert(error);
        trouble
    }

    /// Takes the next bytes of the file.
    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), Trouble> {
        let Some(mut arriving) = self.arriving.take() else {
            return Err(Trouble::Io(io::Error::other("no file is being received")));
        };
        self.take_bytes(&mut arriving, data)?;
        self.arriving = Some(arriving);
        Ok(())
    }

    fn take_bytes(&mut self, arriving: &mut Arriving, data: &[u8]) -> Result<(), Trouble> {
        if let Some(file) = &mut arriving.file
            && let Err(error) = file.write_all(data)
        {
            if matches!(arriving.feed, Feed::Off) || !full(&error) {
                return Err(self.area_failed(error));
            }
            // The packs have all of it: the copy is a comfort that this disk cannot give.
            arriving.file = None;
            let _gone = fs::remove_file(self.area.file(arriving.number));
        }
        arriving.sha1.update(data);
        arriving.size += data.len() as u64;
        let writer = self.settings.writer.clone();
        let (Some(writer), feed) = (writer, &mut arriving.feed) else { return Ok(()) };
        let fed = match feed {
            Feed::Off => Ok(()),
            Feed::Sniffing(first) => {
                first.extend_from_slice(data);
                if first.len() >= Cut::SNIFF { start(feed, &writer) } else { Ok(()) }
            }
            Feed::On(incoming) => incoming.write(data),
        };
        fed.map_err(|error| self.repository_failed(error))
    }

    /// Puts the received file into its place.
    pub(super) fn finish(&mut self) -> Result<(), Trouble> {
        let Some(mut arriving) = self.arriving.take() else {
            return Err(Trouble::Io(io::Error::other("no file is being received")));
        };
        if let (Feed::Sniffing(_), Some(writer)) = (&arriving.feed, self.settings.writer.clone()) {
            start(&mut arriving.feed, &writer).map_err(|error| self.repository_failed(error))?;
        }
        let content = match arriving.feed {
            Feed::On(incoming) => {
                Some(incoming.finish().map_err(|error| self.repository_failed(error))?)
            }
            Feed::Off | Feed::Sniffing(_) => None,
        };
        let modified = self.settings.host.now().as_second();
        let (path, number, size) = (arriving.path, arriving.number, arriving.size);
        let sha1: [u8; 20] = arriving.sha1.finalize().into();
        let status = last(&path) == "Status.plist";
        if status {
            // Before it is journaled that the device is further, all that this rests on is durable.
            self.make_durable(number)?;
        }
        let file = File { origin: Origin::Received(number), size, modified };
        let local = arriving.file.is_some();
        drop(arriving.file);
        self.received.insert(number, Received { sha1, content, packed: false, local, names: 1 });
        let old = self.tree.put(&path, file)?;
        self.append(&Record::Put {
            path: path.clone(),
            number,
            size,
            modified,
            sha1: hex::encode(sha1),
        })?;
        if status {
            self.journal.sync().map_err(|error| self.area_failed(error))?;
            self.read_status(number);
        }
        self.release(old);
        self.straight |= !local;
        self.count(&path, size);
        if self.pending >= self.settings.checkpoint {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Counts what is the device's own; the files that steer a backup are not.
    fn count(&mut self, path: &str, size: u64) {
        self.pending += size;
        let Ok(id) = last(path).parse::<FileId>() else { return };
        self.counts.files += 1;
        self.counts.bytes += size;
        if self.earlier.get(&id) == Some(&size) {
            self.counts.bytes_again += size;
        }
    }

    fn read_status(&mut self, number: u64) {
        let status =
            fs::read(self.area.file(number)).ok().and_then(|bytes| StatusPlist::parse(&bytes).ok());
        if let Some(status) = status
            && status.snapshot_state != SnapshotState::Finished
        {
            self.was_full = Some(status.is_full_backup);
        }
    }

    /// Drops the file being received.
    pub(super) fn abandon(&mut self) {
        if let Some(arriving) = self.arriving.take() {
            drop(arriving.file);
            let _gone = fs::remove_file(self.area.file(arriving.number));
        }
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
        let room = |place| {
            self.settings
                .host
                .free_bytes(place)
                .map_err(|_| Trouble::Io(io::Error::other("cannot tell the free space")))
        };
        let repository = room(&self.settings.repository_place)?;
        let area = room(self.area.folder())?;
        // Copies in the working area are given up where its disk is small; the manifests are not.
        let free = if self.settings.writer.is_none() || area < self.settings.area_minimum {
            repository.min(area)
        } else {
            repository
        };
        Ok(free.saturating_sub(self.settings.reserve))
    }

    /// Notes what the device wants; nothing here can be given up for it.
    pub(super) fn purge(&mut self, more: u64) -> Trouble {
        let offered = self.free_bytes().unwrap_or(0);
        self.demand = Some(Demand { more, offered });
        Trouble::Unsupported
    }

    /// Makes everything received so far survive a power cut.
    fn make_durable(&mut self, number: u64) -> Result<(), Trouble> {
        if self.straight {
            self.checkpoint()?;
        }
        let from = self.synced;
        self.area.sync_files((from + 1)..=number).map_err(|error| self.area_failed(error))?;
        self.synced = number;
        self.append(&Record::Synced { number })?;
        self.unsynced_status = true;
        Ok(())
    }

    /// Called before the device is told that something is done.
    pub(super) fn sync(&mut self) -> Result<(), Trouble> {
        if self.unsynced_status {
            self.journal.sync().map_err(|error| self.area_failed(error))?;
            self.unsynced_status = false;
            self.collect_garbage();
        }
        Ok(())
    }

    fn collect_garbage(&mut self) {
        for number in std::mem::take(&mut self.garbage) {
            let _gone = fs::remove_file(self.area.file(number));
        }
    }

    /// Makes the packs durable, writes down what lies in them, and lets the copies go.
    pub(crate) fn checkpoint(&mut self) -> Result<(), Trouble> {
        self.pending = 0;
        let Some(writer) = self.settings.writer.clone() else { return Ok(()) };
        writer.flush().map_err(|error| self.repository_failed(error))?;
        let mut packed: Vec<u64> = self
            .received
            .iter()
            .filter(|(_, received)| received.content.is_some() && !received.packed)
            .map(|(number, _)| *number)
            .collect();
        packed.sort_unstable();
        for number in &packed {
            let Some(content) =
                self.received.get(number).and_then(|received| received.content.as_ref())
            else {
                continue;
            };
            let blobs = content.blobs.iter().map(ToString::to_string).collect();
            self.append(&Record::Packed { number: *number, blobs })?;
        }
        self.journal.sync().map_err(|error| self.area_failed(error))?;
        for number in packed {
            if let Some(received) = self.received.get_mut(&number) {
                received.packed = true;
                if std::mem::take(&mut received.local) {
                    self.garbage.push(number);
                }
            }
        }
        self.straight = false;
        self.collect_garbage();
        Ok(())
    }

    /// Ends the run's writing: what was received stays for the next run, whatever happens to this machine.
    pub(crate) fn settle(&mut self) -> Result<(), Trouble> {
        self.abandon();
        // A repository that takes nothing more (full, gone) must not keep the copies here from being made durable.
        let packed = self.checkpoint();
        self.straight = false;
        self.make_durable(self.next.saturating_sub(1))?;
        self.sync()?;
        packed
    }

    /// Opens a file.
    pub(crate) fn open(&self, path: &str) -> Result<(u64, Box<dyn io::Read + Send>), Trouble> {
        let file = self.tree.file(path)?;
        let reader: Box<dyn io::Read + Send> = match file.origin {
            Origin::Base(number) => {
                let base = self.base.as_ref().ok_or(Trouble::Refused(Refused::NotFound))?;
                Box::new(
                    base.open(number)
                        .map_err(|error| Trouble::Io(io::Error::other(error.to_string())))?,
                )
            }
            Origin::Received(number) => self.open_received(number)?,
        };
        Ok((file.size, reader))
    }

    pub(crate) fn open_received(&self, number: u64) -> Result<Box<dyn io::Read + Send>, Trouble> {
        let received = self.received.get(&number).ok_or(Trouble::Refused(Refused::NotFound))?;
        if received.local {
            return Ok(Box::new(fs::File::open(self.area.file(number)).map_err(Trouble::Io)?));
        }
        match (&received.content, &self.settings.repository) {
            (Some(content), Some(repository)) => {
                let reader = repository.reader(content);
                Ok(Box::new(
                    reader.map_err(|error| Trouble::Io(io::Error::other(error.to_string())))?,
                ))
            }
            _ => Err(Trouble::Refused(Refused::NotFound)),
        }
    }

    /// Returns the path of a file's bytes on the local disk; a file of the base is copied there.
    pub(crate) fn materialize(&self, path: &str) -> Result<Utf8PathBuf, Trouble> {
        if let Origin::Received(number) = self.tree.file(path)?.origin
            && self.received.get(&number).is_some_and(|received| received.local)
        {
            return Ok(self.area.file(number));
        }
        let (_, mut reader) = self.open(path)?;
        let target = self.area.scratch(last(path)).map_err(Trouble::Io)?;
        let mut file = fs::File::create(&target).map_err(Trouble::Io)?;
        io::copy(&mut reader, &mut file).map_err(Trouble::Io)?;
        Ok(target)
    }

    /// Reads a small file.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Trouble> {
        let (_, reader) = self.open(path)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(reader, limit), &mut bytes)
            .map_err(Trouble::Io)?;
        Ok(bytes)
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

fn start(feed: &mut Feed, writer: &Writer) -> Result<(), RepoError> {
    if let Feed::Sniffing(first) = feed {
        let first = std::mem::take(first);
        let mut incoming = Box::new(writer.begin(Cut::sniff(&first)));
        incoming.write(&first)?;
        *feed = Feed::On(incoming);
    }
    Ok(())
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
