//! Every scenario three times: bare, with two harmless oddities, with one probe blinded. What is found is the cause that is played.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

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
    "hardware/fault",
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

/// What was found where a cause was played.
type Found = BTreeMap<String, BTreeMap<String, usize>>;

/// Plays a scenario three times; tells what was found, and what is wrong with it.
fn three_times(id: &str) -> (Vec<String>, Vec<String>) {
    let bare = play(id, &Variant::Bare);
    let odd = play(id, &Variant::Odd);
    let mut wrong = Vec::new();
    for (variant, said) in [("bare", &bare), ("odd", &odd)] {
        if said.primary() != id {
            wrong.push(format!("{id}, {variant}: found {}\n{}", said.primary(), told(said)));
        } else if said.is_confirmed() == POSSIBLE.contains(&id) {
            wrong.push(format!("{id}, {variant}: confirmed is {}", said.is_confirmed()));
        }
    }
    let mut found = vec![bare.primary().to_owned(), odd.primary().to_owned()];
    match bare.deciding_probe() {
        None => wrong.push(format!("{id}: no probe told what decided\n{}", told(&bare))),
        Some(probe) => {
            let blind = play(id, &Variant::Blind(probe.clone()));
            let more: Vec<&str> = blind
                .confirmed()
                .into_iter()
                .filter(|other| !bare.confirmed().contains(other))
                .collect();
            // Another cause may be possible then, and none at all is an honest answer; neither is an accusation.
            let accused = blind.is_confirmed() && blind.primary() != id;
            if accused || !more.is_empty() {
                wrong.push(format!("{id}, {probe} blind: {more:?} confirmed\n{}", told(&blind)));
            }
            found.push(if accused { blind.primary() } else { id }.to_owned());
        }
    }
    (found, wrong)
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
    for (played, as_what) in found {
        let _ = write!(text, "  {played:<32}");
        for (cause, times) in as_what {
            let mark = if cause == played { "" } else { "  <-- off the diagonal" };
            let _ = write!(text, " {cause} x{times}{mark}");
        }
        text.push('\n');
    }
    text
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn every_scenario_is_taken_for_what_it_is() {
    let scenarios = all().expect("scenarios");
    let open = Mutex::new(scenarios.keys().map(String::as_str).collect::<VecDeque<_>>());
    let done = Mutex::new((Found::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = open.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(id) = next else { return };
                    let (found, wrong) = three_times(id);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    let row = done.0.entry(id.to_owned()).or_default();
                    for cause in found {
                        *row.entry(cause).or_default() += 1;
                    }
                    done.1.extend(wrong);
                }
            });
        }
    });
    let (found, wrong) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", matrix(&found));
    assert!(found.len() >= LEAST, "only {} causes are played", found.len());
    assert!(wrong.is_empty(), "{} mistakes:\n{}", wrong.len(), wrong.join("\n"));
}

/// A sample, with every kind of world in it, for each run of the tests.
macro_rules! sample {
    ($($name:ident: $id:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let (_, wrong) = three_times($id);
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
    backup_forbidden: "management/backup-forbidden";
    network_filter: "network/filter";
    network_inspection: "network/inspection";
    not_trusted: "pairing/not-trusted";
    power_low: "power/low";
    cancelled_on_device: "transfer/cancelled-on-device";
}
