//! What a job tells, for people and for programs.

use std::sync::{Arc, Mutex, PoisonError};

use lifeboat_engine::jobs::password::PasswordStep;
use lifeboat_engine::{Event, EventSink, Stage};
use serde::Serialize;

use super::progress::{Look, Progress};
use super::{BAD, FAINT, HINT, Ui, text};

/// Makes a listener: with `--json` one event a line, else bars, lines and notes.
pub(crate) fn sink(ui: Ui, progress: Arc<Progress>) -> EventSink {
    if ui.json {
        return EventSink::new(move |event| {
            let is_way = matches!(
                event,
                Event::Stage { .. } | Event::Step { .. } | Event::Progress(_) | Event::Trying(_)
            );
            if ui.quiet && is_way {
                return;
            }
            // A reader that is gone must not stop a backup.
            let _told = ui.object(&event);
        });
    }
    let stage = Mutex::new(None);
    EventSink::new(move |event| human(&event, &progress, &stage))
}

/// How a job that told events ends, for programs: the last line.
#[derive(Debug, Serialize)]
pub(crate) struct Summed<'a, T: Serialize> {
    event: &'static str,
    #[serde(flatten)]
    summary: &'a T,
}

impl<'a, T: Serialize> Summed<'a, T> {
    /// Makes the event of a summary.
    pub(crate) fn new(summary: &'a T) -> Self {
        Self { event: "summary", summary }
    }
}

fn human(event: &Event, progress: &Progress, last: &Mutex<Option<Stage>>) {
    match event {
        Event::Stage { stage } => {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(*stage);
            progress.show(&Look { doing: doing(*stage).to_owned(), ..Look::default() });
        }
        Event::Step { step } => {
            progress.show(&Look { doing: guarding(*step).to_owned(), ..Look::default() });
        }
        Event::Waiting { message, .. } => {
            progress.say(&format!("{HINT}{}{HINT:#}", text::plain(message)));
        }
        Event::Progress(now) => progress.show(&Look {
            doing: doing(now.stage).to_owned(),
            bytes: now.bytes,
            bytes_total: now.bytes_total,
            files: now.files,
            files_total: now.files_total,
            rate: now.rate,
            seconds_left: now.seconds_left,
            percent: now.percent,
        }),
        Event::Trying(now) => progress.show(&Look {
            doing: format!("trying passwords, {} of {}", now.tried, now.candidates),
            seconds_left: now.seconds_left,
            percent: Some(now.percent),
            ..Look::default()
        }),
        Event::FileError { path, message } => {
            progress.name(
                "file",
                &format!("{BAD}file:{BAD:#} {}: {}", text::plain(path), text::plain(message)),
            );
        }
        Event::Finding(finding) => {
            let object =
                finding.object.as_deref().map(|object| format!("{}: ", text::plain(object)));
            let object = object.unwrap_or_default();
            progress.name(
                "finding",
                &format!("{BAD}found:{BAD:#} {object}{}", text::plain(&finding.message)),
            );
        }
        // A failure names it beside its hints.
        Event::Diagnosed(_) => {}
        // No run is stopped for it, so it is no more than a note.
        Event::Foreseen(found) => {
            progress.say(&format!("{FAINT}note:{FAINT:#} {}", text::plain(&found.sentence())));
        }
        Event::Note(note) => progress.say(&format!("note: {}", text::plain(&note.message))),
        // The command prints the summary itself.
        Event::Summary(_) => progress.finish(),
        _ => {}
    }
}

/// Returns a stage as what is being done.
pub(crate) fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Discover => "looking for the device",
        Stage::Link => "connecting",
        Stage::Prepare => "preparing",
        Stage::Transfer => "receiving",
        Stage::Verify => "verifying",
        Stage::Snapshot => "storing",
        Stage::Retain => "tidying",
        Stage::Read => "reading",
    }
}

/// Returns a step of a change of the password as what is being done.
fn guarding(step: PasswordStep) -> &'static str {
    match step {
        PasswordStep::LookUp => "looking up the passwords",
        PasswordStep::StoreOld => "storing the old password",
        PasswordStep::StoreNew => "storing the new password",
        PasswordStep::Tell => "telling the device",
        PasswordStep::Read | PasswordStep::Write | PasswordStep::Keep => {
            "the device wraps its keys anew"
        }
        PasswordStep::Heard => "the device has answered",
        PasswordStep::Prove => "proving the new password",
        PasswordStep::Note => "noting what the device said",
        _ => "guarding the password",
    }
}
