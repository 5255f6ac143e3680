//! The same program over a stream that comes byte by byte, and over one of large pieces.

use lifeboat_testkit::Sim;
use lifeboat_testkit::digest::{assert_same, files};

use crate::home;

/// Backs up a phone with these knobs on so many days, and compares what comes out with the oracle.
fn backs_up(knobs: &str, days: u32) {
    let mut home = home();
    let sim =
        Sim::start_phones(&mut home, &[&format!("profile = \"tiny\"\n[knobs]\n{knobs}\n")], &[]);
    home.lifeboat(["pair"]).ok();
    for day in 0..days {
        let folder = format!("day-{day}");
        home.lifeboat(["backup"]).ok();
        home.lifeboat(["export", "latest", &folder, "--as", "files"]).ok();
        assert_same(&files(&home.path().join(&folder)), &sim.digest(&home));
        sim.ctl(&home, &["live", "--days", "1"]);
    }
    home.lifeboat(["check", "--read-data"]).ok();
}

#[test]
fn the_phone_sends_frames_of_one_byte() {
    backs_up("chunk = 1", 1);
}

#[test]
fn the_phone_sends_frames_of_a_mebibyte() {
    backs_up("chunk = 1048576", 2);
}

#[test]
fn every_read_gives_one_byte() {
    backs_up("fragment = 1", 1);
}
