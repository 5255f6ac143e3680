//! `snapshots`: what there is, oldest first.

use clap::Args;
use lifeboat_engine::jobs::snapshots::{self, PACKS_DAMAGED, SnapshotInfo, SnapshotList};
use lifeboat_engine::words::choose;
use lifeboat_engine::{Cause, Finding};
use serde::Serialize;

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::error::Failure;
use crate::ui::progress::Named;
use crate::ui::table::{Column, table};
use crate::ui::text::{bytes, count, plain, short_device, things, time};

/// Flags of `snapshots`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lifeboat snapshots\n  lifeboat snapshots -u UDID --json")]
pub(crate) struct SnapshotsArgs {}

#[derive(Serialize)]
struct Snapshots<'a> {
    format: u32,
    #[serde(flatten)]
    found: &'a SnapshotList,
}

/// Lists the snapshots.
pub(crate) async fn run(app: &App, _args: &SnapshotsArgs) -> Ended {
    let settings = app.settings()?;
    let places = app.places(&settings)?;
    let found = snapshots::list(&app.silent_context(), places, settings.udid.as_deref()).await?;
    let is_empty = found.snapshots.is_empty() && found.damaged.is_empty();
    if is_empty {
        app.ui.say(none_yet(settings.udid.as_deref()));
    }
    if app.ui.json {
        app.ui.object(&Snapshots { format: 1, found: &found })?;
    } else if !is_empty {
        app.ui.text(lines(&found.snapshots))?;
    }
    Ok(tell_damage(app, &found.damaged))
}

/// Says what of the repository cannot be read, and how the command ends: what is shown may not be all.
pub(crate) fn tell_damage(app: &App, damaged: &[Finding]) -> Exit {
    let mut named = Named::default();
    for finding in damaged {
        if !app.ui.verbose && !named.counts("finding") {
            continue;
        }
        let failure = Failure::new(Exit::Failed, &finding.cause, finding.message.as_str());
        let hint = match finding.cause.as_str() {
            PACKS_DAMAGED => {
                "Run `lifeboat backup`: it heals what can be healed; `lifeboat check --read-data` tells more."
            }
            _ => Cause::RepositoryDamaged.next_step(),
        };
        // Programs have it in their object.
        Failure { told: true, ..failure.hint(hint) }.tell(app.ui);
    }
    for line in named.more() {
        app.ui.complain(line);
    }
    if damaged.is_empty() { Exit::Done } else { Exit::Failed }
}

fn lines(snapshots: &[SnapshotInfo]) -> String {
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
    table(&columns, snapshots.iter().map(row))
}

/// Says that there is nothing to list: that is an answer, and no failure.
pub(crate) fn none_yet(udid: Option<&str>) -> String {
    match udid {
        Some(udid) => format!(
            "there is no backup of the device {}: `lifeboat snapshots` lists those of all devices",
            plain(udid)
        ),
        None => "no snapshots yet: `lifeboat backup` makes one".to_owned(),
    }
}

fn row(snapshot: &SnapshotInfo) -> Vec<String> {
    let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), bytes);
    vec![
        short(&snapshot.id).to_owned(),
        time(snapshot.time),
        short_device(snapshot.device_name.as_deref(), &snapshot.udid),
        snapshot.ios.as_deref().map_or_else(|| "-".to_owned(), plain),
        state(snapshot),
        snapshot.files.map_or_else(|| "-".to_owned(), count),
        size(snapshot.bytes),
        size(snapshot.bytes_added),
    ]
}

/// Returns what a snapshot is, and how much is not in it. One that an older program called complete is not called so when
/// files are missing.
pub(crate) fn state(snapshot: &SnapshotInfo) -> String {
    let tag = plain(&snapshot.tag);
    let future = if snapshot.dated_in_the_future { ", dated in the future" } else { "" };
    let state = match snapshot.files_missing {
        Some(missing) if missing > 0 => {
            let word = if tag == "complete" { "incomplete" } else { &tag };
            format!("{word}: {}", are_missing(missing))
        }
        _ => tag,
    };
    state + future
}

/// Returns `1 file is missing`, `2 files are missing`.
pub(crate) fn are_missing(missing: u64) -> String {
    format!("{} {} missing", things(missing, "file"), choose(missing, "is", "are"))
}

/// Returns as much of an id as people use.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
