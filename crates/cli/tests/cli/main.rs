//! The program as people and scripts meet it: exit status, standard output and standard error together.

// The simulator is acted on through a UNIX socket.
#![cfg(unix)]
#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

mod backup;
#[cfg(target_os = "linux")]
mod canaries;
mod check;
mod clock;
mod demo;
mod devices;
mod doctor;
mod encrypted;
mod explain;
mod export;
mod failed;
mod fallback;
#[cfg(target_os = "linux")]
mod full_disk;
mod hostile;
mod incomplete;
mod interrupt;
mod json;
mod kept;
mod long;
mod look;
mod password;
#[cfg(target_os = "linux")]
mod password_crash;
#[cfg(target_os = "linux")]
mod password_refused;
mod patience;
mod pieces;
mod places;
mod repo;
mod several;
mod sim;
mod status;
mod told;
mod unplug;
mod usage;
mod verbose;

use lifeboat_testkit::{Home, Run, Running, Sim};

/// A phone whose cable is slow enough for something to happen in the middle of a backup.
const SLOW: &str = "profile = \"tiny\"\n[knobs]\nthrottle = 400000\n";

/// Makes a home whose program is the one under test.
fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_lifeboat"))
}

/// Makes a home with one small phone on its cable.
fn phone() -> (Home, Sim) {
    let mut home = home();
    let sim = Sim::start(&mut home, &["--profile", "tiny"]);
    (home, sim)
}

/// Makes a home with one small phone that trusts it.
fn trusted_phone() -> (Home, Sim) {
    let (home, sim) = phone();
    home.lifeboat(["pair"]).ok();
    (home, sim)
}

/// Returns what tells whose phone it is, as its last backup has it: serial and telephone numbers, and what else has no shape.
fn who(home: &Home) -> Vec<String> {
    let info = home.lifeboat(["cat", "latest:backup/Info.plist"]).ok().out();
    let value = |key: &str| {
        let (_, rest) = info.split_once(&format!("<key>{key}</key>"))?;
        rest.split(['<', '>']).nth(2).map(str::to_owned)
    };
    let keys = ["Serial Number", "Phone Number", "IMEI", "ICCID"];
    keys.map(|key| value(key).filter(|value| !value.is_empty()).expect(key)).to_vec()
}

/// Makes sure that standard error names neither device nor owner nor keys.
fn assert_says_nothing(run: &Run, sim: &Sim, who: &[String]) {
    let shapeless = who.iter().map(String::as_str);
    let known = [sim.udid(), &sim.udid().replace('-', ""), "Robin", "EscrowBag", "\u{1b}["];
    for secret in known.into_iter().chain(shapeless) {
        assert!(!run.err().contains(secret), "{secret:?}\n{run}");
    }
}

/// Waits until some files of a backup have come.
fn in_the_middle(running: &Running) {
    loop {
        let line = running.next_line().expect("the backup tells how far it is");
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if event["event"] == "progress"
            && event["stage"] == "transfer"
            && event["files"].as_u64() >= Some(5)
        {
            return;
        }
        assert_ne!(event["event"], "summary", "the backup was too fast for a test in its middle");
    }
}
