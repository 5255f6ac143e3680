//! What somebody types, explained; and texts that are passed on without names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_doctor::explain;
use lifeboat_doctor::report::scrubbed;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let explained = explain::explain(text);
    assert!(explained.len() <= explain::MOST);
    assert_eq!(explained, explain::explain(text));
    _ = scrubbed(text);
});
