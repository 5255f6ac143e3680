//! `--fix`: does what the program can do about the primary cause, asks before it changes something, and looks whether it helped.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_doctor::{Action, Remedy, Severity, Told};
use lifeboat_engine::jobs::mend::{self, MendPlan};
use lifeboat_engine::{Cause, Findings, JobError};
use lifeboat_host::secret::write_private_file;
use lifeboat_host::trial::FolderState;
use serde::Serialize;

use super::{DoctorArgs, Examiner};
use crate::app::App;
use crate::commands::backup;
use crate::ui::error::Failure;
use crate::ui::{BAD, FAINT, GOOD, HINT, STRONG, doctor};

/// No more causes than this are mended in one go.
const MOST: usize = 5;
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
    /// Whether the cause is gone; nothing where it was not done.
    gone: Option<bool>,
}

/// Mends one cause after the other, as long as something can be done.
pub(super) async fn run(
    examiner: &Examiner<'_>,
    args: &DoctorArgs,
    findings: &mut Findings,
) -> Result<Vec<Fixed>, Failure> {
    let app = examiner.app;
    let mut fixed: Vec<Fixed> = Vec::new();
    for _ in 0..MOST {
        let next = findings.report().primary.filter(|told| {
            told.finding.severity > Severity::Note
                && !fixed.iter().any(|done| done.finding == told.finding.id)
        });
        let Some(told) = next else { break };
        let before = fixed.len();
        let gone = one(examiner, args, findings, &told, &mut fixed).await?;
        if !gone || fixed.len() == before {
            break;
        }
    }
    if fixed.is_empty() {
        let nothing =
            findings.report().primary.is_none_or(|told| told.finding.severity == Severity::Note);
        app.ui.say(if nothing {
            "nothing to fix"
        } else {
            "nothing here that the program can do: the next step is yours"
        });
    } else if !app.ui.json {
        app.ui.line("")?;
        app.ui.text(doctor::words(&findings.report()))?;
    }
    Ok(fixed)
}

/// Tries what the program can do about a cause, one remedy after the other, until the cause is gone.
async fn one(
    examiner: &Examiner<'_>,
    args: &DoctorArgs,
    findings: &mut Findings,
    told: &Told,
    fixed: &mut Vec<Fixed>,
) -> Result<bool, Failure> {
    let app = examiner.app;
    for remedy in &told.remedies {
        let Some(action) = remedy.action else { continue };
        if !may(app, args, told, remedy, action)? {
            continue;
        }
        app.ui
            .say(format!("{STRONG}{}{STRONG:#} {FAINT}({action}){FAINT:#}", action.about().trim()));
        let tried = act(examiner, args, action).await;
        let (done, message) = match tried {
            Ok(message) => (true, message),
            Err(failure) => (false, failure),
        };
        let style = if done { GOOD } else { BAD };
        app.ui.say(format!(
            "  {style}{}{style:#} {message}",
            if done { "done:" } else { "not done:" }
        ));
        let mut gone = None;
        if done {
            examiner.look_again(findings, &rechecked(remedy, action)).await?;
            let there = findings.report().findings.iter().any(|found| found.id == told.finding.id);
            app.ui.say(if there {
                format!("  {BAD}still there:{BAD:#} {}", told.title)
            } else {
                format!("  {GOOD}gone:{GOOD:#} {}", told.title)
            });
            gone = Some(!there);
        }
        fixed.push(Fixed {
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

/// The probes that tell whether it helped. What a new run tells is behind many causes: then everything is looked at.
fn rechecked(remedy: &Remedy, action: Action) -> Vec<String> {
    match action {
        Action::RetryBackup | Action::FullBackup | Action::HoldOffSleep => Vec::new(),
        _ => remedy.recheck.clone(),
    }
}

/// Asks before something is changed; what needs no consent is simply done.
fn may(
    app: &App,
    args: &DoctorArgs,
    told: &Told,
    remedy: &Remedy,
    action: Action,
) -> Result<bool, Failure> {
    if !remedy.consent || args.yes {
        return Ok(true);
    }
    if !app.ui.can_ask {
        app.ui.note(format!(
            "{action} needs your consent: `--yes` gives it where there is no terminal"
        ));
        return Ok(false);
    }
    let asked = || -> std::io::Result<bool> {
        let mut out = anstream::stderr().lock();
        writeln!(out, "{STRONG}{}{STRONG:#}", told.title)?;
        write!(out, "{HINT}{}{HINT:#} Do it? [y/N] ", action.about().trim())?;
        out.flush()?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
    };
    Ok(asked().map_err(anyhow::Error::from)?)
}

/// Does it; both what was done and why not are words.
async fn act(examiner: &Examiner<'_>, args: &DoctorArgs, action: Action) -> Result<String, String> {
    let app = examiner.app;
    let plan = MendPlan {
        places: examiner.plan.places.clone(),
        mux: examiner.plan.mux.clone(),
        udid: examiner.plan.udid.clone(),
        patience: PATIENCE,
    };
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
        Action::ChooseDestination => return destination(examiner, args.destination.as_deref()),
    };
    if let Some(progress) = progress {
        progress.finish();
    }
    done.map_err(|error| format!("{error}; {}", error.next_step()))
}

/// Makes a backup now; this computer is kept awake meanwhile.
async fn back_up(examiner: &Examiner<'_>, full: bool) -> Result<String, JobError> {
    let summary = backup::by_doctor(examiner.app, examiner.settings, full).await?;
    let snapshot = summary.snapshot.unwrap_or_default();
    match summary.outcome {
        lifeboat_engine::Outcome::Done => Ok(format!("snapshot {snapshot}")),
        _ => Err(JobError::new(
            summary.cause.unwrap_or(Cause::Unknown),
            summary.message.unwrap_or_else(|| "the backup is not whole".to_owned()),
        )),
    }
}

/// Takes another place for the backups, tries it, and writes it into the configuration file.
fn destination(examiner: &Examiner<'_>, given: Option<&Utf8Path>) -> Result<String, String> {
    let app = examiner.app;
    let place = match given {
        Some(place) => place.to_owned(),
        None if app.ui.can_ask => asked().map_err(|error| error.to_string())?,
        None => return Err("name the other place with `--destination DIR`".to_owned()),
    };
    let place = camino::absolute_utf8(&place).map_err(|error| error.to_string())?;
    let trial = app.host.try_folder(&place);
    if trial.state != FolderState::Writable {
        let why = trial.said.unwrap_or_else(|| "nothing can be written there".to_owned());
        return Err(format!("{place}: {why}"));
    }
    let config = &examiner.settings.config;
    let before = fs_err::read_to_string(config).unwrap_or_default();
    let after = with_repository(&before, &place);
    let written = config
        .parent()
        .map_or(Ok(()), lifeboat_host::secret::create_private_folder)
        .and_then(|()| write_private_file(config, after.as_bytes()));
    written.map_err(|error| error.to_string())?;
    Ok(format!(
        "backups go to {place} from now on ({config}); what was stored before stays where it is. `lifeboat repo init` makes the repository there"
    ))
}

fn asked() -> std::io::Result<Utf8PathBuf> {
    let mut out = anstream::stderr().lock();
    write!(out, "{HINT}which folder shall hold the backups?{HINT:#} ")?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(Utf8PathBuf::from(line.trim()))
}

/// Sets `repository` at the top of a configuration file and leaves all else as it is.
fn with_repository(before: &str, place: &Utf8Path) -> String {
    let line = format!("repository = {}\n", toml::Value::String(place.to_string()));
    let mut after = line;
    let mut at_top = true;
    for old in before.split_inclusive('\n') {
        at_top &= !old.trim_start().starts_with('[');
        let key = old.split('=').next().unwrap_or_default().trim();
        if !(at_top && key == "repository") {
            after.push_str(old);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_of_the_repository_changes() {
        let place = Utf8Path::new("/srv/other \"disk\"");
        for before in [
            "",
            "udid = \"x\"\nrepository = \"/old\"\n[doctor]\noffline = true\n",
            "repository=\"/old\"\nudid = \"x\"\n",
        ] {
            let after: toml::Table = with_repository(before, place).parse().unwrap();
            assert_eq!(after["repository"].as_str(), Some(place.as_str()), "{before}");
            let mut wanted: toml::Table = before.parse().unwrap();
            wanted.insert("repository".into(), place.as_str().into());
            assert_eq!(after, wanted);
        }
    }
}
