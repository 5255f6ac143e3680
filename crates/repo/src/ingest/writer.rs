//! The writer: threads, queue, flush and commit.

use std::{
    collections::HashSet,
    io::Read,
    mem,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::{
    Announce, Cut, Incoming, TreeBuilder, WriteStats, WriterOptions,
    open_pack::FullPack,
    queue::{Batch, Flow, Item},
    recover,
    salvage::{self, Healing, Salvaged},
    worker::{self, Job, Publish, Shelf},
};
use crate::{
    error::{Damage, RepoError},
    format::{
        BlobKind, file,
        hash::sha256,
        index::{self, IndexFile, IndexPack},
        snapshot::{self, SnapshotFile, SummaryFile},
    },
    id::{BlobId, FileId, SnapshotId, TreeId},
    index::Index,
    lock::Lock,
    node::Content,
    repository::Inner,
    snapshot::NewSnapshot,
    store::FileKind,
};

/// Small blobs travel together until they are this many bytes …
const BATCH_BYTES: usize = 256 << 10;
/// … or this many blobs; a larger one travels alone.
const BATCH_BLOBS: usize = 256;
const ALONE: usize = 128 << 10;
/// Packs that wait to be made durable.
const FULL_PACKS: usize = 2;
/// An index file is written for this many packs, so that a broken run loses little.
const INDEX_EVERY: usize = 32;
/// What [`Writer::store`] reads at a time.
const READ: usize = 256 << 10;

/// Takes files into a repository. Share it by reference or in an `Arc`; files may come from several threads.
///
/// It holds a lock of the repository that restic honours. Dropping it without [`Writer::commit`] keeps what arrived:
/// the next writer finds it and does not store it again.
pub struct Writer {
    core: Arc<Core>,
    workers: Vec<JoinHandle<()>>,
    publisher: Option<JoinHandle<()>>,
    publish: Sender<Publish>,
    salvaged: Salvaged,
    lock: Lock,
}

/// How long is waited between two looks at a thread that is to end.
const LOOK: Duration = Duration::from_millis(1);

/// What a writer shares with its threads and files.
pub(super) struct Core {
    pub(super) repository: Arc<Inner>,
    pub(super) flow: Flow,
    pub(super) shelf: Shelf,
    index: Arc<Index>,
    /// What this run stores or is about to store.
    claimed: Mutex<HashSet<(BlobKind, BlobId)>>,
    batch: Mutex<Batch>,
    jobs: Sender<Job>,
    /// Durable packs that no index file has.
    unindexed: Mutex<Vec<IndexPack>>,
    counters: Counters,
    /// How many bytes of database pages make a blob.
    pub(super) group: NonZeroUsize,
    announce: Option<Announce>,
}

#[derive(Default)]
struct Counters {
    blobs_new: AtomicU64,
    blobs_known: AtomicU64,
    trees_new: AtomicU64,
    bytes_new: AtomicU64,
    bytes_added: AtomicU64,
    packs: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    pub(crate) fn new(repository: &Arc<Inner>, options: &WriterOptions) -> Result<Self, RepoError> {
        let leftovers = repository.store.unfinished()?;
        let (lock, is_shared) = Lock::take(repository, &options.clock)?;
        if !is_shared {
            // They were there before the lock, and whoever has unfinished files holds one: they are nobody's.
            repository.store.remove_unfinished(&leftovers)?;
        }
        let (index, not_whole) = recover::run(repository)?;
        let (jobs, queue) = unbounded();
        let (publish, full) = bounded(FULL_PACKS);
        let core = Arc::new(Core {
            repository: Arc::clone(repository),
            flow: Flow::new(options.patience),
            shelf: Shelf::default(),
            index,
            claimed: Mutex::default(),
            batch: Mutex::default(),
            jobs,
            unindexed: Mutex::default(),
            counters: Counters::default(),
            group: options.group,
            announce: options.announce.clone(),
        });
        let salvaged = Salvaged::default();
        let mut writer =
            Self { core, workers: Vec::new(), publisher: None, publish, salvaged, lock };
        writer.start(options.workers.get(), &queue, full)?;
        writer.salvaged = salvage::run(&writer.core, &not_whole)?;
        Ok(writer)
    }

    fn start(
        &mut self,
        workers: usize,
        queue: &Receiver<Job>,
        full: Receiver<Publish>,
    ) -> Result<(), RepoError> {
        let failed = |source| RepoError::io("start", "a thread", source);
        let core = Arc::clone(&self.core);
        let publisher = std::thread::Builder::new().name("pack publisher".into());
        self.publisher =
            Some(publisher.spawn(move || worker::publish(&core, &full)).map_err(failed)?);
        for number in 0..workers {
            let (core, queue, publish) =
                (Arc::clone(&self.core), queue.clone(), self.publish.clone());
            let thread = std::thread::Builder::new().name(format!("pack worker {number}"));
            self.workers
                .push(thread.spawn(move || worker::work(&core, &queue, &publish)).map_err(failed)?);
        }
        Ok(())
    }

    /// Starts a file that arrives in pieces.
    pub fn begin(&self, cut: Cut) -> Incoming {
        Incoming::new(&self.core, cut)
    }

    /// Stores all that a reader gives; the cut is chosen by the first bytes when none is given.
    pub fn store(&self, mut reader: impl Read, cut: Option<Cut>) -> Result<Content, RepoError> {
        let mut scratch = self.core.flow.buffer();
        scratch.resize(READ, 0);
        let mut filled = fill(&mut reader, &mut scratch)?;
        let cut = cut.unwrap_or_else(|| Cut::sniff(&scratch[..filled]));
        let mut incoming = self.begin(cut);
        while filled > 0 {
            incoming.write(&scratch[..filled])?;
            filled = if filled == scratch.len() { fill(&mut reader, &mut scratch)? } else { 0 };
        }
        self.core.flow.take_back(scratch);
        incoming.finish()
    }

    /// Makes all that was stored so far durable and findable, without a snapshot.
    pub fn flush(&self) -> Result<(), RepoError> {
        self.core.send_rest()?;
        let closed = self.beside(|core| {
            let result = core.close_packs();
            if let Err(error) = result {
                // A pack that could not be closed is lost: what it held must not be taken for stored.
                core.flow.fail(error);
            }
        });
        closed?;
        self.core.flow.check()
    }

    /// Lets the publisher do something and waits for it, but not for ever.
    fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> T + Send + 'static,
    ) -> Result<T, RepoError> {
        let core = &self.core;
        let (tell, told) = bounded(1);
        // Nobody listens any more when the wait was given up.
        let work = Box::new(move |core: &Core| drop(tell.send(work(core))));
        let patience = core.flow.patience();
        let sent = self.publish.send_timeout(Publish::Work(work), patience);
        sent.ok().and_then(|()| told.recv_timeout(patience).ok()).ok_or_else(|| {
            core.flow.stall();
            core.stalled()
        })
    }

    /// Publishes a snapshot. All its blobs are durable before; the writer can go on afterwards.
    pub fn commit(
        &self,
        tree: TreeBuilder,
        new: &NewSnapshot,
    ) -> Result<(SnapshotId, WriteStats), RepoError> {
        let core = &self.core;
        core.flow.check()?;
        let (root, totals) = tree.store(core)?;
        self.flush()?;
        let lock = self.lock.watch();
        self.beside(move |_| lock.verify())??;
        let counted = core.stats();
        let file = SnapshotFile {
            time: new.time,
            parent: new.parent,
            tree: root,
            paths: vec!["/".into()],
            hostname: new.udid.clone(),
            username: "lifeboat".into(),
            tags: Some(
                [Some(new.tag), new.also]
                    .into_iter()
                    .flatten()
                    .map(|tag| tag.as_str().into())
                    .collect(),
            ),
            label: new.label.clone(),
            description: new.description.clone(),
            program_version: Some(concat!("lifeboat ", env!("CARGO_PKG_VERSION")).into()),
            summary: Some(SummaryFile {
                backup_start: Some(new.time),
                backup_end: Some(new.time),
                data_blobs: counted.blobs_new,
                tree_blobs: counted.trees_new,
                data_added: counted.bytes_new,
                data_added_packed: counted.bytes_added,
                total_files_processed: totals.files,
                total_bytes_processed: totals.bytes,
            }),
        };
        let json = snapshot::encode(&file);
        let id = self.beside(move |core| core.write_file(FileKind::Snapshot, &json))??;
        let WriteStats { files, directories, bytes, .. } = totals;
        Ok((id.into(), WriteStats { files, directories, bytes, ..counted }))
    }

    /// Removes a snapshot file; what it alone needs stays until somebody prunes.
    pub fn forget(&self, snapshot: SnapshotId) -> Result<(), RepoError> {
        let lock = self.lock.watch();
        self.beside(move |core| {
            lock.verify()?;
            core.repository
                .store
                .remove(FileKind::Snapshot, snapshot.into())
                .map_err(RepoError::from)
        })?
    }

    /// Whether all blobs of a file are stored, or on their way, and in packs that are not known to be damaged.
    pub fn holds(&self, content: &Content) -> bool {
        content.blobs.iter().all(|id| self.core.has(BlobKind::Data, id))
    }

    /// Returns what became of packs that are not whole.
    pub fn healing(&self) -> Healing {
        self.salvaged.healing(&self.core)
    }

    /// Returns the index files that could not be read. The packs that no other one has were read and put into a new one.
    pub fn unread_indexes(&self) -> &[Damage] {
        &self.core.index.damage
    }

    /// Counts bytes that an earlier run, which broke, wrote for the snapshot that this one will commit.
    pub fn count_added_before(&self, bytes: u64) {
        self.core.counters.bytes_added.fetch_add(bytes, Relaxed);
    }

    /// Returns what was counted so far.
    pub fn stats(&self) -> WriteStats {
        self.core.stats()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.core.flow.has_failed()
            && !self.core.flow.has_stalled()
            && let Err(error) = self.flush()
        {
            tracing::warn!(%error, "what arrived could not be kept");
        }
        for _ in &self.workers {
            // The queue has no bound and its reader lives until this very word.
            drop(self.core.jobs.send(Job::Stop));
        }
        let patience = self.core.flow.patience();
        let mut ended = !self.core.flow.has_stalled();
        for worker in self.workers.drain(..) {
            ended = ended && end(worker, patience);
        }
        ended = ended && self.publish.send_timeout(Publish::Stop, patience).is_ok();
        if let Some(publisher) = self.publisher.take() {
            ended = ended && end(publisher, patience);
        }
        if ended {
            // Unfinished packs go before the lock does: whoever takes it next finds nothing of ours.
            drop(self.core.shelf.take_all());
        } else {
            tracing::warn!("the storage hangs: threads and the lock are left behind");
            self.lock.leave();
        }
    }
}

/// Waits for a thread to end, but not for ever; returns whether it did.
fn end(thread: JoinHandle<()>, patience: Duration) -> bool {
    let looks = patience.as_millis() / LOOK.as_millis();
    for _ in 0..=looks {
        if thread.is_finished() {
            if thread.join().is_err() {
                tracing::warn!("a thread of the writer panicked");
            }
            return true;
        }
        std::thread::park_timeout(LOOK);
    }
    false
}

/// Reads until the buffer is full or nothing comes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, RepoError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(RepoError::Source { source }),
        }
    }
    Ok(filled)
}

impl Core {
    /// Whether a blob is stored or on its way.
    pub(super) fn has(&self, kind: BlobKind, id: &BlobId) -> bool {
        self.index.contains(kind, id) || locked(&self.claimed).contains(&(kind, *id))
    }

    /// Names a blob and says whether somebody has to store it: then this caller, and nobody else.
    fn claim(&self, kind: BlobKind, data: &[u8]) -> (BlobId, bool) {
        let id = BlobId::new(sha256(data));
        let is_new = !self.index.contains(kind, &id) && locked(&self.claimed).insert((kind, id));
        let counter = match (kind, is_new) {
            (BlobKind::Data, true) => &self.counters.blobs_new,
            (BlobKind::Data, false) => &self.counters.blobs_known,
            (BlobKind::Tree, true) => &self.counters.trees_new,
            (BlobKind::Tree, false) => return (id, false),
        };
        counter.fetch_add(1, Relaxed);
        if is_new {
            self.counters.bytes_new.fetch_add(data.len() as u64, Relaxed);
        }
        (id, is_new)
    }

    /// Stores a blob if it is new. `data` comes back empty; its memory may be another's.
    pub(super) fn put(&self, kind: BlobKind, data: &mut Vec<u8>) -> Result<BlobId, RepoError> {
        self.take(kind, data).map(|(id, _)| id)
    }

    /// Does the same, and says whether it was new.
    fn take(&self, kind: BlobKind, data: &mut Vec<u8>) -> Result<(BlobId, bool), RepoError> {
        self.flow.check()?;
        let (id, is_new) = self.claim(kind, data);
        if !is_new {
            data.clear();
        } else if data.len() >= ALONE {
            let data = mem::replace(data, self.flow.buffer());
            let items = vec![Item { kind, id, range: 0..data.len() }];
            self.send(Batch { data, items })?;
        } else {
            let full = {
                let mut batch = locked(&self.batch);
                let start = batch.data.len();
                batch.data.append(data);
                let range = start..batch.data.len();
                batch.items.push(Item { kind, id, range });
                let is_full = batch.data.len() >= BATCH_BYTES || batch.items.len() >= BATCH_BLOBS;
                is_full.then(|| self.next_batch(&mut batch))
            };
            if let Some(full) = full {
                self.send(full)?;
            }
        }
        Ok((id, is_new))
    }

    fn next_batch(&self, batch: &mut Batch) -> Batch {
        mem::replace(batch, Batch { data: self.flow.buffer(), items: Vec::new() })
    }

    /// Stores a folder if it is new, and says whether it was.
    pub(super) fn put_tree(&self, mut json: Vec<u8>) -> Result<(TreeId, bool), RepoError> {
        self.take(BlobKind::Tree, &mut json)
    }

    fn send(&self, batch: Batch) -> Result<(), RepoError> {
        let bytes = batch.data.len();
        self.flow.enter(bytes).map_err(|_| self.stalled())?;
        self.jobs.send(Job::Blobs(batch)).map_err(|_| {
            self.flow.leave(bytes);
            RepoError::Stopped("the writer has ended".into())
        })
    }

    /// Waits until everything that was put so far is in packs.
    fn send_rest(&self) -> Result<(), RepoError> {
        let rest = self.next_batch(&mut locked(&self.batch));
        if !rest.items.is_empty() {
            self.send(rest)?;
        }
        self.flow.drain().map_err(|_| self.stalled())?;
        self.flow.check()
    }

    /// Says that the storage hangs; from then on nothing is written.
    fn stalled(&self) -> RepoError {
        let stalled = || RepoError::Stalled {
            place: self.repository.store.location(),
            seconds: self.flow.patience().as_secs(),
        };
        self.flow.fail(stalled());
        stalled()
    }

    fn close_packs(&self) -> Result<(), RepoError> {
        for pack in self.shelf.take_all() {
            let (full, buffer) = pack.close(&self.repository.key)?;
            self.shelf.put_buffer(buffer);
            self.publish(full)?;
        }
        self.write_index()
    }

    /// Makes a full pack durable.
    pub(super) fn publish(
        &self,
        FullPack { id, sink, blobs, size }: FullPack,
    ) -> Result<(), RepoError> {
        self.announce(id.into());
        sink.finish(id.into())?;
        self.counters.packs.fetch_add(1, Relaxed);
        self.counters.bytes_added.fetch_add(size, Relaxed);
        self.repository.index.add(id, &blobs);
        let pack = IndexPack { id, blobs: blobs.iter().map(Into::into).collect() };
        let enough = {
            let mut unindexed = locked(&self.unindexed);
            unindexed.push(pack);
            unindexed.len() >= INDEX_EVERY
        };
        if enough { self.write_index() } else { Ok(()) }
    }

    fn write_index(&self) -> Result<(), RepoError> {
        let packs = mem::take(&mut *locked(&self.unindexed));
        if packs.is_empty() {
            return Ok(());
        }
        let file = IndexFile { packs, ..IndexFile::default() };
        self.write_file(FileKind::Index, &index::encode(&file)).map(|_| ())
    }

    fn announce(&self, id: FileId) {
        if let Some(announce) = &self.announce {
            announce(id);
        }
    }

    fn write_file(&self, kind: FileKind, json: &[u8]) -> Result<FileId, RepoError> {
        let sealed = file::seal(&self.repository.key, json);
        let id = FileId::new(sha256(&sealed));
        self.announce(id);
        self.repository.store.write(kind, id, &sealed)?;
        self.counters.bytes_added.fetch_add(sealed.len() as u64, Relaxed);
        Ok(id)
    }

    fn stats(&self) -> WriteStats {
        let counters = &self.counters;
        WriteStats {
            blobs_new: counters.blobs_new.load(Relaxed),
            blobs_known: counters.blobs_known.load(Relaxed),
            trees_new: counters.trees_new.load(Relaxed),
            bytes_new: counters.bytes_new.load(Relaxed),
            bytes_added: counters.bytes_added.load(Relaxed),
            packs: counters.packs.load(Relaxed),
            ..WriteStats::default()
        }
    }
}
