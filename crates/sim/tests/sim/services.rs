use lifeboat_sim::PhoneSpec;
use lifeboat_sim::phone::{PasscodeAnswer, PromptReason};
use lifeboat_wire::afc::{
    Answer, Decoder, ErrorCode, LockOperation, OpenMode, PACKET_LIMIT, Request,
};
use lifeboat_wire::lockdown::{notification, service};
use plist::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::host::{Line, Plists, World, keys, text};

/// A client of AFC.
struct Afc {
    line: Line,
    decoder: Decoder,
    number: u64,
}

impl Afc {
    fn new(line: Line) -> Self {
        Self { line, decoder: Decoder::new(PACKET_LIMIT), number: 40 }
    }

    async fn ask(&mut self, request: Request) -> Answer {
        self.number += 1;
        self.line.write_all(&request.to_packet(self.number).encode()).await.unwrap();
        self.line.flush().await.unwrap();
        loop {
            if let Some(packet) = self.decoder.next().unwrap() {
                assert_eq!(packet.number, self.number);
                return Answer::from_packet(&packet).unwrap();
            }
            let mut buffer = [0; 4096];
            let read = self.line.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "the phone closed");
            self.decoder.push(&buffer[..read]);
        }
    }

    async fn open(&mut self, path: &str, mode: OpenMode) -> u64 {
        match self.ask(Request::Open { mode, path: path.to_owned() }).await {
            Answer::Opened(handle) => handle,
            other => panic!("{other:?}"),
        }
    }

    async fn strings(&mut self, request: Request) -> Vec<String> {
        let Answer::Data(data) = self.ask(request).await else { panic!("no data") };
        let text = String::from_utf8(data.to_vec()).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn notifications_reach_those_who_observe() {
    let world = World::new(PhoneSpec::default(), true).await;
    let (mut lockdown, record) = pair_with_owner(&world).await;
    let mut line = Plists(world.service(&mut lockdown, &record, service::NOTIFICATION_PROXY).await);
    let say =
        |command: &str, name: &str| keys([("Command", command.into()), ("Name", name.into())]);
    for name in [
        notification::AUTHENTICATION_PRESENTED,
        notification::AUTHENTICATION_DISMISSED,
        "com.example.a",
    ] {
        line.send(say("ObserveNotification", name)).await;
    }
    line.send(say("PostNotification", "com.example.b")).await;
    line.send(say("PostNotification", "com.example.a")).await;
    let relayed = line.receive().await.unwrap();
    assert_eq!(text(&relayed, "Command"), Some("RelayNotification"));
    assert_eq!(text(&relayed, "Name"), Some("com.example.a"), "b is not observed");

    let phone = world.phone();
    let (answer, ()) = tokio::join!(phone.ask_passcode(PromptReason::Backup), async {
        let shown = line.receive().await.unwrap();
        assert_eq!(text(&shown, "Name"), Some(notification::AUTHENTICATION_PRESENTED));
        assert_eq!(phone.prompt(), Some(PromptReason::Backup));
        phone.answer_passcode(false).unwrap();
        let gone = line.receive().await.unwrap();
        assert_eq!(text(&gone, "Name"), Some(notification::AUTHENTICATION_DISMISSED));
    });
    assert_eq!(answer, PasscodeAnswer::Cancelled);
    assert!(phone.answer_passcode(true).is_err(), "nothing is asked now");

    line.send(keys([("Command", "Shutdown".into())])).await;
    assert_eq!(text(&line.receive().await.unwrap(), "Command"), Some("ProxyDeath"));
    assert!(line.receive().await.is_none());
    world.stop().await;
}

/// Pairs while the owner is asked, and opens a session.
async fn pair_with_owner(world: &World) -> (Plists, crate::host::Record) {
    let mut lockdown = world.lockdown().await;
    let record = crate::host::Record::new(&mut lockdown, "BUID-1").await;
    lockdown.ask(record.pair_request()).await;
    world.phone().answer_trust(true).unwrap();
    world.phone().answer_passcode(true).unwrap();
    assert!(lockdown.ask(record.pair_request()).await.contains_key("EscrowBag"));
    lockdown.start_session(&record, crate::host::Shown::Host).await;
    (lockdown, record)
}

#[tokio::test]
async fn the_owner_answers_by_itself_unless_asked_not_to() {
    let world = World::new(PhoneSpec::default(), false).await;
    let answer = world.phone().ask_passcode(PromptReason::Backup).await;
    assert_eq!(answer, PasscodeAnswer::Entered);
    world.stop().await;
}

#[tokio::test]
async fn one_computer_at_a_time_holds_the_sync_lock() {
    let world = World::new(PhoneSpec::default(), false).await;
    let (mut lockdown, record) = world.session().await;
    let mut one = Afc::new(world.service(&mut lockdown, &record, service::AFC).await);
    let mut two = Afc::new(world.service(&mut lockdown, &record, service::AFC).await);
    let path = "/com.apple.itunes.lock_sync";
    let (a, b) =
        (one.open(path, OpenMode::ReadWrite).await, two.open(path, OpenMode::ReadWrite).await);
    let lock = |handle| Request::Lock { handle, operation: LockOperation::Exclusive };
    let unlock = |handle| Request::Lock { handle, operation: LockOperation::Unlock };
    let ok = Answer::Status(ErrorCode::Ok);
    let would_block = Answer::Status(ErrorCode::WouldBlock);
    assert_eq!(one.ask(lock(a)).await, ok);
    assert_eq!(one.ask(lock(a)).await, ok, "a lock of one's own");
    assert_eq!(two.ask(lock(b)).await, would_block);
    assert_eq!(one.ask(unlock(a)).await, ok);
    assert_eq!(two.ask(lock(b)).await, ok);
    assert_eq!(one.ask(lock(a)).await, would_block);
    two.line.shutdown().await.unwrap();
    assert_eq!(two.line.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(one.ask(lock(a)).await, ok, "a lock goes with its connection");
    world.stop().await;
}

#[tokio::test]
async fn the_media_folder_can_be_read_and_used() {
    let world = World::new(PhoneSpec::default(), false).await;
    let (mut lockdown, record) = world.session().await;
    let mut afc = Afc::new(world.service(&mut lockdown, &record, service::AFC).await);
    let names = afc.strings(Request::ReadDirectory("/".to_owned())).await;
    assert_eq!(&names[..2], [".", ".."]);
    assert!(names.iter().any(|name| name == "DCIM"), "{names:?}");
    let info = afc.strings(Request::FileInfo("/DCIM".to_owned())).await;
    assert!(info.windows(2).any(|pair| pair == ["st_ifmt", "S_IFDIR"]), "{info:?}");
    let device = afc.strings(Request::DeviceInfo).await;
    assert_eq!(&device[..2], ["Model", "iPhone14,5"]);

    let file = afc.open("/Downloads/note.txt", OpenMode::Write).await;
    let data = bytes::Bytes::from_static(b"hello, phone");
    let ok = Answer::Status(ErrorCode::Ok);
    assert_eq!(afc.ask(Request::Write { handle: file, data }).await, ok);
    assert_eq!(afc.ask(Request::Tell { handle: file }).await, Answer::Position(12));
    assert_eq!(afc.ask(Request::Seek { handle: file, whence: 0, offset: 7 }).await, ok);
    let read = Request::Read { handle: file, length: 100 };
    assert_eq!(afc.ask(read.clone()).await, Answer::Data(bytes::Bytes::from_static(b"phone")));
    assert_eq!(afc.ask(Request::Close { handle: file }).await, ok);
    assert_eq!(afc.ask(read).await, Answer::Status(ErrorCode::InvalidArgument));
    let missing = Request::Open { mode: OpenMode::Read, path: "/nothing".to_owned() };
    assert_eq!(afc.ask(missing).await, Answer::Status(ErrorCode::NotFound));
    let outside = Request::FileInfo("/../../etc/passwd".to_owned());
    assert_eq!(afc.ask(outside).await, Answer::Status(ErrorCode::PermissionDenied));
    assert_eq!(afc.ask(Request::Unknown(0x77)).await, Answer::Status(ErrorCode::NotSupported));
    world.stop().await;
}

#[tokio::test]
async fn apps_icons_and_diagnostics_are_told() {
    let world = World::new(PhoneSpec::default(), false).await;
    let (mut lockdown, record) = world.session().await;

    let mut apps = Plists(world.service(&mut lockdown, &record, service::INSTALLATION_PROXY).await);
    let wanted = Value::Array(vec!["CFBundleIdentifier".into(), "ApplicationSINF".into()]);
    let options = keys([("ApplicationType", "User".into()), ("ReturnAttributes", wanted)]);
    apps.send(keys([("Command", "Browse".into()), ("ClientOptions", Value::Dictionary(options))]))
        .await;
    let mut found = Vec::new();
    loop {
        let answer = apps.receive().await.unwrap();
        if text(&answer, "Status") == Some("Complete") {
            break;
        }
        let index = answer["CurrentIndex"].as_unsigned_integer().unwrap();
        assert_eq!(index, found.len() as u64);
        found.extend(answer["CurrentList"].as_array().unwrap().clone());
    }
    let first = found[0].as_dictionary().unwrap();
    assert_eq!(first.len(), 2, "only what was asked for");
    let bundle = text(first, "CFBundleIdentifier").unwrap().to_owned();
    let ids = keys([("BundleIDs", Value::Array(vec![bundle.as_str().into()]))]);
    let lookup = keys([("Command", "Lookup".into()), ("ClientOptions", Value::Dictionary(ids))]);
    let answer = apps.ask(lookup).await;
    assert_eq!(answer["LookupResult"].as_dictionary().unwrap().len(), 1);

    let mut icons =
        Plists(world.service(&mut lockdown, &record, service::SPRINGBOARD_SERVICES).await);
    let icon =
        icons.ask(keys([("command", "getIconPNGData".into()), ("bundleId", bundle.into())])).await;
    assert!(icon["pngData"].as_data().unwrap().starts_with(b"\x89PNG"));

    let mut relay = Plists(world.service(&mut lockdown, &record, service::DIAGNOSTICS_RELAY).await);
    let battery =
        keys([("Request", "IORegistry".into()), ("EntryClass", "IOPMPowerSource".into())]);
    let answer = relay.ask(battery).await;
    let registry = &answer["Diagnostics"].as_dictionary().unwrap()["IORegistry"];
    assert!(registry.as_dictionary().unwrap().contains_key("CycleCount"));
    relay.ask(keys([("Request", "Goodbye".into())])).await;
    assert!(relay.receive().await.is_none());

    let mut heart = Plists(world.service(&mut lockdown, &record, service::HEARTBEAT).await);
    assert_eq!(text(&heart.receive().await.unwrap(), "Command"), Some("Marco"));
    world.stop().await;
}
