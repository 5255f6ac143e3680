//! A failure on the screen: what failed, why, what to do.

use std::fmt::Write as _;

use lifeboat_engine::Cause;
use lifeboat_sim::disk::is_full;
use serde::Serialize;

use super::{BAD, HINT, Ui, text};
use crate::exit::Exit;

/// The cause of what was said wrong: on the command line, in a variable, in a file of settings.
pub(crate) const WRONG_USAGE: &str = Cause::WrongUsage.id();
/// The cause of a failure of the output alone.
const OUTPUT_LOST: &str = "output-lost";
/// The cause of an end that is none: nobody reads the output any more.
const CLOSED_PIPE: &str = "closed-pipe";

/// A failure, ready to be told and to end the program.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the program ends.
    pub(crate) exit: Exit,
    /// The cause, as programs name it.
    pub(crate) cause: String,
    /// What failed, then why, each the reason for the one before.
    pub(crate) chain: Vec<String>,
    /// What is not lost.
    pub(crate) kept: Option<String>,
    /// What the doctor found.
    pub(crate) found: Option<Box<Found>>,
    /// What to do.
    pub(crate) hints: Vec<String>,
    /// True when `--json` readers were told already.
    pub(crate) told: bool,
}

/// What the doctor found, for people.
#[derive(Debug)]
pub(crate) struct Found {
    /// It was measured; else it is a guess, and said to be one.
    pub(crate) confirmed: bool,
    /// Its title, and where to read more.
    pub(crate) title: String,
    /// What would decide and is not known.
    pub(crate) unknown: Vec<String>,
}

impl Found {
    /// Returns the word before the title: a guess is never told as a fact.
    pub(crate) fn label(confirmed: bool) -> &'static str {
        if confirmed { "found" } else { "possibly" }
    }
}

impl Failure {
    /// Makes a failure without an underlying error.
    pub(crate) fn new(exit: Exit, cause: &str, what: impl Into<String>) -> Self {
        Self {
            exit,
            cause: cause.to_owned(),
            chain: vec![what.into()],
            kept: None,
            found: None,
            hints: Vec::new(),
            told: false,
        }
    }

    /// Makes a failure of an error: its chain is the why.
    pub(crate) fn of(exit: Exit, cause: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = std::iter::successors(Some(error), |error| error.source())
            .map(ToString::to_string)
            .collect();
        Self { exit, cause: cause.to_owned(), chain, ..Self::new(exit, cause, String::new()) }
    }

    /// Makes a failure of wrong usage.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, WRONG_USAGE, what)
    }

    /// Makes a failure of wrong usage of an error: its chain is the why.
    pub(crate) fn usage_of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::of(Exit::Usage, WRONG_USAGE, error)
    }

    /// Makes a failure of a command line that is none; people were told by whoever read it.
    pub(crate) fn command_line(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        // Lines of the message, without the usage and the hints below it.
        let said = text.lines().take_while(|line| !line.trim().is_empty());
        let said = said.map(str::trim).collect::<Vec<_>>().join(" ");
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        Self::usage(said).hint(Cause::WrongUsage.next_step())
    }

    /// Puts what was tried before the chain.
    #[must_use]
    pub(crate) fn context(mut self, what: impl Into<String>) -> Self {
        self.chain.insert(0, what.into());
        self
    }

    /// Adds a thing to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Whether only the output ended, closed or lost: it is nothing that the command did.
    pub(crate) fn is_of_the_output(&self) -> bool {
        self.cause == OUTPUT_LOST || self.cause == CLOSED_PIPE
    }

    /// Tells the failure: on standard error for people, with `--json` on standard output for programs too.
    pub(crate) fn tell(&self, ui: Ui) {
        if self.cause == OUTPUT_LOST {
            return;
        }
        ui.complain(self.render());
        self.tell_programs(ui);
    }

    /// Tells the failure to programs alone, with `--json`.
    pub(crate) fn tell_programs(&self, ui: Ui) {
        if ui.json && !self.told {
            // A reader that is gone does not need to be told.
            let _told = ui.object(&self.as_event());
        }
    }

    fn render(&self) -> String {
        let mut out = String::new();
        let mut chain = self.chain.iter();
        let what = chain.next().map_or("it failed", String::as_str);
        let _ = write!(out, "{BAD}error:{BAD:#} {}", text::plain(what));
        let mut before = what;
        for why in chain.filter(|why| !why.is_empty()) {
            // Some libraries repeat their source in their own text: once is enough.
            if !before.contains(why.as_str()) {
                let _ = write!(out, "\n  because: {}", text::plain_lines(why, "\n    "));
            }
            before = why;
        }
        if let Some(kept) = &self.kept {
            let _ = write!(out, "\n  kept: {}", text::plain(kept));
        }
        if let Some(found) = &self.found {
            let label = Found::label(found.confirmed);
            let _ = write!(out, "\n  {label}: {}", text::plain(&found.title));
            if !found.unknown.is_empty() {
                let unknown = found.unknown.join("; ");
                let _ = write!(out, "\n  not known: {}", text::plain(&unknown));
            }
        }
        for hint in &self.hints {
            let _ = write!(out, "\n{HINT}hint:{HINT:#} {}", text::plain_lines(hint, "\n      "));
        }
        out
    }

    fn as_event(&self) -> FailureEvent<'_> {
        FailureEvent {
            event: "summary",
            outcome: crate::exit::outcome(self.exit),
            cause: &self.cause,
            message: self.chain.join(": "),
            next: &self.hints,
            exit: self.exit.code(),
        }
    }
}

#[derive(Serialize)]
struct FailureEvent<'a> {
    event: &'static str,
    outcome: &'static str,
    cause: &'a str,
    message: String,
    next: &'a [String],
    exit: u8,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        if error.is::<super::ClosedPipe>() {
            return Self { told: true, ..Self::new(Exit::Done, CLOSED_PIPE, String::new()) };
        }
        if error.is::<super::OutputLost>() {
            // It is told at the very end, by `Ui::end`, which says how the program ends.
            return Self { told: true, ..Self::new(Exit::Done, OUTPUT_LOST, String::new()) };
        }
        match error.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(error) if is_full(error.as_ref()) => {
                Self::of(Exit::NoSpace, "disk-full", error.as_ref())
            }
            Err(error) => Self::of(Exit::Failed, "unknown", error.as_ref()),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.chain.first().map_or("it failed", String::as_str))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_why_and_what_to_do_each_have_a_line() {
        let source = std::io::Error::other("connection refused");
        let failure = Failure::of(Exit::DeviceNotFound, "mux-absent", &source)
            .context("cannot reach usbmuxd at 127.0.0.1:1")
            .hint("start it, or set `USBMUXD_SOCKET_ADDRESS`");
        assert_eq!(
            anstream::adapter::strip_str(&failure.render()).to_string(),
            "error: cannot reach usbmuxd at 127.0.0.1:1\n  because: connection refused\nhint: start it, or set `USBMUXD_SOCKET_ADDRESS`"
        );
        assert_eq!(
            serde_json::to_string(&failure.as_event()).unwrap(),
            r#"{"event":"summary","outcome":"failed","cause":"mux-absent","message":"cannot reach usbmuxd at 127.0.0.1:1: connection refused","next":["start it, or set `USBMUXD_SOCKET_ADDRESS`"],"exit":13}"#
        );
    }

    #[test]
    fn a_guess_is_not_told_as_a_fact() {
        for (confirmed, unknown, lines) in [
            (true, vec![], "error: it broke\n  found: The cable"),
            (false, vec![], "error: it broke\n  possibly: The cable"),
            (
                false,
                vec!["The bus".to_owned(), "The port".to_owned()],
                "error: it broke\n  possibly: The cable\n  not known: The bus; The port",
            ),
        ] {
            let found = Found { confirmed, title: "The cable".into(), unknown };
            let mut failure = Failure::new(Exit::Failed, "unknown", "it broke");
            failure.found = Some(Box::new(found));
            assert_eq!(anstream::adapter::strip_str(&failure.render()).to_string(), lines);
        }
    }

    #[test]
    fn a_closed_pipe_is_success() {
        let failure = Failure::from(anyhow::Error::from(super::super::ClosedPipe));
        assert_eq!(failure.exit, Exit::Done);
    }
}
