//! What lies where in a snapshot, and which names of a device can be plain paths there.
//!
//! ```text
//! lifeboat/about.json                device, iOS, kind of backup, how each part is stored, format version
//! lifeboat/keys.json                 what makes Apple's form of an opened backup again (absent where nothing was opened)
//! lifeboat/ids.json                  the names of files under sealed/, and file IDs that are not the SHA-1 of their name (absent when there are none)
//! backup/Info.plist  Manifest.plist  Status.plist  Manifest.db
//! files/<Domain>/<relative path>     plaintext, real names, modes, times, links
//! sealed/<hh>/<fileID>               what cannot lie under its name: as the device sent it
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use lifeboat_mobilesync::{EntryKind, FileId};
pub(crate) use lifeboat_repo::ABOUT;
use serde::{Deserialize, Serialize};

/// The names of sealed files, and the exceptions from the rule that makes a file's ID from its domain and path.
pub(crate) const IDS: &str = "lifeboat/ids.json";
/// What makes Apple's form of an opened backup again.
pub(crate) const KEYS: &str = "lifeboat/keys.json";
/// The folder of the backup's own files.
pub(crate) const BACKUP: &str = "backup";
/// The folder of the files under their names.
pub(crate) const FILES: &str = "files";
/// The folder of the files under their IDs.
pub(crate) const SEALED: &str = "sealed";
/// The backup's own files: not payloads, presented at the top of the device's folder.
pub(crate) const CONTROL: [&str; 4] =
    ["Info.plist", "Manifest.plist", "Status.plist", "Manifest.db"];
/// The version of this layout.
pub(crate) const FORMAT: u32 = 1;

/// How many files of a kind `lifeboat/about.json` names.
pub(crate) const MOST_NAMED: usize = 100;

/// A file that is not in a snapshot as the device has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFile {
    /// Its domain; `None` where the device told nothing but a path of its own.
    pub domain: Option<String>,
    /// Its path in the domain, else the device's.
    pub path: String,
    /// Why: `missing`, `stale`, `size`, `digest`, `unreadable`, `record`, `no-key`, `not-sent`, or `known-incomplete`; of what
    /// stays sealed `name`, `no-key`, `wrong-key`, `other-key`, `empty`, `truncated`, `padding`, `differs` or `no-row`; newer
    /// programs may know more.
    pub why: String,
}

impl NamedFile {
    /// Returns `<Domain>/<relative path>`, else the device's path.
    pub fn name(&self) -> String {
        match &self.domain {
            Some(domain) => name(domain, &self.path),
            None => self.path.clone(),
        }
    }
}

/// What `lifeboat/about.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// The version of the layout.
    pub(crate) format: u32,
    /// The program and its version.
    pub(crate) program: String,
    /// The device.
    pub(crate) udid: String,
    /// The device's name.
    pub(crate) device_name: Option<String>,
    /// The device's model.
    pub(crate) product_type: Option<String>,
    /// The device's iOS.
    pub(crate) ios: Option<String>,
    /// `full` or `incremental`: how the device sent it.
    pub(crate) kind: String,
    /// Whether the device encrypted it.
    pub(crate) encrypted: bool,
    /// `opened` (real names, plaintext) or `sealed`.
    pub(crate) stored: String,
    /// Files of the device.
    pub(crate) files: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Files under `sealed/`.
    pub(crate) sealed: u64,
    /// Files that the device could not send.
    pub(crate) file_errors: u64,
    /// IDs of files that the manifest names and that did not come, or not whole: known, and no damage of the repository.
    #[serde(default)]
    pub(crate) known_damage: Vec<String>,
    /// Rows of the manifest that could not be read when the snapshot was made: known, too.
    #[serde(default)]
    pub(crate) unreadable_rows: u64,
    /// How many files that makes in all, each counted once; [`About::missing`] where an older program did not count.
    #[serde(default)]
    pub(crate) files_missing: Option<u64>,
    /// Which they are: the first [`MOST_NAMED`] that have a name.
    #[serde(default)]
    pub(crate) missing_files: Vec<NamedFile>,
    /// The first [`MOST_NAMED`] files that the device itself calls incomplete: they changed or went away meanwhile, and it
    /// sends them again.
    #[serde(default)]
    pub(crate) known_incomplete: Vec<NamedFile>,
    /// Whether Manifest.db is kept as plain text, of an encrypted backup.
    #[serde(default)]
    pub(crate) manifest_opened: bool,
    /// Whether the device sent it without padding.
    #[serde(default)]
    pub(crate) manifest_unpadded: bool,
    /// The first [`MOST_NAMED`] files of an opened backup that stay as the device sent them.
    #[serde(default)]
    pub(crate) sealed_files: Vec<NamedFile>,
}

/// What `stored` says of a backup whose files have their names.
pub(crate) const OPENED: &str = "opened";
/// What `stored` says of one that nobody could open.
pub(crate) const SEALED_WHOLE: &str = "sealed";

impl About {
    /// Whether it is an encrypted backup that nobody could open.
    pub(crate) fn is_sealed(&self) -> bool {
        self.encrypted && self.stored != OPENED
    }

    /// Whether it is an encrypted backup whose files are kept as plain text.
    pub(crate) fn is_opened(&self) -> bool {
        self.encrypted && self.stored == OPENED
    }

    /// Returns how many files are not in the snapshot as the manifest has them; a complete one misses none.
    pub(crate) fn missing(&self) -> u64 {
        let damaged = self.unreadable_rows.saturating_add(self.known_damage.len() as u64);
        self.files_missing.unwrap_or_else(|| self.file_errors.max(damaged))
    }

    /// Whether no row lacks its whole payload: a device that misses one sends everything again. A row that nobody can read
    /// may lack one, but a device that writes such rows does so every time.
    pub(crate) fn can_be_built_upon(&self) -> bool {
        self.known_damage.is_empty()
    }
}

/// File ID to `<Domain>/<relative path>`.
pub(crate) type Ids = std::collections::BTreeMap<String, String>;

/// Returns the path of a sealed payload.
pub(crate) fn sealed_path(id: &FileId) -> String {
    format!("{SEALED}/{}/{id}", id.prefix())
}

/// Returns `<Domain>/<relative path>`; the root of a domain has no slash.
pub(crate) fn name(domain: &str, relative_path: &str) -> String {
    if relative_path.is_empty() { domain.to_owned() } else { format!("{domain}/{relative_path}") }
}

/// Which names can be plain paths: filled with every row of a manifest first, then asked for each.
///
/// Two names that are equal after case folding would be one on many disks, and a file cannot also be a folder. Only hashes
/// are kept: a collision of two makes a file sealed that need not be, which loses nothing.
pub(crate) struct Names {
    hasher: RandomState,
    /// For each folded name: how many files and links have it, and whether it is a folder (by a row, or above a row).
    seen: HashMap<u64, Seen>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    leaves: u8,
    folder: bool,
}

impl Names {
    /// Makes an empty table.
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), seen: HashMap::new() }
    }

    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name.to_lowercase())
    }

    /// Adds a row of the manifest.
    pub(crate) fn add(&mut self, domain: &str, relative_path: &str, kind: EntryKind) {
        if !is_plain(domain, relative_path) {
            return;
        }
        let name = name(domain, relative_path);
        for (at, _) in name.match_indices('/') {
            if let Some(parent) = name.get(..at) {
                let key = self.hash(parent);
                self.seen.entry(key).or_default().folder = true;
            }
        }
        let key = self.hash(&name);
        let seen = self.seen.entry(key).or_default();
        match kind {
            EntryKind::Directory => seen.folder = true,
            EntryKind::File | EntryKind::Symlink => seen.leaves = seen.leaves.saturating_add(1),
        }
    }

    /// Returns the plain path of a row below `files/`, if it can have one.
    pub(crate) fn place(
        &self,
        domain: &str,
        relative_path: &str,
        kind: EntryKind,
    ) -> Option<String> {
        if !is_plain(domain, relative_path) {
            return None;
        }
        let name = name(domain, relative_path);
        let seen = self.seen.get(&self.hash(&name)).copied().unwrap_or_default();
        let fits = match kind {
            EntryKind::Directory => seen.leaves == 0,
            EntryKind::File | EntryKind::Symlink => seen.leaves <= 1 && !seen.folder,
        };
        let below_leaf = name.match_indices('/').any(|(at, _)| {
            name.get(..at).is_some_and(|parent| {
                self.seen.get(&self.hash(parent)).is_some_and(|seen| seen.leaves > 0)
            })
        });
        (fits && !below_leaf).then(|| format!("{FILES}/{name}"))
    }
}

/// Whether a name can be a path on any disk: no part empty, `.`, `..`, over 255 bytes, or with NUL or a slash where none belongs.
pub(crate) fn is_plain(domain: &str, relative_path: &str) -> bool {
    let part_fits = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && part.len() <= 255 && !part.contains('\0')
    };
    part_fits(domain)
        && !domain.contains('/')
        && (relative_path.is_empty() || relative_path.split('/').all(part_fits))
        && relative_path.len() <= 4000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_program_wrote_tells_what_is_missing() {
        let about = |rest: &str| -> About {
            let text = format!(
                r#"{{"format":1,"program":"lifeboat 0.1.0","udid":"U","device_name":null,"product_type":null,"ios":null,
                "kind":"full","encrypted":false,"stored":"opened","files":9,"bytes":9,"sealed":0{rest}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let id = "3d0d7e5fb2ce288813306e4d4636395e047a3d28";
        for (rest, missing, good_base) in [
            (r#","file_errors":0"#.to_owned(), 0, true),
            (r#","file_errors":2"#.to_owned(), 2, true),
            (format!(r#","file_errors":0,"known_damage":["{id}"],"unreadable_rows":2"#), 3, false),
            (format!(r#","file_errors":4,"known_damage":["{id}"]"#), 4, false),
            (format!(r#","file_errors":1,"known_damage":["{id}"],"files_missing":2"#), 2, false),
        ] {
            let about = about(&rest);
            assert_eq!(
                (about.missing(), about.can_be_built_upon()),
                (missing, good_base),
                "{rest}"
            );
        }
    }

    fn places(rows: &[(&str, EntryKind)]) -> Vec<Option<String>> {
        let mut names = Names::new();
        for (path, kind) in rows {
            names.add("D", path, *kind);
        }
        rows.iter().map(|(path, kind)| names.place("D", path, *kind)).collect()
    }

    fn is_placed(rows: &[(&str, EntryKind)]) -> Vec<bool> {
        places(rows).iter().map(Option::is_some).collect()
    }

    use EntryKind::{Directory, File, Symlink};

    #[test]
    fn ordinary_names_lie_under_their_domain() {
        assert_eq!(
            places(&[("", Directory), ("a", Directory), ("a/b.txt", File)]),
            [Some("files/D".into()), Some("files/D/a".into()), Some("files/D/a/b.txt".into())]
        );
    }

    #[test]
    fn names_that_fall_together_do_not_lie_plain() {
        assert_eq!(is_placed(&[("a", File), ("A", File), ("b", File)]), [false, false, true]);
        assert_eq!(is_placed(&[("Straße", File), ("STRAßE", File)]), [false, false]);
        assert_eq!(is_placed(&[("a", File), ("a", File)]), [false, false]);
    }

    #[test]
    fn what_is_a_file_and_a_folder_does_not_lie_plain_nor_what_is_below_it() {
        assert_eq!(is_placed(&[("a", File), ("a/b", File)]), [false, false]);
        assert_eq!(is_placed(&[("a", Symlink), ("a/b", File)]), [false, false]);
        assert_eq!(is_placed(&[("a", Symlink), ("A", Directory)]), [false, false]);
        assert_eq!(
            is_placed(&[("a", Directory), ("A", Directory), ("A/x", File)]),
            [true, true, true]
        );
    }

    #[test]
    fn names_that_leave_their_folder_do_not_lie_plain() {
        for path in ["..", "../x", "/x", "a//b", "a/./b", "a/../b", "a\0b", "a/"] {
            assert_eq!(is_placed(&[(path, File)]), [false], "{path:?}");
        }
        assert_eq!(is_placed(&[(&"x".repeat(256), File)]), [false]);
        assert_eq!(is_placed(&[(&"x".repeat(255), File)]), [true]);
        assert!(!is_plain("a/b", "c"));
        assert!(!is_plain("..", "c"));
        assert!(!is_plain("", "c"));
    }
}
