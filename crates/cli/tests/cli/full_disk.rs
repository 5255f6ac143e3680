//! A disk that is full: named with its place, nothing lost, and the next run goes on.

use std::collections::BTreeMap;

use lifeboat_testkit::digest::{assert_same, files};
use lifeboat_testkit::{Home, Run, Sim, SmallDisk};

use crate::{home, in_the_middle, trusted_phone};

/// A phone whose cable is slow enough for the disk to be filled in the middle.
const SLOW: &str = "profile = \"tiny\"\n[knobs]\nthrottle = 1000000\n";

/// Room enough for the device to begin, and for the working area to keep copies (kilobytes; a disk in memory takes what lies on it).
const ROOM: u32 = 4 << 20;

/// A run that ended with 16 because of `cause`, and says which folder is on the full disk.
fn assert_full(run: &Run, cause: &str, place: &str) {
    assert_eq!(run.status, Some(16), "{run}");
    let summary = run.summary();
    assert_eq!(
        (&summary["outcome"], &summary["cause"]),
        (&"failed".into(), &cause.into()),
        "{run}"
    );
    let told = summary["message"].as_str().unwrap_or_default();
    assert!(told.contains(place) && run.err().contains(place), "nobody is told of {place}\n{run}");
    assert!(!run.err().contains("panicked"), "{run}");
}

/// The files of a snapshot as Finder has them.
fn finder(disk: &SmallDisk, home: &Home, id: &str, folder: &str) -> BTreeMap<String, String> {
    disk.lifeboat(home, ["export", id, folder, "--as", "finder"]).ok();
    files(&home.path().join(folder))
}

/// Backs up, lets five days pass, fills the disk at `folder` while the second backup runs; gives room again and backs up.
fn is_filled_while_a_backup_runs(folder: &str, cause: &str) {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[SLOW], &[]);
    home.lifeboat(["pair"]).ok();
    let disk = SmallDisk::mount(&home, folder, ROOM);
    let first = disk.lifeboat(&home, ["backup", "--json"]).ok().summary();
    let first = first["snapshot"].as_str().expect("a snapshot");
    let before = finder(&disk, &home, first, "before");
    sim.ctl(&home, &["live", "--days", "5"]);

    let running = disk.lifeboat(&home, ["backup", "--json"]).start();
    in_the_middle(&running);
    disk.fill(&home);
    let full = running.wait();
    assert_full(&full, cause, disk.folder().as_str());
    let told = full.summary()["message"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains(" MB left, and ") && told.contains(" MB had come"), "{full}");

    // With the disk still full: the snapshot from before is there, alone, and comes out as it was.
    let listed = disk.lifeboat(&home, ["snapshots", "--json"]).ok().json();
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_same(&finder(&disk, &home, first, "while-full"), &before);

    disk.grow(&home, ROOM);
    disk.lifeboat(&home, ["check", "--read-data"]).ok();
    let again = disk.lifeboat(&home, ["backup", "--json"]).ok().summary();
    assert_eq!((&again["outcome"], &again["resumed"]), (&"done".into(), &true.into()), "{again}");
    disk.lifeboat(&home, ["export", "latest", "out", "--as", "files"]).ok();
    assert_same(&files(&home.path().join("out")), &sim.digest(&home));
    assert_same(&finder(&disk, &home, first, "after"), &before);
    disk.lifeboat(&home, ["check", "--read-data"]).ok();
}

#[test]
fn the_disk_of_the_repository_is_filled_while_a_backup_runs() {
    is_filled_while_a_backup_runs("data/lifeboat", "repository-full");
}

#[test]
fn the_disk_of_the_working_area_is_filled_while_a_backup_runs() {
    is_filled_while_a_backup_runs("state/lifeboat", "working-area-full");
}

/// Backs up with a disk that has no room from the start; without it the next run succeeds.
fn is_too_small_from_the_start(folder: &str, kilobytes: u32) {
    let (home, sim) = trusted_phone();
    let disk = SmallDisk::mount(&home, folder, kilobytes);
    let run = disk.lifeboat(&home, ["backup", "--json"]).run();
    assert_full(&run, "not-enough-space", disk.folder().as_str());
    // What is there, and what is wanted: 128 MiB, and about what the device holds.
    let told = run.summary()["message"].as_str().unwrap_or_default().to_owned();
    assert!(
        told.contains(" has 0 MB left, and a backup needs 135 MB there at least (about "),
        "{run}"
    );
    drop(disk);
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    assert_same(&files(&home.path().join("out")), &sim.digest(&home));
}

#[test]
fn the_disk_of_the_repository_is_too_small_from_the_start() {
    is_too_small_from_the_start("data/lifeboat", 256);
}

#[test]
fn the_disk_of_the_working_area_is_too_small_from_the_start() {
    is_too_small_from_the_start("state/lifeboat", 512);
}

#[test]
fn the_disk_of_an_export_is_too_small() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let disk = SmallDisk::mount(&home, "small", 512);
    let run =
        disk.lifeboat(&home, ["export", "latest", "small/out", "--as", "files", "--json"]).run();
    assert_full(&run, "target-full", "small/out/");
}

#[test]
fn the_disk_of_a_demo_or_of_a_simulated_phone_is_too_small() {
    let home = home();
    for kilobytes in [16, 256, 1024] {
        let disk = SmallDisk::mount(&home, "small", kilobytes);
        for arguments in [
            &["demo", "--dir", "small/demo", "--profile", "tiny"] as &[&str],
            &["sim", "--state", "small/sim", "--profile", "tiny"],
        ] {
            let run = disk.lifeboat(&home, arguments.iter().copied()).run();
            assert_eq!(run.status, Some(16), "{kilobytes} kB: {arguments:?}\n{run}");
            assert!(!run.err().contains("panicked"), "{run}");
        }
    }
}

#[test]
fn a_repository_on_a_read_only_disk_is_read_without_a_lock() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let disk = SmallDisk::mount(&home, "disk", ROOM);
    let (from, disk_folder) = (home.repository(), disk.folder().to_owned());
    disk.command(&home, "cp").args(["-a", from.as_str(), disk_folder.as_str()]).ok();
    let copy = disk_folder.join(from.file_name().expect("it has a name"));
    disk.command(&home, "mount").args(["-o", "remount,ro", disk_folder.as_str()]).ok();
    for command in [&["check"][..], &["export", "latest", "out", "--as", "finder"]] {
        let arguments = command.iter().copied().chain(["-v", "--repo", copy.as_str()]);
        let opens = disk.lifeboat(&home, arguments);
        // The key of a copy is that of the repository.
        let run = opens.env("LIFEBOAT_REPO_PASSWORD_FILE", home.key_file()).ok();
        assert!(run.err().contains("is read without a lock"), "{run}");
    }
}
