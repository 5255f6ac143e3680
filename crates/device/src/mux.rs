//! The mux: which devices are there, a stream to one of their ports, and the pairing records that it keeps.
//!
//! Most of it is `idevice`'s, which has met real iPhones. Reading a pairing record and watching for a device that
//! goes are done here over `lifeboat-wire`: `idevice` cannot tell an absent record from a damaged one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use idevice::usbmuxd::{Connection as IdeviceConnection, UsbmuxdAddr, UsbmuxdConnection};
use idevice::{Idevice, IdeviceSocket};
use lifeboat_wire::mux::{Answer, Decoder, Event, PACKET_LIMIT, Packet, Request, ResultCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::error::LinkError;
use crate::limit::{MUX, ms, within};

/// How this program names itself to the mux and the device.
pub(crate) const LABEL: &str = "lifeboat";

/// Where the mux is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MuxAddress {
    /// A UNIX socket.
    Unix(PathBuf),
    /// A TCP socket.
    Tcp(SocketAddr),
}

impl fmt::Display for MuxAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

/// How a device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// By cable.
    Usb,
    /// Over the network.
    Network,
    /// The mux says neither.
    Unknown,
}

/// A device that the mux knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// Its identifier, as lockdownd writes it (with the dash of newer devices).
    pub udid: String,
    /// The mux's handle: another one after each attach.
    pub mux_id: u32,
    /// How it is connected.
    pub connection: Connection,
}

impl fmt::Debug for Device {
    /// Writes no identifier, so that it can stand in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("mux_id", &self.mux_id)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// Tells whether two spellings name one device: case and dashes do not count (`docs/protocol.md` 1.3).
pub fn same_udid(a: &str, b: &str) -> bool {
    let plain = |text: &str| {
        text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    plain(a) == plain(b)
}

/// The mux. Cheap to clone; every question is a connection of its own.
#[derive(Debug, Clone)]
pub struct Mux {
    address: MuxAddress,
}

impl Mux {
    /// Returns the mux at `address`. Nothing is connected yet.
    pub fn new(address: MuxAddress) -> Self {
        Self { address }
    }

    /// Returns the devices that are there, cable before network.
    pub async fn devices(&self) -> Result<Vec<Device>, LinkError> {
        let since = Instant::now();
        let mut connection = self.connect().await?;
        let found = within(MUX, "asking usbmuxd for devices", connection.get_devices()).await?;
        let mut devices: Vec<Device> = found
            .into_iter()
            .map(|device| Device {
                udid: dashed(device.udid),
                mux_id: device.device_id,
                connection: match device.connection_type {
                    IdeviceConnection::Usb => Connection::Usb,
                    IdeviceConnection::Network(_) => Connection::Network,
                    IdeviceConnection::Unknown(_) => Connection::Unknown,
                },
            })
            .collect();
        devices.sort_by_key(|device| (device.connection != Connection::Usb, device.udid.clone()));
        let (found, ms) = (devices.len(), ms(since));
        tracing::info!(found, ms, "usbmuxd was asked for devices");
        Ok(devices)
    }

    /// Returns the address of a device that the mux reaches over the network; nothing for one on a cable.
    pub async fn network_address(&self, device: &Device) -> Result<Option<IpAddr>, LinkError> {
        let mut connection = self.connect().await?;
        let found = within(MUX, "asking usbmuxd for devices", connection.get_devices()).await?;
        let address = found.into_iter().find_map(|found| match found.connection_type {
            IdeviceConnection::Network(address) if found.device_id == device.mux_id => {
                Some(address)
            }
            _ => None,
        });
        Ok(address)
    }

    /// Returns the identifier of this computer that the mux keeps.
    pub async fn buid(&self) -> Result<String, LinkError> {
        let mut connection = self.connect().await?;
        within(MUX, "asking usbmuxd for its identifier", connection.get_buid()).await
    }

    /// Returns the bytes of a device's pairing record, `None` where there is none.
    pub async fn read_record(&self, udid: &str) -> Result<Option<Vec<u8>>, LinkError> {
        let request = Request::ReadPairRecord { id: udid.to_owned() };
        match within(MUX, "asking usbmuxd for the pairing record", self.ask(&request)).await {
            Ok(Answer::PairRecord(data)) => Ok(Some(data)),
            Ok(Answer::Result(ResultCode::NO_ENTRY | ResultCode::INVALID)) => Ok(None),
            Ok(_) => Err(LinkError::MuxRefused("the pairing record cannot be read")),
            // One of the muxes says nothing at all where there is no record (`docs/protocol.md` 1.4).
            Err(LinkError::Timeout { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores a device's pairing record.
    pub async fn save_record(&self, udid: &str, record: Vec<u8>) -> Result<(), LinkError> {
        let mut connection = self.connect().await?;
        within(MUX, "storing the pairing record", connection.save_pair_record(udid, record)).await
    }

    /// Removes a device's pairing record.
    pub async fn delete_record(&self, udid: &str) -> Result<(), LinkError> {
        let mut connection = self.connect().await?;
        within(MUX, "removing the pairing record", connection.delete_pair_record(udid)).await
    }

    /// Opens a stream to a port of a device.
    pub(crate) async fn open(&self, device: &Device, port: u16) -> Result<Idevice, LinkError> {
        let connection = self.connect().await?;
        within(
            MUX,
            "connecting to the device",
            connection.connect_to_device(device.mux_id, port, LABEL),
        )
        .await
    }

    /// Returns once the device is gone, or with an error once the mux is.
    pub async fn gone(&self, device: &Device) -> Result<(), LinkError> {
        let mut conversation = self.conversation(&Request::Listen).await?;
        loop {
            // No limit: it ends when the mux tells, and whoever waits drops it.
            let value = conversation.next().await?;
            if Event::from_plist(&value).is_ok_and(|event| event == Event::Detached(device.mux_id))
            {
                return Ok(());
            }
        }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, LinkError> {
        let value = self.conversation(request).await?.next().await?;
        Answer::from_plist(&value).map_err(|error| LinkError::Malformed(error.to_string()))
    }

    async fn conversation(&self, request: &Request) -> Result<Conversation, LinkError> {
        let mut socket = self.socket().await?;
        let packet = Packet::plist(1, &request.to_plist()).encode();
        within(MUX, "asking usbmuxd", async {
            socket.write_all(&packet).await.map_err(LinkError::Lost)
        })
        .await?;
        Ok(Conversation { socket, decoder: Decoder::new(PACKET_LIMIT) })
    }

    async fn connect(&self) -> Result<UsbmuxdConnection, LinkError> {
        Ok(UsbmuxdConnection::new(self.socket().await?, 1))
    }

    async fn socket(&self) -> Result<IdeviceSocket, LinkError> {
        let connected = within(MUX, "connecting to usbmuxd", async {
            match &self.address {
                MuxAddress::Unix(path) => {
                    let address = UsbmuxdAddr::UnixSocket(path.to_string_lossy().into_owned());
                    address.to_socket().await.map_err(LinkError::from)
                }
                MuxAddress::Tcp(address) => {
                    let stream = TcpStream::connect(address).await.map_err(LinkError::Lost)?;
                    // `idevice` writes a message in two parts: the second must not wait for the first to be confirmed.
                    stream.set_nodelay(true).map_err(LinkError::Lost)?;
                    let socket: IdeviceSocket = Box::new(stream);
                    Ok(socket)
                }
            }
        });
        connected.await.map_err(|error| match error {
            LinkError::Lost(source) => {
                LinkError::MuxAbsent { address: self.address.to_string(), source }
            }
            other => other,
        })
    }
}

/// A connection to the mux on which plist messages arrive.
struct Conversation {
    socket: IdeviceSocket,
    decoder: Decoder,
}

impl Conversation {
    async fn next(&mut self) -> Result<plist::Value, LinkError> {
        let malformed =
            |error: lifeboat_wire::mux::MuxError| LinkError::Malformed(error.to_string());
        let mut buffer = [0; 4096];
        loop {
            if let Some(packet) = self.decoder.next().map_err(malformed)? {
                return packet.value().map_err(malformed);
            }
            let count = self.socket.read(&mut buffer).await.map_err(LinkError::Lost)?;
            if count == 0 {
                return Err(LinkError::Lost(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.decoder.push(buffer.get(..count).unwrap_or_default());
        }
    }
}

/// Writes the identifier as lockdownd does: 24 characters get a dash after the eighth (`docs/protocol.md` 1.3).
fn dashed(udid: String) -> String {
    match (udid.len() == 24 && udid.is_ascii()).then(|| udid.split_at(8)) {
        Some((chip, rest)) if !udid.contains('-') => format!("{chip}-{rest}"),
        _ => udid,
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_wire::mux::{Connection as WireConnection, DeviceProperties};
    use plist::Value;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    const UDID: &str = "00008120-000A1B2C3D4E5F60";

    /// A mux that answers every connection's first request with what `answer` makes of it, then waits.
    async fn fake(answer: fn(&Request) -> Vec<Value>) -> (Mux, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut decoder = Decoder::new(PACKET_LIMIT);
                let packet = loop {
                    if let Some(packet) = decoder.next().unwrap() {
                        break packet;
                    }
                    let mut buffer = [0; 512];
                    let count = socket.read(&mut buffer).await.unwrap();
                    decoder.push(&buffer[..count]);
                };
                for value in answer(&Request::from_packet(&packet).unwrap()) {
                    let bytes = Packet::plist(packet.tag, &value).encode();
                    socket.write_all(&bytes).await.unwrap();
                }
                kept.push(socket);
            }
        });
        (Mux::new(MuxAddress::Tcp(address)), tasks)
    }

    fn attached(serial: &str, device_id: u32) -> DeviceProperties {
        let connection = WireConnection::Usb { speed: 480_000_000, location: 1, product: 0x12a8 };
        DeviceProperties { device_id, serial: serial.to_owned(), connection }
    }

    #[tokio::test]
    async fn devices_and_records_are_asked_for() {
        let (mux, _tasks) = fake(|request| {
            let answer = match request {
                Request::ListDevices => {
                    Answer::Devices(vec![attached("00008120000A1B2C3D4E5F60", 7)])
                }
                Request::ReadPairRecord { id } if id == UDID => Answer::PairRecord(vec![1, 2]),
                Request::ReadBuid => Answer::Buid("A-B".to_owned()),
                _ => Answer::Result(ResultCode::NO_ENTRY),
            };
            vec![answer.to_plist()]
        })
        .await;
        let devices = mux.devices().await.unwrap();
        let found: Vec<_> = devices.iter().map(|d| (d.udid.as_str(), d.mux_id)).collect();
        assert_eq!(found, [(UDID, 7)]);
        assert_eq!(mux.read_record(UDID).await.unwrap(), Some(vec![1, 2]));
        assert_eq!(mux.read_record("other").await.unwrap(), None);
        assert_eq!(mux.buid().await.unwrap(), "A-B");
    }

    #[tokio::test]
    async fn a_device_is_gone_when_the_mux_says_so() {
        let (mux, _tasks) = fake(|_| {
            vec![
                Answer::Result(ResultCode::Ok).to_plist(),
                Event::Attached(attached(UDID, 7)).to_plist(),
                Event::Detached(6).to_plist(),
                Event::Detached(7).to_plist(),
            ]
        })
        .await;
        let device = Device { udid: UDID.to_owned(), mux_id: 7, connection: Connection::Usb };
        mux.gone(&device).await.unwrap();
    }

    #[tokio::test]
    async fn a_mux_that_is_not_there_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = Mux::new(MuxAddress::Tcp(address)).devices().await.unwrap_err();
        assert!(
            matches!(error, LinkError::MuxAbsent { address: a, .. } if a == address.to_string())
        );
        let absent = MuxAddress::Unix("/nonexistent/usbmuxd".into());
        assert!(matches!(Mux::new(absent).buid().await, Err(LinkError::MuxAbsent { .. })));
    }

    #[test]
    fn spellings_of_one_device_are_one() {
        assert!(same_udid("00008120-000A1B2C3D4E5F60", "00008120000a1b2c3d4e5f60"));
        assert!(!same_udid("00008120-000A1B2C3D4E5F60", "00008120-000A1B2C3D4E5F61"));
        assert_eq!(dashed("00008120000A1B2C3D4E5F60".into()), "00008120-000A1B2C3D4E5F60");
        assert_eq!(dashed("ab".repeat(20)), "ab".repeat(20));
    }
}
