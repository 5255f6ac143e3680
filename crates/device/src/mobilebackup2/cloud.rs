//! Switches iCloud Backup on or off: one request to the backup service, without files (`docs/protocol.md` 5.2).

use std::time::Duration;

use lifeboat_wire::devicelink::{HostMessage, PhoneMessage, VersionAnswer};
use lifeboat_wire::lockdown::service;
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::session::{DEVICELINK, MOBILEBACKUP2, OLDEST_DEVICELINK, outcome};
use super::transport::Transport;
use super::{BackupError, ProtocolError};
use crate::link::Link;

/// For each message of the device.
const LIMIT: Duration = Duration::from_secs(30);

/// Switches iCloud Backup of the device on or off.
///
/// Management may forbid it (22), and without an account it fails (1). That iOS 17 and later still take the request is not
/// proved (`docs/real-device.md`): whoever asks reads the value again.
pub async fn switch_cloud_backup(link: &Link, on: bool) -> Result<(), BackupError> {
    let stream = link.start_service(service::MOBILEBACKUP2).await?;
    ask(stream, &link.device().udid, on).await
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    udid: &str,
    on: bool,
) -> Result<(), BackupError> {
    let mut talk = Talk { transport: Transport::new(stream) };
    talk.greet().await?;
    let answered = talk.request(udid, on).await;
    let farewell = HostMessage::Disconnect { reason: None };
    // The answer is there: a device that does not hear the farewell changes nothing.
    let _parted = talk.transport.send(&farewell, LIMIT).await;
    let _closed = talk.transport.shutdown().await;
    answered
}

struct Talk<S> {
    transport: Transport<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn greet(&mut self) -> Result<(), BackupError> {
        let major = match self.next().await? {
            PhoneMessage::VersionExchange { major, .. } => major,
            other => return Err(unexpected(&other)),
        };
        if major < OLDEST_DEVICELINK {
            let offered = major.to_string();
            return Err(BackupError::NoCommonVersion { protocol: "DeviceLink", offered });
        }
        let answer = VersionAnswer::Ok;
        self.send(&HostMessage::VersionExchange { answer, version: Some(DEVICELINK) }).await?;
        match self.next().await? {
            PhoneMessage::DeviceReady => {}
            other => return Err(unexpected(&other)),
        }
        let versions = MOBILEBACKUP2.map(Value::Real).to_vec();
        let hello = Dictionary::from_iter([
            ("MessageName", Value::from("Hello")),
            ("SupportedProtocolVersions", Value::Array(versions)),
        ]);
        self.send(&HostMessage::ProcessMessage(hello)).await?;
        self.response().await
    }

    async fn request(&mut self, udid: &str, on: bool) -> Result<(), BackupError> {
        let options = Dictionary::from_iter([("CloudBackupState", Value::from(on))]);
        // One client sends it in both places, others only at the top: a device that reads either finds it.
        let request = Dictionary::from_iter([
            ("MessageName", Value::from("EnableCloudBackup")),
            ("TargetIdentifier", Value::from(udid)),
            ("CloudBackupState", Value::from(on)),
            ("Options", Value::Dictionary(options)),
        ]);
        self.send(&HostMessage::ProcessMessage(request)).await?;
        self.response().await
    }

    async fn response(&mut self) -> Result<(), BackupError> {
        match self.next().await? {
            PhoneMessage::ProcessMessage(response) => outcome(&response),
            other => Err(unexpected(&other)),
        }
    }

    async fn send(&mut self, message: &HostMessage) -> Result<(), BackupError> {
        self.transport.send(message, LIMIT).await
    }

    async fn next(&mut self) -> Result<PhoneMessage, BackupError> {
        loop {
            match self.transport.message()? {
                Some(PhoneMessage::Ping) => {}
                Some(message) => return Ok(message),
                None => self.transport.fill(LIMIT).await?,
            }
        }
    }
}

fn unexpected(message: &PhoneMessage) -> BackupError {
    ProtocolError::Unexpected(message.name().chars().take(100).collect()).into()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use lifeboat_wire::plist_frame;
    use lifeboat_wire::plist_guard::Limits;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// The device's side: greets, and answers the request with a code. Returns the request.
    async fn device(mut stream: DuplexStream, code: i64) -> Dictionary {
        let mut buffer = BytesMut::new();
        let response = |code: i64| {
            PhoneMessage::ProcessMessage(Dictionary::from_iter([
                ("MessageName", Value::from("Response")),
                ("ErrorCode", Value::from(code)),
                ("ErrorDescription", Value::from("said so")),
            ]))
        };
        // What the device says before it listens again: it hears versions, greeting, request, farewell.
        let turns = [
            vec![PhoneMessage::VersionExchange { major: 300, minor: 0 }],
            vec![PhoneMessage::DeviceReady],
            vec![response(0)],
            vec![PhoneMessage::Ping, response(code)],
        ];
        let mut request = Dictionary::new();
        for messages in turns {
            for message in messages {
                let unit = plist_frame::encode(&message.encode());
                stream.write_all(&unit).await.unwrap();
            }
            let heard = loop {
                match plist_frame::take(&mut buffer, 1 << 20).unwrap() {
                    Some(unit) => break HostMessage::decode(&unit, &Limits::MESSAGE).unwrap(),
                    None => assert_ne!(stream.read_buf(&mut buffer).await.unwrap(), 0),
                }
            };
            if let HostMessage::ProcessMessage(keys) = heard {
                request = keys;
            }
        }
        request
    }

    #[tokio::test]
    async fn the_switch_is_asked_for_and_the_answer_is_told() {
        for (code, works) in [(0, true), (22, false)] {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let (asked, request) = tokio::join!(ask(ours, "UDID", true), device(theirs, code));
            assert_eq!(asked.is_ok(), works);
            assert_eq!(request.get("CloudBackupState").and_then(Value::as_boolean), Some(true));
            if let Err(error) = asked {
                assert!(matches!(error, BackupError::Device(error) if error.code == 22));
            }
        }
    }

    #[tokio::test]
    async fn a_device_that_hangs_up_is_an_error() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        drop(theirs);
        assert!(matches!(ask(ours, "UDID", true).await, Err(BackupError::Link(_))));
    }
}
