//! What is said of a run that broke is true of the working area.

use crate::trusted_phone;

/// The phone ends the run before a file came: nothing is kept, and nothing is gone on with.
#[test]
fn a_run_that_kept_nothing_is_not_gone_on_with() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    for fault in [&["cancel", "after=0"][..], &["absolute-path"]] {
        sim.ctl(&home, &["live"]);
        sim.ctl(&home, &[&["fault"], fault].concat());
        let broken = home.lifeboat(["backup", "--json"]).run();
        assert_ne!(broken.status, Some(0), "{fault:?}\n{broken}");
        sim.ctl(&home, &["fault", "--clear"]);
        let kept = broken.summary()["files_kept"].as_u64().expect("a number");
        let status = home.lifeboat(["status", "--json"]).ok().json();
        assert_eq!(status["devices"][0]["broken_run"], kept > 0, "{fault:?}\n{broken}\n{status}");
        let again = home.lifeboat(["backup", "--json"]).ok().summary();
        assert_eq!(again["resumed"], kept > 0, "{fault:?}\n{broken}\n{again}");
        assert_eq!(kept, 0, "{fault:?}\n{broken}");
    }
}

/// The agent breaks down in its first batch, of which it knows nothing afterwards: it sends all of it again.
#[test]
fn what_the_device_sends_again_is_not_promised_to_stay_unsent() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "crash", "file=sms.db", "times=1"]);
    let broken = home.lifeboat(["backup"]).run();
    assert_ne!(broken.status, Some(0), "{broken}");
    assert!(
        broken.err().contains("; what of it the device sends again is not stored twice"),
        "{broken}"
    );
    let again = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(again["resumed"], true, "{again}");
    assert!(again["bytes_sent_again"].as_u64() > Some(0), "{again}");
    assert!(!broken.err().contains("goes on there"), "{broken}");
}

/// Everything has arrived when the run breaks: the next one has hardly anything to receive, and the snapshot is the first.
#[test]
fn a_first_backup_that_breaks_at_its_end_counts_all_that_it_added() {
    let (home, sim) = trusted_phone();
    sim.ctl(&home, &["fault", "error", "code=1", "at=verify"]);
    let broken = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(broken.status, Some(1), "{broken}");
    let files = broken.summary()["files_kept"].as_u64().expect("a number");
    assert_eq!(files, sim.traffic(&home)["files_sent"], "{broken}");
    sim.ctl(&home, &["fault", "--clear"]);
    let again = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(
        (&again["outcome"], &again["resumed"], &again["kind"]),
        (&"done".into(), &true.into(), &"full".into()),
        "{again}"
    );
    assert!(
        again["files_received"].as_u64() < Some(files),
        "it does not rest on what was kept: {again}"
    );
    let shown = home.lifeboat(["show", "latest", "--json"]).ok().json();
    assert_eq!(shown["bytes_added"], again["bytes_added"], "{shown}");
    // As much as one that does not break, but for the index files of two runs.
    let one = |name: &str| {
        let run = home.lifeboat(["backup", "--json", "--full", "--repo", name]);
        run.ok().summary()["bytes_added"].as_f64().expect("a number")
    };
    home.lifeboat(["repo", "init", "--repo", "other"]).ok();
    let (added, whole) = (again["bytes_added"].as_f64().expect("a number"), one("other"));
    assert!(added > whole * 0.9 && added < whole * 1.2, "{added} against {whole}");
    let next = home.lifeboat(["backup", "--json"]).ok().summary();
    assert_eq!(next["kind"], "incremental", "{next}");
    assert!(next["bytes_added"].as_f64() < Some(whole / 2.0), "{next}");
}
