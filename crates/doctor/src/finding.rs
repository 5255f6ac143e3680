//! From facts to findings: a pure function with three-valued certainty.
//!
//! A line of a cause is true, false, or cannot be told (`condition`). A `[[when]]` whose lines are all true shows its cause:
//! confirmed where the sign is sure, else possible. One with a false line shows nothing. One that cannot be told whole but has a
//! true line that speaks for the cause makes it possible; one of which nothing but what must not be can be told leaves it open.

use std::cmp::Reverse;

use serde::Serialize;

use crate::catalogue::{Catalogue, Entry, For, Severity, Sure, When};
use crate::condition::{Condition, Truth};
use crate::fact::{Facts, Key, Value, Why};

/// How certain a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// A fact speaks against each of its signs.
    RuledOut,
    /// Nothing is known that would decide.
    Open,
    /// A sign with other explanations, or a deciding fact is not known.
    Possible,
    /// Measured.
    Confirmed,
}

/// A fact that speaks for a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The fact.
    pub key: Key,
    /// What was found.
    pub value: Value,
    /// What the cause asks for.
    pub condition: Condition,
}

/// A fact that would decide and is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The fact.
    pub key: Key,
    /// Why it is not known.
    pub why: Why,
}

/// A cause that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The cause.
    pub id: String,
    /// Confirmed or possible.
    pub certainty: Certainty,
    /// How much it weighs: at least what its consequences that were found weigh.
    pub severity: Severity,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// What would decide and is not known.
    pub unknown: Vec<Missing>,
    /// The cause that it is only a consequence of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained_by: Option<String>,
}

/// A cause about which nothing could be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Open {
    /// The cause.
    pub id: String,
    /// What is not known.
    pub unknown: Vec<Missing>,
}

/// What the facts say about all causes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// What was found, the most important first.
    pub findings: Vec<Finding>,
    /// What could not be checked, in the doctor's order.
    pub open: Vec<Open>,
    /// What was ruled out, in the doctor's order: ids.
    pub ruled_out: Vec<String>,
}

impl Diagnosis {
    /// Returns the one primary cause.
    pub fn primary(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// Returns the finding of that cause.
    pub fn of(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// Returns whether a confirmed finding keeps a backup from coming about.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| {
            finding.certainty == Certainty::Confirmed && finding.severity == Severity::Blocking
        })
    }
}

/// Says which causes the facts show. The same facts always give the same answer.
pub fn diagnose(catalogue: &Catalogue, facts: &Facts, concern: For) -> Diagnosis {
    let mut causes: Vec<&Entry> = catalogue
        .causes()
        .filter(|entry| entry.when.iter().any(|when| when.concerns.contains(&concern)))
        .collect();
    causes.sort_by_key(|entry| entry.order.of(concern));
    let (mut diagnosis, mut hiding) = (Diagnosis::default(), Vec::new());
    for entry in causes {
        let sign = strongest(entry, facts, concern);
        match sign.certainty {
            Certainty::RuledOut => diagnosis.ruled_out.push(entry.id.clone()),
            Certainty::Open => {
                diagnosis.open.push(Open { id: entry.id.clone(), unknown: sign.unknown });
            }
            Certainty::Possible | Certainty::Confirmed => {
                hiding.push(sign.hides);
                diagnosis.findings.push(Finding {
                    id: entry.id.clone(),
                    certainty: sign.certainty,
                    severity: sign.severity,
                    evidence: sign.evidence,
                    unknown: sign.unknown,
                    explained_by: None,
                });
            }
        }
    }
    hide_consequences(catalogue, &mut diagnosis.findings, &hiding);
    // Stable: what is equal stays in the doctor's order.
    diagnosis.findings.sort_by_key(|finding| {
        (Reverse(finding.severity), Reverse(finding.certainty), finding.explained_by.is_some())
    });
    diagnosis
}

/// What one `[[when]]` says.
struct Sign {
    certainty: Certainty,
    severity: Severity,
    evidence: Vec<Evidence>,
    unknown: Vec<Missing>,
    /// Nothing that would speak for it is unknown.
    settled: bool,
    /// Its cause hides its consequences.
    hides: bool,
}

impl Sign {
    fn strength(&self) -> (Certainty, bool, Severity) {
        (self.certainty, self.settled, self.severity)
    }
}

/// Returns the strongest sign of an entry: the most certain, then one that is known whole but for what must not be, then the
/// weightiest, then the first in its file.
fn strongest(entry: &Entry, facts: &Facts, concern: For) -> Sign {
    let mut best = Sign {
        certainty: Certainty::RuledOut,
        severity: Severity::Note,
        evidence: Vec::new(),
        unknown: Vec::new(),
        settled: true,
        hides: true,
    };
    for when in entry.when.iter().filter(|when| when.concerns.contains(&concern)) {
        let sign = sign(when, facts);
        if sign.strength() > best.strength() {
            best = sign;
        }
    }
    best
}

fn sign(when: &When, facts: &Facts) -> Sign {
    let (mut evidence, mut unknown) = (Vec::new(), Vec::new());
    let (mut refuted, mut settled) = (false, true);
    for (key, condition) in &when.lines {
        match condition.holds(*key, facts) {
            Truth::True => {
                let value = facts.get(*key).cloned().unwrap_or(Value::Unknown(Why::NotLooked));
                evidence.push(Evidence { key: *key, value, condition: condition.clone() });
            }
            Truth::False => refuted = true,
            Truth::Unknown(why) => {
                settled &= condition.is_guard();
                unknown.push(Missing { key: *key, why });
            }
        }
    }
    let speaks = evidence.iter().any(|seen: &Evidence| !seen.condition.is_guard())
        && (unknown.is_empty() || !when.whole);
    let certainty = match (refuted, speaks || unknown.is_empty(), unknown.is_empty(), when.sure) {
        (true, ..) => Certainty::RuledOut,
        (false, false, ..) => Certainty::Open,
        (false, true, true, Sure::A) => Certainty::Confirmed,
        (false, true, ..) => Certainty::Possible,
    };
    Sign { certainty, severity: when.severity, evidence, unknown, settled, hides: when.hides }
}

/// Marks what is only a consequence of another finding, directly or over other findings: through a cause that is not there nothing
/// follows. A cause explains
/// only what is not more certain than itself, and one that is only possible nothing that is heavier. A confirmed one weighs from
/// then on at least as much as what it explains. `hiding` says of each whether its sign lets it hide anything.
fn hide_consequences(catalogue: &Catalogue, findings: &mut [Finding], hiding: &[bool]) {
    let roots: Vec<(String, Certainty, Severity)> =
        findings.iter().map(|found| (found.id.clone(), found.certainty, found.severity)).collect();
    let hides = |at: usize| hiding.get(at).is_none_or(|hides| *hides);
    for (at, (root, certainty, severity)) in roots.iter().enumerate().filter(|(at, _)| hides(*at)) {
        let reached = consequences(catalogue, root, &roots);
        let mut heaviest = *severity;
        // The weights as measured, so that the answer does not depend on who was looked at first.
        for (other, (id, less, weight)) in findings.iter_mut().zip(&roots) {
            let allowed =
                less <= certainty && (*certainty == Certainty::Confirmed || weight <= severity);
            if allowed && reached.contains(&id.as_str()) {
                heaviest = heaviest.max(*weight);
                other.explained_by.get_or_insert_with(|| root.clone());
            }
        }
        if let Some(root) = findings.get_mut(at) {
            root.severity = heaviest;
        }
    }
}

/// Returns everything that follows from a cause, as far as it was found.
fn consequences<'a>(
    catalogue: &'a Catalogue,
    root: &str,
    found: &[(String, Certainty, Severity)],
) -> Vec<&'a str> {
    let (mut reached, mut open): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut next = catalogue.get(root);
    while let Some(entry) = next {
        let new = entry
            .explains
            .iter()
            .map(String::as_str)
            .filter(|id| !reached.contains(id) && found.iter().any(|(there, ..)| there == id))
            .collect::<Vec<_>>();
        reached.extend(&new);
        open.extend(new);
        next = open.pop().and_then(|id| catalogue.get(id));
    }
    reached
}

#[cfg(test)]
mod tests;
