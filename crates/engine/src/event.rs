//! What a job tells while it runs. The engine never prints: a terminal, a log and `--json` are readers of these.

use std::sync::Arc;

use lifeboat_doctor::report::Told;
use lifeboat_doctor::{Certainty, Severity};
use serde::Serialize;

use crate::jobs::backup::BackupSummary;
use crate::jobs::password::PasswordStep;
use crate::stage::Stage;

/// One thing a job tells; as JSON an object with the field `event`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A stage begins.
    Stage {
        /// The stage.
        stage: Stage,
    },
    /// A step of a change of the backup password begins.
    Step {
        /// The step.
        step: PasswordStep,
    },
    /// The job waits for somebody or something.
    Waiting {
        /// What it waits for.
        #[serde(rename = "for")]
        wait: Wait,
        /// What to do, in one sentence.
        message: String,
    },
    /// How far the job is; at most ten a second.
    Progress(Progress),
    /// How far a trial of passwords is; at most ten a second.
    Trying(Trying),
    /// A file that the device could not send or that did not come out whole; the job goes on.
    FileError {
        /// The file, as the device names it or as `<Domain>/<relative path>`.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// Something found that a person must know about (a check's damage).
    Finding(Finding),
    /// The cause that the doctor found.
    #[serde(rename = "finding")]
    Diagnosed(Box<Diagnosed>),
    /// What the look before a backup found that may keep it from its end, and that does not stop it.
    #[serde(rename = "finding")]
    Foreseen(Box<Diagnosed>),
    /// Worth knowing, changes nothing.
    Note(Note),
    /// The end of a backup, good or bad.
    Summary(Box<BackupSummary>),
}

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Wait {
    /// The device is not there yet (`--wait`).
    Device,
    /// “Trust This Computer?” is on the screen of the device.
    TrustDialog,
    /// The device asks its owner for the passcode.
    Passcode,
    /// The device is locked.
    Unlock,
    /// Another program holds the device's sync lock.
    SyncLock,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Bytes so far.
    pub bytes: u64,
    /// Files so far.
    pub files: u64,
    /// All bytes, where known.
    pub bytes_total: Option<u64>,
    /// All files, where known.
    pub files_total: Option<u64>,
    /// Bytes a second, over the last seconds.
    pub rate: u64,
    /// Seconds left, where they can be told.
    pub seconds_left: Option<u64>,
    /// The percentage that the device itself reports.
    pub percent: Option<f64>,
}

/// How far a trial of passwords is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trying {
    /// Passwords that were tried, those that are under way not counted.
    pub tried: u64,
    /// All of them.
    pub candidates: u64,
    /// How much of the work is done.
    pub percent: f64,
    /// Seconds left, where they can be told.
    pub seconds_left: Option<u64>,
}

/// Something that a person must know about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Kebab-case word for programs.
    pub cause: String,
    /// What is wrong.
    pub message: String,
    /// Which object: a snapshot, a pack, a file.
    pub object: Option<String>,
}

/// A cause that the doctor found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosed {
    /// Its id in the catalogue of causes, or `unknown`.
    pub cause: String,
    /// Its title.
    pub message: String,
    /// How certain it is.
    pub certainty: Certainty,
    /// How much it weighs.
    pub severity: Severity,
    /// What speaks for it, in words.
    pub evidence: Vec<String>,
    /// What would decide and is not known, in words.
    pub unknown: Vec<String>,
    /// The one next step, in Markdown.
    pub next_step: Option<String>,
}

/// What a fact is about: of its description what stands before the first semicolon.
fn about(key: lifeboat_doctor::Key) -> String {
    let about = key.declared().about.as_str();
    about.split_once(';').map_or(about, |(short, _)| short).to_owned()
}

impl From<&Told> for Diagnosed {
    fn from(told: &Told) -> Self {
        let word = |seen: &lifeboat_doctor::finding::Evidence| {
            format!("{}: {}", seen.key.declared().about, seen.value)
        };
        Self {
            cause: told.finding.id.clone(),
            message: told.title.clone(),
            certainty: told.finding.certainty,
            severity: told.finding.severity,
            evidence: told.finding.evidence.iter().map(word).collect(),
            unknown: told.finding.unknown.iter().map(|missing| about(missing.key)).collect(),
            next_step: told.next_step().map(|remedy| remedy.text.clone()),
        }
    }
}

impl Diagnosed {
    /// Returns it as one sentence, which says where to read more; a guess is not told as a fact.
    pub fn sentence(&self) -> String {
        let sure = self.certainty == Certainty::Confirmed;
        let may_be = if sure { "" } else { "possibly: " };
        format!("{may_be}{} (`lifeboat explain {}`)", self.message, self.cause)
    }
}

/// Worth knowing, changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Kebab-case word for programs.
    pub id: String,
    /// The note, one sentence.
    pub message: String,
}

impl Note {
    /// Makes a note.
    pub fn new(id: &str, message: impl Into<String>) -> Self {
        Self { id: id.to_owned(), message: message.into() }
    }
}

/// Where events go.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(Event) + Send + Sync>);

impl EventSink {
    /// Makes a sink of a function; it is called from several threads and must not wait.
    pub fn new(tell: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Makes a sink that hears nothing.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Tells one event; those that mark the way stand in the log, too.
    pub fn tell(&self, event: Event) {
        log(&event);
        (self.0)(event);
    }

    /// Tells that a stage begins.
    pub fn stage(&self, stage: Stage) {
        self.tell(Event::Stage { stage });
    }
}

/// Writes what marks the way of a job into the log: no names of devices, no paths of files.
fn log(event: &Event) {
    match event {
        Event::Stage { stage } => tracing::info!(stage = stage.as_str(), "a stage begins"),
        Event::Step { step } => tracing::info!(step = step.as_str(), "a step begins"),
        Event::Waiting { wait, .. } => tracing::info!(?wait, "waiting"),
        Event::Foreseen(found) => tracing::info!(cause = found.cause, "foreseen"),
        Event::Diagnosed(found) => tracing::info!(cause = found.cause, "the doctor found"),
        Event::Finding(found) => tracing::info!(cause = found.cause, "found"),
        Event::Note(note) => tracing::info!(id = note.id, "a note"),
        Event::FileError { .. } => tracing::info!("a file did not come out whole"),
        Event::Summary(summary) => tracing::info!(
            outcome = ?summary.outcome,
            cause = summary.cause.map_or("", crate::Cause::id),
            files = summary.files_received,
            bytes = summary.bytes_received,
            added = summary.bytes_added,
            seconds = summary.seconds,
            "the backup ended"
        ),
        Event::Progress(_) | Event::Trying(_) => {}
    }
}

impl std::fmt::Debug for EventSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventSink")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_tagged_objects() {
        let json = |event: Event| serde_json::to_string(&event).unwrap();
        assert_eq!(
            json(Event::Stage { stage: Stage::Transfer }),
            r#"{"event":"stage","stage":"transfer"}"#
        );
        assert_eq!(
            json(Event::Step { step: PasswordStep::StoreNew }),
            r#"{"event":"step","step":"store-new"}"#
        );
        assert_eq!(
            json(Event::Waiting { wait: Wait::Passcode, message: "type it".into() }),
            r#"{"event":"waiting","for":"passcode","message":"type it"}"#
        );
        assert_eq!(
            json(Event::FileError { path: "a/b".into(), message: "input/output error".into() }),
            r#"{"event":"file-error","path":"a/b","message":"input/output error"}"#
        );
        assert_eq!(
            json(Event::Note(Note::new("x", "y"))),
            r#"{"event":"note","id":"x","message":"y"}"#
        );
    }
}
