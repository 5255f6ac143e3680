use std::collections::BTreeMap;
use std::io::Read as _;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use lifeboat_host::fake::FakeHost;
use lifeboat_mobilesync::{BackupState, SnapshotState, StatusPlist};
use proptest::prelude::*;

use super::*;

mod checked;
mod counted;
mod sealed;
mod stale;
mod surprise;
mod whole;

const UDID: &str = "00008110-000A1B2C3D4E5F60";

fn settings(host: &Arc<FakeHost>) -> Settings {
    Settings {
        host: host.clone(),
        writer: None,
        repository: None,
        repository_place: "/".into(),
        checkpoint: 1 << 20,
        reserve: 1000,
        area_minimum: 0,
        hold: false,
    }
}

fn open(root: &Utf8Path) -> (WorkingTree, Opened) {
    let area = Area::take(root, UDID).unwrap();
    WorkingTree::open(area, settings(&Arc::new(FakeHost::default())), UDID, None, false).unwrap()
}

fn path(rest: &str) -> HostPath {
    let text = if rest.is_empty() { UDID.to_owned() } else { format!("{UDID}/{rest}") };
    HostPath::parse(&text, UDID).unwrap()
}

fn put(tree: &mut WorkingTree, rest: &str, bytes: &[u8]) -> Result<(), FileError> {
    tree.begin(&path(rest))?;
    for part in bytes.chunks(3) {
        tree.write(part)?;
    }
    tree.finish()
}

fn read(tree: &mut WorkingTree, path: &HostPath) -> Vec<u8> {
    let source = tree.open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (size, mut reader) = (source.size, source.reader);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, size);
    bytes
}

type Model = BTreeMap<String, Option<Vec<u8>>>;

/// Everything that a device could see.
fn all(tree: &mut WorkingTree) -> Model {
    fn walk(tree: &mut WorkingTree, folder: &str, into: &mut Model) {
        for entry in tree.list(&HostPath::parse(folder, UDID).unwrap()).unwrap() {
            let path = format!("{folder}/{}", entry.name);
            if entry.kind == DirectoryEntryKind::File {
                let bytes = read(tree, &HostPath::parse(&path, UDID).unwrap());
                assert_eq!(entry.size, bytes.len() as u64);
                into.insert(path, Some(bytes));
            } else {
                walk(tree, &path, into);
                into.insert(path, None);
            }
        }
    }
    let mut into = Model::new();
    if tree.list(&path("")).is_ok() {
        walk(tree, UDID, &mut into);
        into.insert(UDID.to_owned(), None);
    }
    into
}

fn status(state: SnapshotState) -> Vec<u8> {
    StatusPlist {
        backup_state: BackupState::New,
        date: std::time::UNIX_EPOCH,
        is_full_backup: true,
        snapshot_state: state,
        uuid: "6D7C8A05-0F4C-4A0C-9B1E-5B1B1F7A6D11".into(),
        version: "3.3".into(),
    }
    .encode()
}

fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
    (dir, path)
}

#[test]
fn an_empty_tree_says_that_nothing_is_there() {
    let (_dir, root) = folder();
    let (mut tree, opened) = open(&root);
    assert!(!opened.resumed);
    assert!(matches!(tree.open(&path("Status.plist")), Err(FileError::NotFound)));
    assert!(matches!(tree.list(&path("")), Err(FileError::NotFound)));
    assert!(matches!(tree.remove(&path("Manifest.mbdx")), Err(FileError::NotFound)));
    assert!(matches!(tree.purge(5), Err(FileError::Unsupported)));
}

#[test]
fn a_state_that_somebody_works_on_is_told_and_not_waited_for() {
    let (_dir, root) = folder();
    let (tree, _) = open(&root);
    assert!(!tree.is_held());
    let state = tree.state();
    assert!(tree.clone().is_held());
    drop(state);
    assert!(!tree.is_held());
}

#[test]
fn a_file_is_there_only_when_it_is_whole() {
    let (_dir, root) = folder();
    let (mut tree, _) = open(&root);
    tree.begin(&path("Snapshot/ab/x")).unwrap();
    tree.write(b"half").unwrap();
    assert!(matches!(tree.open(&path("Snapshot/ab/x")), Err(FileError::NotFound)));
    tree.abandon();
    assert!(matches!(tree.open(&path("Snapshot/ab/x")), Err(FileError::NotFound)));
    assert!(tree.finish().is_err());
    put(&mut tree, "Snapshot/ab/x", b"").unwrap();
    assert_eq!(read(&mut tree, &path("Snapshot/ab/x")), b"");
    put(&mut tree, "Snapshot/ab/x", b"whole").unwrap();
    assert_eq!(read(&mut tree, &path("Snapshot/ab/x")), b"whole");
}

#[test]
fn errors_are_those_of_a_file_system() {
    let (_dir, root) = folder();
    let (mut tree, _) = open(&root);
    put(&mut tree, "a", b"1").unwrap();
    assert!(matches!(put(&mut tree, "a/b", b"2"), Err(FileError::NotADirectory)));
    assert!(matches!(tree.create_directory(&path("a")), Err(FileError::Exists)));
    tree.create_directory(&path("d")).unwrap();
    tree.create_directory(&path("d")).unwrap();
    assert!(matches!(put(&mut tree, "d", b"2"), Err(FileError::IsADirectory)));
    assert!(matches!(tree.open(&path("d")), Err(FileError::IsADirectory)));
    assert!(matches!(tree.rename(&path("no"), &path("x")), Err(FileError::NotFound)));
    assert!(matches!(tree.rename(&path("d"), &path("d/e")), Err(FileError::Loop)));
}

#[test]
fn free_space_is_the_smallest_disk_less_the_reserve() {
    let (_dir, root) = folder();
    let host = Arc::new(FakeHost::default());
    let area = Area::take(&root, UDID).unwrap();
    let (mut tree, _) = WorkingTree::open(area, settings(&host), UDID, None, false).unwrap();
    host.set_space(lifeboat_host::Space { free: 5000, total: 10_000 });
    assert_eq!(tree.free_bytes().unwrap(), 4000);
    host.set_space(lifeboat_host::Space { free: 500, total: 10_000 });
    assert_eq!(tree.free_bytes().unwrap(), 0);
    assert!(tree.purge(7).is_err());
    let demand = tree.state().demand().unwrap();
    assert_eq!((demand.more, demand.offered), (7, 0));
}

#[test]
fn the_next_run_goes_on_and_counts_what_comes_again() {
    let (_dir, root) = folder();
    let id = "3d0d7e5fb2ce288813306e4d4636395e047a3d28";
    let (mut tree, _) = open(&root);
    put(&mut tree, "Status.plist", &status(SnapshotState::Uploading)).unwrap();
    put(&mut tree, &format!("Snapshot/3d/{id}"), b"message").unwrap();
    put(&mut tree, "Snapshot/Manifest.plist", b"x").unwrap();
    assert_eq!(tree.state().was_full(), Some(true));
    assert_eq!(tree.state().kept(), (1, 7));
    drop(tree);
    let (mut tree, opened) = open(&root);
    assert!(opened.resumed);
    assert_eq!(tree.state().kept(), (1, 7));
    put(&mut tree, &format!("Snapshot/3d/{id}"), b"message").unwrap();
    let counts = tree.state().counts();
    assert_eq!((counts.files, counts.bytes, counts.bytes_again), (1, 7, 7));
}

#[test]
fn after_a_power_cut_only_what_was_durable_counts() {
    let (_dir, root) = folder();
    let (mut tree, _) = open(&root);
    put(&mut tree, "Snapshot/ab/first", b"1").unwrap();
    put(&mut tree, "Status.plist", &status(SnapshotState::Uploading)).unwrap();
    put(&mut tree, "Snapshot/ab/second", b"2").unwrap();
    drop(tree);
    // Another boot: the same journal, with another word for it.
    let journal = root.join(UDID).join("journal");
    let (_, records) = Journal::open(&journal).unwrap();
    fs::remove_file(&journal).unwrap();
    let (mut rewritten, _) = Journal::open(&journal).unwrap();
    for record in records {
        let record = match record {
            Record::Begin { format, udid, base, .. } => {
                Record::Begin { format, udid, base, boot: "before".into() }
            }
            other => other,
        };
        rewritten.append(&record).unwrap();
    }
    drop(rewritten);
    let (mut tree, opened) = open(&root);
    assert!(opened.resumed);
    let names: Vec<_> =
        tree.list(&path("Snapshot/ab")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["first"]);
    assert_eq!(read(&mut tree, &path("Status.plist")), status(SnapshotState::Uploading));
}

#[test]
fn what_was_kept_for_another_snapshot_is_not_used() {
    let (_dir, root) = folder();
    let (mut tree, _) = open(&root);
    put(&mut tree, "a", b"1").unwrap();
    drop(tree);
    let journal = root.join(UDID).join("journal");
    let (_, mut records) = Journal::open(&journal).unwrap();
    fs::remove_file(&journal).unwrap();
    let (mut rewritten, _) = Journal::open(&journal).unwrap();
    records[0] = Record::Begin {
        format: FORMAT,
        udid: UDID.into(),
        base: Some("ab".repeat(32)),
        boot: overlay::boot_id(),
    };
    for record in &records {
        rewritten.append(record).unwrap();
    }
    drop(rewritten);
    let (mut tree, opened) = open(&root);
    assert!(opened.discarded && !opened.resumed);
    assert!(all(&mut tree).is_empty());
}

#[test]
fn goes_on_only_with_files_that_the_device_sent() {
    let (_dir, root) = folder();
    let (mut tree, _) = open(&root);
    put(&mut tree, "Info.plist", b"the host's own").unwrap();
    drop(tree);
    assert!(!Area::is_left(&root, UDID) && !Area::is_kept(&root, UDID));
    let (mut tree, opened) = open(&root);
    assert!(!opened.resumed);
    // What steers a backup is left, and no file is kept.
    put(&mut tree, "Status.plist", &status(SnapshotState::Uploading)).unwrap();
    drop(tree);
    assert!(Area::is_left(&root, UDID) && !Area::is_kept(&root, UDID));
    let (mut tree, opened) = open(&root);
    assert!(!opened.resumed);
    put(&mut tree, "Snapshot/ab/photo", b"a").unwrap();
    drop(tree);
    assert!(Area::is_kept(&root, UDID));
    let (mut tree, opened) = open(&root);
    assert!(opened.resumed);
    // What the device took back is not kept.
    tree.rename(&path("Snapshot/ab"), &path("ab")).unwrap();
    assert!(Area::is_kept(&root, UDID));
    tree.remove(&path("ab")).unwrap();
    drop(tree);
    assert!(!Area::is_kept(&root, UDID));
    assert!(!open(&root).1.resumed);
}

#[test]
fn starting_over_does_not_go_on_with_what_was_no_whole_backup() {
    let (_dir, root) = folder();
    let open_full = || {
        let settings = settings(&Arc::new(FakeHost::default()));
        WorkingTree::open(Area::take(&root, UDID).unwrap(), settings, UDID, None, true).unwrap()
    };
    let (mut tree, _) = open_full();
    put(&mut tree, "Snapshot/ab/a", b"first").unwrap();
    drop(tree);
    // A run told to start over goes on after a break.
    let (tree, opened) = open_full();
    assert!(opened.resumed);
    tree.state().refuse().unwrap();
    drop(tree);
    assert!(open(&root).1.resumed);
    let (mut tree, opened) = open_full();
    assert!(!opened.resumed && all(&mut tree).is_empty());
}

#[test]
fn a_number_is_given_out_once() {
    let (_dir, root) = folder();
    let (mut tree, _) = open(&root);
    put(&mut tree, "Status.plist", &status(SnapshotState::Uploading)).unwrap();
    put(&mut tree, "Snapshot/ab/photo", b"AAAAA").unwrap();
    drop(tree);
    fs::remove_file(root.join(UDID).join("files/2")).unwrap();
    let (mut tree, _) = open(&root);
    assert!(tree.list(&path("Snapshot/ab")).unwrap().is_empty());
    put(&mut tree, "Snapshot/cd/other", b"BBBBB").unwrap();
    drop(tree);
    let (mut tree, _) = open(&root);
    let all = all(&mut tree);
    assert_eq!(all.get(&format!("{UDID}/Snapshot/ab/photo")), None);
    assert_eq!(all[&format!("{UDID}/Snapshot/cd/other")].as_deref(), Some(&b"BBBBB"[..]));
}

#[test]
fn a_kept_file_with_other_bytes_is_not_there() {
    let (_dir, root) = folder();
    let (mut tree, _) = open(&root);
    put(&mut tree, "Snapshot/ab/a", b"first").unwrap();
    put(&mut tree, "Snapshot/ab/b", b"other").unwrap();
    drop(tree);
    fs::write(root.join(UDID).join("files/1"), b"fir\0tother").unwrap();
    let (mut tree, _) = open(&root);
    let names: Vec<_> =
        tree.list(&path("Snapshot/ab")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["b"]);
}

#[derive(Debug, Clone)]
enum Op {
    Mkdir(String),
    Put(String, Vec<u8>),
    Torn(String, Vec<u8>),
    Status(SnapshotState),
    Remove(String),
    Rename(String, String),
    Copy(String, String),
    Reopen,
    Lose(prop::sample::Index),
}

fn rest() -> impl Strategy<Value = String> {
    prop::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"))
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..10);
    prop_oneof![
        rest().prop_map(Op::Mkdir),
        (rest(), bytes()).prop_map(|(p, b)| Op::Put(p, b)),
        (rest(), bytes()).prop_map(|(p, b)| Op::Torn(p, b)),
        prop_oneof![Just(SnapshotState::Uploading), Just(SnapshotState::Moving)]
            .prop_map(Op::Status),
        rest().prop_map(Op::Remove),
        (rest(), rest()).prop_map(|(a, b)| Op::Rename(a, b)),
        (rest(), rest()).prop_map(|(a, b)| Op::Copy(a, b)),
        Just(Op::Reopen),
        any::<prop::sample::Index>().prop_map(Op::Lose),
    ]
}

fn below(model: &Model, path: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let inside = format!("{path}/");
    model
        .iter()
        .filter(|(p, _)| *p == path || p.starts_with(&inside))
        .map(|(p, c)| (p.clone(), c.clone()))
        .collect()
}

fn make_parents(model: &mut Model, path: &str) {
    for (at, _) in path.match_indices('/') {
        model.entry(path.get(..at).unwrap().to_owned()).or_insert(None);
    }
}

/// Does to the model what a success did to the tree.
fn apply(model: &mut Model, op: &Op) {
    let full = |rest: &str| format!("{UDID}/{rest}");
    match op {
        Op::Mkdir(p) => {
            make_parents(model, &full(p));
            model.insert(full(p), None);
        }
        Op::Put(p, bytes) => {
            make_parents(model, &full(p));
            model.insert(full(p), Some(bytes.clone()));
        }
        Op::Status(state) => {
            make_parents(model, &full("Status.plist"));
            model.insert(full("Status.plist"), Some(status(*state)));
        }
        Op::Remove(p) => below(model, &full(p)).iter().for_each(|(p, _)| drop(model.remove(p))),
        Op::Rename(a, b) | Op::Copy(a, b) if a != b => {
            let moved = below(model, &full(a));
            if matches!(op, Op::Rename(..)) {
                for (p, _) in &moved {
                    model.remove(p);
                }
            }
            for (p, _) in below(model, &full(b)) {
                model.remove(&p);
            }
            make_parents(model, &full(b));
            model.extend(moved.into_iter().map(|(p, c)| (p.replacen(&full(a), &full(b), 1), c)));
        }
        _ => {}
    }
}

fn perform(tree: &mut WorkingTree, op: &Op) -> Result<(), FileError> {
    match op {
        Op::Mkdir(p) => tree.create_directory(&path(p)),
        Op::Put(p, bytes) => put(tree, p, bytes),
        Op::Torn(p, bytes) => {
            tree.begin(&path(p))?;
            tree.write(bytes)?;
            tree.abandon();
            Ok(())
        }
        Op::Status(state) => {
            put(tree, "Status.plist", &status(*state))?;
            tree.sync()
        }
        Op::Remove(p) => tree.remove(&path(p)),
        Op::Rename(a, b) => tree.rename(&path(a), &path(b)),
        Op::Copy(a, b) => tree.copy(&path(a), &path(b)),
        Op::Reopen | Op::Lose(_) => Ok(()),
    }
}

/// Takes a segment away while nobody looks; returns the names of the files that had bytes in it.
fn lose(tree: &WorkingTree, at: prop::sample::Index) -> Vec<String> {
    let state = tree.state();
    let segment = |file: &File| match file.origin {
        Origin::Received(number) => state.received(number).and_then(|received| received.local),
        Origin::Base(_) => None,
    };
    let received = state.tree().files(&|file| segment(file).is_some());
    if received.is_empty() {
        return received;
    }
    let of = |path: &String| segment(&state.tree().file(path).unwrap()).unwrap().0.segment;
    let lost = of(&received[at.index(received.len())]);
    fs::remove_file(segments::path(&state.area().files(), lost)).unwrap();
    received.into_iter().filter(|path| of(path) == lost).collect()
}

fn copy_folder(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_the_simplest_tree_and_survives_its_process(ops in prop::collection::vec(op(), 1..40)) {
        let (_dir, root) = folder();
        let (mut tree, _) = open(&root);
        let mut model = Model::new();
        for op in &ops {
            if matches!(op, Op::Reopen) {
                drop(tree);
                tree = open(&root).0;
            } else if let Op::Lose(at) = op {
                for path in lose(&tree, *at) {
                    model.remove(&path);
                }
                drop(tree);
                tree = open(&root).0;
            } else if perform(&mut tree, op).is_ok() {
                apply(&mut model, op);
            }
            prop_assert_eq!(&all(&mut tree), &model);
        }
    }
}

/// A run as a device makes it, in short.
fn run() -> Vec<Op> {
    let (a, b) = ("Snapshot/ab/a", "Snapshot/cd/b");
    vec![
        Op::Mkdir(String::new() + "Snapshot/ab"),
        Op::Status(SnapshotState::Uploading),
        Op::Put(a.into(), b"first".to_vec()),
        Op::Put(b.into(), b"second".to_vec()),
        Op::Torn("Snapshot/ef/c".into(), b"half".to_vec()),
        Op::Put("Snapshot/Manifest.db".into(), b"manifest".to_vec()),
        Op::Status(SnapshotState::Moving),
        Op::Rename(a.into(), "ab/a".into()),
        Op::Rename(b.into(), "cd/b".into()),
        Op::Rename("Snapshot/Manifest.db".into(), "Manifest.db".into()),
        Op::Status(SnapshotState::Removing),
        Op::Remove("Snapshot".into()),
        Op::Status(SnapshotState::Finished),
    ]
}

#[test]
fn every_moment_of_a_run_can_be_the_last() {
    let (_dir, root) = folder();
    let (mut tree, _) = open(&root.join("live"));
    let mut model = Model::new();
    for (step, op) in run().iter().enumerate() {
        perform(&mut tree, op).unwrap();
        apply(&mut model, op);
        // What a killed process leaves behind is what is on the disk now.
        let then = root.join(format!("then-{step}"));
        copy_folder(&root.join("live"), &then);
        let (mut again, _) = open(&then);
        assert_eq!(all(&mut again), model, "after step {step}");
        // A line torn in the middle takes back this step at most, and never makes Status.plist newer than its data.
        let journal = then.join(UDID).join("journal");
        drop(again);
        let length = fs::metadata(&journal).unwrap().len();
        let torn = fs::OpenOptions::new().write(true).open(&journal).unwrap();
        torn.set_len(length - 70).unwrap();
        drop(torn);
        let (mut again, _) = open(&then);
        let seen = all(&mut again);
        let said = seen.get(&format!("{UDID}/Status.plist"));
        if said == Some(&Some(status(SnapshotState::Moving))) {
            let there = |rest: &str| seen.contains_key(&format!("{UDID}/{rest}"));
            assert!(there("Snapshot/ab/a") || there("ab/a"), "after step {step}");
            assert!(there("Snapshot/Manifest.db") || there("Manifest.db"), "after step {step}");
        }
    }
}

fn open_repository(root: &Utf8Path) -> Repository {
    let place = lifeboat_repo::Location::from(root.join("repository"));
    let password = secrecy::SecretString::from("a password".to_owned());
    let open = if root.join("repository").exists() { Repository::open } else { Repository::init };
    open(&place, &password, &root.join("cache")).unwrap()
}

fn writing() -> lifeboat_repo::WriterOptions {
    lifeboat_repo::WriterOptions::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH))
}

fn repository(root: &Utf8Path) -> (Repository, Arc<lifeboat_repo::Writer>) {
    let repository = open_repository(root);
    let writer = repository.writer(&writing()).unwrap();
    (repository, Arc::new(writer))
}

fn open_packing(root: &Utf8Path, area_minimum: u64) -> WorkingTree {
    let (repository, writer) = repository(root);
    let mut settings = settings(&Arc::new(FakeHost::default()));
    settings.repository = Some(repository);
    settings.writer = Some(writer);
    settings.area_minimum = area_minimum;
    settings.checkpoint = 1 << 40;
    WorkingTree::open(Area::take(root, UDID).unwrap(), settings, UDID, None, false).unwrap().0
}

#[test]
fn what_lies_in_packs_for_good_needs_no_copy() {
    let (_dir, root) = folder();
    let mut tree = open_packing(&root, 0);
    let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    for (rest, bytes) in
        [("Snapshot/ab/a", &bytes[..]), ("Snapshot/ab/empty", b""), ("Snapshot/ab/short", b"short")]
    {
        tree.begin(&path(rest)).unwrap();
        bytes.chunks(5000).for_each(|part| tree.write(part).unwrap());
        tree.finish().unwrap();
    }
    put(&mut tree, "Snapshot/Manifest.db", b"stays here").unwrap();
    assert!(tree.state().finish_packing(&mut |_| true).unwrap());
    tree.state().checkpoint().unwrap();
    put(&mut tree, "Snapshot/ab/late", b"not packed yet").unwrap();
    tree.rename(&path("Snapshot/ab"), &path("ab")).unwrap();
    // The manifest's own, and the one with the file that came late.
    assert_eq!(segments::numbers(&tree.state().area().files()).unwrap(), [2, 3]);
    let seen = all(&mut tree);
    drop(tree);
    let mut tree = open_packing(&root, 0);
    assert_eq!(all(&mut tree), seen);
    assert_eq!(seen[&format!("{UDID}/ab/a")].as_ref(), Some(&bytes));
}

#[test]
fn who_stops_while_it_packs_keeps_what_came() {
    let (_dir, root) = folder();
    let mut tree = open_packing(&root, 0);
    for number in 0..50 {
        put(&mut tree, &format!("Snapshot/ab/{number}"), format!("file {number}").as_bytes())
            .unwrap();
    }
    let seen = all(&mut tree);
    tree.state().finish_packing(&mut |_| false).unwrap();
    tree.state().settle().unwrap();
    drop(tree);
    let mut tree = open_packing(&root, 0);
    assert_eq!(all(&mut tree), seen);
    assert!(tree.state().finish_packing(&mut |_| true).unwrap());
    assert_eq!(all(&mut tree), seen);
}

#[test]
fn a_small_disk_gets_no_copies_and_loses_only_what_was_not_packed() {
    let (_dir, root) = folder();
    let mut tree = open_packing(&root, u64::MAX);
    put(&mut tree, "Snapshot/ab/a", b"first").unwrap();
    assert!(segments::numbers(&tree.state().area().files()).unwrap().is_empty());
    // Status.plist never speaks of what is not durable.
    put(&mut tree, "Status.plist", &status(SnapshotState::Moving)).unwrap();
    put(&mut tree, "Snapshot/ab/b", b"second").unwrap();
    drop(tree);
    let mut tree = open_packing(&root, u64::MAX);
    let names: Vec<_> =
        tree.list(&path("Snapshot/ab")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a"]);
    assert_eq!(read(&mut tree, &path("Snapshot/ab/a")), b"first");
}

#[test]
fn packs_that_somebody_removed_are_noticed() {
    let (_dir, root) = folder();
    let mut tree = open_packing(&root, 0);
    put(&mut tree, "Snapshot/ab/a", b"first").unwrap();
    assert!(tree.state().finish_packing(&mut |_| true).unwrap());
    tree.state().settle().unwrap();
    drop(tree);
    fs::remove_dir_all(root.join("repository")).unwrap();
    let mut tree = open_packing(&root, 0);
    assert!(tree.list(&path("Snapshot/ab")).unwrap().is_empty());
}
