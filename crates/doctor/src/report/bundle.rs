//! The support bundle: the report as a Markdown text that can be passed on.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Examined, Identifier, Report, Scrubber, Told};
use crate::catalogue::For;
use crate::errors;
use crate::fact::{Key, Value};
use crate::finding::{Certainty, Missing};

/// So many lines of a log are passed on.
const MOST_LINES: usize = 200;

/// Renders a report made at that time. Without `with_identifiers` what names people, devices and places is left out.
pub fn markdown(report: &Report, at: Timestamp, with_identifiers: bool) -> String {
    let names = names(report);
    let text = Text { with_identifiers, scrubber: Scrubber::new(&names) };
    let mut out = String::from("# Lifeboat: report of an examination\n\n");
    line(&mut out, format_args!("- Date: {}", at.strftime("%Y-%m-%d %H:%M UTC")));
    text.head(&mut out, report);
    text.last_run(&mut out, report);
    match &report.primary {
        Some(primary) => {
            out.push_str("\n## The cause\n\n");
            text.told(&mut out, primary);
        }
        None => {
            out.push_str("\n## The cause\n\nNothing was found that keeps a backup from working.\n");
        }
    }
    if !report.also_seen.is_empty() {
        out.push_str("\n## Also seen\n\n");
        for told in &report.also_seen {
            text.told(&mut out, told);
        }
    }
    if !report.fine.is_empty() {
        out.push_str("\n## Looked at, and fine\n\n");
        for fine in &report.fine {
            line(&mut out, format_args!("- {} ({})", fine.about, fine.probe));
        }
    }
    if !report.ruled_out_by_answer.is_empty() {
        out.push_str("\n## Ruled out by an answer\n\n");
        for ruled in &report.ruled_out_by_answer {
            let by: Vec<String> = ruled.by.iter().map(|key| format!("`{key}`")).collect();
            line(&mut out, format_args!("- {} (`{}`): {}", ruled.title, ruled.id, by.join(", ")));
        }
    }
    if !report.open.is_empty() {
        out.push_str("\n## Could not be checked\n\n");
        for open in &report.open {
            line(
                &mut out,
                format_args!("- {} (`{}`): {}", open.title, open.id, text.missing(&open.unknown)),
            );
        }
    }
    if !report.heard.is_empty() {
        out.push_str("\n## The log of the device, while somebody listened\n\n");
        text.log(&mut out, &report.heard);
    }
    text.facts(&mut out, report);
    out
}

/// Returns every name that is known: those that were given, the device's, and what private facts hold (paths have a shape of their own,
/// which takes what follows with them). A log writes the device's name as a name in a network, too.
fn names(report: &Report) -> Vec<Identifier> {
    let device = report.device.iter().flat_map(|device| device.udid.iter().chain(&device.name));
    let mut names: Vec<Identifier> = report.names.iter().chain(device).cloned().collect();
    if let Some(name) = report.device.as_ref().and_then(|device| device.name.as_ref()) {
        let kept = name.reveal().chars().filter(|c| c.is_alphanumeric() || " -".contains(*c));
        names.push(Identifier::new(kept.collect::<String>().replace(' ', "-")));
    }
    names.extend(report.facts.iter().filter_map(|(key, value)| match value {
        Value::Text(text) if key.declared().private && !text.starts_with('/') => {
            Some(Identifier::new(text))
        }
        _ => None,
    }));
    // What one line calls a name of something may stand in another without a word before it.
    let said = &report.run_said;
    let texts = said.error.iter().chain(&said.log).chain(&report.heard).map(String::as_str);
    names.extend(super::labelled::introduced(texts));
    names
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing into a string cannot fail");
}

/// What may be shown.
struct Text {
    with_identifiers: bool,
    scrubber: Scrubber,
}

impl Text {
    fn head(&self, out: &mut String, report: &Report) {
        let concern = match report.concern {
            For::Computer => "a backup to this computer",
            For::Icloud => "iCloud Backup",
        };
        line(out, format_args!("- Examined: {concern}"));
        line(out, format_args!("- Program: {}", report.versions.program));
        line(out, format_args!("- System: {}", self.free(&report.versions.system)));
        if let Some(Examined { udid, name }) = &report.device {
            for (what, identifier) in [("Device", udid), ("Name", name)] {
                if let Some(identifier) = identifier {
                    line(out, format_args!("- {what}: {}", self.identifier(identifier)));
                }
            }
        }
    }

    /// How the last run ended, with what its number means, and what the device's log said.
    fn last_run(&self, out: &mut String, report: &Report) {
        let ran = report.facts.value("job.outcome").filter(|outcome| outcome.is_known());
        if ran.is_none_or(|outcome| outcome.to_string() == "none") {
            return;
        }
        out.push_str("\n## The last run\n\n");
        if let Some(Value::Number(code)) = report.facts.value("job.code")
            && let Some(row) = errors::of_device(*code)
            && *code != 0
        {
            line(out, format_args!("- {domain}/{code}: {}", row.meaning, domain = row.domain));
        }
        let of_run =
            |key: Key| key.as_str().starts_with("job.") || key.as_str().starts_with("log.");
        for (key, value) in
            report.facts.iter().filter(|(key, value)| of_run(*key) && value.is_known())
        {
            let about = key.declared().about.as_str();
            let about = about.split_once(';').map_or(about, |(short, _)| short);
            line(out, format_args!("- {about}: {}", self.value(key, value)));
        }
        if let Some(error) = &report.run_said.error {
            line(out, format_args!("- Its error: {}", self.free(error)));
        }
        if !report.run_said.log.is_empty() {
            out.push_str("\nWhat the log of the device said in its last minute:\n\n");
            self.log(out, &report.run_said.log);
        }
    }

    /// Lines of the device's log, the last ones; each is indented, so that none can be anything but text.
    fn log(&self, out: &mut String, lines: &[String]) {
        let left_out = lines.len().saturating_sub(MOST_LINES);
        if left_out > 0 {
            line(out, format_args!("    ({left_out} lines before)"));
        }
        for said in lines.iter().skip(left_out) {
            line(out, format_args!("    {}", self.free(said)));
        }
    }

    fn told(&self, out: &mut String, told: &Told) {
        let certainty = match told.finding.certainty {
            Certainty::Confirmed => "measured",
            Certainty::Possible => "possible",
            Certainty::Open => "not checked",
            Certainty::RuledOut => "ruled out",
        };
        line(out, format_args!("**{}** (`{}`, {certainty})\n", told.title, told.finding.id));
        for evidence in &told.finding.evidence {
            line(
                out,
                format_args!(
                    "- `{}` is {}",
                    evidence.key,
                    self.value(evidence.key, &evidence.value)
                ),
            );
        }
        if !told.finding.unknown.is_empty() {
            line(out, format_args!("- not known: {}", self.missing(&told.finding.unknown)));
        }
        if !told.consequences.is_empty() {
            line(
                out,
                format_args!("- consequences that were seen: `{}`", told.consequences.join("`, `")),
            );
        }
        if let Some(step) = told.next_step() {
            line(out, format_args!("- next step: `{}`", step.id));
        }
        out.push('\n');
    }

    fn facts(&self, out: &mut String, report: &Report) {
        out.push_str("\n## What was measured\n\n| fact | value |\n|---|---|\n");
        for (key, value) in report.facts.iter() {
            line(out, format_args!("| `{key}` | {} |", cell(&self.value(key, value))));
        }
        out.push_str("\n## Probes\n\n| probe | looks at | ms |\n|---|---|---:|\n");
        for probe in &report.probes {
            line(
                out,
                format_args!("| {} | {} | {} |", probe.id, cell(&probe.about), probe.took_ms),
            );
        }
    }

    fn missing(&self, missing: &[Missing]) -> String {
        let one = |missing: &Missing| {
            format!("`{}` ({})", missing.key, self.free(&missing.why.to_string()))
        };
        missing.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn value(&self, key: Key, value: &Value) -> String {
        match value {
            Value::Text(text) if key.declared().private => self.identifier(&Identifier::new(text)),
            Value::Text(_) | Value::Unknown(_) => self.free(&value.to_string()),
            Value::Word(_) | Value::Flag(_) | Value::Number(_) | Value::AtLeast(_) => {
                value.to_string()
            }
        }
    }

    fn identifier(&self, identifier: &Identifier) -> String {
        if self.with_identifiers { plain(identifier.reveal()) } else { identifier.to_string() }
    }

    /// A text that somebody else wrote.
    fn free(&self, text: &str) -> String {
        if self.with_identifiers { plain(text) } else { plain(&self.scrubber.scrub(text)) }
    }
}

/// Control characters could forge lines, or do things to the terminal of whoever reads it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
