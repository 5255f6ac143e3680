//! `lifeboat backup` and `idevicebackup2 backup` of the same phone: the same backup.

use camino::Utf8Path;
use lifeboat_testkit::digest;
use lifeboat_testkit::{Home, Sim};

use crate::folder::Folder;
use crate::{home, phone};

#[test]
fn lifeboat_and_idevicebackup2_make_the_same_backup() {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[&phone("15.7", "")], &[]);
    compare_two_days(&home, &sim);
}

#[test]
fn lifeboat_and_idevicebackup2_make_the_same_backup_of_the_newest_ios() {
    let mut home = home();
    let sim = Sim::start_phones(
        &mut home,
        &[&phone("26.4", "devicelink = 400\nmanifest = \"rebuilt\"")],
        &[],
    );
    compare_two_days(&home, &sim);
}

fn compare_two_days(home: &Home, sim: &Sim) {
    let theirs = home.path().join("theirs");
    fs_err::create_dir(&theirs).expect("a folder");
    for day in 0..2 {
        if day > 0 {
            sim.ctl(home, &["live", "--days", "1"]);
        }
        home.command("idevicebackup2").args(["backup", theirs.as_str()]).ok();
        let their_traffic = sim.traffic(home);
        home.lifeboat(["backup"]).ok();
        let our_traffic = sim.traffic(home);
        for count in ["kind", "files_sent", "bytes_sent"] {
            assert_eq!(
                our_traffic[count], their_traffic[count],
                "{count}, {our_traffic}, {their_traffic}"
            );
        }
        let ours = home.path().join(format!("ours-{day}"));
        home.lifeboat(["export", "latest", ours.as_str(), "--as", "finder"]).ok();
        compare(&ours, &theirs, sim.udid());
        digest::assert_same(&sim.digest(home), &Folder::read(&ours, sim.udid()).digests());
    }
}

/// Same files, sizes and SHA-256 under the same names; same rows of the manifest. Apart: Info.plist, and what carries dates and UUIDs.
fn compare(ours: &Utf8Path, theirs: &Utf8Path, udid: &str) {
    let payloads = |root: &Utf8Path| {
        let mut tree = digest::tree(&root.join(udid));
        for apart in ["Info.plist", "Manifest.db", "Manifest.plist", "Status.plist"] {
            assert!(tree.remove(apart).is_some(), "no {apart} in {root}");
        }
        tree
    };
    digest::assert_same(&payloads(ours), &payloads(theirs));
    let (ours, theirs) = (Folder::read(ours, udid), Folder::read(theirs, udid));
    digest::assert_same(&ours.entries, &theirs.entries);
    digest::assert_same(&ours.files, &theirs.files);
}
