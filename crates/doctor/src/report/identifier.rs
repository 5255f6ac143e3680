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
    (
        r#"(?i)\b((?:ssid|network name)\b[ :=]+)(?:\(left out\)|"[^"\n]*"|'[^'\n]*'|[^\s,;]+)"#,
        "${1}(left out)",
    ),
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

/// Words behind which a text tells a name of the person's: of a network, of a device, of an account. What stands there is a name
/// wherever else it stands.
const INTRODUCED: &[&str] = &[
    r#"(?i)\b(?:b?ssid|network name)\b[ :=]+(?:"(?P<a>[^"\n]{3,64})"|'(?P<b>[^'\n]{3,64})'|(?P<c>[^\s,;"'()<>]{3,64}))"#,
    r"(?i)\bserial(?: number| no\.?)?[ :=]+(?P<d>[0-9A-Z]{8,14})\b",
    r#"(?i)\b(?:host ?name|device ?name|computer ?name)\b[ :=]+(?:"(?P<e>[^"\n]{3,64})"|(?P<f>[^\s,;"'()<>]{3,64}))"#,
    r#"(?i)\b(?:apple ?id|apple account|account name|dsid|user ?name)\b[ :=]+(?:"(?P<g>[^"\n]{3,64})"|(?P<h>[^\s,;"'()<>]{3,64}))"#,
];

/// Words of a program and not of a person, that stand where a name could.
const NO_NAMES: &[&str] = &[
    "private",
    "null",
    "nil",
    "none",
    "true",
    "false",
    "yes",
    "not",
    "error",
    "unknown",
    "changed",
    "failed",
    "for",
    "from",
    "has",
    "was",
    "and",
    "the",
    "with",
    "backup",
    "backupd",
    "BackupAgent2",
    "iPhone",
    "iPad",
    "localhost",
    "redacted",
    "iCloud",
];

/// Returns the names that texts tell behind a word that says so.
pub(super) fn introduced<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Identifier> {
    static COMPILED: OnceLock<Vec<Regex>> = OnceLock::new();
    let shapes = COMPILED.get_or_init(|| {
        let compile = |shape: &&str| Regex::new(shape).expect("a constant that the tests compile");
        INTRODUCED.iter().map(compile).collect()
    });
    let is_word = |name: &str| NO_NAMES.iter().any(|word| word.eq_ignore_ascii_case(name));
    // A number alone counts something, unless it is long.
    let is_count = |name: &str| name.len() < 6 && name.chars().all(|c| c.is_ascii_digit());
    let of_text = |text: &'a str| {
        shapes.iter().flat_map(move |shape| shape.captures_iter(text)).filter_map(|found| {
            found
                .iter()
                .skip(1)
                .flatten()
                .next()
                .map(|name| name.as_str().trim_end_matches(['.', ':']))
        })
    };
    let names = texts.flat_map(of_text);
    names.filter(|name| !is_word(name) && !is_count(name)).map(Identifier::new).collect()
}

/// Returns the ways in which a name is written: as it is, an identifier without its dashes or colons, a hardware address with other
/// marks, a host without its domain, and of what belongs to somebody ("Anna's iPhone", with any apostrophe or none) that somebody
/// alone.
fn written(name: &str) -> Vec<String> {
    let mut ways = vec![name.to_owned()];
    let is_identifier = |c: char| c.is_ascii_hexdigit() || c == '-';
    if name.len() > 16 && name.contains('-') && name.chars().all(is_identifier) {
        ways.push(name.replace('-', ""));
    }
    let octets: Vec<&str> = name.split([':', '-']).collect();
    if octets.len() == 6 && octets.iter().all(|octet| is_octet(octet)) {
        ways.extend(["-", ":", "", "."].map(|mark| octets.join(mark)));
    }
    let (host, domain) = name.split_once('.').unwrap_or_default();
    if HOME_DOMAINS.iter().any(|known| domain.eq_ignore_ascii_case(known)) {
        ways.push(host.to_owned());
    }
    if let Some((owner, _)) = name.split_once(APOSTROPHES) {
        ways.push(owner.trim().to_owned());
        ways.push(format!("{}s", owner.trim()));
    }
    ways
}

/// The domains of computers at home.
const HOME_DOMAINS: [&str; 6] = ["local", "lan", "home", "home.arpa", "fritz.box", "localdomain"];

fn is_octet(text: &str) -> bool {
    text.len() == 2 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Whether a name is a long number, as of a telephone or a modem: such are written with spaces, dashes and brackets, or without.
fn is_number(name: &str) -> bool {
    let digits = name.chars().filter(char::is_ascii_digit).count();
    digits >= 7 && name.chars().all(|c| c.is_ascii_digit() || " +-/().\u{a0}".contains(c))
}

/// A name as a whole word: a user named `mac` is not found in `machine`.
fn shape(name: &str) -> String {
    let bound = |end: Option<char>| match end {
        Some(end) if end.is_alphanumeric() || end == '_' => r"\b",
        _ => "",
    };
    let (before, after) = (bound(name.chars().next()), bound(name.chars().next_back()));
    if is_number(name) {
        let digits = name.chars().filter(char::is_ascii_digit).map(String::from);
        // The zeros or the plus before the country are part of it.
        return format!(r"(?:\+|\b00|\b){}\b", digits.collect::<Vec<_>>().join(r"[-\s()/.]{0,3}"));
    }
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

    /// Every identifier that is known is left out wherever it stands as a word, in every case and with every mark; what only holds it
    /// stays, and so do sizes and times.
    #[test]
    fn what_is_known_needs_no_word_before_it() {
        let names = [
            "Harbour-5G",
            "F2LXK0ABCD12",
            "00008110-000A1B2C3D4E5F60",
            "+49 170 1234567",
            "356938035643809",
            "A0000049AB12CD",
            "a4:83:e7:12:34:56",
            "7255a1b2c3d4e",
            "anna.lane@icloud.com",
            "harbour-pi.local",
            "sailor",
        ]
        .map(Identifier::new);
        let scrubber = Scrubber::new(&names);
        for text in [
            "joined Harbour-5G at -61 dBm",
            "joined HARBOUR-5G",
            "key f2lxk0abcd12/3",
            "00008110000a1b2c3d4e5f60 attached",
            "+491701234567",
            "0049 170 1234567",
            "49-170-123 45 67",
            "(+49) 170/1234567",
            "35 693803 564380 9",
            "356938035643809",
            "35-693803-564380-9",
            "a0000049ab12cd",
            "A4-83-E7-12-34-56",
            "a483e7123456",
            "a4:83:e7:12:34:56",
            "chip 7255A1B2C3D4E",
            "Anna.Lane@iCloud.com signed in",
            "from harbour-pi: reset",
            "harbour-pi.local answers",
            "uid of Sailor",
        ] {
            let left = scrubber.scrub(text).to_lowercase();
            for part in [
                "harbour", "f2lx", "00008110", "170", "123", "693803", "a0000049", "a483", "a4:",
                "a4-", "7255", "anna", "sailor",
            ] {
                assert!(!left.contains(part), "{text} became {left}");
            }
        }
        for text in [
            "Harbour-5Gx is another",
            "sailors and sailing",
            "356938035643809123 bytes",
            "1701234567890 bytes free",
            "at 10:42:31",
        ] {
            assert_eq!(scrubber.scrub(text), text);
        }
    }

    #[test]
    fn what_a_text_calls_a_name_is_one_in_other_lines() {
        let lines = [
            "wifid: ssid=\"Harbour Five\" rssi=-61",
            "wifid: SSID: Quayside, channel 6",
            "lockdownd: serial number F2LXK0ABCD12",
            "backupd: device name: \"Zoe's phone\"",
            "accountsd: Apple ID zoe-lane",
            "wifid: SSID changed, ssid (null), serial 5, user name <private>",
        ];
        let names = introduced(lines.into_iter());
        let found: Vec<&str> = names.iter().map(Identifier::reveal).collect();
        for name in ["Harbour Five", "Quayside", "F2LXK0ABCD12", "Zoe's phone", "zoe-lane"] {
            assert!(found.contains(&name), "{name}: {found:?}");
        }
        assert_eq!(found.len(), 5, "{found:?}");
        let scrubber = Scrubber::new(&names);
        assert_eq!(
            scrubber.scrub("backupd: left Quayside for Harbour five"),
            "backupd: left (left out) for (left out)"
        );
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
