//! What the phone keeps for itself: the folder of the running job, by whose journal the next try goes on, and copies of
//! the control files it sent in the last run.
//!
//! ```text
//! backupd/running/<UUID>/confirmed    files the host has confirmed, one record each
//! backupd/running/<UUID>/Manifest.db  the manifest being made
//! backupd/sent/                       Status.plist, Manifest.plist, Manifest.db, files.txt of the last run
//! ```

use std::collections::HashMap;
use std::io::{self, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::{FileId, MbFile};

/// The length of a wrapped key with its class.
const KEY: usize = 44;

/// A file that the host has confirmed: what it was then, how long its payload is, its digest and its key if it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confirmed {
    pub(super) size: u64,
    pub(super) modified: i64,
    pub(super) inode: u64,
    pub(super) mode: u32,
    /// Bytes of the payload as sent.
    pub(super) stored: u64,
    pub(super) digest: Option<[u8; 20]>,
    /// In an encrypted backup: class and wrapped key.
    pub(super) key: Option<[u8; KEY]>,
}

/// Confirmed files by ID.
pub(super) type Journal = HashMap<FileId, Confirmed>;

/// ID, size, time, inode, mode, bytes of the payload, and each with a flag the digest and the key.
const RECORD: usize = 20 + 8 + 8 + 8 + 4 + 8 + 1 + 20 + 1 + KEY;

impl Confirmed {
    pub(super) fn of(file: &MbFile, stored: u64) -> Self {
        Self {
            stored,
            size: file.size,
            modified: file.modified,
            inode: file.inode,
            mode: file.mode,
            digest: file.digest.as_deref().and_then(|digest| digest.try_into().ok()),
            key: file.encryption_key.as_deref().and_then(|key| key.try_into().ok()),
        }
    }

    /// Whether the file is still what it was.
    pub(super) fn is_still(&self, file: &MbFile) -> bool {
        (self.size, self.modified, self.inode, self.mode)
            == (file.size, file.modified, file.inode, file.mode)
    }

    fn encode(&self, id: &FileId) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        let mut rest = record.as_mut_slice();
        let digest = self.digest.unwrap_or_default();
        let key = self.key.unwrap_or([0; KEY]);
        for part in [
            id.as_bytes().as_slice(),
            &self.size.to_be_bytes(),
            &self.modified.to_be_bytes(),
            &self.inode.to_be_bytes(),
            &self.mode.to_be_bytes(),
            &self.stored.to_be_bytes(),
            &[u8::from(self.digest.is_some())],
            &digest,
            &[u8::from(self.key.is_some())],
            &key,
        ] {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        record
    }

    fn decode(record: &[u8; RECORD]) -> (FileId, Self) {
        let mut rest = record.as_slice();
        let id = FileId::from_bytes(take(&mut rest));
        let size = u64::from_be_bytes(take(&mut rest));
        let modified = i64::from_be_bytes(take(&mut rest));
        let inode = u64::from_be_bytes(take(&mut rest));
        let mode = u32::from_be_bytes(take(&mut rest));
        let stored = u64::from_be_bytes(take(&mut rest));
        let [digested] = take(&mut rest);
        let digest = Some(take(&mut rest)).filter(|_| digested == 1);
        let [encrypted] = take(&mut rest);
        let key = Some(take(&mut rest)).filter(|_| encrypted == 1);
        (id, Self { size, modified, inode, mode, stored, digest, key })
    }
}

/// The journal of a job.
const CONFIRMED: &str = "confirmed";

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (part, behind) = rest.split_first_chunk::<N>().expect("a record has room for its parts");
    *rest = behind;
    *part
}

/// The phone's own folder for backups.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    root: Utf8PathBuf,
}

impl Cache {
    pub(super) fn open(phone: &Utf8Path) -> io::Result<Self> {
        let root = phone.join("backupd");
        fs_err::create_dir_all(root.join("running"))?;
        fs_err::create_dir_all(root.join("sent"))?;
        Ok(Self { root })
    }

    /// Returns the folder of the job with this UUID.
    pub(super) fn running(&self, uuid: &str) -> Utf8PathBuf {
        self.root.join("running").join(uuid)
    }

    /// Returns the folder of what was sent in the last run.
    pub(super) fn sent(&self) -> Utf8PathBuf {
        self.root.join("sent")
    }

    /// Returns a file for something fetched from the host.
    pub(super) fn fetched(&self, name: &str) -> Utf8PathBuf {
        self.root.join(format!("fetched-{name}"))
    }

    /// Forgets what was sent in the last run.
    pub(super) fn clear_sent(&self) -> io::Result<()> {
        fs_err::remove_dir_all(self.sent())?;
        fs_err::create_dir_all(self.sent())
    }

    /// Forgets all jobs: the last one came to its end.
    pub(super) fn clear_running(&self) -> io::Result<()> {
        fs_err::remove_dir_all(self.root.join("running"))?;
        fs_err::create_dir_all(self.root.join("running"))
    }

    /// Returns what the host confirmed in the job with this UUID; nothing when the phone knows of no such job.
    pub(super) fn journal(&self, uuid: &str) -> io::Result<Option<Journal>> {
        let bytes = match fs_err::read(self.running(uuid).join(CONFIRMED)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A record that was being written when the phone stopped does not count.
        let (records, _) = bytes.as_chunks::<RECORD>();
        Ok(Some(records.iter().map(Confirmed::decode).collect()))
    }

    /// Returns what hosts confirmed in any job that did not come to its end.
    pub(super) fn all_journals(&self) -> io::Result<Journal> {
        let mut all = Journal::new();
        for folder in fs_err::read_dir(self.root.join("running"))? {
            if let Some(uuid) = folder?.file_name().to_str()
                && let Some(journal) = self.journal(uuid)?
            {
                all.extend(journal);
            }
        }
        Ok(all)
    }

    /// Remembers files the host has confirmed, each with the bytes of its payload.
    pub(super) fn confirm<'f>(
        &self,
        uuid: &str,
        files: impl Iterator<Item = (&'f FileId, &'f MbFile, u64)>,
    ) -> io::Result<()> {
        let records: Vec<u8> =
            files.flat_map(|(id, file, stored)| Confirmed::of(file, stored).encode(id)).collect();
        let path = self.running(uuid).join(CONFIRMED);
        fs_err::OpenOptions::new().create(true).append(true).open(path)?.write_all(&records)
    }

    /// Keeps a copy of a control file that is being sent.
    pub(super) fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs_err::write(self.sent().join(name), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_comes_back_and_a_torn_record_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(Utf8Path::from_path(folder.path()).unwrap()).unwrap();
        assert_eq!(cache.journal("x").unwrap(), None);
        fs_err::create_dir_all(cache.running("x")).unwrap();
        let file = MbFile { size: 5, modified: -1, inode: 7, mode: 0o644, ..MbFile::default() };
        let digested = MbFile {
            digest: Some(vec![9; 20]),
            encryption_key: Some(vec![8; KEY]),
            ..file.clone()
        };
        let ids = [FileId::of("a", "b"), FileId::of("a", "c")];
        let files = ids.iter().zip([&file, &digested]).map(|(id, file)| (id, file, 16));
        cache.confirm("x", files).unwrap();
        let path = cache.running("x").join(CONFIRMED);
        let mut bytes = fs_err::read(&path).unwrap();
        bytes.extend([0; RECORD - 1]);
        fs_err::write(&path, bytes).unwrap();
        let journal = cache.journal("x").unwrap().unwrap();
        assert_eq!(journal.len(), 2);
        assert_eq!((journal[&ids[1]].digest, journal[&ids[1]].stored), (Some([9; 20]), 16));
        assert_eq!((journal[&ids[0]].key, journal[&ids[1]].key), (None, Some([8; KEY])));
        assert!(journal[&ids[0]].is_still(&digested));
        assert!(!journal[&ids[0]].is_still(&MbFile { size: 6, ..file }));
        assert_eq!(cache.all_journals().unwrap(), journal);
        cache.clear_running().unwrap();
        assert_eq!(cache.all_journals().unwrap().len(), 0);
    }
}
