//! The catalogue as data.

use std::collections::{BTreeMap, BTreeSet};

use lifeboat_doctor::{Action, Catalogue, Entry};

use crate::{articles, push, scenario};

/// Files are read without a mistake: keys exist, their words are allowed, headings are remedies and the reverse, actions exist,
/// what is named is there, nobody explains itself, numbers and places are unique. `Catalogue::read` says all of it.
#[test]
fn every_file_is_read() {
    let catalogue = Catalogue::builtin();
    println!("{} causes and {} topics", catalogue.causes().count(), catalogue.topics().count());
    assert_eq!((catalogue.causes().count(), catalogue.topics().count()), (85, 9));
}

#[test]
fn ids() {
    let ids: Vec<String> = Catalogue::builtin()
        .entries()
        .iter()
        .map(|entry| format!("{} {}", entry.code, entry.id))
        .collect();
    insta::assert_snapshot!("ids", ids.join("\n"));
}

#[test]
fn titles_are_sentences_without_a_full_stop() {
    for Entry { id, title, .. } in Catalogue::builtin().entries() {
        assert!(
            title
                .chars()
                .next()
                .is_some_and(|first| first.is_uppercase() || title.starts_with('i')),
            "{id}: {title}"
        );
        assert!(!title.ends_with(['.', '!', ':']) && title.contains(' '), "{id}: {title}");
    }
}

#[test]
fn every_cause_has_a_remedy_or_says_why_there_is_none() {
    for entry in Catalogue::builtin().causes() {
        assert!(!entry.remedies.is_empty(), "{} has no remedy", entry.id);
    }
}

#[test]
fn every_action_is_somebodys() {
    let used: BTreeSet<Action> = Catalogue::builtin()
        .entries()
        .iter()
        .flat_map(|entry| &entry.remedies)
        .filter_map(|remedy| remedy.action)
        .collect();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), Action::ALL.to_vec());
}

#[test]
fn every_cause_has_a_scenario_and_every_scenario_a_cause() {
    let scenarios: BTreeSet<String> =
        scenario::all().into_iter().map(|scenario| scenario.id).collect();
    let causes: BTreeSet<String> =
        Catalogue::builtin().causes().map(|entry| entry.id.clone()).collect();
    assert_eq!(scenarios, causes);
}

/// The index of the catalogue, `docs/catalogue.md`.
#[test]
fn the_index_is_the_catalogue() {
    articles::renewed_or_equal("catalogue.md", &index());
}

fn index() -> String {
    let catalogue = Catalogue::builtin();
    let mut page = format!(
        "# The catalogue\n\nMade of `crates/doctor/catalogue/` by a test, not by hand. {} causes, {} topics. `lifeboat explain ID` \
         shows each.\n",
        catalogue.causes().count(),
        catalogue.topics().count()
    );
    let mut areas: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in catalogue.entries() {
        areas.entry(entry.id.split('/').next().unwrap()).or_default().push(entry);
    }
    for (area, entries) in areas {
        push(
            &mut page,
            format_args!("\n## {area}\n\n| id | | weighs | says |\n|---|---|---|---|\n"),
        );
        for entry in entries {
            let weighs = if entry.is_cause() {
                format!("{:?}", entry.severity).to_lowercase()
            } else {
                "topic".to_owned()
            };
            push(
                &mut page,
                format_args!("| `{}` | {} | {weighs} | {} |\n", entry.id, entry.code, entry.title),
            );
        }
    }
    page
}
