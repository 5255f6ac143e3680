//! Every scenario of facts gives its cause and no other; healthy devices give none.

use std::collections::BTreeMap;

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
    set("usb.errors", Value::Number(0));
    set("battery.level", Value::Number(random.random_range(55..=100)));
    set("battery.health", Value::Number(random.random_range(85..=100)));
    set("battery.temperature", Value::Number(random.random_range(18..=32)));
    set("device.uptime", Value::Number(random.random_range(0..=6)));
    set("storage.available", Value::Number(random.random_range(20..=400) * giga));
    set("storage.free-share", Value::Number(random.random_range(20..=80)));
    set("storage.used", Value::Number(random.random_range(10..=100) * giga));
    set("media.files", Value::Number(random.random_range(10..=30_000)));
    set("media.bytes", Value::Number(random.random_range(1..=40) * giga));
    set("apps.bytes", Value::Number(random.random_range(1..=20) * giga));
    set("lock.state", ["unlocked", "locked"][random.random_range(0..2)].into());
    set("findmy.state", ["on", "off"][random.random_range(0..2)].into());
    set("wifi.sync", ["on", "off"][random.random_range(0..2)].into());
    set("existing.age", Value::Number(random.random_range(0..=3)));
    set("icloud.age", Value::Number(random.random_range(0..=1)));
    set("network.latency", Value::Number(random.random_range(8..=60)));
    set("network.jitter", Value::Number(random.random_range(1..=15)));
    set("network.loss", Value::Number(0));
    set("clock.device-skew", Value::Number(random.random_range(0..=2)));
    set("clock.host-skew", Value::Number(random.random_range(0..=1)));
    set("clock.zone", ["same", "other"][random.random_range(0..2)].into());
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
                let known = finding.id == scenario.expect || scenario.also.contains(&finding.id);
                let consequence = diagnosed(&scenario).of(&finding.id).is_some();
                assert!(
                    known || consequence || finding.certainty < Certainty::Confirmed,
                    "{} without {group}.*: {finding:#?}",
                    scenario.id
                );
            }
        }
    }
}
