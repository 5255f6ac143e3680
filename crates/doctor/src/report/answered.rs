//! What the person ruled out: a cause against which an answer speaks was looked at, by whoever could.

use super::{Answered, title};
use crate::catalogue::{Catalogue, Entry, For};
use crate::condition::Truth;
use crate::fact::{Facts, Key, Value};
use crate::finding::{Diagnosis, diagnose};

/// Returns the causes that are no longer possible because of an answer: without it nobody could have told.
pub(super) fn ruled_out(
    catalogue: &Catalogue,
    facts: &Facts,
    concern: For,
    diagnosis: &Diagnosis,
) -> Vec<Answered> {
    let is_answer = |(key, value): &(Key, &Value)| key.declared().ask && value.is_known();
    if !facts.iter().any(|told| is_answer(&told)) {
        return Vec::new();
    }
    let mut unasked = Facts::new();
    for (key, value) in facts.iter().filter(|told| !is_answer(told)) {
        unasked.tell(key.as_str(), value.clone());
    }
    // What was measured not to be so needs no answer.
    let measured = diagnose(catalogue, &unasked, concern).ruled_out;
    let open = diagnosis.open.iter().map(|open| &open.id);
    let candidates = diagnosis.ruled_out.iter().filter(|id| !measured.contains(id)).chain(open);
    let answered = candidates.filter_map(|id| catalogue.get(id)).filter_map(|entry| {
        let by = against(entry, facts, concern);
        let (id, title) = (entry.id.clone(), title(catalogue, &entry.id));
        (!by.is_empty()).then_some(Answered { id, title, by })
    });
    answered.collect()
}

/// Returns the answers that are not as the cause would have them. One that only must not be given speaks for another cause, not
/// against this one.
fn against(entry: &Entry, facts: &Facts, concern: For) -> Vec<Key> {
    let mut by: Vec<Key> = Vec::new();
    let lines = entry.when.iter().filter(|when| when.concerns.contains(&concern));
    for (key, condition) in lines.flat_map(|when| &when.lines) {
        let speaks = key.declared().ask
            && !condition.is_guard()
            && condition.holds(*key, facts) == Truth::False;
        if speaks && !by.contains(key) {
            by.push(*key);
        }
    }
    by
}
