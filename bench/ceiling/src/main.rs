//! Backs one simulated iPhone up and throws the bytes away; prints one JSON line with what it took.
//!
//! `ceiling HOST:PORT`. This is the simulator's own ceiling in `bench/peers`: no client can be faster than a client
//! that keeps nothing.

mod discard;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat_device::mobilebackup2::{self, BackupRequest, Silent};
use lifeboat_device::mux::{Mux, MuxAddress};
use lifeboat_device::pairing;
use tokio_util::sync::CancellationToken;

use discard::Discard;

/// How long a person may take to tap Trust; the simulated one takes none.
const TRUST: Duration = Duration::from_mins(1);

type Failure = Box<dyn std::error::Error>;

#[expect(clippy::print_stdout, reason = "the result of a program")]
async fn run(address: SocketAddr) -> Result<(), Failure> {
    let mux = Mux::new(MuxAddress::Tcp(address));
    let device = mux.devices().await?.into_iter().next().ok_or("there is no device")?;
    let cancel = CancellationToken::new();
    let epoch = jiff::Timestamp::UNIX_EPOCH;
    let link = pairing::pair(&mux, &device, epoch, TRUST, &cancel, |_| {}).await?;
    let start = Instant::now();
    let files = Box::new(Discard::default());
    let reply =
        mobilebackup2::backup(&link, BackupRequest::default(), files, Arc::new(Silent), cancel)
            .await?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        r#"{{"seconds": {seconds:.3}, "bytes_received": {}, "files_received": {}}}"#,
        reply.bytes_received, reply.files_received
    );
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the error of a program")]
fn main() -> ExitCode {
    let outcome = (|| -> Result<(), Failure> {
        let address = std::env::args().nth(1).ok_or("usage: ceiling HOST:PORT")?.parse()?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(address))
    })();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ceiling: {error}");
            ExitCode::FAILURE
        }
    }
}
