//! Runs that end with 3: what did not arrive is never called a whole backup, and never locks anybody out of the rest.

use std::collections::BTreeMap;

use lifeboat_testkit::digest::{assert_same, files};
use lifeboat_testkit::{Home, Run, Sim};
use serde_json::{Value, json};

use crate::trusted_phone;

/// Backs up while the phone forgets files whose name has this part; checks that the run says so.
fn forgetting(home: &Home, sim: &Sim, part: &str) -> Value {
    sim.ctl(home, &["fault", "forgotten", &format!("file={part}")]);
    let run = home.lifeboat(["backup", "--json"]).run();
    sim.ctl(home, &["fault", "--clear"]);
    assert_eq!(run.status, Some(3), "{run}");
    let summary = run.summary();
    assert_eq!(
        (&summary["outcome"], &summary["cause"]),
        (&"incomplete".into(), &"files-missing".into())
    );
    summary
}

fn listed(home: &Home) -> Vec<Value> {
    let json = home.lifeboat(["snapshots", "--json"]).ok().json();
    json["snapshots"].as_array().expect("a list").clone()
}

fn id(summary: &Value) -> &str {
    summary["snapshot"].as_str().expect("a snapshot")
}

fn latest(home: &Home) -> Value {
    home.lifeboat(["show", "latest", "--json"]).ok().json()
}

/// What a phone held, and how many of it changed since.
fn changed(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> usize {
    now.iter().filter(|(path, sum)| before.get(*path) != Some(sum)).count()
}

fn says_incomplete(run: &Run, missing: &str) {
    let said = run.err();
    assert!(said.contains("note: this backup is incomplete") && said.contains(missing), "{run}");
}

#[test]
fn a_first_backup_that_misses_files_is_partial_and_what_came_is_within_reach() {
    let (home, sim) = trusted_phone();
    let first = forgetting(&home, &sim, ".HEIC");
    let missing = first["file_errors"].as_u64().unwrap();
    let told = format!("{missing} files are missing");
    let all = listed(&home);
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["tag"], &all[0]["files_missing"]), (&"partial".into(), &missing.into()));
    let text = home.lifeboat(["snapshots"]).ok().out();
    assert!(text.contains(&format!("partial: {told}")), "{text}");

    // The only one there is, is the latest, and every command that takes it says what it is.
    let shown = home.lifeboat(["show", "latest"]).ok();
    says_incomplete(&shown, &told);
    assert!(shown.out().contains(&told), "{shown}");
    assert!(shown.out().contains(".HEIC (missing)"), "{shown}");
    let shown = latest(&home);
    assert_eq!(
        shown["missing_files"].as_array().map(Vec::len),
        Some(usize::try_from(missing).unwrap())
    );
    assert_eq!(
        (&shown["id"], &shown["notes"][0]["id"]),
        (&first["snapshot"], &"incomplete".into())
    );
    let named = format!("{}@20", sim.udid());
    says_incomplete(&home.lifeboat(["ls", &named]).ok(), &told);
    says_incomplete(&home.lifeboat(["cat", "latest:HomeDomain/Library/SMS/sms.db"]).ok(), &told);
    says_incomplete(&home.lifeboat(["export", "latest", "out", "--as", "files"]).ok(), &told);
    let mut phone = sim.digest(&home);
    phone.retain(|path, _| !path.contains(".HEIC"));
    assert_same(&files(&home.path().join("out")), &phone);

    let status = home.lifeboat(["status"]).ok();
    assert!(status.out().contains(&told) && status.out().contains("never"), "{status}");
    assert!(!status.out().contains("well"), "{status}");
    let status = home.lifeboat(["status", "--json", "--max-age", "1d"]).run();
    assert_eq!(status.status, Some(3), "{status}");
    let device = &status.json()["devices"][0];
    assert_eq!((&device["time"], &device["stale"]), (&Value::Null, &true.into()));
    assert_eq!(device["newest"]["files_missing"], missing);
    let checked = home.lifeboat(["check", "--read-data"]).ok();
    assert!(checked.err().contains("known incomplete"), "{checked}");

    // Nothing whole was there to build upon: the phone sends everything, and the device is well.
    let whole = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&whole["outcome"], &whole["kind"]), (&"done".into(), &"full".into()));
    assert!(whole["bytes_added"].as_u64() < first["bytes_added"].as_u64().map(|all| all / 2));
    assert_eq!(latest(&home)["id"], whole["snapshot"]);
    assert!(home.lifeboat(["show", "latest"]).ok().err().is_empty());
    let status = home.lifeboat(["status", "--max-age", "1d"]).ok().out();
    assert!(status.contains("well"), "{status}");
}

#[test]
fn after_an_incomplete_run_the_phone_sends_what_changed_since_the_last_whole_one() {
    let (home, sim) = trusted_phone();
    let first = home.lifeboat(["backup", "--json"]).ok().summary();
    let held_first = sim.digest(&home);
    sim.ctl(&home, &["live", "--days", "1"]);
    let second = forgetting(&home, &sim, ".HEIC");
    assert_eq!(second["kind"], "incremental");
    let sent_second = sim.traffic(&home)["files_sent"].as_u64().unwrap();
    let tags: Vec<_> = listed(&home).iter().map(|one| one["tag"].clone()).collect();
    assert_eq!(tags, ["complete", "partial"]);
    assert_eq!(latest(&home)["id"], first["snapshot"], "an incomplete one is not the latest");
    assert!(home.lifeboat(["show", "latest"]).ok().err().is_empty());
    let status = home.lifeboat(["status"]).ok().out();
    assert!(status.contains("incomplete") && !status.contains("well"), "{status}");
    let device =
        home.lifeboat(["status", "--json", "--max-age", "1d"]).ok().json()["devices"][0].clone();
    assert_eq!(
        (&device["snapshot"], &device["newest"]["snapshot"]),
        (&first["snapshot"], &second["snapshot"])
    );
    home.lifeboat(["check", "--read-data"]).ok();

    let third = home.lifeboat(["backup", "--json"]).ok().summary();
    let held = sim.digest(&home);
    assert_eq!((&third["outcome"], &third["kind"]), (&"done".into(), &"incremental".into()));
    let sent = sim.traffic(&home)["files_sent"].as_u64().unwrap();
    assert_eq!(sent, changed(&held_first, &held) as u64, "only what changed since the whole one");
    assert_eq!(sent, sent_second + second["file_errors"].as_u64().unwrap(), "and what was missing");
    let target = home.path().join("out");
    home.lifeboat(["export", id(&third), target.as_str(), "--as", "files"]).ok();
    assert_same(&files(&target), &held);
    assert_eq!(latest(&home)["id"], third["snapshot"]);
}

#[test]
fn what_an_incomplete_run_brought_is_not_stored_twice() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    sim.ctl(&home, &["live", "--days", "1"]);
    // A small file is missing; everything else that is new lies in the repository already.
    let second = forgetting(&home, &sim, "History.db");
    let third = home.lifeboat(["backup", "--json"]).ok().summary();
    let bytes = |summary: &Value, field: &str| summary[field].as_u64().unwrap();
    assert!(bytes(&third, "bytes_received") >= bytes(&second, "bytes_received"), "{third}");
    // The missing file, the manifest's pages and the folders.
    assert!(bytes(&third, "bytes_added") < bytes(&second, "bytes_added") / 2, "{second}\n{third}");
}

#[test]
fn a_database_whose_new_content_did_not_come_is_missing() {
    let (home, sim) = trusted_phone();
    let first = home.lifeboat(["backup", "--json"]).ok().summary();
    sim.ctl(&home, &["live", "--days", "1"]);
    let second = forgetting(&home, &sim, "sms.db");
    assert_eq!(second["file_errors"], 1, "{second}");
    let notes = second["notes"].to_string();
    assert!(
        notes.contains("sms.db") && notes.contains("its new content did not arrive"),
        "{notes}"
    );
    assert_eq!(latest(&home)["id"], first["snapshot"]);
    let checked = home.lifeboat(["check", "--read-data"]).ok();
    assert!(checked.err().contains("known incomplete"), "{checked}");
    assert!(checked.err().contains("sms.db (stale)"), "{checked}");
    // A day later it is still told which file it is.
    let shown = home.lifeboat(["show", id(&second)]).ok();
    assert!(shown.out().contains("HomeDomain/Library/SMS/sms.db (stale)"), "{shown}");
    let shown = home.lifeboat(["show", id(&second), "--json"]).ok().json();
    let file = json!({"domain": "HomeDomain", "path": "Library/SMS/sms.db", "why": "stale"});
    assert_eq!(shown["missing_files"], json!([file]));
    let folder = format!("{}:HomeDomain/Library/SMS", id(&second));
    says_incomplete(&home.lifeboat(["ls", "-l", &folder]).ok(), "sms.db (stale)");
    let exported = home.lifeboat(["export", id(&second), "second", "--as", "finder"]).ok();
    says_incomplete(&exported, "sms.db (stale)");

    let third = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&third["outcome"], &third["kind"]), (&"done".into(), &"incremental".into()));
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    assert_same(&files(&home.path().join("out")), &sim.digest(&home));
}

#[test]
fn a_database_that_went_away_meanwhile_is_a_note() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    sim.ctl(&home, &["live", "--days", "1"]);
    sim.ctl(&home, &["fault", "vanish", "file=History.db"]);
    let run = home.lifeboat(["backup", "--json"]).ok();
    sim.ctl(&home, &["fault", "--clear"]);
    let notes = run.summary()["notes"].to_string();
    assert!(notes.contains("known-incomplete") && notes.contains("History.db"), "{notes}");
    let checked = home.lifeboat(["check", "--read-data"]).ok();
    assert!(checked.err().contains("History.db (known-incomplete)"), "{checked}");
    // Which one it is stands in the snapshot, and that is a whole one all the same.
    let shown = latest(&home);
    assert_eq!((&shown["tag"], &shown["missing_files"]), (&"complete".into(), &json!([])));
    assert_eq!(shown["known_incomplete"][0]["why"], "known-incomplete");
    let text = home.lifeboat(["show", "latest"]).ok();
    assert!(
        text.out().contains("History.db (known-incomplete)") && text.err().is_empty(),
        "{text}"
    );
    for command in
        [&["ls", "-l", "latest"][..], &["export", "latest", "vanished", "--as", "finder"]]
    {
        let run = home.lifeboat(command.iter().copied()).ok();
        assert!(run.err().contains("History.db (known-incomplete)"), "{run}");
    }
    // The next run brings it.
    let next = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(next["kind"], "incremental");
    assert!(!next["notes"].to_string().contains("known-incomplete"), "{next}");
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    assert_same(&files(&home.path().join("out")), &sim.digest(&home));
}
