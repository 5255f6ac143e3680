//! lockdown: units with property lists, and its words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_wire::lockdown::ErrorWord;
use lifeboat_wire::plist_frame::{Decoder, MESSAGE_LIMIT};
use lifeboat_wire::plist_guard::{Limits, parse};

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(MESSAGE_LIMIT);
    decoder.push(data);
    while let Ok(Some(unit)) = decoder.next() {
        let Ok(value) = parse(&unit, &Limits::MESSAGE) else { continue };
        let word = value.as_dictionary().and_then(|answer| answer.get("Error")).and_then(|word| word.as_string());
        if let Some(known) = word.and_then(ErrorWord::parse) {
            assert_eq!(Some(known.as_str()), word);
        }
    }
});
