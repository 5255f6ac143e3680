//! Puts files, directories, links and databases on the disk, with the metadata a phone would give them.

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::entry::{Content, Entry, Kind};
use super::index::Index;
use super::media::{Generated, Shape};
use super::prng::Rng;
use super::profile::{Amounts, Profile};
use super::{DiskError, Ios};

/// Seconds from 1970 to 2001, the epoch of Apple's frameworks.
pub(crate) const COCOA: i64 = 978_307_200;

/// A day in seconds.
pub(crate) const DAY: i64 = 86_400;

/// Folder of the databases, below the phone's folder.
const DATABASES: &str = "databases";

/// New content ends this long before now: dates on the phone lie before the present, and a file that changes again
/// within the same second can still get a later time.
const REST: i64 = 60;

/// What all parts of the content need to make theirs.
pub(crate) struct Maker<'a> {
    folder: &'a Utf8Path,
    index: &'a mut Index,
    pub(crate) seed: u64,
    pub(crate) ios: Ios,
    pub(crate) amounts: &'static Amounts,
    /// The period the content is from, Unix seconds: two years for a new phone, the days lived after that.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Whether the phone exists already: then a directory that gets a new entry gets a new time, too.
    lived_in: bool,
    times: Rng,
    next_inode: u64,
    next_id: u64,
}

impl<'a> Maker<'a> {
    /// Returns the maker of a new phone.
    pub(crate) fn new(
        folder: &'a Utf8Path,
        index: &'a mut Index,
        profile: Profile,
        seed: u64,
        ios: Ios,
        now: i64,
    ) -> Self {
        let end = now - REST;
        let amounts = profile.amounts();
        let times = Rng::new(seed, "times");
        Self {
            folder,
            index,
            seed,
            ios,
            amounts,
            start: end - 730 * DAY,
            end,
            lived_in: false,
            times,
            // As seen on phones: small numbers belong to the system image, and some are above 2^32.
            next_inode: 4_294_960_000,
            next_id: 1,
        }
    }

    /// Returns the maker of `days` that end now, on a phone that exists.
    pub(crate) fn resume(
        folder: &'a Utf8Path,
        index: &'a mut Index,
        profile: Profile,
        seed: u64,
        ios: Ios,
        (days, now): (u32, i64),
    ) -> Result<Self, DiskError> {
        let number = |key: &'static str| -> Result<u64, DiskError> {
            let text = index.property(key)?.ok_or(DiskError::Property(key))?;
            text.parse().map_err(|_| DiskError::Property(key))
        };
        let (next_inode, next_id) = (number("next-inode")?, number("next-id")?);
        let mut maker = Self::new(folder, index, profile, seed, ios, now);
        maker.lived_in = true;
        maker.start = maker.end - i64::from(days) * DAY;
        (maker.next_inode, maker.next_id) = (next_inode, next_id);
        maker.times = Rng::new(seed, &format!("times {next_id}"));
        Ok(maker)
    }

    /// Keeps the counters for the next time.
    pub(crate) fn finish(self) -> Result<(), DiskError> {
        self.index.set_property("next-inode", &self.next_inode.to_string())?;
        self.index.set_property("next-id", &self.next_id.to_string())
    }

    /// Returns the files of a domain whose path begins with `prefix`.
    pub(crate) fn paths(&self, domain: &str, prefix: &str) -> Vec<String> {
        self.index
            .domain(domain)
            .filter(|entry| entry.kind == Kind::File && entry.relative_path.starts_with(prefix))
            .map(|entry| entry.relative_path.clone())
            .collect()
    }

    /// Returns the content of a file.
    pub(crate) fn content(&self, domain: &str, path: &str) -> Option<&Content> {
        self.index.get(domain, path).map(|entry| &entry.content)
    }

    /// Returns number and bytes of the regular files so far.
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.index
            .iter()
            .filter(|entry| entry.kind == Kind::File)
            .fold((0, 0), |(files, bytes), entry| (files + 1, bytes + entry.size))
    }

    /// Makes a directory, its parents and the root row of its domain, as far as they do not exist yet.
    pub(crate) fn directory(&mut self, domain: &str, path: &str) -> &mut Entry {
        if self.index.get(domain, path).is_none() {
            if let Some(parent) = parent(path) {
                self.directory(domain, parent);
            }
            let mut entry = Entry::new(domain, path, Kind::Directory, Content::None);
            if domain == "HomeDomain" && path.is_empty() {
                entry.permissions(0o711);
            }
            return self.place(entry);
        }
        self.index.change(domain, path).expect("looked up just now")
    }

    /// Makes a file with its directories.
    pub(crate) fn file(&mut self, domain: &str, path: &str, content: Content) -> &mut Entry {
        self.parents(domain, path);
        let mut entry = Entry::new(domain, path, Kind::File, content);
        entry.size = length(&entry.content);
        self.place(entry)
    }

    /// Makes a file of generated bytes.
    pub(crate) fn generated(
        &mut self,
        domain: &str,
        path: &str,
        shape: Shape,
        length: u64,
    ) -> &mut Entry {
        let content = self.fresh(shape, length);
        self.file(domain, path, content)
    }

    /// Returns generated content that nothing else on the phone has.
    pub(crate) fn fresh(&mut self, shape: Shape, length: u64) -> Content {
        let id = self.next_id;
        self.next_id += 1;
        Content::Generated(Generated { seed: self.seed, id, length, shape })
    }

    /// Makes a symbolic link with its directories.
    pub(crate) fn link(&mut self, domain: &str, path: &str, target: &str) -> &mut Entry {
        self.parents(domain, path);
        let mut entry = Entry::new(domain, path, Kind::Symlink, Content::Link);
        entry.target = Some(target.to_owned());
        self.place(entry)
    }

    /// Makes `path` another name of the file `original`.
    pub(crate) fn hard_link(&mut self, domain: &str, path: &str, original: &str) {
        self.parents(domain, path);
        if let Some(mut entry) = self.index.get(domain, original).cloned() {
            path.clone_into(&mut entry.relative_path);
            self.index.put(entry);
        }
    }

    /// Gives an existing file new content; it keeps its inode and birth, and its time moves on. One that says the same already is
    /// left alone: two days that end within one second write the same settings.
    pub(crate) fn rewrite(&mut self, domain: &str, path: &str, content: Content) {
        if self.index.get(domain, path).is_some_and(|entry| entry.content == content) {
            return;
        }
        let size = length(&content);
        let end = self.end;
        if let Some(entry) = self.index.change(domain, path) {
            entry.size = size;
            entry.content = content;
            touch(entry, end);
        }
    }

    /// Removes a file; the directory it was in gets a new time.
    pub(crate) fn remove(&mut self, domain: &str, path: &str) {
        if self.index.remove(domain, path).is_some() {
            self.touch_parent(domain, path);
        }
    }

    fn touch_parent(&mut self, domain: &str, path: &str) {
        let end = self.end;
        if let Some(parent) = parent(path)
            && let Some(directory) = self.index.change(domain, parent)
            && directory.modified < end
        {
            touch(directory, end);
        }
    }

    fn parents(&mut self, domain: &str, path: &str) {
        if let Some(parent) = parent(path) {
            self.directory(domain, parent);
        }
    }

    fn place(&mut self, mut entry: Entry) -> &mut Entry {
        if self.lived_in {
            self.touch_parent(&entry.domain, &entry.relative_path);
        }
        entry.inode = self.next_inode;
        self.next_inode += 1;
        let time = self.times.between(self.start, self.end);
        entry.dated(time);
        if entry.kind == Kind::File {
            let modified = self.times.between(time, self.end);
            (entry.modified, entry.changed) = (modified, modified);
        }
        self.index.put(entry)
    }

    /// Makes a database: `fill` runs in one transaction without a journal, then the file is put into write-ahead mode.
    pub(crate) fn database(
        &mut self,
        domain: &str,
        path: &str,
        fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<&mut Entry, DiskError> {
        let file = Utf8PathBuf::from(format!("{DATABASES}/{domain}/{path}"));
        let place = self.folder.join(&file);
        if let Some(parent) = place.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let size = fill_new(&place, fill).map_err(DiskError::sqlite(&place))?;
        self.parents(domain, path);
        let mut entry = Entry::new(domain, path, Kind::File, Content::File(file));
        entry.size = size;
        // Important databases are of class 4, whatever the class of their domain (docs/format.md 1.7).
        entry.class(4);
        let end = self.end;
        let entry = self.place(entry);
        (entry.modified, entry.changed) = (end, end);
        Ok(entry)
    }

    /// Changes a database through SQL in one transaction. Whether the write-ahead log is then checkpointed depends
    /// on the phone's mood, as on a real one; a phone that has no such database lets it be.
    pub(crate) fn change(
        &mut self,
        domain: &str,
        path: &str,
        change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), DiskError> {
        let Some(entry) = self.index.get(domain, path) else { return Ok(()) };
        let Content::File(file) = &entry.content else { return Ok(()) };
        let place = self.folder.join(file);
        let checkpoint = self.times.chance(50);
        let size = fill_old(&place, checkpoint, change).map_err(DiskError::sqlite(&place))?;
        let end = self.end;
        if let Some(entry) = self.index.change(domain, path) {
            entry.size = size;
            touch(entry, end);
        }
        Ok(())
    }
}

/// Moves the time of change on: to `end`, or one second past the last change if that was later.
fn touch(entry: &mut Entry, end: i64) {
    let time = end.max(entry.modified + 1);
    (entry.modified, entry.changed) = (time, time);
}

/// Returns the length of what is not a database; a database says its own.
fn length(content: &Content) -> u64 {
    match content {
        Content::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        Content::Generated(file) => file.length,
        Content::File(_) | Content::None | Content::Link => 0,
    }
}

fn parent(path: &str) -> Option<&str> {
    if path.is_empty() {
        return None;
    }
    Some(path.rsplit_once('/').map_or("", |(parent, _)| parent))
}

fn fill_new(
    place: &Utf8Path,
    fill: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<u64> {
    let connection = Connection::open(place)?;
    connection.execute_batch("PRAGMA page_size = 4096; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;")?;
    connection.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    connection.execute_batch("BEGIN")?;
    fill(&connection)?;
    connection.execute_batch("COMMIT")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    let size = size(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(size)
}

fn fill_old(
    place: &Utf8Path,
    checkpoint: bool,
    change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<u64> {
    let connection = Connection::open(place)?;
    // An app that runs keeps its log; closing the last connection would fold it in.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
    change(&connection)?;
    connection.execute_batch("COMMIT")?;
    if checkpoint {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    let size = size(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(size)
}

/// Returns the length the database has once its log is merged.
fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok((pages * page).unsigned_abs())
}
