//! Secrets are looked for wherever they do not belong: what is printed and logged, arguments and environments of this program and of
//! its children while they run, files of every kind, also those that a killed run leaves, and what is passed on to others.

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_testkit::{Home, Run, Sim};
use serde_json::Value;

use crate::home;

const PHONE: &str = "profile = \"tiny\"\n[encryption]\nrounds = 1000\n";
const FIRST: &str = "canary-one-9f3a";
const SECOND: &str = "canary-two-7c1e";
const THIRD: &str = "canary-three-b2d8";

/// Programs that this one starts, replaced by ones that write down what they are told.
const CHILDREN: [&str; 3] = ["systemd-inhibit", "ping", "systemctl"];

/// What is looked for, in each of its forms.
#[derive(Default)]
struct Canaries(Vec<Vec<u8>>);

impl Canaries {
    fn text(&mut self, secret: &str) {
        self.0.push(secret.as_bytes().to_vec());
        self.0.push(secret.encode_utf16().flat_map(u16::to_le_bytes).collect());
        self.bytes(secret.as_bytes());
    }

    fn bytes(&mut self, secret: &[u8]) {
        let hex = lifeboat_testkit::digest::hex(secret);
        self.0.extend([secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()]);
    }

    fn are_in(&self, place: &[u8]) -> bool {
        self.0.iter().any(|secret| {
            // The first byte is looked for alone: that is many times faster.
            let mut rest = place;
            while let Some(at) = rest.iter().position(|byte| *byte == secret[0]) {
                if rest[at..].starts_with(secret) {
                    return true;
                }
                rest = &rest[at + 1..];
            }
            false
        })
    }

    fn are_in_no(&self, what: &str, place: &[u8]) {
        assert!(!self.are_in(place), "{what}\n{}", String::from_utf8_lossy(place));
    }

    fn are_in_no_run(&self, run: &Run) {
        self.are_in_no("standard output", &run.stdout);
        self.are_in_no("standard error", &run.stderr);
    }

    /// Looks through every file of a home: the repository encrypts everything; what the person wrote for a run and the phone itself
    /// are left out.
    fn are_in_no_file(&self, home: &Home) -> Vec<Utf8PathBuf> {
        let mut files = Vec::new();
        files_below(home.path(), &mut files);
        let own = [home.path().join("sim"), home.path().join("given")];
        files.retain(|file| !own.iter().any(|own| file.starts_with(own)));
        for file in &files {
            // One that a run has removed meanwhile holds nothing.
            let Ok(bytes) = fs_err::read(file) else { continue };
            let is_key = *file == home.key_file();
            assert!(is_key || !self.are_in(&bytes), "{file}");
        }
        files
    }
}

fn files_below(folder: &Utf8Path, found: &mut Vec<Utf8PathBuf>) {
    for entry in folder.read_dir_utf8().expect("a folder") {
        let entry = entry.expect("an entry");
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => files_below(entry.path(), found),
            kind if kind.is_file() => found.push(entry.path().to_owned()),
            _ => {}
        }
    }
}

/// Writes a file of the person, which only they can read.
fn given(home: &Home, name: &str, secret: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = home.path().join("given");
    fs_err::create_dir_all(&folder).expect("a folder");
    let file = folder.join(name);
    fs_err::write(&file, format!("{secret}\n")).expect("a file");
    let mode = std::fs::Permissions::from_mode(0o600);
    fs_err::set_permissions(&file, mode).expect("its permissions");
    file.into_string()
}

/// Puts programs before those of the system that write down their arguments and their environment.
fn spy(home: &mut Home) -> Utf8PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, told) = (home.path().join("spies"), home.path().join("spies.txt"));
    fs_err::create_dir(&folder).expect("a folder");
    for name in CHILDREN {
        let script = format!(
            "#!/bin/sh\n{{ echo \"== $0 $*\"; tr '\\0' '\\n' </proc/$$/environ; }} >>'{told}'\nexit 1\n"
        );
        fs_err::write(folder.join(name), script).expect("a script");
        let mode = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(folder.join(name), mode).expect("its permissions");
    }
    home.set("PATH", format!("{folder}:/usr/local/bin:/usr/bin:/bin"));
    told
}

/// Returns what everybody sees of a process and of its children.
fn seen(id: u32) -> Vec<u8> {
    let mut seen = Vec::new();
    let children = fs_err::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs_err::read_to_string(task.path().join("children")).ok())
        .collect::<Vec<_>>()
        .join(" ");
    for process in children.split_whitespace().map(str::to_owned).chain([id.to_string()]) {
        for file in ["cmdline", "environ", "comm"] {
            seen.extend(fs_err::read(format!("/proc/{process}/{file}")).unwrap_or_default());
        }
    }
    seen
}

/// Runs that are held at each line, and killed: what is seen of them, and what they leave.
fn killed_runs_leave_none(home: &Home, canaries: &Canaries) {
    let (first, second) = (given(home, "first", FIRST), given(home, "second", SECOND));
    let change = || {
        home.lifeboat(["-vvv", "password", "change", "--json"])
            .env("BACKUP_PASSWORD_FILE", &first)
            .env("BACKUP_PASSWORD_NEW_FILE", &second)
    };
    for last in ["store-new", "write"] {
        let mut held = change().hold();
        while held.is_held() && !held.told().iter().any(|line| line.contains(last)) {
            canaries.are_in_no("arguments and environments", &seen(held.id()));
            held.pass();
        }
        assert!(held.is_held(), "{:?}", held.told());
        canaries.are_in_no("arguments and environments", &seen(held.id()));
        canaries.are_in_no_file(home);
        canaries.are_in_no("what was told", held.kill().join("\n").as_bytes());
        canaries.are_in_no_file(home);
    }
}

#[test]
fn no_secret_is_where_it_does_not_belong() {
    let mut home = home();
    let _sim = Sim::start_phones(&mut home, &[PHONE], &[]);
    home.lifeboat(["pair"]).ok();
    let spies = spy(&mut home);
    home.set("LIFEBOAT_LOG", "trace");
    let mut canaries = Canaries::default();
    for secret in [FIRST, SECOND, THIRD] {
        canaries.text(secret);
    }
    let mut said = vec![
        home.lifeboat(["-vvv", "password", "set"]).env("BACKUP_PASSWORD", FIRST).ok(),
        home.lifeboat(["-vvv", "backup", "--json"]).env("BACKUP_PASSWORD", FIRST).ok(),
        // What a run tells its children, while its own environment holds secrets.
        home.lifeboat(["-vvv", "backup", "--all", "--notify-command", "env > children.txt"])
            .env("BACKUP_PASSWORD", FIRST)
            .env("BACKUP_PASSWORD_NEW", SECOND)
            .ok(),
    ];
    let children = fs_err::read_to_string(home.path().join("children.txt")).unwrap();
    assert!(children.contains("LIFEBOAT_OUTCOME=done"), "{children}");
    killed_runs_leave_none(&home, &canaries);
    let third = given(&home, "third", THIRD);
    said.extend([
        home.lifeboat(["-vvv", "password", "change", "--json"])
            .env("BACKUP_PASSWORD_NEW_FILE", third)
            .ok(),
        home.lifeboat(["-vvv", "backup"]).ok(),
        home.lifeboat(["-vvv", "password", "status"]).run(),
        home.lifeboat(["-vvv", "password", "status", "--json"]).run(),
        home.lifeboat(["-vvv", "password", "test", "--candidates", "-"]).stdin(THIRD).ok(),
        home.lifeboat(["-vvv", "password", "test", "--candidates", "-", "--json"])
            .stdin(format!("{FIRST}\n{THIRD}\n"))
            .ok(),
        // Refused by the device: the words of an error pass on what somebody gave.
        home.lifeboat(["-vvv", "password", "off"]).env("BACKUP_PASSWORD", SECOND).run(),
        home.lifeboat(["-vvv", "doctor", "--offline", "--report", "report.md"])
            .env("BACKUP_PASSWORD", THIRD)
            .run(),
        home.lifeboat(["-vvv", "doctor", "--offline", "--json"]).run(),
        home.lifeboat(["-vvv", "check", "--read-data"]).ok(),
        home.lifeboat(["-vvv", "export", "latest", "out", "--as", "finder"]).ok(),
    ]);
    // The keys, too: that of the repository, and those that open the backup.
    let key = home.lifeboat(["repo", "key"]).ok().out().trim().to_owned();
    canaries.text(&key);
    let keys = home.lifeboat(["cat", "latest:lifeboat/keys.json"]).ok().json();
    let classes: Vec<String> = texts(&keys["classes"]);
    assert!(classes.len() > 5, "{keys}");
    for class in &classes {
        canaries.bytes(&unhex(class));
    }
    for run in &said {
        canaries.are_in_no_run(run);
    }
    let told = fs_err::read_to_string(&spies).unwrap();
    assert!(told.contains("systemd-inhibit"), "a backup has children: {told}");
    canaries.are_in_no("environments of children", told.as_bytes());
    canaries.are_in_no("environments of children", children.as_bytes());
    let files = canaries.are_in_no_file(&home);
    for part in ["report.md", "data/lifeboat/repository/snapshots", "cache/", "state/"] {
        assert!(files.iter().any(|file| file.as_str().contains(part)), "{part}: {files:?}");
    }
    // The search finds what is there.
    assert!(canaries.are_in(home.lifeboat(["repo", "sheet"]).ok().out().as_bytes()));
    assert!(canaries.are_in(&fs_err::read(home.key_file()).unwrap()));
    assert!(canaries.are_in(keys.to_string().as_bytes()));
    one_that_is_made_is_shown_once(&home);
}

/// And is in no log.
fn one_that_is_made_is_shown_once(home: &Home) {
    let made = home.lifeboat(["-vvv", "password", "change", "--generate"]).ok();
    let shown = made.out();
    let secret = shown.lines().find_map(|line| line.strip_prefix("new backup password  "));
    let mut canaries = Canaries::default();
    canaries.text(secret.expect("it is shown"));
    canaries.are_in_no("standard error", &made.stderr);
    canaries.are_in_no_file(home);
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Object(all) => all.values().flat_map(texts).collect(),
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte =
        |pair: &[u8]| pair.iter().fold(0, |all, next| all * 16 + digit(*next).expect("a digit"));
    text.as_bytes().chunks(2).map(byte).collect()
}
