//! What a phone says of a password is remembered: one that it refused is in nobody's way, one that it proved waits for no backup. And what
//! a killed job leaves on the disk goes with the next one.

use std::io::Write as _;

use camino::Utf8PathBuf;
use lifeboat_testkit::{Home, Running, Sim};
use serde_json::Value;

use crate::home;

/// A small phone whose key derivation takes milliseconds.
const PHONE: &str = "profile = \"tiny\"\n[encryption]\nrounds = 2000\n";

fn phone() -> (Home, Sim) {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[PHONE], &[]);
    home.lifeboat(["pair"]).ok();
    (home, sim)
}

fn status(home: &Home) -> Value {
    home.lifeboat(["password", "status", "--json"]).run().json()
}

/// What the phone said of the passwords that are kept.
fn said(status: &Value) -> Vec<Option<&str>> {
    let kept = status["passwords"].as_array().expect("a list");
    kept.iter().map(|kept| kept["device_said"].as_str()).collect()
}

fn password(home: &Home, arguments: &[&str], old: Option<&str>) -> Value {
    let run = home.lifeboat(["password"]).args(arguments).arg("--json");
    let run = match old {
        Some(old) => run.env("BACKUP_PASSWORD", old),
        None => run,
    };
    run.run().summary()
}

fn on_sheet(home: &Home) -> Vec<String> {
    let sheet = home.lifeboat(["repo", "sheet", "--json"]).ok().json();
    let own = sheet["backup_passwords"].as_array().expect("a list");
    own.iter().map(|own| own["password"].as_str().expect("a password").to_owned()).collect()
}

#[test]
fn a_first_password_that_the_phone_refused_is_kept_and_nobody_waits_for_its_proof() {
    let (home, sim) = phone();
    sim.ctl(&home, &["fault", "passcode-cancelled"]);
    let refused = password(&home, &["set", "--generate"], None);
    assert_eq!(refused["cause"], "passcode-not-entered", "{refused}");
    sim.ctl(&home, &["fault", "--clear"]);
    assert_eq!(on_sheet(&home).len(), 1, "no password is lost");
    let before = status(&home);
    assert_eq!((&before["standing"], said(&before)), (&"off".into(), vec![Some("refused")]));
    // The phone has none, and a backup is no reason to wait for one.
    home.lifeboat(["backup"]).ok();
    let second = password(&home, &["set", "--generate"], None);
    assert_eq!(second["state"], "set", "{second}");
    let pending = status(&home);
    assert_eq!(
        (&pending["standing"], said(&pending)),
        (&"not-proved".into(), vec![None, Some("refused")])
    );
    home.lifeboat(["backup"]).ok();
    assert_eq!(status(&home)["standing"], "known");
    let shown = home.lifeboat(["password", "status"]).ok();
    assert!(shown.out().contains("1 password, which the device did not take"), "{shown}");
}

#[test]
fn a_change_that_the_phone_refused_leaves_what_is_known_as_it_was() {
    let (home, sim) = phone();
    let first = password(&home, &["set", "--generate"], None);
    let first = first["password"].as_str().expect("shown once").to_owned();
    home.lifeboat(["backup"]).ok();
    sim.ctl(&home, &["fault", "passcode-cancelled"]);
    let cancelled = password(&home, &["change", "--generate"], None);
    assert_eq!(cancelled["cause"], "passcode-not-entered", "{cancelled}");
    sim.ctl(&home, &["fault", "--clear"]);
    let after = status(&home);
    assert_eq!((&after["standing"], said(&after)), (&"known".into(), vec![None, Some("refused")]));
    assert_eq!(on_sheet(&home).first(), Some(&first), "the one that is right comes first");
    let wrong = password(&home, &["change", "--generate"], Some("not the one"));
    assert_eq!(wrong["cause"], "backup-password-wrong", "{wrong}");
    let after = status(&home);
    let refused = Some("refused");
    assert_eq!(
        (&after["standing"], said(&after)),
        (&"known".into(), vec![None, refused, refused, refused])
    );
    // Where the working area is lost, no keybag says which is the likeliest: none that was refused is told to the phone, which would
    // ask for its passcode each time.
    fs_err::remove_dir_all(home.path().join("state/lifeboat/working")).expect("it is there");
    let changed = home.lifeboat(["password", "change", "--generate", "--json"]).ok();
    assert_eq!(changed.out().matches("\"passcode\"").count(), 1, "{changed}");
}

#[test]
fn a_password_that_was_refused_and_set_elsewhere_opens_the_backup_all_the_same() {
    let (home, sim) = phone();
    sim.ctl(&home, &["fault", "passcode-cancelled"]);
    let refused = password(&home, &["set", "--generate"], None);
    assert_eq!(refused["cause"], "passcode-not-entered", "{refused}");
    sim.ctl(&home, &["fault", "--clear"]);
    let text = on_sheet(&home).remove(0);
    let mut other = crate::home();
    other.connect(&sim.address);
    other.lifeboat(["pair"]).ok();
    let file = other.path().join("new");
    lifeboat_host::secret::write_private_file(&file, format!("{text}\n").as_bytes())
        .expect("a file");
    other.lifeboat(["password", "set"]).env("BACKUP_PASSWORD_NEW_FILE", &file).ok();
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(backup["stored"], "opened", "{backup}");
    assert_eq!(status(&home)["standing"], "known");
    // What opens the newest backup is told to the phone, whatever it said once.
    let changed = password(&home, &["change", "--generate"], None);
    assert_eq!(changed["state"], "changed", "{changed}");
}

#[test]
fn a_change_that_is_proved_at_once_is_told_as_proved() {
    let (home, sim) = phone();
    password(&home, &["set", "--generate"], None);
    assert_eq!(status(&home)["standing"], "not-proved", "the phone wrote no keybag");
    home.lifeboat(["backup"]).ok();
    let changed = password(&home, &["change", "--generate"], None);
    assert_eq!(changed["proved"], true, "{changed}");
    let run = home.lifeboat(["password", "status", "--json"]).ok();
    let now = run.json();
    assert_eq!((&now["standing"], said(&now)), (&"proved".into(), vec![Some("proved"), None]));
    assert_eq!(now["next_step"], Value::Null, "{now}");
    // The proof outlives the file that it was made with.
    fs_err::remove_dir_all(home.path().join("state/lifeboat/working")).expect("it is there");
    assert_eq!(status(&home)["standing"], "proved");
    // Nobody knows what became of a later one.
    sim.ctl(&home, &["fault", "drop", "after=3"]);
    let lost = password(&home, &["change", "--generate"], None);
    assert_eq!(lost["outcome"], "failed", "{lost}");
    sim.ctl(&home, &["fault", "--clear"]);
    assert_eq!(status(&home)["standing"], "not-proved");
    home.lifeboat(["backup"]).ok();
    assert_eq!(status(&home)["standing"], "known");
}

/// The folders of jobs in the cache.
fn scratch(home: &Home) -> Vec<Utf8PathBuf> {
    let cache = home.path().join("cache/lifeboat");
    let mut found = Vec::new();
    let mut folders = vec![cache];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().expect("a folder").flatten() {
            if entry.file_name().starts_with("scratch-") {
                found.push(entry.path().to_owned());
            } else if entry.path().is_dir() {
                folders.push(entry.path().to_owned());
            }
        }
    }
    found
}

/// An export that waits for its password, with its folder.
fn waiting(home: &Home, target: &str) -> (Running, fs_err::File) {
    let pipe = home.path().join(format!("password-of-{target}"));
    home.command("mkfifo").arg(&pipe).ok();
    let export = home.lifeboat(["export", "latest", target, "--as", "files"]);
    let running = export.env("BACKUP_PASSWORD_FILE", &pipe).start();
    // There is nobody at the other end until the program reads it.
    let writer = fs_err::OpenOptions::new().write(true).open(&pipe).expect("the export reads it");
    (running, writer)
}

#[test]
fn what_a_killed_export_left_goes_with_the_next_run_unless_somebody_has_his_own() {
    let mut home = home();
    let sealed = format!("{PHONE}password = \"sesame\"\n");
    let _sim = Sim::start_phones(&mut home, &[&sealed], &[]);
    home.lifeboat(["pair"]).ok();
    home.lifeboat(["backup"]).ok();
    let kill = |(running, _writer): (Running, fs_err::File)| drop(running);
    kill(waiting(&home, "one"));
    let [left] = scratch(&home).try_into().expect("one folder: nobody cleared up behind it");
    let alive = waiting(&home, "two");
    assert!(!left.exists(), "the next export has swept it away");
    kill(waiting(&home, "three"));
    assert_eq!(scratch(&home).len(), 2);
    home.lifeboat(["backup"]).ok();
    assert_eq!(scratch(&home).len(), 2, "one is in use, and nobody can tell which");
    let (running, mut writer) = alive;
    writer.write_all(b"sesame\n").expect("it reads");
    drop(writer);
    let run = running.wait();
    assert_eq!(run.status, Some(0), "{run}");
    assert_eq!(scratch(&home).len(), 1, "what was killed is left");
    home.lifeboat(["backup"]).ok();
    assert_eq!(scratch(&home).len(), 0);
}
