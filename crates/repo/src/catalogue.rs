//! Folders that were read before, in SQLite in the cache.
//!
//! Parsing a tree costs milliseconds, and a device has hundreds; here they stand as rows. A tree never changes, so a row
//! is never wrong, and snapshots share what they have in common. Beside them stands which packs are known to be damaged.
//! Everything can be thrown away at any time; the damage is found again by the next check that reads all data.

use std::{
    collections::{BTreeSet, HashSet},
    error::Error as _,
    iter,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use camino::Utf8PathBuf;
use fs_err as fs;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, Statement, params};

use crate::{
    error::RepoError,
    format::tree::TreeNode,
    id::{BlobId, PackId, TreeId},
    node::{Content, Node, NodeKind, moment},
};

/// Another number throws older catalogues away.
const VERSION: i32 = 2;
pub(crate) const NAME: &str = "catalogue.sqlite";
/// How long another process may hold it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

const SCHEMA: &str = "
    CREATE TABLE tree (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;
    CREATE TABLE node (
        tree INTEGER NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, mode INTEGER NOT NULL,
        uid INTEGER NOT NULL, gid INTEGER NOT NULL,
        modified INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
        changed INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL, size INTEGER NOT NULL, content BLOB, target TEXT,
        PRIMARY KEY (tree, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE suspect (pack BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;";
const COLUMNS: &str = "name, kind, mode, uid, gid, modified, modified_ns, changed, changed_ns, inode, size, content, target";
/// About so many nodes are read ahead.
const AHEAD: usize = 4096;
const FILE: i64 = 0;
const DIRECTORY: i64 = 1;
const SYMLINK: i64 = 2;

/// The catalogue of one repository; opened at first need.
pub(crate) struct Catalogue {
    folder: Utf8PathBuf,
    connection: Mutex<Option<Connection>>,
    /// Reading goes on without it: it could not be used once.
    unusable: AtomicBool,
}

impl Catalogue {
    pub(crate) fn new(folder: Utf8PathBuf) -> Self {
        Self { folder, connection: Mutex::new(None), unusable: AtomicBool::new(false) }
    }

    /// Returns the nodes of a tree by name; `load` gives them if the catalogue does not have the tree yet, or cannot be used.
    pub(crate) fn rows(
        &self,
        tree: TreeId,
        load: impl FnOnce() -> Result<Vec<TreeNode>, RepoError>,
    ) -> Result<Vec<TreeNode>, RepoError> {
        match self.several(tree, 1).pop() {
            Some((_, nodes)) => Ok(nodes),
            None => self.loaded(tree, load),
        }
    }

    /// Returns the nodes of a tree and of folders below it, in the order in which a walk wants them, as far as they are here
    /// and about [`AHEAD`] nodes at once: most folders are small, and each look for one costs as much as many nodes.
    pub(crate) fn ahead(&self, tree: TreeId) -> Vec<(TreeId, Vec<TreeNode>)> {
        self.several(tree, AHEAD)
    }

    fn several(&self, tree: TreeId, enough: usize) -> Vec<(TreeId, Vec<TreeNode>)> {
        let found = self.attempt(|connection| {
            let transaction = connection.transaction()?;
            let mut find = transaction.prepare("SELECT number FROM tree WHERE id = ?")?;
            let sql = format!("SELECT {COLUMNS} FROM node WHERE tree = ? ORDER BY name");
            let mut list = transaction.prepare(&sql)?;
            let (mut found, mut wanted, mut count) = (Vec::new(), vec![tree], 0);
            while count < enough
                && let Some(tree) = wanted.pop()
            {
                let number: Option<i64> =
                    find.query_row([tree.as_bytes()], |row| row.get(0)).optional()?;
                let Some(number) = number else { continue };
                let nodes: Vec<_> = list.query_map([number], read)?.collect::<Result<_, _>>()?;
                count += nodes.len() + 1;
                wanted.extend(nodes.iter().rev().filter_map(|node| node.subtree));
                found.push((tree, nodes));
            }
            Ok(found)
        });
        found.unwrap_or_default()
    }

    /// Returns one node of a tree.
    pub(crate) fn row(
        &self,
        tree: TreeId,
        name: &str,
        load: impl FnOnce() -> Result<Vec<TreeNode>, RepoError>,
    ) -> Result<Option<TreeNode>, RepoError> {
        let known = self.attempt(|connection| {
            let Some(number) = number(connection, tree)? else { return Ok(None) };
            let sql = format!("SELECT {COLUMNS} FROM node WHERE tree = ? AND name = ?");
            connection.prepare(&sql)?.query_row(params![number, name], read).optional().map(Some)
        });
        match known.flatten() {
            Some(node) => Ok(node),
            None => Ok(self.loaded(tree, load)?.into_iter().find(|node| node.name == name)),
        }
    }

    /// Loads the nodes of a tree and keeps them, where that is possible.
    fn loaded(
        &self,
        tree: TreeId,
        load: impl FnOnce() -> Result<Vec<TreeNode>, RepoError>,
    ) -> Result<Vec<TreeNode>, RepoError> {
        let nodes = load()?;
        self.attempt(|connection| insert(connection, iter::once((tree, nodes.as_slice()))));
        Ok(nodes)
    }

    /// Runs something on the catalogue that can be done without. One that cannot be used is told once and left alone.
    fn attempt<T>(&self, work: impl FnMut(&mut Connection) -> rusqlite::Result<T>) -> Option<T> {
        if self.unusable.load(Ordering::Relaxed) {
            return None;
        }
        match self.run(work) {
            Ok(done) => Some(done),
            Err(error) => {
                let why = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, why, "the cache cannot be used, reading goes on without it");
                self.unusable.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// Takes trees that were just made, so that nobody needs to load them.
    pub(crate) fn put(&self, trees: &[(TreeId, Vec<TreeNode>)]) -> Result<(), RepoError> {
        self.run(|connection| {
            insert(connection, trees.iter().map(|(tree, nodes)| (*tree, nodes.as_slice())))
        })
    }

    /// Remembers that a pack is damaged.
    pub(crate) fn suspect(&self, pack: PackId) -> Result<(), RepoError> {
        self.run(|connection| {
            let sql = "INSERT OR IGNORE INTO suspect (pack) VALUES (?)";
            connection.execute(sql, [pack.as_bytes()]).map(drop)
        })
    }

    /// Remembers these damaged packs and no others.
    pub(crate) fn set_suspects(&self, packs: &BTreeSet<PackId>) -> Result<(), RepoError> {
        self.run(|connection| {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            transaction.execute("DELETE FROM suspect", [])?;
            for pack in packs {
                transaction.execute("INSERT INTO suspect (pack) VALUES (?)", [pack.as_bytes()])?;
            }
            transaction.commit()
        })
    }

    /// Returns the packs that are known to be damaged.
    pub(crate) fn suspects(&self) -> Result<HashSet<PackId>, RepoError> {
        self.run(|connection| {
            let mut statement = connection.prepare("SELECT pack FROM suspect")?;
            statement.query_map([], |row| Ok(PackId::new(row.get(0)?)))?.collect()
        })
    }

    /// Throws everything away.
    pub(crate) fn clear(&self) -> Result<(), RepoError> {
        let mut connection = self.connection();
        *connection = None;
        self.remove_files()
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs something on the catalogue; one that is damaged is made anew once.
    fn run<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, RepoError> {
        let mut slot = self.connection();
        for last in [false, true] {
            let connection = match slot.take() {
                Some(connection) => Ok(connection),
                None => self.open()?,
            };
            match connection.and_then(|mut connection| Ok((work(&mut connection)?, connection))) {
                Ok((result, connection)) => {
                    *slot = Some(connection);
                    return Ok(result);
                }
                Err(error) if !last && is_damage(&error) => self.remove_files()?,
                Err(source) => {
                    return Err(RepoError::Catalogue { path: self.folder.join(NAME), source });
                }
            }
        }
        unreachable!("the last round returns")
    }

    fn open(&self) -> Result<rusqlite::Result<Connection>, RepoError> {
        make_private(&self.folder)?;
        let path = self.folder.join(NAME);
        make_private_file(&path)?;
        Ok(open(&path))
    }

    fn remove_files(&self) -> Result<(), RepoError> {
        for end in ["", "-wal", "-shm"] {
            let path = self.folder.join(format!("{NAME}{end}"));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RepoError::io("remove", path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn make_private(folder: &camino::Utf8Path) -> Result<(), RepoError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder).map_err(|source| RepoError::io("create", folder.as_str(), source))
}

/// Makes the file before SQLite does, which gives the files beside it the same mode. One that is there is never opened
/// here: closing it would give back the locks that SQLite holds for this process.
fn make_private_file(path: &camino::Utf8Path) -> Result<(), RepoError> {
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => protect(path),
        Err(source) => Err(RepoError::io("create", path.as_str(), source)),
    }
}

/// Takes from others what an older program left open to them.
#[cfg(unix)]
fn protect(path: &camino::Utf8Path) -> Result<(), RepoError> {
    use std::os::unix::fs::PermissionsExt as _;
    for end in ["", "-wal", "-shm"] {
        let path = format!("{path}{end}");
        match fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(RepoError::io("protect", path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
fn protect(_path: &camino::Utf8Path) -> Result<(), RepoError> {
    Ok(())
}

fn open(path: &camino::Utf8Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        let drop =
            "DROP TABLE IF EXISTS tree; DROP TABLE IF EXISTS node; DROP TABLE IF EXISTS suspect;";
        transaction.execute_batch(drop)?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(connection)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            matches!(
                failure.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown
            )
        }
        // A row that does not fit the columns.
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
            true
        }
        _ => false,
    }
}

fn number(connection: &Connection, tree: TreeId) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare("SELECT number FROM tree WHERE id = ?")?;
    statement.query_row([tree.as_bytes()], |row| row.get(0)).optional()
}

/// Takes trees in one transaction.
fn insert<'a>(
    connection: &mut Connection,
    trees: impl Iterator<Item = (TreeId, &'a [TreeNode])>,
) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let sql = format!(
        "INSERT OR IGNORE INTO node (tree, {COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    );
    {
        let mut insert_tree =
            transaction.prepare("INSERT INTO tree (id) VALUES (?) ON CONFLICT DO NOTHING")?;
        let mut insert_node = transaction.prepare(&sql)?;
        for (tree, nodes) in trees {
            // Another process may have been faster.
            if insert_tree.execute([tree.as_bytes()])? == 1 {
                let number = transaction.last_insert_rowid();
                nodes.iter().try_for_each(|node| write(&mut insert_node, number, node))?;
            }
        }
    }
    transaction.commit()
}

fn write(
    statement: &mut Statement<'_>,
    tree: i64,
    TreeNode { name, node, subtree }: &TreeNode,
) -> rusqlite::Result<()> {
    let (kind, content, target) = match &node.kind {
        NodeKind::File(content) => {
            let ids: Vec<u8> = content.blobs.iter().flat_map(|id| *id.as_bytes()).collect();
            (FILE, Some(ids), None)
        }
        NodeKind::Directory => (DIRECTORY, subtree.map(|id| id.as_bytes().to_vec()), None),
        NodeKind::Symlink(target) => (SYMLINK, None, Some(target)),
    };
    statement.execute(params![
        tree,
        name,
        kind,
        node.mode,
        node.uid,
        node.gid,
        node.modified.as_second(),
        node.modified.subsec_nanosecond(),
        node.changed.as_second(),
        node.changed.subsec_nanosecond(),
        node.inode.cast_signed(),
        node.size().cast_signed(),
        content,
        target
    ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<TreeNode> {
    let mut subtree = None;
    let kind = match row.get(1)? {
        FILE => {
            let ids: Vec<u8> = row.get(11)?;
            let blobs = ids.as_chunks().0.iter().map(|id| BlobId::new(*id)).collect();
            NodeKind::File(Content { blobs, size: row.get::<_, i64>(10)?.cast_unsigned() })
        }
        DIRECTORY => {
            subtree = Some(BlobId::new(row.get(11)?));
            NodeKind::Directory
        }
        _ => NodeKind::Symlink(row.get(12)?),
    };
    let time = |seconds, nanos| -> rusqlite::Result<_> {
        let seconds = row.get(seconds)?;
        let nanos: i32 = row.get(nanos)?;
        Ok(jiff::Timestamp::new(seconds, nanos).unwrap_or_else(|_| moment(seconds, 0)))
    };
    let node = Node {
        kind,
        mode: row.get(2)?,
        uid: row.get(3)?,
        gid: row.get(4)?,
        modified: time(5, 6)?,
        changed: time(7, 8)?,
        inode: row.get::<_, i64>(9)?.cast_unsigned(),
    };
    Ok(TreeNode { name: row.get(0)?, node, subtree })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<TreeNode> {
        let time = moment(-7, 5);
        let id = BlobId::new([5; 32]);
        let file = Node {
            inode: u64::MAX,
            ..Node::file(Content { blobs: vec![id, BlobId::new([6; 32])], size: u64::MAX }, time)
        };
        vec![
            TreeNode { name: "B".into(), node: Node::symlink("x", time), subtree: None },
            TreeNode { name: "a".into(), node: file, subtree: None },
            TreeNode { name: "b".into(), node: Node::directory(time), subtree: Some(id) },
        ]
    }

    fn never() -> Result<Vec<TreeNode>, RepoError> {
        panic!("it should be in the catalogue")
    }

    #[test]
    fn what_is_below_is_read_ahead_as_far_as_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::new(camino::Utf8Path::from_path(folder.path()).unwrap().into());
        let id = |byte| BlobId::new([byte; 32]);
        let within = |name: &str, tree| TreeNode {
            name: name.into(),
            node: Node::directory(moment(0, 0)),
            subtree: Some(id(tree)),
        };
        let trees = [
            (id(1), vec![within("a", 2), within("b", 9), within("c", 3)]),
            (id(2), vec![within("d", 4)]),
            (id(3), Vec::new()),
            (id(4), some()),
        ];
        catalogue.put(&trees).unwrap();
        let [first, second, third, fourth] = trees;
        // A folder that is not here is left to whoever needs it.
        assert_eq!(catalogue.ahead(id(1)), [first, second, fourth, third]);
        assert_eq!(catalogue.ahead(id(9)), []);
    }

    #[test]
    fn a_tree_is_loaded_once_and_comes_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("cache")).unwrap();
        let catalogue = Catalogue::new(path.clone());
        let tree = BlobId::new([1; 32]);
        assert_eq!(catalogue.rows(tree, || Ok(some())).unwrap(), some());
        assert_eq!(catalogue.rows(tree, never).unwrap(), some());
        let other = Catalogue::new(path);
        assert_eq!(other.row(tree, "b", never).unwrap(), some().pop());
        assert_eq!(other.row(tree, "c", never).unwrap(), None);
    }

    #[test]
    fn what_was_just_made_need_not_be_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("cache")).unwrap();
        let catalogue = Catalogue::new(path);
        let trees = [1, 2, 1].map(|byte| (BlobId::new([byte; 32]), some()));
        catalogue.put(&trees).unwrap();
        catalogue.put(&trees).unwrap();
        for (tree, nodes) in trees {
            assert_eq!(catalogue.rows(tree, never).unwrap(), nodes);
        }
    }

    #[test]
    fn damaged_packs_are_remembered_until_a_check_finds_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("cache")).unwrap();
        let [one, two, three] = [1, 2, 3].map(|byte| PackId::new([byte; 32]));
        let catalogue = Catalogue::new(path.clone());
        assert!(catalogue.suspects().unwrap().is_empty());
        catalogue.suspect(one).unwrap();
        catalogue.suspect(one).unwrap();
        catalogue.suspect(two).unwrap();
        let other = Catalogue::new(path);
        assert_eq!(other.suspects().unwrap(), HashSet::from([one, two]));
        other.set_suspects(&BTreeSet::from([two, three])).unwrap();
        assert_eq!(catalogue.suspects().unwrap(), HashSet::from([two, three]));
        catalogue.clear().unwrap();
        assert!(catalogue.suspects().unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("cache")).unwrap();
        let catalogue = Catalogue::new(path.clone());
        catalogue.rows(BlobId::new([1; 32]), || Ok(some())).unwrap();
        let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(""), 0o700);
        for end in ["", "-wal", "-shm"] {
            assert_eq!(mode(&format!("{NAME}{end}")), 0o600, "{end}");
        }
        drop(catalogue);
        // One that an older program made.
        fs::set_permissions(path.join(NAME), std::fs::Permissions::from_mode(0o644)).unwrap();
        let catalogue = Catalogue::new(path.clone());
        catalogue.rows(BlobId::new([2; 32]), || Ok(some())).unwrap();
        for end in ["", "-wal", "-shm"] {
            assert_eq!(mode(&format!("{NAME}{end}")), 0o600, "{end}");
        }
    }

    #[test]
    fn one_that_cannot_be_used_is_done_without() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("file/cache")).unwrap();
        fs::write(folder.path().join("file"), "in its way").unwrap();
        let catalogue = Catalogue::new(path);
        let tree = BlobId::new([1; 32]);
        assert_eq!(catalogue.rows(tree, || Ok(some())).unwrap(), some());
        assert_eq!(catalogue.row(tree, "B", || Ok(some())).unwrap(), some().into_iter().next());
        assert!(catalogue.suspects().is_err());
        let failed = catalogue.rows(tree, || Err(RepoError::NoKey));
        assert!(matches!(failed, Err(RepoError::NoKey)), "{failed:?}");
    }

    #[test]
    fn a_damaged_catalogue_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("cache")).unwrap();
        let tree = BlobId::new([1; 32]);
        let catalogue = Catalogue::new(path.clone());
        catalogue.rows(tree, || Ok(some())).unwrap();
        drop(catalogue);
        fs::write(path.join(NAME), vec![7; 9000]).unwrap();
        let catalogue = Catalogue::new(path);
        assert_eq!(catalogue.rows(tree, || Ok(some())).unwrap(), some());
        assert_eq!(catalogue.rows(tree, never).unwrap(), some());
        catalogue.clear().unwrap();
        assert_eq!(catalogue.row(tree, "B", || Ok(some())).unwrap(), some().into_iter().next());
    }
}
