//! Numbers, words and messages that people meet, as data: `errors/*.toml`, one file a domain.

use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use crate::catalogue::Sure;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/errors");

/// One row: a number, a word or a message, and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownError {
    /// Whose number it is, such as `MBErrorDomain`.
    pub domain: String,
    /// What else people call that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Whose that is, for people.
    pub about: String,
    /// The numbers, where it has some.
    pub codes: Vec<i64>,
    /// The names, where it has some.
    pub names: Vec<String>,
    /// The texts that people see.
    pub says: Vec<String>,
    /// What it means.
    pub meaning: String,
    /// What it usually comes from, where that says more than the causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual: Option<String>,
    /// Likely causes: ids of entries, the likeliest first.
    pub causes: Vec<String>,
    /// What to do, in short; where it can come up in a backup to a computer, what to do there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What to do where it is no backup to a computer: in iCloud Backup, while restoring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// iOS itself counts it among those that pass.
    pub transient: bool,
    /// iOS counts it as cancelled.
    pub cancelled: bool,
    /// It does not come up in a backup.
    pub restore_only: bool,
    /// What kind of source tells it.
    pub source: String,
    /// How sure that is.
    pub sure: Sure,
    /// What else must be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    domain: String,
    #[serde(default)]
    also: Vec<String>,
    about: String,
    remark: Option<String>,
    error: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    domain: Option<String>,
    #[serde(default)]
    codes: Vec<i64>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    says: Vec<String>,
    meaning: String,
    usual: Option<String>,
    #[serde(default)]
    causes: Vec<String>,
    remedy: Option<String>,
    elsewhere: Option<String>,
    #[serde(default)]
    transient: bool,
    #[serde(default)]
    cancelled: bool,
    #[serde(default)]
    restore_only: bool,
    source: String,
    sure: Sure,
}

/// Returns all rows, the device's own numbers first.
pub fn all() -> &'static [KnownError] {
    static ROWS: OnceLock<Vec<KnownError>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let mut files: Vec<File> = FILES
            .files()
            .filter_map(|file| file.contents_utf8())
            .map(|text| {
                toml::from_str(text).expect("errors/*.toml are part of the program and tested")
            })
            .collect();
        files.sort_by_key(|file| (place(&file.domain), file.domain.clone()));
        files.into_iter().flat_map(rows).collect()
    })
}

/// The domain of the numbers with which the device ends a backup.
pub const DEVICE: &str = "MBErrorDomain";

/// Returns the row of a number with which the device ended a backup.
pub fn of_device(code: i64) -> Option<&'static KnownError> {
    all().iter().find(|row| row.domain == DEVICE && row.codes.contains(&code))
}

/// Which domain is meant where somebody types a number alone.
fn place(domain: &str) -> usize {
    const ORDER: [&str; 4] =
        ["MBErrorDomain", "iCloud Backup Failure", "Finder, iTunes, Apple Devices", "lockdown"];
    ORDER.iter().position(|first| *first == domain).unwrap_or(ORDER.len())
}

fn rows(file: File) -> impl Iterator<Item = KnownError> {
    let File { domain, also, about, remark, error } = file;
    error.into_iter().map(move |row| KnownError {
        also: if row.domain.is_some() { Vec::new() } else { also.clone() },
        domain: row.domain.unwrap_or_else(|| domain.clone()),
        about: about.clone(),
        codes: row.codes,
        names: row.names,
        says: row.says,
        meaning: row.meaning,
        usual: row.usual,
        causes: row.causes,
        remedy: row.remedy,
        elsewhere: row.elsewhere,
        transient: row.transient,
        cancelled: row.cancelled,
        restore_only: row.restore_only,
        source: row.source,
        sure: row.sure,
        remark: remark.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn rows_are_sound() {
        let mut seen = BTreeSet::new();
        for row in all() {
            let what = format!("{} {:?} {:?} {:?}", row.domain, row.codes, row.names, row.says);
            assert!(
                !(row.codes.is_empty() && row.names.is_empty() && row.says.is_empty()),
                "{what}"
            );
            assert!(!row.meaning.ends_with('.'), "{what}: {}", row.meaning);
            for cause in &row.causes {
                assert!(Catalogue::builtin().get(cause).is_some(), "{what}: {cause}");
            }
            // The hint after a failed backup is the first of the two.
            assert!(row.elsewhere.is_none() || row.remedy.is_some(), "{what}");
            for code in &row.codes {
                assert!(seen.insert((row.domain.clone(), *code)), "{what}: {code} stands twice");
            }
        }
    }

    /// The hint after a backup to a computer speaks of that backup; iCloud and restoring stand beside it.
    #[test]
    fn what_to_do_in_a_backup_to_a_computer_speaks_of_it_alone() {
        use crate::catalogue::For;
        // The first cause of this one is of iCloud, and it ends backups to a computer all the same.
        const SEEN: i64 = 204;
        let of_computer = |id: &String| {
            let entry = Catalogue::builtin().get(id);
            !id.starts_with("restore/")
                && entry.is_some_and(|entry| entry.concerns.contains(&For::Computer))
        };
        let mut looked = 0;
        for row in all().iter().filter(|row| row.domain == DEVICE && !row.restore_only) {
            let seen = row.codes.contains(&SEEN);
            let Some(remedy) = row.remedy.as_ref() else { continue };
            if !seen && !row.causes.first().is_some_and(of_computer) {
                continue;
            }
            for word in ["iCloud", "Back Up Now", "estoring", "you restore"] {
                assert!(!remedy.contains(word), "{:?}: {remedy}", row.codes);
            }
            looked += 1;
        }
        assert!(looked > 20, "{looked}");
        for code in [105, 203, 204, 207] {
            assert!(of_device(code).unwrap().elsewhere.is_some(), "{code}");
        }
    }

    /// What iOS itself counts among the errors that pass (published analyses; `docs/sources.md`, label A).
    #[test]
    fn the_transient_ones_are_those_of_ios() {
        let mut transient: Vec<i64> =
            all().iter().filter(|row| row.transient).flat_map(|row| row.codes.clone()).collect();
        transient.sort_unstable();
        assert_eq!(
            transient,
            [
                17, 19, 20, 105, 106, 202, 208, 217, 218, 219, 220, 300, 302, 304, 305, 308, 310,
                556, 557
            ]
        );
    }

    #[test]
    fn the_numbers_of_an_article_are_said_not_to_be_official() {
        for code in 9006..=9012 {
            let row = all().iter().find(|row| row.codes.contains(&code)).unwrap();
            assert_eq!(row.source, "not official");
            assert!(
                row.remark.as_ref().is_some_and(|remark| remark.contains("not official")),
                "{code}"
            );
        }
    }
}
