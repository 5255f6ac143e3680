//! Property lists from outside: never a panic, never more than the limits allow, and what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_wire::plist_guard::{Limits, parse, to_binary, to_xml};

fuzz_target!(|data: &[u8]| {
    let limits = Limits { bytes: 1 << 16, objects: 4096, content: 1 << 20, depth: 32 };
    if let Ok(value) = parse(data, &limits) {
        parse(&to_binary(&value), &Limits::MESSAGE).expect("what was written can be read");
        to_xml(&value);
    }
});
