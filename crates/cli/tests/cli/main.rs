//! The program as people and scripts meet it: exit status, standard output and standard error together.

// The simulator is acted on through a UNIX socket.
#![cfg(unix)]

mod backup;
mod check;
mod demo;
mod devices;
mod export;
#[cfg(target_os = "linux")]
mod full_disk;
mod hostile;
mod interrupt;
mod look;
mod repo;
mod sim;
mod status;
mod unplug;
mod usage;

use lifeboat_testkit::{Home, Sim};

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
