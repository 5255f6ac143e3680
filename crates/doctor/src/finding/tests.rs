use super::*;

/// A catalogue of causes, each with one sign: `(id, severity, order, explains, sure, lines)`.
fn catalogue(causes: &[(&str, &str, u32, &str, &str, &str)]) -> Catalogue {
    let text = |(id, severity, order, explains, sure, lines): &(
        &str,
        &str,
        u32,
        &str,
        &str,
        &str,
    )| {
        let head = format!(
            "code = \"{id}\"\nkind = \"cause\"\nseverity = \"{severity}\"\norder = {order}\nfor = [\"computer\"]\n\
             explains = [{explains}]\n[[when]]\nsure = \"{sure}\"\n{lines}\n"
        );
        ((*id).to_owned(), format!("```toml\n{head}```\n# Title\n\nText.\n"))
    };
    let texts: Vec<(String, String)> = causes.iter().map(text).collect();
    let files: Vec<(String, &str)> =
        texts.iter().map(|(id, text)| (id.clone(), text.as_str())).collect();
    let (catalogue, errors) = Catalogue::read(&files);
    assert!(errors.is_empty(), "{errors:?}");
    catalogue
}

fn facts(told: &[(&str, Value)]) -> Facts {
    let mut facts = Facts::new();
    for (key, value) in told {
        facts.insert(key, value.clone()).unwrap();
    }
    facts
}

fn said(catalogue: &Catalogue, told: &[(&str, Value)]) -> Vec<(String, Certainty, Option<String>)> {
    let diagnosis = diagnose(catalogue, &facts(told), For::Computer);
    diagnosis
        .findings
        .into_iter()
        .map(|found| (found.id, found.certainty, found.explained_by))
        .collect()
}

const HUNG: &str = "\"mux.state\" = { is = \"hung\" }";
const LOW: &str = "\"battery.level\" = { below = 10 }";

/// What must not be rules out, and speaks for nothing: an answer that excludes another one accuses nobody of what was not measured.
#[test]
fn what_must_not_be_is_no_sign_by_itself() {
    let guarded = format!("{LOW}\n\"answer.other-cable\" = {{ not = \"same\" }}");
    let answer = |word: &str| ("answer.other-cable", word.into());
    let level = |level: i64| ("battery.level", level.into());
    for (lines, told, certainty) in [
        (&guarded, vec![answer("better")], None),
        (&guarded, vec![answer("better"), level(50)], None),
        (&guarded, vec![answer("better"), level(5)], Some(Certainty::Confirmed)),
        (&guarded, vec![answer("same"), level(5)], None),
        (&guarded, vec![level(5)], Some(Certainty::Possible)),
        // Alone it is all that is asked for.
        (
            &"\"mux.state\" = { not = \"running\" }".to_owned(),
            vec![("mux.state", "hung".into())],
            Some(Certainty::Confirmed),
        ),
    ] {
        let catalogue = catalogue(&[("a/a", "blocking", 1, "", "A", lines)]);
        let found = said(&catalogue, &told);
        assert_eq!(found.first().map(|found| found.1), certainty, "{lines} {told:?}");
    }
    let catalogue = catalogue(&[("a/a", "blocking", 1, "", "A", &guarded)]);
    let open = diagnose(&catalogue, &facts(&[answer("better")]), For::Computer).open;
    assert_eq!(open.len(), 1, "it could not be checked, and that is said");
}

#[test]
fn three_values() {
    let both = format!("{HUNG}\n{LOW}");
    for (sure, told, certainty) in [
        (
            "A",
            vec![("mux.state", "hung".into()), ("battery.level", 5.into())],
            Some(Certainty::Confirmed),
        ),
        (
            "B",
            vec![("mux.state", "hung".into()), ("battery.level", 5.into())],
            Some(Certainty::Possible),
        ),
        (
            "C",
            vec![("mux.state", "hung".into()), ("battery.level", 5.into())],
            Some(Certainty::Possible),
        ),
        ("A", vec![("mux.state", "hung".into())], Some(Certainty::Possible)),
        (
            "A",
            vec![("mux.state", "hung".into()), ("battery.level", Why::Blinded.into())],
            Some(Certainty::Possible),
        ),
        ("A", vec![("mux.state", "hung".into()), ("battery.level", 50.into())], None),
        ("A", vec![("mux.state", "running".into())], None),
        ("A", vec![], None),
    ] {
        let catalogue = catalogue(&[("a/a", "blocking", 1, "", sure, &both)]);
        let found = said(&catalogue, &told);
        assert_eq!(found.first().map(|found| found.1), certainty, "{sure} {told:?}");
    }
    let catalogue = catalogue(&[("a/a", "blocking", 1, "", "A", &both)]);
    let open = diagnose(&catalogue, &Facts::new(), For::Computer);
    assert_eq!(open.open[0].unknown.len(), 2);
    let out = diagnose(&catalogue, &facts(&[("mux.state", "running".into())]), For::Computer);
    assert_eq!(out.ruled_out, ["a/a"]);
    assert_eq!(diagnose(&catalogue, &Facts::new(), For::Icloud), Diagnosis::default());
}

#[test]
fn what_blocks_comes_first_then_what_is_certain_then_the_order() {
    let told = [("mux.state", "hung".into()), ("battery.level", 5.into())];
    let ids = |catalogue: &Catalogue| {
        said(catalogue, &told).into_iter().map(|found| found.0).collect::<Vec<_>>()
    };
    let made = catalogue(&[
        ("a/note", "note", 1, "", "A", HUNG),
        ("b/warning", "warning", 2, "", "A", HUNG),
        ("c/possible", "blocking", 3, "", "B", HUNG),
        ("d/late", "blocking", 5, "", "A", LOW),
        ("e/early", "blocking", 4, "", "A", HUNG),
    ]);
    assert_eq!(ids(&made), ["e/early", "d/late", "c/possible", "b/warning", "a/note"]);
}

#[test]
fn a_root_hides_its_consequences_and_weighs_as_much() {
    let told = [("mux.state", "hung".into()), ("battery.level", 5.into())];
    let chain = |between: &str| {
        catalogue(&[
            ("a/consequence", "blocking", 1, "", "A", HUNG),
            ("b/between", "blocking", 2, "\"a/consequence\"", "A", between),
            ("c/root", "warning", 3, "\"b/between\"", "A", LOW),
        ])
    };
    // Through a cause that is not there nothing follows.
    let broken = said(&chain("\"battery.level\" = { above = 90 }"), &told);
    let wanted = ("a/consequence".to_owned(), Certainty::Confirmed, None);
    assert_eq!((broken.len(), &broken[0]), (2, &wanted), "{broken:?}");
    let made = chain("\"battery.level\" = { below = 90 }");
    let found = said(&made, &told);
    assert_eq!(found[0].0, "c/root");
    assert_eq!(found.len(), 3);
    assert_eq!(
        found[1],
        ("a/consequence".to_owned(), Certainty::Confirmed, Some("b/between".to_owned()))
    );
    assert_eq!(found[2].2.as_deref(), Some("c/root"));
    assert_eq!(
        diagnose(&made, &facts(&told), For::Computer).findings[0].severity,
        Severity::Blocking
    );
}

/// A sign that is not known whole speaks as soon as one of its lines holds, where it does not say otherwise.
#[test]
fn a_sign_that_must_be_known_whole_says_nothing_by_half() {
    let both = format!("{HUNG}\n{LOW}");
    let (half, whole) = (vec![("mux.state", "hung".into())], format!("whole = true\n{both}"));
    let all = vec![("mux.state", "hung".into()), ("battery.level", 5.into())];
    for (lines, told, certainty) in [
        (&both, &half, Some(Certainty::Possible)),
        (&whole, &half, None),
        (&whole, &all, Some(Certainty::Confirmed)),
    ] {
        let made = catalogue(&[("a/a", "blocking", 1, "", "A", lines)]);
        let found = said(&made, told);
        assert_eq!(found.first().map(|found| found.1), certainty, "{lines} {told:?}");
    }
}

#[test]
fn what_is_only_possible_hides_nothing_more_certain_and_nothing_heavier() {
    let told = [("mux.state", "hung".into()), ("battery.level", 5.into())];
    for (severity, sure) in [("blocking", "A"), ("blocking", "B")] {
        let made = catalogue(&[
            ("a/seen", severity, 1, "", sure, HUNG),
            ("b/perhaps", "warning", 2, "\"a/seen\"", "B", LOW),
        ]);
        let found = said(&made, &told);
        assert_eq!((found[0].0.as_str(), &found[0].2), ("a/seen", &None), "{severity} {sure}");
    }
}

#[test]
fn the_strongest_sign_of_a_cause_counts() {
    let made = catalogue(&[(
        "a/a",
        "note",
        1,
        "",
        "C",
        &format!("{LOW}\n[[when]]\nsure = \"A\"\nseverity = \"blocking\"\n{HUNG}"),
    )]);
    let diagnosis = diagnose(
        &made,
        &facts(&[("mux.state", "hung".into()), ("battery.level", 5.into())]),
        For::Computer,
    );
    let found = diagnosis.primary().unwrap();
    assert_eq!((found.certainty, found.severity), (Certainty::Confirmed, Severity::Blocking));
    assert_eq!(found.evidence.len(), 1);
    assert!(diagnosis.is_blocked());
}

#[test]
fn a_note_does_not_hide_what_waits_only_for_what_must_not_be() {
    let head = "code = \"X01\"\nkind = \"cause\"\nseverity = \"blocking\"\norder = 1\nfor = [\"computer\"]\n";
    let guard = "\"answer.same-network\" = { not = \"no\" }";
    let note = "[[when]]\nsure = \"B\"\nseverity = \"note\"\n\"clock.zone\" = { is = \"other\" }\n";
    for (waits_for, weight) in [(guard, Severity::Blocking), (LOW, Severity::Note)] {
        let blocking = format!("[[when]]\nsure = \"A\"\n{HUNG}\n{waits_for}\n");
        let text = format!("```toml\n{head}{blocking}{note}```\n# Title\n\nText.\n");
        let (catalogue, errors) = Catalogue::read(&[("a/a".to_owned(), text.as_str())]);
        assert!(errors.is_empty(), "{errors:?}");
        let told = facts(&[("mux.state", "hung".into()), ("clock.zone", "other".into())]);
        let diagnosis = diagnose(&catalogue, &told, For::Computer);
        let found = diagnosis.primary().unwrap();
        assert_eq!((found.severity, found.certainty), (weight, Certainty::Possible));
    }
}
