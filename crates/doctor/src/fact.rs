//! Facts: keys and values out of one table, `facts.toml`.
//!
//! Probes, a failed run, the device's log and the person's answers all tell facts; causes ask for them. Neither can say anything
//! that the table does not know: [`Facts::insert`] refuses it, and so does the reader of the catalogue.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::Serialize;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serializer};
use thiserror::Error;

const TABLE: &str = include_str!("../facts.toml");

/// The name of a fact, as declared in `facts.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Key(&'static str);

impl Key {
    /// Returns the key of that name, or an error where the table has none.
    pub fn find(name: &str) -> Result<Self, FactError> {
        table()
            .rows
            .get_key_value(name)
            .map(|(name, _)| Self(name))
            .ok_or_else(|| FactError::UnknownKey { key: name.to_owned() })
    }

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns what the table says about it.
    pub fn declared(self) -> &'static Declared {
        table().rows.get(self.0).expect("a key exists only as a row of the table")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a value that the table does not allow was refused for. All of these are mistakes of this program, not of the person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FactError {
    /// The table has no such key.
    #[error("there is no fact `{key}`")]
    UnknownKey {
        /// The name that was asked for.
        key: String,
    },
    /// The key does not know that word.
    #[error("fact `{key}` has no word `{word}`")]
    UnknownWord {
        /// The key.
        key: Key,
        /// The word that was given.
        word: String,
    },
    /// A value of another kind than the key's.
    #[error("fact `{key}` takes {kind}, not `{given}`")]
    WrongKind {
        /// The key.
        key: Key,
        /// What it takes.
        kind: &'static str,
        /// What was given.
        given: String,
    },
}

/// Why nothing is known about a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why", content = "detail")]
pub enum Why {
    /// No probe looked: it was not asked to, or not at this moment.
    NotLooked,
    /// The probe did not come to an end in its time.
    TimedOut,
    /// Whoever was asked said no; the text says with which words.
    Refused(String),
    /// The thing is not there: no such value on this device, no such file on this computer.
    NotThere(String),
    /// The answer made no sense.
    Garbled(String),
    /// No device could be asked.
    NoDevice,
    /// Asking would have gone out of the local network, and that was forbidden.
    Offline,
    /// A test took this probe's sight away.
    Blinded,
    /// Only the person knows, and was not asked or did not know.
    NotAnswered,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLooked => f.write_str("not looked at"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Refused(text) => write!(f, "refused: {text}"),
            Self::NotThere(text) => write!(f, "not there: {text}"),
            Self::Garbled(text) => write!(f, "an answer without sense: {text}"),
            Self::NoDevice => f.write_str("no device to ask"),
            Self::Offline => f.write_str("would have needed the internet"),
            Self::Blinded => f.write_str("the probe was switched off"),
            Self::NotAnswered => f.write_str("only the person knows"),
        }
    }
}

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One of the words of the key.
    Word(String),
    /// Yes or no.
    Flag(bool),
    /// A number in the unit of the key.
    Number(i64),
    /// At least that number: the counting was stopped.
    AtLeast(i64),
    /// Free text, for evidence only.
    Text(String),
    /// Not known, and why.
    Unknown(Why),
}

impl Value {
    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// A word or a text: the kind of the key decides which.
impl From<&str> for Value {
    fn from(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

/// A word or a text: the kind of the key decides which.
impl From<String> for Value {
    fn from(word: String) -> Self {
        Self::Word(word)
    }
}

impl From<Why> for Value {
    fn from(why: Why) -> Self {
        Self::Unknown(why)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Text(text) => f.write_str(text),
            Self::Flag(true) => f.write_str("yes"),
            Self::Flag(false) => f.write_str("no"),
            Self::Number(number) => write!(f, "{number}"),
            Self::AtLeast(number) => write!(f, "at least {number}"),
            Self::Unknown(why) => write!(f, "not known ({why})"),
        }
    }
}

/// Words, texts, flags and numbers as themselves; the rest as `{"at-least": 5}` and `{"unknown": {"why": "timed-out"}}`.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Word(text) | Self::Text(text) => serializer.serialize_str(text),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::AtLeast(number) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("at-least", number)?;
                map.end()
            }
            Self::Unknown(why) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("unknown", why)?;
                map.end()
            }
        }
    }
}

/// What kind of values a key takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One of these words.
    Words(Vec<String>),
    /// Yes or no.
    Flag,
    /// A whole number of this unit.
    Number {
        /// The unit, for people.
        unit: String,
    },
    /// Free text, on which no cause decides.
    Text,
}

impl Kind {
    /// Returns what it takes, in words for a message.
    pub fn takes(&self) -> &'static str {
        match self {
            Self::Words(_) => "a word",
            Self::Flag => "yes or no",
            Self::Number { .. } => "a whole number",
            Self::Text => "text",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// What values it takes.
    pub kind: Kind,
    /// Only the person knows.
    pub ask: bool,
    /// May name a person, a place or a thing of theirs: left out of what is passed on.
    pub private: bool,
    /// The words of which nobody may say that all is well.
    pub not_well: Vec<String>,
    /// The facts behind which it stands as evidence: keys. It names what they only count or tell.
    pub behind: Vec<String>,
    /// What it means.
    pub about: String,
}

impl Declared {
    /// Whether somebody who saw this value may say that all is well there.
    pub fn is_well(&self, value: &Value) -> bool {
        match value {
            Value::Unknown(_) => false,
            Value::Word(word) => !self.not_well.contains(word),
            Value::Flag(_) | Value::Number(_) | Value::AtLeast(_) | Value::Text(_) => true,
        }
    }
}

/// The whole table, in the order of its keys.
#[derive(Debug)]
pub struct Table {
    rows: BTreeMap<String, Declared>,
}

impl Table {
    /// Returns all keys with their rows, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &'static Declared)> {
        table().rows.iter().map(|(name, row)| (Key(name), row))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    words: Option<Vec<String>>,
    #[serde(default)]
    not_well: Vec<String>,
    #[serde(default)]
    flag: bool,
    unit: Option<String>,
    #[serde(default)]
    text: bool,
    #[serde(default)]
    ask: bool,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    behind: Vec<String>,
    about: String,
}

/// Returns the table of facts. It is part of the program; a broken one fails the tests, see `table_is_sound`.
pub fn table() -> &'static Table {
    static PARSED: OnceLock<Table> = OnceLock::new();
    PARSED.get_or_init(|| {
        let rows: BTreeMap<String, Row> =
            toml::from_str(TABLE).expect("facts.toml is part of the program and tested");
        let rows = rows.into_iter().map(|(name, row)| (name, declared(row))).collect();
        Table { rows }
    })
}

fn declared(mut row: Row) -> Declared {
    let kind = match (row.words.take(), row.unit.take()) {
        (Some(words), _) => Kind::Words(words),
        (None, Some(unit)) => Kind::Number { unit },
        (None, None) if row.flag => Kind::Flag,
        (None, None) => {
            debug_assert!(row.text, "a row of facts.toml has no kind");
            Kind::Text
        }
    };
    let Row { ask, private, not_well, behind, about, .. } = row;
    Declared { kind, ask, private, not_well, behind, about }
}

/// What is known, key by key. A key that is not in it is not known either: nobody looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Facts(BTreeMap<Key, Value>);

impl Facts {
    /// Returns no facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a fact in, over what was there. A text may be given as a word, a flag as `yes` or `no`.
    pub fn insert(&mut self, key: &str, value: impl Into<Value>) -> Result<(), FactError> {
        let key = Key::find(key)?;
        let value = fitted(key, value.into())?;
        self.0.insert(key, value);
        Ok(())
    }

    /// Puts a fact in; what the table refuses is a mistake of this program: it stops a test and is not known in a release.
    pub fn tell(&mut self, key: &str, value: impl Into<Value>) {
        if let Err(error) = self.insert(key, value) {
            debug_assert!(false, "{error}");
            if let Ok(key) = Key::find(key) {
                self.0.insert(key, Value::Unknown(Why::Garbled(error.to_string())));
            }
        }
    }

    /// Returns the names that stand behind a fact, where they are known: the program, the app, the path that it is about.
    pub fn names_behind(&self, key: Key) -> impl Iterator<Item = (Key, &Value)> {
        self.iter().filter(move |(name, value)| {
            let behind = &name.declared().behind;
            value.is_known() && behind.iter().any(|behind| behind == key.as_str())
        })
    }

    /// Says of each of these keys that nothing is known, and why; what was said already stays, a more exact reason among it.
    pub fn unknown(&mut self, keys: &[&str], why: &Why) {
        for key in keys {
            if self.value(key).is_none() {
                self.tell(key, why.clone());
            }
        }
    }

    /// Returns the value of a key, where something was said about it.
    pub fn get(&self, key: Key) -> Option<&Value> {
        self.0.get(&key)
    }

    /// Returns the value of the key of that name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name_of(name)?)
    }

    /// Returns whether the key of that name has this word (or `yes` / `no`).
    pub fn is(&self, name: &str, word: &str) -> bool {
        match self.value(name) {
            Some(Value::Word(found)) => found == word,
            Some(Value::Flag(flag)) => word == if *flag { "yes" } else { "no" },
            _ => false,
        }
    }

    /// Puts others over these. What is known is not covered by what is not.
    pub fn merge(&mut self, others: Self) {
        for (key, value) in others.0 {
            let covered = !value.is_known() && self.0.get(&key).is_some_and(Value::is_known);
            if !covered {
                self.0.insert(key, value);
            }
        }
    }

    /// Returns all of them, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Value)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn name_of(name: &str) -> Option<&'static Key> {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| table().iter().map(|(key, _)| key).collect());
    keys.binary_search_by(|key| key.0.cmp(name)).ok().and_then(|at| keys.get(at))
}

/// Brings a value into the kind of its key.
fn fitted(key: Key, value: Value) -> Result<Value, FactError> {
    let kind = &key.declared().kind;
    let value = match (kind, value) {
        (_, value @ Value::Unknown(_)) => value,
        (Kind::Words(words), Value::Word(word)) => {
            if !words.contains(&word) {
                return Err(FactError::UnknownWord { key, word });
            }
            Value::Word(word)
        }
        (Kind::Flag, value @ Value::Flag(_)) => value,
        (Kind::Flag, Value::Word(word)) if word == "yes" || word == "no" => {
            Value::Flag(word == "yes")
        }
        (Kind::Number { .. }, value @ (Value::Number(_) | Value::AtLeast(_))) => value,
        (Kind::Text, Value::Word(text) | Value::Text(text)) => Value::Text(text),
        (kind, other) => {
            return Err(FactError::WrongKind { key, kind: kind.takes(), given: other.to_string() });
        }
    };
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sound() {
        let rows: BTreeMap<String, Row> = toml::from_str(TABLE).unwrap();
        for (name, row) in &rows {
            let kinds = [row.words.is_some(), row.flag, row.unit.is_some(), row.text];
            assert_eq!(
                kinds.into_iter().filter(|kind| *kind).count(),
                1,
                "{name} has not exactly one kind"
            );
            assert!(!row.about.is_empty() && !row.about.ends_with('.'), "{name}: {}", row.about);
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-'),
                "{name}"
            );
            assert_eq!(row.ask, name.starts_with("answer."), "{name}");
            for behind in &row.behind {
                assert!(row.text && rows.contains_key(behind), "{name} behind {behind}");
            }
            let mut words = row.words.clone().unwrap_or_default();
            words.sort_unstable();
            words.dedup();
            assert_eq!(
                words.len(),
                row.words.as_ref().map_or(0, Vec::len),
                "{name} says a word twice"
            );
            assert!(row.not_well.iter().all(|word| words.contains(word)), "{name}");
            assert!(row.not_well.is_empty() || row.not_well.len() < words.len(), "{name}");
        }
    }

    #[test]
    fn refuses_what_the_table_does_not_know() {
        let mut facts = Facts::new();
        assert!(matches!(facts.insert("no.such", true), Err(FactError::UnknownKey { .. })));
        assert!(matches!(facts.insert("mux.state", "asleep"), Err(FactError::UnknownWord { .. })));
        assert!(matches!(facts.insert("mux.state", 5), Err(FactError::WrongKind { .. })));
        assert!(matches!(facts.insert("battery.level", "full"), Err(FactError::WrongKind { .. })));
        assert!(facts.is_empty());
        facts.insert("device.ios", "18.1").unwrap();
        facts.insert("device.beta", "yes").unwrap();
        assert_eq!(facts.value("device.ios"), Some(&Value::Text("18.1".into())));
        assert!(facts.is("device.beta", "yes"));
    }

    #[test]
    fn the_known_is_not_covered_by_the_unknown() {
        let mut facts = Facts::new();
        facts.tell("mux.state", "running");
        let mut others = Facts::new();
        others.unknown(&["mux.state", "battery.level"], &Why::TimedOut);
        facts.merge(others);
        assert!(facts.is("mux.state", "running"));
        assert_eq!(facts.value("battery.level"), Some(&Value::Unknown(Why::TimedOut)));
        let mut others = Facts::new();
        others.tell("battery.level", 80);
        facts.merge(others);
        assert_eq!(facts.value("battery.level"), Some(&Value::Number(80)));
    }
}
