//! What a device said of a password: it refused it, or proved it. What it refused stays kept, and is in nobody's way.

use lifeboat_repo::{Repository, Tag};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Order, opening};
use crate::error::JobError;
use crate::jobs::snapshots::device_snapshots;
use crate::passwords::{self, Candidate, Kept, StoredPassword};

/// The device surely has the password that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// It says that the old one that was given is not that.
    pub(super) is_wrong: bool,
}

/// Returns the generations that a device surely does not have, of those that an order stored, and nobody before it: the new one, which
/// it did not take, and the old one that it says is wrong. Of one that was kept before, an earlier order may have told it.
pub(super) fn refused(
    order: &Order,
    refused: Option<Refused>,
    stored: &[StoredPassword],
) -> Vec<String> {
    let Some(Refused { is_wrong }) = refused else { return Vec::new() };
    let old = match order {
        Order::Set { .. } => None,
        Order::Change { old, .. } | Order::Off { old } => old.as_ref(),
    };
    let is = |known: Option<&SecretString>, stored: &StoredPassword| {
        known.is_some_and(|known| known.expose_secret() == stored.password.expose_secret())
    };
    // The same text as old and as new is as right, or as wrong, as the old one.
    let is_refused = |stored: &&StoredPassword| {
        if is(old, stored) { is_wrong } else { is(order.new_password(), stored) }
    };
    stored.iter().filter(is_refused).map(|stored| stored.generation.clone()).collect()
}

/// Returns the passwords that a device may have, the likeliest first: all that are kept, but for those that it refused. One of these
/// counts where it opens the newest backup: somebody set it elsewhere.
pub(super) fn that_it_may_have(
    repository: &Repository,
    udid: &str,
) -> Result<Vec<Candidate>, JobError> {
    let kept = passwords::kept(repository, udid)?;
    let (refused, all): (Vec<_>, Vec<_>) = kept.into_iter().partition(Kept::is_refused);
    let candidates = |kept: Vec<Kept>| kept.into_iter().map(|kept| kept.password.into());
    let mut all: Vec<Candidate> = candidates(all).collect();
    if refused.is_empty() {
        return Ok(all);
    }
    let refused: Vec<Candidate> = candidates(refused).collect();
    let mut snapshots = device_snapshots(repository, Some(udid))?.into_iter().rev();
    let newest = snapshots.find(|snapshot| snapshot.is(Tag::Complete));
    let proved = newest.and_then(|newest| opening::proved(repository, &newest, &refused));
    let counts = |refused: &Candidate| proved.is_some() && refused.generation == proved;
    all.extend(refused.into_iter().filter(counts));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[test]
    fn only_what_the_device_surely_does_not_have_counts_as_refused() {
        let change =
            |old: Option<&str>, new: &str| Order::Change { old: old.map(secret), new: secret(new) };
        let off = |old: Option<&str>| Order::Off { old: old.map(secret) };
        let set = |new: &str| Order::Set { new: secret(new) };
        let wrong = Some(Refused { is_wrong: true });
        let no_passcode = Some(Refused { is_wrong: false });
        for (order, how, stored, wanted) in [
            // Nobody knows what it did.
            (change(Some("old"), "new"), None, &["old", "new"][..], &[][..]),
            (set("new"), no_passcode, &["new"], &["new"]),
            (set("new"), wrong, &["new"], &["new"]),
            // One that was kept before may have been told by an order that broke.
            (set("new"), no_passcode, &[], &[]),
            (change(Some("old"), "new"), wrong, &["old", "new"], &["old", "new"]),
            (change(Some("old"), "new"), no_passcode, &["old", "new"], &["new"]),
            (change(None, "new"), wrong, &["new"], &["new"]),
            // The same twice: the device may have it.
            (change(Some("old"), "old"), no_passcode, &["old"], &[]),
            (change(Some("old"), "old"), wrong, &["old"], &["old"]),
            (off(Some("old")), wrong, &["old"], &["old"]),
            (off(Some("old")), no_passcode, &["old"], &[]),
            (off(None), wrong, &[], &[]),
        ] {
            let stored: Vec<_> = stored
                .iter()
                .map(|text| {
                    StoredPassword::new("0000000000000000", secret(text), Timestamp::UNIX_EPOCH)
                })
                .collect();
            let found = refused(&order, how, &stored);
            let text = |generation: &String| {
                let one = stored.iter().find(|stored| stored.generation == *generation).unwrap();
                one.password.expose_secret().to_owned()
            };
            assert_eq!(found.iter().map(text).collect::<Vec<_>>(), wanted, "{order:?} {how:?}");
        }
    }
}
