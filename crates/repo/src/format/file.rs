//! The small files: JSON, compressed, sealed.
//!
//! In version 2 the plaintext starts with 2 and goes on with zstd, or is the bare JSON.

use std::io::Read as _;

use super::seal::Key;
use crate::error::Flaw;

/// Says that zstd follows.
const COMPRESSED: u8 = 2;
/// zstd's own default.
const LEVEL: i32 = 3;
/// No honest file of this kind is larger when decompressed.
const MAX: u64 = 1 << 30;

/// Compresses and seals JSON.
pub(crate) fn seal(key: &Key, json: &[u8]) -> Vec<u8> {
    match zstd::bulk::compress(json, LEVEL) {
        Ok(mut packed) => {
            packed.insert(0, COMPRESSED);
            key.seal(&packed)
        }
        // Not expected of memory; bare JSON is as good.
        Err(_) => key.seal(json),
    }
}

/// Opens a file and returns its JSON.
pub(crate) fn open(key: &Key, sealed: &mut [u8]) -> Result<Vec<u8>, Flaw> {
    let plain = key.open(sealed)?;
    match plain.first() {
        Some(&COMPRESSED) => decompress(plain.get(1..).unwrap_or_default()),
        Some(b'{' | b'[') => Ok(plain.to_vec()),
        _ => Err(Flaw::Syntax),
    }
}

fn decompress(packed: &[u8]) -> Result<Vec<u8>, Flaw> {
    let decoder =
        zstd::stream::read::Decoder::with_buffer(packed).map_err(|_| Flaw::Compression)?;
    let mut json = Vec::new();
    decoder.take(MAX + 1).read_to_end(&mut json).map_err(|_| Flaw::Compression)?;
    if json.len() as u64 > MAX { Err(Flaw::TooLong) } else { Ok(json) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Key {
        Key::new(&[1; 32], &[2; 16], &[3; 16])
    }

    #[test]
    fn bare_json_is_read() {
        assert_eq!(open(&key(), &mut key().seal(b"{}")).unwrap(), b"{}");
        assert_eq!(open(&key(), &mut key().seal(b"")), Err(Flaw::Syntax));
        assert_eq!(open(&key(), &mut key().seal(b"\x02nonsense")), Err(Flaw::Compression));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(json in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(open(&key(), &mut seal(&key(), &json)).unwrap(), json);
        }

        #[test]
        fn noise_under_the_seal_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(open(&key(), &mut key().seal(&noise)));
        }
    }
}
