//! `doctor --fix`: what needs no consent is done, what needs it is asked, then it is measured whether it helped.

use lifeboat_testkit::Terminal;
use lifeboat_testkit::terminal::{END, INTERRUPT};
use serde_json::json;

use crate::home;
use crate::scene::{Scene, did, primary, row};

/// Runs `--fix` without consent, sees that nothing was done, and runs it with consent.
fn refused_then(
    scene: &Scene,
    finding: &str,
    action: &str,
    more: &[&str],
) -> lifeboat_testkit::Run {
    let refused = scene.doctor(&["--json", "--fix"]).args(more).run();
    assert_eq!(primary(&refused), finding, "{refused}");
    assert_eq!(refused.json()["refused"], json!([action]), "{refused}");
    assert!(refused.err().contains("not done without your consent"), "{refused}");
    assert!(did(&refused).iter().all(|(done, ..)| done != action), "{refused}");
    scene.doctor(&["--json", "--fix", "--yes"]).args(more).run()
}

#[test]
fn a_stale_pairing_record_is_set_aside_and_trust_is_made_anew() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "invalid-host"]);
    // Without consent the old record stays, and trust is made over it.
    let run = scene.doctor(&["--json", "--fix"]).run();
    assert_eq!(run.json()["refused"], json!(["forget-pairing"]), "{run}");
    assert_eq!(did(&run), [row("pair-again", true, Some(true))], "{run}");
    scene.ctl(&["fault", "invalid-host"]);
    let run = scene.doctor(&["--json", "--fix", "--yes"]).run();
    assert_eq!(did(&run), [row("forget-pairing", true, Some(true))], "{run}");
    assert_eq!((run.status, primary(&run).as_str()), (Some(0), "-"), "{run}");
    let message = run.json()["fixed"][0]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("pairing-"), "the copy is named: {message}");
    scene.lifeboat(["backup"]).ok();
}

/// It is set to true time, even by a computer whose own clock is wrong.
#[test]
fn a_clock_is_set() {
    let scene = Scene::paired("");
    scene.machine_with_clock(1800, "");
    scene.ctl(&["fault", "clock", "offset=7200"]);
    let refused = scene.doctor_online(&["--json", "--fix"]).run();
    assert_eq!(primary(&refused), "clock/wrong", "{refused}");
    assert_eq!(refused.json()["refused"], json!(["set-device-clock"]), "{refused}");
    assert!(did(&refused).is_empty(), "{refused}");
    let run = scene.doctor_online(&["--json", "--fix", "--yes"]).run();
    assert_eq!(did(&run), [row("set-device-clock", true, Some(true))], "{run}");
    assert_eq!(run.json()["facts"]["clock.device-skew"], 0, "{run}");
    assert_eq!((run.status, primary(&run).as_str()), (Some(0), "clock/computer"), "{run}");
}

/// Where no time server answers, nobody knows which of two clocks is wrong: none is set.
#[test]
fn a_clock_is_not_set_by_one_that_may_be_wrong() {
    let scene = Scene::paired("");
    scene.machine_with_clock(-7200, "[[network.times]]\nsilent = true\n");
    for run in [
        scene.doctor(&["--json", "--fix", "--yes"]).run(),
        scene.doctor_online(&["--json", "--fix", "--yes"]).run(),
    ] {
        assert!(did(&run).is_empty(), "{run}");
        assert_eq!((run.status, primary(&run).as_str()), (Some(0), "clock/computer"), "{run}");
        let report = run.json();
        assert!(report["facts"]["clock.device-skew"]["unknown"].is_object(), "{run}");
        let findings = report["findings"].as_array().unwrap();
        let clocks = findings.iter().map(|found| (&found["id"], &found["certainty"]));
        let both = [("clock/computer", "possible"), ("clock/wrong", "possible")];
        assert!(
            clocks.eq(both.map(|(id, how)| (json!(id), json!(how))).iter().map(|(a, b)| (a, b))),
            "{run}"
        );
    }
}

/// The next step for a computer whose own clock is wrong is at the computer, and the backup is made all the same.
#[test]
fn the_wrong_clock_of_the_computer_is_its_own() {
    let scene = Scene::paired("");
    scene.machine_with_clock(3600, "");
    let run = scene.doctor_online(&["--json", "--fix", "--yes"]).run();
    assert!(did(&run).is_empty(), "{run}");
    let report = run.json();
    assert_eq!(report["primary"]["id"], "clock/computer", "{run}");
    assert_eq!(report["primary"]["certainty"], "confirmed", "{run}");
    assert_eq!(report["facts"]["clock.device-skew"], 0, "{run}");
    let step = report["primary"]["remedies"][0]["text"].as_str().unwrap();
    assert!(step.contains("timedatectl"), "{run}");
    scene.lifeboat(["backup"]).ok();
}

#[test]
fn icloud_backup_is_switched_on_and_that_does_not_always_help() {
    let scene = Scene::paired("[state.icloud]\nbackup = false\n");
    let icloud = &["--for", "icloud"];
    let run = refused_then(&scene, "icloud/switched-off", "icloud-backup-on", icloud);
    assert_eq!(did(&run), [row("icloud-backup-on", true, Some(true))], "{run}");
    assert_eq!(run.status, Some(0), "{run}");
    // Somebody switches it off from another device, again and again.
    let line = "backupd: =cloud-backup= Disabled from another device triggered manually";
    let scene =
        Scene::paired(&format!("[state.icloud]\nbackup = false\n[log]\nlines = [\"{line}\"]\n"));
    let run = scene.doctor(&["--fix", "--yes", "--for", "icloud"]).run();
    assert_eq!(run.status, Some(4), "{run}");
    for part in ["(icloud-backup-on)", "done:", "still there: iCloud Backup"] {
        assert!(run.err().contains(part), "{part}\n{run}");
    }
}

/// Two causes carry the same step: it is done once, and what is left says nothing that is done already.
#[test]
fn what_was_done_is_neither_done_nor_said_again() {
    let scene = Scene::paired("[state.icloud]\nbackup = false\nage-hours = 4000\n");
    let run = scene.doctor(&["--json", "--fix", "--yes", "--for", "icloud"]).run();
    let done = did(&run);
    assert_eq!(done.first(), Some(&row("icloud-backup-on", true, Some(true))), "{run}");
    let times = done.iter().filter(|(action, ..)| action == "icloud-backup-on").count();
    assert_eq!((times, primary(&run).as_str()), (1, "icloud/expires-soon"), "{run}");
    let report = run.json();
    let remedies = report["primary"]["remedies"].as_array().unwrap();
    for remedy in remedies {
        assert!(!remedy["text"].as_str().unwrap().contains("urn on"), "{run}");
    }
}

/// What the device refuses because management forbids it is believed: the next step is not the one that just failed.
#[test]
fn a_refusal_of_management_is_believed() {
    let scene =
        Scene::paired("[state.icloud]\nbackup = false\n[state.management]\ncloud-backup = false\n");
    let run = scene.doctor(&["--json", "--fix", "--yes", "--for", "icloud"]).run();
    assert_eq!(did(&run), [row("icloud-backup-on", false, None)], "{run}");
    assert_eq!((run.status, primary(&run).as_str()), (Some(4), "icloud/forbidden-by-management"));
}

/// What a run told only another run takes back: after the restart a backup is made.
#[test]
fn a_restart_is_measured_by_a_backup() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "error", "code=19", "times=1"]);
    assert_eq!(scene.lifeboat(["backup"]).run().status, Some(1));
    let run = refused_then(&scene, "device/helper-crashed", "restart-device", &[]);
    assert_eq!(did(&run), [row("restart-device", true, Some(true))], "{run}");
    assert_eq!((run.status, primary(&run).as_str()), (Some(0), "-"), "{run}");
    scene.lifeboat(["show", "latest"]).ok();
    // It comes back: the restart did not help, and that is said.
    scene.ctl(&["fault", "error", "code=19"]);
    assert_eq!(scene.lifeboat(["backup"]).run().status, Some(1));
    let run = scene.doctor(&["--fix", "--yes"]).run();
    assert_eq!(run.status, Some(4), "{run}");
    for part in ["a backup tells", "the backup failed:", "still there: A helper program"] {
        assert!(run.err().contains(part), "{part}\n{run}");
    }
    assert!(run.out().contains("A helper program"), "{run}");
}

#[test]
fn a_bad_cable_is_tried_again_and_wifi_is_offered() {
    let scene = Scene::paired("[state]\nwifi-sync = false\n");
    scene.machine(
        "[[usb.devices]]\nport = \"1-2\"\nspeed = 12\n[kernel-log]\nlines = [\"usb 1-2: reset full-speed USB device number 7 using \
         xhci_hcd\", \"usb 1-2: device descriptor read/64, error -71\"]\n",
    );
    let run = refused_then(&scene, "bus/bad-cable", "set-wifi-sync", &[]);
    let wanted = [row("retry-backup", true, Some(false)), row("set-wifi-sync", true, Some(false))];
    assert_eq!(did(&run), wanted, "{run}");
    let after = scene.doctor(&["--json"]).run().json();
    assert_eq!(after["facts"]["wifi.sync"], "on", "{after}");
}

#[test]
fn what_a_broken_run_left_is_set_aside_and_a_full_backup_follows() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "drop", "after=40", "times=1"]);
    assert_ne!(scene.lifeboat(["backup"]).run().status, Some(0));
    scene.ctl(&["fault", "error", "code=205", "times=1"]);
    assert_ne!(scene.lifeboat(["backup"]).run().status, Some(0));
    // None of it needs consent: nothing is lost.
    let run = scene.doctor(&["--json", "--fix"]).run();
    let wanted = [row("set-aside-backup", true, None), row("full-backup", true, Some(true))];
    assert_eq!(did(&run), wanted, "{run}");
    assert_eq!((run.status, &run.json()["refused"]), (Some(0), &json!([])), "{run}");
}

/// What was done in this very run, or could not be, is no next step: the last screen does not send to the command that has just run.
#[test]
fn what_was_tried_is_not_advised_again() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "error", "code=103"]);
    let failed = scene.lifeboat(["backup"]).run();
    assert_eq!(failed.status, Some(1), "{failed}");
    let before = scene.doctor(&[]).run();
    assert!(before.out().contains("`lifeboat doctor --fix`"), "{before}");
    let run = scene.doctor(&["--fix", "--yes"]).run();
    let out = run.out();
    let (_, last) = out.rsplit_once("next step").expect("a next step");
    assert!(!last.contains("--fix"), "{run}");
    assert!(run.out().contains("not done:"), "why it could not be done stands there\n{run}");
    let tried =
        run.err().lines().filter(|line| line.contains("not done:")).collect::<Vec<_>>().join("\n");
    assert!(tried.contains("103") && !tried.contains("--fix"), "{run}");
}

/// The machine's disk below a folder of the home is full.
fn full(scene: &Scene, folders: &[&str]) {
    let row = |folder: &&str| {
        let folder = scene.home.path().join(folder);
        format!("[[folders]]\nunder = \"{folder}\"\nfree = 1000\ntotal = 500_000_000_000\n")
    };
    scene.machine(&folders.iter().map(row).collect::<String>());
}

#[test]
fn another_place_for_the_backups_is_taken() {
    let scene = Scene::paired("");
    full(&scene, &["data"]);
    let (other, config) =
        (scene.home.path().join("other"), scene.home.path().join("config/lifeboat/config.toml"));
    let nowhere = scene.doctor(&["--json", "--fix", "--yes"]).run();
    assert_eq!(did(&nowhere).first(), Some(&row("choose-destination", false, None)), "{nowhere}");
    assert!(
        nowhere.json()["fixed"][0]["message"].to_string().contains("--destination"),
        "{nowhere}"
    );
    // A variable weighs more than the file: nothing is written into it.
    let place = ["--destination", other.as_str()];
    let named = scene.doctor(&["--json", "--fix", "--yes"]).args(place);
    let named = named.env("LIFEBOAT_REPO", scene.home.repository()).run();
    assert_eq!(did(&named).first(), Some(&row("choose-destination", false, None)), "{named}");
    assert!(!config.exists(), "{named}");
    let run = refused_then(&scene, "destination/full", "choose-destination", &place);
    // The runs that were tried above have left other findings.
    assert_eq!(did(&run).first(), Some(&row("choose-destination", true, Some(true))), "{run}");
    assert_eq!(run.status, Some(0), "{run}");
    let written = fs_err::read_to_string(&config).unwrap();
    assert!(written.contains(other.as_str()) && !written.contains("working-area"), "{written}");
    assert_eq!(scene.doctor(&[]).run().status, Some(0));
}

#[test]
fn what_comes_in_goes_to_the_other_place_too_where_its_disk_is_full() {
    let scene = Scene::paired("");
    full(&scene, &["data", "state"]);
    let other = scene.home.path().join("other");
    let run = scene.doctor(&["--json", "--fix", "--yes", "--destination", other.as_str()]).run();
    assert_eq!(did(&run), [row("choose-destination", true, Some(true))], "{run}");
    scene.lifeboat(["repo", "init"]).ok();
    scene.lifeboat(["backup"]).ok();
    assert!(other.join("config").exists() && !scene.home.repository().exists(), "{run}");
}

#[test]
fn it_waits_until_the_phone_was_unlocked() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "before-first-unlock"]);
    let mending = scene.doctor(&["--fix"]).start();
    while let Some(line) = mending.next_error_line() {
        if line.contains("(wait-for-unlock)") {
            scene.ctl(&["fault", "--clear"]);
        }
    }
    let run = mending.wait();
    assert_eq!(run.status, Some(0), "{run}");
    assert!(run.err().contains("gone: The iPhone was restarted"), "{run}");
}

/// A computer that slept in the middle of a run: the first remedy is a backup for which it is kept awake.
#[test]
fn a_computer_that_slept_makes_the_backup_awake() {
    let scene = Scene::paired("");
    scene.ctl(&["fault", "drop", "after=40", "times=1"]);
    assert_ne!(scene.lifeboat(["backup"]).run().status, Some(0));
    // What the kernel says is a minute old by this machine's clock, and that is when the run was.
    scene.machine("[kernel-log]\nlines = [\"PM: suspend entry (deep)\"]\n");
    let file = scene.home.path().join("machine.toml");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, format!("clock = 60\n{text}")).unwrap();
    let look = scene.doctor(&["--json"]).run();
    assert_eq!(primary(&look), "host/sleeps", "{look}");
    let remedies = &look.json()["primary"]["remedies"];
    assert_eq!(remedies[0]["action"], "hold-off-sleep", "{look}");
    // It needs no consent, and a backup comes of it.
    let run = scene.doctor(&["--json", "--fix"]).run();
    assert_eq!(did(&run), [row("hold-off-sleep", true, Some(true))], "{run}");
    assert_eq!((run.status, &run.json()["refused"]), (Some(0), &json!([])), "{run}");
    scene.lifeboat(["show", "latest"]).ok();
}

/// Of two ways to bring usbmuxd back the first fails, and the second helps.
#[test]
fn usbmuxd_is_restarted_where_starting_it_fails() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut home = home();
    let (socket, bin) = (home.path().join("usbmuxd"), home.path().join("bin"));
    fs_err::create_dir_all(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = \"restart usbmuxd\" ] || {{ echo 'it will not start' >&2; exit 1; }}\n\
         {} sim --listen UNIX:{socket} >/dev/null 2>&1 &\necho $! > {}\n",
        home.program(),
        home.path().join("pid")
    );
    for name in ["systemctl", "service"] {
        let file = bin.join(name);
        fs_err::write(&file, if name == "service" { "#!/bin/sh\nexit 1\n" } else { &script })
            .unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    home.connect(&format!("UNIX:{socket}"));
    #[expect(clippy::disallowed_methods, reason = "the folder of the test comes first")]
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    home.set("PATH", path);
    let run = home.lifeboat(["doctor", "--offline", "--json", "--fix", "--yes"]).run();
    let pid = fs_err::read_to_string(home.path().join("pid")).expect("it was started");
    home.command("/bin/kill").args([pid.trim()]).run();
    let wanted = [row("start-usbmuxd", false, None), row("restart-usbmuxd", true, Some(true))];
    assert_eq!(did(&run).get(..2), Some(&wanted[..]), "{run}");
    assert!(run.json()["fixed"][0]["message"].to_string().contains("it will not start"), "{run}");
}

#[test]
fn on_a_terminal_consent_is_asked() {
    let scene = Scene::paired("[state.icloud]\nbackup = false\n");
    let arguments = scene.typed(&["--fix", "--for", "icloud"]);
    for (answer, status) in [("n\n", 4), (END, 4), (INTERRUPT, 130)] {
        let mut terminal = Terminal::start(&scene.home, None, &arguments);
        terminal.until("Do it? [y/N] ");
        terminal.type_in(answer);
        let run = terminal.wait();
        assert_eq!(run.status, Some(status), "{answer:?}\n{run}");
        assert!(!run.out().contains("(icloud-backup-on)"), "{answer:?}\n{run}");
    }
    let mut terminal = Terminal::start(&scene.home, None, &arguments);
    terminal.until("Do it? [y/N] ");
    terminal.type_in("y\n");
    terminal.until("gone: iCloud Backup is switched off");
    assert_eq!(terminal.wait().status, Some(0));
}
