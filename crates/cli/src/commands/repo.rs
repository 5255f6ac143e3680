//! `repo init|key|sheet|stats`: the repository itself.

mod sheet;

use std::sync::Arc;

use clap::{Args, Subcommand};
use lifeboat_engine::{JobError, Places};
use lifeboat_repo::{RepoError, Repository};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::Ended;
use crate::app::{App, local};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::ui::error::Failure;
use crate::ui::text::{bytes, count};

/// Flags of `repo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat repo init --repo /srv/backup/phones\n  lifeboat repo sheet | lp\n  \
    lifeboat repo sheet --svg sheet.svg\n  lifeboat repo sheet --verify typed.txt\n  \
    lifeboat repo stats\n  restic -r \"$LIFEBOAT_REPO\" --password-command 'lifeboat repo key' snapshots"
)]
pub(crate) struct RepoArgs {
    #[command(subcommand)]
    command: RepoCommand,
}

/// What to do with the repository.
#[derive(Debug, Subcommand)]
enum RepoCommand {
    /// Make a repository; without a password given a key is generated and kept beside the configuration
    Init,
    /// Print the repository's password, alone, as the last line
    Key,
    /// Print the recovery sheet: what a person needs to get everything back without this computer
    Sheet(sheet::SheetArgs),
    /// Count what the repository holds
    Stats,
}

/// Works on the repository.
pub(crate) async fn run(app: &App, args: RepoArgs) -> Ended {
    let settings = app.settings()?;
    match args.command {
        RepoCommand::Init => init(app, &settings).await?,
        RepoCommand::Key => key(app, &settings).await?,
        RepoCommand::Sheet(args) => return sheet::run(app, &settings, &args).await,
        RepoCommand::Stats => stats(app, &settings).await?,
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Made<'a> {
    repository: &'a str,
    id: &'a str,
    /// The file of the generated key; none when a password was given.
    key_file: Option<&'a str>,
    recovery_sheet: Option<String>,
}

async fn init(app: &App, settings: &Settings) -> Result<(), Failure> {
    let place = local(settings)?;
    if place.join("config").exists() {
        return Err(Failure::of(
            Exit::Usage,
            "repository-exists",
            &RepoError::AlreadyExists(place.to_string()),
        )
        .hint("choose another folder, or go on using this one"));
    }
    let places = app.places(settings)?;
    let generated = places.password.is_none();
    let (made, recovery_sheet) = {
        let (places, host) = (places, Arc::clone(&app.host));
        blocking(move || {
            let made = places.init(&*host)?;
            Ok((made, places.recovery_sheet()))
        })
        .await?
    };
    if app.ui.json {
        app.ui.object(&Made {
            repository: place.as_str(),
            id: made.id(),
            key_file: generated.then_some(settings.key_file.as_str()),
            recovery_sheet,
        })?;
        return Ok(());
    }
    app.ui.line(format!("made the repository {place}"))?;
    if generated {
        app.ui.line(format!("its key is in {}", settings.key_file))?;
    }
    show_sheet_once(app, settings).await
}

/// Shows the recovery sheet on a terminal; elsewhere says how to see it.
pub(crate) async fn show_sheet_once(app: &App, settings: &Settings) -> Result<(), Failure> {
    if app.ui.stdout_is_terminal {
        app.ui.line("")?;
        sheet::show(app, settings, None).await
    } else {
        app.ui.note("the recovery sheet was not yet shown: `lifeboat repo sheet` prints it");
        Ok(())
    }
}

async fn key(app: &App, settings: &Settings) -> Result<(), Failure> {
    let Opened { repository, password, .. } = open(app, settings).await?;
    if app.ui.json {
        app.ui.object(&Key {
            repository: &repository.location(),
            id: repository.id(),
            password: password.expose_secret(),
        })?;
        return Ok(());
    }
    app.ui.line(password.expose_secret())?;
    Ok(())
}

/// What opens a repository: `repo key` in JSON.
#[derive(Serialize)]
struct Key<'a> {
    repository: &'a str,
    id: &'a str,
    password: &'a str,
}

#[derive(Serialize)]
struct Counts<'a> {
    repository: &'a str,
    id: &'a str,
    snapshots: u64,
    packs: u64,
    blobs: u64,
    bytes: u64,
    raw_bytes: u64,
}

async fn stats(app: &App, settings: &Settings) -> Result<(), Failure> {
    let Opened { repository, .. } = open(app, settings).await?;
    let (place, id) = (repository.location(), repository.id().to_owned());
    let stats = blocking(move || Ok(repository.stats()?)).await?;
    if app.ui.json {
        app.ui.object(&Counts {
            repository: &place,
            id: &id,
            snapshots: stats.snapshots,
            packs: stats.packs,
            blobs: stats.blobs,
            bytes: stats.bytes,
            raw_bytes: stats.raw_bytes,
        })?;
        return Ok(());
    }
    for (name, value) in [
        ("repository", place),
        ("id", id),
        ("snapshots", count(stats.snapshots)),
        ("packs", count(stats.packs)),
        ("blobs", count(stats.blobs)),
        ("on disk", bytes(stats.bytes)),
        ("before compression", bytes(stats.raw_bytes)),
    ] {
        app.ui.line(format!("{name:18}  {value}"))?;
    }
    Ok(())
}

/// A repository, the password that opened it, and where its things lie.
struct Opened {
    repository: Repository,
    password: SecretString,
    places: Places,
}

async fn open(app: &App, settings: &Settings) -> Result<Opened, Failure> {
    let places = app.places(settings)?;
    blocking(move || {
        let repository = places.open()?;
        Ok(Opened { repository, password: places.repository_password()?, places })
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Failure::of(Exit::Failed, "internal", &error)),
    }
}
