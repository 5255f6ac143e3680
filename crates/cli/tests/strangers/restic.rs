//! Stock restic checks and restores what `lifeboat backup` wrote.

use lifeboat_testkit::{Home, Invocation, Sim, digest};

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
        digest::assert_same(&sim.digest(&home), &digest::files(&target.join("files")));

        let exported = home.path().join(format!("exported-{day}"));
        home.lifeboat(["export", "latest", exported.as_str(), "--as", "files"]).ok();
        digest::assert_same(&digest::tree(&exported), &digest::tree(&target.join("files")));
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
