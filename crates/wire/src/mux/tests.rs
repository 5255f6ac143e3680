use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn round_trip(request: &Request) -> Request {
    let packet = Packet::plist(7, &request.to_plist());
    let mut decoder = Decoder::new(PACKET_LIMIT);
    for byte in packet.encode() {
        assert_eq!(decoder.next().unwrap(), None);
        decoder.push(&[byte]);
    }
    let packet = decoder.next().unwrap().unwrap();
    assert_eq!(packet.tag, 7);
    Request::from_packet(&packet).unwrap()
}

#[test]
fn ports_are_sent_with_swapped_bytes() {
    for (port, number) in [(LOCKDOWN_PORT, 32498), (49221, 17856)] {
        let request = Request::Connect { device_id: 3, port };
        let keys = request.to_plist();
        let sent = keys.as_dictionary().unwrap().get("PortNumber").unwrap();
        assert_eq!(sent.as_unsigned_integer(), Some(number));
        assert_eq!(round_trip(&request), request);
    }
}

#[test]
fn a_header_is_as_written_down() {
    let packet = Packet {
        version: VERSION_PLIST,
        message: message::PLIST,
        tag: 1,
        payload: vec![b' '; 384],
    };
    let expected = hex::decode("90010000010000000800000001000000").unwrap();
    assert_eq!(packet.encode().get(..16), Some(expected.as_slice()));
}

#[test]
fn binary_requests_of_old_clients_are_read() {
    let packet = Packet {
        version: VERSION_BINARY,
        message: message::CONNECT,
        tag: 2,
        payload: vec![5, 0, 0, 0, 0xf2, 0x7e, 0, 0],
    };
    assert_eq!(
        Request::from_packet(&packet).unwrap(),
        Request::Connect { device_id: 5, port: LOCKDOWN_PORT }
    );
    let short = Packet { payload: vec![5, 0], ..packet };
    assert!(matches!(Request::from_packet(&short), Err(MuxError::Short)));
    let answer = Answer::Result(ResultCode::ConnectionRefused);
    assert_eq!(Answer::from_packet(&answer.to_binary(2)).unwrap(), answer);
}

#[test]
fn answers_and_events_come_back_as_they_went() {
    let usb = DeviceProperties {
        device_id: 1,
        serial: "00008110-0011223344556677".into(),
        connection: Connection::Usb { speed: 480_000_000, location: 0x0001_0002, product: 0x12a8 },
    };
    let network = DeviceProperties {
        device_id: 0x1000_0000,
        serial: "0011223344556677889900112233445566778899".into(),
        connection: Connection::Network {
            address: Some(NetworkAddress {
                address: "fe80::1".parse::<IpAddr>().unwrap(),
                scope: 3,
            }),
            service_name: "aa@fe80::1._apple-mobdev2._tcp.local.".into(),
            interface: 3,
        },
    };
    for event in [
        Event::Attached(usb.clone()),
        Event::Attached(network.clone()),
        Event::Detached(1),
        Event::Paired(1),
    ] {
        assert_eq!(Event::from_plist(&event.to_plist()).unwrap(), event);
    }
    assert_eq!(Event::Attached(usb.clone()).to_binary().payload.len(), 268);
    for answer in [
        Answer::Devices(vec![usb, network]),
        Answer::Listeners(vec![Listener {
            id: 4,
            program: "usbmux-watch".into(),
            bundle_id: "com.example".into(),
        }]),
        Answer::Buid("30142955-444094379208051516".into()),
        Answer::PairRecord(vec![1, 2, 3]),
        Answer::Result(ResultCode::INVALID),
    ] {
        assert_eq!(Answer::from_plist(&answer.to_plist()).unwrap(), answer);
    }
}

#[test]
fn addresses_of_every_system_are_read() {
    let mut bsd = vec![0x10, 2, 0, 0, 192, 168, 1, 7];
    bsd.resize(128, 0);
    let address = NetworkAddress::decode(&bsd).unwrap();
    assert_eq!(address.address, "192.168.1.7".parse::<IpAddr>().unwrap());
    assert_eq!(NetworkAddress::decode(&address.encode()), Some(address));
    assert_eq!(NetworkAddress::decode(&[0; 28]), None);
    assert_eq!(NetworkAddress::decode(&[2, 0, 0, 0, 1, 2, 3]), None);
}

#[test]
fn lengths_outside_the_limits_are_refused_at_once() {
    for announced in [0_u32, 15, 1 << 20, u32::MAX] {
        let mut decoder = Decoder::new(1 << 16);
        decoder.push(&announced.to_le_bytes());
        decoder.push(&[0; 12]);
        assert!(matches!(decoder.next(), Err(MuxError::Length { .. })));
    }
}

#[test]
fn what_follows_a_connect_is_kept() {
    let mut decoder = Decoder::new(PACKET_LIMIT);
    decoder.push(&Answer::Result(ResultCode::Ok).to_binary(1).encode());
    decoder.push(b"stream");
    assert!(decoder.next().unwrap().is_some());
    assert_eq!(decoder.take_rest(), b"stream");
}

fn any_request() -> impl Strategy<Value = Request> {
    let id = "[0-9A-F-]{1,40}";
    prop_oneof![
        Just(Request::ListDevices),
        Just(Request::Listen),
        Just(Request::ListListeners),
        Just(Request::ReadBuid),
        (any::<u32>(), any::<u16>())
            .prop_map(|(device_id, port)| Request::Connect { device_id, port }),
        id.prop_map(|id| Request::ReadPairRecord { id }),
        id.prop_map(|id| Request::DeletePairRecord { id }),
        (id, any::<Vec<u8>>(), any::<Option<u32>>())
            .prop_map(|(id, data, device_id)| { Request::SavePairRecord { id, data, device_id } }),
        "X[a-z]{1,9}".prop_map(|name| Request::Unknown { name }),
    ]
}

proptest! {
    #[test]
    fn any_request_survives(request in any_request()) {
        prop_assert_eq!(round_trip(&request), request);
    }

    #[test]
    fn noise_never_panics(bytes in any::<Vec<u8>>(), step in 1_usize..9) {
        let mut decoder = Decoder::new(4096);
        for piece in bytes.chunks(step) {
            decoder.push(piece);
            if let Ok(Some(packet)) = decoder.next() {
                drop(Request::from_packet(&packet));
                drop(Answer::from_packet(&packet));
            }
        }
        let _ = NetworkAddress::decode(&bytes);
    }
}
