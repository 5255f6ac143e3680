//! The way in.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::{Timestamp, tz::TimeZone};
use rustic_core::repofile::MasterKey;
use secrecy::SecretString;

use crate::{
    catalogue::Catalogue,
    check::{self, CheckProgress, CheckReport},
    error::{Damage, RepoError},
    format::{
        BlobKind,
        config::Config,
        file,
        hash::sha256,
        seal::Key,
        snapshot,
        tree::{self, TreeNode},
    },
    id::{BlobId, FileId, PackId, SnapshotId, TreeId},
    index::{Place, SharedIndex},
    ingest::{Gear, Writer, WriterOptions},
    keys::{self, Chooser, Opened},
    location::Location,
    lock::{Clock, Lock},
    node::{Content, Entry},
    reader::{BlobCache, Reader, open_blob},
    snapshot::{Snapshot, Tag, Wanted, resolve, same_device},
    stats::Stats,
    store::{FileKind, Store},
};

/// What every finished backup has (FORMAT.md), and what a broken run left has not.
pub const ABOUT: &str = "lifeboat/about.json";

/// An open repository. Clones share it.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
    /// Held while this value or a clone of it is there.
    reading: Option<Arc<Lock>>,
    /// What time it is, where somebody said so.
    now: Option<Timestamp>,
}

/// What all parts of an open repository share.
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) key: Key,
    pub(crate) master: MasterKey,
    pub(crate) config: Config,
    pub(crate) gear: Gear,
    pub(crate) index: SharedIndex,
    pub(crate) blobs: BlobCache,
    catalogue: Catalogue,
}

impl Repository {
    /// Makes a new repository and opens it.
    pub fn init(
        at: &Location,
        password: &SecretString,
        cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        Self::init_in(at.store(), password, cache)
    }

    /// Makes a new repository whose password this program generated, and opens it: where nobody can guess the password, opening
    /// it need not be slow.
    pub fn init_generated(
        at: &Location,
        password: &SecretString,
        cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        let opened = keys::init(&at.store(), password, Chooser::Program)?;
        Ok(Self::with(at.store(), opened, cache))
    }

    /// Opens a repository. `cache` is a folder for what can be made again at any time.
    pub fn open(
        at: &Location,
        password: &SecretString,
        cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        Self::open_in(at.store(), password, cache)
    }

    /// Fails unless there is a repository; opens nothing and needs no password.
    pub fn find(at: &Location) -> Result<(), RepoError> {
        keys::find(&at.store())
    }

    /// Fails unless a repository can be made there; makes nothing.
    pub fn find_room(at: &Location) -> Result<(), RepoError> {
        keys::find_room(&at.store())
    }

    /// Makes a new repository in a store of the caller's.
    pub fn init_in(
        store: Arc<dyn Store>,
        password: &SecretString,
        cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        let opened = keys::init(&store, password, Chooser::Person)?;
        Ok(Self::with(store, opened, cache))
    }

    /// Opens the repository in a store of the caller's.
    pub fn open_in(
        store: Arc<dyn Store>,
        password: &SecretString,
        cache: &Utf8Path,
    ) -> Result<Self, RepoError> {
        let opened = keys::open(&store, password)?;
        Ok(Self::with(store, opened, cache))
    }

    /// Opens a copy of this repository in another store, without the password and the second that it takes.
    pub fn reopen_in(&self, store: Arc<dyn Store>, cache: &Utf8Path) -> Result<Self, RepoError> {
        let opened = keys::with_master(&*store, self.inner.master.clone())?;
        Ok(Self::with(store, opened, cache))
    }

    fn with(
        store: Arc<dyn Store>,
        Opened { key, master, config }: Opened,
        cache: &Utf8Path,
    ) -> Self {
        let folder: Utf8PathBuf =
            cache.join(config.id.chars().filter(char::is_ascii_alphanumeric).collect::<String>());
        // The secret of the cuts: one that every copy of the repository shares and nobody outside knows.
        let secret = sha256(config.chunker_polynomial.as_bytes());
        let seed = secret.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        let inner = Inner {
            store,
            key,
            master,
            config,
            gear: Gear::new(seed),
            index: SharedIndex::default(),
            blobs: BlobCache::default(),
            catalogue: Catalogue::new(folder),
        };
        Self { inner: Arc::new(inner), reading: None, now: None }
    }

    /// Locks the repository for reading, beside writers and other readers: nobody removes anything from it until what this
    /// returns and all its clones are gone. A repository that cannot be written to is read without a lock.
    ///
    /// Fails with [`RepoError::Locked`] where somebody else has the repository alone.
    pub fn to_read(&self, clock: &Clock) -> Result<Self, RepoError> {
        let reading = Lock::take_to_read(&self.inner, clock)?.map(Arc::new);
        Ok(Self { reading, ..self.clone() })
    }

    /// Returns it with what time it is: a snapshot that is dated in the future counts as older than all others from here on.
    #[must_use]
    pub fn as_of(self, now: Timestamp) -> Self {
        Self { now: Some(now), ..self }
    }

    /// Whether a snapshot is dated in the future, as far as it is known what time it is.
    pub fn is_ahead(&self, snapshot: &Snapshot) -> bool {
        self.now.is_some_and(|now| snapshot.is_ahead_of(now))
    }

    /// Fails with [`RepoError::LockLost`] where the lock of [`Repository::to_read`] was removed by another program: what it
    /// protects may be gone.
    pub fn verify_lock(&self) -> Result<(), RepoError> {
        self.reading.as_ref().map_or(Ok(()), |lock| lock.watch().verify())
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Returns the identifier in the configuration of the repository.
    pub fn id(&self) -> &str {
        &self.inner.config.id
    }

    /// Says where it is.
    pub fn location(&self) -> String {
        self.inner.store.location()
    }

    /// Adds a key that opens with another password.
    pub fn add_key(&self, password: &SecretString) -> Result<(), RepoError> {
        keys::add(&self.inner.store, &self.inner.master, password)
    }

    /// Lists all snapshots, oldest first. Damaged snapshot files are not in it; see [`Repository::snapshots_and_damage`].
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, RepoError> {
        let (snapshots, damage) = self.snapshots_and_damage()?;
        for damage in damage {
            tracing::warn!(%damage, "a snapshot is passed over");
        }
        Ok(snapshots)
    }

    /// Lists all snapshots, oldest first, and what is wrong with the others. Those that are dated in the future come before all
    /// others, where it is known what time it is ([`Repository::as_of`]).
    pub fn snapshots_and_damage(&self) -> Result<(Vec<Snapshot>, Vec<Damage>), RepoError> {
        let (mut snapshots, damage) = self.inner.snapshots()?;
        snapshots.sort_by_key(|snapshot| snapshot.order(self.now));
        Ok((snapshots, damage))
    }

    /// Finds a snapshot: `latest`, the beginning of its identifier, or `UDID@date`; of this device only, where given.
    ///
    /// `latest` and `UDID@date` mean complete ones; where a device has none at all, its newest partial one that is a finished
    /// backup. `latest` is of one device: where several have one and none is given, that is an error. Snapshot files that cannot be read are passed over; see [`Repository::resolve_and_damage`].
    pub fn resolve(&self, wanted: &str, udid: Option<&str>) -> Result<Snapshot, RepoError> {
        Ok(self.resolve_and_damage(wanted, udid)?.0)
    }

    /// Finds a snapshot as [`Repository::resolve`] does. Where it was named by time, also returns what is wrong with snapshot
    /// files that cannot be read: a newer one that was meant may be among them. Where none is left to be found, that is the
    /// error.
    pub fn resolve_and_damage(
        &self,
        wanted: &str,
        udid: Option<&str>,
    ) -> Result<(Snapshot, Vec<Damage>), RepoError> {
        let (snapshots, mut damage) = self.inner.snapshots()?;
        if wanted != "latest" && !wanted.contains('@') {
            damage.clear();
        }
        let zone = TimeZone::system();
        let asked = Wanted { name: wanted, udid, now: self.now, zone };
        match resolve(&snapshots, &asked, &|snapshot| self.is_backup(snapshot)) {
            Ok(snapshot) => Ok((snapshot, damage)),
            Err(RepoError::NoSuchSnapshot(wanted)) => Err(match damage.into_iter().next() {
                Some(damage) => damage.into(),
                None => RepoError::NoSuchSnapshot(wanted),
            }),
            Err(error) => Err(error),
        }
    }

    /// Whether a snapshot is a finished backup, complete or with something missing, and not what a broken run left: that says
    /// nothing of itself. One in which that cannot be read is taken for a backup: whoever asks for it, or checks it, is told
    /// what is lost of it, where passing it over would be silent.
    pub fn is_backup(&self, snapshot: &Snapshot) -> bool {
        let is_partial_backup =
            || snapshot.is(Tag::Partial) && !matches!(self.entry(snapshot, ABOUT), Ok(None));
        snapshot.is(Tag::Complete) || is_partial_backup()
    }

    /// Returns the newest complete snapshot of a device, if it has one.
    pub fn latest(&self, udid: &str) -> Result<Option<Snapshot>, RepoError> {
        let mut snapshots = self.snapshots()?.into_iter();
        Ok(snapshots
            .rfind(|snapshot| same_device(&snapshot.udid, udid) && snapshot.is(Tag::Complete)))
    }

    /// Returns how many bytes those packs and index files have that are there of these.
    pub fn bytes_of(&self, files: &BTreeSet<FileId>) -> Result<u64, RepoError> {
        let mut bytes = 0;
        for kind in [FileKind::Pack, FileKind::Index] {
            let there = self.inner.store.list(kind)?;
            bytes += there
                .iter()
                .filter(|(id, _)| files.contains(id))
                .map(|(_, size)| size)
                .sum::<u64>();
        }
        Ok(bytes)
    }

    /// Locks the repository for writing beside other writers.
    pub fn writer(&self, options: &WriterOptions) -> Result<Writer, RepoError> {
        Writer::new(&self.inner, options)
    }

    /// Lists what is in a folder of a snapshot, by name; the root is the empty path.
    pub fn entries(&self, snapshot: &Snapshot, path: &str) -> Result<Vec<Entry>, RepoError> {
        let missing =
            || RepoError::NoSuchPath { snapshot: snapshot.id.short(), path: path.to_owned() };
        let tree = self.tree_at(snapshot, path)?.ok_or_else(missing)?;
        let rows = self.inner.rows(tree)?;
        Ok(rows.into_iter().map(|row| entry(path, row)).collect())
    }

    /// Returns what is at a path of a snapshot; nothing for the root, which has no node.
    pub fn entry(&self, snapshot: &Snapshot, path: &str) -> Result<Option<Entry>, RepoError> {
        let path = path.trim_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(tree) = self.tree_at(snapshot, parent)? else { return Ok(None) };
        Ok(self.inner.row(tree, name)?.map(|row| entry(parent, row)))
    }

    /// Returns the tree of the folder at a path, if there is one.
    fn tree_at(&self, snapshot: &Snapshot, path: &str) -> Result<Option<TreeId>, RepoError> {
        let mut tree = snapshot.tree;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            match self.inner.row(tree, part)?.and_then(|row| row.subtree) {
                Some(subtree) => tree = subtree,
                None => return Ok(None),
            }
        }
        Ok(Some(tree))
    }

    /// Shows every node of a snapshot, a folder before what is in it; stops at the first error of `visit`.
    pub fn walk<E: From<RepoError>>(
        &self,
        snapshot: &Snapshot,
        visit: impl FnMut(&Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk_tree(String::new(), snapshot.tree, visit, |_, error| Err(error.into()))
    }

    /// Shows every node below a folder of a snapshot as [`Repository::walk`] does; of a folder that cannot be read it tells
    /// `unread` the path and why, and goes on unless that is an error.
    pub fn walk_below<E>(
        &self,
        folder: &Entry,
        visit: impl FnMut(&Entry) -> Result<(), E>,
        unread: impl FnMut(&str, RepoError) -> Result<(), E>,
    ) -> Result<(), E> {
        match folder.tree {
            Some(tree) => self.walk_tree(folder.path.clone(), tree, visit, unread),
            None => Ok(()),
        }
    }

    fn walk_tree<E>(
        &self,
        path: String,
        tree: TreeId,
        mut visit: impl FnMut(&Entry) -> Result<(), E>,
        mut unread: impl FnMut(&str, RepoError) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut ahead = HashMap::new();
        let mut open = Vec::new();
        let mut next = Some((path, tree));
        loop {
            if let Some((path, tree)) = next.take() {
                match self.inner.rows_ahead(tree, &mut ahead) {
                    Ok(rows) => open.push((path, rows.into_iter())),
                    Err(error) => unread(&path, error)?,
                }
            }
            let Some((path, rows)) = open.last_mut() else { return Ok(()) };
            let Some(row) = rows.next() else {
                open.pop();
                continue;
            };
            let entry = entry(path, row);
            visit(&entry)?;
            next = entry.tree.map(|tree| (entry.path, tree));
        }
    }

    /// Opens the content of a file.
    pub fn reader(&self, content: &Content) -> Result<Reader, RepoError> {
        Reader::new(&self.inner, content)
    }

    /// Reads the whole content of a small file.
    pub fn read(&self, content: &Content) -> Result<Vec<u8>, RepoError> {
        let mut data = Vec::with_capacity(usize::try_from(content.size).unwrap_or(0).min(1 << 24));
        for blob in &content.blobs {
            data.extend_from_slice(&self.inner.blob(BlobKind::Data, blob)?);
        }
        Ok(data)
    }

    /// Checks structure and, with `read_data`, every byte of every pack.
    pub fn check(
        &self,
        read_data: bool,
        progress: &mut dyn FnMut(CheckProgress),
    ) -> Result<CheckReport, RepoError> {
        let report = self.check_while(read_data, &mut |state| {
            progress(state);
            true
        });
        Ok(report?.unwrap_or_default())
    }

    /// Checks as [`Repository::check`] does, as long as `progress` answers yes; returns nothing where it was stopped.
    ///
    /// Fails with [`RepoError::LockLost`] instead of a report of damage where the lock for reading was removed meanwhile.
    pub fn check_while(
        &self,
        read_data: bool,
        progress: &mut dyn FnMut(CheckProgress) -> bool,
    ) -> Result<Option<CheckReport>, RepoError> {
        let report = check::run(&self.inner, read_data, progress)?;
        if report.as_ref().is_some_and(|report| !report.is_ok()) {
            self.verify_lock()?;
        }
        Ok(report)
    }

    /// Counts what the repository holds.
    pub fn stats(&self) -> Result<Stats, RepoError> {
        let inner = &self.inner;
        let mut stats = Stats::default();
        for kind in FileKind::FOLDERS.into_iter().chain([FileKind::Config]) {
            let files = inner.store.list(kind)?;
            stats.bytes += files.iter().map(|(_, size)| size).sum::<u64>();
            match kind {
                FileKind::Snapshot => stats.snapshots = files.len() as u64,
                FileKind::Pack => stats.packs = files.len() as u64,
                _ => {}
            }
        }
        let index = inner.index.refresh(&*inner.store, &inner.key)?;
        stats.blobs = index.blobs();
        stats.raw_bytes = index.raw_bytes();
        Ok(stats)
    }

    /// Returns the packs that are known to be damaged and hold something that lies nowhere else, in order, and those that were
    /// found missing beside them. Known is what a check that read all data, or a read, came upon; nothing is read for it.
    pub fn known_damage(&self) -> Result<Vec<PackId>, RepoError> {
        let inner = &self.inner;
        let suspects = inner.suspects();
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        let packs = inner.store.list(FileKind::Pack)?;
        let present = packs.into_iter().map(|(id, size)| (id.into(), size)).collect();
        let index = inner.index.refresh(&*inner.store, &inner.key)?;
        let (_, nowhere) = index.only(&present, &suspects);
        Ok(nowhere
            .into_iter()
            .map(|place| place.pack)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect())
    }

    /// Throws the catalogue away; it is made again as it is needed.
    pub fn forget_catalogue(&self) -> Result<(), RepoError> {
        self.inner.catalogue.clear()
    }
}

fn entry(folder: &str, row: TreeNode) -> Entry {
    let folder = folder.trim_matches('/');
    let path = if folder.is_empty() { row.name } else { format!("{folder}/{}", row.name) };
    Entry { path, node: row.node, tree: row.subtree }
}

impl Inner {
    /// Reads all snapshot files, oldest first.
    pub(crate) fn snapshots(&self) -> Result<(Vec<Snapshot>, Vec<Damage>), RepoError> {
        let mut snapshots = Vec::new();
        let mut damage = Vec::new();
        for (id, _) in self.store.list(FileKind::Snapshot)? {
            match self.snapshot(id.into()) {
                Ok(snapshot) => snapshots.push(snapshot),
                // Forgotten by another program after it was listed.
                Err(RepoError::Damaged(Damage::MissingFile { .. })) => {}
                Err(RepoError::Damaged(found)) => damage.push(found),
                Err(error) => return Err(error),
            }
        }
        snapshots.sort_by_key(|snapshot| snapshot.order(None));
        Ok((snapshots, damage))
    }

    fn snapshot(&self, id: SnapshotId) -> Result<Snapshot, RepoError> {
        let mut sealed = self.store.read(FileKind::Snapshot, id.into())?;
        let damaged = |why| RepoError::damaged(FileKind::Snapshot, id.into(), why);
        let json = file::open(&self.key, &mut sealed).map_err(damaged)?;
        Ok(snapshot::decode(&json).map_err(damaged)?.into_snapshot(id))
    }

    /// Returns a blob, out of the cache or its pack.
    pub(crate) fn blob(&self, kind: BlobKind, id: &BlobId) -> Result<Arc<Vec<u8>>, RepoError> {
        if let Some(data) = self.blobs.get(kind, id) {
            return Ok(data);
        }
        let places = self.places(kind, id)?;
        let read = match self.blob_in(id, &places) {
            // Another program may have put what is still needed elsewhere, and removed the pack.
            Err(gone @ RepoError::Damaged(Damage::MissingFile { .. })) => {
                self.index.refresh(&*self.store, &self.key)?;
                let now = self.places(kind, id)?;
                if now == places { Err(gone) } else { self.blob_in(id, &now) }
            }
            read => read,
        };
        let data = Arc::new(read?);
        self.blobs.put(kind, *id, &data);
        Ok(data)
    }

    /// Reads a blob out of the first of these places that gives it.
    fn blob_in(&self, id: &BlobId, places: &[Place]) -> Result<Vec<u8>, RepoError> {
        let mut failure = None;
        for place in places {
            match self.blob_at(place) {
                Ok(data) => return Ok(data),
                // Another pack may hold it too.
                Err(error) => {
                    if let RepoError::Damaged(Damage::Blob { pack, .. }) = &error {
                        self.suspect(*pack);
                    }
                    failure = failure.or(Some(error));
                }
            }
        }
        Err(failure.unwrap_or_else(|| Damage::LostBlob(*id).into()))
    }

    /// Returns where a blob lies, reading the index again if it is not known.
    fn places(&self, kind: BlobKind, id: &BlobId) -> Result<Vec<Place>, RepoError> {
        let index = self.index.get(&*self.store, &self.key)?;
        let mut places: Vec<Place> =
            self.index.recent(kind, id).into_iter().chain(index.find(kind, id)).collect();
        if places.is_empty() {
            let index = self.index.refresh(&*self.store, &self.key)?;
            places.extend(index.find(kind, id));
            if let Some(damage) = index.damage.first().filter(|_| places.is_empty()) {
                return Err(damage.clone().into());
            }
        }
        Ok(places)
    }

    /// Returns how long a piece of a file is, without reading it.
    pub(crate) fn raw_length(&self, id: &BlobId) -> Result<u32, RepoError> {
        let places = self.places(BlobKind::Data, id)?;
        places
            .first()
            .map(|place| place.blob.raw_length())
            .ok_or_else(|| Damage::LostBlob(*id).into())
    }

    /// Remembers that a pack is damaged: the next writer does not build upon it. Nothing that is told depends on it.
    fn suspect(&self, pack: PackId) {
        tracing::warn!(pack = %pack.short(), "a pack is damaged");
        if let Err(error) = self.catalogue.suspect(pack) {
            tracing::debug!(%error, "that a pack is damaged is not remembered");
        }
    }

    /// Remembers which packs are damaged, of all that are there.
    pub(crate) fn set_suspects(&self, packs: &BTreeSet<PackId>) {
        if let Err(error) = self.catalogue.set_suspects(packs) {
            tracing::warn!(%error, "which packs are damaged is not remembered");
        }
    }

    /// Returns the packs that are known to be damaged.
    pub(crate) fn suspects(&self) -> HashSet<PackId> {
        self.catalogue.suspects().unwrap_or_else(|error| {
            tracing::warn!(%error, "which packs are damaged is not known");
            HashSet::new()
        })
    }

    pub(crate) fn blob_at(&self, place: &Place) -> Result<Vec<u8>, RepoError> {
        let Place { pack, blob } = place;
        let offset = u64::from(blob.offset);
        let mut sealed =
            self.store.read_range(FileKind::Pack, (*pack).into(), offset, blob.length as usize)?;
        open_blob(&self.key, blob, &mut sealed)
            .map_err(|why| Damage::Blob { pack: *pack, blob: blob.id, why }.into())
    }

    /// Reads a tree out of its pack.
    pub(crate) fn tree(&self, id: TreeId) -> Result<Vec<TreeNode>, RepoError> {
        let json = self.blob(BlobKind::Tree, &id)?;
        tree::decode(&json).map_err(|why| {
            let place =
                self.places(BlobKind::Tree, &id).ok().and_then(|places| places.into_iter().next());
            match place {
                Some(place) => Damage::Blob { pack: place.pack, blob: id, why }.into(),
                None => Damage::LostBlob(id).into(),
            }
        })
    }

    /// Puts folders that were just made into the catalogue; it can be made again, so that nothing depends on it.
    pub(crate) fn remember(&self, trees: &[(TreeId, Vec<TreeNode>)]) {
        if let Err(error) = self.catalogue.put(trees) {
            tracing::debug!(%error, "the catalogue does not have the new folders yet");
        }
    }

    /// Returns the lines of a folder, out of the catalogue.
    fn rows(&self, tree: TreeId) -> Result<Vec<TreeNode>, RepoError> {
        self.catalogue.rows(tree, || self.tree(tree))
    }

    /// Returns the lines of a folder, and keeps in `ahead` those that a walk wants next.
    fn rows_ahead(
        &self,
        tree: TreeId,
        ahead: &mut HashMap<TreeId, Vec<TreeNode>>,
    ) -> Result<Vec<TreeNode>, RepoError> {
        if !ahead.contains_key(&tree) {
            ahead.extend(self.catalogue.ahead(tree));
        }
        match ahead.remove(&tree) {
            Some(rows) => Ok(rows),
            None => self.rows(tree),
        }
    }

    /// Returns one line of a folder, out of the catalogue.
    fn row(&self, tree: TreeId, name: &str) -> Result<Option<TreeNode>, RepoError> {
        self.catalogue.row(tree, name, || self.tree(tree))
    }
}
