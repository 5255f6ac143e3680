//! P20: the log of the device: what was recorded with a run, and what it writes now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lifeboat_device::log::Entry;
use lifeboat_device::log::listen;

use crate::fact::{Facts, Why};
use crate::patterns::Patterns;
use crate::probe::ProbeContext;
use crate::probe::context;

/// All keys that begin with `log.`, the last error of iCloud Backup, and how long the device runs: each line is stamped with that.
pub(crate) const TELLS: &[&str] = &[
    "log.heard",
    "log.condition-enabled",
    "log.condition-locked",
    "log.condition-power",
    "log.condition-wifi",
    "log.power-lost",
    "log.wifi-lost",
    "log.cellular-refused",
    "log.on-cellular",
    "log.cellular-used",
    "log.network-limited",
    "log.deferred",
    "log.backoff",
    "log.clock-forward",
    "log.overdue",
    "log.history-corrupt",
    "log.disabled-elsewhere",
    "log.skipped-files",
    "log.purged",
    "log.crash",
    "log.crash-path",
    "log.file-modified",
    "log.passcode-timeout",
    "log.duplicate-packets",
    "log.space-short",
    "log.socket-error",
    "log.existing-corrupt",
    "log.password-changed",
    "log.unlock-needed",
    "icloud.error",
    "icloud.error-code",
    "device.uptime",
    "management.cloud-backup",
    "restore.state",
];

/// How long is listened where nobody says: what the device writes at once.
const MOMENT: Duration = Duration::from_millis(1200);
/// Lines that are kept, at most; a device that writes more is heard no further.
const MANY: usize = 200_000;
/// Who writes about backups.
const WRITERS: [&str; 7] =
    ["backupd", "BackupAgent2", "cloudd", "lockdownd", "dasd", "kernel", "ReportCrash"];

/// P20.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let heard = Mutex::new(Vec::new());
    let ticks = AtomicU64::new(0);
    let keep = |entry: Entry| {
        ticks.fetch_max(entry.ticks, Ordering::Relaxed);
        let mut lines = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if WRITERS.contains(&entry.process_name()) {
            let line = line(&entry);
            if let Some(listen) = &context.listen
                && let Some(hit) = Patterns::builtin().hits(&line).find(|hit| !hit.is_foreign)
            {
                (listen.tell)(&line, &hit);
            }
            lines.push(line);
        }
        lines.len() < MANY
    };
    let listened = match context.link().await {
        Ok(link) => {
            listen(link, context.listen.as_ref().map_or(MOMENT, |listen| listen.time), keep)
                .await
                .map_err(|error| context::link(&error))
        }
        Err(why) => Err(why),
    };
    let heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    let lines = context.recorded_log.iter().chain(&heard).map(String::as_str);
    let known = listened.is_ok() || !context.recorded_log.is_empty() || !heard.is_empty();
    let mut facts = if known { Patterns::builtin().facts(lines) } else { Facts::new() };
    if let Some(days) = days(ticks.into_inner()) {
        facts.tell("device.uptime", days);
    }
    // Silence decides nothing: what no line said is not known.
    let why =
        listened.err().unwrap_or_else(|| Why::NotThere("the log says nothing about it".into()));
    facts.unknown(TELLS, &why);
    mine(&facts)
}

/// Returns the days since the start that these ticks make; nothing for none and for more than a device can run.
fn days(ticks: u64) -> Option<i64> {
    const A_DAY: u64 = 24_000_000 * 86_400;
    let days = i64::try_from(ticks / A_DAY).ok()?;
    (ticks > 0 && days < 5_000).then_some(days)
}

/// Patterns may show facts of other probes, too: those are left to them, except where only the log tells.
fn mine(facts: &Facts) -> Facts {
    let mut own = Facts::new();
    for (key, value) in facts.iter() {
        if TELLS.contains(&key.as_str()) {
            own.tell(key.as_str(), value.clone());
        }
    }
    own
}

/// Writes an entry as one line, without control characters: a log can hold anything.
fn line(entry: &Entry) -> String {
    let message = entry.message.chars().filter(|c| !c.is_control()).take(4096);
    let mut line = format!("{}[{}] ", entry.process_name(), entry.pid);
    line.extend(message);
    line
}

/// Returns the keys of the table that begin with `log.`.
#[cfg(test)]
fn declared() -> Vec<&'static str> {
    crate::fact::table()
        .iter()
        .map(|(key, _)| key.as_str())
        .filter(|key| key.starts_with("log."))
        .collect()
}

#[cfg(test)]
mod tests {
    use lifeboat_device::log::Level;

    use super::*;

    #[test]
    fn every_key_of_the_log_is_told() {
        for key in declared() {
            assert!(TELLS.contains(&key), "{key}");
        }
    }

    #[test]
    fn ticks_make_days() {
        assert_eq!(days(24_000_000 * 86_400 * 61 + 5), Some(61));
        assert_eq!((days(0), days(u64::MAX)), (None, None));
    }

    #[test]
    fn control_characters_do_not_come_through() {
        let entry = Entry {
            pid: 7,
            seconds: 0,
            microseconds: 0,
            ticks: 0,
            level: Level::Notice,
            process: "/usr/libexec/backupd".into(),
            image: String::new(),
            message: "a\x1b[31m\u{7}\nb".into(),
            subsystem: String::new(),
            category: String::new(),
        };
        assert_eq!(line(&entry), "backupd[7] a[31mb");
        let long = Entry { message: "x".repeat(1 << 20), ..entry };
        assert!(line(&long).len() < 5000);
    }
}
