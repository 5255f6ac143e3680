//! What names a person or a thing of theirs, and keeping it out of what is passed on.

use std::fmt;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
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
    (r"(/(?:home|Users)/|\\Users\\)[^/\\\s:]+", "${1}(left out)"),
    (r"/(?:private/)?var/mobile/[^\s]*", "/var/mobile/(left out)"),
    (r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b", "(UUID)"),
    (r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}\b", "(UDID)"),
    (r"\b[0-9A-Fa-f]{40}\b", "(UDID)"),
    (r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b", "(hardware address)"),
    (r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", "(address)"),
    (r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){3,7}\b", "(address)"),
    (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+", "(e-mail address)"),
    (r"\+?[0-9][0-9 ()/-]{8,}[0-9]", "(number)"),
];

/// Returns a text without what looks like an identifier. The second line of defence: the first is [`Identifier`] and `private` in
/// the table of facts.
pub fn scrubbed(text: &str) -> String {
    static COMPILED: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
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
    shapes.iter().fold(text.to_owned(), |text, (regex, instead)| {
        regex.replace_all(&text, *instead).into_owned()
    })
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
            "/var/mobile/Containers/Data/Application/anna",
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
        for text in
            ["error 105", "MBErrorDomain/208", "12 files of 4096 bytes", "17.5.1 at 10:42:31"]
        {
            assert_eq!(scrubbed(text), text);
        }
    }
}
