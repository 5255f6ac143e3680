//! Streams of files inside DeviceLink, both directions.
//!
//! After `DLMessageUploadFiles` the phone sends, and after `DLMessageDownloadFiles` the host sends, a run of units:
//!
//! ```text
//! upload:   (device path, host path, chunk*, end)*  empty
//! download: (path, chunk*, end)*                    empty
//! chunk = 0x0c data        end = 0x00 | n text
//! ```
//!
//! [`Decoder`] works on the reader's own buffer and hands out data as slices of it as soon as they arrive, so that
//! nothing is copied and a large chunk is never held as a whole. The byte `n` of a failed file is the negative of its
//! [`crate::devicelink::Status`].

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

/// First byte of a chunk of data.
pub const DATA: u8 = 0x0c;
/// First byte of the end of a whole file.
pub const SUCCESS: u8 = 0x00;
/// First byte of the end of a file that failed for a reason without a number.
pub const GENERIC_FAILURE: u8 = 0x01;
/// The unit that ends a stream.
pub const TERMINATOR: [u8; 4] = [0; 4];
/// Data bytes in a chunk from host to phone. A phone buffers a chunk as a whole and is killed when it is large.
pub const HOST_CHUNK: usize = 32_768;
/// Longest path.
pub const NAME_LIMIT: usize = 4096;
/// Longest chunk, its first byte included.
pub const CHUNK_LIMIT: usize = 16 << 20;
/// Longest error text of a file.
pub const TEXT_LIMIT: usize = 64 << 10;

/// Bytes that are no stream of files.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FilesError {
    /// A path is longer than allowed.
    #[error("path of {announced} bytes in a stream of files, allowed are {NAME_LIMIT}")]
    NameTooLong {
        /// What the length field says.
        announced: u32,
    },
    /// A chunk is longer than allowed.
    #[error("chunk of {announced} bytes in a stream of files, allowed are {CHUNK_LIMIT}")]
    ChunkTooLong {
        /// What the length field says.
        announced: u32,
    },
    /// The text of a failed file is longer than allowed.
    #[error("error text of {announced} bytes in a stream of files, allowed are {TEXT_LIMIT}")]
    TextTooLong {
        /// What the length field says.
        announced: u32,
    },
    /// An empty unit where only a path or a chunk can stand.
    #[error("empty unit inside a file")]
    EmptyUnit,
    /// A path is not UTF-8.
    #[error("path in a stream of files is not UTF-8")]
    NameNotUtf8,
}

/// What comes next in a stream of files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A file begins.
    File {
        /// Its path on the phone; empty in a download.
        device_path: String,
        /// Its path on the host, as sent.
        host_path: String,
    },
    /// Some of its content, never empty.
    Data(Bytes),
    /// The file is over.
    End {
        /// [`SUCCESS`], or the negative of a status.
        code: u8,
        /// What the sender says about it.
        text: String,
    },
    /// The stream is over. A [`Decoder`] may then read another one.
    Terminator,
}

/// Which paths begin a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    Upload,
    Download,
}

/// Where a decoder stands.
#[derive(Debug)]
enum State {
    /// Before the first path of a file, or the terminator.
    Between,
    /// Before the host's path.
    HostPath { device_path: String },
    /// Before a chunk or the end.
    InFile,
    /// Inside a chunk.
    InChunk { left: usize },
}

/// Reads one stream of files after another from a reader's buffer.
#[derive(Debug)]
pub struct Decoder {
    direction: Direction,
    state: State,
}

impl Decoder {
    /// Makes a decoder for what a phone sends.
    pub fn upload() -> Self {
        Self { direction: Direction::Upload, state: State::Between }
    }

    /// Makes a decoder for what a host sends.
    pub fn download() -> Self {
        Self { direction: Direction::Download, state: State::Between }
    }

    /// Takes the next event from the front of `buffer`, or nothing while bytes are missing.
    ///
    /// Data comes in whatever pieces the buffer holds.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Event>, FilesError> {
        loop {
            match &mut self.state {
                State::Between => {
                    let Some(name) = take_name(buffer)? else {
                        return Ok(None);
                    };
                    if name.is_empty() {
                        return Ok(Some(Event::Terminator));
                    }
                    match self.direction {
                        Direction::Upload => self.state = State::HostPath { device_path: name },
                        Direction::Download => return Ok(Some(self.begin(String::new(), name))),
                    }
                }
                State::HostPath { device_path } => {
                    let Some(name) = take_name(buffer)? else {
                        return Ok(None);
                    };
                    if name.is_empty() {
                        return Err(FilesError::EmptyUnit);
                    }
                    let device_path = std::mem::take(device_path);
                    return Ok(Some(self.begin(device_path, name)));
                }
                State::InFile => match take_chunk_head(buffer)? {
                    None => return Ok(None),
                    Some(ChunkHead::Data { length: 0 }) => {}
                    Some(ChunkHead::Data { length }) => {
                        self.state = State::InChunk { left: length }
                    }
                    Some(ChunkHead::End { code, text }) => {
                        self.state = State::Between;
                        return Ok(Some(Event::End { code, text }));
                    }
                },
                State::InChunk { left } => {
                    let length = buffer.len().min(*left);
                    if length == 0 {
                        return Ok(None);
                    }
                    *left -= length;
                    if *left == 0 {
                        self.state = State::InFile;
                    }
                    return Ok(Some(Event::Data(buffer.split_to(length).freeze())));
                }
            }
        }
    }

    /// Returns how many bytes are still missing of the chunk under way; a reader may wait for them to read in
    /// larger pieces.
    pub fn missing(&self) -> usize {
        match self.state {
            State::InChunk { left } => left,
            _ => 0,
        }
    }

    /// Says whether a file has begun and has not ended.
    pub fn in_file(&self) -> bool {
        matches!(self.state, State::InFile | State::InChunk { .. })
    }

    fn begin(&mut self, device_path: String, host_path: String) -> Event {
        self.state = State::InFile;
        Event::File { device_path, host_path }
    }
}

fn announced(buffer: &[u8]) -> Option<(u32, usize)> {
    let announced = u32::from_be_bytes(*buffer.first_chunk::<4>()?);
    Some((announced, usize::try_from(announced).unwrap_or(usize::MAX)))
}

fn take_name(buffer: &mut BytesMut) -> Result<Option<String>, FilesError> {
    let Some((announced, length)) = announced(buffer) else {
        return Ok(None);
    };
    if length > NAME_LIMIT {
        return Err(FilesError::NameTooLong { announced });
    }
    if buffer.len() - 4 < length {
        return Ok(None);
    }
    buffer.advance(4);
    String::from_utf8(buffer.split_to(length).into()).map(Some).map_err(|_| FilesError::NameNotUtf8)
}

enum ChunkHead {
    Data { length: usize },
    End { code: u8, text: String },
}

fn take_chunk_head(buffer: &mut BytesMut) -> Result<Option<ChunkHead>, FilesError> {
    let Some((announced, length)) = announced(buffer) else {
        return Ok(None);
    };
    if length > CHUNK_LIMIT {
        return Err(FilesError::ChunkTooLong { announced });
    }
    let Some(rest) = length.checked_sub(1) else {
        return Err(FilesError::EmptyUnit);
    };
    let Some(&code) = buffer.get(4) else {
        return Ok(None);
    };
    if code == DATA {
        buffer.advance(5);
        return Ok(Some(ChunkHead::Data { length: rest }));
    }
    if rest > TEXT_LIMIT {
        return Err(FilesError::TextTooLong { announced });
    }
    if buffer.len() - 5 < rest {
        return Ok(None);
    }
    buffer.advance(5);
    let text = buffer.split_to(rest);
    Ok(Some(ChunkHead::End { code, text: String::from_utf8_lossy(&text).into_owned() }))
}

/// Appends the beginning of a file that a phone sends.
pub fn encode_upload(device_path: &str, host_path: &str, out: &mut Vec<u8>) {
    encode_unit(device_path.as_bytes(), out);
    encode_unit(host_path.as_bytes(), out);
}

/// Appends the beginning of a file that a host sends.
pub fn encode_download(path: &str, out: &mut Vec<u8>) {
    encode_unit(path.as_bytes(), out);
}

/// Returns what stands before `length` bytes of data, so that the data itself need not be copied.
///
/// # Panics
/// If `length` does not fit a unit.
pub fn chunk_head(length: usize) -> [u8; 5] {
    let length = u32::try_from(length + 1).expect("a chunk is shorter than 4 GiB");
    let [a, b, c, d] = length.to_be_bytes();
    [a, b, c, d, DATA]
}

/// Appends one chunk of data.
pub fn encode_chunk(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&chunk_head(data.len()));
    out.extend_from_slice(data);
}

/// Appends the end of a file: [`SUCCESS`] without text, or a code and its text.
pub fn encode_end(code: u8, text: &str, out: &mut Vec<u8>) {
    let length = u32::try_from(text.len() + 1).expect("a text is shorter than 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.push(code);
    out.extend_from_slice(text.as_bytes());
}

/// Appends the unit that ends a stream.
pub fn encode_terminator(out: &mut Vec<u8>) {
    out.extend_from_slice(&TERMINATOR);
}

fn encode_unit(payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("a path is shorter than 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
