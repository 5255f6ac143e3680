//! The recovery sheet: all that is needed to get everything back without this computer, as text and as a drawing, and read back.

mod drawing;
mod payload;
mod text;
mod verify;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use lifeboat_engine::{JobError, passwords};
use lifeboat_host::secret::write_private_file;
use lifeboat_repo::{Repository, Snapshot, Tag};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use self::payload::Payload;
use self::text::{About, Device};
use super::{Opened, blocking, open};
use crate::app::App;
use crate::commands::Ended;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::ui::error::Failure;

/// Flags of `repo sheet`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SheetArgs {
    /// Draw the sheet into this file, as SVG of one page with a square code; only its owner can read the file
    #[arg(long, value_name = "FILE", conflicts_with = "verify")]
    svg: Option<Utf8PathBuf>,
    /// Read a sheet back, its text or what a phone reads in its square code (`-`: from standard input), and say whether it opens
    /// this repository and all that is in it
    #[arg(long, value_name = "FILE")]
    verify: Option<Utf8PathBuf>,
}

/// Works on the sheet.
pub(super) async fn run(app: &App, settings: &Settings, args: &SheetArgs) -> Ended {
    if let Some(file) = &args.verify {
        return verify::run(app, settings, file).await;
    }
    show(app, settings, args.svg.as_deref()).await?;
    Ok(Exit::Done)
}

/// What of a sheet a repository keeps.
struct Kept {
    devices: Vec<Device>,
    /// UDID and password, newest first; those that a device refused come last.
    passwords: Vec<(String, SecretString)>,
}

/// Reads what a sheet is made of.
fn kept(repository: &Repository) -> Result<Kept, JobError> {
    // A snapshot file that cannot be read does not keep the sheet from being printed.
    let (snapshots, _) = repository.snapshots_and_damage()?;
    let mut devices = text::devices(&snapshots);
    let mut found: Vec<(String, SecretString)> = Vec::new();
    let is_password = |snapshot: &&Snapshot| snapshot.is(Tag::Password);
    for snapshot in snapshots.iter().rev().filter(is_password) {
        let Ok(Some(kept)) = passwords::read(repository, snapshot) else { continue };
        let (udid, password) = (kept.udid, kept.password);
        let is_same = |(of, known): &(String, SecretString)| {
            *of == udid && known.expose_secret() == password.expose_secret()
        };
        if !found.iter().any(is_same) {
            if !devices.iter().any(|device| device.udid == udid) {
                let (udid, name) = (udid.clone(), None);
                devices.push(Device { udid, name, is_complete: true });
            }
            found.push((udid, password));
        }
    }
    let mut counting: BTreeMap<&str, Vec<passwords::Kept>> = BTreeMap::new();
    for device in &devices {
        let mut kept = passwords::kept(repository, &device.udid)?;
        kept.retain(|kept| !kept.is_refused());
        counting.insert(&device.udid, kept);
    }
    found.sort_by_key(|(udid, password)| {
        let is_same = |kept: &passwords::Kept| {
            kept.password.password.expose_secret() == password.expose_secret()
        };
        !counting.get(udid.as_str()).is_some_and(|kept| kept.iter().any(is_same))
    });
    Ok(Kept { devices, passwords: found })
}

/// What a sheet says, for programs.
#[derive(Serialize)]
struct Told<'a> {
    repository: &'a str,
    id: &'a str,
    password: &'a str,
    /// UDID and name.
    devices: Vec<Named<'a>>,
    /// Newest first.
    backup_passwords: Vec<Own<'a>>,
    /// What the square code says.
    payload: String,
    /// The file that was drawn.
    svg: Option<&'a str>,
}

#[derive(Serialize)]
struct Named<'a> {
    udid: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Own<'a> {
    udid: &'a str,
    password: &'a str,
}

/// Prints the recovery sheet, or draws it; from then on it counts as shown.
pub(super) async fn show(
    app: &App,
    settings: &Settings,
    svg: Option<&Utf8Path>,
) -> Result<(), Failure> {
    let Opened { repository, password, places } = open(app, settings).await?;
    let (repository_place, id) = (repository.location(), repository.id().to_owned());
    let kept = blocking(move || kept(&repository)).await?;
    let payload = Payload {
        computer: app.host.host_name(),
        repository: repository_place,
        id,
        password: password.expose_secret().to_owned(),
        devices: kept
            .devices
            .iter()
            .map(|device| (device.udid.clone(), device.name.clone().unwrap_or_default()))
            .collect(),
        backup_passwords: kept
            .passwords
            .iter()
            .map(|(udid, password)| (udid.clone(), password.expose_secret().to_owned()))
            .collect(),
    };
    let about = About { payload: &payload, devices: &kept.devices };
    if let Some(file) = svg {
        draw(&about, file)?;
    }
    if app.ui.json {
        app.ui.object(&told(&payload, svg))?;
    } else if let Some(file) = svg {
        app.ui
            .line(format!("drew the recovery sheet into {file}: print it, then remove the file"))?;
    } else {
        app.ui.text(about.text())?;
    }
    blocking(move || places.sheet_shown()).await
}

fn draw(about: &About<'_>, file: &Utf8Path) -> Result<(), Failure> {
    let text = anstream::adapter::strip_str(&about.text()).to_string();
    let drawing = drawing::svg(&text, &about.payload.code())
        .map_err(|error| Failure::of(Exit::Failed, "sheet-too-long", &error))?;
    write_private_file(file, drawing.as_bytes())
        .map_err(|error| Failure::from(anyhow::Error::from(error)).context("cannot draw the sheet"))
}

fn told<'a>(payload: &'a Payload, svg: Option<&'a Utf8Path>) -> Told<'a> {
    Told {
        repository: &payload.repository,
        id: &payload.id,
        password: &payload.password,
        devices: payload.devices.iter().map(|(udid, name)| Named { udid, name }).collect(),
        backup_passwords: payload
            .backup_passwords
            .iter()
            .map(|(udid, password)| Own { udid, password })
            .collect(),
        payload: payload.code(),
        svg: svg.map(Utf8Path::as_str),
    }
}
