//! The conversation against a peer that follows a script, over a stream in memory.

use lifeboat_wire::afc::Packet;
use tokio::io::DuplexStream;

use super::*;

/// The device's side of AFC: says what it was asked, and answers as it is told.
pub(crate) struct Peer {
    stream: DuplexStream,
    decoder: Decoder,
}

impl Peer {
    /// Makes a connection and its other end.
    pub(crate) fn pair() -> (DuplexStream, Self) {
        let (ours, stream) = tokio::io::duplex(BUFFER);
        (ours, Self { stream, decoder: Decoder::new(PACKET_LIMIT) })
    }

    /// Returns the next question and its number; `None` when the host has closed the connection.
    pub(crate) async fn asked(&mut self) -> Option<(u64, Request)> {
        loop {
            if let Some(packet) = self.decoder.next().unwrap() {
                return Some((packet.number, Request::from_packet(&packet).unwrap()));
            }
            let mut buffer = BytesMut::new();
            if self.stream.read_buf(&mut buffer).await.unwrap() == 0 {
                return None;
            }
            self.decoder.push(&buffer);
        }
    }

    /// Sends a packet.
    pub(crate) async fn send(&mut self, packet: &Packet) {
        self.stream.write_all(&packet.encode()).await.unwrap();
    }

    /// Expects a question and answers it.
    pub(crate) async fn turn(&mut self, expected: &Request, answer: Answer) {
        let (number, request) = self.asked().await.expect("a question");
        assert_eq!(request, *expected);
        self.send(&answer.to_packet(number)).await;
    }
}

const PATH: &str = "/Books/iBooksData2.plist";

/// Offers a file of `size` bytes and opens it.
async fn offer(peer: &mut Peer, size: &str) {
    let facts = Answer::strings(["st_ifmt", "S_IFREG", "st_size", size]);
    peer.turn(&Request::FileInfo(PATH.into()), facts).await;
    let open = Request::Open { mode: OpenMode::Read, path: PATH.into() };
    peer.turn(&open, Answer::Opened(7)).await;
}

#[tokio::test]
async fn a_file_is_read_in_parts_and_closed() {
    let (stream, mut peer) = Peer::pair();
    let mut afc = Afc::new(stream);
    let (read, ()) = tokio::join!(afc.read_file(PATH, 100), async {
        offer(&mut peer, "5").await;
        let read = Request::Read { handle: 7, length: 5 };
        peer.turn(&read, Answer::Data(b"hel".to_vec().into())).await;
        let read = Request::Read { handle: 7, length: 2 };
        peer.turn(&read, Answer::Data(b"lo".to_vec().into())).await;
        peer.turn(&Request::Close { handle: 7 }, Answer::Status(ErrorCode::Ok)).await;
    });
    assert_eq!(read.unwrap().unwrap(), b"hello");
}

#[tokio::test]
async fn a_file_that_breaks_is_closed_and_the_next_is_read() {
    let (stream, mut peer) = Peer::pair();
    let mut afc = Afc::new(stream);
    let (read, ()) = tokio::join!(afc.read_file(PATH, 100), async {
        offer(&mut peer, "5").await;
        let read = Request::Read { handle: 7, length: 5 };
        peer.turn(&read, Answer::Status(ErrorCode::Io)).await;
        peer.turn(&Request::Close { handle: 7 }, Answer::Status(ErrorCode::Ok)).await;
    });
    assert!(matches!(read, Err(AfcError::Refused(ErrorCode::Io))), "{read:?}");
    let (read, ()) = tokio::join!(afc.read_file(PATH, 100), async {
        let missing = Answer::Status(ErrorCode::NotFound);
        peer.turn(&Request::FileInfo(PATH.into()), missing).await;
    });
    assert!(read.unwrap().is_none());
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_opened() {
    let (stream, mut peer) = Peer::pair();
    let mut afc = Afc::new(stream);
    let (read, ()) = tokio::join!(afc.read_file(PATH, 100), async {
        let facts = Answer::strings(["st_size", "101"]);
        peer.turn(&Request::FileInfo(PATH.into()), facts).await;
    });
    assert!(matches!(read, Err(AfcError::Link(LinkError::Malformed(_)))), "{read:?}");
}

#[tokio::test]
async fn a_link_that_ends_in_the_middle_of_a_file_is_an_error_and_no_panic() {
    let (stream, mut peer) = Peer::pair();
    let mut afc = Afc::new(stream);
    let (read, ()) = tokio::join!(afc.read_file(PATH, 100), async move {
        offer(&mut peer, "5").await;
        peer.asked().await;
    });
    assert!(matches!(read, Err(AfcError::Link(LinkError::Lost(_)))), "{read:?}");
    assert!(matches!(afc.size(PATH).await, Err(AfcError::Link(LinkError::Lost(_)))));
}

#[tokio::test]
async fn an_answer_to_another_question_ends_the_conversation() {
    let (stream, mut peer) = Peer::pair();
    let mut afc = Afc::new(stream);
    let (size, ()) = tokio::join!(afc.size(PATH), async {
        let (number, _) = peer.asked().await.unwrap();
        peer.send(&Answer::Status(ErrorCode::Ok).to_packet(number + 1)).await;
    });
    assert!(matches!(size, Err(AfcError::Link(LinkError::Malformed(_)))), "{size:?}");
    assert!(matches!(afc.size(PATH).await, Err(AfcError::Link(LinkError::Lost(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_answer_is_not_waited_for_without_end() {
    let (stream, _peer) = Peer::pair();
    let mut afc = Afc::new(stream);
    let size = afc.size(PATH).await;
    assert!(matches!(size, Err(AfcError::Link(LinkError::Timeout { .. }))), "{size:?}");
}

#[tokio::test]
async fn noise_is_an_error() {
    let (stream, mut peer) = Peer::pair();
    let mut afc = Afc::new(stream);
    let (size, ()) = tokio::join!(afc.size(PATH), async {
        peer.stream.write_all(&[0x55; 64]).await.unwrap();
    });
    assert!(matches!(size, Err(AfcError::Link(LinkError::Malformed(_)))), "{size:?}");
}
