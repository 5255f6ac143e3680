//! What a backup folder holds, read through its manifest.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::{
    EntryKind, ManifestDb, ManifestPlist, MbFile, SnapshotState, StatusPlist,
};
use lifeboat_testkit::{Home, Sim, digest};
use serde_json::Value;

/// One row, without its place in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) domain: String,
    pub(crate) path: String,
    pub(crate) flags: u32,
    pub(crate) kind: EntryKind,
    pub(crate) file: MbFile,
}

/// A finished backup in a folder.
pub(crate) struct Folder {
    pub(crate) path: Utf8PathBuf,
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Size and SHA-256 of each regular file, by `Domain/path`.
    pub(crate) files: BTreeMap<String, (u64, String)>,
}

impl Folder {
    /// Reads a backup below `root` and checks what every finished backup must be: the status says finished, the manifest is whole, each
    /// regular file has its payload and, without `waste`, there is no payload beside them.
    pub(crate) fn read(root: &Utf8Path, udid: &str) -> Self {
        let path = root.join(udid);
        let bytes = |name: &str| fs_err::read(path.join(name)).expect("a file of the backup");
        let status = StatusPlist::parse(&bytes("Status.plist")).expect("a status");
        assert_eq!(status.snapshot_state, SnapshotState::Finished);
        assert!(!status.is_full_backup, "a finished status never says full");
        ManifestPlist::parse(&bytes("Manifest.plist")).expect("a Manifest.plist");
        assert!(!path.join("Snapshot").exists(), "Snapshot/ is still there");

        let manifest = ManifestDb::open(&path.join("Manifest.db")).expect("a Manifest.db");
        manifest.quick_check().expect("a whole Manifest.db");
        let (rows, tally) = manifest.rows().expect("its rows");
        assert_eq!((tally.bad_ids, tally.bad_texts, tally.bad_records), (0, 0, 0));

        let mut entries = BTreeMap::new();
        let mut files = BTreeMap::new();
        for row in rows {
            let id = row.file_id.to_string();
            if row.kind == EntryKind::File {
                let (size, sha256) = digest::file(&path.join(row.file_id.path()));
                files.insert(format!("{}/{}", row.domain, row.relative_path), (size, sha256));
            }
            let file = row.file.expect("a record that can be read");
            let entry = Entry {
                domain: row.domain,
                path: row.relative_path,
                flags: row.flags,
                kind: row.kind,
                file,
            };
            assert!(entries.insert(id, entry).is_none(), "an id twice");
        }
        Self { path, entries, files }
    }

    /// SHA-256 by `Domain/path`, as the oracle tells it.
    pub(crate) fn digests(&self) -> BTreeMap<String, String> {
        self.files.iter().map(|(path, (_, sha256))| (path.clone(), sha256.clone())).collect()
    }

    /// Ids of payloads that no row names.
    pub(crate) fn waste(&self) -> BTreeSet<String> {
        let mut waste = BTreeSet::new();
        for folder in self.path.read_dir_utf8().expect("the backup's folder") {
            let folder = folder.expect("an entry");
            if folder.file_name().len() != 2 {
                continue;
            }
            for payload in folder.path().read_dir_utf8().expect("a folder of payloads") {
                let name = payload.expect("a payload").file_name().to_owned();
                if self.entries.get(&name).is_none_or(|entry| entry.kind != EntryKind::File) {
                    waste.insert(name);
                }
            }
        }
        waste
    }

    /// Checks the folder against the oracle: exactly its files, with their content, and nothing beside them.
    pub(crate) fn is_what_the_phone_holds(&self, home: &Home, sim: &Sim) {
        digest::assert_same(&sim.digest(home), &self.digests());
        assert_eq!(self.waste(), BTreeSet::new(), "payloads that no row names");
        assert_eq!(prefixes(&self.path), 256, "folders 00 to ff");
    }

    /// Checks that the last job sent exactly the files whose record is new or other than in `before`.
    pub(crate) fn was_sent_as_changes_of(&self, before: &Self, traffic: &Value) {
        assert_eq!(traffic["kind"], "incremental", "{traffic}");
        let mut count = 0_u64;
        let mut bytes = 0_u64;
        for (id, entry) in &self.entries {
            if entry.kind == EntryKind::File && before.entries.get(id) != Some(entry) {
                count += 1;
                bytes += self.files[&format!("{}/{}", entry.domain, entry.path)].0;
            }
        }
        assert!(count > 0, "a day of life changed nothing");
        assert!(
            count < self.files.len() as u64 / 2,
            "a day of life changed {count} of {} files",
            self.files.len()
        );
        assert_eq!(
            (&traffic["files_sent"], &traffic["bytes_sent"]),
            (&count.into(), &bytes.into()),
            "{traffic}"
        );
        // And a file whose content changed is among them: else its record had been the same.
        for (path, content) in &self.files {
            if before.files.get(path) != Some(content) {
                let changed = self.entries.iter().any(|(id, entry)| {
                    format!("{}/{}", entry.domain, entry.path) == *path
                        && before.entries.get(id) != Some(entry)
                });
                assert!(changed, "{path} has new content and its old record");
            }
        }
    }
}

/// Counts the folders 00 to ff.
fn prefixes(folder: &Utf8Path) -> usize {
    (0..=255).filter(|prefix| folder.join(format!("{prefix:02x}")).is_dir()).count()
}

/// Checks that the last job sent every file there is.
pub(crate) fn was_sent_whole(folder: &Folder, traffic: &Value) {
    let bytes: u64 = folder.files.values().map(|(size, _)| size).sum();
    assert_eq!(traffic["kind"], "full", "{traffic}");
    assert_eq!(
        (&traffic["files_sent"], &traffic["bytes_sent"]),
        (&(folder.files.len() as u64).into(), &bytes.into()),
        "{traffic}"
    );
}
