//! Any facts that the table allows: diagnosis, questions and both forms of the report.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_doctor::fact::{Kind, table};
use lifeboat_doctor::question::{MOST, questions};
use lifeboat_doctor::report::{Examination, Versions, markdown};
use lifeboat_doctor::{Catalogue, Facts, For, Report, Value, Why};

/// Three bytes a fact: which key, what kind of value, which value.
fn facts(data: &[u8]) -> Facts {
    let keys: Vec<_> = table().iter().collect();
    let mut facts = Facts::new();
    for part in data.chunks_exact(3) {
        let [key, kind, value] = [part[0], part[1], part[2]].map(usize::from);
        let (key, declared) = &keys[(key | (kind & 1) << 8) % keys.len()];
        let number = i64::try_from(value).unwrap_or_default() << (kind >> 3);
        let value = match &declared.kind {
            _ if kind & 6 == 6 => Value::Unknown(Why::Blinded),
            Kind::Words(words) => Value::Word(words[value % words.len()].clone()),
            Kind::Flag => Value::Flag(value & 1 == 1),
            Kind::Number { .. } if kind & 6 == 4 => Value::AtLeast(number),
            Kind::Number { .. } => Value::Number(number),
            Kind::Text => Value::Text(String::from_utf8_lossy(part).into_owned()),
        };
        facts.insert(key.as_str(), value).expect("made of what the table allows");
    }
    facts
}

fuzz_target!(|data: &[u8]| {
    let catalogue = Catalogue::builtin();
    let facts = facts(data);
    let concern = if data.len() % 2 == 0 { For::Computer } else { For::Icloud };
    assert!(questions(catalogue, &facts, concern).len() <= MOST);
    let examination = Examination {
        concern,
        facts,
        probes: Vec::new(),
        device: None,
        versions: Versions::default(),
        failed_run: data.first().is_some_and(|byte| byte & 1 == 1),
    };
    let report = Report::new(catalogue, examination);
    for with_identifiers in [false, true] {
        assert!(markdown(&report, jiff::Timestamp::UNIX_EPOCH, with_identifiers).starts_with("# Lifeboat"));
    }
});
