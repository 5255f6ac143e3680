//! The parsers of the format, for fuzz targets; not for users.

use crate::format::{config, file, index, lock, pack, quote, seal::Key, snapshot, tree};

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
        assert_eq!(snapshot::decode(&snapshot::encode(&file)), Ok(file), "a snapshot comes back");
    }
    if let Ok(file) = lock::decode(bytes) {
        assert_eq!(lock::decode(&lock::encode(&file)), Ok(file), "a lock comes back");
    }
    drop(config::decode(bytes));
    let key = Key::new(&[1; 32], &[2; 16], &[3; 16]);
    drop(file::open(&key, &mut key.seal(bytes)));
    drop(pack::open_list(&key, &mut key.seal(bytes), bytes.len() as u64));
    drop(key.open(&mut bytes.to_vec()));
}

/// Hands `bytes` to the reader of quoted names, and writes them as a name.
pub fn parse_names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for name in [Some(&*text), quote::unquote(&text).as_deref()].into_iter().flatten() {
        let quoted = quote::name(name);
        assert_eq!(quote::unquote(&quoted).as_deref(), Some(name), "a name comes back");
        let mut json = String::new();
        quote::json(&mut json, &quoted);
        let read: Result<String, _> = serde_json::from_str(&json);
        assert_eq!(read.ok().as_deref(), Some(&*quoted), "JSON comes back");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_ways_in_for_fuzz_targets_take_anything(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in any::<String>(),
        ) {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                parse_all(bytes);
                parse_names(bytes);
            }
        }
    }
}
