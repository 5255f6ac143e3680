//! The codecs against bytes that we did not make: what libimobiledevice's tools and pymobiledevice3 sent (`recorded/README.md`).

use bytes::BytesMut;
use lifeboat_wire::afc;
use lifeboat_wire::devicelink::HostMessage;
use lifeboat_wire::files::{Decoder as FilesDecoder, Event};
use lifeboat_wire::mux;
use lifeboat_wire::plist_frame;
use lifeboat_wire::plist_guard::{Limits, parse};
use plist::Value;

/// The recorded file of both strangers, by stranger.
macro_rules! both {
    ($file:literal) => {
        [
            (
                "idevicebackup2",
                include_bytes!(concat!("recorded/idevicebackup2/", $file)).as_slice(),
            ),
            (
                "pymobiledevice3",
                include_bytes!(concat!("recorded/pymobiledevice3/", $file)).as_slice(),
            ),
        ]
    };
}

/// Cuts bytes into units; nothing may be left over.
fn units(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = plist_frame::Decoder::new(plist_frame::MESSAGE_LIMIT);
    decoder.push(bytes);
    let mut units = Vec::new();
    while let Some(unit) = decoder.next().expect("units") {
        units.push(unit);
    }
    assert!(!decoder.is_partial(), "bytes are left over");
    units
}

/// The value of a key of each property list in a stream of units.
fn words(bytes: &[u8], key: &str) -> Vec<String> {
    let word = |unit: &Vec<u8>| {
        let value = parse(unit, &Limits::MESSAGE).expect("a property list");
        value
            .as_dictionary()
            .expect("a dictionary")
            .get(key)
            .and_then(Value::as_string)
            .unwrap_or("?")
            .to_owned()
    };
    units(bytes).iter().map(word).collect()
}

#[test]
fn the_muxs_packets_are_understood() {
    for (stranger, bytes) in both!("mux.bin") {
        let mut decoder = mux::Decoder::new(mux::PACKET_LIMIT);
        decoder.push(bytes);
        let mut names = Vec::new();
        while let Some(packet) = decoder.next().unwrap() {
            let request = mux::Request::from_packet(&packet).unwrap();
            assert!(!matches!(request, mux::Request::Unknown { .. }), "{stranger}: {request:?}");
            assert_eq!(mux::Request::from_plist(&request.to_plist()).unwrap(), request);
            names.push(request.name().to_owned());
        }
        assert_eq!(decoder.take_rest(), b"", "{stranger}: bytes are left over");
        for name in ["ListDevices", "ReadBUID", "ReadPairRecord", "Connect"] {
            assert!(names.iter().any(|sent| sent == name), "{stranger}: {names:?}");
        }
    }
}

#[test]
fn lockdowns_requests_are_understood() {
    for (stranger, bytes) in both!("lockdown.bin") {
        let requests = words(bytes, "Request");
        for request in ["QueryType", "GetValue", "StartSession", "StartService"] {
            assert!(requests.iter().any(|sent| sent == request), "{stranger}: {requests:?}");
        }
        assert!(!requests.iter().any(|sent| sent == "?"), "{stranger}: {requests:?}");
    }
    let unpair = words(include_bytes!("recorded/idevicebackup2/unpair.bin"), "Request");
    assert_eq!(unpair.last().unwrap(), "Unpair");
    assert!(!unpair.iter().any(|request| request == "StartSession"), "docs/protocol.md 2.4");
}

#[test]
fn devicelink_messages_are_understood_and_mean_the_same_when_we_send_them() {
    for (stranger, bytes) in both!("devicelink.bin") {
        let messages: Vec<HostMessage> = units(bytes)
            .iter()
            .map(|unit| HostMessage::decode(unit, &Limits::MESSAGE).unwrap())
            .collect();
        assert!(
            matches!(messages[0], HostMessage::VersionExchange { .. }),
            "{stranger}: {:?}",
            messages[0]
        );
        assert!(
            messages.iter().any(|message| matches!(message, HostMessage::ProcessMessage(_))),
            "{stranger}"
        );
        assert!(
            messages.iter().any(|message| matches!(message, HostMessage::Status(_))),
            "{stranger}"
        );
        for message in messages {
            assert_eq!(HostMessage::decode(&message.encode(), &Limits::MESSAGE).unwrap(), message);
        }
    }
}

#[test]
fn streams_of_files_are_understood_in_any_pieces() {
    for (stranger, bytes) in both!("download.bin") {
        let whole = events(bytes, bytes.len());
        assert!(
            whole.iter().any(|event| matches!(event, Event::End { code: 0, .. })),
            "{stranger}: {whole:?}"
        );
        assert_eq!(whole.last(), Some(&Event::Terminator), "{stranger}");
        for piece in [1, 3, 7, 100] {
            assert_eq!(events(bytes, piece), whole, "{stranger}, {piece} bytes at a time");
        }
    }
    let missing = events(include_bytes!("recorded/idevicebackup2/download.bin"), 512);
    assert_eq!(missing[1], Event::End { code: 6, text: "No such file or directory".to_owned() });
}

/// The events of streams of files; data of one file is put together.
fn events(bytes: &[u8], piece: usize) -> Vec<Event> {
    let mut decoder = FilesDecoder::download();
    let mut buffer = BytesMut::new();
    let mut events: Vec<Event> = Vec::new();
    for part in bytes.chunks(piece) {
        buffer.extend_from_slice(part);
        while let Some(event) = decoder.next(&mut buffer).expect("a stream of files") {
            match (events.last_mut(), event) {
                (Some(Event::Data(before)), Event::Data(more)) => {
                    *before = [&before[..], &more[..]].concat().into();
                }
                (_, event) => events.push(event),
            }
        }
    }
    assert!(buffer.is_empty(), "bytes are left over");
    events
}

#[test]
fn afcs_packets_are_understood_and_encoded_to_the_same_bytes() {
    for (stranger, bytes) in both!("afc.bin") {
        let mut decoder = afc::Decoder::new(afc::PACKET_LIMIT);
        decoder.push(bytes);
        let mut encoded = Vec::new();
        let mut names = Vec::new();
        while let Some(packet) = decoder.next().unwrap() {
            let request = afc::Request::from_packet(&packet).unwrap();
            encoded.extend(request.to_packet(packet.number).encode());
            names.push(format!("{request:?}"));
        }
        assert_eq!(encoded, bytes, "{stranger}: {names:?}");
        assert!(names.iter().any(|name| name.contains("Lock")), "{stranger}: {names:?}");
    }
}

#[test]
fn services_requests_are_understood() {
    for (stranger, bytes) in both!("notification_proxy.bin") {
        let commands = words(bytes, "Command");
        assert!(
            commands.iter().any(|command| command == "ObserveNotification"),
            "{stranger}: {commands:?}"
        );
    }
    for (stranger, bytes) in both!("installation_proxy.bin") {
        assert_eq!(words(bytes, "Command"), ["Browse"], "{stranger}");
    }
    for (stranger, bytes) in both!("springboardservices.bin") {
        assert!(
            words(bytes, "command").iter().all(|command| command == "getIconPNGData"),
            "{stranger}"
        );
    }
}
