//! The list of everything on the phone, kept in a small database of its own so that a restart gives the same phone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::DiskError;
use super::entry::{Content, Entry, Kind};
use super::media::{Generated, Shape};

/// Name of the index below the phone's folder.
pub(crate) const FILE_NAME: &str = "index.sqlite";

/// Version of the index; an older one is refused by name.
const VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE properties (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE entries (
        domain TEXT NOT NULL, path TEXT NOT NULL, kind INTEGER NOT NULL, mode INTEGER NOT NULL,
        uid INTEGER NOT NULL, gid INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
        modified INTEGER NOT NULL, changed INTEGER NOT NULL, birth INTEGER NOT NULL, class INTEGER NOT NULL,
        flags INTEGER NOT NULL, target TEXT, attributes TEXT, digest INTEGER NOT NULL, encrypted INTEGER NOT NULL,
        body BLOB, file TEXT, generated TEXT,
        PRIMARY KEY (domain, path)) WITHOUT ROWID;
";

const PUT: &str = "INSERT OR REPLACE INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, \
                   ?14, ?15, ?16, ?17, ?18, ?19, ?20)";

/// All entries by domain and path, and the phone's own properties.
#[derive(Debug)]
pub(crate) struct Index {
    path: Utf8PathBuf,
    connection: Connection,
    entries: BTreeMap<String, BTreeMap<String, Entry>>,
    touched: BTreeSet<(String, String)>,
}

impl Index {
    /// Makes an empty index in `folder`, which must not hold one.
    pub(crate) fn create(folder: &Utf8Path) -> Result<Self, DiskError> {
        let path = folder.join(FILE_NAME);
        if path.exists() {
            return Err(DiskError::Exists(folder.to_owned()));
        }
        let fail = DiskError::sqlite(&path);
        let connection = Connection::open(&path).map_err(&fail)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(&fail)?;
        connection.execute_batch(SCHEMA).map_err(&fail)?;
        connection.pragma_update(None, "user_version", VERSION).map_err(&fail)?;
        Ok(Self { path, connection, entries: BTreeMap::new(), touched: BTreeSet::new() })
    }

    /// Reads the index of `folder`.
    pub(crate) fn open(folder: &Utf8Path) -> Result<Self, DiskError> {
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            return Err(DiskError::Missing(folder.to_owned()));
        }
        let fail = DiskError::sqlite(&path);
        let connection = Connection::open(&path).map_err(&fail)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(&fail)?;
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&fail)?;
        if version != VERSION {
            return Err(DiskError::Version { folder: folder.to_owned(), version });
        }
        let mut entries: BTreeMap<String, BTreeMap<String, Entry>> = BTreeMap::new();
        {
            let mut statement = connection.prepare("SELECT * FROM entries").map_err(&fail)?;
            let rows = statement.query_map([], read_entry).map_err(&fail)?;
            for entry in rows {
                let entry = entry.map_err(&fail)?;
                let domain = entries.entry(entry.domain.clone()).or_default();
                domain.insert(entry.relative_path.clone(), entry);
            }
        }
        Ok(Self { path, connection, entries, touched: BTreeSet::new() })
    }

    pub(crate) fn get(&self, domain: &str, path: &str) -> Option<&Entry> {
        self.entries.get(domain)?.get(path)
    }

    /// Returns an entry to change; it will be written at the next [`Index::save`].
    pub(crate) fn change(&mut self, domain: &str, path: &str) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(domain)?.get_mut(path)?;
        self.touched.insert((domain.to_owned(), path.to_owned()));
        Some(entry)
    }

    pub(crate) fn put(&mut self, entry: Entry) -> &mut Entry {
        let (domain, path) = (entry.domain.clone(), entry.relative_path.clone());
        self.touched.insert((domain.clone(), path.clone()));
        let slot = self.entries.entry(domain).or_default().entry(path);
        slot.insert_entry(entry).into_mut()
    }

    pub(crate) fn remove(&mut self, domain: &str, path: &str) -> Option<Entry> {
        let entry = self.entries.get_mut(domain)?.remove(path)?;
        self.touched.insert((domain.to_owned(), path.to_owned()));
        Some(entry)
    }

    /// Returns all entries, by domain and path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().flat_map(BTreeMap::values)
    }

    /// Returns the entries of one domain, by path.
    pub(crate) fn domain(&self, domain: &str) -> impl Iterator<Item = &Entry> {
        self.entries.get(domain).into_iter().flat_map(BTreeMap::values)
    }

    /// Returns the names of all domains.
    pub(crate) fn domains(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, paths)| !paths.is_empty()).map(|(name, _)| name.as_str())
    }

    /// Writes what changed since the last save, in one transaction.
    pub(crate) fn save(&mut self) -> Result<(), DiskError> {
        let fail = DiskError::sqlite(&self.path);
        let transaction = self.connection.transaction().map_err(&fail)?;
        {
            let mut put = transaction.prepare(PUT).map_err(&fail)?;
            let mut delete = transaction
                .prepare("DELETE FROM entries WHERE domain = ?1 AND path = ?2")
                .map_err(&fail)?;
            for (domain, path) in &self.touched {
                match self.entries.get(domain).and_then(|paths| paths.get(path)) {
                    Some(entry) => write_entry(&mut put, entry).map_err(&fail)?,
                    None => drop(delete.execute(params![domain, path]).map_err(&fail)?),
                }
            }
        }
        transaction.commit().map_err(&fail)?;
        self.touched.clear();
        Ok(())
    }

    pub(crate) fn property(&self, key: &str) -> Result<Option<String>, DiskError> {
        self.connection
            .query_row("SELECT value FROM properties WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(DiskError::sqlite(&self.path))
    }

    pub(crate) fn set_property(&self, key: &str, value: &str) -> Result<(), DiskError> {
        self.connection
            .execute("INSERT OR REPLACE INTO properties VALUES (?1, ?2)", [key, value])
            .map(drop)
            .map_err(DiskError::sqlite(&self.path))
    }
}

fn write_entry(put: &mut rusqlite::Statement<'_>, entry: &Entry) -> rusqlite::Result<()> {
    let kind = match entry.kind {
        Kind::File => 1,
        Kind::Directory => 2,
        Kind::Symlink => 4,
    };
    let (body, file, generated) = match &entry.content {
        Content::None | Content::Link => (None, None, None),
        Content::Bytes(bytes) => (Some(&bytes[..]), None, None),
        Content::File(path) => (None, Some(path.as_str()), None),
        Content::Generated(file) => (None, None, Some(pack(*file))),
    };
    let attributes = if entry.extended_attributes.is_empty() {
        None
    } else {
        let text = entry.extended_attributes.iter();
        Some(
            text.map(|(name, value)| format!("{name}={}", hex::encode(value)))
                .collect::<Vec<_>>()
                .join("\n"),
        )
    };
    put.execute(params![
        entry.domain,
        entry.relative_path,
        kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.inode.cast_signed(),
        entry.size.cast_signed(),
        entry.modified,
        entry.changed,
        entry.birth,
        entry.protection_class,
        entry.flags,
        entry.target,
        attributes,
        entry.digest_wanted,
        entry.only_encrypted,
        body,
        file,
        generated,
    ])
    .map(drop)
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let kind = match row.get::<_, i64>(2)? {
        1 => Kind::File,
        2 => Kind::Directory,
        _ => Kind::Symlink,
    };
    let attributes: Option<String> = row.get(14)?;
    let content = match (row.get::<_, Option<String>>(18)?, row.get::<_, Option<String>>(19)?, kind)
    {
        (Some(file), _, _) => Content::File(file.into()),
        (None, Some(generated), _) => Content::Generated(unpack(&generated)),
        (None, None, Kind::File) => {
            Content::Bytes(Arc::from(row.get::<_, Option<Vec<u8>>>(17)?.unwrap_or_default()))
        }
        (None, None, Kind::Directory) => Content::None,
        (None, None, Kind::Symlink) => Content::Link,
    };
    Ok(Entry {
        domain: row.get(0)?,
        relative_path: row.get(1)?,
        kind,
        mode: row.get(3)?,
        uid: row.get(4)?,
        gid: row.get(5)?,
        inode: row.get::<_, i64>(6)?.cast_unsigned(),
        size: row.get::<_, i64>(7)?.cast_unsigned(),
        modified: row.get(8)?,
        changed: row.get(9)?,
        birth: row.get(10)?,
        protection_class: row.get(11)?,
        flags: row.get(12)?,
        target: row.get(13)?,
        extended_attributes: attributes
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(attribute)
            .collect(),
        digest_wanted: row.get(15)?,
        only_encrypted: row.get(16)?,
        content,
    })
}

fn attribute(line: &str) -> Option<(String, Vec<u8>)> {
    let (name, value) = line.rsplit_once('=')?;
    Some((name.to_owned(), hex::decode(value).ok()?))
}

const SHAPES: [(Shape, &str); 6] = [
    (Shape::Jpeg, "jpeg"),
    (Shape::Heic, "heic"),
    (Shape::Movie, "movie"),
    (Shape::Audio, "audio"),
    (Shape::Text, "text"),
    (Shape::Noise, "noise"),
];

fn pack(file: Generated) -> String {
    let name =
        SHAPES.iter().find(|(shape, _)| *shape == file.shape).map_or("noise", |(_, name)| name);
    format!("{name} {} {} {}", file.seed, file.id, file.length)
}

fn unpack(text: &str) -> Generated {
    let mut words = text.split(' ');
    let name = words.next().unwrap_or_default();
    let shape =
        SHAPES.iter().find(|(_, known)| *known == name).map_or(Shape::Noise, |(shape, _)| *shape);
    let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    Generated { shape, seed: number(), id: number(), length: number() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let mut index = Index::create(folder).unwrap();
        let generated = Generated { seed: u64::MAX, id: 3, length: 9, shape: Shape::Heic };
        let mut made = Vec::new();
        for (path, kind, content) in [
            ("", Kind::Directory, Content::None),
            ("a\nb \u{e9}", Kind::File, Content::bytes(*b"text")),
            ("c", Kind::File, Content::Generated(generated)),
            ("d", Kind::File, Content::File("databases/1".into())),
            ("e", Kind::Symlink, Content::Link),
        ] {
            let mut entry = Entry::new("HomeDomain", path, kind, content);
            entry.inode = 1 << 40;
            entry.attribute("com.apple.a=b", &[0, 255]).dated(-5);
            entry.target = (kind == Kind::Symlink).then(|| "../x".to_owned());
            made.push(index.put(entry).clone());
        }
        index.set_property("seed", "1").unwrap();
        index.save().unwrap();
        assert!(matches!(Index::create(folder), Err(DiskError::Exists(_))));
        drop(index);

        let mut index = Index::open(folder).unwrap();
        assert_eq!(index.iter().cloned().collect::<Vec<_>>(), made);
        assert_eq!(index.property("seed").unwrap().as_deref(), Some("1"));
        index.remove("HomeDomain", "c").unwrap();
        index.change("HomeDomain", "d").unwrap().size = 7;
        index.save().unwrap();
        drop(index);
        let index = Index::open(folder).unwrap();
        assert!(index.get("HomeDomain", "c").is_none());
        assert_eq!(index.get("HomeDomain", "d").unwrap().size, 7);
    }

    #[test]
    fn a_folder_without_a_phone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        assert!(matches!(Index::open(folder), Err(DiskError::Missing(_))));
    }
}
