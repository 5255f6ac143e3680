//! Where devices are reached: every form of the address that other tools take.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use lifeboat_engine::Mux;

use super::SettingsError;

#[cfg(unix)]
pub(super) fn default_mux() -> Mux {
    Mux::Unix("/var/run/usbmuxd".into())
}

#[cfg(not(unix))]
pub(super) fn default_mux() -> Mux {
    Mux::Tcp(SocketAddr::from(([127, 0, 0, 1], 27015)))
}

/// Understands every form of `USBMUXD_SOCKET_ADDRESS` that other tools take: `host:port`, `[v6]:port`, a path,
/// `UNIX:path` and `unix://path`.
pub(super) fn mux_address(name: &'static str, value: &str) -> Result<Mux, SettingsError> {
    match Address::parse(name, value)? {
        Address::Known(mux) => Ok(mux),
        Address::Host(host, port) => resolve(host, port).map(Mux::Tcp),
    }
}

/// An address as it is written: a host may have to be looked up still.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    Known(Mux),
    Host(&'a str, u16),
}

impl<'a> Address<'a> {
    pub(super) fn parse(name: &'static str, value: &'a str) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Address { name, value: value.to_owned() };
        let lower = value.to_ascii_lowercase();
        if lower.starts_with("unix:") {
            let path = value.get(5..).unwrap_or_default();
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(wrong())
            } else {
                Ok(Self::Known(Mux::Unix(path.into())))
            };
        }
        if value.contains('/') {
            return Ok(Self::Known(Mux::Unix(value.into())));
        }
        let (host, port) = value.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        if let Some(inner) = host.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(wrong)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| wrong())?;
            return Ok(Self::Known(Mux::Tcp(SocketAddr::from((address, port)))));
        }
        if host.is_empty() || host.contains(':') {
            return Err(wrong());
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Self::Known(Mux::Tcp(SocketAddr::from((address, port)))));
        }
        Ok(Self::Host(host, port))
    }
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, SettingsError> {
    use std::net::ToSocketAddrs as _;
    let failed = |source| SettingsError::NoSuchHost { host: host.to_owned(), source };
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(failed)?.collect();
    // IPv4 first: that is where usbmuxd and its stand-ins listen.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.first().copied().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_mux_address() {
        let tcp = |text: &str| Mux::Tcp(text.parse().unwrap());
        let unix = |text: &str| Mux::Unix(text.into());
        for (text, mux) in [
            ("127.0.0.1:27015", tcp("127.0.0.1:27015")),
            ("localhost:27015", tcp("127.0.0.1:27015")),
            ("[::1]:27015", tcp("[::1]:27015")),
            ("/var/run/usbmuxd", unix("/var/run/usbmuxd")),
            ("./mux.sock", unix("./mux.sock")),
            ("UNIX:/tmp/mux", unix("/tmp/mux")),
            ("unix:mux.sock", unix("mux.sock")),
            ("unix:///tmp/mux", unix("/tmp/mux")),
        ] {
            assert_eq!(mux_address("x", text).unwrap(), mux, "{text}");
        }
        for text in [
            "",
            "here",
            "host:",
            ":1",
            "::1:5",
            "127.0.0.1:0",
            "127.0.0.1:70000",
            "[::1]",
            "UNIX:",
            "[x]:1",
        ] {
            assert!(mux_address("x", text).is_err(), "{text}");
        }
    }
}
