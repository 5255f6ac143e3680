//! With `-v` every command says what it asked, what came and how long it took, and nobody whose device it was.

use lifeboat_testkit::{Home, Run};

use crate::{assert_says_nothing, trusted_phone, who};

fn run(home: &Home, arguments: &[&str]) -> Run {
    home.lifeboat(arguments.iter().copied().chain(["-v"])).run()
}

/// The lines of the log that say how long something took.
fn measured(run: &Run) -> Vec<String> {
    let is_ours = |line: &&str| line.contains(" INFO lifeboat") && line.contains(" ms=");
    run.err().lines().filter(is_ours).map(str::to_owned).collect()
}

#[test]
fn every_command_that_asks_something_says_so() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let who = who(&home);
    for (command, wanted) in [
        (&["devices"][..], &["usbmuxd was asked", "the device knows this computer"][..]),
        (&["pair"], &["usbmuxd was asked", "the device knows this computer"]),
        (&["backup"], &["usbmuxd was asked", "a service of the device is started", "looked"]),
        (&["doctor", "--offline"], &["usbmuxd was asked", "looked"]),
        (&["snapshots"], &["the repository is open", "the snapshots were read"]),
        (&["status"], &["the repository is open", "the snapshots were read"]),
        (&["find", "sms.db"], &["the repository is open", "the snapshots were read"]),
        (&["show", "latest"], &["the repository is open", "a snapshot was looked for"]),
        (&["ls", "latest"], &["the repository is open", "a snapshot was looked for"]),
        (&["cat", "latest:backup/Info.plist"], &["the repository is open"]),
        (&["diff", "latest", "latest"], &["the repository is open", "a snapshot was looked for"]),
        (&["export", "latest", "out", "--as", "files"], &["a snapshot was looked for"]),
        (&["check"], &["the repository is open", "the repository was checked"]),
        (&["repo", "stats"], &["the repository is open"]),
        (&["repo", "key"], &["the repository is open"]),
    ] {
        let run = run(&home, command);
        assert_eq!(run.status, Some(0), "{command:?}\n{run}");
        let lines = measured(&run);
        for text in wanted {
            assert!(lines.iter().any(|line| line.contains(text)), "{command:?}: {text}\n{run}");
        }
        let ends = format!("ends command=\"{}\" exit=0", command[0]);
        assert!(run.err().contains(&ends), "{command:?}: {ends}\n{run}");
        assert_says_nothing(&run, &sim, &who);
        let key = fs_err::read_to_string(home.key_file()).expect("a key");
        assert!(!run.err().contains(key.trim()), "{command:?}\n{run}");
    }
}

#[test]
fn what_is_not_there_is_said_to_have_been_asked_for() {
    let home = crate::home();
    for (command, text) in [
        ("devices", "no answer that helps doing=\"connecting to usbmuxd\""),
        ("snapshots", "ends command=\"snapshots\" exit=10"),
    ] {
        let run = run(&home, &[command]);
        assert_ne!(run.status, Some(0), "{run}");
        assert!(run.err().contains(text), "{text}\n{run}");
    }
}
