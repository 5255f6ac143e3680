//! One question to one resolver (RFC 1035), over UDP: the addresses of a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand::TryRngCore as _;
use tokio::net::UdpSocket;

use crate::net::{NetworkError, within};

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
pub(crate) const TYPE_PTR: u16 = 12;
const NO_SUCH_NAME: u8 = 3;

/// Asks the resolver at `address` for both kinds of addresses; asks again after a third of the limit.
pub async fn ask(
    name: &str,
    address: SocketAddr,
    limit: Duration,
) -> Result<Vec<IpAddr>, NetworkError> {
    let (old, new) = tokio::join!(
        ask_kind(name, TYPE_A, address, limit),
        ask_kind(name, TYPE_AAAA, address, limit)
    );
    match (old, new) {
        (Ok(mut old), Ok(new)) => {
            old.extend(new);
            if old.is_empty() { Err(NetworkError::NoSuchName) } else { Ok(old) }
        }
        (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => Ok(some),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

async fn ask_kind(
    name: &str,
    kind: u16,
    address: SocketAddr,
    limit: Duration,
) -> Result<Vec<IpAddr>, NetworkError> {
    let number = random_number();
    let question = question(number, name, kind).ok_or(NetworkError::Malformed("name"))?;
    within(limit, async {
        let local: SocketAddr = if address.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(local).await.map_err(NetworkError::from_io)?;
        socket.connect(address).await.map_err(NetworkError::from_io)?;
        let mut answer = vec![0; 4096];
        loop {
            socket.send(&question).await.map_err(NetworkError::from_io)?;
            let wait = tokio::time::timeout(limit / 3, receive(&socket, &mut answer, number, kind));
            if let Ok(answer) = wait.await {
                return answer;
            }
        }
    })
    .await
}

/// Waits for the answer with our number; others are not for us.
async fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    number: u16,
    kind: u16,
) -> Result<Vec<IpAddr>, NetworkError> {
    loop {
        let length = socket.recv(buffer).await.map_err(NetworkError::from_io)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.first_chunk::<2>() == Some(&number.to_be_bytes()) {
            return parse_answer(bytes, kind);
        }
    }
}

fn random_number() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness a number that is easy to guess is still a number.
    let _filled = rand::rngs::OsRng.try_fill_bytes(&mut bytes);
    u16::from_be_bytes(bytes)
}

/// Writes a question; nothing for what is no name.
pub(crate) fn question(number: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut bytes = number.to_be_bytes().to_vec();
    // Recursion desired; one question.
    bytes.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    (bytes.len() <= 512).then_some(bytes)
}

/// Reads the addresses of the kind asked for out of an answer; names on the way are passed over.
pub fn parse_answer(bytes: &[u8], kind: u16) -> Result<Vec<IpAddr>, NetworkError> {
    const SHORT: NetworkError =
        NetworkError::Malformed("an answer of a resolver that is cut short");
    let (head, mut rest) = bytes.split_first_chunk::<12>().ok_or(SHORT)?;
    let [_, _, flags, code, q0, q1, a0, a1, ..] = *head;
    if flags & 0x80 == 0 {
        return Err(NetworkError::Malformed("a question in place of an answer"));
    }
    match code & 0x0f {
        0 => {}
        NO_SUCH_NAME => return Err(NetworkError::NoSuchName),
        _ => return Err(NetworkError::Malformed("the resolver failed")),
    }
    for _ in 0..u16::from_be_bytes([q0, q1]) {
        rest = skip_name(rest).and_then(|rest| rest.get(4..)).ok_or(SHORT)?;
    }
    let mut found = Vec::new();
    for _ in 0..u16::from_be_bytes([a0, a1]) {
        let record = skip_name(rest).ok_or(SHORT)?;
        let (head, body) = record.split_first_chunk::<10>().ok_or(SHORT)?;
        let [t0, t1, _, _, _, _, _, _, l0, l1] = *head;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let (data, after) = body.split_at_checked(length).ok_or(SHORT)?;
        rest = after;
        if u16::from_be_bytes([t0, t1]) != kind {
            continue;
        }
        if let Ok(four) = <[u8; 4]>::try_from(data) {
            found.push(IpAddr::from(four));
        } else if let Ok(sixteen) = <[u8; 16]>::try_from(data) {
            found.push(IpAddr::from(sixteen));
        }
    }
    Ok(found)
}

/// Returns what follows a name: labels to an empty one, or to a pointer.
fn skip_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, rest) = bytes.split_first()?;
        match length {
            0 => return Some(rest),
            0xc0.. => return rest.get(1..),
            _ => bytes = rest.get(usize::from(length)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer with one alias and one address.
    fn answer(number: u16) -> Vec<u8> {
        let mut bytes = question(number, "a.apple.com", TYPE_A).unwrap();
        bytes[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 2]);
        bytes.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 14]);
        bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 17, 1, 2, 3]);
        bytes
    }

    #[test]
    fn addresses_are_read_past_aliases() {
        assert_eq!(parse_answer(&answer(7), TYPE_A).unwrap(), [IpAddr::from([17, 1, 2, 3])]);
        assert!(parse_answer(&answer(7), TYPE_AAAA).unwrap().is_empty());
        let mut absent = answer(7);
        absent[3] = 0x83;
        assert!(matches!(parse_answer(&absent, TYPE_A), Err(NetworkError::NoSuchName)));
        assert!(question(1, "a..b", TYPE_A).is_none());
    }

    #[tokio::test]
    async fn a_resolver_is_asked_and_foreign_answers_are_passed_over() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = async {
            let mut buffer = [0; 512];
            for _ in 0..2 {
                let (length, from) = server.recv_from(&mut buffer).await.unwrap();
                let number = u16::from_be_bytes([buffer[0], buffer[1]]);
                let v6 = buffer[length - 3] == 28;
                server.send_to(&answer(number.wrapping_add(1)), from).await.unwrap();
                let mut bytes = answer(number);
                if v6 {
                    bytes[3] = 0x83;
                }
                server.send_to(&bytes, from).await.unwrap();
            }
        };
        let (found, ()) = tokio::join!(ask("a.apple.com", address, Duration::from_secs(30)), serve);
        assert_eq!(found.unwrap(), [IpAddr::from([17, 1, 2, 3])]);
    }

    #[tokio::test]
    async fn a_resolver_that_says_nothing_times_out() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let found = ask("a.apple.com", address, Duration::from_millis(30)).await;
        assert!(matches!(found, Err(NetworkError::TimedOut { .. })), "{found:?}");
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in any::<Vec<u8>>(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
            drop(parse_answer(&bytes, TYPE_A));
            let mut damaged = answer(1);
            let place = place.index(damaged.len());
            damaged[place] = byte;
            drop(parse_answer(&damaged, TYPE_A));
        }
    }
}
