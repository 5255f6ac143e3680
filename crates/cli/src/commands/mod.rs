//! The commands, one file each: its flags, and what it does.

pub(crate) mod backup;
pub(crate) mod cat;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod ls;
pub(crate) mod pair;
pub(crate) mod password;
pub(crate) mod repo;
pub(crate) mod show;
pub(crate) mod sim;
pub(crate) mod snapshots;
pub(crate) mod status;

use std::io::{self, Read as _};

use camino::Utf8Path;
use lifeboat_engine::jobs::snapshots::Look;
use lifeboat_host::read_text;

use crate::app::App;
use crate::args::Command;
use crate::exit::Exit;
use crate::ui::error::Failure;

/// How a command ends.
pub(crate) type Ended = Result<Exit, Failure>;

/// Returns a text of at most `longest` bytes out of a file; `-` is standard input.
fn read_input(file: &Utf8Path, longest: u64) -> io::Result<String> {
    if file != "-" {
        return read_text(file, longest);
    }
    let mut text = String::new();
    io::stdin().lock().take(longest).read_to_string(&mut text)?;
    Ok(text)
}

/// Runs a command.
pub(crate) async fn run(app: &App, command: Command) -> Ended {
    match command {
        Command::Demo(args) => Box::pin(demo::run(app, args)).await,
        Command::Sim(args) => sim::run(app, args).await,
        Command::Devices(args) => devices::run(app, &args).await,
        Command::Pair(args) => pair::run(app, &args).await,
        Command::Doctor(args) => doctor::run(app, args).await,
        Command::Explain(args) => explain::run(app, &args),
        Command::Backup(args) => backup::run(app, args).await,
        Command::Snapshots(args) => snapshots::run(app, &args).await,
        Command::Show(args) => show::run(app, args).await,
        Command::Ls(args) => ls::run(app, args).await,
        Command::Cat(args) => cat::run(app, args).await,
        Command::Find(args) => find::run(app, args).await,
        Command::Diff(args) => diff::run(app, args).await,
        Command::Status(args) => status::run(app, args).await,
        Command::Check(args) => check::run(app, &args).await,
        Command::Export(args) => export::run(app, args).await,
        Command::Password(args) => password::run(app, args).await,
        Command::Repo(args) => repo::run(app, args).await,
        Command::Completions(args) => completions::run(app, &args),
    }
}

/// Returns what a command looks into: a snapshot of the repository, or a folder.
fn look(
    app: &App,
    snapshot: Option<String>,
    folder: Option<camino::Utf8PathBuf>,
) -> Result<Look, Failure> {
    match (snapshot, folder) {
        (_, Some(folder)) => Ok(Look::Folder { folder, cache: app.settings()?.cache }),
        (Some(snapshot), None) => {
            let settings = app.settings()?;
            Ok(Look::Snapshot { places: app.places(&settings)?, snapshot, udid: settings.udid })
        }
        (None, None) => {
            Err(Failure::usage("which snapshot? give an id, `latest`, or `--folder DIR`"))
        }
    }
}

/// Splits `SNAP:PATH`.
fn snapshot_and_path(text: &str) -> (String, String) {
    let (snapshot, path) = text.split_once(':').unwrap_or((text, ""));
    (snapshot.to_owned(), path.trim_matches('/').to_owned())
}
