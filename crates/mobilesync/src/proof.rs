//! Opens payloads, and proves while doing so that what was sent can be made again.
//!
//! The payload cipher has no random part: the same key and the same plain text give the same payload. Whoever keeps the plain text
//! in its place must be sure of it, file by file.

use std::io::{self, Read};

use aes::Aes256;
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use thiserror::Error;

use crate::crypto::{Key, padding};

const BLOCK: usize = 16;
/// What is opened at once.
const CHUNK: usize = 64 << 10;

/// Why the plain text of a payload cannot stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Flaw {
    /// There is not a single block, as some devices send for a file without content.
    #[error("nothing was sent")]
    Empty,
    /// The payload ends inside a block.
    #[error("the payload ends inside a block")]
    Truncated,
    /// The end is not padded in the usual way.
    #[error("the payload has no valid padding")]
    Padding,
    /// Encrypting the plain text again gives something else.
    #[error("the plain text does not give the payload again")]
    Differs,
}

impl Flaw {
    /// Returns the flaw behind an error of [`Proof`], if that is what it is.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

/// Reads an encrypted payload as plain text. What it gives out was encrypted again and compared with what it read; where they
/// differ, and where the end is not as a device makes it, reading fails with a [`Flaw`].
pub struct Proof<R> {
    source: R,
    decryptor: cbc::Decryptor<Aes256>,
    encryptor: cbc::Encryptor<Aes256>,
    sealed: Vec<u8>,
    again: Vec<u8>,
    /// Plain bytes, of which those between `given` and `ready` may be given out; the last block is held back.
    plain: Vec<u8>,
    given: usize,
    ready: usize,
    padded: bool,
    done: bool,
}

impl<R: Read> Proof<R> {
    /// Starts to open `source`.
    pub fn new(key: &Key, source: R) -> Self {
        Self {
            source,
            decryptor: cbc::Decryptor::new(&Array::from(**key), &Array::default()),
            encryptor: cbc::Encryptor::new(&Array::from(**key), &Array::default()),
            sealed: Vec::new(),
            again: Vec::new(),
            plain: Vec::new(),
            given: 0,
            ready: 0,
            padded: true,
            done: false,
        }
    }

    /// Starts to open what is known to have no padding.
    pub fn unpadded(key: &Key, source: R) -> Self {
        Self { padded: false, ..Self::new(key, source) }
    }

    /// Returns the source.
    pub fn into_inner(self) -> R {
        self.source
    }

    fn refill(&mut self) -> io::Result<()> {
        // What is held back moves to the front.
        self.plain.drain(..self.given);
        self.given = 0;
        let held = self.plain.len();
        self.sealed.clear();
        let count = self.source.by_ref().take(CHUNK as u64).read_to_end(&mut self.sealed)?;
        if count % BLOCK != 0 {
            return Err(flawed(Flaw::Truncated));
        }
        self.plain.extend_from_slice(&self.sealed);
        let fresh = self.plain.get_mut(held..).unwrap_or_default();
        self.decryptor.decrypt_blocks(Array::slice_as_chunks_mut(fresh).0);
        self.again.clear();
        self.again.extend_from_slice(fresh);
        self.encryptor.encrypt_blocks(Array::slice_as_chunks_mut(&mut self.again).0);
        if self.again != self.sealed {
            return Err(flawed(Flaw::Differs));
        }
        if count == CHUNK {
            self.ready = self.plain.len() - BLOCK;
            return Ok(());
        }
        self.done = true;
        if self.plain.is_empty() {
            return Err(flawed(Flaw::Empty));
        }
        // The padding was encrypted and compared with all else: it is the one that is made again.
        let pad = if self.padded { padding(&self.plain) } else { Some(0) };
        self.ready = self.plain.len() - pad.ok_or_else(|| flawed(Flaw::Padding))?;
        Ok(())
    }
}

fn flawed(flaw: Flaw) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, flaw)
}

impl<R: Read> Read for Proof<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready && !self.done {
            self.refill()?;
        }
        let mut rest = self.plain.get(self.given..self.ready).unwrap_or_default();
        let count = rest.read(out)?;
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::crypto::{Encrypt, stored_length};

    fn key() -> Key {
        Zeroizing::new([7; 32])
    }

    fn seal(plain: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        Encrypt::new(&key(), plain).read_to_end(&mut payload).unwrap();
        payload
    }

    fn open(payload: &[u8]) -> Result<Vec<u8>, Option<Flaw>> {
        let mut plain = Vec::new();
        let read = Proof::new(&key(), payload).read_to_end(&mut plain);
        read.map(|_| plain).map_err(|error| Flaw::of(&error))
    }

    #[test]
    fn a_payload_of_any_length_is_proved() {
        for length in [0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 16, 200_000] {
            let plain: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            let payload = seal(&plain);
            assert_eq!(payload.len() as u64, stored_length(length as u64));
            assert_eq!(open(&payload).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn what_cannot_be_made_again_is_named() {
        assert_eq!(open(b""), Err(Some(Flaw::Empty)));
        let payload = seal(&vec![0xaa; 100_000]);
        assert_eq!(open(&payload[..70_001]), Err(Some(Flaw::Truncated)));
        assert_eq!(open(&payload[..7]), Err(Some(Flaw::Truncated)));
        // A whole block less: what is the last one now ends with no padding.
        assert_eq!(open(&payload[..payload.len() - 16]), Err(Some(Flaw::Padding)));
        assert_eq!(open(&payload[..CHUNK]), Err(Some(Flaw::Padding)));
        let mut plain = Vec::new();
        Proof::unpadded(&key(), &payload[..CHUNK]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, vec![0xaa; CHUNK]);
    }

    proptest! {
        #[test]
        fn whatever_comes_out_gives_the_payload_again(noise in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(plain) = open(&noise) {
                prop_assert_eq!(seal(&plain), noise);
            }
        }

        #[test]
        fn plain_text_comes_back(plain in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(open(&seal(&plain)).unwrap(), plain);
        }
    }
}
