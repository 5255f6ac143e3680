//! The catalogue: one Markdown file a cause or topic, read once and held against the table of facts.
//!
//! The form of a file is told in `catalogue/README.md`. Files are part of the program; [`Catalogue::read`] takes others, too, for
//! tests, and says what is wrong with which.

mod head;
mod page;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use include_dir::{Dir, DirEntry, include_dir};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::condition::{Condition, ConditionError};
use crate::fact::Key;
use crate::remedy::{Remedy, UnknownAction};

pub use page::Page;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalogue");

/// What kind of backup the doctor is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum For {
    /// A backup to this computer, over the cable or the local network.
    Computer,
    /// iCloud Backup.
    Icloud,
}

impl For {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Computer, Self::Icloud];
}

/// Where a cause stands in the doctor's order; the order is another one for each kind of backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Order {
    /// For a backup to this computer.
    pub computer: u32,
    /// For iCloud Backup.
    pub icloud: u32,
}

impl Order {
    /// Returns the place for that kind of backup: what is looked at first has the smaller number.
    pub fn of(self, concern: For) -> u32 {
        match concern {
            For::Computer => self.computer,
            For::Icloud => self.icloud,
        }
    }
}

/// How much a cause weighs. The bigger weighs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; changes nothing.
    Note,
    /// Makes a failure likely, or a backup slow.
    Warning,
    /// No backup comes about while it lasts.
    Blocking,
}

/// Whether an entry names a state of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// It does: facts decide on it.
    Cause,
    /// It does not: it is a remedy, a question or an answer, reached by `explain` or from a cause.
    Topic,
}

/// How sure a sign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sure {
    /// Measured, or said by the device itself.
    A,
    /// A strong sign with one other explanation.
    B,
    /// A hint.
    C,
}

/// What a part of the program that is not there yet is needed for, before the cause can be played on the simulated phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlayableWith {
    /// Restoring.
    Restore,
    /// Repair and removal of snapshots.
    NoHarm,
    /// Backups over Wi-Fi.
    Wifi,
}

/// A correction of something that an article says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The item of the article.
    pub item: String,
    /// What is true.
    pub text: String,
}

/// A set of lines that together show a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct When {
    /// How sure it is if all lines hold.
    pub sure: Sure,
    /// How much the cause weighs then.
    pub severity: Severity,
    /// For which kind of backup the lines count.
    #[serde(rename = "for")]
    pub concerns: Vec<For>,
    /// Whether the cause hides its consequences then: what may happen explains nothing that has happened.
    pub hides: bool,
    /// It says something only where every line of it can be told.
    pub whole: bool,
    /// The lines, sorted by key.
    pub lines: Vec<(Key, Condition)>,
}

/// A cause or a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its id: the path of its file without `.md`.
    pub id: String,
    /// Its number, for ever.
    pub code: String,
    /// Cause or topic.
    pub kind: EntryKind,
    /// How much it weighs, where its signs say nothing else.
    pub severity: Severity,
    /// Which kinds of backup it concerns.
    #[serde(rename = "for")]
    pub concerns: Vec<For>,
    /// Its place in the doctor's order.
    pub order: Order,
    /// Its consequences: they are hidden behind it where both are found.
    pub explains: Vec<String>,
    /// What people type.
    pub words: Vec<String>,
    /// The items of the articles that it answers.
    pub answers: Vec<String>,
    /// What the articles have wrong.
    pub corrects: Vec<Correction>,
    /// What is missing before it can be played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playable_with: Option<PlayableWith>,
    /// Further reading: ids of other entries.
    pub explain_also: Vec<String>,
    /// The signs.
    pub when: Vec<When>,
    /// What helps, in the order in which to try it.
    pub remedies: Vec<Remedy>,
    /// One sentence without a full stop.
    pub title: String,
    /// What it is, in Markdown.
    pub summary: String,
}

impl Entry {
    /// Returns whether facts decide on it.
    pub fn is_cause(&self) -> bool {
        self.kind == EntryKind::Cause
    }
}

/// A mistake in a file of the catalogue.
#[derive(Debug, Error)]
#[error("catalogue/{id}.md")]
pub struct CatalogueError {
    /// The entry.
    pub id: String,
    /// What is wrong with it.
    pub source: EntryError,
}

/// What can be wrong with an entry.
#[derive(Debug, Error)]
pub enum EntryError {
    /// The file does not begin with a fenced TOML head.
    #[error("the file does not begin with a ```toml head")]
    NoHead,
    /// The head is not closed.
    #[error("the head has no end")]
    OpenHead,
    /// The head is not what the README of the catalogue says.
    #[error("the head is not valid")]
    Head(#[from] toml::de::Error),
    /// No `# title` follows the head.
    #[error("there is no `# title` below the head")]
    NoTitle,
    /// The title stands twice, or text stands before it.
    #[error("line {line}: only one `# title` may stand in a file, and nothing before it")]
    Title {
        /// The line in the file.
        line: usize,
    },
    /// There is no sentence below the title.
    #[error("there is no text below the title")]
    NoSummary,
    /// A line of a `[[when]]` names a fact that is not in the table.
    #[error("[[when]] {number}: there is no fact `{key}`")]
    Key {
        /// Which `[[when]]`, from 1.
        number: usize,
        /// The key.
        key: String,
    },
    /// A condition is not one.
    #[error("[[when]] {number}, `{key}`")]
    Condition {
        /// Which `[[when]]`, from 1.
        number: usize,
        /// The key.
        key: Key,
        /// What is wrong.
        source: ConditionError,
    },
    /// A condition cannot be read.
    #[error("[[when]] {number}, `{key}`")]
    Line {
        /// Which `[[when]]`, from 1.
        number: usize,
        /// The key.
        key: String,
        /// What is wrong.
        source: toml::de::Error,
    },
    /// A `[[when]]` without lines would always hold.
    #[error("[[when]] {number} has no lines")]
    NoLines {
        /// Which `[[when]]`, from 1.
        number: usize,
    },
    /// A cause without signs, or a topic with some.
    #[error("a cause has [[when]], a topic has none")]
    Kind,
    /// A cause without a severity or an order.
    #[error("a cause has `{0}`")]
    Missing(&'static str),
    /// A remedy without its text.
    #[error("remedy `{0}` has no heading")]
    NoHeading(String),
    /// A heading without its remedy.
    #[error("heading `{0}` is no remedy")]
    NoRemedy(String),
    /// The same id twice.
    #[error("`{0}` stands twice")]
    Twice(String),
    /// There is no such action.
    #[error("remedy `{remedy}`")]
    Action {
        /// The remedy.
        remedy: String,
        /// What is wrong.
        source: UnknownAction,
    },
    /// Only a program has actions, and only it asks for consent.
    #[error("remedy `{0}` is the person's: it has neither action nor consent")]
    PersonActs(String),
    /// A program's remedy without an action.
    #[error("remedy `{0}` is the program's and has no action")]
    NoAction(String),
    /// Another entry is named that is not there.
    #[error("there is no entry `{0}`")]
    NoEntry(String),
    /// Two entries have the same number.
    #[error("`{code}` is the number of `{other}` already")]
    Code {
        /// The number.
        code: String,
        /// Whose it is.
        other: String,
    },
    /// Two causes have the same place in the order of a kind of backup.
    #[error("{order} is the place of `{other}` already ({concern:?})")]
    Order {
        /// For which kind of backup.
        concern: For,
        /// The place.
        order: u32,
        /// Whose it is.
        other: String,
    },
    /// Following `explains` leads back.
    #[error("it explains itself, over {0}")]
    Circle(String),
}

/// All entries.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
}

impl Catalogue {
    /// Returns the catalogue that is part of the program, read at the first call.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Catalogue> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let (catalogue, errors) = Self::read(&builtin_files());
            debug_assert!(errors.is_empty(), "{errors:#?}");
            catalogue
        })
    }

    /// Reads entries, given as ids and texts, and holds them against each other. What is wrong with an entry is told; the entry
    /// is then left out, so that one mistake does not take the others with it.
    pub fn read(files: &[(String, &str)]) -> (Self, Vec<CatalogueError>) {
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        for (id, text) in files {
            match Entry::read(id, text) {
                Ok(entry) => entries.push(entry),
                Err(source) => errors.push(CatalogueError { id: id.clone(), source }),
            }
        }
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        let catalogue = Self { entries };
        catalogue.hold_together(&mut errors);
        (catalogue, errors)
    }

    /// Returns all entries, sorted by id.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the causes, sorted by id.
    pub fn causes(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_cause())
    }

    /// Returns the topics, sorted by id.
    pub fn topics(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.is_cause())
    }

    /// Returns the entry of that id.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.id.as_str().cmp(id)).ok()?;
        self.entries.get(at)
    }

    /// Returns the entry of that number, such as `C05`.
    pub fn by_code(&self, code: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
    }

    fn hold_together(&self, errors: &mut Vec<CatalogueError>) {
        let (mut codes, mut orders) = (BTreeMap::new(), BTreeMap::new());
        for entry in &self.entries {
            let mut tell = |source| errors.push(CatalogueError { id: entry.id.clone(), source });
            if let Some(other) = codes.insert(&entry.code, &entry.id) {
                tell(EntryError::Code { code: entry.code.clone(), other: other.clone() });
            }
            for concern in For::ALL.into_iter().filter(|_| entry.is_cause()) {
                let order = entry.order.of(concern);
                if let Some(other) = orders.insert((concern, order), &entry.id) {
                    tell(EntryError::Order { concern, order, other: other.clone() });
                }
            }
            for named in entry.explains.iter().chain(&entry.explain_also) {
                if self.get(named).is_none() {
                    tell(EntryError::NoEntry(named.clone()));
                }
            }
            if let Some(over) = self.circle(entry) {
                tell(EntryError::Circle(over));
            }
        }
    }

    /// Returns over which entry `explains` leads back to this one.
    fn circle(&self, entry: &Entry) -> Option<String> {
        let (mut seen, mut open) = (Vec::new(), entry.explains.clone());
        while let Some(id) = open.pop() {
            let Some(next) = self.get(&id) else { continue };
            if next.explains.contains(&entry.id) || id == entry.id {
                return Some(id);
            }
            if !seen.contains(&id) {
                open.extend(next.explains.iter().cloned());
                seen.push(id);
            }
        }
        None
    }
}

/// Returns ids and texts of the files that are part of the program.
fn builtin_files() -> Vec<(String, &'static str)> {
    let mut files = Vec::new();
    collect(&FILES, &mut files);
    files.sort_unstable();
    files
}

fn collect(dir: &Dir<'static>, files: &mut Vec<(String, &'static str)>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(dir, files),
            DirEntry::File(file) => {
                let id = file.path().to_str().and_then(|path| path.strip_suffix(".md"));
                if let (Some(id), Some(text)) = (id, file.contents_utf8())
                    && id != "README"
                {
                    files.push((id.replace('\\', "/"), text));
                }
            }
        }
    }
}
