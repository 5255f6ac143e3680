//! The seal around everything: AES-256 in counter mode, then Poly1305-AES over the ciphertext.
//!
//! A sealed thing is 16 bytes of nonce, as many bytes as the plaintext has, and 16 bytes of tag.

use aes::{
    Aes128, Aes256,
    cipher::{
        BlockCipherEncrypt as _, InnerIvInit as _, KeyInit as _, StreamCipher as _,
        StreamCipherCoreWrapper,
    },
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use ctr::{CtrCore, flavors::Ctr128BE};
use poly1305::{
    Poly1305,
    universal_hash::{KeyInit as _, UniversalHash as _},
};
use zeroize::Zeroizing;

use super::random::random;
use crate::error::Flaw;

/// Length of the nonce in front.
pub(crate) const NONCE: usize = 16;
/// Length of the tag behind.
pub(crate) const TAG: usize = 16;
/// How much longer a sealed thing is.
pub(crate) const OVERHEAD: usize = NONCE + TAG;
/// Encrypted and authenticated at a time: small enough to stay in the nearest cache between the two.
const PIECE: usize = 16 << 10;

/// The key that seals and opens.
pub(crate) struct Key {
    encrypt: Aes256,
    authenticate: Aes128,
    r: Zeroizing<[u8; 16]>,
}

impl Key {
    /// Takes the three parts of a master key.
    pub(crate) fn new(encrypt: &[u8; 32], k: &[u8; 16], r: &[u8; 16]) -> Self {
        Self {
            encrypt: Aes256::new(encrypt.into()),
            authenticate: Aes128::new(k.into()),
            r: Zeroizing::new(*r),
        }
    }

    fn stream(&self, nonce: [u8; NONCE]) -> StreamCipherCoreWrapper<CtrCore<Aes256, Ctr128BE>> {
        let core = CtrCore::inner_iv_init(self.encrypt.clone(), &nonce.into());
        StreamCipherCoreWrapper::from_core(core)
    }

    fn mac(&self, nonce: [u8; NONCE]) -> Poly1305 {
        let mut block = nonce.into();
        self.authenticate.encrypt_block(&mut block);
        let mut key = Zeroizing::new([0; 32]);
        key[..16].copy_from_slice(self.r.as_slice());
        key[16..].copy_from_slice(&block);
        Poly1305::new((&*key).into())
    }

    /// Seals a copy of `plain`.
    pub(crate) fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + OVERHEAD);
        self.seal_to(plain, &mut out);
        out
    }

    /// Appends the sealed form of `plain` to `out`.
    pub(crate) fn seal_to(&self, plain: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + NONCE, 0);
        out.extend_from_slice(plain);
        out.resize(out.len() + TAG, 0);
        self.seal_in_place(&mut out[start..]);
    }

    /// Seals in place: room for the nonce, the plaintext, room for the tag.
    pub(crate) fn seal_in_place(&self, out: &mut [u8]) {
        let nonce: [u8; NONCE] = random();
        let (head, rest) = out.split_at_mut(NONCE);
        let (body, foot) = rest.split_at_mut(rest.len() - TAG);
        head.copy_from_slice(&nonce);
        let mut stream = self.stream(nonce);
        let mut mac = self.mac(nonce);
        let mut pieces = body.chunks_exact_mut(PIECE);
        for piece in &mut pieces {
            stream.apply_keystream(piece);
            mac.update_padded(piece);
        }
        let rest = pieces.into_remainder();
        stream.apply_keystream(rest);
        foot.copy_from_slice(&finish(mac, rest));
    }

    /// Opens a sealed thing in place and returns the plaintext.
    pub(crate) fn open<'a>(&self, sealed: &'a mut [u8]) -> Result<&'a mut [u8], Flaw> {
        let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE>().ok_or(Flaw::TooShort)?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(Flaw::TooShort)?;
        let expected = finish(self.mac(*nonce), body);
        verify_slices_are_equal(&expected, tag).map_err(|_| Flaw::Unauthentic)?;
        self.stream(*nonce).apply_keystream(body);
        Ok(body)
    }
}

/// Returns the tag after the last piece.
fn finish(mut mac: Poly1305, rest: &[u8]) -> [u8; TAG] {
    let (whole, tail) = rest.split_at(rest.len() - rest.len() % 16);
    mac.update_padded(whole);
    mac.compute_unpadded(tail).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Key {
        Key::new(&[1; 32], &[2; 16], &[3; 16])
    }

    #[test]
    fn it_opens_what_another_implementation_sealed() {
        // Poly1305-AES, D. J. Bernstein's test vectors (appendix B of the paper): key, nonce, message, tag.
        let vectors = [
            (
                "ec074c835580741701425b623235add6",
                "851fc40c3467ac0be05cc20404f3f700",
                "fb447350c4e868c52ac3275cf9d4327e",
                "f3f6",
                "f4c633c3044fc145f84f335cb81953de",
            ),
            (
                "75deaa25c09f208e1dc4ce6b5cad3fbf",
                "a0f3080000f46400d0c7e9076c834403",
                "61ee09218d29b0aaed7e154a2c5509cc",
                "",
                "dd3fab2251f11ac759f0887129cc2ee7",
            ),
            (
                "6acb5f61a7176dd320c5c1eb2edcdc74",
                "48443d0bb0d21109c89a100b5ce2c208",
                "ae212a55399729595dea458bc621ff0e",
                "663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136",
                "0ee1c16bb73f0f4fd19881753c01cdbe",
            ),
        ];
        for (k, r, nonce, message, tag) in vectors {
            let bytes = |text: &str| -> [u8; 16] { hex::decode(text).unwrap().try_into().unwrap() };
            let key = Key::new(&[0; 32], &bytes(k), &bytes(r));
            let message = hex::decode(message).unwrap();
            assert_eq!(hex::encode(finish(key.mac(bytes(nonce)), &message)), tag);
        }
    }

    #[test]
    fn any_change_is_noticed() {
        let sealed = key().seal(b"hello");
        assert_eq!(sealed.len(), 5 + OVERHEAD);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key().open(&mut changed), Err(Flaw::Unauthentic), "byte {at}");
        }
        for length in 0..sealed.len() {
            let mut cut = sealed[..length].to_vec();
            assert!(key().open(&mut cut).is_err(), "length {length}");
        }
        assert!(Key::new(&[1; 32], &[2; 16], &[4; 16]).open(&mut sealed.clone()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plain in prop::collection::vec(any::<u8>(), 0..70_000), start in 0_usize..40) {
            let mut out = vec![9; start];
            key().seal_to(&plain, &mut out);
            prop_assert_eq!(key().open(&mut out[start..]).unwrap(), &plain[..]);
        }

        #[test]
        fn noise_does_not_open(mut noise in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(key().open(&mut noise).is_err());
        }
    }
}
