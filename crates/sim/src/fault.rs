//! Faults: what a phone can be told to do wrong, by name.
//!
//! The table [`FAULTS`] is the registry; a fault not in it cannot be switched on. The part of the
//! phone that plays a fault asks [`Faults::fire`] (which counts) or [`Faults::get`] (which does not).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use plist::{Dictionary, Value};
use serde::Serialize;

/// A fault the simulator knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FaultKind {
    /// Its name, as given to `sim ctl fault`.
    pub name: &'static str,
    /// The keys it understands beside `times`, which all of them do.
    pub keys: &'static [&'static str],
    /// What it does, in one line.
    pub about: &'static str,
}

const fn fault(
    name: &'static str,
    keys: &'static [&'static str],
    about: &'static str,
) -> FaultKind {
    FaultKind { name, keys, about }
}

/// Every fault there is, sorted by name.
pub const FAULTS: &[FaultKind] = &[
    fault("absolute-path", &["path"], "an upload names an absolute path"),
    fault("before-first-unlock", &[], "the phone behaves as restarted and not yet unlocked"),
    fault("broken-profile", &[], "the list of profiles holds what no profile is"),
    fault("cancel", &["after"], "the owner taps the X when AFTER files are sent"),
    fault(
        "clock",
        &["offset"],
        "the phone's clock is OFFSET seconds ahead (or behind, when negative)",
    ),
    fault("crash", &["file"], "the backup agent crashes at FILE (a part of its name), every time"),
    fault("drop", &["after"], "the connection breaks after AFTER messages of a backup"),
    fault(
        "error",
        &["code", "reason", "at", "text"],
        "a backup ends with the error CODE, in the words that a phone has for the REASON, at the step AT",
    ),
    fault(
        "forgotten",
        &["file"],
        "FILE (a part of its name) is never sent, and the phone does not notice",
    ),
    fault(
        "harmless-io-error",
        &[],
        "the file of the FileProvider that never can be read is sent, and ends in an error",
    ),
    fault("huge-frame", &["length"], "a frame says it is 4 GiB (or LENGTH) long"),
    fault("invalid-host", &[], "the phone has forgotten every computer, until it trusts one anew"),
    fault("locked", &[], "the phone behaves as locked"),
    fault(
        "locked-during-run",
        &["after"],
        "the screen locks when AFTER files are sent, and what is protected cannot be read any more",
    ),
    fault("log-control-characters", &[], "the log holds control characters and what is no text"),
    fault("modified", &["file"], "FILE (a part of its name) changes while it is sent"),
    fault("no-answer", &["service"], "lockdownd (or SERVICE) accepts and never answers"),
    fault("passcode-cancelled", &[], "the owner sends the passcode sheet away"),
    fault("passcode-ignored", &[], "nobody types the passcode"),
    fault("path-traversal", &["path"], "an upload names a path that climbs out with `..`"),
    fault(
        "pause",
        &["after", "seconds"],
        "the phone is too hot and sends nothing for SECONDS when AFTER files are sent",
    ),
    fault("plist-bomb", &[], "a message is a small plist that unfolds to billions of objects"),
    fault(
        "purge",
        &["bytes"],
        "the phone demands BYTES more free space and asks the host to purge",
    ),
    fault("read-error", &["file"], "reading FILE (a part of its name) fails in the middle"),
    fault("skipped-files", &["count"], "COUNT files cannot be looked at when the disk is scanned"),
    fault("space-demand", &["bytes"], "the phone says the backup needs BYTES"),
    fault("tls-abort", &["service"], "the phone closes in the middle of the TLS handshake"),
    fault(
        "truncated-upload",
        &["after"],
        "an upload stops in the middle of file AFTER, without an end",
    ),
    fault("trust-denied", &[], "the owner taps Don't Trust"),
    fault("trust-ignored", &[], "nobody answers the trust dialog"),
    fault("unknown-message", &["name"], "the phone sends a message nobody has heard of"),
    fault("vanish", &["file"], "FILE (a part of its name) disappears before it is sent"),
    fault("wrong-types", &[], "every value that is asked for has another type than it should"),
];

/// Returns a value of another type, as near to the right one as that goes.
pub(crate) fn twisted(value: Value) -> Value {
    match value {
        Value::Boolean(is) => Value::from(if is { "true" } else { "false" }),
        Value::Integer(number) => Value::from(format!("{number} or so")),
        Value::Real(number) => Value::Data(number.to_be_bytes().to_vec()),
        Value::String(text) => Value::from(text.len() as u64),
        Value::Data(bytes) => Value::Array(vec![Value::from(bytes.len() as u64)]),
        Value::Date(_) => Value::Boolean(true),
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(place, item)| (place.to_string(), twisted(item)))
            .collect::<Dictionary>()
            .into(),
        Value::Dictionary(keys) => {
            Value::Array(keys.into_iter().map(|(_, value)| twisted(value)).collect())
        }
        _ => Value::Boolean(false),
    }
}

/// A fault that is switched on, with the values of its keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Fault {
    /// The values given, by key.
    pub values: BTreeMap<String, String>,
    /// How often it happened so far.
    pub fired: u64,
}

impl Fault {
    /// Returns the text of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Returns the number of a key; the values were checked when the fault was set.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.text(key)?.parse().ok()
    }

    /// Whether the text of a key is a part of `name`; true when the key was not given.
    pub fn concerns(&self, key: &str, name: &str) -> bool {
        self.text(key).is_none_or(|part| name.contains(part))
    }
}

/// Keys whose values are numbers.
const NUMBERS: &[&str] =
    &["after", "bytes", "code", "count", "length", "offset", "seconds", "times"];

/// Keys that cannot be negative.
const COUNTS: &[&str] = &["after", "bytes", "count", "length", "seconds", "times"];

/// The faults that are on.
#[derive(Debug, Default)]
pub struct Faults {
    on: Mutex<BTreeMap<&'static str, Fault>>,
}

impl Faults {
    /// Switches a fault on, replacing its former values.
    pub fn set(&self, name: &str, values: BTreeMap<String, String>) -> Result<(), FaultError> {
        let kind = FAULTS
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| FaultError::Name { name: name.to_owned() })?;
        for (key, value) in &values {
            if key != "times" && !kind.keys.contains(&key.as_str()) {
                return Err(FaultError::Key { name: kind.name, key: key.clone() });
            }
            if NUMBERS.contains(&key.as_str()) && value.parse::<i64>().is_err() {
                return Err(FaultError::Number { key: key.clone(), value: value.clone() });
            }
            if COUNTS.contains(&key.as_str()) && value.parse::<u64>().is_err() {
                return Err(FaultError::Count { key: key.clone(), value: value.clone() });
            }
        }
        if kind.name == "error" {
            let reason = values.get("reason").map_or("", String::as_str);
            let code = values.get("code").and_then(|code| code.parse().ok()).unwrap_or(1);
            if !crate::backupd::errors::is_known(code, reason) {
                return Err(FaultError::Reason { code, reason: reason.to_owned() });
            }
        }
        self.lock().insert(kind.name, Fault { values, fired: 0 });
        Ok(())
    }

    /// Switches one fault off.
    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Switches all faults off.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Returns a fault that is on, without counting.
    pub fn get(&self, name: &str) -> Option<Fault> {
        self.lock().get(name).cloned()
    }

    /// Whether a fault is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }

    /// Returns a fault that is on and counts that it happens; after `times` times it is off.
    pub fn fire(&self, name: &str) -> Option<Fault> {
        self.fire_if(name, |_| true)
    }

    /// As [`Faults::fire`], when the fault that is on concerns this case.
    pub fn fire_if(&self, name: &str, concerns: impl FnOnce(&Fault) -> bool) -> Option<Fault> {
        let mut on = self.lock();
        let fault = on.get_mut(name)?;
        if !concerns(fault) {
            return None;
        }
        fault.fired += 1;
        let fault = fault.clone();
        let times = fault.number("times").and_then(|times| u64::try_from(times).ok());
        if times.is_some_and(|times| fault.fired >= times) {
            on.remove(name);
        }
        Some(fault)
    }

    /// Returns all faults that are on.
    pub fn all(&self) -> BTreeMap<&'static str, Fault> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Fault>> {
        self.on.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fault that cannot be switched on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultError {
    /// The phone has no words for that.
    #[error("a phone has no words for the error {code} with the reason `{reason}`")]
    Reason {
        /// The code.
        code: i64,
        /// The reason.
        reason: String,
    },
    /// The registry has no such fault.
    #[error("there is no fault `{name}`")]
    Name {
        /// What was asked for.
        name: String,
    },
    /// The fault has no such key.
    #[error("the fault `{name}` has no key `{key}`")]
    Key {
        /// The fault.
        name: &'static str,
        /// The key.
        key: String,
    },
    /// The key wants a number that is not negative.
    #[error("`{key}` counts from 0 on, and `{value}` is less")]
    Count {
        /// The key.
        key: String,
        /// What was given.
        value: String,
    },
    /// The key wants a number.
    #[error("`{key}` is a number, not `{value}`")]
    Number {
        /// The key.
        key: String,
        /// What was given.
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_registry_is_sorted() {
        assert!(FAULTS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn only_known_faults_and_keys_are_taken() {
        let faults = Faults::default();
        assert_eq!(
            faults.set("earthquake", values(&[])),
            Err(FaultError::Name { name: "earthquake".to_owned() })
        );
        assert!(faults.set("drop", values(&[("before", "1")])).is_err());
        assert!(faults.set("drop", values(&[("after", "soon")])).is_err());
        for (name, key) in [("drop", "after"), ("drop", "times"), ("skipped-files", "count")] {
            let (key, value) = (key.to_owned(), "-1".to_owned());
            let set = faults.set(name, values(&[(&key, "-1")]));
            assert_eq!(set, Err(FaultError::Count { key, value }));
        }
        faults.set("drop", values(&[("after", "3")])).unwrap();
        assert_eq!(faults.get("drop").unwrap().number("after"), Some(3));
        faults.clear();
        assert!(!faults.is_on("drop"));
    }

    #[test]
    fn a_fault_happens_as_often_as_it_was_told() {
        let faults = Faults::default();
        faults.set("read-error", values(&[("file", "sms"), ("times", "2")])).unwrap();
        let about = |name: &'static str| move |fault: &Fault| fault.concerns("file", name);
        assert!(faults.fire_if("read-error", about("notes.db")).is_none());
        assert!(faults.fire_if("read-error", about("Library/Mail/mail.db")).is_none());
        assert!(faults.fire_if("read-error", about("Library/sms/sms.db")).is_some());
        assert!(faults.fire_if("read-error", about("sms.db")).is_some());
        assert!(!faults.is_on("read-error"));
    }
}
