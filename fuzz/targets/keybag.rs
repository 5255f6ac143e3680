//! Keybags from outside: read only, nothing is derived (the counts in them are the sender's).
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_mobilesync::keybag::Keybag;

fuzz_target!(|data: &[u8]| {
    _ = Keybag::parse(data);
});
