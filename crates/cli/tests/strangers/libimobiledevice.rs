//! libimobiledevice's tools, unmodified, against the simulated phone.

use camino::Utf8PathBuf;
use lifeboat_testkit::{Home, Sim};

use crate::folder::{Folder, was_sent_whole};
use crate::{home, phone_of, values};

#[test]
fn the_tools_meet_the_oldest_ios() {
    whole_life("tiny", "15.7", "19H12", "");
}

#[test]
fn the_tools_meet_the_newest_ios() {
    whole_life("tiny", "26.4", "23E246", "devicelink = 400\nmanifest = \"rebuilt\"");
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn the_tools_meet_a_phone_of_2000_files() {
    whole_life("small", "18.0", "22A3354", "");
}

/// Finds, pairs, reads, backs up twice and forgets the phone.
fn whole_life(profile: &str, ios: &str, build: &str, knobs: &str) {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[&phone_of(profile, ios, knobs)], &[]);

    let listed = home.command("idevice_id").arg("-l").ok();
    assert_eq!(listed.out(), format!("{}\n", sim.udid()));

    pair(&home);
    let validated = home.command("idevicepair").arg("validate").ok();
    assert!(validated.out().contains("SUCCESS"), "{validated}");
    let taken = values::are_those_of_the_phone(&home, &sim, ios, build);

    let root = home.path().join("idevicebackup2");
    fs_err::create_dir(&root).expect("a folder");
    let first = first_backup(&home, &sim, &root);
    let sent = sim.traffic(&home)["bytes_sent"].as_u64().expect("a number of bytes");
    assert!(taken >= sent, "of {sent} bytes only {taken} are on the disk");
    let info = home.command("idevicebackup2").args(["info", root.as_str()]).ok();
    assert!(!info.out().contains("ERROR"), "{info}");
    second_backup(&home, &sim, &root, &first);

    let forgotten = home.command("idevicepair").arg("unpair").ok();
    assert!(forgotten.out().contains("SUCCESS"), "{forgotten}");
    assert_eq!(home.command("idevicepair").arg("list").ok().out(), "", "still paired");
}

/// Pairs; the tool ends with 1 while the dialog is up and wants to be run again.
pub(crate) fn pair(home: &Home) {
    let runs: Vec<_> = (0..5)
        .map_while(|_| {
            let run = home.command("idevicepair").arg("pair").run();
            (run.status != Some(0)).then_some(run)
        })
        .collect();
    assert!(runs.len() < 5, "never paired: {}", runs.last().expect("five runs"));
}

fn first_backup(home: &Home, sim: &Sim, root: &Utf8PathBuf) -> Folder {
    let run = home.command("idevicebackup2").args(["backup", "--full", root.as_str()]).ok();
    assert!(run.out().contains("Backup Successful."), "{run}");
    let folder = Folder::read(root, sim.udid());
    folder.is_what_the_phone_holds(home, sim);
    was_sent_whole(&folder, &sim.traffic(home));
    folder
}

fn second_backup(home: &Home, sim: &Sim, root: &Utf8PathBuf, first: &Folder) {
    sim.ctl(home, &["live", "--days", "1"]);
    let run = home.command("idevicebackup2").args(["backup", root.as_str()]).ok();
    assert!(run.out().contains("Backup Successful."), "{run}");
    let second = Folder::read(root, sim.udid());
    second.is_what_the_phone_holds(home, sim);
    second.was_sent_as_changes_of(first, &sim.traffic(home));
}
