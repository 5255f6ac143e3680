//! What is in a tree, for comparisons.

use std::collections::BTreeMap;
use std::io::Read as _;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};

/// What a path of a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// A file: its size and its SHA-256.
    File(u64, String),
    /// A folder.
    Folder,
    /// A symbolic link and where it points.
    Link(String),
}

/// Returns everything below a folder, by relative path.
pub fn tree(folder: &Utf8Path) -> BTreeMap<String, Leaf> {
    let mut all = BTreeMap::new();
    collect(folder, "", &mut all);
    all
}

fn collect(folder: &Utf8Path, prefix: &str, all: &mut BTreeMap<String, Leaf>) {
    for entry in folder.read_dir_utf8().unwrap_or_else(|error| panic!("{folder}: {error}")) {
        let entry = entry.expect("a folder's entry");
        let path = format!("{prefix}{}", entry.file_name());
        let kind = entry.file_type().expect("its kind");
        if kind.is_symlink() {
            let target = entry.path().read_link_utf8().expect("a link's target");
            all.insert(path, Leaf::Link(target.into_string()));
        } else if kind.is_dir() {
            all.insert(path.clone(), Leaf::Folder);
            collect(entry.path(), &format!("{path}/"), all);
        } else {
            let (size, digest) = file(entry.path());
            all.insert(path, Leaf::File(size, digest));
        }
    }
}

/// Returns only the files of a folder, SHA-256 by relative path: comparable with the oracle.
pub fn files(folder: &Utf8Path) -> BTreeMap<String, String> {
    tree(folder)
        .into_iter()
        .filter_map(|(path, leaf)| match leaf {
            Leaf::File(_, digest) => Some((path, digest)),
            Leaf::Folder | Leaf::Link(_) => None,
        })
        .collect()
}

/// Returns the size and the SHA-256 of a file.
pub fn file(path: &Utf8Path) -> (u64, String) {
    let mut file = fs_err::File::open(path).expect("a file to read");
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let count = file.read(&mut buffer).expect("a file that reads");
        if count == 0 {
            return (size, hex(&hash.finalize()));
        }
        size += count as u64;
        hash.update(&buffer[..count]);
    }
}

/// Returns bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// Understands the lines of `sha256sum`, escapes included: SHA-256 by path.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(|line| {
            let (escaped, line) =
                line.strip_prefix('\\').map_or((false, line), |line| (true, line));
            let (digest, path) =
                line.split_once("  ").unwrap_or_else(|| panic!("not a line of sha256sum: {line}"));
            (if escaped { unescape(path) } else { path.to_owned() }, digest.to_owned())
        })
        .collect()
}

fn unescape(path: &str) -> String {
    let mut plain = String::new();
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            (c, false) => plain.push(c),
        }
    }
    plain
}

/// Says where two maps differ, in at most twenty lines; empty when they are equal.
pub fn difference<V: PartialEq + std::fmt::Debug>(
    left: &BTreeMap<String, V>,
    right: &BTreeMap<String, V>,
) -> String {
    let mut lines = Vec::new();
    for (path, value) in left {
        match right.get(path) {
            None => lines.push(format!("only left:  {path}")),
            Some(other) if other != value => {
                lines.push(format!("other:      {path}\n  {value:?}\n  {other:?}"));
            }
            Some(_) => {}
        }
    }
    lines.extend(
        right
            .keys()
            .filter(|path| !left.contains_key(*path))
            .map(|path| format!("only right: {path}")),
    );
    let count = lines.len();
    lines.truncate(20);
    if count > 20 {
        lines.push(format!("… {count} in all"));
    }
    lines.join("\n")
}

/// Panics with the differences unless two maps are equal.
pub fn assert_same<V: PartialEq + std::fmt::Debug>(
    left: &BTreeMap<String, V>,
    right: &BTreeMap<String, V>,
) {
    let difference = difference(left, right);
    assert!(difference.is_empty(), "not the same:\n{difference}");
}

/// Returns the first file below a folder that is largest, for tests that damage something.
pub fn largest_file(folder: &Utf8Path) -> Utf8PathBuf {
    let largest = tree(folder)
        .into_iter()
        .filter_map(|(path, leaf)| match leaf {
            Leaf::File(size, _) => Some((size, path)),
            Leaf::Folder | Leaf::Link(_) => None,
        })
        .max();
    let (_, path) = largest.expect("a file");
    folder.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_sha256sum_are_understood_with_their_escapes() {
        let parsed = parse("aa  HomeDomain/a b\n\\bb  HomeDomain/a\\nb\\\\c\n");
        assert_eq!(parsed["HomeDomain/a b"], "aa");
        assert_eq!(parsed["HomeDomain/a\nb\\c"], "bb");
    }

    #[test]
    fn differences_are_told() {
        let left = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let right = BTreeMap::from([("b".to_owned(), 3), ("c".to_owned(), 2)]);
        assert_eq!(difference(&left, &left), "");
        assert_eq!(
            difference(&left, &right),
            "only left:  a\nother:      b\n  2\n  3\nonly right: c"
        );
    }
}
