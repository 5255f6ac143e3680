//! Makes a device trust this computer, or forgets it.

use std::time::Duration;

use serde::Serialize;

use crate::error::{Cause, JobError};
use crate::job::Context;
use crate::mux::Mux;

/// What pairing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairSummary {
    /// The device.
    pub udid: String,
    /// Its name, where it tells.
    pub name: Option<String>,
    /// `paired`, `already-paired` or `forgotten`.
    pub state: String,
}

/// Pairs; tells `waiting` events while somebody must unlock the device or tap Trust; gives up after `wait`.
pub async fn run(
    ctx: &Context,
    mux: &Mux,
    udid: Option<&str>,
    wait: Duration,
) -> Result<PairSummary, JobError> {
    let _ = (ctx, mux, udid, wait);
    Err(JobError::new(Cause::Internal, "not there yet"))
}

/// Forgets the pairing, on the device where it can be reached, and here.
pub async fn forget(ctx: &Context, mux: &Mux, udid: Option<&str>) -> Result<PairSummary, JobError> {
    let _ = (ctx, mux, udid);
    Err(JobError::new(Cause::Internal, "not there yet"))
}
