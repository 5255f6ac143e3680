//! The report of one examination: plain data, which terminal, page and `--json` only read, and a Markdown text to pass on.

mod answered;
mod bundle;
mod identifier;
mod labelled;
mod number;
mod shapes;

use serde::Serialize;

use crate::catalogue::{Catalogue, For};
use crate::fact::{Facts, Key, Value, Why};
use crate::finding::{Certainty, Diagnosis, Finding, Missing, diagnose};
use crate::remedy::Remedy;

pub use bundle::markdown;
pub use identifier::{Identifier, Scrubber};
pub use shapes::scrubbed;

/// The id of the primary cause where a run failed and nothing was found.
pub const UNKNOWN: &str = "unknown";

/// The cause that says that a backup is not whole.
const LEFT_BEHIND: &str = "backup/not-finished";

/// How one probe went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeRun {
    /// Its id, such as `P09`.
    pub id: String,
    /// What it looks at, in a few words that can stand after "checked:".
    pub about: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The keys that it tells; the first is what it is about.
    pub tells: Vec<Key>,
}

/// The device that was examined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Its UDID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udid: Option<Identifier>,
    /// The name that the person gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Identifier>,
}

/// What examined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// This program's version.
    pub program: String,
    /// The operating system of this computer, with its version where known.
    pub system: String,
}

/// A finding with everything that a person is told about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The finding: cause, certainty, evidence.
    #[serde(flatten)]
    pub finding: Finding,
    /// The cause's title.
    pub title: String,
    /// What it is.
    pub summary: String,
    /// What helps, in the order in which to try it.
    pub remedies: Vec<Remedy>,
    /// What else was found and is only a consequence of it: ids.
    pub consequences: Vec<String>,
}

impl Told {
    /// Returns the one next step: the first remedy.
    pub fn next_step(&self) -> Option<&Remedy> {
        self.remedies.first()
    }
}

/// A cause that could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotChecked {
    /// The cause.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What is not known.
    pub unknown: Vec<Missing>,
}

/// A cause that an answer of the person ruled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The cause.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The answers that speak against it: keys.
    pub by: Vec<Key>,
}

/// Something that was looked at and is fine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fine {
    /// The probe.
    pub probe: String,
    /// What it looked at.
    pub about: String,
}

/// What is needed to make a report.
#[derive(Debug)]
pub struct Examination {
    /// Which kind of backup the doctor was asked about.
    pub concern: For,
    /// What is known.
    pub facts: Facts,
    /// How the probes went.
    pub probes: Vec<ProbeRun>,
    /// The device, where there is one.
    pub device: Option<Examined>,
    /// What examined.
    pub versions: Versions,
    /// A run failed before: there must be a primary cause, and be it `unknown`.
    pub failed_run: bool,
}

/// What the last run left in words of others, for the text that is passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSaid {
    /// The text of its error.
    pub error: Option<String>,
    /// What the device's log said in its last minute, as far as the patterns know it.
    pub log: Vec<String>,
}

/// Everything about one examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of this form: 1.
    pub format: u32,
    /// Which kind of backup it is about.
    #[serde(rename = "for")]
    pub concern: For,
    /// The one primary cause.
    pub primary: Option<Told>,
    /// What else was seen and stands for itself.
    pub also_seen: Vec<Told>,
    /// All findings, consequences among them, the most important first.
    pub findings: Vec<Finding>,
    /// What was looked at and is fine.
    pub fine: Vec<Fine>,
    /// What an answer of the person ruled out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ruled_out_by_answer: Vec<Answered>,
    /// What could not be checked.
    pub open: Vec<NotChecked>,
    /// The facts.
    pub facts: Facts,
    /// How the probes went.
    pub probes: Vec<ProbeRun>,
    /// The device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Examined>,
    /// What examined.
    pub versions: Versions,
    /// What names the person, the device and this computer, for the text that is passed on to leave out; whoever makes a report
    /// fills it in.
    #[serde(skip)]
    pub names: Vec<Identifier>,
    /// What the last run said itself; whoever makes a report fills it in.
    #[serde(skip)]
    pub run_said: RunSaid,
    /// What the device's log said while somebody listened; whoever makes a report fills it in.
    #[serde(skip)]
    pub heard: Vec<String>,
}

impl Report {
    /// Diagnoses, and puts together what is told.
    pub fn new(catalogue: &Catalogue, examination: Examination) -> Self {
        let Examination { concern, facts, probes, device, versions, failed_run } = examination;
        let mut diagnosis = diagnose(catalogue, &facts, concern);
        let has_none = |diagnosis: &Diagnosis| {
            let own = |found: &&Finding| found.explained_by.is_none() && !is_left_behind(found);
            diagnosis
                .findings
                .iter()
                .find(own)
                .is_none_or(|first| first.severity < crate::Severity::Warning)
        };
        if failed_run && has_none(&diagnosis) {
            number::add_named(catalogue, &facts, concern, &mut diagnosis);
        }
        let nothing = has_none(&diagnosis);
        let ruled_out_by_answer = answered::ruled_out(catalogue, &facts, concern, &diagnosis);
        if failed_run {
            behind_reasons(&mut diagnosis.findings);
        }
        let fine = fine(&diagnosis, &facts, &probes);
        let mut told: Vec<Told> = diagnosis
            .findings
            .iter()
            .filter(|finding| finding.explained_by.is_none())
            .map(|finding| told(catalogue, &diagnosis, finding))
            .collect();
        if failed_run && nothing {
            told.insert(0, unknown(&facts));
        }
        let mut told = told.into_iter();
        let primary = told.next();
        let also_seen = told.collect();
        let open = diagnosis
            .open
            .into_iter()
            .map(|open| NotChecked {
                title: title(catalogue, &open.id),
                id: open.id,
                unknown: open.unknown,
            })
            .collect();
        let findings = diagnosis.findings;
        Self {
            format: 1,
            concern,
            primary,
            also_seen,
            findings,
            fine,
            ruled_out_by_answer,
            open,
            facts,
            probes,
            device,
            versions,
            names: Vec::new(),
            run_said: RunSaid::default(),
            heard: Vec::new(),
        }
    }

    /// Returns why the device could not be asked; nothing where it could. What is told then stands on less than it seems.
    pub fn device_not_asked(&self) -> Option<&Why> {
        match self.facts.value("pairing.state") {
            Some(Value::Unknown(why)) => Some(why),
            Some(_) => None,
            None => Some(&Why::NotLooked),
        }
    }

    /// Returns whether a confirmed finding keeps a backup from coming about.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| {
            finding.certainty == Certainty::Confirmed
                && finding.severity == crate::Severity::Blocking
        })
    }
}

fn title(catalogue: &Catalogue, id: &str) -> String {
    catalogue.get(id).map_or_else(|| id.to_owned(), |entry| entry.title.clone())
}

fn told(catalogue: &Catalogue, diagnosis: &Diagnosis, finding: &Finding) -> Told {
    let entry = catalogue.get(&finding.id);
    Told {
        finding: finding.clone(),
        title: title(catalogue, &finding.id),
        summary: entry.map(|entry| entry.summary.clone()).unwrap_or_default(),
        remedies: entry.map(|entry| entry.remedies.clone()).unwrap_or_default(),
        consequences: consequences(diagnosis, &finding.id),
    }
}

/// Whether a finding is only what a failed run leaves behind: no reason why it failed.
fn is_left_behind(finding: &Finding) -> bool {
    finding.id == LEFT_BEHIND
        && finding.evidence.iter().all(|seen| seen.key.as_str() == "existing.state")
}

/// Puts what a failed run left behind after everything that may be the reason why it failed.
fn behind_reasons(findings: &mut [Finding]) {
    // Stable: all else stays in its order.
    findings
        .sort_by_key(|found| (found.severity < crate::Severity::Warning, is_left_behind(found)));
}

/// Returns what is explained by a cause, and by what it explains.
fn consequences(diagnosis: &Diagnosis, root: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut roots = vec![root];
    while let Some(root) = roots.pop() {
        for finding in &diagnosis.findings {
            if finding.explained_by.as_deref() == Some(root) && !found.contains(&finding.id) {
                found.push(finding.id.clone());
                roots.push(&finding.id);
            }
        }
    }
    found
}

/// Returns the primary cause of a failed run about which nothing was found; a number that the device gave is told, with what asks about
/// it.
fn unknown(facts: &Facts) -> Told {
    const NOTHING: &str =
        "Everything that was looked at is fine, or could not be looked at; both are listed below.";
    let number = number::number(facts);
    let title = match number {
        Some(code) => format!(
            "The backup failed with MBErrorDomain {code}, and nothing that could be measured says why"
        ),
        None => "The backup failed, and nothing that could be measured says why".to_owned(),
    };
    let summary = match number {
        Some(code) => {
            let meaning = number::row(code).map_or_else(
                || "Nobody has described this number".to_owned(),
                |row| row.meaning.clone(),
            );
            format!("{meaning}. `lifeboat explain {code}` tells what is known of it. {NOTHING}")
        }
        None => NOTHING.to_owned(),
    };
    Told {
        finding: Finding {
            id: UNKNOWN.to_owned(),
            certainty: Certainty::Possible,
            severity: crate::Severity::Blocking,
            evidence: Vec::new(),
            unknown: Vec::new(),
            explained_by: None,
        },
        title,
        summary,
        remedies: Vec::new(),
        consequences: Vec::new(),
    }
}

/// Returns the probes that saw what they are about (the first key of theirs) and nothing that is bad or speaks for a cause.
fn fine(diagnosis: &Diagnosis, facts: &Facts, probes: &[ProbeRun]) -> Vec<Fine> {
    let suspicious = |key: &Key| {
        diagnosis.findings.iter().flat_map(|found| &found.evidence).any(|seen| seen.key == *key)
    };
    let well = |key: &Key| facts.get(*key).is_some_and(|value| key.declared().is_well(value));
    let bad = |key: &Key| facts.get(*key).is_some_and(Value::is_known) && !well(key);
    probes
        .iter()
        .filter(|probe| {
            probe.tells.first().is_some_and(well)
                && !probe.tells.iter().any(|key| suspicious(key) || bad(key))
        })
        .map(|probe| Fine { probe: probe.id.clone(), about: probe.about.clone() })
        .collect()
}

#[cfg(test)]
mod tests;
