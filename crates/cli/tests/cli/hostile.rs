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
    // The safe side: the backup is whole, and the message is named.
    let notes = summary["notes"].as_array().expect("notes");
    let named = |note: &serde_json::Value| {
        note["id"] == "unknown-message"
            && note["message"].as_str().is_some_and(|text| text.contains("DLMessageFoldLaundry"))
    };
    assert!(notes.iter().any(named), "{summary}");
    let run = home.lifeboat(["backup"]).ok();
    assert!(run.err().contains("note:") && run.err().contains("DLMessageFoldLaundry"), "{run}");
}

#[test]
fn a_handshake_that_breaks_off_is_no_stale_pairing() {
    let (home, sim) = trusted_phone();
    // Once: the link shook, and stands at the second try.
    sim.ctl(&home, &["fault", "tls-abort", "times=1"]);
    home.lifeboat(["backup"]).ok();
    sim.ctl(&home, &["fault", "tls-abort"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(17), "{run}");
    assert_eq!(run.summary()["cause"], "handshake-broken", "{run}");
    assert!(run.err().contains("lifeboat pair") && !run.err().contains("eof"), "{run}");
}

#[test]
fn a_link_that_breaks_is_told_in_plain_words() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "truncated-upload"]);
    let run = home.lifeboat(["backup"]).run();
    assert_eq!(run.status, Some(17), "{run}");
    assert!(run.err().contains("the connection to the device was lost"), "{run}");
    for jargon in ["http", "close_notify", "TLS", "peer", "os error"] {
        assert!(!run.err().contains(jargon), "{jargon}\n{run}");
    }
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
fn a_file_that_the_phone_cannot_read_ends_its_job_without_a_snapshot_and_so_it_failed() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "read-error", "file=sms.db"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    let summary = run.summary();
    assert_eq!(summary["outcome"], "failed", "{run}");
    assert_eq!(summary["cause"], "transfer-failed", "{run}");
    assert_eq!(summary["snapshot"], serde_json::Value::Null, "{run}");
    assert!(summary["files_kept"].as_u64() > Some(0), "{run}");
    let text = |key: &str| summary[key].as_str().unwrap_or_default().to_owned();
    assert!(text("message").contains("could not read 1 file "), "{run}");
    assert!(text("message").contains("(error 104)"), "{run}");
    assert!(text("next_step").contains("What arrived is kept"), "{run}");
    assert!(run.events().iter().any(|event| event["event"] == "file-error"), "{run}");
}

#[test]
fn a_screen_that_locks_meanwhile_postpones_the_backup() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "locked-during-run", "after=20"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(5), "{run}");
    let summary = run.summary();
    assert_eq!(
        (&summary["outcome"], &summary["cause"]),
        (&"postponed".into(), &"device-locked".into())
    );
    assert!(summary["files_kept"].as_u64() >= Some(20), "{run}");
    sim.ctl(&home, &["fault", "--clear"]);
    sim.ctl(&home, &["unlock"]);
    let summary = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&summary["outcome"], &summary["resumed"]), (&"done".into(), &true.into()));
}

/// A phone that locks early cannot read most of its files: people get the first names and a number, programs all.
#[test]
fn of_many_files_that_cannot_be_read_the_first_ten_are_named() {
    let (home, sim) = trusted_phone();
    let locked = |arguments: &[&str]| {
        sim.ctl(&home, &["fault", "locked-during-run", "after=5"]);
        let run = home.lifeboat(arguments.iter().copied()).run();
        sim.ctl(&home, &["fault", "--clear"]);
        sim.ctl(&home, &["unlock"]);
        assert_eq!(run.status, Some(5), "{run}");
        run
    };
    let told = locked(&["backup", "--json"]);
    let all = told.events().iter().filter(|event| event["event"] == "file-error").count();
    assert!(all > 20, "{told}");
    let named = |run: &Run| run.err().lines().filter(|line| line.starts_with("file: ")).count();
    let text = locked(&["backup", "--full"]);
    assert_eq!(named(&text), 10, "{text}");
    let more = |run: &Run| -> usize {
        let line = run.err().lines().find_map(|line| {
            let number = line
                .strip_prefix("and ")?
                .strip_suffix(" more files (`--json` or `-v` names all)")?;
            number.parse().ok()
        });
        line.unwrap_or_else(|| panic!("nobody counts the others\n{run}"))
    };
    // What is kept of the run before is not read again: there may be fewer.
    assert!(more(&text) > 0 && more(&text) <= all - 10, "{all}\n{text}");
    let verbose = locked(&["backup", "--full", "-v"]);
    assert!(named(&verbose) > 10 && !verbose.err().contains("names all)"), "{verbose}");
}

#[test]
fn a_file_that_fails_on_healthy_phones_is_a_note() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "harmless-io-error"]);
    let run = home.lifeboat(["backup", "--json"]).ok();
    assert_eq!(run.summary()["outcome"], "done", "{run}");
    assert!(!run.events().iter().any(|event| event["event"] == "file-error"), "{run}");
    // The doctor calls it harmless, too.
    let report = home.lifeboat(["doctor", "--json", "--offline"]).run().json();
    assert_eq!(report["blocked"], false, "{report}");
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
    for (code, status, cause, next) in [
        (1, 1, "device-error", "restart the device"),
        (3, 1, "device-error", "restart the device"),
        (13, 5, "not-unlocked-since-start", "Unlock the device once"),
        (22, 1, "forbidden", "organisation"),
        (25, 5, "restore-in-progress", "finished its restore"),
        (100, 1, "transfer-failed", "Check the cable and the power of the disk"),
        (102, 1, "device-error", "iPhone Storage"),
        (103, 1, "transfer-failed", "lifeboat doctor --fix"),
        (104, 1, "transfer-failed", "run the backup again"),
        (105, 16, "not-enough-space", "Free space"),
        (106, 16, "device-full", "on the device"),
        (202, 130, "cancelled-on-device", "Run the backup again"),
        (205, 1, "backup-rejected", "--full"),
        (207, 1, "backup-password", "backup password"),
        (208, 15, "passcode-not-entered", "passcode"),
        (212, 5, "setup-unfinished", "set-up"),
    ] {
        sim.ctl(&home, &["fault", "error", &format!("code={code}")]);
        let run = home.lifeboat(["backup", "--json"]).run();
        assert_eq!(run.status, Some(status), "{code}\n{run}");
        let summary = run.summary();
        assert_eq!(summary["cause"], cause, "{code}\n{run}");
        assert_eq!(summary["snapshot"], serde_json::Value::Null, "{code}\n{run}");
        let text = |key: &str| summary[key].as_str().unwrap_or_default().to_owned();
        let number = format!("(error {code})");
        assert!(text("message").contains(&number), "{code}\n{run}");
        assert!(text("next_step").contains(next), "{code}\n{run}");
        assert!(run.err().contains(&number) && run.err().contains(next), "{code}\n{run}");
        // Nothing is promised of what was not kept.
        let kept = summary["files_kept"].as_u64() > Some(0);
        assert_eq!(text("next_step").contains("kept"), kept, "{code}\n{run}");
        assert_eq!(run.err().contains("kept:"), kept, "{code}\n{run}");
    }
}
