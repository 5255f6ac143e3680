//! The mux: packets in any pieces, and every message in them, from both sides.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_wire::mux::{Answer, Decoder, Event, PACKET_LIMIT, Request};

fuzz_target!(|data: &[u8]| {
    let Some((piece, rest)) = data.split_first() else { return };
    let mut decoder = Decoder::new(PACKET_LIMIT);
    for part in rest.chunks(usize::from(*piece).max(1)) {
        decoder.push(part);
        while let Ok(Some(packet)) = decoder.next() {
            if let Ok(request) = Request::from_packet(&packet) {
                Request::from_plist(&request.to_plist()).expect("a request that was read can be read again");
            }
            _ = Answer::from_packet(&packet);
            if let Ok(value) = packet.value() {
                _ = Event::from_plist(&value);
                _ = Answer::from_plist(&value);
            }
        }
    }
});
