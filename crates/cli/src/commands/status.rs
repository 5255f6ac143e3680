//! `status`: when each device was last backed up.

use std::time::Duration;

use clap::Args;
use lifeboat_engine::jobs::status::{self, DeviceStatus};
use serde::Serialize;

use super::Ended;
use super::snapshots::{are_missing, none_yet, short, tell_damage};
use crate::app::App;
use crate::exit::Exit;
use crate::ui::table::{Column, table};
use crate::ui::text::{count, parse_duration, seconds, short_device, time};

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
    #[serde(flatten)]
    found: &'a status::Status,
}

/// Tells the status.
pub(crate) async fn run(app: &App, args: StatusArgs) -> Ended {
    let settings = app.settings()?;
    let places = app.places(&settings)?;
    let found =
        status::run(&app.silent_context(), places, settings.udid.as_deref(), args.max_age).await?;
    let devices = &found.devices;
    // No backup at all is older than any age.
    let stale =
        devices.iter().any(|device| device.stale) || (devices.is_empty() && args.max_age.is_some());
    if devices.is_empty() && found.damaged.is_empty() {
        app.ui.say(match settings.udid.as_deref() {
            Some(udid) => none_yet(Some(udid)),
            None => "no device was backed up yet: `lifeboat backup` does it".to_owned(),
        });
    }
    if app.ui.json {
        app.ui.object(&Status { format: 1, found: &found })?;
    } else if !devices.is_empty() {
        let columns = [
            Column::Left("DEVICE"),
            Column::Left("LAST BACKUP"),
            Column::Right("AGO"),
            Column::Left("SNAPSHOT"),
            Column::Right("SNAPSHOTS"),
            Column::Left("STATE"),
        ];
        let is_damaged = !found.damaged.is_empty();
        app.ui.text(table(&columns, devices.iter().map(|device| row(device, is_damaged))))?;
    }
    Ok(match tell_damage(app, &found.damaged) {
        Exit::Done if stale => Exit::Incomplete,
        exit => exit,
    })
}

fn row(device: &DeviceStatus, is_damaged: bool) -> Vec<String> {
    let newest = &device.newest;
    vec![
        short_device(device.device_name.as_deref(), &device.udid),
        time(newest.time),
        newest.age_seconds.map_or_else(|| "?".to_owned(), ago),
        short(&newest.snapshot).to_owned(),
        count(device.snapshots),
        state(device, is_damaged),
    ]
}

/// Returns how a device stands: well, or why not. In a damaged repository nothing is well.
fn state(device: &DeviceStatus, is_damaged: bool) -> String {
    let newest = &device.newest;
    let mut state = if newest.complete {
        match (device.stale, is_damaged) {
            _ if newest.dated_in_the_future => {
                "complete, dated in the future: its age is not known"
            }
            (true, _) => "too old",
            (false, true) => "complete, in a damaged repository",
            (false, false) => "well",
        }
        .to_owned()
    } else {
        let last = match (device.age_seconds, device.stale) {
            (Some(age), false) => format!("{} ago", ago(age)),
            (Some(age), true) => format!("{} ago, which is too old", ago(age)),
            (None, _) if device.snapshot.is_some() => "dated in the future".to_owned(),
            (None, _) => "never".to_owned(),
        };
        let missing = are_missing(newest.files_missing);
        format!("incomplete: {missing}; last complete backup: {last}")
    };
    if device.broken_run && !device.stale {
        state.push_str("; a later run broke, and what arrived is kept");
    }
    state
}

#[expect(clippy::cast_precision_loss, reason = "an age that a person reads")]
fn ago(age: u64) -> String {
    seconds(age as f64)
}

#[cfg(test)]
mod tests {
    use lifeboat_engine::jobs::status::Newest;

    use super::*;

    fn device(missing: u64, complete: Option<u64>, stale: bool) -> DeviceStatus {
        let at = |age: u64| jiff::Timestamp::UNIX_EPOCH - Duration::from_secs(age);
        let age_seconds = if missing > 0 { 3600 } else { complete.unwrap_or(0) };
        DeviceStatus {
            udid: "U".into(),
            device_name: None,
            snapshot: complete.map(|_| "c0".repeat(32)),
            time: complete.map(at),
            age_seconds: complete,
            stale,
            snapshots: u64::from(complete.is_some()),
            newest: Newest {
                snapshot: "4f".repeat(32),
                time: at(age_seconds),
                age_seconds: Some(age_seconds),
                dated_in_the_future: false,
                complete: missing == 0,
                files_missing: missing,
            },
            broken_run: false,
        }
    }

    #[test]
    fn a_device_is_well_only_when_its_newest_backup_is_whole_and_young() {
        let damaged = state(&device(0, Some(3600), false), true);
        assert_eq!(damaged, "complete, in a damaged repository");
        let state = |device: &DeviceStatus| state(device, false);
        assert_eq!(state(&device(0, Some(3600), false)), "well");
        assert_eq!(state(&device(0, Some(3600), true)), "too old");
        let mut ahead = device(0, Some(0), true);
        (ahead.age_seconds, ahead.newest.age_seconds) = (None, None);
        ahead.newest.dated_in_the_future = true;
        assert_eq!(state(&ahead), "complete, dated in the future: its age is not known");
        assert_eq!(row(&ahead, false)[2], "?");
        let broken = DeviceStatus { broken_run: true, ..device(0, Some(3600), false) };
        assert_eq!(state(&broken), "well; a later run broke, and what arrived is kept");
        assert_eq!(
            state(&device(2, Some(7200), false)),
            "incomplete: 2 files are missing; last complete backup: 2 h ago"
        );
        assert_eq!(
            state(&device(1, Some(7200), true)),
            "incomplete: 1 file is missing; last complete backup: 2 h ago, which is too old"
        );
        assert_eq!(
            state(&device(1, None, true)),
            "incomplete: 1 file is missing; last complete backup: never"
        );
    }
}
