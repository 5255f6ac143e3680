//! Backs up one device: discover, link, prepare, transfer, verify, snapshot.

use serde::Serialize;

use crate::error::{Cause, JobError};
use crate::event::Note;
use crate::job::{Context, Outcome, Places};
use crate::mux::Mux;

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
    /// How long to wait for the device to be there, trusted and unlocked.
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
    /// `full` or `incremental`.
    pub kind: Kind,
    /// Files received in this run.
    pub files_received: u64,
    /// Bytes of them.
    pub bytes_received: u64,
    /// Bytes that the repository grew by.
    pub bytes_added: u64,
    /// Bytes that the device sent again although an earlier part of the run had received them.
    pub bytes_sent_again: u64,
    /// Files in the snapshot.
    pub files_total: u64,
    /// Bytes of them.
    pub bytes_total: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether it went on with what a broken run had kept.
    pub resumed: bool,
    /// Files kept for the next run, where this one broke.
    pub files_kept: u64,
    /// Bytes of them.
    pub bytes_kept: u64,
    /// Files that the device could not send.
    pub file_errors: u64,
    /// Files stored under `sealed/` because their names cannot be plain paths.
    pub files_sealed: u64,
    /// Whether the device encrypts its backups.
    pub encrypted: bool,
    /// The cause, where the outcome is not `done`.
    pub cause: Option<Cause>,
    /// What happened, where the outcome is not `done`.
    pub message: Option<String>,
    /// The next step, where the outcome is not `done`.
    pub next_step: Option<String>,
    /// Worth knowing, changes nothing.
    pub notes: Vec<Note>,
    /// `not yet shown` when this run made the repository; the program sets it once it showed the sheet.
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

/// Backs up one device. Tells [`Event::Summary`](crate::Event::Summary) at its end, good or bad; an error carries the summary too.
pub async fn run(ctx: &Context, plan: BackupPlan) -> Result<BackupSummary, JobError> {
    let _ = (ctx, plan);
    Err(JobError::new(Cause::Internal, "not there yet"))
}
