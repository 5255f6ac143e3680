//! What is found damaged only when it is read: it is neither built upon nor taken for stored.

use std::collections::BTreeSet;

use lifeboat_repo::Content;

use super::whole::{end, manifest, newest, open_on_newest};
use super::*;
use crate::jobs::backup::choice;

/// The packs of the repository.
fn packs(root: &Utf8Path) -> BTreeSet<Utf8PathBuf> {
    let folders = root.join("repository/data").read_dir_utf8().unwrap();
    let files = folders.flat_map(|folder| folder.unwrap().path().read_dir_utf8().unwrap());
    files.map(|file| file.unwrap().into_path()).collect()
}

/// A backup of one file.
fn back_up(root: &Utf8Path, bytes: &[u8]) {
    let (mut tree, _) = open_on_newest(root);
    put(&mut tree, &FileId::of("HomeDomain", "file").path(), bytes).unwrap();
    end(&mut tree, &manifest(root, &[("file", bytes)], &[]));
}

fn content(repository: &Repository, path: &str) -> Content {
    let entry = repository.entry(&newest(repository), path).unwrap().unwrap();
    entry.node.content().unwrap().clone()
}

/// Flips a bit of every byte in the middle of a file; its size stays.
fn garble(path: &Utf8Path) {
    let mut bytes = fs::read(path).unwrap();
    let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
    bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x20);
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Damages the manifest of the newest snapshot; nothing shows it but reading it.
fn garble_manifest(root: &Utf8Path, since: &BTreeSet<Utf8PathBuf>) -> Content {
    let lost = content(&open_repository(root), "backup/Manifest.db");
    for pack in packs(root).difference(since) {
        let bytes = fs::read(pack).unwrap();
        garble(pack);
        if open_repository(root).read(&lost).is_err() {
            // This look remembers the damage, and the next is not to know of it.
            fs::remove_dir_all(root.join("cache")).unwrap();
            return lost;
        }
        fs::remove_file(pack).unwrap();
        fs::write(pack, bytes).unwrap();
    }
    panic!("no pack holds the manifest")
}

#[test]
fn new_damage_is_neither_built_upon_nor_taken_for_stored() {
    let (_dir, root) = folder();
    back_up(&root, b"first");
    let first = newest(&open_repository(&root)).id;
    let before = packs(&root);
    back_up(&root, b"second");
    let lost = garble_manifest(&root, &before);
    let area = Area::take(&root, UDID).unwrap();
    let repository = open_repository(&root);
    let (writer, chosen) = choice::open(&repository, &writing(), &area, UDID).unwrap();
    assert_eq!(chosen.base.map(|base| base.snapshot.id), Some(first));
    // Whoever brings it again is not told that it is there.
    assert!(!writer.holds(&lost));
    assert!(!writer.healing().packs.is_empty());
}
