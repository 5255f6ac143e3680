//! What the log must not tell: who a device is.
//!
//! Names, serial and telephone numbers have no shape by which a log could know them. Whoever learns one says so here
//! ([`keep_quiet`]), and whoever writes a log asks here ([`hidden`]): so nobody has to remember it at each place that logs.
//! It is one list for the whole program, because a program has one log.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

/// Shorter ones would be found in every line.
const SHORTEST: usize = 2;
/// Longer ones are no names.
const LONGEST: usize = 300;
/// More devices than anybody has: what comes from outside must not fill the memory.
const MOST: usize = 1000;
/// What stands in their place.
const MASK: &str = "<hidden>";

/// The longest first: one may be a part of another.
static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps a name or a number of a device out of the log from now on.
pub fn keep_quiet(name: &str) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // A log shows what could command a terminal, and quotes, in another way.
    for form in [name.trim().to_owned(), name.trim().escape_debug().to_string()] {
        let fits = (SHORTEST..=LONGEST).contains(&form.chars().count());
        if fits && known.len() < MOST && !known.contains(&form) {
            let at = known.partition_point(|other| other.len() >= form.len());
            known.insert(at, form);
        }
    }
}

/// Returns a text with a mask in the place of every name and number that must not be told; only whole words are masked.
pub fn hidden(text: &str) -> Cow<'_, str> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = Cow::Borrowed(text);
    for name in known.iter() {
        if text.contains(name.as_str()) {
            text = Cow::Owned(masked(&text, name));
        }
    }
    text
}

fn masked(text: &str, name: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(name) {
        out.push_str(before);
        let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let edge = |c: Option<char>, next: Option<char>| !(inside(c) && inside(next));
        let whole = edge(out.chars().next_back(), name.chars().next())
            && edge(name.chars().next_back(), after.chars().next());
        out.push_str(if whole { MASK } else { name });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // The list is one for the program: each test has names of its own.

    #[test]
    fn names_and_numbers_are_masked_wherever_they_stand() {
        keep_quiet("Zoë's \"Pad\"");
        keep_quiet("F4GT0000ABCD");
        assert_eq!(hidden("a Zoë's \"Pad\", F4GT0000ABCD"), "a <hidden>, <hidden>");
        assert_eq!(hidden(r#"name="Zoë\'s \"Pad\"" b"#), r#"name="<hidden>" b"#);
        assert_eq!(hidden("serial=F4GT0000ABCD/x"), "serial=<hidden>/x");
    }

    #[test]
    fn only_whole_words_are_masked_and_the_longest_name_first() {
        keep_quiet("Anna");
        keep_quiet("Anna's telephone");
        assert_eq!(
            hidden("Anna's telephone and Annabel's; Anna"),
            "<hidden> and Annabel's; <hidden>"
        );
    }

    #[test]
    fn what_is_no_name_hides_nothing() {
        keep_quiet("");
        keep_quiet(" x ");
        keep_quiet(&"y".repeat(LONGEST + 1));
        let line = format!("x {}", "y".repeat(LONGEST + 1));
        assert_eq!(hidden(&line), line);
    }
}
