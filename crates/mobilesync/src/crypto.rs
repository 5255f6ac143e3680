//! The ciphers of encrypted backups: key derivation, key wrap and the payload cipher.

mod payload;

use aes::cipher::{Array, KeyInit as _};
use aes_kw::KwAes256;
use sha1::Sha1;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::stretch;
pub(crate) use payload::padding;
pub use payload::{Decrypt, Encrypt, Ending, stored_length};

/// A key; wiped when dropped.
pub type Key = Zeroizing<[u8; 32]>;

/// A wrapped key's length.
pub const WRAPPED: usize = 40;

/// The most rounds of key derivation that are done on the word of a file; devices use ten million.
pub const MOST_ROUNDS: u32 = 1 << 28;

/// Why a key could not be opened.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CryptoError {
    /// The key that wraps it is another one: a wrong password, or damage.
    #[error("the key does not open what it should")]
    WrongKey,
    /// The wrapped key has an impossible length.
    #[error("a wrapped key of {0} bytes is impossible")]
    Length(usize),
    /// The file asks for an absurd amount of work.
    #[error("{0} rounds of key derivation are refused")]
    Rounds(u32),
    /// Whoever watched the work ended it.
    #[error("the key derivation was stopped")]
    Stopped,
}

/// How a password becomes the key that wraps the class keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// `SALT`.
    pub salt: Vec<u8>,
    /// `ITER`.
    pub rounds: u32,
    /// `DPSL` and `DPIC`: the first, long pass that iOS 10.2 added.
    pub first: Option<(Vec<u8>, u32)>,
}

impl Derivation {
    /// Derives the key.
    pub fn derive(&self, password: &[u8]) -> Result<Key, CryptoError> {
        self.derive_watched(password, &mut |_| true)
    }

    /// Derives the key; `watch` is told every few milliseconds how many more rounds of the long pass were done, and says
    /// whether to go on.
    pub fn derive_watched(
        &self,
        password: &[u8],
        watch: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Key, CryptoError> {
        let [key] = self.derive_all([password], watch)?;
        Ok(key)
    }

    /// Derives the keys of several passwords at once, which takes one core less time than one after the other; `watch` is told the
    /// rounds of each.
    pub(crate) fn derive_all<const LANES: usize>(
        &self,
        passwords: [&[u8]; LANES],
        watch: &mut dyn FnMut(u32) -> bool,
    ) -> Result<[Key; LANES], CryptoError> {
        let rounds = allowed(self.rounds)?;
        let short = |password: &[u8]| {
            let mut key = Key::default();
            pbkdf2::pbkdf2_hmac::<Sha1>(password, &self.salt, rounds, key.as_mut());
            key
        };
        let Some((salt, first_rounds)) = &self.first else { return Ok(passwords.map(short)) };
        let first = stretch::sha256(passwords, salt, allowed(*first_rounds)?, watch);
        let first = first.ok_or(CryptoError::Stopped)?;
        Ok(first.map(|first| short(first.as_ref())))
    }

    /// Returns the rounds of the long pass that one password takes: what progress is counted in.
    pub fn long_rounds(&self) -> u32 {
        self.first.as_ref().map_or(0, |(_, rounds)| *rounds)
    }
}

const fn allowed(rounds: u32) -> Result<u32, CryptoError> {
    if rounds == 0 || rounds > MOST_ROUNDS { Err(CryptoError::Rounds(rounds)) } else { Ok(rounds) }
}

/// Opens a wrapped key (RFC 3394).
pub fn unwrap(with: &Key, wrapped: &[u8]) -> Result<Key, CryptoError> {
    if wrapped.len() != WRAPPED {
        return Err(CryptoError::Length(wrapped.len()));
    }
    let mut key = Key::default();
    KwAes256::new(&Array::from(**with))
        .unwrap_key(wrapped, key.as_mut())
        .map_err(|_| CryptoError::WrongKey)?;
    Ok(key)
}

/// Wraps a key (RFC 3394).
pub fn wrap(with: &Key, key: &Key) -> [u8; WRAPPED] {
    let mut wrapped = [0; WRAPPED];
    KwAes256::new(&Array::from(**with))
        .wrap_key(key.as_ref(), &mut wrapped)
        .expect("both lengths are fixed");
    wrapped
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read as _};

    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn key(bytes: &[u8]) -> Key {
        Zeroizing::new(bytes.try_into().unwrap())
    }

    fn bytes(digits: &str) -> Vec<u8> {
        hex::decode(digits).unwrap()
    }

    /// Checks a line in the notation of password crackers against the keys it must give.
    fn check(line: &str, password: &str, wants: (&str, &str)) {
        let parts: Vec<&str> = line.split('*').collect();
        let [_, _, wrapped, rounds, salt, first_rounds, first_salt] = parts[..] else {
            panic!("a line has seven parts")
        };
        let derivation = Derivation {
            salt: bytes(salt),
            rounds: rounds.parse().unwrap(),
            first: first_rounds.parse().ok().map(|rounds| (bytes(first_salt), rounds)),
        };
        let derived = derivation.derive(password.as_bytes()).unwrap();
        assert_eq!(hex::encode(*derived), wants.0);
        assert_eq!(hex::encode(*unwrap(&derived, &bytes(wrapped)).unwrap()), wants.1);
        let wrong = key(&[1; 32]);
        assert_eq!(unwrap(&wrong, &bytes(wrapped)), Err(CryptoError::WrongKey));
    }

    #[test]
    fn v1_before_ios_10() {
        check(
            "$itunes_backup$*9*ebd7f9b33293b2511f0a4139d5b213feff51476968863cef60ec38d720497b6ff39a0bb63fa9f84e*10000*2202015774208421818002001652122401871832**",
            "hashcat",
            (
                "a29e0b44321c66a8f34c587ce924421e37231a3f020598a9a1a2ccdb71b424db",
                "d684b4867dd1000012ddecf958080000d3c202a1ab73000070ef26e352020000",
            ),
        );
    }

    #[test]
    fn v2_since_ios_10_2() {
        check(
            "$itunes_backup$*10*17a3b858e79bc273be43a9f113b71efe7ec8e7e401396b350180b4592ef45db67ffef7b2d64329a5*10000*2721336781705041205314422175267631184867*1000*99fafc983e732998adb9fadc162a2e382143f115",
            "hashcat",
            (
                "ca1bdd8196307fe1e2ed421321267d96e2988bf12f736035192cfed20ec823ea",
                "2ed7042e87b50000fa6ba698661c000013194470a1f70000c35bd72ce0360000",
            ),
        );
    }

    #[test]
    fn v3_real_ones_before_ios_10_2() {
        check(
            "$itunes_backup$*9*bc707ac0151660426c8114d04caad9d9ee2678a7b7ab05c18ee50cafb2613c31c8978e8b1e9cad2a*10000*266343aaf99102ba7f6af64a3a2d62637793f753**",
            "123456",
            (
                "e3b46feb8370ba6caedc4925ef30b7d6c93c1462cfecc71901810ef92fb14405",
                "0003897185014cf89b30fb01979f5e675409edfce0cda6cba5f5467a969ebbae",
            ),
        );
        check(
            "$itunes_backup$*9*06dc04bca4eeea2fbc1bc7356fa758243bead479673640a668db285c8f48c402cc435539d935509e*10000*37d2bd7caefbb24a9729e41a3257ef06188dc01e**",
            "test123",
            (
                "0fa447b306577e8aeb2165a3d480c40fa70eaf99f83a74c5b334b687c488a2cd",
                "974df46624faf86673d42c658a628872963ed4ab1527b01f75f8c87719c8a44c",
            ),
        );
    }

    /// Ten million rounds, as on real devices: some seconds.
    #[test]
    fn v4_real_one_with_all_rounds() {
        check(
            "$itunes_backup$*10*deff6d646eb1fa2b6741efee8b70eda84341a838cef2bb10e582669759d7e33c399a0ba2a52cb9ec*10000*f09cfa82cc1695657cb2c347ee127c2523795fda*10000000*66f159e15f3ddbbdd4057f8babef7ad4472fac10",
            "test123",
            (
                "14b002704b801f2f6afabd38cd5bee2b2a8151071f93375cc76cfc7e19539e69",
                "c92b6a58e988a31c65fff965911147f624567facbfce602efc1a1da2374de238",
            ),
        );
    }

    #[test]
    fn v5_before_ios_10_2() {
        let zeros = "00".repeat(20);
        check(
            &format!(
                "$itunes_backup$*9*eba582ae3f5731863d270bd875e4c15566bd7847f98536f6674cf6cadc113f8b5bb7a71ebc48b7a5*10000*{zeros}**"
            ),
            "0000",
            ("a1f9ad8aab0647485a344fda6dcc4eaad54819a775676b70ad61044beefdede4", &"00".repeat(32)),
        );
    }

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        let file_key: Vec<u8> = (0x40..0x60).collect();
        let mut payload = Vec::new();
        Encrypt::new(&key(&file_key), plain).read_to_end(&mut payload).unwrap();
        payload
    }

    #[test]
    fn v6_payloads() {
        let first: Vec<u8> = (0..17).collect();
        for (plain, payload) in [
            (b"".as_slice(), "c9cb7b3859e1a550bcbf11b624022c56"),
            (b"Test data", "30d53298e6c9887ea847b555d948ae2a"),
            (&first[..16], "d05d67e003c8a374a589ef3596f3a1a467844b7631a862607f1f9c50c6418d65"),
            (&first[..17], "d05d67e003c8a374a589ef3596f3a1a405d35b4cc8df7a67a028a0463866d360"),
        ] {
            assert_eq!(hex::encode(encrypt(plain)), payload);
        }
        let large: Vec<u8> = (0..100_000_u32).map(|at| (at * 7 + 3).to_le_bytes()[0]).collect();
        let payload = encrypt(&large);
        assert_eq!(payload.len(), 100_016);
        assert_eq!(
            hex::encode(Sha256::digest(&payload)),
            "4d3ed4aead53bcb42c4f88a631c84da6ac51b9b212c0a7d7bdc2252899e03535"
        );
        assert_eq!(hex::encode(Sha1::digest(&payload)), "5aa57997e0c9680c9da59fb3be1f4c962f45b0f9");
    }

    #[test]
    fn odd_endings_are_told() {
        let some = key(&[9; 32]);
        let mut empty = Decrypt::new(&some, b"".as_slice());
        assert_eq!((empty.read(&mut [0; 8]).unwrap(), empty.ending()), (0, Ending::Padded));
        let mut noise = Decrypt::new(&some, [0x11; 32].as_slice());
        let mut plain = Vec::new();
        noise.read_to_end(&mut plain).unwrap();
        assert_eq!((plain.len(), noise.ending()), (32, Ending::Unpadded));
        let mut cut = Decrypt::new(&some, [0x11; 33].as_slice());
        assert_eq!(cut.read_to_end(&mut plain).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let absurd = Derivation { salt: vec![], rounds: u32::MAX, first: None };
        assert_eq!(absurd.derive(b"x"), Err(CryptoError::Rounds(u32::MAX)));
    }

    proptest! {
        #[test]
        fn payloads_come_back(length in prop_oneof![0..100_usize, 65_500..65_600_usize, 131_000..131_200_usize], seed: u8) {
            let plain: Vec<u8> = (0..length).map(|at| seed.wrapping_add(at.to_le_bytes()[0])).collect();
            let some = key(&[seed; 32]);
            let mut decrypt = Decrypt::new(&some, Encrypt::new(&some, plain.as_slice()));
            let mut back = Vec::new();
            decrypt.read_to_end(&mut back).unwrap();
            prop_assert_eq!(decrypt.ending(), Ending::Padded);
            prop_assert_eq!(back, plain);
        }
    }
}
