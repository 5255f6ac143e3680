//! lockdownd: the phone's door. It tells values, pairs, opens sessions and starts services.
//!
//! [`serve`] is one connection; [`requests`] answers without I/O; [`pairing`] is the trust between
//! phone and computer; [`values`] is what the phone tells about itself.

mod pairing;
mod requests;
mod values;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lifeboat_wire::plist_guard::Limits;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::channel::{self, ChannelError, Paced, Rewound};
use crate::phone::Phone;
use requests::{Conversation, Then};

/// How long a handshake may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(30);

/// A connection to lockdownd, in plain text or, within a session, in TLS.
enum Line {
    Plain(Rewound),
    Tls(Box<TlsStream<Rewound>>),
}

/// Speaks with one host until it closes, is silent for too long, or breaks the rules.
pub(crate) async fn serve(phone: Arc<Phone>, stream: Rewound) -> Result<(), ChannelError> {
    let idle = Duration::from_secs(phone.spec.knobs.lockdown_idle);
    let mut line = Paced::new(Line::Plain(stream), &phone.spec.knobs);
    let mut conversation = Conversation::new(Arc::clone(&phone));
    loop {
        let next = channel::receive_exactly(&mut line, &Limits::MESSAGE);
        let Ok(request) = timeout(idle, next).await else {
            tracing::debug!("lockdownd closes a silent connection");
            break;
        };
        let Some(request) = request? else { break };
        if refuses_to_answer(&phone) {
            tokio::io::copy(&mut line, &mut tokio::io::sink()).await?;
            break;
        }
        let reply = conversation.answer(&request);
        channel::send(&mut line, reply.keys).await?;
        let inner = line.into_inner();
        let switched = match reply.then {
            Then::Continue => Some(inner),
            Then::Close => {
                line = Paced::new(inner, &phone.spec.knobs);
                break;
            }
            Then::StartTls(config) => limited(HANDSHAKE, inner.start_tls(&phone, config)).await?,
            Then::StopTls => limited(idle, inner.stop_tls()).await?,
        };
        let Some(inner) = switched else { return Ok(()) };
        line = Paced::new(inner, &phone.spec.knobs);
    }
    line.into_inner().close(phone.spec.knobs.close_notify).await;
    Ok(())
}

/// Waits for a step that takes a limited time.
async fn limited<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, step).await?
}

fn refuses_to_answer(phone: &Phone) -> bool {
    let concerns = |service: Option<&str>| service.is_none_or(|service| service == "lockdownd");
    phone.faults.fire_if("no-answer", |fault| concerns(fault.text("service"))).is_some()
}

impl Line {
    /// Upgrades in place; nothing when the phone aborts.
    async fn start_tls(self, phone: &Phone, config: Arc<ServerConfig>) -> io::Result<Option<Self>> {
        let Self::Plain(stream) = self else { return Ok(Some(self)) };
        let abort = phone.faults.fire_if("tls-abort", |fault| fault.text("service").is_none());
        if abort.is_some() {
            return Ok(None);
        }
        let tls = TlsAcceptor::from(config).accept(stream).await?;
        Ok(Some(Self::Tls(Box::new(tls))))
    }

    /// Ends the session: plain text comes next. Hosts end TLS with a word or without one.
    async fn stop_tls(self) -> io::Result<Option<Self>> {
        let Self::Tls(mut tls) = self else { return Ok(Some(self)) };
        if let Some(20..=24) = tls.get_mut().0.peek().await? {
            let rest = tokio::io::copy(&mut tls, &mut tokio::io::sink()).await;
            if let Err(error) = rest {
                tracing::debug!(%error, "the host ended TLS in its own way");
            }
        }
        tls.get_mut().1.send_close_notify();
        tls.flush().await?;
        let mut plain = tls.into_inner().0;
        channel::skip_tls_records(&mut plain).await?;
        Ok(plain.peek().await?.map(|_| Self::Plain(plain)))
    }

    async fn close(self, close_notify: bool) {
        match self {
            Self::Plain(mut stream) => channel::close(&mut stream).await,
            Self::Tls(mut tls) if close_notify => channel::close(&mut tls).await,
            Self::Tls(tls) => channel::close(&mut tls.into_inner().0).await,
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
