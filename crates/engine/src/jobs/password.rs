//! The backup password of a device, guarded: nobody is locked out by a crash, a power cut or a forgotten note.
//!
//! In reading order:
//!
//! * `order`: agree, store, tell the device, prove, note what it said; generic over the vault and the device, so that a test breaks it anywhere;
//! * `step`: the steps of that order, each told before it begins;
//! * `files`: what a device sees of its backup meanwhile, and the one file that it may write;
//! * `standing`: what is known of the password that a device has;
//! * `word`: what a refusal says of the passwords that were stored for it;
//! * `mistakes`, `sight`: texts that nobody chose as a password, and what the doctor sees of all this;
//! * [`status`], [`trial`]: the jobs that ask, and that try what somebody remembers;
//! * [`opening`]: which passwords open which snapshots.
//!
//! `docs/decisions/0010-password-guardian.md` says why it is so.

mod files;
mod mistakes;
pub mod opening;
mod order;
pub(crate) mod sight;
mod standing;
pub mod status;
mod step;
#[cfg(test)]
mod tests;
pub mod trial;
mod word;

use std::sync::Arc;
use std::time::Duration;

use lifeboat_device::link::Link;
use lifeboat_device::mobilebackup2::{self, BackupError, DeviceError, PasswordChange};
use lifeboat_mobilesync::ManifestPlist;
use lifeboat_mobilesync::keybag::Keybag;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

pub(crate) use self::standing::{Before, Sealed, foresee};
pub use self::standing::{Newest, Standing};
pub use self::step::PasswordStep;

use self::files::GuardedFiles;
use self::order::{Phone, Refusal, Vault};
use super::backup::prepare;
use super::backup::transfer::Watcher;
use crate::error::{At as _, Cause, JobError};
use crate::event::{Event, Note};
use crate::job::{Context, Outcome, Places, blocking, seconds_since};
use crate::link::reach;
use crate::mux::Mux;
use crate::passwords::{self, Kept, StoredPassword, Word};
use crate::stage::Stage;
use crate::working_tree::WorkingTree;

/// What to do with the password of a device.
#[derive(Debug, Clone)]
pub struct PasswordPlan {
    /// Where things lie.
    pub places: Places,
    /// Where the devices are.
    pub mux: Mux,
    /// Which device; `None` when there is only one.
    pub udid: Option<String>,
    /// How long to wait for a person until the device is there, trusted and unlocked.
    pub wait: Option<Duration>,
    /// What to do.
    pub order: Order,
}

/// What somebody wants.
#[derive(Debug, Clone)]
pub enum Order {
    /// A device without a password gets one.
    Set {
        /// The password.
        new: SecretString,
    },
    /// A device with a password gets another one.
    Change {
        /// The one that it has; without it those are tried that are known here.
        old: Option<SecretString>,
        /// The one that it gets.
        new: SecretString,
    },
    /// A device loses its password.
    Off {
        /// The one that it has; without it those are tried that are known here.
        old: Option<SecretString>,
    },
}

impl Order {
    fn new_password(&self) -> Option<&SecretString> {
        match self {
            Self::Set { new } | Self::Change { new, .. } => Some(new),
            Self::Off { .. } => None,
        }
    }
}

/// What became of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The device has one now.
    Set,
    /// It has another one.
    Changed,
    /// It has none.
    Off,
    /// It had none, as was wanted.
    WasOff,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PasswordSummary {
    /// How it ended.
    pub outcome: Outcome,
    /// The device.
    pub udid: String,
    /// The device's name.
    pub device_name: String,
    /// What became of the password.
    pub state: State,
    /// The name of the new password among those that are kept.
    pub generation: Option<String>,
    /// Whether a keybag that the device wrote was opened with the new password; else the next backup proves it.
    pub proved: bool,
    /// How long it took.
    pub seconds: f64,
    /// Worth knowing.
    pub notes: Vec<Note>,
}

/// Sets, changes or removes the password. Where it fails, the error says whether the device surely has the one that it had.
pub async fn run(ctx: &Context, plan: PasswordPlan) -> Result<PasswordSummary, JobError> {
    let mut udid = plan.udid.clone().unwrap_or_default();
    let done = attempt(ctx, &plan, &mut udid).await;
    done.map_err(|error| error.discreet(&udid))
}

/// What a device tells of its password.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) device_name: String,
    /// Whether it has one.
    pub(crate) encrypts: bool,
    /// Whether who manages it demands one.
    pub(crate) is_demanded: bool,
}

/// Asks a device.
pub(crate) async fn ask(link: &Link) -> Result<Told, JobError> {
    const DOMAIN: Option<&str> = Some("com.apple.mobile.backup");
    let mut session = link.session().await?;
    let device_name = session.text("DeviceName").await?.unwrap_or_default();
    let mut flags = [false; 2];
    for (flag, key) in flags.iter_mut().zip(["WillEncrypt", "RequiresEncryption"]) {
        let value = session.value(DOMAIN, Some(key)).await?;
        *flag = value.and_then(|value| value.as_boolean()).unwrap_or(false);
    }
    session.close().await;
    let [encrypts, is_demanded] = flags;
    Ok(Told { device_name, encrypts, is_demanded })
}

async fn attempt(
    ctx: &Context,
    plan: &PasswordPlan,
    found: &mut String,
) -> Result<PasswordSummary, JobError> {
    let started = ctx.host.now();
    ctx.events.stage(Stage::Discover);
    let tell = |udid: &str| udid.clone_into(found);
    let link = reach(ctx, &plan.mux, plan.udid.as_deref(), plan.wait, tell).await?;
    let udid = link.device().udid.clone();
    let told = ask(&link).await.at(Stage::Link)?;
    let summary = |state| PasswordSummary {
        outcome: Outcome::Done,
        udid: udid.clone(),
        device_name: told.device_name.clone(),
        state,
        generation: None,
        proved: false,
        seconds: seconds_since(ctx, started),
        notes: Vec::new(),
    };
    if let Some(state) = fits(&plan.order, &told)? {
        return Ok(summary(state));
    }
    ctx.events.stage(Stage::Prepare);
    let prepared = {
        let (ctx, places, udid) = (ctx.clone(), plan.places.clone(), udid.clone());
        blocking(move || prepare::open(&ctx, &places, &udid, false)).await.at(Stage::Prepare)?
    };
    let tree = prepared.tree.clone();
    let mut vault = Repository { ctx, prepared: Arc::new(prepared), udid: udid.clone() };
    let watcher = Arc::new(Watcher::new(ctx));
    let mut phone = Device { ctx, link: &link, tree: tree.clone(), watcher };
    ctx.events.stage(Stage::Transfer);
    let presented = keybag(&tree, &udid);
    let tell = |step| ctx.events.tell(Event::Step { step });
    let order = &plan.order;
    let done = order::carry_out(&mut vault, &mut phone, order, presented.as_ref(), started, &tell);
    let generation = done.await.at(Stage::Transfer)?;
    tell(PasswordStep::Prove);
    let rewrapped = keybag(&tree, &udid).filter(|bag| Some(bag) != presented.as_ref());
    let proved = prove(rewrapped, order.new_password()).await.at(Stage::Verify)?;
    if let Some(generation) = generation.as_ref().filter(|_| proved) {
        order::note(&mut vault, generation, Word::Proved, &tell).await;
    }
    let state = match order {
        Order::Set { .. } => State::Set,
        Order::Change { .. } => State::Changed,
        Order::Off { .. } => State::Off,
    };
    Ok(PasswordSummary { generation, proved, ..summary(state) })
}

/// Says whether an order fits the device as it is; the state where nothing is to be done.
fn fits(order: &Order, told: &Told) -> Result<Option<State>, JobError> {
    match order {
        Order::Set { .. } if told.encrypts => {
            Err(JobError::new(Cause::BackupPasswordSet, "the device has a backup password already"))
        }
        Order::Change { .. } if !told.encrypts => Err(JobError::new(
            Cause::BackupPasswordOff,
            "the device has no backup password that could be changed",
        )),
        Order::Off { .. } if !told.encrypts => Ok(Some(State::WasOff)),
        Order::Off { .. } if told.is_demanded => Err(JobError::new(
            Cause::Forbidden,
            "who manages the device demands encrypted backups: the backup password cannot be removed",
        )),
        _ => Ok(None),
    }
}

/// Returns the keybag that the device would find now.
fn keybag(tree: &WorkingTree, udid: &str) -> Option<Keybag> {
    /// No steering file is longer.
    const LONGEST: u64 = 64 << 20;
    let state = tree.state();
    let folders = [format!("{udid}/Snapshot"), udid.to_owned()];
    let read = |folder: &String| state.read(&format!("{folder}/Manifest.plist"), LONGEST).ok();
    bag_of(&folders.iter().find_map(read)?)
}

/// Returns the keybag of a `Manifest.plist` of an encrypted backup.
pub(crate) fn bag_of(manifest: &[u8]) -> Option<Keybag> {
    let manifest = ManifestPlist::parse(manifest).ok().filter(|manifest| manifest.is_encrypted)?;
    Keybag::parse(&manifest.keybag?).ok()
}

/// Opens the keybag that the device wrote with the password that it should have; false where it wrote none.
async fn prove(bag: Option<Keybag>, new: Option<&SecretString>) -> Result<bool, JobError> {
    let (Some(bag), Some(new)) = (bag, new.cloned()) else { return Ok(false) };
    blocking(move || match bag.unlock(new.expose_secret()) {
        Ok(_) => Ok(true),
        Err(error) => Err(JobError::of(
            Cause::BackupPasswordWrong,
            "the device took the new backup password, and wrote a keybag that it does not open",
            &error,
        )),
    })
    .await
}

/// The repository as a vault.
struct Repository<'a> {
    ctx: &'a Context,
    prepared: Arc<prepare::Local>,
    udid: String,
}

impl Vault for Repository<'_> {
    async fn keep(&mut self, password: StoredPassword) -> Result<(), JobError> {
        let prepared = Arc::clone(&self.prepared);
        blocking(move || passwords::write(&prepared.writer, &password).map(drop)).await
    }

    async fn kept(&self) -> Result<Vec<Kept>, JobError> {
        let (prepared, udid) = (Arc::clone(&self.prepared), self.udid.clone());
        blocking(move || word::that_it_may_have(&prepared.repository, &udid)).await
    }

    async fn note(&mut self, generation: &str, word: Word) -> Result<(), JobError> {
        let told = passwords::Told::new(&self.udid, generation, word, self.ctx.host.now());
        let prepared = Arc::clone(&self.prepared);
        blocking(move || passwords::note(&prepared.writer, &told).map(drop)).await
    }

    fn udid(&self) -> &str {
        &self.udid
    }
}

/// The device at the other end of the link.
struct Device<'a> {
    ctx: &'a Context,
    link: &'a Link,
    tree: WorkingTree,
    watcher: Arc<Watcher>,
}

impl Phone for Device<'_> {
    async fn change(&mut self, change: &PasswordChange) -> Result<(), Refusal> {
        let files = Box::new(GuardedFiles::new(self.tree.clone(), self.ctx.events.clone()));
        let (watcher, cancel) = (self.watcher.clone(), self.ctx.cancel.child_token());
        let asked =
            mobilebackup2::change_password(self.link, change.clone(), files, watcher, cancel).await;
        let Err(error) = asked else { return Ok(()) };
        let is_unchanged = change.is_unchanged(&error);
        let code = match &error {
            BackupError::Device(error) => Some(error.code),
            _ => None,
        };
        let mut error = Box::new(JobError::from(error));
        if is_unchanged && error.cause == Cause::DeviceError {
            // The rule of who manages it stands beneath.
            error.cause = Cause::Forbidden;
        }
        Err(Refusal { is_unchanged, is_wrong: code == Some(DeviceError::PASSWORD), error })
    }
}
