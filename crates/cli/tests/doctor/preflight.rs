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
