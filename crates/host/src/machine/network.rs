//! A described network: nothing leaves this machine, nothing waits.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, ToSpan as _};

use crate::machine::description::{AnnouncedWord, DnsWord, HostRow, NetworkRow, TcpWord, TlsWord};
use crate::net::tls::Distrust;
use crate::net::{
    Announced, BoxFuture, Get, Network, NetworkError, Page, Pings, Resolver, ServerTime, Signed,
    TlsQuestion,
};
use crate::route::Routes;
use crate::{Host, LookError};

/// The router of the described network.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

/// A described network over a real machine; the loopback is always real.
pub struct DescribedNetwork {
    row: Option<NetworkRow>,
    real: Arc<dyn Host>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Names by the addresses that were given out for them.
    names: BTreeMap<IpAddr, String>,
    /// Connections so far, by address.
    connections: BTreeMap<SocketAddr, u32>,
}

impl DescribedNetwork {
    /// Makes a network of what a description says; without a row there is none to look at.
    pub fn new(row: Option<NetworkRow>, real: Arc<dyn Host>) -> Self {
        Self { row, real, state: Mutex::default() }
    }

    /// Returns the real network where it is meant: everywhere, or on this machine itself.
    fn real(&self, local: bool) -> Option<&dyn Network> {
        let all = self.row.as_ref().is_some_and(|row| row.real);
        (all || local).then(|| self.real.network())
    }

    fn row(&self) -> Option<&NetworkRow> {
        self.row.as_ref()
    }

    /// Returns what is described for a host and, of a connection, its port.
    fn host(&self, name: &str, port: Option<u16>) -> HostRow {
        let fits = |row: &&HostRow| {
            matches(&row.name, name)
                && (row.ports.is_empty() || port.is_some_and(|port| row.ports.contains(&port)))
        };
        let rows = self.row().map(|row| row.hosts.as_slice()).unwrap_or_default();
        rows.iter().find(fits).cloned().unwrap_or_default()
    }

    fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn named(&self, address: IpAddr) -> String {
        self.state(|state| state.names.get(&address).cloned())
            .unwrap_or_else(|| address.to_string())
    }

    fn resolved(&self, name: &str, resolver: Resolver, limit: Duration) -> Resolved {
        if self.row.is_none() {
            return Err(NetworkError::Offline);
        }
        let host = self.host(name, None);
        let word = if resolver == Resolver::System { host.local_dns } else { host.public_dns };
        match word {
            DnsWord::Ok => {
                let address = address_of(name);
                self.state(|state| state.names.insert(address, name.to_owned()));
                Ok(vec![address])
            }
            DnsWord::NoSuchName => Err(NetworkError::NoSuchName),
            DnsWord::Sinkhole => Ok(vec![Ipv4Addr::UNSPECIFIED.into()]),
            DnsWord::Silent => Err(NetworkError::TimedOut { limit }),
        }
    }

    fn connected(&self, address: SocketAddr, limit: Duration) -> Result<Duration, NetworkError> {
        if self.row.is_none() {
            return Err(NetworkError::Offline);
        }
        let host = self.host(&self.named(address.ip()), Some(address.port()));
        let number = self.state(|state| {
            let count = state.connections.entry(address).or_default();
            *count += 1;
            *count
        });
        match host.tcp {
            TcpWord::Ok if is_lost(number, host.loss) => Err(NetworkError::TimedOut { limit }),
            TcpWord::Ok => {
                let more = if number.is_multiple_of(2) { host.jitter } else { 0 };
                Ok(Duration::from_millis(u64::from(host.latency) + u64::from(more)))
            }
            TcpWord::Refused => Err(NetworkError::Refused),
            TcpWord::Silent => Err(NetworkError::TimedOut { limit }),
        }
    }

    fn shaken(&self, question: &TlsQuestion) -> Result<Signed, NetworkError> {
        self.connected(question.address, question.limit)?;
        let host = self.host(&question.host, Some(question.address.port()));
        let silent = NetworkError::TimedOut { limit: question.limit };
        if question.padding > 0 && !host.large_packets {
            return Err(silent);
        }
        let now = self.real.now();
        let (issuer, wrong, from) = match host.tls {
            TlsWord::Ok => ("Apple Public Server RSA CA 12 - G1 (Apple Inc.)", None, -30),
            TlsWord::Foreign => ("Harbour Inspection CA", Some(Distrust::Issuer), -30),
            TlsWord::WrongTime => {
                ("Apple Public Server RSA CA 12 - G1 (Apple Inc.)", Some(Distrust::Time), 30)
            }
            TlsWord::Silent => return Err(silent),
            TlsWord::Broken => return Err(NetworkError::Tls("the connection broke".to_owned())),
        };
        let day = |days: i64| now.checked_add((days * 24).hours()).ok();
        Ok(Signed {
            issuers: vec![host.issuer.unwrap_or_else(|| issuer.to_owned())],
            from: day(from),
            until: day(from + 300),
            wrong,
        })
    }

    fn got(&self, get: &Get) -> Result<Page, NetworkError> {
        let Some(network) = self.row() else { return Err(NetworkError::Offline) };
        let row = network.pages.iter().find(|row| fits(&row.url, &get.url));
        let Some(row) = row else { return Ok(usual(&get.url)) };
        if row.silent {
            return Err(NetworkError::TimedOut { limit: get.limit });
        }
        let size = row.size.unwrap_or(0).max(u64::try_from(row.body.len()).unwrap_or(u64::MAX));
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > get.size {
            return Err(NetworkError::TooLong { limit: get.size });
        }
        let mut body = row.body.clone().into_bytes();
        body.resize(size, b' ');
        Ok(Page { status: row.status, location: row.location.clone(), body })
    }

    fn told(&self, server: &str, limit: Duration) -> Result<ServerTime, NetworkError> {
        let Some(network) = self.row() else { return Err(NetworkError::Offline) };
        let name = host_of(server);
        let row = network.times.iter().find(|row| matches(&row.server, name));
        if row.is_some_and(|row| row.silent) {
            return Err(NetworkError::TimedOut { limit });
        }
        let ahead = SignedDuration::from_secs(row.map_or(0, |row| row.ahead));
        let now = self.real.now();
        let now = now.checked_add(ahead).unwrap_or(now);
        Ok(ServerTime { now, round_trip: Duration::from_millis(20) })
    }
}

type Resolved = Result<Vec<IpAddr>, NetworkError>;

impl Network for DescribedNetwork {
    fn routes(&self) -> Result<Routes, LookError> {
        if let Some(real) = self.real(false) {
            return real.routes();
        }
        let Some(network) = self.row() else { return Err(LookError::Offline) };
        Ok(Routes {
            gateway: network.route.then_some(GATEWAY.into()),
            links: vec![(Ipv4Addr::new(192, 168, 1, 0), Ipv4Addr::new(255, 255, 255, 0))],
            tunnel: network.tunnel,
        })
    }

    fn resolve<'a>(
        &'a self,
        name: &'a str,
        resolver: Resolver,
        limit: Duration,
    ) -> BoxFuture<'a, Resolved> {
        let local = is_local(name)
            || matches!(resolver, Resolver::At(address) if address.ip().is_loopback());
        match self.real(local) {
            Some(real) => real.resolve(name, resolver, limit),
            None => Box::pin(async move { self.resolved(name, resolver, limit) }),
        }
    }

    fn connect(
        &self,
        address: SocketAddr,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Duration, NetworkError>> {
        match self.real(address.ip().is_loopback()) {
            Some(real) => real.connect(address, limit),
            None => Box::pin(async move { self.connected(address, limit) }),
        }
    }

    fn shake<'a>(
        &'a self,
        question: &'a TlsQuestion,
    ) -> BoxFuture<'a, Result<Signed, NetworkError>> {
        match self.real(question.address.ip().is_loopback()) {
            Some(real) => real.shake(question),
            None => Box::pin(async move { self.shaken(question) }),
        }
    }

    fn get<'a>(&'a self, get: &'a Get) -> BoxFuture<'a, Result<Page, NetworkError>> {
        match self.real(is_local(host_of(&get.url))) {
            Some(real) => real.get(get),
            None => Box::pin(async move { self.got(get) }),
        }
    }

    fn time<'a>(
        &'a self,
        server: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Result<ServerTime, NetworkError>> {
        match self.real(is_local(host_of(server))) {
            Some(real) => real.time(server, limit),
            None => Box::pin(async move { self.told(server, limit) }),
        }
    }

    fn ping(&self, address: IpAddr, limit: Duration) -> BoxFuture<'_, Result<Pings, LookError>> {
        if let Some(real) = self.real(address.is_loopback()) {
            return real.ping(address, limit);
        }
        let pings = self.row().map(|network| {
            let lost = 5 * u32::from(network.gateway_loss.min(100)) / 100;
            Pings { sent: 5, received: 5 - lost }
        });
        Box::pin(async move { pings.ok_or(LookError::Offline) })
    }

    fn announced<'a>(
        &'a self,
        address: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Announced, NetworkError>> {
        if let Some(real) = self.real(false) {
            return real.announced(address, limit);
        }
        let heard = self.row().map(|network| match network.announced {
            AnnouncedWord::Seen => Announced::Seen,
            AnnouncedWord::OthersOnly => Announced::OthersOnly,
            AnnouncedWord::Nothing => Announced::Nothing,
        });
        Box::pin(async move { heard.ok_or(NetworkError::Offline) })
    }
}

/// Says whether a name fits a pattern: `*`, `*.below.it`, or itself.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => pattern.eq_ignore_ascii_case(name),
    }
}

fn fits(pattern: &str, url: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == url, |begin| url.starts_with(begin))
}

fn is_local(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns the host of a URL or of `host:port`.
fn host_of(place: &str) -> &str {
    let rest = place.split_once("://").map_or(place, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or(rest);
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split(']').next());
    bracketed.unwrap_or_else(|| host.split(':').next().unwrap_or(host))
}

/// Gives every name an address of Apple's own network, the same each time.
fn address_of(name: &str) -> IpAddr {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [_, a, b, c] = hash.to_be_bytes();
    IpAddr::from([17, a, b, c])
}

/// Spreads the lost connections evenly: of every hundred as many as the percentage says.
fn is_lost(number: u32, percent: u8) -> bool {
    let lost = |count: u64| count * u64::from(percent.min(100)) / 100;
    lost(u64::from(number)) > lost(u64::from(number) - 1)
}

/// What a page says where nothing is described: the captive-portal test succeeds, the lists are empty.
fn usual(url: &str) -> Page {
    let body = if url.contains("hotspot-detect") {
        "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>"
    } else if url.contains("system_status") {
        "{\"services\":[]}"
    } else if url.contains("/pmv") {
        "{\"PublicAssetSets\":{\"iOS\":[]}}"
    } else {
        ""
    };
    Page { status: 200, location: None, body: body.as_bytes().to_vec() }
}
