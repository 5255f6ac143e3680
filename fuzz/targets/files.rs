//! Streams of files: the same events come out however the bytes arrive.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use lifeboat_wire::files::{Decoder, Event};

/// Decodes `data` in pieces; data of a file is put together again.
fn events(mut decoder: Decoder, data: &[u8], piece: usize) -> (Vec<Event>, bool) {
    let mut buffer = BytesMut::new();
    let mut events: Vec<Event> = Vec::new();
    for part in data.chunks(piece) {
        buffer.extend_from_slice(part);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(Event::Data(more))) => {
                    assert!(!more.is_empty(), "an empty piece of data");
                    if let Some(Event::Data(before)) = events.last_mut() {
                        *before = [&before[..], &more[..]].concat().into();
                    } else {
                        events.push(Event::Data(more));
                    }
                }
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(_) => return (events, true),
            }
        }
    }
    (events, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((piece, rest)) = data.split_first() else { return };
    for decoder in [Decoder::upload, Decoder::download] {
        assert_eq!(
            events(decoder(), rest, usize::from(*piece).max(1)),
            events(decoder(), rest, rest.len().max(1))
        );
    }
});
