//! Which of the passwords that are known open which backups.

use std::collections::BTreeMap;

use lifeboat_mobilesync::keybag::Keybag;
use lifeboat_mobilesync::trial;
use lifeboat_repo::{Repository, Snapshot};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::trial::cores;
use super::{Newest, bag_of};
use crate::error::JobError;
use crate::job::{Context, Places, blocking};
use crate::jobs::snapshots::device_snapshots;
use crate::keys;
use crate::layout::BACKUP;
use crate::passwords::Candidate;

/// No steering file is longer.
const LONGEST: u64 = 64 << 20;

/// Reads the keybag of a snapshot; nothing where the device did not encrypt it.
pub(super) fn keybag(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<Option<Keybag>, JobError> {
    let path = format!("{BACKUP}/Manifest.plist");
    let Some(entry) = repository.entry(snapshot, &path)? else { return Ok(None) };
    let Some(content) = entry.node.content().filter(|content| content.size <= LONGEST) else {
        return Ok(None);
    };
    Ok(bag_of(&repository.read(content)?))
}

/// Says of the newest backup which password opens it.
pub(super) fn newest(
    repository: &Repository,
    snapshot: &Snapshot,
    known: &[Candidate],
) -> Result<Newest, JobError> {
    let bag = keybag(repository, snapshot)?;
    // What opened it when it was made stands in the snapshot itself, and costs nothing.
    let keys = keys::of_snapshot(repository, snapshot).ok().flatten();
    let proved = keys.as_ref().and_then(|keys| keys.generation()).map(str::to_owned);
    let is_kept =
        |proved: &&String| known.iter().any(|known| known.generation.as_ref() == Some(*proved));
    if let Some(generation) = proved.as_ref().filter(is_kept) {
        return Ok(Newest {
            snapshot: snapshot.id.to_string(),
            time: snapshot.time,
            encrypted: bag.is_some(),
            generation: Some(generation.clone()),
            is_open: true,
        });
    }
    let found = bag.as_ref().and_then(|bag| which(bag, known.iter().map(|known| &known.password)));
    let generation = found.and_then(|at| known.get(at)?.generation.clone());
    Ok(Newest {
        snapshot: snapshot.id.to_string(),
        time: snapshot.time,
        encrypted: bag.is_some(),
        generation,
        is_open: found.is_some(),
    })
}

/// Returns which password opens a keybag.
fn which<'a>(bag: &Keybag, known: impl Iterator<Item = &'a SecretString>) -> Option<usize> {
    let texts: Vec<&str> = known.map(ExposeSecret::expose_secret).collect();
    trial::find(bag, &texts, cores(), &|_| true).ok().flatten().map(|found| found.at)
}

/// How one backup is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opens {
    /// The snapshot.
    pub snapshot: String,
    /// The device.
    pub udid: String,
    /// Whether the device encrypted it.
    pub encrypted: bool,
    /// Which of the passwords opens it, counted from zero; nothing where none does, or none is needed.
    pub by: Option<usize>,
}

/// Says of every backup of a repository which of some passwords opens it; each is that of a device.
pub async fn of_all(
    ctx: &Context,
    places: Places,
    passwords: Vec<(String, SecretString)>,
) -> Result<Vec<Opens>, JobError> {
    let ctx = ctx.clone();
    blocking(move || {
        let repository = places.open_to_read(&ctx.host)?;
        // A day changes nothing of a keybag: each is opened once.
        let mut seen: BTreeMap<Vec<u8>, Option<usize>> = BTreeMap::new();
        let mut all = Vec::new();
        for snapshot in device_snapshots(&repository, None)? {
            ctx.go_on()?;
            let bag = keybag(&repository, &snapshot)?;
            let mut look = |bag: &Keybag| {
                *seen.entry(bag.encode()).or_insert_with(|| {
                    let of_device = passwords.iter().enumerate();
                    let of_device = of_device.filter(|(_, (udid, _))| *udid == snapshot.udid);
                    let (places, theirs): (Vec<_>, Vec<_>) =
                        of_device.map(|(at, (_, password))| (at, password)).unzip();
                    which(bag, theirs.into_iter()).and_then(|at| places.get(at).copied())
                })
            };
            all.push(Opens {
                snapshot: snapshot.id.to_string(),
                udid: snapshot.udid.clone(),
                encrypted: bag.is_some(),
                by: bag.as_ref().and_then(&mut look),
            });
        }
        Ok(all)
    })
    .await
}
