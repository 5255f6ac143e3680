//! Opens the payloads of an encrypted backup, many at a time: decrypts them, proves that they can be made again, and stores the
//! plain text.
//!
//! The blobs of plain text are cut as those of any other file, so that an unchanged page is not stored twice. What cannot be made
//! again bit for bit stays as the device sent it, with the reason (`Why`).

use std::collections::HashMap;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::Utf8Path;
use lifeboat_mobilesync::crypto::Key;
use lifeboat_mobilesync::proof::{Flaw, Proof};
use lifeboat_mobilesync::verify::INCOMPLETE;
use lifeboat_mobilesync::{EntryKind, FileId, ManifestDb, ManifestError, Row};
use lifeboat_repo::{Content, RepoError, Repository, Writer};

use crate::error::{Cause, JobError};
use crate::job::Context;
use crate::keys::Keys;
use crate::working_tree::checked::Checked;
use crate::working_tree::segments::{self, Span};

/// How many payloads wait for a thread that opens them.
const WAITING: usize = 64;

/// Why a payload stays sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its row has no key.
    NoKey,
    /// The key of its row cannot be opened: damaged, or of a class that has no key.
    WrongKey,
    /// It was made with another key than its row has.
    OtherKey,
    /// What it decrypts to does not give it again.
    Flaw(Flaw),
    /// Its name cannot be a plain path.
    Name,
    /// No row of the manifest names it.
    NoRow,
}

impl Why {
    /// Returns the word for `lifeboat/about.json`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NoKey => "no-key",
            Self::WrongKey => "wrong-key",
            Self::OtherKey => "other-key",
            Self::Flaw(Flaw::Empty) => "empty",
            Self::Flaw(Flaw::Truncated) => "truncated",
            Self::Flaw(Flaw::Padding) => "padding",
            Self::Flaw(Flaw::Differs) => "differs",
            Self::Name => "name",
            Self::NoRow => "no-row",
        }
    }
}

/// What became of a payload.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// Its plain text is stored, and the payload can be made of it.
    Opened {
        /// The plain text.
        content: Content,
        /// SHA-1 of the payload as sent, where it was wanted.
        sha1: Option<[u8; 20]>,
    },
    /// It stays as it is.
    Sealed(Why),
}

/// What became of the payloads that are not plain text already.
pub(crate) type Fates = HashMap<FileId, Fate>;

/// Where a payload lies.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// In the working area, with its checksum.
    Local(Span, u32),
    /// In the repository, as sent.
    Stored(Content),
}

impl Source {
    fn size(&self) -> u64 {
        match self {
            Self::Local(span, _) => span.size,
            Self::Stored(content) => content.size,
        }
    }
}

/// What is to be done with the payload of a row.
pub(crate) enum Wanted {
    /// To open it.
    Open(Source),
    /// To leave it sealed.
    Seal(Why),
    /// Nothing: it is not there, or it is plain text already.
    Nothing,
}

/// A payload to open.
struct Task {
    id: FileId,
    source: Source,
    key: Key,
    /// Whether the manifest has a SHA-1 to compare.
    with_sha1: bool,
}

/// Opens payloads.
pub(crate) struct Opener<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) repository: Option<&'a Repository>,
    pub(crate) writer: &'a Writer,
    /// Where the segments of the working area lie.
    pub(crate) segments: &'a Utf8Path,
    pub(crate) keys: &'a Keys,
}

/// What the threads share.
struct Shared {
    fates: Mutex<Fates>,
    failure: Mutex<Option<JobError>>,
    stop: AtomicBool,
    bytes: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Opener<'_> {
    /// Opens the payloads of all rows of a manifest; `wanted` says of each what is to be done, `progress` is told the bytes that
    /// were read so far. Ends early where the job is stopped.
    pub(crate) fn open_all(
        &self,
        manifest: &ManifestDb,
        wanted: &mut dyn FnMut(&Row) -> Result<Wanted, JobError>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Fates, JobError> {
        let shared = Shared {
            fates: Mutex::default(),
            failure: Mutex::default(),
            stop: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
        };
        let (send, tasks) = sync_channel(WAITING);
        let tasks = Arc::new(Mutex::new(tasks));
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(4);
        let read = std::thread::scope(|scope| {
            for number in 0..threads {
                let thread = std::thread::Builder::new().name(format!("opener {number}"));
                let (tasks, shared) = (Arc::clone(&tasks), &shared);
                let work = move || self.work(&tasks, shared);
                if let Err(error) = thread.spawn_scoped(scope, work) {
                    // One is enough, and without any nobody takes what is sent.
                    if number == 0 {
                        drop(send);
                        return Err(JobError::of(Cause::Internal, "cannot start a thread", &error));
                    }
                    break;
                }
            }
            // Only the threads have it: what is sent fails when all of them have gone.
            drop(tasks);
            let mut failed = None;
            let each = |row: Row| {
                if failed.is_some() || shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                progress(shared.bytes.load(Ordering::Relaxed));
                match self.next(&row, wanted, &shared) {
                    Ok(Some(task)) => failed = send.send(task).err().map(|_| ended()),
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            };
            let read = manifest.for_each(each).map(drop).map_err(|error| manifest_error(&error));
            drop(send);
            failed.map_or(read, Err)
        });
        if let Some(failure) = locked(&shared.failure).take() {
            return Err(failure);
        }
        read?;
        self.ctx.go_on()?;
        progress(shared.bytes.load(Ordering::Relaxed));
        let fates = std::mem::take(&mut *locked(&shared.fates));
        Ok(fates)
    }

    /// Says what there is to open of a row.
    fn next(
        &self,
        row: &Row,
        wanted: &mut dyn FnMut(&Row) -> Result<Wanted, JobError>,
        shared: &Shared,
    ) -> Result<Option<Task>, JobError> {
        self.ctx.go_on()?;
        if row.kind != EntryKind::File {
            return Ok(None);
        }
        let seal = |why| {
            locked(&shared.fates).insert(row.file_id, Fate::Sealed(why));
            Ok(None)
        };
        let source = match wanted(row)? {
            Wanted::Open(source) => source,
            Wanted::Seal(why) => return seal(why),
            Wanted::Nothing => return Ok(None),
        };
        let Some(file) = &row.file else { return seal(Why::NoKey) };
        let Some(wrapped) = &file.encryption_key else { return seal(Why::NoKey) };
        let Ok(key) = self.keys.open(wrapped) else { return seal(Why::WrongKey) };
        // With padding it would be longer, whatever its last bytes look like.
        if source.size() > 0 && source.size() == file.size {
            return seal(Why::Flaw(Flaw::Padding));
        }
        let excused = row.flags & INCOMPLETE != 0;
        let with_sha1 = !excused && file.digest.as_ref().is_some_and(|digest| digest.len() == 20);
        Ok(Some(Task { id: row.file_id, source, key, with_sha1 }))
    }

    fn work(&self, tasks: &Mutex<Receiver<Task>>, shared: &Shared) {
        loop {
            // The lock is held while one waits: the others wait behind it.
            let task = locked(tasks).recv();
            let Ok(task) = task else { return };
            if shared.stop.load(Ordering::Relaxed) {
                continue;
            }
            match self.open(&task, shared) {
                Ok(fate) => drop(locked(&shared.fates).insert(task.id, fate)),
                Err(error) => {
                    shared.stop.store(true, Ordering::Relaxed);
                    locked(&shared.failure).get_or_insert(error);
                }
            }
        }
    }

    fn open(&self, task: &Task, shared: &Shared) -> Result<Fate, JobError> {
        let bytes: Box<dyn Read> = match (&task.source, self.repository) {
            (Source::Local(span, _), _) => {
                Box::new(segments::open(self.segments, *span).map_err(|error| area_error(&error))?)
            }
            (Source::Stored(content), Some(repository)) => Box::new(repository.reader(content)?),
            (Source::Stored(_), None) => {
                return Err(JobError::new(Cause::Internal, "a payload lies in no repository"));
            }
        };
        let bytes = Watched { inner: bytes, ctx: self.ctx, shared };
        let checked = if task.with_sha1 { Checked::with_sha1(bytes) } else { Checked::new(bytes) };
        let mut proof = Proof::new(&task.key, checked);
        let content = match self.writer.store(&mut proof, None) {
            Ok(content) => content,
            Err(RepoError::Source { source }) => {
                return match (Flaw::of(&source), &task.source) {
                    (Some(flaw), _) => Ok(Fate::Sealed(Why::Flaw(flaw))),
                    (None, _) if self.ctx.cancel.is_cancelled() => Err(JobError::interrupted()),
                    (None, Source::Local(..)) => Err(area_error(&source)),
                    (None, Source::Stored(_)) => {
                        Err(crate::view::unreadable(&task.id.to_string(), source))
                    }
                };
            }
            Err(error) => return Err(error.into()),
        };
        let passed = proof.into_inner().passed();
        let is_whole = match task.source {
            Source::Local(span, sum) => (passed.size, passed.sum) == (span.size, sum),
            Source::Stored(_) => passed.size == task.source.size(),
        };
        if !is_whole {
            return Err(JobError::new(Cause::Disk, "a file in the working area has lost bytes"));
        }
        Ok(Fate::Opened { content, sha1: passed.sha1 })
    }
}

fn ended() -> JobError {
    JobError::new(Cause::Internal, "the threads that open files have ended")
}

fn area_error(error: &io::Error) -> JobError {
    JobError::of(Cause::Disk, "a received file cannot be read back", error)
}

pub(crate) fn manifest_error(error: &ManifestError) -> JobError {
    JobError::of(Cause::VerifyFailed, "Manifest.db cannot be read", error)
}

/// Counts what is read, and ends where the job or another thread does: a large file must not hold it up.
struct Watched<'a, R> {
    inner: R,
    ctx: &'a Context,
    shared: &'a Shared,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ctx.cancel.is_cancelled() || self.shared.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the job ends"));
        }
        let count = self.inner.read(buffer)?;
        self.shared.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
