//! After a backup that failed: its summary and the doctor name the same cause, and the log of that run is remembered.

use serde_json::Value;

use crate::scene::Scene;

fn said(report: &Value) -> (&Value, &Value) {
    (&report["primary"]["id"], &report["primary"]["certainty"])
}

#[test]
fn the_summary_and_the_doctor_name_the_same_cause() {
    for (fault, id, certainty) in [
        (&["error", "code=7"][..], "unknown", "possible"),
        (&["error", "code=19"], "device/helper-crashed", "confirmed"),
        (&["error", "code=22", "text=disabled by MDM"], "management/backup-forbidden", "confirmed"),
        (&["error", "code=205"], "backup/existing-broken", "confirmed"),
        (&["cancel", "after=3"], "transfer/cancelled-on-device", "confirmed"),
        (&["drop", "after=40"], "transfer/interrupted", "confirmed"),
        (&["passcode-cancelled"], "transfer/passcode-not-entered", "confirmed"),
        (&["locked-during-run", "after=3"], "transfer/locked-during-run", "possible"),
        (&["space-demand", "bytes=9000000000000000"], "destination/full", "confirmed"),
        (&["forgotten", "file=sms.db"], "backup/not-finished", "confirmed"),
        (&["crash", "file=sms.db"], "transfer/poisonous-file", "possible"),
    ] {
        let scene = Scene::paired("");
        scene.ctl(&[&["fault"], fault].concat());
        let run = scene.lifeboat(["backup", "--json"]).run();
        assert_ne!(run.status, Some(0), "{fault:?}\n{run}");
        scene.ctl(&["fault", "--clear"]);
        let doctor = scene.doctor(&["--json"]).run();
        let (summary, report) = (run.summary(), doctor.json());
        let told = (&summary["finding"], &summary["certainty"]);
        assert_eq!(told, said(&report), "{fault:?}\n{run}\n{doctor}");
        assert_eq!(told, (&id.into(), &certainty.into()), "{fault:?}\n{run}");
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
