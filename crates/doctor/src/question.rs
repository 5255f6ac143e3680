//! What only the person knows: which questions are worth asking now.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, For};
use crate::fact::{FactError, Facts, Value};
use crate::finding::{Certainty, Diagnosis, diagnose};

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
    let now = outcome(&diagnose(catalogue, facts, concern));
    let mut worth: Vec<(usize, &'static Question)> = all()
        .iter()
        .filter(|question| question.concerns.contains(&concern))
        .filter(|question| !facts.value(&question.fact).is_some_and(Value::is_known))
        .map(|question| (telling(catalogue, facts, concern, question, &now), question))
        .filter(|(telling, _)| *telling > 0)
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

type Outcome = Option<(String, Certainty)>;

fn outcome(diagnosis: &Diagnosis) -> Outcome {
    diagnosis.primary().map(|primary| (primary.id.clone(), primary.certainty))
}

/// Returns how many different answers the doctor would give that it does not give now.
fn telling(
    catalogue: &Catalogue,
    facts: &Facts,
    concern: For,
    question: &Question,
    now: &Outcome,
) -> usize {
    let mut outcomes = BTreeSet::new();
    for choice in &question.choices {
        let mut facts = facts.clone();
        if answer(&mut facts, question, &choice.word).is_ok() {
            outcomes.insert(outcome(&diagnose(catalogue, &facts, concern)));
        }
    }
    outcomes.remove(now);
    outcomes.len()
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
