//! Numbers of things in words, the same in every message.

use std::time::Instant;

/// Returns a number with its thousands apart: `12 000`; up to four digits stay together.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of things, with its noun: `1 file`, `2 files`.
pub fn things(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// Returns the form of a word that fits a number: `choose(1, "is", "are")`.
pub fn choose<'a>(number: u64, one: &'a str, several: &'a str) -> &'a str {
    if number == 1 { one } else { several }
}

/// Returns the milliseconds since a moment, for the log.
pub(crate) fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Returns the first names of many, and `…` where there are more: `a, b, …`.
pub fn first<T: Into<String>>(names: impl IntoIterator<Item = T>, most: usize) -> String {
    let mut names = names.into_iter();
    let mut told: Vec<String> = names.by_ref().take(most).map(Into::into).collect();
    if names.next().is_some() {
        told.push("…".to_owned());
    }
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_the_first_are_told() {
        assert_eq!(first([""; 0], 2), "");
        assert_eq!(first(["a", "b"], 2), "a, b");
        assert_eq!(first(["a", "b", "c"], 2), "a, b, …");
    }

    #[test]
    fn counts_are_grouped_from_five_digits() {
        assert_eq!([7, 1234, 12345, 1_234_567].map(count), ["7", "1234", "12 345", "1 234 567"]);
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!(
            [0, 1, 12_000].map(|n| things(n, "file")),
            ["0 files", "1 file", "12 000 files"]
        );
        assert_eq!([0, 1, 2].map(|n| choose(n, "is", "are")), ["are", "is", "are"]);
    }
}
