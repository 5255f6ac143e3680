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
        &["sim", "ctl", "lock"],
    ] {
        let run = home.lifeboat(arguments.iter().copied()).run();
        assert_eq!(run.status, Some(2), "{arguments:?}\n{run}");
        assert!(run.out().is_empty() && run.err().contains("error:"), "{arguments:?}\n{run}");
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
