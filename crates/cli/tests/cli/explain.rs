//! What a number, a message, a line of a log or a cause means.

use crate::home;

fn explained(words: &[&str]) -> serde_json::Value {
    home().lifeboat(["explain", "--json"]).args(words).ok().json()
}

#[test]
fn numbers_are_explained_as_people_meet_them() {
    for (words, what) in [
        (&["208"][..], "MBErrorDomain/208"),
        (&["MBErrorDomain/208"], "MBErrorDomain/208"),
        (&["-54"], "/-54"),
        (&["0xE800001A"], "0xE800001A"),
        (&["0xe800001a"], "0xE800001A"),
        (&["9006"], "9006"),
    ] {
        let found = explained(words);
        let first = found["explanations"][0]["what"].as_str().unwrap_or_default();
        assert!(first.ends_with(what), "{words:?}: {found}");
    }
    let text = home().lifeboat(["explain", "9006"]).ok().out();
    assert!(text.contains("not official"), "{text}");
}

#[test]
fn causes_messages_and_typos_are_found() {
    for (words, id) in [
        ("pairing/not-trusted", "pairing/not-trusted"),
        ("M01", "pairing/not-trusted"),
        ("trust this computer", "pairing/not-trusted"),
        ("trsut this computr", "pairing/not-trusted"),
        ("usbmuxd not runing", "host/usbmuxd-missing"),
    ] {
        let found = explained(&[words]);
        let all = found["explanations"].as_array().unwrap();
        let named = |one: &serde_json::Value| {
            one["what"] == id
                || one["causes"].as_array().is_some_and(|all| all.iter().any(|c| c["id"] == id))
        };
        assert!(all.iter().take(3).any(named), "{words}: {found}");
    }
    let text = home().lifeboat(["explain", "pairing/not-trusted"]).ok().out();
    for part in
        ["The iPhone does not trust this computer yet", "what to do", "tap Trust", "to run:"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_line_of_the_log_is_explained() {
    let patterns = lifeboat_doctor::patterns::Patterns::builtin().all();
    for pattern in patterns.iter().take(10) {
        let found = explained(&[&pattern.example]);
        let all = found["explanations"].as_array().unwrap();
        let line = all.iter().find(|one| one["about"] == "log-line");
        assert!(line.is_some(), "{}: {found}", pattern.id);
    }
}

#[test]
fn the_list_has_everything_and_nonsense_has_nothing() {
    let listed = home().lifeboat(["explain", "--list", "--json"]).ok().json();
    let listed = listed.as_array().expect("an array");
    assert!(listed.len() > 200, "{}", listed.len());
    for row in listed {
        assert!(row["what"].is_string() && row["title"].is_string(), "{row}");
    }
    let text = home().lifeboat(["explain", "--list"]).ok().out();
    assert!(text.contains("pairing/not-trusted"), "{text}");
    // A program gets whole lines; eyes get what they said fits.
    assert_eq!(text.lines().count(), 1 + listed.len(), "{text}");
    let narrow = home().lifeboat(["explain", "--list"]).env("COLUMNS", "60").ok().out();
    for line in narrow.lines() {
        assert!(line.chars().count() <= 60 || !line.trim().contains(' '), "{line}");
    }
    assert!(narrow.lines().count() > listed.len(), "{narrow}");
    let nothing = home().lifeboat(["explain", "xyzzyplugh"]).run();
    assert_eq!(nothing.status, Some(1), "{nothing}");
    assert!(nothing.err().contains("--list"), "{nothing}");
    assert_eq!(home().lifeboat(["explain"]).run().status, Some(2));
}
