//! The log of the device, as it is written (`docs/protocol.md` 10.6).

use std::time::Duration;

use lifeboat_wire::lockdown::service;
use lifeboat_wire::os_trace::{self, Decoder};
use lifeboat_wire::{plist_frame, plist_guard};
use plist::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::error::LinkError;
use crate::link::Link;

pub use lifeboat_wire::os_trace::{Entry, Level};

/// How much is read at once.
const READ: usize = 64 << 10;

/// Listens to the log for `limit`; `heard` gets each entry, and says whether it wants more.
///
/// The end of the time is the ordinary end. A device that ends the log by itself is an error; what was heard stays heard.
pub async fn listen(
    link: &Link,
    limit: Duration,
    heard: impl FnMut(Entry) -> bool + Send,
) -> Result<(), LinkError> {
    let deadline = Instant::now() + limit;
    let started = tokio::time::timeout_at(deadline, link.start_service(service::OS_TRACE_RELAY));
    let stream = started.await.map_err(|_| LinkError::Timeout {
        doing: "starting the log service",
        seconds: limit.as_secs(),
    })??;
    follow(stream, deadline, heard).await
}

async fn follow(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    deadline: Instant,
    mut heard: impl FnMut(Entry) -> bool + Send,
) -> Result<(), LinkError> {
    let request = plist_guard::to_binary(&Value::Dictionary(os_trace::start()));
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; READ];
    let work = async {
        stream.write_all(&plist_frame::encode(&request)).await.map_err(LinkError::Lost)?;
        stream.flush().await.map_err(LinkError::Lost)?;
        loop {
            while let Some(entry) =
                decoder.next().map_err(|error| LinkError::Malformed(error.to_string()))?
            {
                if !heard(entry) {
                    return Ok(());
                }
            }
            let read = stream.read(&mut buffer).await.map_err(LinkError::Lost)?;
            if read == 0 {
                return Err(LinkError::Lost(std::io::ErrorKind::UnexpectedEof.into()));
            }
            decoder.push(buffer.get(..read).unwrap_or_default());
        }
    };
    match tokio::time::timeout_at(deadline, work).await {
        Ok(ended) => ended,
        Err(_) if decoder.is_granted() => Ok(()),
        Err(_) => {
            Err(LinkError::Timeout { doing: "waiting for the log of the device", seconds: 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str) -> Entry {
        Entry {
            pid: 1,
            seconds: 2,
            microseconds: 3,
            ticks: 0,
            level: Level::Notice,
            process: "/usr/libexec/backupd".into(),
            image: String::new(),
            message: message.into(),
            subsystem: String::new(),
            category: String::new(),
        }
    }

    fn deadline(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_heard_until_the_time_is_over() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(&os_trace::answer(true)).await.unwrap();
        theirs.write_all(&entry("one").encode()).await.unwrap();
        theirs.write_all(&entry("two\x1b[2J").encode()).await.unwrap();
        let mut lines = Vec::new();
        let heard = |entry: Entry| {
            lines.push(entry.message);
            true
        };
        follow(ours, deadline(500), heard).await.unwrap();
        assert_eq!(lines, ["one", "two\x1b[2J"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_never_answers_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(1 << 16);
        let ended = follow(ours, deadline(500), |_| true).await;
        assert!(matches!(ended, Err(LinkError::Timeout { .. })));
    }

    #[tokio::test]
    async fn whoever_has_heard_enough_stops() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(&os_trace::answer(true)).await.unwrap();
        theirs.write_all(&entry("one").encode()).await.unwrap();
        follow(ours, deadline(60_000), |_| false).await.unwrap();
    }
}
