//! `--listen`: follows the log of the device and translates what is known of it, while it is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifeboat_doctor::patterns::Hit;
use lifeboat_doctor::probe::Listen;
use serde::Serialize;

use crate::ui::progress::Progress;
use crate::ui::text::{plain, seconds, things};
use crate::ui::{FAINT, STRONG, Ui};

/// How much of a line is shown.
const SHOWN: usize = 160;

/// Something that the log said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Heard {
    /// The pattern that knows it.
    pattern: &'static str,
    /// What it means.
    meaning: &'static str,
    /// The causes that it hints at.
    causes: &'static [String],
    /// How often.
    times: u64,
    /// The last such line.
    pub(super) line: String,
}

/// Remembers what was heard, and tells it.
pub(super) struct Listener {
    ui: Ui,
    heard: Arc<Mutex<BTreeMap<&'static str, Heard>>>,
}

impl Listener {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, heard: Arc::default() }
    }

    /// Makes what follows the log for so long, and says so.
    pub(super) fn listen(&self, time: Duration, progress: &Arc<Progress>) -> Listen {
        let (ui, heard, progress) = (self.ui, Arc::clone(&self.heard), Arc::clone(progress));
        progress.say(&format!(
            "{FAINT}listening to the log of the device for {} (Ctrl-C ends it){FAINT:#}",
            seconds(time.as_secs_f64())
        ));
        let tell = move |line: &str, hit: &Hit| {
            if take(&heard, line, hit) && !ui.json {
                progress.say(&words(line, hit));
            }
        };
        Listen { time, tell: Arc::new(tell) }
    }

    /// Returns what was heard, each thing once.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Says how often what was heard was said.
    pub(super) fn sum_up(&self) {
        let heard = self.heard();
        if heard.is_empty() {
            self.ui.say(format!("{FAINT}the log said nothing that is known{FAINT:#}"));
        }
        for one in heard.iter().filter(|one| one.times > 1) {
            let times = things(one.times, "time");
            self.ui.say(format!("{FAINT}heard {times}:{FAINT:#} {}", one.meaning));
        }
    }
}

/// Takes a line, and says whether it is news: said for the first time, or another than the last of its kind.
fn take(heard: &Mutex<BTreeMap<&'static str, Heard>>, line: &str, hit: &Hit) -> bool {
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let pattern = hit.pattern;
    let known = heard.entry(&pattern.id).or_insert_with(|| Heard {
        pattern: &pattern.id,
        meaning: &pattern.about,
        causes: &pattern.causes,
        times: 0,
        line: String::new(),
    });
    known.times += 1;
    let news = known.line != line;
    if news {
        line.clone_into(&mut known.line);
    }
    news
}

fn words(line: &str, hit: &Hit) -> String {
    let mut shown: String = plain(line).chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    let mut out = format!("{STRONG}{}{STRONG:#}\n  {FAINT}{shown}{FAINT:#}", hit.pattern.about);
    if let Some(cause) = hit.pattern.causes.first() {
        let _ = write!(out, "\n  {FAINT}`lifeboat explain {cause}`{FAINT:#}");
    }
    out
}
