//! The parsers of the format, for fuzz targets; not for users.

use camino::Utf8Path;
use jiff::tz::TimeZone;

use crate::{
    catalogue::{self, Catalogue},
    error::RepoError,
    format::{config, file, index, lock, pack, quote, seal::Key, snapshot, tree, tree::TreeNode},
    id::{BlobId, SnapshotId},
    location::Location,
    node::{Content, Node, moment},
    snapshot::{Snapshot, Tag, Wanted, resolve},
};

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

/// Hands `text` to everything that reads what a person types: identifiers, places of repositories, names of snapshots.
pub fn parse_words(text: &str) {
    if let Ok(id) = text.parse::<SnapshotId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase(), "an identifier comes back");
    }
    drop(text.parse::<Location>());
    let some = |first: u8, udid: &str, tag: Tag| Snapshot {
        id: SnapshotId::new([first; 32]),
        time: moment(1_800_000_000, 0),
        udid: udid.into(),
        tags: vec![tag.as_str().into()],
        label: None,
        description: None,
        parent: None,
        tree: BlobId::new([0; 32]),
        program: None,
        summary: None,
    };
    let all = [some(0xab, "A", Tag::Complete), some(0xac, "B", Tag::Partial)];
    let wanted = Wanted { name: text, udid: None, now: None, zone: TimeZone::UTC };
    if let Ok(found) = resolve(&all, &wanted, &|_| true) {
        assert!(all.iter().any(|snapshot| snapshot.id == found.id), "only what is there is found");
    }
}

/// Takes `bytes` for the catalogue that lies in the cache, and reads it; `folder` is empty.
pub fn read_catalogue(folder: &Utf8Path, bytes: &[u8]) -> Result<(), RepoError> {
    let path = folder.join(catalogue::NAME);
    fs_err::write(&path, bytes).map_err(|source| RepoError::io("write", path, source))?;
    let catalogue = Catalogue::new(folder.to_owned());
    let tree = BlobId::new([1; 32]);
    drop(catalogue.row(tree, "name", || Ok(Vec::new())));
    drop(catalogue.rows(tree, || Ok(Vec::new())));
    Ok(())
}

/// Returns a file of each kind, as this program writes it, to begin with.
pub fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let time = moment(1_800_000_000, 0);
    let blob = BlobId::new([5; 32]);
    let file = Node::file(Content { blobs: vec![blob, BlobId::new([6; 32])], size: 7 }, time);
    let node = |name: &str, node, subtree| TreeNode { name: name.into(), node, subtree };
    let nodes = [
        node("a \u{e4}\"\\", file, None),
        node("b", Node::directory(time), Some(blob)),
        node("c", Node::symlink("a", time), None),
    ];
    let lock = lock::LockFile {
        time,
        exclusive: true,
        hostname: "host".into(),
        username: "user".into(),
        pid: 7,
        uid: Some(1),
        gid: None,
    };
    vec![("tree", tree::encode(&nodes)), ("lock", lock::encode(&lock))]
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

    #[test]
    fn a_catalogue_of_noise_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        read_catalogue(path, &[7; 5000]).unwrap();
    }

    #[test]
    fn samples_are_what_they_seem() {
        for (kind, bytes) in samples() {
            match kind {
                "tree" => assert_eq!(tree::decode(&bytes).unwrap().len(), 3),
                "lock" => assert!(lock::decode(&bytes).unwrap().exclusive),
                other => panic!("{other}"),
            }
        }
    }

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
            parse_words(&text);
        }
    }
}
