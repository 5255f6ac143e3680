use serde_json::Value;

use crate::home;

fn demo(arguments: &[&str]) -> Value {
    home().lifeboat(["demo", "--profile", "tiny", "--json"]).args(arguments).ok().json()
}

/// A number that must be there.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// What the program says that it received is what the phone says that it sent.
fn assert_numbers_of_the_phone(story: &Value) {
    assert_eq!(story["outcome"], "done");
    let number = |step: &str, what: &str| number(&story[step][what]);
    for (backup, traffic) in [("first", "first_traffic"), ("second", "second_traffic")] {
        for (received, sent) in [("files_received", "files_sent"), ("bytes_received", "bytes_sent")]
        {
            assert_eq!(number(backup, received), number(traffic, sent), "{backup}: {received}");
            assert!(number(backup, received) > 0, "{backup}: {received}");
        }
    }
    assert_eq!(story["files_compared"].as_u64(), Some(number("export", "files")));
    assert_eq!(
        (&story["doctor"]["cause"], &story["doctor"]["finding"], &story["doctor"]["gone"]),
        (&"not-trusted".into(), &"pairing/not-trusted".into(), &true.into())
    );
    let of_the_day = number("day", "added") + number("day", "changed");
    assert_eq!(number("second_traffic", "files_sent"), of_the_day);
}

#[test]
fn its_numbers_are_those_of_the_phone() {
    assert_numbers_of_the_phone(&demo(&[]));
}

/// The story that README promises: as somebody without any option gets it.
#[test]
fn without_options_it_tells_of_a_phone_of_2000_files() {
    let story = home().lifeboat(["demo", "--json"]).ok().json();
    assert_numbers_of_the_phone(&story);
    assert_eq!((&story["profile"], &story["throttle"]), (&"small".into(), &Value::Null));
    let (files, bytes) = (&story["first"]["files_received"], &story["first"]["bytes_received"]);
    assert!((1800..2200).contains(&files.as_u64().unwrap()), "{files}");
    assert!((50_000_000..70_000_000).contains(&bytes.as_u64().unwrap()), "{bytes}");
    assert!(number(&story["second"]["bytes_received"]) < number(bytes));
    let seconds = story["seconds"].as_f64().expect("a time");
    assert!(seconds > 0.0 && seconds < 120.0, "{seconds}");
}

#[test]
fn another_seed_and_a_throttle_change_them() {
    let (story, seed, throttle) =
        (demo(&[]), demo(&["--seed", "2"]), demo(&["--throttle", "1000000"]));
    assert_ne!(story["first"]["bytes_received"], seed["first"]["bytes_received"]);
    assert_ne!(story["udid"], seed["udid"]);
    // The throttle's own floor: so many bytes take so long at least.
    let seconds = throttle["first"]["seconds"].as_f64().expect("a time");
    let at_least = throttle["first"]["bytes_received"].as_f64().expect("a number") / 1_000_000.0;
    assert!(seconds > at_least * 0.8, "{seconds} s for {at_least} MB at 1 MB/s");
}

/// The text tells the numbers of files that programs are told; the same seed gives the same numbers.
fn assert_files_as_in_the_story(text: &str, story: &Value) {
    let (_, costs) = text.split_once("What each cost").expect("a table");
    let steps = story["steps"].as_array().expect("steps");
    let mut counted = 0;
    for step in steps.iter().filter(|step| !step["files"].is_null()) {
        let name = step["step"].as_str().expect("a name");
        let row = costs.lines().find_map(|line| line.trim_start().strip_prefix(name));
        let row = row.unwrap_or_else(|| panic!("no row {name:?}\n{text}"));
        let files: String = row
            .trim_start()
            .split("  ")
            .next()
            .expect("a number")
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        assert_eq!(files, number(&step["files"]).to_string(), "{name}\n{text}");
        counted += 1;
    }
    assert_eq!(counted, 5, "two backups, a day, a check, an export\n{text}");
}

#[test]
fn the_story_is_plain_text() {
    let home = home();
    let run = home.lifeboat(["demo", "--profile", "tiny", "--dir", "kept"]).ok();
    let text = run.out();
    assert!(!text.contains('\u{1b}'), "{text}");
    for part in [
        "1. A phone",
        "2. A backup that fails, and the doctor",
        "3. First backup",
        "4. A day of life",
        "5. Second backup",
        "6. Check",
        "7. Export",
        "What each cost",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
    assert_files_as_in_the_story(&text, &demo(&[]));
    let again = home.lifeboat(["demo", "--dir", "kept"]).run();
    assert_eq!(again.status, Some(2), "{again}");
    let snapshots = home
        .lifeboat(["--repo", "kept/repository", "snapshots", "--json"])
        .env("LIFEBOAT_REPO_PASSWORD_FILE", "kept/repository.key")
        .ok()
        .json();
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 2);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let home = home();
    fs_err::write(home.path().join("file"), "mine").unwrap();
    for (folder, status) in [("file", 2), ("", 2), ("x/..", 2), ("/proc/zz", 1)] {
        let run = home.lifeboat(["demo", "--profile", "tiny", "--dir", folder]).run();
        assert_eq!(run.status, Some(status), "{folder:?}\n{run}");
        assert!(
            run.err().contains(folder.trim_end_matches("x/..")) && run.err().contains("hint:"),
            "{run}"
        );
        assert!(!home.path().join("x").exists(), "{run}");
    }
}

/// Starts a slow story and stops it in the middle of its first backup.
#[cfg(unix)]
fn stopped(arguments: &[&str]) -> lifeboat_testkit::Run {
    let story = ["demo", "--profile", "tiny", "--throttle", "300000", "-v"];
    let home = home();
    let running = home.lifeboat(story).args(arguments).start();
    // The backup that fails before the doctor comes gets no further than to the device.
    loop {
        let line = running.next_error_line().expect("a log");
        if line.contains("a stage begins") && line.contains("transfer") {
            break;
        }
    }
    running.interrupt();
    running.wait()
}

#[cfg(unix)]
#[test]
fn a_story_that_is_stopped_promises_no_next_run() {
    let run = stopped(&[]);
    assert_eq!(run.status, Some(130), "{run}");
    assert!(!run.err().contains("next run") && !run.err().contains("is not stored twice"), "{run}");
    assert!(run.err().contains("kept: nothing: phone and repository are gone"), "{run}");
    assert!(run.err().contains("`lifeboat demo --dir DIR` keeps them"), "{run}");

    let run = stopped(&["--json"]);
    assert_eq!(run.status, Some(130), "{run}");
    let told = run.events();
    let [failure] = told.as_slice() else { panic!("{} objects\n{run}", told.len()) };
    assert_eq!(
        (&failure["event"], &failure["outcome"], &failure["cause"], &failure["exit"]),
        (&"summary".into(), &"interrupted".into(), &"interrupted".into(), &130.into()),
        "{run}"
    );
}

#[cfg(unix)]
#[test]
fn a_story_that_is_stopped_in_a_folder_says_that_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let run = stopped(&["--dir", kept.to_str().unwrap()]);
    assert_eq!(run.status, Some(130), "{run}");
    assert!(
        run.err().contains(&format!("kept: phone and repository lie in {}", kept.display())),
        "{run}"
    );
    assert!(kept.join("repository/config").exists(), "{run}");
}
