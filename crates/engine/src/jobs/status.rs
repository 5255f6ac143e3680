//! One line a device: when it was last backed up, and whether that is long ago.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Cause, JobError};
use crate::job::{Context, Places};

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceStatus {
    /// Its identifier.
    pub udid: String,
    /// Its name.
    pub device_name: Option<String>,
    /// Its newest complete snapshot.
    pub snapshot: String,
    /// When that was made.
    pub time: Timestamp,
    /// How long ago, in seconds.
    pub age_seconds: u64,
    /// Whether that is longer than allowed.
    pub stale: bool,
    /// How many complete snapshots it has.
    pub snapshots: u64,
    /// Whether a broken run has kept something for the next one.
    pub broken_run: bool,
}

/// Tells each device's status; `max_age` decides what is stale.
pub async fn run(
    ctx: &Context,
    places: Places,
    udid: Option<&str>,
    max_age: Option<Duration>,
) -> Result<Vec<DeviceStatus>, JobError> {
    let _ = (ctx, places, udid, max_age);
    Err(JobError::new(Cause::Internal, "not there yet"))
}
