//! The look before a backup: what stops it, what does not, and what is never asked.

use lifeboat_testkit::{Home, Sim};

use crate::home;
use crate::scene::Scene;

/// A backup that must not begin: its exit status and the cause that it names.
fn stops(scene: &Scene, exit: i32, id: &str) {
    let run = scene.lifeboat(["backup", "--json"]).run();
    let summary = run.summary();
    assert_eq!((run.status, &summary["finding"]), (Some(exit), &id.into()), "{run}");
    assert_eq!(summary["certainty"], "confirmed", "{run}");
    let began = run.events().into_iter().any(|event| event["stage"] == "transfer");
    assert!(!began, "{id}: the transfer was begun\n{run}");
    assert_eq!(scene.sim.traffic(&scene.home)["files_sent"].as_u64().unwrap_or(0), 0, "{run}");
    let doctor = scene.doctor(&["--json"]).run();
    assert_eq!(crate::scene::primary(&doctor), id, "{doctor}");
}

#[test]
fn a_blocker_stops_a_backup_before_anything_is_transferred() {
    let scene = Scene::paired("");
    for (befalls, over, exit, id) in [
        (["fault", "before-first-unlock"], ["fault", "--clear"], 5, "device/not-unlocked-yet"),
        (
            ["set", "setup-finished=false"],
            ["set", "setup-finished=true"],
            5,
            "device/setup-unfinished",
        ),
        (["fault", "invalid-host"], ["fault", "--clear"], 14, "pairing/stale-record"),
    ] {
        scene.ctl(&befalls);
        stops(&scene, exit, id);
        scene.ctl(&over);
    }
    let folder = |state: &str| {
        let data = scene.home.path().join("data");
        scene.machine(&format!("[[folders]]\nunder = \"{data}\"\n{state}\n"));
    };
    folder("free = 1000");
    stops(&scene, 16, "destination/full");
    folder("state = \"read-only\"");
    stops(&scene, 1, "destination/not-writable");
    scene.machine("");
    scene.lifeboat(["backup"]).ok();
}

/// What makes a failure likely is told and stops nothing: a run that is done prints no warning.
#[test]
fn what_may_go_wrong_is_told_before_a_backup_and_stops_nothing() {
    let scene = Scene::paired(
        "[state.battery]\nlevel = 5\ncharging = false\n[state.storage]\navailable = 600_000_000\n",
    );
    let ids = ["device/storage-full", "power/low"];
    let run = scene.lifeboat(["backup", "--json"]).ok();
    let events = run.events();
    let place = |of: &dyn Fn(&serde_json::Value) -> bool| events.iter().position(of);
    let transfer = place(&|event| event["stage"] == "transfer").expect("a transfer");
    for id in ids {
        let at = place(&|event| event["event"] == "finding" && event["cause"] == id);
        let at = at.unwrap_or_else(|| panic!("{id} is not told\n{run}"));
        assert!(at < transfer, "{id} is told after the beginning\n{run}");
        let told = (&events[at]["severity"], &events[at]["certainty"]);
        assert_eq!(told, (&"warning".into(), &"confirmed".into()), "{run}");
    }
    let summary = run.summary();
    let notes = summary["notes"].as_array().expect("notes");
    for id in ids {
        assert_eq!(notes.iter().filter(|note| note["id"] == id).count(), 1, "{id}\n{run}");
    }
    assert_eq!((&summary["outcome"], &summary["finding"]), (&"done".into(), &().into()), "{run}");
    let run = scene.lifeboat(["backup"]).ok();
    let said = run.err();
    for note in [
        "note: The iPhone itself is nearly full (`lifeboat explain device/storage-full`)",
        "note: The iPhone is short of power (`lifeboat explain power/low`)",
    ] {
        assert_eq!(said.matches(note).count(), 1, "{note}\n{run}");
    }
    assert!(!said.to_lowercase().contains("warning"), "{run}");
    assert!(run.out().contains("backed up"), "{run}");
    // A phone that is well has nothing to tell.
    let run = Scene::paired("").lifeboat(["backup", "--json"]).ok();
    assert!(run.events().iter().all(|event| event["event"] != "finding"), "{run}");
    let summary = run.summary();
    let notes = summary["notes"].as_array().expect("notes");
    assert!(notes.iter().all(|note| !note.to_string().contains("explain")), "{run}");
}

/// What stops a backup speaks of the place that is full: the phone's room is told by the phone's number.
#[test]
fn a_full_phone_is_not_told_by_the_room_of_this_computer() {
    let scene = Scene::paired("[state.storage]\navailable = 300_000_000\n");
    let run = scene.lifeboat(["backup"]).run();
    let said = run.err();
    assert_eq!(run.status, Some(16), "{run}");
    assert!(said.contains("The iPhone itself is nearly full: it has 300 MB left"), "{run}");
    assert!(!said.contains("disk of") && !said.contains(scene.home.path().as_str()), "{run}");
}

/// How often somebody tried to reach something outside the local network, and what it ended with: in a network of its own there is
/// no way out, and the system counts who looks for one. Announcements on the local network are let go nowhere.
fn looked_outside(home: &Home, arguments: &[&str]) -> (u64, Option<i32>) {
    const ALONE: &str = "mount --bind resolv.conf /etc/resolv.conf && ip link set lo up && ip route add 224.0.0.0/4 dev lo || exit 99
        \"$0\" \"$@\"; code=$?; cat /proc/net/snmp /proc/net/snmp6 > counters; exit $code";
    fs_err::write(
        home.path().join("resolv.conf"),
        "nameserver 192.0.2.53\noptions timeout:1 attempts:1\n",
    )
    .expect("a file in the home");
    let machine = home.path().join("machine.toml");
    let text = "processes = []\nsleep = \"held-off\"\npower = \"mains\"\nvirtual-machine = false\n[kernel-log]\n[network]\nreal = true\n";
    fs_err::write(&machine, text).expect("a description");
    let run = home
        .command("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "/bin/sh", "-c", ALONE])
        .args([home.program().as_str(), "--machine", machine.as_str()])
        .args(arguments)
        .run();
    assert_ne!(run.status, Some(99), "user namespaces and `ip` are needed\n{run}");
    let counters = fs_err::read_to_string(home.path().join("counters")).expect("the counters");
    let mut ip = counters.lines().filter(|line| line.starts_with("Ip:"));
    let (names, numbers) = (ip.next().unwrap_or_default(), ip.next().unwrap_or_default());
    let of = |name: &str| {
        let at = names.split(' ').position(|other| other == name)?;
        numbers.split(' ').nth(at)?.parse::<u64>().ok()
    };
    let six = counters.lines().find_map(|line| line.strip_prefix("Ip6OutNoRoutes"));
    let six = six.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0);
    (of("OutNoRoutes").expect("the system counts") + six, run.status)
}

#[test]
fn before_a_backup_and_offline_nothing_outside_is_asked() {
    let mut home = home();
    let mux = format!("UNIX:{}", home.path().join("mux"));
    let _sim = Sim::start(&mut home, &["--profile", "tiny", "--listen", &mux]);
    home.connect(&mux);
    home.lifeboat(["pair"]).ok();
    // What counts does count.
    assert!(looked_outside(&home, &["doctor", "--for", "icloud"]).0 > 2);
    for arguments in
        [&["doctor", "--offline"][..], &["doctor", "--offline", "--for", "icloud"], &["backup"]]
    {
        assert_eq!(looked_outside(&home, arguments), (0, Some(0)), "{arguments:?}");
    }
}
