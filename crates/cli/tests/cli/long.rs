//! A week in the life of many phones: what takes minutes, and runs with `./test --long` only.
//!
//! Every iOS at the ends of what is simulated, every version of DeviceLink and both ways to make a manifest, on a small phone and on a
//! large one: what comes out of the repository is what the phone held on that day, for every day.

use std::collections::BTreeMap;

use lifeboat_testkit::Sim;
use lifeboat_testkit::digest::{assert_same, files};

use crate::home;

/// Days with a backup each.
const DAYS: u32 = 5;

fn lives(profile: &str, ios: &str, devicelink: u32, manifest: &str) {
    let mut home = home();
    let phone = format!(
        "profile = \"{profile}\"\nios = \"{ios}\"\nseed = 23\n[knobs]\ndevicelink = {devicelink}\nmanifest = \"{manifest}\"\n"
    );
    let sim = Sim::start_phones(&mut home, &[&phone], &[]);
    home.lifeboat(["pair"]).ok();
    let mut days: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for day in 0..DAYS {
        if day > 0 {
            sim.ctl(&home, &["live", "--days", "1"]);
        }
        let summary = home.lifeboat(["backup", "--json"]).ok().summary();
        let phone = sim.digest(&home);
        if let Some((_, before)) = days.last() {
            assert_eq!(summary["kind"], "incremental", "{summary}");
            let changed = phone.iter().filter(|(path, sum)| before.get(*path) != Some(sum)).count();
            assert_eq!(sim.traffic(&home)["files_sent"], changed, "day {day}: only what changed");
        }
        days.push((summary["snapshot"].as_str().expect("a snapshot").to_owned(), phone));
    }
    for (day, (snapshot, phone)) in days.iter().enumerate() {
        let target = home.path().join(format!("day-{day}"));
        home.lifeboat(["export", snapshot, target.as_str(), "--as", "files"]).ok();
        assert_same(&files(&target), phone);
        fs_err::remove_dir_all(&target).expect("the export can go");
    }
    home.lifeboat(["check", "--read-data"]).ok();
}

macro_rules! phones {
    ($($name:ident: $profile:literal, $ios:literal, $devicelink:literal, $manifest:literal;)+) => {
        $(
            #[test]
            #[ignore = "takes minutes: ./test --long"]
            fn $name() {
                lives($profile, $ios, $devicelink, $manifest);
            }
        )+
    };
}

phones! {
    tiny_oldest_300_in_place: "tiny", "15.7", 300, "in-place";
    tiny_oldest_300_rebuilt: "tiny", "15.7", 300, "rebuilt";
    tiny_oldest_400_in_place: "tiny", "15.7", 400, "in-place";
    tiny_oldest_400_rebuilt: "tiny", "15.7", 400, "rebuilt";
    tiny_newest_300_in_place: "tiny", "26.4", 300, "in-place";
    tiny_newest_300_rebuilt: "tiny", "26.4", 300, "rebuilt";
    tiny_newest_400_in_place: "tiny", "26.4", 400, "in-place";
    tiny_newest_400_rebuilt: "tiny", "26.4", 400, "rebuilt";
    small_oldest_300_in_place: "small", "15.7", 300, "in-place";
    small_oldest_300_rebuilt: "small", "15.7", 300, "rebuilt";
    small_oldest_400_in_place: "small", "15.7", 400, "in-place";
    small_oldest_400_rebuilt: "small", "15.7", 400, "rebuilt";
    small_newest_300_in_place: "small", "26.4", 300, "in-place";
    small_newest_300_rebuilt: "small", "26.4", 300, "rebuilt";
    small_newest_400_in_place: "small", "26.4", 400, "in-place";
    small_newest_400_rebuilt: "small", "26.4", 400, "rebuilt";
}
