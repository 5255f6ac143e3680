//! What somebody types, explained: a number, a message from a screen, a line of a log, words.
//!
//! Numbers are looked up, lines are held against the patterns, everything else is compared word by word, with typos forgiven
//! (`index`). All of it is read once, at the first question.

mod index;
mod number;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::articles;
use crate::catalogue::{Catalogue, Correction, Entry, For, Sure};
use crate::errors::{self, KnownError};
use crate::fact::Facts;
use crate::patterns::{Hit, Patterns};
use crate::remedy::Who;

use index::{Index, Source};
use number::Number;

/// How many explanations are given at most.
pub const MOST: usize = 8;

/// How much of a question is looked at, in bytes.
const LONGEST: usize = 4096;

/// What an explanation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A cause of the catalogue.
    Cause,
    /// A topic of the catalogue: a remedy, a question, an answer.
    Topic,
    /// A number.
    Number,
    /// A message that has no number.
    Message,
    /// A line of the device's log.
    LogLine,
}

impl About {
    fn of_entry(entry: &Entry) -> Self {
        if entry.is_cause() { Self::Cause } else { Self::Topic }
    }

    fn of_error(row: &KnownError) -> Self {
        if row.codes.is_empty() { Self::Message } else { Self::Number }
    }
}

/// A cause that is likely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Likely {
    /// The entry.
    pub id: String,
    /// Its title.
    pub title: String,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The name of the remedy, where it is one of an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who does it.
    pub who: Who,
    /// What, in Markdown.
    pub text: String,
}

/// What is true where articles on the web say something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Corrected {
    /// What is true.
    pub text: String,
    /// The sentences of the articles that it corrects.
    pub sentences: Vec<Sentence>,
}

/// A sentence of an article.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// Its place among the articles, as in `docs/articles.md`.
    pub item: String,
    /// Its first words.
    pub begins: String,
}

/// What is known about something that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What it is about.
    pub about: About,
    /// Its name: an id, a number with its domain, a message.
    pub what: String,
    /// One sentence.
    pub title: String,
    /// What it means, in Markdown.
    pub meaning: String,
    /// Likely causes, the likeliest first.
    pub causes: Vec<Likely>,
    /// What to do, in the order in which to try it.
    pub steps: Vec<Step>,
    /// What the articles have wrong about it.
    pub corrects: Vec<Corrected>,
    /// What must be said besides.
    pub remarks: Vec<String>,
    /// How sure this is.
    pub sure: String,
    /// What to run.
    pub run: Vec<String>,
    /// Further reading.
    pub also: Vec<Likely>,
}

/// A line of the list of everything that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What it is.
    pub about: About,
    /// Its name: what to type.
    pub what: String,
    /// What it means, in one sentence.
    pub title: String,
}

/// Explains what somebody types; the best explanation first, none where nothing is known.
pub fn explain(words: &str) -> Vec<Explanation> {
    let catalogue = Catalogue::builtin();
    let words = shortened(words.trim());
    if let Some(entry) =
        catalogue.get(&words.to_ascii_lowercase()).or_else(|| catalogue.by_code(words))
    {
        return vec![of_entry(catalogue, entry)];
    }
    let patterns = Patterns::builtin();
    if let Some(pattern) = patterns.all().iter().find(|pattern| pattern.id == words) {
        return vec![of_line(catalogue, &Hit { pattern, facts: Facts::new(), is_foreign: false })];
    }
    if let Some(domain) = of_domain(words) {
        return vec![domain];
    }
    let mut found: Vec<Explanation> = Vec::new();
    for explanation in meant(catalogue, words) {
        let known = found.iter().any(|other| {
            other.title == explanation.title
                && (other.about == About::Number || other.what == explanation.what)
        });
        if !known && found.len() < MOST {
            found.push(explanation);
        }
    }
    found
}

/// Returns what words may mean, the best first; some of it twice.
fn meant(catalogue: &Catalogue, words: &str) -> Vec<Explanation> {
    let of_source = |source: Source| match source {
        Source::Entry(at) => catalogue.entries().get(at).map(|entry| of_entry(catalogue, entry)),
        Source::Error(at) => {
            errors::all().get(at).map(|row| of_error(catalogue, row, None, &Number::default()))
        }
    };
    let index = Index::builtin();
    let numbers = number::numbers(words);
    let whole = numbers.iter().any(|number| number.whole);
    let line = if whole { None } else { Patterns::builtin().scan(words) };
    // A line that has no cause of its own says less than a number in it.
    let (line, vague) = match line {
        Some(line) if line.pattern.causes.is_empty() => (None, Some(line)),
        line => (line, None),
    };
    let rows = numbers
        .iter()
        .flat_map(|number| number.rows().into_iter().map(move |(row, code)| (row, code, number)));
    let of_rows = rows.map(|(row, code, number)| of_error(catalogue, row, Some(code), number));
    let of_line = |line: Option<Hit>| line.map(|hit| of_line(catalogue, &hit));
    let searched = if whole { Vec::new() } else { index.search(words) };
    // A number alone is looked up as one.
    let said = index.word_by_word(words).into_iter();
    let said = said.filter(|(source, _)| !whole || matches!(source, Source::Error(_)));
    let (said, within): (Vec<_>, Vec<_>) = said.partition(|(_, all)| *all);
    let sources = |said: Vec<(Source, bool)>| {
        said.into_iter().filter_map(move |(source, _)| of_source(source))
    };
    sources(said)
        .chain(of_line(line))
        .chain(sources(within))
        .chain(of_rows)
        .chain(of_line(vague))
        .chain(searched.into_iter().filter_map(of_source))
        .collect()
}

/// Returns everything that is known: entries, numbers and messages, lines of the log.
pub fn list() -> Vec<Listed> {
    let entries = Catalogue::builtin().entries().iter();
    let entries = entries.map(|entry| Listed {
        about: About::of_entry(entry),
        what: entry.id.clone(),
        title: entry.title.clone(),
    });
    let errors = errors::all().iter().flat_map(|row| {
        let names = names(row);
        names.into_iter().map(|what| Listed {
            about: About::of_error(row),
            what,
            title: row.meaning.clone(),
        })
    });
    let lines = Patterns::builtin().all().iter();
    let lines = lines.map(|line| Listed {
        about: About::LogLine,
        what: line.id.clone(),
        title: line.about.clone(),
    });
    entries.chain(errors).chain(lines).collect()
}

fn shortened(words: &str) -> &str {
    let mut end = words.len().min(LONGEST);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.get(..end).unwrap_or_default()
}

/// Returns what a row can be asked by: its numbers, else its first name or text.
fn names(row: &KnownError) -> Vec<String> {
    if row.codes.is_empty() {
        return row.names.iter().chain(&row.says).take(1).cloned().collect();
    }
    row.codes.iter().map(|code| named(row, *code)).collect()
}

/// Numbers of `MobileDevice` are written as people meet them.
fn named(row: &KnownError, code: i64) -> String {
    if code > 0xFFFF { format!("0x{code:X}") } else { format!("{}/{code}", row.domain) }
}

fn likely(catalogue: &Catalogue, ids: &[String]) -> Vec<Likely> {
    ids.iter()
        .filter_map(|id| catalogue.get(id))
        .map(|entry| Likely { id: entry.id.clone(), title: entry.title.clone() })
        .collect()
}

/// Returns what to run where these entries may be the cause.
fn to_run(catalogue: &Catalogue, ids: &[String], first: Option<&str>) -> Vec<String> {
    let concerned = |concern: For| {
        ids.iter().filter_map(|id| catalogue.get(id)).any(|entry| entry.concerns.contains(&concern))
    };
    let mut run: Vec<String> =
        first.map(|first| format!("lifeboat explain {first}")).into_iter().collect();
    if concerned(For::Computer) || !concerned(For::Icloud) {
        run.push("lifeboat doctor".to_owned());
    }
    if concerned(For::Icloud) {
        run.push("lifeboat doctor --for icloud".to_owned());
    }
    run
}

fn of_entry(catalogue: &Catalogue, entry: &Entry) -> Explanation {
    let steps = entry.remedies.iter();
    let steps = steps.map(|remedy| Step {
        id: Some(remedy.id.clone()),
        who: remedy.who,
        text: remedy.text.clone(),
    });
    let mut run = to_run(catalogue, std::slice::from_ref(&entry.id), None);
    if entry.remedies.iter().any(|remedy| remedy.action.is_some()) {
        run.push("lifeboat doctor --fix".to_owned());
    }
    let sure = if !entry.is_cause() {
        "an answer, not something that is measured"
    } else if entry.when.iter().any(|when| when.sure == Sure::A) {
        "can be measured"
    } else {
        "there are signs of it, each of which may have another reason"
    };
    Explanation {
        about: About::of_entry(entry),
        what: entry.id.clone(),
        title: entry.title.clone(),
        meaning: entry.summary.clone(),
        causes: Vec::new(),
        steps: steps.collect(),
        corrects: corrected(&entry.corrects),
        remarks: Vec::new(),
        sure: sure.to_owned(),
        run,
        also: likely(catalogue, &entry.explain_also),
    }
}

/// Puts together what is true of several sentences.
fn corrected(corrections: &[Correction]) -> Vec<Corrected> {
    let mut by_text: Vec<Corrected> = Vec::new();
    for Correction { item, text } in corrections {
        let begins = articles::begins(item).unwrap_or_default().to_owned();
        let sentence = Sentence { item: item.clone(), begins };
        match by_text.iter_mut().find(|known| known.text == *text) {
            Some(known) => known.sentences.push(sentence),
            None => by_text.push(Corrected { text: text.clone(), sentences: vec![sentence] }),
        }
    }
    by_text
}

fn of_error(
    catalogue: &Catalogue,
    row: &KnownError,
    code: Option<i64>,
    number: &Number,
) -> Explanation {
    let mut remarks: Vec<String> =
        row.remark.clone().into_iter().chain(number.remark(row, code)).collect();
    if row.transient {
        remarks.push(
            "iOS itself counts it among the errors that pass: another try can help.".to_owned(),
        );
    }
    if row.restore_only {
        remarks.push("It comes up while restoring or updating, not while backing up.".to_owned());
    }
    if row.cancelled {
        remarks.push("iOS counts it as cancelled, not as failed.".to_owned());
    }
    let what = code.map_or_else(|| names(row).join(", "), |code| named(row, code));
    let steps = row.remedy.iter().chain(&row.elsewhere);
    let steps = steps.map(|text| Step { id: None, who: Who::Person, text: text.clone() });
    let certainty = match row.sure {
        Sure::A => "sure",
        Sure::B => "fairly sure",
        Sure::C => "not sure",
    };
    let meaning = match &row.usual {
        Some(usual) => format!("{}. {usual}.", row.meaning),
        None => format!("{}.", row.meaning),
    };
    Explanation {
        about: About::of_error(row),
        what,
        title: row.meaning.clone(),
        meaning,
        causes: likely(catalogue, &row.causes),
        steps: steps.collect(),
        corrects: Vec::new(),
        remarks,
        sure: format!("{certainty} (known from: {}; {})", row.source, row.about),
        run: to_run(catalogue, &row.causes, row.causes.first().map(String::as_str)),
        also: Vec::new(),
    }
}

/// Explains a domain of which somebody names no number: with all that are known.
fn of_domain(words: &str) -> Option<Explanation> {
    let rows = number::of_domain(words);
    let first = rows.first()?;
    let numbers = rows.iter().flat_map(|row| row.codes.iter().map(|code| (*code, &row.meaning)));
    let numbers: BTreeMap<i64, &String> = numbers.collect();
    let title = format!("{} numbers of {}", numbers.len(), first.about);
    let listed = numbers.iter().map(|(code, meaning)| format!("\n- {code}: {meaning}"));
    let example = numbers.keys().rev().find(|code| **code > 0);
    Some(Explanation {
        about: About::Number,
        what: first.domain.clone(),
        meaning: format!("{title}.\n{}", listed.collect::<String>()),
        title,
        causes: Vec::new(),
        steps: Vec::new(),
        corrects: Vec::new(),
        remarks: first.remark.clone().into_iter().collect(),
        sure: "each number has its own; ask for it".to_owned(),
        run: example
            .map(|code| format!("lifeboat explain {}/{code}", first.domain))
            .into_iter()
            .collect(),
        also: Vec::new(),
    })
}

fn of_line(catalogue: &Catalogue, hit: &Hit) -> Explanation {
    let shows = hit
        .facts
        .iter()
        .map(|(key, value)| format!("It shows: {} ({key} is {value}).", key.declared().about));
    Explanation {
        about: About::LogLine,
        what: hit.pattern.id.clone(),
        title: hit.pattern.about.clone(),
        meaning: format!("{}.", hit.pattern.about),
        causes: likely(catalogue, &hit.pattern.causes),
        steps: Vec::new(),
        corrects: Vec::new(),
        remarks: shows.collect(),
        sure: "sure of the words, not of every iOS version (known from: analyses)".to_owned(),
        run: to_run(catalogue, &hit.pattern.causes, hit.pattern.causes.first().map(String::as_str)),
        also: Vec::new(),
    }
}
