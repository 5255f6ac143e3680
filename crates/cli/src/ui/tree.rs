//! Folders as a tree.

use std::collections::BTreeMap;

/// A folder and what is in it; a leaf has nothing in it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    below: BTreeMap<String, Tree>,
    label: Option<String>,
}

impl Tree {
    /// Puts an entry at a path, with what stands behind its name.
    pub(crate) fn insert(&mut self, path: &str, label: impl Into<String>) {
        let mut node = self;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            node = node.below.entry(name.to_owned()).or_default();
        }
        node.label = Some(label.into());
    }

    /// Returns the tree, each line ended.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        self.render_below("", &mut text);
        text
    }

    fn render_below(&self, indent: &str, text: &mut String) {
        let last = self.below.len();
        for (index, (name, node)) in self.below.iter().enumerate() {
            let (branch, deeper) =
                if index + 1 == last { ("└── ", "    ") } else { ("├── ", "│   ") };
            text.push_str(indent);
            text.push_str(branch);
            text.push_str(&super::text::plain(name));
            if let Some(label) = node.label.as_deref().filter(|label| !label.is_empty()) {
                text.push_str("  ");
                text.push_str(label);
            }
            text.push('\n');
            node.render_below(&format!("{indent}{deeper}"), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_drawn_in_order() {
        let mut tree = Tree::default();
        tree.insert("files/HomeDomain/b", "2 B");
        tree.insert("files/HomeDomain/a", "1 B");
        tree.insert("backup", "");
        assert_eq!(
            tree.render(),
            "├── backup\n└── files\n    └── HomeDomain\n        ├── a  1 B\n        └── b  2 B\n"
        );
    }
}
