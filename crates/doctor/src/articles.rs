//! The four articles on the web that the catalogue answers, sentence by sentence: how each begins (`articles.toml`).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

const FILE: &str = include_str!("../articles.toml");

#[derive(Deserialize)]
struct File {
    item: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    words: String,
}

/// Returns the first words of a sentence of an article, such as `S1-69`.
pub fn begins(item: &str) -> Option<&'static str> {
    static ITEMS: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    let items = ITEMS.get_or_init(|| {
        let file: File =
            toml::from_str(FILE).expect("articles.toml is part of the program and tested");
        file.item.into_iter().map(|item| (item.id, item.words)).collect()
    });
    items.get(item).map(String::as_str)
}
