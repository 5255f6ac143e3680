//! What a look at the machine may meet, and how a look that hangs is left behind.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Why a look at the machine told nothing.
#[derive(Debug, Error)]
pub enum LookError {
    /// This user may not look there.
    #[error("this user may not read {what}")]
    Denied {
        /// What was to be read.
        what: String,
    },
    /// This machine has no such thing.
    #[error("this computer has no {what}")]
    NotThere {
        /// What was looked for.
        what: String,
    },
    /// This program cannot look on this operating system.
    #[error("this program cannot tell {what} on this operating system")]
    Unsupported {
        /// What was to be told.
        what: &'static str,
    },
    /// The look took too long.
    #[error("no answer within {seconds} s from {what}")]
    TimedOut {
        /// What was asked.
        what: String,
        /// The limit in seconds.
        seconds: u64,
    },
    /// This machine is described without a network: there is nothing to look at.
    #[error("this computer is described without a network")]
    Offline,
    /// What was read makes no sense.
    #[error("{what} makes no sense")]
    Malformed {
        /// What was read.
        what: String,
    },
    /// The system refused otherwise.
    #[error("{what} cannot be read")]
    Failed {
        /// What was to be read.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl LookError {
    /// Returns the error for what the system said about `what`.
    pub fn from_io(what: &str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied { what: what.to_owned() },
            io::ErrorKind::NotFound => Self::NotThere { what: what.to_owned() },
            io::ErrorKind::Unsupported => Self::Unsupported { what: "it" },
            _ => Self::Failed { what: what.to_owned(), source },
        }
    }
}

/// Does something that may hang (a dead network share, a resolver) on a thread of its own; nothing after `limit`.
///
/// A thread that hangs is left behind: it keeps neither the run nor the end of the program waiting.
pub async fn apart<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("look".to_owned());
    // Nobody waits for the thread: whoever is no longer there to listen does not matter.
    let started = thread.spawn(move || drop(sender.send(work())));
    if started.is_err() {
        return None;
    }
    tokio::time::timeout(limit, receiver).await.ok().and_then(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_hangs_is_left_behind() {
        assert_eq!(apart(Duration::from_secs(30), || 7).await, Some(7));
        let (keep, wait) = std::sync::mpsc::channel::<()>();
        let hung = apart(Duration::from_millis(10), move || wait.recv().is_ok()).await;
        assert_eq!(hung, None);
        drop(keep);
    }

    #[test]
    fn errors_of_the_system_are_told_apart() {
        let denied = LookError::from_io("the log", io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.to_string(), "this user may not read the log");
        let absent = LookError::from_io("the log", io::ErrorKind::NotFound.into());
        assert!(matches!(absent, LookError::NotThere { .. }));
    }
}
