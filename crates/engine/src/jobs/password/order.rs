//! The order in which a password is changed: what the device is told is stored before.
//!
//! ```text
//! agree (the caller) → store → tell the device → prove (its next keybag)
//! ```
//!
//! Whatever moment it breaks at, every password that the device can have then is one that it had before, or one that is stored.

use jiff::{SignedDuration, Timestamp};
use lifeboat_device::mobilebackup2::PasswordChange;
use lifeboat_mobilesync::keybag::Keybag;
use lifeboat_mobilesync::trial;
use secrecy::{ExposeSecret, SecretString};

use super::{Order, PasswordStep};
use crate::error::{Cause, JobError};
use crate::job::blocking;
use crate::passwords::{Candidate, StoredPassword};

/// Where passwords are kept.
pub(super) trait Vault {
    /// Keeps a password; it is durable when this returns. Nothing that is kept is replaced.
    async fn keep(&mut self, password: StoredPassword) -> Result<(), JobError>;

    /// Returns the passwords of the device that are kept, newest first.
    async fn kept(&self) -> Result<Vec<Candidate>, JobError>;

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
    let mut kept_old = None;
    if let Order::Change { old: Some(old), .. } | Order::Off { old: Some(old) } = order {
        tell(PasswordStep::StoreOld);
        // The device keeps it where it refuses: it passed through here, and is as good as a new one.
        kept_old = Some(keep(vault, old, now - BEFORE, Among::All).await?);
    }
    let stored = match order.new_password() {
        Some(new) => {
            tell(PasswordStep::StoreNew);
            Some(keep(vault, new, now, Among::Newest).await?)
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
    let Err(refusal) = answer else { return Ok(stored.map(|kept| kept.generation)) };
    if refusal.is_unchanged {
        let kept_old = kept_old.filter(|_| refusal.is_wrong);
        for kept in [kept_old, stored].into_iter().flatten() {
            remember_refusal(vault, kept, now).await;
        }
    }
    Err(refused(refusal, order))
}

/// Remembers that the device surely has another password than one that this run stored. A crash before leaves it as one that the
/// device may have, which is safe.
async fn remember_refusal<V: Vault>(vault: &mut V, kept: Kept, now: Timestamp) {
    // One that was there before may be the one that the device has: the answer to it may have been lost.
    let Some(stored) = kept.fresh else { return };
    let refused = StoredPassword { refused: Some(now), ..stored };
    if let Err(error) = vault.keep(refused).await {
        tracing::warn!(error = %error.message, "that the device refused a password is not remembered");
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

/// A password that is kept.
struct Kept {
    generation: String,
    /// It was stored just now.
    fresh: Option<StoredPassword>,
}

/// Stores a password, unless it is kept already.
async fn keep<V: Vault>(
    vault: &mut V,
    password: &SecretString,
    agreed: Timestamp,
    among: Among,
) -> Result<Kept, JobError> {
    let many = if among == Among::All { usize::MAX } else { 1 };
    let same = |known: Candidate| {
        (!known.is_refused && known.password.expose_secret() == password.expose_secret())
            .then_some(known.generation)
            .flatten()
    };
    let kept = vault.kept().await?.into_iter().take(many).find_map(same);
    if let Some(generation) = kept {
        return Ok(Kept { generation, fresh: None });
    }
    let stored = StoredPassword::new(vault.udid(), password.clone(), agreed);
    vault.keep(stored.clone()).await?;
    Ok(Kept { generation: stored.generation.clone(), fresh: Some(stored) })
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
        vault.kept().await?.into_iter().map(|candidate| candidate.password).collect();
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
