use bytes::BytesMut;
use lifeboat_wire::{
    devicelink::{HostMessage, PhoneMessage, StatusResponse, VersionAnswer},
    files::{self, Decoder, Event},
    plist_frame,
    plist_guard::Limits,
};
use plist::{Dictionary, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// The phone's end of the stream.
pub(super) struct Phone {
    stream: DuplexStream,
    buffer: BytesMut,
    /// The longest unit the host sent inside a file.
    pub(super) longest_chunk: usize,
}

/// A file that the phone sends.
pub(super) struct File<'a> {
    pub(super) host_path: String,
    pub(super) content: &'a [u8],
    pub(super) code: u8,
}

pub(super) fn file<'a>(host_path: &str, content: &'a [u8]) -> File<'a> {
    File { host_path: host_path.to_owned(), content, code: files::SUCCESS }
}

impl File<'_> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        files::encode_upload("/var/tmp/x", &self.host_path, out);
        // As large as the largest chunk a phone was ever said to send.
        for chunk in self.content.chunks(1 << 20) {
            files::encode_chunk(chunk, out);
        }
        let text = if self.code == files::SUCCESS { "" } else { "Input/output error (5)" };
        files::encode_end(self.code, text, out);
    }
}

/// The answer to the request.
pub(super) fn response(code: i64, description: Option<&str>) -> PhoneMessage {
    let mut keys = Dictionary::new();
    keys.insert("MessageName".into(), "Response".into());
    keys.insert("ErrorCode".into(), code.into());
    if let Some(description) = description {
        keys.insert("ErrorDescription".into(), description.into());
    }
    PhoneMessage::ProcessMessage(keys)
}

impl Phone {
    pub(super) fn new(stream: DuplexStream) -> Self {
        Self { stream, buffer: BytesMut::new(), longest_chunk: 0 }
    }

    /// Opens the session and returns the host's request.
    pub(super) async fn open(&mut self, version: i64) -> Dictionary {
        self.shake_hands(version).await;
        let Some(PhoneMessage::ProcessMessage(mut hello)) = Some(response(0, None)) else {
            unreachable!("it is one");
        };
        hello.insert("ProtocolVersion".into(), Value::Real(2.1));
        self.send(&PhoneMessage::ProcessMessage(hello)).await;
        match self.message().await {
            Some(HostMessage::ProcessMessage(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    /// Opens the session as far as the host's Hello.
    pub(super) async fn shake_hands(&mut self, major: i64) {
        self.send(&PhoneMessage::VersionExchange { major, minor: 0 }).await;
        assert_eq!(
            self.message().await,
            Some(HostMessage::VersionExchange { answer: VersionAnswer::Ok, version: Some(400) })
        );
        self.send(&PhoneMessage::DeviceReady).await;
        match self.message().await {
            Some(HostMessage::ProcessMessage(hello)) => {
                let name = hello.get("MessageName").and_then(Value::as_string);
                assert_eq!(name, Some("Hello"));
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn send(&mut self, message: &PhoneMessage) {
        self.send_unit(&message.encode()).await;
    }

    pub(super) async fn send_unit(&mut self, unit: &[u8]) {
        self.raw(&plist_frame::encode(unit)).await;
    }

    /// Sends bytes; a host that is gone already does not matter.
    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).await);
    }

    /// Sends a message and returns the host's answer.
    pub(super) async fn ask(&mut self, message: PhoneMessage) -> StatusResponse {
        self.send(&message).await;
        self.status().await
    }

    pub(super) async fn status(&mut self) -> StatusResponse {
        match self.message().await {
            Some(HostMessage::Status(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Sends one batch and returns the host's answer.
    pub(super) async fn upload(&mut self, batch: &[File<'_>]) -> StatusResponse {
        self.send(&PhoneMessage::UploadFiles { progress: Some(50.0), size: 0 }).await;
        self.send_files(batch).await;
        self.status().await
    }

    pub(super) async fn send_files(&mut self, batch: &[File<'_>]) {
        let mut stream = Vec::new();
        for file in batch {
            file.encode(&mut stream);
        }
        files::encode_terminator(&mut stream);
        self.raw(&stream).await;
    }

    /// Asks for files and returns path, content, end code and text of each, and the host's answer.
    pub(super) async fn download(
        &mut self,
        paths: &[&str],
    ) -> (Vec<(String, Vec<u8>, u8, String)>, StatusResponse) {
        self.want(paths).await;
        (self.receive_files().await, self.status().await)
    }

    /// Asks for files.
    pub(super) async fn want(&mut self, paths: &[&str]) {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        self.send(&PhoneMessage::DownloadFiles { paths, progress: None, size: 0 }).await;
    }

    /// Receives the files that were asked for.
    pub(super) async fn receive_files(&mut self) -> Vec<(String, Vec<u8>, u8, String)> {
        let mut decoder = Decoder::download();
        let (mut received, mut name, mut content) = (Vec::new(), String::new(), Vec::new());
        loop {
            match decoder.next(&mut self.buffer).unwrap() {
                Some(Event::File { host_path, .. }) => name = host_path,
                Some(Event::Data(data)) => {
                    self.longest_chunk = self.longest_chunk.max(data.len() + decoder.missing());
                    content.extend_from_slice(&data);
                }
                Some(Event::End { code, text }) => {
                    received.push((name.clone(), std::mem::take(&mut content), code, text));
                }
                Some(Event::Terminator) => break,
                None => assert!(self.fill().await, "the host closed inside a batch"),
            }
        }
        received
    }

    /// Waits until something of the host's arrived.
    pub(super) async fn hear(&mut self) {
        assert!(self.fill().await, "the host closed");
    }

    /// Reads until the host closes and returns what was not read before.
    pub(super) async fn rest(&mut self) -> BytesMut {
        self.until_closed().await;
        std::mem::take(&mut self.buffer)
    }

    /// Reads the host's next message; nothing when it closed.
    pub(super) async fn message(&mut self) -> Option<HostMessage> {
        loop {
            if let Some(unit) = plist_frame::take(&mut self.buffer, 1 << 20).unwrap() {
                return Some(HostMessage::decode(&unit, &Limits::MESSAGE).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads until the host says goodbye, and says it too.
    pub(super) async fn until_goodbye(&mut self) {
        loop {
            match self.message().await {
                Some(HostMessage::Disconnect { .. }) => break,
                Some(_) => {}
                None => panic!("the host closed without a goodbye"),
            }
        }
        let goodbye = PhoneMessage::Disconnect { reason: Some("Session complete".into()) };
        self.send(&goodbye).await;
        self.until_closed().await;
    }

    /// Reads until the host closes.
    pub(super) async fn until_closed(&mut self) {
        while self.fill().await {}
    }

    async fn fill(&mut self) -> bool {
        self.stream.read_buf(&mut self.buffer).await.unwrap() > 0
    }
}
