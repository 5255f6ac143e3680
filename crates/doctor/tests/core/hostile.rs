//! Noise: no entry, no question, no line and no facts make the core panic, and it always gives the same answer.

use lifeboat_doctor::fact::{Kind, table};
use lifeboat_doctor::patterns::Patterns;
use lifeboat_doctor::report::{Examination, Report, Scrubber, Versions, markdown, scrubbed};
use lifeboat_doctor::{
    Catalogue, Entry, Examined, Facts, For, Identifier, RunSaid, Value, Why, diagnose, explain,
    question,
};
use proptest::prelude::*;

use crate::push;

fn value() -> impl Strategy<Value = (usize, usize, i64, bool)> {
    (0..1000_usize, 0..40_usize, any::<i64>(), any::<bool>())
}

/// Any facts that the table allows.
fn facts(seeds: &[(usize, usize, i64, bool)]) -> Facts {
    let keys: Vec<_> = table().iter().collect();
    let mut facts = Facts::new();
    for (key, word, number, flag) in seeds {
        let (key, declared) = &keys[key % keys.len()];
        let value = match &declared.kind {
            _ if word % 7 == 0 => Value::Unknown(Why::Garbled("\u{1b}]0;x".into())),
            Kind::Words(words) => Value::Word(words[word % words.len()].clone()),
            Kind::Flag => Value::Flag(*flag),
            Kind::Number { .. } if *flag => Value::AtLeast(*number),
            Kind::Number { .. } => Value::Number(*number),
            Kind::Text => Value::Text(format!("\u{7}line\nof anna {number}")),
        };
        facts.insert(key.as_str(), value).unwrap();
    }
    facts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_facts_give_one_and_the_same_diagnosis(seeds in proptest::collection::vec(value(), 0..200), icloud in any::<bool>()) {
        let facts = facts(&seeds);
        let concern = if icloud { For::Icloud } else { For::Computer };
        let diagnosis = diagnose(Catalogue::builtin(), &facts, concern);
        prop_assert_eq!(&diagnosis, &diagnose(Catalogue::builtin(), &facts, concern));
        if let Some(primary) = diagnosis.primary() {
            prop_assert!(primary.explained_by.is_none());
            prop_assert!(diagnosis.findings.iter().all(|finding| finding.severity <= primary.severity));
        }
        for finding in &diagnosis.findings {
            if let Some(root) = &finding.explained_by {
                prop_assert!(diagnosis.of(root).unwrap().certainty >= finding.certainty);
            }
        }
        prop_assert!(question::questions(Catalogue::builtin(), &facts, concern).len() <= question::MOST);
    }

    /// Knowing less never confirms more: what is confirmed without a fact is confirmed with it, unless the fact speaks against it.
    #[test]
    fn nothing_is_confirmed_by_not_knowing(seeds in proptest::collection::vec(value(), 1..120), hide in 0..120_usize) {
        let all = facts(&seeds);
        let hidden = all.iter().nth(hide % all.len()).map(|(key, _)| key).unwrap();
        let mut fewer = all.clone();
        fewer.insert(hidden.as_str(), Why::Blinded).unwrap();
        let with = diagnose(Catalogue::builtin(), &all, For::Computer);
        for finding in diagnose(Catalogue::builtin(), &fewer, For::Computer).findings {
            if finding.certainty == lifeboat_doctor::Certainty::Confirmed {
                let known = with.of(&finding.id);
                prop_assert!(known.is_some_and(|known| known.certainty == finding.certainty), "{}", finding.id);
            }
        }
    }

    #[test]
    fn noise_is_no_entry(text in "(?s).{0,400}") {
        drop(Entry::read("noise/noise", &text));
        drop(Entry::read("noise/noise", &format!("```toml\n{text}\n```\n# A title\n\ntext\n")));
        drop(Entry::read("noise/noise", &format!("```toml\ncode = \"X\"\nkind = \"topic\"\nfor = []\n```\n{text}")));
    }

    #[test]
    fn noise_is_explained_or_not(text in "(?s).{0,300}", number in any::<i64>()) {
        drop(explain::explain(&text));
        drop(explain::explain(&number.to_string()));
        drop(explain::explain(&format!("MBErrorDomain/{number} {text}")));
    }

    /// Signs, prefixes and the ends of what a number can be, in every order.
    #[test]
    fn what_looks_like_a_number_is_explained_or_not(
        before in "(MBErrorDomain/|error )?[-+\u{2212}\u{2013}]{0,2}(0x)?[-+]{0,2}",
        number in prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(i64::MIN + 1), -300..300_i64, any::<i64>()],
        hex in any::<bool>(),
    ) {
        let digits = number.unsigned_abs();
        let typed = if hex { format!("{before}{digits:x}") } else { format!("{before}{digits}") };
        prop_assert!(explain::explain(&typed).len() <= explain::MOST);
    }
}

#[test]
fn the_lowest_number_is_none_where_two_signs_stand_before_it() {
    for typed in ["--9223372036854775808", "0x-8000000000000000", "error --9223372036854775808"] {
        assert_eq!(explain::explain(typed), [], "{typed}");
    }
}

#[test]
fn damaged_files_say_what_is_wrong_and_take_nobody_with_them() {
    let good = "```toml\ncode = \"X1\"\nkind = \"cause\"\nseverity = \"note\"\norder = 1\nfor = [\"computer\"]\n[[when]]\nsure = \"A\"\n\
                \"mux.state\" = { is = \"hung\" }\n[[remedy]]\nid = \"a\"\nwho = \"person\"\n```\n\n# A title\n\nText.\n\n## a\n\nDo it.\n";
    for (from, to, what) in [
        ("```toml", "toml", "does not begin"),
        ("code =", "cod =", "head is not valid"),
        ("mux.state", "mux.stat", "there is no fact `mux.stat`"),
        ("\"hung\"", "\"hanged\"", "no word `hanged`"),
        ("{ is =", "{ equals =", "[[when]] 1"),
        ("## a", "## b", "remedy `a` has no heading"),
        ("Do it.\n", "Do it.\n\n## c\n\nText.\n", "heading `c` is no remedy"),
        ("who = \"person\"", "who = \"program\"", "has no action"),
        ("who = \"person\"", "who = \"program\"\naction = \"dance\"", "`a`"),
        ("who = \"person\"", "who = \"person\"\nconsent = true", "neither action nor consent"),
        ("# A title", "", "title"),
        ("Text.", "", "no text below the title"),
        ("kind = \"cause\"", "kind = \"topic\"", "a topic has none"),
        ("order = 1", "", "a cause has `order`"),
        ("order = 1", "order = { computer = 1 }", "head is not valid"),
        ("order = 1", "order = 1\nexplains = [\"no/such\"]", "no entry `no/such`"),
        ("order = 1", "order = 1\nexplains = [\"a/a\"]", "explains itself"),
    ] {
        let bad = good.replacen(from, to, 1);
        let other = good.replace("X1", "X2").replace("order = 1", "order = 2");
        let (catalogue, errors) = Catalogue::read(&[("a/a".into(), &bad), ("b/b".into(), &other)]);
        let mut told = String::new();
        let mut error: Option<&dyn std::error::Error> = errors.first().map(|error| error as _);
        while let Some(this) = error {
            push(&mut told, format_args!("{this}: "));
            error = this.source();
        }
        assert!(told.contains(what) && told.contains("catalogue/a/a.md"), "{from} -> {to}: {told}");
        assert!(catalogue.get("b/b").is_some());
    }
    let (_, errors) = Catalogue::read(&[("a/a".into(), good), ("b/b".into(), good)]);
    // The number, and the place for each of the two kinds of backup.
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn a_name_is_left_out_however_it_is_written() {
    let names = ["Annegret\u{2019}s iPhone", "00008110-0008779C00048527"].map(Identifier::new);
    let scrubber = Scrubber::new(&names);
    for (text, left) in [
        ("of Annegret's iPhone now", "of (left out) now"),
        ("of Annegrets iPhone now", "of (left out) now"),
        ("of annegret\u{2019}s iphone now", "of (left out) now"),
        ("Annegret lost power", "(left out) lost power"),
        ("of 000081100008779C00048527 now", "of (left out) now"),
        ("of 00008110000F8619A6F9402F now", "of (UDID) now"),
        ("to /media/annegret/Backup Disk/x", "to /media/(left out)/x"),
        ("to /run/media/annegret/x", "to /run/media/(left out)"),
        ("bssid a4-b1-c2-d3-e4-f5 lost", "bssid (hardware address) lost"),
        ("peer fe80::1 gone", "peer (address) gone"),
        ("ssid: Muellerhaus, weak", "ssid: (left out), weak"),
        ("ssid Muellerhaus, weak", "ssid (left out), weak"),
        ("serial F2LXK0ABCD12 seen", "serial (serial number) seen"),
        // What support needs.
        ("Free disk space on drive: 38700123456", "Free disk space on drive: 38700123456"),
        ("wants 12345678901 bytes", "wants 12345678901 bytes"),
        ("size=12345678901, code 5", "size=12345678901, code 5"),
        ("call 01701234567", "call (number)"),
        ("/var/mobile/Media/size 12345678901 of anna.pdf", "/var/mobile/(left out)"),
        ("std::fs::File and mux::bus", "std::fs::File and mux::bus"),
        ("at 10:42:31", "at 10:42:31"),
    ] {
        assert_eq!(scrubber.scrub(text), left);
    }
}

fn at() -> jiff::Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// Support asks for the date, and for what a failed run said, in words and numbers.
#[test]
fn a_bundle_tells_when_it_was_made_and_how_the_last_run_ended() {
    let mut facts = Facts::new();
    facts.insert("job.outcome", "failed").unwrap();
    facts.insert("job.code", 105).unwrap();
    facts.insert("job.stage", "transfer").unwrap();
    facts.insert("log.crash", true).unwrap();
    facts.insert("log.crash-path", "/var/mobile/anna").unwrap();
    let examination = Examination {
        concern: For::Computer,
        facts,
        probes: Vec::new(),
        device: None,
        versions: Versions { program: "0.1.0".into(), system: "Linux".into() },
        failed_run: true,
    };
    let mut report = Report::new(Catalogue::builtin(), examination);
    report.device = Some(Examined { udid: None, name: Some(Identifier::new("Otto's old iPhone")) });
    report.names = vec![Identifier::new("HomeDomain/secret: no")];
    let line = |text: &str| text.to_owned();
    report.run_said = RunSaid {
        error: Some(line("cannot read HomeDomain/secret: no")),
        log: vec![line("BackupAgent2[7] died at /var/mobile/anna/secret file")],
    };
    report.heard =
        vec![line("\n# otto's OLD iphone\nforged"), line("backupd[8] for Ottos-old-iPhone: wait")];
    let text = markdown(&report, at(), false);
    for part in [
        "- Date: 2026-01-02 03:04 UTC",
        "## The last run",
        "MBErrorDomain/105: Too little room for the backup",
        "- The step at which the last run ended: transfer",
        "- The device's backup program crashed: yes",
        "- Its error: cannot read (left out)",
        "\n    BackupAgent2[7] died at /var/mobile/(left out)\n",
        "\n     # (left out) forged\n",
        "\n    backupd[8] for (left out): wait\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for name in ["anna", "otto", "secret"] {
        assert!(!text.to_lowercase().contains(name), "{name}: {text}");
    }
    let full = markdown(&report, at(), true);
    assert!(full.contains("died at /var/mobile/anna/secret file"), "{full}");
    assert!(full.contains("- Its error: cannot read HomeDomain/secret: no"), "{full}");
}

#[test]
fn a_bundle_names_nobody_unless_asked() {
    let mut facts = Facts::new();
    facts.insert("mux.state", "hung").unwrap();
    facts.insert("apps.biggest", "Anna's diary 4 GB").unwrap();
    facts.insert("destination.file-system", "/home/anna on ext4").unwrap();
    facts
        .insert("findmy.state", Why::Refused("by 00008030-001A2B3C4D5E6F70\n# forged".into()))
        .unwrap();
    let examination = Examination {
        concern: For::Computer,
        facts,
        probes: Vec::new(),
        device: Some(Examined {
            udid: Some(Identifier::new("00008030-001A2B3C4D5E6F70")),
            name: Some(Identifier::new("Anna's iPhone")),
        }),
        versions: Versions { program: "0.1.0".into(), system: "Linux".into() },
        failed_run: false,
    };
    let report = Report::new(Catalogue::builtin(), examination);
    let plain = markdown(&report, at(), false).to_lowercase();
    for name in ["anna", "00008030", "5e6f70"] {
        assert!(!plain.contains(name), "{plain}");
    }
    assert!(!plain.contains("\n# forged"), "{plain}");
    let full = markdown(&report, at(), true);
    assert!(full.contains("Anna's iPhone") && full.contains("00008030-001A2B3C4D5E6F70"), "{full}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["primary"]["id"], "host/usbmuxd-missing");
}

#[test]
fn a_failed_run_without_a_finding_has_the_primary_cause_unknown() {
    let examination = Examination {
        concern: For::Computer,
        facts: crate::scenario::healthy(),
        probes: Vec::new(),
        device: None,
        versions: Versions::default(),
        failed_run: true,
    };
    let report = Report::new(Catalogue::builtin(), examination);
    assert_eq!(report.primary.unwrap().finding.id, "unknown");
    assert!(!report.open.is_empty());
}

#[test]
fn a_log_of_nonsense_is_a_log() {
    let lines: Vec<String> =
        (0..2000_u32).map(|n| format!("{}\u{0}\u{1b}[2J{}", "=scheduler= ".repeat(3), n)).collect();
    let facts = Patterns::builtin().facts(lines.iter().map(String::as_str));
    assert!(facts.is("log.heard", "lines"));
    assert_eq!(facts.len(), 1);
}

/// What is remembered of a log has no names in it, and is known all the same when it is read again.
#[test]
fn a_line_without_its_names_is_known_as_before() {
    for pattern in Patterns::builtin().all() {
        let left = scrubbed(&pattern.example);
        let known = Patterns::builtin().scan(&left).map(|hit| hit.pattern.id.as_str());
        assert_eq!(known, Some(pattern.id.as_str()), "{} became {left}", pattern.example);
    }
}
