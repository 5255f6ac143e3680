//! What people and programs read: data on standard output, all else on standard error.
//!
//! [`Ui`] is the one thing that prints. [`table`], [`tree`] and [`text`] make strings, [`progress`] shows how far a job is,
//! [`ask`] waits for what a person types, [`error`] says what failed, why, and what to do, [`log`] what happens inside.

pub(crate) mod ask;
pub(crate) mod doctor;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod log;
pub(crate) mod progress;
pub(crate) mod prose;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod tree;

use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::exit::{Exit, worse};

/// A heading, or what a line is about.
pub(crate) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to do.
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default();

/// Nobody reads standard output any more: the end, and no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct ClosedPipe;

/// Standard output cannot be written: it is told once, at the end ([`Ui::end`]).
#[derive(Debug, thiserror::Error)]
#[error("the output cannot be written")]
pub(crate) struct OutputLost;

/// Why standard output could not be written, the first time that it could not.
static LOST: OnceLock<Lost> = OnceLock::new();

/// Why standard output could not be written, and how the program ends because of it.
#[derive(Debug)]
struct Lost {
    why: String,
    exit: Exit,
}

impl Lost {
    fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let is_full = matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge);
        let exit = if is_full { Exit::NoSpace } else { Exit::Failed };
        Self { why: error.to_string(), exit }
    }
}

/// How this run talks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    /// One JSON object, or one event a line, on standard output.
    pub(crate) json: bool,
    /// Nothing on standard error but failures.
    pub(crate) quiet: bool,
    /// Whether standard output is a terminal.
    pub(crate) stdout_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub(crate) stderr_is_terminal: bool,
    /// Whether questions can be asked.
    pub(crate) can_ask: bool,
    /// Whether everything is to be told, where a summary would do else.
    pub(crate) verbose: bool,
    /// How many columns a line of text has at most.
    pub(crate) width: usize,
    /// Whether somebody sees these columns: on a terminal, or where somebody says how many. Lines for other programs are left whole.
    pub(crate) narrow: bool,
}

/// Longer lines are hard to read.
const WIDEST: usize = 96;
/// Into fewer columns no text is pressed.
const NARROWEST: usize = 40;

#[expect(clippy::unused_self, reason = "who prints holds the one thing that may")]
impl Ui {
    /// Looks at the terminal and sets the use of colour for the whole program.
    pub(crate) fn new(json: bool, quiet: bool, no_color: bool) -> Self {
        if no_color {
            anstream::ColorChoice::Never.write_global();
        }
        let stdout_is_terminal = std::io::stdout().is_terminal();
        let stderr_is_terminal = std::io::stderr().is_terminal();
        Self {
            json,
            quiet,
            stdout_is_terminal,
            stderr_is_terminal,
            can_ask: std::io::stdin().is_terminal() && stderr_is_terminal,
            verbose: false,
            width: width(stdout_is_terminal),
            narrow: stdout_is_terminal,
        }
    }

    /// Returns this with as many columns as somebody says, in the words of the variable `COLUMNS`, and telling everything or not.
    pub(crate) fn with(self, columns: Option<&str>, verbose: bool) -> Self {
        let said = columns.and_then(|columns| columns.trim().parse().ok());
        let said = said.filter(|columns: &usize| *columns > 0);
        let width = said.map_or(self.width, |columns| columns.clamp(NARROWEST, WIDEST));
        Self { verbose, width, narrow: self.narrow || said.is_some(), ..self }
    }

    /// Writes a line of data to standard output.
    pub(crate) fn line(self, text: impl AsRef<str>) -> anyhow::Result<()> {
        let mut out = anstream::stdout().lock();
        written(writeln!(out, "{}", text.as_ref()))
    }

    /// Writes text that already ends its lines to standard output.
    pub(crate) fn text(self, text: impl AsRef<str>) -> anyhow::Result<()> {
        let mut out = anstream::stdout().lock();
        written(write!(out, "{}", text.as_ref()))
    }

    /// Writes bytes to standard output as they are.
    pub(crate) fn bytes(self, bytes: &[u8]) -> anyhow::Result<()> {
        written(std::io::stdout().lock().write_all(bytes))
    }

    /// Writes everything out that is still held back.
    pub(crate) fn flush(self) -> anyhow::Result<()> {
        written(std::io::stdout().lock().flush())
    }

    /// Whether standard output could not be written, and how the program ends then; a closed pipe is no reason.
    pub(crate) fn lost(self) -> Option<Exit> {
        LOST.get().map(|lost| lost.exit)
    }

    /// Writes out what is held back and tells of an output that was lost; returns how the program ends.
    pub(crate) fn end(self, exit: Exit) -> Exit {
        // What went wrong is kept.
        let _flushed = self.flush();
        let Some(Lost { why, exit: lost }) = LOST.get() else { return exit };
        self.complain(format!("{BAD}error:{BAD:#} the standard output cannot be written: {why}"));
        worse(exit, *lost)
    }

    /// Writes one JSON object, on one line.
    pub(crate) fn object(self, object: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(object)?;
        text.push('\n');
        let mut out = std::io::stdout().lock();
        written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    /// Says something to the person, on standard error.
    pub(crate) fn say(self, text: impl AsRef<str>) {
        if !self.quiet {
            // Standard error may be closed: then nobody wants to know.
            let _told = writeln!(anstream::stderr().lock(), "{}", text.as_ref());
        }
    }

    /// Says what is worth knowing but changes nothing.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        self.say(format!("{FAINT}note:{FAINT:#} {}", text.as_ref()));
    }

    /// Writes a question, or a part of one, to the terminal; the cursor stays behind it.
    pub(crate) fn ask(self, text: impl AsRef<str>) -> anyhow::Result<()> {
        let mut out = anstream::stderr().lock();
        write!(out, "{}", text.as_ref())?;
        Ok(out.flush()?)
    }

    /// Says what must be heard even when all else is quiet.
    pub(crate) fn complain(self, text: impl AsRef<str>) {
        let _told = writeln!(anstream::stderr().lock(), "{}", text.as_ref());
    }
}

/// Returns the columns of the terminal, as far as text is made for them.
fn width(stdout_is_terminal: bool) -> usize {
    let terminal = stdout_is_terminal.then(terminal_size::terminal_size).flatten();
    // A terminal that tells no size says zero.
    let columns = terminal.map(|(width, _)| usize::from(width.0)).filter(|columns| *columns > 0);
    columns.map_or(WIDEST, |columns| columns.clamp(NARROWEST, WIDEST))
}

/// Keeps why standard output could not be written; a closed pipe is a reason to stop, and no failure.
pub(crate) fn written(outcome: std::io::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(ClosedPipe.into()),
        Err(error) => {
            lose(&error);
            Err(OutputLost.into())
        }
        Ok(()) => Ok(()),
    }
}

/// Keeps why standard output could not be written; only the first time is told.
pub(crate) fn lose(error: &std::io::Error) {
    let _kept = LOST.set(Lost::of(error));
}
