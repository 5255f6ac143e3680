//! A report of the doctor in words: the cause with its evidence, the next step, what else was seen, what is fine, what is not known.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lifeboat_doctor::report::{NotChecked, UNKNOWN};
use lifeboat_doctor::{Certainty, For, Report, Severity, Told, Value};

use super::prose::prose;
use super::text::plain;
use super::{BAD, FAINT, GOOD, HINT, STRONG};

/// How many causes that could not be checked are named for each reason.
const NAMED: usize = 3;

/// Returns the whole report.
pub(crate) fn words(report: &Report) -> String {
    let mut out = String::new();
    match &report.primary {
        Some(primary) if primary.finding.severity > Severity::Note => {
            cause(&mut out, primary);
            next_step(&mut out, primary);
        }
        _ => well(&mut out, report),
    }
    also(&mut out, report);
    fine(&mut out, report);
    open(&mut out, report);
    out
}

fn certainty(told: &Told) -> &'static str {
    match (told.finding.certainty, told.finding.severity) {
        _ if told.finding.id == UNKNOWN => "cause not known",
        (Certainty::Confirmed, Severity::Blocking) => "measured, keeps a backup from coming about",
        (Certainty::Confirmed, Severity::Warning) => "measured, makes a failure likely",
        (Certainty::Confirmed, Severity::Note) => "measured, worth knowing",
        (_, Severity::Blocking) => "possible, would keep a backup from coming about",
        (_, Severity::Warning) => "possible, would make a failure likely",
        (_, Severity::Note) => "possible, worth knowing",
    }
}

fn cause(out: &mut String, told: &Told) {
    let style = if told.finding.severity == Severity::Blocking { BAD } else { STRONG };
    let _ = writeln!(out, "{style}{}{style:#}", told.title);
    let _ = writeln!(out, "  {FAINT}{}  ({}){FAINT:#}", told.finding.id, certainty(told));
    out.push_str(&prose(&told.summary, "  "));
    for seen in &told.finding.evidence {
        let about = seen.key.declared().about.as_str();
        let _ = writeln!(out, "  {STRONG}seen:{STRONG:#} {about}: {}", value(&seen.value));
    }
    for missing in &told.finding.unknown {
        let about = missing.key.declared().about.as_str();
        let why = plain(&missing.why.to_string());
        let _ = writeln!(out, "  {FAINT}not known:{FAINT:#} {about} ({why})");
    }
}

fn value(value: &Value) -> String {
    plain(&value.to_string())
}

fn next_step(out: &mut String, told: &Told) {
    let Some(step) = told.next_step() else {
        let _ = writeln!(
            out,
            "{HINT}next step{HINT:#}\n  Run `lifeboat doctor --ask`: what only you know may decide. \
             `lifeboat doctor --report FILE` writes what was seen into a file to pass on."
        );
        return;
    };
    let _ = writeln!(out, "{HINT}next step{HINT:#}");
    out.push_str(&prose(&step.text, "  "));
    if let Some(action) = told.remedies.iter().find_map(|remedy| remedy.action) {
        let asks =
            told.remedies.iter().any(|remedy| remedy.action == Some(action) && remedy.consent);
        let asks = if asks { " (it asks before)" } else { "" };
        let _ = writeln!(
            out,
            "  {FAINT}`lifeboat doctor --fix`{FAINT:#}{asks}: {}",
            action.about().trim()
        );
    }
    if told.remedies.len() > 1 {
        let _ = writeln!(
            out,
            "  {FAINT}`lifeboat explain {}` has all that can help.{FAINT:#}",
            told.finding.id
        );
    }
}

fn well(out: &mut String, report: &Report) {
    let device = match report.device.as_ref().and_then(|device| device.name.as_ref()) {
        Some(name) => plain(name.reveal()),
        None => "this device".to_owned(),
    };
    let (what, how) = match report.concern {
        For::Computer => (
            format!("Nothing keeps {device} from being backed up to this computer"),
            "lifeboat backup",
        ),
        For::Icloud => (
            format!("Nothing was seen that keeps {device} from backing up to iCloud"),
            "lifeboat doctor --for icloud --ask",
        ),
    };
    let _ = writeln!(out, "{GOOD}{what}{GOOD:#}");
    let _ = writeln!(out, "  {FAINT}next: `{how}`{FAINT:#}");
}

fn also(out: &mut String, report: &Report) {
    let note = report.primary.iter().filter(|told| told.finding.severity == Severity::Note);
    let all: Vec<&Told> = note.chain(&report.also_seen).collect();
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "{STRONG}also seen{STRONG:#}");
    for told in all {
        let seen = told
            .finding
            .evidence
            .first()
            .map(|seen| format!(": {} is {}", seen.key, value(&seen.value)));
        let _ = writeln!(
            out,
            "  {}  {FAINT}{} ({}{}){FAINT:#}",
            told.title,
            told.finding.id,
            certainty(told),
            seen.unwrap_or_default()
        );
    }
}

fn fine(out: &mut String, report: &Report) {
    if report.fine.is_empty() {
        return;
    }
    let about: Vec<&str> = report.fine.iter().map(|fine| fine.about.as_str()).collect();
    let _ = writeln!(out, "{STRONG}checked, and fine{STRONG:#}");
    out.push_str(&prose(&about.join(" · "), "  "));
}

fn open(out: &mut String, report: &Report) {
    if report.open.is_empty() {
        return;
    }
    let mut by_reason: BTreeMap<String, Vec<&NotChecked>> = BTreeMap::new();
    for open in &report.open {
        let why = open.unknown.first().map(|missing| missing.why.to_string()).unwrap_or_default();
        by_reason.entry(why).or_default().push(open);
    }
    let _ = writeln!(out, "{STRONG}could not be checked{STRONG:#}");
    for (why, causes) in by_reason {
        let mut titles: Vec<&str> =
            causes.iter().take(NAMED).map(|open| open.title.as_str()).collect();
        let more = format!("and {} more (`--json` names them)", causes.len().saturating_sub(NAMED));
        if causes.len() > NAMED {
            titles.push(&more);
        }
        out.push_str(&prose(&format!("{}: {}", plain(&why), titles.join(" · ")), "  "));
    }
}
