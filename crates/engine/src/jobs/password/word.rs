//! What a device said of a password: it refused it, or proved it. What it refused stays kept, and is in nobody's way.

use lifeboat_repo::{Repository, Tag};
use secrecy::{ExposeSecret as _, SecretString};

use super::order::Refusal;
use super::{Order, opening};
use crate::error::JobError;
use crate::jobs::snapshots::device_snapshots;
use crate::passwords::{self, Candidate, Kept, StoredPassword};

/// Returns the generations that a device surely does not have, of those that an order stored, and nobody before it: the new one, which
/// it did not take, and the old one that it says is wrong. Of one that was kept before, an earlier order may have told it.
pub(super) fn refused<'a>(
    order: &Order,
    refusal: &Refusal,
    stored: &'a [StoredPassword],
) -> Vec<&'a str> {
    let Refusal { is_unchanged, is_wrong, .. } = *refusal;
    let old = match order {
        Order::Set { .. } => None,
        Order::Change { old, .. } | Order::Off { old } => old.as_ref(),
    };
    let is = |known: Option<&SecretString>, stored: &StoredPassword| {
        known.is_some_and(|known| known.expose_secret() == stored.password.expose_secret())
    };
    // The same text as old and as new is as right, or as wrong, as the old one.
    let is_refused = |stored: &&StoredPassword| {
        is_unchanged && if is(old, stored) { is_wrong } else { is(order.new_password(), stored) }
    };
    stored.iter().filter(is_refused).map(|stored| stored.generation.as_str()).collect()
}

/// Returns the passwords that a device may have, the likeliest first: all that are kept, but for those that it refused. One of these
/// counts where it opens the newest backup: somebody set it elsewhere.
pub(super) fn that_it_may_have(repository: &Repository, udid: &str) -> Result<Vec<Kept>, JobError> {
    let kept = passwords::kept(repository, udid)?;
    let (refused, mut all): (Vec<_>, Vec<_>) = kept.into_iter().partition(Kept::is_refused);
    if refused.is_empty() {
        return Ok(all);
    }
    let candidate = |kept: &Kept| Candidate::from(kept.password.clone());
    let candidates: Vec<Candidate> = refused.iter().map(candidate).collect();
    let mut snapshots = device_snapshots(repository, Some(udid))?.into_iter().rev();
    let newest = snapshots.find(|snapshot| snapshot.is(Tag::Complete));
    let proved = newest.and_then(|newest| opening::proved(repository, &newest, &candidates));
    let counts = |refused: &Kept| proved.as_ref() == Some(&refused.password.generation);
    all.extend(refused.into_iter().filter(counts));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::error::Cause;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[test]
    fn only_what_the_device_surely_does_not_have_counts_as_refused() {
        let change =
            |old: Option<&str>, new: &str| Order::Change { old: old.map(secret), new: secret(new) };
        let off = |old: Option<&str>| Order::Off { old: old.map(secret) };
        let set = |new: &str| Order::Set { new: secret(new) };
        let uncertain = (false, false);
        let wrong = (true, true);
        let no_passcode = (true, false);
        for (order, how, stored, wanted) in [
            // Nobody knows what it did.
            (change(Some("old"), "new"), uncertain, &["old", "new"][..], &[][..]),
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
            let (is_unchanged, is_wrong) = how;
            let error = Box::new(JobError::new(Cause::DeviceError, "it says so"));
            let refusal = Refusal { is_unchanged, is_wrong, error };
            let found = refused(&order, &refusal, &stored);
            let text = |generation: &&str| {
                let one = stored.iter().find(|stored| stored.generation == **generation).unwrap();
                one.password.expose_secret().to_owned()
            };
            assert_eq!(found.iter().map(text).collect::<Vec<_>>(), wanted, "{order:?} {how:?}");
        }
    }
}
