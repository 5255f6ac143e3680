//! What the device writes into its log: regular expressions out of `patterns.toml`, and the facts that they show.
//!
//! A line is hostile: it may hold anything, at any length. Only its first 4096 bytes are looked at, and nothing of it becomes a
//! fact but numbers, words of the table, and text that stays evidence.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use crate::fact::{FactError, Facts, Value};

const FILE: &str = include_str!("../patterns.toml");

/// How much of a line is looked at.
const LONGEST: usize = 4096;

/// The program of the device that makes backups to a computer.
const COMPUTER: &str = "BackupAgent2";
/// The program of the device that makes iCloud backups.
const CLOUD: &str = "backupd";

/// One pattern.
#[derive(Debug)]
pub struct Pattern {
    /// Its name.
    pub id: String,
    /// What a line of it means.
    pub about: String,
    /// The causes that it hints at: ids of entries.
    pub causes: Vec<String>,
    /// A line of its form.
    pub example: String,
    engine: Option<Engine>,
    named: bool,
    general: bool,
    facts: Facts,
    fields: Vec<Field>,
    /// For the fields that a group catches; the set only says which pattern matches.
    regex: Option<Regex>,
}

/// A line that a pattern knows.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Which pattern.
    pub pattern: &'static Pattern,
    /// What this line shows; nothing where any program could have written it and it does not name the one that makes backups.
    pub facts: Facts,
    /// Any program could have written it, and it does not name the one that makes backups.
    pub is_foreign: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Engine {
    Cloud,
    Computer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    pattern: Vec<RawPattern>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPattern {
    id: String,
    about: String,
    engine: Option<Engine>,
    #[serde(default)]
    named: bool,
    #[serde(default)]
    general: bool,
    like: String,
    example: String,
    causes: Vec<String>,
    #[serde(default)]
    facts: BTreeMap<String, RawValue>,
    #[serde(default)]
    field: Vec<Field>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawValue {
    Flag(bool),
    Word(String),
}

/// A number or a text in a line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    after: Option<String>,
    capture: Option<String>,
    fact: String,
    zero: Option<String>,
    other: Option<String>,
    #[serde(default)]
    number: bool,
    #[serde(default)]
    text: bool,
    #[serde(default)]
    words: BTreeMap<String, String>,
    #[serde(rename = "else")]
    otherwise: Option<String>,
}

/// All patterns, compiled.
#[derive(Debug)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    set: RegexSet,
}

impl Patterns {
    /// Returns the patterns that are part of the program, compiled at the first call.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Patterns> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let file: File =
                toml::from_str(FILE).expect("patterns.toml is part of the program and tested");
            Self::compile(file).expect("patterns.toml is part of the program and tested")
        })
    }

    fn compile(file: File) -> Result<Self, regex::Error> {
        let set = RegexSetBuilder::new(file.pattern.iter().map(|pattern| &pattern.like))
            .unicode(false)
            .build()?;
        let patterns =
            file.pattern.into_iter().map(RawPattern::compile).collect::<Result<_, _>>()?;
        Ok(Self { patterns, set })
    }

    /// Returns all patterns, in the order in which they are tried.
    pub fn all(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Returns the first pattern that knows this line, and what the line shows.
    pub fn scan(&'static self, line: &str) -> Option<Hit> {
        self.hits(line).next()
    }

    /// Returns every pattern that knows this line.
    pub fn hits<'a>(&'static self, line: &'a str) -> impl Iterator<Item = Hit> + 'a {
        let line = line.as_bytes();
        let line = line.get(..LONGEST).unwrap_or(line);
        let matched = self.set.matches(line);
        let (engine, named) =
            if matched.matched_any() { (engine(line), names_backup(line)) } else { (None, false) };
        self.patterns
            .iter()
            .enumerate()
            .filter(move |(at, pattern)| matched.matched(*at) && pattern.counts_for(engine))
            .map(move |(_, pattern)| {
                let is_foreign = pattern.named && !named;
                let facts = if is_foreign { Facts::new() } else { pattern.shows(line) };
                Hit { pattern, facts, is_foreign }
            })
    }

    /// Returns what many lines show together; what is later in the log wins, but nothing general over something exact.
    pub fn facts<'a>(&'static self, lines: impl IntoIterator<Item = &'a str>) -> Facts {
        let mut facts = Facts::new();
        facts.tell("log.heard", "nothing");
        for line in lines {
            facts.tell("log.heard", "lines");
            // Of one line, the first pattern has the last word: it is the most exact one.
            let hits: Vec<Hit> = self.hits(line).collect();
            for hit in hits.into_iter().rev() {
                if hit.pattern.general {
                    let before = std::mem::replace(&mut facts, hit.facts);
                    facts.merge(before);
                } else {
                    facts.merge(hit.facts);
                }
            }
        }
        facts
    }
}

/// Whether a line names a program that makes backups, or the container that iCloud Backup keeps them in: every app has lines about
/// its own errors with Apple's servers.
fn names_backup(line: &[u8]) -> bool {
    const NAMES: [(&[u8], bool); 3] =
        [(COMPUTER.as_bytes(), true), (CLOUD.as_bytes(), true), (b"com.apple.backup.", false)];
    NAMES.iter().any(|(name, whole)| {
        line.windows(name.len()).enumerate().any(|(at, window)| {
            let before = at.checked_sub(1).and_then(|before| line.get(before));
            let after = line.get(at + name.len()).filter(|_| *whole);
            window == *name && ![before, after].into_iter().flatten().any(u8::is_ascii_alphanumeric)
        })
    })
}

/// Which program a line names, where it names one.
fn engine(line: &[u8]) -> Option<Engine> {
    let names = |name: &str| line.windows(name.len()).any(|window| window == name.as_bytes());
    if names(COMPUTER) {
        Some(Engine::Computer)
    } else if names(CLOUD) {
        Some(Engine::Cloud)
    } else {
        None
    }
}

impl RawPattern {
    fn compile(self) -> Result<Pattern, regex::Error> {
        let captures = self.field.iter().any(|field| field.capture.is_some());
        let regex =
            captures.then(|| RegexBuilder::new(&self.like).unicode(false).build()).transpose()?;
        let mut facts = Facts::new();
        for (key, value) in self.facts {
            match value {
                RawValue::Flag(flag) => facts.tell(&key, flag),
                RawValue::Word(word) => facts.tell(&key, word),
            }
        }
        Ok(Pattern {
            id: self.id,
            about: self.about,
            causes: self.causes,
            example: self.example,
            engine: self.engine,
            named: self.named,
            general: self.general,
            facts,
            fields: self.field,
            regex,
        })
    }
}

impl Pattern {
    fn counts_for(&self, engine: Option<Engine>) -> bool {
        match (self.engine, engine) {
            (Some(mine), Some(line)) => mine == line,
            _ => true,
        }
    }

    fn shows(&self, line: &[u8]) -> Facts {
        let mut facts = self.facts.clone();
        let captures = self.regex.as_ref().and_then(|regex| regex.captures(line));
        for field in &self.fields {
            let found = match (&field.after, &field.capture) {
                (Some(after), _) => number_after(line, after.as_bytes()),
                (None, Some(group)) => captures
                    .as_ref()
                    .and_then(|captures| captures.name(group))
                    .map(|found| found.as_bytes()),
                (None, None) => None,
            };
            // What a field holds is hostile; what the table refuses is left out.
            if let Some(found) = found
                && let Some(Err(FactError::UnknownKey { .. })) = field.tell(found, &mut facts)
            {
                debug_assert!(
                    false,
                    "patterns.toml names a fact that is not in the table: {}",
                    field.fact
                );
            }
        }
        facts
    }
}

impl Field {
    fn tell(&self, found: &[u8], facts: &mut Facts) -> Option<Result<(), FactError>> {
        let text = str::from_utf8(found).ok()?;
        let value: Value = if self.text {
            Value::Text(text.chars().filter(|c| !c.is_control()).collect())
        } else if self.number {
            Value::Number(text.parse().ok()?)
        } else if !self.words.is_empty() {
            self.words.get(text).or(self.otherwise.as_ref())?.as_str().into()
        } else {
            let zero = text.bytes().all(|digit| digit == b'0');
            if zero { self.zero.as_deref()? } else { self.other.as_deref()? }.into()
        };
        Some(facts.insert(&self.fact, value))
    }
}

/// Returns the digits that follow a literal, which must not be the tail of a longer word.
fn number_after<'a>(line: &'a [u8], literal: &[u8]) -> Option<&'a [u8]> {
    let mut from = 0;
    while let Some(rest) = line.get(from..) {
        let at = from + rest.windows(literal.len()).position(|window| window == literal)?;
        let word = at
            .checked_sub(1)
            .and_then(|before| line.get(before))
            .is_some_and(u8::is_ascii_alphanumeric);
        let digits = line.get(at + literal.len()..)?;
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !word && length > 0 {
            return digits.get(..length);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::Catalogue;

    fn facts(line: &str) -> Facts {
        Patterns::builtin().facts([line])
    }

    #[test]
    fn every_example_is_known_by_its_pattern_and_shows_what_it_says() {
        for pattern in Patterns::builtin().all() {
            let hit = Patterns::builtin().scan(&pattern.example);
            assert_eq!(
                hit.map(|hit| hit.pattern.id.as_str()),
                Some(pattern.id.as_str()),
                "{}",
                pattern.example
            );
            let facts = facts(&pattern.example);
            for (key, value) in pattern.facts.iter() {
                assert_eq!(facts.get(key), Some(value), "{}", pattern.id);
            }
        }
    }

    #[test]
    fn every_cause_is_an_entry_and_every_field_a_fact() {
        for pattern in Patterns::builtin().all() {
            for cause in &pattern.causes {
                assert!(Catalogue::builtin().get(cause).is_some(), "{}: {cause}", pattern.id);
            }
            for field in &pattern.fields {
                let mut facts = Facts::new();
                assert!(field.after.is_some() != field.capture.is_some(), "{}", pattern.id);
                for word in field
                    .words
                    .values()
                    .chain(&field.zero)
                    .chain(&field.other)
                    .chain(&field.otherwise)
                {
                    facts.insert(&field.fact, word.as_str()).unwrap();
                }
                if let Some(group) = &field.capture {
                    let regex = pattern.regex.as_ref().unwrap();
                    assert!(
                        regex.capture_names().any(|name| name == Some(group)),
                        "{}: {group}",
                        pattern.id
                    );
                }
            }
        }
    }

    #[test]
    fn the_missing_condition_is_named() {
        let line = "=scheduler= [Off condition] state changed, enabled:1, locked:0, onPower:1, onWiFi:0, onCellular:1(1), autoBackupOnCellularEnabled:0";
        let facts = facts(line);
        assert!(facts.is("log.condition-enabled", "met"));
        assert!(facts.is("log.condition-locked", "missing"));
        assert!(facts.is("log.condition-power", "met"));
        assert!(facts.is("log.condition-wifi", "missing"));
    }

    #[test]
    fn a_private_field_tells_nothing() {
        let facts = facts(
            "=scheduler= [Off condition] state changed, enabled:<private>, locked:1, onPower:<private>",
        );
        assert_eq!(facts.value("log.condition-enabled"), None);
        assert_eq!(facts.value("log.condition-power"), None);
        assert!(facts.is("log.condition-locked", "met"));
    }

    #[test]
    fn the_later_line_wins() {
        let facts = Patterns::builtin().facts([
            "backupd: Scheduler received backup failure notification for account <private>: (MBErrorDomain/303)",
            "backupd: =scheduler= Scheduler received backup completion notification for account <private>",
        ]);
        assert!(facts.is("icloud.error", "none"));
    }

    /// The scheduler's own line names no reason: whether it comes before or after the line that does must not matter.
    #[test]
    fn a_reason_that_is_named_outranks_one_that_is_not() {
        const GENERAL: &str = "backupd[98]: =scheduler= Ignoring backup start request since the XPC activity (1) needs to be deferred";
        for (exact, word) in [
            (
                "dasd[70]: com.apple.backupd.activity lowPowerMode:1, needs to be deferred",
                "low-power",
            ),
            ("dasd[70]: com.apple.backupd.activity thermal pressure: 2", "heat"),
        ] {
            for lines in [[GENERAL, exact], [exact, GENERAL]] {
                let facts = Patterns::builtin().facts(lines);
                assert!(facts.is("log.deferred", word), "{lines:?}: {facts:?}");
            }
        }
        assert!(facts(GENERAL).is("log.deferred", "busy"));
    }

    #[test]
    fn what_is_only_about_a_thing_is_no_failure_of_it() {
        for line in [
            "backupd[98]: =account= Found account of type com.apple.appleaccount for persona <private>",
            "backupd[98]: =account= com.apple.appleaccount: 3 accounts",
            "backupd[98]: =network= HTTP/2 connection reuse, 503 ms",
            "backupd[98]: =network= HTTP request took 507 ms",
            "backupd[98]: =network= HTTP status 200, 503 bytes",
            "backupd[98]: =network= HTTP 503 ms",
            "backupd[98]: =managed-policy= Loaded 4 restrictions, disabled:0",
            "backupd[98]: =managed-policy= cloud backup allowed:1, disabled:0",
            "backupd[98]: =managed-policy= Cloud backup is not disabled",
            "backupd[98]: =managed-policy= Cloud backup is disabled: 0",
            "backupd[98]: =managed-policy= Cloud backup is disabled = NO",
            "backupd[98]: =managed-policy= Checking whether cloud backup is disabled or not allowed",
            "backupd[98]: =managed-policy= Notifications are disabled by the current MC policy for <private>",
            "backupd[98]: =managed-policy= Unencrypted backups are not allowed",
            "backupd[98]: =cloud-backup= Background restore is running: 0",
            "backupd[98]: =cloud-backup= Background restore running:NO, queue 0",
            "backupd[98]: =cloud-backup= No background restore is running",
            "backupd[98]: =cloud-backup= Background restore in progress, 12 files left",
            "backupd[98]: =cloud-backup= Checking whether a background restore is in progress",
            "backupd[98]: =cloud-backup= Failed to ask while background restore is running: 0",
            "BackupAgent2[120]: Encryption was disabled; background restore in progress = 0",
            "SpringBoard[60]: A restore is running on another device",
        ] {
            let facts = facts(line);
            let told: Vec<&str> = facts.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(told, ["log.heard"], "{line}");
        }
        for (line, word) in [
            ("backupd[98]: Backup failed: <private> (com.apple.appleaccount/401)", "account"),
            ("backupd[98]: Error Domain=com.apple.appleaccount Code=401 \"x\"", "account"),
            ("backupd[98]: request failed, HTTP status 507", "quota"),
            ("backupd[98]: HTTP/1.1 503 Service Unavailable", "outage"),
            ("backupd[98]: HTTP/2 503", "outage"),
            ("backupd[98]: HTTP status code: 429, retry", "rate-limit"),
            ("backupd[98]: HTTP 401 for container", "account"),
            ("backupd[98]: HTTP response (status=500)", "server"),
        ] {
            assert!(facts(line).is("icloud.error", word), "{line}: {:?}", facts(line));
        }
        for line in [
            "backupd[98]: =managed-policy= Cloud backup is disabled by MDM",
            "backupd[98]: =managed-policy= iCloud backup is not allowed",
            "backupd[98]: =managed-policy= Backup is disabled by the current profile",
            "backupd[98]: =managed-policy= Backups are not allowed for <private>",
        ] {
            assert!(facts(line).is("management.cloud-backup", "forbidden"), "{line}");
        }
        for line in [
            "BackupAgent2[120]: iTunes Backup is unavailable while an iCloud Restore is in progress (MBErrorDomain/25)",
            "backupd[98]: =scheduler= Ignoring backup start request because a background restore is in progress",
            "backupd[98]: =scheduler= Not starting backup since background restore is running",
            "backupd[98]: Cloud backup failed: background restore in progress",
            "backupd[98]: =cloud-backup= Background restore in progress, ignoring backup start request",
        ] {
            assert!(facts(line).is("restore.state", "in-progress"), "{line}");
        }
    }

    #[test]
    fn wifi_is_not_missing_where_cellular_is_enough() {
        let met = facts(
            "backupd[98]: =scheduler= [On condition] state changed, enabled:1, locked:1, onPower:1, onWiFi:0, onCellular:1(1), autoBackupOnCellularEnabled:1",
        );
        assert!(met.is("log.condition-wifi", "met") && met.is("log.cellular-used", "yes"));
        let missing = facts(
            "backupd[98]: =scheduler= [Off condition] state changed, enabled:1, locked:1, onPower:0, onWiFi:0, onCellular:1(1), autoBackupOnCellularEnabled:0",
        );
        assert!(
            missing.is("log.condition-wifi", "missing") && missing.is("log.on-cellular", "yes")
        );
    }

    #[test]
    fn the_more_exact_error_of_a_line_wins() {
        let exact = facts(
            "backupd[1]: =cloud-backup= (MBErrorDomain/304) <CKError: \"Account temporarily unavailable\" (36/2011)>",
        );
        assert!(exact.is("icloud.error", "account-unavailable"));
        let other = facts("backupd[1]: Backup failed: Error Domain=MBErrorDomain Code=999");
        assert!(other.is("icloud.error", "other"));
    }

    #[test]
    fn a_computer_backup_says_nothing_about_icloud() {
        let facts = facts("BackupAgent2[1]: =cloud-backup= failed (MBErrorDomain/303)");
        assert_eq!(facts.value("icloud.error"), None);
    }

    #[test]
    fn cellular_is_always_expensive_and_that_tells_nothing() {
        assert_eq!(
            facts("Cellular, available:1, expensive:1, constrained:0").value("log.network-limited"),
            None
        );
        assert!(
            facts("Cellular, available:1, expensive:1, constrained:1")
                .is("log.network-limited", "constrained")
        );
    }

    /// Every app has errors with Apple's servers, and its own crashes.
    #[test]
    fn an_error_of_another_program_is_none_of_the_backup() {
        for line in [
            "cloudd[77] HTTP 401 for com.example.tidebook token refresh",
            "cloudd[77] com.example.mybackupd: HTTP status 507",
            "cloudd[77] <CKError: \"Not Authenticated\" (9/1002)> for com.example.tidebook",
            "cloudd[77] <CKError: \"Account temporarily unavailable\" (36/0)>",
            "cloudd[77] Error Domain=CKErrorDomain Code=25",
            "cloudd[77] Error Domain=NSURLErrorDomain Code=-1009",
            "cloudd[77] (com.apple.appleaccount/401)",
            "cloudd[77] (NSCocoaErrorDomain/4097)",
            "dasd[70] com.example.tidebook.refresh lowPowerMode:1, needs to be deferred",
            "dasd[70] com.example.tidebook.refresh thermal pressure: 2",
            "ReportCrash[9] *** Terminating app due to uncaught exception 'NSRangeException'",
            "lockdownd[40] SocketSend (data): error 32",
        ] {
            let facts = facts(line);
            let told: Vec<&str> = facts.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(told, ["log.heard"], "{line}");
        }
        let own = facts("cloudd[77] HTTP status 507 for container com.apple.backup.ios");
        assert!(own.is("icloud.error", "quota"));
        assert!(facts("cloudd[77] client backupd: HTTP status 401").is("icloud.error", "account"));
    }

    #[test]
    fn a_count_of_nothing_is_no_failure() {
        for line in [
            "backupd[98]: =cloud-backup= Found 0 files with missing encryption keys during scan",
            "backupd[98]: Updating MissingEncryptionKeyFailureCount for account X: 0(0)",
            "backupd[98]: =cloud-backup= 0 files are missing encryption keys",
            "backupd[98]: Updating FailureCount for account X: 0(3)",
            "backupd[98]: =cloud-backup= CacheDelete purged 0 bytes",
        ] {
            let facts = facts(line);
            let told: Vec<&str> = facts.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(told, ["log.heard"], "{line}");
        }
        for line in [
            "backupd[98]: Updating MissingEncryptionKeyFailureCount for account X: 2(1)",
            "backupd[98]: =cloud-backup= 10 files are missing encryption keys",
        ] {
            assert!(facts(line).is("icloud.error", "missing-keys"), "{line}");
        }
    }

    #[test]
    fn hostile_lines_are_only_lines() {
        let facts =
            facts("\u{1b}[2JSkipped 99999999999999999999999 files during\0 the file scan\r\n");
        assert_eq!(facts.value("log.skipped-files"), None);
        let long = format!("{}Existing backup is corrupt", "x".repeat(1 << 20));
        assert!(Patterns::builtin().scan(&long).is_none());
        assert!(Patterns::builtin().scan("").is_none());
    }

    proptest! {
        #[test]
        fn noise_never_panics(line in "\\PC*|(?s).{0,300}") {
            drop(Patterns::builtin().facts([line.as_str()]));
        }

        #[test]
        fn damaged_examples_never_panic(which in 0..60_usize, at in 0..200_usize, with in any::<char>()) {
            let all = Patterns::builtin().all();
            let mut line: Vec<char> = all[which % all.len()].example.chars().collect();
            let at = at % line.len();
            line[at] = with;
            drop(Patterns::builtin().facts([line.into_iter().collect::<String>().as_str()]));
        }
    }
}
