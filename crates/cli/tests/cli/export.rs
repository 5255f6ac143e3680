use lifeboat_testkit::digest::{assert_same, files};

use crate::trusted_phone;

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
    let first = home.lifeboat(["backup", "--json"]).ok().summary();
    let id = first["snapshot"].as_str().unwrap();
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
