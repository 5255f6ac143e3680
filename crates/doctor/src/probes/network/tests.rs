use std::sync::Arc;

use lifeboat_device::MuxAddress;
use lifeboat_host::fake::FakeHost;
use lifeboat_host::machine::Machine;

use super::*;

async fn seen(text: &str) -> Facts {
    let machine = Machine::parse(Arc::new(FakeHost::default()), text).unwrap();
    let mux = MuxAddress::Unix("/nonexistent".into());
    look(&ProbeContext::new(Arc::new(machine), mux)).await
}

#[track_caller]
fn all_are(facts: &Facts, wanted: &[(&str, &str)]) {
    for (key, word) in wanted {
        assert!(facts.is(key, word), "{key}: {:?}", facts.value(key));
    }
}

#[tokio::test]
async fn a_good_network_is_good() {
    let facts = seen("[network]").await;
    all_are(
        &facts,
        &[
            ("network.link", "up"),
            ("network.gateway", "ok"),
            ("network.dns", "ok"),
            ("network.tcp", "ok"),
            ("network.tls", "ok"),
            ("network.portal", "none"),
            ("network.proxy", "none"),
            ("network.mtu", "ok"),
            ("network.push", "ok"),
            ("apple.http", "ok"),
        ],
    );
    assert_eq!(facts.value("network.loss"), Some(&Value::Number(0)));
    assert_eq!(facts.value("network.latency"), Some(&Value::Number(20)));
    for key in TELLS {
        assert!(facts.value(key).is_some_and(Value::is_known), "{key}");
    }
}

#[tokio::test]
async fn each_trouble_has_its_word() {
    for (text, wanted) in [
        ("[network]\nroute = false", vec![("network.link", "down")]),
        ("[network]\ngateway-loss = 100", vec![("network.gateway", "silent")]),
        ("[network]\ngateway-loss = 60", vec![("network.gateway", "lossy")]),
        ("[network]\nproxy = \"http://x\"", vec![("network.proxy", "set")]),
        (
            "[network]\n[[network.hosts]]\nname = \"*.icloud.com\"\nlocal-dns = \"sinkhole\"",
            vec![("network.dns", "filtered"), ("network.tcp", "ok")],
        ),
        (
            "[network]\n[[network.hosts]]\nlocal-dns = \"silent\"\npublic-dns = \"silent\"",
            vec![("network.dns", "none")],
        ),
        ("[network]\n[[network.hosts]]\ntcp = \"silent\"", vec![("network.tcp", "blocked")]),
        (
            "[network]\n[[network.hosts]]\nname = \"gsa.apple.com\"\ntcp = \"refused\"",
            vec![("network.tcp", "partly")],
        ),
        (
            "[network]\n[[network.hosts]]\ntls = \"foreign\"\nissuer = \"Office\"",
            vec![("network.tls", "foreign-issuer"), ("network.mtu", "ok")],
        ),
        ("[network]\n[[network.hosts]]\ntls = \"wrong-time\"", vec![("network.tls", "clock")]),
        ("[network]\n[[network.hosts]]\ntls = \"broken\"", vec![("network.tls", "broken")]),
        ("[network]\n[[network.hosts]]\nlarge-packets = false", vec![("network.mtu", "stalls")]),
        (
            "[network]\n[[network.hosts]]\nports = [5223, 443]\nname = \"*.push.apple.com\"\ntcp = \"silent\"",
            vec![("network.push", "blocked"), ("network.tcp", "ok")],
        ),
        (
            "[network]\n[[network.pages]]\nurl = \"http://captive.apple.com/*\"\nstatus = 302\nlocation = \"http://hotel/\"",
            vec![("network.portal", "captive")],
        ),
        (
            "[network]\n[[network.pages]]\nurl = \"https://*\"\nstatus = 503",
            vec![("apple.http", "server-error")],
        ),
    ] {
        let facts = seen(text).await;
        for (key, word) in wanted {
            assert!(facts.is(key, word), "{text}\n{key}: {:?}", facts.value(key));
        }
    }
}

#[tokio::test]
async fn loss_and_jitter_are_counted() {
    let facts = seen("[network]\n[[network.hosts]]\nloss = 20\njitter = 300").await;
    assert_eq!(facts.value("network.loss"), Some(&Value::Number(20)));
    assert_eq!(facts.value("network.jitter"), Some(&Value::Number(300)));
}

#[tokio::test]
async fn a_network_that_cannot_be_looked_at_is_not_known() {
    let facts = seen("").await;
    for key in TELLS.iter().filter(|key| **key != "network.proxy") {
        assert_eq!(facts.value(key), Some(&Value::Unknown(Why::Offline)), "{key}");
    }
}
