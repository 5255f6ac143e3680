//! `export SNAP DIR`: a snapshot handed back.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};
use lifeboat_engine::Outcome;
use lifeboat_engine::jobs::export::{self, ExportPlan, Form};

use super::Ended;
use crate::app::App;
use crate::exit::Exit;
use crate::ui::error::Failure;
use crate::ui::events::Summed;
use crate::ui::text::{bytes, plain, seconds, things};

/// Flags of `export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat export latest ~/Backup --as finder\n  lifeboat export latest ~/Phone --as files"
)]
pub(crate) struct ExportArgs {
    /// The snapshot: an id, its beginning, `latest`, or `UDID@DATE` (a time as `snapshots` shows it, or its beginning; with `Z` in UTC)
    #[arg(value_name = "SNAP")]
    snapshot: String,
    /// Where to: a folder that is absent or empty
    #[arg(value_name = "DIR")]
    target: Utf8PathBuf,
    /// `finder`: DIR/UDID/… as Finder, iTunes and other tools take it; `files`: DIR/DOMAIN/PATH
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: FormArg,
}

/// The two forms, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormArg {
    /// Apple's own folder, bit for bit
    Finder,
    /// Plain files with their real names
    Files,
}

/// Exports.
pub(crate) async fn run(app: &App, args: ExportArgs) -> Ended {
    let settings = app.settings()?;
    if let Some(place) = settings.own_place_of(&args.target) {
        let message =
            format!("{} is {place}, or lies in it: nothing is exported there", args.target);
        return Err(Failure::usage(message).hint("name another folder"));
    }
    let plan = ExportPlan {
        places: app.places(&settings)?,
        snapshot: args.snapshot,
        udid: settings.udid,
        target: args.target,
        form: match args.form {
            FormArg::Finder => Form::Finder,
            FormArg::Files => Form::Files,
        },
    };
    let (ctx, progress) = app.context();
    let exported = export::run(&ctx, plan).await;
    progress.finish();
    let exported = exported?;
    let exit = if exported.outcome == Outcome::Done { Exit::Done } else { Exit::Incomplete };
    if app.ui.json {
        app.ui.object(&Summed::new(&exported))?;
        return Ok(exit);
    }
    for renamed in &exported.renamed {
        app.ui.note(format!("{} is called {} there", plain(&renamed.from), plain(&renamed.to)));
    }
    app.ui.line(format!(
        "{} with {} in {} ({})",
        things(exported.files, "file"),
        bytes(exported.bytes),
        plain(exported.folder.as_str()),
        seconds(exported.seconds)
    ))?;
    Ok(exit)
}
