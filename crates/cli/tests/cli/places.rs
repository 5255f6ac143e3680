//! Where things lie, and how people write it.

use crate::{home, trusted_phone};

#[test]
fn a_device_is_named_in_any_spelling() {
    let (home, sim) = trusted_phone();
    let made = home.lifeboat(["backup", "--json"]).ok().summary();
    let udid = sim.udid();
    let plain = udid.replace('-', "");
    for spelling in [udid, &plain, &udid.to_lowercase(), &plain.to_lowercase()] {
        for named in ["latest".to_owned(), format!("{spelling}@20"), format!("{spelling}@latest")] {
            let shown = home.lifeboat(["-u", spelling, "show", &named, "--json"]).ok().json();
            assert_eq!(shown["id"], made["snapshot"], "{spelling} {named}");
        }
        for command in ["status", "snapshots"] {
            let found = home.lifeboat(["-u", spelling, command]).ok();
            assert!(found.out().contains("Robin"), "{spelling}\n{found}");
        }
        fs_err::write(home.path().join("c.toml"), format!("udid = \"{spelling}\"\n"))
            .expect("ours");
        let found = home.lifeboat(["--config", "c.toml", "find", "sms.db", "--json"]).ok();
        assert!(found.out().contains("sms.db"), "{spelling}\n{found}");
    }
}

#[test]
fn a_date_is_the_one_that_the_list_shows() {
    let (home, sim) = trusted_phone();
    let made = home.lifeboat(["backup", "--json"]).ok().summary();
    let zone = "XXX-13";
    let list = home.lifeboat(["snapshots"]).env("TZ", zone).ok().out();
    let line = list.lines().last().expect("a line");
    let shown: Vec<&str> = line.split_whitespace().skip(1).take(2).collect();
    let utc = home.lifeboat(["snapshots", "--json"]).ok().json();
    let utc = utc["snapshots"][0]["time"].as_str().expect("a text").to_owned();
    for date in [shown.join(" "), shown.join("T"), utc.clone()] {
        let named = format!("{}@{date}", sim.udid());
        let found = home.lifeboat(["show", &named, "--json"]).env("TZ", zone).ok().json();
        assert_eq!(found["id"], made["snapshot"], "{date}");
    }
    let hour = format!("{}@{}", sim.udid(), utc.get(..13).expect("date and hour"));
    let missing = home.lifeboat(["show", &hour]).env("TZ", zone).run();
    assert_eq!(missing.status, Some(1), "{missing}");
}

#[test]
fn one_repository_has_one_key_however_it_is_written() {
    let home = home();
    let path = home.path();
    fs_err::create_dir_all(path.join("disk")).expect("ours");
    fs_err::create_dir_all(path.join("x")).expect("ours");
    fs_err::os::unix::fs::symlink("disk", path.join("link")).expect("ours");
    home.lifeboat(["repo", "init", "--repo", "link/r"]).ok();
    for spelling in [
        "disk/r".to_owned(),
        "x/../link/r".to_owned(),
        format!("{path}/link/./r/"),
        format!("file://{path}/disk/r"),
        format!("local:{path}/link/r"),
    ] {
        home.lifeboat(["snapshots", "--repo", &spelling]).ok();
    }
    // The default one under another name has the key of the default one.
    home.lifeboat(["repo", "init"]).ok();
    home.lifeboat(["snapshots", "--repo", "data/lifeboat/repository"]).ok();
    let long = "ü".repeat(120);
    home.lifeboat(["repo", "init", "--repo", &long]).ok();
    home.lifeboat(["snapshots", "--repo", &long]).ok();
}

#[test]
fn nothing_is_exported_into_what_is_ours() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    for (target, what) in [
        ("data/lifeboat/repository/export", "the repository"),
        ("state/lifeboat/working/export", "the working area"),
        ("state/lifeboat/export", "what Lifeboat remembers"),
        ("x/../cache/lifeboat/export", "the cache"),
    ] {
        let run = home.lifeboat(["export", "latest", target, "--as", "files"]).run();
        assert_eq!(run.status, Some(2), "{run}");
        assert!(run.err().contains(what), "{run}");
        assert!(!home.path().join(target).exists());
    }
    fs_err::os::unix::fs::symlink("nowhere", home.path().join("dangling")).expect("ours");
    let run = home.lifeboat(["export", "latest", "dangling", "--as", "files"]).run();
    assert_eq!(run.status, Some(2), "{run}");
    assert!(run.err().contains("dangling") && run.err().contains("nowhere"), "{run}");
    let area = home.lifeboat(["status"]).env("LIFEBOAT_WORKING_AREA", "data/lifeboat/repository/w");
    let run = area.run();
    assert_eq!(run.status, Some(2), "{run}");
}

#[test]
fn a_demo_without_a_place_for_its_folder_says_what_to_do() {
    let home = home();
    let run = home.lifeboat(["demo"]).env("TMPDIR", home.path().join("nowhere")).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.err().contains("nowhere") && run.err().contains("TMPDIR"), "{run}");
}

#[test]
fn a_wish_for_the_log_that_is_not_understood_is_said() {
    let home = home();
    let run = home.lifeboat(["completions", "bash"]).env("LIFEBOAT_LOG", "a=b=c").run();
    assert!(run.err().contains("LIFEBOAT_LOG is not understood"), "{run}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_home_that_can_only_be_read_is_read() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let elsewhere = crate::home();
    let export = elsewhere.path().join("export");
    let script =
        "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && cd \"$0\" && exec \"$@\"";
    for arguments in [
        &["status"][..],
        &["snapshots"],
        &["show", "latest"],
        &["ls", "latest"],
        &["cat", "latest:backup/Info.plist"],
        &["find", "sms.db"],
        &["check"],
        &["export", "latest", export.as_str(), "--as", "files"],
    ] {
        let run = home
            .command("unshare")
            .env("TMPDIR", elsewhere.path())
            .args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c", script])
            .arg(home.path())
            .arg(home.program())
            .args(arguments)
            .run();
        assert_eq!(run.status, Some(0), "{arguments:?}\n{run}");
    }
}
