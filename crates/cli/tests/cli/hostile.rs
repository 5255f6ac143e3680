//! Phones that misbehave: a named error, the right exit code, nothing lost, no panic.

use lifeboat_testkit::{Home, Run, Sim};

use crate::trusted_phone;

/// Sets a fault, backs up, and makes sure that the snapshots from before are as they were.
fn backup_with(home: &Home, sim: &Sim, fault: &[&str]) -> Run {
    let before = home.lifeboat(["snapshots", "--json"]).ok().out();
    let mut action = vec!["fault"];
    action.extend_from_slice(fault);
    sim.ctl(home, &action);
    sim.ctl(home, &["live"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    sim.ctl(home, &["fault", "--clear"]);
    assert!(!run.err().contains("panicked"), "{fault:?}\n{run}");
    if run.status != Some(3) {
        assert_eq!(home.lifeboat(["snapshots", "--json"]).ok().out(), before, "{fault:?}\n{run}");
    }
    run
}

/// Faults after which a run fails, the snapshots stay, and the next backup is whole.
fn fails_and_loses_nothing(faults: [&str; 2]) {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    for fault in faults {
        let run = backup_with(&home, &sim, &[fault]);
        assert_eq!(run.status, Some(1), "{fault}\n{run}");
        let summary = run.summary();
        assert_eq!(summary["outcome"], "failed", "{fault}\n{run}");
        assert_eq!(summary["cause"], "hostile-data", "{fault}\n{run}");
    }
    // The phone comes to its senses: the next backup is whole.
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["check", "--read-data"]).ok();
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    lifeboat_testkit::digest::assert_same(
        &lifeboat_testkit::digest::files(&home.path().join("out")),
        &sim.digest(&home),
    );
}

#[test]
fn paths_that_leave_the_backup_are_refused_and_nothing_is_lost() {
    fails_and_loses_nothing(["path-traversal", "absolute-path"]);
}

#[test]
fn bombs_and_endless_frames_are_refused_and_nothing_is_lost() {
    fails_and_loses_nothing(["plist-bomb", "huge-frame"]);
}

#[test]
fn a_message_that_nobody_knows_is_declined_and_the_backup_goes_on() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "unknown-message"]);
    let summary = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(summary["outcome"], "done");
}

#[test]
fn a_truncated_upload_is_not_taken_for_a_file() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    // The connection closes in the middle of a file: it is lost, and what came before is no lie.
    let run = backup_with(&home, &sim, &["truncated-upload"]);
    assert_eq!(run.status, Some(17), "{run}");
    let summary = run.summary();
    assert_eq!(summary["outcome"], "failed", "{run}");
    assert_eq!(summary["cause"], "connection-lost", "{run}");
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["check", "--read-data"]).ok();
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    lifeboat_testkit::digest::assert_same(
        &lifeboat_testkit::digest::files(&home.path().join("out")),
        &sim.digest(&home),
    );
}

#[test]
fn a_file_that_the_phone_cannot_read_makes_the_backup_incomplete() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "read-error", "file=sms.db"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(3), "{run}");
    let summary = run.summary();
    assert_eq!(summary["outcome"], "incomplete", "{run}");
    assert!(run.events().iter().any(|event| event["event"] == "file-error"), "{run}");
}

#[test]
fn a_link_that_breaks_ends_with_17_and_what_arrived_is_not_sent_again() {
    let (home, sim) = trusted_phone();
    // In the second batch: the first one, of 128 files, was confirmed.
    sim.ctl(&home, &["fault", "truncated-upload", "after=130"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(17), "{run}");
    let broken = run.summary();
    assert_eq!(broken["cause"], "connection-lost", "{run}");
    let kept = broken["files_kept"].as_u64().expect("how many files are kept");
    assert!(kept >= 128, "{run}");

    sim.ctl(&home, &["fault", "--clear"]);
    let again = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(again["resumed"], true, "{broken}\n{again}");
    let traffic = sim.traffic(&home);
    assert_eq!(traffic["finished"], true, "{traffic}");
    let all = sim.digest(&home);
    let sent = traffic["files_sent"].as_u64().expect("how many files were sent");
    assert!(sent <= all.len() as u64 - 128, "of {} files {sent} came in the second run", all.len());
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    lifeboat_testkit::digest::assert_same(
        &lifeboat_testkit::digest::files(&home.path().join("out")),
        &all,
    );
}

#[test]
fn a_link_that_breaks_before_any_file_ends_with_17() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "drop", "after=40"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(17), "{run}");
    let broken = run.summary();
    assert_eq!((&broken["cause"], &broken["files_kept"]), (&"connection-lost".into(), &0.into()));
    sim.ctl(&home, &["fault", "--clear"]);
    home.lifeboat(["backup"]).ok();
    assert_eq!(sim.traffic(&home)["finished"], true);
}

#[test]
fn an_error_of_the_phone_is_told_with_its_number() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "error", "code=102"]);
    let run = home.lifeboat(["backup"]).run();
    assert!(!matches!(run.status, Some(0)), "{run}");
    assert!(run.err().contains("102"), "{run}");
}
