//! Listens for what devices announce on the local network (multicast DNS, RFC 6762): one question, the answers of a moment.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::net::dns::{TYPE_PTR, question};
use crate::net::{Announced, NetworkError};

/// What a device that can be reached over the network announces.
const SERVICE: &str = "_apple-mobdev2._tcp.local";
/// What stands in an announcement under a random name.
const RANDOM: &str = "authTag";
/// What everybody answers who announces anything.
const ANYTHING: &str = "_services._dns-sd._udp.local";
const GROUP: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), 5353);

/// Asks who is there, and listens for `limit`. `address` is the hardware address that stands in the device's announcement.
pub async fn listen(address: &str, limit: Duration) -> Result<Announced, NetworkError> {
    let socket =
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.map_err(NetworkError::from_io)?;
    for name in [SERVICE, ANYTHING] {
        let question = question(0, name, TYPE_PTR).ok_or(NetworkError::Malformed("name"))?;
        socket.send_to(&question, GROUP).await.map_err(NetworkError::from_io)?;
    }
    let mut heard = Announced::Nothing;
    let listening = async {
        let mut buffer = vec![0; 9000];
        while let Ok((length, _)) = socket.recv_from(&mut buffer).await {
            let answer = buffer.get(..length).unwrap_or_default();
            if contains(answer, address) {
                heard = Announced::Seen;
                return;
            }
            heard = match heard {
                Announced::Unnamed => heard,
                _ if contains(answer, RANDOM) => Announced::Unnamed,
                _ => Announced::OthersOnly,
            };
        }
    };
    // The end of the time is the ordinary end.
    let _ended = tokio::time::timeout(limit, listening).await;
    Ok(heard)
}

/// Whether a text stands in an answer: names and texts lie there as they are.
fn contains(answer: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    !text.is_empty() && answer.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_its_hardware_address() {
        let answer = b"\x00\x00\x84\x00\x16AA:bb:cc:dd:ee:ff@fe80::1";
        assert!(contains(answer, "aa:bb:cc:dd:ee:ff"));
        assert!(!contains(answer, "aa:bb:cc:dd:ee:00"));
        assert!(!contains(answer, "") && !contains(b"", "a"));
        assert!(contains(b"\x20authTag=AAAA", RANDOM));
    }
}
