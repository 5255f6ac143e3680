//! What a snapshot says about itself, and its table of names.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lifeboat_engine::fuzz::snapshot_files(data));
