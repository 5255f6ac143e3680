//! Lines of the device's log, held against the patterns.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_doctor::patterns::Patterns;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let facts = Patterns::builtin().facts(text.lines());
    assert!(facts.value("log.heard").is_some());
    for line in text.lines() {
        _ = Patterns::builtin().scan(line);
    }
});
