//! Says what is known of the backup password of a device.

use jiff::Timestamp;
use lifeboat_repo::{Repository, Snapshot, Tag};
use serde::Serialize;

use super::standing::{Agreed, Newest, Standing};
use super::{Told, ask, opening};
use crate::error::{Cause, JobError};
use crate::event::{Event, Note};
use crate::job::{Context, Places, blocking};
use crate::jobs::snapshots::device_snapshots;
use crate::link::reach;
use crate::mux::Mux;
use crate::passwords::{self, Kept, Word};

/// A password that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptPassword {
    /// Its name among those of the device.
    pub generation: String,
    /// When it was agreed upon.
    pub created: Timestamp,
    /// What the device said of it: `refused`, `proved`; nothing where it said nothing.
    pub device_said: Option<Word>,
}

impl From<Kept> for KeptPassword {
    fn from(kept: Kept) -> Self {
        let Kept { password, word } = kept;
        Self { generation: password.generation, created: password.created, device_said: word }
    }
}

/// What is known of the backup password of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PasswordStatus {
    /// The device.
    pub udid: String,
    /// Its name.
    pub device_name: Option<String>,
    /// Whether it encrypts its backups; nothing where it could not be asked.
    pub encrypts: Option<bool>,
    /// Whether who manages it demands that; nothing where it could not be asked.
    pub encryption_demanded: Option<bool>,
    /// What is known of its password.
    pub standing: Standing,
    /// Its newest backup.
    pub newest: Option<Newest>,
    /// The passwords that are kept, newest first; those that the device refused behind the others.
    pub passwords: Vec<KeptPassword>,
}

/// Says what is known; a device that cannot be reached is judged by its backups, and a note says so.
pub async fn run(
    ctx: &Context,
    places: Places,
    mux: &Mux,
    udid: Option<&str>,
) -> Result<PasswordStatus, JobError> {
    let mut found = udid.unwrap_or_default().to_owned();
    let tell = |udid: &str| udid.clone_into(&mut found);
    let told = match reach(ctx, mux, udid, None, tell).await {
        Ok(link) => Some(ask(&link).await?),
        // Which of several is meant is not known here either.
        Err(error) if error.cause == Cause::SeveralDevices => return Err(error),
        Err(error) => {
            let message = format!("the device was not asked: {}", error.discreet(&found).message);
            ctx.events.tell(Event::Note(Note::new("device-not-asked", message)));
            None
        }
    };
    let ctx = ctx.clone();
    blocking(move || look(&ctx, &places, &found, told)).await
}

fn look(
    ctx: &Context,
    places: &Places,
    udid: &str,
    told: Option<Told>,
) -> Result<PasswordStatus, JobError> {
    let repository = match places.open_to_read(&ctx.host) {
        Ok(repository) => Some(repository),
        Err(error) if error.cause == Cause::RepositoryMissing && told.is_some() => None,
        Err(error) => return Err(error),
    };
    let (encrypts, encryption_demanded) =
        (told.as_ref().map(|told| told.encrypts), told.as_ref().map(|told| told.is_demanded));
    let device_name = told.map(|told| told.device_name);
    let Some(repository) = repository else {
        return Ok(PasswordStatus {
            udid: udid.to_owned(),
            device_name,
            encrypts,
            encryption_demanded,
            standing: Standing::of(encrypts, None, &[]),
            newest: None,
            passwords: Vec::new(),
        });
    };
    let (udid, newest) = of_device(&repository, udid)?;
    let known = passwords::candidates(&*ctx.passwords, Some(&repository), &udid)?;
    let kept = passwords::kept(&repository, &udid)?;
    let device_name =
        device_name.or_else(|| newest.as_ref().and_then(|newest| newest.label.clone()));
    let newest =
        newest.map(|snapshot| opening::newest(&repository, &snapshot, &known)).transpose()?;
    Ok(PasswordStatus {
        udid,
        device_name,
        encrypts,
        encryption_demanded,
        standing: Standing::of(encrypts, newest.as_ref(), &Agreed::of(&kept)),
        newest,
        passwords: kept.into_iter().map(KeptPassword::from).collect(),
    })
}

/// Returns the device that is meant, the only one where none is named, and its newest backup.
fn of_device(repository: &Repository, udid: &str) -> Result<(String, Option<Snapshot>), JobError> {
    let named = Some(udid).filter(|udid| !udid.is_empty());
    let mut snapshots = device_snapshots(repository, named)?;
    snapshots.retain(|snapshot| snapshot.is(Tag::Complete));
    if let Some(udid) = named {
        return Ok((udid.to_owned(), snapshots.pop()));
    }
    let newest = snapshots.pop();
    match newest {
        Some(newest) if snapshots.iter().any(|other| other.udid != newest.udid) => {
            let message = "backups of several devices are there, and none was chosen";
            Err(JobError::new(Cause::SeveralDevices, message))
        }
        Some(newest) => Ok((newest.udid.clone(), Some(newest))),
        None => Err(JobError::new(Cause::NoDevice, "no device is there, and no backup of one")),
    }
}
