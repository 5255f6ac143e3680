//! The time of a server (SNTP, RFC 4330): 48 bytes there, 48 bytes back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::net::UdpSocket;

use crate::net::{NetworkError, ServerTime, resolve_as_the_system_does, within};

/// Seconds from 1900, where NTP begins, to 1970.
const EPOCH: i64 = 2_208_988_800;
/// Seconds of one NTP era: the counter begins anew in 2036.
const ERA: i64 = 1 << 32;

/// Asks a server, `host:port`.
pub async fn ask(server: &str, limit: Duration) -> Result<ServerTime, NetworkError> {
    let (host, port) = split(server)?;
    within(limit, async {
        let address = if let Ok(address) = host.parse::<IpAddr>() {
            address
        } else {
            let found = resolve_as_the_system_does(host, limit).await?;
            found.into_iter().min_by_key(IpAddr::is_ipv6).ok_or(NetworkError::NoSuchName)?
        };
        exchange(SocketAddr::from((address, port)), limit).await
    })
    .await
}

async fn exchange(address: SocketAddr, limit: Duration) -> Result<ServerTime, NetworkError> {
    let local: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(local).await.map_err(NetworkError::from_io)?;
    socket.connect(address).await.map_err(NetworkError::from_io)?;
    let mut answer = [0; 512];
    loop {
        let started = Instant::now();
        socket.send(&question()).await.map_err(NetworkError::from_io)?;
        let wait = tokio::time::timeout(limit / 3, socket.recv(&mut answer));
        let Ok(received) = wait.await else { continue };
        let length = received.map_err(NetworkError::from_io)?;
        let round_trip = started.elapsed();
        let sent = parse_answer(answer.get(..length).unwrap_or_default())?;
        let way = SignedDuration::try_from(round_trip / 2).unwrap_or(SignedDuration::ZERO);
        let now =
            sent.checked_add(way).map_err(|_| NetworkError::Malformed("a time out of reach"))?;
        return Ok(ServerTime { now, round_trip });
    }
}

fn split(server: &str) -> Result<(&str, u16), NetworkError> {
    let wrong = || NetworkError::Address(server.to_owned());
    let (host, port) = server.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host, port.parse().map_err(|_| wrong())?))
}

/// Version 4, client; all else is the server's to say.
fn question() -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[0] = 0b00_100_011;
    bytes
}

/// Reads when the answer was sent.
pub fn parse_answer(bytes: &[u8]) -> Result<Timestamp, NetworkError> {
    const WRONG: NetworkError = NetworkError::Malformed("not the answer of a time server");
    let packet = bytes.first_chunk::<48>().ok_or(WRONG)?;
    let (mode, stratum) = (packet[0] & 7, packet[1]);
    // Leap indicator 3: the server's clock is not set. Stratum 0: it asks us to go away.
    if mode != 4 || packet[0] >> 6 == 3 || !(1..=15).contains(&stratum) {
        return Err(WRONG);
    }
    let (_, sent) = packet.split_last_chunk::<8>().ok_or(WRONG)?;
    let [s0, s1, s2, s3, f0, f1, f2, f3] = *sent;
    let seconds = i64::from(u32::from_be_bytes([s0, s1, s2, s3]));
    let fraction = u64::from(u32::from_be_bytes([f0, f1, f2, f3]));
    if seconds == 0 {
        return Err(WRONG);
    }
    // Before 1968 by the first era: it is the second.
    let era = if seconds < ERA / 2 { ERA } else { 0 };
    let nanoseconds = i32::try_from((fraction * 1_000_000_000) >> 32).map_err(|_| WRONG)?;
    Timestamp::new(seconds + era - EPOCH, nanoseconds).map_err(|_| WRONG)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(seconds: u32) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[0] = 0b00_100_100;
        bytes[1] = 1;
        bytes[40..44].copy_from_slice(&seconds.to_be_bytes());
        bytes[44..48].copy_from_slice(&(1_u32 << 31).to_be_bytes());
        bytes
    }

    #[test]
    fn the_time_is_read_in_both_eras() {
        let at = parse_answer(&answer(3_982_780_800)).unwrap();
        assert_eq!(at.to_string(), "2026-03-18T00:00:00.5Z");
        assert_eq!(parse_answer(&answer(1_000)).unwrap().to_string(), "2036-02-07T06:44:56.5Z");
        let mut unset = answer(3_982_780_800);
        unset[0] |= 0b11 << 6;
        assert!(parse_answer(&unset).is_err());
        assert!(parse_answer(&answer(0)).is_err());
        assert!(parse_answer(b"short").is_err());
    }

    #[tokio::test]
    async fn a_server_is_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let serve = async {
            let mut buffer = [0; 64];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!((length, buffer[0]), (48, 0x23));
            server.send_to(&answer(3_982_780_800), from).await.unwrap();
        };
        let (time, ()) = tokio::join!(ask(&address, Duration::from_secs(30)), serve);
        assert_eq!(time.unwrap().now.as_second(), 1_773_792_000);
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused() {
        let asked = ask("nowhere", Duration::from_secs(30)).await;
        assert!(matches!(asked, Err(NetworkError::Address(_))));
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in any::<Vec<u8>>()) {
            drop(parse_answer(&bytes));
        }
    }
}
