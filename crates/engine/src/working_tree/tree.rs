//! The metadata of a working tree: folders and files by name, with where each file's bytes lie. No I/O.

use std::collections::BTreeMap;

/// Deeper than Apple's layout ever is; a bound on what a hostile device can build by moving folders into folders.
const MAX_DEPTH: usize = 24;

/// A bound on what a hostile device can build by copying folders.
const MAX_NODES: usize = 16_000_000;

/// Where a file's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the base snapshot: an index into the base's table.
    Base(u32),
    /// Received in this run, under this number.
    Received(u64),
}

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct File {
    /// Where its bytes lie.
    pub(crate) origin: Origin,
    /// How many they are.
    pub(crate) size: u64,
    /// When it was written, Unix seconds.
    pub(crate) modified: i64,
}

/// A folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    entries: BTreeMap<Box<str>, Node>,
}

/// A folder or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A folder.
    Directory(Directory),
    /// A file.
    File(File),
}

/// Why an operation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no such thing.
    NotFound,
    /// There is one already.
    Exists,
    /// A part of the path is a file.
    NotADirectory,
    /// It is a folder.
    IsADirectory,
    /// It would lie inside itself, or too deep, or be too many.
    TooMuch,
}

/// The tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    root: Directory,
    nodes: usize,
}

impl Directory {
    /// Returns the entries, sorted by name.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(name, node)| (name.as_ref(), node))
    }

    fn for_each_file(&self, each: &mut dyn FnMut(&str, &File)) {
        for (name, node) in self.entries() {
            match node {
                Node::File(file) => each(name, file),
                Node::Directory(directory) => directory.for_each_file(each),
            }
        }
    }

    fn files(&self, folder: &str, wanted: &dyn Fn(&File) -> bool, into: &mut Vec<String>) {
        for (name, node) in self.entries() {
            let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            match node {
                Node::File(file) if wanted(file) => into.push(path),
                Node::File(_) => {}
                Node::Directory(directory) => directory.files(&path, wanted, into),
            }
        }
    }
}

impl Node {
    fn count(&self) -> usize {
        match self {
            Self::File(_) => 1,
            Self::Directory(directory) => {
                1 + directory.entries.values().map(Self::count).sum::<usize>()
            }
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::File(_) => 1,
            Self::Directory(directory) => {
                1 + directory.entries.values().map(Self::depth).max().unwrap_or(0)
            }
        }
    }

    /// Calls `each` for every file.
    pub(crate) fn for_each_file(&self, each: &mut dyn FnMut(&File)) {
        match self {
            Self::File(file) => each(file),
            Self::Directory(directory) => {
                directory.entries.values().for_each(|node| node.for_each_file(each));
            }
        }
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/') {
        Some((parent, name)) if !name.is_empty() => Some((parent, name)),
        None if !path.is_empty() => Some(("", path)),
        _ => None,
    }
}

impl Tree {
    /// Returns what is at a path; the empty path is no node.
    pub(crate) fn node(&self, path: &str) -> Result<&Node, Refused> {
        let (parent, name) = split(path).ok_or(Refused::IsADirectory)?;
        self.directory(parent)?.entries.get(name).ok_or(Refused::NotFound)
    }

    /// Returns the file at a path.
    pub(crate) fn file(&self, path: &str) -> Result<File, Refused> {
        match self.node(path)? {
            Node::File(file) => Ok(*file),
            Node::Directory(_) => Err(Refused::IsADirectory),
        }
    }

    /// Returns the folder at a path; the empty path is the root.
    pub(crate) fn directory(&self, path: &str) -> Result<&Directory, Refused> {
        let mut here = &self.root;
        for part in parts(path) {
            match here.entries.get(part) {
                None => return Err(Refused::NotFound),
                Some(Node::File(_)) => return Err(Refused::NotADirectory),
                Some(Node::Directory(next)) => here = next,
            }
        }
        Ok(here)
    }

    fn directory_mut(&mut self, path: &str) -> Result<&mut Directory, Refused> {
        let mut here = &mut self.root;
        for part in parts(path) {
            match here.entries.get_mut(part) {
                None => return Err(Refused::NotFound),
                Some(Node::File(_)) => return Err(Refused::NotADirectory),
                Some(Node::Directory(next)) => here = next,
            }
        }
        Ok(here)
    }

    /// Makes a folder and those above it; one that is there is left as it is.
    pub(crate) fn create_directory(&mut self, path: &str) -> Result<(), Refused> {
        if parts(path).count() > MAX_DEPTH || self.nodes >= MAX_NODES {
            return Err(Refused::TooMuch);
        }
        self.check_parents(path)?;
        let mut here = &mut self.root;
        for part in parts(path) {
            if !here.entries.contains_key(part) {
                here.entries.insert(part.into(), Node::Directory(Directory::default()));
                self.nodes += 1;
            }
            match here.entries.get_mut(part) {
                Some(Node::Directory(next)) => here = next,
                _ => return Err(Refused::NotADirectory),
            }
        }
        Ok(())
    }

    /// Refuses a path of which a part is a file, before anything is made.
    fn check_parents(&self, path: &str) -> Result<(), Refused> {
        match self.directory(path) {
            Err(Refused::NotADirectory) => match self.node(path) {
                Ok(Node::File(_)) => Err(Refused::Exists),
                _ => Err(Refused::NotADirectory),
            },
            _ => Ok(()),
        }
    }

    /// Refuses a path that cannot be a file: a folder is there, or a file is above it.
    pub(crate) fn check_put(&self, path: &str) -> Result<(), Refused> {
        let (parent, _) = split(path).ok_or(Refused::IsADirectory)?;
        if parts(path).count() > MAX_DEPTH || self.nodes >= MAX_NODES {
            return Err(Refused::TooMuch);
        }
        if self.check_parents(parent).is_err() {
            return Err(Refused::NotADirectory);
        }
        match self.node(path) {
            Ok(Node::Directory(_)) => Err(Refused::IsADirectory),
            _ => Ok(()),
        }
    }

    /// Puts a file at a path, with the folders above it; returns what it replaces.
    pub(crate) fn put(&mut self, path: &str, file: File) -> Result<Option<Node>, Refused> {
        self.check_put(path)?;
        let (parent, name) = split(path).ok_or(Refused::IsADirectory)?;
        self.create_directory(parent)?;
        let old = self.directory_mut(parent)?.entries.insert(name.into(), Node::File(file));
        if old.is_none() {
            self.nodes += 1;
        }
        Ok(old)
    }

    /// Takes out what is at a path, with all below it.
    pub(crate) fn remove(&mut self, path: &str) -> Result<Node, Refused> {
        let (parent, name) = split(path).ok_or(Refused::IsADirectory)?;
        let node = self.directory_mut(parent)?.entries.remove(name).ok_or(Refused::NotFound)?;
        self.nodes -= node.count();
        Ok(node)
    }

    fn check_transfer(&self, from: &str, to: &str) -> Result<(), Refused> {
        let (parent, _) = split(to).ok_or(Refused::IsADirectory)?;
        let node = self.node(from)?;
        if from == to {
            return Ok(());
        }
        let inside = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
        };
        if inside(from, to) || inside(to, from) || parts(parent).count() + node.depth() > MAX_DEPTH
        {
            return Err(Refused::TooMuch);
        }
        if self.check_parents(parent).is_err() {
            return Err(Refused::NotADirectory);
        }
        Ok(())
    }

    /// Moves a file or folder, with the folders above the target; returns what it replaces.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<Option<Node>, Refused> {
        self.check_transfer(from, to)?;
        if from == to {
            return Ok(None);
        }
        let node = self.remove(from)?;
        self.insert(to, node)
    }

    /// Copies a file or folder, with the folders above the target; returns what it replaces.
    pub(crate) fn copy(&mut self, from: &str, to: &str) -> Result<Option<Node>, Refused> {
        self.check_transfer(from, to)?;
        if from == to {
            return Ok(None);
        }
        let node = self.node(from)?;
        if self.nodes.saturating_add(node.count()) > MAX_NODES {
            return Err(Refused::TooMuch);
        }
        let node = node.clone();
        self.insert(to, node)
    }

    /// Calls `each` for every file, with its name.
    pub(crate) fn for_each_file(&self, each: &mut dyn FnMut(&str, &File)) {
        self.root.for_each_file(each);
    }

    /// Returns the paths of the files that are wanted.
    pub(crate) fn files(&self, wanted: &dyn Fn(&File) -> bool) -> Vec<String> {
        let mut paths = Vec::new();
        self.root.files("", wanted, &mut paths);
        paths
    }

    fn insert(&mut self, path: &str, node: Node) -> Result<Option<Node>, Refused> {
        let (parent, name) = split(path).ok_or(Refused::IsADirectory)?;
        self.create_directory(parent)?;
        let count = node.count();
        let old = self.directory_mut(parent)?.entries.insert(name.into(), node);
        self.nodes = self.nodes + count - old.as_ref().map_or(0, Node::count);
        Ok(old)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(number: u64) -> File {
        File { origin: Origin::Received(number), size: number, modified: 0 }
    }

    #[test]
    fn a_file_is_not_a_folder_and_a_folder_is_not_a_file() {
        let mut tree = Tree::default();
        tree.put("u/a", file(1)).unwrap();
        assert_eq!(tree.put("u/a/b", file(2)), Err(Refused::NotADirectory));
        assert_eq!(tree.create_directory("u/a"), Err(Refused::Exists));
        assert_eq!(tree.create_directory("u/a/b"), Err(Refused::NotADirectory));
        assert_eq!(tree.put("u", file(2)), Err(Refused::IsADirectory));
        assert_eq!(tree.file("u"), Err(Refused::IsADirectory));
        assert_eq!(tree.directory("u/a"), Err(Refused::NotADirectory));
        assert_eq!(tree.directory("u/b"), Err(Refused::NotFound));
    }

    #[test]
    fn a_folder_cannot_go_into_itself_nor_replace_what_holds_it() {
        let mut tree = Tree::default();
        tree.put("u/a/b", file(1)).unwrap();
        assert_eq!(tree.rename("u/a", "u/a/c"), Err(Refused::TooMuch));
        assert_eq!(tree.copy("u", "u/a/c"), Err(Refused::TooMuch));
        assert_eq!(tree.rename("u/a/b", "u/a"), Err(Refused::TooMuch));
        assert_eq!(tree.file("u/a/b"), Ok(file(1)));
        // A name that only begins alike is another name.
        tree.rename("u/a", "u/ab").unwrap();
        assert_eq!(tree.file("u/ab/b"), Ok(file(1)));
    }

    #[test]
    fn folders_cannot_be_nested_without_end() {
        let mut tree = Tree::default();
        tree.create_directory(&vec!["x"; MAX_DEPTH].join("/")).unwrap();
        assert_eq!(tree.rename("x/x", "y/z"), Ok(None));
        assert_eq!(tree.rename("y", "x/y"), Err(Refused::TooMuch));
    }

    /// The simplest tree that can be: paths and contents.
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Model(BTreeMap<String, Option<u64>>);

    impl Model {
        fn below(&self, path: &str) -> Vec<(String, Option<u64>)> {
            let prefix = format!("{path}/");
            self.0
                .iter()
                .filter(|(p, _)| *p == path || p.starts_with(&prefix))
                .map(|(p, c)| (p.clone(), *c))
                .collect()
        }

        fn parents_ok(&self, path: &str) -> bool {
            let mut parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            parents.all(|parent| !matches!(self.0.get(parent), Some(Some(_))))
        }

        fn mkdirs(&mut self, path: &str) {
            for (at, _) in path.match_indices('/') {
                self.0.entry(path.get(..at).unwrap().to_owned()).or_insert(None);
            }
        }

        fn transfer(&mut self, from: &str, to: &str, keep: bool) {
            let inside = |a: &str, b: &str| b.starts_with(&format!("{a}/"));
            if from == to
                || !self.0.contains_key(from)
                || inside(from, to)
                || inside(to, from)
                || !self.parents_ok(to)
            {
                return;
            }
            let moved = self.below(from);
            if !keep {
                self.0.retain(|p, _| p != from && !inside(from, p));
            }
            self.0.retain(|p, _| p != to && !inside(to, p));
            self.mkdirs(to);
            for (path, content) in moved {
                self.0.insert(path.replacen(from, to, 1), content);
            }
        }
    }

    fn all(tree: &Tree) -> BTreeMap<String, Option<u64>> {
        fn walk(directory: &Directory, prefix: &str, into: &mut BTreeMap<String, Option<u64>>) {
            for (name, node) in directory.entries() {
                let path = format!("{prefix}{name}");
                match node {
                    Node::File(file) => into.insert(path, Some(file.size)),
                    Node::Directory(next) => {
                        walk(next, &format!("{path}/"), into);
                        into.insert(path, None)
                    }
                };
            }
        }
        let mut into = BTreeMap::new();
        walk(&tree.root, "", &mut into);
        into
    }

    #[derive(Debug, Clone)]
    enum Op {
        Mkdir(String),
        Put(String, u64),
        Remove(String),
        Rename(String, String),
        Copy(String, String),
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"))
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            path().prop_map(Op::Mkdir),
            (path(), 0..9u64).prop_map(|(p, n)| Op::Put(p, n)),
            path().prop_map(Op::Remove),
            (path(), path()).prop_map(|(a, b)| Op::Rename(a, b)),
            (path(), path()).prop_map(|(a, b)| Op::Copy(a, b)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_the_simplest_tree(ops in prop::collection::vec(op(), 1..60)) {
            let (mut tree, mut model) = (Tree::default(), Model::default());
            for op in ops {
                match op {
                    Op::Mkdir(p) => {
                        if model.parents_ok(&p) && !matches!(model.0.get(&p), Some(Some(_))) {
                            model.mkdirs(&p);
                            model.0.insert(p.clone(), None);
                        }
                        let _refused = tree.create_directory(&p);
                    }
                    Op::Put(p, n) => {
                        if model.parents_ok(&p) && !matches!(model.0.get(&p), Some(None)) {
                            model.mkdirs(&p);
                            model.0.insert(p.clone(), Some(n));
                        }
                        drop(tree.put(&p, file(n)));
                    }
                    Op::Remove(p) => {
                        let gone: Vec<_> = model.below(&p).into_iter().map(|(p, _)| p).collect();
                        model.0.retain(|p, _| !gone.contains(p));
                        drop(tree.remove(&p));
                    }
                    Op::Rename(a, b) => {
                        model.transfer(&a, &b, false);
                        drop(tree.rename(&a, &b));
                    }
                    Op::Copy(a, b) => {
                        model.transfer(&a, &b, true);
                        drop(tree.copy(&a, &b));
                    }
                }
                prop_assert_eq!(&all(&tree), &model.0);
                prop_assert_eq!(tree.nodes, model.0.len());
            }
        }
    }
}
