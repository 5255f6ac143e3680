//! Programs that are not ours judge both ends: libimobiledevice's tools and pymobiledevice3 back up the simulated phone, and
//! their folders are what the oracle says; restic checks and restores what `lifeboat backup` wrote; and what `idevicebackup2` makes of
//! the same phone is what `lifeboat` hands back. They encrypt it too, and readers of encrypted backups open what they made.
//!
//! `./test` installs them. None of their code is in ours: they run as programs.

mod encryption;
mod folder;
mod libimobiledevice;
mod pymobiledevice;
mod restic;
mod same_backup;
mod state;
mod values;

use lifeboat_testkit::Home;

/// A home for the program under test.
fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_lifeboat"))
}

/// A phone as TOML: tiny, with the given iOS and whatever else.
fn phone(ios: &str, knobs: &str) -> String {
    phone_of("tiny", ios, knobs)
}

/// A phone of a profile as TOML.
fn phone_of(profile: &str, ios: &str, knobs: &str) -> String {
    format!(
        "name = \"Robin's iPhone\"\nprofile = \"{profile}\"\nseed = 11\nios = \"{ios}\"\n[knobs]\n{knobs}\n"
    )
}
