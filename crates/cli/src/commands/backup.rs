//! `backup`: one device, or all that can be reached.

use std::time::Duration;

use clap::Args;
use lifeboat_doctor::report::UNKNOWN;
use lifeboat_doctor::{Catalogue, Certainty};
use lifeboat_engine::jobs::backup::{self, BackupPlan, BackupSummary, Kind};
use lifeboat_engine::jobs::devices::{self, Trust};
use lifeboat_engine::jobs::status::{self, DeviceStatus};
use lifeboat_engine::{Cause, JobError, Note, Outcome};
use lifeboat_host::{Awake, Command, stay_awake};
use serde::Serialize;

use super::Ended;
use super::repo::show_sheet_once;
use super::snapshots::short;
use crate::app::App;
use crate::exit::{Exit, worse};
use crate::settings::Settings;
use crate::ui::error::{Failure, Found};
use crate::ui::text::{
    bytes, device as named, parse_duration, plain, plain_lines, seconds, things, word,
};
use crate::ui::{GOOD, STRONG};

/// Flags of `backup`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat backup\n  lifeboat backup --wait 10m\n  lifeboat backup --json --quiet\n  \
    lifeboat backup --all --if-older-than 20h --notify-command 'notify-send \"$LIFEBOAT_MESSAGE\"'"
)]
pub(crate) struct BackupArgs {
    /// Let the device send everything again; snapshots made before stay as they are
    #[arg(long)]
    full: bool,
    /// How long to wait for a person in all: until the device is there, trusted and unlocked, and its passcode entered; without
    /// it only the passcode is waited for, as long as the device asks
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Back up all devices that can be reached, one after the other
    #[arg(long, conflicts_with = "udid")]
    all: bool,
    /// Leave out devices whose last complete backup is younger
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "all")]
    if_older_than: Option<Duration>,
    /// Run this in a shell after each device; `LIFEBOAT_OUTCOME`, `_UDID`, `_DEVICE`, `_CAUSE` and `_MESSAGE` tell what came of it
    #[arg(long, value_name = "COMMAND", requires = "all")]
    notify_command: Option<String>,
}

/// Backs up.
pub(crate) async fn run(app: &App, args: BackupArgs) -> Ended {
    let settings = app.settings()?;
    if args.all {
        return all(app, &settings, &args).await;
    }
    let summary = one(app, &settings, &args, settings.udid.clone()).await?;
    told(app, &settings, &summary).await?;
    Ok(exit(&summary))
}

async fn one(
    app: &App,
    settings: &Settings,
    args: &BackupArgs,
    udid: Option<String>,
) -> Result<BackupSummary, Failure> {
    let plan = plan(app, settings, args, udid)?;
    let (ctx, progress) = app.context();
    let _awake = awake();
    let summary = backup::run(&ctx, plan).await;
    progress.finish();
    let summary = summary?;
    if app.ui.json {
        name_snapshot(app, &summary);
    }
    Ok(summary)
}

/// Keeps this computer awake as long as the result lives; a computer that cannot be kept awake backs up all the same.
fn awake() -> Option<Awake> {
    match stay_awake() {
        Ok(awake) => awake,
        Err(error) => {
            tracing::info!(%error, "this computer is not kept awake");
            None
        }
    }
}

/// Backs up because the doctor says that it helps; tells programs nothing, for the doctor's report is one object.
pub(super) async fn by_doctor(
    app: &App,
    settings: &Settings,
    full: bool,
) -> Result<BackupSummary, JobError> {
    let places = app
        .places(settings)
        .map_err(|failure| JobError::new(Cause::NoPassword, failure.to_string()))?;
    let plan = BackupPlan {
        places,
        mux: settings.mux.clone(),
        udid: settings.udid.clone(),
        full,
        wait: None,
    };
    let _awake = awake();
    if app.ui.json {
        return backup::run(&app.silent_context(), plan).await;
    }
    let (ctx, progress) = app.context();
    let summary = backup::run(&ctx, plan).await;
    progress.finish();
    summary
}

fn plan(
    app: &App,
    settings: &Settings,
    args: &BackupArgs,
    udid: Option<String>,
) -> Result<BackupPlan, Failure> {
    Ok(BackupPlan {
        places: app.places(settings)?,
        mux: settings.mux.clone(),
        udid,
        full: args.full,
        wait: args.wait,
    })
}

fn exit(summary: &BackupSummary) -> Exit {
    match summary.outcome {
        Outcome::Done => Exit::Done,
        Outcome::Incomplete => Exit::Incomplete,
        Outcome::Postponed => Exit::Postponed,
        Outcome::Interrupted => Exit::Interrupted,
        Outcome::Failed => summary.cause.map_or(Exit::Failed, Cause::exit),
    }
}

/// Whether a note was told while the backup ran: files that are not whole, a password that nobody knows, and what was foreseen, which has the name of a cause.
fn was_told(note: &Note) -> bool {
    ["file-not-sent", "file-not-whole", "backup-password-unknown"].contains(&note.id.as_str())
        || Catalogue::builtin().get(&note.id).is_some()
}

/// Names the snapshot on standard error where the output that should have named it is lost.
fn name_snapshot(app: &App, summary: &BackupSummary) {
    if let (Some(_), Some(snapshot)) = (app.ui.lost(), &summary.snapshot) {
        app.ui.complain(format!("the backup is made: snapshot {snapshot}"));
    }
}

/// Prints what came of a backup; with `--json` its event has told it already.
async fn told(app: &App, settings: &Settings, summary: &BackupSummary) -> Result<(), Failure> {
    if app.ui.json {
        return Ok(());
    }
    if let Err(lost) = app.ui.text(words(summary)).and_then(|()| app.ui.flush()) {
        name_snapshot(app, summary);
        return Err(lost.into());
    }
    for note in summary.notes.iter().filter(|note| !was_told(note)) {
        app.ui.note(plain(&note.message));
    }
    if summary.recovery_sheet.is_some() {
        show_sheet_once(app, settings).await?;
    }
    Ok(())
}

/// Returns what came of a backup, in words.
pub(crate) fn words(summary: &BackupSummary) -> String {
    use std::fmt::Write as _;
    let kind = match summary.kind {
        Some(Kind::Incremental) => "incremental",
        Some(Kind::Full) | None => "full",
    };
    let mut out = String::new();
    let head = match summary.outcome {
        Outcome::Done => format!("{GOOD}backed up{GOOD:#}"),
        _ => format!("{STRONG}backed up, but not all of it{STRONG:#}"),
    };
    let again = if summary.resumed { ", with what the last run had kept" } else { "" };
    let _ = writeln!(
        out,
        "{head} {}: {kind}, {}{again}",
        plain(named(Some(&summary.device_name), &summary.udid)),
        seconds(summary.seconds)
    );
    let _ = writeln!(
        out,
        "  received  {}, {}",
        things(summary.files_received, "file"),
        bytes(summary.bytes_received)
    );
    let _ = writeln!(out, "  added     {} to the repository", bytes(summary.bytes_added));
    if let Some(snapshot) = &summary.snapshot {
        let _ = writeln!(
            out,
            "  snapshot  {} with {}, {}",
            short(snapshot),
            things(summary.files_total, "file"),
            bytes(summary.bytes_total)
        );
    }
    if summary.file_errors > 0 {
        let _ = writeln!(
            out,
            "  missing   {} that the device could not send",
            things(summary.file_errors, "file")
        );
    }
    if let Some(message) = summary.message.as_ref().filter(|_| summary.outcome != Outcome::Done) {
        let _ = writeln!(out, "  because   {}", plain(message));
    }
    if let Some(found) = summary
        .finding_title
        .as_ref()
        .filter(|_| summary.finding.as_deref().is_some_and(|id| id != UNKNOWN))
    {
        let label = Found::label(summary.certainty == Some(Certainty::Confirmed));
        let _ = writeln!(out, "  {label:<9} {}", plain(found));
    }
    if let Some(next) = summary.next_step.as_ref().filter(|_| summary.outcome != Outcome::Done) {
        let _ = writeln!(out, "  next      {}", plain_lines(next, "\n            "));
    }
    out
}

/// A device that was left out, for programs: with all the fields that scripts rely on.
#[derive(Debug, Serialize)]
struct Skipped<'a> {
    event: &'static str,
    outcome: &'static str,
    cause: &'static str,
    udid: &'a str,
    device_name: &'a str,
    message: String,
    /// The last complete one, where there is one.
    snapshot: Option<&'a str>,
    kind: Option<&'static str>,
    files_received: u64,
    bytes_received: u64,
    bytes_added: u64,
    files_total: u64,
    bytes_total: u64,
    seconds: f64,
    resumed: bool,
}

/// Tells that a device is left out, and why.
fn skip(
    app: &App,
    (udid, name): (&str, &str),
    cause: &'static str,
    snapshot: Option<&str>,
    message: String,
) -> Result<(), Failure> {
    if !app.ui.json {
        app.ui.line(message)?;
        return Ok(());
    }
    app.ui.object(&Skipped {
        event: "summary",
        outcome: "skipped",
        cause,
        udid,
        device_name: name,
        message,
        snapshot,
        kind: None,
        files_received: 0,
        bytes_received: 0,
        bytes_added: 0,
        files_total: 0,
        bytes_total: 0,
        seconds: 0.0,
        resumed: false,
    })?;
    Ok(())
}

/// What one device of several came to.
struct Ending<'a> {
    udid: &'a str,
    device: &'a str,
    outcome: &'static str,
    cause: &'a str,
    message: String,
}

async fn all(app: &App, settings: &Settings, args: &BackupArgs) -> Ended {
    let devices = devices::run(&app.silent_context(), &settings.mux).await?;
    if devices.is_empty() {
        return Err(JobError::new(Cause::NoDevice, format!("no device at {}", settings.mux)).into());
    }
    let fresh = match args.if_older_than {
        Some(age) => fresh(app, settings, age).await?,
        None => Vec::new(),
    };
    let mut total = Exit::Done;
    for device in devices {
        if app.cancel.is_cancelled() {
            return Ok(Exit::Interrupted);
        }
        let name = named(device.name.as_deref(), &device.udid).to_owned();
        if let Some(last) = fresh.iter().find(|last| last.udid == device.udid) {
            let message = format!("not due: {}, backed up {} ago", plain(&name), age(last));
            skip(app, (&device.udid, &name), "not-due", last.snapshot.as_deref(), message)?;
            continue;
        }
        if device.trust == Trust::NotTrusted {
            // Not ours to back up until somebody pairs it: a guest's phone on the charger is no failure.
            let message = format!(
                "skipped: {} does not trust this computer (`lifeboat pair -u {}`)",
                plain(&name),
                word(&device.udid)
            );
            skip(app, (&device.udid, &name), "not-trusted", None, message)?;
            continue;
        }
        let (ended, ending) = match one(app, settings, args, Some(device.udid.clone())).await {
            Ok(summary) => {
                told(app, settings, &summary).await?;
                let exit = exit(&summary);
                let message =
                    summary.message.clone().unwrap_or_else(|| format!("{name} is backed up"));
                (
                    exit,
                    (
                        crate::exit::outcome(exit),
                        summary.cause.map_or("", Cause::id).to_owned(),
                        message,
                    ),
                )
            }
            Err(failure) => {
                failure.tell(app.ui);
                let outcome = crate::exit::outcome(failure.exit);
                (failure.exit, (outcome, failure.cause.clone(), format!("{name}: {failure}")))
            }
        };
        total = worse(total, ended);
        if let Some(command) = &args.notify_command {
            let (outcome, cause, message) = ending;
            notify(
                app,
                command,
                &Ending { udid: &device.udid, device: &name, outcome, cause: &cause, message },
            )
            .await;
        }
    }
    Ok(total)
}

/// Says how long ago the last complete backup of a device was.
#[expect(clippy::cast_precision_loss, reason = "an age that a person reads")]
fn age(last: &DeviceStatus) -> String {
    seconds(last.age_seconds.unwrap_or_default() as f64)
}

/// Returns the devices whose last complete backup is younger than `age`.
async fn fresh(
    app: &App,
    settings: &Settings,
    age: Duration,
) -> Result<Vec<DeviceStatus>, Failure> {
    match status::run(&app.silent_context(), app.places(settings)?, None, Some(age)).await {
        Ok(found) => Ok(found.devices.into_iter().filter(|device| !device.stale).collect()),
        // Nothing was ever backed up: nothing is fresh.
        Err(error) if error.cause == Cause::RepositoryMissing && settings.repository_is_default => {
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

async fn notify(app: &App, command: &str, ending: &Ending<'_>) {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("/bin/sh", "-c") };
    let command = Command::new(shell)
        .argument(flag)
        .argument(command)
        .variable("LIFEBOAT_OUTCOME", ending.outcome)
        .variable("LIFEBOAT_UDID", ending.udid)
        .variable("LIFEBOAT_DEVICE", ending.device)
        .variable("LIFEBOAT_CAUSE", ending.cause)
        .variable("LIFEBOAT_MESSAGE", ending.message.as_str());
    let host = std::sync::Arc::clone(&app.host);
    let ran = tokio::task::spawn_blocking(move || host.run(&command)).await;
    match ran {
        Ok(Ok(output)) if output.status == Some(0) => {}
        Ok(Ok(output)) => app.ui.complain(format!(
            "the notify command ended with {}",
            output.status.map_or_else(|| "a signal".to_owned(), |status| status.to_string())
        )),
        Ok(Err(error)) => app.ui.complain(format!("the notify command failed: {error}")),
        Err(error) => app.ui.complain(format!("the notify command failed: {error}")),
    }
}
