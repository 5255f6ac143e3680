//! A change of the backup password that is killed between every two of its steps, and somebody else who changes it meanwhile.
//!
//! The program tells each step before it begins, and is held at what it tells ([`lifeboat_testkit::held`]): it is killed when
//! everything before is done and nothing after is begun. What the device has then is asked of the device alone; what is kept, of a
//! new process. [`SCENES`] lists the steps; a run that nobody kills must tell exactly these, so that none is left out.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use lifeboat_testkit::{Held, Home, Invocation, Sim};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::home;

/// A password that is set by this program before anything happens.
const OURS: &str = "ours, first";
/// A password that somebody else chose.
const THEIRS: &str = "theirs: chosen elsewhere";
/// The password that a run gives the device.
const NEW: &str = "new and ours";
/// A password that no device ever had.
const WRONG: &str = "not the one";

/// What the log says of each file of the repository that will survive.
const DURABLE: &str = "a file of the repository is durable";

/// How things are before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// No repository yet, and no password.
    Nothing,
    /// A backup that is not encrypted.
    Plain,
    /// An encrypted backup; its password is kept.
    Ours,
    /// A sealed backup; its password was chosen elsewhere, and a person knows it.
    Theirs,
}

impl Before {
    fn phone(self) -> String {
        let password = match self {
            Self::Theirs => format!("password = \"{THEIRS}\"\n"),
            _ => String::new(),
        };
        format!("profile = \"tiny\"\n[encryption]\nrounds = 1000\n{password}")
    }

    fn password(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Plain => None,
            Self::Ours => Some(OURS),
            Self::Theirs => Some(THEIRS),
        }
    }

    /// Makes a home in which it is so; its phone is at rest.
    fn make(self) -> Home {
        let mut home = home();
        let sim = Sim::start_phones(&mut home, &[&self.phone()], &[]);
        home.lifeboat(["pair"]).ok();
        if self == Self::Ours {
            home.lifeboat(["password", "set"]).env("BACKUP_PASSWORD_NEW", OURS).ok();
        }
        if self != Self::Nothing {
            home.lifeboat(["backup"]).ok();
        }
        sim.stop();
        home
    }
}

/// A run, and the steps that it takes.
#[derive(Debug)]
struct Scene {
    before: Before,
    command: &'static str,
    /// The old password that a person gives.
    old: Option<&'static str>,
    steps: &'static [&'static str],
}

const SET: Scene = Scene {
    before: Before::Plain,
    command: "set",
    old: None,
    steps: &["store-new", "tell", "read", "read", "heard", "prove"],
};
const SET_WITHOUT_REPOSITORY: Scene = Scene {
    before: Before::Nothing,
    command: "set",
    old: None,
    steps: &["store-new", "tell", "read", "read", "heard", "prove"],
};
const CHANGE: Scene = Scene {
    before: Before::Ours,
    command: "change",
    old: None,
    steps: &[
        "look-up",
        "store-new",
        "tell",
        "read",
        "read",
        "write",
        "keep",
        "heard",
        "prove",
        "note",
    ],
};
const CHANGE_OF_THEIRS: Scene = Scene {
    before: Before::Theirs,
    command: "change",
    old: Some(THEIRS),
    steps: &[
        "look-up",
        "store-old",
        "store-new",
        "tell",
        "read",
        "read",
        "write",
        "keep",
        "heard",
        "prove",
        "note",
    ],
};
/// Somebody gives an old password that is wrong: the device refuses, and both that were stored are noted as refused.
const REFUSED: Scene = Scene {
    before: Before::Ours,
    command: "change",
    old: Some(WRONG),
    steps: &["look-up", "store-old", "store-new", "tell", "heard", "note", "note"],
};
const OFF: Scene = Scene {
    before: Before::Ours,
    command: "off",
    old: None,
    steps: &["look-up", "tell", "heard", "prove"],
};
const OFF_OF_THEIRS: Scene = Scene {
    before: Before::Theirs,
    command: "off",
    old: Some(THEIRS),
    steps: &["look-up", "store-old", "tell", "heard", "prove"],
};

impl Scene {
    /// The password that it gives the device.
    fn chosen(&self) -> Option<&'static str> {
        (self.command != "off").then_some(NEW)
    }

    fn is_refused(&self) -> bool {
        self.old == Some(WRONG)
    }

    /// The password that the device has when it took what it was told.
    fn after(&self) -> Option<&'static str> {
        if self.is_refused() { self.before.password() } else { self.chosen() }
    }

    fn exit(&self) -> i32 {
        if self.is_refused() { 12 } else { 0 }
    }

    fn run(&self, home: &Home) -> Invocation {
        let run = home.lifeboat(["password", self.command, "--json"]);
        let run = match self.chosen() {
            Some(new) => run.env("BACKUP_PASSWORD_NEW", new),
            None => run,
        };
        match self.old {
            Some(old) => run.env("BACKUP_PASSWORD", old),
            None => run,
        }
    }

    fn start(&self, base: &Home) -> (Home, Sim) {
        let mut home = base.twin();
        let sim = Sim::start_phones(&mut home, &[&self.before.phone()], &[]);
        (home, sim)
    }

    /// Runs it to its end: it tells exactly its steps.
    fn whole(&self, base: &Home) {
        let (home, sim) = self.start(base);
        let run = self.run(&home).run();
        let lines: Vec<String> = run.out().lines().map(str::to_owned).collect();
        assert_eq!(run.status, Some(self.exit()), "{run}");
        assert_eq!(steps(&lines), self.steps, "{} of {:?}\n{run}", self.command, self.before);
        assert_eq!(password(&sim).as_deref(), self.after());
    }

    /// Says what must be true of the device when a run was killed that had told this, before anybody did anything else.
    fn judge(&self, told: &[String], now: Option<&str>) {
        let is_told = |word: &str| told.iter().any(|told| told == word);
        if is_told("read") || is_told("heard") {
            assert_eq!(now, self.after(), "the device did it before it read: {told:?}");
        } else if !is_told("tell") {
            assert_eq!(now, self.before.password(), "nobody has told the device: {told:?}");
        } else {
            let both = [self.before.password(), self.after()];
            assert!(both.contains(&now), "{now:?} {told:?}");
        }
    }
}

/// Returns the step that a line tells.
fn step(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "step").then(|| event["step"].as_str().expect("a word").to_owned())
}

fn steps(lines: &[String]) -> Vec<String> {
    lines.iter().filter_map(|line| step(line)).collect()
}

/// Returns the password that the device has, as its own keychain says.
fn password(sim: &Sim) -> Option<String> {
    let phones = sim.state.join("phones").read_dir_utf8().expect("a folder");
    let memories: Vec<Utf8PathBuf> = phones
        .map(|phone| phone.expect("an entry").path().join("memory.json"))
        .filter(|memory| memory.exists())
        .collect();
    let [memory] = memories.as_slice() else { panic!("{memories:?}") };
    let memory: Value =
        serde_json::from_slice(&fs_err::read(memory).expect("a file")).expect("JSON");
    memory["backup_password"].as_str().map(str::to_owned)
}

/// Returns the passwords that a new process finds in the repository.
fn kept(home: &Home) -> BTreeSet<String> {
    if !home.repository().join("config").exists() {
        return BTreeSet::new();
    }
    let sheet = home.lifeboat(["repo", "sheet", "--json"]).ok().json();
    let own = sheet["backup_passwords"].as_array().expect("a list");
    own.iter().map(|own| own["password"].as_str().expect("a text").to_owned()).collect()
}

/// The invariant, asked of the device and of the disk: `heard` are the passwords that passed through this program to the device.
/// A new process says, too, whether somebody is locked out.
fn is_safe(home: &Home, sim: &Sim, heard: &[&str]) -> (Option<String>, BTreeSet<String>) {
    let (now, kept) = (password(sim), kept(home));
    if let Some(now) = now.as_deref().filter(|now| heard.contains(now)) {
        assert!(kept.contains(now), "{now:?} is stored nowhere: {kept:?}");
    }
    (now, kept)
}

/// Nobody remembers anything, and the device can be backed up and freed all the same.
fn is_recovered(home: &Home, now: Option<&str>, kept: &BTreeSet<String>) {
    let status = home.lifeboat(["password", "status", "--json"]).run();
    let Some(now) = now else {
        assert_eq!((status.status, &status.json()["standing"]), (Some(0), &"off".into()));
        return;
    };
    if !kept.contains(now) {
        assert_eq!(status.status, Some(12), "it was chosen elsewhere and never told: {status}");
        return;
    }
    assert_eq!(status.status, Some(0), "{status}");
    let backup = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(
        (&backup["encrypted"], &backup["stored"]),
        (&true.into(), &"opened".into()),
        "{backup}"
    );
    let status = home.lifeboat(["password", "status", "--json"]).ok().json();
    assert_eq!(status["standing"], "known", "{status}");
    home.lifeboat(["password", "off"]).ok();
    home.lifeboat(["check"]).ok();
}

/// Lets a run go on until what it has told is enough, and holds it at its next line; nothing where it ended well before.
fn held_when(scene: &Scene, mut held: Held, is_enough: impl Fn(&[String]) -> bool) -> Option<Held> {
    while held.is_held() {
        if is_enough(&held.told()) {
            return Some(held);
        }
        held.pass();
    }
    let run = held.wait();
    assert_eq!(run.status, Some(scene.exit()), "{run}");
    None
}

/// Kills a run where it is held; says what is true then, and whether it is the point in which the device may have a password of
/// which the run has not heard.
fn kill(scene: &Scene, home: &Home, sim: &Sim, held: Held, recover: bool) -> Vec<String> {
    let told = steps(&held.kill());
    assert_eq!(told, scene.steps[..told.len()], "as if nobody had killed it");
    let heard: Vec<&str> = if told.iter().any(|step| step == "tell") {
        scene.before.password().into_iter().chain(scene.chosen()).collect()
    } else {
        Vec::new()
    };
    let (now, kept) = is_safe(home, sim, &heard);
    scene.judge(&told, now.as_deref());
    if recover {
        is_recovered(home, now.as_deref(), &kept);
    }
    told
}

/// Returns how many lines were told behind a step; behind the beginning of the session, where it is none.
fn lines_behind(told: &[String], steps: usize) -> Option<usize> {
    let mut marks = told.iter().enumerate().filter(|(_, line)| step(line).is_some());
    let mark = match steps.checked_sub(1) {
        Some(last) => marks.nth(last)?.0,
        None => told.iter().position(|line| line.contains("\"stage\":\"transfer\""))?,
    };
    Some(told.len() - mark - 1)
}

/// Kills a run before its first step, between every two, and behind the last; there at every other line, too, that it tells. How
/// often it tells how far it is depends on how fast it is: so the lines are counted from the step before.
fn killed_between_every_two_steps(scene: &Scene) {
    let base = scene.before.make();
    scene.whole(&base);
    for count in 0..=scene.steps.len() {
        let mut kills = 0;
        for lines in 0.. {
            let (home, sim) = scene.start(&base);
            let is_enough = |told: &[String]| lines_behind(told, count) >= Some(lines);
            let Some(held) = held_when(scene, scene.run(&home).hold(), is_enough) else { break };
            if steps(&held.told()).len() > count {
                break;
            }
            let told = kill(scene, &home, &sim, held, true);
            assert_eq!(told.len(), count);
            kills += 1;
        }
        assert!(kills > 0, "behind {count} steps of {}", scene.command);
    }
}

/// Kills a run as soon as it has told so many steps, some of them: the whole takes minutes.
fn killed_behind(scene: &Scene, some: &[usize]) {
    let base = scene.before.make();
    scene.whole(&base);
    for (at, step) in some.iter().enumerate() {
        let (home, sim) = scene.start(&base);
        let held = held_when(scene, scene.run(&home).hold(), |told| steps(told).len() == *step);
        let told = kill(scene, &home, &sim, held.expect("it is held"), at == 0);
        assert_eq!(told.len(), *step);
    }
}

#[test]
fn set_is_killed_between_steps_and_nobody_is_locked_out() {
    // In the first of each the device has the new password, and the run has not heard of it.
    killed_behind(&SET, &[4, 1, 5]);
}

#[test]
fn change_is_killed_between_steps_and_nobody_is_locked_out() {
    killed_behind(&CHANGE, &[6, 2, 3, 7, 9]);
}

#[test]
fn a_refused_change_is_killed_between_its_notes_and_nobody_is_locked_out() {
    killed_behind(&REFUSED, &[6, 5]);
}

#[test]
fn off_is_killed_between_steps_and_nobody_is_locked_out() {
    killed_behind(&OFF, &[2, 3]);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn set_is_killed_between_every_two_steps() {
    killed_between_every_two_steps(&SET);
    killed_between_every_two_steps(&SET_WITHOUT_REPOSITORY);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn change_is_killed_between_every_two_steps() {
    killed_between_every_two_steps(&CHANGE);
    killed_between_every_two_steps(&CHANGE_OF_THEIRS);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn a_refused_change_is_killed_between_every_two_steps() {
    killed_between_every_two_steps(&REFUSED);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn off_is_killed_between_every_two_steps() {
    killed_between_every_two_steps(&OFF);
    killed_between_every_two_steps(&OFF_OF_THEIRS);
}

/// How many places a run is killed at, spread evenly over the lines of its log: all would take a quarter of an hour.
const PLACES: usize = 60;

/// The log is finer than the steps: each file of the repository that becomes durable, each message of the device. A run is killed
/// behind each of these files, and at [`PLACES`] of all lines from its first step to its end.
fn killed_all_over_the_log(scene: &Scene) {
    let base = scene.before.make();
    let log = "lifeboat_repo=trace,lifeboat_device=trace,lifeboat_engine=trace";
    let run = |home: &Home| scene.run(home).env("LIFEBOAT_LOG", log).hold_everywhere();
    let whole = {
        let (home, _sim) = scene.start(&base);
        let mut held = run(&home);
        while held.is_held() {
            held.pass();
        }
        held.wait()
    };
    let whole: Vec<String> = whole.out().lines().map(str::to_owned).collect();
    for kind in ["data", "index", "snapshots"] {
        let line = format!("{DURABLE} kind=\"{kind}\"");
        let is_there = whole.iter().any(|told| told.contains(&line));
        assert!(scene.command == "off" || is_there, "{whole:?}");
    }
    let kills = std::cell::Cell::new(0_usize);
    let kill_when = |is_enough: &dyn Fn(&[String]) -> bool| {
        let (home, sim) = scene.start(&base);
        let held = held_when(scene, run(&home), is_enough);
        held.map(|held| {
            kill(scene, &home, &sim, held, kills.get().is_multiple_of(8));
            kills.set(kills.get() + 1);
        })
    };
    let durable = |told: &[String]| told.iter().filter(|line| line.contains(DURABLE)).count();
    for files in 1..=durable(&whole) {
        assert!(kill_when(&|told| durable(told) >= files).is_some(), "{files} files");
    }
    let lines = lines_behind(&whole, 1).expect("it tells its first step");
    for place in (0..lines).step_by(lines.div_ceil(PLACES).max(1)) {
        // How many lines there are depends on how fast it is.
        if kill_when(&|told| lines_behind(told, 1) >= Some(place)).is_none() {
            break;
        }
    }
    assert!(kills.get() > 2 * scene.steps.len(), "{} kills of {}", kills.get(), scene.command);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn set_is_killed_all_over_its_log() {
    killed_all_over_the_log(&SET);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn change_is_killed_all_over_its_log() {
    killed_all_over_the_log(&CHANGE);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn off_is_killed_all_over_its_log() {
    killed_all_over_the_log(&OFF);
}

/// Somebody changes the password with a program that is not ours; false where the device does something else at the moment.
fn elsewhere(home: &Home, sim: &Sim, to: Option<&str>) -> bool {
    let folder = home.path().join("elsewhere");
    fs_err::create_dir_all(&folder).expect("a folder");
    let now = password(sim);
    let words = match (now.as_deref(), to) {
        (None, None) => return true,
        (None, Some(new)) => vec!["encryption", "on", new],
        (Some(old), Some(new)) => vec!["changepw", old, new],
        (Some(old), None) => vec!["encryption", "off", old],
    };
    let run = home.command("idevicebackup2").args(words).arg(folder.as_str()).run();
    if run.out().contains("Another job is running") {
        return false;
    }
    assert_eq!(run.status, Some(0), "{run}");
    assert_eq!(password(sim).as_deref(), to);
    true
}

/// What somebody else does to the password.
#[derive(Debug, Clone, Copy)]
enum Other {
    /// Changes it while a run is held.
    While(Option<&'static str>),
    /// Changes it when the run was killed.
    After(&'static str),
    /// Takes it away with all settings, on the device itself, in the middle of the session with the run that is held.
    Resets,
}

#[test]
fn somebody_else_changes_the_password_while_a_run_is_held_and_when_it_was_killed() {
    meanwhile(&[(CHANGE, "tell", Other::While(Some(THEIRS))), (CHANGE, "write", Other::Resets)]);
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn somebody_else_changes_the_password_at_other_moments() {
    meanwhile(&[
        (CHANGE, "look-up", Other::While(Some(THEIRS))),
        (CHANGE, "store-new", Other::While(Some(THEIRS))),
        (CHANGE, "tell", Other::While(None)),
        (CHANGE, "keep", Other::Resets),
        (CHANGE, "store-new", Other::After(THEIRS)),
        (CHANGE, "prove", Other::After(THEIRS)),
        (OFF, "tell", Other::While(Some(THEIRS))),
    ]);
}

fn meanwhile(cases: &[(Scene, &str, Other)]) {
    let base = Before::Ours.make();
    for (scene, step, other) in cases {
        let (home, sim) = scene.start(&base);
        let at = scene.steps.iter().position(|known| known == step).expect("a step");
        let held = held_when(scene, scene.run(&home).hold(), |told| steps(told).len() == at);
        let held = held.expect("it is held");
        let what = format!("{} before {step}: {other:?}", scene.command);
        if let Other::After(new) = other {
            assert_eq!(steps(&held.kill()), scene.steps[..at]);
            assert!(elsewhere(&home, &sim, Some(*new)), "the session is over");
        } else {
            if let Other::While(to) = other {
                assert!(elsewhere(&home, &sim, *to), "there is no session yet");
            } else {
                // A device does one thing at a time.
                let other = ["changepw", NEW, THEIRS, home.path().as_str()];
                let other = home.command("idevicebackup2").args(other).run();
                assert!(other.out().contains("Another job is running"), "{other}");
                sim.ctl(&home, &["set", "backup-password="]);
            }
            // What the device was told before it was changed elsewhere came about; what it is told afterwards is refused.
            let run = held.wait();
            let cause = run.summary()["cause"].clone();
            let ended = match other {
                Other::While(Some(_)) => (Some(12), "backup-password-wrong".into()),
                _ => (Some(0), Value::Null),
            };
            assert_eq!((run.status, cause), ended, "{what}\n{run}");
        }
        let (now, kept) = is_safe(&home, &sim, &[OURS, NEW]);
        let wanted = match other {
            Other::While(Some(_)) | Other::After(_) => Some(THEIRS),
            Other::While(None) => scene.after(),
            Other::Resets => None,
        };
        assert_eq!(now.as_deref(), wanted, "{what}");
        if now.as_deref() == Some(THEIRS) {
            // Somebody remembers it, and everything is well.
            home.lifeboat(["backup"]).env("BACKUP_PASSWORD", THEIRS).ok();
            assert_eq!(self::kept(&home), kept, "nothing is kept without being asked");
            let remember = ["password", "test", "--remember", "--candidates", "-", "--json"];
            home.lifeboat(remember).stdin(THEIRS).ok();
        }
        let (now, kept) = is_safe(&home, &sim, &[OURS, NEW, THEIRS]);
        is_recovered(&home, now.as_deref(), &kept);
    }
}

/// What somebody gives the device: a password, or none.
#[derive(Debug, Clone, Copy)]
struct Given(Option<u8>);

/// What happens one after the other.
#[derive(Debug, Clone)]
enum Deed {
    /// A run of this program: what is wanted, when it is killed (lines told), and what somebody else does while it is held there.
    Here {
        new: Option<u8>,
        killed: Option<usize>,
        beside: Option<Given>,
    },
    /// Somebody else's.
    Elsewhere(Option<u8>),
    Backup,
}

fn deed() -> impl Strategy<Value = Deed> {
    let given = || prop::option::of(0_u8..3);
    let here = (
        given(),
        prop::option::weighted(0.7, 3_usize..18),
        prop::option::weighted(0.2, given().prop_map(Given)),
    );
    prop_oneof![
        5 => here.prop_map(|(new, killed, beside)| Deed::Here { new, killed, beside }),
        1 => given().prop_map(Deed::Elsewhere),
        1 => Just(Deed::Backup),
    ]
}

fn word(number: u8) -> String {
    format!("word number {number}")
}

/// A person who uses this program and another one, and whose machine loses its power again and again.
#[test]
#[ignore = "takes minutes: ./test --long"]
fn whatever_is_killed_in_whatever_order_nobody_is_locked_out() {
    let base = Before::Plain.make();
    let mut runner =
        TestRunner::new(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(12) });
    let outcome = runner.run(&prop::collection::vec(deed(), 3..9), |deeds| {
        let (home, sim) = SET.start(&base);
        let mut heard: BTreeSet<String> = BTreeSet::new();
        let chosen = |heard: &mut BTreeSet<String>, to: Option<u8>| {
            let to = to.map(word);
            if elsewhere(&home, &sim, to.as_deref()) {
                // It did not pass through here, even where it is the same word.
                heard.retain(|heard| Some(heard) != to.as_ref());
            }
        };
        for deed in &deeds {
            match deed {
                Deed::Elsewhere(to) => chosen(&mut heard, *to),
                Deed::Backup => drop(home.lifeboat(["backup"]).ok()),
                Deed::Here { new, killed, beside } => {
                    let command = match (password(&sim), new) {
                        (None, Some(_)) => "set",
                        (Some(_), Some(_)) => "change",
                        (_, None) => "off",
                    };
                    let run = home.lifeboat(["password", command, "--json"]);
                    let run = match new {
                        Some(new) => run.env("BACKUP_PASSWORD_NEW", word(*new)),
                        None => run,
                    };
                    heard.extend(new.map(word));
                    let mut held = run.hold();
                    for _ in 0..killed.unwrap_or(usize::MAX) {
                        if !held.is_held() {
                            break;
                        }
                        held.pass();
                    }
                    if killed.is_some() && held.is_held() {
                        if let Some(Given(to)) = beside {
                            chosen(&mut heard, *to);
                        }
                        held.kill();
                    } else {
                        let run = held.wait();
                        let is_known = matches!(run.status, Some(0 | 1 | 12));
                        prop_assert!(is_known, "{:?}\n{}", deed, run);
                    }
                }
            }
            let told: Vec<&str> = heard.iter().map(String::as_str).collect();
            is_safe(&home, &sim, &told);
        }
        let (now, kept) = is_safe(&home, &sim, &[]);
        if now.as_ref().is_none_or(|now| kept.contains(now)) {
            is_recovered_at_last(&home);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// However many passwords are kept by now, the one that the device has is among them: it is found, and taken away.
fn is_recovered_at_last(home: &Home) {
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["password", "off"]).ok();
    home.lifeboat(["check"]).ok();
}
