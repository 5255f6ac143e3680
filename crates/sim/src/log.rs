//! The phone's log: lines that processes write, as a listener on another machine hears them.
//!
//! On a customer's phone the arguments that are not numbers read `<private>`; the constant words and the numbers stand in the clear
//! (docs/protocol.md 10.6). A line is written with `<private:WHAT>`, and the knob `private-log` shows what stands there.

use tokio::sync::broadcast;

/// How much a line matters; the numbers are those of `os_trace_relay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Default.
    Notice = 0x00,
    /// Only for those who ask for it.
    Info = 0x01,
    /// For developers.
    Debug = 0x02,
    /// Something failed.
    Error = 0x10,
    /// A bug.
    Fault = 0x11,
}

impl Level {
    const ALL: [(&'static str, Self); 5] = [
        ("notice", Self::Notice),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("error", Self::Error),
        ("fault", Self::Fault),
    ];

    /// The number in a record of `os_trace_relay`.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The word in a line of `syslog_relay`, which does not carry the two lowest levels.
    pub const fn syslog(self) -> Option<&'static str> {
        match self {
            Self::Notice => Some("Notice"),
            Self::Error => Some("Error"),
            Self::Fault => Some("Fault"),
            Self::Info | Self::Debug => None,
        }
    }
}

/// A process that writes lines: its name, its number, where its program lies, what it writes under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// The path of its program.
    pub path: String,
    /// Its subsystem; empty for the kernel.
    pub subsystem: String,
}

/// Processes that are always there, with their numbers.
const PROCESSES: &[(&str, u32, &str, &str)] = &[
    ("kernel", 0, "/kernel", ""),
    (
        "SpringBoard",
        34,
        "/System/Library/CoreServices/SpringBoard.app/SpringBoard",
        "com.apple.SpringBoard",
    ),
    (
        "backupd",
        71,
        "/System/Library/PrivateFrameworks/MobileBackup.framework/backupd",
        "com.apple.mobilebackup",
    ),
    ("dasd", 83, "/usr/libexec/dasd", "com.apple.duetactivityscheduler"),
    ("powerd", 49, "/System/Library/CoreServices/powerd.bundle/powerd", "com.apple.powerd"),
    ("lockdownd", 90, "/usr/libexec/lockdownd", "com.apple.mobile.lockdown"),
    (
        "cloudd",
        112,
        "/System/Library/PrivateFrameworks/CloudKitDaemon.framework/Support/cloudd",
        "com.apple.cloudkit",
    ),
    (
        "BackupAgent2",
        415,
        "/System/Library/PrivateFrameworks/MobileBackup.framework/BackupAgent2",
        "com.apple.mobilebackup",
    ),
];

impl Process {
    /// Returns the process of this name.
    pub fn named(name: &str) -> Self {
        match PROCESSES.iter().find(|(known, ..)| *known == name) {
            Some((_, pid, path, subsystem)) => Self {
                name: name.to_owned(),
                pid: *pid,
                path: (*path).to_owned(),
                subsystem: (*subsystem).to_owned(),
            },
            None => Self {
                name: name.to_owned(),
                pid: 1000,
                path: format!("/usr/libexec/{name}"),
                subsystem: format!("com.apple.{name}"),
            },
        }
    }

    /// Returns every process that is always there.
    pub fn all() -> impl Iterator<Item = Self> {
        PROCESSES.iter().map(|(name, ..)| Self::named(name))
    }
}

/// The name of the process that makes computer backups.
pub const AGENT: &str = "BackupAgent2";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was written, by the phone's clock.
    pub at: jiff::Timestamp,
    /// Who wrote it.
    pub process: Process,
    /// How much it matters.
    pub level: Level,
    /// What it says, as a listener reads it; usually text.
    pub text: Vec<u8>,
}

impl Line {
    /// Reads `PROCESS: TEXT` or `PROCESS/LEVEL: TEXT`, as descriptions of phones and `sim ctl log` give it; without a process it is
    /// backupd's.
    pub fn parse(text: &str, at: jiff::Timestamp, show_private: bool) -> Self {
        let (head, rest) = text.split_once(": ").unwrap_or(("", text));
        let (name, level) = match head.split_once('/') {
            Some((name, word)) => (name, Level::ALL.iter().find(|(known, _)| *known == word)),
            None => (head, None),
        };
        let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric());
        let (name, text) = if is_name { (name, rest) } else { ("backupd", text) };
        let level = level.map_or(Level::Notice, |(_, level)| *level);
        let text = redact(text, show_private).into_bytes();
        Self { at, process: Process::named(name), level, text }
    }
}

/// Turns each `<private:WHAT>` into `<private>`, or into WHAT where it is shown.
pub fn redact(text: &str, show: bool) -> String {
    const OPEN: &str = "<private:";
    let mut seen = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((what, behind)) = after.split_once('>') else { break };
        seen.push_str(before);
        seen.push_str(if show { what } else { "<private>" });
        rest = behind;
    }
    seen.push_str(rest);
    seen
}

/// Carries lines to whoever listens at the moment; nothing is kept.
#[derive(Debug)]
pub struct Log {
    lines: broadcast::Sender<Line>,
}

impl Default for Log {
    fn default() -> Self {
        Self { lines: broadcast::Sender::new(4096) }
    }
}

impl Log {
    /// Writes a line; nobody listening is fine.
    pub fn write(&self, line: Line) {
        drop(self.lines.send(line));
    }

    /// Hears every line from now on.
    pub fn listen(&self) -> broadcast::Receiver<Line> {
        self.lines.subscribe()
    }
}

/// What an evil app writes: control characters, an end in the middle, bytes that are no text, a line without an end.
pub fn hostile(at: jiff::Timestamp) -> Vec<Line> {
    let endless = vec![b'A'; 60_000];
    [
        b"\x1b]0;owned\x07\x1b[2J\x1b[31mbackupd: all is well\r".as_slice(),
        b"=scheduler= [Off condition] state changed, enabled:\x1b[8m0, locked:\xff\xfe, onPower:",
        b"line one\nline two\r\nBackupAgent2: Finished backup",
        b"\xe2\x80\xae\xe2\x81\xa6reversed\xe2\x80\x8b",
        b"uploadSize:99999999999999999999999999(-1), uploadFileCount:1e9",
        &endless,
    ]
    .into_iter()
    .map(|text| Line {
        at,
        process: Process::named("backupd"),
        level: Level::Error,
        text: text.to_vec(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> jiff::Timestamp {
        "2026-05-04T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn what_is_private_is_not_seen_on_a_customers_phone() {
        let text = "for account <private:robin@example.com>: <private:Error 303> after 3 tries";
        assert_eq!(redact(text, false), "for account <private>: <private> after 3 tries");
        assert_eq!(redact(text, true), "for account robin@example.com: Error 303 after 3 tries");
        assert_eq!(redact("<private:open", false), "<private:open");
    }

    #[test]
    fn lines_are_read_with_process_and_level() {
        let line = |text: &str| Line::parse(text, noon(), false);
        let plain = line("=scheduler= [Off condition] state changed, enabled:0");
        assert_eq!((plain.process.name.as_str(), plain.level), ("backupd", Level::Notice));
        let kernel = line("kernel/error: AppleUSBDeviceMux: detected duplicate packet");
        assert_eq!((kernel.process.pid, kernel.level), (0, Level::Error));
        assert_eq!(kernel.text, b"AppleUSBDeviceMux: detected duplicate packet");
        let other = line("weatherd/info: rain: yes");
        assert_eq!(
            (other.process.name.as_str(), other.text.as_slice()),
            ("weatherd", b"rain: yes".as_slice())
        );
        let sentence = line("Two words: not a process");
        assert_eq!(sentence.text, b"Two words: not a process");
    }
}
