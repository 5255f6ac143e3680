//! After a backup that failed: its summary and the doctor name the same cause, and the log of that run is remembered.

use serde_json::Value;

use crate::scene::Scene;

fn said(report: &Value) -> (&Value, &Value) {
    (&report["primary"]["id"], &report["primary"]["certainty"])
}

/// A fault, the cause that is found, and how certain it is.
type Case<'a> = (&'a [&'a str], &'a str, &'a str);

#[test]
fn what_the_phone_says_is_the_same_cause_in_summary_and_doctor() {
    the_same_cause(&[
        (&["error", "code=7"][..], "unknown", "possible"),
        (&["error", "code=19"], "device/helper-crashed", "confirmed"),
        (&["error", "code=22", "text=disabled by MDM"], "management/backup-forbidden", "confirmed"),
        (&["error", "code=205"], "backup/existing-broken", "confirmed"),
        (&["error", "code=100", "reason=skipped-files"], "icloud/skipped-files", "confirmed"),
    ]);
}

#[test]
fn what_breaks_off_is_the_same_cause_in_summary_and_doctor() {
    the_same_cause(&[
        (&["cancel", "after=3"][..], "transfer/cancelled-on-device", "confirmed"),
        (&["drop", "after=40"], "transfer/interrupted", "confirmed"),
        (&["passcode-cancelled"], "transfer/passcode-not-entered", "confirmed"),
        (&["locked-during-run", "after=3"], "transfer/locked-during-run", "possible"),
        (&["space-demand", "bytes=9000000000000000"], "destination/full", "confirmed"),
        (&["forgotten", "file=sms.db"], "backup/not-finished", "confirmed"),
        (&["crash", "file=sms.db"], "transfer/poisonous-file", "possible"),
    ]);
}

fn the_same_cause(cases: &[Case<'_>]) {
    for (fault, id, certainty) in cases {
        let scene = Scene::paired("");
        scene.ctl(&[&["fault"], *fault].concat());
        let run = scene.lifeboat(["backup", "--json"]).run();
        assert_ne!(run.status, Some(0), "{fault:?}\n{run}");
        scene.ctl(&["fault", "--clear"]);
        let doctor = scene.doctor(&["--json"]).run();
        let (summary, report) = (run.summary(), doctor.json());
        let told = (&summary["finding"], &summary["certainty"]);
        assert_eq!(told, said(&report), "{fault:?}\n{run}\n{doctor}");
        assert_eq!(told, (&(*id).into(), &(*certainty).into()), "{fault:?}\n{run}");
    }
}

/// What is to be done fits what was found: a crash is no matter of the cable, and whose room is short is said by its own disk.
#[test]
fn the_next_step_fits_what_was_found() {
    for (fault, said, hint, not) in [
        (
            &["crash", "file=sms.db"][..],
            "possibly: One file or app makes the iPhone's backup program give up",
            "hint: Run the backup again. If it breaks off again: Find out which app it is",
            &["cable"][..],
        ),
        (
            &["error", "code=100", "reason=skipped-files"],
            "found: Too many files on the iPhone could not be read for the backup",
            "hint: Find out which app the files belong to",
            &["cable"],
        ),
        (
            &["error", "code=106"],
            "found: The iPhone itself is nearly full",
            "hint: Free some space on the device.",
            &["disk of", "offer"],
        ),
        (
            &["error", "code=105", "reason=device"],
            "found: The iPhone itself is nearly full",
            "hint: Free some space on the device.",
            &["disk of", "offer"],
        ),
        (
            &["space-demand", "bytes=9000000000000000"],
            "found: ",
            "hint: Free space on the disks of the repository and of the working area",
            &["iPhone itself is nearly full"],
        ),
    ] {
        let scene = Scene::paired("");
        scene.ctl(&[&["fault"], fault].concat());
        let run = scene.lifeboat(["backup"]).run();
        let told = run.err();
        assert_ne!(run.status, Some(0), "{fault:?}\n{run}");
        assert!(told.contains(said) && told.contains(hint), "{fault:?}\n{run}");
        for not in not {
            assert!(!told.contains(not), "{fault:?}: {not}\n{run}");
        }
    }
}

/// The phone is gone when somebody asks: what its log said in the last minute of the run is known all the same.
#[test]
fn the_log_of_a_failed_run_is_remembered() {
    let line = "BackupAgent2: Device has not yet been unlocked";
    let scene = Scene::paired(&format!("[log]\nlines = [\"{line}\"]\n"));
    scene.ctl(&["fault", "error", "code=7"]);
    assert_eq!(scene.lifeboat(["backup"]).run().status, Some(1));
    scene.ctl(&["unplug"]);
    let report = scene.doctor(&["--json"]).run().json();
    assert_eq!(report["facts"]["log.heard"], "lines", "{report}");
    assert_eq!(report["facts"]["log.unlock-needed"], true, "{report}");
}

/// What an earlier run left behind does not hide why the last one failed.
#[test]
fn what_is_left_behind_does_not_stand_before_the_cause() {
    let scene = Scene::paired("");
    for code in ["code=300", "code=102"] {
        scene.ctl(&["fault", "error", code, "times=1"]);
        assert_ne!(scene.lifeboat(["backup"]).run().status, Some(0));
    }
    let run = scene.doctor(&["--json"]).run();
    let report = run.json();
    assert_eq!(report["primary"]["id"], "device/storage-full", "{run}");
    let also = report["also_seen"].as_array().expect("a list");
    assert!(also.iter().any(|told| told["id"] == "backup/not-finished"), "{run}");
}
