//! Checks that the repository and the backups in it are whole.

mod manifest;

use std::time::Instant;

use serde::Serialize;

use crate::error::{At as _, JobError};
use crate::event::{Event, Finding, Note};
use crate::job::{Context, Outcome, Places, blocking, seconds_since};
use crate::jobs::snapshots::device_snapshots;
use crate::meter::Meter;
use crate::stage::Stage;
use crate::words::ms;

/// What a check found. It is `done` exactly when there are no findings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckSummary {
    /// `done`, or `failed` when something is damaged.
    pub outcome: Outcome,
    /// Snapshots checked.
    pub snapshots: u64,
    /// Files checked against the manifests.
    pub files: u64,
    /// Bytes of packs read (with `read_data`).
    pub bytes_read: u64,
    /// Whether all data was read.
    pub read_data: bool,
    /// The damage.
    pub findings: Vec<Finding>,
    /// Snapshots that were incomplete when they were made, and are as they were then: no damage.
    pub known_incomplete: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Checks the repository; with `read_data` every byte of it; then every snapshot's manifest against its files.
pub async fn run(ctx: &Context, places: Places, read_data: bool) -> Result<CheckSummary, JobError> {
    let ctx = ctx.clone();
    blocking(move || check(&ctx, &places, read_data).at(Stage::Read)).await
}

fn check(ctx: &Context, places: &Places, read_data: bool) -> Result<CheckSummary, JobError> {
    let started = ctx.host.now();
    ctx.events.stage(Stage::Read);
    let repository = places.open_to_read(&ctx.host)?;
    let mut summary = CheckSummary {
        outcome: Outcome::Done,
        snapshots: 0,
        files: 0,
        bytes_read: 0,
        read_data,
        findings: Vec::new(),
        known_incomplete: 0,
        seconds: 0.0,
    };
    let mut meter = Meter::new(ctx, Stage::Read, None);
    let since = Instant::now();
    let report = repository.check_while(read_data, &mut |progress| {
        if progress.bytes > 0 {
            meter.set_bytes(progress.bytes_done, progress.bytes);
        }
        !ctx.cancel.is_cancelled()
    })?;
    let report = report.ok_or_else(JobError::interrupted)?;
    summary.bytes_read = report.bytes_read;
    let (bytes, damage, ms) = (report.bytes_read, report.damage.len(), ms(since));
    tracing::info!(bytes, damage, ms, "the repository was checked");
    for damage in &report.damage {
        if damage.is_serious() {
            found(ctx, &mut summary, "repository-damaged", damage.to_string(), None);
        } else {
            ctx.events.tell(Event::Note(Note::new("untidy", damage.to_string())));
        }
    }
    for snapshot in device_snapshots(&repository, None)? {
        ctx.go_on()?;
        summary.snapshots += 1;
        if repository.is_backup(&snapshot) {
            manifest::check(ctx, &repository, &snapshot, places, read_data, &mut summary)?;
        }
    }
    ctx.go_on()?;
    meter.finish();
    summary.seconds = seconds_since(ctx, started);
    if !summary.findings.is_empty() {
        summary.outcome = Outcome::Failed;
    }
    Ok(summary)
}

/// Tells a finding and keeps it.
fn found(
    ctx: &Context,
    summary: &mut CheckSummary,
    cause: &str,
    message: String,
    object: Option<String>,
) {
    let finding = Finding { cause: cause.to_owned(), message, object };
    ctx.events.tell(Event::Finding(finding.clone()));
    summary.findings.push(finding);
}
