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

/// How the ids of causes of a restore begin.
const OF_RESTORE: &str = "restore/";

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
    // A number that comes up while restoring has another reason in a backup, or none that anybody knows.
    let restores = facts.is("job.kind", "restore");
    let row = row(code).filter(|row| restores || !row.restore_only);
    let named = row.into_iter().flat_map(|row| &row.causes);
    let likely = named
        .filter(|id| restores || !id.starts_with(OF_RESTORE))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::diagnose;

    /// A backup that ends with a number of a restore has another reason, or none that is known.
    #[test]
    fn a_number_of_a_backup_names_no_cause_of_a_restore() {
        let catalogue = Catalogue::builtin();
        let named = |kind: &str, code: i64| {
            let mut facts = Facts::new();
            facts.tell("job.kind", kind);
            facts.tell("job.outcome", "failed");
            facts.tell("job.code", code);
            let mut diagnosis = diagnose(catalogue, &facts, For::Computer);
            add_named(catalogue, &facts, For::Computer, &mut diagnosis);
            diagnosis.findings.into_iter().map(|found| found.id).collect::<Vec<_>>()
        };
        for row in errors::all().iter().filter(|row| row.domain == errors::DEVICE) {
            for code in row.codes.iter().copied() {
                let found = named("backup", code);
                let restores = found.iter().any(|id| id.starts_with(OF_RESTORE));
                assert!(!restores, "{code}: {found:?}");
            }
        }
        assert_eq!(named("backup", 204), [""; 0], "nothing is known, and that is what is said");
        assert_eq!(named("backup", 211), [""; 0]);
        assert_eq!(named("restore", 204), ["restore/preconditions"]);
    }
}
