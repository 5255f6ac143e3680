//! AFC: packets in any pieces; requests and answers that are understood can be encoded and understood again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_wire::afc::{Answer, Decoder, PACKET_LIMIT, Request};

fuzz_target!(|data: &[u8]| {
    let Some((piece, rest)) = data.split_first() else { return };
    let mut decoder = Decoder::new(PACKET_LIMIT);
    for part in rest.chunks(usize::from(*piece).max(1)) {
        decoder.push(part);
        while let Ok(Some(packet)) = decoder.next() {
            if let Ok(request) = Request::from_packet(&packet) {
                assert_eq!(Request::from_packet(&request.to_packet(packet.number)), Ok(request));
            }
            _ = Answer::from_packet(&packet);
        }
    }
});
