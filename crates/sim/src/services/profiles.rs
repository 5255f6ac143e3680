//! `MCInstall`: configuration profiles and supervision; this phone has neither (docs/protocol.md,
//! `MCInstall`).

use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{keys, text};
use crate::channel::{ChannelError, PlistChannel};

/// Answers until the host closes.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    channel: &mut PlistChannel<S>,
) -> Result<(), ChannelError> {
    while let Some(request) = channel.receive().await? {
        channel.send(answer(&request)).await?;
    }
    Ok(())
}

fn answer(request: &Dictionary) -> Dictionary {
    let status = ("Status", "Acknowledged".into());
    let empty = || Value::Dictionary(Dictionary::new());
    match text(request, "RequestType") {
        Some("GetProfileList") => keys([
            status,
            ("OrderedIdentifiers", Value::Array(Vec::new())),
            ("ProfileManifest", empty()),
            ("ProfileMetadata", empty()),
        ]),
        Some("GetCloudConfiguration") => keys([status, ("CloudConfiguration", empty())]),
        Some("HelloHostIdentifier" | "Flush") => keys([status]),
        _ => keys([
            ("Status", "Error".into()),
            (
                "ErrorChain",
                Value::Array(vec![Value::Dictionary(keys([
                    ("ErrorCode", Value::from(4001)),
                    ("ErrorDomain", "MCInstallationErrorDomain".into()),
                    ("LocalizedDescription", "The request is not known.".into()),
                ]))]),
            ),
        ]),
    }
}
