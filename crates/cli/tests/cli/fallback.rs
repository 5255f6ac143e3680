//! A repository that has lost something of its newest snapshot: what is older and whole still serves.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_testkit::digest::{assert_same, files};
use lifeboat_testkit::{Home, Sim};
use serde_json::Value;

use crate::trusted_phone;

/// Backs up and returns the summary of a run that is done.
fn backup(home: &Home, more: &[&str]) -> Value {
    home.lifeboat(["backup", "--json"].iter().chain(more).copied()).ok().summary()
}

fn id(summary: &Value) -> &str {
    summary["snapshot"].as_str().expect("a snapshot")
}

/// Returns a note of a summary.
fn note<'a>(summary: &'a Value, id: &str) -> Option<&'a str> {
    let notes = summary["notes"].as_array().expect("a list");
    notes.iter().find(|note| note["id"] == id).and_then(|note| note["message"].as_str())
}

/// The packs of the repository.
fn packs(home: &Home) -> BTreeSet<Utf8PathBuf> {
    let folders = home.repository().join("data").read_dir_utf8().expect("packs");
    let folders = folders.map(|folder| folder.expect("a folder").into_path());
    folders
        .flat_map(|folder| folder.read_dir_utf8().expect("a folder"))
        .map(|pack| pack.expect("a pack").into_path())
        .collect()
}

/// Whether the manifest of a snapshot can be read.
fn has_manifest(home: &Home, snapshot: &str) -> bool {
    home.lifeboat(["cat", &format!("{snapshot}:backup/Manifest.db")]).run().status == Some(0)
}

/// Flips a bit of every byte in the middle of a file.
fn garble(path: &Utf8Path) {
    let mut bytes = fs_err::read(path).expect("a file of the repository");
    let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
    bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x20);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    fs_err::write(path, bytes).expect("it can be written");
}

/// Breaks one pack after the other of those that came after `before` until the manifest of a snapshot is lost.
fn lose_manifest(home: &Home, before: &BTreeSet<Utf8PathBuf>, snapshot: &str, lose: fn(&Utf8Path)) {
    for pack in packs(home).difference(before) {
        let bytes = fs_err::read(pack).expect("a pack");
        lose(pack);
        if !has_manifest(home, snapshot) {
            return;
        }
        if pack.exists() {
            fs_err::remove_file(pack).expect("it is ours");
        }
        fs_err::write(pack, bytes).expect("it can be written");
    }
    panic!("no pack holds the manifest");
}

/// What the phone holds is what `latest` gives back.
fn latest_is_all_of(home: &Home, sim: &Sim) {
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    assert_same(&files(&home.path().join("out")), &sim.digest(home));
}

fn falls_back(lose: fn(&Utf8Path)) {
    let (home, sim) = trusted_phone();
    let first = backup(&home, &[]);
    let before = packs(&home);
    sim.ctl(&home, &["live", "--days", "1"]);
    let second = backup(&home, &[]);
    lose_manifest(&home, &before, id(&second), lose);
    assert!(has_manifest(&home, id(&first)));

    let third = backup(&home, &[]);
    assert_eq!((&third["outcome"], &third["kind"]), (&"done".into(), &"incremental".into()));
    let said = note(&third, "base-passed-over").expect("a note");
    let short = |summary| id(summary).get(..8).expect("an id").to_owned();
    // What else lay in that pack is chance: it may be what says where the manifest is.
    let why = said.contains("Manifest.db") || said.contains("(pack ");
    assert!(said.contains(&format!("{} (", short(&second))) && why, "{said}");
    assert!(said.contains(&format!("builds upon {}", short(&first))), "{said}");
    latest_is_all_of(&home, &sim);
    // What is whole again is built upon without a word.
    let fourth = backup(&home, &[]);
    assert_eq!((&fourth["kind"], note(&fourth, "base-passed-over")), (&"incremental".into(), None));
}

#[test]
fn a_lost_manifest_of_the_newest_snapshot_lets_the_next_backup_build_upon_an_older_one() {
    falls_back(|pack| fs_err::remove_file(pack).expect("a pack"));
}

#[test]
fn a_damaged_manifest_of_the_newest_snapshot_lets_the_next_backup_build_upon_an_older_one() {
    falls_back(garble);
}

#[test]
fn where_no_snapshot_has_its_manifest_the_phone_sends_everything() {
    let (home, sim) = trusted_phone();
    let first = backup(&home, &[]);
    lose_manifest(&home, &BTreeSet::new(), id(&first), |pack| {
        fs_err::remove_file(pack).expect("a pack");
    });
    let second = backup(&home, &[]);
    assert_eq!((&second["outcome"], &second["kind"]), (&"done".into(), &"full".into()));
    let said = note(&second, "base-passed-over").expect("a note");
    assert!(said.contains("the device sends everything"), "{said}");
    latest_is_all_of(&home, &sim);
}

#[test]
fn a_snapshot_file_that_cannot_be_read_does_not_hide_the_latest_of_the_others() {
    let (home, sim) = trusted_phone();
    let first = backup(&home, &[]);
    garble(&home.repository().join("snapshots").join(id(&first)));
    let unread = home.lifeboat(["show", "latest"]).run();
    assert_eq!(unread.status, Some(1), "there is no other: {unread}");
    let second = backup(&home, &[]);
    let shown = home.lifeboat(["show", "latest"]).ok();
    assert!(shown.out().contains(id(&second)), "{shown}");
    assert!(shown.err().contains("1 snapshot file cannot be read"), "{shown}");
    let shown = home.lifeboat(["show", "latest", "--json"]).ok().json();
    assert_eq!(shown["id"], second["snapshot"]);
    assert_eq!(shown["notes"][0]["id"], "snapshots-unreadable");
    let named = format!("{}@20", sim.udid());
    assert!(home.lifeboat(["ls", &named]).ok().err().contains("a newer one may be among them"));
    assert!(home.lifeboat(["show", id(&second)]).ok().err().is_empty(), "named by its own id");
    latest_is_all_of(&home, &sim);
}
