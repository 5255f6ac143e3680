//! What the phone has, by name and SHA-256, and what came out of the repository.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use camino::Utf8Path;
use lifeboat_engine::jobs::export::ExportSummary;
use lifeboat_sim::disk;
use lifeboat_sim::phone::Phone;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::exit::Exit;
use crate::ui::error::Failure;

/// What changed on the phone in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Day {
    /// New.
    pub(super) added: u64,
    /// With other bytes.
    pub(super) changed: u64,
    /// Gone.
    pub(super) removed: u64,
}

/// What the phone would put into a backup: SHA-256 by `<Domain>/<relative path>`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Digests {
    /// The files.
    pub(super) files: BTreeMap<String, String>,
    /// Their bytes, in all.
    pub(super) bytes: u64,
}

impl Digests {
    /// Returns where something is new or changed: domains and how many files, most first.
    pub(super) fn places(&self, later: &Self) -> Vec<(String, u64)> {
        let mut domains: BTreeMap<&str, u64> = BTreeMap::new();
        for (path, sum) in &later.files {
            if self.files.get(path) != Some(sum) {
                *domains.entry(path.split('/').next().unwrap_or(path)).or_default() += 1;
            }
        }
        let mut places: Vec<_> =
            domains.into_iter().map(|(domain, files)| (domain.to_owned(), files)).collect();
        places.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        places
    }

    /// Returns what a day changed.
    pub(super) fn until(&self, later: &Self) -> Day {
        let there = |files: &BTreeMap<String, String>, path: &String| files.contains_key(path);
        let number = |count: usize| count as u64;
        Day {
            added: number(later.files.keys().filter(|path| !there(&self.files, path)).count()),
            removed: number(self.files.keys().filter(|path| !there(&later.files, path)).count()),
            changed: number(
                later
                    .files
                    .iter()
                    .filter(|(path, sum)| self.files.get(*path).is_some_and(|old| old != *sum))
                    .count(),
            ),
        }
    }
}

/// Asks the phone what it would put into a backup now.
pub(super) async fn digests(phone: &Arc<Phone>) -> Result<Digests, Failure> {
    let phone = Arc::clone(phone);
    let read = tokio::task::spawn_blocking(move || -> anyhow::Result<Digests> {
        let frozen = phone.freeze()?;
        let mut lines = Vec::new();
        disk::digest(&frozen, false, &mut lines)?;
        let bytes = frozen.taken(false).map(|entry| entry.size).sum();
        Ok(Digests { files: lines_of_sha256sum(&String::from_utf8_lossy(&lines)), bytes })
    });
    Ok(read.await.map_err(anyhow::Error::from)??)
}

/// Reads lines as `sha256sum` writes them. Escaped names stay escaped: both sides of a comparison are written alike.
fn lines_of_sha256sum(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, path)| (path.to_owned(), sum.trim_start_matches('\\').to_owned()))
        .collect()
}

/// Compares every file of the export with what the phone says; returns how many there are.
pub(super) fn compare(
    phone: &Digests,
    exported: &ExportSummary,
    target: &Utf8Path,
) -> Result<u64, Failure> {
    let mismatch = |what: String| Failure::new(Exit::Failed, "demo", what);
    let renamed: BTreeMap<&str, &str> = exported
        .renamed
        .iter()
        .map(|renamed| (renamed.from.as_str(), renamed.to.as_str()))
        .collect();
    let mut compared = 0;
    for (escaped, sum) in &phone.files {
        let path = unescape(escaped);
        let file = target.join(renamed.get(path.as_str()).unwrap_or(&path.as_str()));
        let found = sha256(&file).map_err(|error| {
            Failure::from(anyhow::Error::from(error)).context(format!("{path} did not come out"))
        })?;
        if found != *sum {
            return Err(mismatch(format!("{path} came out with other bytes than the phone has")));
        }
        compared += 1;
    }
    if compared != exported.files {
        return Err(mismatch(format!(
            "the phone has {compared} files, the export {}",
            exported.files
        )));
    }
    Ok(compared)
}

fn sha256(path: &Utf8Path) -> std::io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn unescape(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(lines: &str) -> Digests {
        Digests { files: lines_of_sha256sum(lines), bytes: 0 }
    }

    #[test]
    fn a_day_is_what_was_added_changed_and_removed() {
        let before = digests("aa  D/stays\nbb  D/changes\ncc  D/goes\n");
        let after = digests("aa  D/stays\nb2  D/changes\ndd  D/comes\nee  D/too\n");
        assert_eq!(before.until(&after), Day { added: 2, changed: 1, removed: 1 });
        assert_eq!(before.places(&after), [("D".to_owned(), 3)]);
    }

    #[test]
    fn escaped_names_become_paths() {
        let lines = digests("\\aa  D/a\\nb\\\\c\n");
        let (path, sum) = lines.files.iter().next().unwrap();
        assert_eq!((unescape(path).as_str(), sum.as_str()), ("D/a\nb\\c", "aa"));
    }
}
