//! The simulated usbmuxd: finds phones, opens streams to them, keeps pair records.
//!
//! One connection is one conversation. It becomes a stream to a port of a phone after `Connect`,
//! and a stream of events after `Listen` (docs/protocol.md, usbmuxd).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use lifeboat_wire::mux::{
    Answer, Connection, Decoder, DeviceProperties, Event, Listener, MuxError, Packet, Request,
    ResultCode, VERSION_BINARY, VERSION_PLIST, message,
};
use plist::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::broadcast::error::RecvError;

use crate::cable::{BusEvent, Hub, Plugged};
use crate::channel::{Rewound, Stream};
use crate::lockdownd;
use crate::phone::{Phone, lock};
use crate::records::Records;
use crate::services::{self, Waiting};

/// A connection with a larger packet is dropped, as usbmuxd does.
const PACKET_LIMIT: usize = 64 * 1024;

/// What USB 2 tells as its speed.
const USB_SPEED: u64 = 480_000_000;

/// The USB product of an iPhone.
const IPHONE: u32 = 0x12a8;

/// Everything the connections share.
#[derive(Debug)]
pub(crate) struct Bus {
    phones: Vec<Arc<Phone>>,
    records: Records,
    hub: Arc<Hub>,
    listeners: Mutex<BTreeMap<u32, Listener>>,
    next_client: AtomicU32,
}

impl Bus {
    pub(crate) fn new(phones: Vec<Arc<Phone>>, records: Records, hub: Arc<Hub>) -> Self {
        let (listeners, next_client) = (Mutex::default(), AtomicU32::new(1));
        Self { phones, records, hub, listeners, next_client }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(&self, stream: impl Stream + 'static) {
        let id = self.next_client.fetch_add(1, Ordering::Relaxed);
        let mut client =
            Client { bus: self, id, plist: false, decoder: Decoder::new(PACKET_LIMIT) };
        let outcome = client.converse(stream).await;
        lock(&self.listeners).remove(&id);
        if let Err(error) = outcome {
            tracing::debug!(%error, client = id, "connection to the bus ended");
        }
    }

    fn devices(&self) -> Vec<DeviceProperties> {
        self.phones.iter().filter_map(|phone| properties(phone, &phone.cable.plugged()?)).collect()
    }

    fn find(&self, mux_id: u32) -> Option<(&Arc<Phone>, Plugged)> {
        self.phones.iter().find_map(|phone| {
            let plugged = phone.cable.plugged().filter(|plugged| plugged.mux_id == mux_id)?;
            Some((phone, plugged))
        })
    }

    /// Returns what listens on a port of a phone.
    fn reach(&self, mux_id: u32, port: u16) -> Result<(Arc<Phone>, Plugged, Target), ResultCode> {
        let (phone, plugged) = self.find(mux_id).ok_or(ResultCode::BadDevice)?;
        let target = if port == lifeboat_wire::mux::LOCKDOWN_PORT {
            Target::Lockdown
        } else {
            Target::Service(phone.ports.take(port).ok_or(ResultCode::ConnectionRefused)?)
        };
        Ok((Arc::clone(phone), plugged, target))
    }
}

/// What is at the other end of a stream.
enum Target {
    Lockdown,
    Service(Waiting),
}

fn properties(phone: &Phone, plugged: &Plugged) -> Option<DeviceProperties> {
    let location = u32::try_from(phone.spec.seed & 0xffff).ok()?;
    Some(DeviceProperties {
        device_id: plugged.mux_id,
        serial: phone.udid().to_owned(),
        connection: Connection::Usb {
            speed: USB_SPEED,
            location: 0x0014_0000 | location,
            product: IPHONE,
        },
    })
}

/// What follows an answer.
enum Next {
    Continue,
    Listen,
    Tunnel(Arc<Phone>, Plugged, Target),
}

/// One connection.
struct Client<'a> {
    bus: &'a Bus,
    id: u32,
    /// Whether the client has shown that it understands property lists.
    plist: bool,
    decoder: Decoder,
}

impl Client<'_> {
    async fn converse(&mut self, mut stream: impl Stream + 'static) -> Result<(), BusError> {
        while let Some(packet) = self.receive(&mut stream).await? {
            let Some((answer, next)) = self.answer(&packet)? else { return Ok(()) };
            self.send(&mut stream, packet.tag, &answer).await?;
            match next {
                Next::Continue => {}
                Next::Listen => return self.listen(stream, &packet).await,
                Next::Tunnel(phone, plugged, target) => {
                    let stream = Rewound::new(Bytes::from(self.decoder.take_rest()), stream);
                    tunnel(phone, &plugged, target, stream).await;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn receive(&mut self, stream: &mut impl Stream) -> Result<Option<Packet>, BusError> {
        let mut buffer = BytesMut::with_capacity(4096);
        loop {
            if let Some(packet) = self.decoder.next()? {
                return Ok(Some(packet));
            }
            buffer.clear();
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(None);
            }
            self.decoder.push(&buffer);
        }
    }

    async fn send(&self, stream: &mut impl Stream, tag: u32, answer: &Answer) -> io::Result<()> {
        let packet =
            if self.plist { Packet::plist(tag, &answer.to_plist()) } else { answer.to_binary(tag) };
        stream.write_all(&packet.encode()).await?;
        stream.flush().await
    }

    /// Answers a packet; nothing when the connection is dropped without a word, as usbmuxd does it
    /// for what it cannot read.
    fn answer(&mut self, packet: &Packet) -> Result<Option<(Answer, Next)>, BusError> {
        let result = |code| Ok(Some((Answer::Result(code), Next::Continue)));
        match (packet.version, packet.message) {
            (VERSION_PLIST, message::PLIST) => self.plist = true,
            (VERSION_BINARY, message::CONNECT | message::LISTEN) => {}
            (VERSION_BINARY | VERSION_PLIST, _) => return result(ResultCode::BadCommand),
            _ => return result(ResultCode::BadVersion),
        }
        let request = match Request::from_packet(packet) {
            Ok(request) => request,
            Err(MuxError::Key("PairRecordID" | "PairRecordData")) => {
                return result(ResultCode::INVALID);
            }
            Err(MuxError::Key("DeviceID" | "PortNumber") | MuxError::Short) => {
                return result(ResultCode::BadCommand);
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Some(self.obey(request)))
    }

    fn obey(&self, request: Request) -> (Answer, Next) {
        let bus = self.bus;
        let ok = Answer::Result(ResultCode::Ok);
        let answer = match request {
            Request::ListDevices => Answer::Devices(bus.devices()),
            Request::Listen => return (ok, Next::Listen),
            Request::ListListeners => {
                Answer::Listeners(lock(&bus.listeners).values().cloned().collect())
            }
            Request::Connect { device_id, port } => match bus.reach(device_id, port) {
                Ok((phone, plugged, target)) => return (ok, Next::Tunnel(phone, plugged, target)),
                Err(code) => Answer::Result(code),
            },
            Request::ReadBuid => Answer::Buid(bus.records.system_buid().to_owned()),
            Request::ReadPairRecord { id } => match bus.records.read(&id) {
                Ok(data) => Answer::PairRecord(data),
                Err(error) => Answer::Result(errno(&error)),
            },
            Request::SavePairRecord { id, data, device_id } => {
                let saved = bus.records.save(&id, &data);
                if saved.is_ok() {
                    tell_paired(bus, &id, device_id);
                }
                outcome(saved)
            }
            Request::DeletePairRecord { id } => outcome(bus.records.delete(&id)),
            Request::Unknown { name } => {
                tracing::debug!(name, "unknown request to the bus");
                Answer::Result(ResultCode::BadCommand)
            }
        };
        (answer, Next::Continue)
    }

    /// Tells events until the client goes away. A command now is an error and the end.
    async fn listen(&mut self, mut stream: impl Stream, packet: &Packet) -> Result<(), BusError> {
        let mut events = self.bus.hub.listen();
        lock(&self.bus.listeners).insert(self.id, listener(self.id, packet));
        let mut present = BTreeSet::new();
        for device in self.bus.devices() {
            present.insert(device.device_id);
            self.tell(&mut stream, Event::Attached(device)).await?;
        }
        let mut buffer = BytesMut::with_capacity(4096);
        loop {
            tokio::select! {
                read = stream.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    self.decoder.push(&buffer.split());
                    if let Some(packet) = self.decoder.next()? {
                        let refusal = Answer::Result(ResultCode::BadCommand);
                        self.send(&mut stream, packet.tag, &refusal).await?;
                        return Ok(());
                    }
                }
                event = events.recv() => {
                    for event in self.news(&event, &mut present)? {
                        self.tell(&mut stream, event).await?;
                    }
                }
            }
        }
    }

    /// Turns what happened into events for a client that has been told of `present`.
    fn news(
        &self,
        event: &Result<BusEvent, RecvError>,
        present: &mut BTreeSet<u32>,
    ) -> Result<Vec<Event>, BusError> {
        Ok(match *event {
            Ok(BusEvent::Attached { mux_id }) => {
                let plugged = self.bus.find(mux_id);
                let device = plugged.and_then(|(phone, plugged)| properties(phone, &plugged));
                let new = device.filter(|device| present.insert(device.device_id));
                new.map(Event::Attached).into_iter().collect()
            }
            Ok(BusEvent::Detached { mux_id }) => {
                present.remove(&mux_id).then_some(Event::Detached(mux_id)).into_iter().collect()
            }
            Ok(BusEvent::Paired { mux_id }) => vec![Event::Paired(mux_id)],
            Err(RecvError::Lagged(missed)) => return Err(BusError::Lagged { missed }),
            Err(RecvError::Closed) => Vec::new(),
        })
    }

    async fn tell(&self, stream: &mut impl Stream, event: Event) -> io::Result<()> {
        let packet =
            if self.plist { Packet::plist(0, &event.to_plist()) } else { event.to_binary() };
        stream.write_all(&packet.encode()).await?;
        stream.flush().await
    }
}

/// Runs the phone's side of a stream until it ends or the cable is pulled.
async fn tunnel(phone: Arc<Phone>, plugged: &Plugged, target: Target, stream: Rewound) {
    let serve = async {
        match target {
            Target::Lockdown => {
                if let Err(error) = lockdownd::serve(phone, stream).await {
                    tracing::debug!(%error, "connection to lockdownd ended");
                }
            }
            Target::Service(waiting) => {
                if let Err(error) = services::serve(phone, waiting, stream).await {
                    tracing::debug!(%error, "connection to a service ended");
                }
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = plugged.pulled.cancelled() => tracing::debug!("the cable was pulled"),
    }
}

fn listener(id: u32, packet: &Packet) -> Listener {
    let value = packet.value().ok();
    let keys = value.as_ref().and_then(Value::as_dictionary);
    let text = |key| {
        let text = keys.and_then(|keys| keys.get(key)).and_then(Value::as_string);
        text.unwrap_or_default().to_owned()
    };
    Listener { id, program: text("ProgName"), bundle_id: text("BundleID") }
}

/// Listeners hear of a new record when it belongs to a phone that is plugged in.
fn tell_paired(bus: &Bus, id: &str, device_id: Option<u32>) {
    if let Some((phone, _)) = device_id.and_then(|mux_id| bus.find(mux_id))
        && phone.udid() == id
    {
        phone.cable.paired();
    }
}

fn outcome(result: io::Result<()>) -> Answer {
    Answer::Result(result.map_or_else(|error| errno(&error), |()| ResultCode::Ok))
}

/// The error numbers of the pair-record commands.
fn errno(error: &io::Error) -> ResultCode {
    match error.kind() {
        io::ErrorKind::NotFound => ResultCode::NO_ENTRY,
        io::ErrorKind::InvalidInput => ResultCode::INVALID,
        _ => {
            tracing::warn!(%error, "pair record");
            let input_output = 5;
            let code = error.raw_os_error().and_then(|code| u32::try_from(code).ok());
            ResultCode::Other(code.unwrap_or(input_output))
        }
    }
}

/// A conversation with a client of the bus cannot go on.
#[derive(Debug, thiserror::Error)]
enum BusError {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("the client sent what is no packet")]
    Mux(#[from] MuxError),
    #[error("the client missed {missed} events")]
    Lagged { missed: u64 },
}
