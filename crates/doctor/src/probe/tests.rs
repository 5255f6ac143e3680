use std::collections::BTreeSet;
use std::sync::Mutex;

use lifeboat_device::MuxAddress;
use lifeboat_host::fake::FakeHost;
use lifeboat_host::machine::Machine;

use super::*;
use crate::fact::{Value, table};

fn context(text: &str) -> ProbeContext {
    let machine = Machine::parse(Arc::new(FakeHost::default()), text).unwrap();
    ProbeContext::new(Arc::new(machine), MuxAddress::Unix("/nonexistent/usbmuxd".into()))
}

#[test]
fn every_probe_is_there_and_tells_keys_of_the_table() {
    let ids: Vec<&str> = PROBES.iter().map(|probe| probe.id).collect();
    let wanted: Vec<String> = (1..=31).map(|number| format!("P{number:02}")).collect();
    assert_eq!(ids, wanted);
    for probe in PROBES {
        // Whoever looks into a repository waits for its key, and for wherever it lies.
        let limit = if ["P27", "P28", "P31"].contains(&probe.id) { 13 } else { 5 };
        assert!(!probe.tells.is_empty() && probe.limit.as_secs() <= limit, "{}", probe.id);
        assert!(!(probe.cheap && (probe.outside || probe.slow)), "{}", probe.id);
        for key in probe.tells {
            assert!(Key::find(key).is_ok(), "{}: {key}", probe.id);
        }
    }
}

#[test]
fn every_key_that_can_be_measured_is_told_by_a_probe() {
    let told: BTreeSet<&str> = PROBES.iter().flat_map(|probe| probe.tells).copied().collect();
    for (key, row) in table().iter().filter(|(_, row)| !row.ask) {
        assert!(told.contains(key.as_str()), "{key}: {}", row.about);
    }
}

#[tokio::test]
async fn without_anything_every_key_says_why_and_nothing_waits() {
    let began = Instant::now();
    let events = Mutex::new(0);
    let sink = |look: Look| {
        *events.lock().unwrap() += match look {
            Look::Began(_) => 1,
            Look::Ended(_, _) => 100,
        };
    };
    let seen = run_all(Arc::new(context("[network]")), &Choice::All, sink).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(seen.runs.len(), 29, "the network to Apple does not concern computer backups");
    assert_eq!(*events.lock().unwrap(), 29 * 101);
    assert!(seen.facts.is("mux.state", "missing"));
    assert_eq!(seen.facts.value("device.ios"), Some(&Value::Unknown(Why::NoDevice)));
    for probe in PROBES {
        for key in probe.tells {
            assert!(seen.facts.value(key).is_some(), "{key}");
        }
    }
}

#[tokio::test]
async fn preflight_asks_nothing_outside() {
    let seen = run_all(Arc::new(context("[network]")), &Choice::Preflight, |_| ()).await;
    for run in &seen.runs {
        assert!(!find(&run.id).unwrap().outside, "{}", run.id);
    }
    let taken: Vec<&str> = seen.runs.iter().map(|run| run.id.as_str()).collect();
    let wanted = (1..=15).chain([23, 29]).map(|number| format!("P{number:02}"));
    assert_eq!(taken, wanted.collect::<Vec<_>>());
    assert_eq!(seen.facts.value("network.dns"), Some(&Value::Unknown(Why::NotLooked)));
}

#[tokio::test]
async fn offline_is_a_reason() {
    let mut context = context("[network]");
    context.offline = true;
    let seen = run_all(Arc::new(context), &Choice::All, |_| ()).await;
    assert_eq!(seen.facts.value("network.time"), Some(&Value::Unknown(Why::Offline)));
    assert_eq!(seen.facts.value("apple.status"), Some(&Value::Unknown(Why::Offline)));
}

#[tokio::test]
async fn a_blinded_probe_sees_nothing() {
    let mut context = context("[[folders]]\nfree = 5");
    context.destinations = vec!["/backup".into()];
    context.blind = BTreeSet::from(["P23".to_owned(), "P22".to_owned()]);
    assert_eq!(context.ahead().await, Err(Why::Blinded));
    let seen = run_all(Arc::new(context), &Choice::All, |_| ()).await;
    assert_eq!(seen.facts.value("destination.free"), Some(&Value::Unknown(Why::Blinded)));
    assert_eq!(seen.facts.value("destination.room"), Some(&Value::Unknown(Why::Blinded)));
}

#[tokio::test]
async fn some_probes_are_run_again() {
    let mut context = context("[[folders]]\nfree = 5");
    context.destinations = vec!["/backup".into()];
    let only = Choice::Only(vec!["P23".to_owned()]);
    let seen = run_all(Arc::new(context), &only, |_| ()).await;
    assert_eq!(seen.runs.len(), 1);
    assert!(seen.facts.is("destination.room", "full"));
    assert!(seen.facts.is("destination.state", "writable"));
}

#[tokio::test]
async fn a_folder_that_hangs_is_left_behind() {
    let mut context = context("[[folders]]\nunder = \"/dead\"\nhangs = true");
    context.destinations = vec!["/dead/share".into()];
    let only = Choice::Only(vec!["P23".to_owned()]);
    let seen = run_all(Arc::new(context), &only, |_| ()).await;
    assert!(
        seen.facts.is("destination.state", "hung"),
        "{:?}",
        seen.facts.value("destination.state")
    );
}
