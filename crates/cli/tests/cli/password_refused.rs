//! A device that refuses to change its backup password: which reason it was, what it has now, and what is known of it afterwards.

use lifeboat_testkit::{Home, Run, Sim};

use crate::home;

const OURS: &str = "ours, first";

fn phone(encryption: &str) -> String {
    format!(
        "profile = \"tiny\"\n[knobs]\npasscode-timeout = 1\n[encryption]\nrounds = 1000\n{encryption}"
    )
}

/// A phone with a password that is kept here and that a backup has proved; one without, where that is wanted.
fn scene(has_password: bool, encryption: &str) -> (Home, Sim) {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[&phone(encryption)], &[]);
    home.lifeboat(["pair"]).ok();
    if has_password {
        home.lifeboat(["password", "set"]).env("BACKUP_PASSWORD_NEW", OURS).ok();
    }
    home.lifeboat(["backup"]).ok();
    (home, sim)
}

/// Says how a run ended: exit status, cause, and whether it says that the device has the password that it had.
fn ended(run: &Run) -> (Option<i32>, String, bool) {
    let summary = run.summary();
    let cause = summary["cause"].as_str().expect("a cause").to_owned();
    let message = summary["message"].as_str().expect("a message");
    (run.status, cause, message.contains("the device has the backup password that it had"))
}

fn standing(home: &Home) -> (Option<i32>, String) {
    let run = home.lifeboat(["password", "status", "--json"]).run();
    (run.status, run.json()["standing"].as_str().expect("a word").to_owned())
}

fn refusals(command: &str, has_password: bool) {
    let (home, sim) = scene(has_password, "");
    let before = standing(&home);
    let quiet = if has_password { "known" } else { "off" };
    assert_eq!(before, (Some(0), quiet.to_owned()));
    for (what, fault, words, exit, cause) in [
        (
            "management forbids backups",
            &["error", "code=22", "reason=mdm", "at=request", "times=1"] as &[&str],
            "MDM",
            1,
            "forbidden",
        ),
        (
            "set up is not finished",
            &["error", "code=212", "at=request", "times=1"],
            "212",
            5,
            "setup-unfinished",
        ),
        (
            "restarted and not unlocked since",
            &["before-first-unlock"],
            "unlocked",
            5,
            "not-unlocked-since-start",
        ),
        (
            "cancelled on the device",
            &["passcode-cancelled", "times=1"],
            "208",
            15,
            "passcode-not-entered",
        ),
        ("nobody types the passcode", &["passcode-ignored"], "208", 15, "passcode-not-entered"),
    ] {
        sim.ctl(&home, &[&["fault"], fault].concat());
        let run = home
            .lifeboat(["password", command, "--json"])
            .env("BACKUP_PASSWORD_NEW", "never taken")
            .run();
        sim.ctl(&home, &["fault", "--clear"]);
        assert_eq!(ended(&run), (Some(exit), cause.to_owned(), true), "{what}\n{run}");
        assert!(
            run.summary()["message"].as_str().expect("a message").contains(words),
            "{what}\n{run}"
        );
        assert_eq!(standing(&home), before, "nothing is left that confuses: {what}");
    }
    // What was refused is told as that.
    let status = home.lifeboat(["password", "status", "--json"]).run().json();
    let refused = status["passwords"].as_array().expect("a list").iter();
    let refused = refused.filter(|kept| kept["device_said"] == "refused").count();
    assert_eq!(refused, if command == "off" { 0 } else { 5 }, "{status}");
    if command != "off" {
        let told = home.lifeboat(["password", "status"]).run();
        assert!(told.out().contains("5 passwords, which the device did not take"), "{told}");
    }
    // Nothing of it stands in the way.
    let run = home.lifeboat(["password", command]).env("BACKUP_PASSWORD_NEW", "taken now").ok();
    let word = if command == "off" { "no backup password any more" } else { "backup password" };
    assert!(run.out().contains(word), "{run}");
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(backup["encrypted"], command != "off", "{backup}");
    let last = if command == "off" { "off" } else { "known" };
    assert_eq!(standing(&home), (Some(0), last.to_owned()));
}

#[test]
fn whatever_refuses_a_first_password_is_named_and_leaves_none() {
    refusals("set", false);
}

#[test]
fn whatever_refuses_another_password_is_named_and_leaves_the_old_one() {
    refusals("change", true);
}

#[test]
fn whatever_refuses_to_take_it_away_is_named_and_leaves_it() {
    refusals("off", true);
}

#[test]
fn a_rule_that_demands_encryption_keeps_the_password_on_however_it_is_worded() {
    for encryption in ["", "rule-error = \"wrapped\"\n"] {
        let (home, sim) = scene(true, encryption);
        // The device tells of the rule: nothing is asked of it.
        sim.ctl(&home, &["set", "management.encrypted-backup=true"]);
        let run = home.lifeboat(["password", "off", "--json"]).run();
        assert_eq!((run.status, &run.summary()["cause"]), (Some(1), &"forbidden".into()), "{run}");
        sim.ctl(&home, &["set", "management.encrypted-backup=false"]);
        // The rule comes while the run goes on: the device itself refuses, with 22 or with 22 beneath 1.
        let mut held = home.lifeboat(["password", "off", "--json"]).hold();
        while held.is_held() && !held.told().iter().any(|line| line.contains("look-up")) {
            held.pass();
        }
        assert!(held.is_held(), "{:?}", held.told());
        sim.ctl(&home, &["set", "management.encrypted-backup=true"]);
        let run = held.wait();
        assert_eq!(ended(&run), (Some(1), "forbidden".to_owned(), true), "{run}");
        let summary = run.summary();
        assert!(summary["message"].as_str().expect("a message").contains("MDM"), "{summary}");
        assert!(summary["next"][0].as_str().expect("a step").contains("organisation"), "{summary}");
        assert_eq!(standing(&home), (Some(0), "known".to_owned()));
        let told = home.lifeboat(["password", "status"]).run();
        assert!(told.out().contains("as who manages it demands"), "{told}");
        // Another password is no breach of the rule, and a first one is what it wants.
        home.lifeboat(["password", "change"]).env("BACKUP_PASSWORD_NEW", "another").ok();
    }
    let (home, sim) = scene(false, "");
    sim.ctl(&home, &["set", "management.encrypted-backup=true"]);
    home.lifeboat(["password", "set"]).env("BACKUP_PASSWORD_NEW", OURS).ok();
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(backup["encrypted"], true, "{backup}");
}

#[test]
fn a_wrong_old_password_is_named_and_does_not_hide_what_is_known() {
    let (home, _sim) = scene(true, "");
    for command in ["change", "off"] {
        let run = home
            .lifeboat(["password", command, "--json"])
            .env("BACKUP_PASSWORD", "not the one")
            .env("BACKUP_PASSWORD_NEW", "never taken")
            .run();
        let wanted = (Some(12), "backup-password-wrong".to_owned(), true);
        assert_eq!(ended(&run), wanted, "{run}");
        assert!(run.summary()["message"].as_str().expect("a message").contains("207"), "{run}");
        assert_eq!(standing(&home), (Some(0), "known".to_owned()), "{command}");
    }
}

#[test]
fn what_is_refused_does_not_hide_that_the_password_was_changed_elsewhere() {
    let (home, sim) = scene(true, "");
    let mut other = crate::home();
    other.connect(&sim.address);
    other.lifeboat(["pair"]).ok();
    let change = other.lifeboat(["password", "change"]);
    change.env("BACKUP_PASSWORD", OURS).env("BACKUP_PASSWORD_NEW", "theirs").ok();
    home.lifeboat(["backup"]).ok();
    let elsewhere = (Some(12), "changed-elsewhere".to_owned());
    assert_eq!(standing(&home), elsewhere);
    for (command, old) in [
        ("change", None),
        ("change", Some("not the one")),
        ("off", None),
        ("off", Some("not the one either")),
    ] {
        let run = home
            .lifeboat(["password", command, "--json"])
            .env("BACKUP_PASSWORD_NEW", "never taken");
        let run = match old {
            Some(old) => run.env("BACKUP_PASSWORD", old),
            None => run,
        };
        let run = run.run();
        let wanted = (Some(12), "backup-password-wrong".to_owned(), true);
        assert_eq!(ended(&run), wanted, "{run}");
        assert_eq!(standing(&home), elsewhere, "{command} {old:?}");
    }
}

#[test]
fn one_that_was_told_and_whose_answer_was_lost_is_never_taken_for_refused() {
    let (home, sim) = scene(true, "");
    // The device takes it, and nobody hears of that.
    let mut held = home
        .lifeboat(["password", "change", "--json"])
        .env("BACKUP_PASSWORD_NEW", "taken and not heard")
        .hold();
    while held.is_held() && !held.told().iter().any(|line| line.contains("\"read\"")) {
        held.pass();
    }
    assert!(held.is_held(), "{:?}", held.told());
    held.kill();
    // The same again, from what everybody believes: the device says that the old one is wrong.
    let run = home
        .lifeboat(["password", "change", "--json"])
        .env("BACKUP_PASSWORD", OURS)
        .env("BACKUP_PASSWORD_NEW", "taken and not heard")
        .run();
    assert_eq!(ended(&run), (Some(12), "backup-password-wrong".to_owned(), true), "{run}");
    let status = home.lifeboat(["password", "status", "--json"]).ok().json();
    assert_eq!(status["standing"], "not-proved", "{status}");
    let said = status["passwords"].as_array().expect("a list").iter();
    assert!(said.clone().all(|kept| kept["device_said"].is_null()), "{status}");
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(backup["stored"], "opened", "{backup}");
    drop(sim);
}
