//! `notification_proxy`: hosts post, observe, and are told (docs/protocol.md, notification proxy).

use std::collections::BTreeSet;

use plist::Dictionary;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::error::RecvError;

use super::{keys, text};
use crate::channel::{ChannelError, PlistChannel};
use crate::phone::Phone;

/// Relays until the host says `Shutdown` or closes.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    channel: &mut PlistChannel<S>,
) -> Result<(), ChannelError> {
    let mut notices = phone.notices();
    let mut observed = BTreeSet::new();
    loop {
        tokio::select! {
            request = channel.receive() => {
                let Some(request) = request? else { return Ok(()) };
                if !obey(phone, &request, &mut observed) {
                    return channel.send(keys([("Command", "ProxyDeath".into())])).await;
                }
            }
            notice = notices.recv() => match notice {
                Ok(name) if observed.contains(&name) => {
                    let command = ("Command", "RelayNotification".into());
                    channel.send(keys([command, ("Name", name.into())])).await?;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

/// Does what a host asks; false when it wants to end.
fn obey(phone: &Phone, request: &Dictionary, observed: &mut BTreeSet<String>) -> bool {
    let name = text(request, "Name");
    match (text(request, "Command"), name) {
        (Some("ObserveNotification"), Some(name)) => drop(observed.insert(name.to_owned())),
        (Some("PostNotification"), Some(name)) => phone.notify(name),
        (Some("Shutdown"), _) => return false,
        (command, _) => tracing::debug!(command, "unknown command for notification_proxy"),
    }
    true
}
