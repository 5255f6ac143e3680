//! `check`: the repository and the backups in it are whole.

use clap::Args;
use lifeboat_engine::jobs::check::{self, CheckSummary};

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::events::Summed;
use crate::ui::text::{bytes, count, seconds, things};
use crate::ui::{BAD, GOOD};

/// Flags of `check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lifeboat check\n  lifeboat check --read-data")]
pub(crate) struct CheckArgs {
    /// Read every byte of the repository, not only its structure
    #[arg(long)]
    read_data: bool,
}

/// Checks.
pub(crate) async fn run(app: &App, args: &CheckArgs) -> Ended {
    let settings = app.settings()?;
    let places = app.places(&settings)?;
    let (ctx, progress) = app.context();
    let checked = check::run(&ctx, places, args.read_data).await;
    progress.finish();
    let checked = checked?;
    if app.ui.json {
        app.ui.object(&Summed::new(&checked))?;
    } else {
        app.ui.line(words(&checked))?;
    }
    Ok(if checked.findings.is_empty() { Exit::Done } else { Exit::Failed })
}

fn words(checked: &CheckSummary) -> String {
    let known = match checked.known_incomplete {
        0 => String::new(),
        known => format!(" ({} known incomplete since it was made)", count(known)),
    };
    let (snapshots, files) = (things(checked.snapshots, "snapshot"), things(checked.files, "file"));
    let what = format!("{snapshots}{known} and {files}");
    let read = if checked.read_data {
        format!(", {} read", bytes(checked.bytes_read))
    } else {
        "; `--read-data` reads every byte, too".to_owned()
    };
    let time = seconds(checked.seconds);
    if checked.findings.is_empty() {
        format!("{GOOD}whole{GOOD:#}: {what} checked in {time}{read}")
    } else {
        let damage = things(checked.findings.len() as u64, "finding");
        format!("{BAD}damaged{BAD:#}: {damage} in {what}, checked in {time}{read}")
    }
}
