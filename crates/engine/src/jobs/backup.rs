//! Backs up one device: discover, link, prepare, transfer, verify, snapshot.

pub(crate) mod choice;
mod damage;
mod doctor;
pub(crate) mod finish;
mod patience;
pub(crate) mod prepare;
pub(crate) mod transfer;

use std::sync::Arc;

use lifeboat_device::mobilebackup2::BackupRequest;
use lifeboat_doctor::Certainty;
use serde::Serialize;

use crate::error::{At as _, Cause, ExitClass, JobError};
use crate::event::{Diagnosed, Event, Note};
use crate::examine::Recorder;
use crate::job::{Context, Outcome, Places, seconds_since};
use crate::jobs::open::OpenedSnapshot;
use crate::link::{left, reach};
use crate::mux::Mux;
use crate::stage::Stage;

/// What to back up, and how.
#[derive(Debug, Clone)]
pub struct BackupPlan {
    /// Where things lie.
    pub places: Places,
    /// Where the devices are.
    pub mux: Mux,
    /// Which device; `None` when there is only one.
    pub udid: Option<String>,
    /// Start over: the device sees an empty folder. Snapshots made before stay.
    pub full: bool,
    /// How long to wait for a person in all: until the device is there, trusted and unlocked, and its passcode entered. Without
    /// it nothing is waited for but the passcode, as long as the device asks for it.
    pub wait: Option<std::time::Duration>,
}

/// What a backup did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackupSummary {
    /// How it ended.
    pub outcome: Outcome,
    /// The snapshot that was written.
    pub snapshot: Option<String>,
    /// The device.
    pub udid: String,
    /// The device's name.
    pub device_name: String,
    /// `full` or `incremental`; nothing where the run ended before that was known. What rests on no snapshot is `full`, also where
    /// the device, going on with a run that broke, sends only the rest.
    pub kind: Option<Kind>,
    /// Files of the device received in this run; those that steer the backup (Status.plist, the manifests) are not counted.
    pub files_received: u64,
    /// Bytes of them.
    pub bytes_received: u64,
    /// Bytes that the repository grew by for this snapshot, by this run and by those that broke and that it went on with; 0 where
    /// there is no snapshot.
    pub bytes_added: u64,
    /// Bytes that the device sent again although an earlier part of the run had received them.
    pub bytes_sent_again: u64,
    /// Files in the snapshot.
    pub files_total: u64,
    /// Bytes of them.
    pub bytes_total: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether it began with files that a broken run had kept; the device decides which of them it sends again
    /// (`bytes_sent_again`).
    pub resumed: bool,
    /// Files of the device that the working area and the packs hold, where this run broke.
    pub files_kept: u64,
    /// Bytes of them.
    pub bytes_kept: u64,
    /// Files that the device could not send.
    pub file_errors: u64,
    /// Files stored under `sealed/`: because their names cannot be plain paths, or, of an opened backup, because they cannot be made
    /// again bit for bit of their plain text. Of a backup that nobody could open everything is sealed, and this is 0.
    pub files_sealed: u64,
    /// Whether the device encrypts its backups.
    pub encrypted: bool,
    /// How the snapshot keeps the files: `opened` (real names, plain text) or `sealed` (encrypted, as the device sent them).
    pub stored: Option<String>,
    /// The generation of the backup password, where a password snapshot keeps the one that made this backup's keybag.
    pub password_generation: Option<String>,
    /// Earlier snapshots that were sealed and that a password which this backup proved has opened.
    pub opened_earlier: Vec<OpenedSnapshot>,
    /// The cause, where the outcome is not `done`.
    pub cause: Option<Cause>,
    /// What happened, where the outcome is not `done`.
    pub message: Option<String>,
    /// The next step, where the outcome is not `done`, with a word about what is kept.
    pub next_step: Option<String>,
    /// The next step alone.
    #[serde(skip)]
    pub next_step_alone: Option<String>,
    /// What the doctor found, where the outcome is not `done` and it has a say: an id of its catalogue, or `unknown`.
    pub finding: Option<String>,
    /// Its title, one sentence.
    pub finding_title: Option<String>,
    /// How certain that is.
    pub certainty: Option<Certainty>,
    /// What speaks for it, in words.
    pub evidence: Vec<String>,
    /// What would decide and is not known, in words.
    pub unknown: Vec<String>,
    /// Worth knowing, changes nothing.
    pub notes: Vec<Note>,
    /// `not yet shown` from the moment the repository is made until a person has seen its recovery sheet.
    pub recovery_sheet: Option<String>,
}

/// How much a device sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Everything.
    Full,
    /// What is new.
    Incremental,
}

/// Backs up one device. Tells [`Event::Summary`] at its end, good or bad; an error carries the summary too.
pub async fn run(ctx: &Context, plan: BackupPlan) -> Result<BackupSummary, JobError> {
    let started = ctx.host.now();
    let mut summary = BackupSummary::new(plan.udid.clone().unwrap_or_default());
    let mut trace = doctor::Trace::of(started);
    let result = attempt(ctx, &plan, &mut summary, &mut trace).await;
    let result = result.map_err(|error| error.discreet(&summary.udid));
    summary.seconds = seconds_since(ctx, started);
    if let Err(error) = &result {
        summary.failed(error);
    }
    doctor::after(ctx, &plan, trace, result.as_ref().err(), &mut summary).await;
    summary.recovery_sheet = plan.places.recovery_sheet();
    match result {
        Ok(()) => {
            ctx.events.tell(Event::Summary(Box::new(summary.clone())));
            Ok(summary)
        }
        Err(mut error) => {
            ctx.events.tell(Event::Summary(Box::new(summary.clone())));
            error.summary = Some(Box::new(summary));
            Err(error)
        }
    }
}

async fn attempt(
    ctx: &Context,
    plan: &BackupPlan,
    summary: &mut BackupSummary,
    trace: &mut doctor::Trace,
) -> Result<(), JobError> {
    ctx.events.stage(Stage::Discover);
    let found = |udid: &str| udid.clone_into(&mut summary.udid);
    let began = ctx.host.now();
    let link = reach(ctx, &plan.mux, plan.udid.as_deref(), plan.wait, found).await?;
    let patience = plan.wait.map(|wait| left(ctx, began, wait));
    trace.link = Some(link.clone());
    ctx.events.stage(Stage::Prepare);
    trace.stage = Some(Stage::Prepare);
    doctor::preflight(ctx, plan, &link, trace, summary).await.at(Stage::Prepare)?;
    let prepared = prepare::prepare(ctx, plan, &link).await.at(Stage::Prepare)?;
    summary.take_prepared(&prepared);
    ctx.events.stage(Stage::Transfer);
    trace.stage = Some(Stage::Transfer);
    trace.recorder = Some(Recorder::start(&link));
    let observer = Arc::new(transfer::Watcher::new(ctx));
    let request = BackupRequest { force_full: plan.full };
    let held = patience::hold(ctx, &link, &request, &prepared.tree, &observer, patience).await;
    let limit = plan.wait.filter(|_| held.in_vain);
    observer.finish();
    trace.watched = Some(observer.watched(link.device().connection));
    let prepared = finish::received(ctx, &link, prepared, held.reply, &observer, summary)
        .await
        .map_err(|error| patience::explain(limit, error))
        .at(Stage::Transfer)?;
    trace.stage = Some(Stage::Snapshot);
    finish::snapshot(ctx, prepared, summary).await
}

impl BackupSummary {
    fn new(udid: String) -> Self {
        Self {
            outcome: Outcome::Failed,
            snapshot: None,
            udid,
            device_name: String::new(),
            kind: None,
            files_received: 0,
            bytes_received: 0,
            bytes_added: 0,
            bytes_sent_again: 0,
            files_total: 0,
            bytes_total: 0,
            seconds: 0.0,
            resumed: false,
            files_kept: 0,
            bytes_kept: 0,
            file_errors: 0,
            files_sealed: 0,
            encrypted: false,
            stored: None,
            password_generation: None,
            opened_earlier: Vec::new(),
            cause: None,
            message: None,
            next_step: None,
            next_step_alone: None,
            finding: None,
            finding_title: None,
            certainty: None,
            evidence: Vec::new(),
            unknown: Vec::new(),
            notes: Vec::new(),
            recovery_sheet: None,
        }
    }

    fn take_prepared(&mut self, prepared: &prepare::Prepared) {
        self.device_name.clone_from(&prepared.device_name);
        self.resumed = prepared.opened.resumed;
        self.encrypted = prepared.will_encrypt;
        self.notes.extend_from_slice(&prepared.notes);
        self.kind = Some(if prepared.has_base { Kind::Incremental } else { Kind::Full });
    }

    fn take_finding(&mut self, found: &Diagnosed, step: Option<&str>) {
        self.finding = Some(found.cause.clone());
        self.finding_title = Some(found.message.clone());
        self.certainty = Some(found.certainty);
        self.evidence.clone_from(&found.evidence);
        self.unknown.clone_from(&found.unknown);
        if let Some(step) = step {
            self.take_step(step);
        }
    }

    /// Takes the next step; behind it stands that something is kept, where that is so.
    fn take_step(&mut self, step: &str) {
        let kept = if self.files_kept > 0 { KEPT } else { "" };
        self.next_step = Some(format!("{step}{kept}"));
        self.next_step_alone = Some(step.to_owned());
    }

    fn failed(&mut self, error: &JobError) {
        self.outcome = match error.exit() {
            ExitClass::Interrupted => Outcome::Interrupted,
            ExitClass::Postponed => Outcome::Postponed,
            ExitClass::Incomplete => Outcome::Incomplete,
            _ => Outcome::Failed,
        };
        self.cause = Some(error.cause);
        self.message = Some(error.message.clone());
        self.take_step(error.next_step());
    }
}

/// What follows the next step where something arrived.
const KEPT: &str = " What arrived is kept, and is not stored twice.";
