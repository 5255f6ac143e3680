//! How long a person is waited for: `--wait` is the limit for all of it.

use lifeboat_testkit::{Home, Sim};

use crate::home;

/// A phone that trusts and asks for its passcode before each backup, and gives up after so many seconds.
fn asking(seconds: u64) -> (Home, Sim) {
    let mut home = home();
    let phone = format!("[knobs]\npasscode-timeout = {seconds}\npasscode-prompt = true\n");
    let sim = Sim::start_phones(&mut home, &[&phone], &["--ask"]);
    let pairing = home.lifeboat(["pair", "--json"]).start();
    pairing.until("trust-dialog");
    if sim.ctl(&home, &["trust"]).json()["passcode-wanted"] == true {
        sim.ctl(&home, &["passcode", "enter"]);
    }
    assert_eq!(pairing.wait().status, Some(0));
    (home, sim)
}

#[test]
fn a_passcode_is_not_waited_for_longer_than_was_asked() {
    let (home, _sim) = asking(20);
    let run = home.lifeboat(["backup", "--wait", "2s", "--json"]).run();
    assert_eq!(run.status, Some(15), "{run}");
    let summary = run.summary();
    assert_eq!(summary["cause"], "passcode-not-entered", "{run}");
    let message = summary["message"].as_str().expect("a message");
    assert!(message.contains("within 2 seconds"), "{run}");
    assert!(summary["seconds"].as_f64() < Some(15.0), "{run}");
    assert_eq!(summary["finding"], "transfer/passcode-not-entered", "{run}");
}

#[test]
fn a_passcode_is_waited_for_as_long_as_was_asked_though_the_device_gives_up() {
    let (home, sim) = asking(1);
    let running = home.lifeboat(["backup", "--wait", "5m", "--json"]).start();
    running.until("\"passcode\"");
    // The first sheet is gone: the device asks again.
    running.until("\"passcode\"");
    while home
        .lifeboat(["sim", "ctl", "--state", sim.state.as_str(), "passcode", "enter"])
        .run()
        .status
        != Some(0)
    {
        running.until("\"passcode\"");
    }
    let run = running.wait();
    assert_eq!(run.status, Some(0), "{run}");
    assert_eq!(run.summary()["outcome"], "done", "{run}");
}

#[test]
fn who_sends_the_passcode_sheet_away_is_not_asked_again() {
    let (home, sim) = asking(60);
    let running = home.lifeboat(["backup", "--wait", "5m", "--json"]).start();
    running.until("\"passcode\"");
    sim.ctl(&home, &["passcode", "cancel"]);
    let run = running.wait();
    assert_eq!(run.status, Some(15), "{run}");
}

#[test]
fn who_stops_before_a_file_came_reads_that_nothing_is_kept() {
    let (home, _sim) = asking(60);
    let running = home.lifeboat(["backup", "--json"]).start();
    running.until("\"passcode\"");
    running.interrupt();
    let run = running.wait();
    assert_eq!((run.status, &run.summary()["files_kept"]), (Some(130), &0.into()), "{run}");
    assert!(run.err().contains("kept: nothing of this run, for no file had arrived"), "{run}");
}
