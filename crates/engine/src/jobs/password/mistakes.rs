//! Passwords that nobody chose: what scripts and programs are known to set in place of the one that was meant.
//!
//! `echo` puts a line end behind it, a shell leaves quotes around it, and `idevicebackup2 encryption on --password X` takes the
//! first word behind `on`: the password is `--password` then (docs/sources.md). It is a handful of texts and no guessing.

use secrecy::{ExposeSecret as _, SecretString};

/// Words of a command that became the password itself, the likeliest first.
const OPTIONS: [&str; 4] = ["--password", "-i", "--interactive", "-p"];

/// What may have been set, and which one was meant.
#[derive(Debug, Clone)]
pub(crate) struct Mistake {
    /// The text that may be the password.
    pub(crate) set: SecretString,
    /// The one that was meant, where that can be told.
    pub(crate) meant: Option<SecretString>,
}

/// Returns what may have been set by mistake in place of passwords that are known, the likeliest first, each once.
pub(crate) fn of(known: &[SecretString]) -> Vec<Mistake> {
    let mut all: Vec<Mistake> = Vec::new();
    let mut add = |set: String, meant: Option<&str>| {
        let same = |text: &SecretString| text.expose_secret() == set;
        if set.is_empty() || known.iter().any(same) || all.iter().any(|other| same(&other.set)) {
            return;
        }
        let meant = meant.map(|meant| SecretString::from(meant.to_owned()));
        all.push(Mistake { set: set.into(), meant });
    };
    for known in known {
        let clean = known.expose_secret().trim();
        for (before, behind) in
            [("", "\n"), ("", "\r\n"), ("", " "), ("", ""), ("\"", "\""), ("'", "'")]
        {
            add(format!("{before}{clean}{behind}"), Some(clean).filter(|clean| !clean.is_empty()));
        }
    }
    for option in OPTIONS {
        add(option.to_owned(), None);
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(known: &[&str]) -> Vec<(String, Option<String>)> {
        let known: Vec<_> =
            known.iter().map(|text| SecretString::from((*text).to_owned())).collect();
        let text = |text: &SecretString| text.expose_secret().to_owned();
        of(&known).iter().map(|found| (text(&found.set), found.meant.as_ref().map(text))).collect()
    }

    #[test]
    fn line_ends_quotes_and_options_are_thought_of() {
        let found = texts(&["sesame", "with a blank "]);
        let meant = |set: &str| found.iter().find(|(text, _)| text == set).map(|(_, m)| m.clone());
        for set in ["sesame\n", "sesame\r\n", "sesame ", "\"sesame\"", "'sesame'"] {
            assert_eq!(meant(set), Some(Some("sesame".to_owned())), "{set:?}");
        }
        // What is kept has a blank too much, and the device does not.
        assert_eq!(meant("with a blank"), Some(Some("with a blank".to_owned())));
        assert_eq!(meant("with a blank "), None, "it is known, and was tried");
        assert_eq!(meant("--password"), Some(None));
        assert_eq!(found.len(), 5 + 5 + 4);
        assert_eq!(texts(&[]).len(), 4, "nothing need be known for an option");
        assert_eq!(texts(&["  ", ""]).iter().filter(|(_, meant)| meant.is_some()).count(), 0);
    }

    proptest! {
        #[test]
        fn each_comes_once_and_none_that_is_known(known in prop::collection::vec("[a ]{0,3}|-i", 0..5)) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let found = texts(&known);
            for (at, (text, meant)) in found.iter().enumerate() {
                prop_assert!(!text.is_empty() && !known.contains(&text.as_str()));
                prop_assert!(found.iter().skip(at + 1).all(|(other, _)| other != text));
                prop_assert!(meant.as_ref().is_none_or(|meant| meant.trim() == meant && !meant.is_empty()));
            }
        }
    }
}
