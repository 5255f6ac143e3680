//! What only the person knows: questions on a terminal, answers on the command line.

use lifeboat_doctor::question::{self, Question};
use lifeboat_doctor::{Catalogue, Facts};
use lifeboat_engine::Findings;

use crate::app::App;
use crate::exit::Exit;
use crate::ui::ask::{Typed, line};
use crate::ui::error::Failure;
use crate::ui::prose::prose;
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

/// Asks, on a terminal only; after each answer the questions that are left may be others. The end of the input ends the questions.
pub(super) async fn questions(app: &App, findings: &mut Findings) -> Result<(), Failure> {
    if !app.ui.can_ask {
        app.ui.note("there is no terminal to ask on: `--answer ID=WORD` answers, `--json` lists the questions");
        return Ok(());
    }
    let mut passed: Vec<&str> = Vec::new();
    for asked in 0..question::MOST {
        let next =
            worth(findings).into_iter().find(|question| !passed.contains(&question.id.as_str()));
        let Some(question) = next else {
            if asked == 0 {
                app.ui.note("there is nothing to ask: no answer would change what the doctor says");
            }
            break;
        };
        match put(app, question).await? {
            Answer::Word(word) => question::answer(&mut findings.facts, question, word)
                .map_err(anyhow::Error::from)?,
            Answer::NotKnown => passed.push(&question.id),
            Answer::NoMore => break,
        }
    }
    Ok(())
}

/// What somebody says to a question.
enum Answer {
    Word(&'static str),
    NotKnown,
    NoMore,
}

/// Asks one question.
async fn put(app: &App, question: &'static Question) -> Result<Answer, Failure> {
    let text = prose(&question.text, "", app.ui.width);
    app.ui.ask(format!("{STRONG}{}{STRONG:#}\n", text.trim_end()))?;
    for (at, choice) in question.choices.iter().enumerate() {
        app.ui.ask(format!("  {}  {}\n", at + 1, choice.label))?;
    }
    loop {
        app.ui.ask(format!("{FAINT}number, or Enter where you do not know:{FAINT:#} "))?;
        let given = match typed(app).await? {
            Typed::Line(typed) => typed,
            Typed::End | Typed::Stopped => return Ok(Answer::NoMore),
        };
        if given.is_empty() {
            return Ok(Answer::NotKnown);
        }
        let number = given.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        if let Some(choice) = number.and_then(|number| question.choices.get(number)) {
            return Ok(Answer::Word(&choice.word));
        }
        let most = question.choices.len();
        app.ui.ask(format!("{FAINT}a number from 1 to {most};{FAINT:#} "))?;
    }
}

/// Waits for what the person types; whoever stops the program there ends it.
pub(super) async fn typed(app: &App) -> Result<Typed, Failure> {
    let typed = line(&app.cancel).await.map_err(anyhow::Error::from)?;
    match typed {
        Typed::Line(_) => {}
        // The cursor still stands behind the question.
        Typed::End | Typed::Stopped => app.ui.ask("\n")?,
    }
    if typed == Typed::Stopped {
        return Err(Failure::new(Exit::Interrupted, "interrupted", "stopped while asking"));
    }
    Ok(typed)
}
