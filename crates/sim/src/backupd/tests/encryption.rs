//! Encrypted backups, and the password they are made with.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::crypto::Decrypt;
use lifeboat_mobilesync::keybag::{ClassKeys, Keybag, WrappedKey};
use lifeboat_mobilesync::manifest::unseal;
use lifeboat_mobilesync::{EntryKind, ManifestDb, ManifestPlist, Row};
use lifeboat_wire::lockdown::notification;

use super::host::Host;
use super::{Home, fails, spec, succeeds};
use crate::backupd::BackupdError;
use crate::options::{
    EmptyFiles, EncryptionSpec, History, ManifestKnob, Password, PhoneSpec, Rekey, Reuse, RuleError,
};
use crate::phone::Phone;

/// A phone with a password, and rounds for the impatient.
fn with_password(password: &str) -> PhoneSpec {
    let encryption = EncryptionSpec {
        password: Password::new(password),
        rounds: 50,
        ..EncryptionSpec::default()
    };
    PhoneSpec { encryption, ..spec() }
}

fn plist(root: &Utf8Path) -> ManifestPlist {
    ManifestPlist::parse(&fs_err::read(root.join("Manifest.plist")).unwrap()).unwrap()
}

/// Opens a backup with the phone's password; nothing when neither is encrypted.
pub(super) fn unlock(phone: &Phone, root: &Utf8Path) -> Option<ClassKeys> {
    let plist = plist(root);
    assert_eq!(plist.is_encrypted, phone.encrypts());
    let password = phone.backup_password()?;
    Some(plist.parse_keybag().unwrap().unlock(password.reveal()).unwrap())
}

/// Returns a manifest that can be read.
pub(super) fn manifest(root: &Utf8Path, keys: Option<&ClassKeys>) -> Utf8PathBuf {
    let sealed = root.join("Manifest.db");
    let Some(keys) = keys else { return sealed };
    let opened = root.with_extension("opened.db");
    unseal(&plist(root).open_manifest_key(keys).unwrap().unwrap(), &sealed, &opened).unwrap();
    opened
}

/// Returns the plain text of a file.
pub(super) fn payload(root: &Utf8Path, row: &Row, keys: Option<&ClassKeys>) -> Vec<u8> {
    let bytes = fs_err::read(root.join(row.file_id.path())).unwrap();
    let record = row.file.as_ref().unwrap();
    let Some(keys) = keys else {
        assert_eq!(record.encryption_key, None);
        return bytes;
    };
    let wrapped = WrappedKey::parse(record.encryption_key.as_ref().unwrap()).unwrap();
    assert_eq!(wrapped.class, u32::from(record.protection_class));
    let mut plain = Vec::new();
    let key = keys.open(&wrapped).unwrap();
    Decrypt::new(&key, bytes.as_slice()).read_to_end(&mut plain).unwrap();
    assert_eq!(plain.len() as u64, record.size, "{}", row.relative_path);
    plain
}

/// The wrapped keys of all files by path, and their payloads.
fn sealed_files(home: &Home, host: &Host) -> BTreeMap<String, (Vec<u8>, Vec<u8>)> {
    let folder = Utf8Path::from_path(home.folder.path()).unwrap().join("look");
    drop(fs_err::remove_dir_all(&folder));
    let root = home.write_out(host, &folder);
    let keys = unlock(&home.phone, &root).unwrap();
    let (rows, _) = ManifestDb::open(&manifest(&root, Some(&keys))).unwrap().rows().unwrap();
    assert!(rows.iter().all(|row| {
        (row.kind == EntryKind::File) == row.file.as_ref().unwrap().encryption_key.is_some()
    }));
    rows.into_iter()
        .filter(|row| row.kind == EntryKind::File)
        .map(|row| {
            let payload = fs_err::read(root.join(row.file_id.path())).unwrap();
            let key = row.file.unwrap().encryption_key.unwrap();
            (format!("{}/{}", row.domain, row.relative_path), (key, payload))
        })
        .collect()
}

fn on_host(host: &Host) -> ManifestPlist {
    ManifestPlist::parse(&host.files[&host.path("Manifest.plist")]).unwrap()
}

fn kind(home: &Home) -> String {
    home.phone.traffic.job().kind.unwrap()
}

/// Asks for another password; the host says what the phone answered.
async fn change(
    home: &Home,
    host: &mut Host,
    passwords: [Option<&'static str>; 2],
) -> (i64, String) {
    (host.request, host.passwords) = ("ChangePassword", passwords);
    let answer = fails(home, host).await;
    (host.request, host.passwords) = ("Backup", [None, None]);
    answer
}

const DONE: (i64, String) = (0, String::new());

#[tokio::test]
async fn a_day_costs_new_keys_for_what_changed_and_leaves_the_rest() {
    for (manifest, reuse) in
        [(ManifestKnob::InPlace, Reuse::Fresh), (ManifestKnob::Rebuilt, Reuse::Kept)]
    {
        let mut spec = with_password("sesame");
        spec.knobs.manifest = manifest;
        spec.encryption.manifest_key = reuse;
        let home = Home::new(spec);
        let mut host = Host::new(&home.phone);
        succeeds(&home, &mut host).await;
        home.check(&host);
        let job = home.phone.traffic.job();
        let before = sealed_files(&home, &host);
        let oracle = home.oracle();
        assert_eq!((kind(&home), job.files_sent), ("full".to_owned(), oracle.len() as u64));
        assert!(oracle.contains_key("HealthDomain/Health/healthdb_secure.sqlite"));
        let bytes: u64 = before.values().map(|(_, payload)| payload.len() as u64).sum();
        assert_eq!(job.bytes_sent, bytes, "what is counted is what went over the wire");
        let keys: BTreeSet<_> = before.values().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), before.len(), "each file has a key of its own");
        let first = on_host(&host);
        assert_eq!(first.keybag.as_ref().unwrap().len(), 1388);

        home.live(3);
        succeeds(&home, &mut host).await;
        home.check(&host);
        assert_eq!(kind(&home), "incremental");
        let after = sealed_files(&home, &host);
        let sent = String::from_utf8(home.sent("files.txt")).unwrap();
        let sent: BTreeSet<&str> =
            sent.lines().map(|line| line.splitn(3, ' ').nth(2).unwrap()).collect();
        let now = home.oracle();
        let changed: Vec<_> =
            now.iter().filter(|(path, hash)| oracle.get(*path) != Some(hash)).collect();
        assert!(changed.len() > 3 && sent.len() < now.len() / 2);
        for (path, (key, payload)) in &after {
            match before.get(path) {
                Some(old) if !sent.contains(path.as_str()) => {
                    assert!(old == &(key.clone(), payload.clone()), "{path} was not sent");
                }
                Some((old, _)) => assert_ne!(old, key, "{path} was sent with its old key"),
                None => assert!(sent.contains(path.as_str())),
            }
        }
        let second = on_host(&host);
        assert_eq!(second.keybag, first.keybag);
        assert_eq!(second.manifest_key == first.manifest_key, reuse == Reuse::Kept);
    }
}

#[tokio::test]
async fn a_break_at_any_point_of_an_encrypted_backup_is_made_good_by_the_next_try() {
    let home = Home::new(with_password("sesame"));
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    let all = home.phone.traffic.job().messages_sent;
    let batches = (home.oracle().len() as u64).div_ceil(128);
    let ending = 520 + 2 * batches;
    let cuts = [5, 300].into_iter().chain((518..ending + 12).step_by(3)).chain([all - 1]);
    for cut in cuts {
        let mut host = Host::new(&home.phone);
        home.fault("drop", &[("after", &cut.to_string()), ("times", "1")]);
        let (served, _) = super::backup(&home.phone, &mut host).await;
        assert!(matches!(served, Err(BackupdError::Dropped)), "{cut}: {served:?}");
        succeeds(&home, &mut host).await;
        home.check(&host);
        assert_eq!(home.phone.traffic.job().files_sent_again, 0, "cut after {cut}");
    }
}

#[tokio::test]
async fn a_new_password_between_two_tries_begins_anew() {
    let home = Home::new(with_password("one"));
    let mut host = Host::new(&home.phone);
    home.fault("truncated-upload", &[("after", "130"), ("times", "1")]);
    let (served, _) = super::backup(&home.phone, &mut host).await;
    assert!(matches!(served, Err(BackupdError::Dropped)));
    // No manifest lies on the host yet: nothing is made one of the new password.
    assert_eq!(change(&home, &mut host, [Some("one"), Some("two")]).await, DONE);
    succeeds(&home, &mut host).await;
    home.check(&host);
    let job = home.phone.traffic.job();
    assert_eq!(job.files_sent, home.oracle().len() as u64, "other keys: all is sent");
}

#[tokio::test]
async fn a_password_is_set_changed_and_removed() {
    let mut spec = with_password("x");
    spec.encryption.password = None;
    let home = Home::new(spec);
    let mut notices = home.phone.notices();
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    assert_eq!(home.phone.memory().will_encrypt, None);
    let plain = home.oracle();

    // Set: the plain backup stays what it is, the next one is full.
    assert_eq!(change(&home, &mut host, [None, Some("one")]).await, DONE);
    assert_eq!(notices.try_recv().unwrap(), notification::BACKUP_DOMAIN_CHANGED);
    assert!(!on_host(&host).is_encrypted);
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert_eq!(kind(&home), "full");
    let before = sealed_files(&home, &host);
    assert!(before.len() > plain.len(), "encrypted backups hold more");

    // Changed: only the property list is written; what lies there belongs to the new password, and is gone on with.
    let first = on_host(&host);
    let mut others = host.files.clone();
    assert_eq!(change(&home, &mut host, [Some("one"), Some("two")]).await, DONE);
    let second = on_host(&host);
    assert_ne!(second.keybag, first.keybag);
    assert_eq!(ManifestPlist { keybag: first.keybag.clone(), ..second.clone() }, first);
    others.insert(host.path("Manifest.plist"), second.encode());
    assert!(host.files == others, "nothing else is changed");
    let (old, new) = (first.parse_keybag().unwrap(), second.parse_keybag().unwrap());
    assert_eq!(new.unlock("two").unwrap(), old.unlock("one").unwrap());
    assert_eq!(home.sent("Manifest.plist"), host.files[&host.path("Manifest.plist")]);
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert_eq!((kind(&home).as_str(), home.phone.traffic.job().files_sent), ("incremental", 0));
    assert!(sealed_files(&home, &host) == before);

    // Removed.
    assert!(notices.try_recv().is_err(), "lockdown says the same as before");
    assert_eq!(change(&home, &mut host, [Some("two"), None]).await, DONE);
    assert_eq!(notices.try_recv().unwrap(), notification::BACKUP_DOMAIN_CHANGED);
    assert_eq!(home.phone.memory().will_encrypt, Some(false));
    succeeds(&home, &mut host).await;
    assert_eq!(kind(&home), "full");
    assert!(!on_host(&host).is_encrypted);
    assert_eq!(home.oracle(), plain);
    assert_eq!(
        change(&home, &mut host, [Some("two"), None]).await,
        DONE,
        "there is none to remove"
    );
}

#[tokio::test]
async fn wrong_passwords_and_rules_are_told() {
    let mut spec = with_password("one");
    let home = Home::new(spec.clone());
    let mut host = Host::new(&home.phone);
    let wrong = (207, "Invalid password (MBErrorDomain/207)".to_owned());
    for passwords in
        [[Some("One"), Some("two")], [None, Some("two")], [Some("two"), None], [None, None]]
    {
        assert_eq!(change(&home, &mut host, passwords).await, wrong, "{passwords:?}");
    }
    assert!(host.log.is_empty() && host.files.is_empty(), "the host was not asked");
    home.phone.set_state("management.encrypted-backup", "true").unwrap();
    assert_eq!(change(&home, &mut host, [Some("one"), None]).await.0, 22);
    assert!(home.phone.encrypts());
    assert_eq!(change(&home, &mut host, [Some("one"), Some("two")]).await, DONE);
    succeeds(&home, &mut host).await;
    home.check(&host);

    // All settings are reset: the password is gone, whatever the rule; then no backup is made.
    assert!(home.phone.set_state("backup-password", "three").is_err());
    home.phone.set_state("backup-password", "").unwrap();
    assert_eq!(fails(&home, &mut host).await.0, 207);
    home.phone.set_state("management.encrypted-backup", "false").unwrap();
    succeeds(&home, &mut host).await;
    assert_eq!(kind(&home), "full");

    spec.encryption.rule_error = RuleError::Wrapped;
    spec.state.management.encrypted_backup = true;
    let home = Home::new(spec);
    let (code, text) = change(&home, &mut Host::new(&home.phone), [Some("one"), None]).await;
    assert_eq!(code, 1);
    assert!(text.starts_with("Error setting WillEncrypt value in lockdown"), "{text}");
}

#[tokio::test]
async fn the_passcode_is_asked_for_before_the_password_is_changed() {
    let mut spec = with_password("one");
    spec.knobs.passcode = true;
    let home = Home::asking(spec, true);
    let mut host = Host::new(&home.phone);
    for (enter, code) in [(false, 208), (true, 0)] {
        let mut notices = home.phone.notices();
        let owner = async {
            while notices.recv().await.unwrap() != notification::AUTHENTICATION_PRESENTED {}
            assert_eq!(home.phone.prompt(), Some(crate::phone::PromptReason::ChangePassword));
            home.phone.answer_passcode(enter).unwrap();
        };
        let changes = change(&home, &mut host, [Some("one"), Some("two")]);
        assert_eq!(tokio::join!(changes, owner).0.0, code);
        assert_eq!(home.phone.backup_password() == Password::new("two"), enter);
    }
}

#[tokio::test]
async fn a_failure_on_the_host_comes_after_the_keychain_was_changed() {
    let home = Home::new(with_password("one"));
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    let before = host.files.clone();
    host.unreadable = Some("/Manifest.plist");
    assert_eq!(change(&home, &mut host, [Some("one"), Some("two")]).await.0, 103);
    host.unreadable = None;
    assert_eq!(home.phone.backup_password(), Password::new("two"));
    assert!(host.files == before);
    host.put("Manifest.plist", Vec::new());
    assert_eq!(change(&home, &mut host, [Some("two"), Some("three")]).await.0, 205);
    assert_eq!(home.phone.backup_password(), Password::new("three"));
    host.files.clone_from(&before);
    host.refuse = Some(("/Manifest.plist", -1));
    // The old password is not that of the backup: it is left alone, and that is no failure.
    assert_eq!(change(&home, &mut host, [Some("three"), Some("one")]).await, DONE);
    assert_eq!(change(&home, &mut host, [Some("one"), Some("four")]).await.0, 104);
    host.refuse = None;
    assert!(host.files == before);
    // A backup of another password is not gone on with.
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert_eq!(kind(&home), "full");
}

#[tokio::test]
async fn what_lies_in_snapshot_is_rekeyed_first() {
    let home = Home::new(with_password("one"));
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    let all = home.phone.traffic.job().messages_sent;
    let old = host.files[&host.path("Manifest.plist")].clone();
    home.live(1);
    // The manifests of an incremental backup lie in Snapshot/ when the connection breaks before they are moved.
    let mut found = false;
    for back in 255..275 {
        let mut host = host.clone();
        home.fault("drop", &[("after", &(all + 259 - back).to_string()), ("times", "1")]);
        drop(super::backup(&home.phone, &mut host).await);
        home.phone.faults.clear();
        let Some(waiting) = host.files.get(&host.path("Snapshot/Manifest.plist")).cloned() else {
            continue;
        };
        found = true;
        assert_eq!(change(&home, &mut host, [Some("one"), Some("two")]).await, DONE);
        assert_ne!(host.files[&host.path("Snapshot/Manifest.plist")], waiting);
        assert_eq!(host.files[&host.path("Manifest.plist")], old);
        succeeds(&home, &mut host).await;
        home.check(&host);
        break;
    }
    assert!(found, "no break left a manifest in Snapshot/");
}

#[tokio::test]
async fn a_twin_makes_the_same_backup_and_a_restart_changes_nothing() {
    let spec = || with_password("sesame");
    let (home, twin) = (Home::new(spec()), Home::new(spec()));
    let (mut host, mut other) = (Host::new(&home.phone), Host::new(&twin.phone));
    succeeds(&home, &mut host).await;
    succeeds(&twin, &mut other).await;
    assert!(sealed_files(&home, &host) == sealed_files(&twin, &other));
    assert_eq!(on_host(&host).keybag, on_host(&other).keybag);

    let Home { folder, phone } = home;
    let (path, spec) = (phone.folder.clone(), spec());
    drop(phone);
    let home = Home::reopened(folder, &path, spec);
    home.live(1);
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert_eq!(kind(&home), "incremental");

    // Another computer has a keybag of its own, which the password opens too.
    let mut elsewhere = Host::new(&home.phone);
    succeeds(&home, &mut elsewhere).await;
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert_eq!(kind(&home), "incremental");
}

#[tokio::test]
async fn what_is_not_known_of_real_phones_can_be_switched() {
    let mut spec = with_password("sesame");
    spec.encryption = EncryptionSpec {
        manifest_class: 3,
        manifest_padding: false,
        empty_files: EmptyFiles::Nothing,
        full_keybag: Reuse::Fresh,
        rekey: Rekey::SaltsAndUuid,
        history: History::Encrypted,
        ..spec.encryption
    };
    let home = Home::new(spec);
    let mut host = Host::new(&home.phone);
    succeeds(&home, &mut host).await;
    home.check(&host);
    let first = on_host(&host);
    assert_eq!(first.manifest_key.as_ref().unwrap()[..4], [3, 0, 0, 0]);
    assert_eq!(host.files[&host.path("Manifest.db")].len() % 4096, 0);
    let files = sealed_files(&home, &host);
    assert!(files.values().any(|(key, payload)| key.len() == 44 && payload.is_empty()));
    home.live(1);
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert_eq!(kind(&home), "incremental");
    let uuid = |plist: &ManifestPlist| plist.parse_keybag().unwrap().uuid;
    assert_eq!(change(&home, &mut host, [Some("sesame"), Some("two")]).await, DONE);
    assert_ne!(uuid(&on_host(&host)), uuid(&first));
    let second = on_host(&host).parse_keybag().unwrap().unlock("two").unwrap();
    host.remove("Status.plist");
    succeeds(&home, &mut host).await;
    let third: Keybag = on_host(&host).parse_keybag().unwrap();
    assert_ne!(third.unlock("two").unwrap(), second, "a full backup has new keys");
    let history = "HomeDomain/Library/CallHistoryDB/CallHistory.storedata";
    assert!(home.oracle().contains_key(history));
    home.phone.set_state("backup-password", "").unwrap();
    assert!(!home.oracle().contains_key(history));
}

#[tokio::test]
async fn damage_to_the_keys_on_the_host_is_told() {
    let home = Home::new(with_password("sesame"));
    let mut first = Host::new(&home.phone);
    succeeds(&home, &mut first).await;
    let plist = on_host(&first);
    let with = |change: &dyn Fn(&mut ManifestPlist)| {
        let (mut host, mut plist) = (first.clone(), plist.clone());
        change(&mut plist);
        host.put("Manifest.plist", plist.encode());
        host
    };
    for (mut host, text) in [
        (with(&|plist| plist.keybag = None), "No keybag in manifest"),
        (with(&|plist| plist.manifest_key = None), "Encryption key missing"),
        (
            with(&|plist| plist.keybag.as_mut().unwrap().truncate(700)),
            "Error reading backup properties",
        ),
        (with(&|plist| plist.manifest_key = Some(vec![4; 44])), "Error reading backup properties"),
    ] {
        let (code, told) = fails(&home, &mut host).await;
        assert_eq!(code, 205);
        assert!(told.starts_with(text), "{told}");
    }
    // A database that is damaged leads to a full backup, as without encryption.
    let mut host = first.clone();
    host.put("Manifest.db", vec![0x5a; 9008]);
    succeeds(&home, &mut host).await;
    home.check(&host);
    assert_eq!(kind(&home), "full");
}
