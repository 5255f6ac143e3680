//! Text of the catalogue as a terminal shows it: paragraphs and lists wrapped, bold where there is colour.

use std::fmt::Write as _;

use anstyle::Style;

use super::{FAINT, STRONG};

/// Returns little Markdown (paragraphs, lists, bold, fenced code) as lines of at most `width` columns, each behind `indent`.
pub(crate) fn prose(markdown: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    let mut open: Option<Block> = None;
    let mut fenced = false;
    for line in markdown.lines() {
        let text = line.trim();
        if text.starts_with("```") {
            close(&mut out, &mut open, indent, width);
            fenced = !fenced;
        } else if fenced {
            let _ = writeln!(out, "{indent}  {line}");
        } else if text.is_empty() {
            close(&mut out, &mut open, indent, width);
        } else if let Some((mark, rest)) = item(text) {
            close(&mut out, &mut open, indent, width);
            open = Some(Block { mark: mark.to_owned(), text: rest.to_owned() });
        } else {
            let block = open.get_or_insert_with(Block::default);
            if !block.text.is_empty() {
                block.text.push(' ');
            }
            block.text.push_str(text);
        }
    }
    close(&mut out, &mut open, indent, width);
    out
}

/// Returns a text in a style with something faint beside it, or below it where both do not fit into one line.
pub(crate) fn beside(text: &str, style: Style, aside: &str, indent: &str, width: usize) -> String {
    let wide = indent.chars().count() + text.chars().count() + 2 + aside.chars().count();
    if wide <= width {
        return format!("{indent}{style}{text}{style:#}  {FAINT}{aside}{FAINT:#}\n");
    }
    let text = prose(text, indent, width);
    let text = text.strip_prefix(indent).unwrap_or(&text).trim_end();
    let deeper = format!("{indent}  ");
    let aside = prose(aside, &deeper, width);
    let aside = aside.strip_prefix(&deeper).unwrap_or(&aside).trim_end();
    format!("{indent}{style}{text}{style:#}\n{deeper}{FAINT}{aside}{FAINT:#}\n")
}

/// A paragraph, or an item of a list with its mark.
#[derive(Default)]
struct Block {
    mark: String,
    text: String,
}

/// Takes the mark of a list's item off: `1. `, `* `, `- `.
fn item(text: &str) -> Option<(&str, &str)> {
    let (mark, rest) = text.split_once(' ')?;
    let number = mark.strip_suffix('.').is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    (number || mark == "*" || mark == "-").then_some((mark, rest.trim_start()))
}

fn close(out: &mut String, open: &mut Option<Block>, indent: &str, width: usize) {
    let Some(block) = open.take() else { return };
    let first =
        if block.mark.is_empty() { indent.to_owned() } else { format!("{indent}{} ", block.mark) };
    let further = " ".repeat(first.chars().count());
    let mut wrapped = first.clone();
    let mut column = first.chars().count();
    let begin = column;
    for word in block.text.split_whitespace() {
        let wide = word.replace("**", "").chars().count();
        if column > begin && column + 1 + wide > width {
            wrapped.push('\n');
            wrapped.push_str(&further);
            column = begin;
        } else if column > begin {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += wide;
    }
    let mut bold = false;
    for (at, part) in wrapped.split("**").enumerate() {
        if at > 0 {
            bold = !bold;
            let _ = if bold { write!(out, "{STRONG}") } else { write!(out, "{STRONG:#}") };
        }
        out.push_str(part);
    }
    if bold {
        let _ = write!(out, "{STRONG:#}");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(markdown: &str) -> String {
        anstream::adapter::strip_str(&prose(markdown, "  ", 60)).to_string()
    }

    #[test]
    fn paragraphs_are_joined_and_lists_keep_their_marks() {
        assert_eq!(
            shown(
                "One line\nand more of it.\n\n1. Tap **Trust**.\n   Now.\n2. Wait.\n\n```\ncode  here\n```\n"
            ),
            "  One line and more of it.\n  1. Tap Trust. Now.\n  2. Wait.\n    code  here\n"
        );
    }

    #[test]
    fn long_lines_are_wrapped_under_their_beginning() {
        let text = shown(&format!("1. {}", "word ".repeat(40)));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("     word")), "{text}");
    }

    #[test]
    fn bold_is_colour_only() {
        assert!(prose("**Trust** now", "", 60).contains('\u{1b}'));
        assert_eq!(shown("**Trust** now"), "  Trust now\n");
        assert_eq!(shown("2 ** 3"), "  2  3\n");
    }
}
