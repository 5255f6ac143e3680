//! A consistent view of the disk for one backup.
//!
//! backupd reads from a snapshot of the file system and copies databases with their write-ahead log merged
//! (docs/format.md 1.7). The copy is page for page what a checkpoint would leave: an unchanged
//! database gives the same bytes again, a small change touches few pages.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::Connection;

use super::entry::{Content, Entry, Kind};
use super::media::BytesReader;
use super::{App, Container, Disk, DiskError, domains};

/// Folder of the merged copies, below the phone's folder.
const FOLDER: &str = "frozen";

/// Everything on the phone at one moment; it stays as it is while the phone lives on.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// All entries, by domain and path; parents before children.
    pub entries: Vec<Entry>,
    /// The apps installed.
    pub apps: Vec<App>,
    /// Where each container domain lies on the phone.
    pub containers: Vec<Container>,
    folder: Utf8PathBuf,
    // Held so that the copies stay on disk as long as somebody may read them.
    _copies: Vec<Arc<Copy>>,
}

/// A merged copy of a database. It is removed when a newer one has taken its place and nobody reads it any more.
#[derive(Debug)]
pub(crate) struct Copy {
    path: Utf8PathBuf,
    modified: i64,
    superseded: AtomicBool,
}

impl Drop for Copy {
    fn drop(&mut self) {
        if self.superseded.load(Ordering::Relaxed) {
            // A copy that cannot be removed only takes space until the next start.
            drop(fs_err::remove_file(&self.path));
        }
    }
}

/// Removes the copies of an earlier run.
pub(crate) fn clear(folder: &Utf8Path) -> Result<(), DiskError> {
    match fs_err::remove_dir_all(folder.join(FOLDER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

impl Disk {
    /// Freezes the disk for one backup.
    pub fn freeze(&mut self) -> Result<Frozen, DiskError> {
        let mut entries: Vec<Entry> = self.index.iter().cloned().collect();
        let mut copies = Vec::new();
        for entry in &mut entries {
            if let Content::File(source) = &entry.content {
                let copy = self.copy(entry.inode, entry.modified, source.clone())?;
                entry.size = fs_err::metadata(&copy.path)?.len();
                entry.content = Content::File(relative(&copy.path, &self.folder));
                copies.push(copy);
            }
        }
        Ok(Frozen {
            entries,
            apps: self.apps(),
            containers: self.containers(),
            folder: self.folder.clone(),
            _copies: copies,
        })
    }

    /// Returns the merged copy of a database, made anew only if the database has changed since the last one.
    fn copy(
        &mut self,
        inode: u64,
        modified: i64,
        source: Utf8PathBuf,
    ) -> Result<Arc<Copy>, DiskError> {
        if let Some(copy) = self.copies.get(&inode)
            && copy.modified == modified
        {
            return Ok(Arc::clone(copy));
        }
        let folder = self.folder.join(FOLDER);
        fs_err::create_dir_all(&folder)?;
        let path = folder.join(format!("{inode}-{modified}"));
        merge(&self.folder.join(source), &path)?;
        let copy = Arc::new(Copy { path, modified, superseded: AtomicBool::new(false) });
        if let Some(old) = self.copies.insert(inode, Arc::clone(&copy)) {
            old.superseded.store(true, Ordering::Relaxed);
        }
        Ok(copy)
    }
}

fn relative(path: &Utf8Path, folder: &Utf8Path) -> Utf8PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}

/// Copies a database and merges its write-ahead log into the copy.
fn merge(source: &Utf8Path, target: &Utf8Path) -> Result<(), DiskError> {
    fs_err::copy(source, target)?;
    let log = Utf8PathBuf::from(format!("{source}-wal"));
    if !log.exists() || fs_err::metadata(&log)?.len() == 0 {
        return Ok(());
    }
    fs_err::copy(&log, format!("{target}-wal"))?;
    let fail = DiskError::sqlite(target);
    let connection = Connection::open(target).map_err(&fail)?;
    connection.pragma_update(None, "synchronous", "OFF").map_err(&fail)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(&fail)?;
    // Closing the last connection removes the log and the shared memory file.
    connection.close().map_err(|(_, source)| fail(source))
}

impl Frozen {
    /// Opens the payload of an entry; directories and links have none and read as empty.
    pub fn open(&self, entry: &Entry) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &entry.content {
            Content::None | Content::Link => Box::new(io::empty()),
            Content::Bytes(bytes) => Box::new(BytesReader::new(Arc::clone(bytes))),
            Content::File(path) => Box::new(fs_err::File::open(self.folder.join(path))?),
            Content::Generated(file) => Box::new(file.reader()),
        })
    }

    /// Leaves the lists of calls and of visited web sites to encrypted backups.
    pub(crate) fn keep_history_for_encrypted(&mut self) {
        for entry in &mut self.entries {
            entry.only_encrypted |= domains::is_history(&entry.domain, &entry.relative_path);
        }
    }

    /// Returns the entries a backup takes: all, or all but those for encrypted backups only.
    pub fn taken(&self, encrypted: bool) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| encrypted || !entry.only_encrypted)
    }

    /// Returns number and bytes of the regular files a backup takes.
    pub fn totals(&self, encrypted: bool) -> (u64, u64) {
        self.taken(encrypted)
            .filter(|entry| entry.kind == Kind::File)
            .fold((0, 0), |(files, bytes), entry| (files + 1, bytes + entry.size))
    }
}
