//! From a working tree to a snapshot, and to the tree that rests on it.

use lifeboat_mobilesync::build::{ManifestDbWriter, Schema};
use lifeboat_mobilesync::{ManifestPlist, MbFile};
use lifeboat_repo::Snapshot;
use sha1::{Digest as _, Sha1};

use super::*;
use crate::jobs::backup::choice;
use crate::store::{self, Run, Stored};
use crate::unlock::Lock;
use crate::verify::{self, Verified};

pub(super) fn open_on_newest(root: &Utf8Path) -> (WorkingTree, Repository) {
    let repository = open_repository(root);
    let mut settings = settings(&Arc::new(FakeHost::default()));
    let area = Area::take(root, UDID).unwrap();
    area.clear().unwrap();
    let (writer, chosen) = choice::open(&repository, &writing(), &area, UDID).unwrap();
    settings.repository = Some(repository.clone());
    settings.writer = Some(Arc::new(writer));
    (WorkingTree::open(area, settings, UDID, chosen.base, false).unwrap().0, repository)
}

/// A manifest with rows for files (name, bytes that it expects), and rows that nobody can read.
pub(super) fn manifest(root: &Utf8Path, files: &[(&str, &[u8])], unreadable: &[FileId]) -> Vec<u8> {
    let path = root.join("made.db");
    let mut made = ManifestDbWriter::create(&path, Schema::Classic).unwrap();
    for (name, bytes) in files {
        let file = MbFile {
            relative_path: (*name).into(),
            mode: 0o100_644,
            size: bytes.len() as u64,
            digest: Some(Sha1::digest(bytes).to_vec()),
            ..MbFile::default()
        };
        made.put("HomeDomain", 1, &file).unwrap();
    }
    for id in unreadable {
        made.put_raw(&id.to_string(), Some("HomeDomain"), Some("x"), 7, Some(b"noise")).unwrap();
    }
    let bytes = fs::read(made.finish().unwrap()).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

/// What a device sends at the end, and what is made of it.
pub(super) fn end(tree: &mut WorkingTree, manifest: &[u8]) -> (Verified, Stored) {
    end_with(tree, manifest, |_| {})
}

/// As [`end`], with a change to what was verified.
pub(super) fn end_with(
    tree: &mut WorkingTree,
    manifest: &[u8],
    change: impl FnOnce(&mut Verified),
) -> (Verified, Stored) {
    let plist = ManifestPlist::parse(&plist_of_nothing()).unwrap();
    put(tree, "Info.plist", b"").unwrap();
    put(tree, "Manifest.plist", &plist.encode()).unwrap();
    put(tree, "Manifest.db", manifest).unwrap();
    put(tree, "Status.plist", &status(SnapshotState::Finished)).unwrap();
    let mut state = tree.state();
    assert!(state.finish_packing(&mut |_| true).unwrap());
    let of_base = state.base().map(Base::take_rows).transpose().unwrap().unwrap_or_default();
    let mut verified = verify::verify(&state, UDID, Lock::None, of_base).unwrap();
    change(&mut verified);
    // Each snapshot is another moment: the newest is the last.
    let count = state.settings.repository.as_ref().unwrap().snapshots().unwrap().len();
    let now = jiff::Timestamp::from_second(i64::try_from(count).unwrap()).unwrap();
    let run = Run { udid: UDID, kind: "full", told: &[], now };
    let writer = state.settings.writer.clone().unwrap();
    let stored = store::arrived::store(&state, &writer, &verified, &run).unwrap();
    (verified, stored)
}

fn plist_of_nothing() -> Vec<u8> {
    let mut keys = plist::Dictionary::new();
    keys.insert("Version".into(), "10.0".into());
    keys.insert("IsEncrypted".into(), false.into());
    let mut bytes = Vec::new();
    plist::Value::Dictionary(keys).to_writer_binary(&mut bytes).unwrap();
    bytes
}

pub(super) fn newest(repository: &Repository) -> Snapshot {
    repository.snapshots().unwrap().pop().unwrap()
}

pub(super) fn bytes_of(repository: &Repository, path: &str) -> Option<Vec<u8>> {
    let entry = repository.entry(&newest(repository), path).unwrap()?;
    Some(repository.read(entry.node.content()?).unwrap())
}

#[test]
fn what_no_readable_row_claims_is_kept_as_it_came() {
    let (_dir, root) = folder();
    let (mut tree, repository) = open_on_newest(&root);
    let (good, odd) = (FileId::of("HomeDomain", "good"), FileId::of("HomeDomain", "odd"));
    put(&mut tree, &good.path(), b"good").unwrap();
    put(&mut tree, &odd.path(), b"odd").unwrap();
    let (verified, stored) = end(&mut tree, &manifest(&root, &[("good", b"good")], &[odd]));
    assert_eq!(verified.unreadable().unwrap().0, 1);
    assert_eq!((stored.about.files, stored.about.sealed), (2, 1));
    assert_eq!(bytes_of(&repository, "files/HomeDomain/good").unwrap(), b"good");
    let sealed = bytes_of(&repository, &format!("sealed/{}/{odd}", odd.prefix()));
    assert_eq!(sealed.unwrap(), b"odd");
}

#[test]
fn a_file_that_was_not_whole_is_asked_for_again() {
    let (_dir, root) = folder();
    let (good, bad) = (FileId::of("HomeDomain", "good"), FileId::of("HomeDomain", "bad"));
    let manifest = manifest(&root, &[("good", b"good"), ("bad", b"right")], &[]);
    let (mut tree, repository) = open_on_newest(&root);
    put(&mut tree, &good.path(), b"good").unwrap();
    put(&mut tree, &bad.path(), b"wrong").unwrap();
    let (verified, stored) = end(&mut tree, &manifest);
    assert_eq!(verified.report.damages(), 1);
    assert_eq!(stored.about.known_damage, [bad.to_string()]);
    drop(tree);
    // The device does not see it; where it does not send it again, the snapshot is incomplete again and loses nothing.
    let (mut tree, _) = open_on_newest(&root);
    assert!(tree.state().tree().file(&format!("{UDID}/{}", good.path())).is_ok());
    assert!(tree.state().tree().file(&format!("{UDID}/{}", bad.path())).is_err());
    let (verified, stored) = end(&mut tree, &manifest);
    assert_eq!(verified.report.damages(), 1);
    assert_eq!(stored.about.known_damage, [bad.to_string()]);
    assert_eq!(bytes_of(&repository, "files/HomeDomain/bad").unwrap(), b"wrong");
    drop(tree);
    let (mut tree, _) = open_on_newest(&root);
    put(&mut tree, &bad.path(), b"right").unwrap();
    let (verified, stored) = end(&mut tree, &manifest);
    assert_eq!((verified.report.damages(), stored.about.known_damage.len()), (0, 0));
    assert_eq!(bytes_of(&repository, "files/HomeDomain/bad").unwrap(), b"right");
}
