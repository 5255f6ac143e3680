//! What people type of a repository: identifiers, places, names of snapshots.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| lifeboat_repo::fuzz::parse_words(text));
