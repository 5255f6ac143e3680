//! What a phone tells about its state, and what can be done to it.

use lifeboat_sim::PhoneSpec;
use lifeboat_wire::lockdown::{domain, notification, service};
use plist::{Dictionary, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::host::{Line, Plists, World, keys, text};

async fn world(state: &str) -> World {
    let spec = PhoneSpec::from_toml(state).unwrap();
    World::new(spec, false).await
}

async fn value(lockdown: &mut Plists, domain: &str, key: &str) -> Value {
    lockdown.value(Some(domain), key).await["Value"].clone()
}

#[tokio::test]
async fn the_domains_tell_the_state() {
    let world = world(
        "[knobs]\nowner-delay-ms = 0\n[state]\nsetup-finished = false\nrestoring = true\nfind-my = false\nversion = \"31.0\"\n\
         [state.storage]\ncapacity = 64000000000\navailable = 300000000\n[state.battery]\nlevel = 9\nexternal = false\ncharging = false\n\
         [state.icloud]\nbackup = false\n",
    )
    .await;
    let (mut lockdown, _) = world.session().await;
    for (domain, key, expected) in [
        (domain::SETUP, "SetupDone", Value::from(false)),
        (domain::SETUP, "RestoreState", "RestoreInProgress".into()),
        (domain::FIND_MY, "IsAssociated", false.into()),
        (domain::DISK_USAGE, "AmountDataAvailable", 300_000_000.into()),
        (domain::DISK_USAGE, "TotalDiskCapacity", 64_000_000_000_u64.into()),
        (domain::BATTERY, "BatteryCurrentCapacity", 9.into()),
        (domain::BATTERY, "ExternalConnected", false.into()),
        (domain::BACKUP, "CloudBackupEnabled", false.into()),
    ] {
        assert_eq!(value(&mut lockdown, domain, key).await, expected, "{domain} {key}");
    }
    assert_eq!(lockdown.value(None, "ProductVersion").await["Value"], Value::from("31.0"));
    world.phone().set_state("icloud.told", "false").unwrap();
    let answer = lockdown.value(Some(domain::BACKUP), "CloudBackupEnabled").await;
    assert_eq!(text(&answer, "Error"), Some("MissingValue"), "{answer:?}");
    world.stop().await;
}

#[tokio::test]
async fn whether_backups_are_encrypted_is_told() {
    let world = world(
        "[encryption]\npassword = \"sesame\"\nrounds = 10\n[state.management]\nencrypted-backup = true\n",
    )
    .await;
    let (mut lockdown, _) = world.session().await;
    for key in ["WillEncrypt", "RequiresEncryption"] {
        assert_eq!(value(&mut lockdown, domain::BACKUP, key).await, Value::from(true), "{key}");
    }
    let mut notices = world.phone().notices();
    world.phone().set_state("backup-password", "").unwrap();
    assert_eq!(notices.try_recv().unwrap(), notification::BACKUP_DOMAIN_CHANGED);
    let told = value(&mut lockdown, domain::BACKUP, "WillEncrypt").await;
    assert_eq!(told, Value::from(false), "no longer absent: there was a password once");
    let shown = world.phone().set_state("backup-password", "canary").unwrap_err();
    assert!(!format!("{shown:?}").contains("canary"), "a password is never shown");
    world.stop().await;
}

#[tokio::test]
async fn wi_fi_sync_and_the_clock_can_be_set() {
    let world = world("[[fault]]\nname = \"clock\"\noffset = 7200\n").await;
    let (mut lockdown, _) = world.session().await;
    let off = keys([
        ("Request", "SetValue".into()),
        ("Domain", domain::WIRELESS_LOCKDOWN.into()),
        ("Key", "EnableWifiConnections".into()),
        ("Value", false.into()),
    ]);
    lockdown.ask(off).await;
    let wifi = value(&mut lockdown, domain::WIRELESS_LOCKDOWN, "EnableWifiConnections").await;
    assert_eq!(wifi, Value::from(false));

    let noon = crate::host::noon().as_second();
    assert_eq!(world.phone().now().as_second() - noon, 7200);
    let right = keys([
        ("Request", "SetValue".into()),
        ("Key", "TimeIntervalSince1970".into()),
        ("Value", Value::from(noon)),
    ]);
    lockdown.ask(right).await;
    assert_eq!(world.phone().now().as_second(), noon);
    world.stop().await;
}

#[tokio::test]
async fn management_and_its_profiles_are_told_but_not_what_they_say() {
    let world = world(
        "[state.management]\nsupervised = true\norganization = \"Harbour School\"\n[[state.management.profiles]]\nname = \"VPN\"\n\
         identifier = \"org.example.vpn\"\npayloads = [\"com.apple.vpn.managed\"]\n",
    )
    .await;
    let (mut lockdown, record) = world.session().await;
    let mut line = Plists(world.service(&mut lockdown, &record, service::MC_INSTALL).await);
    let request = |name: &str| keys([("RequestType", name.into())]);
    let cloud = line.ask(request("GetCloudConfiguration")).await;
    let cloud = cloud["CloudConfiguration"].as_dictionary().unwrap();
    assert_eq!(cloud["IsSupervised"], Value::from(true));
    let list = line.ask(request("GetProfileList")).await;
    assert_eq!(list["OrderedIdentifiers"], Value::Array(vec!["org.example.vpn".into()]));
    let metadata = list["ProfileMetadata"].as_dictionary().unwrap();
    let content = metadata["org.example.vpn"].as_dictionary().unwrap()["PayloadContent"].clone();
    let payload = content.as_array().unwrap()[0].as_dictionary().unwrap().clone();
    assert_eq!(text(&payload, "PayloadType"), Some("com.apple.vpn.managed"));

    world.phone().lock_screen().unwrap();
    assert_eq!(text(&line.ask(request("GetProfileList")).await, "Status"), Some("Error"));
    world.phone().unlock_screen().unwrap();
    world.phone().faults.set("broken-profile", std::collections::BTreeMap::new()).unwrap();
    let broken = line.ask(request("GetProfileList")).await;
    assert_eq!(broken["ProfileManifest"], Value::from(-1));
    world.stop().await;
}

#[tokio::test]
async fn a_phone_that_may_not_pair_says_so() {
    let world = world("[state.management]\nallow-pairing = false\n").await;
    let mut lockdown = world.lockdown().await;
    let record = crate::host::Record::new(&mut lockdown, "BUID-1").await;
    assert_eq!(lockdown.error(record.pair_request()).await, "MCProtected");
    world.stop().await;
}

#[tokio::test]
async fn every_value_can_have_the_wrong_type() {
    let world = world("[[fault]]\nname = \"wrong-types\"\n").await;
    let (mut lockdown, record) = world.session().await;
    assert!(
        value(&mut lockdown, domain::BATTERY, "BatteryCurrentCapacity").await.as_string().is_some()
    );
    assert!(
        value(&mut lockdown, domain::BACKUP, "RequiresEncryption").await.as_boolean().is_none()
    );
    assert!(lockdown.value(None, "ProductVersion").await["Value"].as_string().is_none());
    let mut relay = Plists(world.service(&mut lockdown, &record, service::DIAGNOSTICS_RELAY).await);
    let request =
        keys([("Request", "IORegistry".into()), ("EntryClass", "IOPMPowerSource".into())]);
    let answer = relay.ask(request).await;
    let registry = answer["Diagnostics"].as_dictionary().unwrap()["IORegistry"].clone();
    assert!(registry.as_dictionary().unwrap()["Temperature"].as_signed_integer().is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_restart_takes_the_phone_away_and_its_leftovers_with_it() {
    let spec = "[knobs]\nrestart-seconds = 0\n[state]\nleftover = \"snapshot\"\nuptime-days = 40\n";
    let world = World::new(PhoneSpec::from_toml(spec).unwrap(), true).await;
    let phone = world.phone();
    assert_eq!(phone.uptime() / 86_400_000_000_000, 40);
    let before = world.devices().await[0].device_id;
    phone.ask_restart();
    let mut line = world.dial().await;
    let after = loop {
        if let Some(device) = world.devices().await.first()
            && device.device_id != before
        {
            break device.device_id;
        }
        tokio::task::yield_now().await;
    };
    assert!(after > before);
    assert!(phone.is_before_first_unlock(), "nobody has typed the passcode");
    assert_eq!(phone.uptime(), 0);
    assert_eq!(phone.state().leftover, lifeboat_sim::state::Leftover::Nothing);
    phone.unlock_screen().unwrap();
    assert!(!phone.is_before_first_unlock());
    line.shutdown().await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn the_log_is_heard_as_records_and_as_lines() {
    let world = world(
        "[log]\nlines = [\"=scheduler= [Off condition] state changed, enabled:1, onPower:0\", \"cloudd/info: for <private:robin>\"]\n",
    )
    .await;
    let (mut lockdown, record) = world.session().await;
    let mut trace = Plists(world.service(&mut lockdown, &record, service::OS_TRACE_RELAY).await);
    let pids = trace_pids(&mut trace).await;
    assert_eq!(text(pids["71"].as_dictionary().unwrap(), "ProcessName"), Some("backupd"));
    trace.send(keys([("Request", "StartActivity".into()), ("Pid", Value::from(-1))])).await;
    let mut head = [0; 4];
    trace.0.read_exact(&mut head).await.unwrap();
    assert_eq!(u32::from_le_bytes(head), 4, "the length of a length");
    trace.0.read_exact(&mut head).await.unwrap();
    let mut plist = vec![0; u32::from_le_bytes(head) as usize];
    trace.0.read_exact(&mut plist).await.unwrap();
    let text = String::from_utf8(plist).unwrap();
    assert!(text.contains("RequestSuccessful"), "{text}");
    assert!(record_text(&mut trace.0).await.contains("enabled:1, onPower:0"));
    assert!(record_text(&mut trace.0).await.contains("for <private>"));
    world.phone().say("kernel/error: AppleUSBDeviceMux: detected duplicate packet");
    assert!(record_text(&mut trace.0).await.contains("detected duplicate packet"));

    let mut lines = world.service(&mut lockdown, &record, "com.apple.syslog_relay").await;
    let mut seen = String::new();
    while !seen.contains('\0') {
        let mut bytes = [0; 256];
        let read = lines.read(&mut bytes).await.unwrap();
        seen.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert!(seen.contains("backupd[71] <Notice>: =scheduler="), "{seen}");
    assert!(!seen.contains("cloudd"), "a line for the curious: {seen}");
    world.stop().await;
}

async fn trace_pids(trace: &mut Plists) -> Dictionary {
    trace.send(keys([("Request", "PidList".into())])).await;
    let mut mark = [0; 1];
    trace.0.read_exact(&mut mark).await.unwrap();
    trace.receive().await.unwrap()["Payload"].as_dictionary().unwrap().clone()
}

async fn record_text(line: &mut Line) -> String {
    let mut head = [0; 5];
    line.read_exact(&mut head).await.unwrap();
    assert_eq!(head[0], 2);
    let mut body = vec![0; u32::from_le_bytes(*head[1..].first_chunk().unwrap()) as usize];
    line.read_exact(&mut body).await.unwrap();
    String::from_utf8_lossy(&body[129..]).into_owned()
}

#[tokio::test]
async fn a_state_is_set_while_the_phone_runs() {
    let world = world("").await;
    let mut notices = world.phone().notices();
    world.phone().set_state("icloud.backup", "false").unwrap();
    assert_eq!(notices.recv().await.unwrap(), notification::BACKUP_DOMAIN_CHANGED);
    assert!(world.phone().set_state("icloud.weather", "fine").is_err());
    let folder = world.stop().await;
    let world = World::start(vec![PhoneSpec::default()], false, folder).await;
    assert!(!world.phone().state().icloud.backup, "it is kept over a restart of the simulator");
    world.stop().await;
}
