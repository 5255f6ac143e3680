//! `repo init|key|sheet|stats`: the repository itself.

use clap::{Args, Subcommand};
use lifeboat_host::secret;
use lifeboat_repo::{Location, RepoError, Repository};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::Ended;
use crate::app::{App, local};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::ui::STRONG;
use crate::ui::error::Failure;
use crate::ui::text::{bytes, count};

/// Flags of `repo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lifeboat repo init --repo /srv/backup/phones\n  lifeboat repo sheet | lp\n  \
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
    Sheet,
    /// Count what the repository holds
    Stats,
}

/// Works on the repository.
pub(crate) async fn run(app: &App, args: RepoArgs) -> Ended {
    let settings = app.settings()?;
    match args.command {
        RepoCommand::Init => init(app, &settings).await?,
        RepoCommand::Key => key(app, &settings).await?,
        RepoCommand::Sheet => show_sheet(app, &settings).await?,
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
    recovery_sheet: &'static str,
}

async fn init(app: &App, settings: &Settings) -> Result<(), Failure> {
    let place = local(settings)?;
    if place.join("config").exists() {
        return Err(failure(&RepoError::AlreadyExists(place.to_string())));
    }
    let (password, generated) = match app.given_password(settings)? {
        Some(password) => (password, false),
        None => (key_for_a_new_repository(app, settings)?, true),
    };
    let cache = settings.cache.clone();
    let at = Location::from(place.clone());
    let made = blocking(move || Repository::init(&at, &password, &cache)).await?;
    if app.ui.json {
        app.ui.object(&Made {
            repository: place.as_str(),
            id: made.id(),
            key_file: generated.then_some(settings.key_file.as_str()),
            recovery_sheet: "not yet shown",
        })?;
        return Ok(());
    }
    app.ui.line(format!("made the repository {place}"))?;
    if generated {
        app.ui.line(format!("its key is in {}", settings.key_file))?;
    }
    if app.ui.stdout_is_terminal {
        app.ui.line("")?;
        show_sheet(app, settings).await?;
    } else {
        app.ui.note("the recovery sheet was not yet shown: `lifeboat repo sheet` prints it");
    }
    Ok(())
}

/// A key that a broken first try left behind is taken again: it may be on paper already.
fn key_for_a_new_repository(app: &App, settings: &Settings) -> Result<SecretString, Failure> {
    let failed = |error: secret::SecretError| Failure::of(Exit::Failed, "disk", &error);
    if settings.key_file.exists() {
        return Ok(secret::read_password_file(&settings.key_file).map_err(failed)?.password);
    }
    let password = secret::generate_password(app.host.as_ref());
    secret::create_password_file(&settings.key_file, password.expose_secret()).map_err(failed)?;
    Ok(password)
}

async fn key(app: &App, settings: &Settings) -> Result<(), Failure> {
    let (_, password) = open(app, settings).await?;
    if app.ui.json {
        return Err(Failure::usage("a key has no JSON form: leave `--json` out"));
    }
    app.ui.line(password.expose_secret())?;
    Ok(())
}

#[derive(Serialize)]
struct Sheet<'a> {
    repository: &'a str,
    id: &'a str,
    password: &'a str,
}

/// Prints the recovery sheet.
pub(crate) async fn show_sheet(app: &App, settings: &Settings) -> Result<(), Failure> {
    let (repository, password) = open(app, settings).await?;
    let place = repository.location();
    if app.ui.json {
        app.ui.object(&Sheet {
            repository: &place,
            id: repository.id(),
            password: password.expose_secret(),
        })?;
    } else {
        app.ui.text(sheet(
            &place,
            repository.id(),
            password.expose_secret(),
            &app.host.host_name(),
        ))?;
    }
    Ok(())
}

fn sheet(place: &str, id: &str, password: &str, computer: &str) -> String {
    format!(
        "{STRONG}Lifeboat recovery sheet{STRONG:#}\n\
         \n\
         Print this page or write it down, and keep it away from the computer. Without the\n\
         password nobody can read the backups, not you either.\n\
         \n\
         computer    {computer}\n\
         repository  {place}\n\
         id          {id}\n\
         password    {password}\n\
         \n\
         To get everything back with Lifeboat, on any computer:\n\
         \n\
         \x20   put the password into a file, here `password.txt`\n\
         \x20   LIFEBOAT_REPO_PASSWORD_FILE=password.txt lifeboat --repo {place} snapshots\n\
         \x20   LIFEBOAT_REPO_PASSWORD_FILE=password.txt lifeboat --repo {place} export latest DIR --as files\n\
         \n\
         To get everything back without Lifeboat, with restic (https://restic.net):\n\
         \n\
         \x20   restic -r {place} -p password.txt snapshots\n\
         \x20   restic -r {place} -p password.txt restore latest --tag complete --target DIR\n\
         \n\
         DIR/files/ then has every file under its domain and its own name.\n"
    )
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
    let (repository, _) = open(app, settings).await?;
    let (place, id) = (repository.location(), repository.id().to_owned());
    let stats = blocking(move || repository.stats()).await?;
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

/// Opens the repository; returns it with the password that opened it.
async fn open(app: &App, settings: &Settings) -> Result<(Repository, SecretString), Failure> {
    let places = app.places(settings)?;
    let at = Location::from(places.repository.clone());
    let password = match places.password {
        Some(password) => password,
        None if !places.repository.join("config").exists() => {
            return Err(failure(&RepoError::Missing(places.repository.to_string())));
        }
        None => {
            secret::read_password_file(&places.key_file)
                .map_err(|error| {
                    Failure::of(Exit::WrongPassword, "no-password", &error)
                        .context(format!("no password for the repository {}", places.repository))
                        .hint(lifeboat_engine::Cause::NoPassword.next_step())
                })?
                .password
        }
    };
    let (key, cache) = (password.clone(), places.cache);
    let repository = blocking(move || Repository::open(&at, &key, &cache)).await?;
    Ok((repository, password))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RepoError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failure(&error)),
        Err(error) => Err(Failure::of(Exit::Failed, "internal", &error)),
    }
}

fn failure(error: &RepoError) -> Failure {
    use lifeboat_engine::Cause;
    let cause = match error {
        RepoError::Missing(_) => Cause::RepositoryMissing,
        RepoError::AlreadyExists(_) => {
            return Failure::of(Exit::Usage, "repository-exists", error)
                .hint("choose another folder, or go on using this one");
        }
        RepoError::UnsupportedLocation(_) => return Failure::of(Exit::Usage, "usage", error),
        RepoError::Locked { .. } => Cause::RepositoryLocked,
        RepoError::WrongPassword => Cause::WrongPassword,
        RepoError::NoSpace { .. } => Cause::RepositoryFull,
        RepoError::NoKey | RepoError::Damaged(_) => Cause::RepositoryDamaged,
        _ => Cause::Disk,
    };
    Failure::of(cause.exit(), cause.id(), error).hint(cause.next_step())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_has_all_that_a_person_needs() {
        let text =
            anstream::adapter::strip_str(&sheet("/srv/phones", "0123abcd", "aaaa-bbbb", "harbour"))
                .to_string();
        for needed in [
            "/srv/phones",
            "0123abcd",
            "aaaa-bbbb",
            "harbour",
            "restic -r /srv/phones -p password.txt restore",
        ] {
            assert!(text.contains(needed), "{needed}");
        }
    }
}
