//! `diff A B`: what differs between two snapshots.

use clap::Args;
use lifeboat_engine::Note;
use lifeboat_engine::jobs::snapshots::{self, Changed, Difference};
use serde::Serialize;

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::text::{bytes, plain, things};

/// Flags of `diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat diff 4f2a91c0 latest\n  lifeboat diff UDID@2026-11-01 latest --json"
)]
pub(crate) struct DiffArgs {
    /// The older snapshot
    #[arg(value_name = "A")]
    from: String,
    /// The newer snapshot
    #[arg(value_name = "B")]
    to: String,
}

#[derive(Serialize)]
struct Compared<'a> {
    format: u32,
    #[serde(flatten)]
    difference: &'a Difference,
    notes: Vec<Note>,
}

/// Compares two snapshots.
pub(crate) async fn run(app: &App, args: DiffArgs) -> Ended {
    let settings = app.settings()?;
    let places = app.places(&settings)?;
    let (ctx, notes) = app.noting_context();
    let difference =
        snapshots::diff(&ctx, places, settings.udid.as_deref(), &args.from, &args.to).await?;
    if app.ui.json {
        app.ui.object(&Compared { format: 1, difference: &difference, notes: notes.take() })?;
        return Ok(Exit::Done);
    }
    let mut lines: Vec<(&str, char, &Changed)> = Vec::new();
    lines.extend(difference.added.iter().map(|changed| (changed.path.as_str(), '+', changed)));
    lines.extend(difference.removed.iter().map(|changed| (changed.path.as_str(), '-', changed)));
    lines.extend(difference.changed.iter().map(|changed| (changed.path.as_str(), 'M', changed)));
    lines.sort_unstable_by_key(|(path, sign, _)| (*path, *sign));
    for (path, sign, changed) in &lines {
        app.ui.line(format!("{sign} {}  {}", plain(path), sizes(changed)))?;
    }
    app.ui.say(format!(
        "{} added, {} removed, {} changed",
        things(difference.added.len() as u64, "file"),
        difference.removed.len(),
        difference.changed.len()
    ));
    Ok(Exit::Done)
}

fn sizes(changed: &Changed) -> String {
    match (changed.size_before, changed.size_after) {
        (Some(before), Some(after)) if before != after => {
            format!("{} -> {}", bytes(before), bytes(after))
        }
        (_, Some(size)) | (Some(size), None) => bytes(size),
        (None, None) => String::new(),
    }
}
