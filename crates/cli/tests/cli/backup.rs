use std::collections::BTreeMap;

use lifeboat_testkit::digest::{assert_same, files};

use crate::{home, phone, trusted_phone};

/// Every field that scripts rely on.
const SUMMARY: [&str; 12] = [
    "outcome",
    "snapshot",
    "udid",
    "kind",
    "files_received",
    "bytes_received",
    "bytes_added",
    "files_total",
    "bytes_total",
    "seconds",
    "resumed",
    "recovery_sheet",
];

#[test]
fn twice_with_a_day_between_then_everything_comes_out_again() {
    let (home, sim) = trusted_phone();
    let first = home.lifeboat(["backup", "--json"]).ok().summary();
    for field in SUMMARY {
        assert!(first.get(field).is_some(), "{field} is missing from {first}");
    }
    assert_eq!((&first["outcome"], &first["kind"]), (&"done".into(), &"full".into()));
    assert_eq!(first["udid"], sim.udid());
    assert_eq!(first["recovery_sheet"], "not yet shown");
    let phone_first = sim.digest(&home);
    assert_eq!(sim.traffic(&home)["kind"], "full");

    sim.ctl(&home, &["live", "--days", "1"]);
    let second = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&second["outcome"], &second["kind"]), (&"done".into(), &"incremental".into()));
    assert!(second["bytes_received"].as_u64() < first["bytes_received"].as_u64());
    let phone_second = sim.digest(&home);
    let changed =
        phone_second.iter().filter(|(path, sum)| phone_first.get(*path) != Some(sum)).count();
    assert_eq!(sim.traffic(&home)["files_sent"], changed, "only what changed is sent");

    for (summary, phone) in [(&first, &phone_first), (&second, &phone_second)] {
        let id = summary["snapshot"].as_str().unwrap();
        let target = format!("files-{id}");
        home.lifeboat(["export", id, &target, "--as", "files"]).ok();
        assert_same(&files(&home.path().join(&target)), phone);
    }
}

#[test]
fn the_base_is_chosen_under_the_lock_of_the_repository() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    // A lock that gives no byte yet keeps the second run where it takes its own.
    let lock = home.repository().join("locks").join("0".repeat(64));
    home.command("mkfifo").arg(&lock).ok();
    let running = home.lifeboat(["backup", "--json"]).start();
    let other = fs_err::OpenOptions::new().write(true).open(&lock).unwrap();
    // Until the lock is taken, others may remove the snapshot.
    let snapshots = home.repository().join("snapshots");
    for entry in fs_err::read_dir(snapshots).unwrap() {
        fs_err::remove_file(entry.unwrap().path()).unwrap();
    }
    fs_err::remove_file(&lock).unwrap();
    drop(other);
    let run = running.wait();
    assert_eq!(run.status, Some(0), "{run}");
    assert_eq!(run.summary()["kind"], "full", "nothing is left to build upon\n{run}");
    home.lifeboat(["check"]).ok();
}

#[test]
fn a_run_that_is_done_says_so_and_warns_of_nothing() {
    let (home, _sim) = trusted_phone();
    let run = home.lifeboat(["backup"]).ok();
    assert!(run.out().starts_with("backed up Robin's iPhone: full, "), "{run}");
    assert!(!run.err().contains("error") && !run.err().contains("warning"), "{run}");
    assert!(run.err().contains("lifeboat repo sheet"), "{run}");
    let quiet = home.lifeboat(["backup", "--quiet"]).ok();
    assert!(quiet.err().is_empty(), "{quiet}");
}

#[test]
fn events_are_one_a_line_and_the_summary_is_last() {
    let (home, _sim) = trusted_phone();
    let events = home.lifeboat(["backup", "--json"]).ok().events();
    let stages: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "stage")
        .filter_map(|event| event["stage"].as_str())
        .collect();
    assert_eq!(stages, ["discover", "link", "prepare", "transfer", "verify", "snapshot"]);
    let summaries: Vec<usize> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event["event"] == "summary")
        .map(|(index, _)| index)
        .collect();
    assert_eq!(summaries, [events.len() - 1]);
}

#[test]
fn nothing_changed_means_that_hardly_anything_is_sent() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let again = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(sim.traffic(&home)["files_sent"], 0, "{again}");
    assert_eq!(again["kind"], "incremental");
}

#[test]
fn full_lets_the_device_send_everything_and_stores_nothing_twice() {
    let (home, sim) = trusted_phone();
    let first = home.lifeboat(["backup", "--json"]).ok().summary();
    let again = home.lifeboat(["backup", "--full", "--json"]).ok().summary();
    assert_eq!(again["kind"], "full");
    assert_eq!(sim.traffic(&home)["kind"], "full");
    let added = |summary: &serde_json::Value| summary["bytes_added"].as_u64().unwrap();
    assert!(added(&again) < added(&first) / 4, "{} then {}", added(&first), added(&again));
}

#[test]
fn a_phone_that_was_not_unlocked_since_its_start_postpones() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "before-first-unlock"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(5), "{run}");
    let summary = run.summary();
    assert_eq!(summary["outcome"], "postponed", "{run}");
    assert_eq!(summary["cause"], "not-unlocked-since-start", "{run}");
    sim.ctl(&home, &["fault", "--clear"]);
    home.lifeboat(["backup"]).ok();
}

#[test]
fn a_locked_phone_postpones_pairing_but_no_backup_once_it_trusts() {
    let (home, sim) = phone();
    sim.ctl(&home, &["fault", "locked"]);
    let run = home.lifeboat(["pair", "--wait", "1s", "--json"]).run();
    assert_eq!(run.status, Some(5), "{run}");
    assert!(
        run.events().iter().any(|event| event["event"] == "waiting" && event["for"] == "unlock"),
        "{run}"
    );
    sim.ctl(&home, &["fault", "--clear"]);
    home.lifeboat(["pair"]).ok();
    // The escrow bag of the pairing opens what a backup needs.
    sim.ctl(&home, &["fault", "locked"]);
    home.lifeboat(["backup"]).ok();
}

#[test]
fn a_passcode_that_is_not_typed_ends_with_15() {
    let mut home = home();
    let sim = lifeboat_testkit::Sim::start_phones(
        &mut home,
        &["[knobs]\npasscode-timeout = 1\npasscode-prompt = true\n"],
        &["--ask"],
    );
    let pairing = home.lifeboat(["pair", "--json"]).start();
    pairing.until("trust-dialog");
    if sim.ctl(&home, &["trust"]).json()["passcode-wanted"] == true {
        sim.ctl(&home, &["passcode", "enter"]);
    }
    assert_eq!(pairing.wait().status, Some(0));
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(15), "{run}");
    let waiting =
        run.events().iter().any(|event| event["event"] == "waiting" && event["for"] == "passcode");
    assert!(waiting, "{run}");
    let cancelled = home.lifeboat(["backup", "--json"]).start();
    cancelled.until("\"passcode\"");
    sim.ctl(&home, &["passcode", "cancel"]);
    let run = cancelled.wait();
    assert_eq!(run.status, Some(15), "{run}");
}

#[test]
fn the_oldest_and_the_newest_ios_are_backed_up() {
    for ios in ["15.7", "16.1", "26.4"] {
        let mut home = home();
        let devicelink = if ios == "26.4" { 400 } else { 300 };
        let phone = format!(
            "ios = \"{ios}\"\n[knobs]\ndevicelink = {devicelink}\nmanifest = \"rebuilt\"\n"
        );
        let sim = lifeboat_testkit::Sim::start_phones(&mut home, &[&phone], &[]);
        home.lifeboat(["pair"]).ok();
        home.lifeboat(["backup"]).ok();
        sim.ctl(&home, &["live"]);
        home.lifeboat(["backup"]).ok();
        home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
        let exported: BTreeMap<String, String> = files(&home.path().join("out"));
        assert_same(&exported, &sim.digest(&home));
    }
}

#[test]
fn a_phone_that_comes_late_is_waited_for() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["unplug"]);
    let waiting = home.lifeboat(["backup", "--wait", "60s", "--json"]).start();
    waiting.until("\"device\"");
    sim.ctl(&home, &["plug"]);
    let run = waiting.wait();
    assert_eq!(run.status, Some(0), "{run}");
}

#[test]
fn a_phone_that_never_trusted_is_left_alone_by_all() {
    let (home, _sim) = phone();
    let run = home.lifeboat(["backup", "--all"]).run();
    assert_eq!(run.status, Some(0), "{run}");
    assert!(run.out().contains("does not trust this computer"), "{run}");
    let summary = home.lifeboat(["backup", "--all", "--json"]).ok().summary();
    assert_eq!(
        (&summary["outcome"], &summary["cause"]),
        (&"skipped".into(), &"not-trusted".into())
    );
}

#[test]
fn a_device_that_is_not_due_is_told_of() {
    let (home, sim) = trusted_phone();
    let made = home.lifeboat(["backup", "--json"]).ok().summary();
    let run = home.lifeboat(["backup", "--all", "--if-older-than", "1h", "--json"]).ok();
    assert_eq!(run.events().len(), 1, "{run}");
    let summary = run.summary();
    for field in SUMMARY.iter().filter(|field| **field != "recovery_sheet") {
        assert!(summary.get(field).is_some(), "{field} is missing from {summary}");
    }
    assert_eq!((&summary["outcome"], &summary["cause"]), (&"skipped".into(), &"not-due".into()));
    assert_eq!((&summary["udid"], &summary["snapshot"]), (&sim.udid().into(), &made["snapshot"]));
    let text = home.lifeboat(["backup", "--all", "--if-older-than", "1h"]).ok().out();
    assert!(text.starts_with("not due: Robin's iPhone, backed up "), "{text}");
}
