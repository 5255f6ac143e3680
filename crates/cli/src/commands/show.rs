//! `show SNAP`: what a snapshot holds.

use camino::Utf8PathBuf;
use clap::Args;
use lifeboat_engine::Note;
use lifeboat_engine::jobs::snapshots::{self, NamedFile, SnapshotDetails};
use serde::Serialize;

use super::snapshots::state;
use super::{Ended, look};
use crate::app::App;
use crate::exit::Exit;
use crate::ui::Ui;
use crate::ui::table::{Column, table};
use crate::ui::text::{bytes, count, plain, things, time};

/// Flags of `show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat show latest\n  lifeboat show 4f2a91c0\n  lifeboat show UDID@2026-11-22\n  \
    lifeboat show --folder ~/Backup/UDID"
)]
pub(crate) struct ShowArgs {
    /// The snapshot: an id, its beginning, `latest`, or `UDID@DATE` (a time as `snapshots` shows it, or its beginning; with `Z` in UTC)
    #[arg(value_name = "SNAP", required_unless_present = "folder", conflicts_with = "folder")]
    snapshot: Option<String>,
    /// Look into a folder as Finder, iTunes and other tools make it
    #[arg(long, value_name = "DIR")]
    folder: Option<Utf8PathBuf>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    details: &'a SnapshotDetails,
    notes: Vec<Note>,
}

/// Shows a snapshot.
pub(crate) async fn run(app: &App, args: ShowArgs) -> Ended {
    let look = look(app, args.snapshot, args.folder)?;
    let (ctx, notes) = app.noting_context();
    let details = snapshots::show(&ctx, look).await?;
    if app.ui.json {
        app.ui.object(&Shown { details: &details, notes: notes.take() })?;
    } else {
        human(app.ui, &details)?;
    }
    Ok(Exit::Done)
}

/// How many files are named.
const NAMED: usize = 20;

/// Names the first files of a kind, and says how many more there are.
fn named(ui: Ui, what: &str, files: &[NamedFile], total: u64) -> anyhow::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    ui.line(format!("\n{what}:"))?;
    for file in files.iter().take(NAMED) {
        ui.line(format!("  {} ({})", plain(&file.name()), plain(&file.why)))?;
    }
    match total.saturating_sub(files.len().min(NAMED) as u64) {
        0 => Ok(()),
        more => ui.line(format!("  and {more} more")),
    }
}

fn human(ui: Ui, details: &SnapshotDetails) -> anyhow::Result<()> {
    let info = &details.info;
    let mut facts: Vec<(&str, String)> = Vec::new();
    if !info.id.is_empty() {
        facts.push(("snapshot", info.id.clone()));
    }
    facts.push(("time", time(info.time)));
    if let Some(name) = info.device_name.as_ref().filter(|name| !name.trim().is_empty()) {
        facts.push(("device", plain(name)));
    }
    facts.push(("UDID", plain(&info.udid)));
    if let Some(model) = &info.product_type {
        facts.push(("model", plain(model)));
    }
    if let Some(ios) = &info.ios {
        facts.push(("iOS", plain(ios)));
    }
    facts.push(("state", state(info)));
    facts
        .push(("encrypted by the device", if details.encrypted { "yes" } else { "no" }.to_owned()));
    if let (Some(files), Some(size)) = (info.files, info.bytes) {
        facts.push(("holds", format!("{}, {}", things(files, "file"), bytes(size))));
    }
    if let Some(added) = info.bytes_added {
        facts.push(("added to the repository", bytes(added)));
    }
    if details.sealed > 0 {
        facts.push(("kept as the device sent it", things(details.sealed, "file")));
    }
    facts.push(("apps", count(details.apps.len() as u64)));
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in facts {
        ui.line(format!("{name:width$}  {value}"))?;
    }
    named(ui, "missing", &details.missing_files, info.files_missing.unwrap_or_default())?;
    let changed = &details.known_incomplete;
    named(ui, "changed while the backup was made", changed, changed.len() as u64)?;
    ui.line("")?;
    let mut domains: Vec<_> = details.domains.iter().collect();
    domains.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.domain.cmp(&b.domain)));
    let columns = [Column::Left("DOMAIN"), Column::Right("FILES"), Column::Right("SIZE")];
    ui.text(table(
        &columns,
        domains
            .iter()
            .map(|domain| vec![plain(&domain.domain), count(domain.files), bytes(domain.bytes)]),
    ))
}
