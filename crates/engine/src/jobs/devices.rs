//! Lists the devices that can be reached and their state of trust.

use std::time::Duration;

use lifeboat_device::link::Link;
use lifeboat_device::mux::{Connection, same_udid};
use lifeboat_device::{Device, LinkError};
use serde::Serialize;
use tokio::task::JoinSet;

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

impl DeviceInfo {
    /// Whether this is the device of that UDID, however somebody writes it.
    pub fn is(&self, udid: &str) -> bool {
        same_udid(&self.udid, udid)
    }
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

/// How long a device may take to tell about itself.
const LIMIT: Duration = Duration::from_secs(10);

/// Lists the devices.
pub async fn run(_ctx: &Context, mux: &Mux) -> Result<Vec<DeviceInfo>, JobError> {
    let client = crate::mux::client(mux);
    let mut asked = JoinSet::new();
    for (order, device) in client.devices().await?.into_iter().enumerate() {
        let client = client.clone();
        asked.spawn(async move { (order, look(&client, device).await) });
    }
    let mut found = asked.join_all().await;
    found.sort_by_key(|(order, _)| *order);
    Ok(found.into_iter().map(|(_, info)| info).collect())
}

async fn look(mux: &lifeboat_device::mux::Mux, device: Device) -> DeviceInfo {
    let mut info = DeviceInfo {
        udid: device.udid.clone(),
        connection: match device.connection {
            Connection::Usb => "usb",
            Connection::Network => "network",
            Connection::Unknown => "unknown",
        }
        .to_owned(),
        trust: Trust::Unknown,
        name: None,
        product_type: None,
        ios: None,
        backup_encrypted: None,
        error: None,
    };
    let told = tokio::time::timeout(LIMIT, ask(mux, &device, &mut info)).await;
    let error = match told {
        Ok(Ok(())) => return info,
        Ok(Err(error)) => JobError::from(error),
        Err(_) => JobError::new(Cause::DeviceSilent, "the device did not answer in time"),
    };
    info.trust = match error.cause {
        Cause::NotTrusted | Cause::PairingStale => Trust::NotTrusted,
        Cause::DeviceLocked | Cause::NotUnlockedSinceStart => Trust::Locked,
        _ => Trust::Unknown,
    };
    if info.trust == Trust::Unknown {
        info.error = Some(error.message);
    }
    info
}

async fn ask(
    mux: &lifeboat_device::mux::Mux,
    device: &Device,
    info: &mut DeviceInfo,
) -> Result<(), LinkError> {
    let link = Link::open(mux, device).await?;
    let mut session = link.session().await?;
    info.name = session.text("DeviceName").await?;
    info.product_type = session.text("ProductType").await?;
    info.ios = session.text("ProductVersion").await?;
    let encrypted = session.value(Some("com.apple.mobile.backup"), Some("WillEncrypt")).await?;
    info.backup_encrypted = Some(encrypted.and_then(|value| value.as_boolean()).unwrap_or(false));
    session.close().await;
    info.trust = Trust::Trusted;
    Ok(())
}
