//! A pack: sealed blobs one after another, the sealed list of them, and the length of that list.
//!
//! The list has, for each blob in order, its kind, its sealed length, its length before compression if it is
//! compressed, and its name. Numbers are little-endian.

use super::{
    BlobKind,
    seal::{Key, OVERHEAD},
};
use crate::{error::Flaw, id::BlobId};

/// The number at the end of a pack.
pub(crate) const LENGTH: usize = 4;
/// An entry of a blob that is not compressed.
const PLAIN_ENTRY: usize = 1 + 4 + 32;
/// An entry of a compressed blob.
const COMPRESSED_ENTRY: usize = PLAIN_ENTRY + 4;
/// How much longer a sealed blob is.
const SEALED: u32 = 32;
const _: () = assert!(SEALED as usize == OVERHEAD, "a seal has one size");

/// Where a blob lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackBlob {
    pub(crate) id: BlobId,
    pub(crate) kind: BlobKind,
    pub(crate) offset: u32,
    /// Sealed.
    pub(crate) length: u32,
    /// Before compression, if it is compressed.
    pub(crate) uncompressed: Option<u32>,
}

impl PackBlob {
    /// Returns the length of the plaintext.
    pub(crate) fn raw_length(&self) -> u32 {
        self.uncompressed.unwrap_or_else(|| self.length.saturating_sub(SEALED))
    }
}

/// Returns the end of a pack: the sealed list and its length.
pub(crate) fn trailer(key: &Key, blobs: &[PackBlob]) -> Vec<u8> {
    let list = encode(blobs);
    let mut out = Vec::with_capacity(list.len() + OVERHEAD + LENGTH);
    key.seal_to(&list, &mut out);
    let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out
}

/// Returns how many bytes at the end of a pack belong to a trailer of these blobs.
pub(crate) fn trailer_length(blobs: &[PackBlob]) -> u64 {
    let entry = |blob: &PackBlob| entry_length(blob.uncompressed.is_some());
    (blobs.iter().map(entry).sum::<usize>() + OVERHEAD + LENGTH) as u64
}

/// Returns how long the entry of a blob in the list is.
pub(crate) fn entry_length(is_compressed: bool) -> usize {
    if is_compressed { COMPRESSED_ENTRY } else { PLAIN_ENTRY }
}

fn encode(blobs: &[PackBlob]) -> Vec<u8> {
    let mut out = Vec::with_capacity(blobs.len() * COMPRESSED_ENTRY);
    for blob in blobs {
        out.push(match (blob.kind, blob.uncompressed) {
            (BlobKind::Data, None) => 0,
            (BlobKind::Tree, None) => 1,
            (BlobKind::Data, Some(_)) => 2,
            (BlobKind::Tree, Some(_)) => 3,
        });
        out.extend_from_slice(&blob.length.to_le_bytes());
        if let Some(length) = blob.uncompressed {
            out.extend_from_slice(&length.to_le_bytes());
        }
        out.extend_from_slice(blob.id.as_bytes());
    }
    out
}

/// Reads the list of blobs of a pack of `size` bytes out of the sealed list.
pub(crate) fn open_list(key: &Key, sealed: &mut [u8], size: u64) -> Result<Vec<PackBlob>, Flaw> {
    let blobs = decode(key.open(sealed)?)?;
    let end = blobs.last().map_or(0, |last| u64::from(last.offset) + u64::from(last.length));
    if end + trailer_length(&blobs) == size { Ok(blobs) } else { Err(Flaw::Length) }
}

fn decode(mut list: &[u8]) -> Result<Vec<PackBlob>, Flaw> {
    let mut blobs = Vec::with_capacity(list.len() / PLAIN_ENTRY);
    let mut offset = 0_u32;
    while let Some((kind, rest)) = list.split_first() {
        let (kind, compressed) = match kind {
            0 => (BlobKind::Data, false),
            1 => (BlobKind::Tree, false),
            2 => (BlobKind::Data, true),
            3 => (BlobKind::Tree, true),
            _ => return Err(Flaw::Syntax),
        };
        let (length, rest) = number(rest)?;
        let (uncompressed, rest) = if compressed {
            let (length, rest) = number(rest)?;
            (Some(length), rest)
        } else {
            (None, rest)
        };
        let (id, rest) = rest.split_first_chunk().ok_or(Flaw::Syntax)?;
        blobs.push(PackBlob { id: BlobId::new(*id), kind, offset, length, uncompressed });
        offset = offset.checked_add(length).ok_or(Flaw::TooLong)?;
        list = rest;
    }
    Ok(blobs)
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), Flaw> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Flaw::Syntax)?;
    Ok((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blobs() -> impl Strategy<Value = Vec<PackBlob>> {
        let blob =
            (any::<[u8; 32]>(), any::<bool>(), 0..1_u32 << 20, prop::option::of(any::<u32>()));
        prop::collection::vec(blob, 0..20).prop_map(|parts| {
            let mut offset = 0;
            let mut blobs = Vec::new();
            for (id, tree, length, uncompressed) in parts {
                let kind = if tree { BlobKind::Tree } else { BlobKind::Data };
                blobs.push(PackBlob { id: BlobId::new(id), kind, offset, length, uncompressed });
                offset += length;
            }
            blobs
        })
    }

    proptest! {
        #[test]
        fn a_trailer_says_what_was_put_in(blobs in blobs()) {
            let key = Key::new(&[1; 32], &[2; 16], &[3; 16]);
            let mut trailer = trailer(&key, &blobs);
            prop_assert_eq!(trailer.len() as u64, trailer_length(&blobs));
            let end = blobs.iter().map(|blob| u64::from(blob.length)).sum::<u64>();
            let (list, length) = trailer.split_last_chunk_mut::<LENGTH>().unwrap();
            prop_assert_eq!(u32::from_le_bytes(*length) as usize, list.len());
            let size = end + trailer_length(&blobs);
            prop_assert_eq!(open_list(&key, &mut list.to_vec(), size).unwrap(), blobs);
            prop_assert_eq!(open_list(&key, list, size + 1), Err(Flaw::Length));
        }

        #[test]
        fn noise_is_refused_or_read(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(blobs) = decode(&noise) {
                prop_assert_eq!(encode(&blobs), noise);
            }
        }
    }
}
