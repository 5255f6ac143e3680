//! Finding the right password among several that somebody remembers: each costs seconds, so all cores work.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::crypto::{CryptoError, Derivation, Key};
use crate::keybag::{ClassKeys, Keybag, KeybagError};

/// Passwords that one core tries at a time: while a compression of one waits for the one before, it works on the other.
const LANES: usize = 2;

/// The password that opens a keybag.
#[derive(Debug)]
pub struct Found {
    /// Which of the candidates it is.
    pub at: usize,
    /// What it opens.
    pub keys: ClassKeys,
}

/// Tries passwords against a keybag, as many at a time as there are cores, in their order, until one opens it.
///
/// `watch` is told how many more rounds of key derivation were done, from several threads at once, and says whether to go on;
/// [`rounds`] tells how many there are in all. Nothing comes back where none opens it.
///
/// # Errors
///
/// Where the bag cannot be opened by any password, or `watch` ended it ([`CryptoError::Stopped`]).
pub fn find<P: AsRef<[u8]> + Sync>(
    bag: &Keybag,
    candidates: &[P],
    cores: NonZeroUsize,
    watch: &(dyn Fn(u32) -> bool + Sync),
) -> Result<Option<Found>, KeybagError> {
    let derivation = bag.derivation()?;
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let outcome: Mutex<Result<Option<Found>, KeybagError>> = Mutex::new(Ok(None));
    let end = |result: Result<Option<Found>, KeybagError>| {
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        // The first result stands; those who stop because of it have nothing to say.
        if !over.swap(true, Ordering::Relaxed) {
            *outcome = result;
        }
    };
    // As many at a time as one core does best, and not more than its share.
    let lanes = candidates.len().div_ceil(cores.get()).clamp(1, LANES);
    let work = || {
        while !over.load(Ordering::Relaxed) {
            let first = next.fetch_add(lanes, Ordering::Relaxed);
            let rest = candidates.get(first..).unwrap_or_default();
            let some: Vec<&[u8]> = rest.iter().take(lanes).map(AsRef::as_ref).collect();
            if some.is_empty() {
                return;
            }
            let mut go_on = |more| !over.load(Ordering::Relaxed) && watch(more);
            match derive(&derivation, &some, &mut go_on) {
                Ok(keys) => {
                    for (at, key) in (first..).zip(&keys) {
                        match bag.unlock_with(key) {
                            Ok(keys) => return end(Ok(Some(Found { at, keys }))),
                            Err(KeybagError::WrongPassword) => {}
                            Err(error) => return end(Err(error)),
                        }
                    }
                }
                Err(error) => return end(Err(error.into())),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..cores.get().min(candidates.len()) {
            scope.spawn(work);
        }
        work();
    });
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Derives the keys of a few passwords; `watch` is told the rounds of all of them.
fn derive(
    derivation: &Derivation,
    passwords: &[&[u8]],
    watch: &mut dyn FnMut(u32) -> bool,
) -> Result<Vec<Key>, CryptoError> {
    match *passwords {
        [one] => derivation.derive_watched(one, watch).map(|key| vec![key]),
        [one, other] => {
            let mut both = |more: u32| watch(more.saturating_mul(2));
            derivation.derive_all([one, other], &mut both).map(Vec::from)
        }
        _ => passwords.iter().map(|one| derivation.derive_watched(one, watch)).collect(),
    }
}

/// Returns how many rounds it takes to try so many passwords, all of them.
pub fn rounds(bag: &Keybag, candidates: usize) -> u64 {
    let each = bag.derivation().map_or(0, |derivation| derivation.long_rounds());
    u64::from(each).saturating_mul(candidates as u64)
}

/// Says whether a trial was ended by whoever watched it.
pub fn was_stopped(error: &KeybagError) -> bool {
    matches!(error, KeybagError::Crypto(CryptoError::Stopped))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use zeroize::Zeroizing;

    use super::*;
    use crate::crypto;
    use crate::keybag::ClassKey;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    fn bag(password: &str, rounds: u32) -> Keybag {
        let mut bag = Keybag {
            salt: vec![1; 20],
            rounds: 1,
            first_rounds: Some(rounds),
            first_salt: Some(vec![2; 20]),
            ..Keybag::default()
        };
        let key = bag.derivation().unwrap().derive(password.as_bytes()).unwrap();
        bag.classes.push(ClassKey {
            class: 3,
            wrap: 2,
            wrapped: Some(crypto::wrap(&key, &Zeroizing::new([3; 32])).to_vec()),
            ..ClassKey::default()
        });
        bag
    }

    fn remembered(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("candidate {at}")).collect()
    }

    #[test]
    fn the_right_one_is_found_wherever_it_stands() {
        for at in [0, 1, 8, 19] {
            let bag = bag(&format!("candidate {at}"), 1000);
            for cores in [NonZeroUsize::MIN, TWO, NonZeroUsize::new(64).unwrap()] {
                let found = find(&bag, &remembered(20), cores, &|_| true).unwrap().unwrap();
                assert_eq!((found.at, found.keys.class(3).map(|key| **key)), (at, Some([3; 32])));
            }
        }
    }

    #[test]
    fn where_none_is_right_every_round_is_told() {
        let bag = bag("another", 40_000);
        let told = AtomicU64::new(0);
        let watch = |more: u32| {
            told.fetch_add(more.into(), Ordering::Relaxed);
            true
        };
        assert!(find(&bag, &remembered(5), TWO, &watch).unwrap().is_none());
        assert_eq!(told.into_inner(), rounds(&bag, 5));
        assert!(find(&bag, &remembered(0), TWO, &|_| true).unwrap().is_none());
    }

    #[test]
    fn who_watches_ends_it_and_a_bag_without_salt_is_told() {
        // As many rounds as are allowed: nobody waits for their end.
        let endless = Keybag { first_rounds: Some(crypto::MOST_ROUNDS), ..bag("another", 1) };
        let stopped = find(&endless, &remembered(5), TWO, &|_| false);
        assert!(was_stopped(&stopped.unwrap_err()));
        let error = find(&Keybag::default(), &remembered(1), TWO, &|_| true).unwrap_err();
        assert_eq!(error, KeybagError::Missing("SALT"));
        assert!(!was_stopped(&error));
    }
}
