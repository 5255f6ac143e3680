//! Scenarios of facts: `tests/scenarios/<id>.toml`, laid over `healthy.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lifeboat_doctor::{Certainty, Facts, For, Key, Value, Why};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "for")]
    concern: For,
    expect: String,
    certainty: String,
    also: Vec<String>,
    unknown: Vec<String>,
    facts: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Healthy {
    facts: BTreeMap<String, toml::Value>,
}

/// One scenario.
pub(crate) struct Scenario {
    /// The path of its file, which is the id of its cause.
    pub(crate) id: String,
    pub(crate) concern: For,
    pub(crate) expect: String,
    pub(crate) certainty: Certainty,
    /// What else may be found, and is no mistake.
    pub(crate) also: Vec<String>,
    /// The keys about which nothing is known, by pattern.
    pub(crate) unknown: Vec<String>,
    /// What differs from a healthy device.
    pub(crate) overlay: Facts,
}

impl Scenario {
    /// Lays it over the facts of something healthy.
    pub(crate) fn over(&self, healthy: &Facts) -> Facts {
        let mut facts = healthy.clone();
        let keys: Vec<Key> = healthy.iter().map(|(key, _)| key).collect();
        for key in keys {
            if self.unknown.iter().any(|pattern| matches(pattern, key.as_str())) {
                facts.insert(key.as_str(), Why::NotThere("in this scenario".into())).unwrap();
            }
        }
        for (key, value) in self.overlay.iter() {
            facts.insert(key.as_str(), value.clone()).unwrap();
        }
        facts
    }
}

pub(crate) fn matches(pattern: &str, key: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == key, |start| key.starts_with(start))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn facts(raw: BTreeMap<String, toml::Value>, of: &str) -> Facts {
    let mut facts = Facts::new();
    for (key, value) in raw {
        let value = match value {
            toml::Value::String(word) => Value::Word(word),
            toml::Value::Integer(number) => Value::Number(number),
            toml::Value::Boolean(flag) => Value::Flag(flag),
            toml::Value::Table(table) => Value::AtLeast(table["at-least"].as_integer().unwrap()),
            other => panic!("{of}: {key} = {other}"),
        };
        facts.insert(&key, value).unwrap_or_else(|error| panic!("{of}: {error}"));
    }
    facts
}

/// Returns the facts of a healthy device on a healthy computer.
pub(crate) fn healthy() -> Facts {
    let text = fs_err::read_to_string(folder().join("healthy.toml")).unwrap();
    facts(toml::from_str::<Healthy>(&text).unwrap().facts, "healthy.toml")
}

/// Returns all scenarios, sorted by id.
pub(crate) fn all() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for area in fs_err::read_dir(folder()).unwrap() {
        let area = area.unwrap().path();
        if !area.is_dir() {
            continue;
        }
        for file in fs_err::read_dir(&area).unwrap() {
            let path = file.unwrap().path();
            let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
            let id = format!("{}/{}", name(&area), name(&path));
            let text = fs_err::read_to_string(&path).unwrap();
            let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{id}: {error}"));
            let certainty = match file.certainty.as_str() {
                "confirmed" => Certainty::Confirmed,
                "possible" => Certainty::Possible,
                other => panic!("{id}: {other}"),
            };
            scenarios.push(Scenario {
                overlay: facts(file.facts, &id),
                concern: file.concern,
                expect: file.expect,
                certainty,
                also: file.also,
                unknown: file.unknown,
                id,
            });
        }
    }
    scenarios.sort_by(|a, b| a.id.cmp(&b.id));
    scenarios
}
