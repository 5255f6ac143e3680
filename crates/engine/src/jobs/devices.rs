//! Lists the devices that can be reached and their state of trust.

use serde::Serialize;

use crate::error::{Cause, JobError};
use crate::job::Context;
use crate::mux::Mux;

/// A device that can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// Its identifier.
    pub udid: String,
    /// How: `usb` or `network`.
    pub connection: String,
    /// Whether it trusts this computer.
    pub trust: Trust,
    /// Its name, where it tells.
    pub name: Option<String>,
    /// Its model (`iPhone14,5`), where it tells.
    pub product_type: Option<String>,
    /// Its iOS, where it tells.
    pub ios: Option<String>,
    /// Whether it encrypts its backups, where it tells.
    pub backup_encrypted: Option<bool>,
    /// What is wrong, where something is.
    pub error: Option<String>,
}

/// A device's state of trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// It trusts this computer.
    Trusted,
    /// No pairing record, or one that the device does not know.
    NotTrusted,
    /// It is locked and does not say.
    Locked,
    /// It cannot be told.
    Unknown,
}

/// Lists the devices.
pub async fn run(ctx: &Context, mux: &Mux) -> Result<Vec<DeviceInfo>, JobError> {
    let _ = (ctx, mux);
    Err(JobError::new(Cause::Internal, "not there yet"))
}
