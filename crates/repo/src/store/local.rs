//! A repository in a folder of a local disk.
//!
//! A file is written under a temporary name in `tmp/`, synced, renamed to its place, and its folder is synced: after a
//! power cut it is either whole or absent. Other programs that know the format ignore `tmp/`.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use super::{CONFIG_ID, FileKind, PackSink, Store, StoreError};
use crate::{format::random::random, id::FileId};

/// The folder for files on their way.
const TMP: &str = "tmp";
/// What a file system itself puts into the top folder of a disk.
const OF_THE_DISK: [&str; 2] = ["lost+found", "System Volume Information"];

/// A repository in a folder.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: Utf8PathBuf,
}

impl LocalStore {
    /// Takes the folder; nothing is touched yet.
    pub fn new(root: impl Into<Utf8PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, kind: FileKind, id: FileId) -> Utf8PathBuf {
        let folder = self.root.join(kind.folder());
        match kind {
            FileKind::Config => folder,
            FileKind::Pack => {
                let name = id.to_string();
                folder.join(hex::encode(&id.as_bytes()[..1])).join(name)
            }
            _ => folder.join(id.to_string()),
        }
    }

    fn open(&self, kind: FileKind, id: FileId) -> Result<fs::File, StoreError> {
        let path = self.path(kind, id);
        fs::File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                StoreError::NotFound { kind, id, place: self.root.to_string() }
            }
            _ => io_error("open", &path, source),
        })
    }

    fn temporary(&self) -> Result<(Utf8PathBuf, fs::File), StoreError> {
        let folder = self.root.join(TMP);
        let path = folder.join(hex::encode(random::<16>()));
        let file = match create_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_folder(&folder)?;
                create_file(&path)
            }
            other => other,
        };
        file.map(|file| (path.clone(), file)).map_err(|source| io_error("create", &path, source))
    }

    /// Makes a finished temporary file durable under its name.
    fn publish(
        &self,
        temporary: &Utf8Path,
        file: fs::File,
        kind: FileKind,
        id: FileId,
    ) -> Result<(), StoreError> {
        file.sync_all().map_err(|source| io_error("write", temporary, source))?;
        drop(file);
        let path = self.path(kind, id);
        let folder = path.parent().unwrap_or(&self.root);
        let renamed = match fs::rename(temporary, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_folder(folder)?;
                fs::rename(temporary, &path)
            }
            other => other,
        };
        renamed.map_err(|source| io_error("write", &path, source))?;
        sync_folder(folder)?;
        tracing::trace!(kind = kind.folder(), "a file of the repository is durable");
        Ok(())
    }

    fn list_folder(folder: &Utf8Path, files: &mut Vec<(FileId, u64)>) -> Result<(), StoreError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|source| io_error("list", folder, source))?,
        };
        for entry in entries {
            let entry = entry.map_err(|source| io_error("list", folder, source))?;
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match entry.metadata() {
                Ok(metadata) => files.push((id, metadata.len())),
                // Removed by another program after it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(io_error("list", folder, source)),
            }
        }
        Ok(())
    }
}

impl Store for LocalStore {
    fn location(&self) -> String {
        self.root.to_string()
    }

    fn stranger(&self) -> Result<Option<String>, StoreError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| io_error("list", &self.root, source))?,
        };
        // An `init` that broke left some of these.
        let ours = |name: &str| {
            let mut kinds = FileKind::FOLDERS.into_iter().chain([FileKind::Config]);
            name == TMP || OF_THE_DISK.contains(&name) || kinds.any(|kind| kind.folder() == name)
        };
        let mut strangers = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| io_error("list", &self.root, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !ours(&name) {
                strangers.push(name);
            }
        }
        Ok(strangers.into_iter().min())
    }

    fn create(&self) -> Result<(), StoreError> {
        create_folder(&self.root)?;
        for kind in FileKind::FOLDERS {
            create_folder(&self.root.join(kind.folder()))?;
        }
        let data = self.root.join(FileKind::Pack.folder());
        for first in 0..=u8::MAX {
            create_folder(&data.join(hex::encode([first])))?;
        }
        sync_folder(&data)?;
        sync_folder(&self.root)?;
        match self.root.parent() {
            Some(parent) if !parent.as_str().is_empty() => sync_folder(parent),
            _ => Ok(()),
        }
    }

    fn list(&self, kind: FileKind) -> Result<Vec<(FileId, u64)>, StoreError> {
        let folder = self.root.join(kind.folder());
        let mut files = Vec::new();
        match kind {
            FileKind::Config => match fs::metadata(&folder) {
                Ok(metadata) => files.push((CONFIG_ID, metadata.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(io_error("read", &folder, source)),
            },
            FileKind::Pack => {
                for first in 0..=u8::MAX {
                    Self::list_folder(&folder.join(hex::encode([first])), &mut files)?;
                }
            }
            _ => Self::list_folder(&folder, &mut files)?,
        }
        Ok(files)
    }

    fn read(&self, kind: FileKind, id: FileId) -> Result<Vec<u8>, StoreError> {
        let mut file = self.open(kind, id)?;
        let mut data = Vec::new();
        file.read_to_end(&mut data)
            .map_err(|source| io_error("read", &self.path(kind, id), source))?;
        Ok(data)
    }

    fn read_range(
        &self,
        kind: FileKind,
        id: FileId,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let mut file = self.open(kind, id)?;
        let mut data = Vec::with_capacity(length);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.take(length as u64).read_to_end(&mut data))
            .map_err(|source| io_error("read", &self.path(kind, id), source))?;
        if data.len() == length { Ok(data) } else { Err(StoreError::TooShort { kind, id }) }
    }

    fn write(&self, kind: FileKind, id: FileId, data: &[u8]) -> Result<(), StoreError> {
        let (temporary, mut file) = self.temporary()?;
        let written = file
            .write_all(data)
            .map_err(|source| io_error("write", &self.path(kind, id), source))
            .and_then(|()| self.publish(&temporary, file, kind, id));
        if written.is_err() {
            discard(&temporary);
        }
        written
    }

    fn write_first(&self, kind: FileKind, id: FileId, data: &[u8]) -> Result<bool, StoreError> {
        let path = self.path(kind, id);
        let failed = |source| io_error("write", &path, source);
        let (temporary, mut file) = self.temporary()?;
        let written = file.write_all(data).and_then(|()| file.sync_all());
        // Unlike a rename, a link never takes the place of what is there.
        let first = written.and_then(|()| match fs::hard_link(&temporary, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(_) => write_in_place(&path, data),
            Ok(()) => Ok(true),
        });
        discard(&temporary);
        let first = first.map_err(failed)?;
        sync_folder(path.parent().unwrap_or(&self.root))?;
        Ok(first)
    }

    fn begin_pack(&self) -> Result<Box<dyn PackSink>, StoreError> {
        let (temporary, file) = self.temporary()?;
        Ok(Box::new(LocalPack { store: self.clone(), temporary, file: Some(file) }))
    }

    fn remove(&self, kind: FileKind, id: FileId) -> Result<(), StoreError> {
        let path = self.path(kind, id);
        remove_file(&path)
    }

    fn unfinished(&self) -> Result<Vec<String>, StoreError> {
        let folder = self.root.join(TMP);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|source| io_error("list", &folder, source))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| io_error("list", &folder, source))?;
            if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn remove_unfinished(&self, names: &[String]) -> Result<(), StoreError> {
        names.iter().try_for_each(|name| remove_file(&self.root.join(TMP).join(name)))
    }
}

/// A pack that is written as it grows.
struct LocalPack {
    store: LocalStore,
    temporary: Utf8PathBuf,
    file: Option<fs::File>,
}

impl PackSink for LocalPack {
    fn append(&mut self, data: &[u8]) -> Result<(), StoreError> {
        match &mut self.file {
            Some(file) => {
                file.write_all(data).map_err(|source| io_error("write", &self.temporary, source))
            }
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>, id: FileId) -> Result<(), StoreError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let published = self.store.publish(&self.temporary, file, FileKind::Pack, id);
        if published.is_err() {
            discard(&self.temporary);
        }
        published
    }
}

impl Drop for LocalPack {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            discard(&self.temporary);
        }
    }
}

fn io_error(action: &'static str, path: &Utf8Path, source: io::Error) -> StoreError {
    // fs_err names the path in its text; the bare error keeps the number that callers match on.
    let source = source
        .raw_os_error()
        .or_else(|| inner_code(&source))
        .map_or(source, io::Error::from_raw_os_error);
    StoreError::Io { action, place: path.to_string(), source }
}

/// Returns the number of the system's error inside one that `fs_err` wrapped.
fn inner_code(error: &io::Error) -> Option<i32> {
    let mut source = error.get_ref().and_then(std::error::Error::source);
    while let Some(inner) = source {
        if let Some(code) = inner.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(code);
        }
        source = inner.source();
    }
    None
}

/// Removes a temporary file that nobody needs; when that fails the next run does it.
fn discard(path: &Utf8Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(%error, "a temporary file stays behind");
    }
}

fn remove_file(path: &Utf8Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| io_error("remove", path, source)),
    }
}

/// Writes a file under its own name where the file system knows no links; says whether it was not there.
fn write_in_place(path: &Utf8Path, data: &[u8]) -> io::Result<bool> {
    let mut file = match create_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        other => other?,
    };
    let written = file.write_all(data).and_then(|()| file.sync_all());
    if written.is_err() {
        discard(path);
    }
    written.map(|()| true)
}

fn create_file(path: &Utf8Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use fs::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn create_folder(path: &Utf8Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(|source| io_error("create", path, source))
}

#[cfg(unix)]
fn sync_folder(path: &Utf8Path) -> Result<(), StoreError> {
    fs::File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| io_error("sync", path, source))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "only UNIX can sync a folder")]
fn sync_folder(_path: &Utf8Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, LocalStore) {
        let folder = tempfile::tempdir().unwrap();
        let store =
            LocalStore::new(Utf8PathBuf::from_path_buf(folder.path().join("repository")).unwrap());
        store.create().unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_written_is_listed_and_read() {
        let (_folder, store) = store();
        let id = FileId::new([7; 32]);
        store.write(FileKind::Snapshot, id, b"hello").unwrap();
        assert_eq!(store.list(FileKind::Snapshot).unwrap(), [(id, 5)]);
        assert_eq!(store.read(FileKind::Snapshot, id).unwrap(), b"hello");
        assert_eq!(store.read_range(FileKind::Snapshot, id, 1, 3).unwrap(), b"ell");
        assert!(matches!(
            store.read_range(FileKind::Snapshot, id, 1, 5),
            Err(StoreError::TooShort { kind: FileKind::Snapshot, .. })
        ));
        store.remove(FileKind::Snapshot, id).unwrap();
        store.remove(FileKind::Snapshot, id).unwrap();
        assert!(matches!(store.read(FileKind::Snapshot, id), Err(StoreError::NotFound { .. })));
    }

    #[test]
    fn a_pack_is_seen_only_when_finished() {
        let (_folder, store) = store();
        let id = FileId::new([9; 32]);
        let mut pack = store.begin_pack().unwrap();
        pack.append(b"abc").unwrap();
        pack.append(b"def").unwrap();
        assert!(store.list(FileKind::Pack).unwrap().is_empty());
        assert_eq!(store.unfinished().unwrap().len(), 1);
        pack.finish(id).unwrap();
        assert_eq!(store.read(FileKind::Pack, id).unwrap(), b"abcdef");
        assert!(store.unfinished().unwrap().is_empty());
    }

    #[test]
    fn a_pack_that_is_dropped_leaves_nothing() {
        let (_folder, store) = store();
        let mut pack = store.begin_pack().unwrap();
        pack.append(b"abc").unwrap();
        drop(pack);
        assert!(store.unfinished().unwrap().is_empty());
        assert!(store.list(FileKind::Pack).unwrap().is_empty());
    }

    #[test]
    fn leftovers_can_be_removed() {
        let (_folder, store) = store();
        let (path, file) = store.temporary().unwrap();
        drop(file);
        let names = store.unfinished().unwrap();
        store.remove_unfinished(&names).unwrap();
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, store) = store();
        let id = FileId::new([1; 32]);
        store.write(FileKind::Key, id, b"secret").unwrap();
        let mode = |path: &Utf8Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.path(FileKind::Key, id)), 0o600);
        assert_eq!(mode(&store.root), 0o700);
    }
}
