use super::*;

/// A report about a device of which these facts are known, seen by these probes: `(id, keys)`.
fn report(told: &[(&str, Value)], probes: &[(&str, &[&str])]) -> Report {
    report_of(told, probes, false)
}

fn report_of(told: &[(&str, Value)], probes: &[(&str, &[&str])], failed_run: bool) -> Report {
    let mut facts = Facts::new();
    for (key, value) in told {
        facts.insert(key, value.clone()).unwrap();
    }
    let probes = probes.iter().map(|(id, tells)| ProbeRun {
        id: (*id).to_owned(),
        about: format!("what {id} looks at"),
        took_ms: 1,
        tells: tells.iter().map(|key| Key::find(key).unwrap()).collect(),
    });
    let examination = Examination {
        concern: For::Computer,
        facts,
        probes: probes.collect(),
        device: None,
        versions: Versions::default(),
        failed_run,
    };
    Report::new(Catalogue::builtin(), examination)
}

#[test]
fn fine_is_only_what_was_seen_and_says_so() {
    let bus: &[&str] = &["usb.speed", "usb.hubs", "usb.errors", "usb.reconnects"];
    let network: &[&str] = &["network.link", "network.dns", "network.tls"];
    let no_bus = Value::from(Why::NotThere("this computer has no USB bus".to_owned()));
    for (told, probe, fine) in [
        (vec![("usb.speed", 480.into()), ("usb.errors", 0.into())], bus, true),
        // What the probe is about was not seen, whatever else it knows.
        (vec![("usb.speed", no_bus.clone()), ("usb.errors", 0.into())], bus, false),
        (vec![("usb.errors", 0.into())], bus, false),
        // Nothing was there to look at, or what was there is bad.
        (vec![("job.outcome", "done".into())], &["job.outcome"][..], true),
        (vec![("job.outcome", "none".into())], &["job.outcome"], false),
        (vec![("job.outcome", "failed".into())], &["job.outcome"], false),
        (vec![("existing.state", "good".into())], &["existing.state"], true),
        (vec![("existing.state", "none".into())], &["existing.state"], false),
        (vec![("diary.state", "not-found".into())], &["diary.state"], false),
        (vec![("log.heard", "nothing".into())], &["log.heard"], false),
        (vec![("network.link", "up".into()), ("network.tls", "ok".into())], network, true),
        (vec![("network.link", "up".into()), ("network.tls", "broken".into())], network, false),
        // It speaks for a cause.
        (
            vec![("battery.level", 3.into()), ("battery.external", false.into())],
            &["battery.level"],
            false,
        ),
    ] {
        let report = report(&told, &[("P99", probe)]);
        assert_eq!(!report.fine.is_empty(), fine, "{told:?}");
    }
}

#[test]
fn a_device_that_could_not_be_asked_is_told_as_that() {
    let refused = Why::Refused("the connection was lost".to_owned());
    let asked = report(&[("pairing.state", "trusted".into())], &[]);
    assert_eq!(asked.device_not_asked(), None);
    let not = report(&[("pairing.state", refused.clone().into())], &[]);
    assert_eq!(not.device_not_asked(), Some(&refused));
    assert_eq!(report(&[], &[]).device_not_asked(), Some(&Why::NotLooked));
}

#[test]
fn a_handshake_that_the_device_breaks_off_is_no_healthy_device() {
    let report = report(&[("pairing.tls", "broken-off".into())], &[]);
    let primary = report.primary.unwrap();
    assert_eq!(
        (primary.finding.id.as_str(), primary.finding.certainty),
        ("pairing/stale-record", Certainty::Possible)
    );
}

/// The doctor and `explain` read one table: a failed run is told by the causes of its number, or by the number itself.
#[test]
fn a_number_means_what_explain_says_of_it() {
    let fine = || {
        vec![
            ("job.outcome", Value::from("failed")),
            ("job.stage", "transfer".into()),
            ("job.link", "kept".into()),
            ("destination.state", "writable".into()),
            ("destination.room", "enough".into()),
            ("existing.state", "none".into()),
        ]
    };
    let mut named = 0;
    for row in crate::errors::all().iter().filter(|row| row.domain == "MBErrorDomain") {
        for code in row.codes.iter().copied().filter(|code| *code != 0) {
            let mut facts = fine();
            facts.push(("job.code", code.into()));
            let report = report_of(&facts, &[], true);
            let primary = report.primary.unwrap();
            if primary.finding.id == UNKNOWN {
                assert!(primary.title.contains(&format!("MBErrorDomain {code}")), "{primary:?}");
                let ask = format!("`lifeboat explain {code}`");
                assert!(primary.summary.contains(&ask), "{primary:?}");
                assert!(primary.summary.starts_with(&row.meaning), "{primary:?}");
            } else {
                named += 1;
                assert!(row.causes.contains(&primary.finding.id), "{code}: {primary:?}");
                assert!(report.findings.contains(&primary.finding), "{code}");
            }
        }
    }
    assert!(named > 20, "{named}");
    for (code, id) in [(16, "transfer/interrupted"), (217, "transfer/interrupted"), (26, UNKNOWN)] {
        let mut facts = fine();
        facts.push(("job.code", code.into()));
        let primary = report_of(&facts, &[], true).primary.unwrap();
        let told = (primary.finding.id.as_str(), primary.finding.certainty);
        assert_eq!(told, (id, Certainty::Possible), "{code}");
    }
    let mut facts = fine();
    facts.push(("job.code", 9999.into()));
    let primary = report_of(&facts, &[], true).primary.unwrap();
    assert!(primary.title.contains("9999") && primary.summary.contains("explain 9999"));
}

/// Who answers has looked: what the answer rules out could be checked.
#[test]
fn what_an_answer_rules_out_is_no_longer_open() {
    let of = |told: &[(&str, Value)]| {
        let mut facts = Facts::new();
        for (key, value) in told {
            facts.insert(key, value.clone()).unwrap();
        }
        let examination = Examination {
            concern: For::Icloud,
            facts,
            probes: Vec::new(),
            device: None,
            versions: Versions::default(),
            failed_run: false,
        };
        Report::new(Catalogue::builtin(), examination)
    };
    let is_open = |report: &Report, id: &str| report.open.iter().any(|open| open.id == id);
    let by = |report: &Report, id: &str| {
        let ruled = report.ruled_out_by_answer.iter().find(|ruled| ruled.id == id);
        ruled.map(|ruled| ruled.by.iter().map(|key| key.as_str()).collect::<Vec<_>>())
    };
    let id = "icloud/storage-full";
    let before = of(&[]);
    assert!(is_open(&before, id) && before.ruled_out_by_answer.is_empty());
    let room = ("answer.icloud-storage", Value::from("room"));
    let other_sign = of(std::slice::from_ref(&room));
    assert!(is_open(&other_sign, id), "its error could not be looked at: it may be quota");
    assert!(other_sign.ruled_out_by_answer.iter().all(|ruled| ruled.id != id));
    let after = of(&[room.clone(), ("icloud.error", "none".into())]);
    assert!(!is_open(&after, id), "{:?}", after.open);
    assert_eq!(by(&after, id), Some(vec!["answer.icloud-storage"]));
    // Nothing stands in two places, and what was found is not ruled out.
    let mut measured = of(&[room, ("icloud.error", "quota".into())]);
    assert!(measured.findings.iter().any(|found| found.id == id), "{:?}", measured.findings);
    assert_eq!((by(&measured, id), is_open(&measured, id)), (None, false));
    // It is told in the text that is passed on.
    measured = after;
    let text = markdown(&measured, jiff::Timestamp::UNIX_EPOCH, false);
    let (_, ruled) = text.split_once("## Ruled out by an answer\n").expect("a part of its own");
    let ruled = ruled.split("\n## ").next().unwrap();
    assert!(ruled.contains("(`icloud/storage-full`)"), "{text}");
    // An answer that was not given rules nothing out.
    let nothing = of(&[("answer.icloud-storage", Why::NotAnswered.into())]);
    assert!(nothing.ruled_out_by_answer.is_empty() && is_open(&nothing, id));
}

/// What a failed run leaves behind is no reason why it failed: whatever may be one stands before it.
#[test]
fn what_a_run_left_behind_stands_behind_what_may_have_ended_it() {
    let told = [
        ("job.kind", Value::from("backup")),
        ("job.outcome", "failed".into()),
        ("job.stage", "transfer".into()),
        ("job.code", 102.into()),
        ("existing.state", "unfinished".into()),
    ];
    let ids = |report: &Report| {
        let told = report.primary.iter().chain(&report.also_seen);
        told.map(|told| told.finding.id.clone()).collect::<Vec<_>>()
    };
    let failed = report_of(&told, &[], true);
    let found = ids(&failed);
    assert_eq!(found[0], "device/storage-full", "{found:?}");
    assert!(found.iter().any(|id| id == "backup/not-finished"), "{found:?}");
    assert_eq!(failed.findings[0].id, "device/storage-full", "the list has the same order");
    // Where nothing failed, it is the thing to mend.
    assert_eq!(ids(&report_of(&told, &[], false))[0], "backup/not-finished");
}
