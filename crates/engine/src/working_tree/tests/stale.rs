//! Payloads of an earlier backup under rows of a new one.

use lifeboat_mobilesync::MbFile;
use lifeboat_mobilesync::build::{ManifestDbWriter, Schema};
use lifeboat_mobilesync::verify::Problem;
use lifeboat_repo::Tag;

use super::whole::{bytes_of, end, newest, open_on_newest};
use super::*;
use crate::store::Stored;
use crate::verify::Verified;

const OLD: &[u8] = b"SQLite format 3\0 of yesterday";
const NEW: &[u8] = b"SQLite format 3\0 of today, with a message more";

fn id(name: &str) -> FileId {
    FileId::of("AppDomain-a", name)
}

/// The record of a database in a domain without digests; sizes in rows of databases are never those of the payloads.
fn record(name: &str, size: u64, modified: i64) -> MbFile {
    MbFile {
        relative_path: name.into(),
        mode: 0o100_644,
        size,
        modified,
        inode: 7,
        ..MbFile::default()
    }
}

fn manifest(root: &Utf8Path, rows: &[(u32, MbFile)]) -> Vec<u8> {
    let path = root.join("rows.db");
    let mut made = ManifestDbWriter::create(&path, Schema::Classic).unwrap();
    for (flags, file) in rows {
        made.put("AppDomain-a", *flags, file).unwrap();
    }
    let bytes = fs::read(made.finish().unwrap()).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

/// A first backup of two databases, then a second of which only these rows come, and what `moves` does.
fn second(
    rows: &[(u32, MbFile)],
    moves: impl FnOnce(&mut WorkingTree),
) -> (tempfile::TempDir, Repository, Verified, Stored) {
    let (dir, root) = folder();
    let (mut tree, _) = open_on_newest(&root);
    put(&mut tree, &id("a.db").path(), OLD).unwrap();
    put(&mut tree, &id("b.db").path(), OLD).unwrap();
    let first = [(1, record("b.db", 4096, 10)), (1, record("a.db", 4096, 10))];
    let (verified, _) = end(&mut tree, &manifest(&root, &first));
    assert_eq!(verified.report.damages(), 0, "{:?}", verified.report.findings);
    drop(tree);
    let (mut tree, repository) = open_on_newest(&root);
    moves(&mut tree);
    let (verified, stored) = end(&mut tree, &manifest(&root, rows));
    (dir, repository, verified, stored)
}

fn problems(verified: &Verified) -> Vec<&Problem> {
    let findings = verified.report.findings.iter();
    findings
        .map(|finding| &finding.problem)
        .filter(|problem| !matches!(problem, Problem::DatabaseSize { .. } | Problem::NoParent))
        .collect()
}

#[test]
fn a_changed_row_without_its_new_content_is_missing() {
    for (size, modified) in [(8192, 20), (4096, 20), (8192, 10)] {
        let rows = [(1, record("a.db", size, modified)), (1, record("b.db", 4096, 10))];
        let (_dir, repository, verified, stored) = second(&rows, |_| {});
        assert_eq!(problems(&verified), [&Problem::Stale], "{size} {modified}");
        assert_eq!(verified.missing(&[]), 1);
        assert_eq!(stored.about.known_damage, [id("a.db").to_string()]);
        assert_eq!(stored.about.files_missing, Some(1));
        let snapshot = newest(&repository);
        assert!(snapshot.is(Tag::Partial) && !snapshot.is(Tag::Complete));
        // Better than nothing.
        assert_eq!(bytes_of(&repository, "files/AppDomain-a/a.db").unwrap(), OLD);
    }
}

#[test]
fn a_changed_row_whose_content_came_is_whole() {
    let rows = [(1, record("a.db", 8192, 20)), (1, record("b.db", 4096, 10))];
    let (_dir, repository, verified, stored) = second(&rows, |tree| {
        let arrived = format!("Snapshot/{}", id("a.db").path());
        tree.create_directory(&path("Snapshot")).unwrap();
        tree.create_directory(&path(&format!("Snapshot/{}", id("a.db").prefix()))).unwrap();
        put(tree, &arrived, NEW).unwrap();
        tree.rename(&path(&arrived), &path(&id("a.db").path())).unwrap();
    });
    assert_eq!(problems(&verified), Vec::<&Problem>::new());
    assert_eq!(stored.about.files_missing, Some(0));
    assert!(newest(&repository).is(Tag::Complete));
    assert_eq!(bytes_of(&repository, "files/AppDomain-a/a.db").unwrap(), NEW);
}

#[test]
fn other_metadata_and_a_new_order_of_rows_are_no_new_content() {
    let mut chmod = record("a.db", 4096, 10);
    (chmod.mode, chmod.changed, chmod.protection_class) = (0o100_600, 30, 4);
    let (_dir, repository, verified, _) =
        second(&[(1, chmod), (1, record("b.db", 4096, 10))], |_| {});
    assert_eq!(problems(&verified), Vec::<&Problem>::new());
    assert!(newest(&repository).is(Tag::Complete));
    let replaced = MbFile { inode: 8, ..record("a.db", 4096, 10) };
    let (_dir, repository, verified, _) =
        second(&[(1, replaced), (1, record("b.db", 4096, 10))], |_| {});
    assert_eq!(problems(&verified), [&Problem::NotSentAgain]);
    assert!(newest(&repository).is(Tag::Complete));
}

#[test]
fn what_the_device_moves_there_came() {
    let rows = [(1, record("b.db", 8192, 20))];
    let (_dir, repository, verified, _) = second(&rows, |tree| {
        tree.rename(&path(&id("a.db").path()), &path(&id("b.db").path())).unwrap();
    });
    assert_eq!(problems(&verified), Vec::<&Problem>::new());
    assert!(newest(&repository).is(Tag::Complete));
}

#[test]
fn what_the_device_itself_calls_incomplete_is_a_note() {
    let rows = [(17, record("a.db", 8192, 20)), (1, record("b.db", 4096, 10))];
    let (_dir, repository, verified, stored) = second(&rows, |_| {});
    assert_eq!(problems(&verified), [&Problem::KnownIncomplete]);
    assert_eq!((verified.missing(&[]), stored.about.known_damage.len()), (0, 0));
    assert!(newest(&repository).is(Tag::Complete));
}

#[test]
fn files_that_the_device_told_of_count_once() {
    let rows = [(1, record("a.db", 8192, 20)), (1, record("b.db", 4096, 10))];
    let (_dir, _repository, verified, _) = second(&rows, |_| {});
    let told = |id| crate::verify::Told { id, device_path: String::new() };
    assert_eq!(verified.missing(&[told(Some(id("a.db")))]), 1, "missing and told of");
    let gone = || told(Some(id("gone")));
    assert_eq!(verified.missing(&[gone(), gone(), told(None)]), 3);
}
