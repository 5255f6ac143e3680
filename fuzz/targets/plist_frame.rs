//! Units: the same ones come out however the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_wire::plist_frame::Decoder;

fn units(data: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new(4096);
    let mut units = Vec::new();
    for part in data.chunks(piece) {
        decoder.push(part);
        loop {
            match decoder.next() {
                Ok(Some(unit)) => units.push(unit),
                Ok(None) => break,
                Err(_) => return (units, true),
            }
        }
    }
    (units, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((piece, rest)) = data.split_first() else { return };
    assert_eq!(units(rest, usize::from(*piece).max(1)), units(rest, rest.len().max(1)));
});
