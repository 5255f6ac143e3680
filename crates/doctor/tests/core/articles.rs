//! The four articles: where each of their sentences is answered, and what is true where they are wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lifeboat_doctor::{Catalogue, explain};
use serde::Deserialize;

use crate::push;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    article: Vec<Article>,
    item: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Article {
    id: String,
    title: String,
    published: String,
    count: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    id: String,
    words: String,
    #[serde(default)]
    heading: bool,
}

fn ledger() -> Ledger {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("articles.toml");
    toml::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

/// Compares a generated page below `docs/` with the file, or writes it, as insta does.
pub(crate) fn renewed_or_equal(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    #[expect(clippy::disallowed_methods, reason = "a switch of the test itself, as insta has it")]
    let renew = std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always");
    if renew {
        fs_err::write(&path, page).unwrap();
    }
    let there = fs_err::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/{name} is not what the catalogue says: renew it with `INSTA_UPDATE=always cargo test -p lifeboat-doctor`"
    );
}

/// Who answers each item, and who corrects it.
fn answered() -> (BTreeMap<String, Vec<String>>, BTreeMap<String, Vec<String>>) {
    let (mut answers, mut corrects) =
        (BTreeMap::<String, Vec<String>>::new(), BTreeMap::<String, Vec<String>>::new());
    for entry in Catalogue::builtin().entries() {
        for item in &entry.answers {
            answers.entry(item.clone()).or_default().push(entry.id.clone());
        }
        for correction in &entry.corrects {
            corrects.entry(correction.item.clone()).or_default().push(correction.text.clone());
        }
    }
    (answers, corrects)
}

#[test]
fn all_items_are_there() {
    let ledger = ledger();
    assert_eq!(ledger.item.len(), 398);
    let ids: BTreeSet<&str> = ledger.item.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids.len(), 398);
    for article in &ledger.article {
        for number in 1..=article.count {
            assert!(
                ids.contains(format!("{}-{number}", article.id).as_str()),
                "{}-{number}",
                article.id
            );
        }
    }
    assert_eq!(ledger.article.iter().map(|article| article.count).sum::<usize>(), 398);
}

#[test]
fn every_item_is_answered_or_a_heading() {
    let (answers, corrects) = answered();
    let ledger = ledger();
    for item in &ledger.item {
        assert_eq!(item.heading, !answers.contains_key(&item.id), "{}: {}", item.id, item.words);
    }
    let ids: BTreeSet<&str> = ledger.item.iter().map(|item| item.id.as_str()).collect();
    for item in answers.keys().chain(corrects.keys()) {
        assert!(ids.contains(item.as_str()), "{item} is no item");
    }
}

#[test]
fn every_answer_opens_through_explain() {
    let (answers, corrects) = answered();
    let mut opened = 0;
    for (item, ids) in &answers {
        for id in ids {
            let explained = explain::explain(id);
            assert_eq!(explained.len(), 1, "{item}: {id}");
            assert_eq!(&explained[0].what, id);
            assert!(!explained[0].meaning.is_empty() && !explained[0].sure.is_empty(), "{id}");
            opened += 1;
        }
        for text in corrects.get(item).into_iter().flatten() {
            let shown = ids
                .iter()
                .any(|id| explain::explain(id)[0].corrects.iter().any(|shown| &shown.text == text));
            let elsewhere = Catalogue::builtin().entries().iter().any(|entry| {
                entry.corrects.iter().any(|correction| &correction.text == text)
                    && explain::explain(&entry.id)[0]
                        .corrects
                        .iter()
                        .any(|shown| &shown.text == text)
            });
            assert!(shown || elsewhere, "{item}: {text}");
        }
    }
    assert!(opened >= 250, "{opened}");
}

/// What the articles get wrong and could do harm with.
#[test]
fn harmful_advice_is_corrected() {
    let (_, corrects) = answered();
    for (item, what) in [
        ("S1-98", "deleting the backup every month"),
        ("S1-69", "keys for a forced restart that fit one model only"),
        ("S0-53", "an unencrypted backup instead"),
        ("S3-57", "Reset All Settings against malware"),
        ("S3-56", "Reset All Settings as a factory reset"),
    ] {
        assert!(corrects.contains_key(item), "{item} ({what}) is not corrected");
    }
}

#[test]
fn the_table_is_the_catalogue() {
    let (answers, corrects) = answered();
    let ledger = ledger();
    let mut page = String::from(
        "# The four articles, sentence by sentence\n\nMade of `crates/doctor/articles.toml` and the catalogue by a test, not by hand. \
         The words are the first of each sentence; `lifeboat explain ID` shows the answer.\n",
    );
    let headings = ledger.item.iter().filter(|item| item.heading).count();
    push(
        &mut page,
        format_args!(
            "\n{} items: {} answered, {headings} headings or filler, {} corrected.\n",
            ledger.item.len(),
            ledger.item.len() - headings,
            corrects.len()
        ),
    );
    for article in &ledger.article {
        push(
            &mut page,
            format_args!(
                "\n## {}: {}\n\nPublished: {}. {} items.\n\n| item | begins | answered in | what is true |\n|---|---|---|---|\n",
                article.id, article.title, article.published, article.count
            ),
        );
        let prefix = format!("{}-", article.id);
        for item in ledger.item.iter().filter(|item| item.id.starts_with(&prefix)) {
            let answers = answers.get(&item.id).map_or_else(
                || "heading".to_owned(),
                |ids| ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" "),
            );
            let truth = corrects.get(&item.id).map(|texts| texts.join(" ")).unwrap_or_default();
            push(
                &mut page,
                format_args!(
                    "| {} | {} | {answers} | {} |\n",
                    item.id,
                    cell(&item.words),
                    cell(&truth)
                ),
            );
        }
    }
    renewed_or_equal("articles.md", &page);
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
