//! Deterministic randomness of the simulated phone.
//!
//! The generator is written out here, because the same seed must give the same phone for ever: the streams of a
//! library may change with its version.

/// One step of the golden-ratio counter (2^64 / phi).
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Mixes 64 bits so that neighbouring inputs have unrelated outputs (the finaliser of the `SplitMix64` generator).
#[inline]
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Folds a text into 64 bits (FNV-1a, then mixed).
pub(crate) fn fold(text: &str) -> u64 {
    let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    mix(hash)
}

/// A stream of random numbers that depends on a seed and a label only.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// Returns the stream of `label` under `seed`; each part of the content has its own label, so that a change
    /// in one part leaves the others as they were.
    pub(crate) fn new(seed: u64, label: &str) -> Self {
        Self { state: mix(seed.wrapping_add(GOLDEN)) ^ fold(label) }
    }

    /// Returns the next 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Returns a number below `bound`, or 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The multiply-shift method: its bias is below 2^-32 for the small bounds used here.
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// Returns a number in `low..high`, or `low` if the range is empty.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low.saturating_add_unsigned(self.below(width))
    }

    /// Returns an index below `length`, or 0 if `length` is 0.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// Returns true in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Returns one of `choices`, which must not be empty.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        let index = self.index(choices.len());
        choices.get(index).copied().expect("the choices are constant lists that are not empty")
    }

    /// Returns `length` random bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// Returns a random (version 4) UUID in upper case, as Apple writes them.
    pub(crate) fn uuid(&mut self) -> String {
        let high = (self.next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000;
        let low = (self.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
        format!(
            "{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_fixed_for_ever() {
        let mut rng = Rng::new(1, "a");
        let first = rng.next();
        assert_eq!(first, Rng::new(1, "a").next());
        assert_ne!(first, Rng::new(1, "b").next());
        assert_ne!(first, Rng::new(2, "a").next());
        assert_eq!(mix(GOLDEN), 0xE220_A839_7B1D_CDAF, "first output of SplitMix64 with seed 0");
    }

    #[test]
    fn ranges_hold() {
        let mut rng = Rng::new(7, "ranges");
        for _ in 0..1000 {
            assert!(rng.below(10) < 10);
            assert!((-5..5).contains(&rng.between(-5, 5)));
            assert!(rng.index(3) < 3);
        }
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.between(4, 4), 4);
        assert_eq!(rng.bytes(13).len(), 13);
    }

    #[test]
    fn uuids_look_like_uuids() {
        let uuid = Rng::new(3, "uuid").uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes().get(14), Some(&b'4'));
        assert_eq!(uuid, uuid.to_uppercase());
    }
}
