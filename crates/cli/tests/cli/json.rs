//! What programs rely on: docs/cli.md, section JSON.

use lifeboat_testkit::Run;

use crate::{home, trusted_phone};

/// One failure and nothing else on standard output.
fn assert_wrong_usage(run: &Run) {
    assert_eq!(run.status, Some(2), "{run}");
    let told = run.events();
    let [failure] = told.as_slice() else { panic!("{} objects\n{run}", told.len()) };
    let is = |key: &str, value: &str| assert_eq!(failure[key], value, "{key}\n{run}");
    is("event", "summary");
    is("outcome", "failed");
    is("cause", "wrong-usage");
    assert_eq!(failure["exit"], 2, "{run}");
    assert!(failure["message"].as_str().is_some_and(|said| !said.is_empty()), "{run}");
    assert!(failure["next"].is_array() && run.err().contains("error:"), "{run}");
}

#[test]
fn wrong_usage_is_one_object_for_every_command() {
    let home = home();
    fs_err::write(home.path().join("machine.toml"), "nonsense").unwrap();
    let help = home.lifeboat(["--help"]).ok().out();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 15, "{help}");
    for command in commands {
        assert_wrong_usage(&home.lifeboat([command, "--bogus", "--json"]).run());
    }
    for arguments in [
        "--json",
        "--json dance",
        "--json backup --wait xx",
        "export --json latest out --as foo",
        "export latest --json",
        "find --json",
        "show --json",
        "ls --json",
        "cat latest --json",
        "cat latest:HomeDomain/x --json",
        "backup --if-older-than 1d --json",
        "status --json --max-age yesterday",
        "doctor --yes --json",
        "doctor --answer dance --json",
        "sim --listen nonsense --json",
        "sim --scenario dance --json",
        "sim ctl lock --json",
        "repo --json",
        "repo dance --json",
        "completions dance --json",
        "explain --json",
        "--repo sftp:host:/x snapshots --json",
        "--config nowhere.toml snapshots --json",
        "--machine machine.toml devices --json",
    ] {
        assert_wrong_usage(&home.lifeboat(arguments.split(' ')).run());
    }
    assert_wrong_usage(&home.lifeboat(["find", "", "--json"]).run());
    assert_wrong_usage(&home.lifeboat(["snapshots", "--json"]).env("LIFEBOAT_UDID", "").run());
    // What stands behind `--` is no flag.
    assert!(home.lifeboat(["find", "--", "a", "--json"]).run().out().is_empty());
}

#[test]
fn what_tells_events_ends_with_the_summary() {
    let (home, _sim) = trusted_phone();
    for arguments in [
        &["pair"] as &[&str],
        &["backup"],
        &["check"],
        &["check", "--read-data"],
        &["export", "latest", "out", "--as", "files"],
        &["pair", "--forget"],
    ] {
        let command = home.lifeboat(arguments.iter().copied()).arg("--json");
        let told = command.ok().events();
        let (last, before) = told.split_last().expect("a summary");
        assert_eq!((&last["event"], &last["outcome"]), (&"summary".into(), &"done".into()));
        assert!(before.iter().all(|event| event["event"] != "summary"), "{arguments:?}");
    }
    let export = &["export", "ffff", "no", "--as", "files"];
    for arguments in [&["check"] as &[&str], export, &["pair"], &["backup"]] {
        let command = home.lifeboat(arguments.iter().copied());
        let run = command.args(["--json", "--repo", "nowhere", "-u", "nobody"]).run();
        assert_eq!(run.summary()["outcome"], "failed", "{run}");
        // One, though a backup tells its own.
        let summaries = run.events().iter().filter(|event| event["event"] == "summary").count();
        assert_eq!(summaries, 1, "{run}");
    }
}

#[test]
fn quiet_leaves_out_how_far_a_job_is() {
    let (home, _sim) = trusted_phone();
    let kinds = |arguments: &[&str]| -> Vec<String> {
        let told = home.lifeboat(arguments.iter().copied()).ok().events();
        told.iter().map(|event| event["event"].as_str().expect("an event").to_owned()).collect()
    };
    assert!(kinds(&["backup", "--json"]).contains(&"stage".to_owned()));
    let told = kinds(&["backup", "--json", "--quiet"]);
    assert!(!told.iter().any(|kind| kind == "stage" || kind == "progress"), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("summary"));
    let told = home.lifeboat(["diff", "latest", "latest", "--json"]).ok().json();
    assert_eq!(told["format"], 1, "{told}");
}
