//! Words, compared with what people are known to type and to read; typos are forgiven.
//!
//! A question and a known phrase are compared word by word. Rare words weigh more than frequent ones (a phrase is not about "backup"
//! because it says so); a word with a typo counts a little less. What counts is how much of the question the phrase covers, and how
//! much of the phrase the question. Where that finds nothing, the question is taken for a story with a phrase somewhere in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::catalogue::Catalogue;
use crate::errors;

/// From where on a phrase counts as meant.
const ENOUGH: f64 = 0.45;
/// How much of a question must be covered at least.
const PRECISE: f64 = 0.5;
/// How much of a phrase a long story must have.
const NEARLY: f64 = 0.8;
/// What is this much worse than the best is left out.
const SHARE_OF_BEST: f64 = 0.72;
/// What a word weighs that nobody knows: much, for it may be what the question is about.
const UNKNOWN: f64 = 5.0;
/// No more words of a question are looked at.
const WORDS: usize = 64;

/// Whose phrase it is: a place in the catalogue or among the errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// What people read on a screen goes before what they might have meant.
    Error(usize),
    Entry(usize),
}

struct Phrase {
    source: Source,
    /// Places of its words in the vocabulary, each once.
    words: Vec<usize>,
    weight: f64,
}

/// All phrases that are known.
pub(super) struct Index {
    vocabulary: Vec<String>,
    weights: Vec<f64>,
    phrases: Vec<Phrase>,
}

/// Words that say nothing about a trouble.
const EMPTY: [&str; 34] = [
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "do", "does", "for",
    "from", "has", "have", "i", "in", "is", "it", "its", "my", "of", "on", "or", "s", "t", "that",
    "the", "there", "this", "to", "was",
];

fn tokens(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .filter(|word| !EMPTY.contains(&word.as_str()))
        .collect()
}

impl Index {
    /// Returns the index of catalogue and errors, built at the first call.
    pub(super) fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Index> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            let mut texts: Vec<(Source, &str)> = Vec::new();
            for (at, entry) in Catalogue::builtin().entries().iter().enumerate() {
                let phrases = entry.words.iter().chain([&entry.title]).map(String::as_str);
                texts.extend(phrases.map(|text| (Source::Entry(at), text)));
            }
            for (at, row) in errors::all().iter().enumerate() {
                let phrases = row.says.iter().chain(&row.names).map(String::as_str);
                texts.extend(phrases.map(|text| (Source::Error(at), text)));
            }
            Self::build(&texts)
        })
    }

    fn build(texts: &[(Source, &str)]) -> Self {
        let split: Vec<(Source, BTreeSet<String>)> = texts
            .iter()
            .map(|(source, text)| (*source, tokens(text).into_iter().collect()))
            .collect();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, words) in &split {
            for word in words {
                *counts.entry(word).or_default() += 1;
            }
        }
        let total = f64::from(u32::try_from(split.len()).unwrap_or(u32::MAX));
        let weights: Vec<f64> =
            counts.values().map(|count| (1.0 + total / f64::from(*count)).ln()).collect();
        let vocabulary: Vec<String> = counts.into_keys().map(str::to_owned).collect();
        let phrases = split
            .into_iter()
            .map(|(source, words)| {
                let words: Vec<usize> =
                    words.iter().filter_map(|word| vocabulary.binary_search(word).ok()).collect();
                let weight = words.iter().filter_map(|word| weights.get(*word)).sum();
                Phrase { source, words, weight }
            })
            .collect();
        Self { vocabulary, weights, phrases }
    }

    /// Returns what a question may mean, the best first.
    pub(super) fn search(&self, question: &str) -> Vec<Source> {
        let asked: BTreeSet<String> = tokens(question).into_iter().take(WORDS).collect();
        if asked.is_empty() {
            return Vec::new();
        }
        // How well each word of the vocabulary is covered by the question, and by which of its words.
        let mut covered: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        let mut asked_weights = Vec::new();
        for (number, word) in asked.iter().enumerate() {
            let mut heaviest: Option<f64> = None;
            for (at, known) in self.vocabulary.iter().enumerate() {
                let alike = alike(word, known);
                if alike > 0.0 {
                    let weight = self.weights.get(at).copied().unwrap_or_default();
                    heaviest = heaviest.max_by_value(weight * alike);
                    let best = covered.entry(at).or_insert((alike, number));
                    if alike > best.0 {
                        *best = (alike, number);
                    }
                }
            }
            asked_weights.push(heaviest.unwrap_or(UNKNOWN));
        }
        let mut best = self.best(|phrase| self.score(phrase, &covered, &asked_weights));
        if best.is_empty() {
            best = self.best(|phrase| self.told_at_length(phrase, &covered));
        }
        let mut ranked: Vec<(Source, f64)> = best.into_iter().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let least = ranked.first().map_or(ENOUGH, |(_, best)| best * SHARE_OF_BEST);
        ranked
            .into_iter()
            .take_while(|(_, score)| *score >= least)
            .map(|(source, _)| source)
            .collect()
    }

    /// Returns the sources with a phrase that scores enough, each with its best.
    fn best(&self, score: impl Fn(&Phrase) -> f64) -> BTreeMap<Source, f64> {
        let mut best = BTreeMap::new();
        for phrase in &self.phrases {
            let score = score(phrase);
            if score >= ENOUGH {
                let of_source = best.entry(phrase.source).or_insert(score);
                *of_source = of_source.max(score);
            }
        }
        best
    }

    /// Somebody tells a story: what counts is what it says nearly in the words of a phrase, and the longer that is, the better.
    fn told_at_length(&self, phrase: &Phrase, covered: &BTreeMap<usize, (f64, usize)>) -> f64 {
        let (mut of_phrase, mut by) = (0.0, BTreeSet::new());
        for word in &phrase.words {
            if let Some((alike, number)) = covered.get(word) {
                of_phrase += alike * self.weights.get(*word).copied().unwrap_or_default();
                by.insert(*number);
            }
        }
        let whole = phrase.weight > 0.0 && of_phrase / phrase.weight >= NEARLY;
        if whole && by.len() > 1 { of_phrase } else { 0.0 }
    }

    fn score(
        &self,
        phrase: &Phrase,
        covered: &BTreeMap<usize, (f64, usize)>,
        asked: &[f64],
    ) -> f64 {
        let (mut of_phrase, mut by_word) = (0.0, BTreeMap::<usize, f64>::new());
        for word in &phrase.words {
            if let Some((alike, number)) = covered.get(word) {
                of_phrase += alike * self.weights.get(*word).copied().unwrap_or_default();
                let best = by_word.entry(*number).or_default();
                *best = best.max(*alike);
            }
        }
        if phrase.weight <= 0.0 || of_phrase <= 0.0 {
            return 0.0;
        }
        let of_question: f64 = by_word
            .iter()
            .map(|(number, alike)| alike * asked.get(*number).copied().unwrap_or_default())
            .sum();
        let total: f64 = asked.iter().sum();
        let (precise, whole) = (of_question / total, of_phrase / phrase.weight);
        if precise < PRECISE { 0.0 } else { 2.0 * precise * whole / (precise + whole) }
    }
}

trait Heaviest {
    fn max_by_value(self, other: f64) -> Self;
}

impl Heaviest for Option<f64> {
    fn max_by_value(self, other: f64) -> Self {
        Some(self.map_or(other, |this| this.max(other)))
    }
}

/// How much a typed word is like a known one: 1 the same, 0 another.
fn alike(typed: &str, known: &str) -> f64 {
    if typed == known {
        return 1.0;
    }
    let (shorter, longer) = if typed.len() < known.len() { (typed, known) } else { (known, typed) };
    let allowed = match shorter.chars().count() {
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    };
    if allowed == 0 || longer.len() > shorter.len() + 4 {
        return 0.0;
    }
    // "backups" for "backup", "backing" for "back": a word and its endings.
    if longer.starts_with(shorter) && longer.len() <= shorter.len() + 3 {
        return 0.9;
    }
    if longer.len() > shorter.len() + allowed * 4 {
        return 0.0;
    }
    match strsim::osa_distance(typed, known) {
        distance if distance > allowed => 0.0,
        1 => 0.85,
        _ => 0.7,
    }
}
