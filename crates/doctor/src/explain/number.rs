//! Numbers as people type them: `208`, `MBErrorDomain/208`, `-54`, `0xE800001A`, `-402653158`, `error 9006`.

use crate::errors::{self, KnownError};

/// A number in a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Number {
    value: i64,
    /// It was typed as hexadecimal.
    hex: bool,
    /// The domains that the words before it may name.
    domains: Vec<&'static str>,
    /// The question is this number, its domain and words such as "error", and nothing else.
    pub(super) whole: bool,
}

/// Words that may stand beside a number without making it a sentence.
const BESIDE: [&str; 13] = [
    "error",
    "err",
    "code",
    "errorcode",
    "number",
    "status",
    "no",
    "nr",
    "domain",
    "iphone",
    "backup",
    "exit",
    "unknown",
];
/// Words that make the number behind them one of an error, also in a sentence.
const OF_ERROR: [&str; 4] = ["error", "err", "code", "errorcode"];
/// What is counted: "error 5 times" names no error.
const COUNTED: [&str; 9] =
    ["times", "minutes", "hours", "days", "weeks", "months", "years", "percent", "gb"];
/// The domain of small numbers that are typed as hexadecimal.
const HEXADECIMAL: &str = "Finder, iTunes, Apple Devices";
/// No name of a domain has more words.
const LONGEST: usize = 5;

pub(super) fn is_beside(word: &str) -> bool {
    BESIDE.contains(&word)
}

/// Returns the numbers of a question.
pub(super) fn numbers(words: &str) -> Vec<Number> {
    let tokens: Vec<String> = words
        .split(|c: char| c.is_whitespace() || "/()[]{}=:,;\"'".contains(c))
        .filter(|token| !token.is_empty())
        .map(str::to_lowercase)
        .collect();
    let mut numbers: Vec<Number> = Vec::new();
    let mut others = tokens.len();
    for (at, token) in tokens.iter().enumerate() {
        if is_beside(token) {
            others -= 1;
        } else if let Some((value, hex)) = value(token) {
            let (domains, long) = domains(tokens.get(..at).unwrap_or_default());
            others -= 1 + long;
            let of_error = at
                .checked_sub(1)
                .and_then(|before| tokens.get(before))
                .is_some_and(|before| OF_ERROR.contains(&before.as_str()));
            let counted =
                tokens.get(at + 1).is_some_and(|behind| COUNTED.contains(&behind.as_str()));
            numbers.push(Number { value, hex, domains, whole: of_error && !counted });
        }
    }
    let single = numbers.len() == 1;
    // In a sentence only a number with its domain counts, or one that is called an error: "13 weeks" is no error.
    numbers.retain(|number| number.whole || !number.domains.is_empty() || single && others == 0);
    for number in &mut numbers {
        number.whole = single && others == 0;
    }
    numbers
}

/// Returns the domains that the last words name, and how many words that name takes besides those that count anyhow.
fn domains(before: &[String]) -> (Vec<&'static str>, usize) {
    let passed = before.iter().rev().take_while(|word| is_beside(word)).count();
    for end in [before.len(), before.len() - passed] {
        for long in (1..=LONGEST.min(end)).rev() {
            let Some(words) = before.get(end - long..end) else { continue };
            let domains = named(&plain(&words.concat()));
            if !domains.is_empty() {
                return (domains, words.iter().filter(|word| !is_beside(word)).count());
            }
        }
    }
    (Vec::new(), 0)
}

fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Returns the domain of that name; where none has it, those to which a typo leads.
fn named(asked: &str) -> Vec<&'static str> {
    let mut best = (usize::MAX, Vec::new());
    for row in errors::all() {
        let full = plain(&row.domain);
        let short = full.strip_suffix("domain").unwrap_or(&full);
        let distance = if full == asked
            || short == asked
            || row.also.iter().any(|also| plain(also) == asked)
        {
            0
        } else {
            match strsim::osa_distance(&full, asked) {
                distance if distance <= full.len() / 6 => distance,
                _ => continue,
            }
        };
        if distance < best.0 {
            best = (distance, Vec::new());
        }
        if distance == best.0 && !best.1.contains(&row.domain.as_str()) {
            best.1.push(row.domain.as_str());
        }
    }
    best.1
}

/// Returns a number, and whether it was typed as hexadecimal.
fn value(token: &str) -> Option<(i64, bool)> {
    let (sign, digits) = match token.strip_prefix(['-', '\u{2212}', '\u{2013}']) {
        Some(digits) => (-1, digits),
        None => (1, token),
    };
    let digits = digits.trim_end_matches(['.', '!', '?']);
    let hex = digits.strip_prefix("0x");
    let value: i64 = match hex {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some((sign * value, hex.is_some()))
}

impl Number {
    /// Returns the rows that it may mean, with the number under which they know it.
    pub(super) fn rows(&self) -> Vec<(&'static KnownError, i64)> {
        // Small numbers are written as hexadecimal by Apple's programs on the computer only.
        let small = self.hex && self.value.abs() <= 0xFFFF;
        let of_domain = |row: &&KnownError| {
            let named = self.domains.is_empty() || self.domains.contains(&row.domain.as_str());
            named && !(small && row.domain != HEXADECIMAL)
        };
        let with = |value: i64| -> Vec<(&'static KnownError, i64)> {
            errors::all()
                .iter()
                .filter(of_domain)
                .filter(|row| row.codes.contains(&value))
                .map(|row| (row, value))
                .collect()
        };
        // The same 32 bits, as a negative number and as hexadecimal.
        let bits = i32::try_from(self.value)
            .ok()
            .filter(|value| *value < 0)
            .map(|value| i64::from(value.cast_unsigned()));
        let mut rows = with(self.value);
        rows.extend(bits.map(with).unwrap_or_default());
        if rows.is_empty() {
            rows = with(-self.value);
        }
        if rows.is_empty() && self.domains.is_empty() && !self.hex && (1..256).contains(&self.value)
        {
            rows = with(256 - self.value);
            rows.retain(|(row, _)| row.domain == "MBErrorDomain");
        }
        rows
    }

    /// Returns what must be said where the number was not typed as the row has it.
    pub(super) fn remark(&self, row: &KnownError, code: Option<i64>) -> Option<String> {
        let code = code?;
        if code == self.value {
            return None;
        }
        if code == 256 - self.value && row.domain == "MBErrorDomain" {
            return Some(format!(
                "{} is how a shell shows {code} where idevicebackup2 ends with it.",
                self.value
            ));
        }
        (code == -self.value)
            .then(|| format!("Nothing is known about {}; this is {code}.", self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(words: &str) -> Option<(String, i64)> {
        let numbers = numbers(words);
        numbers.iter().flat_map(Number::rows).next().map(|(row, code)| (row.domain.clone(), code))
    }

    #[test]
    fn a_domain_is_that_domain_and_no_other() {
        for (asked, domain) in [
            ("CKErrorDomain/25", "CKErrorDomain"),
            ("CKErrorDomain 25", "CKErrorDomain"),
            ("ckerrordomain: 9", "CKErrorDomain"),
            ("Error Domain=CKErrorDomain Code=3", "CKErrorDomain"),
            ("CloudKit 7", "CKErrorDomain"),
            ("iCloud Backup Failure 9012", "iCloud Backup Failure"),
            ("Finder, iTunes, Apple Devices/-43", "Finder, iTunes, Apple Devices"),
            ("iTunes error 14", "Finder, iTunes, Apple Devices"),
            ("0xE", "Finder, iTunes, Apple Devices"),
            ("errno 28", "errno"),
            ("http 507", "HTTP"),
        ] {
            let (found, _) = first(asked).unwrap_or_default();
            assert_eq!(found, domain, "{asked}");
        }
        assert_eq!(first("MBErrorDomain 23"), None);
        assert_eq!(first("CKErrorDomain/303"), None);
    }

    #[test]
    fn numbers_as_typed() {
        let mb = |code| Some(("MBErrorDomain".to_owned(), code));
        for words in [
            "208",
            "MBErrorDomain/208",
            "MBErrorDomain 208",
            "error 208",
            "Error Domain=MBErrorDomain Code=208",
            "mberordomain/208",
            "i got MBErrorDomain Code=208 again",
        ] {
            assert_eq!(first(words), mb(208), "{words}");
        }
        assert_eq!(first("-54").unwrap().1, -54);
        assert_eq!(first("\u{2212}54").unwrap().1, -54);
        assert_eq!(first("0xE800001A").unwrap().1, 0xE800_001A);
        assert_eq!(first("-402653158").unwrap().1, 0xE800_001A);
        assert_eq!(first("(0xE8000084)").unwrap().1, 0xE800_0084);
        assert_eq!(first("9006").unwrap().0, "iCloud Backup Failure");
        assert_eq!(first("lockdown -17"), Some(("lockdown".to_owned(), -17)));
        assert_eq!(first("151"), mb(105));
        assert_eq!(first("iPhone not backed up in 13 weeks"), None);
        assert_eq!(first("the error 5 times a day"), None);
        assert_eq!(first("99999999999999999999999999"), None);
        assert_eq!(first("-9223372036854775808"), None);
    }
}
