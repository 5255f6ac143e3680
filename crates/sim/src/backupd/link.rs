//! DeviceLink as the phone speaks it: it asks, the host answers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use bytes::BytesMut;
use camino::Utf8Path;
use lifeboat_mobilesync::FileId;
use lifeboat_wire::devicelink::{
    EntryKind, FileErrors, HostMessage, Listing, MessageError, PhoneMessage, Status,
    StatusResponse, name,
};
use lifeboat_wire::files::{self, Decoder, Event};
use lifeboat_wire::plist_frame;
use lifeboat_wire::plist_guard::Limits;
use plist::Dictionary;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::BackupdError;
use super::fail::{MbError, Stop, Underlying};
use crate::phone::Phone;

/// Listings of large folders come in one message.
const MESSAGE_LIMIT: usize = 64 << 20;
const LIMITS: Limits =
    Limits { bytes: MESSAGE_LIMIT, objects: 4_000_000, content: 256 << 20, depth: 32 };

/// Bytes collected before they are written: large enough that a write costs little for a byte.
const WRITE: usize = 512 << 10;

/// One connection, and what was counted on it.
pub(super) struct Link<S> {
    stream: S,
    input: BytesMut,
    /// What is to be written: `used` bytes of a buffer that never grows.
    output: Box<[u8]>,
    used: usize,
    phone: Arc<Phone>,
    /// The version of DeviceLink both sides speak.
    pub(super) version: i64,
    sent: u64,
    received: u64,
    /// The percentage told last: it never falls.
    progress: f64,
    /// What part of the whole job the percentages of the steps are a percentage of.
    pub(super) share: f64,
}

/// A file of the host that could not be had.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: Status,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn underlying(&self, path: &str) -> Underlying {
        Underlying::of(self.status, Some(&self.text), Some(path))
    }
}

/// Payloads in a folder of the host, with their sizes.
pub(super) type Stored = BTreeMap<FileId, u64>;

pub(super) fn unexpected(message: &HostMessage, due: &'static str) -> BackupdError {
    let found = match message {
        HostMessage::Disconnect { .. } => return BackupdError::HostGone,
        HostMessage::VersionExchange { .. } => name::VERSION_EXCHANGE,
        HostMessage::Status(_) => name::STATUS_RESPONSE,
        HostMessage::ProcessMessage(_) => name::PROCESS_MESSAGE,
        HostMessage::Unknown { name, .. } => name,
    };
    BackupdError::Unexpected(found.to_owned(), due)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(super) fn new(stream: S, phone: Arc<Phone>) -> Self {
        let room = WRITE.max(phone.spec.knobs.chunk + 64);
        Self {
            stream,
            input: BytesMut::with_capacity(64 << 10),
            output: vec![0; room].into_boxed_slice(),
            used: 0,
            phone,
            version: 0,
            sent: 0,
            received: 0,
            progress: 0.0,
            share: 1.0,
        }
    }

    /// Tells the traffic how many messages there were.
    pub(super) fn count(&self) {
        self.phone.traffic.update(|job| {
            job.messages_sent = self.sent;
            job.messages_received = self.received;
        });
    }

    /// Returns the percentage to tell for one that is expected at the end of an operation.
    pub(super) fn forward(&mut self, percent: f64) -> f64 {
        self.progress = self.progress.max(percent * self.share);
        self.progress
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: &PhoneMessage) -> Result<(), BackupdError> {
        let sent = i64::try_from(self.sent).unwrap_or(i64::MAX);
        let due = |fault: &crate::fault::Fault| sent >= fault.number("after").unwrap_or(0);
        if self.phone.faults.fire_if("drop", due).is_some() {
            return Err(BackupdError::Dropped);
        }
        tracing::debug!(name = message.name(), "to the host");
        self.sent += 1;
        self.count();
        let frame = plist_frame::encode(&message.encode());
        self.write(&frame).await?;
        self.flush().await
    }

    /// Sends bytes that are no proper message.
    pub(super) async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), BackupdError> {
        self.sent += 1;
        self.count();
        self.write(bytes).await?;
        self.flush().await
    }

    /// Receives the next message.
    pub(super) async fn receive(&mut self) -> Result<HostMessage, BackupdError> {
        self.next().await?.ok_or(BackupdError::HostGone)
    }

    /// Receives a request; nothing when the host is done.
    pub(super) async fn request(&mut self) -> Result<Option<Dictionary>, BackupdError> {
        match self.next().await? {
            None | Some(HostMessage::Disconnect { .. }) => Ok(None),
            Some(HostMessage::ProcessMessage(request)) => Ok(Some(request)),
            Some(other) => Err(unexpected(&other, "a request")),
        }
    }

    async fn next(&mut self) -> Result<Option<HostMessage>, BackupdError> {
        let unit = loop {
            if let Some(unit) = plist_frame::take(&mut self.input, MESSAGE_LIMIT)? {
                break unit;
            }
            if !self.fill().await? {
                return Ok(None);
            }
        };
        self.received += 1;
        self.count();
        match HostMessage::decode(&unit, &LIMITS) {
            Ok(message) => Ok(Some(message)),
            // An answer that is not made right counts as a failure.
            Err(MessageError::Element { message, .. }) if message == name::STATUS_RESPONSE => {
                Ok(Some(HostMessage::Status(StatusResponse::error(
                    Status::GENERIC,
                    "Invalid status response",
                ))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there; false at the end.
    async fn fill(&mut self) -> Result<bool, BackupdError> {
        self.input.reserve(32 << 10);
        match self.stream.read_buf(&mut self.input).await {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the host goes away, or says something though it is not its turn.
    pub(super) async fn left(&mut self) -> BackupdError {
        loop {
            match plist_frame::peek(&self.input, MESSAGE_LIMIT) {
                Ok(Some(length)) if self.input.len() >= length + 4 => {
                    return BackupdError::HostGone;
                }
                Err(error) => return error.into(),
                Ok(_) => {}
            }
            match self.fill().await {
                Ok(true) => {}
                Ok(false) => return BackupdError::HostGone,
                Err(error) => return error,
            }
        }
    }

    /// Asks the host to do something.
    pub(super) async fn ask(
        &mut self,
        message: &PhoneMessage,
    ) -> Result<StatusResponse, BackupdError> {
        self.send(message).await?;
        self.status().await
    }

    /// Receives the answer to an operation.
    pub(super) async fn status(&mut self) -> Result<StatusResponse, BackupdError> {
        match self.receive().await? {
            HostMessage::Status(answer) => Ok(answer),
            other => Err(unexpected(&other, "the answer to an operation")),
        }
    }

    /// Appends bytes to what is to be written.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), BackupdError> {
        while !bytes.is_empty() {
            let mut room = self.output.get_mut(self.used..).unwrap_or_default();
            let count = room.write(bytes)?;
            self.used += count;
            bytes = bytes.get(count..).unwrap_or_default();
            if !bytes.is_empty() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Returns room for `length` bytes right behind what is to be written; [`Link::wrote`] takes it.
    pub(super) async fn room(&mut self, length: usize) -> Result<&mut [u8], BackupdError> {
        if self.output.len() - self.used < length {
            self.flush().await?;
        }
        Ok(self.output.get_mut(self.used..self.used + length).unwrap_or_default())
    }

    /// Takes bytes that were put into the room.
    pub(super) fn wrote(&mut self, length: usize) {
        self.used += length;
    }

    /// Writes everything.
    pub(super) async fn flush(&mut self) -> Result<(), BackupdError> {
        self.stream.write_all(self.output.get(..self.used).unwrap_or_default()).await?;
        self.used = 0;
        self.stream.flush().await?;
        Ok(())
    }

    /// Fetches a file from the host into `target`; what was there is replaced at the end.
    pub(super) async fn download(
        &mut self,
        path: &str,
        progress: f64,
        target: &Utf8Path,
    ) -> Result<Result<u64, Refusal>, BackupdError> {
        let message = PhoneMessage::DownloadFiles {
            paths: vec![path.to_owned()],
            progress: Some(self.forward(progress)),
            size: 0,
        };
        self.send(&message).await?;
        let outcome = self.receive_file(path, target).await?;
        let answer = self.status().await?;
        let told = told(&answer, path);
        let refusal = match (outcome, told) {
            (Some(Ok(size)), None) => {
                self.phone.traffic.update(|job| {
                    job.files_received += 1;
                    job.bytes_received += size;
                });
                return Ok(Ok(size));
            }
            (_, Some(refusal)) => refusal,
            (Some(Err(refusal)), None) => refusal,
            (None, None) => {
                Refusal { status: Status::GENERIC, text: "The file was not sent".to_owned() }
            }
        };
        Ok(Err(refusal))
    }

    /// Reads one stream of files; nothing when it held none.
    async fn receive_file(
        &mut self,
        path: &str,
        target: &Utf8Path,
    ) -> Result<Option<Result<u64, Refusal>>, BackupdError> {
        let mut decoder = Decoder::download();
        let partial = target.with_added_extension("download");
        let mut file = None;
        let mut size = 0;
        let mut outcome = None;
        loop {
            match decoder.next(&mut self.input)? {
                None => {
                    if !self.fill().await? {
                        return Err(BackupdError::HostGone);
                    }
                }
                Some(Event::File { host_path, .. }) => {
                    if host_path != path {
                        return Err(BackupdError::Unexpected(
                            host_path,
                            "the file that was asked for",
                        ));
                    }
                    file = Some(fs_err::File::create(&partial)?);
                    size = 0;
                }
                Some(Event::Data(bytes)) => {
                    if let Some(file) = &mut file {
                        file.write_all(&bytes)?;
                    }
                    size += bytes.len() as u64;
                }
                Some(Event::End { code: files::SUCCESS, .. }) => {
                    file = None;
                    fs_err::rename(&partial, target)?;
                    outcome = Some(Ok(size));
                }
                Some(Event::End { code, text }) => {
                    file = None;
                    fs_err::remove_file(&partial)?;
                    outcome = Some(Err(Refusal { status: Status::from_end_code(code), text }));
                }
                Some(Event::Terminator) => return Ok(outcome),
            }
        }
    }

    /// Lists a folder of the host; nothing when it is not there.
    pub(super) async fn list(
        &mut self,
        path: &str,
        progress: f64,
    ) -> Result<Option<Listing>, Stop> {
        let message = PhoneMessage::ContentsOfDirectory {
            path: path.to_owned(),
            progress: Some(self.forward(progress)),
        };
        let answer = self.ask(&message).await?;
        if answer.status.is_ok() {
            let entries = answer.object.and_then(plist::Value::into_dictionary).unwrap_or_default();
            return Ok(Some(Listing::from_dictionary(&entries)));
        }
        if answer.status == Status::NOT_FOUND {
            return Ok(None);
        }
        let underlying = Underlying::of_answer(&answer, Some(path));
        Err(MbError::reading("Error listing directory", underlying).into())
    }

    /// Lists the payloads below a folder of the host, and says what else lies in the folder itself.
    pub(super) async fn walk(
        &mut self,
        top: &str,
        progress: f64,
    ) -> Result<(Stored, Listing), Stop> {
        let mut stored = Stored::new();
        let Some(listing) = self.list(top, progress).await? else {
            return Ok((stored, Listing::default()));
        };
        for (name, entry) in &listing.0 {
            if entry.kind != EntryKind::Directory || name.len() != 2 || hex::decode(name).is_err() {
                continue;
            }
            let inner = self.list(&format!("{top}/{name}"), progress).await?.unwrap_or_default();
            for (file, entry) in &inner.0 {
                if let Ok(id) = file.parse::<FileId>()
                    && entry.kind == EntryKind::Regular
                    && file.starts_with(name.as_str())
                {
                    stored.insert(id, entry.size);
                }
            }
        }
        Ok((stored, listing))
    }
}

/// What the answer to a batch says about one file.
fn told(answer: &StatusResponse, path: &str) -> Option<Refusal> {
    if answer.status.is_ok() {
        return None;
    }
    let text = answer.text.clone().unwrap_or_default();
    if answer.status != Status::MULTI {
        return Some(Refusal { status: answer.status, text });
    }
    failures(answer).0.remove(path).map(|fault| Refusal { status: fault.status, text: fault.text })
}

/// What failed of a batch.
pub(super) fn failures(answer: &StatusResponse) -> FileErrors {
    answer
        .object
        .as_ref()
        .and_then(plist::Value::as_dictionary)
        .map(FileErrors::from_dictionary)
        .unwrap_or_default()
}
