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
