//! What differs between two snapshots: folder by folder, and equal folders are not entered.

use std::collections::BTreeMap;

use lifeboat_repo::{Entry, NodeKind, Repository, Snapshot};

use super::{Changed, Difference};
use crate::error::JobError;
use crate::layout::{FILES, SEALED};

struct Comparing<'a> {
    repository: &'a Repository,
    a: &'a Snapshot,
    b: &'a Snapshot,
    found: Difference,
}

/// Compares two snapshots.
pub(super) fn compare(
    repository: &Repository,
    a: &Snapshot,
    b: &Snapshot,
) -> Result<Difference, JobError> {
    let found = Difference {
        from: a.id.to_string(),
        to: b.id.to_string(),
        added: Vec::new(),
        removed: Vec::new(),
        changed: Vec::new(),
    };
    let mut comparing = Comparing { repository, a, b, found };
    for top in [FILES, SEALED] {
        let (left, right) = (repository.entry(a, top)?, repository.entry(b, top)?);
        comparing.pair(left, right)?;
    }
    for list in
        [&mut comparing.found.added, &mut comparing.found.removed, &mut comparing.found.changed]
    {
        list.sort_by(|x, y| x.path.cmp(&y.path));
    }
    Ok(comparing.found)
}

/// A link counts as a file: its target is its content.
fn is_leaf(entry: &Entry) -> bool {
    !entry.node.is_directory()
}

fn is_same(a: &Entry, b: &Entry) -> bool {
    match (&a.node.kind, &b.node.kind) {
        (NodeKind::File(a), NodeKind::File(b)) => a == b,
        (NodeKind::Symlink(a), NodeKind::Symlink(b)) => a == b,
        _ => false,
    }
}

fn shown(path: &str) -> String {
    path.strip_prefix("files/").unwrap_or(path).to_owned()
}

impl Comparing<'_> {
    fn pair(&mut self, a: Option<Entry>, b: Option<Entry>) -> Result<(), JobError> {
        match (a, b) {
            (Some(a), Some(b)) if a.tree.is_some() && a.tree == b.tree => Ok(()),
            (Some(a), Some(b)) if is_leaf(&a) && is_leaf(&b) => {
                if !is_same(&a, &b) {
                    let (before, after) = (Some(a.node.size()), Some(b.node.size()));
                    self.found.changed.push(Changed {
                        path: shown(&b.path),
                        size_before: before,
                        size_after: after,
                    });
                }
                Ok(())
            }
            (a, b) => {
                for gone in a.iter().filter(|entry| is_leaf(entry)) {
                    let size_before = Some(gone.node.size());
                    self.found.removed.push(Changed {
                        path: shown(&gone.path),
                        size_before,
                        size_after: None,
                    });
                }
                for new in b.iter().filter(|entry| is_leaf(entry)) {
                    let size_after = Some(new.node.size());
                    self.found.added.push(Changed {
                        path: shown(&new.path),
                        size_before: None,
                        size_after,
                    });
                }
                self.folders(a.filter(|entry| !is_leaf(entry)), b.filter(|entry| !is_leaf(entry)))
            }
        }
    }

    fn folders(&mut self, a: Option<Entry>, b: Option<Entry>) -> Result<(), JobError> {
        let entries = |snapshot, folder: Option<Entry>| match folder {
            Some(folder) => self.repository.entries(snapshot, &folder.path),
            None => Ok(Vec::new()),
        };
        let mut pairs: BTreeMap<String, (Option<Entry>, Option<Entry>)> = BTreeMap::new();
        for entry in entries(self.a, a)? {
            let name = entry.name().to_owned();
            pairs.entry(name).or_default().0 = Some(entry);
        }
        for entry in entries(self.b, b)? {
            let name = entry.name().to_owned();
            pairs.entry(name).or_default().1 = Some(entry);
        }
        pairs.into_values().try_for_each(|(a, b)| self.pair(a, b))
    }
}
