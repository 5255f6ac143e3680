//! What the manifest of the base says of its files, as far as the next verification needs it: a few bytes a row.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io;

use camino::Utf8Path;
use lifeboat_mobilesync::verify::{Freshness, INCOMPLETE};
use lifeboat_mobilesync::{EntryKind, FileId, ManifestDb, MbFile, Row};

use super::area::private_file;

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
    /// The low half of the inode.
    inode: u32,
}

impl Rows {
    /// Reads the rows of a manifest, by way of a file on the local disk. Digests of files that are not whole are left out.
    pub(super) fn read(
        mut manifest: impl io::Read,
        scratch: &Utf8Path,
        damaged: &HashSet<FileId>,
    ) -> io::Result<Self> {
        io::copy(&mut manifest, &mut private_file(scratch)?)?;
        let mut rows = Self::default();
        // The last manifest of an encrypted backup is none that can be read: then all digests are compared again.
        let Ok(db) = ManifestDb::open(scratch) else { return Ok(rows) };
        let read = db.for_each(|row| {
            if row.kind == EntryKind::File && !damaged.contains(&row.file_id) {
                rows.add(&row);
            }
        });
        if let Err(error) = read {
            tracing::debug!(%error, "the last manifest cannot be read to its end");
        }
        Ok(rows)
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
        Mark { content: self.hasher.hash_one((file.size, file.modified, excused)), inode }
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
    fn what_was_excused_once_must_come() {
        let then = Row { flags: 1 | INCOMPLETE, ..row(|file| file.digest = Some(vec![1; 20])) };
        assert_eq!(after(&then, &row(|_| {})), Freshness::Stale);
        let mut rows = Rows::default();
        rows.add(&then);
        assert_eq!(rows.digest(&then.file_id), None);
    }
}
