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
