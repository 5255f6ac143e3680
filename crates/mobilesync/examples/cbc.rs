//! Prints how fast payloads are opened and encrypted again, beside the cipher library alone: bytes a second on one core.
//!
//! ```sh
//! cargo run --release --example cbc -p lifeboat-mobilesync
//! ```

use std::hint::black_box;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use aes::Aes256;
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use lifeboat_mobilesync::crypto::{Decrypt, Encrypt, Key};

/// Bytes that are worked on in one try.
const LENGTH: usize = 8 << 20;

/// What a caller reads at once.
const STEP: usize = 128 << 10;

/// The best of so many tries counts, the library's and ours by turns: a machine has other things to do.
const TRIES: usize = 100;

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() -> io::Result<()> {
    let key = Key::new([7; 32]);
    let mut bytes = vec![0x5a; LENGTH];
    let mut best = [Duration::MAX; 4];
    for _ in 0..TRIES {
        let mut encryptor = cbc::Encryptor::<Aes256>::new(&Array::from(*key), &Array::default());
        let mut decryptor = cbc::Decryptor::<Aes256>::new(&Array::from(*key), &Array::default());
        let times = [
            timed(|| {
                for piece in bytes.chunks_mut(STEP) {
                    encryptor.encrypt_blocks(Array::slice_as_chunks_mut(piece).0);
                }
                Ok(())
            })?,
            timed(|| drain(Encrypt::new(&key, bytes.as_slice())))?,
            timed(|| {
                for piece in bytes.chunks_mut(STEP) {
                    decryptor.decrypt_blocks(Array::slice_as_chunks_mut(piece).0);
                }
                Ok(())
            })?,
            timed(|| drain(Decrypt::new(&key, bytes.as_slice())))?,
        ];
        for (best, time) in best.iter_mut().zip(times) {
            *best = time.min(*best);
        }
    }
    let [library_encrypts, encrypts, library_decrypts, decrypts] = best;
    println!("                 library        here   share");
    println!("encrypt     {}", line(library_encrypts, encrypts));
    println!("decrypt     {}", line(library_decrypts, decrypts));
    Ok(())
}

/// Reads to the end, as who compares or stores does.
fn drain(mut reader: impl Read) -> io::Result<()> {
    let mut buffer = vec![0; STEP];
    while reader.read(&mut buffer)? > 0 {
        black_box(&buffer);
    }
    Ok(())
}

fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
fn line(library: Duration, ours: Duration) -> String {
    let rate = |time: Duration| LENGTH as f64 / 1e6 / time.as_secs_f64();
    let share = library.as_secs_f64() / ours.as_secs_f64();
    format!("{:>7.0} MB/s  {:>7.0} MB/s    {share:.2}", rate(library), rate(ours))
}
