//! The journal of a working area.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lifeboat_engine::fuzz::journal(data));
