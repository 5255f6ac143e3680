//! The doctor held against worlds: every scenario of the simulator, played through the real program; and real components in place of
//! described ones, where this machine has them.

// Scenarios are acted on through a UNIX socket, and namespaces are Linux's own.
#![cfg(target_os = "linux")]

mod after;
mod ask;
mod bundle;
mod diagnosis;
mod fix;
mod matrix;
mod password;
mod play;
mod preflight;
mod real;
mod scene;
mod screen;
mod today;
mod watch;
mod world;

use lifeboat_testkit::Home;

/// Makes a home whose program is the one under test.
fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_lifeboat"))
}
