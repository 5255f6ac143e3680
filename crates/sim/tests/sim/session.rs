use lifeboat_sim::PhoneSpec;
use lifeboat_sim::options::{Ios, Knobs, TlsKnob};
use plist::Value;

use crate::host::{Line, Plists, Shown, World, keys};

fn with(knobs: Knobs) -> PhoneSpec {
    PhoneSpec { knobs, ..PhoneSpec::default() }
}

#[tokio::test]
async fn what_is_private_needs_a_session() {
    let world = World::new(PhoneSpec { ios: Ios::V15_7, ..PhoneSpec::default() }, false).await;
    let mut lockdown = world.lockdown().await;
    let word = |answer: &plist::Dictionary| answer.get("Error").cloned();
    assert_eq!(lockdown.value(None, "ProductVersion").await["Value"], Value::from("15.7"));
    assert_eq!(word(&lockdown.value(None, "SerialNumber").await), Some("SessionInactive".into()));
    let battery = Some("com.apple.mobile.battery");
    let answer = lockdown.value(battery, "HasBattery").await;
    assert_eq!(word(&answer), Some("SessionInactive".into()));
    let all = lockdown.ask(keys([("Request", "GetValue".into())])).await;
    let all = all["Value"].as_dictionary().unwrap();
    assert!(all.contains_key("UniqueDeviceID") && !all.contains_key("PhoneNumber"));

    let record = world.pair().await;
    lockdown.start_session(&record, Shown::Host).await;
    assert!(lockdown.value(None, "SerialNumber").await.contains_key("Value"));
    assert_eq!(lockdown.value(battery, "HasBattery").await["Value"], Value::Boolean(true));
    assert_eq!(word(&lockdown.value(None, "Weight").await), Some("MissingValue".into()));
    let answer = lockdown.value(Some("com.apple.mobile.backup"), "WillEncrypt").await;
    assert_eq!(word(&answer), Some("MissingValue".into()), "no backup password");
    assert_eq!(word(&lockdown.value(None, "DevicePrivateKey").await), Some("GetProhibited".into()));
    let seconds = lockdown.value(None, "TimeIntervalSince1970").await["Value"].as_real().unwrap();
    assert!((seconds - crate::host::noon().as_duration().as_secs_f64()).abs() < 1.0);
    world.phone().faults.set("clock", [("offset".to_owned(), "-3600".to_owned())].into()).unwrap();
    let later = lockdown.value(None, "TimeIntervalSince1970").await["Value"].as_real().unwrap();
    assert!((later - seconds + 3600.0).abs() < 1.0);
    world.stop().await;
}

#[tokio::test]
async fn values_that_hosts_may_change_stay_changed() {
    let world = World::new(PhoneSpec::default(), false).await;
    let (mut lockdown, record) = world.session().await;
    let set = |domain: Option<&str>, key: &str, value: Value| {
        let mut request =
            keys([("Request", "SetValue".into()), ("Key", key.into()), ("Value", value)]);
        if let Some(domain) = domain {
            request.insert("Domain".to_owned(), domain.into());
        }
        request
    };
    let wireless = Some("com.apple.mobile.wireless_lockdown");
    lockdown.ask(set(None, "DeviceName", "Kim's phone".into())).await;
    lockdown.ask(set(wireless, "EnableWifiConnections", Value::Boolean(true))).await;
    assert_eq!(lockdown.error(set(None, "ProductType", "x".into())).await, "ImmutableValue");
    let encrypt = set(Some("com.apple.mobile.backup"), "WillEncrypt", Value::Boolean(true));
    assert_eq!(lockdown.error(encrypt).await, "SetProhibited");

    let world = World::start(vec![PhoneSpec::default()], false, world.stop().await).await;
    let mut lockdown = world.lockdown().await;
    lockdown.start_session(&record, Shown::Root).await;
    assert_eq!(lockdown.value(None, "DeviceName").await["Value"], Value::from("Kim's phone"));
    let on = lockdown.value(wireless, "EnableWifiConnections").await;
    assert_eq!(on["Value"], Value::Boolean(true));
    world.stop().await;
}

#[tokio::test]
async fn sessions_follow_one_another_on_one_connection() {
    for tls in [TlsKnob::V12, TlsKnob::V13] {
        let world = World::new(with(Knobs { tls, ..Knobs::default() }), false).await;
        let record = world.pair().await;
        let mut lockdown = world.lockdown().await;
        for shown in [Shown::Host, Shown::Root] {
            let id = lockdown.start_session(&record, shown).await;
            assert!(lockdown.value(None, "PhoneNumber").await.contains_key("Value"));
            assert_eq!(lockdown.error(record.session_request()).await, "SessionActive");
            lockdown.stop_session(&id).await;
            let answer = lockdown.value(None, "PhoneNumber").await;
            assert_eq!(answer["Error"], Value::from("SessionInactive"));
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn a_stranger_with_a_stolen_host_id_gets_nothing() {
    let world = World::new(with(Knobs { tls: TlsKnob::V12, ..Knobs::default() }), false).await;
    let record = world.pair().await;
    let mut lockdown = world.lockdown().await;
    let answer = lockdown.ask(record.session_request()).await;
    assert!(answer.contains_key("SessionID"));
    let Plists(Line::Plain(stream)) = lockdown else { panic!("not plain") };
    assert!(record.handshake(stream, Shown::Stranger).await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn services_are_started_by_the_rules_of_the_lock() {
    let world = World::new(PhoneSpec::default(), false).await;
    let start = |service: &str, bag: Option<&[u8]>| {
        let mut request = keys([("Request", "StartService".into()), ("Service", service.into())]);
        if let Some(bag) = bag {
            request.insert("EscrowBag".to_owned(), Value::Data(bag.to_vec()));
        }
        request
    };
    let backup = "com.apple.mobilebackup2";
    let mut stranger = world.lockdown().await;
    assert_eq!(stranger.error(start(backup, None)).await, "SessionInactive");

    let (mut lockdown, record) = world.session().await;
    assert_eq!(lockdown.error(start("com.example.tea", None)).await, "InvalidService");
    assert_eq!(lockdown.error(start(backup, Some(&[7; 32]))).await, "EscrowLocked");
    let answer = lockdown.ask(start(backup, Some(&record.escrow_bag))).await;
    let port = u16::try_from(answer["Port"].as_unsigned_integer().unwrap()).unwrap();
    assert!(port >= 49152);
    drop(world.connect(port).await.unwrap());
    assert!(world.connect(port).await.is_err(), "one connection a start");

    world.phone().lock_screen().unwrap();
    let answer = lockdown.ask(start(backup, Some(&record.escrow_bag))).await;
    assert!(answer.contains_key("Port"), "the bag opens a locked phone");
    world.phone().faults.set("before-first-unlock", [].into()).unwrap();
    assert_eq!(lockdown.error(start(backup, Some(&record.escrow_bag))).await, "MissingValue");
    assert_eq!(lockdown.error(start("com.apple.afc", None)).await, "PasswordProtected");
    let answer = lockdown.ask(start("com.apple.mobile.notification_proxy", None)).await;
    assert!(answer.contains_key("Port"));
    world.stop().await;
}

#[tokio::test]
async fn everything_works_in_pieces_of_one_byte() {
    let knobs = Knobs { fragment: Some(1), close_notify: true, ..Knobs::default() };
    let world = World::new(with(knobs), false).await;
    let (mut lockdown, _) = world.session().await;
    let answer = lockdown.value(None, "UniqueDeviceID").await;
    assert_eq!(answer["Value"], Value::from(world.phone().udid()));
    let bye = lockdown.ask(keys([("Request", "Goodbye".into())])).await;
    assert!(bye.get("Error").is_none());
    assert!(lockdown.receive().await.is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_phone_can_break_off_or_say_nothing() {
    let world = World::new(with(Knobs { lockdown_idle: 0, ..Knobs::default() }), false).await;
    assert!(world.lockdown().await.receive().await.is_none(), "silence ends a connection");
    world.stop().await;

    let world = World::new(PhoneSpec::default(), false).await;
    let record = world.pair().await;
    let faults = &world.phone().faults;
    faults.set("tls-abort", [].into()).unwrap();
    let mut lockdown = world.lockdown().await;
    lockdown.ask(record.session_request()).await;
    let Plists(Line::Plain(stream)) = lockdown else { panic!("not plain") };
    assert!(record.handshake(stream, Shown::Host).await.is_err());
    faults.set("no-answer", [].into()).unwrap();
    let mut lockdown = world.lockdown().await;
    lockdown.send(keys([("Request", "QueryType".into())])).await;
    world.phone().pull_cable();
    assert!(lockdown.receive().await.is_none());
    world.stop().await;
}
