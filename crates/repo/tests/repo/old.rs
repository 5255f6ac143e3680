//! Repositories of older versions can be read for ever: one of each lies in `tests/old_repositories/`.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use lifeboat_repo::{Location, NodeKind, Repository, Tag, moment};

use crate::support::{Files, Home, UDID, commit, files_of, password, prose, restic, writer};

/// The versions of the layout so far, as `FORMAT.md` lists them.
const VERSIONS: [&str; 1] = ["v1"];

fn folder() -> Utf8PathBuf {
    Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/old_repositories"))
}

/// What every one of them holds.
fn files() -> Files {
    BTreeMap::from([
        ("backup/Status.plist".to_owned(), b"bplist00".to_vec()),
        ("files/HomeDomain/Library/R&D \"q\".txt".to_owned(), prose(1, 2000)),
        ("files/HomeDomain/Library/empty".to_owned(), Vec::new()),
        ("lifeboat/about.json".to_owned(), br#"{"format":1}"#.to_vec()),
    ])
}

#[test]
fn the_list_is_whole() {
    let mut found: Vec<String> = folder()
        .read_dir_utf8()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, VERSIONS);
    let format = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/FORMAT.md")).unwrap();
    let listed: Vec<&str> = format
        .lines()
        .filter(|line| VERSIONS.iter().any(|version| line.starts_with(&format!("| {version} |"))))
        .collect();
    assert_eq!(listed.len(), VERSIONS.len(), "FORMAT.md lists every version");
}

#[test]
fn all_of_them_can_be_read_and_written() {
    for version in VERSIONS {
        let home = Home::new();
        let place = home.path("repository");
        copy(&folder().join(version), &place);
        let repository = home.open();
        let snapshot = repository.resolve("latest", Some(UDID)).unwrap();
        assert!(files_of(&repository, &snapshot).unwrap() == files(), "{version}");
        assert!(snapshot.is(Tag::Complete));
        let link = repository.entry(&snapshot, "files/HomeDomain/link").unwrap().unwrap();
        assert_eq!(link.node.kind, NodeKind::Symlink("Library/empty".into()));
        let file = repository.entry(&snapshot, "files/HomeDomain/Library/empty").unwrap().unwrap();
        assert_eq!((file.node.mode, file.node.modified), (0o640, moment(1_700_000_000, 5_000_000)));
        assert_eq!(repository.check(true, &mut |_| ()).unwrap().damage, [], "{version}");

        let writer = writer(&repository).unwrap();
        commit(&writer, &files()).unwrap();
        let stats = writer.stats();
        assert_eq!(
            (stats.blobs_new, stats.trees_new),
            (0, 0),
            "{version}: equal folders are equal trees"
        );
        drop(writer);
        restic(&place, &home, &["check", "--read-data"]);
    }
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
#[ignore = "makes the repository of the newest version, once when there is a new one"]
fn make() {
    let place = folder().join(VERSIONS[VERSIONS.len() - 1]);
    assert!(!place.exists(), "an old repository is never changed");
    let home = Home::new();
    let location = Location::Local(place);
    let repository = Repository::init(&location, &password(), &home.cache()).unwrap();
    commit(&writer(&repository).unwrap(), &files()).unwrap();
}
