//! P24: the network of this computer, to Apple. It speaks for the device only where both are in the same network.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::all;
use crate::fact::{Facts, Value, Why};
use crate::probe::context::{look as look_why, network as network_why};
use crate::probe::{Outside, ProbeContext};
use lifeboat_host::net::{Get, Network, NetworkError, Pings, Resolver, Signed, TlsQuestion, Trust};

mod judge;

use judge::{Answered, Hosts};

pub(crate) const TELLS: &[&str] = &[
    "network.link",
    "network.gateway",
    "network.dns",
    "network.filtered-hosts",
    "network.tcp",
    "network.tls",
    "network.issuer",
    "network.portal",
    "network.proxy",
    "network.loss",
    "network.latency",
    "network.jitter",
    "network.mtu",
    "network.push",
    "apple.http",
];

/// For one question of any kind; the whole stays below five seconds.
const ONE: Duration = Duration::from_millis(1500);
/// How often each host is connected to, side by side, for loss and latency: fewer do not show a few lost packets in a hundred.
const TIMES: usize = 20;
/// The most hosts that are looked at.
const MANY: usize = 8;
/// A first message of this size needs two packets everywhere.
const LARGE: usize = 2_500;

/// P24.
pub(crate) async fn look(context: &ProbeContext) -> Facts {
    let network = context.host.network();
    let mut facts = Facts::new();
    let proxy = context.host.proxy();
    facts.tell("network.proxy", if proxy.is_some() { "set" } else { "none" });
    let routes = match network.routes() {
        Ok(routes) => Some(routes),
        Err(error) => {
            facts.tell("network.link", look_why(&error));
            facts.tell("network.gateway", look_why(&error));
            None
        }
    };
    let gateway = routes.as_ref().map(|routes| routes.gateway);
    if gateway == Some(None) {
        facts.tell("network.link", "down");
        let why = Why::NotThere("there is no way out of this computer".to_owned());
        facts.unknown(TELLS, &why);
        return facts;
    }
    let (pings, hosts, portal, push) = tokio::join!(
        ping(network, gateway.flatten()),
        hosts(network, &context.outside),
        portal(network, &context.outside),
        push(network, &context.outside),
    );
    if let Some(pings) = pings {
        facts.tell("network.link", "up");
        facts.tell("network.gateway", pings);
    }
    facts.merge(judge::hosts(&hosts));
    facts.tell("network.portal", portal);
    facts.tell("network.push", push);
    facts
}

/// Asks the router; nothing where there is none to ask.
async fn ping(network: &dyn Network, gateway: Option<IpAddr>) -> Option<Value> {
    let gateway = gateway?;
    if gateway.is_unspecified() {
        let why = Why::NotThere("the way out is a tunnel without a router".to_owned());
        return Some(why.into());
    }
    Some(match network.ping(gateway, Duration::from_millis(2500)).await {
        Ok(pings) => gateway_word(pings).into(),
        Err(error) => look_why(&error).into(),
    })
}

fn gateway_word(pings: Pings) -> &'static str {
    match (pings.received, pings.sent - pings.received.min(pings.sent)) {
        (0, _) => "silent",
        // One packet lost in five happens in any Wi-Fi.
        (_, 0 | 1) => "ok",
        _ => "lossy",
    }
}

/// Looks at each host: its name here and elsewhere, connections, who signs, what it answers.
async fn hosts(network: &dyn Network, outside: &Outside) -> Hosts {
    let mut found = Vec::new();
    let names: Vec<&String> = outside.hosts.iter().take(MANY).collect();
    let looks = names.iter().map(|name| host(network, outside, name));
    for look in all(looks.collect()).await {
        found.push(look);
    }
    Hosts(found)
}

async fn host(network: &dyn Network, outside: &Outside, name: &str) -> Answered {
    let began = Instant::now();
    let (local, public) = tokio::join!(network.resolve(name, Resolver::System, ONE), async {
        for resolver in &outside.resolvers {
            let found = network.resolve(name, Resolver::At(*resolver), ONE).await;
            if found.is_ok() {
                return Some(found);
            }
        }
        None
    });
    let took = began.elapsed();
    let address = judge::usable(&local).or_else(|| judge::usable(public.as_ref()?));
    let mut answered = Answered {
        name: name.to_owned(),
        known_elsewhere: public.is_some_and(|found| judge::usable(&found).is_some()),
        local,
        took,
        connections: Vec::new(),
        signed: None,
        large: None,
        status: None,
    };
    let Some(address) = address else { return answered };
    let address = SocketAddr::from((address, 443));
    answered.connections = connections(network, address).await;
    if answered.connections.iter().any(Result::is_ok) {
        let shaken = shake(network, outside, name, address, 0);
        let large = shake(network, outside, name, address, LARGE);
        let (shaken, large) = tokio::join!(shaken, large);
        let trusted = matches!(&shaken, Ok(signed) if signed.wrong.is_none());
        answered.large = shaken.is_ok().then(|| large.map(drop));
        answered.signed = Some(shaken);
        if trusted {
            answered.status = Some(status(network, outside, name).await);
        }
    }
    answered
}

async fn connections(
    network: &dyn Network,
    address: SocketAddr,
) -> Vec<Result<Duration, NetworkError>> {
    all((0..TIMES).map(|_| network.connect(address, ONE)).collect()).await
}

async fn shake(
    network: &dyn Network,
    outside: &Outside,
    name: &str,
    address: SocketAddr,
    padding: usize,
) -> Result<Signed, NetworkError> {
    let question =
        TlsQuestion { host: name.to_owned(), address, trust: trust(outside), padding, limit: ONE };
    network.shake(&question).await
}

pub(super) fn trust(outside: &Outside) -> Trust {
    outside.trusted.clone().map_or(Trust::Public, Trust::Also)
}

async fn status(network: &dyn Network, outside: &Outside, name: &str) -> Result<u16, NetworkError> {
    let url = format!("https://{name}/");
    let get = Get { url, trust: trust(outside), size: 256 << 10, limit: ONE };
    match network.get(&get).await {
        Ok(page) => Ok(page.status),
        // What is on the page does not matter.
        Err(NetworkError::TooLong { .. }) => Ok(200),
        Err(error) => Err(error),
    }
}

/// Gets the page that says "Success": whatever else comes is a sign-in page.
async fn portal(network: &dyn Network, outside: &Outside) -> Value {
    let get = Get {
        url: outside.portal_page.clone(),
        trust: Trust::Public,
        size: 64 << 10,
        limit: Duration::from_secs(3),
    };
    match network.get(&get).await {
        Ok(page) => {
            let said = String::from_utf8_lossy(&page.body);
            let success = page.status == 200 && said.contains("Success");
            // An error of the server itself is no sign-in page; 511 asks for a sign-in.
            if page.status >= 500 && page.status != 511 {
                return Why::Refused(format!("the page answers {}", page.status)).into();
            }
            Value::from(if success { "none" } else { "captive" })
        }
        Err(NetworkError::TooLong { .. }) => Value::from("captive"),
        Err(error) => network_why(&error).into(),
    }
}

/// Connects to the push service: port 5223, and 443 where that is closed.
async fn push(network: &dyn Network, outside: &Outside) -> Value {
    let mut why = Why::NotThere("no push host is set".to_owned());
    let mut blocked = false;
    for name in outside.push_hosts.iter().take(2) {
        let found = match network.resolve(name, Resolver::System, ONE).await {
            Ok(found) => found,
            Err(error) => {
                why = network_why(&error);
                continue;
            }
        };
        let Some(address) = judge::first_usable(&found) else {
            blocked = true;
            continue;
        };
        let connect = |port| network.connect((address, port).into(), ONE);
        match tokio::join!(connect(5223), connect(443)) {
            (Ok(_), _) | (_, Ok(_)) => return Value::from("ok"),
            (Err(NetworkError::Offline), _) => why = Why::Offline,
            _ => blocked = true,
        }
    }
    if blocked { Value::from("blocked") } else { why.into() }
}

#[cfg(test)]
mod tests;
