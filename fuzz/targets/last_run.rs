//! What is remembered of the last run of a device.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lifeboat_engine::fuzz::last_run(data));
