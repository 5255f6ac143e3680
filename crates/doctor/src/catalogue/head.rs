//! The head of a file of the catalogue, and an entry made of head and text.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Correction, Entry, EntryError, EntryKind, For, Order, Page, PlayableWith, Severity, Sure, When,
};
use crate::condition::RawCondition;
use crate::fact::Key;
use crate::remedy::{Remedy, Who};

/// The place in the order of what has none: after all causes.
const LAST: Order = Order { computer: 9999, icloud: 9999 };

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Head {
    code: String,
    kind: EntryKind,
    severity: Option<Severity>,
    #[serde(rename = "for")]
    concerns: Vec<For>,
    order: Option<RawOrder>,
    #[serde(default)]
    explains: Vec<String>,
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    answers: Vec<String>,
    #[serde(default)]
    corrects: Vec<Correction>,
    playable_with: Option<PlayableWith>,
    #[serde(default)]
    explain_also: Vec<String>,
    #[serde(default)]
    when: Vec<RawWhen>,
    #[serde(default)]
    remedy: Vec<RawRemedy>,
}

/// One place for both kinds of backup, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawOrder {
    Both(u32),
    Each(EachOrder),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EachOrder {
    computer: u32,
    icloud: u32,
}

impl From<RawOrder> for Order {
    fn from(raw: RawOrder) -> Self {
        match raw {
            RawOrder::Both(place) => Self { computer: place, icloud: place },
            RawOrder::Each(EachOrder { computer, icloud }) => Self { computer, icloud },
        }
    }
}

/// The fields that are known, and the lines: all others.
#[derive(Deserialize)]
struct RawWhen {
    sure: Sure,
    severity: Option<Severity>,
    #[serde(rename = "for")]
    concerns: Option<Vec<For>>,
    hides: Option<bool>,
    #[serde(default)]
    whole: bool,
    #[serde(flatten)]
    lines: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRemedy {
    id: String,
    who: Who,
    action: Option<String>,
    #[serde(default)]
    consent: bool,
    #[serde(default)]
    recheck: Vec<String>,
}

impl Entry {
    /// Reads one file.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn read(id: &str, text: &str) -> Result<Self, EntryError> {
        let page = Page::read(text)?;
        let head: Head = toml::from_str(&page.head)?;
        let cause = head.kind == EntryKind::Cause;
        if cause == head.when.is_empty() {
            return Err(EntryError::Kind);
        }
        if cause && head.severity.is_none() {
            return Err(EntryError::Missing("severity"));
        }
        if cause && head.order.is_none() {
            return Err(EntryError::Missing("order"));
        }
        let severity = head.severity.unwrap_or(Severity::Note);
        let when = head
            .when
            .into_iter()
            .enumerate()
            .map(|(at, raw)| raw.checked(at + 1, severity, &head.concerns))
            .collect::<Result<_, _>>()?;
        let remedies = remedies(head.remedy, page.sections)?;
        Ok(Self {
            id: id.to_owned(),
            code: head.code,
            kind: head.kind,
            severity,
            concerns: head.concerns,
            order: head.order.map_or(LAST, Order::from),
            explains: head.explains,
            words: head.words,
            answers: head.answers,
            corrects: head.corrects,
            playable_with: head.playable_with,
            explain_also: head.explain_also,
            when,
            remedies,
            title: page.title,
            summary: page.summary,
        })
    }
}

impl RawWhen {
    fn checked(
        self,
        number: usize,
        severity: Severity,
        concerns: &[For],
    ) -> Result<When, EntryError> {
        if self.lines.is_empty() {
            return Err(EntryError::NoLines { number });
        }
        let mut lines = Vec::with_capacity(self.lines.len());
        for (name, value) in self.lines {
            let Ok(key) = Key::find(&name) else {
                return Err(EntryError::Key { number, key: name });
            };
            let raw: RawCondition = value.try_into().map_err(|source| EntryError::Line {
                number,
                key: name,
                source,
            })?;
            let condition =
                raw.checked(key).map_err(|source| EntryError::Condition { number, key, source })?;
            lines.push((key, condition));
        }
        Ok(When {
            sure: self.sure,
            severity: self.severity.unwrap_or(severity),
            concerns: self.concerns.unwrap_or_else(|| concerns.to_vec()),
            hides: self.hides.unwrap_or(true),
            whole: self.whole,
            lines,
        })
    }
}

/// Brings remedies and headings together: each has its other half, and the heads give the order.
fn remedies(
    raw: Vec<RawRemedy>,
    sections: Vec<(String, String)>,
) -> Result<Vec<Remedy>, EntryError> {
    let mut texts = BTreeMap::new();
    for (heading, text) in sections {
        if texts.insert(heading.clone(), text).is_some() {
            return Err(EntryError::Twice(heading));
        }
    }
    let mut remedies: Vec<Remedy> = Vec::with_capacity(raw.len());
    for raw in raw {
        if remedies.iter().any(|other| other.id == raw.id) {
            return Err(EntryError::Twice(raw.id));
        }
        let text = texts.remove(&raw.id).filter(|text| !text.is_empty());
        let Some(text) = text else { return Err(EntryError::NoHeading(raw.id)) };
        remedies.push(raw.checked(text)?);
    }
    texts.into_keys().next().map_or(Ok(remedies), |heading| Err(EntryError::NoRemedy(heading)))
}

impl RawRemedy {
    fn checked(self, text: String) -> Result<Remedy, EntryError> {
        if self.who == Who::Person && (self.action.is_some() || self.consent) {
            return Err(EntryError::PersonActs(self.id));
        }
        let action = match self.action.map(|action| action.parse()) {
            Some(Ok(action)) => Some(action),
            Some(Err(source)) => return Err(EntryError::Action { remedy: self.id, source }),
            None => None,
        };
        if self.who == Who::Program && action.is_none() {
            return Err(EntryError::NoAction(self.id));
        }
        Ok(Remedy {
            id: self.id,
            who: self.who,
            action,
            consent: self.consent,
            recheck: self.recheck,
            text,
        })
    }
}
