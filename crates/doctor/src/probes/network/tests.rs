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

/// A host to which these connections were made (milliseconds; none: it did not come about), with its handshakes.
fn answered(took: &[Option<u64>], small: bool, large: bool) -> Answered {
    let limit = ONE;
    let signed =
        || Signed { issuers: vec!["Apple".to_owned()], from: None, until: None, wrong: None };
    let late = || NetworkError::TimedOut { limit };
    Answered {
        name: "gateway.icloud.com".to_owned(),
        local: Ok(vec![[17, 0, 0, 1].into()]),
        known_elsewhere: true,
        took: Duration::from_millis(10),
        connections: took
            .iter()
            .map(|took| took.map(Duration::from_millis).ok_or_else(late))
            .collect(),
        signed: Some(if small { Ok(signed()) } else { Err(late()) }),
        large: small.then(|| if large { Ok(()) } else { Err(late()) }),
        status: None,
    }
}

/// What is lost is sent again after a second: the connection comes about, and something was lost all the same.
#[test]
fn a_connection_that_was_tried_again_is_lost() {
    let mut took = vec![Some(30); 18];
    took.extend([Some(1035), Some(1041)]);
    let facts = judge::hosts(&Hosts(vec![answered(&took, true, true)]));
    assert_eq!(facts.value("network.loss"), Some(&Value::Number(10)));
    assert_eq!(facts.value("network.jitter"), Some(&Value::Number(0)));
    assert_eq!(facts.value("network.latency"), Some(&Value::Number(30)));
    all_are(&facts, &[("network.tcp", "ok"), ("network.mtu", "ok"), ("network.tls", "ok")]);
}

/// Where anything may be lost, an answer that does not come is lost, too: nothing stalls, nothing is blocked, nothing is broken.
#[test]
fn loss_explains_what_did_not_come() {
    let good = vec![Some(30); 20];
    let mut bad = vec![Some(30); 10];
    bad.extend([None; 10]);
    for (took, lossy) in [(&good, false), (&bad, true)] {
        let known = |facts: &Facts, key: &str| facts.value(key).is_some_and(Value::is_known);
        let stalling = judge::hosts(&Hosts(vec![answered(took, true, false)]));
        assert_eq!(stalling.is("network.mtu", "stalls"), !lossy);
        assert_eq!(known(&stalling, "network.mtu"), !lossy);
        let mute = judge::hosts(&Hosts(vec![answered(took, false, false)]));
        assert_eq!(mute.is("network.tls", "broken"), !lossy);
        assert_eq!(known(&mute, "network.tls"), !lossy);
        let closed = answered(&[None; 20], false, false);
        let partly = judge::hosts(&Hosts(vec![answered(took, true, true), closed]));
        assert_eq!(partly.is("network.tcp", "partly"), !lossy);
        assert_eq!(known(&partly, "network.tcp"), !lossy);
    }
}
