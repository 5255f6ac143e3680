use bytes::Buf as _;
use plist::{Dictionary, Value};

use super::{MuxError, Packet, VERSION_BINARY, dictionary, message, number, text};

/// What a client asks of a mux.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Who is there.
    ListDevices,
    /// Tell me of devices that come and go.
    Listen,
    /// Which clients listen.
    ListListeners,
    /// Make this stream one to a port of a device.
    Connect {
        /// The mux's handle of the device.
        device_id: u32,
        /// The port, in the host's order.
        port: u16,
    },
    /// The identifier of this computer.
    ReadBuid,
    /// The pairing record of a device.
    ReadPairRecord {
        /// The device's UDID.
        id: String,
    },
    /// Keep the pairing record of a device.
    SavePairRecord {
        /// The device's UDID.
        id: String,
        /// The record, an encoded property list.
        data: Vec<u8>,
        /// The attached device it belongs to.
        device_id: Option<u32>,
    },
    /// Forget the pairing record of a device.
    DeletePairRecord {
        /// The device's UDID.
        id: String,
    },
    /// A request that is not known; the answer is [`super::ResultCode::BadCommand`].
    Unknown {
        /// Its `MessageType`.
        name: String,
    },
}

impl Request {
    /// Reads a request from a packet of either version.
    pub fn from_packet(packet: &Packet) -> Result<Self, MuxError> {
        if packet.version != VERSION_BINARY {
            return Self::from_plist(&packet.value()?);
        }
        let mut payload = packet.payload.as_slice();
        match packet.message {
            message::LISTEN => Ok(Self::Listen),
            message::CONNECT => Ok(Self::Connect {
                device_id: payload.try_get_u32_le().map_err(|_| MuxError::Short)?,
                port: payload.try_get_u16().map_err(|_| MuxError::Short)?,
            }),
            other => Err(MuxError::Unexpected(other)),
        }
    }

    /// Reads a request from a property list.
    pub fn from_plist(value: &Value) -> Result<Self, MuxError> {
        let keys = dictionary(value)?;
        let id = || text(keys, "PairRecordID").map(str::to_owned);
        Ok(match text(keys, "MessageType")? {
            "ListDevices" => Self::ListDevices,
            "Listen" => Self::Listen,
            "ListListeners" => Self::ListListeners,
            "ReadBUID" => Self::ReadBuid,
            "ReadPairRecord" => Self::ReadPairRecord { id: id()? },
            "DeletePairRecord" => Self::DeletePairRecord { id: id()? },
            "SavePairRecord" => Self::SavePairRecord {
                id: id()?,
                data: keys
                    .get("PairRecordData")
                    .and_then(Value::as_data)
                    .ok_or(MuxError::Key("PairRecordData"))?
                    .to_vec(),
                device_id: number(keys, "DeviceID").ok(),
            },
            "Connect" => Self::Connect {
                device_id: number(keys, "DeviceID")?,
                port: u16::try_from(number(keys, "PortNumber")?)
                    .map_err(|_| MuxError::Key("PortNumber"))?
                    .swap_bytes(),
            },
            name => Self::Unknown { name: name.to_owned() },
        })
    }

    /// Makes the property list of this request; a client adds `ProgName` and its like.
    pub fn to_plist(&self) -> Value {
        let mut keys = Dictionary::new();
        keys.insert("MessageType".into(), self.name().into());
        match self {
            Self::Connect { device_id, port } => {
                keys.insert("DeviceID".into(), (*device_id).into());
                keys.insert("PortNumber".into(), port.swap_bytes().into());
            }
            Self::ReadPairRecord { id } | Self::DeletePairRecord { id } => {
                keys.insert("PairRecordID".into(), id.as_str().into());
            }
            Self::SavePairRecord { id, data, device_id } => {
                keys.insert("PairRecordID".into(), id.as_str().into());
                keys.insert("PairRecordData".into(), Value::Data(data.clone()));
                if let Some(device_id) = device_id {
                    keys.insert("DeviceID".into(), (*device_id).into());
                }
            }
            _ => {}
        }
        Value::Dictionary(keys)
    }

    /// Returns the `MessageType`.
    pub fn name(&self) -> &str {
        match self {
            Self::ListDevices => "ListDevices",
            Self::Listen => "Listen",
            Self::ListListeners => "ListListeners",
            Self::Connect { .. } => "Connect",
            Self::ReadBuid => "ReadBUID",
            Self::ReadPairRecord { .. } => "ReadPairRecord",
            Self::SavePairRecord { .. } => "SavePairRecord",
            Self::DeletePairRecord { .. } => "DeletePairRecord",
            Self::Unknown { name } => name,
        }
    }
}
