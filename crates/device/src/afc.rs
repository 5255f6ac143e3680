//! A conversation with AFC, the device's file service: open, lock, read, close.
//!
//! One question, one answer, both counted. Every wait has a limit. A handle is a number, not a guard: whoever opens
//! closes, and what a broken connection leaves open is closed by the device itself.

use std::io;

use bytes::BytesMut;
use lifeboat_wire::afc::{
    Answer, Decoder, ErrorCode, LockOperation, OpenMode, PACKET_LIMIT, Request,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::error::LinkError;
use crate::limit::{ANSWER, within};

/// How much is asked for at once.
const CHUNK: u64 = 1 << 20;
/// How much is taken from the stream at once.
const BUFFER: usize = 64 << 10;

/// Why a question was not answered as wished.
#[derive(Debug)]
pub(crate) enum AfcError {
    /// The device said no; the conversation goes on.
    Refused(ErrorCode),
    /// The conversation is over.
    Link(LinkError),
}

impl From<LinkError> for AfcError {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<AfcError> for LinkError {
    fn from(error: AfcError) -> Self {
        match error {
            AfcError::Refused(code) => {
                Self::Malformed(format!("the file service refused ({code:?})"))
            }
            AfcError::Link(error) => error,
        }
    }
}

type Result<T> = std::result::Result<T, AfcError>;

/// An opened file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle(u64);

/// What the device says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileFacts {
    /// Its size in bytes.
    pub(crate) size: u64,
    /// It is a folder.
    pub(crate) folder: bool,
}

/// A connection to the service.
#[derive(Debug)]
pub(crate) struct Afc<S> {
    stream: S,
    decoder: Decoder,
    /// Number of the last question.
    number: u64,
    /// A question was asked whose answer was not read: what comes next is not ours to understand.
    broken: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Afc<S> {
    /// Talks over the stream of the started service.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, decoder: Decoder::new(PACKET_LIMIT), number: 0, broken: false }
    }

    /// Opens a file.
    pub(crate) async fn open(&mut self, path: &str, mode: OpenMode) -> Result<Handle> {
        let request = Request::Open { mode, path: path.to_owned() };
        match self.ask("opening a file of the device", &request).await? {
            Answer::Opened(handle) => Ok(Handle(handle)),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes a lock or gives it back; the device does not wait for whoever holds it.
    pub(crate) async fn lock(&mut self, file: Handle, operation: LockOperation) -> Result<()> {
        let request = Request::Lock { handle: file.0, operation };
        done(&self.ask("locking a file of the device", &request).await?)
    }

    /// Closes a file; its locks end with it.
    pub(crate) async fn close(&mut self, file: Handle) -> Result<()> {
        let request = Request::Close { handle: file.0 };
        done(&self.ask("closing a file of the device", &request).await?)
    }

    /// Reads a whole file of at most `limit` bytes; `None` where there is none.
    pub(crate) async fn read_file(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let size = match self.size(path).await {
            Err(AfcError::Refused(ErrorCode::NotFound)) => return Ok(None),
            size => size?,
        };
        if size > limit {
            return Err(malformed("a file of the media folder is too large"));
        }
        let file = self.open(path, OpenMode::Read).await?;
        let read = self.read(file, size).await;
        let closed = self.close(file).await;
        let data = read?;
        closed?;
        Ok(Some(data))
    }

    async fn size(&mut self, path: &str) -> Result<u64> {
        Ok(self.facts(path).await?.size)
    }

    /// Returns what the device says of a file or folder.
    pub(crate) async fn facts(&mut self, path: &str) -> Result<FileFacts> {
        let request = Request::FileInfo(path.to_owned());
        let Answer::Data(facts) = self.ask("asking for a file of the device", &request).await?
        else {
            return Err(malformed("no facts about a file"));
        };
        let (mut size, mut folder) = (None, false);
        let mut words = facts.split(|byte| *byte == 0);
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            match key {
                b"st_size" => {
                    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    size =
                        Some(number.ok_or_else(|| malformed("the size of a file is no number"))?);
                }
                b"st_ifmt" => folder = value == b"S_IFDIR",
                _ => {}
            }
        }
        let size = size.ok_or_else(|| malformed("a file without a size"))?;
        Ok(FileFacts { size, folder })
    }

    /// Returns the names in a folder, those that stand for itself and the one above left out.
    pub(crate) async fn names(&mut self, path: &str) -> Result<Vec<String>> {
        let request = Request::ReadDirectory(path.to_owned());
        let Answer::Data(names) = self.ask("listing a folder of the device", &request).await?
        else {
            return Err(malformed("no names of a folder"));
        };
        let names = names.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        // A name with a slash would be a path of the device's choice.
        let names = names
            .filter(|name| !name.is_empty() && name != "." && name != ".." && !name.contains('/'));
        Ok(names.map(std::borrow::Cow::into_owned).collect())
    }

    /// Reads `size` bytes, fewer where the file has become shorter.
    async fn read(&mut self, file: Handle, size: u64) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        let mut left = size;
        while left > 0 {
            let request = Request::Read { handle: file.0, length: left.min(CHUNK) };
            let part = match self.ask("reading a file of the device", &request).await {
                Err(AfcError::Refused(ErrorCode::EndOfData)) => break,
                Ok(Answer::Data(part)) => part,
                Ok(other) => return Err(unexpected(&other)),
                Err(error) => return Err(error),
            };
            if part.is_empty() {
                break;
            }
            left = u64::try_from(part.len())
                .ok()
                .and_then(|length| left.checked_sub(length))
                .ok_or_else(|| malformed("more of a file than was asked for"))?;
            data.extend_from_slice(&part);
        }
        Ok(data)
    }

    /// Asks and waits for the answer. A question that is given up, by a limit or by the caller, ends the conversation.
    async fn ask(&mut self, doing: &'static str, request: &Request) -> Result<Answer> {
        if self.broken {
            return Err(LinkError::Lost(io::ErrorKind::NotConnected.into()).into());
        }
        self.broken = true;
        let answer = within(ANSWER, doing, self.exchange(request)).await?;
        self.broken = false;
        match answer {
            Answer::Status(ErrorCode::Ok) => Ok(answer),
            Answer::Status(code) => Err(AfcError::Refused(code)),
            answer => Ok(answer),
        }
    }

    async fn exchange(&mut self, request: &Request) -> std::result::Result<Answer, LinkError> {
        self.number += 1;
        let question = request.to_packet(self.number).encode();
        self.stream.write_all(&question).await.map_err(LinkError::Lost)?;
        self.stream.flush().await.map_err(LinkError::Lost)?;
        let mut buffer = BytesMut::with_capacity(BUFFER);
        loop {
            if let Some(packet) = self.decoder.next().map_err(|error| nonsense(&error))? {
                if packet.number != self.number {
                    return Err(LinkError::Malformed(
                        "the file service answered another question".into(),
                    ));
                }
                return Answer::from_packet(&packet).map_err(|error| nonsense(&error));
            }
            buffer.clear();
            if self.stream.read_buf(&mut buffer).await.map_err(LinkError::Lost)? == 0 {
                return Err(LinkError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            self.decoder.push(&buffer);
        }
    }
}

fn done(answer: &Answer) -> Result<()> {
    match answer {
        Answer::Status(ErrorCode::Ok) => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(answer: &Answer) -> AfcError {
    malformed(match answer {
        Answer::Status(_) => "the file service answered only that it is done",
        Answer::Data(_) => "the file service answered with data",
        Answer::Opened(_) => "the file service answered with a handle",
        Answer::Position(_) => "the file service answered with a position",
    })
}

fn malformed(what: &str) -> AfcError {
    LinkError::Malformed(what.to_owned()).into()
}

fn nonsense(error: &lifeboat_wire::afc::AfcError) -> LinkError {
    LinkError::Malformed(error.to_string())
}

#[cfg(test)]
pub(crate) mod tests;
