//! A report of the doctor in words: the cause with its evidence, the next step, what else was seen, what is fine, what is not known.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lifeboat_doctor::fact::Kind;
use lifeboat_doctor::finding::Evidence;
use lifeboat_doctor::report::{NotChecked, UNKNOWN};
use lifeboat_doctor::{Certainty, For, Key, Report, Severity, Told, Value, Why};

use super::prose::prose;
use super::text::{bytes, plain};
use super::{BAD, FAINT, GOOD, HINT, STRONG, Ui};

/// How many causes that could not be checked are named for each reason.
const NAMED: usize = 3;

/// Returns the whole report.
pub(crate) fn words(report: &Report, ui: Ui) -> String {
    let mut page = Page { out: String::new(), width: ui.width };
    match &report.primary {
        Some(primary) if primary.finding.severity > Severity::Note => {
            page.cause(primary);
            page.next_step(primary);
        }
        _ => page.well(report),
    }
    page.also(report);
    page.fine(report);
    page.open(report);
    page.out
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

/// What a fact is about: of its description what stands before the first semicolon.
fn about(key: Key) -> &'static str {
    let about = key.declared().about.as_str();
    about.split_once(';').map_or(about, |(short, _)| short)
}

/// A value as people write it: with its unit, sizes rounded.
fn value(seen: &Evidence) -> String {
    let declared = seen.key.declared();
    let (Kind::Number { unit }, Value::Number(number) | Value::AtLeast(number)) =
        (&declared.kind, &seen.value)
    else {
        return plain(&seen.value.to_string());
    };
    let least = if matches!(seen.value, Value::AtLeast(_)) { "at least " } else { "" };
    match u64::try_from(*number) {
        Ok(size) if unit == "bytes" => format!("{least}{}", bytes(size)),
        // As `lifeboat explain` takes it.
        _ if unit.ends_with("Domain") => format!("{unit}/{number}"),
        // "Days since …: 25" says its unit already.
        _ if unit.is_empty() || declared.about.to_lowercase().contains(&unit.to_lowercase()) => {
            format!("{least}{number}")
        }
        _ => format!("{least}{number} {unit}"),
    }
}

/// Why something is not known, as people say it.
fn reason(why: &Why) -> String {
    match why {
        Why::NotThere(text) => plain(text),
        Why::NotAnswered => "only you know it (`lifeboat doctor --ask`)".to_owned(),
        why => plain(&why.to_string()),
    }
}

/// What is written.
struct Page {
    out: String,
    width: usize,
}

impl Page {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{text}");
    }

    fn prose(&mut self, text: &str, indent: &str) {
        self.out.push_str(&prose(text, indent, self.width));
    }

    /// A text behind a word that says what it is; further lines stand below it.
    fn labelled(&mut self, label: &str, style: anstyle::Style, text: &str) {
        let indent = "    ";
        let wrapped = prose(&format!("{label} {text}"), indent, self.width);
        let first = wrapped.strip_prefix(indent).and_then(|rest| rest.strip_prefix(label));
        match first {
            Some(rest) => {
                let _ = write!(self.out, "  {style}{label}{style:#}{rest}");
            }
            // A label that does not fit into a line.
            None => self.prose(&format!("{label} {text}"), "  "),
        }
    }

    fn cause(&mut self, told: &Told) {
        let style = if told.finding.severity == Severity::Blocking { BAD } else { STRONG };
        self.line(format_args!("{style}{}{style:#}", told.title));
        self.line(format_args!("  {FAINT}{}  ({}){FAINT:#}", told.finding.id, certainty(told)));
        self.prose(&told.summary, "  ");
        for seen in &told.finding.evidence {
            self.labelled("seen:", STRONG, &format!("{}: {}", about(seen.key), value(seen)));
        }
        for missing in &told.finding.unknown {
            let (about, why) = (about(missing.key), reason(&missing.why));
            self.labelled("not known:", FAINT, &format!("{about} ({why})"));
        }
    }

    fn next_step(&mut self, told: &Told) {
        self.line(format_args!("{HINT}next step{HINT:#}"));
        let Some(step) = told.next_step() else {
            return self.prose(
                "Run `lifeboat doctor --ask`: what only you know may decide. `lifeboat doctor --report FILE` writes what was \
                 seen into a file to pass on.",
                "  ",
            );
        };
        self.prose(&step.text, "  ");
        let doer = told.remedies.iter().find_map(|remedy| Some((remedy, remedy.action?)));
        if let Some((remedy, action)) = doer {
            let asks = if remedy.consent { ", after asking you," } else { "" };
            let does = match action.about().trim() {
                _ if remedy == step => {
                    format!("does it{asks} and looks whether it helped.")
                }
                about => format!("does what the program can do{asks} and looks again: {about}"),
            };
            self.labelled("`lifeboat doctor --fix`", FAINT, &does);
        }
        if told.remedies.len() > 1 {
            let command = format!("`lifeboat explain {}`", told.finding.id);
            self.labelled(&command, FAINT, "has all that can help.");
        }
    }

    /// Nothing was found: all is well where the device could be asked.
    fn well(&mut self, report: &Report) {
        if !report.facts.is("device.answers", "yes") {
            return self.nobody();
        }
        if let Some(why) = report.device_not_asked() {
            return self.not_asked(why);
        }
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
        self.line(format_args!("{GOOD}{what}{GOOD:#}"));
        self.line(format_args!("  {FAINT}next: `{how}`{FAINT:#}"));
    }

    /// Nothing was found because there was nobody to look at: that is no good news.
    fn nobody(&mut self) {
        self.line(format_args!("{STRONG}No iPhone could be looked at{STRONG:#}"));
        self.prose("Connect it with a cable, unlock it, and run `lifeboat doctor` again.", "  ");
    }

    fn not_asked(&mut self, why: &Why) {
        self.line(format_args!(
            "{STRONG}Nothing bad was seen, but the device could not be asked{STRONG:#}"
        ));
        self.labelled("not known:", FAINT, &reason(why));
        self.line(format_args!(
            "  {FAINT}next: unlock the device, take the cable out and put it in again, then `lifeboat doctor`{FAINT:#}"
        ));
    }

    fn also(&mut self, report: &Report) {
        let note = report.primary.iter().filter(|told| told.finding.severity == Severity::Note);
        let all: Vec<&Told> = note.chain(&report.also_seen).collect();
        if all.is_empty() {
            return;
        }
        self.line(format_args!("{STRONG}also seen{STRONG:#}"));
        for told in all {
            self.prose(&told.title, "  ");
            self.line(format_args!(
                "    {FAINT}{}  ({}){FAINT:#}",
                told.finding.id,
                certainty(told)
            ));
            if let Some(seen) = told.finding.evidence.first() {
                self.prose(&format!("{}: {}", about(seen.key), value(seen)), "    ");
            }
        }
    }

    fn fine(&mut self, report: &Report) {
        if report.fine.is_empty() {
            return;
        }
        let about: Vec<&str> = report.fine.iter().map(|fine| fine.about.as_str()).collect();
        self.line(format_args!("{STRONG}checked, and fine{STRONG:#}"));
        self.prose(&about.join(" · "), "  ");
    }

    fn open(&mut self, report: &Report) {
        if report.open.is_empty() {
            return;
        }
        let mut by_reason: BTreeMap<String, Vec<&NotChecked>> = BTreeMap::new();
        for open in &report.open {
            let why = open.unknown.first().map(|missing| reason(&missing.why));
            by_reason.entry(why.unwrap_or_default()).or_default().push(open);
        }
        self.line(format_args!("{STRONG}could not be checked{STRONG:#}"));
        for (why, causes) in by_reason {
            let mut titles: Vec<&str> =
                causes.iter().take(NAMED).map(|open| open.title.as_str()).collect();
            let more =
                format!("and {} more (`--json` names them)", causes.len().saturating_sub(NAMED));
            if causes.len() > NAMED {
                titles.push(&more);
            }
            self.labelled(&format!("{why}:"), FAINT, &titles.join(" · "));
        }
    }
}
