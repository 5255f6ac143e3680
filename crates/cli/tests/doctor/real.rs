//! Real components, not described ones: sockets of usbmuxd, disks, networks.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use lifeboat_testkit::{Home, Invocation, Run, Sim, SmallDisk};
use serde_json::Value;

use crate::home;
use crate::world::{ISSUER, WELL, World, Wrong};

/// What else this computer is like does not matter: all but what a test is about is well.
const MACHINE: &str = "processes = []\nsleep = \"held-off\"\npower = \"mains\"\nvirtual-machine = false\n\
    [kernel-log]\n[network]\nreal = true\n";

fn machine(home: &Home) -> String {
    let file = home.path().join("machine.toml");
    fs_err::write(&file, MACHINE).expect("a machine's description");
    file.into_string()
}

/// Asks the doctor with a program that is about to be run.
fn doctor(home: &Home, lifeboat: Invocation, purpose: &[&str]) -> Run {
    lifeboat.args(["--machine", &machine(home), "doctor", "--json"]).args(purpose).run()
}

fn primary(run: &Run) -> (String, String) {
    let report = run.json();
    let word = |key: &str| report["primary"][key].as_str().unwrap_or_default().to_owned();
    (word("id"), word("certainty"))
}

fn confirmed(id: &str) -> (String, String) {
    (id.to_owned(), "confirmed".to_owned())
}

/// Asks about a socket of usbmuxd; returns what is said of it.
fn of_mux(home: &Home, lifeboat: Invocation) -> Value {
    let run = doctor(home, lifeboat, &["--offline"]);
    assert_eq!(primary(&run), confirmed("host/usbmuxd-missing"), "{run}");
    assert_eq!(run.status, Some(4), "{run}");
    run.json()["facts"]["mux.state"].clone()
}

#[test]
fn a_usbmuxd_that_is_not_there_and_one_that_has_stopped() {
    let mut home = home();
    let socket = home.path().join("usbmuxd");
    home.connect(&format!("UNIX:{socket}"));
    assert_eq!(of_mux(&home, home.lifeboat([])), "missing");
    drop(UnixListener::bind(&socket).expect("a socket"));
    assert!(socket.exists(), "its socket stays behind");
    assert_eq!(of_mux(&home, home.lifeboat([])), "stopped");
}

#[test]
fn a_socket_that_this_user_may_not_open() {
    let mut home = home();
    let socket = home.path().join("usbmuxd");
    home.connect(&format!("UNIX:{socket}"));
    let _usbmuxd = UnixListener::bind(&socket).expect("a socket");
    fs_err::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).expect("it is ours");
    // Root may open everything: in a namespace of its own it is one user as any other.
    let somebody = home
        .command("unshare")
        .args(["--user", "--map-user=1000", "--map-group=1000"])
        .arg(home.program());
    assert_eq!(of_mux(&home, somebody), "denied");
}

/// A phone that is paired, and a disk of so many kilobytes where the backups go.
fn with_disk(kilobytes: u32) -> (Home, Sim, SmallDisk) {
    let mut home = home();
    let sim = Sim::start(&mut home, &["--profile", "tiny"]);
    home.lifeboat(["pair"]).ok();
    let disk = SmallDisk::mount(&home, "data", kilobytes);
    (home, sim, disk)
}

#[test]
fn a_disk_that_is_full() {
    let (home, _sim, disk) = with_disk(4 << 10);
    let script = format!("cat /dev/zero > {}/something", disk.folder());
    let filled = disk.command(&home, "/bin/sh").args(["-c", &script]).run();
    assert!(filled.err().contains("No space left"), "{filled}");
    let run = doctor(&home, disk.lifeboat(&home, []), &["--offline"]);
    assert_eq!(primary(&run), confirmed("destination/full"), "{run}");
    assert_eq!(run.status, Some(4), "{run}");
}

#[test]
fn a_disk_that_takes_no_writes() {
    let (home, _sim, disk) = with_disk(256 << 20);
    disk.command(&home, "mount").args(["-o", "remount,ro", disk.folder().as_str()]).ok();
    let run = doctor(&home, disk.lifeboat(&home, []), &["--offline"]);
    assert_eq!(primary(&run), confirmed("destination/not-writable"), "{run}");
    assert_eq!(run.json()["facts"]["destination.state"], "read-only", "{run}");
}

/// Asks about iCloud Backup in a world of its own, with a phone that is well.
fn in_a_world(wrong: &Wrong) -> Run {
    let mut home = home();
    let mux = format!("UNIX:{}", home.path().join("mux"));
    let _sim = Sim::start(&mut home, &["--profile", "tiny", "--listen", &mux]);
    home.connect(&mux);
    home.lifeboat(["pair"]).ok();
    let world = World::make(&home, wrong);
    doctor(&home, world.lifeboat(&home, []), &["--for", "icloud"])
}

fn found(run: &Run, id: &str) -> bool {
    let report = run.json();
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().any(|finding| finding["id"] == id)
}

fn number(run: &Run, key: &str) -> i64 {
    let number = run.json()["facts"][key].as_i64();
    assert!(number.is_some(), "{key} is no number\n{run}");
    number.unwrap_or_default()
}

#[test]
fn a_network_in_which_all_is_well() {
    let run = in_a_world(&WELL);
    let facts = &run.json()["facts"];
    for (key, word) in [
        ("network.link", "up"),
        ("network.dns", "ok"),
        ("network.tcp", "ok"),
        ("network.tls", "ok"),
        ("network.portal", "none"),
        ("network.push", "ok"),
    ] {
        assert_eq!(facts[key], word, "{key}\n{run}");
    }
    assert_eq!(run.status, Some(0), "{run}");
}

#[test]
fn a_network_that_loses_every_third_connection() {
    let run = in_a_world(&Wrong { lose: 3, ..WELL });
    let lost = number(&run, "network.loss");
    assert!((15..=60).contains(&lost), "{lost} % of connections lost\n{run}");
    assert!(found(&run, "network/wifi-weak"), "{run}");
}

#[test]
fn a_network_that_is_slow_and_uneven() {
    let run = in_a_world(&Wrong { delay: 60, jitter: 200, ..WELL });
    let (latency, jitter) = (number(&run, "network.latency"), number(&run, "network.jitter"));
    assert!(latency >= 120, "{latency} ms, and no packet takes less than 60\n{run}");
    assert!(jitter >= 100, "{jitter} ms, and every second connection takes 400 longer\n{run}");
    assert!(found(&run, "network/wifi-weak"), "{run}");
}

#[test]
fn a_network_without_names() {
    let run = in_a_world(&Wrong { nameless: true, ..WELL });
    assert_eq!(run.json()["facts"]["network.dns"], "none", "{run}");
    assert!(found(&run, "network/router"), "{run}");
}

/// A network that wants a sign-in, with a page that begins its answer so.
fn signs_in(captive: &'static str) {
    let run = in_a_world(&Wrong { captive, ..WELL });
    assert_eq!(run.json()["facts"]["network.portal"], "captive", "{captive}\n{run}");
    assert_eq!(primary(&run).0, "network/blocked", "{captive}\n{run}");
    assert_eq!(run.json()["primary"]["severity"], "blocking", "{captive}\n{run}");
}

#[test]
fn a_sign_in_page_before_the_network() {
    signs_in("302 Found\r\nLocation: http://login.test/");
}

#[test]
fn a_network_that_says_with_a_number_that_it_wants_a_sign_in() {
    signs_in("511 Network Authentication Required");
}

/// A server in trouble is no sign-in page, whatever stands on its page.
#[test]
fn a_page_that_fails_is_no_sign_in_page() {
    let run = in_a_world(&Wrong { captive: "503 Service Unavailable", ..WELL });
    let portal = &run.json()["facts"]["network.portal"];
    assert!(portal.to_string().contains("503") && portal != "captive", "{portal}\n{run}");
    assert!(!found(&run, "network/blocked"), "{run}");
}

#[test]
fn a_network_that_breaks_every_handshake_off() {
    let run = in_a_world(&Wrong { breaks: true, ..WELL });
    let facts = &run.json()["facts"];
    assert_eq!(
        (&facts["network.tcp"], &facts["network.tls"]),
        (&"ok".into(), &"broken".into()),
        "{run}"
    );
    assert_eq!(primary(&run), ("network/blocked".to_owned(), "possible".to_owned()), "{run}");
}

#[test]
fn a_network_that_opens_every_connection_and_signs_it_itself() {
    let run = in_a_world(&Wrong { foreign: true, ..WELL });
    let report = run.json();
    assert_eq!(report["facts"]["network.tls"], "foreign-issuer", "{run}");
    let issuer = report["facts"]["network.issuer"].as_str().unwrap_or_default();
    assert!(issuer.contains(ISSUER), "{issuer}\n{run}");
    assert_eq!(primary(&run).0, "network/inspection", "{run}");
}
