//! Listens to the device's log while a backup runs, and remembers its last minute.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lifeboat_device::link::Link;
use lifeboat_device::log;
use lifeboat_doctor::Facts;
use lifeboat_doctor::patterns::Patterns;
use lifeboat_doctor::report::scrubbed;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::last_run::MOST_LINES;

/// How much of the log is remembered.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Nobody listens longer than this.
const LONGEST: Duration = Duration::from_hours(48);
/// Lines that are kept at most.
const MOST: usize = 20_000;
/// How much of a line is kept, in characters.
const LINE: usize = 1000;
/// What the device wrote before the connection broke is still on its way.
const LAST_LINES: Duration = Duration::from_millis(200);
/// Who writes about backups.
const WRITERS: [&str; 5] = ["BackupAgent2", "backupd", "kernel", "lockdownd", "ReportCrash"];

/// Remembers the last minute of a device's log. It stops when it is dropped.
pub(crate) struct Recorder {
    lines: Arc<Mutex<VecDeque<(Instant, String)>>>,
    listening: JoinSet<()>,
}

impl Recorder {
    /// Starts to listen. A device whose log cannot be heard is no trouble: there are no lines then.
    pub(crate) fn start(link: &Link) -> Self {
        let lines = Arc::<Mutex<VecDeque<(Instant, String)>>>::default();
        let mut listening = JoinSet::new();
        let (link, kept) = (link.clone(), lines.clone());
        listening.spawn(async move {
            let heard = log::listen(&link, LONGEST, move |entry| {
                if WRITERS.contains(&entry.process_name()) {
                    let text = entry.message.chars().filter(|c| !c.is_control()).take(LINE);
                    let mut line = format!("{}[{}] ", entry.process_name(), entry.pid);
                    line.extend(text);
                    keep(&mut locked(&kept), Instant::now(), line);
                }
                true
            });
            if let Err(error) = heard.await {
                tracing::debug!(%error, "the log of the device is not heard any more");
            }
        });
        Self { lines, listening }
    }

    /// Returns what was heard in the last minute.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        tokio::time::sleep(LAST_LINES).await;
        self.listening.shutdown().await;
        let now = Instant::now();
        let lines = std::mem::take(&mut *locked(&self.lines));
        lines
            .into_iter()
            .filter(|(at, _)| now.duration_since(*at) <= REMEMBERED)
            .map(|(_, line)| line)
            .collect()
    }
}

fn locked<T>(lines: &Mutex<T>) -> MutexGuard<'_, T> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(lines: &mut VecDeque<(Instant, String)>, now: Instant, line: String) {
    while lines.len() >= MOST
        || lines.front().is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED)
    {
        lines.pop_front();
    }
    lines.push_back((now, line));
}

/// Returns what lines of a log show; nothing where there are none.
pub(crate) fn log_facts(lines: &[String]) -> Facts {
    if lines.is_empty() {
        return Facts::new();
    }
    Patterns::builtin().facts(lines.iter().map(String::as_str))
}

/// Returns the lines that are worth keeping, without what looks like an identifier: those that a pattern knows, the last ones.
pub(crate) fn worth_keeping(lines: &[String]) -> Vec<String> {
    let known = lines.iter().rev().filter(|line| Patterns::builtin().scan(line).is_some());
    let mut kept: Vec<String> = known.take(MOST_LINES).map(|line| scrubbed(line)).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_is_kept() {
        let mut lines = VecDeque::new();
        let start = Instant::now();
        for second in 0..100 {
            keep(&mut lines, start + Duration::from_secs(second), format!("line {second}"));
        }
        assert_eq!(lines.len(), 61);
        assert_eq!(lines.front().map(|(_, line)| line.as_str()), Some("line 39"));
    }

    #[test]
    fn what_nobody_knows_is_not_kept() {
        let patterns = Patterns::builtin().all();
        let known = patterns.first().unwrap().example.clone();
        let lines = ["somebody wrote a message".to_owned(), known];
        assert_eq!(worth_keeping(&lines).len(), 1);
        assert!(log_facts(&[]).is_empty());
        assert!(log_facts(&lines).is("log.heard", "lines"));
    }
}
