//! Tries passwords that somebody remembers against the keybag of a backup: on all cores, in their order, until one opens it.

use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::InfoPlist;
use lifeboat_mobilesync::keybag::Keybag;
use lifeboat_mobilesync::trial;
use lifeboat_repo::Repository;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{bag_of, opening};
use crate::error::{Cause, JobError};
use crate::event::{Event, Trying};
use crate::job::{Context, Places, blocking};
use crate::passwords::{self, StoredPassword};
use crate::view;

/// The least time between two events.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
/// No steering file is longer.
const LONGEST: u64 = 64 << 20;

/// Returns how many passwords are tried at a time.
pub(super) fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What passwords are tried against.
#[derive(Debug, Clone)]
pub enum Against {
    /// A snapshot of the repository.
    Snapshot {
        /// Which one: id, prefix, `latest` or `UDID@date`.
        snapshot: String,
        /// Which device, where the snapshot is named `latest`.
        udid: Option<String>,
    },
    /// A folder as Finder, iTunes and other tools make it.
    Folder(Utf8PathBuf),
}

/// A backup whose password is looked for.
#[derive(Debug, Clone)]
pub struct Locked {
    bag: Keybag,
    /// The device; nothing where a folder does not tell.
    pub udid: Option<String>,
    /// The device's name, where it is told.
    pub device_name: Option<String>,
    /// The snapshot, where it is one.
    pub snapshot: Option<String>,
    /// The passwords of the device that are kept, each with its generation, newest first.
    pub kept: Vec<(String, SecretString)>,
}

/// What a trial came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialSummary {
    /// Which candidate is right, counted from zero; nothing where none is.
    pub found: Option<usize>,
    /// How many there were, each counted once.
    pub candidates: usize,
    /// How long it took.
    pub seconds: f64,
}

/// Reads the keybag of a backup.
///
/// # Errors
///
/// Where there is none, or the backup is not encrypted.
pub async fn locked(ctx: &Context, places: Places, against: Against) -> Result<Locked, JobError> {
    let ctx = ctx.clone();
    blocking(move || match against {
        Against::Snapshot { snapshot, udid } => {
            let repository = places.open_to_read(&ctx.host)?;
            let found = view::find(&ctx.events, &repository, &snapshot, udid.as_deref())?;
            let bag = opening::keybag(&repository, &found)?.ok_or_else(not_encrypted)?;
            Ok(Locked {
                bag,
                kept: kept(&repository, &found.udid)?,
                udid: Some(found.udid),
                device_name: found.label,
                snapshot: Some(found.id.to_string()),
            })
        }
        Against::Folder(folder) => {
            let mut locked = in_folder(&folder)?;
            // A folder can be opened without any repository.
            if let (Ok(repository), Some(udid)) = (places.open_to_read(&ctx.host), &locked.udid) {
                locked.kept = kept(&repository, udid)?;
            }
            Ok(locked)
        }
    })
    .await
}

fn kept(repository: &Repository, udid: &str) -> Result<Vec<(String, SecretString)>, JobError> {
    let kept = passwords::kept(repository, udid)?.into_iter().map(|kept| kept.password);
    Ok(kept.map(|kept| (kept.generation, kept.password)).collect())
}

fn not_encrypted() -> JobError {
    JobError::new(
        Cause::NotEncrypted,
        "the backup is not encrypted, or its keybag cannot be read: no password opens it",
    )
}

fn in_folder(folder: &Utf8Path) -> Result<Locked, JobError> {
    let folder = view::backup_folder(folder.to_owned())?;
    let read = |name: &str| {
        let mut bytes = Vec::new();
        fs_err::File::open(folder.join(name))?.take(LONGEST).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let manifest = read("Manifest.plist")
        .map_err(|error| JobError::of(Cause::NotABackup, folder.as_str(), &error))?;
    let info = read("Info.plist").ok().and_then(|bytes| InfoPlist::parse(&bytes).ok());
    let udid = info.as_ref().and_then(InfoPlist::udid).map(str::to_owned);
    Ok(Locked {
        bag: bag_of(&manifest).ok_or_else(not_encrypted)?,
        udid,
        device_name: info.as_ref().and_then(InfoPlist::device_name).map(str::to_owned),
        snapshot: None,
        kept: Vec::new(),
    })
}

/// Tries passwords; tells how far it is.
///
/// # Errors
///
/// Where the keybag is damaged, or somebody stopped it.
pub async fn run(
    ctx: &Context,
    locked: Locked,
    candidates: Vec<SecretString>,
) -> Result<TrialSummary, JobError> {
    let ctx = ctx.clone();
    blocking(move || {
        let began = Instant::now();
        let meter = Meter::new(&ctx, &locked.bag, candidates.len());
        let texts: Vec<&str> = candidates.iter().map(ExposeSecret::expose_secret).collect();
        let watch = |more: u32| {
            meter.more(more);
            !ctx.cancel.is_cancelled()
        };
        let found = trial::find(&locked.bag, &texts, cores(), &watch).map_err(|error| {
            if trial::was_stopped(&error) {
                return JobError::interrupted();
            }
            JobError::of(Cause::NotABackup, "the keybag of the backup cannot be used", &error)
        })?;
        meter.end();
        Ok(TrialSummary {
            found: found.map(|found| found.at),
            candidates: candidates.len(),
            seconds: began.elapsed().as_secs_f64(),
        })
    })
    .await
}

/// Keeps a password that opens a backup; returns its generation, and whether it was kept already.
pub async fn remember(
    ctx: &Context,
    places: Places,
    udid: String,
    password: SecretString,
) -> Result<(String, bool), JobError> {
    let ctx = ctx.clone();
    blocking(move || {
        let repository = places.open_or_make(&*ctx.host)?;
        let same =
            |kept: &StoredPassword| kept.password.expose_secret() == password.expose_secret();
        // One that the device refused, and that opens a backup all the same, counts again.
        let kept = passwords::kept(&repository, &udid)?.into_iter();
        let mut counting = kept.filter(|kept| !kept.is_refused()).map(|kept| kept.password);
        if let Some(kept) = counting.find(same) {
            return Ok((kept.generation, true));
        }
        let stored = StoredPassword::new(&udid, password, ctx.host.now());
        passwords::store(&ctx, &repository, &stored)?;
        Ok((stored.generation, false))
    })
    .await
}

/// Counts rounds of several threads and tells how far all are.
struct Meter<'a> {
    ctx: &'a Context,
    total: u64,
    candidates: usize,
    began: Instant,
    state: Mutex<(u64, Option<Instant>)>,
}

impl<'a> Meter<'a> {
    fn new(ctx: &'a Context, bag: &Keybag, candidates: usize) -> Self {
        let total = trial::rounds(bag, candidates);
        Self { ctx, total, candidates, began: Instant::now(), state: Mutex::default() }
    }

    fn more(&self, more: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += u64::from(more);
        if state.1.is_none_or(|told| told.elapsed() >= PAUSE) {
            state.1 = Some(Instant::now());
            let done = state.0;
            drop(state);
            self.tell(done);
        }
    }

    fn end(&self) {
        let done = self.state.lock().unwrap_or_else(PoisonError::into_inner).0;
        self.tell(done);
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what a person reads"
    )]
    fn tell(&self, done: u64) {
        let part = done as f64 / (self.total.max(1)) as f64;
        let left = self.began.elapsed().as_secs_f64() * (1.0 - part) / part.max(f64::EPSILON);
        let tried = (part * self.candidates as f64 + 1e-9).floor() as u64;
        self.ctx.events.tell(Event::Trying(Trying {
            tried,
            candidates: self.candidates as u64,
            percent: (part * 100.0).clamp(0.0, 100.0),
            seconds_left: (done > 0).then(|| left.ceil() as u64),
        }));
    }
}
