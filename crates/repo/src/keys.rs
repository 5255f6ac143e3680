//! Passwords and keys.

use secrecy::SecretString;

use crate::format::random::random;

/// Letters and digits that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Groups of a generated password …
const GROUPS: usize = 8;
/// … of this many signs each: 160 bits.
const GROUP: usize = 4;

/// Makes a repository password that can be read aloud: eight groups of four signs, 160 bits.
pub fn generate_password() -> SecretString {
    let signs = random::<{ GROUPS * GROUP }>()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    let groups: Vec<String> = signs.chunks(GROUP).map(|group| group.iter().collect()).collect();
    groups.join("-").into()
}
