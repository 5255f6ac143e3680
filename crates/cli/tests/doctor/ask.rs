//! `doctor --ask`: the questions on a terminal, and how they end; `--answer` without one.

use lifeboat_testkit::Terminal;
use lifeboat_testkit::terminal::{END, INTERRUPT};
use serde_json::Value;

use crate::scene::Scene;

/// What stands behind each question.
const PROMPT: &str = "where you do not know:";

/// The questions that are worth asking, most telling first.
fn worth(scene: &Scene) -> Vec<Value> {
    let report = scene.doctor(&["--json", "--for", "icloud"]).ok().json();
    report["questions"].as_array().expect("questions").clone()
}

fn said(report: &Value) -> (Value, Value) {
    (report["primary"]["id"].clone(), report["primary"]["certainty"].clone())
}

#[test]
fn only_what_changes_the_answer_is_asked() {
    let scene = Scene::paired("");
    let before = said(&scene.doctor(&["--json", "--for", "icloud"]).ok().json());
    let questions = worth(&scene);
    assert!((1..=6).contains(&questions.len()), "{questions:?}");
    for question in [questions.first(), questions.last()].into_iter().flatten() {
        let id = question["id"].as_str().expect("an id");
        let words = question["choices"].as_array().expect("choices");
        let changes = words.iter().any(|choice| {
            let answer = format!("{id}={}", choice["word"].as_str().expect("a word"));
            let run = scene.doctor(&["--json", "--for", "icloud", "--answer", &answer]).run();
            let report = run.json();
            let asked = report["questions"].as_array().expect("questions");
            assert!(asked.iter().all(|other| other["id"] != id), "{id} is asked again");
            said(&report) != before
        });
        assert!(changes, "no answer to {id} changes anything");
    }
}

#[test]
fn a_person_answers_at_a_terminal() {
    let scene = Scene::paired("");
    let questions = worth(&scene);
    let first = questions[0]["text"]
        .as_str()
        .expect("a text")
        .split(' ')
        .take(4)
        .collect::<Vec<_>>()
        .join(" ");
    let mut terminal =
        Terminal::start(&scene.home, None, &scene.typed(&["--for", "icloud", "--ask"]));
    // The most telling one comes first; what is no answer is asked again.
    terminal.until(&first);
    terminal.until(PROMPT);
    terminal.type_in("99\n");
    terminal.until("a number from 1 to");
    for _ in &questions {
        terminal.until(PROMPT);
        terminal.type_in("\n");
    }
    let run = terminal.wait();
    assert_eq!(run.out().matches(PROMPT).count(), questions.len() + 1, "{run}");
    assert!(run.out().contains("Nothing was seen that keeps"), "nobody knew anything\n{run}");
    // An answer changes what is said.
    let mut terminal =
        Terminal::start(&scene.home, None, &scene.typed(&["--for", "icloud", "--ask"]));
    terminal.until(PROMPT);
    terminal.type_in("2\n");
    // What else would change the answer is asked on; the person has had enough.
    terminal.until(PROMPT);
    terminal.type_in(END);
    terminal.until("checked, and fine");
    let run = terminal.wait();
    assert!(!run.out().contains("Nothing was seen that keeps"), "{run}");
    assert!(run.out().lines().all(|line| line.chars().count() <= 80), "{run}");
}

#[test]
fn the_end_of_the_input_and_ctrl_c_end_the_questions() {
    let scene = Scene::paired("");
    let arguments = scene.typed(&["--for", "icloud", "--ask"]);
    let mut terminal = Terminal::start(&scene.home, None, &arguments);
    terminal.until(PROMPT);
    terminal.type_in(END);
    let run = terminal.wait();
    assert_eq!((run.status, run.out().matches(PROMPT).count()), (Some(0), 1), "{run}");
    assert!(run.out().contains("checked, and fine"), "the report is shown all the same\n{run}");
    let mut terminal = Terminal::start(&scene.home, None, &arguments);
    terminal.until(PROMPT);
    terminal.type_in(INTERRUPT);
    let run = terminal.wait();
    assert_eq!(run.status, Some(130), "{run}");
    assert!(!run.out().contains("checked, and fine"), "{run}");
}

/// Who answers that all is well, or that nothing was tried, has accused nobody; neither where much could not be looked at.
#[test]
fn an_answer_that_says_nothing_accuses_nothing() {
    let scene = Scene::paired("");
    for (purpose, answers) in [
        ("computer", &["other-cable=not-tried", "other-port=not-tried", "cancelled=no"][..]),
        ("icloud", &["same-network=yes", "charging=nightly-locked", "account=fine"]),
    ] {
        let mut run = scene.doctor(&["--json", "--for", purpose]);
        for answer in answers {
            run = run.args(["--answer", answer]);
        }
        let run = run.run();
        let report = run.json();
        let findings = report["findings"].as_array().expect("findings");
        let weighty = findings.iter().filter(|found| found["severity"] != "note");
        assert_eq!(weighty.count(), 0, "{answers:?}\n{run}");
    }
}
