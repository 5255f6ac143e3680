//! The unit of every property-list service: a length as big-endian `u32`, then that many bytes.
//!
//! Lockdown, the side services and DeviceLink all speak in such units. Nothing is allocated because a length was
//! announced: a unit grows with the bytes that arrive, and one longer than the limit is an error at once.

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

use crate::decoder::Framing;

/// Limit for one property list message.
pub const MESSAGE_LIMIT: usize = 8 << 20;

/// A unit that cannot be accepted.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// More bytes were announced than a unit may have.
    #[error("unit of {announced} bytes, allowed are {limit}")]
    TooLong {
        /// What the length field says.
        announced: u32,
        /// The limit.
        limit: usize,
    },
}

/// Encodes one unit.
///
/// # Panics
/// If `payload` is 4 GiB or longer.
pub fn encode(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a unit is shorter than 4 GiB");
    let mut bytes = Vec::with_capacity(payload.len() + 4);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Takes one whole unit from the front of `buffer`, or nothing while bytes are missing.
///
/// The payload shares the buffer's memory. It is the primitive for readers that keep one buffer through
/// several kinds of units; [`Decoder`] is the form with a buffer of its own.
pub fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = peek(buffer, max)? else {
        return Ok(None);
    };
    if buffer.len() - 4 < length {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Returns the announced length of the next unit, when its four bytes are there.
pub fn peek(buffer: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
    let Some(length) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let announced = u32::from_be_bytes(*length);
    match usize::try_from(announced) {
        Ok(length) if length <= max => Ok(Some(length)),
        _ => Err(FrameError::TooLong { announced, limit: max }),
    }
}

/// Cuts a byte stream into units.
pub type Decoder = crate::decoder::Decoder<Units>;

/// The units of this module, for a decoder.
#[derive(Debug)]
pub enum Units {}

impl Framing for Units {
    type Unit = Vec<u8>;
    type Error = FrameError;

    fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Vec<u8>>, FrameError> {
        Ok(take(buffer, max)?.map(Vec::from))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_of_four_gibibytes_is_refused_from_its_length_alone() {
        let mut decoder = Decoder::new(MESSAGE_LIMIT);
        decoder.push(&[0xff; 4]);
        assert_eq!(
            decoder.next(),
            Err(FrameError::TooLong { announced: u32::MAX, limit: MESSAGE_LIMIT })
        );
    }

    proptest! {
        #[test]
        fn units_survive_any_fragmentation(
            units in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5),
            step in 1_usize..50,
        ) {
            let stream: Vec<u8> = units.iter().flat_map(|unit| encode(unit)).collect();
            let mut decoder = Decoder::new(100);
            let mut read = Vec::new();
            for piece in stream.chunks(step) {
                decoder.push(piece);
                while let Some(unit) = decoder.next().unwrap() {
                    read.push(unit);
                }
            }
            prop_assert_eq!(read, units);
            prop_assert!(!decoder.is_partial());
        }

        #[test]
        fn noise_never_panics(bytes in any::<Vec<u8>>()) {
            let mut decoder = Decoder::new(64);
            decoder.push(&bytes);
            while let Ok(Some(unit)) = decoder.next() {
                prop_assert!(unit.len() <= 64);
            }
        }
    }
}
