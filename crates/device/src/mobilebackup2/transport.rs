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
    /// Of what was to be sent last some went out, but not all.
    cut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), cut: false }
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

    /// Sends bytes: all, or after an error or a dropped future nothing, unless [`Self::is_cut`] says that it was a part.
    pub(super) async fn write(&mut self, bytes: &[u8], limit: Duration) -> Result<(), BackupError> {
        let written = tokio::time::timeout(limit, async {
            let mut rest = bytes;
            while !rest.is_empty() {
                let taken = self.stream.write(rest).await?;
                if taken == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.cut = true;
                rest = rest.get(taken..).unwrap_or_default();
            }
            self.stream.flush().await
        });
        written
            .await
            .map_err(|_| LinkError::Timeout {
                doing: "sending to the device",
                seconds: limit.as_secs(),
            })?
            .map_err(LinkError::Lost)?;
        self.cut = false;
        Ok(())
    }

    /// Says whether the device stands inside what was to be sent last, so that nothing else can be said.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    pub(super) async fn shutdown(&mut self) -> Result<(), BackupError> {
        Ok(self.stream.shutdown().await.map_err(LinkError::Lost)?)
    }
}
