//! Names as they are quoted inside the folders of a repository.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lifeboat_repo::fuzz::parse_names(data));
