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
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Repository(error) => error.into(),
            Failure::Area(error) => {
                Self::of(Cause::Disk, "a received file cannot be read back", &error)
            }
            Failure::Damaged => Self::new(Cause::Disk, "a file in the working area has lost bytes"),
        }
    }
}

/// Packs in the background. Dropping it ends the thread after the file at hand.
pub(crate) struct Packer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
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
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let work = Work {
            shared: shared.clone(),
            folder: folder.to_owned(),
            writer,
            checkpoint,
            pending: 0,
        };
        let thread = std::thread::Builder::new().name("packer".into()).spawn(move || work.run())?;
        Ok(Self { shared, thread: Some(thread) })
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
    /// Returns whether all are packed.
    pub(crate) fn drain(&self, tick: &mut dyn FnMut(u64) -> bool) -> bool {
        loop {
            let left = {
                let state = self.shared.state();
                let wanted = |state: &mut State| !state.is_idle();
                let waited = self.shared.changed.wait_timeout_while(state, LOOK, wanted);
                let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if state.is_idle() {
                    return !state.failed;
                }
                state.waiting
            };
            if !tick(left) {
                return false;
            }
        }
    }

    /// Forgets the files that wait and ends the thread; what was packed can still be taken.
    pub(crate) fn stop(&mut self) {
        {
            let mut state = self.shared.state();
            state.stop = true;
            state.tasks.clear();
            self.shared.changed.notify_all();
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!("the packer panicked");
        }
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.stop();
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

struct Work {
    shared: Arc<Shared>,
    folder: Utf8PathBuf,
    writer: Arc<Writer>,
    checkpoint: u64,
    pending: u64,
}

impl Work {
    fn run(mut self) {
        lifeboat_repo::stand_back();
        while let Some(task) = self.next() {
            let packed = self.pack(task);
            let mut state = self.shared.state();
            state.busy = false;
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
        if self.shared.state().stop {
            return Err(io::Error::other("the run ends"));
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_repo::{Clock, Location, Repository, WriterOptions};

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
        packer.stop();
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
}
