//! A run that ended with a number and with nothing that could be measured: what the table of numbers says of it, the table of `explain`.

use crate::catalogue::{Catalogue, For, Severity};
use crate::condition::Condition;
use crate::errors::{self, KnownError};
use crate::fact::{Facts, Key, Value};
use crate::finding::{Certainty, Diagnosis, Evidence, Finding};

/// Causes that a row may name, and what measured now speaks against them.
const AGAINST: &[(&str, &str, &str)] = &[
    ("destination/full", "destination.room", "enough"),
    ("destination/not-writable", "destination.state", "writable"),
    ("backup/existing-broken", "existing.state", "good"),
    ("backup/existing-broken", "existing.state", "none"),
    ("device/setup-unfinished", "setup.state", "finished"),
];

/// Returns the number with which the last run ended.
pub(super) fn number(facts: &Facts) -> Option<i64> {
    match facts.value("job.code") {
        Some(Value::Number(code)) if *code != 0 => Some(*code),
        _ => None,
    }
}

/// Returns the row of a number.
pub(super) fn row(code: i64) -> Option<&'static KnownError> {
    errors::of_device(code)
}

/// Adds the likeliest cause that the row of the last run's number names, as possible: no more than a number speaks for it.
pub(super) fn add_named(
    catalogue: &Catalogue,
    facts: &Facts,
    concern: For,
    diagnosis: &mut Diagnosis,
) {
    let Some((code, key)) = number(facts).zip(Key::find("job.code").ok()) else { return };
    let against =
        |id: &str| AGAINST.iter().any(|(cause, key, word)| *cause == id && facts.is(key, word));
    let named = row(code).into_iter().flat_map(|row| &row.causes);
    let likely = named
        .filter_map(|id| catalogue.get(id))
        .find(|entry| entry.is_cause() && entry.concerns.contains(&concern) && !against(&entry.id));
    let Some(entry) = likely else { return };
    diagnosis.findings.retain(|found| found.id != entry.id);
    diagnosis.open.retain(|open| open.id != entry.id);
    diagnosis.ruled_out.retain(|id| *id != entry.id);
    let condition = Condition::number(code);
    let finding = Finding {
        id: entry.id.clone(),
        certainty: Certainty::Possible,
        severity: entry.severity.max(Severity::Warning),
        evidence: vec![Evidence { key, value: Value::Number(code), condition }],
        unknown: Vec::new(),
        explained_by: None,
    };
    diagnosis.findings.insert(0, finding);
}
