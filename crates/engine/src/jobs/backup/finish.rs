//! What follows the transfer: keep what arrived where it broke; else verify, write the snapshot, clear the working area.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat_device::info_plist;
use lifeboat_device::link::Link;
use lifeboat_device::mobilebackup2::{BackupError, BackupReply, FileProblem, ProblemSource};
use lifeboat_mobilesync::FileId;
use lifeboat_mobilesync::verify::{Problem, Report, Weight};

use super::prepare::{Prepared, write_info};
use super::transfer::{Watcher, is_harmless};
use super::{BackupSummary, Kind, damage as repository_damage};
use crate::error::{At as _, Cause, JobError};
use crate::event::{Event, Note};
use crate::job::{Context, Outcome, blocking};
use crate::jobs::open::{OpenSummary, OpenedSnapshot, Opening, StillSealed, still_sealed};
use crate::layout::name;
use crate::meter::Meter;
use crate::stage::Stage;
use crate::store::{self, Run, Stored};
use crate::unlock::{Lock, unlock};
use crate::verify::{self, Told, Verified};
use crate::words::{choose, first, things};
use crate::working_tree::WorkingTree;
use crate::working_tree::base::Base;
use crate::working_tree::overlay::{Overlay, Trouble};
use crate::working_tree::rows::Rows;

/// How many files a summary names.
const NAMED: usize = 20;
/// How long a device that ended a job may take to say whether it is locked.
const ASKING: Duration = Duration::from_secs(10);
/// The device's error for what its protection classes forbid (`docs/protocol.md` 9.1).
const NOT_PERMITTED: i64 = 24;

/// Takes what the session came to.
pub(super) async fn received(
    ctx: &Context,
    link: &Link,
    mut prepared: Prepared,
    reply: Result<BackupReply, BackupError>,
    watcher: &Arc<Watcher>,
    summary: &mut BackupSummary,
) -> Result<Prepared, JobError> {
    let reply = match reply {
        // A file operation that does not end was left behind: whatever is asked of that disk now would hang, too.
        Err(error) if prepared.tree.is_held() => return Err(error.into()),
        reply => reply,
    };
    {
        let state = prepared.tree.state();
        let counts = state.counts();
        (summary.files_received, summary.bytes_received) = (counts.files, counts.bytes);
        summary.bytes_sent_again = counts.bytes_again;
        if let Some(full) = state.was_full() {
            // The device calls the rest of a run that broke incremental, too.
            let rests_on_nothing = state.base().is_none();
            summary.kind =
                Some(if full || rests_on_nothing { Kind::Full } else { Kind::Incremental });
        }
    }
    watcher.finish();
    for name in watcher.unknown_messages() {
        let message =
            format!("the device sent the message {name:?}, which is not known; it was declined");
        summary.notes.push(Note::new("unknown-message", message));
    }
    match reply {
        Ok(reply) => {
            prepared.told = told(&reply.problems, summary);
            Ok(prepared)
        }
        Err(error) => {
            let mut error = explain(&prepared, error);
            explain_full(ctx, &prepared.tree, &mut error);
            summary.file_errors = watcher.files_failed();
            explain_unread(link, &mut error, summary.file_errors).await;
            keep(ctx, prepared, &error, summary).await;
            Err(error)
        }
    }
}

/// Says of a disk that became full how much is free there now, and how much had come: how much was still to come only the device
/// knows, and it does not say.
fn explain_full(ctx: &Context, tree: &WorkingTree, error: &mut JobError) {
    const MB: u64 = 1_000_000;
    let state = tree.state();
    let place = match error.cause {
        Cause::RepositoryFull => state.repository_place(),
        Cause::WorkingAreaFull => state.area().folder(),
        _ => return,
    };
    let Ok(free) = ctx.host.free_bytes(place) else { return };
    let came = state.counts().bytes / MB;
    error.message = format!(
        "{}; the disk of {place} has {} MB left, and {came} MB had come from the device, which did not say how much was to follow",
        error.message,
        free / MB
    );
}

/// Says that files could not be read, where that is why the device ended the job: it counts them, sends the rest, and makes no end
/// of the backup. Behind a locked screen it cannot read what is protected: then it is asked whether it is locked.
async fn explain_unread(link: &Link, error: &mut JobError, unread: u64) {
    let behind_the_lock = match error.cause {
        Cause::TransferFailed => unread > 0,
        Cause::DeviceError => {
            error.clues.code == Some(NOT_PERMITTED) || error.clues.underlying == Some("keychain")
        }
        _ => false,
    };
    if !behind_the_lock {
        return;
    }
    let files = if unread > 0 {
        format!("could not read {} and ended the backup", things(unread, "file"))
    } else {
        "could not read what is protected".to_owned()
    };
    if is_locked(link).await {
        error.cause = Cause::DeviceLocked;
        error.message = format!("the device is locked; it {files}: {}", error.message);
    } else if unread > 0 {
        error.message = format!("the device {files}: {}", error.message);
    }
}

/// Asks the device whether its screen is locked with a passcode; one that does not answer is not said to be.
async fn is_locked(link: &Link) -> bool {
    let ask = async {
        let mut session = link.session().await.ok()?;
        let locked = session.value(None, Some("PasswordProtected")).await.ok()?;
        session.close().await;
        locked?.as_boolean()
    };
    tokio::time::timeout(ASKING, ask).await.ok().flatten().unwrap_or(false)
}

/// Returns the files that the device told errors of, each once, and names the first of them. A file that the device could
/// not send is its problem; a missing file of ours is how first backups begin.
fn told(problems: &[FileProblem], summary: &mut BackupSummary) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for problem in problems.iter().filter(|problem| problem.by == ProblemSource::Phone) {
        if is_harmless(&problem.device_path) {
            let message = format!("{}: {}; this does no harm", problem.device_path, problem.text);
            summary.notes.push(Note::new("harmless-file", message));
            continue;
        }
        let id: Option<FileId> = problem.path.rsplit('/').next().and_then(|name| name.parse().ok());
        if id.is_some() && told.iter().any(|told| told.id == id) {
            continue;
        }
        told.push(Told { id, device_path: problem.device_path.clone() });
        if told.len() <= NAMED {
            let message = format!("{}: {}", problem.device_path, problem.text);
            summary.notes.push(Note::new("file-not-sent", message));
        }
    }
    summary.file_errors = told.len() as u64;
    told
}

/// Says what stands behind the device's answer: our own failure, or the room that it wanted.
fn explain(prepared: &Prepared, error: BackupError) -> JobError {
    let mut state = prepared.tree.state();
    let ours = matches!(error, BackupError::Host { .. } | BackupError::Device(_));
    let mut error = JobError::from(error);
    if ours && let Some(failure) = state.take_failure() {
        return failure;
    }
    if error.cause == Cause::NotEnoughSpace
        && let Some(wanted) = wanted(&state)
    {
        error.message = format!("{wanted}: {}", error.message);
    }
    error
}

/// Says what the device wants, where it told, and which disk cannot give it.
fn wanted(state: &Overlay) -> Option<String> {
    const MB: u64 = 1_000_000;
    let (place, offered) = state.tightest().ok()?;
    let wants = state.demand().map_or_else(
        || "more".to_owned(),
        // The device asks for 2 GiB more than it needs.
        |demand| {
            format!(
                "{} MB",
                demand.more.saturating_add(demand.offered).saturating_sub(2 << 30) / MB
            )
        },
    );
    Some(format!(
        "the device wants {wants} and the disk of {place} offers {} MB ({} MB of what is free there are kept back for \
         manifests and indexes)",
        offered / MB,
        state.reserve() / MB
    ))
}

/// Keeps what arrived for the next run, except where it is what the device rejects.
async fn keep(ctx: &Context, prepared: Prepared, error: &JobError, summary: &mut BackupSummary) {
    let rejected = error.cause == Cause::BackupRejected;
    let settled = blocking(move || {
        let mut state = prepared.tree.state();
        if rejected {
            state.area().clear().map_err(|error| {
                JobError::of(Cause::Disk, "cannot clear the working area", &error)
            })?;
            return Ok((0, 0));
        }
        let settled = state.settle();
        if let Err(trouble) = settled {
            tracing::warn!(?trouble, "what arrived could not be made durable");
        }
        Ok(state.kept())
    })
    .await;
    match settled {
        Ok((files, bytes)) => (summary.files_kept, summary.bytes_kept) = (files, bytes),
        Err(error) => ctx.events.tell(Event::Note(Note::new("not-kept", error.message))),
    }
}

/// Verifies, writes the snapshot, clears the working area.
pub(super) async fn snapshot(
    ctx: &Context,
    prepared: Prepared,
    summary: &mut BackupSummary,
) -> Result<(), JobError> {
    let mut info = prepared.info.clone();
    info.insert("Last Backup Date".into(), info_plist::date(ctx.host.now()));
    write_info(&prepared.tree, &prepared.udid, &info).await.at(Stage::Verify)?;
    ctx.events.stage(Stage::Verify);
    // A run that came so far has prepared.
    let (storing, kind) = (ctx.clone(), summary.kind.unwrap_or(Kind::Full));
    let writer = prepared.writer.clone();
    let tree = prepared.tree.clone();
    let mut stored = blocking(move || store(&storing, &prepared, kind)).await;
    if let Err(error) = &mut stored
        && !tree.is_held()
    {
        (summary.files_kept, summary.bytes_kept) = tree.state().kept();
        explain_full(ctx, &tree, error);
    }
    let (stored, verified, earlier) = stored?;
    summary.notes.extend(earlier.opened.iter().map(OpenedSnapshot::note));
    summary.notes.extend(still_sealed(&earlier.sealed));
    summary.opened_earlier = earlier.opened;
    summary.notes.extend(repository_damage::healed(&writer.healing()));
    let missing = stored.about.missing();
    summary.snapshot = Some(stored.snapshot.to_string());
    summary.bytes_added = stored.stats.bytes_added;
    summary.files_total = stored.about.files;
    summary.bytes_total = stored.about.bytes;
    // Of a backup that nobody could open everything is sealed, and nothing to be counted.
    summary.files_sealed = if stored.about.is_sealed() { 0 } else { stored.about.sealed };
    summary.encrypted = stored.about.encrypted;
    summary.stored = Some(stored.about.stored.clone());
    if let Lock::Open(unlocked) = &verified.lock {
        summary.password_generation = unlocked.keys.generation().map(ToOwned::to_owned);
    }
    summary.notes.extend(sealed_notes(&stored, &verified));
    if let Some(name) = stored.about.device_name {
        summary.device_name = name;
    }
    judge(&verified, missing, summary);
    Ok(())
}

/// What became of earlier snapshots.
#[derive(Default)]
struct Earlier {
    opened: Vec<OpenedSnapshot>,
    sealed: Vec<StillSealed>,
}

/// What was written, what was found, and what became of earlier snapshots.
type Done = (Stored, Verified, Earlier);

fn store(ctx: &Context, prepared: &Prepared, kind: Kind) -> Result<Done, JobError> {
    let mut state = prepared.tree.state();
    let result = open_or_pack(ctx, prepared, &mut state)
        .and_then(|(lock, of_base)| verify_and_store(ctx, prepared, &state, kind, lock, of_base));
    match result {
        Ok((stored, verified)) => {
            let earlier = open_earlier(ctx, prepared, &state, &verified);
            // The snapshot stands: what is left in the working area is only waste from here on.
            if let Err(error) = state.area().clear() {
                tracing::warn!(%error, "the working area could not be cleared");
            }
            Ok((stored, verified, earlier))
        }
        Err(error) => {
            if error.cause == Cause::VerifyFailed
                && let Err(trouble) = state.refuse()
            {
                tracing::warn!(?trouble, "the journal cannot be written");
            }
            if let Err(trouble) = state.settle() {
                tracing::warn!(?trouble, "what arrived could not be made durable");
            }
            Err(error)
        }
    }
}

/// Opens earlier snapshots with a password that this backup proved. The backup is done, whatever becomes of it.
fn open_earlier(
    ctx: &Context,
    prepared: &Prepared,
    state: &Overlay,
    verified: &Verified,
) -> Earlier {
    let (Lock::Open(unlocked), Some(repository)) = (&verified.lock, state.repository()) else {
        return Earlier::default();
    };
    if prepared.ring.knows(&unlocked.keys) {
        return Earlier::default();
    }
    let mut ring = prepared.ring.clone();
    ring.learn(&unlocked.keys);
    let opened = state
        .area()
        .scratch("sealed-manifest.db")
        .map_err(|error| JobError::of(Cause::Disk, "the working area", &error))
        .and_then(|place| {
            let writer = &prepared.writer;
            Opening { ctx, repository, writer, place }.all(&prepared.udid, ring)
        });
    match opened {
        Ok(OpenSummary { opened, sealed, .. }) => Earlier { opened, sealed },
        Err(error) => {
            let message = format!("earlier snapshots stay sealed: {}", error.message);
            ctx.events.tell(Event::Note(Note::new("not-opened", message)));
            Earlier::default()
        }
    }
}

/// Opens what came where it is encrypted and something that is known opens it; else lets it go into packs as it came.
fn open_or_pack(
    ctx: &Context,
    prepared: &Prepared,
    state: &mut Overlay,
) -> Result<(Lock, Rows), JobError> {
    pack(ctx, state)?;
    state.make_readable().map_err(|trouble| {
        state.take_failure().unwrap_or_else(|| trouble.into()).at(Stage::Verify)
    })?;
    let of_base = state.base().map(Base::take_rows).transpose()?.unwrap_or_default();
    let Prepared { writer, udid, ring, .. } = prepared;
    let lock = unlock(ctx, state, writer, udid, ring, &of_base)?;
    if !matches!(lock, Lock::Open(_)) {
        state.let_pack().map_err(JobError::from).at(Stage::Verify)?;
        pack(ctx, state)?;
    }
    Ok((lock, of_base))
}

/// Waits until everything that came lies in packs: the bytes that are verified are those that went there.
fn pack(ctx: &Context, state: &mut Overlay) -> Result<(), JobError> {
    let total = state.unpacked();
    let mut meter = Meter::new(ctx, Stage::Verify, None);
    let packed = state.finish_packing(&mut |left| {
        meter.set_bytes(total.saturating_sub(left), total);
        !ctx.cancel.is_cancelled()
    });
    if packed.at(Stage::Verify)? {
        Ok(())
    } else {
        let message = "stopped before everything that came was in the repository";
        Err(JobError::new(Cause::Interrupted, message)).at(Stage::Verify)
    }
}

fn verify_and_store(
    ctx: &Context,
    prepared: &Prepared,
    state: &Overlay,
    kind: Kind,
    lock: Lock,
    of_base: Rows,
) -> Result<(Stored, Verified), JobError> {
    let udid = &prepared.udid;
    let verified = verify::verify(state, udid, lock, of_base).at(Stage::Verify)?;
    tell_damage(ctx, &verified);
    ctx.events.stage(Stage::Snapshot);
    let kind = match kind {
        Kind::Full => "full",
        Kind::Incremental => "incremental",
    };
    let now = time_of_new(ctx.host.now(), prepared.newest);
    let run = Run { udid, kind, told: &prepared.told, now };
    let stored =
        store::arrived::store(state, &prepared.writer, &verified, &run).at(Stage::Snapshot)?;
    Ok((stored, verified))
}

/// Returns the time of a new snapshot: now, and after the newest one that is there, so that a clock that went back hides nothing.
fn time_of_new(now: Timestamp, newest: Option<Timestamp>) -> Timestamp {
    let after = newest.and_then(|newest| newest.checked_add(SignedDuration::from_secs(1)).ok());
    after.map_or(now, |after| now.max(after))
}

fn tell_damage(ctx: &Context, verified: &Verified) {
    for finding in damage(&verified.report) {
        ctx.events.tell(Event::FileError {
            path: name(&finding.domain, &finding.relative_path),
            message: say(&finding.problem),
        });
    }
    if let Some((_, message)) = verified.unreadable() {
        ctx.events.tell(Event::FileError { path: "Manifest.db".to_owned(), message });
    }
}

fn damage(report: &Report) -> impl Iterator<Item = &lifeboat_mobilesync::verify::Finding> {
    report.findings.iter().filter(|finding| finding.problem.weight() == Weight::Damage)
}

/// Says what is wrong with a file.
pub(crate) fn say(problem: &Problem) -> String {
    match problem {
        Problem::Missing => "it did not arrive".to_owned(),
        Problem::Stale => {
            "the device says that it changed, but its new content did not arrive".to_owned()
        }
        Problem::Size { expected, found } => {
            format!("it has {} instead of {expected}", things(*found, "byte"))
        }
        Problem::Digest => "it is not what the device says that it sent".to_owned(),
        Problem::Unreadable(why) => format!("it cannot be read ({why})"),
        other => format!("it does not fit the manifest ({other:?})"),
    }
}

/// Makes a note that names the files with a problem; nothing where there are none.
fn note_of(report: &Report, problem: &Problem, id: &str, what: &str) -> Option<Note> {
    let findings = report.findings.iter().filter(|finding| finding.problem == *problem);
    let names: Vec<_> =
        findings.map(|finding| name(&finding.domain, &finding.relative_path)).collect();
    if names.is_empty() {
        return None;
    }
    let files = things(names.len() as u64, "file");
    Some(Note::new(id, format!("{files} {what}: {}", first(names, NAMED))))
}

/// Says what is worth knowing of files that are not damaged.
fn note_files(report: &Report, summary: &mut BackupSummary) {
    // The device found them changing or gone, and says so.
    let gone =
        "changed or went away while the device made the backup, and what it has now is not in it";
    summary.notes.extend(note_of(report, &Problem::KnownIncomplete, "known-incomplete", gone));
    let again = "gave way to others of the same size and time that were not sent; what the last backup had stands";
    summary.notes.extend(note_of(report, &Problem::NotSentAgain, "not-sent-again", again));
}

/// Says what of an encrypted backup stays as the device sent it, and why.
fn sealed_notes(stored: &Stored, verified: &Verified) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(locked) = verified.locked() {
        let then = match locked.damaged() {
            None => {
                "; give its password with BACKUP_PASSWORD_FILE at the next backup, and it is opened then"
            }
            Some(_) => "",
        };
        let message = format!(
            "the backup is encrypted and stored as the device sent it, for {}{then}",
            crate::error::chain(locked)
        );
        notes.push(Note::new(locked.id(), message));
    }
    let sealed: u64 = stored.sealed.values().sum();
    if sealed > 0 {
        let message = format!(
            "{} {} stored as the device sent {}{}",
            things(sealed, "file"),
            choose(sealed, "is", "are"),
            choose(sealed, "it", "them"),
            crate::view::naming(&stored.about.sealed_files, sealed)
        );
        notes.push(Note::new("sealed", message));
    }
    notes
}

/// Decides whether the run is done or incomplete; `missing` decided the snapshot's tag.
fn judge(verified: &Verified, missing: u64, summary: &mut BackupSummary) {
    let report = &verified.report;
    if let Some((_, message)) = verified.unreadable() {
        let message =
            format!("{message}; what came without a row that can be read is kept under sealed/");
        summary.notes.push(Note::new("rows-not-read", message));
    }
    note_files(report, summary);
    for finding in damage(report).take(NAMED) {
        let message =
            format!("{}: {}", name(&finding.domain, &finding.relative_path), say(&finding.problem));
        summary.notes.push(Note::new("file-not-whole", message));
    }
    if summary.files_sealed > 0 && !summary.encrypted {
        let message = format!(
            "{} {} stored by number: a file's name cannot hold what the device calls {}",
            things(summary.files_sealed, "file"),
            choose(summary.files_sealed, "is", "are"),
            choose(summary.files_sealed, "it", "them")
        );
        summary.notes.push(Note::new("sealed", message));
    }
    if missing == 0 {
        summary.outcome = Outcome::Done;
        return;
    }
    summary.outcome = Outcome::Incomplete;
    summary.file_errors = missing;
    summary.cause = Some(Cause::FilesMissing);
    summary.message = Some(format!(
        "{} did not arrive whole; everything else is in the snapshot",
        things(missing, "file")
    ));
    summary.take_step(Cause::FilesMissing.next_step());
}

impl From<Trouble> for JobError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Io(error) => Self::of(Cause::Disk, "the working area", &error),
            Trouble::NoSpace => Self::new(Cause::RepositoryFull, "the repository's disk is full"),
            other => Self::new(Cause::Internal, format!("the working tree refused ({other:?})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_snapshot_is_newer_than_what_is_there() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        assert_eq!(time_of_new(at(100), None), at(100));
        assert_eq!(time_of_new(at(100), Some(at(50))), at(100));
        for newest in [100, 700] {
            assert_eq!(time_of_new(at(100), Some(at(newest))), at(newest + 1));
        }
        assert_eq!(time_of_new(at(100), Some(Timestamp::MAX)), at(100));
    }
}
