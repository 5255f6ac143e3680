//! What is on the phone, one module a kind of data.
//!
//! Each module has a `create` for a new phone and, where days change it, a `live`. People ([`words::people`]) are the
//! same in all of them.

use super::DiskError;
use super::apps::InstalledApp;
use super::maker::Maker;
use super::prng::Rng;

mod calendar;
mod calls;
mod contacts;
mod containers;
mod database;
mod filler;
mod health;
mod messages;
mod notes;
mod oddities;
mod photos;
mod safari;
mod system;
pub(crate) mod words;

pub(crate) use system::keep_preference;

/// Things that happen one after the other in a stretch of time.
#[derive(Clone, Copy)]
struct Stretch {
    /// When it begins and ends, Unix seconds.
    start: i64,
    end: i64,
    /// How many.
    count: i64,
}

impl Stretch {
    /// Takes the time that the maker fills.
    fn new(maker: &Maker<'_>, count: u64) -> Self {
        Self { start: maker.start, end: maker.end, count: database::signed(count) }
    }

    /// Returns when the thing with a number happens: in its own part of the stretch.
    fn moment(&self, number: i64, rng: &mut Rng) -> i64 {
        let step = (self.end - self.start) / self.count.max(1);
        self.start + step * number + rng.between(0, step.max(1))
    }
}

/// Makes everything on a new phone and returns its apps.
pub(crate) fn create(maker: &mut Maker<'_>) -> Result<Vec<InstalledApp>, DiskError> {
    messages::create(maker)?;
    contacts::create(maker)?;
    calls::create(maker)?;
    calendar::create(maker)?;
    notes::create(maker)?;
    safari::create(maker)?;
    photos::create(maker)?;
    health::create(maker)?;
    let apps = containers::create(maker)?;
    system::create(maker, &apps)?;
    oddities::create(maker);
    filler::create(maker, &apps);
    Ok(apps)
}

/// Lets some days pass.
pub(crate) fn live(
    maker: &mut Maker<'_>,
    apps: &mut [InstalledApp],
    days: u64,
    rng: &mut Rng,
) -> Result<(), DiskError> {
    messages::live(maker, days, rng)?;
    contacts::live(maker, rng)?;
    calls::live(maker, days, rng)?;
    calendar::live(maker, days, rng)?;
    notes::live(maker, days, rng)?;
    safari::live(maker, days, rng)?;
    photos::live(maker, days, rng)?;
    health::live(maker, days, rng)?;
    containers::live(maker, apps, days, rng)?;
    system::live(maker, days, rng)
}

/// Lets some days pass on which only messages and photos come.
pub(crate) fn live_on(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    messages::live(maker, days, rng)?;
    photos::live(maker, days, rng)
}
