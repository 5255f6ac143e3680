//! Snapshot files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::Flaw,
    id::{SnapshotId, TreeId},
    snapshot::{Snapshot, Summary},
};

/// What a snapshot file says. `label` and `description` are rustic's; restic does not mind them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SnapshotFile {
    pub(crate) time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<SnapshotId>,
    pub(crate) tree: TreeId,
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    #[serde(default)]
    pub(crate) hostname: String,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) program_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<SummaryFile>,
}

/// The part about what was done; the names are restic's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub(crate) struct SummaryFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backup_start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backup_end: Option<Timestamp>,
    pub(crate) data_blobs: u64,
    pub(crate) tree_blobs: u64,
    pub(crate) data_added: u64,
    pub(crate) data_added_packed: u64,
    pub(crate) total_files_processed: u64,
    pub(crate) total_bytes_processed: u64,
}

impl SnapshotFile {
    /// Returns it as people see it.
    pub(crate) fn into_snapshot(self, id: SnapshotId) -> Snapshot {
        let summary = self.summary.map(|summary| Summary {
            files: summary.total_files_processed,
            bytes: summary.total_bytes_processed,
            bytes_added: summary.data_added_packed,
        });
        Snapshot {
            id,
            time: self.time,
            udid: self.hostname,
            tags: self.tags.unwrap_or_default(),
            label: self.label.filter(|label| !label.is_empty()),
            description: self.description,
            parent: self.parent,
            tree: self.tree,
            program: self.program_version,
            summary,
        }
    }
}

/// Writes the JSON of a snapshot.
pub(crate) fn encode(snapshot: &SnapshotFile) -> Vec<u8> {
    serde_json::to_vec(snapshot).expect("a snapshot has only text keys")
}

/// Reads the JSON of a snapshot.
pub(crate) fn decode(json: &[u8]) -> Result<SnapshotFile, Flaw> {
    serde_json::from_slice(json).map_err(|_| Flaw::Syntax)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_that_restic_wrote() {
        let json = br#"{"time":"2015-01-02T18:10:50.895208559+01:00","tree":"2da81727b6585232894cfbb8f8bdab8d1eccd3d8f7c92bc934d62e62e618ffdf","paths":["/tmp/testdata"],"hostname":"kasimir","username":"fd0","uid":1000,"gid":100,"tags":["NL"]}"#;
        let snapshot = decode(json).unwrap().into_snapshot(SnapshotId::new([0; 32]));
        assert_eq!(snapshot.time.to_string(), "2015-01-02T17:10:50.895208559Z");
        assert_eq!(
            (snapshot.udid.as_str(), snapshot.tags.as_slice()),
            ("kasimir", ["NL".to_owned()].as_slice())
        );
    }

    #[test]
    fn no_tags_are_null_or_absent() {
        let base = r#"{"time":"2015-01-02T18:10:50Z","tree":"2da81727b6585232894cfbb8f8bdab8d1eccd3d8f7c92bc934d62e62e618ffdf","paths":[]"#;
        for end in [
            "}",
            r#","tags":null}"#,
            r#","tags":[],"summary":{"backup_start":"2024-01-01T00:00:00Z"}}"#,
        ] {
            let file = decode(format!("{base}{end}").as_bytes()).unwrap();
            assert_eq!(decode(&encode(&file)).unwrap(), file);
        }
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        (-1_000_000_000..4_000_000_000_i64, 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanos)| crate::moment(seconds, nanos))
    }

    fn summary() -> impl Strategy<Value = SummaryFile> {
        let times = (prop::option::of(time()), prop::option::of(time()));
        (times, any::<[u64; 6]>()).prop_map(|((backup_start, backup_end), counts)| {
            let [data_blobs, tree_blobs, data_added, data_added_packed, files, bytes] = counts;
            SummaryFile {
                backup_start,
                backup_end,
                data_blobs,
                tree_blobs,
                data_added,
                data_added_packed,
                total_files_processed: files,
                total_bytes_processed: bytes,
            }
        })
    }

    fn snapshot() -> impl Strategy<Value = SnapshotFile> {
        let ids = (any::<[u8; 32]>(), any::<Option<[u8; 32]>>());
        let names = any::<(String, String, Vec<String>, Option<Vec<String>>)>();
        let texts = any::<[Option<String>; 3]>();
        (time(), ids, names, texts, prop::option::of(summary())).prop_map(
            |(time, (tree, parent), (hostname, username, paths, tags), texts, summary)| {
                let [label, description, program_version] = texts;
                SnapshotFile {
                    time,
                    parent: parent.map(SnapshotId::new),
                    tree: TreeId::new(tree),
                    paths,
                    hostname,
                    username,
                    tags,
                    label,
                    description,
                    program_version,
                    summary,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_snapshot_comes_back(snapshot in snapshot()) {
            prop_assert_eq!(decode(&encode(&snapshot)).unwrap(), snapshot);
        }

        #[test]
        fn noise_does_no_harm(
            noise in prop::collection::vec(any::<u8>(), 0..100),
            snapshot in snapshot(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            drop(decode(&noise));
            let mut json = encode(&snapshot);
            let at = at.index(json.len());
            json[at] = byte;
            if let Ok(file) = decode(&json) {
                drop(file.into_snapshot(SnapshotId::new([0; 32])));
            }
        }
    }
}
