//! The sheet as a drawing (SVG) of one page: the text, and its payload as a square code that any phone reads.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// The page, in millimetres: A4.
const PAGE: (f64, f64) = (210.0, 297.0);
const MARGIN: f64 = 16.0;
/// The square code with the quiet zone around it.
const SQUARE: f64 = 84.0;
/// Modules of the quiet zone that a reader needs on each side.
const QUIET: usize = 4;
/// The tallest a line of text is.
const LINE: f64 = 4.4;
/// How much of a line's height its letters are.
const LETTERS: f64 = 0.78;
/// The width of a letter of a typewriter's font, in parts of its height.
const LETTER: f64 = 0.61;
/// Columns of text; longer lines go on in the next.
const COLUMNS: usize = 96;

/// The payload does not fit into a square code.
#[derive(Debug, thiserror::Error)]
#[error("the sheet has {0} bytes, and a square code holds fewer: print the text")]
pub(super) struct TooMuch(usize);

/// Draws a sheet: its text, and what the code says.
pub(super) fn svg(text: &str, code: &str) -> Result<String, TooMuch> {
    let square = modules(code)?;
    let lines = wrapped(text);
    let (width, height) = PAGE;
    let room = height - 2.0 * MARGIN - SQUARE;
    // A sheet of many devices is written smaller.
    #[expect(clippy::cast_precision_loss, reason = "lines of one page")]
    let line = (room / lines.len().max(1) as f64).min(LINE);
    #[expect(clippy::cast_precision_loss, reason = "columns of one page")]
    let letters = (line * LETTERS).min((width - 2.0 * MARGIN) / (COLUMNS as f64 * LETTER));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <g font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"{letters:.2}\" fill=\"black\">\n"
    );
    let mut y = MARGIN + letters;
    for (at, text) in lines.iter().enumerate() {
        let weight = if at == 0 { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            out,
            "<text x=\"{MARGIN}\" y=\"{y:.2}\" xml:space=\"preserve\"{weight}>{}</text>",
            escaped(text)
        );
        y += line;
    }
    let _ = writeln!(out, "</g>");
    let top = height - MARGIN - SQUARE;
    out.push_str(&drawn(&square, (width - MARGIN - SQUARE, top)));
    out.push_str("</svg>\n");
    Ok(out)
}

/// Returns the rows of the code, true for dark; with less to mend errors with where it would not fit else.
fn modules(code: &str) -> Result<Vec<Vec<bool>>, TooMuch> {
    let made = [EcLevel::Q, EcLevel::M, EcLevel::L]
        .into_iter()
        .find_map(|level| QrCode::with_error_correction_level(code, level).ok());
    let made = made.ok_or(TooMuch(code.len()))?;
    let width = made.width();
    let colors = made.into_colors();
    Ok(colors
        .chunks(width)
        .map(|row| row.iter().map(|color| *color == Color::Dark).collect())
        .collect())
}

/// Draws the code as one path, its quiet zone white.
#[expect(clippy::cast_precision_loss, reason = "a code has at most 177 modules a side")]
fn drawn(rows: &[Vec<bool>], (x, y): (f64, f64)) -> String {
    let scale = SQUARE / (rows.len() + 2 * QUIET) as f64;
    let mut path = String::new();
    for (down, row) in rows.iter().enumerate() {
        let mut across = 0;
        while across < row.len() {
            let run = row.iter().skip(across).take_while(|dark| **dark).count();
            if run > 0 {
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", across + QUIET, down + QUIET);
            }
            across += run.max(1);
        }
    }
    format!(
        "<g transform=\"translate({x:.2} {y:.2}) scale({scale:.5})\" shape-rendering=\"crispEdges\"><path d=\"{path}\" fill=\"black\"/></g>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the lines of a text, the long ones in pieces. A command goes on where a shell takes it for one line.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let is_command = line.starts_with("    ");
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > COLUMNS {
            let room = COLUMNS - 2;
            let blank = (20..room).rev().find(|at| rest.get(*at) == Some(&' '));
            let at = blank.unwrap_or(room);
            let behind = rest.split_off(at);
            let mut piece: String = rest.into_iter().collect();
            if is_command && blank.is_some() {
                piece.push_str(" \\");
            }
            lines.push(piece);
            let indent = if is_command { "       " } else { "                 " };
            let behind = behind.into_iter().skip(usize::from(blank.is_some()));
            rest = indent.chars().chain(behind).collect();
        }
        lines.push(rest.into_iter().collect());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_on_the_page_and_nothing_is_markup() {
        let text = format!("Sheet\n    lifeboat {} end\n<&>\n", "word ".repeat(40));
        let drawing = svg(&text, "code <&>").unwrap();
        assert!(drawing.contains("&lt;&amp;&gt;</text>"), "{drawing}");
        assert_eq!(drawing.matches(" \\</text>").count(), 2, "{drawing}");
        let lines = drawing.lines().filter(|line| line.starts_with("<text"));
        let shown = lines.filter_map(|line| line.split_once(" y=\"")?.1.split_once('"'));
        assert!(shown.map(|(y, _)| y.parse::<f64>().unwrap()).all(|y| y < 297.0 - MARGIN - SQUARE));
    }

    #[test]
    fn what_no_code_holds_is_refused() {
        assert!(svg("x", &"x".repeat(2900)).is_ok());
        assert_eq!(svg("x", &"x".repeat(3000)).unwrap_err().0, 3000);
    }
}
