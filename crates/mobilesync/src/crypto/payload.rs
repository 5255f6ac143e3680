//! The cipher of payloads and of `Manifest.db`: AES-256-CBC from a zero IV, padded as PKCS#7 says.

use std::io::{self, Read};

use aes::Aes256;
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};

use super::Key;

const BLOCK: usize = 16;

/// What is worked on at once where a reader asks for less than [`DIRECT`].
const CHUNK: usize = 64 << 10;

/// From this length on, what is asked for is worked on in the reader's own buffer.
const DIRECT: usize = 4 << 10;

/// Returns the length of a payload whose plain text has `plain` bytes.
pub const fn stored_length(plain: u64) -> u64 {
    (plain / BLOCK as u64).saturating_add(1).saturating_mul(BLOCK as u64)
}

/// How a decrypted payload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Not read to the end yet.
    Open,
    /// With valid padding, which was taken off; or with nothing at all.
    Padded,
    /// Without valid padding: everything was given out.
    Unpadded,
}

/// Bytes that wait to be given out, where a reader asks for little.
#[derive(Debug, Default)]
struct Waiting {
    buffer: Vec<u8>,
    given: usize,
    ready: usize,
}

impl Waiting {
    fn give(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.buffer.get(self.given..self.ready).unwrap_or_default();
        let count = rest.read(out)?;
        self.given += count;
        Ok(count)
    }

    fn is_empty(&self) -> bool {
        self.given == self.ready
    }

    /// Returns the room for what comes next.
    fn take(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK, 0);
        buffer
    }

    fn put(&mut self, buffer: Vec<u8>, ready: usize) {
        *self = Self { buffer, given: 0, ready };
    }
}

/// Reads an encrypted payload as plain text. Large reads are decrypted where they are wanted, many blocks at a time.
#[derive(Debug)]
pub struct Decrypt<R> {
    source: R,
    cipher: cbc::Decryptor<Aes256>,
    waiting: Waiting,
    /// The last block so far: it may be the padding.
    held: Option<[u8; BLOCK]>,
    padded: bool,
    ending: Ending,
    failed: bool,
}

impl<R: Read> Decrypt<R> {
    /// Starts to decrypt `source`.
    pub fn new(key: &Key, source: R) -> Self {
        let cipher = cbc::Decryptor::new(&Array::from(**key), &Array::default());
        let (waiting, held, ending) = (Waiting::default(), None, Ending::Open);
        Self { source, cipher, waiting, held, padded: true, ending, failed: false }
    }

    /// Starts to decrypt what is known to have no padding: everything is given out.
    pub fn unpadded(key: &Key, source: R) -> Self {
        Self { padded: false, ..Self::new(key, source) }
    }

    /// Returns how the payload ended; known after the last byte.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    /// Fills `target`, which has room for at least two blocks, and returns how much of it is plain text.
    fn fill(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("an encrypted payload could not be read before"));
        }
        // Until it went well: what was read of a block is lost with an error.
        self.failed = true;
        let length = target.len() - target.len() % BLOCK;
        let target = target.get_mut(..length).unwrap_or_default();
        let mut start = 0;
        if let (Some(held), Some(first)) = (self.held.take(), target.first_chunk_mut::<BLOCK>()) {
            *first = held;
            start = BLOCK;
        }
        let fresh = target.get_mut(start..).unwrap_or_default();
        let room = fresh.len();
        let count = read_full(&mut self.source, fresh)?;
        let (blocks, rest) = Array::slice_as_chunks_mut(fresh.get_mut(..count).unwrap_or_default());
        if !rest.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an encrypted payload is cut off inside a block",
            ));
        }
        self.cipher.decrypt_blocks(blocks);
        self.failed = false;
        let end = start + count;
        let done = target.get(..end).unwrap_or_default();
        if count < room {
            let pad = if self.padded { padding(done) } else { None };
            self.ending = if pad.is_some() || end == 0 { Ending::Padded } else { Ending::Unpadded };
            return Ok(end - pad.unwrap_or(0));
        }
        self.held = done.last_chunk::<BLOCK>().copied();
        Ok(end - BLOCK)
    }
}

impl<R: Read> Read for Decrypt<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.waiting.is_empty() && self.ending == Ending::Open {
            if out.len() >= DIRECT {
                return self.fill(out);
            }
            let mut buffer = self.waiting.take();
            let ready = self.fill(&mut buffer)?;
            self.waiting.put(buffer, ready);
        }
        self.waiting.give(out)
    }
}

/// Returns the length of the padding at the end, if there is a valid one.
pub(crate) fn padding(bytes: &[u8]) -> Option<usize> {
    let last = *bytes.last()?;
    let length = usize::from(last);
    let start = bytes.len().checked_sub(length)?;
    let valid =
        (1..=BLOCK).contains(&length) && bytes.get(start..)?.iter().all(|byte| *byte == last);
    valid.then_some(length)
}

/// Reads plain text as the payload of an encrypted backup: always padded. Large reads are encrypted where they are wanted.
#[derive(Debug)]
pub struct Encrypt<R> {
    source: R,
    cipher: cbc::Encryptor<Aes256>,
    waiting: Waiting,
    done: bool,
    failed: bool,
}

impl<R: Read> Encrypt<R> {
    /// Starts to encrypt `source`.
    pub fn new(key: &Key, source: R) -> Self {
        let cipher = cbc::Encryptor::new(&Array::from(**key), &Array::default());
        Self { source, cipher, waiting: Waiting::default(), done: false, failed: false }
    }

    /// Fills `target`, which has room for at least one block, and returns how much of it is payload.
    fn fill(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("what is encrypted could not be read before"));
        }
        self.failed = true;
        let length = target.len() - target.len() % BLOCK;
        let target = target.get_mut(..length).unwrap_or_default();
        let mut count = read_full(&mut self.source, target)?;
        if count < length {
            self.done = true;
            let pad = BLOCK - count % BLOCK;
            let padding = target.get_mut(count..count + pad).unwrap_or_default();
            padding.fill(u8::try_from(pad).unwrap_or(0));
            count += pad;
        }
        let (blocks, _) = Array::slice_as_chunks_mut(target.get_mut(..count).unwrap_or_default());
        self.cipher.encrypt_blocks(blocks);
        self.failed = false;
        Ok(count)
    }
}

impl<R: Read> Read for Encrypt<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.waiting.is_empty() && !self.done {
            if out.len() >= DIRECT {
                return self.fill(out);
            }
            let mut buffer = self.waiting.take();
            let ready = self.fill(&mut buffer)?;
            self.waiting.put(buffer, ready);
        }
        self.waiting.give(out)
    }
}

/// Fills `buffer` as far as there is something to read.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use aes::cipher::BlockModeEncrypt as _;
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;

    /// What the format says, block by block: the reference.
    fn slow(key: [u8; 32], plain: &[u8]) -> Vec<u8> {
        let pad = BLOCK - plain.len() % BLOCK;
        let mut bytes = [plain, &vec![pad.to_le_bytes()[0]; pad]].concat();
        let mut cipher = cbc::Encryptor::<Aes256>::new(&Array::from(key), &Array::default());
        for block in bytes.chunks_exact_mut(BLOCK) {
            let block: &mut [u8; BLOCK] = block.try_into().unwrap();
            cipher.encrypt_block(block.into());
        }
        bytes
    }

    /// Gives out its bytes in pieces, some of them none at all for now.
    struct Pieces<'a>(&'a [u8], Vec<usize>);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.1.pop() {
                Some(0) => Err(io::ErrorKind::Interrupted.into()),
                Some(most) => {
                    let most = most.min(out.len());
                    self.0.read(&mut out[..most])
                }
                None => self.0.read(out),
            }
        }
    }

    /// Reads everything in steps of these lengths, the last one again and again.
    fn read_in_steps(reader: &mut impl Read, steps: &[usize]) -> Vec<u8> {
        let mut all = Vec::new();
        for at in 0.. {
            let step = steps[at.min(steps.len() - 1)];
            let mut piece = vec![0; step];
            match reader.read(&mut piece).unwrap() {
                0 => break,
                count => all.extend_from_slice(&piece[..count]),
            }
        }
        all
    }

    fn steps() -> impl Strategy<Value = Vec<usize>> {
        prop::collection::vec(
            prop_oneof![1..40_usize, 4_000..4_200_usize, 65_500..65_600_usize],
            1..6,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn every_way_of_reading_gives_the_same(
            length in prop_oneof![0..100_usize, 4_060..4_130_usize, 65_500..65_600_usize, 131_000..131_200_usize],
            seed: u8,
            steps in steps(),
            pieces in prop::collection::vec(0..9_000_usize, 0..20),
        ) {
            let plain: Vec<u8> = (0..length).map(|at| seed.wrapping_add(at.to_le_bytes()[0])).collect();
            let key = Zeroizing::new([seed; 32]);
            let payload = slow([seed; 32], &plain);
            prop_assert_eq!(payload.len() as u64, stored_length(length as u64));
            let mut encrypt = Encrypt::new(&key, Pieces(&plain, pieces.clone()));
            prop_assert!(read_in_steps(&mut encrypt, &steps) == payload);
            let mut decrypt = Decrypt::new(&key, Pieces(&payload, pieces.clone()));
            prop_assert!(read_in_steps(&mut decrypt, &steps) == plain);
            prop_assert_eq!(decrypt.ending(), Ending::Padded);
            let mut raw = Decrypt::unpadded(&key, Pieces(&payload, pieces));
            let raw = read_in_steps(&mut raw, &steps);
            prop_assert!(raw.len() == payload.len() && raw.starts_with(&plain));
        }
    }

    /// Fails once, in the middle of a block.
    struct Stumbles(u8);

    impl Read for Stumbles {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => {
                    out[..7].fill(1);
                    Ok(7)
                }
                2 => Err(io::ErrorKind::TimedOut.into()),
                _ => {
                    out.fill(2);
                    Ok(out.len())
                }
            }
        }
    }

    #[test]
    fn nothing_comes_after_a_failure() {
        let key = Zeroizing::new([3; 32]);
        let mut out = [0; 5000];
        let mut decrypt = Decrypt::new(&key, Stumbles(0));
        assert_eq!(decrypt.read(&mut out).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(decrypt.read(&mut out).is_err());
        let mut encrypt = Encrypt::new(&key, Stumbles(0));
        assert_eq!(encrypt.read(&mut out).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(encrypt.read(&mut out).is_err());
    }
}
