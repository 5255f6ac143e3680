use serde_json::Value;

use crate::home;

fn demo(arguments: &[&str]) -> Value {
    home().lifeboat(["demo", "--profile", "tiny", "--json"]).args(arguments).ok().json()
}

#[test]
fn its_numbers_are_those_of_the_phone() {
    let story = demo(&[]);
    assert_eq!(story["outcome"], "done");
    for (backup, traffic) in [("first", "first_traffic"), ("second", "second_traffic")] {
        assert_eq!(story[backup]["files_received"], story[traffic]["files_sent"], "{backup}");
        assert_eq!(story[backup]["bytes_received"], story[traffic]["bytes_sent"], "{backup}");
    }
    assert_eq!(story["files_compared"], story["export"]["files"]);
    assert_eq!(
        story["second_traffic"]["files_sent"],
        story["day"]["added"].as_u64().unwrap() + story["day"]["changed"].as_u64().unwrap()
    );
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
        "2. Trust",
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
