use std::collections::BTreeMap;

use camino::Utf8Path;
use lifeboat_mobilesync::FileId;
use lifeboat_testkit::digest::{assert_same, file, files};
use lifeboat_testkit::{Home, Sim};

use crate::{home, trusted_phone};

/// What the phone says it sent, with the names that a backup folder gives it: SHA-256 by path.
///
/// The control files are the phone's own copies of what it sent; payloads are its content, under their IDs.
fn sent(home: &Home, sim: &Sim) -> BTreeMap<String, String> {
    let own = sim.state.join("phones").join(sim.udid()).join("backupd/sent");
    let control = ["Manifest.db", "Manifest.plist", "Status.plist"]
        .map(|name| (format!("{}/{name}", sim.udid()), file(&own.join(name)).1));
    let payloads = sim.digest(home).into_iter().map(|(path, sum)| {
        let (domain, relative_path) = path.split_once('/').expect("a domain and a path");
        let id = FileId::of(domain, relative_path).to_string();
        let (folder, _) = id.split_at(2);
        (format!("{}/{folder}/{id}", sim.udid()), sum)
    });
    payloads.chain(control).collect()
}

/// Exports as Finder has it; without Info.plist, which is the host's.
fn finder(home: &Home, snapshot: &str, folder: &str) -> BTreeMap<String, String> {
    home.lifeboat(["export", snapshot, folder, "--as", "finder"]).ok();
    let mut exported = files(&home.path().join(folder));
    let info: Vec<String> =
        exported.keys().filter(|path| path.ends_with("/Info.plist")).cloned().collect();
    assert_eq!(info.len(), 1, "one Info.plist: {info:?}");
    exported.remove(&info[0]);
    exported
}

fn backup(home: &Home) -> String {
    let summary = home.lifeboat(["backup", "--json"]).ok().summary();
    summary["snapshot"].as_str().expect("a snapshot").to_owned()
}

#[test]
fn both_snapshots_come_out_byte_for_byte_as_the_phone_sent_them() {
    for phone in
        ["", "ios = \"26.4\"\nseed = 5\n[knobs]\nmanifest = \"rebuilt\"\ndevicelink = 400\n"]
    {
        let mut home = home();
        let sim = Sim::start_phones(&mut home, &[phone], &[]);
        home.lifeboat(["pair"]).ok();
        let first = backup(&home);
        let first_sent = sent(&home, &sim);
        sim.ctl(&home, &["live", "--days", "1"]);
        let second = backup(&home);
        let second_sent = sent(&home, &sim);
        assert_same(&finder(&home, &first, "first"), &first_sent);
        assert_same(&finder(&home, &second, "second"), &second_sent);
        // All 256 folders are there, as the phone asked for them.
        let folders = home.path().join("second").join(sim.udid());
        assert_eq!(folders_in(&folders), 256);
    }
}

fn folders_in(folder: &Utf8Path) -> usize {
    folder
        .read_dir_utf8()
        .expect("a folder")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()))
        .count()
}

#[test]
fn a_folder_that_is_not_empty_is_refused() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    fs_err::create_dir_all(home.path().join("full")).unwrap();
    fs_err::write(home.path().join("full/mine"), "mine").unwrap();
    let run = home.lifeboat(["export", "latest", "full", "--as", "files"]).run();
    assert_eq!(run.status, Some(2), "{run}");
    assert_eq!(fs_err::read_to_string(home.path().join("full/mine")).unwrap(), "mine");
}

#[test]
fn the_first_snapshot_is_the_same_before_and_after_the_second() {
    let (home, sim) = trusted_phone();
    let id = backup(&home);
    let id = id.as_str();
    home.lifeboat(["export", id, "before", "--as", "finder"]).ok();
    sim.ctl(&home, &["live", "--days", "2"]);
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["export", id, "after", "--as", "finder"]).ok();
    assert_same(&files(&home.path().join("before")), &files(&home.path().join("after")));
}

#[test]
fn the_summary_says_where_and_how_much() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let run = home.lifeboat(["export", "latest", "apple", "--as", "finder", "--json"]).ok();
    let summary = run.events().pop().unwrap();
    assert_eq!(summary["outcome"], "done");
    assert!(
        summary["folder"].as_str().unwrap().ends_with(&format!("apple/{}", sim.udid())),
        "{summary}"
    );
    for name in ["Info.plist", "Manifest.db", "Manifest.plist", "Status.plist"] {
        assert!(home.path().join("apple").join(sim.udid()).join(name).is_file(), "{name}");
    }
}

#[test]
fn a_folder_is_judged_by_where_it_leads() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    fs_err::create_dir_all(home.path().join("other/deep")).unwrap();
    fs_err::os::unix::fs::symlink("other/deep", home.path().join("link")).unwrap();
    let entries = || home.path().read_dir_utf8().unwrap().count();
    let before = entries();
    for target in ["", ".", "x/..", "x/y/../..", "link/..", "link/../../x/.."] {
        let run = home.lifeboat(["export", "latest", target, "--as", "files"]).run();
        assert_eq!(run.status, Some(2), "{target:?}\n{run}");
        assert!(!home.path().join("x").exists(), "{target:?}");
    }
    assert_eq!(entries(), before);
    home.lifeboat(["export", "latest", "x/../new", "--as", "files"]).ok();
    assert!(home.path().join("new/HomeDomain").is_dir() && !home.path().join("x").exists());
}

#[test]
fn a_place_that_takes_nothing_is_named() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let run = home.lifeboat(["export", "latest", "/proc/x", "--as", "files"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.err().contains("/proc/x"), "{run}");
}
