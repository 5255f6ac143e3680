use lifeboat_sim::PhoneSpec;
use lifeboat_sim::options::Knobs;
use plist::Value;

use crate::host::{Plists, Record, Shown, World, keys, text};

async fn try_to_pair(lockdown: &mut Plists, record: &Record) -> String {
    let answer = lockdown.ask(record.pair_request()).await;
    text(&answer, "Error").unwrap_or("paired").to_owned()
}

#[tokio::test]
async fn the_owner_is_asked_and_the_answer_goes_by_computer() {
    let world = World::new(PhoneSpec::default(), true).await;
    let phone = world.phone();
    let mut lockdown = world.lockdown().await;
    let first = Record::new(&mut lockdown, "BUID-1").await;
    assert!(phone.answer_trust(true).is_err(), "no dialog yet");
    assert_eq!(try_to_pair(&mut lockdown, &first).await, "PairingDialogResponsePending");
    assert_eq!(try_to_pair(&mut lockdown, &first).await, "PairingDialogResponsePending");
    assert!(phone.answer_trust(true).unwrap(), "the passcode follows");
    assert_eq!(try_to_pair(&mut lockdown, &first).await, "PairingDialogResponsePending");
    phone.answer_passcode(true).unwrap();

    // The tool comes back with another HostID, as `idevicepair` does.
    let second = Record::new(&mut lockdown, "BUID-1").await;
    assert_ne!(first.host_id, second.host_id);
    assert_eq!(try_to_pair(&mut lockdown, &second).await, "paired");
    let stranger = Record::new(&mut lockdown, "BUID-2").await;
    assert_eq!(try_to_pair(&mut lockdown, &stranger).await, "PairingDialogResponsePending");
    phone.answer_trust(false).unwrap();
    assert_eq!(try_to_pair(&mut lockdown, &stranger).await, "UserDeniedPairing");
    assert_eq!(lockdown.error(stranger.session_request()).await, "InvalidHostID");
    world.stop().await;
}

#[tokio::test]
async fn trust_survives_a_restart_and_ends_with_unpair() {
    let world = World::new(PhoneSpec::default(), false).await;
    let record = world.pair().await;
    assert_eq!(record.escrow_bag.len(), 32);
    let world = World::start(vec![PhoneSpec::default()], false, world.stop().await).await;
    let mut lockdown = world.lockdown().await;
    let id = lockdown.start_session(&record, Shown::Host).await;
    lockdown.stop_session(&id).await;

    let answer = lockdown.ask(record.unpair_request()).await;
    assert!(answer.get("Error").is_none(), "in plain text, without a session");
    assert_eq!(lockdown.error(record.session_request()).await, "InvalidHostID");
    assert_eq!(lockdown.error(record.unpair_request()).await, "InvalidHostID");
    world.stop().await;
}

#[tokio::test]
async fn a_locked_phone_and_a_wrong_record_are_refused() {
    let knobs = Knobs { locked: true, ..Knobs::default() };
    let world = World::new(PhoneSpec { knobs, ..PhoneSpec::default() }, false).await;
    let mut lockdown = world.lockdown().await;
    let record = Record::new(&mut lockdown, "BUID-1").await;
    assert_eq!(try_to_pair(&mut lockdown, &record).await, "PasswordProtected");
    world.phone().unlock_screen().unwrap();

    world
        .phone()
        .faults
        .set("trust-denied", [("times".to_owned(), "1".to_owned())].into())
        .unwrap();
    assert_eq!(try_to_pair(&mut lockdown, &record).await, "UserDeniedPairing");

    let empty = keys([("Request", "Pair".into())]);
    assert_eq!(lockdown.error(empty).await, "MissingPairRecord");
    let mut wrong = record.pair_request();
    if let Some(Value::Dictionary(record)) = wrong.get_mut("PairRecord") {
        let host = record["HostCertificate"].clone();
        record.insert("DeviceCertificate".to_owned(), host);
    }
    assert_eq!(lockdown.error(wrong).await, "InvalidPairRecord", "made for another key");
    assert_eq!(try_to_pair(&mut lockdown, &record).await, "paired");

    world.phone().faults.set("invalid-host", [].into()).unwrap();
    assert_eq!(lockdown.error(record.session_request()).await, "InvalidHostID");
    world.stop().await;
}
