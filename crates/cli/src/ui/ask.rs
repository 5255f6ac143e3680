//! What a person types, a line at a time. Waiting for it does not keep the program from being stopped.

use std::io::{self, BufRead as _};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What came of waiting for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// The line, without the blanks around it.
    Line(String),
    /// There will be none: the end of the input.
    End,
    /// The person, or the system, stopped the program meanwhile.
    Stopped,
}

/// Waits for a line on standard input.
///
/// # Errors
///
/// Where standard input cannot be read.
pub(crate) async fn line(cancel: &CancellationToken) -> io::Result<Typed> {
    let (tell, told) = oneshot::channel();
    // A read from a terminal cannot be called off: where nobody waits for it any more its thread is left behind.
    std::thread::Builder::new().name("typing".to_owned()).spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        // Nobody listens where the program was stopped.
        let _told = tell.send(read.map(|bytes| (bytes > 0).then(|| line.trim().to_owned())));
    })?;
    tokio::select! {
        biased;
        () = cancel.cancelled() => Ok(Typed::Stopped),
        read = told => match read {
            Ok(Ok(Some(line))) => Ok(Typed::Line(line)),
            Ok(Ok(None)) | Err(_) => Ok(Typed::End),
            Ok(Err(error)) => Err(error),
        },
    }
}
