//! Index files: which blob lies where in which pack.

use serde::{Deserialize, Serialize};

use super::{BlobKind, pack::PackBlob};
use crate::{
    error::Flaw,
    id::{BlobId, FileId, PackId},
};

/// One index file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(crate) struct IndexFile {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) supersedes: Vec<FileId>,
    pub(crate) packs: Vec<IndexPack>,
    /// Packs that a prune has condemned; only rustic writes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) packs_to_delete: Vec<IndexPack>,
}

/// What lies in one pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexPack {
    pub(crate) id: PackId,
    pub(crate) blobs: Vec<IndexBlob>,
}

/// Where a blob lies in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexBlob {
    pub(crate) id: BlobId,
    #[serde(rename = "type")]
    pub(crate) kind: BlobKind,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uncompressed_length: Option<u32>,
}

impl From<&PackBlob> for IndexBlob {
    fn from(blob: &PackBlob) -> Self {
        Self {
            id: blob.id,
            kind: blob.kind,
            offset: blob.offset,
            length: blob.length,
            uncompressed_length: blob.uncompressed,
        }
    }
}

impl From<&IndexBlob> for PackBlob {
    fn from(blob: &IndexBlob) -> Self {
        Self {
            id: blob.id,
            kind: blob.kind,
            offset: blob.offset,
            length: blob.length,
            uncompressed: blob.uncompressed_length.filter(|length| *length > 0),
        }
    }
}

/// Writes the JSON of an index file.
pub(crate) fn encode(index: &IndexFile) -> Vec<u8> {
    serde_json::to_vec(index).expect("an index has only text keys and numbers")
}

/// Reads the JSON of an index file.
pub(crate) fn decode(json: &[u8]) -> Result<IndexFile, Flaw> {
    serde_json::from_slice(json).map_err(|_| Flaw::Syntax)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_format() {
        let json = br#"{
  "supersedes": ["ed54ae36197f4745ebc4b54d10e0f623eaaaedd03013eb7ae90df881b7781452"],
  "packs": [{
    "id": "73d04e6125cf3c28a299cc2f3cca3b78ceac396e4fcf9575e34536b26782413c",
    "blobs": [
      {"id": "3ec79977ef0cf5de7b08cd12b874cd0f62bbaf7f07f3497a5b1bbcc8cb39b1ce", "type": "data", "offset": 0, "length": 38, "uncompressed_length": 512},
      {"id": "9ccb846e60d90d4eb915848add7aa7ea1e4bbabfc60e573db9f7bfb2789afbae", "type": "tree", "offset": 38, "length": 112}
    ]}]}"#;
        let index = decode(json).unwrap();
        let blobs = &index.packs[0].blobs;
        assert_eq!((blobs[0].kind, blobs[0].uncompressed_length), (BlobKind::Data, Some(512)));
        assert_eq!((blobs[1].kind, blobs[1].uncompressed_length), (BlobKind::Tree, None));
        assert_eq!(decode(&encode(&index)).unwrap(), index);
    }

    fn packs() -> impl Strategy<Value = Vec<IndexPack>> {
        let numbers = any::<(u32, u32, Option<u32>)>();
        let blob = (any::<[u8; 32]>(), any::<bool>(), numbers).prop_map(
            |(id, is_tree, (offset, length, uncompressed_length))| IndexBlob {
                id: BlobId::new(id),
                kind: if is_tree { BlobKind::Tree } else { BlobKind::Data },
                offset,
                length,
                uncompressed_length,
            },
        );
        let pack = (any::<[u8; 32]>(), prop::collection::vec(blob, 0..4))
            .prop_map(|(id, blobs)| IndexPack { id: PackId::new(id), blobs });
        prop::collection::vec(pack, 0..4)
    }

    fn file() -> impl Strategy<Value = IndexFile> {
        (any::<Vec<[u8; 32]>>(), packs(), packs()).prop_map(|(ids, packs, packs_to_delete)| {
            let supersedes = ids.into_iter().take(3).map(FileId::new).collect();
            IndexFile { supersedes, packs, packs_to_delete }
        })
    }

    proptest! {
        #[test]
        fn an_index_comes_back(file in file()) {
            prop_assert_eq!(decode(&encode(&file)).unwrap(), file);
        }

        #[test]
        fn an_index_with_a_bad_place_does_no_harm(
            file in file(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut json = encode(&file);
            let at = at.index(json.len());
            json[at] = byte;
            drop(decode(&json));
        }

        #[test]
        fn noise_does_no_harm(noise in "[{}\\[\\]\":,a-f0-9]{0,100}") {
            drop(decode(noise.as_bytes()));
        }
    }
}
