//! The cable is pulled, another program holds the device, and what the log says meanwhile.

use std::time::Duration;

use lifeboat_testkit::{Run, Sim};

use crate::{SLOW, assert_says_nothing, home, in_the_middle, trusted_phone, who};

/// A phone whose cable is so slow that a backup lasts longer than anybody asks for the sync lock.
const SLOWEST: &str = "profile = \"tiny\"\n[knobs]\nthrottle = 60000\n";

/// A run that failed because the link did: 17, JSON alone on standard output, no panic.
fn assert_link_lost(run: &Run) {
    assert_eq!(run.status, Some(17), "{run}");
    assert_eq!(run.summary()["outcome"], "failed", "{run}");
    assert!(!run.err().contains("panicked"), "{run}");
}

#[test]
fn a_pulled_cable_ends_with_17_and_the_next_run_goes_on() {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[SLOW], &[]);
    home.lifeboat(["pair"]).ok();
    let running = home.lifeboat(["backup", "--json"]).start();
    in_the_middle(&running);
    sim.ctl(&home, &["unplug"]);
    assert_link_lost(&running.wait());

    sim.ctl(&home, &["plug"]);
    let again = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!((&again["outcome"], &again["resumed"]), (&"done".into(), &true.into()));
    home.lifeboat(["export", "latest", "out", "--as", "files"]).ok();
    lifeboat_testkit::digest::assert_same(
        &lifeboat_testkit::digest::files(&home.path().join("out")),
        &sim.digest(&home),
    );
}

#[test]
fn a_mux_that_dies_ends_with_17() {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[SLOW], &[]);
    home.lifeboat(["pair"]).ok();
    let running = home.lifeboat(["backup", "--json"]).start();
    in_the_middle(&running);
    drop(sim);
    assert_link_lost(&running.wait());
}

#[test]
fn a_second_run_says_that_another_works_and_finds_nothing() {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[SLOW], &[]);
    home.lifeboat(["pair"]).ok();
    let running = home.lifeboat(["backup", "--json"]).start();
    in_the_middle(&running);
    let second = home.lifeboat(["backup", "--json"]).run();
    let summary = second.summary();
    assert_eq!(
        (second.status, &summary["cause"]),
        (Some(5), &"already-running".into()),
        "{second}"
    );
    assert_eq!(summary["finding"], serde_json::Value::Null, "{second}");
    running.interrupt();
    assert_eq!(running.wait().status, Some(130));
    drop(sim);
}

#[test]
fn a_device_that_another_program_syncs_with_postpones_the_backup() {
    let mut first = home();
    let sim = Sim::start_phones(&mut first, &[SLOWEST], &[]);
    first.lifeboat(["pair"]).ok();
    let mut second = home();
    second.connect(&sim.address);
    let running = first.lifeboat(["backup", "--json"]).limit(Duration::from_mins(5)).start();
    in_the_middle(&running);

    let run = second.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(5), "{run}");
    let summary = run.summary();
    assert_eq!(summary["cause"], "device-busy", "{run}");
    assert_eq!(summary["outcome"], "postponed", "{run}");
    assert!(!run.err().contains("panicked"), "{run}");
    running.interrupt();
    assert_eq!(running.wait().status, Some(130));
}

#[test]
fn the_log_tells_nobody_who_the_device_is() {
    let (home, sim) = trusted_phone();
    // Nothing is known of the phone here yet, but by asking it.
    let first = home.lifeboat(["backup", "-vvv"]).env("LIFEBOAT_LOG", "idevice=trace").ok();
    assert!(first.err().contains("lifeboat"), "there is a log\n{first}");
    let who = who(&home);
    assert_says_nothing(&first, &sim, &who);
    for verbose in ["-v", "-vv", "-vvv"] {
        let run = home.lifeboat(["devices", verbose]).ok();
        assert!(run.out().contains(sim.udid()), "{run}");
        assert_says_nothing(&run, &sim, &who);
    }
    for arguments in [&["backup", "-vvv"][..], &["doctor", "--offline", "-vvv"]] {
        assert_says_nothing(&home.lifeboat(arguments.iter().copied()).ok(), &sim, &who);
    }
    let run = home.lifeboat(["devices"]).env("LIFEBOAT_LOG", "idevice=trace").ok();
    assert_says_nothing(&run, &sim, &who);
}

#[test]
fn a_name_and_a_serial_number_that_come_by_another_way_are_not_logged() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    home.lifeboat(["export", "latest", "apple", "--as", "finder"]).ok();
    let info = home.path().join(format!("apple/{}/Info.plist", sim.udid()));
    let info = fs_err::read_to_string(info).expect("XML");
    let (_, rest) = info.split_once("<key>Serial Number</key>").expect("a serial number");
    let serial = rest.split(['<', '>']).nth(2).expect("a text");
    // The device says who it is in the name of a message, and that is logged.
    let named = format!("name=DL of Robin's iPhone {serial} end");
    sim.ctl(&home, &["fault", "unknown-message", &named]);
    let run = home.lifeboat(["backup", "--json", "-v"]).ok();
    assert!(run.err().contains("DL of") && run.err().contains("end"), "it is logged\n{run}");
    assert!(!run.err().contains("Robin") && !run.err().contains(serial), "{run}");
}

#[test]
fn a_path_of_the_working_area_in_the_log_does_not_name_the_device() {
    let mut home = home();
    let sim = Sim::start_phones(&mut home, &[SLOW], &[]);
    home.lifeboat(["pair"]).ok();
    let running = home.lifeboat(["backup", "--json", "-vvv"]).start();
    in_the_middle(&running);
    // The journal cannot be removed at the end: that is logged with its path.
    let working = home.path().join("state/lifeboat/working");
    let journal = working.join(sim.udid()).join("journal");
    fs_err::rename(&journal, home.path().join("journal")).unwrap();
    fs_err::create_dir(&journal).unwrap();
    let run = running.wait();
    assert_eq!(run.status, Some(0), "{run}");
    let logged = working.join("<udid>").join("journal");
    assert!(run.err().contains(logged.as_str()), "{run}");
    assert_says_nothing(&run, &sim, &who(&home));
}
