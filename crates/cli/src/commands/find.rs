//! `find PATTERN`: files by their name, in one snapshot or in all.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use lifeboat_engine::Note;
use lifeboat_engine::jobs::snapshots::{self, Found, FoundList};
use serde::Serialize;

use super::Ended;
use super::snapshots::{short, tell_damage};
use crate::app::App;
use crate::ui::table::{Column, table};
use crate::ui::text::{bytes, plain, time};

/// Flags of `find`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat find sms.db\n  lifeboat find 'IMG_*.HEIC' --snapshot latest\n  \
    lifeboat find 'CameraRollDomain/*' --json"
)]
pub(crate) struct FindArgs {
    /// A part of the path, or a pattern with `*` and `?`
    #[arg(value_name = "PATTERN", value_parser = NonEmptyStringValueParser::new())]
    pattern: String,
    /// Only in this snapshot
    #[arg(long, value_name = "SNAP")]
    snapshot: Option<String>,
}

#[derive(Serialize)]
struct Findings<'a> {
    format: u32,
    #[serde(flatten)]
    list: &'a FoundList,
    notes: Vec<Note>,
}

/// Says that nothing was found, and where.
fn nothing(args: &FindArgs, udid: Option<&str>) -> String {
    let place = match (&args.snapshot, udid) {
        (Some(snapshot), _) => format!("in the snapshot {}", plain(snapshot)),
        (None, Some(udid)) => format!("in the snapshots of {}", plain(udid)),
        (None, None) => "in any snapshot".to_owned(),
    };
    format!("nothing found: no file matches {:?} {place}", args.pattern)
}

/// Finds files.
pub(crate) async fn run(app: &App, args: FindArgs) -> Ended {
    let settings = app.settings()?;
    let places = app.places(&settings)?;
    let (ctx, notes) = app.noting_context();
    let list = snapshots::find(
        &ctx,
        places,
        settings.udid.as_deref(),
        args.snapshot.as_deref(),
        &args.pattern,
    )
    .await?;
    let found = &list.found;
    if found.is_empty() {
        // An answer, and no failure: as other backup programs have it.
        app.ui.say(nothing(&args, settings.udid.as_deref()));
    }
    if app.ui.json {
        app.ui.object(&Findings { format: 1, list: &list, notes: notes.take() })?;
    } else if !found.is_empty() {
        app.ui.text(lines(found))?;
    }
    Ok(tell_damage(app, &list.damaged))
}

fn lines(found: &[Found]) -> String {
    let columns = [
        Column::Left("SNAPSHOT"),
        Column::Left("TIME"),
        Column::Right("SIZE"),
        Column::Left("PATH"),
    ];
    table(
        &columns,
        found.iter().map(|found| {
            vec![
                short(&found.snapshot).to_owned(),
                time(found.time),
                bytes(found.entry.size),
                plain(&found.entry.path),
            ]
        }),
    )
}
