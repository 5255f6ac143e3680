//! Every scenario of facts gives its cause and no other; healthy devices give none.

use std::collections::BTreeMap;

use lifeboat_doctor::probe::{PROBES, Probe};
use lifeboat_doctor::{
    Catalogue, Certainty, Diagnosis, Facts, For, Severity, Value, Why, diagnose,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::scenario::{self, Scenario};

fn diagnosed(scenario: &Scenario) -> Diagnosis {
    diagnose(Catalogue::builtin(), &scenario.over(&scenario::healthy()), scenario.concern)
}

/// What is found besides, is more than a note or is certain, is no consequence, and does not belong to the scenario.
fn astray(scenario: &Scenario, diagnosis: &Diagnosis) -> Vec<String> {
    diagnosis
        .findings
        .iter()
        .filter(|finding| finding.explained_by.is_none())
        .filter(|finding| {
            finding.severity > Severity::Note || finding.certainty == Certainty::Confirmed
        })
        .filter(|finding| finding.id != scenario.expect && !scenario.also.contains(&finding.id))
        .map(|finding| format!("{} ({:?}, {:?})", finding.id, finding.severity, finding.certainty))
        .collect()
}

#[test]
fn every_scenario_gives_its_cause() {
    let mut wrong = Vec::new();
    for scenario in scenario::all() {
        assert_eq!(scenario.expect, scenario.id);
        let diagnosis = diagnosed(&scenario);
        let primary = diagnosis.primary().map(|primary| (primary.id.as_str(), primary.certainty));
        if primary != Some((scenario.expect.as_str(), scenario.certainty)) {
            wrong.push(format!("{}: {primary:?} instead of {:?}", scenario.id, scenario.certainty));
        }
        for other in astray(&scenario, &diagnosis) {
            wrong.push(format!("{}: also {other}", scenario.id));
        }
        for also in &scenario.also {
            if diagnosis.of(also).is_none() {
                wrong.push(format!("{}: {also} may stand beside it and does not", scenario.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The matrix: what was played against what was said. One line a cause; a number off the diagonal is a mistake.
#[test]
fn the_confusion_matrix_is_a_diagonal() {
    let mut matrix: BTreeMap<(String, String), usize> = BTreeMap::new();
    let scenarios = scenario::all();
    for scenario in &scenarios {
        let said = diagnosed(scenario)
            .primary()
            .map_or_else(|| "nothing".to_owned(), |primary| primary.id.clone());
        *matrix.entry((scenario.id.clone(), said)).or_default() += 1;
    }
    println!("played -> said, {} causes", scenarios.len());
    for ((played, said), count) in &matrix {
        println!(
            "{played:<40} {said:<40} {count}{}",
            if played == said { "" } else { "  OFF THE DIAGONAL" }
        );
    }
    assert!(scenarios.len() >= 50);
    assert!(matrix.keys().all(|(played, said)| played == said));
}

#[test]
fn a_healthy_device_has_nothing() {
    for concern in [For::Computer, For::Icloud] {
        let diagnosis = diagnose(Catalogue::builtin(), &scenario::healthy(), concern);
        assert!(diagnosis.findings.is_empty(), "{:#?}", diagnosis.findings);
    }
}

/// Changes what may differ from one healthy device to another.
pub(crate) fn varied(healthy: &Facts, random: &mut StdRng) -> Facts {
    let mut facts = healthy.clone();
    let giga = 1_000_000_000_i64;
    let mut set = |key: &str, value: Value| {
        facts.insert(key, value).unwrap();
    };
    set("usb.speed", [480, 480, 5000, 10_000][random.random_range(0..4)].into());
    set("usb.hubs", Value::Number(random.random_range(0..=2)));
    set("usb.errors", Value::Number(0));
    set("battery.level", Value::Number(random.random_range(21..=100)));
    set("battery.health", Value::Number(random.random_range(61..=104)));
    set("battery.charging", [true, false][random.random_range(0..2)].into());
    set("battery.temperature", Value::Number(random.random_range(5..=39)));
    set("device.uptime", Value::Number(random.random_range(0..=90)));
    set("device.ios-age", ["current", "outdated"][random.random_range(0..2)].into());
    set("storage.available", Value::Number(random.random_range(3..=900) * giga));
    set("storage.free-share", Value::Number(random.random_range(6..=95)));
    set("storage.used", Value::Number(random.random_range(10..=900) * giga));
    set("media.files", Value::Number(random.random_range(0..=90_000)));
    set("media.bytes", Value::Number(random.random_range(0..=400) * giga));
    set("apps.bytes", Value::Number(random.random_range(1..=300) * giga));
    set("lock.state", ["unlocked", "locked"][random.random_range(0..2)].into());
    set("findmy.state", ["on", "off"][random.random_range(0..2)].into());
    set("wifi.sync", ["on", "off"][random.random_range(0..2)].into());
    set("existing.age", Value::Number(random.random_range(0..=400)));
    set("icloud.age", Value::Number(random.random_range(0..=14)));
    set("network.latency", Value::Number(random.random_range(8..=400)));
    set("network.jitter", Value::Number(random.random_range(1..=90)));
    set("network.loss", Value::Number(random.random_range(0..=2)));
    set("clock.device-skew", Value::Number(random.random_range(0..=59)));
    set("clock.apart", Value::Number(random.random_range(0..=118)));
    set("clock.host-skew", Value::Number(random.random_range(0..=59)));
    set("clock.zone", ["same", "other"][random.random_range(0..2)].into());
    set("host.sleep", ["held-off", "may-sleep"][random.random_range(0..2)].into());
    set("host.power", ["mains", "battery"][random.random_range(0..2)].into());
    set("host.virtual-machine", [true, false][random.random_range(0..2)].into());
    set("host.vpn", [true, false][random.random_range(0..2)].into());
    set("management.supervised", [true, false][random.random_range(0..2)].into());
    set("existing.state", ["good", "none"][random.random_range(0..2)].into());
    set("backup.encrypted", [true, false][random.random_range(0..2)].into());
    set("media.icloud-photos", ["on", "off"][random.random_range(0..2)].into());
    facts
}

#[test]
fn fifty_healthy_devices_give_nothing_above_a_note() {
    let mut random = StdRng::seed_from_u64(50);
    let healthy = scenario::healthy();
    for number in 0..50 {
        let facts = varied(&healthy, &mut random);
        for concern in [For::Computer, For::Icloud] {
            let diagnosis = diagnose(Catalogue::builtin(), &facts, concern);
            for finding in &diagnosis.findings {
                assert!(
                    finding.severity == Severity::Note,
                    "device {number}, {concern:?}: {finding:#?}"
                );
            }
        }
    }
}

/// A device in recovery mode does not show its serial number, so it may be any.
#[test]
fn another_device_in_recovery_mode_is_another_device() {
    let mut facts = scenario::healthy();
    facts.insert("usb.device", "recovery").unwrap();
    let found = |facts: &Facts| {
        diagnose(Catalogue::builtin(), facts, For::Computer).of("device/restart-helps").is_some()
    };
    assert!(!found(&facts), "the one that is meant answers");
    facts.insert("device.answers", Why::NoDevice).unwrap();
    assert!(found(&facts));
}

/// What may happen, or is so for a moment, explains nothing that has happened; what has happened does.
#[test]
fn what_may_happen_hides_nothing() {
    let told = |concern, told: &[(&str, Value)], root: &str, other: &str| {
        let mut facts = scenario::healthy();
        for (key, value) in told {
            facts.insert(key, value.clone()).unwrap();
        }
        let diagnosis = diagnose(Catalogue::builtin(), &facts, concern);
        let severity = diagnosis.of(root).map(|root| root.severity);
        let explained = diagnosis.of(other).and_then(|other| other.explained_by.clone());
        (severity, explained)
    };
    let note = (Some(Severity::Note), None);
    for (word, wanted) in [
        ("may-sleep", note.clone()),
        ("slept", (Some(Severity::Warning), Some("host/sleeps".into()))),
    ] {
        let facts = [("host.sleep", word.into()), ("usb.errors", 5.into())];
        assert_eq!(told(For::Computer, &facts, "host/sleeps", "bus/bad-cable"), wanted, "{word}");
    }
    for (key, value, root) in [
        ("log.skipped-files", 3.into(), "icloud/skipped-files"),
        ("log.condition-wifi", "missing".into(), "network/wifi-weak"),
    ] {
        let facts = [(key, value), ("log.backoff", true.into())];
        assert_eq!(told(For::Icloud, &facts, root, "icloud/backing-off"), note, "{key}");
    }
}

/// What a value of the device says; `None` where it is of another type, or cannot be asked for.
type Said = Option<bool>;

/// Only the rule speaks for the rule: a backup without a password is what most devices make.
#[test]
fn only_management_s_own_word_says_that_encryption_is_demanded() {
    use Certainty::{Confirmed, Open, Possible, RuledOut};
    let certainty = |required: Said, encrypted: Said| {
        let value = |said: Said| said.map_or(Why::Garbled("a text".into()).into(), Value::Flag);
        let mut facts = scenario::healthy();
        facts.insert("backup.encryption-required", value(required)).unwrap();
        facts.insert("backup.encrypted", value(encrypted)).unwrap();
        // What a run said about it is another sign.
        facts.insert("job.underlying", "none").unwrap();
        let diagnosis = diagnose(Catalogue::builtin(), &facts, For::Computer);
        let id = "management/encryption-demanded";
        if diagnosis.open.iter().any(|open| open.id == id) {
            return Open;
        }
        diagnosis.of(id).map_or(RuledOut, |found| found.certainty)
    };
    for (required, encrypted, wanted) in [
        (Some(true), Some(false), Confirmed),
        (Some(true), None, Possible),
        (Some(true), Some(true), RuledOut),
        (None, Some(false), Open),
        (None, None, Open),
        (None, Some(true), RuledOut),
        (Some(false), Some(false), RuledOut),
        (Some(false), None, RuledOut),
    ] {
        assert_eq!(certainty(required, encrypted), wanted, "{required:?}, {encrypted:?}");
    }
}

/// Two clocks differ, and no time server says which of them is wrong.
#[test]
fn clocks_that_differ_confirm_nothing_without_true_time() {
    let mut facts = scenario::healthy();
    facts.insert("clock.apart", Value::Number(7200)).unwrap();
    let clocks = |facts: &Facts| {
        let diagnosis = diagnose(Catalogue::builtin(), facts, For::Computer);
        let certainty = |id| diagnosis.of(id).map(|found| (found.certainty, found.severity));
        (certainty("clock/computer"), certainty("clock/wrong"))
    };
    assert_eq!(clocks(&facts), (None, None), "a time server says that both are right");
    for key in ["clock.host-skew", "clock.device-skew"] {
        facts.insert(key, Why::TimedOut).unwrap();
    }
    let may_be = Some((Certainty::Possible, Severity::Warning));
    assert_eq!(clocks(&facts), (may_be, may_be));
}

/// What the owner of a healthy device answers.
const WELL: &[(&str, &str)] = &[
    ("answer.icloud-storage", "room"),
    ("answer.account", "fine"),
    ("answer.charging", "nightly-locked"),
    ("answer.same-network", "yes"),
    ("answer.signal", "good"),
    ("answer.other-devices", "online"),
    ("answer.other-cable", "not-tried"),
    ("answer.other-port", "not-tried"),
    ("answer.password", "known"),
    ("answer.low-power", "no"),
    ("answer.restarted", "yes"),
];

/// What is hidden from the doctor: a whole probe, all that lies outside, all but one probe, or one thing that cannot be told, as
/// where the system keeps its log for itself.
fn blinds(healthy: &Facts) -> Vec<Vec<&'static str>> {
    let tells = |probes: &dyn Fn(&&Probe) -> bool| {
        PROBES.iter().filter(probes).flat_map(|probe| probe.tells).copied().collect()
    };
    let mut blinds: Vec<Vec<&str>> = PROBES.iter().map(|probe| probe.tells.to_vec()).collect();
    blinds.extend(PROBES.iter().map(|seeing| tells(&|probe| probe.id != seeing.id)));
    blinds.push(tells(&|probe| probe.outside));
    blinds.extend(healthy.iter().map(|(key, _)| vec![key.as_str()]));
    blinds
}

/// What nobody could look at accuses no healthy device of more than a note, whatever is hidden, and whatever its owner answers.
#[test]
fn a_healthy_device_of_which_something_is_not_known_gives_nothing_above_a_note() {
    let mut random = StdRng::seed_from_u64(51);
    let healthy = scenario::healthy();
    let mut accused: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..50 {
        let mut device = varied(&healthy, &mut random);
        for (key, word) in WELL.iter().filter(|_| number % 2 == 1) {
            device.insert(key, *word).unwrap();
        }
        for hidden in blinds(&healthy) {
            let mut facts = device.clone();
            for key in &hidden {
                facts.insert(key, Why::Blinded).unwrap();
            }
            for concern in [For::Computer, For::Icloud] {
                let found = diagnose(Catalogue::builtin(), &facts, concern).findings;
                for finding in found.iter().filter(|found| found.severity > Severity::Note) {
                    let (first, count) = (hidden.first().unwrap_or(&""), hidden.len());
                    let what = format!("{concern:?} without {count} from {first}: {}", finding.id);
                    *accused.entry(what).or_default() += 1;
                }
            }
        }
    }
    assert!(accused.is_empty(), "{accused:#?}");
}

/// One probe sees nothing: the answer may become possible, and another cause may become possible, but none is confirmed that is not
/// there.
#[test]
fn a_blinded_probe_confirms_nothing_else() {
    let healthy = scenario::healthy();
    for scenario in scenario::all() {
        let facts = scenario.over(&healthy);
        let mut groups: Vec<&str> =
            facts.iter().filter_map(|(key, _)| key.as_str().split('.').next()).collect();
        groups.dedup();
        for group in groups {
            let mut blinded = facts.clone();
            for (key, _) in
                facts.iter().filter(|(key, _)| key.as_str().split('.').next() == Some(group))
            {
                blinded.insert(key.as_str(), Why::Blinded).unwrap();
            }
            for finding in diagnose(Catalogue::builtin(), &blinded, scenario.concern).findings {
                // What is confirmed with less was confirmed with all.
                let before = diagnosed(&scenario);
                let before = before.of(&finding.id);
                assert!(
                    finding.certainty < Certainty::Confirmed
                        || before.is_some_and(|found| found.certainty == Certainty::Confirmed),
                    "{} without {group}.*: {finding:#?}",
                    scenario.id
                );
            }
        }
    }
}
