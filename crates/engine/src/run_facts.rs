//! What a run tells the doctor: its end as facts, by the keys `job.*` of the doctor's table, and what its failure says about the
//! world. Every cause of a failure has its line here.

use lifeboat_doctor::{Facts, Value, Why};

use crate::error::{Cause, JobError};
use crate::job::Outcome;
use crate::stage::Stage;

/// What was seen along the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The stage that was reached.
    pub(crate) stage: Option<Stage>,
    /// Whether the device asked for its passcode, and whether somebody typed it.
    pub(crate) prompt: Prompt,
    /// The device left the bus in the middle of the transfer; nothing where nobody looked.
    pub(crate) device_left: Option<bool>,
    /// The run broke where the run before broke; nothing where that cannot be told.
    pub(crate) same_place: Option<bool>,
    /// Files that the device could not read.
    pub(crate) unreadable: u64,
    /// Of them, files that are known to fail without harm.
    pub(crate) harmless: u64,
    /// Many times slower than the connection allows; nothing where too little came to tell.
    pub(crate) slow: Option<bool>,
}

/// What became of the passcode prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// There was none.
    #[default]
    None,
    /// It was shown, and nothing followed.
    Shown,
    /// It was shown, and the transfer went on.
    Answered,
}

/// Returns the facts of a run.
pub(crate) fn run_facts(outcome: Outcome, error: Option<&JobError>, seen: &Seen) -> Facts {
    let mut facts = Facts::new();
    facts.tell("job.kind", "backup");
    facts.tell(
        "job.outcome",
        match outcome {
            Outcome::Done => "done",
            Outcome::Incomplete => "incomplete",
            // It did begin, and the lock broke it off: it wants a cause.
            Outcome::Postponed if error.is_some_and(locked_meanwhile) => "failed",
            Outcome::Postponed => "postponed",
            Outcome::Failed | Outcome::Interrupted => "failed",
        },
    );
    let stage = error.and_then(|error| error.stage).or(seen.stage);
    match stage {
        // A backup never ends while something is only read.
        Some(Stage::Read) | None => facts.tell("job.stage", Why::NotLooked),
        Some(stage) => facts.tell("job.stage", stage.as_str()),
    }
    let transferred =
        matches!(stage, Some(Stage::Transfer | Stage::Verify | Stage::Snapshot | Stage::Retain));
    // What stopped a run before its transfer, and was no break of the link, left the link as it was.
    tell_clues(&mut facts, error, transferred || stage == Some(Stage::Prepare));
    let waited = error.is_some_and(ended_at_the_prompt);
    tell_seen(&mut facts, waited, seen, transferred);
    match outcome {
        Outcome::Done => facts.tell("job.complete", true),
        // Nothing went wrong on the way, and still something is not there.
        Outcome::Incomplete if seen.unreadable == 0 => facts.tell("job.complete", false),
        _ => {}
    }
    if let Some(error) = error {
        tell_cause(&mut facts, error);
    }
    facts
}

fn tell_clues(facts: &mut Facts, error: Option<&JobError>, linked: bool) {
    let clues = error.map(|error| error.clues.clone()).unwrap_or_default();
    facts.tell("job.code", clues.code.unwrap_or(0));
    facts.tell("job.underlying", clues.underlying.unwrap_or("none"));
    facts.tell("job.host-error", clues.host_error.unwrap_or("none"));
    facts.tell("job.cancelled", "no");
    match clues.link {
        Some(link) => facts.tell("job.link", link),
        None if linked => facts.tell("job.link", "kept"),
        None => facts.tell("job.link", Why::NotLooked),
    }
    if let Some(mux) = clues.mux {
        facts.tell("mux.state", mux);
    }
}

/// Says whether the device's lock ended a run that had begun.
fn locked_meanwhile(error: &JobError) -> bool {
    error.cause == Cause::DeviceLocked && error.stage == Some(Stage::Transfer)
}

/// Says whether a run ended because nobody typed the passcode; another failure may come while its sheet is still on the screen.
fn ended_at_the_prompt(error: &JobError) -> bool {
    error.cause == Cause::PasscodeNotEntered
        || error.clues.code == Some(208)
        || error.clues.underlying == Some("passcode-timeout")
}

fn tell_seen(facts: &mut Facts, waited: bool, seen: &Seen, transferred: bool) {
    facts.tell(
        "job.prompt",
        match seen.prompt {
            Prompt::None => "none",
            Prompt::Shown if waited => "unanswered",
            Prompt::Shown => "shown",
            Prompt::Answered => "answered",
        },
    );
    let mut flag = |key: &str, flag: Option<bool>| match flag {
        Some(flag) => facts.tell(key, flag),
        None => facts.tell(key, Why::NotLooked),
    };
    // A device that is still there says nothing about a transfer that never began.
    flag("job.device-left", seen.device_left.filter(|left| *left || transferred));
    flag("job.same-place", seen.same_place);
    flag("job.slow", seen.slow);
    flag("job.harmless-errors", Some(seen.harmless > 0));
    if transferred {
        facts.tell("job.sync-lock", "free");
    }
    let unreadable = seen.unreadable.saturating_sub(seen.harmless);
    facts.tell("job.unreadable-files", i64::try_from(unreadable).unwrap_or(i64::MAX));
}

/// Returns the facts where there was no run: nothing failed, nothing was lost, nobody was asked.
pub(crate) fn no_run() -> Facts {
    let mut facts = Facts::new();
    facts.tell("job.outcome", "none");
    facts.tell("job.code", 0);
    facts.tell("job.unreadable-files", 0);
    for (key, word) in [
        ("job.underlying", "none"),
        ("job.link", "kept"),
        ("job.host-error", "none"),
        ("job.cancelled", "no"),
        ("job.prompt", "none"),
        ("job.sync-lock", "free"),
    ] {
        facts.tell(key, word);
    }
    for key in ["job.device-left", "job.same-place", "job.harmless-errors", "job.slow"] {
        facts.tell(key, false);
    }
    facts
}

/// The fact of the room at the destination.
const ROOM: &str = "destination.room";

/// Whether a refusal of the device for want of room is over: only the device knows how much it needs, and room that is enough by
/// estimate was enough by estimate when it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is of today, and no room was made since: it stands.
    Stands,
    /// Room was made since, or it is of another day: the estimate counts again.
    MayBeOver,
}

impl Refusal {
    /// Holds what was free when the run ended against what is free now. `is_fresh`: the run is of today.
    pub(crate) fn of(then: Option<i64>, facts: &Facts, is_fresh: bool) -> Self {
        let now = match facts.value(FREE) {
            Some(Value::Number(now)) => Some(*now),
            _ => None,
        };
        let has_grown = then
            .zip(now)
            .is_some_and(|(then, now)| now.saturating_sub(then) >= MARGIN.max(then / 10));
        if has_grown || !is_fresh { Self::MayBeOver } else { Self::Stands }
    }
}

/// The fact of what is free at the destination.
pub(crate) const FREE: &str = "destination.free";
/// Room that grew by less than this, in bytes, or by less than a tenth, was not made by anybody.
const MARGIN: i64 = 1 << 30;

/// What a failed run told, and what measured now says that it is over: the fact of the run, its words (or numbers), the fact that
/// is measured, and the word that ends it.
const OVER: &[(&str, &[&str], &str, &str)] = &[
    ("job.host-error", &["no-space"], ROOM, "enough"),
    ("job.host-error", &["no-inodes"], "destination.inodes", "enough"),
    ("job.host-error", &["quota"], "destination.quota", "none"),
    ("job.host-error", &["read-only", "denied", "gone", "io"], "destination.state", "writable"),
    ("job.underlying", &["no-space-host"], ROOM, "enough"),
    ("job.code", &["105"], ROOM, "enough"),
    ("job.code", &["212"], "setup.state", "finished"),
    ("job.code", &["13"], "lock.state", "unlocked"),
];

/// What only the device can say: that the room that it was offered is too little.
const OF_DEVICE: [(&str, &str); 2] = [("job.underlying", "no-space-host"), ("job.code", "105")];

/// Takes back what a run of an earlier time told where a look at it now says that it is over, and says whether there was such.
pub(crate) fn forgive(facts: &mut Facts, refusal: Refusal) -> bool {
    let mut forgiven = false;
    // A run that was stopped before its transfer measured the room itself; only the device's own refusal knows the need.
    let stopped = ["discover", "link", "prepare"].iter().any(|stage| facts.is("job.stage", stage));
    let has_room = stopped && ["tight", "too-small"].iter().any(|word| facts.is(ROOM, word));
    for (key, words, measured, word) in OVER {
        let told = facts.value(key).filter(|value| value.is_known()).map(ToString::to_string);
        let Some(told) = told.filter(|told| words.contains(&told.as_str())) else { continue };
        let stands = refusal == Refusal::Stands && !stopped;
        let over = facts.is(measured, word) || (*measured == ROOM && has_room);
        if over && !(stands && OF_DEVICE.contains(&(*key, told.as_str()))) {
            facts.tell(key, Why::NotThere("it is over".to_owned()));
            forgiven = true;
        }
    }
    forgiven | forgive_rule(facts)
}

/// A run that was refused because management demands encryption says nothing any more where the device encrypts its backups now.
fn forgive_rule(facts: &mut Facts) -> bool {
    let met = facts.is("job.underlying", "encryption-rule") && facts.is("backup.encrypted", "yes");
    if met {
        for key in ["job.underlying", "job.code"] {
            facts.tell(key, Why::NotThere("it is over".to_owned()));
        }
    }
    met
}

/// Whether these facts are of a run whose failure wants a cause even now. What kept a run from its transfer is looked at anew: there
/// it lies in the world, or it is gone. Who stopped it knows why.
pub(crate) fn wants_a_cause(facts: &Facts) -> bool {
    ["failed", "incomplete"].iter().any(|outcome| facts.is("job.outcome", outcome))
        && !facts.is("job.cancelled", "keyboard")
        && ["transfer", "verify", "snapshot"].iter().any(|stage| facts.is("job.stage", stage))
}

/// Says what a failure shows beyond its clues. A cause about which the doctor has nothing to say is named, too: a new cause must
/// decide.
fn tell_cause(facts: &mut Facts, error: &JobError) {
    match error.cause {
        Cause::NoDevice | Cause::DeviceAbsent => {
            facts.tell("mux.state", "running");
            facts.tell("mux.device", "absent");
        }
        Cause::NotTrusted => facts.tell("pairing.state", "no-record"),
        Cause::TrustDenied => facts.tell("pairing.state", "denied"),
        Cause::TrustNotAnswered => facts.tell("pairing.state", "dialog-pending"),
        Cause::NeedsCable => facts.tell("pairing.state", "needs-cable"),
        Cause::PairingStale => facts.tell("pairing.state", "stale"),
        Cause::TlsFailed => facts.tell("pairing.tls", "failed"),
        Cause::DeviceLocked => facts.tell("lock.state", "locked"),
        Cause::NotUnlockedSinceStart => facts.tell("lock.state", "before-first-unlock"),
        Cause::DeviceBusy => facts.tell("job.sync-lock", "held"),
        Cause::AlreadyRunning | Cause::RepositoryLocked => {
            facts.tell("existing.state", "being-written");
        }
        Cause::RestoreInProgress => facts.tell("restore.state", "in-progress"),
        Cause::SetupUnfinished => facts.tell("setup.state", "unfinished"),
        Cause::Forbidden => facts.tell("management.backup", "forbidden"),
        Cause::CancelledOnDevice => facts.tell("job.cancelled", "device"),
        Cause::Interrupted => facts.tell("job.cancelled", "keyboard"),
        Cause::WorkingAreaFull | Cause::RepositoryFull | Cause::TargetFull => {
            // Not every place hands the system's word on; quota is another word for full.
            if !facts.is("job.host-error", "quota") {
                facts.tell("job.host-error", "no-space");
            }
        }
        Cause::NotEnoughSpace => facts.tell("job.underlying", "no-space-host"),
        Cause::DeviceFull => facts.tell("job.underlying", "no-space-device"),
        Cause::Disk if facts.is("job.host-error", "none") => facts.tell("job.host-error", "other"),
        Cause::RepositoryMissing | Cause::RepositoryGone => {
            facts.tell("destination.state", "missing");
        }
        // The device rejects what a newer iOS made with a number of its own, and there is nothing wrong with it.
        Cause::BackupRejected if facts.value("job.code") == Some(&203.into()) => {
            facts.tell("existing.state", "newer-format");
        }
        Cause::RepositoryDamaged | Cause::BackupRejected => {
            facts.tell("existing.state", "corrupt");
        }
        Cause::VerifyFailed => facts.tell("job.complete", false),
        // The clues have said it.
        Cause::MuxUnreachable
        | Cause::DeviceSilent
        | Cause::ConnectionLost
        | Cause::HandshakeBroken
        | Cause::UnknownMessage
        | Cause::PasscodeNotEntered
        | Cause::BackupPassword
        | Cause::DeviceError
        | Cause::TransferFailed
        | Cause::HostileData
        | Cause::Unsupported
        | Cause::FilesMissing
        | Cause::Disk => {}
        // The doctor looks at devices, storage and networks, not at words, passwords and defects of this program.
        Cause::SeveralDevices
        | Cause::RepositoryTooNew
        | Cause::DeviceRefuses
        | Cause::WrongPassword
        | Cause::NoPassword
        | Cause::BackupPasswordWrong
        | Cause::NoBackupPassword
        | Cause::BackupPasswordSet
        | Cause::BackupPasswordOff
        | Cause::WrongUsage
        | Cause::NoSuchSnapshot
        | Cause::NoSuchPath
        | Cause::NotABackup
        | Cause::BackupEncrypted
        | Cause::PasswordUnknown
        | Cause::NotEncrypted
        | Cause::TargetNotEmpty
        | Cause::TimedOut
        | Cause::ConditionsNotMet
        | Cause::TrueTimeUnknown
        | Cause::Blocked
        | Cause::Internal
        | Cause::Unknown => {}
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_doctor::{Catalogue, For, diagnose};

    use super::*;
    use crate::error::Clues;

    #[test]
    fn what_a_rule_refused_is_over_once_the_device_encrypts() {
        for (encrypted, underlying, over) in [
            (true, "encryption-rule", true),
            (false, "encryption-rule", false),
            // A wrong password is no rule.
            (true, "none", false),
        ] {
            let mut facts = Facts::new();
            facts.tell("job.code", 207);
            facts.tell("job.underlying", underlying);
            facts.tell("backup.encrypted", encrypted);
            assert_eq!(forgive(&mut facts, Refusal::Stands), over, "{encrypted} {underlying}");
            assert_eq!(facts.value("job.code") == Some(&207.into()), !over);
        }
    }

    #[test]
    fn every_cause_becomes_facts_that_the_table_knows() {
        for cause in Cause::ALL {
            for outcome in [Outcome::Failed, Outcome::Postponed, Outcome::Incomplete] {
                let mut error = JobError::new(*cause, "it failed");
                error.stage = Some(Stage::Transfer);
                // In tests a fact that the table refuses stops the program.
                let facts = run_facts(outcome, Some(&error), &Seen::default());
                assert!(facts.value("job.outcome").is_some(), "{}", cause.id());
                assert_eq!(facts.value("job.code"), Some(&0.into()), "{}", cause.id());
            }
        }
    }

    #[test]
    fn what_is_known_of_a_failure_is_told() {
        let mut error = JobError::new(Cause::PasscodeNotEntered, "locked").at(Stage::Transfer);
        *error.clues = Clues {
            code: Some(208),
            underlying: Some("passcode-timeout"),
            link: Some("kept"),
            ..Clues::default()
        };
        let seen = Seen {
            prompt: Prompt::Shown,
            device_left: Some(false),
            unreadable: 3,
            ..Seen::default()
        };
        let facts = run_facts(Outcome::Failed, Some(&error), &seen);
        assert_eq!(facts.value("job.code"), Some(&208.into()));
        for (key, word) in [
            ("job.outcome", "failed"),
            ("job.stage", "transfer"),
            ("job.underlying", "passcode-timeout"),
            ("job.link", "kept"),
            ("job.prompt", "unanswered"),
            ("job.device-left", "no"),
            ("job.cancelled", "no"),
            ("job.host-error", "none"),
        ] {
            assert!(facts.is(key, word), "{key}: {:?}", facts.value(key));
        }
        assert_eq!(facts.value("job.unreadable-files"), Some(&3.into()));
        assert!(!facts.value("job.same-place").unwrap().is_known());
    }

    #[test]
    fn causes_say_what_they_show() {
        for (cause, key, word) in [
            (Cause::NoDevice, "mux.device", "absent"),
            (Cause::TrustDenied, "pairing.state", "denied"),
            (Cause::NotUnlockedSinceStart, "lock.state", "before-first-unlock"),
            (Cause::DeviceBusy, "job.sync-lock", "held"),
            (Cause::Interrupted, "job.cancelled", "keyboard"),
            (Cause::CancelledOnDevice, "job.cancelled", "device"),
            (Cause::RepositoryFull, "job.host-error", "no-space"),
            (Cause::Disk, "job.host-error", "other"),
            (Cause::VerifyFailed, "job.complete", "no"),
        ] {
            let error = JobError::new(cause, "it failed");
            let facts = run_facts(Outcome::Failed, Some(&error), &Seen::default());
            assert!(facts.is(key, word), "{}: {:?}", cause.id(), facts.value(key));
        }
        let done = run_facts(Outcome::Done, None, &Seen::default());
        assert!(done.is("job.outcome", "done") && done.is("job.complete", "yes"));
    }

    #[test]
    fn a_full_disk_before_the_transfer_is_over_when_there_is_any_room() {
        for (stage, room, refusal, over) in [
            ("prepare", "tight", Refusal::Stands, true),
            ("prepare", "full", Refusal::Stands, false),
            ("transfer", "tight", Refusal::MayBeOver, false),
            ("transfer", "enough", Refusal::MayBeOver, true),
            ("transfer", "enough", Refusal::Stands, false),
        ] {
            let mut facts = Facts::new();
            facts.tell("job.stage", stage);
            facts.tell("job.underlying", "no-space-host");
            facts.tell(ROOM, room);
            assert_eq!(forgive(&mut facts, refusal), over, "{stage}, {room}");
        }
    }

    /// Only the device knows what it needs: that an estimate is content takes nothing back, until there is more room than then, or
    /// another day.
    #[test]
    fn a_refusal_of_the_device_stands_until_there_is_more_room() {
        const GIB: i64 = 1 << 30;
        for (then, now, is_fresh, wanted) in [
            (Some(20 * GIB), Some(20 * GIB), true, Refusal::Stands),
            (Some(20 * GIB), Some(21 * GIB), true, Refusal::Stands),
            (Some(20 * GIB), Some(22 * GIB), true, Refusal::MayBeOver),
            (Some(0), Some(GIB - 1), true, Refusal::Stands),
            (Some(0), Some(GIB), true, Refusal::MayBeOver),
            (Some(i64::MIN), Some(i64::MAX), true, Refusal::MayBeOver),
            (None, Some(20 * GIB), true, Refusal::Stands),
            (Some(20 * GIB), None, true, Refusal::Stands),
            (None, None, false, Refusal::MayBeOver),
        ] {
            let mut facts = Facts::new();
            if let Some(now) = now {
                facts.tell(FREE, now);
            }
            assert_eq!(Refusal::of(then, &facts, is_fresh), wanted, "{then:?} {now:?} {is_fresh}");
        }
        for (refusal, over) in [(Refusal::Stands, false), (Refusal::MayBeOver, true)] {
            let mut facts = Facts::new();
            facts.tell("job.stage", "transfer");
            facts.tell("job.code", 105);
            facts.tell("job.underlying", "no-space-host");
            facts.tell(ROOM, "enough");
            assert_eq!(forgive(&mut facts, refusal), over, "{refusal:?}");
            let found = diagnose(Catalogue::builtin(), &facts, For::Computer);
            assert_eq!(found.of("destination/full").is_some(), !over, "{refusal:?}");
        }
    }

    #[test]
    fn what_stops_a_run_before_its_transfer_breaks_no_link() {
        let error = JobError::new(Cause::Blocked, "stopped").at(Stage::Prepare);
        let seen = Seen { device_left: Some(false), ..Seen::default() };
        let facts = run_facts(Outcome::Failed, Some(&error), &seen);
        assert!(facts.is("job.link", "kept"));
        assert!(!facts.value("job.device-left").unwrap().is_known());
        for stage in [Stage::Discover, Stage::Link, Stage::Prepare] {
            let error = JobError::new(Cause::DeviceBusy, "stopped").at(stage);
            let facts = run_facts(Outcome::Postponed, Some(&error), &seen);
            let diagnosis = diagnose(Catalogue::builtin(), &facts, For::Computer);
            assert_eq!(diagnosis.of("transfer/interrupted"), None, "{stage:?}");
        }
        let error = JobError::new(Cause::NoDevice, "nobody").at(Stage::Discover);
        let facts = run_facts(Outcome::Failed, Some(&error), &Seen::default());
        assert!(!facts.value("job.link").unwrap().is_known());
    }

    #[test]
    fn a_backup_of_a_newer_ios_is_not_called_damaged() {
        for (code, state) in [(203, "newer-format"), (205, "corrupt")] {
            let mut error = JobError::new(Cause::BackupRejected, "it was rejected");
            error.clues.code = Some(code);
            let facts = run_facts(Outcome::Failed, Some(&error), &Seen::default());
            assert!(
                facts.is("existing.state", state),
                "{code}: {:?}",
                facts.value("existing.state")
            );
        }
    }

    /// A number speaks of the backup that is there only where its row does: by its own causes, or by the version of iOS.
    #[test]
    fn only_a_number_about_the_existing_backup_speaks_of_it() {
        use lifeboat_device::mobilebackup2::{BackupError, DeviceError};
        let mut spoke = Vec::new();
        for row in lifeboat_doctor::errors::all().iter().filter(|row| row.domain == "MBErrorDomain")
        {
            for code in row.codes.iter().copied().filter(|code| *code != 0) {
                let error = JobError::from(BackupError::Device(DeviceError::parse(code, None)));
                let facts = run_facts(Outcome::Failed, Some(&error), &Seen::default());
                let Some(state) = facts.value("existing.state") else { continue };
                let about = ["backup/existing-broken", "backup/newer-format"];
                let named = row.causes.first().is_some_and(|cause| about.contains(&cause.as_str()));
                assert!(named, "{code} says {state}");
                spoke.push(code);
            }
        }
        assert_eq!(spoke, [11, 12, 203, 205]);
    }

    #[test]
    fn what_is_over_is_forgiven_and_what_is_not_stays() {
        let mut facts = Facts::new();
        facts.tell("job.host-error", "no-space");
        facts.tell("job.code", 105);
        assert!(!forgive(&mut facts, Refusal::MayBeOver));
        assert!(facts.is("job.host-error", "no-space"));
        facts.tell("destination.room", "enough");
        assert!(forgive(&mut facts, Refusal::MayBeOver));
        assert!(!facts.value("job.host-error").unwrap().is_known());
        assert!(!facts.value("job.code").unwrap().is_known());
    }
}
