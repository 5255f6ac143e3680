//! pymobiledevice3, unmodified, against the simulated phone.

use std::collections::BTreeSet;

use lifeboat_testkit::stranger::stranger;
use lifeboat_testkit::{Home, Invocation, Sim};

use crate::folder::{Folder, was_sent_whole};
use crate::{home, phone_of};

#[test]
fn pymobiledevice3_meets_the_oldest_ios() {
    whole_life("tiny", "15.7", "");
}

#[test]
fn pymobiledevice3_meets_the_newest_ios() {
    whole_life("tiny", "26.4", "devicelink = 400\nmanifest = \"rebuilt\"");
}

#[test]
#[ignore = "takes minutes: ./test --long"]
fn pymobiledevice3_meets_a_phone_of_2000_files() {
    whole_life("small", "18.0", "");
}

/// The tool, without colours and without asking anybody.
fn tool(home: &Home, arguments: &[&str]) -> Invocation {
    home.command(stranger("pymobiledevice3")).env("NO_COLOR", "1").args(arguments)
}

/// Finds, reads and backs up the phone twice; it pairs by itself.
fn whole_life(profile: &str, ios: &str, knobs: &str) {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[&phone_of(profile, ios, knobs)], &[]);

    let listed = tool(&home, &["usbmux", "list"]).ok().json();
    let identifiers: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|device| device["Identifier"].as_str())
        .collect();
    assert_eq!(identifiers, [Some(sim.udid())], "{listed}");

    let info = tool(&home, &["lockdown", "info"]).ok().json();
    assert_eq!(info["UniqueDeviceID"], sim.udid());
    assert_eq!(info["ProductVersion"], ios);

    let root = home.path().join("pymobiledevice3");
    fs_err::create_dir(&root).expect("a folder");
    tool(&home, &["backup2", "backup", "--full", root.as_str()]).ok();
    let first = Folder::read(&root, sim.udid());
    first.is_what_the_phone_holds(&home, &sim);
    was_sent_whole(&first, &sim.traffic(&home));

    sim.ctl(&home, &["live", "--days", "1"]);
    tool(&home, &["backup2", "backup", root.as_str()]).ok();
    let second = Folder::read(&root, sim.udid());
    second.is_what_the_phone_holds(&home, &sim);
    second.was_sent_as_changes_of(&first, &sim.traffic(&home));

    // Its `--full` over an existing backup leaves what the phone no longer holds (docs/protocol.md 5.3): waste, not damage.
    sim.ctl(&home, &["live", "--days", "3"]);
    tool(&home, &["backup2", "backup", "--full", root.as_str()]).ok();
    let third = Folder::read(&root, sim.udid());
    lifeboat_testkit::digest::assert_same(&sim.digest(&home), &third.digests());
    was_sent_whole(&third, &sim.traffic(&home));
    let before: BTreeSet<_> = second.entries.keys().cloned().collect();
    assert!(third.waste().is_subset(&before), "waste that was never in a backup");
}
