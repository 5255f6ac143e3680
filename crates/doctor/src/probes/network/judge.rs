//! What the answers of the hosts mean together: pure functions.

use std::net::IpAddr;
use std::time::Duration;

use lifeboat_host::net::tls::Distrust;
use lifeboat_host::net::{NetworkError, Signed};

use crate::fact::{Facts, Value, Why};
use crate::probe::context::network as network_why;

/// A name that takes longer than this to be found is found slowly.
const SLOW: Duration = Duration::from_secs(1);
/// A system sends the first packet of a connection again after a second: what takes so much longer than the fastest was lost once.
const AGAIN: Duration = Duration::from_millis(900);
/// More lost connections than this, in a hundred, explain other answers that did not come.
const LOSSY: usize = 2;
/// From here on, in a hundred, a closed door cannot be told from lost answers.
const HOPELESS: usize = 50;

/// What a host answered.
#[derive(Debug)]
pub(super) struct Answered {
    /// Its name.
    pub(super) name: String,
    /// What this computer's resolver says.
    pub(super) local: Result<Vec<IpAddr>, NetworkError>,
    /// A public resolver knows an address of it.
    pub(super) known_elsewhere: bool,
    /// How long the names took.
    pub(super) took: Duration,
    /// Connections to it.
    pub(super) connections: Vec<Result<Duration, NetworkError>>,
    /// Who signed, where it came to that.
    pub(super) signed: Option<Result<Signed, NetworkError>>,
    /// The same with a large first message.
    pub(super) large: Option<Result<(), NetworkError>>,
    /// What it answers, where it is trusted.
    pub(super) status: Option<Result<u16, NetworkError>>,
}

/// All hosts that were looked at.
#[derive(Debug)]
pub(super) struct Hosts(pub(super) Vec<Answered>);

/// Returns an address that leads somewhere: a sinkhole answers with none, this computer, or a private network.
pub(super) fn first_usable(found: &[IpAddr]) -> Option<IpAddr> {
    let leads = |address: &&IpAddr| match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_loopback(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_loopback(),
    };
    found.iter().filter(leads).min_by_key(|address| address.is_ipv6()).copied()
}

pub(super) fn usable(found: &Result<Vec<IpAddr>, NetworkError>) -> Option<IpAddr> {
    first_usable(found.as_deref().ok()?)
}

impl Answered {
    /// The local resolver hides what others know.
    fn is_filtered(&self) -> bool {
        let hidden = match &self.local {
            Ok(found) => first_usable(found).is_none(),
            Err(error) => matches!(error, NetworkError::NoSuchName | NetworkError::Malformed(_)),
        };
        hidden && self.known_elsewhere
    }

    fn connects(&self) -> bool {
        self.connections.iter().any(Result::is_ok)
    }
}

/// Says what the answers mean.
pub(super) fn hosts(hosts: &Hosts) -> Facts {
    const KEYS: &[&str] = &[
        "network.dns",
        "network.filtered-hosts",
        "network.tcp",
        "network.tls",
        "network.issuer",
        "network.loss",
        "network.latency",
        "network.jitter",
        "network.mtu",
        "apple.http",
    ];
    let mut facts = Facts::new();
    let Hosts(hosts) = hosts;
    let not_looked = |answered: &Answered| matches!(answered.local, Err(NetworkError::Offline));
    if hosts.is_empty() || hosts.iter().all(not_looked) {
        facts.unknown(KEYS, &Why::Offline);
        return facts;
    }
    names(&mut facts, hosts);
    connections(&mut facts, hosts);
    signatures(&mut facts, hosts);
    answers(&mut facts, hosts);
    facts.unknown(KEYS, &Why::NotThere("no host could be reached".to_owned()));
    facts
}

fn names(facts: &mut Facts, hosts: &[Answered]) {
    let filtered: Vec<&str> =
        hosts.iter().filter(|host| host.is_filtered()).map(|host| host.name.as_str()).collect();
    let found = hosts.iter().filter(|host| usable(&host.local).is_some()).count();
    let late = |host: &Answered| {
        matches!(host.local, Err(NetworkError::TimedOut { .. })) || host.took > SLOW
    };
    let word = if !filtered.is_empty() {
        "filtered"
    } else if found == 0 {
        "none"
    } else if hosts.iter().any(late) {
        "slow"
    } else {
        "ok"
    };
    facts.tell("network.dns", word);
    facts.tell("network.filtered-hosts", Value::Text(filtered.join(", ")));
}

fn connections(facts: &mut Facts, hosts: &[Answered]) {
    let tried: Vec<&Answered> = hosts.iter().filter(|host| !host.connections.is_empty()).collect();
    if tried.is_empty() {
        return;
    }
    let open = tried.iter().filter(|host| host.connects()).count();
    let word = if open == tried.len() {
        "ok"
    } else if open == 0 {
        "blocked"
    } else {
        "partly"
    };
    let lost = loss(facts, &tried);
    let late = tried.iter().filter(|host| !host.connects()).flat_map(|host| &host.connections);
    let silent = late.clone().all(|tried| matches!(tried, Err(NetworkError::TimedOut { .. })));
    if word == "partly" && silent && lost.is_some_and(|lost| lost >= HOPELESS) {
        let why = "so many connections are lost that a closed door cannot be told from them";
        facts.tell("network.tcp", Why::NotThere(why.to_owned()));
    } else {
        facts.tell("network.tcp", word);
    }
}

/// Counts what is lost and how long the rest takes; returns how many of a hundred connections failed or were tried again.
fn loss(facts: &mut Facts, tried: &[&Answered]) -> Option<usize> {
    // A host that nobody reaches is blocked, not lossy.
    let reached = || tried.iter().filter(|host| host.connects()).flat_map(|host| &host.connections);
    let mut times: Vec<Duration> =
        reached().filter_map(|took| took.as_ref().ok().copied()).collect();
    let all = reached().count();
    times.sort_unstable();
    let fastest = *times.first()?;
    times.retain(|took| took.saturating_sub(fastest) < AGAIN);
    let lost = (all - times.len()) * 100 / all;
    facts.tell("network.loss", i64::try_from(lost).unwrap_or(100));
    facts.tell("network.latency", milliseconds(at(&times, 50)));
    facts.tell("network.jitter", milliseconds(at(&times, 90).saturating_sub(at(&times, 10))));
    Some(lost)
}

/// Says whether so many connections are lost that what did not come in time may be lost as well.
fn is_lossy(hosts: &[Answered]) -> bool {
    let tried: Vec<&Answered> = hosts.iter().filter(|host| !host.connections.is_empty()).collect();
    loss(&mut Facts::new(), &tried).is_some_and(|lost| lost > LOSSY)
}

/// Returns the time below which this many of a hundred lie.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    let place = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(place).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn signatures(facts: &mut Facts, hosts: &[Answered]) {
    let signed = || hosts.iter().filter_map(|host| host.signed.as_ref());
    let shown: Vec<&Signed> = signed().filter_map(|signed| signed.as_ref().ok()).collect();
    let wrong = |kind: Distrust| shown.iter().find(|signed| signed.wrong == Some(kind));
    let foreign = wrong(Distrust::Issuer).or_else(|| wrong(Distrust::Name));
    let issuer = foreign.or(shown.first()).and_then(|signed| signed.issuers.first());
    let silent = |error: &NetworkError| matches!(error, NetworkError::TimedOut { .. });
    let lossy = is_lossy(hosts);
    if shown.is_empty() && lossy && signed().all(|signed| signed.as_ref().is_err_and(silent)) {
        let why = "so many connections are lost that no certificate came in time";
        facts.unknown(&["network.tls", "network.mtu"], &Why::NotThere(why.to_owned()));
        return;
    }
    let word = if foreign.is_some() {
        "foreign-issuer"
    } else if wrong(Distrust::Time).is_some() {
        "clock"
    } else if shown.iter().any(|signed| signed.wrong.is_none()) {
        "ok"
    } else if signed().next().is_some() {
        "broken"
    } else {
        return;
    };
    facts.tell("network.tls", word);
    match issuer {
        Some(issuer) => facts.tell("network.issuer", Value::Text(issuer.clone())),
        None => facts.tell("network.issuer", Why::NotThere("no certificate was shown".to_owned())),
    }
    // Where no handshake ends in time although connections are made, the large first packets do not get through.
    let stalls = hosts.iter().any(|host| match (&host.signed, &host.large) {
        (Some(Ok(_)), Some(Err(error))) => silent(error),
        _ => false,
    });
    let passes = hosts.iter().any(|host| matches!(host.large, Some(Ok(()))));
    if passes {
        facts.tell("network.mtu", "ok");
    } else if stalls && lossy {
        let why = "so many packets of any size are lost that the large ones tell nothing";
        facts.tell("network.mtu", Why::NotThere(why.to_owned()));
    } else if stalls {
        facts.tell("network.mtu", "stalls");
    }
}

fn answers(facts: &mut Facts, hosts: &[Answered]) {
    let statuses: Vec<u16> =
        hosts.iter().filter_map(|host| host.status.as_ref()?.as_ref().ok().copied()).collect();
    if statuses.is_empty() {
        let error = hosts.iter().find_map(|host| host.status.as_ref()?.as_ref().err());
        if let Some(error) = error {
            facts.tell("apple.http", network_why(error));
        }
        return;
    }
    let failing = statuses.iter().filter(|status| **status >= 500).count();
    // One host of several may answer so on an empty page for good.
    let word = if failing * 2 > statuses.len() { "server-error" } else { "ok" };
    facts.tell("apple.http", word);
}
