//! A repository with backups of several devices.

use lifeboat_testkit::Sim;

use crate::home;

#[test]
fn latest_of_several_devices_wants_to_know_which() {
    let mut home = home();
    let phones = ["seed = 1\nprofile = \"tiny\"\n", "seed = 2\nprofile = \"tiny\"\n"];
    let sim = Sim::start_phones(&mut home, &phones, &[]);
    let (one, other) = (sim.udids[0].as_str(), sim.udids[1].as_str());
    for (udid, is_alone) in [(one, true), (other, false)] {
        home.lifeboat(["pair", "-u", udid]).ok();
        let made = home.lifeboat(["backup", "--json", "-u", udid]).ok().summary();
        if is_alone {
            assert_eq!(
                home.lifeboat(["show", "latest", "--json"]).ok().json()["id"],
                made["snapshot"]
            );
        }
    }
    for arguments in [
        &["show", "latest"] as &[&str],
        &["ls", "latest"],
        &["cat", "latest:backup/Info.plist"],
        &["diff", "latest", "latest"],
        &["export", "latest", "out", "--as", "files"],
        &["find", "Info.plist", "--snapshot", "latest"],
    ] {
        let run = home.lifeboat(arguments.iter().copied()).run();
        assert_eq!(run.status, Some(2), "{run}");
        for udid in [one, other] {
            assert!(run.err().contains(&format!("`-u {udid}`")), "{run}");
        }
        assert!(run.out().is_empty() && !home.path().join("out").exists(), "{run}");
    }
    let run = home.lifeboat(["show", "latest", "--json"]).run();
    assert_eq!(run.summary()["cause"], "several-devices", "{run}");
    for udid in [one, other] {
        let shown = home.lifeboat(["-u", udid, "show", "latest", "--json"]).ok().json();
        assert_eq!(shown["udid"], udid);
        let shown = home.lifeboat(["show", "latest", "--json"]).env("LIFEBOAT_UDID", udid).ok();
        assert_eq!(shown.json()["udid"], udid);
        let named = format!("{udid}@latest");
        assert_eq!(home.lifeboat(["show", &named, "--json"]).ok().json()["udid"], udid);
    }

    let sheet = home.lifeboat(["repo", "sheet"]).ok().out();
    for udid in [one, other] {
        assert!(sheet.contains(&format!(" -u {udid} export latest DIR/")), "{sheet}");
        assert!(sheet.contains(&format!("restore latest --host {udid} --tag complete")), "{sheet}");
    }
    // A line of the sheet is one that a shell takes.
    let line = sheet.lines().find(|line| line.contains(" export latest DIR/2 "));
    let line = line.expect("a line for the second").replace("DIR/2", "second");
    fs_err::copy(home.key_file(), home.path().join("password.txt")).unwrap();
    let script = line.replace(" lifeboat ", &format!(" {} ", home.program()));
    home.command("/bin/sh").args(["-c", &script]).ok();
    assert!(home.path().join("second/HomeDomain").is_dir());
}
