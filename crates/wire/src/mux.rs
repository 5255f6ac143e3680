//! usbmuxd: packets, requests, answers and events, both directions.
//!
//! A packet is a header of four little-endian `u32` (length with header, version, message, tag) and a payload: an XML
//! property list (version 1) or a few binary fields (version 0).

use bytes::{Buf as _, BytesMut};
use plist::{Dictionary, Value};
use thiserror::Error;

use crate::decoder::Framing;
use crate::plist_guard::{self, Limits, PlistError};

mod address;
mod answer;
mod request;

pub use address::NetworkAddress;
pub use answer::{Answer, Connection, DeviceProperties, Event, Listener, ResultCode};
pub use request::Request;

/// The port of lockdownd, which a mux client connects to first.
pub const LOCKDOWN_PORT: u16 = crate::lockdown::PORT;

/// Length of a packet's header.
pub const HEADER_LENGTH: usize = 16;

/// Length limit that takes every real packet (a pairing record is about 10 KiB).
pub const PACKET_LIMIT: usize = 1 << 20;

/// Version of packets with binary payloads.
pub const VERSION_BINARY: u32 = 0;
/// Version of packets with property lists.
pub const VERSION_PLIST: u32 = 1;

/// Numbers of messages in a header.
pub mod message {
    /// Outcome of a command.
    pub const RESULT: u32 = 1;
    /// Open a stream to a device.
    pub const CONNECT: u32 = 2;
    /// Ask for events.
    pub const LISTEN: u32 = 3;
    /// A device came.
    pub const DEVICE_ADD: u32 = 4;
    /// A device went.
    pub const DEVICE_REMOVE: u32 = 5;
    /// A device was paired.
    pub const DEVICE_PAIRED: u32 = 6;
    /// A property list.
    pub const PLIST: u32 = 8;
}

/// Why bytes are no packet, or a packet no message.
#[derive(Debug, Error)]
pub enum MuxError {
    /// The header announces less than itself or more than allowed.
    #[error("packet of {announced} bytes, allowed are 16 to {limit}")]
    Length {
        /// What the header says.
        announced: u32,
        /// The limit.
        limit: usize,
    },
    /// The payload is no acceptable property list.
    #[error("payload is not a property list")]
    Plist(#[from] PlistError),
    /// A key is absent or of the wrong type.
    #[error("message without a usable {0}")]
    Key(&'static str),
    /// The payload of a binary packet is too short.
    #[error("binary payload too short")]
    Short,
    /// The packet holds another kind of message.
    #[error("unexpected message {0}")]
    Unexpected(u32),
}

/// One packet, payload undecoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// [`VERSION_BINARY`] or [`VERSION_PLIST`]; others must be answered with [`ResultCode::BadVersion`].
    pub version: u32,
    /// A number of [`message`].
    pub message: u32,
    /// Chosen by the client, echoed in the answer; 0 in events.
    pub tag: u32,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Makes a packet that holds an XML property list.
    pub fn plist(tag: u32, value: &Value) -> Self {
        Self {
            version: VERSION_PLIST,
            message: message::PLIST,
            tag,
            payload: plist_guard::to_xml(value),
        }
    }

    /// Encodes header and payload.
    ///
    /// # Panics
    /// If the payload is 4 GiB or longer.
    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len() + HEADER_LENGTH)
            .expect("a packet is shorter than 4 GiB");
        let mut bytes = Vec::with_capacity(self.payload.len() + HEADER_LENGTH);
        for field in [length, self.version, self.message, self.tag] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Parses the payload as a property list.
    pub fn value(&self) -> Result<Value, MuxError> {
        Ok(plist_guard::parse(&self.payload, &Limits::MESSAGE)?)
    }
}

/// Cuts a byte stream into packets; the limit counts the header, too.
pub type Decoder = crate::decoder::Decoder<Packet>;

impl Framing for Packet {
    type Unit = Self;
    type Error = MuxError;

    fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Self>, MuxError> {
        let Some(header) = buffer.first_chunk::<HEADER_LENGTH>() else {
            return Ok(None);
        };
        let mut header: &[u8] = header;
        let announced = header.get_u32_le();
        let length = match usize::try_from(announced) {
            Ok(length) if (HEADER_LENGTH..=max).contains(&length) => length,
            _ => {
                return Err(MuxError::Length { announced, limit: max });
            }
        };
        if buffer.len() < length {
            return Ok(None);
        }
        let (version, message, tag) =
            (header.get_u32_le(), header.get_u32_le(), header.get_u32_le());
        let packet = buffer.split_to(length);
        Ok(Some(Self {
            version,
            message,
            tag,
            payload: packet.get(HEADER_LENGTH..).unwrap_or_default().to_vec(),
        }))
    }
}

fn dictionary(value: &Value) -> Result<&Dictionary, MuxError> {
    value.as_dictionary().ok_or(MuxError::Key("dictionary"))
}

fn text<'a>(dictionary: &'a Dictionary, key: &'static str) -> Result<&'a str, MuxError> {
    dictionary.get(key).and_then(Value::as_string).ok_or(MuxError::Key(key))
}

fn number(dictionary: &Dictionary, key: &'static str) -> Result<u32, MuxError> {
    dictionary
        .get(key)
        .and_then(Value::as_unsigned_integer)
        .and_then(|number| u32::try_from(number).ok())
        .ok_or(MuxError::Key(key))
}

#[cfg(test)]
mod tests;
