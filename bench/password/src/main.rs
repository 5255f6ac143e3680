//! Prints one JSON line: how long twenty million compressions of SHA-256 take, each on the result of the one before it, how long one
//! password takes with us and with the library that everybody has, and how long several take on one core and on two.
//!
//! `password-speed [CANDIDATES [TIMES]]`; build with `--release`. What disturbs a run makes it slower, never faster: `bare_s`,
//! `candidate_s` and `of_two_s` (each of two that one core tries at a time, as every trial does) are made of slices of a millisecond or two, of which the tenth of a hundred counts; the others are the best of `TIMES`
//! (3), and want a machine that does nothing else.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
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

/// Rounds between two looks at the clock: a millisecond or two, so that most of the slices are not disturbed by other programs.
const SLICE: u32 = 16_384;

/// As many compressions as one password takes, without anything around them, each upon the one before. Returns the length of each
/// slice.
fn bare() -> Vec<f64> {
    let (mut state, block) = ([0x6a09_e667_u32; 8], [[7_u8; 64]]);
    let slice = |_| {
        let start = Instant::now();
        for _ in 0..2 * SLICE {
            compress256(&mut state, std::hint::black_box(&block));
        }
        start.elapsed().as_secs_f64()
    };
    let slices = (0..ROUNDS / SLICE).map(slice).collect();
    std::hint::black_box(state);
    slices
}

/// One password. Returns the length of each slice.
fn ours(derivation: &Derivation) -> Vec<f64> {
    let (mut slices, mut since) = (Vec::new(), Instant::now());
    let key = derivation.derive_watched(b"one that somebody remembers", &mut |more| {
        if more == SLICE {
            slices.push(since.elapsed().as_secs_f64());
        }
        since = Instant::now();
        true
    });
    std::hint::black_box(key).expect("rounds that are allowed");
    slices
}

/// Two passwords on one core, as a trial does it. Returns the length of each slice, for one of them.
fn two(bag: &Keybag) -> Vec<f64> {
    let (slices, since) = (Mutex::new(Vec::new()), Mutex::new(Instant::now()));
    let found = trial::find(bag, &["one", "another"], CORES[0], &|more| {
        let mut since = since.lock().expect("one thread");
        if more == 2 * SLICE {
            slices.lock().expect("one thread").push(since.elapsed().as_secs_f64() / 2.0);
        }
        *since = Instant::now();
        true
    });
    assert!(matches!(found, Ok(None)), "nothing opens this bag");
    slices.into_inner().expect("one thread")
}

/// Returns what all slices together would have taken undisturbed: each as long as the tenth of a hundred.
fn undisturbed(mut slices: Vec<f64>) -> f64 {
    slices.sort_by(f64::total_cmp);
    let slice = slices.get(slices.len() / 10).copied().unwrap_or(f64::NAN);
    slice * f64::from(ROUNDS) / f64::from(SLICE)
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
    let all = |work: &dyn Fn() -> Vec<f64>| undisturbed((0..times).flat_map(|_| work()).collect());
    let (bare, one) = (all(&bare), all(&|| ours(&derivation)));
    let of_two = all(&|| two(&bag));
    let library = best(1, library);
    let remembered: Vec<String> = (0..candidates).map(|at| format!("candidate {at}")).collect();
    let [single, double] = CORES.map(|cores| {
        best(times, || {
            let found = trial::find(&bag, &remembered, cores, &|_| true);
            assert!(matches!(found, Ok(None)), "nothing opens this bag");
        })
    });
    println!(
        r#"{{"bare_s": {bare:.3}, "candidate_s": {one:.3}, "candidate_to_bare": {:.3}, "of_two_s": {of_two:.3}, "of_two_to_bare": {:.3}, "pbkdf2_crate_s": {library:.3}, "pbkdf2_crate_to_bare": {:.3}, "candidates": {candidates}, "one_core_s": {single:.3}, "two_cores_s": {double:.3}, "gain": {:.3}}}"#,
        one / bare,
        of_two / bare,
        library / bare,
        single / double,
    );
    ExitCode::SUCCESS
}
