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
const BESIDE: [&str; 18] = [
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
    "failed",
    "fails",
    "failure",
    "with",
    "ended",
];
/// Words that make the number behind them one of an error, also in a sentence.
const OF_ERROR: [&str; 5] = ["error", "errors", "err", "code", "errorcode"];
/// Words that may stand between those and their number.
const BETWEEN: [&str; 5] = ["number", "no", "nr", "status", "unknown"];
/// What is counted: "error 5 times" names no error.
const COUNTED: [&str; 36] = [
    "time",
    "times",
    "second",
    "seconds",
    "sec",
    "minute",
    "minutes",
    "min",
    "hour",
    "hours",
    "h",
    "day",
    "days",
    "week",
    "weeks",
    "month",
    "months",
    "year",
    "years",
    "percent",
    "pct",
    "%",
    "kb",
    "mb",
    "gb",
    "tb",
    "gig",
    "gigs",
    "gigabyte",
    "gigabytes",
    "megabytes",
    "terabytes",
    "files",
    "photos",
    "iphones",
    "backups",
];
/// What has a number as its name: "iPhone 13" names no error.
const PRODUCTS: [&str; 13] = [
    "iphone", "ipad", "ipod", "ios", "ipados", "itunes", "windows", "macos", "mac", "watch",
    "version", "pro", "mini",
];
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
    let mut numbers: Vec<(Number, bool)> = Vec::new();
    let mut others = tokens.len();
    for (at, token) in tokens.iter().enumerate() {
        if is_beside(token) {
            others -= 1;
        } else if let Some((value, hex)) = value(token) {
            let (domains, long) = domains(tokens.get(..at).unwrap_or_default());
            others -= 1 + long;
            let meant = !is_count(&tokens, at) && (is_called_error(&tokens, at) || is_form(token));
            // "iTunes 12 does not open" has the name of a program, "iTunes 14" alone one of a domain.
            let of_product = before(&tokens, at).is_some_and(|word| PRODUCTS.contains(&word));
            let named = !domains.is_empty() && !of_product;
            numbers.push((Number { value, hex, domains, whole: false }, meant || named));
        }
    }
    let single = numbers.len() == 1;
    let whole = single && others == 0;
    // In a sentence only a number with its domain counts, one that is called an error, or one that looks like nothing else: "13
    // weeks" is no error.
    let meant = numbers.into_iter().filter(|(_, meant)| *meant || whole);
    meant.map(|(number, _)| Number { whole, ..number }).collect()
}

/// Returns words without the numbers that only count something or are part of a name: "in 3 weeks", "iPhone 17".
pub(super) fn without_counts(words: &[String], is_word: impl Fn(&[String]) -> bool) -> Vec<String> {
    let counts = |(at, word): (usize, &String)| {
        let is_number = word.chars().all(|c| c.is_ascii_digit());
        let of_domain = before(words, at)
            .is_some_and(|word| !PRODUCTS.contains(&word) && !named(word).is_empty());
        let of_error = is_called_error(words, at) || of_domain;
        let kept = !is_number
            || of_error && !is_count(words, at)
            || is_word(words.get(at..).unwrap_or_default());
        kept.then(|| word.clone())
    };
    words.iter().enumerate().filter_map(counts).collect()
}

fn before<W: AsRef<str>>(words: &[W], at: usize) -> Option<&str> {
    at.checked_sub(1).and_then(|before| words.get(before)).map(AsRef::as_ref)
}

/// Whether the word behind a number says what it counts.
fn is_count(words: &[String], at: usize) -> bool {
    words.get(at + 1).is_some_and(|behind| COUNTED.contains(&behind.as_str()))
}

/// Whether the words before a number call it an error.
fn is_called_error(words: &[String], at: usize) -> bool {
    let mut before = words.get(..at).unwrap_or_default().iter().rev().map(String::as_str);
    before.find(|word| !BETWEEN.contains(word)).is_some_and(|word| OF_ERROR.contains(&word))
}

/// Whether a number is written as nothing but codes are: in hexadecimal, or below nothing.
fn is_form(token: &str) -> bool {
    token.starts_with("0x") || is_bare_hex(token) || token.starts_with(['-', '\u{2212}'])
}

/// Whether a token is a number of `MobileDevice` without the sign of hexadecimal: eight digits, all of which begin so.
fn is_bare_hex(token: &str) -> bool {
    token.len() == 8
        && token.starts_with("e800")
        && token.bytes().all(|byte| byte.is_ascii_hexdigit())
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

/// Returns the rows of the domain that words are the whole name of, as programs write it: `MBErrorDomain`.
pub(super) fn of_domain(words: &str) -> Vec<&'static KnownError> {
    let asked = plain(words);
    let is = |row: &&KnownError| asked.ends_with("domain") && plain(&row.domain) == asked;
    errors::all().iter().filter(is).collect()
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
    let hex = digits.strip_prefix("0x").or_else(|| is_bare_hex(digits).then_some(digits));
    // One sign is enough: the parser takes another, with which a number can be as low as none can be high.
    if hex.unwrap_or(digits).starts_with(['-', '+']) {
        return None;
    }
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
        if 256_i64.checked_sub(self.value) == Some(code) && row.domain == "MBErrorDomain" {
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
            "backup failed 208",
            "my phone shows error number 208 all day",
        ] {
            assert_eq!(first(words), mb(208), "{words}");
        }
        assert_eq!(first("-54").unwrap().1, -54);
        assert_eq!(first("\u{2212}54").unwrap().1, -54);
        assert_eq!(first("0xE800001A").unwrap().1, 0xE800_001A);
        assert_eq!(first("e800001a").unwrap().1, 0xE800_001A);
        assert_eq!(first("E800001A.").unwrap().1, 0xE800_001A);
        assert_eq!(first("it stops with E8000084 on my pc").unwrap().1, 0xE800_0084);
        assert_eq!(first("e80000zz"), None);
        assert_eq!(first("e80000845"), None);
        assert_eq!(first("-402653158").unwrap().1, 0xE800_001A);
        assert_eq!(first("(0xE8000084)").unwrap().1, 0xE800_0084);
        assert_eq!(first("9006").unwrap().0, "iCloud Backup Failure");
        assert_eq!(first("lockdown -17"), Some(("lockdown".to_owned(), -17)));
        assert_eq!(first("151"), mb(105));
        assert_eq!(first("iPhone not backed up in 13 weeks"), None);
        assert_eq!(first("the error 5 times a day"), None);
        assert_eq!(first("error on my iphone 13 when backing up"), None);
        assert_eq!(first("itunes 14 does not open"), None);
        assert_eq!(first("i always see -54 on my pc").unwrap().1, -54);
        assert_eq!(first("it stops with 0xE800001A on my pc").unwrap().1, 0xE800_001A);
        assert_eq!(first("99999999999999999999999999"), None);
        assert_eq!(first("-9223372036854775808"), None);
        assert_eq!(first("--9223372036854775808"), None);
        assert_eq!(first("0x-8000000000000000"), None);
        assert_eq!(first("-0x-8000000000000000"), None);
        assert_eq!(first("--54"), None);
    }
}
