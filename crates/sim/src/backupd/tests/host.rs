//! A host in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::BytesMut;
use lifeboat_wire::devicelink::{
    EntryKind, FileErrors, HostMessage, Listing, ListingEntry, PhoneMessage, Status,
    StatusResponse, VersionAnswer,
};
use lifeboat_wire::files::{self, Decoder, Event};
use lifeboat_wire::plist_frame;
use lifeboat_wire::plist_guard::Limits;
use plist::{Dictionary, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::backupd::{self, BackupdError};
use crate::phone::Phone;

/// What a host holds, how it behaves, and what it was asked.
#[derive(Debug, Clone)]
pub(super) struct Host {
    udid: String,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    folders: BTreeSet<String>,
    pub(super) request: &'static str,
    pub(super) target: String,
    /// Old and new backup password of a request to change it.
    pub(super) passwords: [Option<&'static str>; 2],
    /// Answers that a file whose path ends like this cannot be read.
    pub(super) unreadable: Option<&'static str>,
    /// What a request to switch iCloud Backup says.
    pub(super) cloud: Option<bool>,
    pub(super) free: u64,
    /// Frees everything it is asked for.
    pub(super) purges: bool,
    /// Answers an upload whose path ends like this with a status.
    pub(super) refuse: Option<(&'static str, i64)>,
    /// Loses a payload when it is moved.
    pub(super) loses: bool,
    /// What it was asked, in short.
    pub(super) log: Vec<String>,
    pub(super) refused: Vec<String>,
    /// Texts of files that ended with an error.
    pub(super) broken: Vec<String>,
    pub(super) largest_chunk: usize,
    pub(super) content: Option<String>,
    progress: f64,
}

/// Runs one job; gives back how the service ended and what the phone answered.
pub(super) async fn backup(
    phone: &Arc<Phone>,
    host: &mut Host,
) -> (Result<(), BackupdError>, Option<(i64, String)>) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let serve = async {
        // The stream ends with the service.
        let theirs = theirs;
        backupd::serve(theirs, Arc::clone(phone)).await
    };
    let mut talk = Talk { stream: ours, input: BytesMut::new() };
    tokio::join!(serve, async {
        let answer = talk.run(host).await;
        drop(talk);
        answer
    })
}

struct Talk {
    stream: DuplexStream,
    input: BytesMut,
}

impl Talk {
    async fn fill(&mut self) -> Option<()> {
        (self.stream.read_buf(&mut self.input).await.ok()? > 0).then_some(())
    }

    async fn receive(&mut self) -> Option<PhoneMessage> {
        loop {
            if let Some(unit) = plist_frame::take(&mut self.input, 8 << 20).ok()? {
                return PhoneMessage::decode(&unit, &Limits::MESSAGE).ok();
            }
            self.fill().await?;
        }
    }

    async fn send(&mut self, message: &HostMessage) -> Option<()> {
        self.stream.write_all(&plist_frame::encode(&message.encode())).await.ok()
    }

    async fn process(&mut self, keys: Dictionary) -> Option<()> {
        self.send(&HostMessage::ProcessMessage(keys)).await
    }

    /// Serves the phone until it answers; nothing when it breaks off before.
    async fn run(&mut self, host: &mut Host) -> Option<(i64, String)> {
        host.progress = 0.0;
        self.receive().await?;
        self.send(&HostMessage::VersionExchange { answer: VersionAnswer::Ok, version: Some(400) })
            .await?;
        self.receive().await?;
        let versions = Value::Array(vec![2.0.into(), 2.1.into()]);
        let hello =
            [("MessageName", Value::from("Hello")), ("SupportedProtocolVersions", versions)];
        self.process(Dictionary::from_iter(hello)).await?;
        self.receive().await?;
        let request = [("MessageName", host.request), ("TargetIdentifier", &host.target)];
        let mut request =
            Dictionary::from_iter(request.map(|(key, value)| (key, Value::from(value))));
        for (key, password) in ["OldPassword", "NewPassword"].into_iter().zip(host.passwords) {
            if let Some(password) = password {
                request.insert(key.to_owned(), password.into());
            }
        }
        if let Some(on) = host.cloud {
            request.insert("CloudBackupState".to_owned(), on.into());
        }
        self.process(request).await?;
        loop {
            let message = self.receive().await?;
            host.told(&message);
            let answer = match message {
                PhoneMessage::ProcessMessage(keys) => {
                    host.content =
                        keys.get("Content").and_then(Value::as_string).map(ToOwned::to_owned);
                    let text =
                        keys.get("ErrorDescription").and_then(Value::as_string).unwrap_or_default();
                    assert!(matches!(self.receive().await?, PhoneMessage::Disconnect { .. }));
                    return Some((keys["ErrorCode"].as_signed_integer()?, text.to_owned()));
                }
                PhoneMessage::DownloadFiles { paths, .. } => self.download(host, &paths).await?,
                PhoneMessage::UploadFiles { .. } => self.upload(host).await?,
                other => host.answer(other),
            };
            self.send(&HostMessage::Status(answer)).await?;
        }
    }

    async fn download(&mut self, host: &Host, paths: &[String]) -> Option<StatusResponse> {
        let mut out = Vec::new();
        let mut errors = FileErrors::default();
        for path in paths {
            files::encode_download(path, &mut out);
            if host.unreadable.is_some_and(|suffix| path.ends_with(suffix)) {
                files::encode_end(Status::IO.end_code(), "Input/output error", &mut out);
                errors.insert(path.clone(), Status::IO, "Input/output error");
            } else if let Some(bytes) = host.files.get(path) {
                bytes
                    .chunks(files::HOST_CHUNK)
                    .for_each(|chunk| files::encode_chunk(chunk, &mut out));
                files::encode_end(files::SUCCESS, "", &mut out);
            } else {
                let text = "No such file or directory";
                files::encode_end(Status::NOT_FOUND.end_code(), text, &mut out);
                errors.insert(path.clone(), Status::NOT_FOUND, text);
            }
        }
        files::encode_terminator(&mut out);
        self.stream.write_all(&out).await.ok()?;
        Some(StatusResponse::multi(&errors))
    }

    async fn upload(&mut self, host: &mut Host) -> Option<StatusResponse> {
        let mut decoder = Decoder::upload();
        let mut errors = FileErrors::default();
        let mut file: Option<(String, Vec<u8>)> = None;
        loop {
            match decoder.next(&mut self.input).ok()? {
                None => self.fill().await?,
                Some(Event::File { device_path, host_path }) => {
                    assert!(!device_path.is_empty());
                    file = Some((host_path, Vec::new()));
                }
                Some(Event::Data(bytes)) => {
                    host.largest_chunk = host.largest_chunk.max(bytes.len());
                    file.as_mut()?.1.extend_from_slice(&bytes);
                }
                Some(Event::End { code: files::SUCCESS, .. }) => {
                    let (path, bytes) = file.take()?;
                    host.receive(path, bytes, &mut errors);
                }
                Some(Event::End { text, .. }) => {
                    file = None;
                    host.broken.push(text);
                }
                Some(Event::Terminator) => return Some(StatusResponse::multi(&errors)),
            }
        }
    }
}

impl Host {
    pub(super) fn new(phone: &Phone) -> Self {
        Self {
            udid: phone.udid().to_owned(),
            files: BTreeMap::new(),
            folders: BTreeSet::new(),
            request: "Backup",
            target: phone.udid().to_owned(),
            passwords: [None, None],
            unreadable: None,
            cloud: None,
            free: 1 << 40,
            purges: false,
            refuse: None,
            loses: false,
            log: Vec::new(),
            refused: Vec::new(),
            broken: Vec::new(),
            largest_chunk: 0,
            content: None,
            progress: 0.0,
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.udid)
    }

    pub(super) fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.files.insert(self.path(name), bytes);
    }

    pub(super) fn remove(&mut self, name: &str) {
        drop(self.files.remove(&self.path(name)));
    }

    /// Percentages never fall within a job.
    fn told(&mut self, message: &PhoneMessage) {
        if let PhoneMessage::DownloadFiles { progress: Some(progress), .. }
        | PhoneMessage::UploadFiles { progress: Some(progress), .. }
        | PhoneMessage::ContentsOfDirectory { progress: Some(progress), .. }
        | PhoneMessage::CreateDirectory { progress: Some(progress), .. }
        | PhoneMessage::MoveItems { progress: Some(progress), .. }
        | PhoneMessage::RemoveItems { progress: Some(progress), .. } = message
        {
            assert!(
                (self.progress..=100.0).contains(progress),
                "{progress} after {}",
                self.progress
            );
            self.progress = *progress;
        }
    }

    fn receive(&mut self, path: String, bytes: Vec<u8>, errors: &mut FileErrors) {
        let confined = path.starts_with(&self.path(""))
            && path.split('/').all(|part| part != ".." && !part.is_empty());
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if let Some((suffix, status)) = self.refuse
            && path.ends_with(suffix)
        {
            errors.insert(path, Status(status), "refused");
        } else if confined {
            assert!(self.folders.contains(folder), "{folder} was not made");
            self.files.insert(path, bytes);
        } else {
            errors.insert(path.clone(), Status::GENERIC, "the path leaves its folder");
            self.refused.push(path);
        }
    }

    fn answer(&mut self, message: PhoneMessage) -> StatusResponse {
        match message {
            PhoneMessage::GetFreeDiskSpace => StatusResponse::bytes(self.free),
            PhoneMessage::PurgeDiskSpace { amount, urgency } => {
                assert_eq!(urgency, 4);
                self.log.push(format!("purge {amount}"));
                if self.purges {
                    self.free += amount;
                    StatusResponse::bytes(amount)
                } else {
                    StatusResponse::error(Status::GENERIC, "DLPurgeDiskSpace failed to purge")
                }
            }
            PhoneMessage::CreateDirectory { path, .. } => {
                if self.folders.insert(path) {
                    StatusResponse::ok()
                } else {
                    StatusResponse::error(Status::EXISTS, "File exists")
                }
            }
            PhoneMessage::ContentsOfDirectory { path, .. } => self.list(&path),
            PhoneMessage::MoveItems { items, .. } => {
                assert!(items.len() <= 128);
                self.rename(items)
            }
            PhoneMessage::RemoveItems { paths, .. } => self.unlink(&paths),
            PhoneMessage::Unknown { name, .. } => {
                self.log.push(format!("unknown {name}"));
                StatusResponse::error(Status::UNIMPLEMENTED, "Unimplemented")
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    fn list(&self, path: &str) -> StatusResponse {
        if !self.folders.contains(path) {
            return StatusResponse::error(Status::NOT_FOUND, "No such file or directory");
        }
        let top = format!("{path}/");
        let name = |entry: &str| {
            entry.strip_prefix(&top).filter(|name| !name.contains('/')).map(ToOwned::to_owned)
        };
        let mut listing = Listing::default();
        for folder in &self.folders {
            if let Some(name) = name(folder) {
                listing.0.insert(
                    name,
                    ListingEntry { kind: EntryKind::Directory, size: 0, modified: 0 },
                );
            }
        }
        for (file, bytes) in self.files.range(top.clone()..) {
            if !file.starts_with(&top) {
                break;
            }
            if let Some(name) = name(file) {
                let entry = ListingEntry {
                    kind: EntryKind::Regular,
                    size: bytes.len() as u64,
                    modified: 0,
                };
                listing.0.insert(name, entry);
            }
        }
        StatusResponse::listing(&listing)
    }

    fn rename(&mut self, items: Vec<(String, String)>) -> StatusResponse {
        let mut errors = FileErrors::default();
        for (from, to) in items {
            self.log.push(format!("move {from} {to}"));
            if let Some(bytes) = self.files.remove(&from) {
                if !std::mem::take(&mut self.loses) {
                    self.files.insert(to, bytes);
                }
            } else if self.folders.contains(&from) {
                let moved =
                    |path: &str| format!("{to}{}", path.strip_prefix(&from).unwrap_or_default());
                let below = |path: &str| path == from || path.starts_with(&format!("{from}/"));
                let (gone, kept): (BTreeSet<_>, BTreeSet<_>) =
                    std::mem::take(&mut self.folders).into_iter().partition(|path| below(path));
                self.folders =
                    kept.into_iter().chain(gone.iter().map(|path| moved(path))).collect();
                let files = std::mem::take(&mut self.files).into_iter();
                self.files = files
                    .map(|(path, bytes)| (if below(&path) { moved(&path) } else { path }, bytes))
                    .collect();
            } else {
                errors.insert(from, Status::NOT_FOUND, "No such file or directory");
            }
        }
        StatusResponse::multi(&errors)
    }

    fn unlink(&mut self, paths: &[String]) -> StatusResponse {
        assert!(paths.len() <= 128);
        let mut errors = FileErrors::default();
        for path in paths {
            self.log.push(format!("remove {path}"));
            let below = |other: &str| other == path || other.starts_with(&format!("{path}/"));
            let before = self.files.len() + self.folders.len();
            self.files.retain(|other, _| !below(other));
            self.folders.retain(|other| !below(other));
            if self.files.len() + self.folders.len() == before {
                errors.insert(path.clone(), Status::NOT_FOUND, "No such file or directory");
            }
        }
        StatusResponse::multi(&errors)
    }
}
