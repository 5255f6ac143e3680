//! PBKDF2 with HMAC-SHA-256 for one key of 32 bytes: the long pass, which costs seconds for every password that is tried.
//!
//! Written from RFC 8018 5.2 and RFC 2104 on SHA-256's compression function alone. The two halves of HMAC that depend on the
//! password only are computed once; each round is then exactly two compressions of one block whose padding stands there from the
//! start. The library picks the processor's own instructions for a compression where there are any.

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::crypto::Key;

/// Rounds between two looks at whether to go on: a few milliseconds.
pub(crate) const STEP: u32 = 16_384;

/// A block of SHA-256.
const BLOCK: usize = 64;
/// The words of a state.
type State = [u32; 8];

/// The state that SHA-256 begins with (FIPS 180-4, 5.3.3).
const START: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// HMAC under one password: the states behind the key's block.
struct Keyed {
    inner: State,
    outer: State,
}

impl Keyed {
    fn new(password: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; BLOCK]);
        let hashed: Zeroizing<[u8; 32]>;
        let short = if password.len() > BLOCK {
            hashed = Zeroizing::new(Sha256::digest(password).into());
            hashed.as_slice()
        } else {
            password
        };
        for (to, from) in key.iter_mut().zip(short) {
            *to = *from;
        }
        Self { inner: behind(&key, 0x36), outer: behind(&key, 0x5c) }
    }

    /// Returns the MAC of a message of any length.
    fn mac(&self, message: &[u8], block: &mut [u8; BLOCK]) -> State {
        let mut inner = self.inner;
        for padded in padded(message).chunks_exact(BLOCK) {
            let padded: &[u8; BLOCK] =
                padded.try_into().expect("a chunk has the length of a block");
            compress256(&mut inner, std::slice::from_ref(padded));
        }
        put(block, &inner);
        let mut outer = self.outer;
        compress256(&mut outer, std::slice::from_ref(block));
        outer
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// Returns the state behind the block of a key.
fn behind(key: &[u8; BLOCK], pad: u8) -> State {
    let mut state = START;
    let block = Zeroizing::new(key.map(|byte| byte ^ pad));
    compress256(&mut state, std::slice::from_ref(&*block));
    state
}

/// Returns a message that comes behind one block, padded to whole blocks.
fn padded(message: &[u8]) -> Vec<u8> {
    let bits = 8 * (BLOCK as u64 + message.len() as u64);
    let mut out = message.to_vec();
    out.push(0x80);
    while out.len() % BLOCK != BLOCK - 8 {
        out.push(0);
    }
    out.extend(bits.to_be_bytes());
    out
}

/// Returns the block of a MAC that comes behind one block: 32 bytes to be put in, and the padding behind them.
fn template() -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let padding = padded(&[0; 32]);
    for (to, from) in block.iter_mut().zip(padding) {
        *to = from;
    }
    block
}

/// Puts a state in front of the padding.
#[inline]
fn put(block: &mut [u8; BLOCK], state: &State) {
    for (bytes, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
}

/// Adds the MAC in front of its padding to a sum.
#[inline]
fn add(sum: &mut [u8; 32], block: &[u8; BLOCK]) {
    for (sum, byte) in sum.iter_mut().zip(block) {
        *sum ^= byte;
    }
}

/// One password on its way.
struct Lane {
    keyed: Keyed,
    /// The last MAC, in front of its padding.
    block: Zeroizing<[u8; BLOCK]>,
    /// All MACs before that one, one upon the other.
    sum: Zeroizing<[u8; 32]>,
}

impl Lane {
    fn new(password: &[u8], salt: &[u8]) -> Self {
        let keyed = Keyed::new(password);
        let mut block = Zeroizing::new(template());
        let first = Zeroizing::new(keyed.mac(&[salt, &1_u32.to_be_bytes()].concat(), &mut block));
        put(&mut block, &first);
        Self { keyed, block, sum: Zeroizing::default() }
    }

    /// The first half of a round.
    ///
    /// The last MAC is added here, from memory: where it is made, its words would be taken apart for both, and stored one by one.
    #[inline]
    fn inner(&mut self) {
        add(&mut self.sum, &self.block);
        let mut state = self.keyed.inner;
        compress256(&mut state, std::slice::from_ref(&*self.block));
        put(&mut self.block, &state);
    }

    /// The second half.
    #[inline]
    fn outer(&mut self) {
        let mut state = self.keyed.outer;
        compress256(&mut state, std::slice::from_ref(&*self.block));
        put(&mut self.block, &state);
    }

    fn key(&self) -> Key {
        let mut key = Key::new(*self.sum);
        add(&mut key, &self.block);
        key
    }
}

/// One round of every lane. A compression waits for the one before, and the processor begins the next lane's meanwhile.
///
/// A function of its own, on memory: in registers the words would be stored one by one, and the processor, which reads them four
/// at a time, would wait for each of them.
#[inline(never)]
fn round<const LANES: usize>(lanes: &mut [Lane; LANES]) {
    lanes.iter_mut().for_each(Lane::inner);
    lanes.iter_mut().for_each(Lane::outer);
}

/// Derives a key of 32 bytes for each password; `watch` is told every [`STEP`] rounds, and at the end, how many more were done of
/// each. Nothing comes back where it said that it is enough.
pub(crate) fn sha256<const LANES: usize>(
    passwords: [&[u8]; LANES],
    salt: &[u8],
    rounds: u32,
    watch: &mut dyn FnMut(u32) -> bool,
) -> Option<[Key; LANES]> {
    let mut lanes = passwords.map(|password| Lane::new(password, salt));
    let mut left = rounds.saturating_sub(1);
    let mut done = 1;
    while left > 0 {
        let now = left.min(STEP - done);
        for _ in 0..now {
            round(&mut lanes);
        }
        left -= now;
        done += now;
        if done == STEP {
            if !watch(done) {
                return None;
            }
            done = 0;
        }
    }
    if done > 0 && !watch(done) {
        return None;
    }
    Some(lanes.each_ref().map(Lane::key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn library(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
        let mut key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut key);
        key
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn it_is_what_the_library_computes(
            password in prop::collection::vec(any::<u8>(), 0..140),
            salt in prop::collection::vec(any::<u8>(), 0..150),
            rounds in 1_u32..60,
        ) {
            let ours = sha256([&password], &salt, rounds, &mut |_| true);
            prop_assert_eq!(ours.map(|[key]| *key), Some(library(&password, &salt, rounds)));
        }
    }

    #[test]
    fn lanes_do_not_touch_one_another() {
        let passwords: [&[u8]; 3] = [b"one", b"", &[7; 100]];
        let keys = sha256(passwords, b"salt", STEP + 3, &mut |_| true).unwrap();
        for (key, password) in keys.iter().zip(passwords) {
            assert_eq!(**key, library(password, b"salt", STEP + 3));
        }
    }

    #[test]
    fn keys_and_salts_of_whole_blocks_are_no_exception() {
        for password in [0, 1, 63, 64, 65, 128] {
            for salt in [0, 20, 51, 52, 59, 60, 61, 123, 124] {
                let (password, salt) = (vec![7; password], vec![9; salt]);
                let ours = sha256([&password], &salt, 3, &mut |_| true).map(|[key]| *key);
                assert_eq!(ours, Some(library(&password, &salt, 3)));
            }
        }
    }

    #[test]
    fn every_round_is_told_and_the_watcher_can_end_it() {
        for rounds in [1, STEP - 1, STEP, STEP + 1, 3 * STEP + 5] {
            let mut told = Vec::new();
            let key = sha256([b"p"], b"s", rounds, &mut |more| {
                told.push(more);
                true
            });
            assert_eq!(key.map(|[key]| *key), Some(library(b"p", b"s", rounds)));
            assert_eq!(told.iter().sum::<u32>(), rounds);
            assert!(told.iter().all(|more| *more <= STEP));
        }
        let mut calls = 0;
        let key = sha256([b"p"], b"s", u32::MAX, &mut |_| {
            calls += 1;
            calls < 3
        });
        assert_eq!((key, calls), (None, 3));
    }
}
