use proptest::prelude::*;

use super::*;

#[test]
fn file_ids_are_those_of_real_backups() {
    for (domain, path, id) in [
        ("HomeDomain", "", "70765829101933f25994c71bbee6dfd685535bff"),
        ("HomeDomain", "Library/SMS/sms.db", "3d0d7e5fb2ce288813306e4d4636395e047a3d28"),
        (
            "CameraRollDomain",
            "Media/PhotoData/Photos.sqlite",
            "12b144c0bd44f2b3dffd9186d3f9c05b917cee25",
        ),
        (
            "AppDomainGroup-group.com.apple.notes",
            "NoteStore.sqlite",
            "4f98687d8ab0d6d1a371110e6b7300f6e465bef2",
        ),
        ("HomeDomain", "caf\u{e9}", "2af99f06643b4e6dd0bfc37a91549a5f6cc54335"),
        ("HomeDomain", "cafe\u{301}", "002967ffe5751184df86519e69f0829785bd2189"),
    ] {
        assert_eq!(FileId::of(domain, path).to_string(), id);
    }
    let id: FileId = "3D0D7E5FB2CE288813306E4D4636395E047A3D28".parse().unwrap();
    assert_eq!(id.path(), "3d/3d0d7e5fb2ce288813306e4d4636395e047a3d28");
    assert!("3d0d7e5fb2ce288813306e4d4636395e047a3d2".parse::<FileId>().is_err());
    assert!("../../../../../../../../../etc/passwd123".parse::<FileId>().is_err());
}

#[test]
fn paths_that_leave_are_told() {
    for good in ["", "a", "a/b.c", ".hidden/..x", "a b/ü", "a\\b"] {
        assert!(is_confined(good), "{good}");
    }
    for bad in ["..", "a/../b", "/a", "a//b", "a/", ".", "a\0"] {
        assert!(!is_confined(bad), "{bad}");
    }
    assert_eq!((parent("a/b/c"), parent("a"), parent("")), (Some("a/b"), Some(""), None));
}

fn file() -> impl Strategy<Value = MbFile> {
    let numbers = (
        0_u64..1 << 62,
        0_u64..1 << 40,
        any::<i32>(),
        any::<i32>(),
        any::<i64>(),
        0_u8..12,
        any::<u32>(),
    );
    let parts = (
        ".{0,300}",
        prop::option::of(".{1,80}"),
        prop::option::of(prop::collection::vec(any::<u8>(), 20)),
        prop::option::of(prop::collection::vec(any::<u8>(), 44)),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..2048)),
    );
    (numbers, parts).prop_map(
        |((size, inode, uid, gid, time, class, mode), (path, target, digest, key, attributes))| {
            MbFile {
                relative_path: path,
                mode,
                size,
                inode,
                uid,
                gid,
                modified: time,
                changed: time.wrapping_add(1),
                birth: time.wrapping_sub(1),
                protection_class: class,
                flags: mode >> 3,
                target,
                digest,
                encryption_key: key,
                extended_attributes: attributes,
            }
        },
    )
}

proptest! {
    #[test]
    fn records_come_back(file in file()) {
        prop_assert_eq!(MbFile::decode(&file.encode()).unwrap(), file);
    }

    #[test]
    fn the_plist_crate_reads_what_we_write(file in file()) {
        let bytes = file.encode();
        let value = plist::Value::from_reader(std::io::Cursor::new(&bytes)).unwrap();
        let objects = value.as_dictionary().unwrap()["$objects"].as_array().unwrap();
        prop_assert_eq!(objects[0].as_string(), Some("$null"));
        let root = objects[1].as_dictionary().unwrap();
        let class = root["$class"].as_uid().unwrap().get();
        prop_assert_eq!(usize::try_from(class).unwrap(), objects.len() - 1);
        let class = objects.last().unwrap().as_dictionary().unwrap();
        prop_assert_eq!(class["$classname"].as_string(), Some("MBFile"));
    }

    #[test]
    fn damage_never_panics(file in file(), at: prop::sample::Index, to: u8) {
        let mut bytes = file.encode();
        *at.get_mut(&mut bytes) = to;
        drop(MbFile::decode(&bytes));
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(MbFile::decode(&[b"bplist00".as_slice(), &noise].concat()));
    }
}

#[test]
fn a_record_has_the_length_of_real_ones() {
    let directory = MbFile {
        relative_path: "Library/Preferences".into(),
        mode: 0o40755,
        inode: 1_234_567,
        uid: 501,
        gid: 501,
        modified: 1_700_000_000,
        changed: 1_700_000_000,
        birth: 1_700_000_000,
        ..MbFile::default()
    };
    let length = directory.encode().len();
    assert!((412..=470).contains(&length), "{length}");
    let file = MbFile {
        mode: 0o100_644,
        digest: Some(vec![1; 20]),
        encryption_key: Some(vec![2; 44]),
        ..directory
    };
    let length = file.encode().len();
    assert!((600..=700).contains(&length), "{length}");
}

/// Readers were seen to meet all three forms; the archive is made by another writer.
#[test]
fn data_may_stand_in_three_places() {
    use plist::{Dictionary, Uid, Value};
    let digest = Value::Data(vec![7; 20]);
    let boxed: Dictionary = [("NS.data".to_owned(), digest.clone())].into_iter().collect();
    for (value, extra) in [
        (digest.clone(), Value::String("unused".into())),
        (Value::Uid(Uid::new(2)), digest.clone()),
        (Value::Uid(Uid::new(2)), Value::Dictionary(boxed.clone())),
    ] {
        let root: Dictionary =
            [("Digest".to_owned(), value), ("Mode".to_owned(), Value::Integer(0o100_644.into()))]
                .into_iter()
                .collect();
        let objects =
            Value::Array(vec![Value::String("$null".into()), Value::Dictionary(root), extra]);
        let top: Dictionary = [("root".to_owned(), Value::Uid(Uid::new(1)))].into_iter().collect();
        let archive: Dictionary =
            [("$objects".to_owned(), objects), ("$top".to_owned(), Value::Dictionary(top))]
                .into_iter()
                .collect();
        let bytes = crate::property_list::to_binary(&Value::Dictionary(archive));
        assert_eq!(MbFile::decode(&bytes).unwrap().digest, Some(vec![7; 20]));
    }
}
