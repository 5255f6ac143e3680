//! What only the person knows: which questions are worth asking now.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, For, Severity};
use crate::fact::{FactError, Facts, Value};
use crate::finding::{Certainty, Diagnosis, Finding, diagnose};

const FILE: &str = include_str!("../questions.toml");

/// No more are asked at a time.
pub const MOST: usize = 6;

/// A question with the answers that it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its name.
    pub id: String,
    /// For which kinds of backup it is worth asking.
    #[serde(rename = "for")]
    pub concerns: Vec<For>,
    /// The fact that an answer tells: its key.
    pub fact: String,
    /// What is asked.
    pub text: String,
    /// The answers.
    pub choices: Vec<Choice>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What the person reads.
    pub label: String,
    /// What the fact becomes.
    pub word: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    question: Vec<Question>,
}

/// Returns all questions.
pub fn all() -> &'static [Question] {
    static PARSED: OnceLock<Vec<Question>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let file: File =
            toml::from_str(FILE).expect("questions.toml is part of the program and tested");
        file.question
    })
}

/// Returns the questions, at most six, whose answer would change the primary cause or how certain it is; the most telling first.
pub fn questions(catalogue: &Catalogue, facts: &Facts, concern: For) -> Vec<&'static Question> {
    let now = diagnose(catalogue, facts, concern);
    let mut worth: Vec<(bool, &'static Question)> = all()
        .iter()
        .filter(|question| question.concerns.contains(&concern))
        .filter(|question| !facts.value(&question.fact).is_some_and(Value::is_known))
        .filter_map(|question| {
            let heaviest = telling(catalogue, facts, concern, question, &now)?;
            Some((heaviest > Severity::Note, question))
        })
        .collect();
    // Stable: among equals the first of the file.
    worth.sort_by_key(|(telling, _)| std::cmp::Reverse(*telling));
    worth.into_iter().take(MOST).map(|(_, question)| question).collect()
}

/// Puts an answer among the facts.
///
/// # Errors
///
/// Says where the question has no such answer.
pub fn answer(facts: &mut Facts, question: &Question, word: &str) -> Result<(), FactError> {
    facts.insert(&question.fact, word)
}

fn outcome(primary: Option<&Finding>) -> Option<(&str, Certainty)> {
    primary.map(|primary| (primary.id.as_str(), primary.certainty))
}

/// Returns how much the heaviest cause weighs that the doctor would name first after an answer, or name first no more.
fn telling(
    catalogue: &Catalogue,
    facts: &Facts,
    concern: For,
    question: &Question,
    now: &Diagnosis,
) -> Option<Severity> {
    let mut heaviest = None;
    for choice in &question.choices {
        let mut facts = facts.clone();
        if answer(&mut facts, question, &choice.word).is_err() {
            continue;
        }
        let then = diagnose(catalogue, &facts, concern);
        if outcome(then.primary()) != outcome(now.primary()) {
            let named = then.primary().into_iter().chain(now.primary());
            heaviest = heaviest.max(named.map(|primary| primary.severity).max());
        }
    }
    heaviest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Kind, table};

    #[test]
    fn every_answer_is_a_word_of_its_fact() {
        for question in all() {
            assert!(question.choices.len() >= 2, "{}", question.id);
            for choice in &question.choices {
                answer(&mut Facts::new(), question, &choice.word).unwrap();
            }
        }
    }

    #[test]
    fn every_fact_that_only_the_person_knows_is_asked_with_all_its_words() {
        for (key, row) in table().iter().filter(|(_, row)| row.ask) {
            let question = all().iter().find(|question| question.fact == key.as_str());
            let question = question.unwrap_or_else(|| panic!("nobody asks for {key}"));
            let mut said: Vec<&str> =
                question.choices.iter().map(|choice| choice.word.as_str()).collect();
            said.sort_unstable();
            let mut words = match &row.kind {
                Kind::Words(words) => words.iter().map(String::as_str).collect(),
                _ => vec!["yes", "no"],
            };
            words.sort_unstable();
            assert_eq!(said, words, "{key}");
        }
    }

    /// Where nothing is known the questions are about what is most often the cause, not about what has the most answers.
    #[test]
    fn the_most_frequent_causes_are_asked_for_first() {
        let asked = questions(Catalogue::builtin(), &Facts::new(), For::Icloud);
        let asked: Vec<&str> = asked.iter().map(|question| question.id.as_str()).collect();
        assert_eq!(asked, ["icloud-storage", "account", "charging", "low-power", "vpn", "signal"]);
    }

    #[test]
    fn what_was_answered_is_not_asked_again() {
        let catalogue = Catalogue::builtin();
        let mut facts = Facts::new();
        for concern in [For::Computer, For::Icloud] {
            let first = questions(catalogue, &facts, concern);
            assert!(first.len() <= MOST);
            for question in first {
                answer(&mut facts, question, &question.choices[0].word).unwrap();
                assert!(!questions(catalogue, &facts, concern).contains(&question));
            }
        }
    }
}
