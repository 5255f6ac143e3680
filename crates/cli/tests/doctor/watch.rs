//! `doctor --watch` and `--listen`: what changes while somebody looks.

use crate::scene::{Scene, primary};

#[test]
fn it_says_when_the_cause_is_gone_and_ends() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "before-first-unlock"]);
    let watching = scene.doctor(&["--watch", "--json"]).start();
    while let Some(line) = watching.next_error_line() {
        if line.contains("watching: The iPhone was restarted") {
            scene.ctl(&["fault", "--clear"]);
        }
    }
    let run = watching.wait();
    assert_eq!((run.status, primary(&run).as_str()), (Some(0), "-"), "{run}");
    assert!(run.err().contains("gone: The iPhone was restarted"), "{run}");
    assert!(run.err().contains("nothing keeps a backup from coming about"), "{run}");
}

/// Where nobody could be looked at nothing is said to be well.
#[test]
fn without_a_device_nothing_is_well() {
    let scene = Scene::paired("");
    scene.ctl(&["unplug"]);
    let run = scene.doctor(&["--watch"]).run();
    assert!(run.err().contains("nothing to watch: no device answers"), "{run}");
    assert!(!run.err().contains("nothing keeps a backup"), "{run}");
}

#[test]
fn ctrl_c_ends_it() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "before-first-unlock"]);
    let watching = scene.doctor(&["--watch"]).start();
    while let Some(line) = watching.next_error_line() {
        if line.contains("watching:") {
            watching.interrupt();
        }
    }
    assert_eq!(watching.wait().status, Some(130));
}

/// Nothing that is measured takes back a failure of which nobody knows the cause; a backup that is made meanwhile does.
#[test]
fn what_nobody_knows_is_watched_until_a_backup_was_made() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "error", "code=7", "times=1"]);
    assert_eq!(scene.lifeboat(["backup", "--json"]).run().summary()["finding"], "unknown");
    let watching = scene.doctor(&["--watch"]).start();
    let mut gone = 0;
    while let Some(line) = watching.next_error_line() {
        if line.contains("watching:") {
            scene.lifeboat(["backup"]).ok();
        }
        gone += usize::from(line.contains("gone:"));
    }
    let run = watching.wait();
    assert_eq!((run.status, gone), (Some(0), 1), "{run}");
}

const LINE: &str = "backupd: =scheduler= [Off condition after 61.0s] state changed, enabled:1, locked:1, onPower:0, onWiFi:1, \
    onCellular:0(0), autoBackupOnCellularEnabled:0";
const MEANING: &str = "iCloud Backup looked at its conditions, and not all are met";

#[test]
fn the_log_is_translated_while_it_is_written() {
    let scene = Scene::paired(&format!("[log]\nlines = [\"{LINE}\"]\n"));
    let listening = scene.doctor(&["--listen", "600", "--for", "icloud"]).start();
    while let Some(line) = listening.next_error_line() {
        // Whoever listens hears the line of the description at once; the other is written afterwards.
        if line.contains(MEANING) {
            scene.ctl(&[
                "log",
                "backupd: =scheduler= [On condition] state changed, enabled:1, locked:1, onPower:1",
            ]);
        }
        if line.contains("and all are met") {
            listening.interrupt();
        }
    }
    let run = listening.wait();
    assert_eq!(run.status, Some(130), "{run}");
    assert!(run.err().contains("listening to the log of the device for 10 min"), "{run}");
}

#[test]
fn listening_ends_when_its_time_is_over() {
    let scene = Scene::paired(&format!(
        "[log]\nlines = [\"{LINE}\", \"{LINE}\", \"backupd: of no interest\"]\n"
    ));
    let run = scene.doctor(&["--listen", "2", "--for", "icloud"]).run();
    assert_eq!(
        run.err().matches(MEANING).count(),
        2,
        "once when it is heard, once in the sum\n{run}"
    );
    assert!(run.err().contains("explain icloud/conditions-not-met"), "{run}");
    assert!(!run.err().contains("of no interest"), "{run}");
    let run = scene.doctor(&["--listen", "2", "--for", "icloud", "--json"]).run();
    let report = run.json();
    let heard = &report["heard"][0];
    assert_eq!(
        (&heard["pattern"], &heard["times"]),
        (&"conditions-off".into(), &2.into()),
        "{run}"
    );
    assert!(heard["line"].as_str().unwrap().starts_with("backupd["), "{run}");
    assert_eq!(report["facts"]["log.condition-power"], "missing", "{run}");
    assert_eq!(report["heard"].as_array().map(Vec::len), Some(1), "{run}");
}
