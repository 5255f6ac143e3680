//! Writes manifests as a device does, for the simulator and for tests.

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{Connection, OptionalExtension as _};

use crate::file::{FileId, MbFile};
use crate::manifest::ManifestError;

/// Which indexes a manifest has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schema {
    /// Up to iOS 26: an index on the domain alone.
    #[default]
    Classic,
    /// iOS 27: an index on domain and path together.
    Composite,
}

const TABLES: &str = "\
    CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB);
    CREATE INDEX FilesRelativePathIdx ON Files(relativePath);
    CREATE INDEX FilesFlagsIdx ON Files(flags);
    CREATE TABLE Properties (key TEXT PRIMARY KEY, value BLOB);";
const CLASSIC: &str = "CREATE INDEX FilesDomainIdx ON Files(domain);";
const COMPOSITE: &str = "CREATE INDEX FilesDomainsRelativePathIdx ON Files(domain, relativePath);";

const PUT: &str = "INSERT OR REPLACE INTO Files (fileID, domain, relativePath, flags, file) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Writes a `Manifest.db`. Everything between opening and [`ManifestDbWriter::finish`] is one transaction.
#[derive(Debug)]
pub struct ManifestDbWriter {
    connection: Connection,
    path: Utf8PathBuf,
}

impl ManifestDbWriter {
    /// Makes a new, empty manifest; one that is there is removed.
    pub fn create(path: &Utf8Path, schema: Schema) -> Result<Self, ManifestError> {
        for old in [
            path.to_owned(),
            Utf8PathBuf::from(format!("{path}-wal")),
            Utf8PathBuf::from(format!("{path}-shm")),
        ] {
            match fs_err::remove_file(old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "page_size", 4096)?;
        connection.pragma_update(None, "auto_vacuum", 2)?;
        Self::begin(&connection)?;
        connection.execute_batch(TABLES)?;
        connection.execute_batch(match schema {
            Schema::Classic => CLASSIC,
            Schema::Composite => COMPOSITE,
        })?;
        connection.pragma_update(None, "user_version", 2)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Opens a manifest to be changed in place.
    pub fn open(path: &Utf8Path) -> Result<Self, ManifestError> {
        if !path.exists() {
            return Err(ManifestError::Missing(path.to_owned()));
        }
        let connection = Connection::open(path)?;
        Self::begin(&connection)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    fn begin(connection: &Connection) -> Result<(), ManifestError> {
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.execute_batch("BEGIN")?;
        Ok(())
    }

    /// Inserts a row, or replaces the one with the same ID.
    pub fn put(
        &mut self,
        domain: &str,
        flags: u32,
        file: &MbFile,
    ) -> Result<FileId, ManifestError> {
        let id = FileId::of(domain, &file.relative_path);
        self.put_raw(
            &id.to_string(),
            Some(domain),
            Some(&file.relative_path),
            flags,
            Some(&file.encode()),
        )?;
        Ok(id)
    }

    /// Inserts or replaces many rows.
    pub fn put_all<'r>(
        &mut self,
        rows: impl IntoIterator<Item = (&'r str, u32, &'r MbFile)>,
    ) -> Result<(), ManifestError> {
        let mut statement = self.connection.prepare(PUT)?;
        for (domain, flags, file) in rows {
            let id = FileId::of(domain, &file.relative_path).to_string();
            statement.execute((id, domain, &file.relative_path, flags, file.encode()))?;
        }
        Ok(())
    }

    /// Inserts or replaces a row of any content, also of such as no good device would write.
    pub fn put_raw(
        &mut self,
        id: &str,
        domain: Option<&str>,
        relative_path: Option<&str>,
        flags: u32,
        record: Option<&[u8]>,
    ) -> Result<(), ManifestError> {
        self.connection.prepare(PUT)?.execute((id, domain, relative_path, flags, record))?;
        Ok(())
    }

    /// Returns the stored flags and record of a row.
    pub fn get(&self, id: &FileId) -> Result<Option<(u32, Vec<u8>)>, ManifestError> {
        let mut statement =
            self.connection.prepare("SELECT flags, file FROM Files WHERE fileID = ?1")?;
        Ok(statement
            .query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    /// Removes a row.
    pub fn remove(&mut self, id: &FileId) -> Result<(), ManifestError> {
        self.connection
            .prepare("DELETE FROM Files WHERE fileID = ?1")?
            .execute([id.to_string()])?;
        Ok(())
    }

    /// Ends the transaction and brings everything into the one file.
    pub fn finish(self) -> Result<Utf8PathBuf, ManifestError> {
        self.connection.execute_batch("COMMIT")?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(self.path)
    }
}

/// Makes a manifest of rows in the order in which they come.
pub fn rebuild<'r>(
    path: &Utf8Path,
    schema: Schema,
    rows: impl IntoIterator<Item = (&'r str, u32, &'r MbFile)>,
) -> Result<Utf8PathBuf, ManifestError> {
    let mut writer = ManifestDbWriter::create(path, schema)?;
    writer.put_all(rows)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ManifestDb, Tally};

    fn file(path: &str, size: u64) -> MbFile {
        MbFile { relative_path: path.into(), mode: 0o100_644, size, ..MbFile::default() }
    }

    fn path() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("Manifest.db")).unwrap();
        (folder, path)
    }

    #[test]
    fn the_header_is_that_of_a_real_manifest() {
        let (_folder, path) = path();
        rebuild(&path, Schema::Classic, [("HomeDomain", 1, &file("a", 1))]).unwrap();
        let bytes = fs_err::read(&path).unwrap();
        assert_eq!(bytes[16..20], [0x10, 0x00, 2, 2], "pages of 4096 bytes, write-ahead log");
        assert_eq!(bytes[60..64], [0, 0, 0, 2], "user version");
        assert_eq!(bytes[64..68], [0, 0, 0, 1], "incremental vacuum");
        assert!(!Utf8PathBuf::from(format!("{path}-wal")).exists());
    }

    #[test]
    fn rows_are_put_replaced_and_removed_in_place() {
        let (_folder, path) = path();
        for schema in [Schema::Classic, Schema::Composite] {
            let files: Vec<MbFile> = (0..500).map(|at| file(&format!("f{at}"), at)).collect();
            rebuild(&path, schema, files.iter().map(|file| ("HomeDomain", 1, file))).unwrap();
            let mut writer = ManifestDbWriter::open(&path).unwrap();
            let id = writer.put("HomeDomain", 1, &file("f7", 7000)).unwrap();
            assert_eq!(MbFile::decode(&writer.get(&id).unwrap().unwrap().1).unwrap().size, 7000);
            writer.remove(&FileId::of("HomeDomain", "f8")).unwrap();
            writer.put_raw(&"00".repeat(20), None, None, 1, None).unwrap();
            writer.finish().unwrap();
            let manifest = ManifestDb::open(&path).unwrap();
            manifest.quick_check().unwrap();
            let (rows, tally) = manifest.rows().unwrap();
            assert_eq!(tally, Tally { rows: 499, placeholders: 1, ..Tally::default() });
            assert_eq!(manifest.count().unwrap(), 500);
            assert!(
                rows.iter().all(|row| row.file_id == FileId::of(&row.domain, &row.relative_path))
            );
        }
    }
}
