use crate::home;

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let home = home();
    for arguments in [
        &["dance"] as &[&str],
        &["backup", "--slowly"],
        &["export", "latest", "somewhere"],
        &["export", "latest", "somewhere", "--as", "zip"],
        &["show"],
        &["backup", "--if-older-than", "1d"],
        &["status", "--max-age", "yesterday"],
        &["cat", "latest"],
        &["find", ""],
        &["-u", "", "backup"],
        &["-u", "", "devices"],
        &["sim", "ctl", "unplug", "-u", ""],
        &["sim", "ctl", "lock"],
    ] {
        let run = home.lifeboat(arguments.iter().copied()).run();
        assert_eq!(run.status, Some(2), "{arguments:?}\n{run}");
        assert!(run.out().is_empty() && run.err().contains("error:"), "{arguments:?}\n{run}");
    }
}

#[test]
fn an_empty_udid_is_refused_wherever_it_stands() {
    let home = home();
    let run = home.lifeboat(["backup"]).env("LIFEBOAT_UDID", "").run();
    assert_eq!(run.status, Some(2), "{run}");
    assert!(run.err().contains("LIFEBOAT_UDID is empty"), "{run}");
    fs_err::create_dir_all(home.path().join("config/lifeboat")).unwrap();
    fs_err::write(home.path().join("config/lifeboat/config.toml"), "udid = \"\"\n").unwrap();
    for command in ["backup", "devices", "snapshots", "status", "doctor"] {
        let run = home.lifeboat([command]).run();
        assert_eq!(run.status, Some(2), "{run}");
        assert!(run.err().contains("`udid` in the configuration file is empty"), "{run}");
    }
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_with_its_place() {
    let home = home();
    fs_err::create_dir_all(home.path().join("config/lifeboat")).unwrap();
    fs_err::write(home.path().join("config/lifeboat/config.toml"), "repositry = \"/x\"\n").unwrap();
    let run = home.lifeboat(["snapshots"]).run();
    assert_eq!(run.status, Some(2), "{run}");
    assert!(
        run.err().contains("config/lifeboat/config.toml") && run.err().contains("repositry"),
        "{run}"
    );
}

#[test]
fn every_command_explains_itself_with_examples() {
    let home = home();
    let help = home.lifeboat(["--help"]).ok().out();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"backup") && commands.contains(&"demo"), "{help}");
    for command in commands {
        let help = home.lifeboat([command, "--help"]).ok().out();
        assert!(help.contains("Examples:") && help.contains("Usage: lifeboat"), "{help}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let home = home();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.lifeboat(["completions", shell]).ok().out();
        assert!(script.contains("lifeboat") && script.contains("snapshots"), "{shell}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let home = home();
    let program = env!("CARGO_BIN_EXE_lifeboat");
    // The script is far larger than a pipe holds, so the program meets its end.
    let run = home
        .command("/bin/sh")
        .args([
            "-c",
            &format!("('{program}' completions bash; echo status $? >&2) | head -c 1 > first"),
        ])
        .ok();
    assert_eq!(run.err(), "status 0\n");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused_by_name() {
    let home = home();
    for name in ["LIFEBOAT_REPO", "LIFEBOAT_UDID", "USBMUXD_SOCKET_ADDRESS", "XDG_DATA_HOME"] {
        let script = format!("{name}=$(printf '/x/r\\377') exec \"$0\" backup");
        let run = home.command("/bin/sh").args(["-c", &script, home.program().as_str()]).run();
        assert_eq!(run.status, Some(2), "{run}");
        assert!(run.err().contains(&format!("the variable {name} is not UTF-8")), "{run}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_an_end_is_refused_by_name() {
    let home = home();
    for arguments in [
        ["--config", "/dev/zero", "snapshots"],
        ["--machine", "/dev/zero", "devices"],
        ["sim", "--phone", "/dev/zero"],
    ] {
        let run = home.lifeboat(arguments).run();
        assert_eq!(run.status, Some(2), "{run}");
        assert!(run.err().contains("/dev/zero is longer than 1048576 bytes"), "{run}");
    }
    let run = home
        .lifeboat(["--repo", "r", "snapshots"])
        .env("LIFEBOAT_REPO_PASSWORD_FILE", "/dev/zero")
        .run();
    assert_eq!(run.status, Some(12), "{run}");
    assert!(run.err().contains("the password file /dev/zero is larger"), "{run}");
}

#[test]
fn more_days_than_a_phone_lives_at_once_are_wrong_usage() {
    let home = home();
    for arguments in [
        &["sim", "--days", "99999999"] as &[&str],
        &["sim", "ctl", "--state", "s", "live", "--days", "3651"],
    ] {
        let run = home.lifeboat(arguments.iter().copied()).run();
        assert_eq!(run.status, Some(2), "{run}");
        assert!(run.err().contains("3650 days at a time at most"), "{run}");
    }
}

/// Runs the program with standard output on a disk that is always full.
#[cfg(target_os = "linux")]
fn into_full(home: &lifeboat_testkit::Home, arguments: &str) -> lifeboat_testkit::Run {
    let script = format!("exec \"$0\" {arguments} >/dev/full");
    home.command("/bin/sh").args(["-c", &script, home.program().as_str()]).run()
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_on_a_full_disk_is_told_and_ends_with_16() {
    let (home, _sim) = crate::trusted_phone();
    for (arguments, snapshots) in [("backup --json --quiet", 1), ("backup --quiet", 2)] {
        let run = into_full(&home, arguments);
        assert_eq!(run.status, Some(16), "{run}");
        let told = run.err();
        assert_eq!(
            told.matches("error: the standard output cannot be written: No space").count(),
            1,
            "{run}"
        );
        let listed = home.lifeboat(["snapshots", "--json"]).ok().json();
        let listed = listed["snapshots"].as_array().unwrap();
        assert_eq!(listed.len(), snapshots);
        let named = |id: &str| told.contains(&format!("the backup is made: snapshot {id}"));
        assert!(listed.iter().any(|snapshot| named(snapshot["id"].as_str().unwrap())), "{run}");
    }
    for arguments in [
        "snapshots",
        "snapshots --json",
        "ls latest",
        "completions bash",
        "--help",
        "cat latest:backup/Manifest.db",
        "demo --profile tiny",
    ] {
        let run = into_full(&home, arguments);
        assert_eq!(run.status, Some(16), "{arguments}\n{run}");
        assert!(
            run.err().contains("the standard output cannot be written: No space"),
            "{arguments}\n{run}"
        );
    }
    // What the job itself came to is worse.
    let run = into_full(&home, "--repo nowhere snapshots --json");
    assert_eq!(run.status, Some(10), "{run}");
}
