//! What somebody types, explained; and texts that are passed on without names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_doctor::explain;
use lifeboat_doctor::report::scrubbed;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    told(text);
    _ = scrubbed(text);
    // The digits of a number are long: eight bytes reach all of them, with what stands before taken from the text.
    let Some((number, before)) = data.split_first_chunk() else { return };
    let number = i64::from_le_bytes(*number);
    let Ok(before) = str::from_utf8(before) else { return };
    told(&format!("{before}{number}"));
    told(&format!("{before}{:x}", number.unsigned_abs()));
});

fn told(text: &str) {
    let explained = explain::explain(text);
    assert!(explained.len() <= explain::MOST);
    assert_eq!(explained, explain::explain(text));
}
