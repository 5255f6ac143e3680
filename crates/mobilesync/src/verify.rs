//! Holds a manifest against the payloads that are there.
//!
//! A missing or wrong payload is damage: a device would refuse to restore. A payload that no row
//! names is waste, not damage. Differences in size are damage only where the recorded size can be
//! relied on, which is not the case for databases.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::file::{self, EntryKind, FileId};
use crate::manifest::Row;

/// The flag of a row whose file changed or went away while it was sent: its payload may be missing, or an old one
/// (docs/format.md 1.5).
pub const INCOMPLETE: u32 = 16;

/// Where payloads lie.
pub trait Payloads {
    /// Returns the stored size of a payload, if it is there.
    fn size(&self, id: &FileId) -> io::Result<Option<u64>>;

    /// Opens a payload as stored.
    fn open(&self, id: &FileId) -> io::Result<Box<dyn Read + '_>>;

    /// Names every payload that is there, with its size.
    fn each(&self, visit: &mut dyn FnMut(FileId, u64)) -> io::Result<()>;

    /// Returns the SHA-1 of a payload as stored, if it is known without reading it again.
    fn sha1(&self, _id: &FileId) -> io::Result<Option<[u8; 20]>> {
        Ok(None)
    }

    /// Says whether a payload that is there is the one that the row means, where anybody knows.
    fn freshness(&self, _row: &Row) -> io::Result<Freshness> {
        Ok(Freshness::Current)
    }
}

/// How a payload that is there stands to its row (docs/format.md 1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing speaks against it.
    Current,
    /// The row has another inode than in the last backup, the same size and time, and nothing was sent.
    NotSentAgain,
    /// The row has another size or time than in the last backup, and nothing was sent: the payload is the old one.
    Stale,
}

/// What is to be checked.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Payloads are encrypted: sizes are those of padded ciphertext, and every file needs a key.
    pub encrypted: bool,
    /// Compare digests, where the manifest has them.
    pub digests: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { encrypted: false, digests: true }
    }
}

/// What is wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The payload is not there.
    Missing,
    /// The payload is not there, or not as the row says, and the device said that this may be.
    KnownIncomplete,
    /// The payload is that of an earlier backup: the file changed since, and its new content did not come.
    Stale,
    /// The file was replaced by one of the same size and time, and not sent again.
    NotSentAgain,
    /// The payload has another size than it must have.
    Size {
        /// What the record says the payload should have.
        expected: u64,
        /// What the payload has.
        found: u64,
    },
    /// A database has another size than recorded, which is usual.
    DatabaseSize {
        /// What the record says.
        expected: u64,
        /// What the payload has.
        found: u64,
    },
    /// The payload has another digest than recorded.
    Digest,
    /// The payload could not be read.
    Unreadable(String),
    /// The record cannot be decoded.
    Record,
    /// The record has another path than the row.
    Path,
    /// The file ID is not that of domain and path.
    FileId,
    /// The path leaves its folder.
    Escapes,
    /// The folder that should hold it is not in the manifest.
    NoParent,
    /// The record says it is something else than the row says.
    Kind,
    /// A file in an encrypted backup has no usable key.
    NoKey,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Worth knowing, changes nothing.
    Note,
    /// Odd, but nothing is lost.
    Warning,
    /// Something is lost, or a restore would fail.
    Damage,
}

impl Problem {
    /// Returns how bad it is.
    pub const fn weight(&self) -> Weight {
        match self {
            Self::DatabaseSize { .. } | Self::KnownIncomplete | Self::NotSentAgain => Weight::Note,
            // IDs are made of names that file systems may have composed in another way.
            Self::FileId | Self::Path | Self::NoParent | Self::Kind | Self::Escapes => {
                Weight::Warning
            }
            Self::Missing
            | Self::Stale
            | Self::Size { .. }
            | Self::Digest
            | Self::Unreadable(_)
            | Self::Record
            | Self::NoKey => Weight::Damage,
        }
    }
}

/// A problem and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The row's file ID.
    pub file_id: FileId,
    /// The row's domain.
    pub domain: String,
    /// The row's path.
    pub relative_path: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows looked at.
    pub rows: u64,
    /// Rows of regular files.
    pub files: u64,
    /// Bytes of their payloads, as stored.
    pub bytes: u64,
    /// Digests that were compared and fit.
    pub digests: u64,
    /// Everything that was found, at most [`MOST_FINDINGS`] of each weight.
    pub findings: Vec<Finding>,
    /// How many notes, warnings and damages there are, listed or not.
    pub counts: [u64; 3],
    /// Payloads that no row names: waste.
    pub unreferenced: u64,
    /// Their bytes.
    pub unreferenced_bytes: u64,
}

/// How many findings of one weight a report lists.
pub const MOST_FINDINGS: u64 = 10_000;

impl Report {
    /// Says whether nothing is lost.
    pub const fn is_sound(&self) -> bool {
        self.damages() == 0
    }

    /// Returns how many damages there are.
    pub const fn damages(&self) -> u64 {
        let [_, _, damages] = self.counts;
        damages
    }

    fn add(&mut self, row: &Row, problem: Problem) {
        let [notes, warnings, damages] = &mut self.counts;
        let count = match problem.weight() {
            Weight::Note => notes,
            Weight::Warning => warnings,
            Weight::Damage => damages,
        };
        *count += 1;
        if *count <= MOST_FINDINGS {
            self.findings.push(Finding {
                file_id: row.file_id,
                domain: row.domain.clone(),
                relative_path: row.relative_path.clone(),
                problem,
            });
        }
    }
}

/// Checks row after row; rows may come in any order.
pub struct Verifier<'a> {
    payloads: &'a dyn Payloads,
    options: Options,
    report: Report,
    /// Payloads that rows name.
    named: HashSet<FileId>,
    directories: HashSet<FileId>,
    /// Folders that rows need, with one of the rows that needs it.
    needed: HashMap<FileId, Row>,
}

impl<'a> Verifier<'a> {
    /// Starts a verification.
    pub fn new(payloads: &'a dyn Payloads, options: Options) -> Self {
        Self {
            payloads,
            options,
            report: Report::default(),
            named: HashSet::new(),
            directories: HashSet::new(),
            needed: HashMap::new(),
        }
    }

    /// Checks one row.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        self.report.rows += 1;
        self.names(row);
        match row.kind {
            EntryKind::Directory => {
                self.directories.insert(row.file_id);
            }
            EntryKind::Symlink => {}
            EntryKind::File => self.file(row)?,
        }
        Ok(())
    }

    fn names(&mut self, row: &Row) {
        if !file::is_confined(&row.relative_path)
            || !file::is_confined(&row.domain)
            || row.domain.contains('/')
        {
            self.report.add(row, Problem::Escapes);
        }
        if FileId::of(&row.domain, &row.relative_path) != row.file_id {
            self.report.add(row, Problem::FileId);
        }
        if let Some(parent) = file::parent(&row.relative_path) {
            let parent = FileId::of(&row.domain, parent);
            if !self.directories.contains(&parent) {
                self.needed.entry(parent).or_insert_with(|| Row {
                    file: None,
                    raw: Vec::new(),
                    ..row.clone()
                });
            }
        }
        match &row.file {
            None => self.report.add(row, Problem::Record),
            Some(file) => {
                if file.relative_path != row.relative_path {
                    self.report.add(row, Problem::Path);
                }
                if file.kind().is_some_and(|kind| kind != row.kind) {
                    self.report.add(row, Problem::Kind);
                }
            }
        }
    }

    fn file(&mut self, row: &Row) -> io::Result<()> {
        self.report.files += 1;
        self.named.insert(row.file_id);
        let found = self.payloads.size(&row.file_id)?;
        self.report.bytes += found.unwrap_or(0);
        if row.flags & INCOMPLETE != 0 {
            // Whatever lies there is not what the device holds, and the device says so.
            self.report.add(row, Problem::KnownIncomplete);
            return Ok(());
        }
        let Some(found) = found else {
            self.report.add(row, Problem::Missing);
            return Ok(());
        };
        match self.payloads.freshness(row)? {
            Freshness::Current => {}
            Freshness::NotSentAgain => self.report.add(row, Problem::NotSentAgain),
            Freshness::Stale => {
                self.report.add(row, Problem::Stale);
                return Ok(());
            }
        }
        let Some(file) = &row.file else { return Ok(()) };
        if self.options.encrypted && file.encryption_key.as_ref().is_none_or(|key| key.len() != 44)
        {
            self.report.add(row, Problem::NoKey);
        }
        let expected = if self.options.encrypted {
            (file.size / 16 + 1).saturating_mul(16)
        } else {
            file.size
        };
        let empty = file.size == 0 && found == 0;
        // Some devices end a payload of whole blocks without padding (docs/format.md 2).
        let unpadded = self.options.encrypted && found == file.size && found.is_multiple_of(16);
        if found != expected && !empty && !unpadded {
            let problem = self.size_problem(row, expected, found)?;
            self.report.add(row, problem);
        }
        if self.options.digests
            && let Some(digest) = &file.digest
        {
            self.digest(row, digest)?;
        }
        Ok(())
    }

    /// Databases are copied and compacted by the device on their way: their size says nothing.
    fn size_problem(&self, row: &Row, expected: u64, found: u64) -> io::Result<Problem> {
        const SUFFIXES: [&str; 6] =
            [".db", ".sqlite", ".sqlite3", ".sqlitedb", ".storedata", ".store"];
        let database = if self.options.encrypted {
            SUFFIXES.iter().any(|suffix| row.relative_path.ends_with(suffix))
        } else {
            let mut magic = Vec::new();
            self.payloads.open(&row.file_id)?.take(16).read_to_end(&mut magic)?;
            magic == b"SQLite format 3\0"
        };
        Ok(if database {
            Problem::DatabaseSize { expected, found }
        } else {
            Problem::Size { expected, found }
        })
    }

    fn digest(&mut self, row: &Row, expected: &[u8]) -> io::Result<()> {
        let known = if expected.len() == 20 { self.payloads.sha1(&row.file_id)? } else { None };
        let found = if let Some(known) = known {
            known.to_vec()
        } else {
            let mut reader = self.payloads.open(&row.file_id)?;
            let read = if expected.len() == 32 {
                hash::<Sha256>(&mut reader)
            } else {
                hash::<Sha1>(&mut reader)
            };
            match read {
                Ok(digest) => digest,
                Err(error) => {
                    self.report.add(row, Problem::Unreadable(error.to_string()));
                    return Ok(());
                }
            }
        };
        if found == expected {
            self.report.digests += 1;
        } else {
            self.report.add(row, Problem::Digest);
        }
        Ok(())
    }

    /// Looks at what only shows at the end, and returns the report.
    pub fn finish(mut self) -> io::Result<Report> {
        let mut orphans: Vec<Row> = self
            .needed
            .drain()
            .filter(|(parent, _)| !self.directories.contains(parent))
            .map(|(_, row)| row)
            .collect();
        orphans.sort_by_key(|row| row.file_id);
        for row in orphans {
            self.report.add(&row, Problem::NoParent);
        }
        let (mut count, mut bytes) = (0, 0);
        let named = &self.named;
        self.payloads.each(&mut |id, size| {
            if !named.contains(&id) {
                count += 1;
                bytes += size;
            }
        })?;
        (self.report.unreferenced, self.report.unreferenced_bytes) = (count, bytes);
        Ok(self.report)
    }
}

/// Checks all rows of an unencrypted backup against its payloads, digests included.
pub fn verify<'r>(
    rows: impl IntoIterator<Item = &'r Row>,
    payloads: &dyn Payloads,
) -> io::Result<Report> {
    let mut verifier = Verifier::new(payloads, Options::default());
    for row in rows {
        verifier.row(row)?;
    }
    verifier.finish()
}

fn hash<D: Digest>(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut hash = D::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hash.finalize().to_vec()),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// Payloads in a backup folder: `hh/<id>`.
#[derive(Debug)]
pub struct Folder(pub camino::Utf8PathBuf);

impl Payloads for Folder {
    fn size(&self, id: &FileId) -> io::Result<Option<u64>> {
        match fs_err::symlink_metadata(self.0.join(id.path())) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, id: &FileId) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(fs_err::File::open(self.0.join(id.path()))?))
    }

    fn each(&self, visit: &mut dyn FnMut(FileId, u64)) -> io::Result<()> {
        for prefix in 0..=255_u8 {
            let folder = self.0.join(format!("{prefix:02x}"));
            let entries = match fs_err::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                if let Some(Ok(id)) = entry.file_name().to_str().map(str::parse::<FileId>) {
                    visit(id, entry.metadata()?.len());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
