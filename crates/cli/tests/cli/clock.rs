//! Clocks that were wrong once: no snapshot hides another.

use serde_json::Value;

use crate::trusted_phone;

/// The newest of `snapshots`, as programs see it.
fn latest(home: &lifeboat_testkit::Home) -> Value {
    home.lifeboat(["show", "latest", "--json"]).ok().json()
}

#[test]
fn a_snapshot_that_is_dated_in_the_future_hides_no_other() {
    let (home, sim) = trusted_phone();
    fs_err::write(home.path().join("ahead.toml"), "clock = 86400000\n").expect("a file");
    let ahead = home.lifeboat(["--machine", "ahead.toml", "backup", "--json"]).ok().summary();
    // Where there is no other it serves, but nobody knows how old it is.
    assert_eq!(latest(&home)["id"], ahead["snapshot"]);
    let status = home.lifeboat(["status", "--max-age", "1000w", "--json"]).run();
    assert_eq!(status.status, Some(3), "{status}");
    let device = &status.json()["devices"][0];
    assert_eq!((&device["age_seconds"], &device["stale"]), (&Value::Null, &true.into()));
    assert_eq!(device["newest"]["dated_in_the_future"], true, "{device}");
    let words = home.lifeboat(["status"]).ok().out();
    assert!(words.contains("dated in the future: its age is not known"), "{words}");
    sim.ctl(&home, &["live"]);
    let due = home.lifeboat(["backup", "--all", "--if-older-than", "1000w", "--json"]).ok();
    let second = due.summary();
    assert_eq!((&second["outcome"], &second["kind"]), (&"done".into(), &"incremental".into()));
    let notes = second["notes"].as_array().expect("notes");
    assert!(notes.iter().any(|note| note["id"] == "dated-in-the-future"), "{second}");

    assert_eq!(latest(&home)["id"], second["snapshot"]);
    assert_eq!(home.lifeboat(["status", "--max-age", "1h"]).ok().status, Some(0));
    let list = home.lifeboat(["snapshots", "--json"]).ok().json();
    let ids: Vec<_> = list["snapshots"].as_array().expect("a list").iter().collect();
    assert_eq!((&ids[0]["id"], &ids[0]["dated_in_the_future"]), (&ahead["snapshot"], &true.into()));
    assert_eq!(ids[1]["dated_in_the_future"], false);
    assert!(home.lifeboat(["snapshots"]).ok().out().contains("complete, dated in the future"));
    // The next one builds upon the one that is dated right.
    sim.ctl(&home, &["live"]);
    let third = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&third["kind"], &latest(&home)["id"]), (&"incremental".into(), &third["snapshot"]));
    let skipped = home.lifeboat(["backup", "--all", "--if-older-than", "1h", "--json"]).ok();
    assert_eq!(skipped.summary()["cause"], "not-due", "{skipped}");
}

#[test]
fn a_clock_that_went_back_hides_no_new_backup() {
    let (home, sim) = trusted_phone();
    let first = home.lifeboat(["backup", "--json"]).ok().summary();
    let time = |snapshot: &Value| {
        let list = home.lifeboat(["snapshots", "--json"]).ok().json();
        let all = list["snapshots"].as_array().expect("a list").clone();
        let one = all.into_iter().find(|one| one["id"] == *snapshot).expect("it is there");
        one["time"].as_str().expect("a text").parse::<jiff::Timestamp>().expect("a time")
    };
    fs_err::write(home.path().join("behind.toml"), "clock = -600\n").expect("a file");
    sim.ctl(&home, &["live"]);
    for full in [false, true] {
        let arguments = ["--machine", "behind.toml", "backup", "--json"];
        let full = full.then_some("--full");
        let newer = home.lifeboat(arguments.into_iter().chain(full)).ok().summary();
        assert_eq!(latest(&home)["id"], newer["snapshot"], "{newer}");
        assert!(time(&newer["snapshot"]) > time(&first["snapshot"]));
    }
}
