use proptest::prelude::*;

use super::*;

fn decode(bytes: &[u8], step: usize) -> Result<Vec<Packet>, AfcError> {
    let mut decoder = Decoder::new(PACKET_LIMIT);
    let mut packets = Vec::new();
    for piece in bytes.chunks(step) {
        decoder.push(piece);
        while let Some(packet) = decoder.next()? {
            packets.push(packet);
        }
    }
    Ok(packets)
}

#[test]
fn a_lock_is_as_written_down() {
    let request = Request::Lock { handle: 1, operation: LockOperation::Exclusive };
    let bytes = request.to_packet(7).encode();
    let mut expected = b"CFA6LPAA".to_vec();
    for field in [56_u64, 56, 7, 0x1b, 1, 6] {
        expected.extend_from_slice(&field.to_le_bytes());
    }
    assert_eq!(bytes, expected);
}

#[test]
fn answers_survive() {
    for answer in [
        Answer::Status(ErrorCode::WouldBlock),
        Answer::Status(ErrorCode::Other(77)),
        Answer::strings([".", "..", "DCIM"]),
        Answer::Opened(9),
        Answer::Position(u64::MAX),
    ] {
        let packets = decode(&answer.to_packet(3).encode(), 1).unwrap();
        let [packet] = packets.as_slice() else {
            panic!("one packet");
        };
        assert_eq!(Answer::from_packet(packet).unwrap(), answer);
    }
}

#[test]
fn lengths_that_contradict_are_refused() {
    for (entire, this) in [(39, 39), (40, 41), (u64::MAX, 40), (64, 8)] {
        let mut bytes = MAGIC.to_vec();
        for field in [entire, this, 0_u64, 1] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        assert!(matches!(decode(&bytes, 40), Err(AfcError::Length { .. })));
    }
    assert_eq!(decode(&[b'x'; 40], 40), Err(AfcError::Magic));
}

fn any_request() -> impl Strategy<Value = Request> {
    let path = || "[a-zA-Z/. ]{1,20}";
    let n = any::<u64>;
    prop_oneof![
        path().prop_map(Request::ReadDirectory),
        path().prop_map(Request::RemovePath),
        path().prop_map(Request::MakeDirectory),
        path().prop_map(Request::FileInfo),
        path().prop_map(Request::RemoveTree),
        Just(Request::DeviceInfo),
        (n(), path()).prop_map(|(mode, path)| Request::Open { mode: mode.into(), path }),
        (n(), n()).prop_map(|(handle, length)| Request::Read { handle, length }),
        (n(), any::<Vec<u8>>())
            .prop_map(|(handle, data)| Request::Write { handle, data: data.into() }),
        (n(), n(), any::<i64>()).prop_map(|(handle, whence, offset)| Request::Seek {
            handle,
            whence,
            offset
        }),
        n().prop_map(|handle| Request::Tell { handle }),
        n().prop_map(|handle| Request::Close { handle }),
        (n(), n()).prop_map(|(handle, size)| Request::SetSize { handle, size }),
        (path(), path()).prop_map(|(from, to)| Request::Rename { from, to }),
        (n(), n())
            .prop_map(|(handle, operation)| Request::Lock { handle, operation: operation.into() }),
        (n(), path(), path()).prop_map(|(kind, target, name)| Request::MakeLink {
            kind,
            target,
            name
        }),
        (n(), path()).prop_map(|(nanoseconds, path)| Request::SetModified { nanoseconds, path }),
    ]
}

proptest! {
    #[test]
    fn any_request_survives(request in any_request(), number in any::<u64>(), step in 1_usize..60) {
        let packets = decode(&request.to_packet(number).encode(), step).unwrap();
        prop_assert_eq!(packets.len(), 1);
        for packet in packets {
            prop_assert_eq!(packet.number, number);
            prop_assert_eq!(Request::from_packet(&packet).unwrap(), request.clone());
        }
    }

    #[test]
    fn noise_never_panics(operation in 0_u64..0x30, fixed in any::<Vec<u8>>(), bytes in any::<Vec<u8>>()) {
        drop(decode(&bytes, 7));
        let packet = Packet { number: 0, operation, fixed: fixed.into(), data: Bytes::new() };
        drop(Request::from_packet(&packet));
        drop(Answer::from_packet(&packet));
    }
}
