//! Every scenario three times: bare, with two harmless oddities, with one probe blinded. What is found is the cause that is played.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use lifeboat_doctor::Catalogue;
use lifeboat_doctor::probe::PROBES;
use lifeboat_sim::scenario::all;

use crate::play::{Said, Variant, play};

/// No fewer causes are in the matrix.
const LEAST: usize = 50;
/// How many scenarios are played at the same time.
const WORKERS: usize = 3;

/// Causes of which the scenario shows signs that have other explanations too.
const POSSIBLE: &[&str] = &[
    "account/beta-or-region",
    "bus/accessory-restricted",
    "bus/bad-cable",
    "bus/hub-or-weak-port",
    "device/downloading",
    "device/restart-helps",
    "host/device-too-new",
    "host/other-program",
    "icloud/expires-soon",
    "network/blocked",
    "network/filter",
    "network/inspection",
    "network/router",
    "power/low-power-mode",
    "power/temperature",
    "transfer/file-changed",
    "transfer/locked-during-run",
];

/// Causes that no phone, computer or network shows by itself: they are seen by an answer of the person, or by a run that only a
/// later part of the program can make.
const UNSEEN: &[&str] = &[
    "account/changes-restricted",
    "account/code-or-terms-waiting",
    "bus/damaged-port",
    "device/malware",
    "icloud/family-pool",
    "icloud/old-devices",
    "icloud/plan-shrunk",
];

/// Facts that also follow from others.
const DERIVED: [&str; 3] = ["destination.room", "restore.state", "usb.held-back"];

/// What was found where a cause was played.
type Found = BTreeMap<String, (BTreeMap<String, usize>, String)>;

/// What else is there in the world of a scenario and is measured beside its cause: a consequence that is true by itself, whoever
/// knows of the cause. With the probe of the cause blinded it is the answer, and a true one. Every pair is needed.
const TRUE_TOO: &[(&str, &[&str])] = &[
    // The switch is off, whoever switched it off or forbids it.
    ("icloud/forbidden-by-management", &["icloud/switched-off"]),
    ("icloud/switched-off-elsewhere", &["icloud/switched-off"]),
    // What a run that broke off left lies in the working area, whatever broke it off.
    ("device/helper-crashed", &["backup/not-finished"]),
    ("transfer/cancelled-on-device", &["backup/not-finished"]),
    ("transfer/file-changed", &["backup/not-finished"]),
    ("transfer/interrupted", &["backup/not-finished"]),
    ("transfer/locked-during-run", &["backup/not-finished"]),
    ("transfer/poisonous-file", &["backup/not-finished", "transfer/interrupted"]),
];

fn true_too(id: &str) -> &'static [&'static str] {
    TRUE_TOO.iter().find(|(played, _)| *played == id).map_or(&[], |(_, too)| too)
}

/// What three plays of a scenario showed.
struct Plays {
    /// The primary cause: bare, with oddities, and with a probe blinded where it is confirmed.
    found: Vec<String>,
    /// What the last play ended in, certain or not.
    blind: String,
    wrong: Vec<String>,
}

/// Plays a scenario three times; tells what was found, and what is wrong with it.
fn three_times(id: &str) -> Plays {
    let bare = play(id, &Variant::Bare);
    let odd = play(id, &Variant::Odd);
    let mut wrong = Vec::new();
    for (variant, said) in [("bare", &bare), ("odd", &odd)] {
        if said.primary() != id {
            wrong.push(format!("{id}, {variant}: found {}\n{}", said.primary(), told(said)));
        } else if said.is_confirmed() == POSSIBLE.contains(&id) {
            wrong.push(format!("{id}, {variant}: confirmed is {}", said.is_confirmed()));
        }
        wrong.extend(accused(id, variant, said));
    }
    for too in true_too(id).iter().filter(|too| !bare.confirmed().contains(too)) {
        wrong.push(format!("{id}: {too} is said to be there too, and is not measured"));
    }
    let mut plays = Plays {
        found: vec![bare.primary().to_owned(), odd.primary().to_owned()],
        blind: String::new(),
        wrong,
    };
    let Some(probe) = bare.deciding_probe() else {
        plays.wrong.push(format!("{id}: no probe told what decided\n{}", told(&bare)));
        return plays;
    };
    let blind = play(id, &Variant::Blind(probe.clone()));
    let seen = probe_tells(&blind, &probe);
    if !seen.is_empty() {
        plays.wrong.push(format!("{id}, {probe} blind: it still tells {seen:?}"));
    }
    plays.wrong.extend(accused(id, &format!("{probe} blind"), &blind));
    // Another cause may be possible then, and none at all is an honest answer; neither is an accusation.
    let certain = blind.is_confirmed() && !true_too(id).contains(&blind.primary());
    plays.found.push(if certain { blind.primary() } else { id }.to_owned());
    let certainty = if blind.is_confirmed() { "confirmed" } else { "possible" };
    plays.blind = match blind.primary() {
        "-" => format!("{probe} blind: nothing"),
        primary => format!("{probe} blind: {primary} {certainty}"),
    };
    plays
}

/// What is confirmed, weighs more than a note, and is not there.
fn accused(id: &str, variant: &str, said: &Said) -> Option<String> {
    let there = |other: &&str| *other == id || true_too(id).contains(other);
    let innocent: Vec<&str> = said.confirmed().into_iter().filter(|other| !there(other)).collect();
    let text = format!("{id}, {variant}: {innocent:?} confirmed\n{}", told(said));
    (!innocent.is_empty()).then_some(text)
}

/// The facts that only a blinded probe could have told, and that are known all the same.
fn probe_tells(said: &Said, blind: &str) -> Vec<String> {
    let tells = |probe: &lifeboat_doctor::probe::Probe| probe.tells.iter().copied();
    let seeing = PROBES.iter().filter(|probe| probe.id != blind);
    let others: BTreeSet<&str> = seeing.flat_map(tells).chain(DERIVED).collect();
    let only = PROBES.iter().filter(|probe| probe.id == blind).flat_map(tells);
    let facts = &said.report["facts"];
    let known = |key: &&str| !facts[*key].is_null() && facts[*key].get("unknown").is_none();
    let only = only.filter(|key| !others.contains(key)).filter(known);
    only.map(str::to_owned).collect()
}

/// Parts of ids, where somebody wants to play these scenarios only: `LIFEBOAT_PLAY=icloud/,power/low`.
fn asked_for() -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "a switch of the test itself")]
    let parts = std::env::var("LIFEBOAT_PLAY").unwrap_or_default();
    parts.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// What a person needs who looks for the reason of a failure.
fn told(said: &Said) -> String {
    let mut text = said.before.clone();
    let findings = said.report["findings"].as_array().expect("findings");
    for finding in findings {
        let _ = writeln!(
            text,
            "  {} {} {} {}",
            finding["id"], finding["certainty"], finding["severity"], finding["evidence"]
        );
    }
    text
}

/// Writes who was taken for whom.
fn matrix(found: &Found) -> String {
    let mut text = format!("confusion matrix: {} causes, three plays each\n", found.len());
    for (played, (as_what, blind)) in found {
        let _ = write!(text, "  {played:<32}");
        for (cause, times) in as_what {
            let mark = if cause == played { "" } else { "  <-- off the diagonal" };
            let _ = write!(text, " {cause} x{times}{mark}");
        }
        let _ = writeln!(text, "  ({blind})");
    }
    text
}

/// Whoever adds a cause adds its world, or says here why there is none.
#[test]
fn every_cause_that_can_be_shown_has_its_world() {
    let scenarios = all().expect("scenarios");
    let mut wrong = Vec::new();
    for cause in Catalogue::builtin().causes() {
        let later = cause.playable_with.is_some();
        let unseen = UNSEEN.contains(&cause.id.as_str());
        if scenarios.contains_key(&cause.id) == (later || unseen) {
            wrong.push(format!("{}: later {later}, unseen {unseen}", cause.id));
        }
    }
    for id in scenarios.keys().filter(|id| Catalogue::builtin().get(id).is_none()) {
        wrong.push(format!("{id}: no such cause"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn every_scenario_is_taken_for_what_it_is() {
    let (began, asked_for) = (Instant::now(), asked_for());
    let scenarios = all().expect("scenarios").keys().map(String::as_str);
    let wanted = |id: &&str| asked_for.is_empty() || asked_for.iter().any(|part| id.contains(part));
    let open = Mutex::new(scenarios.filter(wanted).collect::<VecDeque<_>>());
    let done = Mutex::new((Found::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = open.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(id) = next else { return };
                    let plays = three_times(id);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    let row = done.0.entry(id.to_owned()).or_default();
                    for cause in plays.found {
                        *row.0.entry(cause).or_default() += 1;
                    }
                    row.1 = plays.blind;
                    done.1.extend(plays.wrong);
                }
            });
        }
    });
    let (found, wrong) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}in {} s", matrix(&found), began.elapsed().as_secs());
    let enough = found.len() >= LEAST || !asked_for.is_empty();
    assert!(enough, "only {} causes are played", found.len());
    assert!(wrong.is_empty(), "{} mistakes:\n{}", wrong.len(), wrong.join("\n"));
}

/// A sample, with every kind of world in it, for each run of the tests.
macro_rules! sample {
    ($($name:ident: $id:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let wrong = three_times($id).wrong;
                assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            }
        )+
    };
}

sample! {
    accessory_restricted: "bus/accessory-restricted";
    clock_wrong: "clock/wrong";
    destination_full: "destination/full";
    other_program: "host/other-program";
    usbmuxd_missing: "host/usbmuxd-missing";
    icloud_restore_running: "icloud/restore-running";
    icloud_switched_off: "icloud/switched-off";
    icloud_switched_off_elsewhere: "icloud/switched-off-elsewhere";
    backup_forbidden: "management/backup-forbidden";
    encryption_demanded: "management/encryption-demanded";
    network_filter: "network/filter";
    network_inspection: "network/inspection";
    pairing_forbidden: "management/pairing-forbidden";
    not_trusted: "pairing/not-trusted";
    password_damaged: "password/damaged";
    password_forgotten: "password/forgotten";
    power_low: "power/low";
    cancelled_on_device: "transfer/cancelled-on-device";
}
