//! A pack that is being filled.

use std::mem;

use zstd::bulk::Compressor;

use crate::{
    error::RepoError,
    format::{
        BlobKind,
        hash::Sha256,
        pack::{self, PackBlob},
        seal::{Key, NONCE, OVERHEAD, TAG},
    },
    id::{BlobId, PackId},
    store::{PackSink, Store},
};

/// Compression level: on this kind of data as fast as the lower ones, and denser.
const LEVEL: i32 = 3;
/// What is larger is tried on a sample first.
const PROBE_FROM: usize = 64 << 10;
/// Size of the sample.
const SAMPLE: usize = 16 << 10;
/// A pack of files is closed at this size …
const DATA_SIZE: u64 = 24 << 20;
/// … and one of folders at this.
const TREE_SIZE: u64 = 8 << 20;
/// So much is hashed and handed to the store at a time.
const PART: usize = 512 << 10;

/// Compresses; keeps its memory from blob to blob.
pub(super) struct Squeezer {
    full: Compressor<'static>,
    quick: Compressor<'static>,
    scratch: Vec<u8>,
}

impl Squeezer {
    pub(super) fn new() -> std::io::Result<Self> {
        let scratch = vec![0; zstd::zstd_safe::compress_bound(SAMPLE)];
        Ok(Self { full: Compressor::new(LEVEL)?, quick: Compressor::new(1)?, scratch })
    }

    /// Compresses into `out` (of at least the bound's size), or returns `None` if it does not pay.
    fn squeeze(&mut self, data: &[u8], out: &mut [u8]) -> Option<usize> {
        if data.len() >= PROBE_FROM && !self.is_promising(data) {
            return None;
        }
        let length = self.full.compress_to_buffer(data, out).ok()?;
        (length + data.len() / 64 < data.len()).then_some(length)
    }

    fn is_promising(&mut self, data: &[u8]) -> bool {
        let middle = (data.len() - SAMPLE) / 2;
        let sample = &data[middle..middle + SAMPLE];
        let length =
            self.quick.compress_to_buffer(sample, self.scratch.as_mut_slice()).unwrap_or(0);
        length < SAMPLE - SAMPLE / 20
    }
}

/// A pack that is being filled: blobs are compressed and sealed in its buffer, which goes to the store part by part.
pub(super) struct OpenPack {
    kind: BlobKind,
    sink: Box<dyn PackSink>,
    hash: Sha256,
    blobs: Vec<PackBlob>,
    /// Bytes of all blobs so far.
    size: u64,
    buffer: Vec<u8>,
    /// How much of the buffer is used.
    used: usize,
}

/// A pack that is full: only its name and its place are missing.
pub(super) struct FullPack {
    pub(super) id: PackId,
    pub(super) sink: Box<dyn PackSink>,
    pub(super) blobs: Vec<PackBlob>,
    pub(super) size: u64,
}

impl OpenPack {
    /// Starts a pack. `buffer` is one that another pack left, or empty.
    pub(super) fn begin(
        store: &dyn Store,
        kind: BlobKind,
        buffer: Vec<u8>,
    ) -> Result<Self, RepoError> {
        let sink = store.begin_pack()?;
        Ok(Self { kind, sink, hash: Sha256::new(), blobs: Vec::new(), size: 0, buffer, used: 0 })
    }

    pub(super) fn kind(&self) -> BlobKind {
        self.kind
    }

    /// Whether it should be closed.
    pub(super) fn is_full(&self) -> bool {
        self.size >= if self.kind == BlobKind::Data { DATA_SIZE } else { TREE_SIZE }
    }

    /// Adds a blob.
    pub(super) fn add(
        &mut self,
        key: &Key,
        squeezer: &mut Squeezer,
        id: BlobId,
        data: &[u8],
    ) -> Result<(), RepoError> {
        let bound = zstd::zstd_safe::compress_bound(data.len()).max(data.len());
        let needed = self.used + bound + OVERHEAD;
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        }
        let room = &mut self.buffer[self.used..];
        let squeezed = squeezer.squeeze(data, &mut room[NONCE..NONCE + bound]);
        let length = squeezed.unwrap_or(data.len());
        if squeezed.is_none() {
            room[NONCE..NONCE + length].copy_from_slice(data);
        }
        let sealed = NONCE + length + TAG;
        key.seal_in_place(&mut room[..sealed]);
        self.blobs.push(PackBlob {
            id,
            kind: self.kind,
            offset: u32::try_from(self.size).expect("a pack ends long before 4 GiB"),
            length: narrow(sealed),
            uncompressed: squeezed.map(|_| narrow(data.len())),
        });
        self.size += sealed as u64;
        self.used += sealed;
        if self.used >= PART { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), RepoError> {
        let part = &self.buffer[..mem::take(&mut self.used)];
        self.hash.update(part);
        self.sink.append(part)?;
        Ok(())
    }

    /// Ends the pack: the list of its blobs goes last. Returns the buffer for the next one, too.
    pub(super) fn close(mut self, key: &Key) -> Result<(FullPack, Vec<u8>), RepoError> {
        self.hand_over()?;
        let trailer = pack::trailer(key, &self.blobs);
        self.hash.update(&trailer);
        self.sink.append(&trailer)?;
        let id = PackId::new(self.hash.finish());
        let size = self.size + trailer.len() as u64;
        Ok((FullPack { id, sink: self.sink, blobs: self.blobs, size }, self.buffer))
    }
}

/// Packs and blobs stay far below 4 GiB.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).expect("a pack ends long before 4 GiB")
}
