//! The doctor about the backup password: what is the matter with it, and that what helps does.

use lifeboat_testkit::{Home, Run, Terminal};
use serde_json::{Value, json};

use crate::home;
use crate::scene::{Scene, did, primary, row};

/// A key derivation of milliseconds.
const ROUNDS: &str = "rounds = 2000\n";

fn encrypted(password: &str) -> Scene {
    Scene::paired(&format!("[encryption]\n{ROUNDS}password = {}\n", json!(password)))
}

/// What the doctor says: the id of the primary cause, whether it was measured, and what is known of the password.
fn said(run: &Run) -> (String, bool, String) {
    let report = run.json();
    let is_confirmed = report["primary"]["certainty"] == "confirmed";
    let known = report["facts"]["backup.password"].as_str().unwrap_or("-").to_owned();
    (primary(run), is_confirmed, known)
}

fn cause(id: &str, known: &str) -> (String, bool, String) {
    (id.to_owned(), id != "-", known.to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Another computer of the household, which the phone trusts, with a repository of its own.
fn other_computer(scene: &Scene) -> Home {
    let mut other = home();
    other.connect(&scene.sim.address);
    other.lifeboat(["pair"]).ok();
    other
}

/// The passwords that the recovery sheet has, newest first.
fn on_sheet(scene: &Scene) -> Vec<String> {
    let sheet = scene.lifeboat(["repo", "sheet", "--json"]).ok().json();
    let kept = sheet["backup_passwords"].as_array().expect("a list");
    kept.iter().map(|kept| text(&kept["password"])).collect()
}

/// Whether the newest backup can be read here.
fn opens(scene: &Scene) -> bool {
    let run = scene.lifeboat(["cat", "latest:HomeDomain/Library/SMS/sms.db"]).run();
    run.status == Some(0) && run.stdout.starts_with(b"SQLite format 3")
}

/// Whether the phone has this password: it lets another computer take it away with it, and with no other.
fn is_the_phone_s(scene: &Scene, password: &str) -> bool {
    let other = other_computer(scene);
    let off = other.lifeboat(["password", "off", "--json"]);
    let off = off.env("BACKUP_PASSWORD", password).run();
    off.status == Some(0) && off.summary()["state"] == "off"
}

#[test]
fn a_password_that_management_demands_is_set_with_consent_and_the_backup_comes_about() {
    let scene = Scene::paired(&format!(
        "[encryption]\n{ROUNDS}[state.management]\nsupervised = true\nencrypted-backup = true\n"
    ));
    assert_ne!(scene.lifeboat(["backup"]).run().status, Some(0));
    let refused = scene.doctor(&["--json", "--fix"]).run();
    let demanded = cause("management/encryption-demanded", "none");
    assert_eq!((refused.status, said(&refused)), (Some(4), demanded), "{refused}");
    assert_eq!(refused.json()["refused"], json!(["set-backup-password"]), "{refused}");
    assert!(did(&refused).is_empty(), "{refused}");
    let run = scene.doctor(&["--json", "--fix", "--yes"]).run();
    assert_eq!(did(&run), [row("set-backup-password", true, Some(true))], "{run}");
    assert_eq!(run.status, Some(0), "{run}");
    assert_eq!(said(&run).2, "not-proved", "{run}");
    // It was made here, for nobody could be asked; it is kept, and shown by the sheet alone.
    let made = on_sheet(&scene);
    assert_eq!(made.len(), 1);
    assert!(!format!("{run}").contains(&made[0]), "it is not shown");
    let backup = scene.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(backup["encrypted"], true, "{backup}");
    let after = scene.doctor(&["--json"]).run();
    assert_eq!((after.status, said(&after)), (Some(0), cause("-", "known")), "{after}");
}

#[test]
fn a_password_that_somebody_remembers_opens_what_was_sealed() {
    let scene = encrypted("Summer of 2017!");
    scene.lifeboat(["backup"]).ok();
    assert!(!opens(&scene));
    let look = scene.doctor(&["--json"]).run();
    assert_eq!(
        (look.status, said(&look)),
        (Some(0), cause("password/forgotten", "unknown")),
        "{look}"
    );
    // Nobody can be asked: the backup that is made instead stays sealed, and that is said.
    let run = scene.doctor(&["--json", "--fix", "--yes"]).run();
    let wanted = [row("try-backup-password", false, None), row("retry-backup", true, Some(false))];
    assert_eq!(did(&run), wanted, "{run}");
    assert!(run.json()["fixed"][0]["message"].to_string().contains("password test"), "{run}");
    // Somebody is there, and remembers it at the second try.
    let arguments = scene.typed(&["--fix"]);
    let mut terminal = Terminal::start(&scene.home, None, &arguments);
    terminal.until("Do it? [y/N] ");
    terminal.type_in("y\n");
    terminal.until("(nothing ends this): ");
    terminal.type_in("summer of 2017\n");
    terminal.until("it is not the one; another: ");
    terminal.type_in("Summer of 2017!\n");
    terminal.until("gone: The password of the computer backups");
    let fixed = terminal.wait();
    assert_eq!(fixed.status, Some(0), "{fixed}");
    assert!(!fixed.out().contains("Summer of 2017!"), "it is not shown\n{fixed}");
    assert!(opens(&scene));
    assert_eq!(on_sheet(&scene), ["Summer of 2017!"]);
    let after = scene.doctor(&["--json"]).run();
    assert_eq!((after.status, said(&after)), (Some(0), cause("-", "known")), "{after}");
}

#[test]
fn a_password_that_was_changed_elsewhere_is_told_from_one_that_was_never_known() {
    let scene = Scene::paired(&format!("[encryption]\n{ROUNDS}"));
    let none = scene.doctor(&["--json"]).run();
    assert_eq!(said(&none), cause("-", "none"), "{none}");
    let set = scene.lifeboat(["password", "set", "--generate", "--json"]).ok().summary();
    let ours = text(&set["password"]);
    let pending = scene.doctor(&["--json"]).run();
    assert_eq!(said(&pending), cause("-", "not-proved"), "{pending}");
    scene.lifeboat(["backup"]).ok();
    let known = scene.doctor(&["--json"]).run();
    assert_eq!(said(&known), cause("-", "known"), "{known}");
    let other = other_computer(&scene);
    let change = other.lifeboat(["password", "change", "--generate", "--json"]);
    let theirs = text(&change.env("BACKUP_PASSWORD", &ours).ok().summary()["password"]);
    scene.lifeboat(["backup"]).ok();
    let differs = scene.doctor(&["--json"]).run();
    assert_eq!(said(&differs), cause("password/forgotten", "stored-differs"), "{differs}");
    // The way of somebody who has a list.
    fs_err::write(scene.home.path().join("list.txt"), format!("{ours}\n{theirs}\n")).unwrap();
    scene.lifeboat(["password", "test", "--candidates", "list.txt", "--remember"]).ok();
    let after = scene.doctor(&["--json"]).run();
    assert_eq!(said(&after), cause("-", "known"), "{after}");
    assert_eq!(on_sheet(&scene), [theirs, ours]);
}

/// The last resort takes the password away, and the finding with it.
#[test]
fn reset_all_settings_is_a_way_out() {
    let scene = encrypted("gone for good");
    scene.lifeboat(["backup"]).ok();
    assert_eq!(primary(&scene.doctor(&["--json"]).run()), "password/forgotten");
    scene.ctl(&["set", "backup-password="]);
    let after = scene.doctor(&["--json"]).run();
    assert_eq!((after.status, said(&after)), (Some(0), cause("-", "none")), "{after}");
    let set = scene.lifeboat(["password", "set", "--generate", "--json"]).ok().summary();
    assert_eq!(set["state"], "set", "{set}");
    scene.lifeboat(["backup"]).ok();
    let after = scene.doctor(&["--json"]).run();
    assert_eq!(said(&after), cause("-", "known"), "{after}");
    assert!(opens(&scene));
}

#[test]
fn a_line_end_in_the_password_is_found_kept_and_taken_out() {
    let scene = encrypted("sesame\n");
    let file = scene.home.path().join("backup-password.txt");
    fs_err::write(&file, "sesame\n").unwrap();
    let with = |arguments: &[&str]| {
        scene.lifeboat(arguments.iter().copied()).env("BACKUP_PASSWORD_FILE", file.as_str()).run()
    };
    assert_eq!(with(&["backup"]).status, Some(0));
    assert!(!opens(&scene));
    let look = with(&["doctor", "--offline", "--json"]);
    assert_eq!(said(&look), cause("password/damaged", "damaged"), "{look}");
    let refused = with(&["doctor", "--offline", "--json", "--fix"]);
    assert_eq!(refused.json()["refused"], json!(["clean-backup-password"]), "{refused}");
    let run = with(&["doctor", "--offline", "--json", "--fix", "--yes"]);
    assert_eq!(did(&run), [row("clean-backup-password", true, Some(true))], "{run}");
    assert!(!format!("{run}").contains("sesame"), "it is not shown\n{run}");
    assert!(opens(&scene), "what was sealed is open");
    let mut kept = on_sheet(&scene);
    kept.sort();
    assert_eq!(kept, ["sesame", "sesame\n"], "the old one opens the older backup");
    // What everybody believed is true now, and the next backup proves it.
    scene.lifeboat(["backup"]).ok();
    let after = scene.doctor(&["--json"]).run();
    assert_eq!((after.status, said(&after)), (Some(0), cause("-", "known")), "{after}");
    assert!(is_the_phone_s(&scene, "sesame"));
}

#[test]
fn an_option_that_became_the_password_gives_way_to_a_new_one() {
    let scene = encrypted("--password");
    scene.lifeboat(["backup"]).ok();
    let look = scene.doctor(&["--json"]).run();
    assert_eq!(said(&look), cause("password/damaged", "damaged"), "{look}");
    let new = scene.home.path().join("new.txt");
    fs_err::write(&new, "correct horse\n").unwrap();
    let run = scene.doctor(&["--json", "--fix", "--yes"]);
    let run = run.env("BACKUP_PASSWORD_NEW_FILE", new.as_str()).run();
    assert_eq!(did(&run), [row("clean-backup-password", true, Some(true))], "{run}");
    assert_eq!(on_sheet(&scene), ["correct horse", "--password"]);
    scene.lifeboat(["backup"]).ok();
    let after = scene.doctor(&["--json"]).run();
    assert_eq!((after.status, said(&after)), (Some(0), cause("-", "known")), "{after}");
    assert!(is_the_phone_s(&scene, "correct horse"));
}

/// The phone is not needed to know that its backups are sealed; what cannot be told is not guessed.
#[test]
fn without_the_phone_the_backups_speak() {
    let scene = encrypted("Summer of 2017!");
    scene.ctl(&["unplug"]);
    let udid = scene.sim.udid().to_owned();
    let nothing = scene.lifeboat(["--udid", &udid, "doctor", "--offline", "--json"]).run();
    assert!(nothing.json()["facts"]["backup.password"]["unknown"].is_object(), "{nothing}");
    scene.ctl(&["plug"]);
    scene.lifeboat(["backup"]).ok();
    scene.ctl(&["unplug"]);
    let sealed = scene.lifeboat(["--udid", &udid, "doctor", "--offline", "--json"]).run();
    assert_eq!(said(&sealed).2, "unknown", "{sealed}");
}
