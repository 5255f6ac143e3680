//! A report of the doctor in words: the cause with its evidence, the next step, what else was seen, what is fine, what is not known.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lifeboat_doctor::fact::Kind;
use lifeboat_doctor::finding::Evidence;
use lifeboat_doctor::report::{NotChecked, UNKNOWN};
use lifeboat_doctor::{
    Action, Catalogue, Certainty, Facts, For, Key, Report, Severity, Told, Value, Why,
};

use super::prose::{beside, prose};
use super::text::{bytes, plain};
use super::{BAD, FAINT, GOOD, HINT, STRONG, Ui};

/// How many causes that could not be checked are named where not everything is told.
const NAMED: usize = 3;

/// What was tried about a cause in this very run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried<'a> {
    /// What the program did.
    pub(crate) action: Action,
    /// Why it could not be done.
    pub(crate) failed: Option<&'a str>,
}

/// Returns the whole report.
pub(crate) fn words(report: &Report, ui: Ui) -> String {
    words_after(report, ui, &[])
}

/// Returns the whole report after something was tried: that is no next step any more.
pub(crate) fn words_after(report: &Report, ui: Ui, tried: &[Tried<'_>]) -> String {
    let mut page = Page { out: String::new(), width: ui.width, verbose: ui.verbose };
    match &report.primary {
        Some(primary) if primary.finding.severity > Severity::Note => {
            page.cause(primary, report);
            page.next_step(primary, report.concern, tried);
        }
        _ => page.well(report),
    }
    page.also(report);
    page.fine(report);
    page.answered(report);
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
        _ if unit.is_empty() || says(&declared.about, unit) => format!("{least}{number}"),
        _ => format!("{least}{number} {unit}"),
    }
}

/// Whether a text has these words, as words: every text has an "s", and "computer's" is one word.
fn says(text: &str, words: &str) -> bool {
    let plain = |text: &str| {
        let words =
            text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
        format!(" {} ", words.collect::<Vec<_>>().join(" ").to_lowercase())
    };
    plain(text).contains(&plain(words))
}

/// What speaks for a cause, and the names that stand behind it.
fn evidence(seen: &Evidence, facts: &Facts) -> Vec<String> {
    let names = facts.names_behind(seen.key);
    let names = names.map(|(key, name)| format!("{}: {}", about(key), plain(&name.to_string())));
    std::iter::once(format!("{}: {}", about(seen.key), value(seen))).chain(names).collect()
}

/// Whether the person answered something already.
fn was_asked(facts: &Facts) -> bool {
    facts.iter().any(|(key, value)| key.declared().ask && value.is_known())
}

/// Whether somebody was asked about a cause and gave no answer that can be used: what is not there to be seen is no such thing.
fn is_unreadable(open: &NotChecked) -> bool {
    let unreadable = |why: &Why| matches!(why, Why::Garbled(_) | Why::TimedOut | Why::Blinded);
    open.unknown.iter().any(|missing| unreadable(&missing.why))
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
    verbose: bool,
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

    /// A line in a style; a long one is wrapped.
    fn styled(&mut self, style: anstyle::Style, text: &str) {
        let wrapped = prose(text, "", self.width);
        self.line(format_args!("{style}{}{style:#}", wrapped.trim_end()));
    }

    /// The name of a cause, and how certain it is.
    fn named(&mut self, told: &Told, indent: &str) {
        let certainty = format!("({})", certainty(told));
        self.out.push_str(&beside(&told.finding.id, FAINT, &certainty, indent, self.width));
    }

    /// What was found and is only a consequence: it is no step of its own, and may still be what somebody looks for.
    fn consequences(&mut self, told: &Told, report: &Report, indent: &str) {
        for id in &told.consequences {
            let Some(finding) = report.findings.iter().find(|finding| finding.id == *id) else {
                continue;
            };
            let title = Catalogue::builtin().get(id).map_or(id.as_str(), |entry| &entry.title);
            let seen = finding.evidence.iter().flat_map(|seen| evidence(seen, &report.facts));
            let seen: Vec<String> = seen.collect();
            let seen =
                if seen.is_empty() { String::new() } else { format!(" ({})", seen.join("; ")) };
            self.prose(&format!("and what follows from it: {title}{seen}"), indent);
        }
    }

    fn cause(&mut self, told: &Told, report: &Report) {
        let style = if told.finding.severity == Severity::Blocking { BAD } else { STRONG };
        self.styled(style, &told.title);
        self.named(told, "  ");
        self.prose(&told.summary, "  ");
        for seen in &told.finding.evidence {
            for text in evidence(seen, &report.facts) {
                self.labelled("seen:", STRONG, &text);
            }
        }
        for missing in &told.finding.unknown {
            let (about, why) = (about(missing.key), reason(&missing.why));
            self.labelled("not known:", FAINT, &format!("{about} ({why})"));
        }
        self.consequences(told, report, "  ");
    }

    fn next_step(&mut self, told: &Told, concern: For, tried: &[Tried<'_>]) {
        let of = |action: Action| tried.iter().rev().find(|tried| tried.action == action);
        for remedy in &told.remedies {
            let failed = remedy.action.and_then(of).and_then(|tried| tried.failed);
            if let Some((action, why)) = remedy.action.zip(failed) {
                let about = action.about_for(concern).trim().trim_end_matches('.');
                self.labelled("not done:", BAD, &format!("{about}: {}", plain(why)));
            }
        }
        self.line(format_args!("{HINT}next step{HINT:#}"));
        let mut left =
            told.remedies.iter().filter(|remedy| remedy.action.and_then(of).is_none()).peekable();
        let Some(step) = left.peek().copied() else {
            let first = if told.remedies.is_empty() {
                "Run `lifeboat doctor --ask`: what only you know may decide.".to_owned()
            } else {
                let id = &told.finding.id;
                format!(
                    "What the program can do was tried. `lifeboat explain {id}` has all that can help."
                )
            };
            let pass_on =
                "`lifeboat doctor --report FILE` writes what was seen into a file to pass on.";
            return self.prose(&format!("{first} {pass_on}"), "  ");
        };
        self.prose(&step.text, "  ");
        let doer = left.find_map(|remedy| Some((remedy, remedy.action?)));
        if let Some((remedy, action)) = doer {
            let asks = if remedy.consent { ", after asking you," } else { "" };
            let does = match action.about_for(concern).trim() {
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
            For::Computer if report.open.iter().any(is_unreadable) => (
                format!(
                    "Nothing was seen that keeps {device} from being backed up to this computer; {} things could not be checked",
                    report.open.len()
                ),
                "lifeboat backup",
            ),
            For::Computer => (
                format!("Nothing keeps {device} from being backed up to this computer"),
                "lifeboat backup",
            ),
            For::Icloud => (
                format!("Nothing was seen that keeps {device} from backing up to iCloud"),
                // Nobody is asked twice: then the device itself is.
                if was_asked(&report.facts) {
                    "lifeboat doctor --for icloud --listen 300"
                } else {
                    "lifeboat doctor --for icloud --ask"
                },
            ),
        };
        self.styled(GOOD, &what);
        self.labelled("next:", FAINT, &format!("`{how}`"));
        if how.contains("--listen") {
            self.prose("While it listens, tap Back Up Now on the iPhone.", "  ");
        }
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
            self.named(told, "    ");
            let first = told.finding.evidence.first();
            for text in first.iter().flat_map(|seen| evidence(seen, &report.facts)) {
                self.prose(&text, "    ");
            }
            self.consequences(told, report, "    ");
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

    fn answered(&mut self, report: &Report) {
        if report.ruled_out_by_answer.is_empty() {
            return;
        }
        let titles = report.ruled_out_by_answer.iter().map(|ruled| ruled.title.as_str());
        self.line(format_args!("{STRONG}ruled out by your answer{STRONG:#}"));
        self.prose(&titles.collect::<Vec<_>>().join(" · "), "  ");
    }

    fn open(&mut self, report: &Report) {
        if report.open.is_empty() {
            return;
        }
        self.line(format_args!("{STRONG}could not be checked{STRONG:#}"));
        if self.verbose {
            return self.open_with_reasons(report);
        }
        let named = report.open.iter().take(NAMED).map(|open| open.title.as_str());
        let mut titles: Vec<&str> = named.collect();
        let more = format!("and {} more", report.open.len().saturating_sub(NAMED));
        if report.open.len() > NAMED {
            titles.push(&more);
        }
        self.prose(&format!("{} (`-v` says why)", titles.join(" · ")), "  ");
    }

    fn open_with_reasons(&mut self, report: &Report) {
        let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for open in &report.open {
            let why = open.unknown.first().map(|missing| reason(&missing.why));
            by_reason.entry(why.unwrap_or_default()).or_default().push(&open.title);
        }
        for (why, titles) in by_reason {
            self.labelled(&format!("{why}:"), FAINT, &titles.join(" · "));
        }
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_doctor::report::markdown;
    use lifeboat_doctor::{Examination, Versions, diagnose};

    use super::*;

    fn report(concern: For, told: &[(&str, Value)]) -> Report {
        let mut facts = Facts::new();
        for (key, value) in told {
            facts.tell(key, value.clone());
        }
        let examination = Examination {
            concern,
            facts,
            probes: Vec::new(),
            device: None,
            versions: Versions::default(),
            failed_run: false,
        };
        Report::new(Catalogue::builtin(), examination)
    }

    fn page(report: &Report, verbose: bool) -> String {
        let ui = Ui::new(false, false, true).with(Some("80"), verbose);
        anstream::adapter::strip_str(&words(report, ui)).to_string()
    }

    /// The person is told the name of what is in the way; who gets the report is not.
    #[test]
    fn names_stand_below_their_evidence_and_not_in_the_report() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (concern, key, value, name, said) in [
            (For::Computer, "log.crash", Value::Flag(true), "log.crash-path", "Media/Secret.app"),
            (
                For::Computer,
                "host.other-program",
                Value::Flag(true),
                "host.other-program-name",
                "iMazing",
            ),
            (
                For::Computer,
                "storage.available",
                Value::Number(300_000_000),
                "apps.biggest",
                "Maps 2.1 GB",
            ),
            (
                For::Icloud,
                "network.dns",
                Value::Word("filtered".to_owned()),
                "network.filtered-hosts",
                "gateway.icloud.com",
            ),
            (
                For::Icloud,
                "network.tls",
                Value::Word("foreign-issuer".to_owned()),
                "network.issuer",
                "Acme Proxy CA",
            ),
        ] {
            let report = report(concern, &[(key, value), (name, text(said))]);
            assert!(!diagnose(Catalogue::builtin(), &report.facts, concern).findings.is_empty());
            let page = page(&report, false);
            assert!(page.contains(said), "{page}");
            let private = Key::find(name).unwrap().declared().private;
            let passed_on = markdown(&report, jiff::Timestamp::UNIX_EPOCH, false);
            assert_eq!(!passed_on.contains(said), private, "{name}");
        }
    }

    #[test]
    fn what_could_not_be_checked_is_a_line_and_whole_where_everything_is_told() {
        let report = report(For::Computer, &[("device.answers", Value::Word("yes".to_owned()))]);
        assert!(report.open.len() > 5);
        let rest = |verbose| {
            let page = page(&report, verbose);
            page.split_once("could not be checked\n").unwrap().1.to_owned()
        };
        assert!(rest(false).lines().count() <= 4, "{}", rest(false));
        assert!(rest(false).contains("more (`-v` says why)"), "{}", rest(false));
        let whole = rest(true).split_whitespace().collect::<Vec<_>>().join(" ");
        for open in &report.open {
            assert!(whole.contains(&open.title), "{}: {whole}", open.title);
        }
    }

    #[test]
    fn what_an_answer_rules_out_stands_under_its_own_head() {
        let answer = ("answer.icloud-storage", Value::Word("room".to_owned()));
        let error = ("icloud.error", "none".into());
        let report = report(For::Icloud, &[("device.answers", "yes".into()), error, answer]);
        let page = page(&report, true).split_whitespace().collect::<Vec<_>>().join(" ");
        let (ruled, open) = page.split_once("could not be checked").unwrap();
        let (_, ruled) = ruled.split_once("ruled out by your answer").expect("a head of its own");
        let title = &Catalogue::builtin().get("icloud/storage-full").unwrap().title;
        assert!(ruled.contains(title) && !open.contains(title), "{page}");
    }

    /// Where the place fails is said with its name, and what the system said of it; who gets the report learns the second.
    #[test]
    fn a_place_that_fails_is_named_on_the_screen_and_not_in_the_report() {
        let text = |text: &str| Value::Text(text.to_owned());
        let path = || ("destination.path", text("/srv/annas disk"));
        // Little room, a rename that does not work, and files that are too large are of that place, too.
        for (key, word) in [
            ("destination.room", "full"),
            ("destination.rename", "broken"),
            ("destination.file-limit", "4-gib"),
        ] {
            let report = report(For::Computer, &[(key, word.into()), path()]);
            let page = page(&report, false);
            assert!(page.contains("The place: /srv/annas disk"), "{key}: {page}");
        }
        let well = report(For::Computer, &[("destination.room", "enough".into()), path()]);
        assert!(!page(&well, true).contains("anna"), "a place that is well needs no name");
        let report = report(
            For::Computer,
            &[
                ("destination.state", "read-only".into()),
                path(),
                ("destination.said", text("Read-only file system (30)")),
            ],
        );
        let page = page(&report, false).split_whitespace().collect::<Vec<_>>().join(" ");
        for said in ["The place: /srv/annas disk", "there: Read-only file system (30)"] {
            assert!(page.contains(said), "{page}");
        }
        let passed_on = markdown(&report, jiff::Timestamp::UNIX_EPOCH, false);
        assert!(passed_on.contains("| `destination.path` | (left out) |"), "{passed_on}");
        assert!(passed_on.contains("Read-only file system (30)"), "{passed_on}");
        assert!(!passed_on.contains("anna"), "{passed_on}");
        assert!(markdown(&report, jiff::Timestamp::UNIX_EPOCH, true).contains("/srv/annas disk"));
    }

    /// What `--fix` has just done, or could not do, is no next step any more; why it could not is told.
    #[test]
    fn what_was_tried_is_not_advised_again() {
        let report = report(For::Computer, &[("existing.state", "corrupt".into())]);
        let primary = report.primary.as_ref().unwrap();
        assert_eq!(primary.finding.id, "backup/existing-broken");
        let actions: Vec<Action> =
            primary.remedies.iter().filter_map(|remedy| remedy.action).collect();
        assert!(actions.len() > 1, "{actions:?}");
        let ui = Ui::new(false, false, true).with(Some("80"), false);
        let after = |tried: &[Tried<'_>]| {
            let page = anstream::adapter::strip_str(&words_after(&report, ui, tried)).to_string();
            page.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let before = after(&[]);
        assert!(before.contains("`lifeboat doctor --fix`"), "{before}");
        assert_eq!(before, page(&report, false).split_whitespace().collect::<Vec<_>>().join(" "));
        // One was done: the next one is what is left.
        let first = Tried { action: actions[0], failed: None };
        let one = after(&[first]);
        assert!(!one.contains(actions[0].about().trim()), "{one}");
        assert!(one.contains("`lifeboat doctor --fix`") && !one.contains("not done:"), "{one}");
        let failed = Some("the device reported an error");
        let rest = actions[1..].iter().map(|action| Tried { action: *action, failed });
        let all = after(&std::iter::once(first).chain(rest).collect::<Vec<_>>());
        assert!(!all.contains("--fix"), "{all}");
        assert!(all.contains("not done:") && all.contains("the device reported an error"), "{all}");
        assert!(all.contains("next step"), "{all}");
    }

    #[test]
    fn a_unit_is_left_out_only_where_the_text_has_it_as_a_word() {
        let skew = report(For::Computer, &[("clock.host-skew", Value::Number(86_400))]);
        assert!(page(&skew, false).contains("86400 s"), "{}", page(&skew, false));
        assert!(says("Days since the last backup", "days") && !says("true time, either way", "s"));
    }

    #[test]
    fn what_follows_from_a_cause_stands_below_it() {
        let seen = [("usb.hubs", 1.into()), ("usb.errors", 9.into()), ("usb.speed", 12.into())];
        let report = report(For::Computer, &seen);
        let hidden = report.findings.iter().find(|finding| finding.id == "bus/bad-cable").unwrap();
        assert_eq!(hidden.explained_by.as_deref(), Some("bus/hub-or-weak-port"));
        let page = page(&report, false).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains("and what follows from it: The cable is probably bad"), "{page}");
        assert!(page.contains("12 Mbit/s"), "{page}");
    }

    #[test]
    fn answers_without_sense_make_no_healthy_device() {
        let well = [
            ("device.answers", Value::Word("yes".to_owned())),
            ("pairing.state", Value::Word("trusted".to_owned())),
        ];
        let fine = page(&report(For::Computer, &well), false);
        assert!(fine.contains("Nothing keeps this device"), "{fine}");
        let garbled = ("storage.available", Value::Unknown(Why::Garbled("a text".to_owned())));
        let report = report(For::Computer, &[well[0].clone(), well[1].clone(), garbled]);
        let page = page(&report, false).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains("Nothing was seen that keeps this device"), "{page}");
        let open = format!("{} things could not be checked", report.open.len());
        assert!(page.contains(&open), "{page}");
    }

    #[test]
    fn who_answered_is_not_sent_to_the_questions_again() {
        let answers = ("device.answers", Value::Word("yes".to_owned()));
        let trusted = ("pairing.state", Value::Word("trusted".to_owned()));
        let answered = ("answer.icloud-storage", Value::Word("room".to_owned()));
        let before = page(&report(For::Icloud, &[answers.clone(), trusted.clone()]), false);
        assert!(before.contains("next: `lifeboat doctor --for icloud --ask`"), "{before}");
        let after = page(&report(For::Icloud, &[answers, trusted, answered]), false);
        assert!(after.contains("next: `lifeboat doctor --for icloud --listen 300`"), "{after}");
        assert!(after.contains("Back Up Now"), "{after}");
    }

    #[test]
    fn a_report_fits_the_columns_that_somebody_says() {
        let report = report(For::Computer, &[("storage.available", Value::Number(300_000_000))]);
        for columns in [40, 80] {
            let ui = Ui::new(false, false, true).with(Some(&columns.to_string()), true);
            let page = anstream::adapter::strip_str(&words(&report, ui)).to_string();
            for line in page.lines() {
                assert!(line.chars().count() <= columns, "{line}");
            }
        }
        let silly = Ui::new(false, false, true).with(Some("many"), false);
        assert_eq!(silly.width, Ui::new(false, false, true).width);
    }
}
