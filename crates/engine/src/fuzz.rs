//! The parsers of this crate, for fuzz targets; not for users.

use crate::keys::Keys;
use crate::last_run;
use crate::layout::{About, Ids};
use crate::passwords::StoredPassword;
use crate::working_tree::journal;

/// Reads the journal of a working area, as it is and behind a right checksum.
pub fn journal(bytes: &[u8]) {
    journal::try_read(bytes);
}

/// Reads what is remembered of the last run of a device.
pub fn last_run(bytes: &[u8]) {
    last_run::try_read(bytes);
}

/// Reads what a snapshot says about itself; it may come from a repository that others write to.
pub fn snapshot_files(bytes: &[u8]) {
    if let Ok(about) = serde_json::from_slice::<About>(bytes) {
        let json = serde_json::to_vec_pretty(&about).expect("it is plain data");
        assert_eq!(
            serde_json::from_slice::<About>(&json).ok(),
            Some(about),
            "about.json comes back"
        );
    }
    if let Some(keys) = Keys::decode(bytes) {
        let json = keys.encode().expect("it is plain data");
        let again = Keys::decode(&json).and_then(|keys| keys.encode().ok());
        assert_eq!(again, Some(json), "keys.json comes back");
    }
    if let Some(password) = StoredPassword::decode(bytes) {
        let json = password.encode().expect("it is plain data");
        let again = StoredPassword::decode(&json).and_then(|password| password.encode().ok());
        assert_eq!(again, Some(json), "password.json comes back");
    }
    if let Ok(ids) = serde_json::from_slice::<Ids>(bytes) {
        let json = serde_json::to_vec(&ids).expect("it is plain data");
        assert_eq!(serde_json::from_slice::<Ids>(&json).ok(), Some(ids), "ids.json comes back");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_about() -> impl Strategy<Value = About> {
        let text = any::<String>;
        let maybe = || prop::option::of(any::<String>());
        let texts = (text(), text(), text(), text(), maybe(), maybe(), maybe());
        let damage = prop::collection::vec("[0-9a-f]{40}", 0..3);
        (texts, any::<[u64; 5]>(), any::<u32>(), any::<bool>(), damage, any::<Option<u64>>())
            .prop_map(|(texts, numbers, format, encrypted, known_damage, files_missing)| {
                let (program, udid, kind, stored, device_name, product_type, ios) = texts;
                let [files, bytes, sealed, file_errors, unreadable_rows] = numbers;
                About {
                    format,
                    program,
                    udid,
                    device_name,
                    product_type,
                    ios,
                    kind,
                    encrypted,
                    stored,
                    files,
                    bytes,
                    sealed,
                    file_errors,
                    known_damage,
                    unreadable_rows,
                    files_missing,
                    missing_files: Vec::new(),
                    known_incomplete: Vec::new(),
                    manifest_opened: encrypted,
                    manifest_unpadded: false,
                    sealed_files: Vec::new(),
                }
            })
    }

    proptest! {
        #[test]
        fn what_a_snapshot_says_comes_back(
            about in any_about(),
            ids in prop::collection::btree_map("[0-9a-f]{40}", any::<String>(), 0..5),
        ) {
            let json = serde_json::to_vec(&about).unwrap();
            prop_assert_eq!(serde_json::from_slice::<About>(&json).unwrap(), about);
            snapshot_files(&json);
            let json = serde_json::to_vec(&ids).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Ids>(&json).unwrap(), ids);
            snapshot_files(&json);
        }

        #[test]
        fn noise_never_panics(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            about in any_about(),
            at: prop::sample::Index,
            to: u8,
        ) {
            snapshot_files(&noise);
            let mut json = serde_json::to_vec(&about).unwrap();
            *at.get_mut(&mut json) = to;
            snapshot_files(&json);
        }
    }
}
