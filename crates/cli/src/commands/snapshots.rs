//! `snapshots`: what there is, oldest first.

use clap::Args;
use lifeboat_engine::jobs::snapshots::{self, SnapshotInfo};
use serde::Serialize;

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::table::{Column, table};
use crate::ui::text::{bytes, count, plain, time};

/// Flags of `snapshots`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lifeboat snapshots\n  lifeboat snapshots -u UDID --json")]
pub(crate) struct SnapshotsArgs {}

#[derive(Serialize)]
struct Snapshots<'a> {
    format: u32,
    snapshots: &'a [SnapshotInfo],
}

/// Lists the snapshots.
pub(crate) async fn run(app: &App, _args: &SnapshotsArgs) -> Ended {
    let settings = app.settings()?;
    let places = app.places(&settings)?;
    let snapshots =
        snapshots::list(&app.silent_context(), places, settings.udid.as_deref()).await?;
    if app.ui.json {
        app.ui.object(&Snapshots { format: 1, snapshots: &snapshots })?;
        return Ok(Exit::Done);
    }
    if snapshots.is_empty() {
        app.ui.say("no snapshots yet: `lifeboat backup` makes one");
        return Ok(Exit::Done);
    }
    let columns = [
        Column::Left("ID"),
        Column::Left("TIME"),
        Column::Left("DEVICE"),
        Column::Left("IOS"),
        Column::Left("STATE"),
        Column::Right("FILES"),
        Column::Right("SIZE"),
        Column::Right("ADDED"),
    ];
    app.ui.text(table(&columns, snapshots.iter().map(row)))?;
    Ok(Exit::Done)
}

fn row(snapshot: &SnapshotInfo) -> Vec<String> {
    let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), bytes);
    vec![
        short(&snapshot.id).to_owned(),
        time(snapshot.time),
        plain(snapshot.device_name.as_deref().unwrap_or(&snapshot.udid)),
        snapshot.ios.as_deref().map_or_else(|| "-".to_owned(), plain),
        plain(&snapshot.tag),
        snapshot.files.map_or_else(|| "-".to_owned(), count),
        size(snapshot.bytes),
        size(snapshot.bytes_added),
    ]
}

/// Returns as much of an id as people use.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
