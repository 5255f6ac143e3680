//! Words that say that a name follows: of a network, of a device, of an account.

use std::ops::Range;
use std::sync::OnceLock;

use regex::{Captures, Regex};

use super::Identifier;
use super::identifier::is_plain_word;
use super::shapes::{LEFT_OUT, constant, replaced};

/// Behind these stands a name of the person's, or of a thing of theirs.
const PLACES: &str = r"b?ssid|network[ _]?name|host[ _]?name|device[ _]?name|computer[ _]?name";
/// Behind these, too; what is said of an account begins with a capital as often as not.
const PEOPLE: &str = r"apple[ _]?id|apple account|account[ _]?name|dsid|user[ _]?name";
/// Behind these stands mostly something else.
const WEAK: &str = r"wi-?fi(?: network)?|network|account|device";
const SERIAL: &str =
    r#"(?i)\bserial(?: ?number| no\.?)?["']?(?P<mark>[ :=]+)["']?(?P<number>[0-9A-Z]{8,14})\b"#;
/// What is said of a network, of a device, of an account, and is no name of it.
const NO_NAMES: &[&str] = &[
    "private",
    "null",
    "nil",
    "none",
    "true",
    "false",
    "yes",
    "no",
    "not",
    "error",
    "unknown",
    "failed",
    "for",
    "from",
    "has",
    "was",
    "and",
    "the",
    "with",
    "is",
    "backup",
    "backupd",
    "BackupAgent2",
    "iPhone",
    "iPad",
    "localhost",
    "redacted",
    "iCloud",
    "down",
    "missing",
    "invalid",
    "password",
    "lost",
    "off",
    "on",
    "ok",
    "weak",
    "empty",
    "settings",
    "server",
    "network",
    "device",
    "assist",
    "direct",
    "calling",
    "manager",
    "only",
    "sync",
    "code",
    "domain",
    "connected",
    "disconnected",
    "connecting",
    "locked",
    "unlocked",
    "unavailable",
    "found",
    "offline",
    "online",
    "ready",
    "busy",
    "idle",
    "change",
    "state",
    "status",
    "link",
    "name",
    "required",
    "enabled",
    "disabled",
    "available",
    "changed",
    "interface",
    "type",
    "ssid",
    "bssid",
    "rssi",
    "wifi",
    "wi-fi",
    "at",
];

/// How a text writes a name behind such a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Quoted,
    /// Behind a colon or an equals sign.
    Marked,
    Bare,
}

/// A name that a text tells.
struct Told {
    place: Range<usize>,
    /// It is one wherever else it stands.
    everywhere: bool,
}

/// Returns a text without the names that it tells so.
pub(super) fn without(text: &str) -> String {
    let mut places: Vec<Range<usize>> = told(text).into_iter().map(|told| told.place).collect();
    let serials = serials(text).into_iter().filter(|place| !places.contains(place));
    let serials: Vec<Range<usize>> = serials.collect();
    let without = |places: &[Range<usize>], text: &str, instead| replaced(text, places, instead);
    if serials.is_empty() {
        return without(&places, text, LEFT_OUT);
    }
    places = told(&without(&serials, text, "(serial number)"))
        .into_iter()
        .map(|told| told.place)
        .collect();
    without(&places, &without(&serials, text, "(serial number)"), LEFT_OUT)
}

/// Returns the names that texts tell, which are names wherever else they stand.
pub(super) fn introduced<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Identifier> {
    let of_text = |text: &'a str| {
        let told = told(text).into_iter().filter(|told| told.everywhere).map(|told| told.place);
        told.chain(serials(text)).filter_map(|place| text.get(place)).map(Identifier::new)
    };
    texts.flat_map(of_text).collect()
}

/// Returns where serial numbers stand: words have no digit.
fn serials(text: &str) -> Vec<Range<usize>> {
    static COMPILED: OnceLock<Regex> = OnceLock::new();
    let serial = COMPILED.get_or_init(|| constant(SERIAL));
    let number = |found: Captures<'_>| {
        let number = found.name("number")?;
        let text = number.as_str();
        text.bytes().any(|byte| byte.is_ascii_digit()).then(|| number.range())
    };
    serial.captures_iter(text).filter_map(number).collect()
}

/// Returns the names that a text tells behind such a word, in their order.
fn told(text: &str) -> Vec<Told> {
    static COMPILED: OnceLock<Regex> = OnceLock::new();
    let shape = COMPILED.get_or_init(|| {
        constant(&format!(
            r#"(?:^|[^\w=-])(?:(?P<place>(?i:{PLACES}))|(?P<person>(?i:{PEOPLE}))|(?P<weak>(?i:{WEAK})))(?P<mark>["']?(?:\s*[:=]+\s*|[ \t]+))(?:"(?P<a>[^"\n]+)"|'(?P<b>(?:[^'\n]|'\p{{L}})+)'|\x{{201C}}(?P<c>[^\x{{201D}}\n]+)\x{{201D}}|\x{{2018}}(?P<d>(?:[^\x{{2019}}\n]|\x{{2019}}\p{{L}})+)\x{{2019}}|(?P<bare>(?:[^\s,;"'()<>\[\]{{}}\x{{201C}}\x{{2018}}]|'\p{{L}})+))"#
        ))
    });
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(captures) = shape.captures_at(text, from) {
        let (Some(whole), Some(mark)) = (captures.get(0), captures.name("mark")) else { break };
        if let Some(told) = name(&captures) {
            from = whole.end();
            found.push(told);
        } else {
            // What stands there may be such a word itself; the sign before it belongs to it.
            let last = mark.as_str().chars().next_back().map_or(1, char::len_utf8);
            from = mark.end() - last;
        }
    }
    found
}

/// Returns the name that was found, where it is one.
fn name(found: &Captures<'_>) -> Option<Told> {
    let quoted = ["a", "b", "c", "d"].iter().find_map(|quotes| found.name(quotes));
    let mark = found.name("mark")?.as_str();
    let (value, how) = match (quoted, mark.contains([':', '='])) {
        (Some(value), _) => (value, How::Quoted),
        (None, true) => (found.name("bare")?, How::Marked),
        (None, false) => (found.name("bare")?, How::Bare),
    };
    let word = value.as_str().trim_end_matches(['.', ':', '!', '?', '=']);
    if word.is_empty() || word.starts_with(['(', '<', '/']) || is_no_name(word) {
        return None;
    }
    let weak = found.name("weak").map(|label| label.as_str());
    let is_name = match (weak, how) {
        (_, How::Quoted) => !is_of_program(word),
        (None, How::Marked) => true,
        (None, How::Bare) => {
            is_name_like(word) && (found.name("place").is_some() || !is_plain_word(word))
        }
        (Some(_), How::Marked) => {
            is_name_like(word) && (!is_plain_word(word) || mark.contains('='))
        }
        // "Network Extension" has a capital as what it is, and no name.
        (Some(label), How::Bare) => {
            let plain = label.starts_with(char::is_lowercase) || label.starts_with(['W', 'w']);
            is_name_like(word) && plain
        }
    };
    let is_count = word.len() < 6 && word.chars().all(|c| c.is_ascii_digit());
    let everywhere = !is_count
        && match (weak, how) {
            (_, How::Bare) => false,
            (None, _) => true,
            (Some(_), how) => {
                how == How::Quoted && !is_plain_word(word) && word.contains(char::is_uppercase)
            }
        };
    let place = value.start()..value.start() + word.len();
    is_name.then_some(Told { place, everywhere })
}

/// Whether a word is said of something and names nothing: "unavailable", "signing in".
fn is_no_name(word: &str) -> bool {
    let state = ["ed", "ing", "able"].iter().any(|ending| word.ends_with(ending));
    NO_NAMES.iter().any(|known| known.eq_ignore_ascii_case(word))
        || state && word.chars().all(char::is_lowercase)
}

/// Whether a program writes so: `com.apple.backup`, `NSURLErrorDomain`, `Info.plist`.
fn is_of_program(word: &str) -> bool {
    const FIRST: [&str; 6] = ["com", "org", "net", "io", "www", "group"];
    const LAST: [&str; 5] = ["plist", "db", "sqlite", "app", "framework"];
    const PREFIXES: [&str; 6] = ["NS", "CK", "MB", "CF", "UI", "IO"];
    let parts: Vec<&str> = word.split('.').collect();
    let of = |part: Option<&&str>, list: &[&str]| part.is_some_and(|part| list.contains(part));
    let prefixed = PREFIXES.iter().any(|prefix| {
        word.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(char::is_uppercase))
    });
    parts.len() > 1 && (of(parts.first(), &FIRST) || of(parts.last(), &LAST))
        || prefixed
        || word.contains("Error")
        || word.contains(['/', ':', '='])
}

/// Whether a word looks like a name, and not like one of a sentence: "Quayside", "Anna-Net", "zoe.miller".
fn is_name_like(word: &str) -> bool {
    if is_of_program(word) || word.chars().count() < 3 {
        return false;
    }
    if word.starts_with(char::is_uppercase) {
        return word.chars().skip(1).any(char::is_lowercase);
    }
    let parts: Vec<&str> = word.split('.').collect();
    let part = |part: &&str| part.len() > 1 && part.starts_with(char::is_alphabetic);
    parts.len() > 1 && parts.iter().all(part)
}

#[cfg(test)]
mod tests {
    use super::super::Scrubber;
    use super::*;

    #[test]
    fn what_a_text_calls_a_name_is_one_in_other_lines() {
        let lines = [
            "wifid: ssid=\"Harbour Five\" rssi=-61",
            "wifid: SSID: Quayside, channel 6",
            "lockdownd: serial number F2LXK0ABCD12",
            "backupd: device name: \"Zoe's phone\"",
            "accountsd: Apple ID: zoe-lane",
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

    /// A word in a sentence is no name in every other one.
    #[test]
    fn a_word_behind_a_blank_alone_is_no_name_elsewhere() {
        for (line, name) in [
            ("serial connection lost: connection closed", None),
            ("Apple ID zoe-lane", None),
            ("SSID Quayside, weak", None),
            ("joined network Quayside", None),
            ("Device \"locked\"", None),
            ("SSID: quayside", Some("quayside")),
            ("ssid \"Harbour Five\"", Some("Harbour Five")),
            ("Device 'Zoe Miller' lost", Some("Zoe Miller")),
            ("account_name=zoe", Some("zoe")),
            ("serial: FXLXKNABCDEF", None),
            ("serial F2LXK0ABCD12", Some("F2LXK0ABCD12")),
        ] {
            let names = introduced([line].into_iter());
            assert_eq!(names.first().map(Identifier::reveal), name, "{line}");
        }
    }
}
