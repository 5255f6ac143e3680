use std::io::Read as _;

use lifeboat_wire::{
    devicelink::{FileErrors, StatusResponse},
    files::{self, Decoder, Event},
};
use plist::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    BackupError, FileError, FileSource, HostPath, ProtocolError, TransferEvent, TransferStage,
    session::Session,
    worker::{Incoming, problem},
};

/// How much of a file is read and framed at once.
const BLOCK: usize = 32 * files::HOST_CHUNK;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Receives one batch of files and returns the answer to it.
    pub(super) async fn upload(&mut self) -> Result<StatusResponse, BackupError> {
        self.uploading = Some(Decoder::upload());
        loop {
            let (incoming, over) = self.take_incoming()?;
            if !incoming.is_empty() {
                let received = self.worker.receive(incoming);
                self.wait(received).await?;
            }
            if over {
                break;
            }
            self.fill().await?;
        }
        self.uploading = None;
        let ended = self.worker.end_of_batch();
        let batch = self.wait(ended).await?;
        self.reply.files_received += batch.files;
        self.reply.bytes_received += batch.bytes;
        self.reply.problems.extend(batch.problems);
        Ok(match batch.failure {
            None => StatusResponse::ok(),
            Some(failure) => {
                let object = batch.errors.to_dictionary();
                let response = StatusResponse {
                    object: Some(Value::Dictionary(object)),
                    ..StatusResponse::error(failure.status, failure.text.as_str())
                };
                self.note_failure(failure);
                response
            }
        })
    }

    /// Takes what the buffer holds of a batch, and whether the batch is over.
    fn take_incoming(&mut self) -> Result<(Vec<Incoming>, bool), BackupError> {
        let (mut incoming, mut receiving, mut over) = (Vec::new(), false, false);
        let Some(decoder) = &mut self.uploading else {
            return Ok((incoming, true));
        };
        let buffer = &mut self.transport.buffer;
        while let Some(event) = decoder.next(buffer).map_err(ProtocolError::from)? {
            incoming.push(match event {
                Event::File { device_path, host_path } => {
                    let path = HostPath::parse_in(&host_path, &self.roots)
                        .map_err(|reason| ProtocolError::path(&host_path, reason))?;
                    receiving |= path.inside().starts_with("Snapshot/");
                    Incoming::Begin { path, device_path }
                }
                Event::Data(data) => Incoming::Data(data),
                Event::End { code, text } => Incoming::End { code, text },
                Event::Terminator => {
                    over = true;
                    break;
                }
            });
        }
        if receiving {
            self.enter(TransferStage::Receiving);
        }
        Ok((incoming, over))
    }

    /// Reads the rest of a batch away.
    pub(super) async fn drain(&mut self) -> Result<(), BackupError> {
        while let Some(decoder) = &mut self.uploading {
            let buffer = &mut self.transport.buffer;
            match decoder.next(buffer).map_err(ProtocolError::from)? {
                Some(Event::Terminator) => self.uploading = None,
                Some(_) => {}
                None => self.transport.fill(self.patience.parting).await?,
            }
        }
        Ok(())
    }

    /// Sends the files the phone asks for and returns the answer that follows them.
    pub(super) async fn download(
        &mut self,
        paths: Vec<String>,
    ) -> Result<StatusResponse, BackupError> {
        let mut errors = FileErrors::default();
        self.sending = true;
        for path in paths {
            let checked = HostPath::parse_in(&path, &self.roots)
                .map_err(|reason| ProtocolError::path(&path, reason))?;
            if let Err(error) = self.send_file(checked, &path).await? {
                errors.insert(path.as_str(), error.status(), error.phone_text());
                // The phone asks for files that may not be there; only other failures are ours.
                if !matches!(error, FileError::NotFound) {
                    let problem = problem(&error, &path, "");
                    self.observer.tell(TransferEvent::FileError(&problem));
                    self.reply.problems.push(problem);
                }
            }
        }
        self.write(&files::TERMINATOR).await?;
        self.sending = false;
        Ok(StatusResponse::multi(&errors))
    }

    /// Sends one file with its end; the inner result is what the phone was told.
    async fn send_file(
        &mut self,
        path: HostPath,
        name: &str,
    ) -> Result<Result<(), FileError>, BackupError> {
        let mut frame = Vec::new();
        files::encode_download(name, &mut frame);
        let opened = self.call(move |files| files.open(&path)).await?;
        let sent = match opened {
            Ok(source) => self.send_content(source, frame).await?,
            Err(error) => {
                self.write(&frame).await?;
                self.in_file = true;
                Err(error)
            }
        };
        let mut end = Vec::new();
        match &sent {
            Ok(()) => files::encode_end(files::SUCCESS, "", &mut end),
            Err(error) => {
                files::encode_end(error.status().end_code(), error.phone_text(), &mut end);
            }
        }
        self.write(&end).await?;
        self.in_file = false;
        Ok(sent)
    }

    /// Sends the content of a file after what `frame` already holds.
    async fn send_content(
        &mut self,
        source: FileSource,
        frame: Vec<u8>,
    ) -> Result<Result<(), FileError>, BackupError> {
        let mut reading = Reading { left: source.size, source, plain: Vec::new(), frame, bytes: 0 };
        loop {
            let (back, result) = self
                .call(move |_| {
                    let result = reading.next();
                    (reading, result)
                })
                .await?;
            reading = back;
            self.write(&reading.frame).await?;
            self.in_file = true;
            reading.frame.clear();
            self.reply.bytes_sent += reading.bytes;
            self.observer.tell(TransferEvent::Sent { bytes: reading.bytes });
            match result {
                Err(error) => return Ok(Err(error)),
                Ok(()) if reading.left == 0 => return Ok(Ok(())),
                Ok(()) => {}
            }
        }
    }
}

/// A file on its way to the phone: read and framed on the worker's thread, block after block.
struct Reading {
    source: FileSource,
    left: u64,
    /// Content of the block, reused.
    plain: Vec<u8>,
    /// The framed block, reused.
    frame: Vec<u8>,
    /// How much content the block holds.
    bytes: u64,
}

impl Reading {
    /// Reads the next block and frames it in chunks. A file that ends early is an error.
    fn next(&mut self) -> Result<(), FileError> {
        let want = usize::try_from(self.left).map_or(BLOCK, |left| left.min(BLOCK));
        self.plain.resize(want, 0);
        let mut filled = 0;
        let mut ended = None;
        while filled < want {
            let rest = self.plain.get_mut(filled..).unwrap_or_default();
            match self.source.reader.read(rest) {
                Ok(0) => {
                    ended = Some(std::io::ErrorKind::UnexpectedEof.into());
                    break;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    ended = Some(error);
                    break;
                }
            }
        }
        self.plain.truncate(filled);
        for chunk in self.plain.chunks(files::HOST_CHUNK) {
            files::encode_chunk(chunk, &mut self.frame);
        }
        self.bytes = u64::try_from(filled).unwrap_or(u64::MAX);
        self.left -= self.bytes;
        match ended {
            // Not "not found" or the like: it was there when it was opened.
            Some(error) => Err(FileError::Io(error)),
            None => Ok(()),
        }
    }
}
