//! Encrypted backups: clients that are not ours set, change and remove the password and make the backups, and readers that are not ours
//! open them, as they open what we hand back.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_testkit::digest::assert_same;
use lifeboat_testkit::stranger::stranger;
use lifeboat_testkit::{Home, Invocation, Run, Sim};

use crate::folder::Folder;
use crate::libimobiledevice::pair;
use crate::{home, phone};

/// Readers of encrypted backups that are not ours.
const READERS: [&str; 2] = ["iphone_backup_decrypt", "pyiosbackup"];

/// Few rounds: what takes a phone seconds takes nothing.
const FAST: &str = "[encryption]\nrounds = 1000\n";

/// Checks that readers that are not ours open an encrypted backup with its password, and read out of it exactly what the oracle says:
/// every file, each whole. With another password they do not.
pub(crate) fn strangers_open(
    home: &Home,
    folder: &Utf8Path,
    password: &str,
    oracle: &BTreeMap<String, String>,
) {
    for reader in READERS {
        let wrong = open(home, reader, folder, &format!("{password}?")).run();
        assert_eq!(wrong.status, Some(7), "{reader} opened it with a wrong password: {wrong}");
        let found = open(home, reader, folder, password).ok().json();
        let found: BTreeMap<String, String> =
            serde_json::from_value(found).expect("digests by path");
        assert_same(oracle, &found);
    }
}

fn open(home: &Home, reader: &str, folder: &Utf8Path, password: &str) -> Invocation {
    let program = home.path().join("open_backup.py");
    fs_err::write(&program, include_str!("open_backup.py")).expect("a program");
    // The interpreter for which the readers are installed.
    let python = stranger("pymobiledevice3").with_file_name("python3");
    home.command(python)
        .args([program.as_str(), reader, folder.as_str()])
        .env("TMPDIR", home.path())
        .stdin(password)
}

/// A phone and a folder for its backups.
struct Scene {
    home: Home,
    sim: Sim,
    root: Utf8PathBuf,
}

impl Scene {
    fn new(ios: &str, knobs: &str, encryption: &str) -> Self {
        let mut home = home();
        let sim =
            Sim::start_phones(&mut home, &[&format!("{}{encryption}", phone(ios, knobs))], &[]);
        let root = home.path().join("backups");
        fs_err::create_dir(&root).expect("a folder");
        Self { home, sim, root }
    }

    fn idevicebackup2(&self, arguments: &[&str]) -> Invocation {
        self.home.command("idevicebackup2").args(arguments).arg(self.root.as_str())
    }

    fn pymobiledevice3(&self, arguments: &[&str]) -> Invocation {
        let tool = self.home.command(stranger("pymobiledevice3")).env("NO_COLOR", "1");
        tool.arg("backup2").args(arguments)
    }

    fn live(&self) {
        self.sim.ctl(&self.home, &["live", "--days", "1"]);
    }

    fn encrypts(&self) -> bool {
        self.sim.ctl(&self.home, &["state"]).json()["encrypts_backups"] == true
    }

    /// Checks what the last backup was, and that it opens with the password.
    fn is_opened_with(&self, password: &str, kind: &str) {
        let traffic = self.sim.traffic(&self.home);
        assert_eq!(traffic["kind"], kind, "{traffic}");
        let oracle = self.sim.digest(&self.home);
        let health = "HealthDomain/Health/healthdb_secure.sqlite";
        assert!(oracle.contains_key(health), "the oracle knows that it is encrypted");
        let sent = traffic["files_sent"].as_u64().expect("a number of files");
        let all = oracle.len() as u64;
        match kind {
            "full" => assert_eq!(sent, all, "{traffic}"),
            _ => assert!(sent < all / 2, "{traffic}"),
        }
        strangers_open(&self.home, &self.root.join(self.sim.udid()), password, &oracle);
    }

    /// Checks that the backup is in plain text and what the phone holds.
    fn is_plain(&self) {
        let folder = Folder::read(&self.root, self.sim.udid());
        assert_same(&self.sim.digest(&self.home), &folder.digests());
    }
}

fn succeeded(run: &Run, word: &str) {
    assert!(run.out().contains(word), "{run}");
}

#[test]
fn idevicebackup2_sets_changes_and_removes_the_password() {
    let scene = Scene::new("15.7", "", FAST);
    pair(&scene.home);
    let run = scene.idevicebackup2(&["encryption", "on", "sesame"]).ok();
    succeeded(&run, "Backup encryption has been enabled successfully.");
    assert!(scene.encrypts());
    succeeded(&scene.idevicebackup2(&["backup"]).ok(), "Backup Successful.");
    scene.is_opened_with("sesame", "full");
    scene.live();
    succeeded(&scene.idevicebackup2(&["backup"]).ok(), "Backup Successful.");
    scene.is_opened_with("sesame", "incremental");

    let run = scene.idevicebackup2(&["changepw", "Sesame", "other"]).run();
    assert!(run.out().contains("ErrorCode 207: Invalid password (MBErrorDomain/207)"), "{run}");
    // Minus the code, as far as a status goes.
    assert_eq!(run.status, Some((-207_i32).rem_euclid(256)), "{run}");
    let run = scene.idevicebackup2(&["changepw", "sesame", "open it"]).ok();
    succeeded(&run, "Backup encryption password has been changed successfully.");
    // It shows the phone no backup then: the one that is there stays one of the old password, and is not gone on with.
    let before = scene.sim.digest(&scene.home);
    strangers_open(&scene.home, &scene.root.join(scene.sim.udid()), "sesame", &before);
    succeeded(&scene.idevicebackup2(&["backup"]).ok(), "Backup Successful.");
    scene.is_opened_with("open it", "full");

    let run = scene.idevicebackup2(&["encryption", "off", "open it"]).ok();
    succeeded(&run, "Backup encryption has been disabled successfully.");
    assert!(!scene.encrypts());
    succeeded(&scene.idevicebackup2(&["backup"]).ok(), "Backup Successful.");
    assert_eq!(scene.sim.traffic(&scene.home)["kind"], "full");
    scene.is_plain();
}

#[test]
fn pymobiledevice3_sets_changes_and_removes_the_password() {
    let knobs = "devicelink = 400\nmanifest = \"rebuilt\"";
    let switches = "manifest-key = \"kept\"\nmanifest-class = 3\nrekey = \"salts-and-uuid\"\n";
    let scene = Scene::new("26.4", knobs, &format!("{FAST}{switches}"));
    let folder = scene.root.clone();
    let folder = ["--backup-directory", folder.as_str()];
    let ask = || scene.pymobiledevice3(&["encryption"]).ok().out().trim().to_owned();
    let backup = || scene.pymobiledevice3(&["backup", scene.root.as_str()]).ok();
    backup();
    scene.is_plain();
    assert_eq!(ask(), "off");
    scene.pymobiledevice3(&["encryption", "on", "sesame"]).args(folder).ok();
    assert_eq!(ask(), "on");
    backup();
    scene.is_opened_with("sesame", "full");
    let wrong = ["change-password", "Sesame", "other"];
    let run = scene.pymobiledevice3(&wrong).args(folder).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert_eq!(scene.sim.traffic(&scene.home)["error_code"], 207);
    scene.pymobiledevice3(&["change-password", "sesame", "open it"]).args(folder).ok();
    // The backup that is there is one of the new password now, and is gone on with.
    let before = scene.sim.digest(&scene.home);
    strangers_open(&scene.home, &scene.root.join(scene.sim.udid()), "open it", &before);
    scene.live();
    backup();
    scene.is_opened_with("open it", "incremental");
    scene.pymobiledevice3(&["encryption", "off", "open it"]).args(folder).ok();
    assert!(!scene.encrypts());
    backup();
    assert_eq!(scene.sim.traffic(&scene.home)["kind"], "full");
    scene.is_plain();
}

/// Ten million rounds, as on real phones: the phone and each reader take some seconds.
#[test]
fn a_backup_with_all_rounds_is_opened() {
    let scene =
        Scene::new("18.0", "passcode-prompt = false", "[encryption]\npassword = \"sesame\"\n");
    pair(&scene.home);
    succeeded(&scene.idevicebackup2(&["backup"]).ok(), "Backup Successful.");
    scene.is_opened_with("sesame", "full");
}

/// What `lifeboat` hands back: of a snapshot that stayed sealed, of that one opened later, and of those that were opened at once.
fn lifeboat_hands_back(ios: &str, knobs: &str, switches: &str) {
    let encryption = format!("[encryption]\npassword = \"sesame\"\nrounds = 1000\n{switches}");
    let scene = Scene::new(ios, knobs, &encryption);
    let Scene { home, sim, .. } = &scene;
    home.lifeboat(["pair"]).ok();
    let backup = |password: &str, stored: &str| {
        let run = home.lifeboat(["backup", "--json"]).env("BACKUP_PASSWORD_FILE", password).ok();
        let summary = run.summary();
        assert_eq!(summary["stored"], stored, "{summary}");
        let snapshot = summary["snapshot"].as_str().expect("a snapshot").to_owned();
        (snapshot, sim.digest(home))
    };
    let hands_back = |name: &str, snapshot: &str, oracle: &BTreeMap<String, String>| {
        let root = home.path().join(name);
        home.lifeboat(["export", snapshot, root.as_str(), "--as", "finder"]).ok();
        strangers_open(home, &root.join(sim.udid()), "sesame", oracle);
    };
    let first = backup("", "sealed");
    hands_back("sealed", &first.0, &first.1);
    let password = home.path().join("password");
    fs_err::write(&password, "sesame\n").expect("a password file");
    scene.live();
    let second = backup(password.as_str(), "opened");
    assert_ne!(first.1, second.1, "a day changes what is told apart");
    scene.live();
    let third = backup("", "opened");
    let all = home.lifeboat(["snapshots", "--json"]).ok().json();
    let all = all["snapshots"].as_array().expect("a list");
    let tags: Vec<_> = all.iter().map(|one| one["tag"].as_str()).collect();
    assert_eq!(tags, [Some("opened"), Some("complete"), Some("complete")]);
    let later = all[0]["id"].as_str().expect("an id");
    assert_ne!(later, first.0, "another snapshot of the same backup");
    hands_back("opened-later", later, &first.1);
    hands_back("opened-at-once", &second.0, &second.1);
    hands_back("opened-with-what-is-known", &third.0, &third.1);
}

#[test]
fn readers_open_what_lifeboat_hands_back() {
    lifeboat_hands_back("15.7", "", "");
}

#[test]
fn readers_open_what_lifeboat_hands_back_of_the_newest_ios() {
    let knobs = "devicelink = 400\nmanifest = \"rebuilt\"";
    // Padded: one of the readers takes no other manifest, whoever hands it back.
    let switches = "manifest-key = \"kept\"\nmanifest-class = 3\n";
    lifeboat_hands_back("26.4", knobs, switches);
}
