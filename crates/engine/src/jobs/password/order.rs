//! The order in which a password is changed: what the device is told is stored before.
//!
//! ```text
//! agree (the caller) → store → tell the device → prove (its next keybag) → note what it said
//! ```
//!
//! Whatever moment it breaks at, every password that the device can have then is one that it had before, or one that is stored.

use jiff::{SignedDuration, Timestamp};
use lifeboat_device::mobilebackup2::PasswordChange;
use lifeboat_mobilesync::keybag::Keybag;
use lifeboat_mobilesync::trial;
use secrecy::{ExposeSecret, SecretString};

use super::{Order, PasswordStep, word};
use crate::error::{Cause, JobError};
use crate::job::blocking;
use crate::passwords::{Kept, StoredPassword, Word};

/// Where passwords are kept.
pub(super) trait Vault {
    /// Keeps a password; it is durable when this returns. Nothing that is kept is replaced.
    async fn keep(&mut self, password: StoredPassword) -> Result<(), JobError>;

    /// Returns the passwords that the device may have, of those that are kept, the likeliest first.
    async fn kept(&self) -> Result<Vec<Kept>, JobError>;

    /// Notes what the device said of a password that is kept.
    async fn note(&mut self, generation: &str, word: Word) -> Result<(), JobError>;

    /// Returns which device it is.
    fn udid(&self) -> &str;
}

/// The device.
pub(super) trait Phone {
    /// Asks it to change its password.
    async fn change(&mut self, change: &PasswordChange) -> Result<(), Refusal>;
}

/// How a device did not change its password.
#[derive(Debug)]
pub(super) struct Refusal {
    /// It surely has the one that it had.
    pub(super) is_unchanged: bool,
    /// It says that the old one is wrong.
    pub(super) is_wrong: bool,
    /// What happened.
    pub(super) error: Box<JobError>,
}

/// Who hears of each step before it begins.
pub(super) type Tell<'a> = &'a (dyn Fn(PasswordStep) + Sync);

/// Carries an order out; returns the generation of the new password. `presented` is the keybag of the backup that the device
/// sees: who opens it is likely to be the one that the device has. `tell` hears of each step before it begins.
pub(super) async fn carry_out<V: Vault, P: Phone>(
    vault: &mut V,
    phone: &mut P,
    order: &Order,
    presented: Option<&Keybag>,
    now: Timestamp,
    tell: Tell<'_>,
) -> Result<Option<String>, JobError> {
    // Which one the device has is known before anything is stored: what fails here leaves nothing behind.
    let old = match order {
        Order::Set { .. } => Vec::new(),
        Order::Change { old, .. } | Order::Off { old } => {
            tell(PasswordStep::LookUp);
            olds(vault, old.as_ref(), presented).await?
        }
    };
    // What this run stored, and nobody before it.
    let mut fresh = Vec::new();
    if let Order::Change { old: Some(old), .. } | Order::Off { old: Some(old) } = order {
        tell(PasswordStep::StoreOld);
        // The device keeps it where it refuses: it passed through here, and is as good as a new one.
        keep(vault, old, now - BEFORE, Among::All, &mut fresh).await?;
    }
    let generation = match order.new_password() {
        Some(new) => {
            tell(PasswordStep::StoreNew);
            Some(keep(vault, new, now, Among::Newest, &mut fresh).await?)
        }
        None => None,
    };
    let answer = match order {
        Order::Set { new } => ask(phone, &PasswordChange::Set { new: new.clone() }, tell).await,
        Order::Change { .. } | Order::Off { .. } => {
            let change = |old: SecretString| match order.new_password() {
                Some(new) => PasswordChange::Change { old, new: new.clone() },
                None => PasswordChange::Off { old },
            };
            any_of(phone, old.into_iter().map(change).collect(), tell).await
        }
    };
    let Err(refusal) = answer else { return Ok(generation) };
    for generation in word::refused(order, &refusal, &fresh) {
        note(vault, generation, Word::Refused, tell).await;
    }
    Err(refused(refusal, order))
}

/// Notes what the device said of a password. Where that cannot be done, or a crash comes before, the password is one that the device
/// may have, which is safe.
pub(super) async fn note<V: Vault>(vault: &mut V, generation: &str, word: Word, tell: Tell<'_>) {
    tell(PasswordStep::Note);
    if let Err(error) = vault.note(generation, word).await {
        tracing::warn!(error = %error.message, ?word, "what the device said of a password is not noted");
    }
}

/// How much older an old password is made than the new one that is stored beside it: the newest is the likeliest.
const BEFORE: SignedDuration = SignedDuration::from_secs(1);

/// Where a password may be kept already, so that it is not stored again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Among {
    All,
    /// An older one that comes again is the newest again.
    Newest,
}

/// Stores a password, unless it is kept already; returns its generation. One that the device refused is stored anew: it may take it
/// now.
async fn keep<V: Vault>(
    vault: &mut V,
    password: &SecretString,
    agreed: Timestamp,
    among: Among,
    fresh: &mut Vec<StoredPassword>,
) -> Result<String, JobError> {
    let many = if among == Among::All { usize::MAX } else { 1 };
    let same = |known: &Kept| {
        !known.is_refused() && known.password.password.expose_secret() == password.expose_secret()
    };
    if let Some(known) = vault.kept().await?.into_iter().take(many).find(same) {
        return Ok(known.password.generation);
    }
    let stored = StoredPassword::new(vault.udid(), password.clone(), agreed);
    vault.keep(stored.clone()).await?;
    let generation = stored.generation.clone();
    fresh.push(stored);
    Ok(generation)
}

/// Returns the passwords that the device may have: the one that was given, else those that are known, the likeliest first.
async fn olds<V: Vault>(
    vault: &V,
    given: Option<&SecretString>,
    presented: Option<&Keybag>,
) -> Result<Vec<SecretString>, JobError> {
    if let Some(given) = given {
        return Ok(vec![given.clone()]);
    }
    let mut known: Vec<SecretString> =
        vault.kept().await?.into_iter().map(|kept| kept.password.password).collect();
    if known.is_empty() {
        return Err(JobError::new(
            Cause::NoBackupPassword,
            "the backup password that the device has is not known here",
        ));
    }
    if let Some(bag) = presented.filter(|_| known.len() > 1) {
        let (bag, candidates) = (bag.clone(), known.clone());
        let opens = blocking(move || Ok(which_opens(&bag, &candidates))).await?;
        if let Some(likeliest) = opens {
            let likeliest = known.remove(likeliest);
            known.insert(0, likeliest);
        }
    }
    Ok(known)
}

fn which_opens(bag: &Keybag, candidates: &[SecretString]) -> Option<usize> {
    let texts: Vec<&str> = candidates.iter().map(ExposeSecret::expose_secret).collect();
    let found = trial::find(bag, &texts, super::trial::cores(), &|_| true);
    found.ok().flatten().map(|found| found.at)
}

/// Asks the device with one old password after the other, as long as it says that one is wrong.
async fn any_of<P: Phone>(
    phone: &mut P,
    changes: Vec<PasswordChange>,
    tell: Tell<'_>,
) -> Result<(), Refusal> {
    let mut last = None;
    for change in changes {
        match ask(phone, &change, tell).await {
            Ok(()) => return Ok(()),
            Err(refusal) if refusal.is_wrong => last = Some(refusal),
            Err(refusal) => return Err(refusal),
        }
    }
    Err(last.unwrap_or_else(|| {
        let error = JobError::new(Cause::Internal, "no password was there to be tried");
        Refusal { is_unchanged: true, is_wrong: false, error: Box::new(error) }
    }))
}

/// Asks the device once.
async fn ask<P: Phone>(
    phone: &mut P,
    change: &PasswordChange,
    tell: Tell<'_>,
) -> Result<(), Refusal> {
    tell(PasswordStep::Tell);
    let answer = phone.change(change).await;
    tell(PasswordStep::Heard);
    answer
}

/// Says what a refusal means for the password that the device has.
fn refused(refusal: Refusal, order: &Order) -> JobError {
    let Refusal { is_unchanged, is_wrong, error } = refusal;
    let mut error = *error;
    if is_wrong {
        error.cause = match order {
            Order::Set { .. } => Cause::BackupPasswordSet,
            Order::Change { .. } | Order::Off { .. } => Cause::BackupPasswordWrong,
        };
    }
    let meaning = match (order, is_unchanged) {
        (_, true) => "the device has the backup password that it had",
        (Order::Off { .. }, false) => {
            "whether the device still has its backup password is not certain; it is kept here"
        }
        (_, false) => {
            "whether the device took the new backup password is not certain: the old one and the new one are kept here, and \
             the next backup says which it is"
        }
    };
    error.message = format!("{} ({meaning})", error.message);
    error
}
