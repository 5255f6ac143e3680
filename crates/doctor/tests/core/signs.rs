//! What one sign alone may say, and what it may not say against a measurement of the same thing.

use lifeboat_doctor::{Catalogue, Certainty, Diagnosis, For, Severity, Value, diagnose};

use crate::scenario;

/// Diagnoses a healthy device with these facts over it.
fn with(concern: For, told: &[(&str, Value)]) -> Diagnosis {
    let mut facts = scenario::healthy();
    for (key, value) in told {
        facts.insert(key, value.clone()).unwrap();
    }
    diagnose(Catalogue::builtin(), &facts, concern)
}

#[track_caller]
fn says(diagnosis: &Diagnosis, id: &str, wanted: Option<(Certainty, Severity)>) {
    let found = diagnosis.of(id).map(|found| (found.certainty, found.severity));
    assert_eq!(found, wanted, "{id}");
}

const POSSIBLE: Option<(Certainty, Severity)> = Some((Certainty::Possible, Severity::Warning));

/// The system put the backup off and names no reason: the two reasons that are known are both possible, and none is confirmed.
#[test]
fn a_backup_that_was_put_off_without_a_reason_names_both() {
    let diagnosis = with(For::Icloud, &[("log.deferred", "busy".into())]);
    says(&diagnosis, "power/low-power-mode", POSSIBLE);
    says(&diagnosis, "power/temperature", POSSIBLE);
    let answered =
        with(For::Icloud, &[("log.deferred", "busy".into()), ("answer.low-power", false.into())]);
    says(&answered, "power/low-power-mode", None);
    says(&answered, "power/temperature", POSSIBLE);
}

/// What is measured now outranks a line of the log about what was.
#[test]
fn a_line_of_the_log_confirms_nothing_that_is_measured_to_be_fine() {
    let icloud = |told: &[(&str, Value)]| with(For::Icloud, told);
    says(&icloud(&[("log.clock-forward", true.into())]), "clock/wrong", POSSIBLE);
    let lost = ("log.power-lost", Value::from(true));
    says(&icloud(std::slice::from_ref(&lost)), "power/low", POSSIBLE);
    let off = icloud(&[lost, ("battery.external", false.into())]);
    says(&off, "power/low", Some((Certainty::Confirmed, Severity::Warning)));
    let locked_out = ("log.unlock-needed", Value::from(true));
    for state in ["unlocked", "locked"] {
        let diagnosis = icloud(&[locked_out.clone(), ("lock.state", state.into())]);
        says(&diagnosis, "icloud/keys-missing", None);
        says(&diagnosis, "device/not-unlocked-yet", None);
    }
}

/// A clock with which a backup came about keeps none from coming about.
#[test]
fn a_wrong_clock_blocks_nothing_that_came_about_with_it() {
    let skew = || ("clock.device-skew", Value::from(86_400));
    let since = |age: i64| [skew(), ("job.outcome", "done".into()), ("existing.age", age.into())];
    let warning = Some((Certainty::Confirmed, Severity::Warning));
    let blocking = Some((Certainty::Confirmed, Severity::Blocking));
    says(&with(For::Computer, &since(0)), "clock/wrong", warning);
    says(&with(For::Computer, &since(3)), "clock/wrong", blocking);
    says(&with(For::Computer, &[skew()]), "clock/wrong", blocking);
}

/// A clock of this computer that is two minutes off explains no run that failed over a trusted connection.
#[test]
fn a_failed_run_is_not_hidden_behind_a_clock() {
    let diagnosis = with(
        For::Computer,
        &[
            ("clock.host-skew", 120.into()),
            ("existing.state", "unfinished".into()),
            ("job.complete", false.into()),
        ],
    );
    let found = diagnosis.of("backup/not-finished").unwrap();
    assert_eq!(found.explained_by, None);
    assert_eq!(diagnosis.primary().unwrap().id, "backup/not-finished");
}

/// Of the conditions of iCloud Backup those are named that are missing.
#[test]
fn the_missing_conditions_are_named() {
    let missing = || Value::from("missing");
    let diagnosis = with(
        For::Icloud,
        &[
            ("log.condition-power", missing()),
            ("log.condition-wifi", missing()),
            ("log.on-cellular", true.into()),
        ],
    );
    let note = Some((Certainty::Confirmed, Severity::Note));
    says(&diagnosis, "icloud/conditions-not-met", note);
    says(&diagnosis, "network/cellular", note);
    says(&diagnosis, "network/wifi-weak", Some((Certainty::Possible, Severity::Note)));
    let evidence = &diagnosis.of("icloud/conditions-not-met").unwrap().evidence;
    let keys: Vec<&str> = evidence.iter().map(|seen| seen.key.as_str()).collect();
    assert_eq!(keys, ["log.condition-power", "log.condition-wifi"]);
}

/// Who charges it every night, locked and in Wi-Fi, is not told to.
#[test]
fn an_answer_takes_the_nights_back() {
    let old = ("icloud.age", Value::from(25));
    says(&with(For::Icloud, std::slice::from_ref(&old)), "icloud/conditions-not-met", POSSIBLE);
    let answers = [
        old,
        ("answer.charging", "nightly-locked".into()),
        ("answer.icloud-storage", "room".into()),
    ];
    says(&with(For::Icloud, &answers), "icloud/conditions-not-met", None);
}

/// The numbers of a restore mean something else in a backup.
#[test]
fn what_a_restore_wants_is_no_cause_of_a_backup() {
    for code in [204, 211] {
        let of = |kind: &str| {
            with(For::Computer, &[("job.code", code.into()), ("job.kind", kind.into())])
        };
        says(&of("backup"), "restore/preconditions", None);
        let blocking = Some((Certainty::Confirmed, Severity::Blocking));
        says(&of("restore"), "restore/preconditions", blocking);
        let unsaid = with(For::Computer, &[("job.code", code.into())]);
        says(&unsaid, "restore/preconditions", None);
    }
}

/// What management itself refused explains a switch that is off.
#[test]
fn a_refusal_of_management_explains_the_switch() {
    let told = [("icloud.backup", "off".into()), ("management.cloud-backup", "forbidden".into())];
    let diagnosis = with(For::Icloud, &told);
    assert_eq!(diagnosis.primary().unwrap().id, "icloud/forbidden-by-management");
    let switch = diagnosis.of("icloud/switched-off").unwrap();
    assert_eq!(switch.explained_by.as_deref(), Some("icloud/forbidden-by-management"));
}

/// A line of the log can be older than the switch: what was measured outweighs it.
#[test]
fn a_switch_that_is_on_is_not_switched_off_by_the_log() {
    let off = ("log.condition-enabled", Value::from("missing"));
    let of = |switch: &str| with(For::Icloud, &[off.clone(), ("icloud.backup", switch.into())]);
    let blocking = Some((Certainty::Confirmed, Severity::Blocking));
    says(&of("off"), "icloud/switched-off", blocking);
    let possible = of("on");
    let found = possible.of("icloud/switched-off").map(|found| found.certainty);
    assert_eq!(found, Some(Certainty::Possible));
}
