//! The doctor within a backup: a quick look before it, the cause after one that is not done, and what is remembered of each.

use std::sync::Arc;

use camino::Utf8Path;
use lifeboat_device::link::Link;
use lifeboat_doctor::finding::Evidence;
use lifeboat_doctor::report::Told;
use lifeboat_doctor::{Action, Certainty, Facts, For, Report, Severity, Value, Why};
use lifeboat_host::trial::{FolderState, FolderTrial};

use super::{BackupPlan, BackupSummary, transfer};
use crate::error::{Cause, Fault, JobError};
use crate::event::{Diagnosed, Event, Note};
use crate::examine::{Findings, Recorder, log_facts, quick_look, worth_keeping};
use crate::job::{Context, Outcome, blocking};
use crate::last_run::LastRun;
use crate::run_facts::{FREE, Seen, run_facts};
use crate::stage::Stage;

/// What a run leaves for the doctor while it goes on.
#[derive(Default)]
pub(super) struct Trace {
    /// When the run began.
    pub(super) began: Option<jiff::Timestamp>,
    /// The last stage that was begun.
    pub(super) stage: Option<Stage>,
    /// The link, once there was one.
    pub(super) link: Option<Link>,
    /// Who listens to the device's log.
    pub(super) recorder: Option<Recorder>,
    /// Who was told what happened in the transfer.
    pub(super) watched: Option<transfer::Watched>,
    /// What kept the run from starting: it need not be looked for again.
    blocked: Option<Box<Told>>,
}

impl Trace {
    /// Begins.
    pub(super) fn of(began: jiff::Timestamp) -> Self {
        Self { began: Some(began), ..Self::default() }
    }
}

/// Takes a quick look at device, storage and computer; a confirmed blocker ends the run before it begins. What makes a failure likely
/// does not: it is told, and noted in the summary.
pub(super) async fn preflight(
    ctx: &Context,
    plan: &BackupPlan,
    link: &Link,
    trace: &mut Trace,
    summary: &mut BackupSummary,
) -> Result<(), JobError> {
    let udid = link.device().udid.as_str();
    let seen = quick_look(ctx, &plan.places, &plan.mux, Some(udid)).await;
    let mut findings = Findings::new(&*ctx.host, For::Computer, Facts::new());
    findings.add(seen);
    if LastRun::read(&plan.places.working_area, udid).is_some() {
        // Whoever backed up before has most of it: what the device uses says nothing about what the next run adds.
        without_estimate(&mut findings.facts);
    }
    let report = findings.report();
    if !report.is_blocked() {
        for told in foreseen(&report) {
            let diagnosed = Diagnosed::from(told);
            summary.notes.push(Note::new(&diagnosed.cause, diagnosed.sentence()));
            ctx.events.tell(Event::Foreseen(Box::new(diagnosed)));
        }
        return Ok(());
    }
    // What is confirmed and blocking comes first.
    let Some(told) = report.primary else { return Ok(()) };
    let cause = cause_of(&told.finding.id);
    let place = match cause {
        Cause::NotEnoughSpace => match used_up(&findings.facts) {
            Some(what) => Some(what.to_owned()),
            None => {
                tightest(ctx, plan).map(|place| format!("{place}, and {}", needed(&findings.facts)))
            }
        },
        // A place that hangs would keep whoever asks again.
        Cause::Disk if !findings.facts.is("destination.state", "hung") => unusable(ctx, plan).await,
        Cause::DeviceFull => room_on_device(&findings.facts),
        _ => None,
    };
    let message = match place {
        Some(place) => format!("{}: {place}", told.title),
        None => told.title.clone(),
    };
    trace.blocked = Some(Box::new(told));
    Err(JobError::new(cause, message))
}

/// Returns what the quick look found that may keep this run from its end and does not stop it: what was measured, and what has a sign.
fn foreseen(report: &Report) -> impl Iterator<Item = &Told> {
    let told = report.primary.iter().chain(&report.also_seen);
    told.filter(|told| told.finding.severity > Severity::Note)
}

/// Says how much room the device has, by its own word.
fn room_on_device(facts: &Facts) -> Option<String> {
    match facts.value("storage.available") {
        Some(Value::Number(free)) => Some(format!("it has {} MB left", free / 1_000_000)),
        _ => None,
    }
}

/// Says what is used up where bytes are not.
fn used_up(facts: &Facts) -> Option<&'static str> {
    if facts.is("destination.quota", "exceeded") {
        Some("the quota of this user is used up there, whatever room the disk has")
    } else if facts.is("destination.inodes", "none") {
        Some(
            "the file system there has no inodes left, so no further file fits, whatever room the disk has",
        )
    } else {
        None
    }
}

/// Returns the step that frees what is used up.
fn freed(facts: &[Evidence]) -> Option<&'static str> {
    let says = |key: &str| facts.iter().any(|seen| seen.key.as_str() == key);
    if says("destination.quota") {
        Some(
            "Remove files of yours from that disk, ask its administrator for a larger quota, or choose another place.",
        )
    } else if says("destination.inodes") {
        Some(
            "Remove many small files from that disk (`df -i` shows the inodes), or choose another place.",
        )
    } else {
        None
    }
}

/// Says which place cannot be used, and what the system said.
async fn unusable(ctx: &Context, plan: &BackupPlan) -> Option<String> {
    let host = Arc::clone(&ctx.host);
    let places = [plan.places.disk(), plan.places.working_area.clone()];
    let tried = blocking(move || {
        Ok(places.into_iter().find_map(|place| {
            let trial = host.try_folder(&place);
            (trial.state != FolderState::Writable).then(|| refusal(&place, &trial))
        }))
    });
    tried.await.ok().flatten()
}

fn refusal(place: &Utf8Path, trial: &FolderTrial) -> String {
    let state = match trial.state {
        FolderState::Writable => "can be written",
        FolderState::ReadOnly => "is read-only",
        FolderState::Denied => "is denied to this user",
        FolderState::Missing => "is not there",
        FolderState::NotAFolder => "is no folder",
        FolderState::DanglingLink => "is a link that leads nowhere",
        FolderState::IoError => "has a disk that fails",
    };
    match &trial.said {
        Some(said) => format!("{place} {state} ({said})"),
        None => format!("{place} {state}"),
    }
}

/// Says which of the two places has the least room.
fn tightest(ctx: &Context, plan: &BackupPlan) -> Option<String> {
    let places = [plan.places.disk(), plan.places.working_area.clone()];
    let free = |place: &camino::Utf8PathBuf| ctx.host.free_bytes(place).ok();
    let (place, free) = places
        .into_iter()
        .filter_map(|place| free(&place).map(|free| (place, free)))
        .min_by_key(|(_, free)| *free)?;
    Some(format!("the disk of {place} has {} MB left", free / 1_000_000))
}

/// Says how much room a backup needs, as far as that is known before the device says it.
fn needed(facts: &Facts) -> String {
    const MB: i64 = 1_000_000;
    // What is wanted is told rather too large than too small.
    let mb = |bytes: i64| bytes.saturating_add(MB - 1) / MB;
    let (least, most) = lifeboat_doctor::probe::need(facts);
    let most = most.map_or_else(String::new, |most| format!(" (about {} MB at most)", mb(most)));
    format!("a backup needs {} MB there at least{most}", mb(least))
}

/// Returns the cause, with its exit class, for what the doctor found before a run.
fn cause_of(id: &str) -> Cause {
    match id {
        "host/usbmuxd-missing" => Cause::MuxUnreachable,
        "pairing/not-trusted" => Cause::NotTrusted,
        "pairing/stale-record" => Cause::PairingStale,
        "device/not-unlocked-yet" => Cause::NotUnlockedSinceStart,
        "device/setup-unfinished" => Cause::SetupUnfinished,
        "device/restore-running" => Cause::RestoreInProgress,
        "device/storage-full" | "device/no-staging-room" => Cause::DeviceFull,
        "management/backup-forbidden" | "management/pairing-forbidden" => Cause::Forbidden,
        "management/encryption-demanded" | "password/forgotten" | "password/damaged" => {
            Cause::BackupPassword
        }
        "destination/full" => Cause::NotEnoughSpace,
        "destination/not-writable"
        | "destination/file-limit"
        | "destination/disk-fails"
        | "destination/link-dangles" => Cause::Disk,
        "backup/newer-format" => Cause::BackupRejected,
        "backup/existing-broken" => Cause::RepositoryDamaged,
        "host/other-program" => Cause::DeviceBusy,
        "power/low" | "power/temperature" => Cause::ConditionsNotMet,
        _ => Cause::Blocked,
    }
}

/// Says how the run ended as facts, what the doctor makes of them where it is not done, and remembers both.
pub(super) async fn after(
    ctx: &Context,
    plan: &BackupPlan,
    mut trace: Trace,
    error: Option<&JobError>,
    summary: &mut BackupSummary,
) {
    let log = match trace.recorder.take() {
        Some(recorder) if error.is_some() => recorder.stop().await,
        _ => Vec::new(),
    };
    let area = &plan.places.working_area;
    let last = LastRun::read(area, &summary.udid);
    let seen = seen(&trace, error, last.as_ref()).await;
    let mut facts = run_facts(summary.outcome, error, &seen);
    facts.merge(log_facts(&log));
    let mut free = None;
    if summary.outcome != Outcome::Done {
        let blocked = trace.blocked.take();
        let (told, seen) = cause(ctx, plan, blocked, error, &facts, &summary.udid).await;
        free = seen;
        if let Some(told) = told {
            let diagnosed = Diagnosed::from(&told);
            let step = error.and_then(|error| step_of(&told, error));
            summary.take_finding(&diagnosed, step.as_deref());
            ctx.events.tell(Event::Diagnosed(Box::new(diagnosed)));
        }
    }
    // Whoever finds another run at work has nothing to tell; a look that stopped it is repeated by the next.
    if error.is_none_or(|error| error.cause != Cause::AlreadyRunning) {
        let place = trace.place(error);
        let now = ctx.host.now();
        let window = (trace.began.unwrap_or(now), now);
        let run = LastRun::new(window, &facts, place.as_deref(), worth_keeping(&log));
        let run = run.failed(error).with_free(free);
        remember(area.clone(), summary.udid.clone(), run).await;
    }
}

async fn remember(area: camino::Utf8PathBuf, udid: String, run: LastRun) {
    let written = blocking(move || {
        run.write(&area, &udid)
            .map_err(|error| JobError::of(Cause::Disk, "the last run cannot be remembered", &error))
    });
    if let Err(error) = written.await {
        tracing::warn!(%error, "nothing is remembered of this run");
    }
}

/// Returns the primary cause of a run that is not done, and what is free at the destination; nothing where the doctor has no say, or
/// did not look.
async fn cause(
    ctx: &Context,
    plan: &BackupPlan,
    blocked: Option<Box<Told>>,
    error: Option<&JobError>,
    facts: &Facts,
    udid: &str,
) -> (Option<Told>, Option<i64>) {
    if let Some(told) = blocked {
        return (Some(*told), None);
    }
    let mut findings = Findings::new(&*ctx.host, For::Computer, facts.clone());
    findings.failed_run = !error.is_some_and(|error| says_it_all(error.cause));
    match error.map_or(Look::Facts, |error| look(error.cause)) {
        Look::Nothing => return (None, None),
        Look::Facts => {}
        Look::World => {
            let udid = Some(udid).filter(|udid| !udid.is_empty());
            findings.add(quick_look(ctx, &plan.places, &plan.mux, udid).await);
            without_estimate(&mut findings.facts);
        }
    }
    let free = match findings.facts.value(FREE) {
        Some(Value::Number(free)) => Some(*free),
        _ => None,
    };
    (findings.report().primary, free)
}

/// Takes the estimate away of the room that a backup needs, where the run failed and never spoke of room: it is no cause then.
fn without_estimate(facts: &mut Facts) {
    const ROOM: &str = "destination.room";
    let of_room = facts.value("job.code") == Some(&105.into())
        || facts.is("job.underlying", "no-space-host")
        || facts.is("log.space-short", "yes")
        || ["no-space", "no-inodes", "quota"].iter().any(|word| facts.is("job.host-error", word));
    if !of_room && ["tight", "too-small"].iter().any(|word| facts.is(ROOM, word)) {
        facts.tell(ROOM, Why::NotLooked);
    }
}

/// Whether a failure has no unknown cause behind it: the run itself knows what the person or a disk did (no device is there, the
/// repository is missing or locked, a password is wrong).
fn says_it_all(cause: Cause) -> bool {
    !is_vague(cause) && matches!(cause.fault(), Fault::Person | Fault::Storage)
}

/// What the doctor looks at after a failure.
enum Look {
    /// At nothing: a word on the command line or a password is wrong, or this program, or another run is at work.
    Nothing,
    /// At what the run told: the person waits for the program to end.
    Facts,
    /// At the world, too.
    World,
}

fn look(cause: Cause) -> Look {
    match cause {
        Cause::SeveralDevices
        | Cause::AlreadyRunning
        | Cause::WrongPassword
        | Cause::NoPassword
        | Cause::WrongUsage
        | Cause::NoSuchSnapshot
        | Cause::NoSuchPath
        | Cause::NotABackup
        | Cause::BackupEncrypted
        | Cause::BackupPasswordWrong
        | Cause::PasswordUnknown
        | Cause::TargetNotEmpty
        | Cause::Internal => Look::Nothing,
        Cause::Interrupted => Look::Facts,
        _ => Look::World,
    }
}

/// Puts together what was seen along the way.
async fn seen(trace: &Trace, error: Option<&JobError>, last: Option<&LastRun>) -> Seen {
    let watched = trace.watched.clone().unwrap_or_default();
    let device_left = match (&trace.link, error) {
        (Some(link), Some(_)) => has_left(link).await,
        (Some(_), None) => Some(false),
        (None, _) => None,
    };
    let same_place = match (last, trace.place(error)) {
        (Some(last), Some(place)) if device_left != Some(true) => Some(last.broke_at(&place)),
        _ => None,
    };
    Seen {
        stage: trace.stage,
        prompt: watched.prompt,
        device_left,
        same_place,
        unreadable: watched.unreadable,
        harmless: watched.harmless,
        slow: watched.slow(),
    }
}

/// Says whether the device left the bus since the link was made; one that came back has another number.
async fn has_left(link: &Link) -> Option<bool> {
    let device = link.device();
    match link.mux().devices().await {
        Ok(devices) => Some(!devices.iter().any(|there| there.mux_id == device.mux_id)),
        Err(_) => None,
    }
}

impl Trace {
    /// Returns where a run broke: the path that the device names, else the last file that came. Who stops a run does not break it.
    fn place(&self, error: Option<&JobError>) -> Option<String> {
        let error = error?;
        if matches!(error.cause, Cause::Interrupted | Cause::CancelledOnDevice) {
            return None;
        }
        let last = self.watched.as_ref().and_then(|watched| watched.last_file.clone());
        error.clues.path.clone().or(last)
    }
}

/// Returns the next step that knows more than the error. Where nothing but the number speaks for what was found, the table of numbers
/// has the word, as in `lifeboat explain N`.
fn step_of(told: &Told, error: &JobError) -> Option<String> {
    let evidence = &told.finding.evidence;
    let by_number = evidence.iter().all(|seen| seen.key.as_str() == "job.code");
    if by_number && error.step_of_number().is_some() {
        return None;
    }
    next_step(told, error.cause)
}

/// Returns the next step of what was found, where the cause itself only guesses at one. What is only possible is no more than a guess,
/// too, but one that has a sign: it is what to do where the next run does not go better.
fn next_step(told: &Told, cause: Cause) -> Option<String> {
    if cause == Cause::NotEnoughSpace {
        return freed(&told.finding.evidence).map(str::to_owned);
    }
    // A rule that was measured knows that there is no password; what is only possible does not know which one is wrong.
    let is_ruled = cause == Cause::BackupPassword && told.finding.certainty == Certainty::Confirmed;
    if !is_vague(cause) && !is_ruled {
        return None;
    }
    let remedy = told.next_step()?;
    let line = first_item(&remedy.text)?;
    let step = match remedy.action {
        // The cause says that too, and what to look at before.
        Some(Action::RetryBackup) => return None,
        Some(_) => format!("Run `lifeboat doctor --fix`. {line}"),
        None => line,
    };
    Some(match told.finding.certainty {
        Certainty::Confirmed => step,
        _ => format!("Run the backup again. If it breaks off again: {step}"),
    })
}

/// Whether a cause says only that it broke, and its own next step is a guess: what was measured knows better.
fn is_vague(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ConnectionLost
            | Cause::DeviceSilent
            | Cause::DeviceError
            | Cause::TransferFailed
            | Cause::Blocked
            | Cause::Unknown
    )
}

/// Returns the first item of steps in Markdown, or their first paragraph, as one line without marks.
fn first_item(markdown: &str) -> Option<String> {
    let text = markdown.trim().strip_prefix("1. ").unwrap_or(markdown.trim());
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty() && !line.starts_with("2. "))
        .collect();
    let line = lines.join(" ").replace("**", "");
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use lifeboat_doctor::Catalogue;
    use lifeboat_host::fake::FakeHost;

    use super::*;
    use crate::error::ExitClass;

    #[test]
    fn what_is_foreseen_is_what_weighs_more_than_a_note() {
        let mut facts = Facts::new();
        // Measured; with a sign only; worth knowing; a consequence.
        facts.tell("battery.level", 5);
        facts.tell("battery.charging", false);
        facts.tell("usb.errors", 5);
        facts.tell("host.sleep", "may-sleep");
        facts.tell("usb.hubs", 1);
        let report = Findings::new(&FakeHost::default(), For::Computer, facts).report();
        let notes: Vec<String> =
            foreseen(&report).map(|told| Diagnosed::from(told).sentence()).collect();
        let starts = ["The iPhone is short of power", "possibly: A hub, dock or weak port"];
        assert_eq!(notes.len(), starts.len(), "{notes:?}");
        for (note, start) in notes.iter().zip(starts) {
            assert!(note.starts_with(start), "{notes:?}");
        }
        assert!(notes[0].ends_with("(`lifeboat explain power/low`)"), "{notes:?}");
    }

    #[test]
    fn a_full_device_is_told_in_its_own_megabytes() {
        let mut facts = Facts::new();
        assert_eq!(room_on_device(&facts), None);
        facts.tell("storage.available", 300_400_000);
        assert_eq!(room_on_device(&facts).as_deref(), Some("it has 300 MB left"));
    }

    #[test]
    fn what_is_used_up_where_bytes_are_not_is_named_with_its_step() {
        for (key, word, named) in
            [("destination.quota", "exceeded", "quota"), ("destination.inodes", "none", "inodes")]
        {
            let mut facts = Facts::new();
            assert_eq!(used_up(&facts), None);
            facts.tell(key, word);
            assert!(used_up(&facts).is_some_and(|what| what.contains(named)), "{named}");
            let told = Findings::new(&FakeHost::default(), For::Computer, facts).report().primary;
            let step = next_step(&told.unwrap(), Cause::NotEnoughSpace).unwrap();
            assert!(step.contains(named), "{step}");
        }
    }

    #[test]
    fn a_place_that_refuses_is_named_with_what_the_system_said() {
        let trial = FolderTrial {
            state: FolderState::Denied,
            said: Some("Permission denied (13)".to_owned()),
            ..FolderTrial::good()
        };
        assert_eq!(
            refusal(Utf8Path::new("/srv/b"), &trial),
            "/srv/b is denied to this user (Permission denied (13))"
        );
    }

    #[test]
    fn a_measured_finding_knows_the_next_step_better_than_a_vague_cause() {
        let step = |same_place, cause| {
            let mut facts = Facts::new();
            facts.tell("log.crash", true);
            facts.tell("job.same-place", same_place);
            let mut findings = Findings::new(&FakeHost::default(), For::Computer, facts);
            findings.failed_run = true;
            let told = findings.report().primary.unwrap();
            assert_eq!(told.finding.id, "transfer/poisonous-file");
            next_step(&told, cause)
        };
        let known = step(true, Cause::ConnectionLost).unwrap();
        assert!(known.starts_with("Find out which app it is"), "{known}");
        assert!(!known.contains("Update"), "{known}");
        // One break is not two, and the cable is not what has a sign.
        let possible = step(false, Cause::ConnectionLost).unwrap();
        assert_eq!(possible, format!("Run the backup again. If it breaks off again: {known}"));
        // What says more itself keeps its own words.
        assert_eq!(step(true, Cause::DeviceFull), None);
    }

    /// One table for both: what a run that ended with a number says is to be done is what `lifeboat explain N` says of it.
    #[test]
    fn the_hint_of_a_number_is_what_explain_says_of_it() {
        use lifeboat_device::mobilebackup2::{BackupError, DeviceError};
        use lifeboat_doctor::{errors, explain};
        let mut told_alike = 0;
        let rows = errors::all().iter().filter(|row| row.domain == errors::DEVICE);
        for row in rows.filter(|row| !row.restore_only) {
            for code in row.codes.iter().copied().filter(|code| *code != 0) {
                let error = JobError::from(BackupError::Device(DeviceError::parse(code, None)));
                let error = error.at(Stage::Transfer);
                let facts = run_facts(Outcome::Failed, Some(&error), &Seen::default());
                let mut findings = Findings::new(&FakeHost::default(), For::Computer, facts);
                findings.failed_run = true;
                let told = findings.report().primary.unwrap();
                let hint = step_of(&told, &error);
                let hint = hint.as_deref().unwrap_or_else(|| error.next_step());
                let explained = explain::explain(&code.to_string());
                let explained = explained.first().unwrap();
                assert!(explained.what.ends_with(&format!("/{code}")), "{explained:?}");
                // Without a word of the table both leave it at that.
                let Some(step) = explained.steps.first() else { continue };
                assert_eq!(hint, step.text, "{code}");
                told_alike += 1;
            }
        }
        assert!(told_alike > 50, "{told_alike}");
    }

    #[test]
    fn a_rule_that_was_measured_knows_that_a_password_is_missing_and_not_wrong() {
        let step = |underlying: &str| {
            let mut facts = Facts::new();
            facts.tell("job.code", 207);
            facts.tell("job.underlying", underlying);
            let mut findings = Findings::new(&FakeHost::default(), For::Computer, facts);
            findings.failed_run = true;
            next_step(&findings.report().primary.unwrap(), Cause::BackupPassword)
        };
        let ruled = step("encryption-rule").unwrap();
        assert!(ruled.contains("`lifeboat password set`"), "{ruled}");
        assert_eq!(step("none"), None, "which password is wrong is not known");
    }

    #[test]
    fn an_estimate_of_room_is_no_cause_of_a_run_that_never_spoke_of_room() {
        let primary = |room: &str, code: i64| {
            let mut facts = Facts::new();
            facts.tell("job.outcome", "failed");
            facts.tell("job.code", code);
            facts.tell("destination.room", room);
            without_estimate(&mut facts);
            let mut findings = Findings::new(&FakeHost::default(), For::Computer, facts);
            findings.failed_run = true;
            findings.report().primary.unwrap().finding.id
        };
        for room in ["tight", "too-small"] {
            assert_eq!(primary(room, 10), "device/restart-helps", "{room}");
            assert_eq!(primary(room, 105), "destination/full", "{room}");
        }
        // What was measured stays.
        assert_eq!(primary("full", 10), "destination/full");
    }

    #[test]
    fn what_is_known_without_the_doctor_has_no_unknown_cause() {
        for cause in [
            Cause::RepositoryMissing,
            Cause::RepositoryGone,
            Cause::RepositoryLocked,
            Cause::NoDevice,
            Cause::DeviceAbsent,
            Cause::Interrupted,
            Cause::RepositoryFull,
            Cause::Disk,
        ] {
            assert!(says_it_all(cause), "{cause:?}");
        }
        for cause in Cause::ALL.iter().filter(|cause| is_vague(**cause)) {
            assert!(!says_it_all(*cause), "{cause:?}");
        }
    }

    #[test]
    fn another_run_at_work_says_nothing_about_this_one() {
        assert!(matches!(look(Cause::AlreadyRunning), Look::Nothing));
        assert!(matches!(look(Cause::ConnectionLost), Look::World));
    }

    #[test]
    fn every_blocker_has_the_exit_class_of_its_kind() {
        for (id, exit) in [
            ("host/usbmuxd-missing", ExitClass::DeviceNotFound),
            ("pairing/not-trusted", ExitClass::DeviceNotTrusted),
            ("device/not-unlocked-yet", ExitClass::Postponed),
            ("device/setup-unfinished", ExitClass::Postponed),
            ("destination/full", ExitClass::NoSpace),
            ("device/storage-full", ExitClass::NoSpace),
            ("destination/not-writable", ExitClass::Failed),
            ("power/low", ExitClass::Postponed),
            ("hardware/fault", ExitClass::Failed),
        ] {
            assert!(Catalogue::builtin().get(id).is_some(), "{id}");
            assert_eq!(cause_of(id).exit(), exit, "{id}");
        }
    }
}
