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
use crate::ui::prose::{beside, prose};
use crate::ui::table::{Column, table};
use crate::ui::text::plain;
use crate::ui::{FAINT, HINT, STRONG};

/// Text as it is.
const PLAIN: anstyle::Style = anstyle::Style::new();

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
        app.ui.text(further(others, app.ui.width))?;
    }
    Ok(Exit::Done)
}

fn list(app: &App) -> Ended {
    let listed = explain::list();
    if app.ui.json {
        app.ui.object(&listed)?;
        return Ok(Exit::Done);
    }
    app.ui.text(if app.ui.narrow { entries(&listed, app.ui.width) } else { rows(&listed) })?;
    Ok(Exit::Done)
}

/// One line each, for programs that look for words.
fn rows(listed: &[Listed]) -> String {
    let columns = [Column::Left("WHAT TO TYPE"), Column::Left("KIND"), Column::Left("MEANING")];
    let row =
        |listed: &Listed| vec![listed.what.clone(), kind(listed).to_owned(), listed.title.clone()];
    table(&columns, listed.iter().map(row))
}

/// What to type, and below it what it means, for eyes: no line is longer than the columns that are there.
fn entries(listed: &[Listed], width: usize) -> String {
    let entry = |listed: &Listed| {
        beside(&listed.what, STRONG, kind(listed), "", width) + &prose(&listed.title, "  ", width)
    };
    listed.iter().map(entry).collect()
}

fn kind(listed: &Listed) -> &'static str {
    match listed.about {
        About::Cause => "cause",
        About::Topic => "topic",
        About::Number => "number",
        About::Message => "message",
        About::LogLine => "line of the log",
    }
}

/// Returns an explanation in words.
fn words(found: &Explanation, width: usize) -> String {
    let mut out = String::new();
    out.push_str(&beside(&found.title, STRONG, &found.what, "", width));
    // A number's meaning says its title again, and sometimes more.
    let meaning = found.meaning.strip_prefix(&found.title).and_then(|rest| rest.strip_prefix('.'));
    out.push_str(&prose(meaning.unwrap_or(&found.meaning), "  ", width));
    for remark in &found.remarks {
        out.push_str(&prose(remark, "  ", width));
    }
    if !found.causes.is_empty() {
        let _ = writeln!(out, "{STRONG}likely causes{STRONG:#}");
        for cause in &found.causes {
            out.push_str(&beside(&cause.title, PLAIN, &cause.id, "  ", width));
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
            let wrapped = prose(&format!("{head}:{doer}"), "  ", width);
            let rest = wrapped.trim_start().strip_prefix(head).unwrap_or_default();
            let _ = write!(out, "  {FAINT}{head}{FAINT:#}{rest}");
        }
        out.push_str(&prose(&step.text, if many { "    " } else { "  " }, width));
    }
    out.push_str(&labelled("how sure:", &found.sure, width));
    if !found.run.is_empty() {
        out.push_str(&labelled("to run:", &backticked(&found.run), width));
    }
    if !found.also.is_empty() {
        let _ = writeln!(out, "{FAINT}see also:{FAINT:#}");
        for also in &found.also {
            out.push_str(&beside(&also.title, PLAIN, &also.id, "  ", width));
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

/// Returns a text behind a faint word that says what it is.
fn labelled(label: &str, text: &str, width: usize) -> String {
    let wrapped = prose(&format!("{label} {text}"), "", width);
    let rest = wrapped.strip_prefix(label).unwrap_or(&wrapped);
    format!("{FAINT}{label}{FAINT:#}{rest}")
}

fn backticked(commands: &[String]) -> String {
    commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>().join(", ")
}

/// Returns what else the words could mean.
fn further(others: &[Explanation], width: usize) -> String {
    let mut out = String::new();
    if !others.is_empty() {
        let _ = writeln!(out, "\n{STRONG}it could also mean{STRONG:#}");
    }
    for other in others {
        out.push_str(&beside(&other.title, PLAIN, &other.what, "  ", width));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fits_a_narrow_terminal() {
        for asked in ["icloud/storage-full", "208", "my laptop can't find my iphone"] {
            let found = explain::explain(asked);
            for width in [40, 80, 96] {
                let page = words(&found[0], width) + &further(&found, width);
                let page = anstream::adapter::strip_str(&page).to_string();
                for line in page.lines() {
                    // A single long word, such as a command, is not broken.
                    let bare = line.trim_start_matches([' ', '*', '.', '1', '2', '3']);
                    assert!(line.chars().count() <= width || !bare.contains(' '), "{line}");
                }
            }
        }
    }

    #[test]
    fn the_list_fits_a_narrow_terminal_and_is_whole_lines_elsewhere() {
        let listed = explain::list();
        for width in [40, 80, 96] {
            let page = anstream::adapter::strip_str(&entries(&listed, width)).to_string();
            for line in page.lines() {
                assert!(line.chars().count() <= width || !line.trim().contains(' '), "{line}");
            }
            for Listed { what, title, .. } in &listed {
                let (what, title) =
                    (what.split(' ').next().unwrap(), title.split(' ').next().unwrap());
                assert!(page.contains(what) && page.contains(title), "{what}: {title}");
            }
        }
        let rows = rows(&listed);
        assert_eq!(rows.lines().count(), 1 + listed.len());
        for Listed { what, title, .. } in &listed {
            let row =
                |line: &str| line.starts_with(what.as_str()) && line.ends_with(title.as_str());
            assert!(rows.lines().any(row), "{what}");
        }
    }

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
