//! The way out of this machine: default route, networks on the link, tunnels. Linux is tested, others are not supported.

use std::net::{IpAddr, Ipv4Addr};

use crate::look::LookError;

/// What the table of routes says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    /// The router of the default route; the unspecified address where the route has none (a tunnel).
    pub gateway: Option<IpAddr>,
    /// The networks that lie directly on a link, with their masks.
    pub links: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// An interface that is up is a tunnel.
    pub tunnel: bool,
}

impl Routes {
    /// Says whether an address lies directly on a link of this machine.
    pub fn on_link(&self, address: Ipv4Addr) -> bool {
        self.links.iter().any(|(network, mask)| {
            u32::from(address) & u32::from(*mask) == u32::from(*network) & u32::from(*mask)
        })
    }
}

/// Parses `/proc/net/route`; the default route with the smallest metric counts.
pub fn parse_table(text: &str) -> Routes {
    let mut routes = Routes::default();
    let mut best = u32::MAX;
    for line in text.lines().skip(1) {
        let Some(row) = parse_row(line) else { continue };
        if row.flags & 1 == 0 {
            continue;
        }
        if row.mask == Ipv4Addr::UNSPECIFIED && row.destination == Ipv4Addr::UNSPECIFIED {
            if routes.gateway.is_none() || row.metric < best {
                best = row.metric;
                routes.gateway = Some(row.gateway.into());
            }
        } else if row.gateway == Ipv4Addr::UNSPECIFIED {
            routes.links.push((row.destination, row.mask));
        }
    }
    routes
}

struct Row {
    destination: Ipv4Addr,
    gateway: Ipv4Addr,
    flags: u32,
    metric: u32,
    mask: Ipv4Addr,
}

fn parse_row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hex = |index: usize| u32::from_str_radix(fields.get(index)?, 16).ok();
    // Addresses are written in the byte order of the machine; all that are supported are little-endian.
    let address = |index: usize| Some(Ipv4Addr::from(hex(index)?.to_le_bytes()));
    Some(Row {
        destination: address(1)?,
        gateway: address(2)?,
        flags: hex(3)?,
        metric: fields.get(6)?.parse().ok()?,
        mask: address(7)?,
    })
}

/// Says whether a default route stands in `/proc/net/ipv6_route` (one over the loopback refuses and is none).
pub fn parse_table_v6(text: &str) -> Option<std::net::Ipv6Addr> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let zero = fields.first()?.bytes().all(|byte| byte == b'0') && *fields.get(1)? == "00";
        let flags = u32::from_str_radix(fields.get(8)?, 16).ok()?;
        (zero && flags & 1 != 0 && flags & 0x0200 == 0 && *fields.get(9)? != "lo").then_some(())?;
        Some(u128::from_str_radix(fields.get(4)?, 16).ok()?.into())
    })
}

/// Reads the routes of this machine.
#[cfg(target_os = "linux")]
pub fn read() -> Result<Routes, LookError> {
    let text = fs_err::read_to_string("/proc/net/route")
        .map_err(|error| LookError::from_io("table of routes", error))?;
    let mut routes = parse_table(&text);
    if routes.gateway.is_none()
        && let Ok(text) = fs_err::read_to_string("/proc/net/ipv6_route")
    {
        routes.gateway = parse_table_v6(&text).map(IpAddr::from);
    }
    routes.tunnel = tunnel_below(camino::Utf8Path::new("/sys/class/net"));
    Ok(routes)
}

/// Says that this program cannot tell here.
#[cfg(not(target_os = "linux"))]
pub fn read() -> Result<Routes, LookError> {
    Err(LookError::Unsupported { what: "the routes" })
}

/// Looks for an interface without a link layer (`WireGuard`, tun, PPP) that is up.
#[cfg(target_os = "linux")]
fn tunnel_below(class: &camino::Utf8Path) -> bool {
    const UP: u32 = 1;
    /// Numbers of the kernel: none (tun, `WireGuard`), PPP.
    const KINDS: [&str; 2] = ["65534", "512"];
    let Ok(entries) = class.read_dir_utf8() else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let read = |name: &str| {
            fs_err::read_to_string(entry.path().join(name)).unwrap_or_default().trim().to_owned()
        };
        let flags = u32::from_str_radix(read("flags").trim_start_matches("0x"), 16).unwrap_or(0);
        KINDS.contains(&read("type").as_str()) && flags & UP != 0
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\nnoise\n";

    #[test]
    fn the_router_and_the_networks_are_read() {
        let routes = parse_table(TABLE);
        assert_eq!(routes.gateway, Some(IpAddr::from([192, 168, 1, 1])));
        assert!(routes.on_link([192, 168, 1, 77].into()));
        assert!(!routes.on_link([192, 168, 2, 77].into()));
        assert_eq!(parse_table("").gateway, None);
    }

    #[test]
    fn a_default_route_of_the_new_protocol_is_read() {
        let row = |flags: &str, interface: &str| {
            format!(
                "{z} 00 {z} 00 fe800000000000000000000000000001 00000400 00000001 00000000 {flags} {interface}\n",
                z = "0".repeat(32)
            )
        };
        assert_eq!(parse_table_v6(&row("00000003", "eth0")), "fe80::1".parse().ok());
        assert_eq!(parse_table_v6(&row("00200200", "lo")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_tunnel_that_is_up_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let class = camino::Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        for (name, kind, flags) in [("eth0", "1", "0x1003"), ("wg0", "65534", "0x10d0")] {
            fs_err::create_dir_all(class.join(name)).unwrap();
            fs_err::write(class.join(name).join("type"), kind).unwrap();
            fs_err::write(class.join(name).join("flags"), flags).unwrap();
        }
        assert!(!tunnel_below(&class));
        fs_err::write(class.join("wg0/flags"), "0x10d1\n").unwrap();
        assert!(tunnel_below(&class));
    }

    proptest! {
        #[test]
        fn noise_never_panics(text in any::<String>()) {
            drop(parse_table(&format!("head\n{text}")));
            let _gateway = parse_table_v6(&text);
        }
    }
}
