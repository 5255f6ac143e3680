//! Cuts a stream of bytes into units; what a unit is, its protocol says.

use std::marker::PhantomData;

use bytes::BytesMut;

/// A kind of units that follow each other in a stream.
pub trait Framing {
    /// One unit.
    type Unit;
    /// Bytes that are no unit.
    type Error;

    /// Takes one whole unit of at most `max` bytes from the front of `buffer`, or nothing while bytes are missing.
    fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Self::Unit>, Self::Error>;
}

/// Takes bytes in any fragmentation and gives units.
#[derive(Debug)]
pub struct Decoder<F> {
    buffer: BytesMut,
    max: usize,
    framing: PhantomData<fn() -> F>,
}

impl<F: Framing> Decoder<F> {
    /// Makes a decoder for units of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { buffer: BytesMut::new(), max, framing: PhantomData }
    }

    /// Adds bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole unit, or nothing while bytes are missing.
    #[expect(clippy::should_implement_trait, reason = "fed between calls, so it is no iterator")]
    pub fn next(&mut self) -> Result<Option<F::Unit>, F::Error> {
        F::take(&mut self.buffer, self.max)
    }

    /// Returns the bytes that are not part of a unit taken so far, and forgets them: after a successful `Connect` of the
    /// mux they belong to the stream that follows.
    pub fn take_rest(&mut self) -> Vec<u8> {
        Vec::from(self.buffer.split())
    }

    /// Says whether a unit has begun and is not complete.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }
}
