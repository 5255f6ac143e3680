//! What a failed run says: the summary names the device where it is known, and nothing else tells whose it is.

use lifeboat_testkit::{Run, Sim};

use crate::{assert_says_nothing, phone, trusted_phone, who};

/// A failed run names the device in the one field that is for it; its words, on both outputs, name neither device nor owner.
fn assert_discreet(what: &str, run: &Run, sim: &Sim, who: &[String]) {
    assert_ne!(run.status, Some(0), "{what}\n{run}");
    let summary = run.summary();
    assert_eq!(summary["udid"], sim.udid(), "{what}\n{run}");
    assert_says_nothing(run, sim, who);
    let mut summary = summary;
    let fields = summary.as_object_mut().expect("an object");
    for field in ["udid", "device_name"] {
        assert!(fields.remove(field).is_some(), "{what}\n{run}");
    }
    let rest = summary.to_string();
    for secret in [sim.udid(), "Robin"].into_iter().chain(who.iter().map(String::as_str)) {
        assert!(!rest.contains(secret), "{what}: {secret:?}\n{run}");
    }
}

#[test]
fn a_failed_run_names_the_device_once_and_the_owner_nowhere() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    let who = who(&home);
    let backup = || home.lifeboat(["backup", "--json"]).run();
    for fault in [
        &["before-first-unlock"][..],
        &["tls-abort"],
        &["truncated-upload"],
        &["absolute-path"],
        &["path-traversal"],
        &["plist-bomb"],
        &["cancel", "after=0"],
        &["error", "code=205"],
        &["error", "code=208"],
    ] {
        sim.ctl(&home, &["live"]);
        sim.ctl(&home, &[&["fault"], fault].concat());
        assert_discreet(fault[0], &backup(), &sim, &who);
        sim.ctl(&home, &["fault", "--clear"]);
    }
    // The place of what a run receives has the UDID in its name.
    let area = home.path().join("state/lifeboat/working").join(sim.udid());
    fs_err::remove_dir_all(&area).expect("it is ours");
    fs_err::write(&area, "no folder").expect("it is ours");
    assert_discreet("working area", &backup(), &sim, &who);
    fs_err::remove_file(&area).expect("it is ours");
    fs_err::create_dir(&area).expect("it is ours");
    fs_err::create_dir(area.join("journal")).expect("it is ours");
    assert_discreet("journal", &backup(), &sim, &who);
}

#[test]
fn a_run_that_knows_its_cause_has_no_unknown_finding_beside_it() {
    let (home, _sim) = trusted_phone();
    let run = home.lifeboat(["backup", "--json", "--repo", "none"]).run();
    assert_eq!(run.status, Some(10), "{run}");
    assert_eq!(run.summary()["cause"], "repository-missing", "{run}");
    assert!(run.summary()["finding"].is_null(), "{run}");
    assert!(run.events().iter().all(|event| event["event"] != "finding"), "{run}");
}

#[test]
fn the_device_is_named_as_soon_as_it_is_known_and_not_before() {
    let (home, sim) = phone();
    let run = home.lifeboat(["backup", "--json"]).run();
    assert_eq!(run.status, Some(14), "{run}");
    assert_discreet("not trusted", &run, &sim, &[]);
    let run = crate::home().lifeboat(["backup", "--json"]).run();
    assert_eq!((run.status, &run.summary()["udid"]), (Some(13), &"".into()), "{run}");
}

#[test]
fn a_disk_with_little_room_is_not_blamed_for_what_has_nothing_to_do_with_room() {
    let (home, sim) = trusted_phone();
    let machine = home.path().join("machine.toml");
    let folder = |below: &str| {
        let under = home.path().join(below);
        format!("[[folders]]\nunder = \"{under}\"\nfree = 400_000_000\ntotal = 500_000_000_000\n")
    };
    fs_err::write(&machine, folder("data") + &folder("state")).expect("a file");
    for (code, finding) in [("10", "device/restart-helps"), ("105", "destination/full")] {
        sim.ctl(&home, &["fault", "error", &format!("code={code}")]);
        let run = home.lifeboat(["backup", "--json", "--machine", machine.as_str()]).run();
        assert_ne!(run.status, Some(0), "{run}");
        assert_eq!(run.summary()["finding"], finding, "{code}\n{run}");
    }
}

#[test]
fn what_kind_a_failed_run_was_is_told_only_where_it_is_known() {
    let (home, sim) = trusted_phone();
    home.lifeboat(["backup"]).ok();
    for (fault, kind) in
        [("tls-abort", serde_json::Value::Null), ("truncated-upload", "incremental".into())]
    {
        sim.ctl(&home, &["live"]);
        sim.ctl(&home, &["fault", fault]);
        let run = home.lifeboat(["backup", "--json"]).run();
        assert_eq!((run.status, &run.summary()["kind"]), (Some(17), &kind), "{fault}\n{run}");
        sim.ctl(&home, &["fault", "--clear"]);
    }
}
