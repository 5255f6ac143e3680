//! The backup password of a device, from the first one to the last; and what happens when a run is killed on the way.

use lifeboat_testkit::{Home, Sim, Terminal};
use serde_json::Value;

use crate::home;

/// A small phone whose key derivation takes milliseconds.
const PHONE: &str = "profile = \"tiny\"\n[encryption]\nrounds = 2000\n";

fn guarded(toml: &str) -> (Home, Sim) {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[toml], &[]);
    home.lifeboat(["pair"]).ok();
    (home, sim)
}

/// Another computer of the same household, with a repository of its own.
fn stranger(sim: &Sim) -> Home {
    let mut other = home();
    other.connect(&sim.address);
    other.lifeboat(["pair"]).ok();
    other
}

/// Sets a first password that is generated; returns it.
fn set(home: &Home) -> String {
    let set = home.lifeboat(["password", "set", "--generate", "--json"]).ok().summary();
    assert_eq!(set["state"], "set", "{set}");
    assert_eq!(set["proved"], false, "{set}");
    text(&set["password"])
}

fn change(home: &Home) -> Value {
    home.lifeboat(["password", "change", "--generate", "--json"]).ok().summary()
}

fn standing(home: &Home) -> (String, Option<i32>) {
    let run = home.lifeboat(["password", "status", "--json"]).run();
    (text(&run.json()["standing"]), run.status)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// The backup passwords of the recovery sheet, newest first.
fn on_sheet(home: &Home) -> Vec<String> {
    let sheet = home.lifeboat(["repo", "sheet", "--json"]).ok().json();
    let own = sheet["backup_passwords"].as_array().expect("a list");
    own.iter().map(|own| text(&own["password"])).collect()
}

#[test]
fn a_first_password_is_stored_told_and_proved_by_the_next_backup() {
    let (home, sim) = guarded(PHONE);
    home.lifeboat(["backup"]).ok();
    assert_eq!(standing(&home), ("off".into(), Some(0)));
    let password = set(&home);
    assert_eq!(password.split('-').map(str::len).collect::<Vec<_>>(), [4; 6], "120 bits");
    assert_eq!(standing(&home), ("not-proved".into(), Some(0)));
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&backup["encrypted"], &backup["kind"]), (&true.into(), &"full".into()));
    assert_eq!(standing(&home), ("known".into(), Some(0)));
    assert_eq!(on_sheet(&home), [password]);
    // A second one is refused before anything is stored.
    let again = home.lifeboat(["password", "set", "--generate", "--json"]).run();
    assert_eq!(
        (again.status, text(&again.summary()["cause"])),
        (Some(1), "backup-password-set".into())
    );
    assert_eq!(on_sheet(&home).len(), 1);
    assert_eq!(sim.traffic(&home)["kind"], "full");
}

#[test]
fn a_change_is_proved_at_once_and_the_next_backup_sends_only_what_is_new() {
    let (home, sim) = guarded(PHONE);
    let first = set(&home);
    home.lifeboat(["backup"]).ok();
    let changed = change(&home);
    assert_eq!(
        (&changed["state"], &changed["proved"]),
        (&"changed".into(), &true.into()),
        "{changed}"
    );
    let second = text(&changed["password"]);
    sim.ctl(&home, &["live", "--days", "1"]);
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(
        (&backup["kind"], &backup["resumed"]),
        (&"incremental".into(), &false.into()),
        "{backup}"
    );
    assert_eq!(sim.traffic(&home)["kind"], "incremental");
    assert_eq!(standing(&home), ("known".into(), Some(0)));
    assert_eq!(on_sheet(&home), [second.as_str(), first.as_str()]);
    // Each backup needs the password of its day.
    for (snapshot, password) in [(0, &first), (1, &second)] {
        let id =
            text(&home.lifeboat(["snapshots", "--json"]).ok().json()["snapshots"][snapshot]["id"]);
        let found = home
            .lifeboat(["password", "test", &id, "--show", "--json", "--candidates", "-"])
            .stdin("no\n")
            .ok()
            .summary();
        assert_eq!(
            (&found["password"], &found["was_kept"]),
            (&password.as_str().into(), &true.into())
        );
    }
    home.lifeboat(["check", "--read-data"]).ok();
}

#[test]
fn where_the_rewritten_manifest_is_lost_the_next_backup_is_a_full_one() {
    let (home, sim) = guarded(PHONE);
    set(&home);
    home.lifeboat(["backup"]).ok();
    change(&home);
    fs_err::remove_dir_all(home.path().join("state/lifeboat/working")).unwrap();
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&backup["kind"], &backup["outcome"]), (&"full".into(), &"done".into()), "{backup}");
    assert_eq!(sim.traffic(&home)["kind"], "full");
    assert_eq!(standing(&home), ("known".into(), Some(0)));
}

#[test]
fn off_takes_the_password_from_the_device_and_keeps_it_here() {
    let (home, sim) = guarded(PHONE);
    let password = set(&home);
    home.lifeboat(["backup"]).ok();
    let off = home.lifeboat(["password", "off", "--json"]).ok().summary();
    assert_eq!(off["state"], "off", "{off}");
    let again = home.lifeboat(["password", "off"]).ok();
    assert!(again.out().contains("nothing was changed"), "{again}");
    assert_eq!(standing(&home), ("off".into(), Some(0)));
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&backup["encrypted"], &backup["kind"]), (&false.into(), &"full".into()));
    assert_eq!(on_sheet(&home), [password]);
    let nothing = home.lifeboat(["password", "change", "--generate", "--json"]).run();
    assert_eq!(text(&nothing.summary()["cause"]), "backup-password-off", "{nothing}");
    assert_eq!(sim.traffic(&home)["kind"], "full");
}

#[test]
fn what_the_device_refuses_changes_nothing_and_says_so() {
    let (home, sim) = guarded(PHONE);
    set(&home);
    home.lifeboat(["backup"]).ok();
    let wrong =
        home.lifeboat(["password", "off", "--json"]).env("BACKUP_PASSWORD", "not the one").run();
    assert_eq!(
        (wrong.status, text(&wrong.summary()["cause"])),
        (Some(12), "backup-password-wrong".into())
    );
    assert!(wrong.err().contains("has the backup password that it had"), "{wrong}");
    assert!(wrong.err().contains("BACKUP_PASSWORD_FILE is better"), "{wrong}");
    sim.ctl(&home, &["fault", "passcode-cancelled"]);
    let cancelled = home.lifeboat(["password", "change", "--generate", "--json"]).run();
    assert_eq!(
        (cancelled.status, text(&cancelled.summary()["cause"])),
        (Some(15), "passcode-not-entered".into())
    );
    assert!(cancelled.err().contains("has the backup password that it had"), "{cancelled}");
    sim.ctl(&home, &["fault", "--clear"]);
    sim.ctl(&home, &["set", "management.encrypted-backup=true"]);
    let managed = home.lifeboat(["password", "off", "--json"]).run();
    assert_eq!((managed.status, text(&managed.summary()["cause"])), (Some(1), "forbidden".into()));
    sim.ctl(&home, &["set", "management.encrypted-backup=false"]);
    // What was refused stands in nobody's way: the one that opens the last backup is tried first.
    let changed = change(&home);
    assert_eq!(
        (&changed["state"], &changed["proved"]),
        (&"changed".into(), &true.into()),
        "{changed}"
    );
}

#[test]
fn a_password_that_was_changed_elsewhere_is_noticed_and_found_again() {
    let (home, sim) = guarded(PHONE);
    let ours = set(&home);
    home.lifeboat(["backup"]).ok();
    let other = stranger(&sim);
    let theirs = other
        .lifeboat(["password", "change", "--generate", "--json"])
        .env("BACKUP_PASSWORD", &ours)
        .ok()
        .summary();
    let theirs = text(&theirs["password"]);
    // Ours is still believed to be the one, and is refused.
    let refused = home.lifeboat(["password", "off", "--json"]).run();
    assert_eq!(
        (refused.status, text(&refused.summary()["cause"])),
        (Some(12), "backup-password-wrong".into())
    );
    home.lifeboat(["backup"]).ok();
    assert_eq!(standing(&home), ("changed-elsewhere".into(), Some(12)));
    let status = home.lifeboat(["password", "status"]).run();
    assert!(status.out().contains("Reset All Settings"), "{status}");
    let remembered = format!("{ours}\nsomething else\n{theirs}\n");
    fs_err::write(home.path().join("remembered.txt"), &remembered).unwrap();
    let test = ["password", "test", "--candidates", "remembered.txt"];
    let found = home.lifeboat(test).ok();
    assert!(found.out().contains("line 3 opens the backup"), "{found}");
    assert!(!format!("{found}").contains(&theirs), "it is not shown\n{found}");
    assert_eq!(standing(&home).0, "changed-elsewhere", "nothing is kept without being asked");
    let kept = home.lifeboat(test).args(["--remember", "--json"]).ok().summary();
    assert_eq!((&kept["line"], &kept["was_kept"]), (&3.into(), &false.into()), "{kept}");
    assert!(kept["generation"].is_string(), "{kept}");
    assert_eq!(standing(&home), ("known".into(), Some(0)));
    let changed = change(&home);
    assert_eq!(changed["state"], "changed", "{changed}");
}

#[test]
fn a_password_that_never_passed_through_here_is_unknown_until_somebody_remembers_it() {
    let (home, sim) = guarded(PHONE);
    let other = stranger(&sim);
    let password = set(&other);
    assert_eq!(standing(&home), ("unknown".into(), Some(12)));
    let nobody = home.lifeboat(["password", "off", "--json"]).run();
    assert_eq!(
        (nobody.status, text(&nobody.summary()["cause"])),
        (Some(12), "no-backup-password".into())
    );
    home.lifeboat(["backup"]).ok();
    let folder = home.path().join("folder");
    home.lifeboat(["export", "latest", folder.as_str(), "--as", "finder"]).ok();
    let wrong = home
        .lifeboat(["password", "test", "--folder", folder.as_str(), "--candidates", "-", "--json"])
        .stdin("a\nb\n")
        .run();
    assert_eq!(
        (wrong.status, text(&wrong.summary()["cause"])),
        (Some(12), "backup-password-wrong".into())
    );
    let found = home
        .lifeboat(["password", "test", "--folder", folder.as_str(), "--remember", "--json"])
        .env("BACKUP_PASSWORD", &password)
        .ok()
        .summary();
    assert_eq!(found["udid"], sim.udid(), "{found}");
    assert_eq!(standing(&home), ("known".into(), Some(0)));
    home.lifeboat(["password", "off"]).ok();
}

#[test]
fn whoever_is_killed_on_the_way_locks_nobody_out() {
    let mut home = home();
    let phone = format!("{PHONE}[knobs]\npasscode-prompt = true\n");
    let sim = Sim::start_phones(&mut home, &[&phone], &["--ask"]);
    let pairing = home.lifeboat(["pair", "--json"]).start();
    pairing.until("trust-dialog");
    if sim.ctl(&home, &["trust"]).json()["passcode-wanted"] == true {
        sim.ctl(&home, &["passcode", "enter"]);
    }
    assert_eq!(pairing.wait().status, Some(0));
    let enter = || sim.ctl(&home, &["passcode", "enter"]);
    // A device that is asked with one old password after the other asks for its passcode each time.
    let finished = |command: &[&str]| {
        let running = home.lifeboat(command.iter().copied()).start();
        while let Some(line) = running.next_line() {
            if line.contains("\"passcode\"") {
                enter();
            }
        }
        let run = running.wait();
        assert_eq!(run.status, Some(0), "{run}");
    };
    for (moment, command) in [
        ("while the passcode of a first one is asked for", "set"),
        ("when the passcode of a first one was typed", "set"),
        ("when the passcode of another one was typed", "change"),
        ("while the passcode of another one is asked for", "change"),
        ("when the passcode for none was typed", "off"),
    ] {
        let status = home.lifeboat(["password", "status", "--json"]).run();
        let has_one = status.status != Some(10) && status.json()["encrypts"] == true;
        match (command, has_one) {
            ("set", true) => finished(&["password", "off", "--json"]),
            ("change" | "off", false) => finished(&["password", "set", "--generate", "--json"]),
            _ => {}
        }
        let generate = if command == "off" { vec![] } else { vec!["--generate"] };
        let running = home.lifeboat(["password", command, "--json"]).args(generate).start();
        running.until("\"passcode\"");
        if moment.starts_with("when") {
            enter();
        }
        // As `kill -9` does.
        drop(running);
        let before = on_sheet(&home);
        let encrypts =
            home.lifeboat(["password", "status", "--json"]).run().json()["encrypts"] == true;
        if encrypts {
            assert!(!before.is_empty(), "{moment}");
            finished(&["password", "change", "--generate", "--json"]);
        }
        assert!(on_sheet(&home).ends_with(&before), "nothing that is kept goes: {moment}");
    }
}

#[test]
fn an_answer_that_is_lost_leaves_both_passwords_as_candidates() {
    let (home, sim) = guarded(PHONE);
    set(&home);
    home.lifeboat(["backup"]).ok();
    let mut lost = 0;
    for after in ["1", "2", "3"] {
        let old = on_sheet(&home);
        sim.ctl(&home, &["fault", "drop", &format!("after={after}")]);
        let run = home.lifeboat(["password", "change", "--generate", "--json"]).run();
        sim.ctl(&home, &["fault", "--clear"]);
        if run.status != Some(0) {
            lost += 1;
            assert_eq!(run.status, Some(17), "{run}");
            assert!(run.err().contains("the old one and the new one are kept here"), "{run}");
        }
        let kept = on_sheet(&home);
        assert!(kept.len() == old.len() + 1 && kept.ends_with(&old), "after {after} messages");
        // The device has one of them: it can be changed without anybody remembering anything.
        assert_eq!(change(&home)["state"], "changed", "after {after} messages");
    }
    assert!(lost > 1, "the link broke in the middle");
    home.lifeboat(["backup"]).ok();
    assert_eq!(standing(&home), ("known".into(), Some(0)));
}

#[test]
fn a_password_is_typed_twice_and_refused_where_nobody_could_type_it_again() {
    let (home, _sim) = guarded(PHONE);
    home.lifeboat(["backup"]).ok();
    let typed = |first: &str, second: Option<&str>| {
        let mut terminal = Terminal::start(&home, None, &["password", "set"]);
        terminal.until("new backup password: ");
        terminal.type_in(&format!("{first}\n"));
        if let Some(second) = second {
            terminal.until("once more: ");
            terminal.type_in(&format!("{second}\n"));
        }
        terminal.wait()
    };
    let differ = typed("correct horse", Some("correct hrose"));
    assert_eq!(differ.status, Some(2), "{differ}");
    let blank = typed(" correct horse", None);
    assert_eq!(blank.status, Some(2), "{blank}");
    assert!(on_sheet(&home).is_empty());
    let set = typed("correct horse", Some("correct horse"));
    assert_eq!(set.status, Some(0), "{set}");
    assert!(set.out().contains("has a backup password now"), "{set}");
    assert_eq!(on_sheet(&home), ["correct horse"]);
}

#[test]
fn without_a_terminal_a_password_is_wanted_in_a_file() {
    let (home, _sim) = guarded(PHONE);
    let none = home.lifeboat(["password", "set"]).run();
    assert_eq!(none.status, Some(12), "{none}");
    assert!(none.err().contains("BACKUP_PASSWORD_NEW_FILE"), "{none}");
    assert!(!home.repository().join("config").exists(), "nothing was begun");
    fs_err::write(home.path().join("new"), "correct horse\nignored\n").unwrap();
    let set = home.lifeboat(["password", "set"]).env("BACKUP_PASSWORD_NEW_FILE", "new").ok();
    assert!(set.err().contains("chmod 600"), "{set}");
    assert_eq!(on_sheet(&home), ["correct horse"]);
}

#[test]
fn a_sheet_is_drawn_and_a_phone_reads_in_it_what_opens_everything() {
    let (home, _sim) = guarded(PHONE);
    let first = set(&home);
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["repo", "sheet", "--svg", "sheet.svg"]).ok();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs_err::metadata(home.path().join("sheet.svg")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    home.command(stranger_program("rsvg-convert"))
        .args(["--dpi-x=150", "--dpi-y=150", "-o", "sheet.png", "sheet.svg"])
        .ok();
    let read =
        home.command(stranger_program("zbarimg")).args(["--raw", "-q", "sheet.png"]).ok().out();
    assert!(read.contains(&first), "{read}");
    let verify =
        |text: &str| home.lifeboat(["repo", "sheet", "--verify", "-", "--json"]).stdin(text).run();
    let whole = verify(&read);
    assert_eq!((whole.status, &whole.json()["check"]), (Some(0), &true.into()), "{whole}");
    assert_eq!(
        (&whole.json()["is_of_this"], &whole.json()["encrypted"]),
        (&true.into(), &1.into())
    );
    // The text is the same, also when it was typed with other blanks.
    let text = home.lifeboat(["repo", "sheet"]).ok().out();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let typed = text.lines().map(words).collect::<Vec<_>>().join("\n");
    for text in [text.as_str(), &typed] {
        assert_eq!(verify(text).status, Some(0), "{text}");
    }
    // One that was printed before the password changed lacks it; one that was mistyped says so.
    change(&home);
    home.lifeboat(["backup"]).ok();
    let old = verify(&text);
    assert_eq!(old.status, Some(3), "{old}");
    let told = old.json();
    assert_eq!(
        (&told["passwords_missing"], &told["not_opened"].as_array().map(Vec::len)),
        (&1.into(), &Some(1))
    );
    let key = home.lifeboat(["repo", "key"]).ok().out();
    let mistyped = verify(&text.replace(key.trim(), "abcd"));
    assert_eq!(mistyped.status, Some(12), "{mistyped}");
    assert!(mistyped.err().contains("misread or mistyped"), "{mistyped}");
    let none = verify("what is this\n");
    assert_eq!((none.status, text_of(&none.summary())), (Some(1), "no-sheet".to_owned()), "{none}");
    let other = self::home();
    other.lifeboat(["repo", "init"]).ok();
    let foreign =
        other.lifeboat(["repo", "sheet", "--verify", "-", "--json"]).stdin(text.as_str()).run();
    assert_eq!(foreign.status, Some(12), "{foreign}");
}

fn text_of(summary: &Value) -> String {
    text(&summary["cause"])
}

fn stranger_program(name: &str) -> camino::Utf8PathBuf {
    lifeboat_testkit::stranger::stranger(name)
}
