//! A disk that is full: named with its place, nothing lost.

use lifeboat_testkit::{Home, Run};

use crate::trusted_phone;

/// Backs up with a small disk of its own below `folder`; `None` where this machine does not let us make one.
fn backup_on_a_small_disk(home: &Home, folder: &str, kilobytes: u32) -> Option<Run> {
    fs_err::create_dir_all(home.path().join(folder)).expect("a folder to mount at");
    let mount = format!("mount -t tmpfs -o size={kilobytes}k tmpfs '{folder}'");
    let in_private = |script: &str| {
        home.command("unshare").args([
            "--mount",
            "--map-root-user",
            "/bin/sh",
            "-c",
            &format!("{mount} && {script}"),
        ])
    };
    if in_private("true").run().status != Some(0) {
        return None;
    }
    // The mount is gone with the last process that sees it.
    Some(in_private(&format!("exec '{}' backup --json", env!("CARGO_BIN_EXE_lifeboat"))).run())
}

#[test]
fn of_the_repository() {
    let (home, sim) = trusted_phone();
    let Some(run) = backup_on_a_small_disk(&home, "data/lifeboat", 256) else { return };
    assert_eq!(run.status, Some(16), "{run}");
    let summary = run.summary();
    assert_eq!(summary["outcome"], "failed");
    assert!(
        ["repository-full", "not-enough-space"].contains(&summary["cause"].as_str().unwrap()),
        "{run}"
    );
    assert!(!run.err().contains("panicked"), "{run}");
    // With room the next run goes on.
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    lifeboat_testkit::digest::assert_same(
        &lifeboat_testkit::digest::files(&home.path().join("out")),
        &sim.digest(&home),
    );
}

#[test]
fn of_the_working_area() {
    let (home, _sim) = trusted_phone();
    let Some(run) = backup_on_a_small_disk(&home, "state/lifeboat", 512) else { return };
    assert_eq!(run.status, Some(16), "{run}");
    let summary = run.summary();
    assert!(
        ["working-area-full", "not-enough-space"].contains(&summary["cause"].as_str().unwrap()),
        "{run}"
    );
    home.lifeboat(["backup"]).ok();
}

#[test]
fn of_an_export() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    fs_err::create_dir_all(home.path().join("small")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=512k tmpfs small && exec '{}' export latest small/out --as files --json",
        env!("CARGO_BIN_EXE_lifeboat")
    );
    let probe = home.command("unshare").args([
        "--mount",
        "--map-root-user",
        "/bin/sh",
        "-c",
        "mount -t tmpfs tmpfs small",
    ]);
    if probe.run().status != Some(0) {
        return;
    }
    let run = home
        .command("unshare")
        .args(["--mount", "--map-root-user", "/bin/sh", "-c", &script])
        .run();
    assert_eq!(run.status, Some(16), "{run}");
    assert_eq!(run.summary()["cause"], "target-full", "{run}");
}
