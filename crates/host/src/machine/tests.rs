use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::fake::FakeHost;
use crate::machine::description::{KernelLog, MountRow, Usb, UsbRow};
use crate::net::tls::Distrust;
use crate::net::{Get, NetworkError, Resolver, TlsQuestion, Trust};
use crate::trial::{FolderState, Protection};

const LIMIT: Duration = Duration::from_secs(30);

fn machine(text: &str) -> Machine {
    Machine::parse(Arc::new(FakeHost::default()), text).unwrap()
}

#[test]
fn where_the_file_is_silent_the_real_machine_answers() {
    let real = FakeHost::default();
    let (now, space) = (real.now(), real.space(Utf8Path::new("/x")).unwrap());
    let machine = machine("");
    assert_eq!(machine.now(), now);
    assert_eq!(machine.space(Utf8Path::new("/x")).unwrap(), space);
    assert_eq!(machine.user_name(), "sailor");
    assert_eq!(machine.try_folder(Utf8Path::new("/x")), FolderTrial::good());
}

#[test]
fn a_word_that_nobody_knows_is_refused() {
    let real: Arc<dyn Host> = Arc::new(FakeHost::default());
    for text in
        ["clok = 3", "[usb]\nanswer = \"maybe\"", "[[folders]]\nfreee = 1", "[network]\nx = 1"]
    {
        assert!(Machine::parse(Arc::clone(&real), text).is_err(), "{text}");
    }
}

#[test]
fn what_the_file_says_is_so() {
    let machine = machine(
        r#"
        clock = 3600
        processes = ["iTunes"]
        sleep = "may-sleep"
        power = "battery"
        virtual-machine = true
        system = { name = "macos", version = "12.1" }
        [usb]
        silent-ports = 1
        [[usb.devices]]
        port = "1-2.4"
        speed = 12
        [kernel-log]
        answer = "denied"
        [[mounts]]
        path = "/"
        kind = "vfat"
        [[folders]]
        free = 5
        [[folders]]
        under = "/disk"
        free = 7
        state = "read-only"
        [[folders]]
        under = "/kept"
        protection = "macos-privacy"
        "#,
    );
    let bus = machine.usb().unwrap();
    assert_eq!(
        (bus.silent_ports, bus.devices[0].hubs, bus.devices[0].speed),
        (Some(1), 1, Some(12))
    );
    assert!(matches!(machine.kernel_log(), Err(LookError::Denied { .. })));
    assert_eq!(machine.processes().unwrap()[0].name, "iTunes");
    assert_eq!(machine.mounts().unwrap()[0].kind, "vfat");
    assert_eq!(machine.free_bytes(Utf8Path::new("/a")).unwrap(), 5);
    assert_eq!(machine.free_bytes(Utf8Path::new("/disk/a")).unwrap(), 7);
    assert_eq!(machine.try_folder(Utf8Path::new("/disk/a")).state, FolderState::ReadOnly);
    let kept = machine.try_folder(Utf8Path::new("/kept"));
    assert_eq!(
        (kept.state, kept.protection),
        (FolderState::Denied, Some(Protection::MacosPrivacy))
    );
    assert_eq!(machine.sleep().unwrap(), Sleep::MaySleep);
    assert_eq!(machine.power().unwrap(), Power::Battery);
    assert!(machine.virtual_machine().unwrap());
    assert_eq!(machine.system().version.as_deref(), Some("12.1"));
    assert_eq!(machine.now().as_second() - FakeHost::default().now().as_second(), 3600);
}

#[tokio::test]
async fn without_a_word_about_the_network_it_cannot_be_looked_at() {
    let machine = machine("");
    let network = machine.network();
    assert!(matches!(network.routes(), Err(LookError::Offline)));
    let found = network.resolve("gateway.icloud.com", Resolver::System, LIMIT).await;
    assert!(matches!(found, Err(NetworkError::Offline)));
    let address: SocketAddr = "17.0.0.1:443".parse().unwrap();
    assert!(matches!(network.connect(address, LIMIT).await, Err(NetworkError::Offline)));
    assert!(matches!(network.time("time.apple.com:123", LIMIT).await, Err(NetworkError::Offline)));
    let ping = network.ping(address.ip(), LIMIT).await;
    assert!(matches!(ping, Err(LookError::Offline)));
}

async fn shaken(
    machine: &Machine,
    host: &str,
    padding: usize,
) -> Result<crate::net::Signed, NetworkError> {
    let network = machine.network();
    let found = network.resolve(host, Resolver::System, LIMIT).await?;
    let address = (found[0], 443).into();
    let question =
        TlsQuestion { host: host.to_owned(), address, trust: Trust::Public, padding, limit: LIMIT };
    network.shake(&question).await
}

#[tokio::test]
async fn a_described_network_is_well_until_a_row_says_otherwise() {
    let machine = machine(
        r#"
        [network]
        gateway-loss = 40
        [[network.hosts]]
        name = "*.icloud.com"
        local-dns = "no-such-name"
        [[network.hosts]]
        name = "gsa.apple.com"
        tls = "foreign"
        issuer = "Office Root"
        [[network.hosts]]
        name = "slow.apple.com"
        large-packets = false
        loss = 20
        [[network.pages]]
        url = "https://feed/*"
        size = 1000000000
        [[network.times]]
        ahead = 90
        "#,
    );
    let network = machine.network();
    let local = network.resolve("gateway.icloud.com", Resolver::System, LIMIT).await;
    assert!(matches!(local, Err(NetworkError::NoSuchName)));
    let public = Resolver::At("9.9.9.9:53".parse().unwrap());
    assert!(network.resolve("gateway.icloud.com", public, LIMIT).await.is_ok());
    let signed = shaken(&machine, "gsa.apple.com", 0).await.unwrap();
    assert_eq!((signed.wrong, signed.issuers[0].as_str()), (Some(Distrust::Issuer), "Office Root"));
    assert_eq!(shaken(&machine, "www.apple.com", 0).await.unwrap().wrong, None);
    assert!(shaken(&machine, "slow.apple.com", 0).await.is_ok());
    assert!(shaken(&machine, "slow.apple.com", 2000).await.is_err());
    let found = network.resolve("slow.apple.com", Resolver::System, LIMIT).await.unwrap();
    let mut lost = 0;
    for _ in 0..20 {
        lost += u32::from(network.connect((found[0], 80).into(), LIMIT).await.is_err());
    }
    assert_eq!(lost, 4);
    let get = Get { url: "https://feed/a".into(), trust: Trust::Public, size: 1000, limit: LIMIT };
    assert!(matches!(network.get(&get).await, Err(NetworkError::TooLong { .. })));
    let time = network.time("time.apple.com:123", LIMIT).await.unwrap();
    assert_eq!(time.now.as_second() - machine.now().as_second(), 90);
    let pings = network.ping([192, 168, 1, 1].into(), LIMIT).await.unwrap();
    assert_eq!((pings.sent, pings.received), (5, 3));
}

#[tokio::test]
async fn what_lies_on_this_machine_is_real() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let real: Arc<dyn Host> = Arc::new(crate::Os::new("someone"));
    let machine = Machine::parse(real, "").unwrap();
    assert!(machine.network().connect(listener.local_addr().unwrap(), LIMIT).await.is_ok());
}

fn any_usb() -> impl Strategy<Value = Usb> {
    let answers = [Answer::Given, Answer::Denied, Answer::NotThere, Answer::TimedOut];
    let numbers = (any::<u16>(), any::<u16>(), any::<Option<u32>>());
    let row = (numbers, any::<Option<String>>(), any::<String>(), any::<bool>()).prop_map(
        |((vendor, product, speed), serial, port, may_open)| UsbRow {
            vendor,
            product,
            // A row without a speed has the speed of a good cable.
            speed: speed.or(Some(480)),
            serial,
            port,
            may_open,
        },
    );
    let rows = prop::collection::vec(row, 0..3);
    (prop::sample::select(answers.to_vec()), any::<Option<u32>>(), rows)
        .prop_map(|(answer, silent_ports, devices)| Usb { answer, silent_ports, devices })
}

fn any_folder() -> impl Strategy<Value = Folder> {
    let number = || prop::option::of(0..u64::MAX / 2);
    (any::<String>(), number(), number(), number(), any::<Option<bool>>(), any::<[bool; 2]>())
        .prop_map(|(under, free, total, free_files, rename, [over_quota, hangs])| Folder {
            under: under.into(),
            free,
            total,
            free_files,
            rename,
            over_quota,
            hangs,
            ..Folder::default()
        })
}

fn any_description() -> impl Strategy<Value = Description> {
    let mount =
        (any::<[String; 3]>(), any::<bool>()).prop_map(|([path, kind, source], read_only)| {
            MountRow { path: path.into(), kind, source, read_only }
        });
    let log = prop::collection::vec(any::<String>(), 0..3)
        .prop_map(|lines| KernelLog { answer: Answer::Given, lines });
    let sleep =
        prop::option::of(prop::sample::select(vec![SleepWord::MaySleep, SleepWord::HeldOff]));
    (
        (any::<String>(), any::<i64>(), any::<Option<bool>>(), sleep),
        prop::option::of(any_usb()),
        prop::option::of(log),
        any::<Option<Vec<String>>>(),
        prop::option::of(prop::collection::vec(mount, 0..3)),
        prop::collection::vec(any_folder(), 0..3),
    )
        .prop_map(
            |(
                (about, clock, virtual_machine, sleep),
                usb,
                kernel_log,
                processes,
                mounts,
                folders,
            )| {
                Description {
                    about,
                    clock,
                    usb,
                    kernel_log,
                    processes,
                    mounts,
                    folders,
                    sleep,
                    virtual_machine,
                    ..Description::default()
                }
            },
        )
}

/// Asks all that a description may answer without a network.
fn ask(text: &str) {
    let Ok(machine) = Machine::parse(Arc::new(FakeHost::default()), text) else { return };
    drop((machine.now(), machine.usb(), machine.kernel_log(), machine.processes()));
    drop(machine.space(Utf8Path::new("/x")));
    // A folder may be one in which a write never ends.
    if machine.description.folders.iter().all(|folder| !folder.hangs) {
        drop(machine.try_folder(Utf8Path::new("/x")));
    }
}

proptest! {
    #[test]
    fn a_description_comes_back(description in any_description()) {
        let text = toml::to_string(&description).unwrap();
        prop_assert_eq!(toml::from_str::<Description>(&text).unwrap(), description);
        ask(&text);
    }

    #[test]
    fn noise_never_panics(
        noise in any::<String>(),
        description in any_description(),
        at: prop::sample::Index,
        to: u8,
    ) {
        ask(&noise);
        let mut bytes = toml::to_string(&description).unwrap().into_bytes();
        if !bytes.is_empty() {
            *at.get_mut(&mut bytes) = to;
        }
        ask(&String::from_utf8_lossy(&bytes));
    }
}
