//! Numbers as people type them: `208`, `MBErrorDomain/208`, `-54`, `0xE800001A`, `-402653158`, `error 9006`.

use crate::errors::{self, KnownError};

/// A number in a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Number {
    value: i64,
    /// The word before it, where that may be a domain.
    domain: Option<String>,
    /// The question is this number, its domain and words such as "error", and nothing else.
    pub(super) whole: bool,
}

/// Words that may stand beside a number without making it a sentence.
const BESIDE: [&str; 12] = [
    "error",
    "err",
    "code",
    "errorcode",
    "number",
    "status",
    "no",
    "nr",
    "iphone",
    "backup",
    "exit",
    "unknown",
];

/// Returns the numbers of a question.
pub(super) fn numbers(words: &str) -> Vec<Number> {
    let tokens: Vec<&str> = words
        .split(|c: char| c.is_whitespace() || "/()[]{}=:,;\"'".contains(c))
        .filter(|token| !token.is_empty())
        .collect();
    let mut numbers: Vec<Number> = Vec::new();
    let mut others = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if let Some(value) = value(token) {
            let before = tokens.get(..at).unwrap_or_default().iter().rev();
            let domain = before
                .map(|word| word.to_ascii_lowercase())
                .find(|word| !BESIDE.contains(&word.as_str()));
            numbers.push(Number { value, domain, whole: false });
        } else if !BESIDE.contains(&token.to_ascii_lowercase().as_str()) {
            others += 1;
        }
    }
    let single = numbers.len() == 1;
    for number in &mut numbers {
        let named = number
            .domain
            .as_deref()
            .is_some_and(|domain| errors::all().iter().any(|row| is_of(row, domain)));
        number.whole = single && (others == 0 || (others == 1 && named));
        if !named {
            number.domain = None;
        }
    }
    // In a sentence only a number with its domain counts: "13 weeks" is no error.
    numbers.retain(|number| number.whole || number.domain.is_some());
    numbers
}

fn value(token: &str) -> Option<i64> {
    let (sign, digits) = match token.strip_prefix(['-', '\u{2212}', '\u{2013}']) {
        Some(digits) => (-1, digits),
        None => (1, token),
    };
    let digits = digits.trim_end_matches(['.', '!', '?']);
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(sign * value)
}

fn is_of(row: &KnownError, domain: &str) -> bool {
    let plain = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let (full, asked) = (plain(&row.domain), plain(domain));
    asked.len() >= 3
        && (full == asked || full.strip_suffix("domain") == Some(&asked) || full.contains(&asked))
        || strsim::osa_distance(&full, &asked) <= full.len() / 6
}

impl Number {
    /// Returns the rows that it may mean, with the number under which they know it.
    pub(super) fn rows(&self) -> Vec<(&'static KnownError, i64)> {
        let of_domain =
            |row: &&KnownError| self.domain.as_deref().is_none_or(|domain| is_of(row, domain));
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
        if rows.is_empty() && self.domain.is_none() && (1..256).contains(&self.value) {
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
    fn numbers_as_typed() {
        let mb = |code| Some(("MBErrorDomain".to_owned(), code));
        for words in [
            "208",
            "MBErrorDomain/208",
            "MBErrorDomain 208",
            "error 208",
            "Error Domain=MBErrorDomain Code=208",
            "mberordomain/208",
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
        assert_eq!(first("99999999999999999999999999"), None);
        assert_eq!(first("-9223372036854775808"), None);
    }
}
