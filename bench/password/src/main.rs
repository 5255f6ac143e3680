//! Prints one JSON line: how long twenty million compressions of SHA-256 take, each on the result of the one before it, how long one
//! password takes with us and with the library that everybody has, and how long several take on one core and on two.
//!
//! `password-speed [CANDIDATES [TIMES]]`; build with `--release`. Every number is the best of `TIMES` (3): what disturbs a run makes
//! it slower, never faster.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use lifeboat_mobilesync::crypto::Derivation;
use lifeboat_mobilesync::keybag::Keybag;
use lifeboat_mobilesync::trial;
use sha2::Sha256;
use sha2::block_api::compress256;

/// Rounds of the long pass on every device since iOS 10.2.
const ROUNDS: u32 = 10_000_000;
/// Of the short pass.
const SHORT: u32 = 10_000;
const CORES: [NonZeroUsize; 2] = [NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap()];

/// A bag that nothing opens.
fn bag() -> Keybag {
    Keybag {
        salt: vec![1; 20],
        rounds: SHORT,
        first_rounds: Some(ROUNDS),
        first_salt: Some(vec![2; 20]),
        ..Keybag::default()
    }
}

fn best(times: u32, mut work: impl FnMut()) -> f64 {
    let once = |()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..times).map(|_| ()).map(once).fold(f64::INFINITY, f64::min)
}

/// As many compressions as one password takes, without anything around them.
fn bare() {
    let (mut state, block) = ([0x6a09_e667_u32; 8], [[7_u8; 64]]);
    for _ in 0..2 * ROUNDS {
        compress256(&mut state, std::hint::black_box(&block));
    }
    std::hint::black_box(state);
}

fn ours(derivation: &Derivation) {
    let key = derivation.derive(b"one that somebody remembers");
    std::hint::black_box(key).expect("rounds that are allowed");
}

fn library() {
    let mut key = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(b"one that somebody remembers", &[2; 20], ROUNDS, &mut key);
    std::hint::black_box(key);
}

#[expect(clippy::print_stdout, reason = "the result of a program")]
fn main() -> ExitCode {
    let argument = |at| std::env::args().nth(at).and_then(|text: String| text.parse().ok());
    let (candidates, times) = (argument(1).unwrap_or(4), argument(2).unwrap_or(3));
    let bag = bag();
    let derivation = bag.derivation().expect("a bag with salt");
    let bare = best(times, bare);
    let one = best(times, || ours(&derivation));
    let library = best(1, library);
    let remembered: Vec<String> = (0..candidates).map(|at| format!("candidate {at}")).collect();
    let [single, double] = CORES.map(|cores| {
        best(times, || {
            let found = trial::find(&bag, &remembered, cores, &|_| true);
            assert!(matches!(found, Ok(None)), "nothing opens this bag");
        })
    });
    println!(
        r#"{{"bare_s": {bare:.3}, "candidate_s": {one:.3}, "candidate_to_bare": {:.3}, "pbkdf2_crate_s": {library:.3}, "pbkdf2_crate_to_bare": {:.3}, "candidates": {candidates}, "one_core_s": {single:.3}, "two_cores_s": {double:.3}, "gain": {:.3}}}"#,
        one / bare,
        library / bare,
        single / double,
    );
    ExitCode::SUCCESS
}
