use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio_util::sync::CancellationToken;

/// A stream that at one point takes only a part of what is written: the rest of that never, but anything else that is
/// written then.
pub(super) struct Choke {
    stream: DuplexStream,
    throat: Throat,
}

/// Where a [`Choke`] chokes, for the test.
#[derive(Clone, Default)]
pub(super) struct Throat {
    room: Arc<Mutex<Option<usize>>>,
    stuck: Arc<Mutex<Option<Vec<u8>>>>,
    /// It chokes.
    pub(super) chokes: CancellationToken,
}

impl Throat {
    /// Takes that many bytes from here on, and then the rest of that write never.
    pub(super) fn narrow(&self, room: usize) {
        *self.room.lock().unwrap() = Some(room);
    }
}

impl Choke {
    pub(super) fn new(stream: DuplexStream) -> (Self, Throat) {
        let throat = Throat::default();
        (Self { stream, throat: throat.clone() }, throat)
    }
}

impl AsyncRead for Choke {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Choke {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.throat.stuck.lock().unwrap().as_deref() == Some(bytes) {
            self.throat.chokes.cancel();
            return Poll::Pending;
        }
        let room = *self.throat.room.lock().unwrap();
        let fits = room.map_or(bytes, |room| &bytes[..room.min(bytes.len())]);
        let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, fits))?;
        let left = room.map(|room| room - taken);
        if left == Some(0) {
            *self.throat.stuck.lock().unwrap() = Some(bytes[taken..].to_vec());
        }
        *self.throat.room.lock().unwrap() = left.filter(|left| *left > 0);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
