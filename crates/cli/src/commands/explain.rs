//! `explain`: what a number, a message or a line of a log means, and what to do.

use std::fmt::Write as _;

use clap::Args;
use lifeboat_doctor::Who;
use lifeboat_doctor::explain::{self, About, Corrected, Explanation, Listed};
use serde::Serialize;

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::error::Failure;
use crate::ui::prose::prose;
use crate::ui::table::{Column, table};
use crate::ui::text::plain;
use crate::ui::{FAINT, HINT, STRONG};

/// Flags of `explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat explain 208\n  lifeboat explain MBErrorDomain/105\n  \
    lifeboat explain -- -54\n  lifeboat explain 0xE800001A\n  \
    lifeboat explain 'Last backup could not be completed'\n  lifeboat explain pairing/not-trusted\n  \
    lifeboat explain --list\n\n\
    Exit: 0 when something is known about the words, else 1."
)]
pub(crate) struct ExplainArgs {
    /// A number, a message from a screen, a line of a log, or the name of a cause
    #[arg(value_name = "WORDS", required_unless_present = "list", allow_negative_numbers = true)]
    words: Vec<String>,
    /// List everything that can be explained
    #[arg(long, conflicts_with = "words")]
    list: bool,
}

#[derive(Serialize)]
struct Explained<'a> {
    format: u32,
    asked: &'a str,
    explanations: &'a [Explanation],
}

/// How many sentences are named that are corrected alike.
const NAMED: usize = 2;

/// Explains.
pub(crate) fn run(app: &App, args: &ExplainArgs) -> Ended {
    if args.list {
        return list(app);
    }
    let asked = args.words.join(" ");
    let found = explain::explain(&asked);
    if app.ui.json {
        app.ui.object(&Explained { format: 1, asked: &asked, explanations: &found })?;
    }
    let Some((best, others)) = found.split_first() else {
        let failure = Failure::new(
            Exit::Failed,
            "nothing-known",
            format!("nothing is known about {:?}", plain(&asked)),
        );
        let failure = Failure { told: app.ui.json, ..failure };
        return Err(failure
            .hint("give the number or a part of the message; `lifeboat explain --list` shows everything known")
            .hint("`lifeboat doctor` looks for the cause itself"));
    };
    if !app.ui.json {
        app.ui.text(words(best, app.ui.width))?;
        app.ui.text(further(others))?;
    }
    Ok(Exit::Done)
}

fn list(app: &App) -> Ended {
    let listed = explain::list();
    if app.ui.json {
        app.ui.object(&listed)?;
        return Ok(Exit::Done);
    }
    let columns = [Column::Left("WHAT TO TYPE"), Column::Left("KIND"), Column::Left("MEANING")];
    app.ui.text(table(&columns, listed.iter().map(row)))?;
    Ok(Exit::Done)
}

fn row(listed: &Listed) -> Vec<String> {
    let kind = match listed.about {
        About::Cause => "cause",
        About::Topic => "topic",
        About::Number => "number",
        About::Message => "message",
        About::LogLine => "line of the log",
    };
    vec![listed.what.clone(), kind.to_owned(), listed.title.clone()]
}

/// Returns an explanation in words.
fn words(found: &Explanation, width: usize) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{STRONG}{}{STRONG:#}  {FAINT}{}{FAINT:#}", found.title, found.what);
    // A number's meaning says its title again, and sometimes more.
    let meaning = found.meaning.strip_prefix(&found.title).and_then(|rest| rest.strip_prefix('.'));
    out.push_str(&prose(meaning.unwrap_or(&found.meaning), "  ", width));
    for remark in &found.remarks {
        out.push_str(&prose(remark, "  ", width));
    }
    if !found.causes.is_empty() {
        let _ = writeln!(out, "{STRONG}likely causes{STRONG:#}");
        for cause in &found.causes {
            let _ = writeln!(out, "  {}  {FAINT}{}{FAINT:#}", cause.title, cause.id);
        }
    }
    if !found.steps.is_empty() {
        let _ = writeln!(out, "{HINT}what to do{HINT:#}");
    }
    let many = found.steps.len() > 1;
    for (at, step) in found.steps.iter().enumerate() {
        if many {
            let doer =
                if step.who == Who::Program { " (`lifeboat doctor --fix` does it)" } else { "" };
            let head = if at == 0 { "first" } else { "or" };
            let _ = writeln!(out, "  {FAINT}{head}:{FAINT:#}{doer}");
        }
        out.push_str(&prose(&step.text, if many { "    " } else { "  " }, width));
    }
    let _ = writeln!(out, "{FAINT}how sure:{FAINT:#} {}", found.sure);
    if !found.run.is_empty() {
        let _ = writeln!(out, "{FAINT}to run:{FAINT:#} {}", backticked(&found.run));
    }
    if !found.also.is_empty() {
        let _ = writeln!(out, "{FAINT}see also:{FAINT:#}");
        for also in &found.also {
            let _ = writeln!(out, "  {}  {FAINT}{}{FAINT:#}", also.title, also.id);
        }
    }
    corrected(&mut out, &found.corrects, width);
    out
}

/// What is true where articles say something else, each once, with the beginning of what they say.
fn corrected(out: &mut String, corrects: &[Corrected], width: usize) {
    if !corrects.is_empty() {
        let _ = writeln!(out, "{FAINT}not as articles on the web have it:{FAINT:#}");
    }
    for Corrected { text, sentences } in corrects {
        out.push_str(&prose(&format!("* {text}"), "  ", width));
        let begins = sentences.iter().take(NAMED);
        let mut begins: Vec<String> =
            begins.map(|sentence| format!("“{} …”", sentence.begins.trim())).collect();
        if sentences.len() > NAMED {
            begins.push(format!("and {} more", sentences.len() - NAMED));
        }
        out.push_str(&prose(&format!("There: {}", begins.join(", ")), "    ", width));
    }
}

fn backticked(commands: &[String]) -> String {
    commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>().join(", ")
}

/// Returns what else the words could mean.
fn further(others: &[Explanation]) -> String {
    let mut out = String::new();
    if !others.is_empty() {
        let _ = writeln!(out, "\n{STRONG}it could also mean{STRONG:#}");
    }
    for other in others {
        let _ = writeln!(out, "  {}  {FAINT}{}{FAINT:#}", other.title, other.what);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_articles_have_wrong_stands_once_and_last() {
        let found = explain::explain("icloud/storage-full").remove(0);
        let page = words(&found, 80);
        let page: Vec<&str> = page.lines().collect();
        let told = page.iter().filter(|line| line.contains("The page is named otherwise")).count();
        assert_eq!(told, 2, "{page:#?}");
        let place = |text: &str| page.iter().position(|line| line.contains(text)).unwrap();
        let articles = place("not as articles on the web have it");
        for before in ["what to do", "how sure", "see also"] {
            assert!(place(before) < articles, "{before}");
        }
        let shown = &page[articles..];
        assert!(shown.iter().any(|line| line.contains("There: “On iCloud: Check your iCloud …”")));
        assert!(shown.len() < 30, "{shown:#?}");
    }
}
