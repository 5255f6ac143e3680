//! AFC, the file service: header, operations, errors, both directions.
//!
//! A packet is a magic word, four little-endian `u64` (whole length, length without trailing data, number,
//! operation) and a body. An answer carries the number of its request.

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

use crate::decoder::Framing;

mod message;

pub use message::{Answer, ErrorCode, LockOperation, OpenMode, Request};

/// First bytes of every packet.
pub const MAGIC: [u8; 8] = *b"CFA6LPAA";
/// Length of a header.
pub const HEADER_LENGTH: usize = 40;
/// Longest packet.
pub const PACKET_LIMIT: usize = 16 << 20;

/// Numbers of operations.
pub mod operation {
    /// Outcome.
    pub const STATUS: u64 = 0x01;
    /// Content of an answer.
    pub const DATA: u64 = 0x02;
    /// Names in a directory.
    pub const READ_DIRECTORY: u64 = 0x03;
    /// Remove a file or an empty directory.
    pub const REMOVE_PATH: u64 = 0x08;
    /// Make a directory.
    pub const MAKE_DIRECTORY: u64 = 0x09;
    /// Facts about a file.
    pub const FILE_INFO: u64 = 0x0a;
    /// Facts about the device.
    pub const DEVICE_INFO: u64 = 0x0b;
    /// Open a file.
    pub const OPEN: u64 = 0x0d;
    /// The handle of an opened file.
    pub const OPEN_RESULT: u64 = 0x0e;
    /// Read from a file.
    pub const READ: u64 = 0x0f;
    /// Write to a file.
    pub const WRITE: u64 = 0x10;
    /// Move the position.
    pub const SEEK: u64 = 0x11;
    /// Ask for the position.
    pub const TELL: u64 = 0x12;
    /// The position.
    pub const TELL_RESULT: u64 = 0x13;
    /// Close a file.
    pub const CLOSE: u64 = 0x14;
    /// Cut or extend a file.
    pub const SET_SIZE: u64 = 0x15;
    /// Rename.
    pub const RENAME: u64 = 0x18;
    /// Lock or unlock a file.
    pub const LOCK: u64 = 0x1b;
    /// Make a link.
    pub const MAKE_LINK: u64 = 0x1c;
    /// Set a file's time.
    pub const SET_MODIFIED: u64 = 0x1e;
    /// Remove a tree.
    pub const REMOVE_TREE: u64 = 0x22;
}

/// Bytes that are no packet, or a packet that is no message.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AfcError {
    /// The first eight bytes are others.
    #[error("packet does not begin with the magic word of AFC")]
    Magic,
    /// The lengths contradict each other or the limit.
    #[error("packet of {entire} bytes with {this} before its data, allowed are {limit}")]
    Length {
        /// The whole length.
        entire: u64,
        /// The length without trailing data.
        this: u64,
        /// The limit.
        limit: usize,
    },
    /// The body of an operation is too short.
    #[error("body of operation {0:#x} too short")]
    Short(u64),
    /// A path is not UTF-8 or not ended by a zero.
    #[error("path of operation {0:#x} unusable")]
    Path(u64),
}

/// One packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// Number of the request.
    pub number: u64,
    /// A number of [`operation`].
    pub operation: u64,
    /// The part before trailing data.
    pub fixed: Bytes,
    /// Trailing data, of writes.
    pub data: Bytes,
}

impl Packet {
    /// Encodes header and body.
    pub fn encode(&self) -> Vec<u8> {
        let wide = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let this = HEADER_LENGTH + self.fixed.len();
        let entire = this + self.data.len();
        let mut bytes = Vec::with_capacity(entire);
        bytes.extend_from_slice(&MAGIC);
        for field in [wide(entire), wide(this), self.number, self.operation] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&self.fixed);
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// Returns the body as one run of bytes, for answers whose senders disagree on where data begins.
    pub fn body(&self) -> Bytes {
        if self.data.is_empty() {
            return self.fixed.clone();
        }
        if self.fixed.is_empty() {
            return self.data.clone();
        }
        let mut body = BytesMut::with_capacity(self.fixed.len() + self.data.len());
        body.extend_from_slice(&self.fixed);
        body.extend_from_slice(&self.data);
        body.freeze()
    }
}

/// Cuts a byte stream into packets.
pub type Decoder = crate::decoder::Decoder<Packet>;

impl Framing for Packet {
    type Unit = Self;
    type Error = AfcError;

    fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Self>, AfcError> {
        let Some(header) = buffer.first_chunk::<HEADER_LENGTH>() else {
            return Ok(None);
        };
        let mut header: &[u8] = header;
        if !header.starts_with(&MAGIC) {
            return Err(AfcError::Magic);
        }
        header.advance(MAGIC.len());
        let (entire, this) = (header.get_u64_le(), header.get_u64_le());
        let (number, operation) = (header.get_u64_le(), header.get_u64_le());
        let wrong = AfcError::Length { entire, this, limit: max };
        let whole = usize::try_from(entire).map_err(|_| wrong)?;
        let fixed = usize::try_from(this).map_err(|_| wrong)?;
        if whole > max || fixed > whole || fixed < HEADER_LENGTH {
            return Err(wrong);
        }
        if buffer.len() < whole {
            return Ok(None);
        }
        let mut packet = buffer.split_to(whole).freeze();
        packet.advance(HEADER_LENGTH);
        let fixed = packet.split_to(fixed - HEADER_LENGTH);
        Ok(Some(Self { number, operation, fixed, data: packet }))
    }
}

#[cfg(test)]
mod tests;
