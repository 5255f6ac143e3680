//! heartbeat: Marco, Polo (docs/protocol.md, heartbeat).

use std::time::Duration;

use plist::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{keys, text};
use crate::channel::{ChannelError, PlistChannel};

/// Seconds from one call to the next.
const INTERVAL: u64 = 10;

/// Seconds an answer may be late before the phone gives the host up.
const GRACE: u64 = 5;

/// Calls until the host does not answer.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    channel: &mut PlistChannel<S>,
) -> Result<(), ChannelError> {
    let call = || {
        keys([
            ("Command", "Marco".into()),
            ("Interval", INTERVAL.into()),
            ("SupportsSleepyTime", Value::Boolean(true)),
        ])
    };
    loop {
        channel.send(call()).await?;
        let Ok(answer) = timeout(Duration::from_secs(INTERVAL + GRACE), channel.receive()).await
        else {
            return Ok(());
        };
        match answer? {
            Some(answer) if text(&answer, "Command") == Some("Polo") => {}
            _ => return Ok(()),
        }
        tokio::time::sleep(Duration::from_secs(INTERVAL)).await;
    }
}
