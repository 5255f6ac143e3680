//! What the device writes into its log: regular expressions out of `patterns.toml`, and the facts that they show.
//!
//! A line is hostile: it may hold anything, at any length. Only its first 4096 bytes are looked at, and nothing of it becomes a
//! fact but numbers, words of the table, and text that stays evidence.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use crate::fact::{FactError, Facts, Value};

const FILE: &str = include_str!("../patterns.toml");

/// How much of a line is looked at.
const LONGEST: usize = 4096;

/// The program of the device that makes backups to a computer.
const COMPUTER: &str = "BackupAgent2";
/// The program of the device that makes iCloud backups.
const CLOUD: &str = "backupd";

/// One pattern.
#[derive(Debug)]
pub struct Pattern {
    /// Its name.
    pub id: String,
    /// What a line of it means.
    pub about: String,
    /// The causes that it hints at: ids of entries.
    pub causes: Vec<String>,
    /// A line of its form.
    pub example: String,
    engine: Option<Engine>,
    named: bool,
    general: bool,
    facts: Facts,
    over: Facts,
    fields: Vec<Field>,
    /// For the fields that a group catches; the set only says which pattern matches.
    regex: Option<Regex>,
}

/// A line that a pattern knows.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Which pattern.
    pub pattern: &'static Pattern,
    /// What this line shows; nothing where any program could have written it and it does not name the one that makes backups.
    pub facts: Facts,
    /// Any program could have written it, and it does not name the one that makes backups.
    pub is_foreign: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Engine {
    Cloud,
    Computer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    pattern: Vec<RawPattern>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPattern {
    id: String,
    about: String,
    engine: Option<Engine>,
    #[serde(default)]
    named: bool,
    #[serde(default)]
    general: bool,
    like: String,
    example: String,
    causes: Vec<String>,
    #[serde(default)]
    facts: BTreeMap<String, RawValue>,
    #[serde(default)]
    over: BTreeMap<String, RawValue>,
    #[serde(default)]
    field: Vec<Field>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawValue {
    Flag(bool),
    Word(String),
}

/// A number or a text in a line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    after: Option<String>,
    capture: Option<String>,
    fact: String,
    zero: Option<String>,
    other: Option<String>,
    #[serde(default)]
    number: bool,
    #[serde(default)]
    text: bool,
    #[serde(default)]
    words: BTreeMap<String, String>,
    #[serde(rename = "else")]
    otherwise: Option<String>,
}

/// All patterns, compiled.
#[derive(Debug)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    set: RegexSet,
}

impl Patterns {
    /// Returns the patterns that are part of the program, compiled at the first call.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Patterns> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let file: File =
                toml::from_str(FILE).expect("patterns.toml is part of the program and tested");
            Self::compile(file).expect("patterns.toml is part of the program and tested")
        })
    }

    fn compile(file: File) -> Result<Self, regex::Error> {
        let set = RegexSetBuilder::new(file.pattern.iter().map(|pattern| &pattern.like))
            .unicode(false)
            .build()?;
        let patterns =
            file.pattern.into_iter().map(RawPattern::compile).collect::<Result<_, _>>()?;
        Ok(Self { patterns, set })
    }

    /// Returns all patterns, in the order in which they are tried.
    pub fn all(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Returns the first pattern that knows this line, and what the line shows.
    pub fn scan(&'static self, line: &str) -> Option<Hit> {
        self.hits(line).next()
    }

    /// Returns every pattern that knows this line.
    pub fn hits<'a>(&'static self, line: &'a str) -> impl Iterator<Item = Hit> + 'a {
        let line = line.as_bytes();
        let line = line.get(..LONGEST).unwrap_or(line);
        let matched = self.set.matches(line);
        let (engine, named) =
            if matched.matched_any() { (engine(line), names_backup(line)) } else { (None, false) };
        self.patterns
            .iter()
            .enumerate()
            .filter(move |(at, pattern)| matched.matched(*at) && pattern.counts_for(engine))
            .map(move |(_, pattern)| {
                let is_foreign = pattern.named && !named;
                let facts = if is_foreign { Facts::new() } else { pattern.shows(line) };
                Hit { pattern, facts, is_foreign }
            })
    }

    /// Returns what many lines show together; what is later in the log wins, but nothing general over something exact.
    pub fn facts<'a>(&'static self, lines: impl IntoIterator<Item = &'a str>) -> Facts {
        let (mut facts, mut over) = (Facts::new(), Facts::new());
        facts.tell("log.heard", "nothing");
        for line in lines {
            facts.tell("log.heard", "lines");
            // Of one line, the first pattern has the last word: it is the most exact one.
            let hits: Vec<Hit> = self.hits(line).collect();
            for hit in hits.into_iter().rev() {
                if !hit.is_foreign {
                    hit.pattern.end(&mut facts, &mut over);
                }
                for (key, value) in hit.facts.iter() {
                    let free = facts.get(key).is_none_or(|before| over.get(key) == Some(before));
                    if !hit.pattern.general || free {
                        facts.tell(key.as_str(), value.clone());
                    }
                }
            }
        }
        facts
    }
}

/// Whether a line names a program that makes backups, or the container that iCloud Backup keeps them in: every app has lines about
/// its own errors with Apple's servers.
fn names_backup(line: &[u8]) -> bool {
    const NAMES: [(&[u8], bool); 3] =
        [(COMPUTER.as_bytes(), true), (CLOUD.as_bytes(), true), (b"com.apple.backup.", false)];
    NAMES.iter().any(|(name, whole)| {
        line.windows(name.len()).enumerate().any(|(at, window)| {
            let before = at.checked_sub(1).and_then(|before| line.get(before));
            let after = line.get(at + name.len()).filter(|_| *whole);
            window == *name && ![before, after].into_iter().flatten().any(u8::is_ascii_alphanumeric)
        })
    })
}

/// Which program a line names, where it names one.
fn engine(line: &[u8]) -> Option<Engine> {
    let names = |name: &str| line.windows(name.len()).any(|window| window == name.as_bytes());
    if names(COMPUTER) {
        Some(Engine::Computer)
    } else if names(CLOUD) {
        Some(Engine::Cloud)
    } else {
        None
    }
}

fn told(raw: BTreeMap<String, RawValue>) -> Facts {
    let mut facts = Facts::new();
    for (key, value) in raw {
        match value {
            RawValue::Flag(flag) => facts.tell(&key, flag),
            RawValue::Word(word) => facts.tell(&key, word),
        }
    }
    facts
}

impl RawPattern {
    fn compile(self) -> Result<Pattern, regex::Error> {
        let captures = self.field.iter().any(|field| field.capture.is_some());
        let regex =
            captures.then(|| RegexBuilder::new(&self.like).unicode(false).build()).transpose()?;
        let facts = told(self.facts);
        let over = told(self.over);
        Ok(Pattern {
            id: self.id,
            about: self.about,
            causes: self.causes,
            example: self.example,
            engine: self.engine,
            named: self.named,
            general: self.general,
            facts,
            over,
            fields: self.field,
            regex,
        })
    }
}

impl Pattern {
    fn counts_for(&self, engine: Option<Engine>) -> bool {
        match (self.engine, engine) {
            (Some(mine), Some(line)) => mine == line,
            _ => true,
        }
    }

    /// Takes back what earlier lines showed and what is over with a line of this pattern.
    fn end(&self, facts: &mut Facts, over: &mut Facts) {
        for (key, value) in self.over.iter() {
            if facts.get(key).is_some() {
                over.tell(key.as_str(), value.clone());
                facts.tell(key.as_str(), value.clone());
            }
        }
    }

    fn shows(&self, line: &[u8]) -> Facts {
        let mut facts = self.facts.clone();
        let captures = self.regex.as_ref().and_then(|regex| regex.captures(line));
        for field in &self.fields {
            let found = match (&field.after, &field.capture) {
                (Some(after), _) => number_after(line, after.as_bytes()),
                (None, Some(group)) => captures
                    .as_ref()
                    .and_then(|captures| captures.name(group))
                    .map(|found| found.as_bytes()),
                (None, None) => None,
            };
            // What a field holds is hostile; what the table refuses is left out.
            if let Some(found) = found
                && let Some(Err(FactError::UnknownKey { .. })) = field.tell(found, &mut facts)
            {
                debug_assert!(
                    false,
                    "patterns.toml names a fact that is not in the table: {}",
                    field.fact
                );
            }
        }
        facts
    }
}

impl Field {
    fn tell(&self, found: &[u8], facts: &mut Facts) -> Option<Result<(), FactError>> {
        let text = str::from_utf8(found).ok()?;
        let value: Value = if self.text {
            Value::Text(text.chars().filter(|c| !c.is_control()).collect())
        } else if self.number {
            Value::Number(text.parse().ok()?)
        } else if !self.words.is_empty() {
            self.words.get(text).or(self.otherwise.as_ref())?.as_str().into()
        } else {
            let zero = text.bytes().all(|digit| digit == b'0');
            if zero { self.zero.as_deref()? } else { self.other.as_deref()? }.into()
        };
        Some(facts.insert(&self.fact, value))
    }
}

/// Returns the digits that follow a literal, which must not be the tail of a longer word.
fn number_after<'a>(line: &'a [u8], literal: &[u8]) -> Option<&'a [u8]> {
    let mut from = 0;
    while let Some(rest) = line.get(from..) {
        let at = from + rest.windows(literal.len()).position(|window| window == literal)?;
        let word = at
            .checked_sub(1)
            .and_then(|before| line.get(before))
            .is_some_and(u8::is_ascii_alphanumeric);
        let digits = line.get(at + literal.len()..)?;
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !word && length > 0 {
            return digits.get(..length);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests;
