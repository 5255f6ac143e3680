use lifeboat_sim::PhoneSpec;
use lifeboat_wire::mux::{
    Answer, Connection, Event, Packet, Request, ResultCode, VERSION_BINARY, VERSION_PLIST, message,
};
use plist::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::host::{World, ask, packet};

fn two_phones() -> Vec<PhoneSpec> {
    vec![
        PhoneSpec::default(),
        PhoneSpec { seed: 2, name: "Kim".to_owned(), ..PhoneSpec::default() },
    ]
}

async fn event(stream: &mut tokio::net::TcpStream) -> Event {
    let packet = packet(stream).await.expect("an event");
    assert_eq!(packet.tag, 0);
    Event::from_plist(&packet.value().unwrap()).unwrap()
}

#[tokio::test]
async fn phones_come_and_go() {
    let world = World::start(two_phones(), false, tempfile::tempdir().unwrap()).await;
    let devices = world.devices().await;
    assert_eq!(devices.len(), 2);
    assert!(matches!(devices[0].connection, Connection::Usb { product: 0x12a8, .. }));
    assert_eq!(devices[0].serial, world.phone().udid());

    let mut listener = world.dial().await;
    assert_eq!(ask(&mut listener, &Request::Listen).await, Answer::Result(ResultCode::Ok));
    for device in &devices {
        assert_eq!(event(&mut listener).await, Event::Attached(device.clone()));
    }
    let Answer::Listeners(listeners) = world.mux(Request::ListListeners).await else {
        panic!("list")
    };
    assert_eq!(listeners.len(), 1);

    world.phone().pull_cable();
    assert_eq!(event(&mut listener).await, Event::Detached(devices[0].device_id));
    assert_eq!(world.devices().await.len(), 1);
    assert!(world.phone().cable.plug());
    let Event::Attached(again) = event(&mut listener).await else { panic!("not attached") };
    assert_eq!(again.serial, devices[0].serial);
    assert_ne!(again.device_id, devices[0].device_id, "every plugging has its own number");
    world.stop().await;
}

#[tokio::test]
async fn pulling_the_cable_breaks_connections() {
    let world = World::new(PhoneSpec::default(), false).await;
    let mut lockdown = world.lockdown().await;
    world.phone().pull_cable();
    assert!(lockdown.receive().await.is_none());
    world.stop().await;
}

#[tokio::test]
async fn pair_records_are_kept_for_hosts() {
    let world = World::new(PhoneSpec::default(), false).await;
    let id = world.phone().udid().to_owned();
    let device_id = world.devices().await[0].device_id;
    let mut listener = world.dial().await;
    ask(&mut listener, &Request::Listen).await;
    event(&mut listener).await;

    let read = || Request::ReadPairRecord { id: id.clone() };
    assert_eq!(world.mux(read()).await, Answer::Result(ResultCode::NO_ENTRY));
    let data = b"a record".to_vec();
    let save =
        Request::SavePairRecord { id: id.clone(), data: data.clone(), device_id: Some(device_id) };
    assert_eq!(world.mux(save).await, Answer::Result(ResultCode::Ok));
    assert_eq!(event(&mut listener).await, Event::Paired(device_id));
    assert_eq!(world.mux(read()).await, Answer::PairRecord(data));
    let outside = Request::ReadPairRecord { id: "../memory".to_owned() };
    assert_eq!(world.mux(outside).await, Answer::Result(ResultCode::INVALID));
    let Answer::Buid(buid) = world.mux(Request::ReadBuid).await else { panic!("no BUID") };

    let folder = world.stop().await;
    let world = World::start(vec![PhoneSpec::default()], false, folder).await;
    assert_eq!(world.mux(Request::ReadBuid).await, Answer::Buid(buid));
    assert!(matches!(world.mux(read()).await, Answer::PairRecord(_)));
    let delete = Request::DeletePairRecord { id: id.clone() };
    assert_eq!(world.mux(delete).await, Answer::Result(ResultCode::Ok));
    assert_eq!(world.mux(read()).await, Answer::Result(ResultCode::NO_ENTRY));
    world.stop().await;
}

#[tokio::test]
async fn wrong_commands_are_answered_as_usbmuxd_does() {
    let world = World::new(PhoneSpec::default(), false).await;
    let mut stream = world.dial().await;
    let device_id = world.devices().await[0].device_id;
    let unknown = Request::Unknown { name: "Dance".to_owned() };
    assert_eq!(ask(&mut stream, &unknown).await, Answer::Result(ResultCode::BadCommand));
    let nobody = Request::Connect { device_id: 999, port: 62078 };
    assert_eq!(ask(&mut stream, &nobody).await, Answer::Result(ResultCode::BadDevice));
    let closed = Request::Connect { device_id, port: 50000 };
    assert_eq!(ask(&mut stream, &closed).await, Answer::Result(ResultCode::ConnectionRefused));
    // The same stream still works.
    assert!(matches!(ask(&mut stream, &Request::ListDevices).await, Answer::Devices(_)));

    let other_version = Packet { version: 7, message: message::PLIST, tag: 7, payload: Vec::new() };
    stream.write_all(&other_version.encode()).await.unwrap();
    let answer = Answer::from_packet(&packet(&mut stream).await.unwrap()).unwrap();
    assert_eq!(answer, Answer::Result(ResultCode::BadVersion));

    for payload in [b"no property list".to_vec(), b"<plist><dict/></plist>".to_vec()] {
        let mut stream = world.dial().await;
        let noise = Packet { version: VERSION_PLIST, message: message::PLIST, tag: 1, payload };
        stream.write_all(&noise.encode()).await.unwrap();
        assert!(packet(&mut stream).await.is_none(), "dropped without a word");
    }
    let mut stream = world.dial().await;
    stream.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    stream.write_all(&[0; 12]).await.unwrap();
    assert!(packet(&mut stream).await.is_none());
    world.stop().await;
}

#[tokio::test]
async fn old_clients_are_answered_in_binary() {
    let world = World::new(PhoneSpec::default(), false).await;
    let device_id = world.devices().await[0].device_id;
    let mut stream = world.dial().await;
    let listen =
        Packet { version: VERSION_BINARY, message: message::LISTEN, tag: 3, payload: Vec::new() };
    stream.write_all(&listen.encode()).await.unwrap();
    let result = packet(&mut stream).await.unwrap();
    assert_eq!((result.version, result.message, result.tag), (0, message::RESULT, 3));
    let device = packet(&mut stream).await.unwrap();
    assert_eq!((device.message, device.payload.len()), (message::DEVICE_ADD, 268));
    assert!(device.payload[6..].starts_with(world.phone().udid().as_bytes()));

    let mut payload = device_id.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0xf2, 0x7e, 0, 0]);
    let connect = Packet { version: VERSION_BINARY, message: message::CONNECT, tag: 4, payload };
    let mut stream = world.dial().await;
    stream.write_all(&connect.encode()).await.unwrap();
    let answer = Answer::from_packet(&packet(&mut stream).await.unwrap()).unwrap();
    assert_eq!(answer, Answer::Result(ResultCode::Ok));
    let mut lockdown = crate::host::Plists(crate::host::Line::Plain(stream));
    let answer = lockdown.ask(crate::host::keys([("Request", "QueryType".into())])).await;
    assert_eq!(answer["Type"], Value::from("com.apple.mobile.lockdown"));
    world.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_serves_and_a_dead_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let folder = camino::Utf8Path::from_path(folder.path()).unwrap();
    let socket = folder.join("usbmuxd");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let options = lifeboat_sim::Options {
        listen: lifeboat_sim::Listen::Unix(socket.clone()),
        state: folder.join("state"),
        phones: Vec::new(),
        clock: std::sync::Arc::new(crate::host::noon),
        ask: false,
    };
    let server = lifeboat_sim::serve(options).await.unwrap();
    assert_eq!(server.listening, socket.as_str());
    let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let request = Packet::plist(1, &Request::ListDevices.to_plist());
    stream.write_all(&request.encode()).await.unwrap();
    let mut decoder = lifeboat_wire::mux::Decoder::new(lifeboat_wire::mux::PACKET_LIMIT);
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    decoder.push(&buffer[..read]);
    let answer = Answer::from_packet(&decoder.next().unwrap().expect("a packet")).unwrap();
    assert_eq!(answer, Answer::Devices(Vec::new()));
    server.shutdown().await;
    assert!(!socket.exists());
}
