//! `status`: when each device was last backed up.

use std::time::Duration;

use clap::Args;
use lifeboat_engine::jobs::status::{self, DeviceStatus};
use serde::Serialize;

use super::Ended;
use super::snapshots::short;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::table::{Column, table};
use crate::ui::text::{count, parse_duration, plain, seconds, time};

/// Flags of `status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat status\n  lifeboat status --max-age 26h || echo 'look after the backups'"
)]
pub(crate) struct StatusArgs {
    /// End with 3 when the last complete backup of a device is older than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_age: Option<Duration>,
}

#[derive(Serialize)]
struct Status<'a> {
    format: u32,
    devices: &'a [DeviceStatus],
}

/// Tells the status.
pub(crate) async fn run(app: &App, args: StatusArgs) -> Ended {
    let settings = app.settings()?;
    let places = app.places(&settings)?;
    let devices =
        status::run(&app.silent_context(), places, settings.udid.as_deref(), args.max_age).await?;
    // No backup at all is older than any age.
    let stale =
        devices.iter().any(|device| device.stale) || (devices.is_empty() && args.max_age.is_some());
    if app.ui.json {
        app.ui.object(&Status { format: 1, devices: &devices })?;
    } else if devices.is_empty() {
        app.ui.say("no device was backed up yet: `lifeboat backup` does it");
    } else {
        let columns = [
            Column::Left("DEVICE"),
            Column::Left("LAST BACKUP"),
            Column::Right("AGO"),
            Column::Left("SNAPSHOT"),
            Column::Right("SNAPSHOTS"),
            Column::Left("STATE"),
        ];
        app.ui.text(table(&columns, devices.iter().map(row)))?;
    }
    Ok(if stale { Exit::Incomplete } else { Exit::Done })
}

#[expect(clippy::cast_precision_loss, reason = "an age that a person reads")]
fn row(device: &DeviceStatus) -> Vec<String> {
    let state = match (device.stale, device.broken_run) {
        (true, _) => "too old",
        (false, true) => "well; a later run broke and will go on",
        (false, false) => "well",
    };
    vec![
        plain(device.device_name.as_deref().unwrap_or(&device.udid)),
        time(device.time),
        seconds(device.age_seconds as f64),
        short(&device.snapshot).to_owned(),
        count(device.snapshots),
        state.to_owned(),
    ]
}
