//! `devices`: who can be reached, how, and who trusts this computer.

use clap::Args;
use lifeboat_engine::jobs::devices::{self, DeviceInfo, Trust};
use serde::Serialize;

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::table::{Column, table};
use crate::ui::text::{plain, short_device};

/// Flags of `devices`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lifeboat devices\n  lifeboat devices --json\n  \
    USBMUXD_SOCKET_ADDRESS=127.0.0.1:27015 lifeboat devices")]
pub(crate) struct DevicesArgs {}

#[derive(Serialize)]
struct Devices<'a> {
    format: u32,
    devices: &'a [DeviceInfo],
}

/// Lists the devices.
pub(crate) async fn run(app: &App, _args: &DevicesArgs) -> Ended {
    let settings = app.settings()?;
    let devices = devices::run(&app.silent_context(), &settings.mux).await?;
    let (devices, others): (Vec<DeviceInfo>, Vec<DeviceInfo>) = devices
        .into_iter()
        .partition(|device| settings.udid.as_deref().is_none_or(|udid| device.is(udid)));
    if app.ui.json {
        app.ui.object(&Devices { format: 1, devices: &devices })?;
        return Ok(Exit::Done);
    }
    if devices.is_empty() {
        app.ui.say(match settings.udid.as_deref() {
            Some(udid) if !others.is_empty() => not_that_one(udid, &others),
            _ => format!("no device at {}: plug one in and unlock it", settings.mux),
        });
        return Ok(Exit::Done);
    }
    let columns = ["UDID", "NAME", "MODEL", "IOS", "REACHED BY", "TRUST", "ENCRYPTS BACKUPS"]
        .map(Column::Left);
    app.ui.text(table(&columns, devices.iter().map(row)))?;
    for device in &devices {
        if let Some(error) = &device.error {
            app.ui.note(format!("{}: {}", plain(&device.udid), plain(error)));
        }
    }
    Ok(Exit::Done)
}

/// Says which devices are there, where the one that was asked for is not.
fn not_that_one(udid: &str, others: &[DeviceInfo]) -> String {
    let mut there: Vec<String> = others.iter().map(|device| plain(&device.udid)).collect();
    there.dedup();
    format!("{} is not connected; connected: {}", plain(udid), there.join(", "))
}

fn row(device: &DeviceInfo) -> Vec<String> {
    let known = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), plain);
    let trust = match device.trust {
        Trust::Trusted => "trusted",
        Trust::NotTrusted => "not trusted",
        Trust::Locked => "locked",
        Trust::Unknown => "unknown",
    };
    let encrypts = match device.backup_encrypted {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    vec![
        plain(&device.udid),
        short_device(device.name.as_deref(), "-"),
        known(&device.product_type),
        known(&device.ios),
        plain(&device.connection),
        trust.to_owned(),
        encrypts.to_owned(),
    ]
}
