//! One line a device: when it was last backed up, whether all was in it, and whether that is long ago.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat_repo::{Repository, Snapshot, Tag};
use serde::Serialize;

use crate::error::JobError;
use crate::event::Finding;
use crate::job::{Context, Places, blocking};
use crate::jobs::snapshots::{about_or_damage, known_damage, snapshots_and_damage};
use crate::view;
use crate::working_tree::area::Area;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceStatus {
    /// Its identifier.
    pub udid: String,
    /// Its name.
    pub device_name: Option<String>,
    /// Its newest complete snapshot; `None` when it never had one.
    pub snapshot: Option<String>,
    /// When that was made.
    pub time: Option<Timestamp>,
    /// How long ago, in seconds; `None` where it is dated in the future.
    pub age_seconds: Option<u64>,
    /// Whether that is longer than allowed; no complete snapshot is older than any age, and so is one dated in the future.
    pub stale: bool,
    /// How many complete snapshots it has.
    pub snapshots: u64,
    /// Its newest snapshot, complete or not.
    pub newest: Newest,
    /// Whether a broken run has kept something for the next one.
    pub broken_run: bool,
}

/// The newest snapshot of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newest {
    /// Its id.
    pub snapshot: String,
    /// When it was made.
    pub time: Timestamp,
    /// How long ago, in seconds; `None` where it is dated in the future.
    pub age_seconds: Option<u64>,
    /// Whether it is dated more than a day in the future: the clock was wrong when it was made, or is now.
    pub dated_in_the_future: bool,
    /// Whether everything is in it.
    pub complete: bool,
    /// How many files are not in it as the device's manifest has them.
    pub files_missing: u64,
}

/// The snapshots of one device, as far as they count.
struct Of {
    newest: (Snapshot, u64),
    /// What the device was called then.
    name: Option<String>,
    complete: Option<Snapshot>,
    count: u64,
}

/// What is known of all devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The devices.
    pub devices: Vec<DeviceStatus>,
    /// What of the repository cannot be read: a snapshot file among it may be a newer backup.
    pub damaged: Vec<Finding>,
}

/// Tells each device's status; `max_age` decides what is stale. A device without a finished backup is not in the list.
pub async fn run(
    ctx: &Context,
    places: Places,
    udid: Option<&str>,
    max_age: Option<Duration>,
) -> Result<Status, JobError> {
    let (udid, host) = (udid.map(ToOwned::to_owned), ctx.host.clone());
    blocking(move || {
        let repository = places.open_now(&*host)?;
        let (snapshots, mut damaged) = snapshots_and_damage(&repository, udid.as_deref())?;
        let devices = devices(&repository, snapshots, &mut damaged)?;
        damaged.extend(known_damage(&repository)?);
        let now = host.now();
        let age = |snapshot: &Snapshot| {
            let age = || Duration::try_from(now.duration_since(snapshot.time)).unwrap_or_default();
            (!repository.is_ahead(snapshot)).then(age)
        };
        let status = |(udid, of): (String, Of)| {
            let (newest, files_missing) = of.newest;
            let time = of.complete.as_ref().map(|snapshot| snapshot.time);
            let age_of_complete = of.complete.as_ref().and_then(age);
            // What is not known may be too old.
            let too_old = |max_age: Duration| age_of_complete.is_none_or(|age| age > max_age);
            DeviceStatus {
                broken_run: Area::is_kept(&places.working_area, &udid),
                udid,
                device_name: of.name,
                snapshot: of.complete.map(|snapshot| snapshot.id.to_string()),
                time,
                age_seconds: age_of_complete.map(|age| age.as_secs()),
                stale: max_age.is_some_and(too_old),
                snapshots: of.count,
                newest: Newest {
                    snapshot: newest.id.to_string(),
                    time: newest.time,
                    age_seconds: age(&newest).map(|age| age.as_secs()),
                    dated_in_the_future: repository.is_ahead(&newest),
                    complete: files_missing == 0 && newest.is(Tag::Complete),
                    files_missing,
                },
            }
        };
        Ok(Status { devices: devices.into_iter().map(status).collect(), damaged })
    })
    .await
}

/// Looks through the snapshots. One that is tagged complete and says that files are missing comes from an older program and
/// counts as incomplete.
fn devices(
    repository: &Repository,
    snapshots: Vec<Snapshot>,
    damaged: &mut Vec<Finding>,
) -> Result<BTreeMap<String, Of>, JobError> {
    let mut devices: BTreeMap<String, Of> = BTreeMap::new();
    // Oldest first: the last one stays.
    for snapshot in snapshots {
        let tagged = snapshot.is(Tag::Complete);
        if !tagged && !snapshot.is(Tag::Partial) {
            continue;
        }
        let about = about_or_damage(repository, &snapshot, damaged)?;
        if about.is_none() && !tagged {
            // What a broken run left.
            continue;
        }
        let name = view::line(&snapshot, about.as_ref()).device_name;
        let missing = about.map_or(0, |about| about.missing());
        let of = devices.entry(snapshot.udid.clone()).or_insert_with(|| Of {
            newest: (snapshot.clone(), missing),
            name: None,
            complete: None,
            count: 0,
        });
        if tagged && missing == 0 {
            (of.complete, of.count) = (Some(snapshot.clone()), of.count + 1);
        }
        of.newest = (snapshot, missing);
        // A name that is not told does not hide one that was.
        of.name = name.or(of.name.take());
    }
    Ok(devices)
}
