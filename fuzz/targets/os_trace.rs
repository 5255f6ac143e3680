//! The log of the device: any bytes, in pieces; an entry that is understood is encoded and understood again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_wire::os_trace::{Decoder, Entry, answer};

fuzz_target!(|data: &[u8]| {
    let Some((piece, rest)) = data.split_first() else { return };
    for granted in [false, true] {
        let mut decoder = Decoder::new();
        if granted {
            decoder.push(&answer(true));
        }
        for part in rest.chunks(usize::from(*piece).max(1)) {
            decoder.push(part);
            while let Ok(Some(entry)) = decoder.next() {
                let bytes = entry.encode();
                assert!(Entry::decode(&bytes[5..]).is_some());
            }
        }
    }
});
