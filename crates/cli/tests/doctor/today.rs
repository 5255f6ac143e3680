//! What is said to be measured was measured today, of the very thing that it is said of.

use lifeboat_testkit::Run;

use crate::scene::{Scene, primary};

/// Whether a fact is known.
fn is_known(run: &Run, key: &str) -> bool {
    let fact = &run.json()["facts"][key];
    !fact.is_null() && fact.get("unknown").is_none()
}

/// The causes that are more than a note.
fn weighty(run: &Run) -> Vec<String> {
    let report = run.json();
    let findings = report["findings"].as_array().expect("findings");
    let weighty = findings.iter().filter(|found| found["severity"] != "note");
    weighty.map(|found| found["id"].as_str().expect("an id").to_owned()).collect()
}

fn icloud(scene: &Scene) -> Run {
    scene.doctor_online(&["--json", "--for", "icloud"]).run()
}

#[test]
fn the_errors_of_an_app_and_counts_of_nothing_accuse_nobody() {
    let lines = [
        "cloudd/error: HTTP 401 for com.example.tidebook token refresh",
        "cloudd/error: HTTP status 507 for com.example.tidebook",
        "backupd: =cloud-backup= Found 0 files with missing encryption keys during scan",
        "backupd: Updating MissingEncryptionKeyFailureCount for account <private>: 0(0)",
    ];
    let scene = Scene::paired(&format!("[log]\nlines = {lines:?}\n"));
    let run = icloud(&scene);
    assert_eq!(weighty(&run), [""; 0], "{run}");
    assert!(!is_known(&run, "icloud.error"), "{run}");
}

/// The diary lies in the last backup to the computer: an iCloud backup since then has ended what it tells.
#[test]
fn an_old_diary_is_not_held_against_a_newer_icloud_backup() {
    let scene = Scene::paired("[state.icloud]\nerror = 303\nfailures = 4\nage-hours = 300\n");
    scene.lifeboat(["backup"]).ok();
    let run = icloud(&scene);
    assert_eq!(primary(&run), "icloud/storage-full", "{run}");
    assert_eq!(run.json()["primary"]["certainty"], "confirmed", "{run}");
    for set in ["icloud.failures=0", "icloud.age-hours=1"] {
        scene.ctl(&["set", set]);
    }
    let run = icloud(&scene);
    assert_eq!(weighty(&run), [""; 0], "{run}");
    assert!(!is_known(&run, "icloud.error"), "{run}");
}

#[test]
fn a_disk_with_fat32_can_be_written_to() {
    let scene = Scene::paired("");
    scene.machine("[[mounts]]\npath = \"/\"\nkind = \"vfat\"\n");
    let run = scene.doctor(&["--json"]).run();
    assert_eq!(primary(&run), "destination/file-limit", "{run}");
    let step = run.json()["primary"]["remedies"][0]["text"].as_str().unwrap().to_owned();
    assert!(step.contains("exFAT") && !step.contains("chown"), "{run}");
}

#[test]
fn values_of_another_type_measure_nothing() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "wrong-types"]);
    let run = scene.doctor(&["--json"]).run();
    let management = ["supervised", "profile", "host-pairing", "backup"];
    let keys = management.map(|key| format!("management.{key}"));
    for key in keys.iter().map(String::as_str).chain(["backup.encrypted"]) {
        assert!(!is_known(&run, key), "{key}\n{run}");
    }
    assert!(!weighty(&run).iter().any(|id| id.starts_with("management/")), "{run}");
}

#[test]
fn trouble_of_some_users_is_no_outage() {
    let scene = Scene::paired("");
    let page = |event: &str| {
        let body = format!(
            "{{\"services\":[{{\"serviceName\":\"iCloud Backup\",\"events\":[{{\"eventStatus\":\"ongoing\",{event}}}]}}]}}"
        );
        let url = "https://www.apple.com/support/systemstatus/*";
        scene.machine(&format!("[[network.pages]]\nurl = {url:?}\nbody = {body:?}\n"));
        icloud(&scene)
    };
    let some = page("\"statusType\":\"Issue\",\"usersAffected\":\"Some users are affected\"");
    let found = (primary(&some), some.json()["primary"]["certainty"].clone(), some.status);
    assert_eq!(found, ("apple/outage".to_owned(), "possible".into(), Some(0)), "{some}");
    let over = page("\"statusType\":\"Outage\",\"epochEndDate\":1500000000000");
    assert_eq!(weighty(&over), [""; 0], "{over}");
    let all = page("\"statusType\":\"Outage\",\"usersAffected\":\"All users are affected\"");
    assert_eq!((primary(&all).as_str(), all.status), ("apple/outage", Some(4)), "{all}");
}

/// The log of a run of months ago says nothing of today, whichever kind of backup somebody asks about.
#[test]
fn the_log_of_an_old_run_is_no_cause_of_today() {
    const DAY: i64 = 86_400;
    let lines = [
        "BackupAgent2: Insufficient free disk space on drive to backup (1048576 < 10485760 + 134217728)",
        "backupd: =scheduler= Scheduler received backup failure notification: Error Domain=MBErrorDomain Code=303",
        "BackupAgent2: Device has not yet been unlocked",
    ];
    let scene = Scene::paired(&format!("[log]\nlines = {lines:?}\n"));
    scene.ctl(&["fault", "error", "code=7"]);
    assert_eq!(scene.lifeboat(["backup"]).run().status, Some(1));
    // The phone is gone: all that is left is what was recorded with the run.
    scene.ctl(&["unplug"]);
    let now = scene.doctor(&["--json"]).run();
    for key in ["log.space-short", "log.unlock-needed"] {
        assert_eq!(now.json()["facts"][key], true, "{key}\n{now}");
    }
    assert!(weighty(&now).iter().any(|id| id == "destination/full"), "{now}");
    // A clock that went back by months makes it no younger.
    for days in [90, -90] {
        scene.machine_with_clock(days * DAY, "");
        for purpose in ["computer", "icloud"] {
            let run = scene.doctor(&["--json", "--for", purpose]).run();
            for key in ["log.space-short", "log.unlock-needed", "log.heard", "icloud.error"] {
                assert!(!is_known(&run, key), "{days} {purpose} {key}\n{run}");
            }
            let found = weighty(&run);
            for id in ["destination/full", "icloud/storage-full", "device/not-unlocked-yet"] {
                assert!(!found.iter().any(|found| found == id), "{days} {purpose} {id}\n{run}");
            }
        }
    }
}

/// An error that an iCloud backup followed is over, whether the diary tells it or the log.
#[test]
fn an_icloud_error_that_a_success_ended_is_over() {
    // The diary of the phone still lists the error of an hour ago; the last success is of this hour.
    let scene = Scene::paired("[state.icloud]\nerror = 303\nfailures = 0\nage-hours = 0\n");
    scene.lifeboat(["backup"]).ok();
    let run = icloud(&scene);
    assert_eq!(weighty(&run), [""; 0], "{run}");
    assert_eq!(run.json()["facts"]["diary.state"], "found", "{run}");
    let failed = "backupd: =scheduler= Scheduler received backup failure notification for account <private>: Error Domain=MBErrorDomain Code=303";
    let done = "backupd: =scheduler= Scheduler received backup completion notification for account <private>";
    for (lines, over) in [([failed, done], true), ([done, failed], false)] {
        let scene = Scene::paired(&format!("[log]\nlines = {lines:?}\n"));
        let run = icloud(&scene);
        let found = weighty(&run).iter().any(|id| id == "icloud/storage-full");
        assert_eq!(found, !over, "{lines:?}\n{run}");
    }
}

/// A reason that the log names is the same in whatever order its lines come.
#[test]
fn the_order_of_lines_changes_no_reason() {
    let general = "backupd: =scheduler= Ignoring backup start request since the XPC activity (1) needs to be deferred";
    for (exact, id) in [
        (
            "dasd: com.apple.backupd.activity lowPowerMode:1, needs to be deferred",
            "power/low-power-mode",
        ),
        (
            "dasd: com.apple.backupd.activity thermal pressure: 2, needs to be deferred",
            "power/temperature",
        ),
    ] {
        for lines in [[general, exact], [exact, general]] {
            let scene = Scene::paired(&format!("[log]\nlines = {lines:?}\n"));
            let run = icloud(&scene);
            assert_eq!(primary(&run), id, "{lines:?}\n{run}");
        }
    }
}

/// The one backup that is there carries a date that has not come yet: it is not of today, and not fine.
#[test]
fn a_backup_that_is_dated_in_the_future_is_said_to_be() {
    let scene = Scene::paired("");
    scene.machine_with_clock(40 * 86_400, "");
    scene.lifeboat(["backup"]).ok();
    scene.machine("");
    let run = scene.doctor(&["--json"]).run();
    let facts = &run.json()["facts"];
    assert_eq!(facts["existing.dated"], "future", "{run}");
    assert!(!is_known(&run, "existing.age"), "{run}");
    let report = run.json();
    assert!(report["fine"].as_array().unwrap().iter().all(|fine| fine["probe"] != "P27"), "{run}");
    assert_eq!(
        (primary(&run).as_str(), &report["primary"]["certainty"]),
        ("clock/computer", &"possible".into()),
        "{run}"
    );
}

/// A device that is away is found by its UDID in whatever spelling.
#[test]
fn the_last_run_of_an_absent_device_is_found_in_any_spelling() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "error", "code=19"]);
    assert_eq!(scene.lifeboat(["backup"]).run().status, Some(1));
    scene.ctl(&["unplug"]);
    let udid = scene.sim.udid().to_owned();
    for spelled in [udid.clone(), udid.to_lowercase(), udid.to_lowercase().replace('-', "")] {
        let run = scene.doctor(&["--json", "-u", &spelled]).run();
        assert_eq!(run.json()["facts"]["job.code"], 19, "{spelled}\n{run}");
        assert_eq!(run.json()["device"]["udid"], udid.as_str(), "{spelled}\n{run}");
    }
}

/// How much room a backup needs only the device knows: an estimate that is content takes its refusal back no more than it kept it away.
#[test]
fn a_refusal_for_want_of_room_stands_until_there_is_more() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "error", "code=105", "times=1"]);
    let failed = scene.lifeboat(["backup"]).run();
    assert_eq!(failed.status, Some(16), "{failed}");
    let run = scene.doctor(&["--json"]).run();
    assert_eq!(run.json()["facts"]["destination.room"], "enough", "{run}");
    assert_eq!((primary(&run).as_str(), run.status), ("destination/full", Some(4)), "{run}");
    // Somebody made room.
    let row = |folder: &str| {
        let folder = scene.home.path().join(folder);
        format!("[[folders]]\nunder = \"{folder}\"\nfree = 9_000_000_000_000\n")
    };
    scene.machine(&format!("{}{}", row("data"), row("state")));
    let run = scene.doctor(&["--json"]).run();
    assert_eq!((primary(&run).as_str(), run.status), ("-", Some(0)), "{run}");
    // A backup that came to its end says so best.
    scene.machine("");
    scene.lifeboat(["backup"]).ok();
    let run = scene.doctor(&["--json"]).run();
    assert_eq!((primary(&run).as_str(), run.status), ("-", Some(0)), "{run}");
}

/// Who names a device that is not there learns which are, and not that all is well.
#[test]
fn a_device_that_is_not_there_is_not_well_and_those_that_are_get_named() {
    let scene = Scene::paired("");
    let udid = scene.sim.udid().to_owned();
    let run = scene.doctor(&["-u", "nosuch"]).run();
    assert_eq!(run.status, Some(13), "{run}");
    assert!(run.err().contains(&udid) && run.err().contains("nosuch is not there"), "{run}");
    let run = scene.doctor(&["--json", "-u", "nosuch"]).run();
    assert_eq!(
        (run.status, &run.json()["others"]),
        (Some(13), &serde_json::json!([udid])),
        "{run}"
    );
    let run = scene.doctor(&["--json", "-u", &udid]).run();
    assert_eq!((run.status, &run.json()["others"]), (Some(0), &serde_json::Value::Null), "{run}");
}
