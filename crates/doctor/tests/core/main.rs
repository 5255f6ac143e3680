//! Tests of the doctor's core: the catalogue as data, the diagnosis over scenarios of facts and mixtures of them, the table of the
//! articles, and what `explain` says.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod articles;
mod catalogue;
mod explain;
mod hostile;
mod mixtures;
mod probes;
mod scenario;
mod scenarios;
mod sentences;
mod signs;

/// Appends formatted text.
fn push(to: &mut String, text: std::fmt::Arguments<'_>) {
    use std::fmt::Write as _;

    to.write_fmt(text).expect("writing into a string cannot fail");
}
