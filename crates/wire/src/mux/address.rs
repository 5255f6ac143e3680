use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const FAMILY_V4: u8 = 2;
const FAMILY_V6_LINUX: u8 = 0x0a;
const FAMILY_V6_WINDOWS: u8 = 0x17;
const FAMILY_V6_BSD: u8 = 0x1e;

/// The raw `sockaddr` that a mux gives for a device on the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NetworkAddress {
    /// The address; the port of the structure is never used.
    pub address: IpAddr,
    /// The interface of a link-local address, 0 for none.
    pub scope: u32,
}

impl NetworkAddress {
    /// Decodes the BSD and the Linux form, padded or not.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else {
            return None;
        };
        let family = match (*first, *second) {
            (0x10, FAMILY_V4) => FAMILY_V4,
            (0x1c, FAMILY_V6_BSD) => FAMILY_V6_BSD,
            (family @ (FAMILY_V4 | FAMILY_V6_LINUX | FAMILY_V6_WINDOWS), 0) => family,
            _ => return None,
        };
        if family == FAMILY_V4 {
            // A sockaddr_in has 16 bytes; a shorter one is no answer.
            rest.get(..14)?;
            let octets: [u8; 4] = *rest.get(2..)?.first_chunk()?;
            return Some(Self { address: IpAddr::V4(Ipv4Addr::from(octets)), scope: 0 });
        }
        let octets: [u8; 16] = *rest.get(6..)?.first_chunk()?;
        let scope: [u8; 4] = *rest.get(22..)?.first_chunk()?;
        Some(Self { address: IpAddr::V6(Ipv6Addr::from(octets)), scope: u32::from_le_bytes(scope) })
    }

    /// Encodes the Linux form.
    pub fn encode(self) -> Vec<u8> {
        match self.address {
            IpAddr::V4(address) => {
                let mut bytes = vec![FAMILY_V4, 0, 0, 0];
                bytes.extend_from_slice(&address.octets());
                bytes.resize(16, 0);
                bytes
            }
            IpAddr::V6(address) => {
                let mut bytes = vec![FAMILY_V6_LINUX, 0, 0, 0, 0, 0, 0, 0];
                bytes.extend_from_slice(&address.octets());
                bytes.extend_from_slice(&self.scope.to_le_bytes());
                bytes
            }
        }
    }
}
