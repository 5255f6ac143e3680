//! What the manifest of the base says of its files, as far as the next verification needs it: a few bytes a row.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::verify::{Freshness, INCOMPLETE};
use lifeboat_mobilesync::{EntryKind, FileId, ManifestDb, MbFile, Row};

use crate::error::{Cause, JobError};

/// How long a manifest on the local disk may take to be read, counted from when it is wanted.
const PATIENCE: Duration = Duration::from_mins(5);

/// Rows that are being read on a thread of their own.
pub(super) struct Reading {
    thread: JoinHandle<()>,
    rows: Receiver<Rows>,
}

impl Reading {
    /// Starts to read a manifest; the rows of `left_out` are of no use.
    pub(super) fn start(
        manifest: Utf8PathBuf,
        left_out: HashSet<FileId>,
    ) -> Result<Self, JobError> {
        Self::of(move || Rows::read(&manifest, &left_out))
    }

    fn of(read: impl FnOnce() -> Rows + Send + 'static) -> Result<Self, JobError> {
        let (tell, rows) = channel();
        let thread = std::thread::Builder::new().name("last manifest".into());
        let thread = thread.spawn(move || {
            lifeboat_repo::stand_back();
            // Nobody listens any more when the wait was given up.
            drop(tell.send(read()));
        });
        let thread = thread
            .map_err(|error| JobError::of(Cause::Internal, "cannot start a thread", &error))?;
        Ok(Self { thread, rows })
    }

    /// Waits for the rows. A thread that hangs is left behind: no program can end one that waits for a disk.
    pub(super) fn finish(self) -> Result<Rows, JobError> {
        self.finish_within(PATIENCE)
    }

    fn finish_within(self, patience: Duration) -> Result<Rows, JobError> {
        match self.rows.recv_timeout(patience) {
            Ok(rows) => {
                // It has nothing left to do.
                drop(self.thread.join());
                Ok(rows)
            }
            Err(RecvTimeoutError::Timeout) => {
                let message = "the disk of the working area does not answer";
                Err(JobError::new(Cause::Disk, message))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the last manifest could not be read to its end";
                Err(JobError::new(Cause::Internal, message))
            }
        }
    }
}

/// The rows of a manifest, by file ID; empty where it cannot be read.
#[derive(Default)]
pub(crate) struct Rows {
    /// SHA-1 of payloads: they were compared when the base was made.
    digests: HashMap<FileId, [u8; 20]>,
    marks: HashMap<FileId, Mark>,
    hasher: RandomState,
}

/// By what a device sees that a file changed (docs/protocol.md 7.3). Only hashes are kept: a large manifest has hundreds of
/// thousands of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// Of size, time, and whether the payload was what the row said.
    content: u64,
    /// Of the key, of an encrypted backup.
    key: u64,
    /// The low half of the inode.
    inode: u32,
}

impl Rows {
    /// Reads the rows of a manifest. Those of files that are not whole are left out.
    fn read(manifest: &Utf8Path, left_out: &HashSet<FileId>) -> Self {
        let mut rows = Self::default();
        // Without them the payloads are read and compared again.
        let read = ManifestDb::open(manifest).and_then(|db| {
            db.for_each(|row| {
                if row.kind == EntryKind::File && !left_out.contains(&row.file_id) {
                    rows.add(&row);
                }
            })
        });
        if let Err(error) = read {
            tracing::warn!(%error, "the last manifest cannot be read to its end");
        }
        rows
    }

    fn add(&mut self, row: &Row) {
        let Some(file) = &row.file else { return };
        let digest = file.digest.as_deref().and_then(|digest| digest.try_into().ok());
        // A payload that was excused is not what its digest says.
        if let Some(digest) = digest.filter(|_| row.flags & INCOMPLETE == 0) {
            self.digests.insert(row.file_id, digest);
        }
        let mark = self.mark(file, row.flags);
        self.marks.insert(row.file_id, mark);
    }

    fn mark(&self, file: &MbFile, flags: u32) -> Mark {
        let excused = flags & INCOMPLETE != 0;
        #[expect(clippy::cast_possible_truncation, reason = "half an inode tells it from another")]
        let inode = file.inode as u32;
        Mark {
            content: self.hasher.hash_one((file.size, file.modified, excused)),
            key: self.hasher.hash_one(&file.encryption_key),
            inode,
        }
    }

    /// Says whether the base's row of a file has the same wrapped key; not where it has no such row.
    pub(crate) fn has_key_of(&self, row: &Row) -> bool {
        let (Some(file), Some(then)) = (&row.file, self.marks.get(&row.file_id)) else {
            return false;
        };
        then.key == self.hasher.hash_one(&file.encryption_key)
    }

    /// Returns the digest of a payload of the base.
    pub(crate) fn digest(&self, id: &FileId) -> Option<[u8; 20]> {
        self.digests.get(id).copied()
    }

    /// Says whether the base's payload of a row can be what the row means, where nothing came for it.
    ///
    /// A device sends what has another size, time, inode or mode than in the last manifest (docs/protocol.md 7.3). Size and
    /// time speak for new content; an inode alone hardly does, the other metadata not at all. Where the row has a digest,
    /// the digest decides, and of a row that the last manifest did not have nobody knows.
    pub(crate) fn freshness(&self, row: &Row) -> Freshness {
        let Some(file) = row.file.as_ref().filter(|file| file.digest.is_none()) else {
            return Freshness::Current;
        };
        let Some(then) = self.marks.get(&row.file_id) else { return Freshness::Current };
        let now = self.mark(file, row.flags);
        match (then.content == now.content, then.inode == now.inode) {
            (true, true) => Freshness::Current,
            (true, false) => Freshness::NotSentAgain,
            (false, _) => Freshness::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(change: impl FnOnce(&mut MbFile)) -> Row {
        let mut file = MbFile {
            relative_path: "a.db".into(),
            mode: 0o100_644,
            size: 4096,
            modified: 1_700_000_000,
            inode: 77,
            ..MbFile::default()
        };
        change(&mut file);
        Row {
            file_id: FileId::of("AppDomain-a", "a.db"),
            domain: "AppDomain-a".into(),
            relative_path: "a.db".into(),
            flags: 1,
            kind: EntryKind::File,
            raw: Vec::new(),
            file: Some(file),
        }
    }

    fn after(then: &Row, now: &Row) -> Freshness {
        let mut rows = Rows::default();
        rows.add(then);
        rows.freshness(now)
    }

    #[test]
    fn size_and_time_speak_for_new_content_and_other_metadata_does_not() {
        let then = row(|_| {});
        let now = |change: fn(&mut MbFile)| after(&then, &row(change));
        assert_eq!(now(|_| {}), Freshness::Current);
        assert_eq!(now(|file| file.size = 8192), Freshness::Stale);
        assert_eq!(now(|file| file.modified += 1), Freshness::Stale);
        assert_eq!(now(|file| file.modified -= 86_400), Freshness::Stale, "put back by its owner");
        assert_eq!(now(|file| file.inode += 1), Freshness::NotSentAgain);
        for metadata in [
            |file: &mut MbFile| file.mode = 0o100_600,
            |file: &mut MbFile| file.changed += 5,
            |file: &mut MbFile| file.birth += 5,
            |file: &mut MbFile| file.protection_class = 4,
            |file: &mut MbFile| (file.uid, file.gid) = (0, 0),
            |file: &mut MbFile| file.flags = 128,
            |file: &mut MbFile| file.extended_attributes = Some(vec![1]),
        ] {
            assert_eq!(now(metadata), Freshness::Current);
        }
    }

    #[test]
    fn a_digest_decides_and_what_was_not_there_is_not_known() {
        let with_digest =
            |size: u64| row(move |file| (file.size, file.digest) = (size, Some(vec![1; 20])));
        assert_eq!(after(&row(|_| {}), &with_digest(9)), Freshness::Current);
        // A new row of a file whose domain has digests, written without one because nothing was sent.
        assert_eq!(after(&with_digest(9), &row(|_| {})), Freshness::Stale);
        // A domain that has no digests any more.
        assert_eq!(after(&with_digest(4096), &row(|_| {})), Freshness::Current);
        assert_eq!(Rows::default().freshness(&row(|_| {})), Freshness::Current);
        let unreadable = Row { file: None, ..row(|_| {}) };
        assert_eq!(after(&row(|_| {}), &unreadable), Freshness::Current);
    }

    #[test]
    fn what_hangs_is_left_behind() {
        let (keep, wait) = channel::<()>();
        let hung = Reading::of(move || {
            assert!(wait.recv().is_err());
            Rows::default()
        });
        let error = hung.unwrap().finish_within(Duration::from_millis(10)).err().unwrap();
        assert_eq!(error.cause, Cause::Disk);
        drop(keep);
        assert!(Reading::of(Rows::default).unwrap().finish_within(PATIENCE).is_ok());
    }

    #[test]
    fn a_row_of_another_key_is_told_apart() {
        let with_key = |byte| row(move |file| file.encryption_key = Some(vec![byte; 44]));
        let mut rows = Rows::default();
        rows.add(&with_key(1));
        assert!(rows.has_key_of(&with_key(1)));
        assert!(!rows.has_key_of(&with_key(2)) && !rows.has_key_of(&row(|_| {})));
        assert_eq!(
            rows.freshness(&with_key(2)),
            Freshness::Current,
            "it says nothing of the content"
        );
        assert!(!Rows::default().has_key_of(&with_key(1)));
    }

    #[test]
    fn what_was_excused_once_must_come() {
        let then = Row { flags: 1 | INCOMPLETE, ..row(|file| file.digest = Some(vec![1; 20])) };
        assert_eq!(after(&then, &row(|_| {})), Freshness::Stale);
        let mut rows = Rows::default();
        rows.add(&then);
        assert_eq!(rows.digest(&then.file_id), None);
    }
}
