//! Encrypted backups: what is opened, what stays sealed, and that the device always sees what it sent.

use std::collections::HashSet;

use lifeboat_mobilesync::build::{ManifestDbWriter, Schema};
use lifeboat_mobilesync::crypto::{self, Encrypt, Key};
use lifeboat_mobilesync::keybag::{ClassKey, Keybag, WrappedKey};
use lifeboat_mobilesync::{ManifestPlist, MbFile};
use lifeboat_repo::{NewSnapshot, Node, Tag, TreeBuilder};
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use super::whole::{bytes_of, newest, open_on_newest};
use super::*;
use crate::event::EventSink;
use crate::job::{Context, Outcome};
use crate::jobs::open::{Opening, still_sealed};
use crate::keys::Keyring;
use crate::passwords::Candidate;
use crate::store::{self, Run, Stored};
use crate::unlock::{Lock, unlock};
use crate::verify::{self, Verified};

const PASSWORD: &str = "sesame";
const DATABASE: &[u8] = b"SQLite format 3\0\x10\0 and pages, more or less";

fn key(byte: u8) -> Key {
    Zeroizing::new([byte; 32])
}

fn id(name: &str) -> FileId {
    FileId::of("HomeDomain", name)
}

fn seal(key: &Key, plain: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    Encrypt::new(key, plain).read_to_end(&mut payload).unwrap();
    payload
}

/// A file as a phone encrypts it.
struct Sent {
    record: MbFile,
    payload: Vec<u8>,
}

fn sent(name: &str, plain: &[u8], file_key: u8) -> Sent {
    let payload = seal(&key(file_key), plain);
    let wrapped = WrappedKey { class: 3, wrapped: crypto::wrap(&key(3), &key(file_key)) };
    let record = MbFile {
        relative_path: name.into(),
        mode: 0o100_644,
        size: plain.len() as u64,
        modified: 10,
        inode: 7,
        protection_class: 3,
        digest: Some(Sha1::digest(&payload).to_vec()),
        encryption_key: Some(wrapped.encode()),
        ..MbFile::default()
    };
    Sent { record, payload }
}

/// A keybag whose class keys are made of `first`.
fn keybag(password: &str, first: u8) -> Vec<u8> {
    let mut bag =
        Keybag { salt: vec![first; 20], rounds: 10, uuid: vec![1; 16], ..Keybag::default() };
    let derived = bag.derivation().unwrap().derive(password.as_bytes()).unwrap();
    for class in 1..=4_u8 {
        let wrapped = Some(crypto::wrap(&derived, &key(first + class)).to_vec());
        let class = u32::from(class);
        bag.classes.push(ClassKey { uuid: vec![2; 16], class, wrap: 2, key_type: 0, wrapped });
    }
    bag.encode()
}

fn plist() -> ManifestPlist {
    let mut keys = plist::Dictionary::new();
    keys.insert("Version".into(), "10.0".into());
    let mut bytes = Vec::new();
    plist::Value::Dictionary(keys).to_writer_binary(&mut bytes).unwrap();
    let wrapped = WrappedKey { class: 4, wrapped: crypto::wrap(&key(4), &key(99)) };
    ManifestPlist {
        is_encrypted: true,
        keybag: Some(keybag(PASSWORD, 0)),
        manifest_key: Some(wrapped.encode()),
        ..ManifestPlist::parse(&bytes).unwrap()
    }
}

fn manifest(root: &Utf8Path, files: &[&Sent]) -> Vec<u8> {
    let path = root.join("rows.db");
    let mut made = ManifestDbWriter::create(&path, Schema::Classic).unwrap();
    for file in files {
        made.put("HomeDomain", 1, &file.record).unwrap();
    }
    let bytes = fs::read(made.finish().unwrap()).unwrap();
    fs::remove_file(path).unwrap();
    seal(&key(99), &bytes)
}

fn ring(passwords: &[&str]) -> Keyring {
    let mut ring = Keyring::default();
    for password in passwords {
        ring.add(Candidate::given((*password).to_owned().into()));
    }
    ring
}

/// What comes at the end of a backup.
struct End {
    plist: ManifestPlist,
    manifest: Vec<u8>,
}

/// What a device does wrong at the end.
type Wrong = fn(&mut End);

/// Ends a backup as the job does.
fn end(tree: &mut WorkingTree, end: &End, ring: &Keyring) -> (Verified, Stored) {
    put(tree, "Info.plist", b"").unwrap();
    put(tree, "Manifest.plist", &end.plist.encode()).unwrap();
    put(tree, "Manifest.db", &end.manifest).unwrap();
    put(tree, "Status.plist", &status(SnapshotState::Finished)).unwrap();
    let ctx = Context::new(Arc::new(FakeHost::default()), EventSink::silent());
    let mut state = tree.state();
    assert!(state.finish_packing(&mut |_| true).unwrap());
    state.make_readable().unwrap();
    let writer = state.settings.writer.clone().unwrap();
    let of_base = state.base().map(Base::take_rows).transpose().unwrap().unwrap_or_default();
    let lock = unlock(&ctx, &state, &writer, UDID, ring, &of_base).unwrap();
    if !matches!(lock, Lock::Open(_)) {
        state.let_pack().unwrap();
        assert!(state.finish_packing(&mut |_| true).unwrap());
    }
    let verified = verify::verify(&state, UDID, lock, of_base).unwrap();
    let count = state.repository().unwrap().snapshots().unwrap().len();
    let now = jiff::Timestamp::from_second(i64::try_from(count).unwrap()).unwrap();
    let run = Run { udid: UDID, kind: "full", told: &[], now };
    let stored = store::arrived::store(&state, &writer, &verified, &run).unwrap();
    (verified, stored)
}

/// A first backup of some files; what the device would see at the next is what it sent.
fn backed_up(
    files: &[&Sent],
    change: impl FnOnce(&mut End),
    ring: &Keyring,
) -> (tempfile::TempDir, Repository, Verified, Stored) {
    let (dir, root) = folder();
    let (mut tree, repository) = open_on_newest(&root);
    tree.state().settings.hold = true;
    for file in files {
        put(&mut tree, &id(&file.record.relative_path).path(), &file.payload).unwrap();
    }
    let mut last = End { plist: plist(), manifest: manifest(&root, files) };
    change(&mut last);
    let (verified, stored) = end(&mut tree, &last, ring);
    let received = all(&mut tree);
    drop(tree);
    assert_eq!(presented(&root, &stored), received_but(&stored, received));
    (dir, repository, verified, stored)
}

/// What the device would see at the next backup.
fn presented(root: &Utf8Path, stored: &Stored) -> Model {
    let (mut tree, _) = open_on_newest(root);
    received_but(stored, all(&mut tree))
}

/// Leaves out the 256 folders, and what is not presented because it is not whole.
fn received_but(stored: &Stored, seen: Model) -> Model {
    let damaged: HashSet<&str> = stored.about.known_damage.iter().map(String::as_str).collect();
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let kept = |(path, bytes): &(String, Option<Vec<u8>>)| {
        bytes.is_some() && !damaged.contains(name(path).as_str())
    };
    seen.into_iter().filter(kept).collect()
}

fn why(stored: &Stored) -> Vec<(String, String)> {
    let files = stored.about.sealed_files.iter();
    let mut why: Vec<_> = files.map(|file| (file.path.clone(), file.why.clone())).collect();
    why.sort();
    why
}

#[test]
fn files_are_opened_and_the_device_sees_what_it_sent() {
    let files = [sent("a.txt", b"hello", 41), sent("b.db", DATABASE, 42), sent("empty", b"", 43)];
    let files: Vec<&Sent> = files.iter().collect();
    let (_dir, repository, verified, stored) = backed_up(&files, |_| {}, &ring(&[PASSWORD]));
    assert_eq!((verified.report.damages(), verified.report.digests), (0, 3));
    assert_eq!((stored.about.files, stored.about.sealed, stored.sealed.len()), (3, 0, 0));
    assert_eq!(bytes_of(&repository, "files/HomeDomain/a.txt").unwrap(), b"hello");
    assert_eq!(bytes_of(&repository, "files/HomeDomain/b.db").unwrap(), DATABASE);
    assert_eq!(bytes_of(&repository, "files/HomeDomain/empty").unwrap(), b"");
    assert!(bytes_of(&repository, "backup/Manifest.db").unwrap().starts_with(b"SQLite format 3\0"));
    let keys = bytes_of(&repository, "lifeboat/keys.json").unwrap();
    let keys: serde_json::Value = serde_json::from_slice(&keys).unwrap();
    assert_eq!(keys["classes"]["3"], "03".repeat(32));
    assert!(!keys.to_string().contains(PASSWORD));
}

#[test]
fn what_cannot_be_made_again_stays_as_it_was_sent_and_is_named() {
    let good = sent("good", b"good", 41);
    let mut unpadded = sent("unpadded", &[0xaa; 32], 42);
    unpadded.payload.truncate(32);
    // Its content ends as padding does.
    let mut looks_padded = sent("looks-padded", &[5; 32], 47);
    looks_padded.payload.truncate(32);
    let mut nothing = sent("nothing", b"", 43);
    nothing.payload.clear();
    let mut torn = sent("torn", &[6; 100], 44);
    torn.payload.truncate(55);
    let mut no_key = sent("no-key", b"no key", 45);
    no_key.record.encryption_key = None;
    let mut wrong = sent("wrong-key", b"wrong key", 46);
    wrong.record.encryption_key.as_mut().unwrap()[20] ^= 1;
    let odd = [&good, &unpadded, &looks_padded, &nothing, &torn, &no_key, &wrong];
    let mut records: Vec<Sent> = Vec::new();
    for file in odd {
        let digest = Some(Sha1::digest(&file.payload).to_vec());
        let record = MbFile { digest, ..file.record.clone() };
        records.push(Sent { record, payload: file.payload.clone() });
    }
    let files: Vec<&Sent> = records.iter().collect();
    let (_dir, repository, verified, stored) = backed_up(&files, |_| {}, &ring(&[PASSWORD]));
    let named = |path: &str, why: &str| (path.to_owned(), why.to_owned());
    assert_eq!(
        why(&stored),
        [
            named("looks-padded", "padding"),
            named("no-key", "no-key"),
            named("nothing", "empty"),
            named("torn", "truncated"),
            named("unpadded", "padding"),
            named("wrong-key", "wrong-key"),
        ]
    );
    // What nobody could ever read is missing; the rest is only kept in another form.
    let damage: HashSet<FileId> = verified.damaged().into_iter().collect();
    assert_eq!(damage, HashSet::from([id("no-key"), id("torn")]));
    for file in &files {
        let name = &file.record.relative_path;
        let sealed = bytes_of(&repository, &format!("sealed/{}", id(name).path()));
        assert_eq!(sealed.is_none(), name == "good", "{name}");
        assert!(sealed.is_none_or(|sealed| sealed == file.payload), "{name}");
    }
    assert_eq!(bytes_of(&repository, "files/HomeDomain/good").unwrap(), b"good");
}

/// A backup that nothing opens is kept as it was sent, and says why.
fn stays_sealed(cases: &[(&str, Wrong, &[&str])], tag: Tag) {
    let file = sent("a.txt", b"hello", 41);
    for (word, wrong, passwords) in cases {
        let (_dir, repository, verified, stored) = backed_up(&[&file], wrong, &ring(passwords));
        assert_eq!(verified.locked().unwrap().id(), *word);
        assert!(stored.about.is_sealed() && newest(&repository).is(tag), "{word}");
        let sealed = bytes_of(&repository, &format!("sealed/{}", id("a.txt").path()));
        assert_eq!(sealed.unwrap(), file.payload, "{word}");
        assert!(bytes_of(&repository, "lifeboat/keys.json").is_none(), "{word}");
    }
}

#[test]
fn without_the_password_a_backup_is_complete_and_sealed() {
    let stranger = |last: &mut End| last.plist.keybag = Some(keybag("other", 100));
    let cases: [(&str, Wrong, &[&str]); 3] = [
        ("password-unknown", |_| {}, &[]),
        ("backup-password-wrong", |_| {}, &["wrong"]),
        ("backup-password-wrong", stranger, &[PASSWORD]),
    ];
    stays_sealed(&cases, Tag::Complete);
}

#[test]
fn a_keybag_that_no_password_opens_makes_a_backup_incomplete_and_loses_nothing() {
    let flip = |last: &mut End| {
        last.plist.manifest_key.iter_mut().for_each(|key| key[20] ^= 1);
    };
    let foreign = |last: &mut End| last.plist.keybag = Some(keybag(PASSWORD, 100));
    let cases: [(&str, Wrong, &[&str]); 4] = [
        ("keybag-missing", |last| last.plist.keybag = None, &[PASSWORD]),
        ("keybag-damaged", |last| last.plist.keybag = Some(vec![1; 50]), &[PASSWORD]),
        ("manifest-key-damaged", flip, &[PASSWORD]),
        ("manifest-key-damaged", foreign, &[PASSWORD]),
    ];
    stays_sealed(&cases, Tag::Partial);
}

#[test]
fn a_manifest_that_is_none_makes_a_backup_incomplete_and_loses_nothing() {
    let cases: [(&str, Wrong, &[&str]); 2] = [
        ("manifest-damaged", |last| last.manifest.truncate(1000), &[PASSWORD]),
        ("manifest-damaged", |last| last.manifest = seal(&key(98), &[7; 4096]), &[PASSWORD]),
    ];
    stays_sealed(&cases, Tag::Partial);
}

#[test]
fn what_is_not_sent_again_is_taken_over_and_another_key_keeps_what_was_sent() {
    let (kept, renewed) = (sent("kept", b"kept", 41), sent("renewed", b"renewed", 42));
    let files = [&kept, &renewed];
    let (dir, repository, ..) = backed_up(&files, |_| {}, &ring(&[PASSWORD]));
    let root = Utf8Path::from_path(dir.path()).unwrap();
    // The row of the second has another key now, and nothing came for it.
    let mut other = sent("renewed", b"renewed", 43);
    other.record.digest = renewed.record.digest.clone();
    let (mut tree, _) = open_on_newest(root);
    tree.state().settings.hold = true;
    let last = End { plist: plist(), manifest: manifest(root, &[&kept, &other]) };
    let (verified, stored) = end(&mut tree, &last, &ring(&[PASSWORD]));
    let received = all(&mut tree);
    drop(tree);
    assert_eq!(verified.report.damages(), 0, "{:?}", verified.report.findings);
    assert_eq!(why(&stored), [("renewed".to_owned(), "other-key".to_owned())]);
    let sealed = bytes_of(&repository, &format!("sealed/{}", id("renewed").path()));
    assert_eq!(sealed.unwrap(), renewed.payload);
    assert_eq!(bytes_of(&repository, "files/HomeDomain/kept").unwrap(), b"kept");
    assert_eq!(presented(root, &stored), received_but(&stored, received));
}

#[test]
fn a_sealed_backup_is_opened_by_the_next_whose_password_is_known() {
    let file = sent("a.txt", b"hello", 41);
    let (dir, repository, ..) = backed_up(&[&file], |_| {}, &ring(&[]));
    let root = Utf8Path::from_path(dir.path()).unwrap();
    let (mut tree, _) = open_on_newest(root);
    tree.state().settings.hold = true;
    let last = End { plist: plist(), manifest: manifest(root, &[&file]) };
    let (verified, stored) = end(&mut tree, &last, &ring(&[PASSWORD]));
    let received = all(&mut tree);
    drop(tree);
    assert_eq!((verified.report.damages(), stored.about.sealed), (0, 0));
    assert_eq!(bytes_of(&repository, "files/HomeDomain/a.txt").unwrap(), b"hello");
    assert_eq!(presented(root, &stored), received_but(&stored, received));
}

/// Writes a sealed snapshot of a second of which `about.json` and `Manifest.plist` are these.
fn write_sealed(repository: &Repository, second: i64, about: &[u8], plist: &[u8]) -> String {
    let writer = repository.writer(&writing()).unwrap();
    let time = jiff::Timestamp::from_second(second).unwrap();
    let mut tree = TreeBuilder::new();
    for (path, bytes) in [("lifeboat/about.json", about), ("backup/Manifest.plist", plist)] {
        let content = writer.store(bytes, None).unwrap();
        tree.add(path, Node::file(content, time)).unwrap();
    }
    let new = NewSnapshot {
        time,
        udid: UDID.to_owned(),
        tag: Tag::Complete,
        also: None,
        label: None,
        description: None,
        parent: None,
    };
    writer.commit(tree, &new).unwrap().0.to_string()
}

#[test]
fn a_sealed_snapshot_that_is_broken_keeps_no_other_sealed() {
    let file = sent("a.txt", b"hello", 41);
    let (dir, repository, _, first) = backed_up(&[&file], |_| {}, &ring(&[]));
    let about = bytes_of(&repository, "lifeboat/about.json").unwrap();
    let with_keybag = |keybag| ManifestPlist { keybag, ..plist() }.encode();
    let broken = [
        (10, b"no property list".to_vec(), "repository-damaged"),
        (11, with_keybag(Some(vec![1; 50])), "keybag-damaged"),
        (12, with_keybag(None), "keybag-missing"),
        (13, with_keybag(Some(keybag("other", 100))), "backup-password-wrong"),
        // The same keybag is not tried twice.
        (14, with_keybag(Some(keybag("other", 100))), "backup-password-wrong"),
        (15, b"no property list either".to_vec(), "repository-damaged"),
    ];
    let wanted: Vec<_> = broken
        .iter()
        .rev()
        .map(|(second, plist, why)| (write_sealed(&repository, *second, &about, plist), *why))
        .collect();
    let ctx = Context::new(Arc::new(FakeHost::default()), EventSink::silent());
    let writer = repository.writer(&writing()).unwrap();
    let place = Utf8Path::from_path(dir.path()).unwrap().join("sealed-manifest.db");
    let opening = Opening { ctx: &ctx, repository: &repository, writer: &writer, place };
    let summary = opening.all(UDID, ring(&[PASSWORD])).unwrap();
    let sealed: Vec<_> =
        summary.sealed.iter().map(|one| (one.snapshot.clone(), one.why.as_str())).collect();
    assert_eq!(sealed, wanted);
    let opened: Vec<_> = summary.opened.iter().map(|one| one.sealed.clone()).collect();
    assert_eq!(opened, [first.snapshot.to_string()], "the oldest comes last, and is opened");
    assert_eq!(summary.outcome, Outcome::Incomplete);
    let note = still_sealed(&summary.sealed).unwrap().message;
    assert!(note.starts_with("6 earlier snapshots stay sealed: "), "{note}");
    let short: String = wanted[0].0.chars().take(8).collect();
    assert!(note.contains(&format!("{short} (repository-damaged)")), "{note}");
    assert_eq!(still_sealed(&[]), None);
}

#[test]
fn what_went_straight_into_packs_or_was_kept_by_a_broken_run_is_opened_all_the_same() {
    let (dir, root) = folder();
    let files = [sent("first", &vec![1; 70_000], 41), sent("second", &[2; 500], 42)];
    // The first comes in a run that breaks; the second, where the working area has no room.
    {
        let mut tree = open_packing(&root, 0);
        tree.state().settings.hold = true;
        put(&mut tree, &id("first").path(), &files[0].payload).unwrap();
        tree.state().settle().unwrap();
    }
    let mut tree = open_packing(&root, u64::MAX / 2);
    tree.state().settings.hold = true;
    put(&mut tree, &id("second").path(), &files[1].payload).unwrap();
    let all_files: Vec<&Sent> = files.iter().collect();
    let last = End { plist: plist(), manifest: manifest(&root, &all_files) };
    let (verified, stored) = end(&mut tree, &last, &ring(&[PASSWORD]));
    let repository = tree.state().repository().unwrap().clone();
    drop(tree);
    assert_eq!((verified.report.damages(), stored.about.sealed), (0, 0));
    for (name, byte, length) in [("first", 1, 70_000), ("second", 2, 500)] {
        let path = format!("files/HomeDomain/{name}");
        assert_eq!(bytes_of(&repository, &path).unwrap(), vec![byte; length], "{name}");
    }
    drop(dir);
}
