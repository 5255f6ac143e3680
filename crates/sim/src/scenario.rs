//! Scenarios: for each cause of trouble that a phone, a computer or a network can show, what to play so that it is there.
//!
//! `crates/sim/scenarios/<id>.toml` carries the id of the cause in the doctor's catalogue. A scenario describes a world and never what
//! the doctor should think of it. Who plays one does, in this order: serve the phone ([`Scenario::phone`]) on a mux in the state of
//! [`Scenario::mux`]; pair, unless [`Scenario::paired`] says no; do [`Scenario::first`]; do [`Scenario::then`] as `sim ctl` would; look,
//! from the described machine ([`Scenario::machine`]).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::ctl::{Action, CtlError};
use crate::options::{OptionsError, PhoneSpec};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// One world.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The id of the cause that it plays.
    pub id: String,
    /// What is to be backed up to.
    pub purpose: Purpose,
    /// What it plays, for people.
    pub about: String,
    /// What happens before anybody looks.
    pub first: First,
    /// Whether phone and computer are paired before all else.
    pub paired: bool,
    /// Whether whoever looks may put the question of trust to the phone: without it nobody learns what the phone says to it.
    pub asks: bool,
    /// What stands at the socket of usbmuxd.
    pub mux: Mux,
    /// The phone, with its faults.
    pub phone: PhoneSpec,
    /// What befalls the phone after that.
    pub then: Vec<Action>,
    /// The machine, in the form of `lifeboat --machine`; empty where the real one will do.
    pub machine: toml::Table,
}

/// What a backup is made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A computer.
    Computer,
    /// iCloud.
    Icloud,
}

/// What happens first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum First {
    /// Nothing.
    #[default]
    None,
    /// A backup is tried, and what the scenario plays happens to it.
    Backup,
    /// The same twice: it happens each time.
    TwoBackups,
    /// A backup is tried and breaks off in the middle.
    Interrupted,
    /// A good backup is made.
    BackupOk,
}

/// What stands at the socket of usbmuxd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mux {
    /// The simulator.
    #[default]
    Served,
    /// Nothing.
    Missing,
    /// A socket on which nobody listens any more.
    Stopped,
    /// A socket that this user may not open.
    Denied,
    /// Something that never answers.
    Hung,
    /// Something that speaks another language.
    Garbled,
}

/// A scenario as its file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "for")]
    purpose: Purpose,
    about: String,
    #[serde(default)]
    first: First,
    #[serde(default = "yes")]
    paired: bool,
    #[serde(default)]
    asks: bool,
    #[serde(default)]
    mux: Mux,
    #[serde(default)]
    phone: PhoneSpec,
    #[serde(default)]
    then: Vec<String>,
    #[serde(default)]
    machine: toml::Table,
}

const fn yes() -> bool {
    true
}

/// Returns every scenario by its id, or the first that cannot be understood.
pub fn all() -> Result<&'static BTreeMap<String, Scenario>, &'static ScenarioError> {
    static ALL: OnceLock<Result<BTreeMap<String, Scenario>, ScenarioError>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut scenarios = BTreeMap::new();
        collect(&FILES, &mut scenarios)?;
        Ok(scenarios)
    })
    .as_ref()
}

fn collect(
    folder: &Dir<'static>,
    scenarios: &mut BTreeMap<String, Scenario>,
) -> Result<(), ScenarioError> {
    for file in folder.files() {
        let path = file.path().to_string_lossy();
        if let Some(id) = path.strip_suffix(".toml") {
            let scenario = parse(id, file.contents_utf8().unwrap_or_default())?;
            scenarios.insert(id.to_owned(), scenario);
        }
    }
    folder.dirs().try_for_each(|inner| collect(inner, scenarios))
}

/// Returns the scenario of a cause.
pub fn load(id: &str) -> Result<&'static Scenario, ScenarioError> {
    let unknown = || ScenarioError::Unknown { id: id.to_owned() };
    // The test that reads all of them stands guard: what is in the program can be understood.
    all().ok().and_then(|all| all.get(id)).ok_or_else(unknown)
}

/// Reads a scenario from its text.
pub fn parse(id: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let file: File = toml::from_str(text)
        .map_err(|source| ScenarioError::Toml { id: id.to_owned(), source: Box::new(source) })?;
    let then = file.then.iter().map(|line| Action::parse(&line.split(' ').collect::<Vec<_>>()));
    let then = then
        .collect::<Result<_, CtlError>>()
        .map_err(|source| ScenarioError::Action { id: id.to_owned(), source: Box::new(source) })?;
    file.phone.check().map_err(|source| ScenarioError::Phone { id: id.to_owned(), source })?;
    Ok(Scenario {
        id: id.to_owned(),
        purpose: file.purpose,
        about: file.about,
        first: file.first,
        paired: file.paired,
        asks: file.asks,
        mux: file.mux,
        phone: file.phone,
        then,
        machine: file.machine,
    })
}

/// A scenario cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// There is none of this name.
    #[error("there is no scenario `{id}`")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// Its file is not what it should be.
    #[error("the scenario `{id}` is not valid")]
    Toml {
        /// Which one.
        id: String,
        /// What the TOML reader says.
        source: Box<toml::de::Error>,
    },
    /// What befalls the phone is nothing that can.
    #[error("the scenario `{id}` does what cannot be done to a phone")]
    Action {
        /// Which one.
        id: String,
        /// What it does.
        source: Box<CtlError>,
    },
    /// Its phone is none that could be.
    #[error("the scenario `{id}` has a phone that cannot be")]
    Phone {
        /// Which one.
        id: String,
        /// Why.
        source: OptionsError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Faults;

    fn catalogue() -> camino::Utf8PathBuf {
        camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../doctor/catalogue")
    }

    #[test]
    fn each_scenario_plays_a_cause_of_the_catalogue() {
        let all = all().unwrap();
        assert!(all.len() >= 55, "only {} scenarios", all.len());
        for (id, scenario) in all {
            let entry = catalogue().join(format!("{id}.md"));
            let entry = fs_err::read_to_string(&entry).unwrap_or_else(|error| panic!("{error}"));
            assert!(entry.contains("kind = \"cause\""), "{id} is no cause");
            assert!(!scenario.about.is_empty(), "{id}");
        }
    }

    #[test]
    fn the_faults_and_states_of_each_scenario_exist() {
        for (id, scenario) in all().unwrap() {
            let faults = Faults::default();
            for fault in &scenario.phone.fault {
                faults
                    .set(&fault.name, fault.texts())
                    .unwrap_or_else(|error| panic!("{id}: {error}"));
            }
            let mut state = scenario.phone.state.clone();
            for action in &scenario.then {
                match action {
                    Action::Fault { name, values } => {
                        faults
                            .set(name, values.clone())
                            .unwrap_or_else(|error| panic!("{id}: {error}"));
                    }
                    Action::Set { key, value } => {
                        state.set(key, value).unwrap_or_else(|error| panic!("{id}: {error}"));
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_scenario_never_names_a_fact() {
        let facts = catalogue().join("../facts.toml");
        let table: toml::Table = toml::from_str(&fs_err::read_to_string(facts).unwrap()).unwrap();
        for id in all().unwrap().keys() {
            let file = FILES.get_file(format!("{id}.toml")).unwrap().contents_utf8().unwrap();
            for key in table.keys() {
                assert!(!file.contains(&format!("\"{key}\"")), "{id} names the fact {key}");
            }
        }
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        let wrong = [
            "",
            "for = \"computer\"\nabout = \"x\"\nsurprise = 1",
            "for = \"tape\"\nabout = \"x\"",
            "for = \"computer\"\nabout = \"x\"\nthen = [\"dance\"]",
            "for = \"computer\"\nabout = \"x\"\n[phone.state.battery]\nlevle = 3",
            "for = \"computer\"\nabout = \"x\"\n[phone.knobs]\nchunk = 0",
        ];
        for text in wrong {
            assert!(parse("x", text).is_err(), "{text}");
        }
        assert!(matches!(load("bus/nowhere"), Err(ScenarioError::Unknown { .. })));
    }
}
