//! `--fix`: does what the program can do about the primary cause, asks before it changes something, and looks whether it helped.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_doctor::{Action, Remedy, Severity, Told};
use lifeboat_engine::jobs::mend::{self, MendPlan};
use lifeboat_engine::{Cause, Findings, JobError};
use lifeboat_host::secret::{create_private_folder, write_private_file};
use lifeboat_host::trial::FolderState;
use serde::Serialize;

use super::ask::typed;
use super::{DoctorArgs, Examiner, password};
use crate::app::App;
use crate::commands::backup;
use crate::ui::ask::Typed;
use crate::ui::doctor::Tried;
use crate::ui::error::Failure;
use crate::ui::text::plain;
use crate::ui::{BAD, FAINT, GOOD, HINT, STRONG, doctor};

/// No more causes than this are mended in one go.
const MOST: usize = 5;
/// The probe that looks at the place for the backup.
const DESTINATION: &str = "P23";
/// How long somebody may take to unlock the device or to tap Trust, and a device to start.
const PATIENCE: Duration = Duration::from_mins(3);

/// What was done about a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fixed {
    /// The cause.
    finding: String,
    /// The remedy.
    remedy: String,
    /// What the program did.
    action: Action,
    /// Whether it could do that.
    done: bool,
    /// What came of it, in words.
    message: String,
    /// Whether the cause is gone; nothing where it was not done, or where only the remedy after it can tell.
    gone: Option<bool>,
}

impl Fixed {
    fn as_tried(&self) -> Tried<'_> {
        let failed = (!self.done).then_some(self.message.as_str());
        Tried { action: self.action, failed }
    }
}

/// What `--fix` came to.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// What was done.
    pub(super) fixed: Vec<Fixed>,
    /// What would have been done, with consent that nobody gave.
    pub(super) refused: Vec<Action>,
}

/// Mends one cause after the other, as long as something can be done.
pub(super) async fn run(
    examiner: &mut Examiner<'_>,
    args: &DoctorArgs,
    findings: &mut Findings,
) -> Result<Mended, Failure> {
    let app = examiner.app;
    let mut mended = Mended::default();
    for _ in 0..MOST {
        let next = findings.report().primary.filter(|told| {
            told.finding.severity > Severity::Note
                && !mended.fixed.iter().any(|done| done.finding == told.finding.id)
        });
        let Some(told) = next else { break };
        let before = mended.fixed.len();
        let gone = one(examiner, args, findings, &told, &mut mended).await?;
        if !gone || mended.fixed.len() == before {
            break;
        }
    }
    let healthy =
        findings.report().primary.is_none_or(|told| told.finding.severity == Severity::Note);
    match (mended.fixed.is_empty(), mended.refused.is_empty()) {
        (true, true) if healthy => app.ui.say("nothing to fix"),
        (true, true) => {
            app.ui.say("nothing here that the program can do: the next step is yours");
        }
        (true, false) => app.ui.say("nothing was done: the next step is yours"),
        (false, _) if !app.ui.json => {
            app.ui.line("")?;
            let tried = mended.fixed.iter().map(Fixed::as_tried).collect::<Vec<_>>();
            app.ui.text(doctor::words_after(&findings.report(), app.ui, &tried))?;
        }
        (false, _) => {}
    }
    Ok(mended)
}

/// Tries what the program can do about a cause, one remedy after the other, until the cause is gone.
async fn one(
    examiner: &mut Examiner<'_>,
    args: &DoctorArgs,
    findings: &mut Findings,
    told: &Told,
    mended: &mut Mended,
) -> Result<bool, Failure> {
    let app = examiner.app;
    for (at, remedy) in told.remedies.iter().enumerate() {
        let Some(action) = remedy.action else { continue };
        if is_spent(&mended.fixed, action) || mended.refused.contains(&action) {
            continue;
        }
        if !may(app, args, told, remedy, action, mended).await? {
            continue;
        }
        app.ui.say(format!(
            "{STRONG}{}{STRONG:#} {FAINT}({action}){FAINT:#}",
            action.about_for(args.concern.into()).trim()
        ));
        let tried = act(examiner, args, action, findings, told).await?;
        let (done, message) = match tried {
            Ok(message) => (true, message),
            Err(failure) => (false, failure),
        };
        let style = if done { GOOD } else { BAD };
        app.ui.say(format!(
            "  {style}{}{style:#} {}",
            if done { "done:" } else { "not done:" },
            plain(&message)
        ));
        let further = told.remedies.get(at + 1..).unwrap_or_default();
        let gone = if done {
            measure(examiner, findings, told, (remedy, action), further).await?
        } else {
            None
        };
        mended.fixed.push(Fixed {
            finding: told.finding.id.clone(),
            remedy: remedy.id.clone(),
            action,
            done,
            message,
            gone,
        });
        if gone == Some(true) {
            return Ok(true);
        }
        if app.cancel.is_cancelled() {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Looks again, and says whether the cause is gone. What a run told about a backup, only another run can take back: where no later
/// remedy makes one, it is made here.
async fn measure(
    examiner: &Examiner<'_>,
    findings: &mut Findings,
    told: &Told,
    (remedy, action): (&Remedy, Action),
    further: &[Remedy],
) -> Result<Option<bool>, Failure> {
    let app = examiner.app;
    examiner.look_again(findings, &rechecked(remedy, action)).await?;
    if is_there(findings, told) && !is_run(action) && told_by_a_run(told) {
        if further.iter().any(|next| next.action.is_some_and(is_run)) {
            app.ui.say(format!("  {FAINT}whether it helped, the next backup tells{FAINT:#}"));
            return Ok(None);
        }
        app.ui.say(format!("  {FAINT}whether it helped, a backup tells; it is made now{FAINT:#}"));
        if action == Action::RestartDevice {
            // Before its first unlock a device can be backed up by nobody; where nobody unlocks it, the backup says so.
            let ctx = if app.ui.json { app.silent_context() } else { app.context().0 };
            let _unlocked = mend::wait_for_unlock(&ctx, &mend_plan(examiner)).await;
        }
        if let Err(error) = back_up(examiner, false).await {
            app.ui.say(format!("  {BAD}the backup failed:{BAD:#} {}", plain(&error.to_string())));
        }
        examiner.look_again(findings, &[]).await?;
    }
    let there = is_there(findings, told);
    app.ui.say(if there {
        format!("  {BAD}still there:{BAD:#} {}", told.title)
    } else {
        format!("  {GOOD}gone:{GOOD:#} {}", told.title)
    });
    Ok(Some(!there))
}

/// Whether an action has done in this run what it can do: two causes may name the same. A backup is made again where something was
/// mended since, for it tells whether that helped.
fn is_spent(fixed: &[Fixed], action: Action) -> bool {
    let last = fixed.iter().rposition(|done| done.action == action);
    last.is_some_and(|at| !is_run(action) || at + 1 == fixed.len())
}

fn is_there(findings: &Findings, told: &Told) -> bool {
    findings.report().findings.iter().any(|found| found.id == told.finding.id)
}

/// Whether an action makes a backup.
fn is_run(action: Action) -> bool {
    matches!(action, Action::RetryBackup | Action::FullBackup | Action::HoldOffSleep)
}

/// Whether all that speaks for a cause was told by a run, and nothing of it can be looked at.
fn told_by_a_run(told: &Told) -> bool {
    let evidence = &told.finding.evidence;
    !evidence.is_empty() && evidence.iter().all(|seen| seen.key.as_str().starts_with("job."))
}

/// The probes that tell whether it helped. What a new run tells is behind many causes: then everything is looked at.
fn rechecked(remedy: &Remedy, action: Action) -> Vec<String> {
    if is_run(action) { Vec::new() } else { remedy.recheck.clone() }
}

/// Asks before something is changed; what needs no consent is simply done.
async fn may(
    app: &App,
    args: &DoctorArgs,
    told: &Told,
    remedy: &Remedy,
    action: Action,
    mended: &mut Mended,
) -> Result<bool, Failure> {
    if !remedy.consent || args.yes {
        return Ok(true);
    }
    if !app.ui.can_ask {
        app.ui.note(format!(
            "not done without your consent: {} `--yes` gives it where there is no terminal",
            action.about_for(args.concern.into()).trim()
        ));
        mended.refused.push(action);
        return Ok(false);
    }
    app.ui.ask(format!("{STRONG}{}{STRONG:#}\n", told.title))?;
    app.ui.ask(format!(
        "{HINT}{}{HINT:#} Do it? [y/N] ",
        action.about_for(args.concern.into()).trim()
    ))?;
    let agreed = match typed(app).await? {
        Typed::Line(line) => matches!(line.to_lowercase().as_str(), "y" | "yes"),
        Typed::End | Typed::Stopped => false,
    };
    if !agreed {
        mended.refused.push(action);
    }
    Ok(agreed)
}

fn mend_plan(examiner: &Examiner<'_>) -> MendPlan {
    let doctor = &examiner.plan.settings;
    let time_servers =
        if doctor.offline { Vec::new() } else { doctor.outside.time_servers.clone() };
    MendPlan {
        places: examiner.plan.places.clone(),
        mux: examiner.plan.mux.clone(),
        udid: examiner.plan.udid.clone(),
        patience: PATIENCE,
        time_servers,
    }
}

/// Does it; both what was done and why not are words.
async fn act(
    examiner: &mut Examiner<'_>,
    args: &DoctorArgs,
    action: Action,
    findings: &mut Findings,
    told: &Told,
) -> Result<Result<String, String>, Failure> {
    if action == Action::ChooseDestination {
        return destination(examiner, args.destination.as_deref(), findings, told).await;
    }
    let (app, plan) = (examiner.app, mend_plan(examiner));
    let (ctx, progress) = if app.ui.json {
        (app.silent_context(), None)
    } else {
        let (ctx, shown) = app.context();
        (ctx, Some(shown))
    };
    let done = match action {
        Action::RestartDevice => mend::restart_device(&ctx, &plan).await,
        Action::StartUsbmuxd => mend::start_usbmuxd(&ctx, &plan, false).await,
        Action::RestartUsbmuxd => mend::start_usbmuxd(&ctx, &plan, true).await,
        Action::PairAgain => mend::pair_again(&ctx, &plan).await,
        Action::ForgetPairing => mend::forget_pairing(&ctx, &plan).await,
        Action::WaitForUnlock => mend::wait_for_unlock(&ctx, &plan).await,
        Action::SetWifiSync => mend::set_wifi_sync(&plan).await,
        Action::IcloudBackupOn => mend::switch_icloud_backup_on(&plan).await,
        Action::SetDeviceClock => mend::set_device_clock(&ctx, &plan).await,
        Action::SetAsideBackup => mend::set_aside_backup(&ctx, &plan).await,
        Action::RetryBackup | Action::HoldOffSleep => back_up(examiner, false).await,
        Action::FullBackup => back_up(examiner, true).await,
        Action::ChooseDestination => Ok(String::new()),
        Action::SetBackupPassword | Action::TryBackupPassword | Action::CleanBackupPassword => {
            let done = password::act(examiner, &ctx, &plan, action).await;
            if let Some(progress) = progress {
                progress.finish();
            }
            return Ok(done);
        }
    };
    if let Some(progress) = progress {
        progress.finish();
    }
    if let Err(error) = &done {
        learn(findings, action, error.cause);
    }
    Ok(done.map_err(|error| said(&error)))
}

/// Returns what an action says that could not be done, with what to do; not where that is the very command that runs.
fn said(error: &JobError) -> String {
    match error.next_step() {
        step if step.contains("doctor --fix") => error.to_string(),
        step => format!("{error}; {step}"),
    }
}

/// A device that refuses because management forbids it has said so: that is measured, too.
fn learn(findings: &mut Findings, action: Action, cause: Cause) {
    if action == Action::IcloudBackupOn && cause == Cause::Forbidden {
        findings.facts.tell("management.cloud-backup", "forbidden");
    }
}

/// Makes a backup now; this computer is kept awake meanwhile.
async fn back_up(examiner: &Examiner<'_>, full: bool) -> Result<String, JobError> {
    let summary = backup::by_doctor(examiner.app, &examiner.settings, full).await?;
    let snapshot = summary.snapshot.unwrap_or_default();
    match summary.outcome {
        lifeboat_engine::Outcome::Done => Ok(format!("snapshot {snapshot}")),
        _ => Err(JobError::new(
            summary.cause.unwrap_or(Cause::Unknown),
            summary.message.unwrap_or_else(|| "the backup is not whole".to_owned()),
        )),
    }
}

/// Takes another place for the backups, tries it, and writes it into the configuration file; the working area goes along where it
/// is in the way, too.
async fn destination(
    examiner: &mut Examiner<'_>,
    given: Option<&Utf8Path>,
    findings: &mut Findings,
    told: &Told,
) -> Result<Result<String, String>, Failure> {
    let app = examiner.app;
    let place = match given {
        Some(place) => place.to_owned(),
        None if app.ui.can_ask => {
            app.ui.ask(format!("{HINT}which folder shall hold the backups?{HINT:#} "))?;
            match typed(app).await? {
                Typed::Line(line) if !line.is_empty() => Utf8PathBuf::from(line),
                _ => return Ok(Err("no folder was named".to_owned())),
            }
        }
        None => return Ok(Err("name the other place with `--destination DIR`".to_owned())),
    };
    let place = match camino::absolute_utf8(&place) {
        Ok(place) => place,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let trial = app.host.try_folder(&place);
    if trial.state != FolderState::Writable {
        let why = trial.said.unwrap_or_else(|| "nothing can be written there".to_owned());
        return Ok(Err(format!("{place}: {why}")));
    }
    if let Err(why) = examiner.move_to("repository", &place) {
        return Ok(Err(why));
    }
    let mut said = format!("backups go to {place} from now on ({})", examiner.settings.config);
    examiner.look_again(findings, &[DESTINATION.to_owned()]).await?;
    if is_there(findings, told) {
        // What comes in lies there first; beside the repository, for nothing else may be in it.
        let area = Utf8PathBuf::from(format!("{place}-working-area"));
        if examiner.move_to("working-area", &area).is_ok() {
            said = format!("{said}, and what comes in lies in {area} meanwhile");
        }
    }
    Ok(Ok(format!(
        "{said}; what was stored before stays where it is. `lifeboat repo init` makes the repository there"
    )))
}

impl Examiner<'_> {
    /// Names another place in the configuration file, and takes it from there.
    fn move_to(&mut self, key: &str, place: &Utf8Path) -> Result<(), String> {
        let config = self.settings.config.clone();
        let before = fs_err::read_to_string(&config).ok();
        let after = with_place(before.as_deref().unwrap_or_default(), key, place);
        let folder = config.parent().map_or(Ok(()), create_private_folder);
        folder
            .and_then(|()| write_private_file(&config, after.as_bytes()))
            .map_err(|error| error.to_string())?;
        let moved = self.read_settings().map_err(|failure| failure.to_string());
        let taken = match key {
            "repository" => self.plan.places.repository == place,
            _ => self.plan.places.working_area == place,
        };
        if moved.is_ok() && taken {
            return Ok(());
        }
        // A flag or a variable weighs more than the file: then the file stays as it was.
        let restored = match before {
            Some(before) => write_private_file(&config, before.as_bytes()),
            None => fs_err::remove_file(&config),
        };
        restored.map_err(|error| error.to_string())?;
        moved?;
        Err("a flag or a variable (`--repo`, `LIFEBOAT_REPO`) names the place: change it there"
            .to_owned())
    }
}

/// Sets a place at the top of a configuration file and leaves all else as it is.
fn with_place(before: &str, key: &str, place: &Utf8Path) -> String {
    let mut after = format!("{key} = {}\n", toml::Value::String(place.to_string()));
    let mut at_top = true;
    for old in before.split_inclusive('\n') {
        at_top &= !old.trim_start().starts_with('[');
        let there = old.split('=').next().unwrap_or_default().trim();
        if !(at_top && there == key) {
            after.push_str(old);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_runs_once_and_a_backup_again_where_something_was_mended_since() {
        let fixed = |action: Action| Fixed {
            finding: "icloud/switched-off".to_owned(),
            remedy: "switch-on".to_owned(),
            action,
            done: true,
            message: String::new(),
            gone: Some(true),
        };
        let (on, retry) = (Action::IcloudBackupOn, Action::RetryBackup);
        assert!(!is_spent(&[], on));
        assert!(is_spent(&[fixed(on)], on) && !is_spent(&[fixed(on)], retry));
        assert!(is_spent(&[fixed(on), fixed(retry)], on));
        assert!(is_spent(&[fixed(on), fixed(retry)], retry));
        assert!(!is_spent(&[fixed(retry), fixed(on)], retry));
        let failed = Fixed { done: false, gone: None, ..fixed(on) };
        assert!(is_spent(&[failed], on));
    }

    #[test]
    fn only_the_place_changes() {
        let place = Utf8Path::new("/srv/other \"disk\"");
        for before in [
            "",
            "udid = \"x\"\nrepository = \"/old\"\n[doctor]\noffline = true\n",
            "repository=\"/old\"\nudid = \"x\"\n",
        ] {
            let after: toml::Table = with_place(before, "repository", place).parse().unwrap();
            assert_eq!(after["repository"].as_str(), Some(place.as_str()), "{before}");
            let mut wanted: toml::Table = before.parse().unwrap();
            wanted.insert("repository".into(), place.as_str().into());
            assert_eq!(after, wanted);
        }
    }
}
