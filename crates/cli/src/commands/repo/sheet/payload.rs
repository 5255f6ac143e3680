//! What a recovery sheet carries, whether as text or as a square code: the same lines, with a checksum.
//!
//! ```text
//! computer harbour
//! repository /srv/phones
//! id 3f1c…
//! password abcd-…
//! device UDID Robin's iPhone
//! backup-password UDID the newest first
//! check 1a2b3c4d
//! ```
//!
//! A value that no eye could copy (control characters, blanks at its ends) is a JSON string. The check is the beginning of the
//! SHA-256 of the lines before it, each as `key value` and a line end: it tells what was misread or mistyped, and protects nothing.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::ui::text::commands;

/// What a sheet carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Payload {
    /// The computer that made it.
    pub(super) computer: String,
    /// Where the repository is.
    pub(super) repository: String,
    /// Its id.
    pub(super) id: String,
    /// What opens it.
    pub(super) password: String,
    /// The devices: UDID and name.
    pub(super) devices: Vec<(String, String)>,
    /// Backup passwords: UDID and password, newest first.
    pub(super) backup_passwords: Vec<(String, String)>,
}

/// A sheet that was read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sheet {
    /// What it carries.
    pub(super) payload: Payload,
    /// Whether the checksum is that of the lines; nothing where there is none.
    pub(super) fits: Option<bool>,
}

/// Columns of the key in the text.
const WIDTH: usize = 16;
/// Hexadecimal digits of the checksum.
const CHECK: usize = 8;

impl Payload {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("computer", written(&self.computer)),
            ("repository", written(&self.repository)),
            ("id", written(&self.id)),
            ("password", written(&self.password)),
        ];
        let pair = |(udid, value): &(String, String)| format!("{} {}", one(udid), written(value));
        lines.extend(self.devices.iter().map(|device| ("device", pair(device))));
        lines.extend(self.backup_passwords.iter().map(|own| ("backup-password", pair(own))));
        lines
    }

    /// Returns the lines for a square code.
    pub(super) fn code(&self) -> String {
        self.joined(0)
    }

    /// Returns the lines for people, in columns.
    pub(super) fn table(&self) -> String {
        self.joined(WIDTH)
    }

    fn joined(&self, width: usize) -> String {
        let mut out = String::new();
        let lines = self.lines();
        let check = check(&lines);
        for (key, value) in lines.into_iter().chain([("check", check)]) {
            let _ = writeln!(out, "{key:width$} {value}");
        }
        out
    }
}

fn check(lines: &[(&'static str, String)]) -> String {
    let mut sum = Sha256::new();
    for (key, value) in lines {
        sum.update(format!("{key} {value}\n"));
    }
    let mut digits = hex::encode(sum.finalize());
    digits.truncate(CHECK);
    digits
}

/// Returns a text without blanks and control characters: the first word of a line.
fn one(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect()
}

/// Returns a value as it is, or as a JSON string where an eye could not copy it.
fn written(value: &str) -> String {
    let is_plain = !value.is_empty()
        && !value.starts_with('"')
        && value.trim() == value
        && !value.contains("  ")
        && !value.chars().any(is_unseen);
    if is_plain {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_unseen(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether an eye could not copy it, or a terminal would obey it.
fn is_unseen(c: char) -> bool {
    commands(c) || (c.is_whitespace() && c != ' ')
}

/// Returns the value that was written; one that is no JSON string is what it says.
fn value(text: &str) -> String {
    let text = text.trim();
    if text.starts_with('"')
        && let Ok(value) = serde_json::from_str(text)
    {
        return value;
    }
    text.to_owned()
}

/// Reads a sheet back, from its text or from its code; nothing where it is none.
pub(super) fn read(text: &str) -> Option<Sheet> {
    let mut payload = Payload::default();
    let (mut seen, mut told) = ([false; 4], None);
    for line in text.lines() {
        let line = line.trim();
        let (key, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let (fields, rest) = (
            [
                ("computer", &mut payload.computer),
                ("repository", &mut payload.repository),
                ("id", &mut payload.id),
                ("password", &mut payload.password),
            ],
            rest.trim(),
        );
        let pair = || {
            let (udid, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (udid.to_owned(), value(rest))
        };
        match key {
            "device" => payload.devices.push(pair()),
            "backup-password" => payload.backup_passwords.push(pair()),
            "check" => {
                told = Some(rest.to_lowercase());
                // Below it there is prose.
                break;
            }
            _ => {
                for ((name, field), seen) in fields.into_iter().zip(&mut seen) {
                    if name == key && !std::mem::replace(seen, true) {
                        *field = value(rest);
                    }
                }
            }
        }
    }
    let fits = told.map(|told| told == check(&payload.lines()));
    let is_sheet = !payload.repository.is_empty() && !payload.password.is_empty();
    is_sheet.then_some(Sheet { payload, fits })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_payload() -> impl Strategy<Value = Payload> {
        let text = || prop_oneof!["[ -~]{0,30}", any::<String>()];
        let filled = || text().prop_filter("something", |text| !text.is_empty());
        let pairs = || prop::collection::vec(("[0-9A-F-]{8,25}", text()), 0..4);
        (text(), filled(), text(), filled(), pairs(), pairs()).prop_map(
            |(computer, repository, id, password, devices, backup_passwords)| Payload {
                computer,
                repository,
                id,
                password,
                devices,
                backup_passwords,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_from_text_and_code(payload in any_payload()) {
            for text in [payload.code(), payload.table(), payload.table().replace('\n', "\r\n")] {
                let read = read(&text);
                prop_assert_eq!(read, Some(Sheet { payload: payload.clone(), fits: Some(true) }), "{}", text);
            }
        }

        #[test]
        fn noise_never_panics(noise in any::<String>(), near in "(check|password|device|id|\"| |\n|a){0,20}") {
            drop(read(&noise));
            drop(read(&near));
        }
    }

    #[test]
    fn one_letter_that_is_wrong_is_told() {
        let payload = Payload {
            repository: "/srv/phones".into(),
            password: "abcd-efgh".into(),
            ..Payload::default()
        };
        let text = payload.table();
        let mistyped = read(&text.replace("abcd-efgh", "abcd-efgn")).unwrap();
        assert_eq!((mistyped.fits, mistyped.payload.password.as_str()), (Some(false), "abcd-efgn"));
        let without = text.lines().filter(|line| !line.starts_with("check"));
        assert_eq!(read(&without.collect::<Vec<_>>().join("\n")).unwrap().fits, None);
        assert_eq!(read("password nobody can read the backups\n"), None);
    }
}
