//! Collects the nodes of a snapshot in any order and stores them folder by folder, from the bottom up.

use std::collections::{BTreeMap, btree_map};

use jiff::Timestamp;

use super::{WriteStats, writer::Core};
use crate::{
    error::{Damage, RepoError},
    format::{
        BlobKind,
        tree::{self, TreeNode},
    },
    id::TreeId,
    node::{Node, NodeKind},
};

/// The longest file name that file systems and restic agree on.
const MAX_NAME: usize = 255;
/// Deeper than any path a file system takes.
const MAX_DEPTH: usize = 256;

/// Why a node cannot be placed in a tree; the node is not in it then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A part of the path cannot be a file name.
    #[error("`{path}` has a part that cannot be a file name: {why}")]
    Name {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: NameFlaw,
    },
    /// There is a node at this path already.
    #[error("`{path}` is there already")]
    Taken {
        /// The path.
        path: String,
    },
    /// A file or link would have to be a folder, or the reverse.
    #[error("`{path}` would be a file and a folder")]
    FileAndFolder {
        /// The path that was to be added.
        path: String,
    },
    /// More folders inside one another than any file system takes.
    #[error("`{path}` is too deep")]
    TooDeep {
        /// The path.
        path: String,
    },
}

/// Why a text cannot be a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFlaw {
    /// Nothing between two slashes, or nothing at all.
    #[error("it is empty")]
    Empty,
    /// `.` or `..`.
    #[error("it is a dot or two")]
    Dots,
    /// NUL.
    #[error("it contains NUL")]
    Nul,
    /// More than 255 bytes.
    #[error("it is longer than 255 bytes")]
    Long,
}

impl NameFlaw {
    fn of(name: &str) -> Option<Self> {
        match name {
            "" => Some(Self::Empty),
            "." | ".." => Some(Self::Dots),
            _ if name.contains('\0') => Some(Self::Nul),
            _ if name.len() > MAX_NAME => Some(Self::Long),
            _ => None,
        }
    }
}

/// Collects the nodes of a snapshot in any order.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    root: Folder,
}

#[derive(Debug, Default)]
struct Folder {
    /// `None` until the folder itself is added.
    node: Option<Node>,
    children: BTreeMap<String, Child>,
}

#[derive(Debug)]
enum Child {
    Leaf(Box<Node>),
    Folder(Folder),
}

impl TreeBuilder {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Places a node; folders above it that have no node (yet) are made up. The path has no leading slash.
    pub fn add(&mut self, path: &str, node: Node) -> Result<(), TreeError> {
        check(path)?;
        let (folders, name) =
            path.rsplit_once('/').map_or((None, path), |(folders, name)| (Some(folders), name));
        // Looked at before anything is made up: a refused node leaves nothing behind.
        let in_the_way = || TreeError::FileAndFolder { path: path.to_owned() };
        let mut seen = Some(&self.root);
        for part in folders.into_iter().flat_map(|folders| folders.split('/')) {
            seen = match seen.and_then(|folder| folder.children.get(part)) {
                Some(Child::Folder(folder)) => Some(folder),
                Some(Child::Leaf(_)) => return Err(in_the_way()),
                None => break,
            };
        }
        let mut folder = &mut self.root;
        for part in folders.into_iter().flat_map(|folders| folders.split('/')) {
            let child = folder
                .children
                .entry(part.to_owned())
                .or_insert_with(|| Child::Folder(Folder::default()));
            folder = match child {
                Child::Folder(folder) => folder,
                Child::Leaf(_) => return Err(in_the_way()),
            };
        }
        let taken = || TreeError::Taken { path: path.to_owned() };
        match (folder.children.entry(name.to_owned()), node.is_directory()) {
            (btree_map::Entry::Vacant(place), true) => {
                place.insert(Child::Folder(Folder { node: Some(node), children: BTreeMap::new() }));
            }
            (btree_map::Entry::Vacant(place), false) => {
                place.insert(Child::Leaf(Box::new(node)));
            }
            (btree_map::Entry::Occupied(place), is_directory) => {
                match (place.into_mut(), is_directory) {
                    (Child::Folder(folder), true) if folder.node.is_none() => {
                        folder.node = Some(node);
                    }
                    (Child::Folder(_), true) | (Child::Leaf(_), false) => return Err(taken()),
                    (Child::Folder(_), false) | (Child::Leaf(_), true) => return Err(in_the_way()),
                }
            }
        }
        Ok(())
    }

    /// Whether there is a node, or a folder made up for others, at this path.
    pub fn contains(&self, path: &str) -> bool {
        let mut folder = &self.root;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            match folder.children.get(part) {
                Some(Child::Folder(next)) => folder = next,
                Some(Child::Leaf(_)) => return parts.peek().is_none(),
                None => return false,
            }
        }
        true
    }

    /// Stores all folders and returns the root; all content must be stored before.
    pub(super) fn store(self, core: &Core) -> Result<(TreeId, WriteStats), RepoError> {
        let mut totals = WriteStats::default();
        let mut made = Made::default();
        let root = store_folder(core, self.root, &mut String::new(), &mut totals, &mut made)?;
        core.repository.remember(&made.trees);
        Ok((root, totals))
    }
}

fn check(path: &str) -> Result<(), TreeError> {
    if let Some(why) = path.split('/').find_map(NameFlaw::of) {
        return Err(TreeError::Name { path: path.to_owned(), why });
    }
    if path.split('/').count() > MAX_DEPTH {
        return Err(TreeError::TooDeep { path: path.to_owned() });
    }
    Ok(())
}

/// Folders on their way into the catalogue.
#[derive(Default)]
struct Made {
    trees: Vec<(TreeId, Vec<TreeNode>)>,
    nodes: usize,
}

/// So many nodes go into the catalogue at once.
const AT_ONCE: usize = 10_000;

fn store_folder(
    core: &Core,
    folder: Folder,
    path: &mut String,
    totals: &mut WriteStats,
    made: &mut Made,
) -> Result<TreeId, RepoError> {
    let mut nodes = Vec::with_capacity(folder.children.len());
    for (name, child) in folder.children {
        let length = path.len();
        path.push('/');
        path.push_str(&name);
        nodes.push(match child {
            Child::Leaf(node) => {
                check_content(core, &node, path, totals)?;
                TreeNode { name, node: *node, subtree: None }
            }
            Child::Folder(mut folder) => {
                totals.directories += 1;
                // A folder that only holds others says nothing of itself, always the same.
                let node =
                    folder.node.take().unwrap_or_else(|| Node::directory(Timestamp::UNIX_EPOCH));
                let subtree = store_folder(core, folder, path, totals, made)?;
                TreeNode { name, node, subtree: Some(subtree) }
            }
        });
        path.truncate(length);
    }
    let (id, is_new) = core.put_tree(tree::encode(&nodes))?;
    // Of those that are known the catalogue has what was read of them, and reads the others when somebody asks.
    if is_new {
        made.nodes += nodes.len();
        made.trees.push((id, nodes));
    }
    if made.nodes >= AT_ONCE {
        core.repository.remember(&made.trees);
        *made = Made::default();
    }
    Ok(id)
}

/// Refuses a file whose content is not in the repository: better no snapshot than one with a hole.
fn check_content(
    core: &Core,
    node: &Node,
    path: &str,
    totals: &mut WriteStats,
) -> Result<(), RepoError> {
    if let NodeKind::File(content) = &node.kind {
        totals.files += 1;
        totals.bytes += content.size;
        if let Some(blob) = content.blobs.iter().find(|blob| !core.has(BlobKind::Data, blob)) {
            return Err(Damage::MissingBlob {
                blob: *blob,
                path: path.trim_start_matches('/').to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Content;

    fn file() -> Node {
        Node::file(Content::default(), Timestamp::UNIX_EPOCH)
    }

    fn folder() -> Node {
        Node::directory(Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn any_order_but_no_contradiction() {
        let mut tree = TreeBuilder::new();
        tree.add("a/b/c", file()).unwrap();
        tree.add("a/b", folder()).unwrap();
        tree.add("a", folder()).unwrap();
        tree.add("a/link", Node::symlink("b", Timestamp::UNIX_EPOCH)).unwrap();
        let taken = |path: &str| Err(TreeError::Taken { path: path.into() });
        let both = |path: &str| Err(TreeError::FileAndFolder { path: path.into() });
        assert_eq!(tree.add("a", folder()), taken("a"));
        assert_eq!(tree.add("a/b/c", file()), taken("a/b/c"));
        assert_eq!(tree.add("a/b", file()), both("a/b"));
        assert_eq!(tree.add("a/b/c", folder()), both("a/b/c"));
        assert_eq!(tree.add("a/b/c/d", file()), both("a/b/c/d"));
        for (path, there) in
            [("a", true), ("a/b/c", true), ("a/b/c/d", false), ("a/x", false), ("", false)]
        {
            assert_eq!(tree.contains(path), there, "{path}");
        }
    }

    #[test]
    fn a_refused_node_leaves_nothing_behind() {
        let mut tree = TreeBuilder::new();
        tree.add("a/f", file()).unwrap();
        assert!(tree.add("a/f/x/y", file()).is_err());
        assert!(tree.add("b/../c", file()).is_err());
        assert!(!tree.contains("b") && !tree.contains("a/f/x"));
    }

    #[test]
    fn names_that_no_file_can_have() {
        let long = "x".repeat(256);
        for (path, why) in [
            ("", NameFlaw::Empty),
            ("a//b", NameFlaw::Empty),
            ("/a", NameFlaw::Empty),
            ("a/", NameFlaw::Empty),
            ("a/.", NameFlaw::Dots),
            ("../a", NameFlaw::Dots),
            ("a\0b", NameFlaw::Nul),
            (long.as_str(), NameFlaw::Long),
        ] {
            let refused = Err(TreeError::Name { path: path.into(), why });
            assert_eq!(TreeBuilder::new().add(path, file()), refused, "{path}");
        }
        let deep = ["d"; 257].join("/");
        assert_eq!(
            TreeBuilder::new().add(&deep, file()),
            Err(TreeError::TooDeep { path: deep.clone() })
        );
    }
}
