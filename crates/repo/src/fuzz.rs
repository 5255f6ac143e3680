//! The parsers of the format, for fuzz targets; not for users.

use crate::format::{config, file, index, lock, pack, seal::Key, snapshot, tree};

/// Hands `bytes` to every parser: as the JSON of each file, as a list of blobs, and as what the seal hides.
pub fn parse_all(bytes: &[u8]) {
    if let Ok(nodes) = tree::decode(bytes) {
        let again = tree::decode(&tree::encode(&nodes));
        assert_eq!(
            again.map(|nodes| nodes.len()),
            Ok(nodes.len()),
            "what was read can be written and read"
        );
    }
    if let Ok(file) = index::decode(bytes) {
        assert_eq!(index::decode(&index::encode(&file)), Ok(file), "an index comes back");
    }
    if let Ok(file) = snapshot::decode(bytes) {
        drop(snapshot::decode(&snapshot::encode(&file)));
    }
    drop(lock::decode(bytes));
    drop(config::decode(bytes));
    let key = Key::new(&[1; 32], &[2; 16], &[3; 16]);
    drop(file::open(&key, &mut key.seal(bytes)));
    drop(pack::open_list(&key, &mut key.seal(bytes), bytes.len() as u64));
    drop(key.open(&mut bytes.to_vec()));
}
