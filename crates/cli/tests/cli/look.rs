use lifeboat_testkit::{Home, Sim};

use crate::trusted_phone;

/// A home with two snapshots and a day between them.
fn two_snapshots() -> (Home, Sim, [String; 2]) {
    let (home, sim) = trusted_phone();
    let backup = || {
        let summary = home.lifeboat(["backup", "--json"]).ok().summary();
        summary["snapshot"].as_str().expect("a snapshot").to_owned()
    };
    let first = backup();
    sim.ctl(&home, &["live", "--days", "1"]);
    let second = backup();
    (home, sim, [first, second])
}

/// As much of an id as people use.
fn short(id: &str) -> &str {
    id.get(..8).expect("a long id")
}

#[test]
fn snapshots_are_listed_shown_and_compared() {
    let (home, sim, [first, second]) = two_snapshots();
    let list = home.lifeboat(["snapshots", "--json"]).ok().json();
    let ids: Vec<&str> = list["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|snapshot| snapshot["id"].as_str())
        .collect();
    assert_eq!(ids, [&first, &second]);
    let table = home.lifeboat(["snapshots"]).ok().out();
    assert!(
        table.contains(short(&first))
            && table.contains("Robin's iPhone")
            && table.contains("complete"),
        "{table}"
    );

    let latest = home.lifeboat(["show", "latest", "--json"]).ok().json();
    assert_eq!(latest["id"], second.as_str());
    assert_eq!(latest["udid"], sim.udid());
    let by_prefix = home.lifeboat(["show", short(&first), "--json"]).ok().json();
    assert_eq!(by_prefix["id"], first.as_str());
    let shown = home.lifeboat(["show", "latest"]).ok().out();
    for part in ["HomeDomain", "CameraRollDomain", sim.udid(), "DOMAIN"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }

    let diff = home.lifeboat(["diff", &first, &second, "--json"]).ok().json();
    assert!(
        !diff["added"].as_array().unwrap().is_empty()
            && !diff["changed"].as_array().unwrap().is_empty(),
        "{diff}"
    );
    let lines = home.lifeboat(["diff", &first, &second]).ok().out();
    assert!(
        lines.lines().any(|line| line.starts_with("M HomeDomain/Library/SMS/sms.db")),
        "{lines}"
    );
}

#[test]
fn files_are_listed_found_and_printed() {
    let (home, sim, [first, _]) = two_snapshots();
    let domains = home.lifeboat(["ls", "latest"]).ok().out();
    assert!(domains.lines().any(|line| line.trim_end_matches('/') == "HomeDomain"), "{domains}");
    let all = home.lifeboat(["ls", "-R", "latest", "--json"]).ok().json();
    let listed: Vec<&str> = all["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["kind"] == "file")
        .filter_map(|entry| entry["path"].as_str())
        .collect();
    let phone = sim.digest(&home);
    assert_eq!(listed.len(), phone.len());
    let strangers: Vec<&&str> = listed.iter().filter(|path| !phone.contains_key(**path)).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    let long = home.lifeboat(["ls", "-l", "latest:HomeDomain/Library/SMS"]).ok().out();
    assert!(long.lines().any(|line| line.starts_with('-') && line.ends_with("sms.db")), "{long}");

    let run = home.lifeboat(["cat", "latest:HomeDomain/Library/SMS/sms.db"]).ok();
    assert!(run.stdout.starts_with(b"SQLite format 3\0"));
    fs_err::write(home.path().join("sms.db"), &run.stdout).unwrap();
    let (_, sum) = lifeboat_testkit::digest::file(&home.path().join("sms.db"));
    assert_eq!(sum, phone["HomeDomain/Library/SMS/sms.db"]);

    let found = home.lifeboat(["find", "sms.db", "--json"]).ok().json();
    assert_eq!(found["found"].as_array().unwrap().len(), 2, "{found}");
    let found = home.lifeboat(["find", "*/sms.db", "--snapshot", &first]).ok().out();
    assert!(
        found.contains("HomeDomain/Library/SMS/sms.db") && found.contains(short(&first)),
        "{found}"
    );
}

#[test]
fn an_empty_answer_is_said_and_is_no_failure() {
    let (home, _sim, _) = two_snapshots();
    let run = home.lifeboat(["find", "no such file"]).ok();
    assert!(run.out().is_empty() && run.err().starts_with("nothing found"), "{run}");
    let run = home.lifeboat(["find", "no such file", "--json"]).ok();
    assert_eq!(run.json()["found"], serde_json::json!([]));
    assert!(run.err().starts_with("nothing found"), "{run}");
    for command in ["snapshots", "status"] {
        let run = home.lifeboat([command, "-u", "nope"]).ok();
        assert!(run.out().is_empty(), "{run}");
        assert!(run.err().contains("no backup of the device nope"), "{run}");
        let run = home.lifeboat([command, "-u", "nope", "--json"]).ok();
        let list = if command == "status" { "devices" } else { command };
        assert_eq!(run.json()[list], serde_json::json!([]), "{run}");
        assert!(run.err().contains("no backup of the device nope"), "{run}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let (home, _sim, _) = two_snapshots();
    for (arguments, cause) in [
        (["show", "ffffffffff", "--json"], "no-such-snapshot"),
        (["ls", "latest:NoDomain", "--json"], "no-such-path"),
    ] {
        let run = home.lifeboat(arguments).run();
        assert_eq!(run.status, Some(1), "{run}");
        assert_eq!(run.summary()["cause"], cause, "{run}");
        assert!(run.err().contains("hint:"), "{run}");
    }
    let run = home.lifeboat(["show", "6"]).run();
    assert_eq!(run.status, Some(2), "{run}");
    assert!(run.err().contains("at least 4 characters"), "{run}");
    let run = home.lifeboat(["cat", "latest:HomeDomain/nothing"]).run();
    assert_eq!(run.status, Some(1), "{run}");
    assert!(run.out().is_empty(), "{run}");
}

#[test]
fn folders_of_other_tools_are_looked_into() {
    let (home, sim, _) = two_snapshots();
    home.lifeboat(["export", "latest", "apple", "--as", "finder"]).ok();
    let folder = format!("apple/{}", sim.udid());
    let shown = home.lifeboat(["show", "--folder", &folder, "--json"]).ok().json();
    assert_eq!(shown["udid"], sim.udid());
    let listed = home.lifeboat(["ls", "--folder", &folder, "HomeDomain/Library"]).ok().out();
    assert!(listed.contains("HomeDomain/Library/SMS"), "{listed}");
    let sms = home.lifeboat(["cat", "--folder", &folder, "HomeDomain/Library/SMS/sms.db"]).ok();
    assert!(sms.stdout.starts_with(b"SQLite format 3\0"));
    let run = home.lifeboat(["show", "--folder", "config"]).run();
    assert_eq!(run.status, Some(1), "{run}");
}

#[test]
fn a_cache_that_cannot_be_used_stops_no_reading() {
    let (home, _sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    fs_err::write(home.path().join("file"), "in its way").unwrap();
    let cache = home.path().join("file/cache");
    for arguments in [
        &["snapshots"] as &[&str],
        &["status"],
        &["show", "latest"],
        &["ls", "-R", "latest"],
        &["find", "sms.db"],
        &["diff", "latest", "latest"],
        &["check"],
        &["check", "--read-data"],
        &["repo", "stats"],
        &["export", "latest", "out", "--as", "finder"],
    ] {
        let run = home.lifeboat(arguments.iter().copied()).env("LIFEBOAT_CACHE", &cache).ok();
        assert!(!run.err().contains("cache"), "{run}");
    }
    let run = home.lifeboat(["snapshots", "-v"]).env("LIFEBOAT_CACHE", &cache).ok();
    assert!(run.err().contains("the cache cannot be used"), "{run}");
}

/// What acts on a terminal, or on the order in which a person reads.
fn commands(text: &str) -> Vec<char> {
    let acts = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(acts).collect()
}

#[test]
fn names_from_a_phone_cannot_command_a_terminal() {
    const NAME: &str = "\u{1b}[2Jcleared \u{202e}txt.exe";
    const SHOWN: &str = "\\u{1b}[2Jcleared \\u{202e}txt.exe";
    let mut home = crate::home();
    // The owner of a phone gives it a name, too. (XML has no way to say `ESC`.)
    let phone = "name = \"Robin\\u202e\\nerror: all is lost\"\nprofile = \"tiny\"\n";
    let sim = Sim::start_phones(&mut home, &[phone], &[]);
    home.lifeboat(["pair"]).ok();
    // One that the phone forgets to send, and a whole one: they differ by this file.
    sim.ctl(&home, &["fault", "forgotten", "file=cleared"]);
    let lacking = home.lifeboat(["backup"]).run();
    assert_eq!(lacking.status, Some(3), "{lacking}");
    sim.ctl(&home, &["fault", "--clear"]);
    let whole = home.lifeboat(["backup"]).ok();
    let listed = home.lifeboat(["snapshots", "--json"]).ok().json();
    let lacked = listed["snapshots"][0]["id"].as_str().unwrap().to_owned();
    // One that it cannot read.
    sim.ctl(&home, &["fault", "read-error", "file=cleared"]);
    let unread = home.lifeboat(["backup", "--full"]).run();
    assert!(unread.err().contains("file: "), "{unread}");
    for run in [&lacking, &unread] {
        assert!(run.err().contains(SHOWN), "{run}");
    }
    let path = format!("latest:AppDomain-com.example.odds/Documents/Names/{NAME}/none");
    for arguments in [
        &["ls", "-R", "latest"] as &[&str],
        &["ls", "-R", "-l", "latest"],
        &["find", "cleared"],
        &["diff", &lacked, "latest"],
        &["show", &lacked],
        &["cat", &path],
        &["export", "latest", "out", "--as", "files"],
        &["devices"],
        &["snapshots"],
        &["status"],
        &["doctor", "--offline"],
        &["repo", "sheet"],
        &["pair"],
    ] {
        let run = home.lifeboat(arguments.iter().copied()).run();
        let text = run.out() + &run.err();
        assert_eq!(commands(&text), [], "{arguments:?}\n{run}");
        assert!(!text.lines().any(|line| line.starts_with("error: all is lost")), "{run}");
        if ["ls", "find", "diff", "show", "cat"].contains(&arguments[0]) {
            assert!(text.contains(SHOWN), "{arguments:?}\n{run}");
        }
    }
    for run in [&lacking, &whole, &unread] {
        assert_eq!(commands(&(run.out() + &run.err())), [], "{run}");
    }
    // Programs get it as it is.
    let found = home.lifeboat(["find", "cleared", "--json"]).ok().json();
    let path = found["found"][0]["path"].as_str().unwrap();
    assert!(path.ends_with(NAME), "{path:?}");
}
