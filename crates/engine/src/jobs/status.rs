//! One line a device: when it was last backed up, and whether that is long ago.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat_repo::{Snapshot, Tag};
use serde::Serialize;

use crate::error::JobError;
use crate::job::{Context, Places, blocking};
use crate::jobs::snapshots::device_snapshots;
use crate::working_tree::area::Area;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceStatus {
    /// Its identifier.
    pub udid: String,
    /// Its name.
    pub device_name: Option<String>,
    /// Its newest complete snapshot.
    pub snapshot: String,
    /// When that was made.
    pub time: Timestamp,
    /// How long ago, in seconds.
    pub age_seconds: u64,
    /// Whether that is longer than allowed.
    pub stale: bool,
    /// How many complete snapshots it has.
    pub snapshots: u64,
    /// Whether a broken run has kept something for the next one.
    pub broken_run: bool,
}

/// Tells each device's status; `max_age` decides what is stale. A device without a complete snapshot is not in the list.
pub async fn run(
    ctx: &Context,
    places: Places,
    udid: Option<&str>,
    max_age: Option<Duration>,
) -> Result<Vec<DeviceStatus>, JobError> {
    let (udid, now) = (udid.map(ToOwned::to_owned), ctx.host.now());
    blocking(move || {
        let repository = places.open()?;
        let mut devices: BTreeMap<String, (Snapshot, u64)> = BTreeMap::new();
        for snapshot in device_snapshots(&repository, udid.as_deref())? {
            if snapshot.is(Tag::Complete) {
                // Oldest first: the last one stays.
                let count = devices.get(&snapshot.udid).map_or(0, |(_, count)| *count);
                devices.insert(snapshot.udid.clone(), (snapshot, count + 1));
            }
        }
        let status = |(udid, (snapshot, count)): (String, (Snapshot, u64))| {
            let age = Duration::try_from(now.duration_since(snapshot.time)).unwrap_or_default();
            DeviceStatus {
                broken_run: Area::is_kept(&places.working_area, &udid),
                udid,
                device_name: snapshot.label,
                snapshot: snapshot.id.to_string(),
                time: snapshot.time,
                age_seconds: age.as_secs(),
                stale: max_age.is_some_and(|max_age| age > max_age),
                snapshots: count,
            }
        };
        Ok(devices.into_iter().map(status).collect())
    })
    .await
}
