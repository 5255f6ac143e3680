use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use lifeboat_wire::{
    devicelink::{HostMessage, MessageError, PhoneMessage},
    plist_frame,
    plist_guard::Limits,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{BackupError, ProtocolError};
use crate::error::LinkError;

/// How much is read before what arrived is looked at.
const READ: usize = 256 << 10;
/// Less room than this in the buffer is not worth a read.
const ROOM: usize = 64 << 10;

/// The stream with the reader's buffer: units out, units in.
pub(super) struct Transport<S> {
    stream: S,
    /// What arrived and was not taken. Both kinds of readers, of messages and of files, work on it.
    pub(super) buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Appends what arrives to the buffer: waits for some, then takes what is already there. Dropping the future loses
    /// nothing.
    pub(super) async fn fill(&mut self, limit: Duration) -> Result<(), BackupError> {
        if self.buffer.capacity() - self.buffer.len() < ROOM {
            self.buffer.reserve(READ);
        }
        let read = tokio::time::timeout(limit, self.stream.read_buf(&mut self.buffer)).await;
        let mut count = read
            .map_err(|_| LinkError::Timeout {
                doing: "waiting for the device",
                seconds: limit.as_secs(),
            })?
            .map_err(LinkError::Lost)?;
        if count == 0 {
            return Err(LinkError::Lost(io::ErrorKind::UnexpectedEof.into()).into());
        }
        while count > 0 && self.buffer.len() < self.buffer.capacity() {
            tokio::select! {
                biased;
                more = self.stream.read_buf(&mut self.buffer) => {
                    // An error shows again at the next call, after what arrived was used.
                    count = more.unwrap_or(0);
                }
                () = std::future::ready(()) => break,
            }
        }
        Ok(())
    }

    /// Takes one whole unit from the buffer, or nothing while bytes are missing.
    pub(super) fn unit(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        Ok(plist_frame::take(&mut self.buffer, plist_frame::MESSAGE_LIMIT)?)
    }

    /// Takes one message from the buffer, or nothing while bytes are missing.
    pub(super) fn message(&mut self) -> Result<Option<PhoneMessage>, ProtocolError> {
        let Some(unit) = self.unit()? else {
            return Ok(None);
        };
        let message: Result<_, MessageError> = PhoneMessage::decode(&unit, &Limits::MESSAGE);
        Ok(Some(message?))
    }

    pub(super) async fn send(
        &mut self,
        message: &HostMessage,
        limit: Duration,
    ) -> Result<(), BackupError> {
        let unit = plist_frame::encode(&message.encode());
        self.write(&unit, limit).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8], limit: Duration) -> Result<(), BackupError> {
        let written = tokio::time::timeout(limit, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        written
            .await
            .map_err(|_| LinkError::Timeout {
                doing: "sending to the device",
                seconds: limit.as_secs(),
            })?
            .map_err(LinkError::Lost)?;
        Ok(())
    }

    pub(super) async fn shutdown(&mut self) -> Result<(), BackupError> {
        Ok(self.stream.shutdown().await.map_err(LinkError::Lost)?)
    }
}
