//! Reads the content of a file.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, Read, Seek, SeekFrom},
    sync::{Arc, Mutex, PoisonError},
};

use zstd::bulk::Decompressor;

use crate::{
    error::{Flaw, RepoError},
    format::{BlobKind, hash::sha256, pack::PackBlob, seal::Key},
    id::BlobId,
    node::Content,
    repository::Inner,
};

/// No honest blob is larger when decompressed.
const MAX_BLOB: u32 = 1 << 30;

/// Opens a sealed blob: authenticates, decrypts, decompresses, and compares length and digest.
pub(crate) fn open_blob(key: &Key, blob: &PackBlob, sealed: &mut [u8]) -> Result<Vec<u8>, Flaw> {
    let plain = key.open(sealed)?;
    let data = match blob.uncompressed {
        None => plain.to_vec(),
        Some(length) if length > MAX_BLOB => return Err(Flaw::TooLong),
        Some(length) => decompress(plain, length as usize).map_err(|_| Flaw::Compression)?,
    };
    if data.len() != blob.raw_length() as usize {
        return Err(Flaw::Length);
    }
    if sha256(&data) != *blob.id.as_bytes() {
        return Err(Flaw::Digest);
    }
    Ok(data)
}

/// Decompresses with what this thread used before: making it anew costs more than a small blob.
fn decompress(data: &[u8], length: usize) -> io::Result<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        decompressor.decompress(data, length)
    })
}

/// How much the cache of blobs holds …
const CACHE_BYTES: usize = 24 << 20;
/// … and how many of them.
const CACHE_BLOBS: usize = 256;

/// The blobs that were read last.
#[derive(Debug, Default)]
pub(crate) struct BlobCache {
    state: Mutex<CacheState>,
}

/// When a blob was used last, and its bytes.
type Cached = (u64, Arc<Vec<u8>>);

#[derive(Debug, Default)]
struct CacheState {
    blobs: HashMap<(BlobKind, BlobId), Cached>,
    bytes: usize,
    clock: u64,
}

impl BlobCache {
    pub(crate) fn get(&self, kind: BlobKind, id: &BlobId) -> Option<Arc<Vec<u8>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let (used, data) = state.blobs.get_mut(&(kind, *id))?;
        *used = now;
        Some(Arc::clone(data))
    }

    pub(crate) fn put(&self, kind: BlobKind, id: BlobId, data: &Arc<Vec<u8>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        if state.blobs.insert((kind, id), (now, Arc::clone(data))).is_none() {
            state.bytes += data.len();
        }
        while state.bytes > CACHE_BYTES || state.blobs.len() > CACHE_BLOBS {
            let oldest =
                state.blobs.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| *name);
            let Some((_, gone)) = oldest.and_then(|name| state.blobs.remove(&name)) else { break };
            state.bytes -= gone.len();
        }
    }
}

/// The bytes of one file.
pub struct Reader {
    repository: Arc<Inner>,
    blobs: Vec<BlobId>,
    /// Where each blob ends.
    ends: Vec<u64>,
    position: u64,
    /// The blob that was read last.
    current: Option<(usize, Arc<Vec<u8>>)>,
}

impl Reader {
    pub(crate) fn new(repository: &Arc<Inner>, content: &Content) -> Result<Self, RepoError> {
        let mut ends = Vec::with_capacity(content.blobs.len());
        let mut end = 0;
        for id in &content.blobs {
            end += u64::from(repository.raw_length(id)?);
            ends.push(end);
        }
        let repository = Arc::clone(repository);
        Ok(Self { repository, blobs: content.blobs.clone(), ends, position: 0, current: None })
    }

    /// Returns how many bytes there are.
    pub fn size(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Reads bytes from `offset` into `buffer`; fewer only at the end.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, RepoError> {
        let mut done = 0;
        while done < buffer.len() {
            let part = self.read_once(offset + done as u64, &mut buffer[done..])?;
            if part == 0 {
                break;
            }
            done += part;
        }
        Ok(done)
    }

    /// Reads from one blob.
    fn read_once(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, RepoError> {
        let number = self.ends.partition_point(|end| *end <= offset);
        let (Some(id), Some(end)) = (self.blobs.get(number), self.ends.get(number)) else {
            return Ok(0);
        };
        let data = match &self.current {
            Some((current, data)) if *current == number => Arc::clone(data),
            _ => {
                let data = self.repository.blob(BlobKind::Data, id)?;
                self.current = Some((number, Arc::clone(&data)));
                data
            }
        };
        let rest = usize::try_from(end - offset).unwrap_or(usize::MAX).min(data.len());
        let part = &data[data.len() - rest..];
        let length = part.len().min(buffer.len());
        buffer[..length].copy_from_slice(&part[..length]);
        Ok(length)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.read_once(self.position, buffer).map_err(io::Error::other)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
