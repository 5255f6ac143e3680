//! Doors to the network: names, connections, TLS, pages, time. Each has a limit; none is opened unless somebody asks.
//!
//! * [`dns`]: asks one resolver; * [`tls`]: shakes hands and tells who signed; * [`page`]: one GET, of limited size;
//! * [`sntp`]: the time of a server; * [`mdns`]: what is announced on the local network.

pub mod dns;
pub mod mdns;
pub mod page;
pub mod sntp;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::look::{LookError, apart};
pub use crate::net::page::{Get, Page};
pub use crate::net::tls::{Signed, TlsQuestion, Trust};
use crate::route::{self, Routes};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a door stayed shut.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// No answer in time.
    #[error("no answer within {} ms", limit.as_millis())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The other side refused the connection.
    #[error("the connection was refused")]
    Refused,
    /// This machine is described without a network: there is nothing to look at.
    #[error("this computer is described without a network")]
    Offline,
    /// There is no way there.
    #[error("there is no way there")]
    Unreachable,
    /// The resolver says that there is no such name.
    #[error("the resolver knows no such name")]
    NoSuchName,
    /// The connection broke.
    #[error("the connection broke")]
    Lost(#[source] io::Error),
    /// The encrypted connection failed.
    #[error("the encrypted connection failed: {0}")]
    Tls(String),
    /// The certificate is not signed by anybody who is trusted, or is out of date.
    #[error("the certificate is not trusted: {0}")]
    Untrusted(String),
    /// More came than was asked for.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer makes no sense.
    #[error("the answer makes no sense: {0}")]
    Malformed(&'static str),
    /// The address makes no sense.
    #[error("not an address: {0:?}")]
    Address(String),
}

impl NetworkError {
    /// Returns the error for what the system said.
    pub fn from_io(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Self::Unreachable,
            _ => Self::Lost(source),
        }
    }
}

/// Who is asked for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// What this machine uses.
    System,
    /// A resolver by its address.
    At(SocketAddr),
}

/// How a series of small packets went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pings {
    /// Packets sent.
    pub sent: u32,
    /// Packets that came back.
    pub received: u32,
}

/// What was heard of a device on the local network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// Its announcement.
    Seen,
    /// That of a device under a random name, as from iOS 26.4 on: it may be this one.
    Unnamed,
    /// Only those of others.
    OthersOnly,
    /// Nothing at all.
    Nothing,
}

/// What a server says of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTime {
    /// The time now, by the server, the way of the answer counted in.
    pub now: Timestamp,
    /// How long question and answer took.
    pub round_trip: Duration,
}

/// The network: what a look may ask of it.
pub trait Network: Send + Sync {
    /// Returns default route, networks on the link and whether a tunnel is up.
    fn routes(&self) -> Result<Routes, LookError>;

    /// Returns the addresses of a name.
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        resolver: Resolver,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, NetworkError>>;

    /// Connects to an address and hangs up; returns how long it took.
    fn connect(
        &self,
        address: SocketAddr,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Duration, NetworkError>>;

    /// Shakes hands by TLS and tells who signed; nothing is sent after it.
    fn shake<'a>(
        &'a self,
        question: &'a TlsQuestion,
    ) -> BoxFuture<'a, Result<Signed, NetworkError>>;

    /// Gets a page; redirections are not followed.
    fn get<'a>(&'a self, get: &'a Get) -> BoxFuture<'a, Result<Page, NetworkError>>;

    /// Asks a server (`host:port`) for the time.
    fn time<'a>(
        &'a self,
        server: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Result<ServerTime, NetworkError>>;

    /// Sends small packets (ICMP) to an address.
    fn ping(&self, address: IpAddr, limit: Duration) -> BoxFuture<'_, Result<Pings, LookError>>;

    /// Listens on the local network for the announcement of the device with this hardware address.
    fn announced<'a>(
        &'a self,
        address: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Announced, NetworkError>>;
}

/// The real network.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealNetwork;

impl Network for RealNetwork {
    fn routes(&self) -> Result<Routes, LookError> {
        route::read()
    }

    fn resolve<'a>(
        &'a self,
        name: &'a str,
        resolver: Resolver,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, NetworkError>> {
        Box::pin(async move {
            match resolver {
                Resolver::System => resolve_as_the_system_does(name, limit).await,
                Resolver::At(address) => dns::ask(name, address, limit).await,
            }
        })
    }

    fn connect(
        &self,
        address: SocketAddr,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Duration, NetworkError>> {
        Box::pin(async move {
            let started = Instant::now();
            connect(address, limit).await?;
            Ok(started.elapsed())
        })
    }

    fn shake<'a>(
        &'a self,
        question: &'a TlsQuestion,
    ) -> BoxFuture<'a, Result<Signed, NetworkError>> {
        Box::pin(tls::shake(question))
    }

    fn get<'a>(&'a self, get: &'a Get) -> BoxFuture<'a, Result<Page, NetworkError>> {
        Box::pin(page::get(get))
    }

    fn time<'a>(
        &'a self,
        server: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Result<ServerTime, NetworkError>> {
        Box::pin(sntp::ask(server, limit))
    }

    fn ping(&self, address: IpAddr, limit: Duration) -> BoxFuture<'_, Result<Pings, LookError>> {
        Box::pin(ping(address, limit))
    }

    fn announced<'a>(
        &'a self,
        address: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Announced, NetworkError>> {
        Box::pin(mdns::listen(address, limit))
    }
}

/// Waits at most `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, NetworkError>>,
) -> Result<T, NetworkError> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(NetworkError::TimedOut { limit }),
    }
}

/// Opens a connection.
pub(crate) async fn connect(
    address: SocketAddr,
    limit: Duration,
) -> Result<TcpStream, NetworkError> {
    within(limit, async {
        let stream = TcpStream::connect(address).await.map_err(NetworkError::from_io)?;
        stream.set_nodelay(true).map_err(NetworkError::from_io)?;
        Ok(stream)
    })
    .await
}

/// Asks the system, on a thread that may be left behind: it has no limit of its own.
pub(crate) async fn resolve_as_the_system_does(
    name: &str,
    limit: Duration,
) -> Result<Vec<IpAddr>, NetworkError> {
    use std::net::ToSocketAddrs as _;
    let owned = name.to_owned();
    let found = apart(limit, move || (owned.as_str(), 0).to_socket_addrs()).await;
    match found {
        None => Err(NetworkError::TimedOut { limit }),
        Some(Ok(addresses)) => Ok(addresses.map(|address| address.ip()).collect()),
        Some(Err(_)) => Err(NetworkError::NoSuchName),
    }
}

/// Sends five packets with the system's own program.
async fn ping(address: IpAddr, limit: Duration) -> Result<Pings, LookError> {
    use crate::command::{Command, CommandError, run};
    let mut command = Command::new("ping").limit(limit);
    let words: &[&str] = if cfg!(windows) {
        &["-n", "5", "-w", "500"]
    } else {
        &["-n", "-q", "-c", "5", "-i", "0.2"]
    };
    for word in words.iter().copied().chain(std::iter::once(address.to_string().as_str())) {
        command = command.argument(word);
    }
    let seconds = limit.as_secs();
    let ended =
        apart(limit.saturating_add(Duration::from_millis(500)), move || run(&command)).await;
    match ended {
        Some(Ok(output)) => parse_pings(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| LookError::Malformed { what: "answer of ping".to_owned() }),
        // It waits for its last packet longer than we do: nothing came back.
        None | Some(Err(CommandError::TimeLimit { .. })) => {
            Err(LookError::TimedOut { what: "ping".to_owned(), seconds })
        }
        Some(Err(_)) => Err(LookError::NotThere { what: "program ping".to_owned() }),
    }
}

/// Reads the line `5 packets transmitted, 4 received, 20% packet loss` of `ping` (macOS: `4 packets received`).
pub fn parse_pings(text: &str) -> Option<Pings> {
    let line = text.lines().find(|line| line.contains("packets transmitted"))?;
    let mut numbers = line.split(',').map(|part| part.split_whitespace().next()?.parse().ok());
    let (sent, received) = (numbers.next()??, numbers.next()??);
    (received <= sent && sent > 0).then_some(Pings { sent, received })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_ping_is_read() {
        let linux = "--- 192.168.1.1 ping statistics ---\n5 packets transmitted, 4 received, 20% packet loss, time 805ms\n";
        assert_eq!(parse_pings(linux), Some(Pings { sent: 5, received: 4 }));
        let macos = "5 packets transmitted, 5 packets received, 0.0% packet loss\n";
        assert_eq!(parse_pings(macos), Some(Pings { sent: 5, received: 5 }));
        assert_eq!(parse_pings("0 packets transmitted, 3 received"), None);
        assert_eq!(parse_pings("noise"), None);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limit = Duration::from_secs(30);
        assert!(RealNetwork.connect(address, limit).await.is_ok());
        drop(listener);
        let refused = RealNetwork.connect(address, limit).await;
        assert!(matches!(refused, Err(NetworkError::Refused)), "{refused:?}");
    }

    #[tokio::test]
    async fn the_machine_knows_itself() {
        let found =
            RealNetwork.resolve("localhost", Resolver::System, Duration::from_secs(30)).await;
        assert!(found.unwrap().iter().any(IpAddr::is_loopback));
    }
}
