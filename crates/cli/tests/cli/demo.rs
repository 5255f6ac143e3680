use serde_json::Value;

use crate::home;

fn demo(arguments: &[&str]) -> Value {
    home().lifeboat(["demo", "--profile", "tiny", "--json"]).args(arguments).ok().json()
}

/// What the program says that it received is what the phone says that it sent.
fn assert_numbers_of_the_phone(story: &Value) {
    assert_eq!(story["outcome"], "done");
    for (backup, traffic) in [("first", "first_traffic"), ("second", "second_traffic")] {
        assert_eq!(story[backup]["files_received"], story[traffic]["files_sent"], "{backup}");
        assert_eq!(story[backup]["bytes_received"], story[traffic]["bytes_sent"], "{backup}");
    }
    assert_eq!(story["files_compared"], story["export"]["files"]);
    assert_eq!(
        (&story["doctor"]["cause"], &story["doctor"]["finding"], &story["doctor"]["gone"]),
        (&"not-trusted".into(), &"pairing/not-trusted".into(), &true.into())
    );
    let of_the_day = |what: &str| story["day"][what].as_u64().expect("a number of files");
    assert_eq!(story["second_traffic"]["files_sent"], of_the_day("added") + of_the_day("changed"));
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
    assert!(story["second"]["bytes_received"].as_u64() < bytes.as_u64());
    assert!(story["seconds"].as_f64() < Some(120.0), "{}", story["seconds"]);
}

#[test]
fn another_seed_and_a_throttle_change_them() {
    let (story, seed, throttle) =
        (demo(&[]), demo(&["--seed", "2"]), demo(&["--throttle", "1000000"]));
    assert_ne!(story["first"]["bytes_received"], seed["first"]["bytes_received"]);
    assert_ne!(story["udid"], seed["udid"]);
    let seconds = |story: &Value| story["first"]["seconds"].as_f64().unwrap();
    let at_least = throttle["first"]["bytes_received"].as_f64().unwrap() / 1_000_000.0;
    assert!(
        seconds(&throttle) > at_least * 0.8,
        "{} s for {at_least} MB at 1 MB/s",
        seconds(&throttle)
    );
    assert!(seconds(&throttle) > seconds(&story));
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
    let again = home.lifeboat(["demo", "--dir", "kept"]).run();
    assert_eq!(again.status, Some(2), "{again}");
    let snapshots = home
        .lifeboat(["--repo", "kept/repository", "snapshots", "--json"])
        .env("LIFEBOAT_REPO_PASSWORD_FILE", "kept/repository.key")
        .ok()
        .json();
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 2);
}
