//! Puts received files into the repository while the device goes on sending.
//!
//! One thread takes file after file from the working area, in the order of their arrival; the repository's own threads
//! compress and seal. All of them stand back behind the thread that receives: where cores are few, the device comes first
//! and is free again soonest, and what is left is packed after it.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_repo::{Content, RepoError, Writer};

use super::checked::Checked;
use super::segments::{self, Span};
use crate::error::{Cause, JobError};

/// How long the caller of [`Packer::drain`] waits between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long the thread may stand still. A little more than the repository gives its storage: its word is the better one.
const PATIENCE: Duration = Duration::from_mins(16);
/// How long the thread may take to end: it stops at the next bytes, unless it makes durable what it packed.
const ENDING: Duration = Duration::from_mins(5);

/// How long the thread is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// While it stands still.
    still: Duration,
    /// When it is to end.
    ending: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { still: PATIENCE, ending: ENDING }
    }
}

/// A file to be packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    /// Its number.
    pub(crate) number: u64,
    /// Where its bytes lie.
    pub(crate) span: Span,
    /// Their CRC-32.
    pub(crate) sum: u32,
}

/// A file that was packed.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    /// Its number.
    pub(crate) number: u64,
    /// Its blobs.
    pub(crate) content: Content,
    /// SHA-1 of the bytes that went into them.
    pub(crate) sha1: [u8; 20],
}

/// Why a file was not packed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The repository does not take it.
    Repository(RepoError),
    /// The working area does not give it.
    Area(io::Error),
    /// The working area gives other bytes than it got.
    Damaged,
    /// The thread stands still: a disk or a network hangs, the working area's or the repository's.
    Stalled,
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Repository(error) => error.into(),
            Failure::Area(error) => {
                Self::of(Cause::Disk, "a received file cannot be read back", &error)
            }
            Failure::Damaged => Self::new(Cause::Disk, "a file in the working area has lost bytes"),
            Failure::Stalled => Self::new(
                Cause::Disk,
                "the disk of the working area or that of the repository hangs: what was received cannot be packed",
            ),
        }
    }
}

/// Packs in the background. Dropping it ends the thread at the next bytes; one that hangs is left behind.
pub(crate) struct Packer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    patience: Patience,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    /// A file is under way.
    busy: bool,
    /// Bytes of files that wait or are under way.
    waiting: u64,
    done: Vec<Packed>,
    /// So many of those are durable.
    durable: usize,
    failure: Option<Failure>,
    failed: bool,
    stop: bool,
    /// The thread has come to its end.
    ended: bool,
    /// How often it has moved on: some bytes, a file.
    moves: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Packer {
    /// Starts the thread. After `checkpoint` bytes what was packed is made durable.
    pub(crate) fn start(
        folder: &Utf8Path,
        writer: Arc<Writer>,
        checkpoint: u64,
    ) -> io::Result<Self> {
        Self::with_patience(folder, writer, checkpoint, Patience::default())
    }

    fn with_patience(
        folder: &Utf8Path,
        writer: Arc<Writer>,
        checkpoint: u64,
        patience: Patience,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let work = Work {
            shared: shared.clone(),
            folder: folder.to_owned(),
            writer,
            checkpoint,
            pending: 0,
        };
        let thread = std::thread::Builder::new().name("packer".into()).spawn(move || work.run())?;
        Ok(Self { shared, thread: Some(thread), patience })
    }

    /// Gives it a file; never waits.
    pub(crate) fn put(&self, task: Task) {
        let mut state = self.shared.state();
        state.waiting += task.span.size;
        state.tasks.push_back(task);
        self.shared.changed.notify_all();
    }

    /// Returns the bytes that are not packed yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.shared.state().waiting
    }

    /// Returns the first failure, once; nothing is packed after it.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.shared.state().failure.take()
    }

    /// Whether it has failed, whoever was told.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.state().failed
    }

    /// Takes the files that were made durable since it was asked last.
    pub(crate) fn take_durable(&self) -> Vec<Packed> {
        let mut state = self.shared.state();
        let durable = std::mem::take(&mut state.durable);
        state.done.drain(..durable).collect()
    }

    /// Takes all files that were packed since it was asked last.
    pub(crate) fn take_done(&self) -> Vec<Packed> {
        let mut state = self.shared.state();
        state.durable = 0;
        std::mem::take(&mut state.done)
    }

    /// Waits until all files are packed; `tick` is told the bytes that are left now and then, and says whether to go on.
    /// Returns whether all are packed; a thread that stands still for too long counts as failed.
    pub(crate) fn drain(&self, tick: &mut dyn FnMut(u64) -> bool) -> bool {
        let (mut moves, mut still) = (0, Duration::ZERO);
        loop {
            let left = {
                let state = self.shared.state();
                let wanted = |state: &mut State| !state.is_idle();
                let waited = self.shared.changed.wait_timeout_while(state, LOOK, wanted);
                let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if state.is_idle() {
                    return !state.failed;
                }
                still = if state.moves == moves { still + LOOK } else { Duration::ZERO };
                moves = state.moves;
                if still >= self.patience.still {
                    state.fail(Failure::Stalled);
                    return false;
                }
                state.waiting
            };
            if !tick(left) {
                return false;
            }
        }
    }

    /// Forgets the files that wait and ends the thread; what was packed can still be taken. A thread that does not come to its
    /// end in time is left behind, and an error says so: no program can end a thread that waits for a disk.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let mut state = self.shared.state();
        state.stop = true;
        state.tasks.clear();
        self.shared.changed.notify_all();
        let wanted = |state: &mut State| !state.ended;
        let waited = self.shared.changed.wait_timeout_while(state, self.patience.ending, wanted);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            state.failed = true;
            return Err(Failure::Stalled);
        }
        drop(state);
        if thread.join().is_err() {
            tracing::warn!("the packer panicked");
        }
        Ok(())
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        if self.stop().is_err() {
            tracing::warn!("a thread that packs hangs and is left behind");
        }
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.failed || self.stop || (self.tasks.is_empty() && !self.busy)
    }

    fn fail(&mut self, failure: Failure) {
        self.failed = true;
        self.failure.get_or_insert(failure);
        self.tasks.clear();
        self.waiting = 0;
    }
}

/// Says that the thread is at its end, however it comes there.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

struct Work {
    shared: Arc<Shared>,
    folder: Utf8PathBuf,
    writer: Arc<Writer>,
    checkpoint: u64,
    pending: u64,
}

impl Work {
    fn run(mut self) {
        let _ending = Ending(self.shared.clone());
        lifeboat_repo::stand_back();
        while let Some(task) = self.next() {
            let packed = self.pack(task);
            let mut state = self.shared.state();
            state.busy = false;
            state.moves += 1;
            state.waiting = state.waiting.saturating_sub(task.span.size);
            match packed {
                Ok(packed) => state.done.push(packed),
                Err(_) if state.stop => {}
                Err(failure) => state.fail(failure),
            }
            self.shared.changed.notify_all();
        }
    }

    /// Waits for a file; makes durable what was packed when there is enough of it.
    fn next(&mut self) -> Option<Task> {
        if self.pending >= self.checkpoint {
            self.pending = 0;
            let packed = self.shared.state().done.len();
            let flushed = self.writer.flush();
            let mut state = self.shared.state();
            state.moves += 1;
            match flushed {
                // Some may have been taken meanwhile: never more than there are.
                Ok(()) => state.durable = packed.min(state.done.len()),
                Err(error) => state.fail(Failure::Repository(error)),
            }
        }
        let mut state = self.shared.state();
        loop {
            if state.stop {
                return None;
            }
            if let Some(task) = state.tasks.pop_front() {
                state.busy = true;
                self.pending += task.span.size;
                return Some(task);
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pack(&self, task: Task) -> Result<Packed, Failure> {
        let bytes = segments::open(&self.folder, task.span).map_err(Failure::Area)?;
        let stoppable = Stoppable { inner: bytes, shared: &self.shared };
        let mut reader = Checked::with_sha1(stoppable);
        let content = self.writer.store(&mut reader, None).map_err(|error| match error {
            RepoError::Source { source } => Failure::Area(source),
            error => Failure::Repository(error),
        })?;
        let passed = reader.passed();
        match passed.sha1 {
            Some(sha1) if (passed.size, passed.sum) == (task.span.size, task.sum) => {
                Ok(Packed { number: task.number, content, sha1 })
            }
            _ => Err(Failure::Damaged),
        }
    }
}

/// A reader that ends with an error when the thread is to end: a large file must not hold it up.
struct Stoppable<'a, R> {
    inner: R,
    shared: &'a Shared,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        {
            let mut state = self.shared.state();
            if state.stop {
                return Err(io::Error::other("the run ends"));
            }
            state.moves += 1;
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_repo::store::{FileKind, MemoryStore, PackSink, Store, StoreError};
    use lifeboat_repo::{Clock, FileId, Location, Repository, WriterOptions};

    use super::*;
    use crate::working_tree::segments::Segments;

    /// Packs two files, the second with this sum; returns the packer and the segments' folder.
    fn packed(root: &Utf8Path, sum: u32) -> (Packer, Segments, Repository) {
        let place = Location::from(root.join("repository"));
        let password = "a password".to_owned().into();
        let repository = Repository::init(&place, &password, &root.join("cache")).unwrap();
        let clock: Clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        let writer = Arc::new(repository.writer(&WriterOptions::new(clock)).unwrap());
        let mut segments = Segments::new(root.join("files")).unwrap();
        let packer = Packer::start(segments.folder(), writer, 1).unwrap();
        for (number, sum) in [(1, 0x3610_a686), (2, sum)] {
            segments.begin(false).unwrap();
            segments.write(b"hello").unwrap();
            let span = segments.finish(5, false).unwrap();
            packer.put(Task { number, span, sum });
        }
        (packer, segments, repository)
    }

    #[test]
    fn what_was_packed_is_told_once_and_made_durable_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let (mut packer, _segments, repository) =
            packed(Utf8Path::from_path(dir.path()).unwrap(), 0x3610_a686);
        assert!(packer.drain(&mut |_| true));
        assert_eq!(packer.waiting(), 0);
        // The thread makes durable what it packed before it ends.
        packer.stop().unwrap();
        let durable = packer.take_durable();
        let rest = packer.take_done();
        assert_eq!(durable.len() + rest.len(), 2);
        assert!(!durable.is_empty());
        for packed in durable {
            assert_eq!(repository.read(&packed.content).unwrap(), b"hello");
            assert_eq!(hex::encode(packed.sha1), "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        }
        assert!(packer.take_done().is_empty() && packer.failure().is_none());
    }

    #[test]
    fn bytes_that_the_disk_gives_back_wrong_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (packer, ..) = packed(Utf8Path::from_path(dir.path()).unwrap(), 7);
        assert!(!packer.drain(&mut |_| true));
        assert!(matches!(packer.failure(), Some(Failure::Damaged)));
        assert!(packer.failure().is_none() && packer.has_failed());
        assert_eq!(packer.take_done().len(), 1);
    }

    /// A storage that hangs as soon as a pack is begun, until it is let go.
    struct Hanging {
        inner: MemoryStore,
        gate: Arc<Gate>,
    }

    #[derive(Default)]
    struct Gate {
        /// Whether it is shut, and whether somebody stands before it.
        state: Mutex<(bool, bool)>,
        changed: Condvar,
    }

    impl Gate {
        fn set(&self, is_shut: bool) {
            *self.state.lock().unwrap() = (is_shut, false);
            self.changed.notify_all();
        }

        fn pass(&self) {
            let mut state = self.state.lock().unwrap();
            state.1 = true;
            self.changed.notify_all();
            drop(self.changed.wait_while(state, |(is_shut, _)| *is_shut).unwrap());
        }

        fn wait_for_somebody(&self) {
            let state = self.state.lock().unwrap();
            drop(self.changed.wait_while(state, |(_, somebody)| !*somebody).unwrap());
        }
    }

    impl Store for Hanging {
        fn location(&self) -> String {
            self.inner.location()
        }

        fn create(&self) -> Result<(), StoreError> {
            self.inner.create()
        }

        fn list(&self, kind: FileKind) -> Result<Vec<(FileId, u64)>, StoreError> {
            self.inner.list(kind)
        }

        fn read(&self, kind: FileKind, id: FileId) -> Result<Vec<u8>, StoreError> {
            self.inner.read(kind, id)
        }

        fn read_range(
            &self,
            kind: FileKind,
            id: FileId,
            offset: u64,
            length: usize,
        ) -> Result<Vec<u8>, StoreError> {
            self.inner.read_range(kind, id, offset, length)
        }

        fn write(&self, kind: FileKind, id: FileId, data: &[u8]) -> Result<(), StoreError> {
            self.inner.write(kind, id, data)
        }

        fn write_first(&self, kind: FileKind, id: FileId, data: &[u8]) -> Result<bool, StoreError> {
            self.inner.write_first(kind, id, data)
        }

        fn begin_pack(&self) -> Result<Box<dyn PackSink>, StoreError> {
            self.gate.pass();
            self.inner.begin_pack()
        }

        fn remove(&self, kind: FileKind, id: FileId) -> Result<(), StoreError> {
            self.inner.remove(kind, id)
        }

        fn unfinished(&self) -> Result<Vec<String>, StoreError> {
            self.inner.unfinished()
        }

        fn remove_unfinished(&self, names: &[String]) -> Result<(), StoreError> {
            self.inner.remove_unfinished(names)
        }
    }

    #[test]
    fn a_repository_that_hangs_ends_every_wait_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let gate = Arc::new(Gate::default());
        let store = Hanging { inner: MemoryStore::new(), gate: gate.clone() };
        let password = "a password".to_owned().into();
        let cache = root.join("cache");
        let repository = Repository::init_in(Arc::new(store), &password, &cache).unwrap();
        let clock: Clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        gate.set(true);
        // The repository itself would wait far longer.
        let options = WriterOptions {
            patience: Duration::from_mins(10),
            ..WriterOptions::new(clock.clone())
        };
        let writer = Arc::new(repository.writer(&options).unwrap());
        let mut segments = Segments::new(root.join("files")).unwrap();
        segments.begin(false).unwrap();
        segments.write(b"hello").unwrap();
        let span = segments.finish(5, false).unwrap();
        let patience = Patience { still: LOOK, ending: Duration::from_millis(20) };
        let mut packer =
            Packer::with_patience(segments.folder(), writer.clone(), 1, patience).unwrap();
        for number in [1, 2] {
            // What makes durable waits for the pack: the second file is never reached.
            packer.put(Task { number, span, sum: 0x3610_a686 });
        }
        gate.wait_for_somebody();
        assert!(!packer.drain(&mut |_| true));
        let failure = packer.failure().unwrap();
        assert!(matches!(failure, Failure::Stalled), "{failure:?}");
        let error = JobError::from(failure);
        assert_eq!((error.cause, error.fault()), (Cause::Disk, crate::Fault::Storage));
        assert!(matches!(packer.stop(), Err(Failure::Stalled)));
        // Nothing is waited for twice.
        drop(packer);
        gate.set(false);
        // What makes it durable goes on where it was.
        writer.flush().unwrap();
        drop(writer);

        gate.set(true);
        let options =
            WriterOptions { patience: Duration::from_millis(20), ..WriterOptions::new(clock) };
        let writer = repository.writer(&options).unwrap();
        writer.store(&b"another"[..], None).unwrap();
        for _ in 0..2 {
            let stalled = writer.flush().unwrap_err();
            assert!(
                matches!(stalled, RepoError::Stalled { .. } | RepoError::Stopped(_)),
                "{stalled:?}"
            );
        }
        drop(writer);
        gate.set(false);
    }
}
