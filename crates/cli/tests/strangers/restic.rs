//! Stock restic checks and restores what `lifeboat backup` wrote.

use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8Path;
use lifeboat_mobilesync::FileId;
use lifeboat_testkit::{Home, Invocation, Sim, digest};
use serde_json::Value;

use crate::{home, phone};

/// restic on the home's repository, with the password that `lifeboat repo key` prints.
fn restic(home: &Home, arguments: &[&str]) -> Invocation {
    let key = home.lifeboat(["repo", "key"]).ok().out();
    home.command("restic")
        .env("RESTIC_REPOSITORY", home.repository())
        .env("RESTIC_PASSWORD", key.lines().last().unwrap_or_default())
        .args(arguments)
}

#[test]
fn restic_checks_and_restores_every_snapshot() {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[&phone("18", "")], &[]);
    home.lifeboat(["pair"]).ok();
    for day in 0..2 {
        if day > 0 {
            sim.ctl(&home, &["live", "--days", "1"]);
        }
        home.lifeboat(["backup"]).ok();
        restic(&home, &["check", "--read-data"]).ok();

        let target = home.path().join(format!("restored-{day}"));
        let arguments = [
            "restore",
            "latest",
            "--host",
            sim.udid(),
            "--tag",
            "complete",
            "--target",
            target.as_str(),
        ];
        restic(&home, &arguments).ok();
        is_what_the_phone_holds(&home, &sim, &target);
    }
    let listed = restic(&home, &["snapshots", "--json", "--tag", "complete"]).ok().json();
    let hosts: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|snapshot| snapshot["hostname"].as_str())
        .collect();
    assert_eq!(hosts, [Some(sim.udid()), Some(sim.udid())]);
}

#[test]
fn restic_checks_and_restores_what_was_opened() {
    let mut home = home();
    let toml = "profile = \"tiny\"\nseed = 3\n[encryption]\npassword = \"sesame\"\nrounds = 1000\n";
    let sim = Sim::start_phones(&mut home, &[toml], &[]);
    home.lifeboat(["pair"]).ok();
    // The first is sealed, and the second opens it.
    home.lifeboat(["backup"]).ok();
    let password = home.path().join("password");
    fs_err::write(&password, "sesame\n").expect("a password file");
    sim.ctl(&home, &["live", "--days", "1"]);
    home.lifeboat(["backup"]).env("BACKUP_PASSWORD_FILE", &password).ok();
    restic(&home, &["check", "--read-data"]).ok();
    let listed = restic(&home, &["snapshots", "--json", "--tag", "complete"]).ok().json();
    let tags = listed.as_array().expect("a list").iter().map(|snapshot| &snapshot["tags"]);
    let tags: Vec<String> = tags.map(ToString::to_string).collect();
    assert_eq!(tags, ["[\"opened\",\"complete\"]", "[\"complete\"]"]);
    let target = home.path().join("restored");
    let latest = [
        "restore",
        "latest",
        "--host",
        sim.udid(),
        "--tag",
        "complete",
        "--target",
        target.as_str(),
    ];
    restic(&home, &latest).ok();
    let restored = digest::files(&target.join("files"));
    let mut oracle = sim.digest(&home);
    let all = oracle.len();
    oracle.retain(|path, _| restored.contains_key(path));
    digest::assert_same(&restored, &oracle);
    assert!(all - oracle.len() <= 2, "only two names of the phone are the same but for case");
}

/// Checks a restored snapshot against the oracle: each file lies under `files/` with its name or, where that cannot be a path of its own on every
/// system, under `sealed/` with its ID.
fn is_what_the_phone_holds(home: &Home, sim: &Sim, target: &Utf8Path) {
    let mut restored = digest::files(&target.join("files"));
    let mut sealed = 0;
    for path in sim.digest(home).into_keys() {
        if restored.contains_key(&path) {
            continue;
        }
        let (domain, relative_path) = path.split_once('/').expect("a domain and a path");
        let payload = target.join("sealed").join(FileId::of(domain, relative_path).path());
        assert!(payload.exists(), "{path} is neither under files/ nor under sealed/");
        restored.insert(path, digest::file(&payload).1);
        sealed += 1;
    }
    digest::assert_same(&sim.digest(home), &restored);
    assert!(
        sealed <= 2,
        "{sealed} files under sealed/, and only two names of the phone are the same but for case"
    );
}

#[test]
fn restic_takes_no_incomplete_backup_for_a_complete_one() {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[&phone("18", "")], &[]);
    home.lifeboat(["pair"]).ok();
    let tagged = |tag: &str| {
        let listed = restic(&home, &["snapshots", "--json", "--tag", tag]).ok().json();
        listed.as_array().map_or(0, Vec::len)
    };
    sim.ctl(&home, &["fault", "forgotten", "file=.HEIC"]);
    let run = home.lifeboat(["backup"]).run();
    assert_eq!(run.status, Some(3), "{run}");
    sim.ctl(&home, &["fault", "--clear"]);
    assert_eq!((tagged("complete"), tagged("partial")), (0, 1));
    home.lifeboat(["backup"]).ok();
    assert_eq!((tagged("complete"), tagged("partial")), (1, 1));
    sim.ctl(&home, &["live", "--days", "1"]);
    sim.ctl(&home, &["fault", "forgotten", "file=sms.db"]);
    let run = home.lifeboat(["backup"]).run();
    assert_eq!(run.status, Some(3), "{run}");
    assert_eq!((tagged("complete"), tagged("partial")), (1, 2));
    restic(&home, &["check", "--read-data"]).ok();
}

#[test]
fn restic_holds_the_repository_alone_and_the_backup_says_who_has_it() {
    let mut home = home();
    let _sim = Sim::start_phones(&mut home, &[&phone("18", "")], &[]);
    home.lifeboat(["pair"]).ok();
    home.lifeboat(["backup"]).ok();

    // A check holds restic's exclusive lock while it reads, here for many minutes.
    let holder = restic(&home, &["check", "--read-data", "--limit-download", "1"]).start();
    holder.until("load indexes");
    let refused = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(refused.status, Some(11), "{refused}");
    let summary = refused.summary();
    assert_eq!(summary["outcome"], "failed", "{refused}");
    assert_eq!(summary["cause"], "repository-locked", "{refused}");
    let by = format!("process {} on ", holder.id());
    assert!(refused.err().contains(&by), "nobody is told that it is {by}\n{refused}");
    for reading in [
        &["check"][..],
        &["export", "latest", "out", "--as", "files"],
        &["ls", "latest"],
        &["find", "sms"],
        &["show", "latest"],
        &["diff", "latest", "latest"],
        &["cat", "latest:backup/Info.plist"],
    ] {
        let run = home.lifeboat(reading.iter().copied()).run();
        assert_eq!(run.status, Some(11), "{reading:?}\n{run}");
        assert!(run.err().contains(&by), "{reading:?}\n{run}");
    }
    let listed = home.lifeboat(["snapshots", "--json"]).ok().json();
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(1), "{listed}");

    // What a program left that is gone keeps nobody out.
    drop(holder);
    home.lifeboat(["backup"]).ok();
    restic(&home, &["check", "--read-data"]).ok();
}

#[test]
fn a_snapshot_that_restic_tagged_still_says_whose_it_is() {
    let mut home = home();
    let _sim = Sim::start_phones(&mut home, &[&phone("18", "")], &[]);
    home.lifeboat(["pair"]).ok();
    home.lifeboat(["backup"]).ok();
    let name = |home: &Home| {
        let status = home.lifeboat(["status", "--json"]).ok().json();
        status["devices"][0]["device_name"].clone()
    };
    let before = name(&home);
    assert!(before.is_string(), "{before}");
    // It writes the snapshot anew, without what it does not know.
    restic(&home, &["tag", "--add", "kept", "latest"]).ok();
    assert_eq!(name(&home), before);
}

/// Flips a bit of one folder of `files/`; restic says in which pack it lies and where.
fn damage_a_folder(home: &Home) {
    let tree = |id: &Value| {
        let id = id.as_str().expect("an id");
        restic(home, &["cat", "blob", id]).ok().json()["nodes"].as_array().expect("nodes").clone()
    };
    let root = restic(home, &["snapshots", "--json"]).ok().json()[0]["tree"].clone();
    let files = tree(&root).into_iter().find(|node| node["name"] == "files").expect("files/");
    let folder = tree(&files["subtree"]).remove(0)["subtree"].clone();
    let (pack, blob) = find_blob(home, &folder).expect("the folder lies in a pack");
    let (two, _) = pack.split_at(2);
    let path = home.repository().join("data").join(two).join(&pack);
    let number = |name: &str| {
        let number = blob[name].as_u64().expect("a number");
        usize::try_from(number).expect("it fits")
    };
    let mut bytes = fs_err::read(&path).expect("a pack");
    bytes[number("offset") + number("length") / 2] ^= 0x20;
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    fs_err::write(&path, bytes).expect("it can be written");
}

/// Returns the pack in which a blob lies, and what the index says of it.
fn find_blob(home: &Home, id: &Value) -> Option<(String, Value)> {
    home.repository().join("index").read_dir_utf8().expect("an index").find_map(|file| {
        let index = restic(home, &["cat", "index", file.expect("a file").file_name()]).ok().json();
        index["packs"].as_array().expect("packs").iter().find_map(|pack| {
            let blobs = pack["blobs"].as_array().expect("blobs");
            let blob = blobs.iter().find(|blob| blob["id"] == *id)?;
            Some((pack["id"].as_str().expect("an id").to_owned(), blob.clone()))
        })
    })
}

#[test]
fn find_names_folders_that_cannot_be_read_and_goes_on() {
    let mut home = home();
    let _sim = Sim::start_phones(&mut home, &[&phone("18", "")], &[]);
    home.lifeboat(["pair"]).ok();
    home.lifeboat(["backup"]).ok();
    let all = home.lifeboat(["find", "*", "--json"]).ok().json();
    damage_a_folder(&home);
    fs_err::remove_dir_all(home.path().join("cache/lifeboat")).expect("the cache");
    for arguments in [&["find", "*"][..], &["find", "*", "--snapshot", "latest"]] {
        let run = home.lifeboat(arguments.iter().copied().chain(["--json"])).run();
        assert_eq!(run.status, Some(1), "{run}");
        let found = run.json();
        let count = |list: &Value| list["found"].as_array().expect("a list").len();
        assert!(count(&found) > 0 && count(&found) < count(&all), "{found}");
        assert!(found["damaged"].as_array().map(Vec::len) > Some(0), "{found}");
        assert_eq!(found["damaged"][0]["cause"], "repository-damaged", "{found}");
        let text = home.lifeboat(arguments.iter().copied()).run();
        assert_eq!(text.status, Some(1), "{text}");
        assert!(text.err().contains("files/"), "{text}");
        assert!(text.err().contains("what was looked for may be in it"), "{text}");
    }
}
