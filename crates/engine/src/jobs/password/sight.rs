//! What the doctor sees of the password that a device has: what is kept here, held against the newest backup.

use std::time::{Duration, Instant};

use lifeboat_mobilesync::keybag::Keybag;
use lifeboat_mobilesync::trial;
use lifeboat_repo::{Repository, Snapshot};
use secrecy::{ExposeSecret, SecretString};

use super::mistakes::{self, Mistake};
use super::opening::{keybag, proved};
use super::standing::Agreed;
use super::trial::cores;
use super::{Newest, Standing};
use crate::error::{Cause, JobError};
use crate::job::{Context, Places, blocking};
use crate::passwords::{self, Passwords};
use crate::view;

/// What is seen.
#[derive(Debug)]
pub(crate) enum Sight {
    /// What is known of the password.
    Standing(Standing),
    /// The newest backup opens with a text that nobody chose.
    Damaged(Mistake),
}

/// Looks; `snapshot` is the newest backup. What takes longer than `limit` is given up, and nothing comes back.
pub(crate) fn look(
    given: &dyn Passwords,
    repository: Option<&Repository>,
    snapshot: Option<&Snapshot>,
    udid: &str,
    encrypts: Option<bool>,
    limit: Duration,
) -> Result<Option<Sight>, JobError> {
    let until = Instant::now() + limit;
    let Some(repository) = repository.filter(|_| encrypts != Some(false)) else {
        return Ok(Some(Sight::Standing(Standing::of(encrypts, None, &[]))));
    };
    let agreed = Agreed::of(&passwords::kept(repository, udid)?);
    let known = passwords::candidates(given, Some(repository), udid)?;
    let Some(snapshot) = snapshot else {
        return Ok(Some(Sight::Standing(Standing::of(encrypts, None, &agreed))));
    };
    let bag = keybag(repository, snapshot)?;
    let mut newest = Newest {
        snapshot: snapshot.id.to_string(),
        time: snapshot.time,
        encrypted: bag.is_some(),
        generation: None,
        is_open: false,
    };
    if let Some(bag) = &bag {
        // What the backup itself proved when it was stored need not be proved again.
        newest.generation = proved(repository, snapshot, &known);
        newest.is_open = newest.generation.is_some();
        if !newest.is_open {
            let texts: Vec<_> = known.iter().map(|known| known.password.clone()).collect();
            let Ok(found) = within(bag, &texts, until) else { return Ok(None) };
            newest.generation = found.and_then(|at| known.get(at)?.generation.clone());
            newest.is_open = found.is_some();
        }
    }
    let standing = Standing::of(encrypts, Some(&newest), &agreed);
    let Some(bag) = bag.filter(|_| standing.is_unknown()) else {
        return Ok(Some(Sight::Standing(standing)));
    };
    let texts: Vec<_> = known.into_iter().map(|known| known.password).collect();
    // Where there is no time for all of them, the standing is certain all the same.
    let found = of_mistake(&bag, &texts, until);
    Ok(Some(found.map_or(Sight::Standing(standing), Sight::Damaged)))
}

fn of_mistake(bag: &Keybag, known: &[SecretString], until: Instant) -> Option<Mistake> {
    let mut mistakes = mistakes::of(known);
    let texts: Vec<_> = mistakes.iter().map(|mistake| mistake.set.clone()).collect();
    let at = within(bag, &texts, until).ok()??;
    (at < mistakes.len()).then(|| mistakes.swap_remove(at))
}

/// There was no time to try all of them.
struct OutOfTime;

/// Returns which password opens a keybag.
fn within(
    bag: &Keybag,
    passwords: &[SecretString],
    until: Instant,
) -> Result<Option<usize>, OutOfTime> {
    let texts: Vec<&str> = passwords.iter().map(ExposeSecret::expose_secret).collect();
    match trial::find(bag, &texts, cores(), &|_| Instant::now() < until) {
        Ok(found) => Ok(found.map(|found| found.at)),
        Err(error) if trial::was_stopped(&error) => Err(OutOfTime),
        // A keybag that nothing can open is opened by none of them.
        Err(_) => Ok(None),
    }
}

/// Finds the text that nobody chose and that opens the newest backup of a device, with as much time as it takes.
pub(crate) async fn mistake(
    ctx: &Context,
    places: Places,
    udid: String,
) -> Result<Mistake, JobError> {
    /// Longer than a dozen texts take on the slowest machine.
    const ENOUGH: Duration = Duration::from_mins(10);
    let ctx = ctx.clone();
    blocking(move || {
        let repository = places.open_to_read(&ctx.host)?;
        let snapshot = view::find(&ctx.events, &repository, "latest", Some(&udid))?;
        let given = &*ctx.passwords;
        let seen = look(given, Some(&repository), Some(&snapshot), &udid, None, ENOUGH)?;
        match seen {
            Some(Sight::Damaged(mistake)) => Ok(mistake),
            _ => Err(JobError::new(
                Cause::BackupPasswordWrong,
                "no text that is known to be set by mistake opens the newest backup",
            )),
        }
    })
    .await
}
