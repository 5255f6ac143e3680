//! What only the person knows: questions on a terminal, answers on the command line.

use std::io::{BufRead as _, Write as _};

use lifeboat_doctor::question::{self, Question};
use lifeboat_doctor::{Catalogue, Facts};
use lifeboat_engine::Findings;

use crate::app::App;
use crate::ui::error::Failure;
use crate::ui::{FAINT, STRONG};

/// Takes answers of the command line.
pub(super) fn given(findings: &mut Findings, answers: &[String]) -> Result<(), Failure> {
    for given in answers {
        let (id, word) = given
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{given:?} is not an answer: write ID=WORD")))?;
        let question =
            question::all().iter().find(|question| question.id == id).ok_or_else(|| {
                let known: Vec<&str> =
                    question::all().iter().map(|known| known.id.as_str()).collect();
                Failure::usage(format!("there is no question {id:?}"))
                    .hint(format!("the questions are {}", known.join(", ")))
            })?;
        question::answer(&mut findings.facts, question, word).map_err(|_| {
            let words: Vec<&str> =
                question.choices.iter().map(|choice| choice.word.as_str()).collect();
            Failure::usage(format!("question {id} has no answer {word:?}"))
                .hint(format!("the answers are {}", words.join(", ")))
        })?;
    }
    Ok(())
}

/// Returns the questions that would change what the doctor says.
pub(super) fn worth(findings: &Findings) -> Vec<&'static Question> {
    question::questions(Catalogue::builtin(), &findings.facts, findings.concern)
}

/// Returns what the person has answered.
pub(super) fn answered(findings: &Findings) -> Facts {
    let mut answers = Facts::new();
    for (key, value) in findings.facts.iter().filter(|(key, _)| key.declared().ask) {
        answers.tell(key.as_str(), value.clone());
    }
    answers
}

/// Asks, on a terminal only; after each answer the questions that are left may be others.
pub(super) fn questions(app: &App, findings: &mut Findings) -> Result<(), Failure> {
    if !app.ui.can_ask {
        app.ui.note("there is no terminal to ask on: `--answer ID=WORD` answers, `--json` lists the questions");
        return Ok(());
    }
    let mut passed: Vec<&str> = Vec::new();
    for _ in 0..question::MOST {
        let next =
            worth(findings).into_iter().find(|question| !passed.contains(&question.id.as_str()));
        let Some(question) = next else { break };
        match ask(question).map_err(anyhow::Error::from)? {
            Some(word) => {
                question::answer(&mut findings.facts, question, word)
                    .map_err(anyhow::Error::from)?;
            }
            None => passed.push(&question.id),
        }
    }
    Ok(())
}

/// Asks one question; nothing where the person does not know.
fn ask(question: &'static Question) -> std::io::Result<Option<&'static str>> {
    let mut out = anstream::stderr().lock();
    writeln!(out, "{STRONG}{}{STRONG:#}", question.text)?;
    for (at, choice) in question.choices.iter().enumerate() {
        writeln!(out, "  {}  {}", at + 1, choice.label)?;
    }
    let mut input = std::io::stdin().lock();
    loop {
        write!(out, "{FAINT}number, or Enter where you do not know:{FAINT:#} ")?;
        out.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(None);
        }
        let number = line.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        if let Some(choice) = number.and_then(|number| question.choices.get(number)) {
            return Ok(Some(&choice.word));
        }
    }
}
