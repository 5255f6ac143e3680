use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_testkit::Home;
use lifeboat_testkit::digest::largest_file;
use serde_json::Value;

use crate::trusted_phone;

/// Changes a file of the repository in place.
fn damage(path: &Utf8Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs_err::read(path).expect("a file of the repository");
    change(&mut bytes);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    fs_err::write(path, bytes).expect("it can be written");
}

/// Flips bits in the middle of the largest pack, and returns that.
fn flip(home: &Home) -> Utf8PathBuf {
    let pack = largest_file(&home.repository().join("data"));
    damage(&pack, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
    });
    pack
}

/// Backs up and returns the summary.
fn backup(home: &Home, more: &[&str]) -> Value {
    home.lifeboat(["backup", "--json"].iter().chain(more).copied()).ok().summary()
}

/// Returns a note of a summary.
fn note<'a>(summary: &'a Value, id: &str) -> Option<&'a str> {
    let notes = summary["notes"].as_array().expect("a list");
    notes.iter().find(|note| note["id"] == id).and_then(|note| note["message"].as_str())
}

#[test]
fn a_whole_repository_is_said_to_be_whole() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let run = home.lifeboat(["check"]).ok();
    assert!(run.out().starts_with("whole: 1 snapshot and "), "{run}");
    let json = home.lifeboat(["check", "--read-data", "--json"]).ok().events().pop().unwrap();
    assert_eq!(json["outcome"], "done");
    assert_eq!(json["read_data"], true);
    assert!(json["bytes_read"].as_u64() > Some(0), "{json}");
}

#[test]
fn a_damaged_pack_is_found_and_ends_with_1() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let pack = flip(&home);
    let run = home.lifeboat(["check", "--read-data"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.out().starts_with("damaged: "), "{run}");
    assert!(run.err().contains(pack.file_name().unwrap().get(..8).unwrap()), "{run}");
    let run = home.lifeboat(["check", "--read-data", "--json"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    let summary = run.events().pop().unwrap();
    assert_eq!(summary["outcome"], "failed");
    assert!(!summary["findings"].as_array().unwrap().is_empty());
}

#[test]
fn a_pack_that_is_gone_is_found_without_reading_everything() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    fs_err::remove_file(largest_file(&home.repository().join("data"))).unwrap();
    let run = home.lifeboat(["check"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    // Of everything that is lost people get the first names and a number, programs all.
    let told = home.lifeboat(["check", "--json"]).run().summary();
    let all = told["findings"].as_array().expect("a list").len();
    assert!(all > 20, "{told}");
    let found = run.err().lines().filter(|line| line.starts_with("found: ")).count();
    assert_eq!(found, 10, "{run}");
    let more = format!("and {} more findings (`--json` or `-v` names all)", all - 10);
    assert!(run.err().lines().any(|line| line == more), "{more}\n{run}");
    let verbose = home.lifeboat(["check", "-v"]).run();
    let found = verbose.err().lines().filter(|line| line.starts_with("found: ")).count();
    assert_eq!(found, all, "{verbose}");
}

#[test]
fn what_a_check_found_damaged_is_stored_again_by_the_next_backup() {
    for more in [&[] as &[&str], &["--full"]] {
        let (home, _sim) = trusted_phone();
        home.lifeboat(["backup"]).ok();
        let pack = flip(&home);
        let run = home.lifeboat(["check", "--read-data"]).run();
        assert_eq!(run.status, Some(1), "{run}");
        let summary = backup(&home, more);
        assert_eq!(summary["outcome"], "done", "{summary}");
        let said = note(&summary, "packs-damaged").expect("a note");
        assert!(said.contains(pack.file_name().unwrap().get(..8).unwrap()), "{said}");
        assert!(note(&summary, "packs-healed").is_some(), "{summary}");
        // Both snapshots are whole again, and nothing is told or stored once more.
        let run = home.lifeboat(["check", "--read-data"]).ok();
        assert!(run.out().starts_with("whole: 2 snapshots"), "{run}");
        let packs = || home.lifeboat(["repo", "stats", "--json"]).ok().json()["packs"].clone();
        let before = packs();
        let summary = backup(&home, &[]);
        assert_eq!(note(&summary, "packs-damaged"), None, "{summary}");
        assert!(packs().as_u64() <= before.as_u64().map(|packs| packs + 2), "{summary}");
    }
}

#[test]
fn a_pack_that_is_gone_is_stored_again_by_the_next_backup() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    fs_err::remove_file(largest_file(&home.repository().join("data"))).unwrap();
    let summary = backup(&home, &[]);
    assert_eq!(summary["outcome"], "done", "{summary}");
    assert!(note(&summary, "packs-damaged").is_some(), "{summary}");
    // The snapshot of now is whole; that of before had a manifest of its own.
    let latest = home.lifeboat(["export", "latest", "out", "--as", "finder"]).run();
    assert_eq!(latest.status, Some(0), "{latest}");
}

#[test]
fn a_snapshot_file_that_cannot_be_read_is_named_and_the_others_are_shown() {
    let (home, _sim) = trusted_phone();
    let id = |summary: Value| summary["snapshot"].as_str().unwrap().to_owned();
    let first = id(backup(&home, &[]));
    let second = id(backup(&home, &[]));
    let file = home.repository().join("snapshots").join(&second);
    damage(&file, |bytes| bytes.truncate(bytes.len() / 2));
    for command in ["snapshots", "status"] {
        let run = home.lifeboat([command]).run();
        assert_eq!(run.status, Some(1), "{run}");
        assert!(run.out().contains(first.get(..8).unwrap()), "{run}");
        assert!(run.err().contains(&second) && run.err().contains("hint:"), "{run}");
        let run = home.lifeboat([command, "--json"]).run();
        assert_eq!(run.status, Some(1), "{run}");
        assert_eq!(run.json()["damaged"][0]["cause"], "repository-damaged", "{run}");
        assert_eq!(run.json()["damaged"][0]["object"], second.as_str(), "{run}");
    }
    let run = home.lifeboat(["find", "*/sms.db"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.out().contains(first.get(..8).unwrap()), "{run}");
    assert!(run.err().contains(&second) && run.err().contains("hint:"), "{run}");
    let run = home.lifeboat(["find", "*/sms.db", "--json"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert_eq!(run.json()["damaged"][0]["object"], second.as_str(), "{run}");
    home.lifeboat(["find", "*/sms.db", "--snapshot", &first]).ok();
    let summary = backup(&home, &[]);
    assert_eq!(summary["outcome"], "done", "{summary}");
    let said = note(&summary, "snapshot-unreadable").expect("a note");
    assert!(said.contains(&second) && said.contains("lifeboat check"), "{said}");
}

#[test]
fn an_index_file_that_cannot_be_read_is_named_by_the_next_backup() {
    let (home, _sim) = trusted_phone();
    backup(&home, &[]);
    let file = largest_file(&home.repository().join("index"));
    damage(&file, |bytes| bytes.truncate(bytes.len() / 2));
    let name = file.file_name().unwrap();
    // What is known of a snapshot without the index is shown all the same.
    let run = home.lifeboat(["snapshots", "--json"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert_eq!(run.json()["snapshots"].as_array().unwrap().len(), 1, "{run}");
    assert!(run.json()["damaged"][0]["message"].as_str().unwrap().contains(name), "{run}");
    let summary = backup(&home, &[]);
    assert_eq!(summary["outcome"], "done", "{summary}");
    let said = note(&summary, "index-unreadable").expect("a note");
    assert!(said.contains(name) && said.contains("lifeboat check"), "{said}");
    // Its packs were read and are in a new one.
    home.lifeboat(["snapshots"]).ok();
    home.lifeboat(["export", "latest", "out", "--as", "finder"]).ok();
}

#[test]
fn damage_that_a_check_found_is_told_until_a_backup_has_healed_it() {
    let (home, _sim) = trusted_phone();
    backup(&home, &[]);
    flip(&home);
    assert_eq!(home.lifeboat(["check", "--read-data"]).run().status, Some(1));
    for command in ["snapshots", "status"] {
        let run = home.lifeboat([command]).run();
        assert_eq!(run.status, Some(1), "{run}");
        assert!(run.out().contains("Robin's iPhone") && !run.out().contains("well"), "{run}");
        assert!(run.err().contains("1 pack is known to be missing or damaged"), "{run}");
        assert!(run.err().contains("`lifeboat backup`"), "{run}");
        let run = home.lifeboat([command, "--json"]).run();
        assert_eq!(run.status, Some(1), "{run}");
        assert_eq!(run.json()["damaged"][0]["cause"], "packs-damaged", "{run}");
    }
    assert!(note(&backup(&home, &[]), "packs-healed").is_some());
    for command in ["snapshots", "status"] {
        let run = home.lifeboat([command, "--json"]).ok();
        assert_eq!(run.json()["damaged"], serde_json::json!([]), "{run}");
    }
    assert!(home.lifeboat(["status"]).ok().out().contains("well"));
}

#[test]
fn a_file_that_lies_in_a_damaged_pack_is_the_repositorys_fault() {
    let (home, _sim) = trusted_phone();
    backup(&home, &[]);
    let files = home.lifeboat(["ls", "-R", "latest", "--json"]).ok().json();
    for folder in home.repository().join("data").read_dir_utf8().unwrap() {
        for pack in folder.unwrap().path().read_dir_utf8().unwrap() {
            damage(pack.unwrap().path(), |bytes| {
                let third = bytes.len() / 3;
                bytes.iter_mut().skip(third).step_by(64).for_each(|byte| *byte ^= 1);
            });
        }
    }
    let cat = |entry: &Value| {
        let name = format!("latest:{}", entry["path"].as_str().unwrap());
        let run = home.lifeboat(["cat", &name]).run();
        (run.status != Some(0)).then_some(run)
    };
    let file = |entry: &&Value| entry["kind"] == "file";
    let run = files["entries"].as_array().unwrap().iter().filter(file).find_map(cat).unwrap();
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.err().contains("pack") && run.err().contains("lifeboat check"), "{run}");
    assert!(!run.err().contains("permissions"), "{run}");
}
