use insta::assert_snapshot;
use lifeboat_testkit::{Running, Sim};

use crate::{home, phone, trusted_phone};

#[test]
fn without_usbmuxd_the_exit_is_13_and_the_next_step_is_named() {
    let home = home();
    for command in ["devices", "pair", "backup"] {
        let run = home.lifeboat([command]).run();
        assert_eq!(run.status, Some(13), "{run}");
        assert!(run.err().contains("usbmuxd") && run.err().contains("hint:"), "{run}");
        assert!(run.out().is_empty());
    }
    assert_snapshot!(home.lifeboat(["devices"]).run().snapshot(&[(home.path().as_str(), "[HOME]")]), @r"
    exit: 13
    --- stdout
    --- stderr
    error: nothing answers at [HOME]/no-usbmuxd, where usbmuxd should be: No such file or directory (os error 2)
    hint: Start `usbmuxd` (on Debian: `apt install usbmuxd`), or set USBMUXD_SOCKET_ADDRESS to where it listens.
    ");
    let failure = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(failure.status, Some(13), "{failure}");
    let summary = failure.summary();
    assert_eq!(summary["outcome"], "failed");
    assert_eq!(summary["cause"], "mux-unreachable");
}

#[test]
fn a_device_is_listed_with_its_trust() {
    let (home, sim) = phone();
    let devices = home.lifeboat(["devices", "--json"]).ok().json();
    assert_eq!(devices["devices"][0]["udid"], sim.udid());
    assert_eq!(devices["devices"][0]["trust"], "not-trusted");
    home.lifeboat(["pair"]).ok();
    let devices = home.lifeboat(["devices", "--json"]).ok().json();
    assert_eq!(devices["devices"][0]["trust"], "trusted");
    let listed = home.lifeboat(["devices"]).ok().out();
    assert!(listed.contains(sim.udid()) && listed.contains("Robin's iPhone"), "{listed}");
}

#[test]
fn with_no_device_the_list_is_empty_and_a_backup_ends_with_13() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["unplug"]);
    let devices = home.lifeboat(["devices", "--json"]).ok().json();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 0);
    let run = home.lifeboat(["backup"]).run();
    assert_eq!(run.status, Some(13), "{run}");
    let run = home.lifeboat(["backup", "-u", "00008101-000000000000FFFF"]).run();
    assert_eq!(run.status, Some(13), "{run}");
}

#[test]
fn a_device_that_is_not_there_is_told_from_one_that_is() {
    let (home, sim) = phone();
    let run = home.lifeboat(["-u", "nope", "devices"]).run();
    assert_eq!(run.status, Some(0), "{run}");
    let said = format!("nope is not connected; connected: {}", sim.udid());
    assert!(run.err().contains(&said), "{run}");
    let udid = sim.udid().replace('-', "").to_lowercase();
    assert!(home.lifeboat(["-u", &udid, "devices"]).ok().out().contains(sim.udid()));
}

/// usbmuxd answered: it is not the cause, neither of an iPhone without a cable nor of one that is not there.
#[test]
fn a_usbmuxd_that_answers_is_not_blamed() {
    let (home, sim) = trusted_phone();
    let blamed = |run: &lifeboat_testkit::Run| {
        format!("{run}").contains("usbmuxd-missing") || format!("{run}").contains("start-usbmuxd")
    };
    let run = home.lifeboat(["-u", "nope", "backup", "--json"]).run();
    assert!(run.status == Some(13) && !blamed(&run), "{run}");
    sim.ctl(&home, &["unplug"]);
    let run = home.lifeboat(["backup", "--json"]).run();
    assert!(run.status == Some(13) && !blamed(&run), "{run}");
    let run = home.lifeboat(["doctor", "--offline"]).run();
    assert!(!blamed(&run) && !run.out().contains("service that speaks"), "{run}");
}

#[test]
fn pairing_says_what_it_did_and_forgetting_undoes_it() {
    let (home, _sim) = phone();
    assert_snapshot!(home.lifeboat(["pair"]).run().snapshot(&[]), @r"
    exit: 0
    --- stdout
    Robin's iPhone trusts this computer now
    --- stderr
    ");
    assert_snapshot!(home.lifeboat(["pair"]).run().snapshot(&[]), @r"
    exit: 0
    --- stdout
    Robin's iPhone trusts this computer already
    --- stderr
    ");
    home.lifeboat(["pair", "--forget"]).ok();
    let run = home.lifeboat(["backup"]).run();
    assert_eq!(run.status, Some(14), "{run}");
}

#[test]
fn not_trusted_and_trust_denied_end_with_14() {
    let (home, sim) = phone();
    let run = home.lifeboat(["backup"]).run();
    assert_eq!(run.status, Some(14), "{run}");
    assert!(run.err().contains("lifeboat pair"), "{run}");
    sim.ctl(&home, &["fault", "trust-denied"]);
    let run = home.lifeboat(["pair", "--json"]).run();
    assert_eq!(run.status, Some(14), "{run}");
    assert_eq!(run.summary()["cause"], "trust-denied");
}

#[test]
fn a_person_taps_trust_while_the_program_waits() {
    let mut home = home();
    let sim = Sim::start(&mut home, &["--ask"]);
    let pairing = home.lifeboat(["pair", "--json"]).start();
    let mut waited = false;
    while let Some(line) = pairing.next_line() {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "waiting" && event["for"] == "trust-dialog" && !waited {
            waited = true;
            let asked = sim.ctl(&home, &["trust"]).json();
            if asked["passcode-wanted"] == true {
                sim.ctl(&home, &["passcode", "enter"]);
            }
        }
    }
    let run = pairing.wait();
    assert_eq!(run.status, Some(0), "{run}");
    assert!(waited, "nobody was told to tap Trust\n{run}");
}

#[test]
fn several_devices_need_a_choice() {
    let mut home = home();
    let sim = Sim::start_phones(
        &mut home,
        &["name = \"One\"\nseed = 1\n", "name = \"Two\"\nseed = 2\n"],
        &[],
    );
    let run = home.lifeboat(["backup"]).run();
    assert_eq!(run.status, Some(2), "{run}");
    assert!(run.err().contains("`-u UDID`"), "{run}");
    for udid in &sim.udids {
        home.lifeboat(["pair", "-u", udid]).ok();
    }
    let all = home.lifeboat(["backup", "--all"]).ok();
    assert_eq!(all.out().matches("backed up ").count(), 2, "{all}");
    let snapshots = home.lifeboat(["snapshots", "--json"]).ok().json();
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 2);
    let again = home
        .lifeboat([
            "backup",
            "--all",
            "--if-older-than",
            "1h",
            "--notify-command",
            "echo \"$LIFEBOAT_OUTCOME\" >> told",
        ])
        .ok();
    assert_eq!(again.out().matches("not due: ").count(), 2, "{again}");
    let snapshots = home.lifeboat(["snapshots", "--json"]).ok().json();
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 2);
    home.lifeboat([
        "backup",
        "--all",
        "--notify-command",
        "echo \"$LIFEBOAT_OUTCOME $LIFEBOAT_DEVICE\" >> told",
    ])
    .ok();
    let mut told: Vec<String> = fs_err::read_to_string(home.path().join("told"))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    told.sort();
    assert_eq!(told, ["done One", "done Two"]);
}

/// Neither finds a repository, so both make one.
#[test]
fn two_first_backups_at_once_share_the_repository_that_one_of_them_makes() {
    let mut home = home();
    let phones = ["name = \"One\"\nseed = 1\n", "name = \"Two\"\nseed = 4\n"];
    let sim = Sim::start_phones(&mut home, &phones, &[]);
    for udid in &sim.udids {
        home.lifeboat(["pair", "-u", udid]).ok();
    }
    let running: Vec<_> =
        sim.udids.iter().map(|udid| home.lifeboat(["backup", "-u", udid]).start()).collect();
    for run in running.into_iter().map(Running::wait) {
        assert_eq!(run.status, Some(0), "{run}");
    }
    let snapshots = home.lifeboat(["snapshots", "--json"]).ok().json();
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 2, "{snapshots}");
    home.lifeboat(["check", "--read-data"]).ok();
}
