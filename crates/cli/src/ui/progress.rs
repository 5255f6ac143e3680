//! How far a job is: a bar on a terminal, a line now and then elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Ui, text};

/// A job shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(250);
/// Where there is no terminal, this often a line.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

/// One look at how far a job is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Look {
    /// The stage, as a verb: "receiving".
    pub(crate) doing: String,
    /// Bytes so far.
    pub(crate) bytes: u64,
    /// All bytes, where known.
    pub(crate) bytes_total: Option<u64>,
    /// Files so far.
    pub(crate) files: u64,
    /// All files, where known.
    pub(crate) files_total: Option<u64>,
    /// Bytes a second.
    pub(crate) rate: u64,
    /// Seconds left, where they can be told.
    pub(crate) seconds_left: Option<u64>,
    /// Percentage, where the other side tells it.
    pub(crate) percent: Option<f64>,
}

impl Look {
    /// Returns the part that is done, between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "it becomes the length of a bar")]
    pub(crate) fn part(&self) -> Option<f64> {
        let of = |now: u64, all: Option<u64>| {
            all.filter(|all| *all > 0).map(|all| now as f64 / all as f64)
        };
        of(self.bytes, self.bytes_total)
            .or_else(|| self.percent.map(|percent| percent / 100.0))
            .or_else(|| of(self.files, self.files_total))
            .map(|part| part.clamp(0.0, 1.0))
    }

    /// Returns the look as one line of words and numbers.
    pub(crate) fn words(&self) -> String {
        let mut words = self.doing.clone();
        if let Some(part) = self.part() {
            let _ = write!(words, " {:.0}%", (part * 100.0).floor());
        }
        if self.bytes > 0 || self.bytes_total.is_some() {
            let _ = write!(words, ", {}", text::bytes(self.bytes));
            if let Some(total) = self.bytes_total {
                let _ = write!(words, " of {}", text::bytes(total));
            }
        }
        if self.files > 0 || self.files_total.is_some() {
            match self.files_total {
                Some(total) => {
                    let _ = write!(
                        words,
                        ", {} of {}",
                        text::count(self.files),
                        text::things(total, "file")
                    );
                }
                None => {
                    let _ = write!(words, ", {}", text::things(self.files, "file"));
                }
            }
        }
        if self.rate > 0 {
            let _ = write!(words, ", {}/s", text::bytes(self.rate));
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds that a person waits")]
        if let Some(left) = self.seconds_left.filter(|left| *left > 0) {
            let _ = write!(words, ", {} left", text::seconds(left as f64));
        }
        words
    }
}

/// Shows how far a job is; can be told from any thread.
pub(crate) struct Progress {
    ui: Ui,
    state: Mutex<State>,
}

struct State {
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
    named: Named,
}

/// What was named of each kind of thing, and how many were passed over.
#[derive(Debug, Default)]
pub(crate) struct Named(BTreeMap<&'static str, u64>);

/// So many of a kind are named; a phone that locks early cannot read hundreds of files.
const NAMED: u64 = 10;

impl Named {
    /// Counts one more of a kind; says whether it is among those that are named.
    pub(crate) fn counts(&mut self, kind: &'static str) -> bool {
        let count = self.0.entry(kind).or_default();
        *count += 1;
        *count <= NAMED
    }

    /// Returns a line for each kind of which there were more, and begins anew.
    pub(crate) fn more(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0)
            .into_iter()
            .filter(|(_, count)| *count > NAMED)
            .map(|(kind, count)| {
                let more = text::things(count - NAMED, &format!("more {kind}"));
                format!("and {more} (`--json` or `-v` names all)")
            })
            .collect()
    }
}

impl Progress {
    /// Starts to show a job.
    pub(crate) fn new(ui: Ui) -> Self {
        let now = Instant::now();
        let state = State { started: now, last_line: now, bar: None, named: Named::default() };
        Self { ui, state: Mutex::new(state) }
    }

    /// Shows a look.
    pub(crate) fn show(&self, look: &Look) {
        if self.ui.quiet || self.ui.json {
            return;
        }
        let mut state = self.state();
        if self.ui.stderr_is_terminal {
            if state.started.elapsed() >= PATIENCE {
                draw(&mut state, look);
            }
        } else if state.last_line.elapsed() >= PLAIN_INTERVAL {
            state.last_line = Instant::now();
            self.ui.say(look.words());
        }
    }

    /// Says a line; a bar moves out of its way.
    pub(crate) fn say(&self, line: &str) {
        let state = self.state();
        match &state.bar {
            Some(bar) => bar.suspend(|| self.ui.say(line)),
            None => self.ui.say(line),
        }
    }

    /// Says a line that names one of a kind of thing; of many only the first ones, unless everything is to be told.
    pub(crate) fn name(&self, kind: &'static str, line: &str) {
        let is_named = self.ui.verbose || self.state().named.counts(kind);
        if is_named {
            self.say(line);
        }
    }

    /// Takes the bar away, and says how many things were not named.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
        for line in state.named.more() {
            self.ui.say(line);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part between 0 and 1"
)]
fn draw(state: &mut State, look: &Look) {
    let bar = state.bar.get_or_insert_with(|| {
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(8));
        let style =
            ProgressStyle::with_template("[{bar:24}] {wide_msg}").expect("a fixed template");
        bar.set_style(style.progress_chars("=> "));
        bar
    });
    bar.set_position(look.part().map_or(0, |part| (part * 1000.0) as u64));
    bar.set_message(look.words());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_says_bytes_files_rate_and_time_left() {
        let look = Look {
            doing: "receiving".into(),
            bytes: 52_000_000,
            bytes_total: Some(104_000_000),
            files: 1200,
            rate: 26_000_000,
            seconds_left: Some(125),
            ..Look::default()
        };
        assert_eq!(
            look.words(),
            "receiving 50%, 52 MB of 104 MB, 1200 files, 26 MB/s, 2 min 5 s left"
        );
    }

    #[test]
    fn of_many_things_the_first_are_named_and_the_others_counted() {
        let mut named = Named::default();
        let told = (0..12).filter(|_| named.counts("file")).count();
        assert!((0..10).all(|_| named.counts("finding")));
        assert_eq!(told, 10);
        assert_eq!(named.more(), ["and 2 more files (`--json` or `-v` names all)"]);
        assert!(named.more().is_empty() && named.counts("file"));
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let look = Look { doing: "looking for the device".into(), ..Look::default() };
        assert_eq!(look.words(), "looking for the device");
        let look = Look { percent: Some(12.7), ..look };
        assert_eq!(look.words(), "looking for the device 12%");
    }
}
