//! Words, compared with what people are known to type and to read; typos are forgiven.
//!
//! Question and known phrases are brought to the words that count (`words`) and compared by them. Rare words weigh more than
//! frequent ones: a phrase is not about "backup" because it says so. A phrase scores by how much of the question it covers and how
//! much of it the question says; among phrases that score alike counts how much else the page of the phrase knows of the question.
//! Whoever asks about the computer does not mean iCloud. Where nothing scores enough, the question is taken for a story with a
//! phrase somewhere in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use super::number::{is_beside, without_counts};
use super::words::{Words, typed};
use crate::catalogue::{Catalogue, For};
use crate::errors;

/// From where on a phrase counts as meant.
const ENOUGH: f64 = 0.5;
/// How much of a question must be covered at least.
const PRECISE: f64 = 0.42;
/// How much of a phrase a long story must have.
const NEARLY: f64 = 0.8;
/// What is this much worse than the best is left out.
const SHARE_OF_BEST: f64 = 0.72;
/// What a word weighs that nobody knows: much, for it may be what the question is about.
const UNKNOWN: f64 = 3.0;
/// What is left of the weight of a word that says only a little.
const LIGHT: f64 = 0.3;
/// How much the rest of a page adds.
const PAGE: f64 = 0.25;
/// What a page about the other kind of backup keeps.
const OTHER_SIDE: f64 = 0.75;
/// What a question must weigh: one that says less says nothing.
const LEAST: f64 = 0.8;
/// A message of so many words is recognised within a longer text.
const MESSAGE: usize = 3;
/// What the words weigh at least that make a phrase recognisable in a story.
const STORY: f64 = 2.0;
/// No more words of a question are looked at.
const WORDS: usize = 64;

/// Words that show that the computer is meant, and those that show that iCloud is.
const COMPUTER: [&str; 6] = ["computer", "itunes", "cable", "disk", "nas", "usb"];
const ICLOUD: [&str; 2] = ["icloud", "account"];

/// Places where something can be: a phrase about another place than the question is hardly meant.
const PLACES: [&[&str]; 3] = [&["phone"], &["computer", "itunes", "disk", "nas"], &ICLOUD];
/// What is left of a phrase about another place.
const OTHER_PLACE: f64 = 0.7;

/// Whose phrase it is: a place in the catalogue or among the errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// What people read on a screen goes before what they might have meant.
    Error(usize),
    Entry(usize),
}

struct Phrase {
    source: Source,
    /// As it is read, in small letters.
    text: String,
    /// Places of its words in the vocabulary, each once.
    words: Vec<usize>,
    weight: f64,
    /// The places that it names.
    places: [bool; 3],
    /// It is a message of an operating system, in words that people use otherwise: it counts as it stands only.
    literal: bool,
}

/// What is known of a source besides its phrases.
struct Page {
    /// Places of all its words.
    words: BTreeSet<usize>,
    /// It concerns one kind of backup only.
    only: Option<For>,
}

/// All phrases that are known.
pub(super) struct Index {
    /// Every word as it is spelled.
    spelling: BTreeSet<String>,
    places: BTreeMap<String, usize>,
    weights: Vec<f64>,
    phrases: Vec<Phrase>,
    pages: BTreeMap<Source, Page>,
}

/// A question, held against the vocabulary.
struct Question {
    /// Of each word that counts: its place among the known ones, where it has one, and its weight.
    words: Vec<(Option<usize>, f64)>,
    weight: f64,
    side: Option<For>,
    /// The places that it names.
    places: [bool; 3],
}

impl Index {
    /// Returns the index of catalogue and errors, built at the first call.
    pub(super) fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Index> = OnceLock::new();
        BUILTIN.get_or_init(|| Self::build(&texts()))
    }

    fn build(texts: &[(Source, Option<For>, Vec<String>)]) -> Self {
        let words = Words::builtin();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let (mut phrases, mut pages) = (Vec::new(), BTreeMap::new());
        let mut spelling: BTreeSet<String> = words.all().map(str::to_owned).collect();
        for (source, only, texts) in texts {
            let mut of_page = BTreeSet::new();
            for text in texts {
                let mut of_phrase = BTreeSet::new();
                let text = typed(text);
                spelling.extend(text.iter().cloned());
                let counting: BTreeSet<String> = words.of(&text).into_iter().collect();
                let named = named(&counting);
                for word in counting {
                    let next = places.len();
                    of_phrase.insert(*places.entry(word).or_insert(next));
                }
                of_page.extend(&of_phrase);
                phrases.push(Phrase {
                    source: *source,
                    text: text.join(" "),
                    words: of_phrase.into_iter().collect(),
                    weight: 0.0,
                    places: named,
                    literal: is_of_system(*source),
                });
            }
            pages.insert(*source, Page { words: of_page, only: *only });
        }
        let mut index = Self { spelling, places, weights: Vec::new(), phrases, pages };
        index.weigh(words);
        index
    }

    /// A word weighs the more, the fewer pages have it.
    fn weigh(&mut self, words: &Words) {
        let mut counts = vec![0_u32; self.places.len()];
        for page in self.pages.values() {
            for word in &page.words {
                if let Some(count) = counts.get_mut(*word) {
                    *count += 1;
                }
            }
        }
        let total = f64::from(u32::try_from(self.pages.len()).unwrap_or(u32::MAX));
        self.weights =
            counts.into_iter().map(|count| (1.0 + total / f64::from(count.max(1))).ln()).collect();
        for (word, place) in &self.places {
            if words.is_light(word)
                && let Some(weight) = self.weights.get_mut(*place)
            {
                *weight *= LIGHT;
            }
        }
        for phrase in &mut self.phrases {
            phrase.weight = phrase.words.iter().filter_map(|word| self.weights.get(*word)).sum();
        }
    }

    /// Returns what a question may mean, the best first.
    pub(super) fn search(&self, question: &str) -> Vec<Source> {
        let question = self.question(question);
        if question.weight < LEAST {
            return Vec::new();
        }
        let mut best = self.best(|phrase| self.score(phrase, &question));
        if best.is_empty() {
            best = self.best(|phrase| self.told_at_length(phrase, &question));
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

    /// Returns what a question says word by word: all of it (true), or a message in it (false); the longest first.
    pub(super) fn word_by_word(&self, question: &str) -> Vec<(Source, bool)> {
        let typed = typed(question);
        let bare: Vec<&str> =
            typed.iter().map(String::as_str).filter(|word| !is_beside(word)).collect();
        let (text, bare) = (typed.join(" "), bare.join(" "));
        let within = format!(" {text} ");
        let mut same: Vec<(&Phrase, bool)> = self
            .phrases
            .iter()
            .filter_map(|phrase| {
                let all = phrase.text == text || phrase.text == bare;
                let part = matches!(phrase.source, Source::Error(_))
                    && phrase.text.split(' ').count() >= MESSAGE
                    && within.contains(&format!(" {} ", phrase.text));
                (!phrase.text.is_empty() && (all || part)).then_some((phrase, all))
            })
            .collect();
        same.sort_by_key(|(phrase, all)| {
            (Reverse(*all), Reverse(phrase.text.len()), phrase.source)
        });
        same.into_iter().map(|(phrase, all)| (phrase.source, all)).collect()
    }

    fn question(&self, question: &str) -> Question {
        let mut typed = typed(question);
        typed.truncate(WORDS);
        let words = Words::builtin();
        typed = without_counts(&typed, |from| words.is_known_from(from));
        // One word that is like a known one, and nothing else that is known: that is not our subject.
        let spelled: Vec<String> = typed.iter().map(|word| self.spelled(word)).collect();
        let known = spelled.iter().filter(|word| self.spelling.contains(*word));
        let known = known.filter(|word| !words.is_empty(word)).count();
        let as_typed =
            typed.iter().any(|word| self.spelling.contains(word) && !words.is_empty(word));
        if as_typed || known > 1 {
            typed = spelled;
        }
        let words: BTreeSet<String> = words.of(&typed).into_iter().collect();
        let names = |side: &[&str]| side.iter().any(|word| words.contains(*word));
        let side = match (names(&COMPUTER), names(&ICLOUD)) {
            (true, false) => Some(For::Computer),
            (false, true) => Some(For::Icloud),
            _ => None,
        };
        let places = named(&words);
        let words: Vec<(Option<usize>, f64)> = words.iter().map(|word| self.known(word)).collect();
        let weight = words.iter().map(|(_, weight)| weight).sum();
        Question { words, weight, side, places }
    }

    /// Returns the place of a word, where it is known, and what it weighs.
    fn known(&self, word: &str) -> (Option<usize>, f64) {
        match self.places.get(word) {
            Some(place) => (Some(*place), self.weights.get(*place).copied().unwrap_or_default()),
            // How often, how much and since when says nothing about what.
            None if word.chars().any(|c| c.is_ascii_digit()) => (None, 0.0),
            None => (None, UNKNOWN),
        }
    }

    /// Returns a word as it is spelled; one that nobody knows as it stands.
    fn spelled(&self, word: &str) -> String {
        if self.spelling.contains(word) {
            return word.to_owned();
        }
        let allowed = match word.chars().count() {
            0..=4 => return word.to_owned(),
            5..=7 => 1,
            _ => 2,
        };
        let like = self.spelling.iter().filter(|known| known.len().abs_diff(word.len()) <= allowed);
        let near = like
            .map(|known| (strsim::osa_distance(word, known), known))
            .filter(|(distance, _)| *distance <= allowed)
            .min();
        near.map_or_else(|| word.to_owned(), |(_, known)| known.clone())
    }

    /// Returns the sources with a phrase that scores enough, each with its best.
    fn best(&self, score: impl Fn(&Phrase) -> f64) -> BTreeMap<Source, f64> {
        let mut best = BTreeMap::new();
        for phrase in self.phrases.iter().filter(|phrase| !phrase.literal) {
            let score = score(phrase);
            if score >= ENOUGH {
                let of_source = best.entry(phrase.source).or_insert(score);
                *of_source = of_source.max(score);
            }
        }
        best
    }

    fn score(&self, phrase: &Phrase, question: &Question) -> f64 {
        let (shared, _) = shared(phrase, question);
        if shared <= 0.0 {
            return 0.0;
        }
        let (precise, whole) = (shared / question.weight, shared / phrase.weight);
        if precise < PRECISE {
            return 0.0;
        }
        let alike = 2.0 * precise * whole / (precise + whole);
        if alike < ENOUGH {
            return 0.0;
        }
        (alike + PAGE * self.page_knows(phrase.source, question))
            * self.side(phrase.source, question)
            * elsewhere(phrase.places, question.places)
    }

    /// Somebody tells a story: what counts is what it says nearly in the words of a phrase, and the longer that is, the better.
    fn told_at_length(&self, phrase: &Phrase, question: &Question) -> f64 {
        let (shared, count) = shared(phrase, question);
        if count > 1 && shared >= STORY && shared >= NEARLY * phrase.weight {
            shared * self.side(phrase.source, question)
        } else {
            0.0
        }
    }

    /// Returns how much of a question a page knows: 1 all of it.
    fn page_knows(&self, source: Source, question: &Question) -> f64 {
        let Some(page) = self.pages.get(&source) else { return 0.0 };
        let known: f64 = question
            .words
            .iter()
            .filter(|(place, _)| place.is_some_and(|place| page.words.contains(&place)))
            .map(|(_, weight)| weight)
            .sum();
        known / question.weight
    }

    fn side(&self, source: Source, question: &Question) -> f64 {
        match (self.pages.get(&source).and_then(|page| page.only), question.side) {
            (Some(only), Some(side)) if only != side => OTHER_SIDE,
            _ => 1.0,
        }
    }
}

fn is_of_system(source: Source) -> bool {
    let Source::Error(at) = source else { return false };
    errors::all().get(at).is_some_and(|row| row.domain == "errno")
}

/// Returns what the words weigh that question and phrase share, and how many they are.
fn shared(phrase: &Phrase, question: &Question) -> (f64, usize) {
    let both = question
        .words
        .iter()
        .filter(|(place, _)| place.is_some_and(|place| phrase.words.contains(&place)));
    both.fold((0.0, 0), |(sum, count), (_, weight)| (sum + weight, count + 1))
}

/// Returns which places words name.
fn named(words: &BTreeSet<String>) -> [bool; 3] {
    PLACES.map(|names| names.iter().any(|name| words.contains(*name)))
}

/// Returns what a phrase keeps that names places: little where the question names others only.
fn elsewhere(phrase: [bool; 3], question: [bool; 3]) -> f64 {
    let both = phrase.iter().zip(question).any(|(here, there)| *here && there);
    let other = phrase.contains(&true) && question.contains(&true) && !both;
    if other { OTHER_PLACE } else { 1.0 }
}

/// Returns everything that is known to be typed or read, by whose it is, with the one kind of backup that it concerns.
fn texts() -> Vec<(Source, Option<For>, Vec<String>)> {
    let catalogue = Catalogue::builtin();
    let only = |concerns: &[For]| match concerns {
        [only] => Some(*only),
        _ => None,
    };
    let mut texts = Vec::new();
    for (at, entry) in catalogue.entries().iter().enumerate() {
        let phrases = entry.words.iter().chain([&entry.title]).cloned().collect();
        texts.push((Source::Entry(at), only(&entry.concerns), phrases));
    }
    for (at, row) in errors::all().iter().enumerate() {
        let cause = row.causes.first().and_then(|id| catalogue.get(id));
        let phrases = row.says.iter().chain(&row.names).cloned().collect();
        let concerns = cause.and_then(|cause| only(&cause.concerns));
        texts.push((Source::Error(at), concerns, phrases));
    }
    texts
}
