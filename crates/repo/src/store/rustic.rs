//! Hands our store to `rustic_core`, so that both work on the same files through the same code.

use std::sync::Arc;

use bytes::Bytes;
use rustic_core::{BytesList, FileType, Id, ReadBackend, RusticResult, WriteBackend};

use super::{CONFIG_ID, FileKind, Store, StoreError};
use crate::{error::to_rustic, id::FileId};

/// Our store as `rustic_core` wants it.
pub(crate) struct RusticStore(pub(crate) Arc<dyn Store>);

fn kind(of: FileType) -> FileKind {
    match of {
        FileType::Config => FileKind::Config,
        FileType::Index => FileKind::Index,
        FileType::Key => FileKind::Key,
        FileType::Snapshot => FileKind::Snapshot,
        FileType::Pack => FileKind::Pack,
    }
}

/// Returns our kind and name of one of its files; the configuration has no name.
fn ours(of: FileType, id: &Id) -> Result<(FileKind, FileId), StoreError> {
    let kind = kind(of);
    if kind == FileKind::Config {
        return Ok((kind, CONFIG_ID));
    }
    let text = id.to_hex();
    text.as_str().parse().map(|id| (kind, id)).map_err(|_| StoreError::Io {
        action: "name",
        place: text.as_str().to_owned(),
        source: std::io::ErrorKind::InvalidInput.into(),
    })
}

impl ReadBackend for RusticStore {
    fn location(&self) -> String {
        self.0.location()
    }

    fn list_with_size(&self, of: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let files = self.0.list(kind(of)).map_err(to_rustic)?;
        let size = |size| u32::try_from(size).unwrap_or(u32::MAX);
        Ok(files.into_iter().map(|(id, length)| (Id::new(*id.as_bytes()), size(length))).collect())
    }

    fn read_full(&self, of: FileType, id: &Id) -> RusticResult<Bytes> {
        ours(of, id)
            .and_then(|(kind, id)| self.0.read(kind, id))
            .map(Bytes::from)
            .map_err(to_rustic)
    }

    fn read_partial(
        &self,
        of: FileType,
        id: &Id,
        _cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        ours(of, id)
            .and_then(|(kind, id)| self.0.read_range(kind, id, u64::from(offset), length as usize))
            .map(Bytes::from)
            .map_err(to_rustic)
    }

    fn warmup_path(&self, of: FileType, id: &Id) -> String {
        format!("{}/{id}", of.dirname())
    }
}

impl WriteBackend for RusticStore {
    fn create(&self) -> RusticResult<()> {
        self.0.create().map_err(to_rustic)
    }

    fn write_bytes(
        &self,
        of: FileType,
        id: &Id,
        _cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        let data = content.slice().concat();
        ours(of, id).and_then(|(kind, id)| self.0.write(kind, id, &data)).map_err(to_rustic)
    }

    fn remove(&self, of: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        ours(of, id).and_then(|(kind, id)| self.0.remove(kind, id)).map_err(to_rustic)
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use fs_err as fs;
    use jiff::Timestamp;
    use rustic_core::{BackupOptions, CheckOptions, PathList, SnapshotOptions};

    use super::*;
    use crate::{
        Content, NewSnapshot, Node, NodeKind, RepoError, Repository, Tag, TreeBuilder,
        WriterOptions, keys, store::MemoryStore,
    };

    const TEXT: &[u8] =
        b"It asks whether to trust this computer. It asks whether to trust this computer.";

    fn repository(folder: &tempfile::TempDir) -> Repository {
        let cache = Utf8Path::from_path(folder.path()).unwrap().join("cache");
        Repository::init_in(Arc::new(MemoryStore::new()), &"x".into(), &cache).unwrap()
    }

    #[test]
    fn rustic_core_reads_what_we_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(&folder);
        let writer =
            repository.writer(&WriterOptions::new(Arc::new(|| Timestamp::UNIX_EPOCH))).unwrap();
        let content = writer.store(TEXT, None).unwrap();
        let mut tree = TreeBuilder::new();
        tree.add("R&D/a \"b\".txt", Node::file(content, Timestamp::UNIX_EPOCH)).unwrap();
        tree.add("R&D/link", Node::symlink("a", Timestamp::UNIX_EPOCH)).unwrap();
        let new = NewSnapshot {
            time: "2026-11-22T10:00:00.25Z".parse().unwrap(),
            udid: "UDID".into(),
            tag: Tag::Complete,
            also: None,
            label: Some("phone".into()),
            description: None,
            parent: None,
        };
        let (id, _) = writer.commit(tree, &new).unwrap();
        drop(writer);

        let inner = repository.inner();
        let engine = keys::open_engine(&inner.store, &inner.master).unwrap();
        let found = engine.check(CheckOptions::default().read_data(true)).unwrap();
        assert!(found.0.is_empty(), "{found:?}");
        let engine = engine.to_indexed().unwrap();
        let snapshot = engine.get_all_snapshots().unwrap().pop().unwrap();
        assert_eq!(snapshot.id.to_hex().as_str(), id.to_string());
        assert_eq!((snapshot.hostname.as_str(), snapshot.label.as_str()), ("UDID", "phone"));
        assert!(snapshot.tags.contains("complete"));
        let node = engine.node_from_snapshot_and_path(&snapshot, "R&D/a \"b\".txt").unwrap();
        let mut data = Vec::new();
        engine.dump(&node, &mut data).unwrap();
        assert_eq!(data, TEXT);
        let link = engine.node_from_snapshot_and_path(&snapshot, "R&D/link").unwrap();
        assert_eq!(link.node_type.to_link().to_str(), Some("a"));
    }

    #[test]
    fn we_read_what_rustic_core_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(&folder);
        let source = Utf8Path::from_path(folder.path()).unwrap().join("source");
        fs::create_dir_all(source.join("empty folder")).unwrap();
        fs::write(source.join("a & \"b\".txt"), TEXT).unwrap();
        let inner = repository.inner();
        let engine =
            keys::open_engine(&inner.store, &inner.master).unwrap().to_indexed_ids().unwrap();
        let snapshot = SnapshotOptions::default().to_snapshot().unwrap();
        let paths = PathList::from_string(source.as_str()).unwrap();
        engine.backup(&BackupOptions::default(), &paths, snapshot).unwrap();

        let snapshot = repository.snapshots().unwrap().pop().unwrap();
        let mut files = Vec::new();
        repository
            .walk(&snapshot, |entry| -> Result<(), RepoError> {
                if let NodeKind::File(content) = &entry.node.kind {
                    let Content { size, .. } = *content;
                    files.push((entry.name().to_owned(), size, repository.read(content)?));
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(files, [("a & \"b\".txt".to_owned(), TEXT.len() as u64, TEXT.to_vec())]);
        assert_eq!(repository.check(true, &mut |_| ()).unwrap().damage, []);
    }
}
