//! The lock of a repository, as restic understands it.
//!
//! A lock is a sealed file in `locks/`. Writers and readers hold ordinary ones, side by side; whoever removes things holds an
//! exclusive one, alone. A holder writes its lock anew every five minutes; one that is older than half an hour, or
//! whose process on this machine is gone, is stale and removed by whoever meets it.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    error::RepoError,
    format::{
        file,
        hash::sha256,
        lock::{self, LockFile},
    },
    id::FileId,
    repository::Inner,
    store::{FileKind, StoreError},
};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How often a holder says that it is alive.
const REFRESH: Duration = Duration::from_mins(5);
/// How old the lock of a holder that is gone is, at least.
const STALE: SignedDuration = SignedDuration::from_mins(30);

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name of the machine.
    pub hostname: String,
    /// Process there.
    pub pid: u32,
    /// When it said last that it is alive.
    pub time: Timestamp,
    /// Whether nobody else may use the repository.
    pub exclusive: bool,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {} since {}", self.pid, self.hostname, self.time)
    }
}

/// A lock that is held. Dropping it gives it back.
pub(crate) struct Lock {
    shared: Arc<Shared>,
    refresher: Option<JoinHandle<()>>,
    /// The storage hangs: nothing is given back.
    is_left: bool,
}

struct Shared {
    repository: Arc<Inner>,
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    id: FileId,
    ended: bool,
}

impl Lock {
    /// Takes an ordinary lock. Returns it and whether somebody else holds one too.
    pub(crate) fn take(repository: &Arc<Inner>, clock: &Clock) -> Result<(Self, bool), RepoError> {
        others(repository, clock, None)?;
        let id = write(repository, clock)?;
        // Looked at again: of two who write at the same time at least one sees the other.
        let shared_with =
            others(repository, clock, Some(id)).inspect_err(|_| give_back(repository, id))?;
        let state = Mutex::new(State { id, ended: false });
        let shared = Arc::new(Shared {
            repository: Arc::clone(repository),
            clock: Arc::clone(clock),
            state,
            changed: Condvar::new(),
        });
        let refresher = std::thread::Builder::new().name("repository lock".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.keep_alive()
        });
        let refresher = refresher.map_err(|source| {
            give_back(repository, id);
            RepoError::io("start", "a thread", source)
        })?;
        Ok((Self { shared, refresher: Some(refresher), is_left: false }, shared_with > 0))
    }

    /// Takes an ordinary lock for reading. A repository that cannot be written to is read without one, unless somebody else
    /// has it alone: nobody removes anything from a medium that is read-only, and a full disk must not keep what is on it.
    pub(crate) fn take_to_read(
        repository: &Arc<Inner>,
        clock: &Clock,
    ) -> Result<Option<Self>, RepoError> {
        match Self::take(repository, clock) {
            Ok((lock, _)) => Ok(Some(lock)),
            Err(error) if is_not_writable(&error) => {
                tracing::info!(%error, "the repository cannot be written to and is read without a lock");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns what can look whether the lock still stands, on any thread.
    pub(crate) fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Leaves the lock where it is, for a storage that hangs: nothing is asked of it any more. The lock ends by itself.
    pub(crate) fn leave(&mut self) {
        self.is_left = true;
        // Whoever holds the state waits for the storage.
        if let Ok(mut state) = self.shared.state.try_lock() {
            state.ended = true;
        }
        self.shared.changed.notify_all();
        drop(self.refresher.take());
    }
}

/// Looks whether a lock still stands.
pub(crate) struct Watch(Arc<Shared>);

impl Watch {
    /// Makes sure that the lock still stands: nothing that it protects was removed meanwhile.
    pub(crate) fn verify(&self) -> Result<(), RepoError> {
        let state = self.0.state();
        match self.0.repository.store.read(FileKind::Lock, state.id) {
            Ok(_) => Ok(()),
            Err(StoreError::NotFound { .. }) => Err(RepoError::LockLost),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        if let Some(refresher) = self.refresher.take()
            && refresher.join().is_err()
        {
            tracing::warn!("the thread that kept the lock alive panicked");
        }
        give_back(&self.shared.repository, self.shared.state().id);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_alive(&self) {
        let mut state = self.state();
        while !state.ended {
            let (next, timeout) =
                self.changed.wait_timeout(state, REFRESH).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() && !state.ended {
                self.refresh(&mut state);
            }
        }
    }

    /// Writes the lock anew, then removes the old one. One that is gone is not brought back: the loss must be noticed.
    fn refresh(&self, state: &mut State) {
        let old = state.id;
        if matches!(
            self.repository.store.read(FileKind::Lock, old),
            Err(StoreError::NotFound { .. })
        ) {
            return;
        }
        match write(&self.repository, &self.clock) {
            Ok(new) => {
                state.id = new;
                give_back(&self.repository, old);
            }
            Err(error) => {
                tracing::warn!(%error, "the lock could not be refreshed; trying again in five minutes");
            }
        }
    }
}

/// Whether a lock could not be written because nothing can be.
fn is_not_writable(error: &RepoError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match error {
        RepoError::NoSpace { .. } => true,
        RepoError::Io { source, .. } => {
            matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem)
        }
        _ => false,
    }
}

fn give_back(repository: &Inner, id: FileId) {
    if let Err(error) = repository.store.remove(FileKind::Lock, id) {
        tracing::warn!(%error, "the lock could not be removed; it ends by itself after half an hour");
    }
}

fn write(repository: &Inner, clock: &Clock) -> Result<FileId, RepoError> {
    let ids = user();
    let lock = LockFile {
        time: clock(),
        exclusive: false,
        hostname: name_in_lock(),
        username: "lifeboat".into(),
        pid: std::process::id(),
        uid: ids.map(|(uid, _)| uid),
        gid: ids.map(|(_, gid)| gid),
    };
    let sealed = file::seal(&repository.key, &lock::encode(&lock));
    let id = FileId::new(sha256(&sealed));
    repository.store.write(FileKind::Lock, id, &sealed)?;
    Ok(id)
}

/// Looks at the locks of others: removes stale ones, refuses to go on beside an exclusive one, counts the rest.
fn others(repository: &Inner, clock: &Clock, own: Option<FileId>) -> Result<usize, RepoError> {
    let mut count = 0;
    for (id, _) in repository.store.list(FileKind::Lock)? {
        if Some(id) == own {
            continue;
        }
        let mut sealed = match repository.store.read(FileKind::Lock, id) {
            Ok(sealed) => sealed,
            // Given back after it was listed.
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let Ok(lock) =
            file::open(&repository.key, &mut sealed).and_then(|json| lock::decode(&json))
        else {
            tracing::warn!(%id, "a lock cannot be read and is passed over");
            continue;
        };
        if is_stale(&lock, clock()) {
            if let Err(error) = repository.store.remove(FileKind::Lock, id) {
                tracing::info!(%error, "a stale lock cannot be removed and is passed over");
            }
            continue;
        }
        if lock.exclusive {
            let LockFile { time, exclusive, hostname, pid, .. } = lock;
            return Err(RepoError::Locked { by: Holder { hostname, pid, time, exclusive } });
        }
        count += 1;
    }
    Ok(count)
}

/// What our locks say of this machine. Not its bare name: restic asks whether a process of its own machine lives by
/// sending it SIGHUP, which ends a program that does not expect it.
fn name_in_lock() -> String {
    format!("{} (lifeboat)", hostname())
}

fn is_here(name: &str) -> bool {
    name == hostname() || name == name_in_lock()
}

fn is_stale(lock: &LockFile, now: Timestamp) -> bool {
    now.duration_since(lock.time) > STALE || (is_here(&lock.hostname) && !is_alive(lock.pid))
}

#[cfg(unix)]
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Not being allowed to signal a process means that it is there.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_alive(_pid: u32) -> bool {
    true
}

#[cfg(unix)]
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn hostname() -> String {
    "unknown".into()
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there are none")]
fn user() -> Option<(u32, u32)> {
    Some((rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()))
}

#[cfg(not(unix))]
fn user() -> Option<(u32, u32)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(pid: u32, hostname: String, time: &str) -> LockFile {
        let time = time.parse().unwrap();
        LockFile {
            time,
            exclusive: true,
            hostname,
            username: String::new(),
            pid,
            uid: None,
            gid: None,
        }
    }

    #[test]
    fn what_is_stale() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let own = std::process::id();
        assert!(!is_stale(&lock(own, hostname(), "2026-11-22T11:31:00Z"), now));
        assert!(is_stale(&lock(own, hostname(), "2026-11-22T11:29:00Z"), now));
        assert!(!is_stale(&lock(4_000_000, "elsewhere".into(), "2026-11-22T11:59:00Z"), now));
        #[cfg(unix)]
        assert!(is_stale(&lock(i32::MAX.unsigned_abs(), hostname(), "2026-11-22T11:59:00Z"), now));
    }

    /// A repository in memory at noon, whose locks are counted.
    struct Noon {
        _cache: tempfile::TempDir,
        store: crate::store::MemoryStore,
        repository: crate::Repository,
        clock: Clock,
    }

    impl Noon {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let cache = camino::Utf8Path::from_path(folder.path()).unwrap();
            let store = crate::store::MemoryStore::new();
            let repository =
                crate::Repository::init_in(Arc::new(store.clone()), &"x".into(), cache).unwrap();
            let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
            Self { _cache: folder, store, repository, clock: Arc::new(move || now) }
        }

        fn put(&self, lock: &LockFile) {
            let inner = self.repository.inner();
            let sealed = file::seal(&inner.key, &lock::encode(lock));
            inner.store.write(FileKind::Lock, FileId::new(sha256(&sealed)), &sealed).unwrap();
        }

        fn count(&self) -> usize {
            self.repository.inner().store.list(FileKind::Lock).unwrap().len()
        }
    }

    #[test]
    fn an_exclusive_lock_is_honoured_and_a_stale_one_removed() {
        let noon = Noon::new();
        let (inner, clock) = (noon.repository.inner(), &noon.clock);

        noon.put(&lock(9, "elsewhere".into(), "2026-11-22T11:00:00Z"));
        let (first, shared) = Lock::take(inner, clock).unwrap();
        assert!(!shared);
        assert_eq!(noon.count(), 1, "the stale one is gone, ours is there");
        let (second, shared) = Lock::take(inner, clock).unwrap();
        assert!(shared, "two writers side by side");
        second.watch().verify().unwrap();
        first.shared.refresh(&mut first.shared.state());
        first.watch().verify().unwrap();
        assert_eq!(noon.count(), 2, "the old form of a lock goes when the new one is there");
        drop((first, second));
        assert_eq!(noon.count(), 0);

        noon.put(&lock(9, "elsewhere".into(), "2026-11-22T11:55:00Z"));
        let Err(RepoError::Locked { by }) = Lock::take(inner, clock) else {
            panic!("it is locked")
        };
        assert_eq!((by.hostname.as_str(), by.pid, by.exclusive), ("elsewhere", 9, true));
        assert_eq!(noon.count(), 1, "none of ours stays behind");
    }

    #[test]
    fn who_finds_another_alone_there_after_writing_its_own_lock_takes_that_back() {
        use crate::store::Store as _;
        let noon = Noon::new();
        let (inner, now) = (noon.repository.inner(), (noon.clock)());
        let other = lock::encode(&lock(9, "elsewhere".into(), "2026-11-22T11:55:00Z"));
        let other = file::seal(&inner.key, &other);
        let store = noon.store.clone();
        // Our own lock asks for the time when the first look is over: that is when the other one comes.
        let clock: Clock = Arc::new(move || {
            store.write(FileKind::Lock, FileId::new(sha256(&other)), &other).unwrap();
            now
        });
        assert!(matches!(Lock::take(inner, &clock), Err(RepoError::Locked { .. })));
        assert_eq!(noon.count(), 1, "none of ours stays behind");
    }

    #[test]
    fn what_cannot_be_written_to_is_read_without_a_lock_unless_somebody_has_it_alone() {
        let noon = Noon::new();
        let (inner, clock) = (noon.repository.inner(), &noon.clock);

        let reading = noon.repository.to_read(clock).unwrap();
        assert_eq!(noon.count(), 1);
        for (id, _) in inner.store.list(FileKind::Lock).unwrap() {
            inner.store.remove(FileKind::Lock, id).unwrap();
        }
        assert!(matches!(reading.verify_lock(), Err(RepoError::LockLost)));
        drop(reading);

        // A stale lock that nobody can remove there keeps nobody out.
        noon.put(&lock(9, "elsewhere".into(), "2026-11-22T11:00:00Z"));
        noon.store.fill_up();
        let reading = noon.repository.to_read(clock).unwrap();
        reading.verify_lock().unwrap();
        drop(reading);
        noon.store.heal();
        noon.put(&lock(9, "elsewhere".into(), "2026-11-22T11:55:00Z"));
        noon.store.fill_up();
        assert!(matches!(noon.repository.to_read(clock), Err(RepoError::Locked { .. })));
    }

    #[test]
    fn what_says_that_nothing_can_be_written() {
        use std::io::ErrorKind::{Other, PermissionDenied, ReadOnlyFilesystem, StorageFull};
        let failed = |kind: std::io::ErrorKind| RepoError::io("write", "x", kind.into());
        for kind in [PermissionDenied, ReadOnlyFilesystem, StorageFull] {
            assert!(is_not_writable(&failed(kind)), "{kind:?}");
        }
        assert!(!is_not_writable(&failed(Other)));
        assert!(!is_not_writable(&RepoError::LockLost));
    }
}
