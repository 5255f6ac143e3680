//! Encrypted backups: opened when they are stored, handed back bit for bit, sealed where nobody knows the password.
//!
//! What a phone sent is known without trusting the program: its control files are the phone's own copies, and a payload is determined
//! by its plain text, which the oracle tells, and by its key, which stands in the phone's own manifest.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod days;
mod large;

use std::collections::BTreeMap;
use std::io::Read as _;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::crypto::{Decrypt, Encrypt, Key};
use lifeboat_mobilesync::keybag::WrappedKey;
use lifeboat_mobilesync::manifest::unseal;
use lifeboat_mobilesync::{EntryKind, ManifestDb, ManifestPlist};
use lifeboat_testkit::digest::{self, assert_same, file, files, hex};
use lifeboat_testkit::{Home, Sim};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::home;

const PASSWORD: &str = "sesame canary";

/// A phone with a backup password, and rounds for the impatient; `more` are lines of its table `[encryption]`.
fn phone(more: &str) -> String {
    format!(
        "profile = \"tiny\"\nseed = 3\n[encryption]\npassword = \"{PASSWORD}\"\nrounds = 1000\n{more}\n"
    )
}

/// A home with a trusted phone whose backups are encrypted.
fn encrypted(more: &str) -> (Home, Sim) {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[&phone(more)], &[]);
    home.lifeboat(["pair"]).ok();
    (home, sim)
}

/// Writes a password into a file and lets the home's programs take it from there.
fn knows(home: &mut Home, password: &str) {
    let path = home.path().join(format!("password-{}", password.len()));
    lifeboat_host::secret::write_private_file(&path, format!("{password}\n").as_bytes()).unwrap();
    home.set("BACKUP_PASSWORD_FILE", path.as_str());
}

fn backup(home: &Home) -> Value {
    home.lifeboat(["backup", "--json"]).ok().summary()
}

fn id(summary: &Value) -> String {
    summary["snapshot"].as_str().expect("a snapshot").to_owned()
}

/// The notes of a summary, by their ids; those of files stored by number for the sake of their names are left out.
fn notes(summary: &Value) -> Vec<String> {
    let notes = summary["notes"].as_array().expect("notes");
    notes.iter().map(|note| note["id"].as_str().unwrap().to_owned()).collect()
}

/// Exports as Finder has it.
fn finder(home: &Home, snapshot: &str, folder: &str) -> Utf8PathBuf {
    home.lifeboat(["export", snapshot, folder, "--as", "finder"]).ok();
    let mut inside = home.path().join(folder).read_dir_utf8().unwrap();
    inside.next().unwrap().unwrap().path().to_owned()
}

/// The phone's own copies of what it sent, kept aside: SHA-256 by name; and its oracle.
struct Sent {
    control: BTreeMap<String, String>,
    plain: BTreeMap<String, String>,
}

fn sent(home: &Home, sim: &Sim) -> Sent {
    Sent { plain: sim.digest(home), ..control(sim) }
}

/// What is not told by the oracle.
fn control(sim: &Sim) -> Sent {
    let own = sim.state.join("phones").join(sim.udid()).join("backupd/sent");
    let control = ["Manifest.db", "Manifest.plist", "Status.plist"]
        .map(|name| (name.to_owned(), file(&own.join(name)).1));
    Sent { control: control.into(), plain: BTreeMap::new() }
}

/// Makes sure that a folder is what the phone sent, byte for byte.
fn assert_received(folder: &Utf8Path, sent: &Sent, password: &str) {
    drop(received(folder, sent, password, &mut Proved::new()));
}

/// Payloads that were proved: by file ID the wrapped key, the SHA-256 of the payload, and that of its plain text.
type Proved = BTreeMap<String, (Vec<u8>, String, String)>;

/// Makes sure that a folder is what the phone sent, byte for byte; returns the SHA-256 of each of its files. A payload that was proved
/// with its key on another day is only compared with that one.
fn received(
    folder: &Utf8Path,
    sent: &Sent,
    password: &str,
    proved: &mut Proved,
) -> BTreeMap<String, String> {
    let tree = files(folder);
    let control = sent.control.keys().map(|name| (name.clone(), tree[name].clone())).collect();
    assert_same(&control, &sent.control);
    let plist = fs_err::read(folder.join("Manifest.plist")).unwrap();
    let plist = ManifestPlist::parse(&plist).unwrap();
    assert!(plist.is_encrypted);
    let keys = plist.parse_keybag().unwrap().unlock(password).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let plain = Utf8Path::from_path(scratch.path()).unwrap().join("Manifest.db");
    let key = plist.open_manifest_key(&keys).unwrap().unwrap();
    unseal(&key, &folder.join("Manifest.db"), &plain).unwrap();
    let (rows, _) = ManifestDb::open(&plain).unwrap().rows().unwrap();
    let mut found = BTreeMap::new();
    for row in rows.iter().filter(|row| row.kind == EntryKind::File) {
        let path = row.file_id.path();
        let wrapped = row.file.as_ref().unwrap().encryption_key.as_ref().unwrap();
        let known = proved.get(&path).filter(|(key, sum, _)| key == wrapped && tree[&path] == *sum);
        let plain = if let Some((.., plain)) = known {
            plain.clone()
        } else {
            let key = keys.open(&WrappedKey::parse(wrapped).unwrap()).unwrap();
            plain_of(&folder.join(&path), &key)
        };
        found.insert(format!("{}/{}", row.domain, row.relative_path), plain.clone());
        proved.insert(path.clone(), (wrapped.clone(), tree[&path].clone(), plain));
    }
    assert_same(&found, &sent.plain);
    let others = tree.keys().filter(|path| path.contains('/')).count();
    assert_eq!(others, found.len(), "nothing but payloads of rows");
    tree
}

/// Returns the SHA-256 of the plain text of a payload, of which the phone's key makes the payload again.
fn plain_of(payload: &Utf8Path, key: &Key) -> String {
    let payload = fs_err::read(payload).unwrap();
    let mut plain = Vec::new();
    Decrypt::new(key, payload.as_slice()).read_to_end(&mut plain).unwrap();
    let mut again = Vec::new();
    Encrypt::new(key, plain.as_slice()).read_to_end(&mut again).unwrap();
    // Some phones send nothing for a file that is empty.
    assert!(again == payload || payload.is_empty() && plain.is_empty());
    hex(&Sha256::digest(&plain))
}

#[test]
fn the_first_and_the_next_backup_are_opened_and_come_out_as_the_phone_sent_them() {
    for more in
        ["", "manifest-padding = false\nmanifest-key = \"kept\"\n[knobs]\nmanifest = \"rebuilt\""]
    {
        let (mut home, sim) = encrypted(more);
        knows(&mut home, PASSWORD);
        let first = backup(&home);
        let first_sent = sent(&home, &sim);
        assert_eq!((&first["encrypted"], &first["stored"]), (&true.into(), &"opened".into()));
        sim.ctl(&home, &["live", "--days", "1"]);
        // What opened it lies in the snapshot: the next one needs no password.
        home.set("BACKUP_PASSWORD_FILE", "");
        let second = backup(&home);
        let second_sent = sent(&home, &sim);
        assert_eq!((&second["kind"], &second["stored"]), (&"incremental".into(), &"opened".into()));
        for (summary, sent, folder) in
            [(&first, &first_sent, "first"), (&second, &second_sent, "second")]
        {
            assert_eq!(summary["files_total"], sent.plain.len(), "{summary}");
            let unplain: Vec<_> = notes(summary).into_iter().filter(|id| id != "sealed").collect();
            assert_eq!(unplain, [""; 0], "{summary}");
            assert_received(&finder(&home, &id(summary), folder), sent, PASSWORD);
            let out = format!("{folder}-plain");
            home.lifeboat(["export", &id(summary), &out, "--as", "files"]).ok();
            let plain = files(&home.path().join(&out));
            let named: BTreeMap<_, _> =
                sent.plain.iter().filter(|(path, _)| plain.contains_key(*path)).collect();
            assert!(named.len() + 4 >= sent.plain.len(), "all but odd names");
            assert!(named.iter().all(|(path, sum)| plain[*path] == **sum));
            assert_eq!(plain.len(), sent.plain.len());
        }
        home.lifeboat(["check", "--read-data"]).ok();
    }
}

#[test]
fn a_day_of_an_opened_backup_costs_a_part_of_what_is_sent() {
    let (mut home, sim) = encrypted("");
    knows(&mut home, PASSWORD);
    let first = backup(&home);
    sim.ctl(&home, &["live", "--days", "1"]);
    let second = backup(&home);
    let number = |summary: &Value, key: &str| summary[key].as_u64().unwrap();
    // The message database comes whole under a new key, and only its new pages are stored.
    assert!(
        number(&second, "bytes_added") * 2 < number(&second, "bytes_received"),
        "{first}\n{second}"
    );
}

#[test]
fn without_a_password_all_is_sealed_and_one_that_comes_later_opens_it() {
    let (mut home, sim) = encrypted("");
    let first = backup(&home);
    let first_sent = sent(&home, &sim);
    assert_eq!((&first["outcome"], &first["stored"]), (&"done".into(), &"sealed".into()));
    assert_eq!(notes(&first), ["backup-password-unknown", "password-unknown"]);
    assert_received(&finder(&home, &id(&first), "sealed"), &first_sent, PASSWORD);
    let refused = home.lifeboat(["export", "latest", "plain", "--as", "files", "--json"]).run();
    assert_eq!(refused.status, Some(12), "{refused}");
    assert!(refused.out().contains("password-unknown"), "{refused}");
    assert!(!home.path().join("plain").exists(), "nothing was begun");
    knows(&mut home, "another one");
    let refused = home.lifeboat(["export", "latest", "plain", "--as", "files", "--json"]).run();
    assert_eq!(refused.status, Some(12), "{refused}");
    assert!(refused.out().contains("backup-password-wrong"), "{refused}");
    sim.ctl(&home, &["live", "--days", "1"]);
    let second = backup(&home);
    let second_sent = sent(&home, &sim);
    // Before anything is sent, and when it is certain.
    assert_eq!(notes(&second), ["backup-password-unknown", "backup-password-wrong"]);
    assert_eq!((&second["outcome"], &second["stored"]), (&"done".into(), &"sealed".into()));
    // A password that is given opens a sealed snapshot on the way.
    knows(&mut home, PASSWORD);
    home.lifeboat(["export", &id(&first), "opened-on-the-way", "--as", "files"]).ok();
    assert_eq!(files(&home.path().join("opened-on-the-way")).len(), first_sent.plain.len());
    // The next backup rests on a sealed one, opens what of it stayed, and opens the earlier ones.
    sim.ctl(&home, &["live", "--days", "1"]);
    let third = backup(&home);
    let third_sent = sent(&home, &sim);
    assert_eq!((&third["kind"], &third["stored"]), (&"incremental".into(), &"opened".into()));
    let opened = third["opened_earlier"].as_array().unwrap();
    assert_eq!(opened.len(), 2, "{third}");
    assert!(opened.iter().all(|opened| opened["forgotten"] == true), "{third}");
    let all = home.lifeboat(["snapshots", "--json"]).ok().json();
    let tags: Vec<_> = all["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["tag"].as_str().unwrap())
        .collect();
    assert_eq!(tags, ["opened", "opened", "complete"]);
    for (at, sent) in [&first_sent, &second_sent, &third_sent].into_iter().enumerate() {
        let snapshot = all["snapshots"][at]["id"].as_str().unwrap();
        let folder = finder(&home, snapshot, &format!("after-{at}"));
        assert_received(&folder, sent, PASSWORD);
    }
    home.lifeboat(["check", "--read-data"]).ok();
    // The times are those of the backups.
    assert_eq!(all["snapshots"][0]["time"], first_time(&opened[1]));
}

fn first_time(opened: &Value) -> Value {
    opened["time"].clone()
}

#[test]
fn a_folder_of_another_tool_is_read_with_its_password() {
    let (mut home, sim) = encrypted("");
    let summary = backup(&home);
    let sent = sent(&home, &sim);
    let folder = finder(&home, &id(&summary), "folder");
    let ls = |home: &Home| home.lifeboat(["ls", "--folder", folder.as_str(), "-R", "--json"]).run();
    let refused = ls(&home);
    assert_eq!(refused.status, Some(12), "{refused}");
    knows(&mut home, "wrong");
    assert!(ls(&home).out().contains("backup-password-wrong"));
    knows(&mut home, PASSWORD);
    let listed = ls(&home).json();
    let listed = listed["entries"].as_array().unwrap();
    let names = listed.iter().filter(|one| one["kind"] == "file").count();
    assert_eq!(names, sent.plain.len());
    for path in ["HomeDomain/Library/SMS/sms.db", "HealthDomain/Health/healthdb_secure.sqlite"] {
        let run = home.lifeboat(["cat", "--folder", folder.as_str(), path]).ok();
        assert_eq!(hex(&Sha256::digest(&run.stdout)), sent.plain[path], "{path}");
        let size = listed.iter().find(|one| one["path"] == path).unwrap()["size"].as_u64();
        assert_eq!(size, Some(run.stdout.len() as u64), "{path}");
    }
    let shown = home.lifeboat(["show", "--folder", folder.as_str(), "--json"]).ok().json();
    assert_eq!(shown["files"], sent.plain.len());
    let cache = home.path().join("cache/lifeboat");
    let left = cache.read_dir_utf8().map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.file_name().starts_with("scratch-")).count()
    });
    assert_eq!(left, 0, "nothing decrypted stays behind");
}

#[test]
fn a_password_that_somebody_remembers_opens_what_is_sealed() {
    let (home, sim) = encrypted("");
    let summary = backup(&home);
    let sent = sent(&home, &sim);
    let remembered = home.path().join("remembered");
    fs_err::write(&remembered, format!("wrong\n{PASSWORD}\n")).unwrap();
    home.lifeboat(["password", "test", "--candidates", remembered.as_str()]).ok();
    let listed = home.lifeboat(["snapshots", "--json"]).ok().json();
    let listed = listed["snapshots"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "the sealed one is forgotten");
    assert_eq!(listed[0]["tag"], "opened");
    assert_ne!(listed[0]["id"], summary["snapshot"]);
    assert_received(&finder(&home, "latest", "opened"), &sent, PASSWORD);
    home.lifeboat(["export", "latest", "plain", "--as", "files"]).ok();
    assert_eq!(files(&home.path().join("plain")).len(), sent.plain.len());
    home.lifeboat(["check", "--read-data"]).ok();
    // The next backup builds upon it, and needs no password.
    sim.ctl(&home, &["live", "--days", "1"]);
    let next = backup(&home);
    assert_eq!((&next["kind"], &next["stored"]), (&"incremental".into(), &"opened".into()));
}

/// Whether a file below a folder holds these bytes; the repository and the simulator's own folder are left out.
fn holder(folder: &Utf8Path, bytes: &[u8]) -> Option<Utf8PathBuf> {
    folder.read_dir_utf8().unwrap().flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holder(path, bytes);
        }
        let content = fs_err::read(path).unwrap_or_default();
        content.windows(bytes.len()).any(|part| part == bytes).then(|| path.to_owned())
    })
}

#[test]
fn neither_the_log_nor_what_stays_on_disk_has_a_secret() {
    let (mut home, sim) = encrypted("");
    knows(&mut home, PASSWORD);
    let run = home.lifeboat(["backup", "--json", "-vvv"]).ok();
    let snapshot = id(&run.summary());
    let folder = finder(&home, &snapshot, "out");
    let plist =
        ManifestPlist::parse(&fs_err::read(folder.join("Manifest.plist")).unwrap()).unwrap();
    let keys = plist.parse_keybag().unwrap().unlock(PASSWORD).unwrap();
    let (_, key) = keys.iter().next().unwrap();
    let export =
        home.lifeboat(["export", &snapshot, "plain", "--as", "files", "--json", "-vvv"]).ok();
    for run in [&run, &export] {
        for secret in [PASSWORD, &hex(&**key), &hex(&**key).to_uppercase()] {
            assert!(!run.err().contains(secret) && !run.out().contains(secret), "{secret}");
        }
    }
    // What a person's messages look like when they are not encrypted.
    let page = b"SQLite format 3\0";
    for place in ["state", "tmp", "runtime"] {
        for secret in [PASSWORD.as_bytes(), &key[..], &page[..]] {
            assert_eq!(holder(&home.path().join(place), secret), None);
        }
    }
    for secret in [PASSWORD.as_bytes(), &key[..]] {
        assert_eq!(holder(&home.path().join("cache"), secret), None);
        assert_eq!(holder(&home.repository(), secret), None);
    }
    drop(sim);
}

#[test]
fn a_file_whose_name_is_no_path_is_read_as_plain_text() {
    let (mut home, sim) = encrypted("");
    knows(&mut home, PASSWORD);
    let summary = backup(&home);
    let oracle = sim.digest(&home);
    let shown = home.lifeboat(["ls", "latest", "-R", "--json"]).ok().json();
    let names: Vec<&str> = shown["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    let odd = summary["notes"].as_array().unwrap().iter().find(|note| note["id"] == "sealed");
    let odd =
        odd.expect("two names are the same but for case")["message"].as_str().unwrap().to_owned();
    let odd: Vec<&String> =
        oracle.keys().filter(|path| odd.contains(&format!("{path} (name)"))).collect();
    assert!(!odd.is_empty(), "{summary}");
    for path in odd {
        assert!(names.contains(&path.as_str()), "{path}");
        let run = home.lifeboat(["cat", &format!("latest:{path}")]).ok();
        assert_eq!(hex(&Sha256::digest(&run.stdout)), oracle[path], "{path}");
    }
}
