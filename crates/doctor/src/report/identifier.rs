//! What names a person or a thing of theirs, and keeping it out of what is passed on.

use std::cmp::Reverse;
use std::fmt;

use regex::Regex;
use serde::{Serialize, Serializer};

use super::shapes::{LEFT_OUT, scrubbed};

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
        f.write_str(LEFT_OUT)
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

/// What people and their devices write for an apostrophe.
const APOSTROPHES: [char; 6] = ['\'', '\u{2018}', '\u{2019}', '\u{02BC}', '`', '\u{00B4}'];

/// Names that name nobody: so a device is called that nobody named, and the account of a system's own program.
const NOBODY: [&str; 6] = ["iphone", "ipad", "backup", "root", "mobile", "localhost"];

/// Leaves names that are known out of a text, whatever they look like, and then what looks like one.
#[derive(Debug, Default)]
pub struct Scrubber {
    known: Known,
}

/// The names that are known, as an expression.
#[derive(Debug, Default)]
enum Known {
    #[default]
    Nobody,
    Names(Regex),
    /// They are known and cannot be looked for: no text may be passed on.
    NotFound,
}

impl Scrubber {
    /// Names of fewer characters are left where they are: they would be found in every word.
    const SHORTEST: usize = 3;

    /// Makes one for names, in whatever case they are written; a name that is one plain word, in its own: "max 5" is not about Max.
    /// Where the names cannot be looked for, every text is left out as a whole.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a Identifier>) -> Self {
        let mut names: Vec<String> = names
            .into_iter()
            .flat_map(|name| written(name.reveal().trim()))
            .filter(|name| name.chars().count() >= Self::SHORTEST && !is_nobody(name))
            .collect();
        // What holds another name goes first.
        names.sort_by_key(|name| (Reverse(name.len()), name.clone()));
        names.dedup();
        let shapes: Vec<String> = names.iter().map(|name| shape(name)).collect();
        if shapes.is_empty() {
            return Self::default();
        }
        let known = Regex::new(&shapes.join("|")).map_or_else(
            |_| {
                // The error holds the names.
                tracing::error!(
                    names = shapes.len(),
                    "names cannot be looked for: texts of others are left out whole"
                );
                Known::NotFound
            },
            Known::Names,
        );
        Self { known }
    }

    /// Returns a text without them.
    pub fn scrub(&self, text: &str) -> String {
        match &self.known {
            Known::Names(known) => scrubbed(&known.replace_all(text, LEFT_OUT)),
            Known::Nobody => scrubbed(text),
            Known::NotFound => LEFT_OUT.to_owned(),
        }
    }
}

fn is_nobody(name: &str) -> bool {
    NOBODY.iter().any(|nobody| nobody.eq_ignore_ascii_case(name))
}

/// Whether a name is one plain word, such as it can stand in any sentence: letters alone, capitals only at its begin or everywhere.
pub(super) fn is_plain_word(name: &str) -> bool {
    let rest = || name.chars().skip(1);
    name.chars().all(char::is_alphabetic)
        && (rest().all(|c| !c.is_uppercase()) || rest().all(|c| !c.is_lowercase()))
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

/// A name as it may be written that is one plain word: as it is, with a capital at the begin of a sentence, and in capitals, as a
/// computer's is in its network; three capitals are a word of programs.
fn cases(name: &str) -> Vec<String> {
    let mut chars = name.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let mut cases = vec![name.to_owned(), first + chars.as_str()];
    if name.chars().count() > 3 {
        cases.push(name.to_uppercase());
    }
    cases
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
    if is_plain_word(name) {
        return format!("{before}(?:{}){after}", cases(name).join("|"));
    }
    let parts: Vec<String> = name.split(APOSTROPHES).map(regex::escape).collect();
    format!("(?i:{before}{}{after})", parts.join("['\u{2018}\u{2019}\u{02BC}`\u{00B4}]?"))
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

    /// "Max" is a phone, and "max 5" none.
    #[test]
    fn a_name_that_is_a_plain_word_is_one_in_its_own_case_only() {
        let names = ["Max", "Connection", "sailor", "FritzBox", "iPhone", "Zoë's iPhone"];
        let names = names.map(Identifier::new);
        let scrubber = Scrubber::new(&names);
        for (text, left) in [
            ("retries: max 5", "retries: max 5"),
            ("MAX_RETRIES, MAX 5", "MAX_RETRIES, MAX 5"),
            ("Max is locked", "(left out) is locked"),
            ("at SAILOR", "at (left out)"),
            ("connection closed", "connection closed"),
            ("joined Connection", "joined (left out)"),
            ("Sailor and sailor", "(left out) and (left out)"),
            ("joined FRITZBOX", "joined (left out)"),
            ("iPhone 17 of Zoë", "iPhone 17 of (left out)"),
            ("zoës iphone", "(left out)"),
        ] {
            assert_eq!(scrubber.scrub(text), left);
        }
    }

    /// Names that no expression can hold must not come through.
    #[test]
    fn names_that_cannot_be_looked_for_leave_no_text() {
        let names = ["Anna's iPhone".to_owned(), "ß".repeat(1 << 20)].map(Identifier::new);
        let scrubber = Scrubber::new(&names);
        assert!(matches!(scrubber.known, Known::NotFound), "this must not compile");
        assert_eq!(scrubber.scrub("of Anna now, error 105"), "(left out)");
    }
}
