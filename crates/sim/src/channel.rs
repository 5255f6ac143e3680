//! Byte streams between a host and the phone, and the property lists on them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lifeboat_wire::plist_frame::{self, FrameError};
use lifeboat_wire::plist_guard::{self, Limits, PlistError};
use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::options::Knobs;

/// Any stream the simulator can speak over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream whose first bytes were read already.
pub(crate) struct Rewound {
    early: Bytes,
    inner: Box<dyn Stream>,
}

impl Rewound {
    /// Puts `early` before what `inner` still gives.
    pub(crate) fn new(early: Bytes, inner: impl Stream + 'static) -> Self {
        Self { early, inner: Box::new(inner) }
    }

    /// Returns the next byte without taking it; nothing at the end of the stream.
    pub(crate) async fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.early.is_empty() {
            let mut byte = [0];
            if self.inner.read(&mut byte).await? == 0 {
                return Ok(None);
            }
            self.early = Bytes::copy_from_slice(&byte);
        }
        Ok(self.early.first().copied())
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        let length = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A stream that writes in pieces and not faster than a phone would.
///
/// It stands above TLS, so that a piece is a TLS record and frames are cut between records.
pub(crate) struct Paced<S> {
    inner: S,
    fragment: usize,
    pace: Option<Pace>,
}

struct Pace {
    bytes_per_second: u64,
    free_at: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// The longest time one piece may take at the pace; smaller pieces make a smoother flow.
const PIECES_PER_SECOND: u64 = 50;

impl<S> Paced<S> {
    /// Puts the pace of the knobs on a stream.
    pub(crate) fn new(inner: S, knobs: &Knobs) -> Self {
        let pace = knobs.throttle.map(|bytes_per_second| Pace {
            bytes_per_second,
            free_at: Instant::now(),
            sleep: None,
        });
        Self { inner, fragment: knobs.fragment.unwrap_or(usize::MAX), pace }
    }

    /// Gives the stream back.
    pub(crate) fn into_inner(self) -> S {
        self.inner
    }
}

impl Pace {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.sleep.is_none() && self.free_at > Instant::now() {
            self.sleep = Some(Box::pin(tokio::time::sleep_until(self.free_at)));
        }
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(context));
            self.sleep = None;
        }
        Poll::Ready(())
    }

    fn largest(&self) -> usize {
        let piece = (self.bytes_per_second / PIECES_PER_SECOND).max(1);
        usize::try_from(piece).unwrap_or(usize::MAX)
    }

    fn sent(&mut self, bytes: usize) {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(Instant::now()) + cost;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut length = bytes.len().min(self.fragment);
        if let Some(pace) = &mut self.pace {
            ready!(pace.poll_ready(context));
            length = length.min(pace.largest());
        }
        let piece = bytes.get(..length).unwrap_or(bytes);
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, piece))?;
        if let Some(pace) = &mut self.pace {
            pace.sent(written);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// How long the end of a connection waits for the host to close as well.
const GOODBYE: Duration = Duration::from_secs(2);

/// Closes a stream so that what was written last still arrives: says that nothing more comes, and
/// reads until the host closes too. A stream that is dropped with unread bytes would be reset.
pub(crate) async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let goodbye = async {
        stream.shutdown().await?;
        tokio::io::copy(stream, &mut tokio::io::sink()).await
    };
    drop(tokio::time::timeout(GOODBYE, goodbye).await);
}

/// A stream of property lists, each after its length.
pub(crate) struct PlistChannel<S> {
    stream: S,
    buffer: BytesMut,
    limits: Limits,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PlistChannel<S> {
    /// Speaks property lists over a stream.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), limits: Limits::MESSAGE }
    }

    /// Returns the next dictionary; nothing when the host has closed. May be cancelled.
    pub(crate) async fn receive(&mut self) -> Result<Option<Dictionary>, ChannelError> {
        loop {
            if let Some(frame) = plist_frame::take(&mut self.buffer, self.limits.bytes)? {
                return dictionary(&frame, &self.limits).map(Some);
            }
            if read_some(&mut self.stream, &mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends a dictionary as XML, as services of a phone do.
    pub(crate) async fn send(&mut self, keys: Dictionary) -> Result<(), ChannelError> {
        send(&mut self.stream, keys).await
    }

    /// Sends an array as XML.
    pub(crate) async fn send_array(&mut self, array: Vec<Value>) -> Result<(), ChannelError> {
        send_value(&mut self.stream, &Value::Array(array)).await
    }
}

/// Reads what is there; 0 at the end. A host that closes TLS without a word has closed as well.
async fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<usize, ChannelError> {
    match stream.read_buf(buffer).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        other => Ok(other?),
    }
}

/// Reads one dictionary and not a byte more: TLS may begin right after it. Nothing at the end.
pub(crate) async fn receive_exactly(
    stream: &mut (impl AsyncRead + Unpin),
    limits: &Limits,
) -> Result<Option<Dictionary>, ChannelError> {
    let mut buffer = BytesMut::new();
    let mut missing = 4;
    loop {
        let read = read_some(&mut stream.take(missing), &mut buffer).await?;
        if read == 0 {
            return Ok(None);
        }
        if let Some(frame) = plist_frame::take(&mut buffer, limits.bytes)? {
            return dictionary(&frame, limits).map(Some);
        }
        let whole = plist_frame::peek(&buffer, limits.bytes)?.unwrap_or(0) + 4;
        missing = (whole - buffer.len().min(whole)) as u64;
    }
}

/// Sends a dictionary as XML after its length.
pub(crate) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    keys: Dictionary,
) -> Result<(), ChannelError> {
    send_value(stream, &Value::Dictionary(keys)).await
}

async fn send_value(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &Value,
) -> Result<(), ChannelError> {
    let frame = plist_frame::encode(&plist_guard::to_xml(value));
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(())
}

fn dictionary(frame: &[u8], limits: &Limits) -> Result<Dictionary, ChannelError> {
    plist_guard::parse(frame, limits)?.into_dictionary().ok_or(ChannelError::NotADictionary)
}

/// A host broke the rules of a property-list stream, or the stream broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ChannelError {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The length is not acceptable.
    #[error("the host sent no acceptable frame")]
    Frame(#[from] FrameError),
    /// The content is not acceptable.
    #[error("the host sent no acceptable property list")]
    Plist(#[from] PlistError),
    /// The property list is something else.
    #[error("the host sent a property list that is not a dictionary")]
    NotADictionary,
}

/// Skips what rustls may have left behind: TLS records between a session and plain text again.
pub(crate) async fn skip_tls_records(stream: &mut Rewound) -> io::Result<()> {
    while let Some(20..=24) = stream.peek().await? {
        let mut header = [0; 5];
        stream.read_exact(&mut header).await?;
        let length = u64::from(u16::from_be_bytes([header[3], header[4]]));
        tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Dictionary {
        Dictionary::from_iter([("Request", Value::from("QueryType"))])
    }

    #[tokio::test]
    async fn not_a_byte_more_than_the_frame_is_read() {
        let mut bytes = Vec::new();
        send(&mut bytes, hello()).await.unwrap();
        bytes.extend_from_slice(b"\x16\x03\x01");
        let mut rest = bytes.as_slice();
        let got = receive_exactly(&mut rest, &Limits::MESSAGE).await.unwrap().unwrap();
        assert_eq!(got, hello());
        assert_eq!(rest, b"\x16\x03\x01");
    }

    #[tokio::test]
    async fn frames_survive_being_written_byte_by_byte() {
        let (host, phone) = tokio::io::duplex(64);
        let knobs = Knobs { fragment: Some(1), ..Knobs::default() };
        let mut phone = PlistChannel::new(Paced::new(phone, &knobs));
        let mut host = PlistChannel::new(host);
        let (sent, got) = tokio::join!(phone.send(hello()), host.receive());
        sent.unwrap();
        assert_eq!(got.unwrap(), Some(hello()));
        drop(host);
        assert_eq!(phone.receive().await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_phone_takes_its_time() {
        let (host, phone) = tokio::io::duplex(1 << 20);
        let knobs = Knobs { throttle: Some(1000), ..Knobs::default() };
        let mut phone = Paced::new(phone, &knobs);
        let start = Instant::now();
        phone.write_all(&[0; 10_000]).await.unwrap();
        let took = start.elapsed();
        assert!((9..=11).contains(&took.as_secs()), "{took:?}");
        drop(host);
    }

    #[tokio::test]
    async fn tls_records_are_skipped_and_frames_are_not() {
        let mut bytes = vec![21, 3, 3, 0, 2, 1, 0];
        send(&mut bytes, hello()).await.unwrap();
        let (mut host, phone) = tokio::io::duplex(4096);
        host.write_all(&bytes).await.unwrap();
        let mut phone = Rewound::new(Bytes::new(), phone);
        skip_tls_records(&mut phone).await.unwrap();
        let got = receive_exactly(&mut phone, &Limits::MESSAGE).await.unwrap();
        assert_eq!(got, Some(hello()));
    }
}
