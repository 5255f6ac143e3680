use bytes::Buf as _;
use plist::{Dictionary, Value};

use super::{MuxError, NetworkAddress, Packet, VERSION_BINARY, dictionary, message, number, text};

/// Outcome of a command. Commands about pairing records use the same field for `errno` values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResultCode {
    /// Done.
    Ok,
    /// The command is not known or comes at the wrong time.
    BadCommand,
    /// There is no such device, or (for pairing records) no such record.
    BadDevice,
    /// Nothing listens on that port of the device.
    ConnectionRefused,
    /// There is no such service.
    NoService,
    /// The version of the packet is not spoken.
    BadVersion,
    /// Any other number.
    Other(u32),
}

impl ResultCode {
    /// `ENOENT`, the answer for a pairing record that does not exist.
    pub const NO_ENTRY: Self = Self::BadDevice;
    /// `EINVAL`, the answer for a pairing record that cannot be.
    pub const INVALID: Self = Self::Other(22);

    /// Returns the number on the wire.
    pub fn number(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::BadCommand => 1,
            Self::BadDevice => 2,
            Self::ConnectionRefused => 3,
            Self::NoService => 4,
            Self::BadVersion => 6,
            Self::Other(number) => number,
        }
    }
}

impl From<u32> for ResultCode {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::BadCommand,
            2 => Self::BadDevice,
            3 => Self::ConnectionRefused,
            4 => Self::NoService,
            6 => Self::BadVersion,
            other => Self::Other(other),
        }
    }
}

/// How a device is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Connection {
    /// By cable.
    Usb {
        /// Bits a second.
        speed: u64,
        /// Bus and address, packed.
        location: u32,
        /// The USB product, 0x12a8 for an iPhone.
        product: u32,
    },
    /// Over the network.
    Network {
        /// Where.
        address: Option<NetworkAddress>,
        /// Its Bonjour name.
        service_name: String,
        /// The interface.
        interface: u32,
    },
}

/// What a mux tells of a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceProperties {
    /// The mux's handle, new at every attach.
    pub device_id: u32,
    /// The UDID, with or without its dash.
    pub serial: String,
    /// How it is reached.
    pub connection: Connection,
}

impl DeviceProperties {
    /// Makes the `Attached` dictionary.
    pub fn to_plist(&self) -> Value {
        let mut properties = Dictionary::new();
        match &self.connection {
            Connection::Usb { speed, location, product } => {
                properties.insert("ConnectionType".into(), "USB".into());
                properties.insert("ConnectionSpeed".into(), (*speed).into());
                properties.insert("LocationID".into(), (*location).into());
                properties.insert("ProductID".into(), (*product).into());
            }
            Connection::Network { address, service_name, interface } => {
                properties.insert("ConnectionType".into(), "Network".into());
                properties.insert("EscapedFullServiceName".into(), service_name.as_str().into());
                properties.insert("InterfaceIndex".into(), (*interface).into());
                if let Some(address) = address {
                    properties.insert("NetworkAddress".into(), Value::Data(address.encode()));
                }
            }
        }
        properties.insert("DeviceID".into(), self.device_id.into());
        properties.insert("SerialNumber".into(), self.serial.as_str().into());
        let mut keys = Dictionary::new();
        keys.insert("MessageType".into(), "Attached".into());
        keys.insert("DeviceID".into(), self.device_id.into());
        keys.insert("Properties".into(), Value::Dictionary(properties));
        Value::Dictionary(keys)
    }

    /// Reads an `Attached` dictionary.
    pub fn from_plist(value: &Value) -> Result<Self, MuxError> {
        let keys = dictionary(value)?;
        let properties = keys
            .get("Properties")
            .and_then(Value::as_dictionary)
            .ok_or(MuxError::Key("Properties"))?;
        let or_zero = |key| number(properties, key).unwrap_or(0);
        let connection = if text(properties, "ConnectionType")? == "USB" {
            Connection::Usb {
                speed: properties
                    .get("ConnectionSpeed")
                    .and_then(Value::as_unsigned_integer)
                    .unwrap_or(0),
                location: or_zero("LocationID"),
                product: or_zero("ProductID"),
            }
        } else {
            Connection::Network {
                address: properties
                    .get("NetworkAddress")
                    .and_then(Value::as_data)
                    .and_then(NetworkAddress::decode),
                service_name: text(properties, "EscapedFullServiceName")
                    .unwrap_or_default()
                    .to_owned(),
                interface: or_zero("InterfaceIndex"),
            }
        };
        Ok(Self {
            device_id: number(keys, "DeviceID").or_else(|_| number(properties, "DeviceID"))?,
            serial: text(properties, "SerialNumber")?.to_owned(),
            connection,
        })
    }
}

/// What a listener is told; its packets carry tag 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A device came.
    Attached(DeviceProperties),
    /// A device went.
    Detached(u32),
    /// A device was paired.
    Paired(u32),
}

impl Event {
    /// Makes the property list of this event.
    pub fn to_plist(&self) -> Value {
        let (name, id) = match self {
            Self::Attached(properties) => return properties.to_plist(),
            Self::Detached(id) => ("Detached", *id),
            Self::Paired(id) => ("Paired", *id),
        };
        let mut keys = Dictionary::new();
        keys.insert("MessageType".into(), name.into());
        keys.insert("DeviceID".into(), id.into());
        Value::Dictionary(keys)
    }

    /// Reads an event from a property list.
    pub fn from_plist(value: &Value) -> Result<Self, MuxError> {
        let keys = dictionary(value)?;
        match text(keys, "MessageType")? {
            "Attached" => Ok(Self::Attached(DeviceProperties::from_plist(value)?)),
            "Detached" => Ok(Self::Detached(number(keys, "DeviceID")?)),
            "Paired" => Ok(Self::Paired(number(keys, "DeviceID")?)),
            _ => Err(MuxError::Key("MessageType")),
        }
    }

    /// Makes the packet for a client of version 0.
    pub fn to_binary(&self) -> Packet {
        let (message, payload) = match self {
            Self::Attached(device) => (message::DEVICE_ADD, binary_device(device)),
            Self::Detached(id) => (message::DEVICE_REMOVE, id.to_le_bytes().to_vec()),
            Self::Paired(id) => (message::DEVICE_PAIRED, id.to_le_bytes().to_vec()),
        };
        Packet { version: VERSION_BINARY, message, tag: 0, payload }
    }
}

/// Field of a binary `DeviceAdd` that holds the serial number, padded with zeros.
const SERIAL_LENGTH: usize = 256;

fn binary_device(device: &DeviceProperties) -> Vec<u8> {
    let (product, location) = match device.connection {
        Connection::Usb { product, location, .. } => {
            (u16::try_from(product).unwrap_or(u16::MAX), location)
        }
        Connection::Network { .. } => (0, 0),
    };
    let mut bytes = device.device_id.to_le_bytes().to_vec();
    bytes.extend_from_slice(&product.to_le_bytes());
    let start = bytes.len();
    bytes.extend(device.serial.bytes().take(SERIAL_LENGTH - 1));
    bytes.resize(start + SERIAL_LENGTH, 0);
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&location.to_le_bytes());
    bytes
}

/// A client that listens, as `ListListeners` tells it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listener {
    /// Its number.
    pub id: u32,
    /// Its program.
    pub program: String,
    /// Its bundle identifier.
    pub bundle_id: String,
}

impl Listener {
    fn to_plist(&self) -> Value {
        let mut keys = Dictionary::new();
        keys.insert("Blacklisted".into(), false.into());
        keys.insert("BundleID".into(), self.bundle_id.as_str().into());
        keys.insert("ConnType".into(), 0.into());
        let id = format!("{}-{}", self.id, self.program);
        keys.insert("ID String".into(), id.into());
        keys.insert("ProgName".into(), self.program.as_str().into());
        keys.insert("kLibUSBMuxVersion".into(), 3.into());
        Value::Dictionary(keys)
    }

    fn from_plist(value: &Value) -> Result<Self, MuxError> {
        let keys = dictionary(value)?;
        let id = text(keys, "ID String")?;
        Ok(Self {
            id: id
                .split_once('-')
                .and_then(|(id, _)| id.parse().ok())
                .ok_or(MuxError::Key("ID String"))?,
            program: text(keys, "ProgName").unwrap_or_default().to_owned(),
            bundle_id: text(keys, "BundleID").unwrap_or_default().to_owned(),
        })
    }
}

/// What a mux answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Outcome of a command.
    Result(ResultCode),
    /// To `ListDevices`.
    Devices(Vec<DeviceProperties>),
    /// To `ListListeners`.
    Listeners(Vec<Listener>),
    /// To `ReadBUID`.
    Buid(String),
    /// To `ReadPairRecord`.
    PairRecord(Vec<u8>),
}

impl Answer {
    /// Makes the property list of this answer.
    pub fn to_plist(&self) -> Value {
        let mut keys = Dictionary::new();
        match self {
            Self::Result(code) => {
                keys.insert("MessageType".into(), "Result".into());
                keys.insert("Number".into(), code.number().into());
            }
            Self::Devices(devices) => {
                let list = devices.iter().map(DeviceProperties::to_plist).collect();
                keys.insert("DeviceList".into(), Value::Array(list));
            }
            Self::Listeners(listeners) => {
                let list = listeners.iter().map(Listener::to_plist).collect();
                keys.insert("ListenerList".into(), Value::Array(list));
            }
            Self::Buid(buid) => {
                keys.insert("BUID".into(), buid.as_str().into());
            }
            Self::PairRecord(data) => {
                keys.insert("PairRecordData".into(), Value::Data(data.clone()));
            }
        }
        Value::Dictionary(keys)
    }

    /// Reads an answer from a property list.
    pub fn from_plist(value: &Value) -> Result<Self, MuxError> {
        let keys = dictionary(value)?;
        if let Some(list) = keys.get("DeviceList").and_then(Value::as_array) {
            let devices = list.iter().map(DeviceProperties::from_plist);
            return Ok(Self::Devices(devices.collect::<Result<_, _>>()?));
        }
        if let Some(list) = keys.get("ListenerList").and_then(Value::as_array) {
            let listeners = list.iter().map(Listener::from_plist);
            return Ok(Self::Listeners(listeners.collect::<Result<_, _>>()?));
        }
        if let Some(buid) = keys.get("BUID").and_then(Value::as_string) {
            return Ok(Self::Buid(buid.to_owned()));
        }
        if let Some(data) = keys.get("PairRecordData").and_then(Value::as_data) {
            return Ok(Self::PairRecord(data.to_vec()));
        }
        Ok(Self::Result(number(keys, "Number")?.into()))
    }

    /// Makes the packet for a client of version 0, which only knows outcomes.
    pub fn to_binary(&self, tag: u32) -> Packet {
        let code = match self {
            Self::Result(code) => *code,
            _ => ResultCode::BadCommand,
        };
        Packet {
            version: VERSION_BINARY,
            message: message::RESULT,
            tag,
            payload: code.number().to_le_bytes().to_vec(),
        }
    }

    /// Reads the outcome from a packet of either version.
    pub fn from_packet(packet: &Packet) -> Result<Self, MuxError> {
        if packet.version != VERSION_BINARY {
            return Self::from_plist(&packet.value()?);
        }
        if packet.message != message::RESULT {
            return Err(MuxError::Unexpected(packet.message));
        }
        let number = packet.payload.as_slice().try_get_u32_le().map_err(|_| MuxError::Short)?;
        Ok(Self::Result(number.into()))
    }
}
