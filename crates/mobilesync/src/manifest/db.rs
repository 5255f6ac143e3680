//! `Manifest.db`, read without ever changing it or trusting it.

use std::io::Read as _;

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{ManifestError, OLD_NAME};
use crate::file::{EntryKind, FileId, MbFile};

/// The longest domain or path that is looked at.
const LONGEST_TEXT: usize = 4096;
/// The largest record that is kept.
const LARGEST_RECORD: usize = 256 << 10;

/// One row of the table `Files`.
#[derive(Debug, Clone)]
pub struct Row {
    /// Names the payload.
    pub file_id: FileId,
    /// The domain.
    pub domain: String,
    /// The path inside the domain; empty for the domain's root.
    pub relative_path: String,
    /// The column as it is, working bits included.
    pub flags: u32,
    /// What the row stands for: by `flags`, else by the record's mode.
    pub kind: EntryKind,
    /// The record, if it can be decoded.
    pub file: Option<MbFile>,
    /// The record as stored.
    pub raw: Vec<u8>,
}

/// How many rows there were, and how many could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rows given out.
    pub rows: u64,
    /// Rows without domain, path or record: legal leftovers of a device's run.
    pub placeholders: u64,
    /// Rows whose ID is not one.
    pub bad_ids: u64,
    /// Rows whose domain or path is no text, or far too long.
    pub bad_texts: u64,
    /// Rows given out whose record cannot be decoded, and rows of no known kind (not given out).
    pub bad_records: u64,
}

/// A `Manifest.db` that is open for reading.
#[derive(Debug)]
pub struct ManifestDb {
    connection: Connection,
    /// Holds the copy if there was a write-ahead log beside the database.
    _copy: Option<TempDir>,
}

impl ManifestDb {
    /// Opens the database at `path`. A write-ahead log beside it is honoured, on a copy.
    pub fn open(path: &Utf8Path) -> Result<Self, ManifestError> {
        check_header(path)?;
        let log = Utf8PathBuf::from(format!("{path}-wal"));
        let has_log = fs_err::metadata(&log).is_ok_and(|log| log.len() > 0);
        let (connection, copy) = if has_log {
            let folder = tempfile::tempdir()?;
            let copy = folder.path().join("Manifest.db");
            fs_err::copy(path, &copy)?;
            fs_err::copy(&log, folder.path().join("Manifest.db-wal"))?;
            (Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?, Some(folder))
        } else {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            (Connection::open_with_flags(uri(path), flags)?, None)
        };
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        let found = Self { connection, _copy: copy };
        found.check_schema()?;
        Ok(found)
    }

    /// The table must be an ordinary one: a view or a virtual table could compute without end.
    fn check_schema(&self) -> Result<(), ManifestError> {
        let mut statement = self
            .connection
            .prepare("SELECT type, sql FROM sqlite_schema WHERE name = 'Files' LIMIT 2")?;
        let mut rows = statement.query([])?;
        let row = rows.next()?.ok_or(ManifestError::Schema)?;
        let (kind, sql): (String, String) = (row.get(0)?, row.get(1)?);
        if kind != "table" || sql.len() > 10_000 || sql.to_uppercase().contains("VIRTUAL") {
            return Err(ManifestError::Schema);
        }
        drop(rows);
        self.connection
            .prepare("SELECT fileID, domain, relativePath, flags, file FROM Files")
            .map(drop)
            .map_err(|_| ManifestError::Schema)
    }

    /// Lets SQLite look for damage.
    pub fn quick_check(&self) -> Result<(), ManifestError> {
        let answer: String =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if answer == "ok" { Ok(()) } else { Err(ManifestError::Damaged(answer)) }
    }

    /// Returns how many rows there are, usable or not.
    pub fn count(&self) -> Result<u64, ManifestError> {
        let count: i64 =
            self.connection.query_row("SELECT count(*) FROM Files", [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Gives out row after row in the order of the file, and returns what was left out.
    pub fn for_each(&self, mut each: impl FnMut(Row)) -> Result<Tally, ManifestError> {
        let mut tally = Tally::default();
        let mut statement = self
            .connection
            .prepare("SELECT fileID, domain, relativePath, flags, file FROM Files")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(row) = read(row, &mut tally)? {
                tally.rows += 1;
                each(row);
            }
        }
        Ok(tally)
    }

    /// Prepares to find rows one by one.
    pub fn finder(&self) -> Result<Finder<'_>, ManifestError> {
        let statement = self.connection.prepare(
            "SELECT fileID, domain, relativePath, flags, file FROM Files WHERE fileID IN (?1, ?2)",
        )?;
        Ok(Finder { statement })
    }

    /// Returns the row of a file, where there is one that can be used.
    pub fn find(&self, id: &FileId) -> Result<Option<Row>, ManifestError> {
        self.finder()?.find(id)
    }

    /// Returns all rows at once.
    pub fn rows(&self) -> Result<(Vec<Row>, Tally), ManifestError> {
        let mut all = Vec::new();
        let tally = self.for_each(|row| all.push(row))?;
        Ok((all, tally))
    }
}

/// Finds rows of a manifest one by one.
pub struct Finder<'a> {
    statement: rusqlite::Statement<'a>,
}

impl Finder<'_> {
    /// Returns the row of a file, where there is one that can be used.
    pub fn find(&mut self, id: &FileId) -> Result<Option<Row>, ManifestError> {
        let id = id.to_string();
        // Copies made on other file systems have upper case.
        let mut rows = self.statement.query([&id, &id.to_uppercase()])?;
        let mut tally = Tally::default();
        while let Some(row) = rows.next()? {
            if let Some(row) = read(row, &mut tally)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

fn read(row: &rusqlite::Row<'_>, tally: &mut Tally) -> Result<Option<Row>, ManifestError> {
    let (id, domain, path, flags, record) =
        (row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?, row.get_ref(4)?);
    if [domain, path, record].contains(&ValueRef::Null) {
        tally.placeholders += 1;
        return Ok(None);
    }
    let Some(file_id) = text(id).and_then(|id| id.parse().ok()) else {
        tally.bad_ids += 1;
        return Ok(None);
    };
    let (Some(domain), Some(relative_path)) = (text(domain), text(path)) else {
        tally.bad_texts += 1;
        return Ok(None);
    };
    let raw = match record {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) if bytes.len() <= LARGEST_RECORD => {
            bytes.to_vec()
        }
        _ => Vec::new(),
    };
    let file = MbFile::decode(&raw).ok();
    if file.is_none() {
        tally.bad_records += 1;
    }
    let flags = match flags {
        ValueRef::Integer(flags) => u32::try_from(flags).unwrap_or(0),
        _ => 0,
    };
    let kind = EntryKind::from_flags(flags).or_else(|| file.as_ref().and_then(MbFile::kind));
    let Some(kind) = kind else {
        tally.bad_records += u64::from(file.is_some());
        return Ok(None);
    };
    let (domain, relative_path) = (domain.to_owned(), relative_path.to_owned());
    Ok(Some(Row { file_id, domain, relative_path, flags, kind, file, raw }))
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) if bytes.len() <= LONGEST_TEXT => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Looks at the first bytes: SQLite's own messages for these cases mislead.
fn check_header(path: &Utf8Path) -> Result<(), ManifestError> {
    let mut file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let old = path.with_file_name(OLD_NAME);
            return Err(if fs_err::metadata(old).is_ok() {
                ManifestError::OldFormat
            } else {
                ManifestError::Missing(path.to_owned())
            });
        }
        Err(error) => return Err(error.into()),
    };
    let mut header = [0; 100];
    let mut filled = 0;
    while let Some(rest) = header.get_mut(filled..)
        && !rest.is_empty()
    {
        match file.read(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    if header.starts_with(b"mbdb") {
        return Err(ManifestError::OldFormat);
    }
    if filled < header.len() || !header.starts_with(MAGIC) {
        return Err(ManifestError::NotADatabase(path.to_owned()));
    }
    let (expected, found) = (told_length(&header), file.metadata()?.len());
    if found < expected {
        return Err(ManifestError::Truncated { expected, found });
    }
    Ok(())
}

/// What every database begins with.
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Returns how long the database is by its header; 0 when the header does not tell.
pub(super) fn told_length(header: &[u8]) -> u64 {
    let number = |at: usize, length: usize| {
        header.get(at..at + length).map_or(0, |bytes| {
            bytes.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
        })
    };
    let page = match number(16, 2) {
        1 => 65_536,
        page => page,
    };
    // The page count counts only if the two change counters agree.
    let pages = if number(24, 4) == number(92, 4) { number(28, 4) } else { 0 };
    page * pages
}

/// Returns the URI that opens a file read-only and without looking for side files.
fn uri(path: &Utf8Path) -> String {
    let mut uri = String::from("file:");
    for character in path.as_str().chars() {
        match character {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            _ => uri.push(character),
        }
    }
    uri + "?mode=ro&immutable=1"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::types::Null;

    use super::*;

    fn folder() -> (TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("a#b?c%20.db")).unwrap();
        (folder, path)
    }

    const TABLE: &str = "CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB);";

    fn record(path: &str) -> Vec<u8> {
        MbFile { relative_path: path.into(), mode: 0o100_644, size: 3, ..MbFile::default() }
            .encode()
    }

    #[test]
    fn odd_rows_are_counted_and_left_out() {
        let (_folder, path) = folder();
        let db = Connection::open(&path).unwrap();
        db.execute_batch(TABLE).unwrap();
        let insert = "INSERT INTO Files VALUES (?1, ?2, ?3, ?4, ?5)";
        let id = FileId::of("HomeDomain", "a").to_string();
        db.execute(insert, (id.to_uppercase(), "HomeDomain", "a", 0, record("a"))).unwrap();
        db.execute(insert, ("11".repeat(20), Null, Null, 1, Null)).unwrap();
        db.execute(insert, ("../../etc/passwd", "HomeDomain", "b", 1, record("b"))).unwrap();
        db.execute(insert, ("22".repeat(20), "HomeDomain", "c", 1, b"noise".as_slice())).unwrap();
        db.execute(insert, ("33".repeat(20), "x".repeat(5000), "d", 1, record("d"))).unwrap();
        db.execute(
            "INSERT INTO Files VALUES (?1, CAST(x'ff' AS TEXT), 'e', 1, x'00')",
            ["44".repeat(20)],
        )
        .unwrap();
        db.execute(insert, ("55".repeat(20), "HomeDomain", "f", 0, b"noise".as_slice())).unwrap();
        drop(db);
        let (rows, tally) = ManifestDb::open(&path).unwrap().rows().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].file_id.to_string(), id);
        assert_eq!(rows[0].kind, EntryKind::File);
        let db = ManifestDb::open(&path).unwrap();
        let found = |id: &str| db.find(&id.parse().unwrap()).unwrap();
        assert_eq!(found(&id).map(|row| row.relative_path).as_deref(), Some("a"));
        assert!(found(&"11".repeat(20)).is_none() && found(&"99".repeat(20)).is_none());
        drop(db);
        assert!(rows[1].file.is_none());
        assert_eq!(
            tally,
            Tally { rows: 2, placeholders: 1, bad_ids: 1, bad_texts: 2, bad_records: 2 }
        );
    }

    #[test]
    fn rows_in_a_log_beside_it_are_read_and_nothing_is_touched() {
        let (folder, path) = folder();
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, "journal_mode", "wal").unwrap();
        db.execute_batch(TABLE).unwrap();
        let id = FileId::of("HomeDomain", "a").to_string();
        db.execute("INSERT INTO Files VALUES (?1, 'HomeDomain', 'a', 1, ?2)", (id, record("a")))
            .unwrap();
        let before = fs_err::metadata(&path).unwrap().len();
        assert_eq!(ManifestDb::open(&path).unwrap().rows().unwrap().0.len(), 1);
        assert_eq!(fs_err::metadata(&path).unwrap().len(), before);
        drop(db);
        assert_eq!(ManifestDb::open(&path).unwrap().rows().unwrap().0.len(), 1);
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1, "no side files are left");
    }

    #[test]
    fn what_is_no_manifest_is_told_apart() {
        let (_folder, path) = folder();
        assert!(matches!(ManifestDb::open(&path), Err(ManifestError::Missing(_))));
        fs_err::write(path.with_file_name(OLD_NAME), b"mbdb\x05\x00").unwrap();
        assert!(matches!(ManifestDb::open(&path), Err(ManifestError::OldFormat)));
        fs_err::write(&path, b"mbdb\x05\x00").unwrap();
        assert!(matches!(ManifestDb::open(&path), Err(ManifestError::OldFormat)));
        fs_err::write(&path, [0x5a; 8192]).unwrap();
        assert!(matches!(ManifestDb::open(&path), Err(ManifestError::NotADatabase(_))));
        fs_err::remove_file(&path).unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute_batch("CREATE TABLE other (x)").unwrap();
        assert!(matches!(ManifestDb::open(&path), Err(ManifestError::Schema)));
        let endless = "CREATE VIEW Files AS WITH RECURSIVE n(fileID) AS (SELECT 1 UNION ALL SELECT fileID + 1 FROM n) \
                       SELECT fileID, '' AS domain, '' AS relativePath, 1 AS flags, x'' AS file FROM n";
        db.execute_batch(endless).unwrap();
        assert!(matches!(ManifestDb::open(&path), Err(ManifestError::Schema)));
        db.execute_batch(&format!("DROP VIEW Files; {TABLE}")).unwrap();
        drop(db);
        ManifestDb::open(&path).unwrap().quick_check().unwrap();
        let bytes = fs_err::read(&path).unwrap();
        fs_err::write(&path, [bytes.as_slice(), &[16; 16]].concat()).unwrap();
        ManifestDb::open(&path).expect("a block of padding that a tool left is harmless");
        fs_err::write(&path, &bytes[..bytes.len() - 4096]).unwrap();
        assert!(matches!(ManifestDb::open(&path), Err(ManifestError::Truncated { .. })));
    }

    /// A row as devices write it: any domain and path, one of the three kinds.
    fn any_row() -> impl Strategy<Value = (String, MbFile, EntryKind)> {
        let kind = prop_oneof![
            Just((EntryKind::File, 0o100_644)),
            Just((EntryKind::Directory, 0o040_755)),
            Just((EntryKind::Symlink, 0o120_755)),
        ];
        ("[A-Za-z.-]{1,20}", any::<String>(), 0_u64..1 << 40, kind).prop_map(
            |(domain, relative_path, size, (kind, mode))| {
                (domain, MbFile { relative_path, mode, size, ..MbFile::default() }, kind)
            },
        )
    }

    fn write(path: &Utf8Path, rows: &[(String, MbFile, EntryKind)]) {
        drop(fs_err::remove_file(path));
        let mut db = Connection::open(path).unwrap();
        db.execute_batch(&format!("PRAGMA synchronous = off; {TABLE}")).unwrap();
        let transaction = db.transaction().unwrap();
        for (domain, file, kind) in rows {
            let id = FileId::of(domain, &file.relative_path).to_string();
            transaction
                .execute(
                    "INSERT OR REPLACE INTO Files VALUES (?1, ?2, ?3, ?4, ?5)",
                    (id, domain, &file.relative_path, kind.flags(), file.encode()),
                )
                .unwrap();
        }
        transaction.commit().unwrap();
    }

    /// Reads everything there is to read, as far as it goes.
    fn read_all(path: &Utf8Path) {
        if let Ok(db) = ManifestDb::open(path) {
            drop((db.quick_check(), db.count(), db.rows()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn rows_come_back(rows in prop::collection::vec(any_row(), 0..12)) {
            let (_folder, path) = folder();
            write(&path, &rows);
            let wanted: std::collections::BTreeMap<_, _> = rows
                .into_iter()
                .map(|(domain, file, kind)| {
                    (FileId::of(&domain, &file.relative_path), (domain, file, kind))
                })
                .collect();
            let db = ManifestDb::open(&path).unwrap();
            db.quick_check().unwrap();
            prop_assert_eq!(db.count().unwrap(), wanted.len() as u64);
            let (read, tally) = db.rows().unwrap();
            prop_assert_eq!(tally, Tally { rows: wanted.len() as u64, ..Tally::default() });
            let read: std::collections::BTreeMap<_, _> = read
                .into_iter()
                .map(|row| {
                    assert_eq!(row.relative_path, row.file.as_ref().unwrap().relative_path);
                    (row.file_id, (row.domain, row.file.unwrap(), row.kind))
                })
                .collect();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn damage_never_panics(
            rows in prop::collection::vec(any_row(), 1..6),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            in_the_head in any::<bool>(),
        ) {
            let (_folder, path) = folder();
            write(&path, &rows);
            let mut bytes = fs_err::read(&path).unwrap();
            let end = if in_the_head { 200 } else { bytes.len() };
            for (at, to) in damage {
                *at.get_mut(&mut bytes[..end]) = to;
            }
            fs_err::write(&path, bytes).unwrap();
            read_all(&path);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..9000), is_named: bool) {
            let (_folder, path) = folder();
            let name: &[u8] = if is_named { b"SQLite format 3\0\x10\0" } else { b"" };
            fs_err::write(&path, [name, &noise].concat()).unwrap();
            read_all(&path);
        }
    }
}
