//! A text as the words that count: capitals, endings and empty words gone, words that mean the same made one (`words.toml`).

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use serde::Deserialize;

const FILE: &str = include_str!("../../words.toml");

/// No group of words that mean the same is longer.
const LONGEST: usize = 5;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    empty: Vec<String>,
    light: Vec<String>,
    same: BTreeMap<String, Vec<String>>,
}

/// What `words.toml` says, ready to be asked.
pub(super) struct Words {
    empty: HashSet<String>,
    light: HashSet<String>,
    same: BTreeMap<String, Vec<String>>,
}

impl Words {
    /// Returns the words that are part of the program, read at the first call.
    pub(super) fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Words> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let file: File =
                toml::from_str(FILE).expect("words.toml is part of the program and tested");
            let mut same = BTreeMap::new();
            for (one, others) in file.same {
                let one: Vec<String> = one.split(' ').map(str::to_owned).collect();
                for other in others {
                    same.insert(other, one.clone());
                }
            }
            Self {
                empty: file.empty.into_iter().collect(),
                light: file.light.into_iter().collect(),
                same,
            }
        })
    }

    /// Returns whether a word says only a little.
    pub(super) fn is_light(&self, word: &str) -> bool {
        self.light.contains(word)
    }

    /// Returns whether a word says nothing.
    pub(super) fn is_empty(&self, word: &str) -> bool {
        self.empty.contains(word)
    }

    /// Returns every word of the file that is not one of those that others become.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        let same = self.same.keys().flat_map(|words| words.split(' '));
        same.chain(self.empty.iter().map(String::as_str))
    }

    /// Returns the words of a text that count, in their order.
    pub(super) fn of(&self, typed: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(word) = typed.get(at) {
            if let Some((long, same)) = self.same_from(typed.get(at..).unwrap_or_default()) {
                found.extend(same.iter().cloned());
                at += long;
            } else {
                if !self.empty.contains(word) {
                    found.push(stem(word));
                }
                at += 1;
            }
        }
        found
    }

    /// Returns whether words begin with something that has a word of its own.
    pub(super) fn is_known_from(&self, typed: &[String]) -> bool {
        self.same_from(typed).is_some()
    }

    /// Returns how many words from here on mean something that has a word of its own, and which.
    fn same_from(&self, typed: &[String]) -> Option<(usize, &[String])> {
        (1..=LONGEST.min(typed.len())).rev().find_map(|long| {
            let same = self.same.get(&typed.get(..long)?.join(" "))?;
            Some((long, same.as_slice()))
        })
    }
}

/// Returns the words of a text as they stand there, in small letters and without apostrophes.
pub(super) fn typed(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace(['\'', '\u{2019}'], "");
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Returns a word without its ending.
fn stem(word: &str) -> String {
    let long = word.chars().count();
    let cut = |ending: &str, least: usize| {
        word.strip_suffix(ending).filter(|_| long >= least + ending.len())
    };
    if let Some(rest) = cut("ies", 3) {
        return format!("{rest}y");
    }
    if let Some(rest) = cut("ing", 3).or_else(|| cut("ed", 3)).or_else(|| cut("es", 4)) {
        let mut chars: Vec<char> = rest.chars().collect();
        if let [.., before, last] = chars.as_slice()
            && before == last
            && !"aeiouls".contains(*last)
        {
            chars.pop();
        }
        let rest: String = chars.into_iter().collect();
        return rest.strip_suffix('e').map_or_else(|| rest.clone(), str::to_owned);
    }
    let rest = cut("s", 3).filter(|rest| !rest.ends_with(['s', 'u', 'i'])).unwrap_or(word);
    rest.strip_suffix('e').filter(|rest| rest.len() > 2).unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_the_same_become_one() {
        let words = Words::builtin();
        for (one, other) in [
            ("My iPhone doesn't back up", "phones: no backups"),
            ("Wi-Fi drops out", "wifi disconnected"),
            ("not enough space on this computer", "the PC is out of space"),
            ("the charger", "charging"),
            ("two-factor authentication", "2FA"),
        ] {
            let sorted = |text| {
                let mut words = words.of(&typed(text));
                words.sort_unstable();
                words
            };
            assert_eq!(sorted(one), sorted(other), "{one}");
        }
        assert_eq!(words.of(&typed("Where are the?")), [""; 0]);
    }

    #[test]
    fn endings_fall_off() {
        for (word, rest) in [
            ("stations", "station"),
            ("batteries", "battery"),
            ("dripping", "drip"),
            ("status", "status"),
            ("file", "fil"),
            ("files", "fil"),
        ] {
            assert_eq!(stem(word), rest);
        }
    }

    /// A word stands in one group only, and in no group that the order of a table would choose.
    #[test]
    fn every_word_has_one_meaning() {
        let file: File = toml::from_str(FILE).unwrap();
        let mut seen: BTreeMap<&String, &String> = BTreeMap::new();
        for (one, others) in &file.same {
            for other in others {
                assert!(other.split(' ').count() <= LONGEST, "{other}");
                assert_eq!(&typed(other).join(" "), other);
                assert_eq!(seen.insert(other, one), None, "{other} of {one}");
            }
        }
    }
}
