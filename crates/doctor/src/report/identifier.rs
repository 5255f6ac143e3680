//! What names a person or a thing of theirs, and keeping it out of what is passed on.

use std::cmp::Reverse;
use std::fmt;
use std::sync::OnceLock;

use regex::{Captures, Regex, RegexBuilder};
use serde::{Serialize, Serializer};

/// A text that names a person, a device or a place. Shown, it is left out; only [`Identifier::reveal`] gives it, and
/// serialisation, whose reader is the person at this computer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(String);

impl Identifier {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(left out)")
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifier(left out)")
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What identifiers look like in a text that others wrote: an error's, a log line's.
const SHAPES: &[(&str, &str)] = &[
    (r"(/(?:home|Users)/|/(?:run/)?media/|\\Users\\)(?:\(left out\)|[^/\\\s:]+)", "${1}(left out)"),
    // File names hold spaces: such a path ends where its sentence goes on.
    (r#"/(?:private/)?var/mobile/[^:"\n]*"#, "/var/mobile/(left out)"),
    (r#"/\.ba/mobile/[^:"\n]*"#, "/.ba/mobile/(left out)"),
    (
        r#"\b(?:AppDomain(?:Group|Plugin)?|SysContainerDomain|SysSharedContainerDomain)-[^:"\n]*"#,
        "(a file of an app)",
    ),
    (
        r#"\b((?:Home|Root|CameraRoll|Media|Wireless|Keyboard|Keychain|Health|HomeKit|Books|Tones|Database|Managed[A-Za-z]*|System[A-Za-z]*)Domain)/[^:"\n]*"#,
        "${1}/(left out)",
    ),
    (r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b", "(UUID)"),
    (r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}\b", "(UDID)"),
    (r"\b[0-9A-Fa-f]{40}\b", "(UDID)"),
    (r"\b[0-9A-Fa-f]{24}\b", "(UDID)"),
    (r"\b[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})\b", "(hardware address)"),
    (r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", "(address)"),
    (r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){3,7}\b", "(address)"),
    // Short forms: `fe80::1`, `2001:db8::7`, not the `::` between names of a program.
    (r"\b(?:[0-9A-Fa-f]{1,4}:){1,6}(?::[0-9A-Fa-f]{1,4}){1,6}\b", "(address)"),
    (r"(?i)\b(serial(?: number| no\.?)?[ :=]+)[0-9A-Z]{8,14}\b", "${1}(serial number)"),
    (r#"(?i)\b(ssid\b[ :=]+)(?:\(left out\)|"[^"\n]*"|[^\s,;]+)"#, "${1}(left out)"),
    (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", "(e-mail address)"),
];

/// A number as a telephone has. A bracket right behind a digit is none: so a log writes a size twice.
const NUMBER: &str = r"\+?[0-9](?:(?: ?[/-]? ?|\) ?| \()[0-9]){9,}";
/// Sizes and times, which support needs, however long they are: what stands behind such a word, or before a unit.
const MEASURED: &str = r"(?i)(?:\b(?:space|free|size|bytes|total|used|available|capacity|needs?|need|required|remaining|left)\b(?: (?:on drive|disk|space|is|are|of))*[ :=]+[0-9]{1,20}\b)|(?:\b[0-9]{1,20} ?(?:bytes|[KMGT]i?B|ms|us|ns)\b)";

/// Returns a text without what looks like an identifier. The second line of defence: the first is [`Identifier`] and `private` in
/// the table of facts.
pub fn scrubbed(text: &str) -> String {
    static COMPILED: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    static NUMBERS: OnceLock<Regex> = OnceLock::new();
    let shapes = COMPILED.get_or_init(|| {
        SHAPES
            .iter()
            .map(|(shape, instead)| {
                let regex =
                    RegexBuilder::new(shape).build().expect("a constant that the tests compile");
                (regex, *instead)
            })
            .collect()
    });
    let without = shapes.iter().fold(text.to_owned(), |text, (regex, instead)| {
        regex.replace_all(&text, *instead).into_owned()
    });
    let numbers = NUMBERS.get_or_init(|| {
        Regex::new(&format!("({MEASURED})|{NUMBER}")).expect("a constant that the tests compile")
    });
    let left = |found: &Captures<'_>| match found.get(1) {
        Some(measured) => measured.as_str().to_owned(),
        None => "(number)".to_owned(),
    };
    numbers.replace_all(&without, left).into_owned()
}

/// What people and their devices write for an apostrophe.
const APOSTROPHES: [char; 6] = ['\'', '\u{2018}', '\u{2019}', '\u{02BC}', '`', '\u{00B4}'];

/// Leaves names that are known out of a text, whatever they look like, and then what looks like one.
#[derive(Debug, Default)]
pub struct Scrubber {
    known: Option<Regex>,
}

impl Scrubber {
    /// Names of fewer characters are left where they are: they would be found in every word.
    const SHORTEST: usize = 3;

    /// Makes one for names, in whatever case they are written.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a Identifier>) -> Self {
        let mut names: Vec<String> = names
            .into_iter()
            .flat_map(|name| written(name.reveal().trim()))
            .filter(|name| name.chars().count() >= Self::SHORTEST)
            .collect();
        // What holds another name goes first.
        names.sort_by_key(|name| (Reverse(name.len()), name.clone()));
        names.dedup();
        let shapes: Vec<String> = names.iter().map(|name| shape(name)).collect();
        let known = RegexBuilder::new(&shapes.join("|")).case_insensitive(true).build().ok();
        Self { known: known.filter(|_| !shapes.is_empty()) }
    }

    /// Returns a text without them.
    pub fn scrub(&self, text: &str) -> String {
        match &self.known {
            Some(known) => scrubbed(&known.replace_all(text, "(left out)")),
            None => scrubbed(text),
        }
    }
}

/// Returns the ways in which a name is written: as it is, an identifier without its dashes, and of what belongs to somebody ("Anna's
/// iPhone", with any apostrophe or none) that somebody alone.
fn written(name: &str) -> Vec<String> {
    let mut ways = vec![name.to_owned()];
    let is_identifier = |c: char| c.is_ascii_hexdigit() || c == '-';
    if name.len() > 16 && name.contains('-') && name.chars().all(is_identifier) {
        ways.push(name.replace('-', ""));
    }
    if let Some((owner, _)) = name.split_once(APOSTROPHES) {
        ways.push(owner.trim().to_owned());
        ways.push(format!("{}s", owner.trim()));
    }
    ways
}

/// A name as a whole word: a user named `mac` is not found in `machine`.
fn shape(name: &str) -> String {
    let bound = |end: Option<char>| match end {
        Some(end) if end.is_alphanumeric() || end == '_' => r"\b",
        _ => "",
    };
    let (before, after) = (bound(name.chars().next()), bound(name.chars().next_back()));
    let parts: Vec<String> = name.split(APOSTROPHES).map(regex::escape).collect();
    format!("{before}{}{after}", parts.join("['\u{2018}\u{2019}\u{02BC}`\u{00B4}]?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing() {
        let name = Identifier::new("Anna's iPhone");
        assert_eq!(format!("{name} {name:?}"), "(left out) Identifier(left out)");
        assert_eq!(name.reveal(), "Anna's iPhone");
    }

    #[test]
    fn names_that_are_known_are_left_out_whatever_they_look_like() {
        let names = ["Zoë's 🐚", "F2LXK0ABCD12", "/srv/backups of zoë", "zoe", "(lab)", "ab", ""];
        let names = names.map(Identifier::new);
        let scrubber = Scrubber::new(&names);
        for (text, left) in [
            ("ZOË'S 🐚 is locked", "(left out) is locked"),
            ("serial f2lxk0abcd12, model", "serial (left out), model"),
            ("cannot write /srv/backups of zoë/config", "cannot write (left out)/config"),
            ("zoe and zoetrope", "(left out) and zoetrope"),
            ("in (lab)", "in (left out)"),
            ("a cab at anna@example.com", "a cab at (e-mail address)"),
        ] {
            assert_eq!(scrubber.scrub(text), left);
        }
        assert_eq!(Scrubber::default().scrub("a text"), "a text");
        assert_eq!(Scrubber::new([]).scrub("a text"), "a text");
    }

    #[test]
    fn scrubs_what_looks_like_somebody() {
        for text in [
            "cannot open /home/anna/backup",
            "cannot open /Users/anna/Library",
            r"cannot open C:\Users\anna\Apple",
            "device 00008030-001A2B3C4D5E6F70 left",
            "device 00112233445566778899aabbccddeeff00112233 left",
            "app 2A1B3C4D-0000-4111-8222-333344445555",
            "anna.example@icloud.com is signed in",
            "peer aa:bb:cc:dd:ee:ff",
            "peer fe80::1a2b:3c4d:5e6f:7081",
            "peer 192.168.1.23",
            "call +49 170 1234567",
            "call +49 (0)170-1234567",
            "call 170 1234567 or (170) 123-4567",
            "/var/mobile/Containers/Data/Application/anna",
            "/.ba/mobile/Media/for anna.pdf: input/output error",
            "HomeDomain/Library/for anna.db: input/output error",
            "AppDomain-org.example.anna/Documents/for anna.pdf: input/output error",
            "CameraRollDomain/Media/anna.jpg",
        ] {
            let scrubbed = scrubbed(text);
            assert!(scrubbed.contains('('), "{text} became {scrubbed}");
            for rest in [
                "anna",
                "00008030-001",
                "0011223344",
                "2A1B3C4D",
                "aa:bb",
                "5e6f",
                "192.168",
                "1234567",
            ] {
                assert!(!scrubbed.contains(rest), "{text} became {scrubbed}");
            }
        }
        for text in [
            "error 105",
            "MBErrorDomain/208",
            "NSPOSIXErrorDomain/28: full",
            "12 files of 4096 bytes",
            "17.5.1 at 10:42:31",
        ] {
            assert_eq!(scrubbed(text), text);
        }
    }
}
