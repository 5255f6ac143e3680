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
    let candidates = diagnosis.ruled_out.iter().filter(|id| !measured.contains(id));
    let answered = candidates.filter_map(|id| catalogue.get(id)).filter_map(|entry| {
        let by = against(entry, facts, concern);
        let (id, title) = (entry.id.clone(), title(catalogue, &entry.id));
        (!by.is_empty()).then_some(Answered { id, title, by })
    });
    answered.collect()
}

/// Returns the answers that are not as the cause would have them. One that only must not be given speaks for another cause, not
/// against this one; neither does one that another sign of the cause asks for.
fn against(entry: &Entry, facts: &Facts, concern: For) -> Vec<Key> {
    let lines = entry.when.iter().filter(|when| when.concerns.contains(&concern));
    let lines = lines.flat_map(|when| &when.lines);
    let asked = lines.filter(|(key, condition)| key.declared().ask && !condition.is_guard());
    let held: Vec<(Key, Truth)> =
        asked.map(|(key, condition)| (*key, condition.holds(*key, facts))).collect();
    let is_met = |key: Key| held.iter().any(|(met, truth)| *met == key && *truth == Truth::True);
    let mut by: Vec<Key> = Vec::new();
    for (key, truth) in &held {
        if *truth == Truth::False && !is_met(*key) && !by.contains(key) {
            by.push(*key);
        }
    }
    by
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known, and what the person answers; returns what the diagnosis leaves open, and what the answers rule out.
    fn said(
        concern: For,
        measured: &[(&str, Value)],
        answers: &[(&str, &str)],
    ) -> (Vec<String>, Vec<(String, Vec<&'static str>)>) {
        let mut facts = Facts::new();
        for (key, value) in measured {
            facts.insert(key, value.clone()).unwrap();
        }
        for (key, word) in answers {
            facts.insert(key, *word).unwrap();
        }
        let catalogue = Catalogue::builtin();
        let diagnosis = diagnose(catalogue, &facts, concern);
        let ruled = ruled_out(catalogue, &facts, concern, &diagnosis).into_iter();
        let ruled =
            ruled.map(|ruled| (ruled.id, ruled.by.iter().map(|key| key.as_str()).collect()));
        let open = diagnosis.open.into_iter().map(|open| open.id);
        (open.collect(), ruled.collect())
    }

    /// A bus on which nothing is wrong, as far as it was measured.
    fn bus() -> Vec<(&'static str, Value)> {
        vec![
            ("usb.charging-only", false.into()),
            ("usb.speed", 480.into()),
            ("usb.errors", 0.into()),
            ("usb.reconnects", 0.into()),
            ("log.duplicate-packets", false.into()),
            ("job.device-left", false.into()),
        ]
    }

    /// Who has no other cable has ruled nothing out: what only trying it can tell stays open.
    #[test]
    fn what_nobody_tried_rules_nothing_out() {
        for key in ["answer.other-cable", "answer.other-port"] {
            let (open, ruled) = said(For::Computer, &bus(), &[(key, "not-tried")]);
            assert!(ruled.is_empty(), "{key}: {ruled:?}");
            for id in ["bus/bad-cable", "bus/damaged-port"] {
                assert!(open.iter().any(|open| open == id), "{key}: {id} stays open: {open:?}");
            }
        }
        // A sign that was measured stays one, too: nobody tried whether it is the port.
        let mut facts = Facts::new();
        facts.insert("usb.errors", 9).unwrap();
        facts.insert("answer.other-cable", "not-tried").unwrap();
        let found = diagnose(Catalogue::builtin(), &facts, For::Computer);
        assert!(found.of("bus/damaged-port").is_some(), "{:?}", found.findings);
    }

    /// What can still be so for another reason that nobody could look at is not told as ruled out.
    #[test]
    fn an_answer_does_not_rule_out_what_is_open() {
        for (concern, key, word) in [
            (For::Computer, "answer.other-port", "same"),
            (For::Computer, "answer.cancelled", "no"),
            (For::Icloud, "answer.signal", "good"),
            (For::Icloud, "answer.icloud-storage", "room"),
        ] {
            let (open, ruled) = said(concern, &[], &[(key, word)]);
            let both: Vec<_> = ruled.iter().filter(|(id, _)| open.contains(id)).collect();
            assert!(both.is_empty(), "{key} is {word}: {both:?}");
        }
        let (open, ruled) = said(For::Computer, &[], &[("answer.other-port", "same")]);
        assert!(ruled.is_empty() && open.iter().any(|id| id == "bus/damaged-port"), "{ruled:?}");
        let (open, ruled) = said(For::Icloud, &[], &[("answer.signal", "good")]);
        assert!(ruled.is_empty() && open.iter().any(|id| id == "network/wifi-weak"), "{ruled:?}");
        // Where everything else was measured, the answer decides, and that is told.
        let (open, ruled) = said(For::Computer, &bus(), &[("answer.other-port", "same")]);
        let port = ("bus/damaged-port".to_owned(), vec!["answer.other-port"]);
        assert!(ruled.contains(&port), "{ruled:?}");
        assert!(!open.contains(&port.0), "{open:?}");
    }

    /// A cause that one sign wants the word of is not ruled out by it because another sign wants another.
    #[test]
    fn a_word_that_a_cause_asks_for_does_not_speak_against_it() {
        let (_, ruled) = said(For::Computer, &bus(), &[("answer.other-cable", "same")]);
        assert!(ruled.iter().all(|(id, _)| id != "bus/bad-cable"), "{ruled:?}");
        let (_, ruled) = said(For::Computer, &bus(), &[("answer.other-cable", "better")]);
        assert!(ruled.iter().all(|(id, _)| id != "bus/bad-cable"), "{ruled:?}");
    }
}
