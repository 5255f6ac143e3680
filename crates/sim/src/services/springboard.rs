//! springboardservices: icons (docs/protocol.md, installation proxy).

use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{keys, text};
use crate::channel::{ChannelError, PlistChannel};
use crate::phone::Phone;

/// Answers until the host closes.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    channel: &mut PlistChannel<S>,
) -> Result<(), ChannelError> {
    while let Some(request) = channel.receive().await? {
        match text(&request, "command") {
            // The only answer that is not a dictionary.
            Some("getIconState") => channel.send_array(icons(phone)).await?,
            command => channel.send(answer(phone, command, &request)).await?,
        }
    }
    Ok(())
}

fn answer(phone: &Phone, command: Option<&str>, request: &Dictionary) -> Dictionary {
    match command {
        Some("getIconPNGData") => {
            let bundle = text(request, "bundleId").unwrap_or_default();
            let app = phone.disk().apps().into_iter().find(|app| app.bundle_id == bundle);
            match app {
                Some(app) => keys([("pngData", Value::Data(app.icon))]),
                None => keys([("Error", "NoSuchApplication".into())]),
            }
        }
        Some("getInterfaceOrientation") => keys([("interfaceOrientation", Value::from(1))]),
        _ => keys([("Error", "UnknownCommand".into())]),
    }
}

/// One page with every app, and an empty dock.
fn icons(phone: &Phone) -> Vec<Value> {
    let page = phone.disk().apps().into_iter().map(|app| {
        Value::Dictionary(keys([
            ("bundleIdentifier", app.bundle_id.as_str().into()),
            ("displayIdentifier", app.bundle_id.as_str().into()),
            ("displayName", app.name.as_str().into()),
        ]))
    });
    vec![Value::Array(Vec::new()), Value::Array(page.collect())]
}
