//! Every file of a repository, in the open and behind its seal.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lifeboat_repo::fuzz::parse_all(data));
