//! Probes: each looks at one thing, has a limit, never fails, and says of every key that it tells what it saw or why it did not.
//!
//! They run side by side over what they share ([`ProbeContext`]): one list of devices, one link, one reading of the true time. A
//! probe that is late is left behind; the slow ones stop in time and tell *at least*.

pub(crate) mod context;
mod derive;
mod outside;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat_host::net::BoxFuture;
use tokio::task::JoinSet;

use crate::catalogue::For;
use crate::fact::{Facts, Key, Why};
use crate::probes;
use crate::report::ProbeRun;

pub use context::{BackupPassword, Backups, Existing, Listen, ProbeContext, RunWindow, Tell};
pub use derive::{Room, derive, need, room};
pub use outside::{Outside, OutsideFile};

/// The longest that a whole run may take, the time of listening not counted.
const WHOLE: Duration = Duration::from_secs(20);
/// What a probe may take longer than its own limit before it is stopped from outside.
const GRACE: Duration = Duration::from_millis(250);

/// A row of the table of probes.
#[derive(Clone, Copy)]
pub struct Probe {
    /// Its number, for ever.
    pub id: &'static str,
    /// What it looks at, in a few words that can stand after "looking at" and after "checked:".
    pub about: &'static str,
    /// The keys that it tells; the first is what it is about: a probe that does not know it has not seen that all is well.
    pub tells: &'static [&'static str],
    /// Looks.
    pub run: for<'a> fn(&'a ProbeContext) -> BoxFuture<'a, Facts>,
    /// When it is stopped; what it knew by then is told only where it minds the time itself.
    pub limit: Duration,
    /// Belongs to the look before each backup: quick, and nothing outside the local network. Not in it: what waits for
    /// announcements on the local network (P16), the last run (P21), and the backups that are there (P27, P31), which the run
    /// opens itself a moment later.
    pub cheap: bool,
    /// Takes its time and stops in it: *at least*.
    pub slow: bool,
    /// Asks outside the local network.
    pub outside: bool,
    /// Which kinds of backup it concerns.
    pub concern: &'static [For],
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("id", &self.id).finish_non_exhaustive()
    }
}

const BOTH: &[For] = &[For::Computer, For::Icloud];

/// A probe of the usual kind: three seconds, before each backup, for both kinds of backup.
const fn cheap(
    id: &'static str,
    about: &'static str,
    tells: &'static [&'static str],
    run: for<'a> fn(&'a ProbeContext) -> BoxFuture<'a, Facts>,
) -> Probe {
    let limit = Duration::from_secs(5);
    Probe { id, about, tells, run, limit, cheap: true, slow: false, outside: false, concern: BOTH }
}

const fn thorough(
    id: &'static str,
    about: &'static str,
    tells: &'static [&'static str],
    run: for<'a> fn(&'a ProbeContext) -> BoxFuture<'a, Facts>,
) -> Probe {
    Probe { cheap: false, ..cheap(id, about, tells, run) }
}

/// One that looks into the backups that are there.
const fn stored(probe: Probe) -> Probe {
    Probe { limit: Duration::from_secs(13), cheap: false, ..probe }
}

const fn slow(probe: Probe) -> Probe {
    Probe { slow: true, cheap: false, ..probe }
}

const fn outside(probe: Probe, concern: &'static [For]) -> Probe {
    Probe { outside: true, cheap: false, concern, ..probe }
}

/// Writes an asynchronous function as a row wants it.
macro_rules! run {
    ($path:path) => {
        |context| Box::pin($path(context))
    };
}

/// All probes, in the order of their numbers (`docs/architecture.md`).
pub static PROBES: &[Probe] = &[
    cheap("P01", "the USB bus", probes::bus::PRESENCE, run!(probes::bus::presence)),
    cheap("P02", "cable, port and hubs", probes::bus::CABLE, run!(probes::bus::cable)),
    cheap("P03", "usbmuxd", probes::mux::TELLS, run!(probes::mux::look)),
    cheap("P04", "the mode of the device", probes::pairing::MODE, run!(probes::pairing::mode)),
    cheap(
        "P05",
        "the trust between device and computer",
        probes::pairing::TRUST,
        run!(probes::pairing::trust),
    ),
    cheap(
        "P06",
        "whether the device is locked",
        probes::pairing::LOCK,
        run!(probes::pairing::lock),
    ),
    cheap("P07", "model and iOS", probes::identity::TELLS, run!(probes::identity::look)),
    cheap("P08", "the clock of the device", probes::clock::DEVICE, run!(probes::clock::device)),
    cheap(
        "P09",
        "the storage of the device",
        probes::values::STORAGE,
        run!(probes::values::storage),
    ),
    cheap("P10", "battery and power", probes::values::BATTERY, run!(probes::values::battery)),
    cheap(
        "P11",
        "the settings for computer backups",
        probes::values::BACKUP,
        run!(probes::values::backup),
    ),
    cheap(
        "P12",
        "iCloud Backup's switch and date",
        probes::values::CLOUD,
        run!(probes::values::cloud),
    ),
    cheap(
        "P13",
        "management of the device",
        probes::management::TELLS,
        run!(probes::management::look),
    ),
    cheap("P14", "whether setup is finished", probes::values::SETUP, run!(probes::values::setup)),
    cheap("P15", "Find My", probes::values::FIND_MY, run!(probes::values::find_my)),
    thorough("P16", "Wi-Fi sync", probes::wifi::SYNC, run!(probes::wifi::sync)),
    thorough("P17", "the Wi-Fi of the device", probes::wifi::RADIO, run!(probes::wifi::radio)),
    slow(cheap("P18", "the apps", probes::content::APPS, run!(probes::content::apps))),
    slow(cheap("P19", "photos and videos", probes::content::MEDIA, run!(probes::content::media))),
    thorough("P20", "the log of the device", probes::log::TELLS, run!(probes::log::look)),
    // A run that failed must not keep the next one from being tried.
    thorough("P21", "the last run", probes::job::TELLS, run!(probes::job::look)),
    outside(
        cheap("P22", "the clock of this computer", probes::clock::HOST, run!(probes::clock::host)),
        BOTH,
    ),
    cheap(
        "P23",
        "the place for the backup",
        probes::destination::TELLS,
        run!(probes::destination::look),
    ),
    outside(
        cheap("P24", "the network to Apple", probes::network::TELLS, run!(probes::network::look)),
        &[For::Icloud],
    ),
    outside(
        cheap("P25", "Apple's status page", probes::apple::STATUS, run!(probes::apple::status)),
        &[For::Icloud],
    ),
    outside(
        cheap(
            "P26",
            "the newest iOS for the model",
            probes::apple::VERSIONS,
            run!(probes::apple::versions),
        ),
        BOTH,
    ),
    stored(cheap(
        "P27",
        "the backup that is there",
        probes::existing::TELLS,
        run!(probes::existing::look),
    )),
    stored(cheap(
        "P28",
        "the device's own diary of iCloud Backup",
        probes::diary::TELLS,
        run!(probes::diary::look),
    )),
    cheap(
        "P29",
        "sleep, power and programs of this computer",
        probes::computer::TELLS,
        run!(probes::computer::look),
    ),
    thorough("P30", "iCloud Photos", probes::content::PHOTOS, run!(probes::content::photos)),
    stored(cheap(
        "P31",
        "the password of computer backups",
        probes::password::TELLS,
        run!(probes::password::look),
    )),
];

/// Returns the probe of that number.
pub fn find(id: &str) -> Option<&'static Probe> {
    PROBES.iter().find(|probe| probe.id == id)
}

/// Which probes are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The quick ones, as before each backup.
    Preflight,
    /// All that concern the kind of backup.
    All,
    /// These numbers only, to see whether something helped.
    Only(Vec<String>),
}

impl Choice {
    fn takes(&self, probe: &Probe, context: &ProbeContext) -> bool {
        if probe.outside && context.offline {
            return false;
        }
        match self {
            Self::Preflight => probe.cheap,
            Self::All => probe.concern.contains(&context.concern),
            Self::Only(ids) => ids.iter().any(|id| id == probe.id),
        }
    }
}

/// What is told while probes run.
#[derive(Debug, Clone, Copy)]
pub enum Look {
    /// A probe looks now.
    Began(&'static Probe),
    /// A probe is done.
    Ended(&'static Probe, Duration),
}

/// What the probes saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The facts, what follows from them included.
    pub facts: Facts,
    /// How each probe went, by number.
    pub runs: Vec<ProbeRun>,
}

/// Runs the probes side by side, tells `sink` what is being looked at, and puts together what they saw.
///
/// Keys of probes that were not run are not known: [`Why::Offline`], [`Why::Blinded`] or [`Why::NotLooked`].
pub async fn run_all(
    context: Arc<ProbeContext>,
    choice: &Choice,
    sink: impl Fn(Look) + Send + Sync,
) -> Seen {
    let mut seen = Seen::default();
    let mut running: BTreeMap<&str, (&'static Probe, Instant)> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    for probe in PROBES {
        if context.blind.contains(probe.id) {
            seen.facts.unknown(probe.tells, &Why::Blinded);
        } else if choice.takes(probe, &context) {
            sink(Look::Began(probe));
            running.insert(probe.id, (probe, Instant::now()));
            let context = Arc::clone(&context);
            tasks.spawn(async move { (probe, run_one(probe, &context).await) });
        } else {
            let left_out = probe.outside && context.offline;
            let why = if left_out { Why::Offline } else { Why::NotLooked };
            seen.facts.unknown(probe.tells, &why);
        }
    }
    let deadline = tokio::time::Instant::now() + WHOLE + listening(&context);
    let mut told = BTreeMap::new();
    while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, tasks.join_next()).await {
        // A probe that broke off is among those that are left over.
        let Ok((probe, facts)) = ended else { continue };
        if let Some((_, began)) = running.remove(probe.id) {
            sink(Look::Ended(probe, began.elapsed()));
            seen.runs.push(ran(probe, began.elapsed()));
            told.insert(probe.id, facts);
        }
    }
    // Where two tell the same: what the device says right now in its log, then the one with the smaller number.
    let log = told.remove("P20");
    for facts in told.into_values().rev().chain(log) {
        seen.facts.merge(facts);
    }
    for (probe, began) in running.into_values() {
        sink(Look::Ended(probe, began.elapsed()));
        seen.runs.push(ran(probe, began.elapsed()));
        seen.facts.unknown(probe.tells, &Why::TimedOut);
    }
    seen.runs.sort_by(|a, b| a.id.cmp(&b.id));
    derive(&mut seen.facts);
    seen
}

/// How long the log of the device is followed because somebody wants that.
fn listening(context: &ProbeContext) -> Duration {
    context.listen.as_ref().map(|listen| listen.time).unwrap_or_default()
}

async fn run_one(probe: &'static Probe, context: &ProbeContext) -> Facts {
    let listening = if probe.id == "P20" { listening(context) } else { Duration::ZERO };
    let limit = probe.limit + listening + GRACE;
    let mut facts = match tokio::time::timeout(limit, (probe.run)(context)).await {
        Ok(facts) => facts,
        Err(_) => Facts::new(),
    };
    let said_nothing = facts.is_empty();
    let why = if said_nothing { Why::TimedOut } else { Why::NotLooked };
    facts.unknown(probe.tells, &why);
    debug_assert!(
        facts.iter().all(|(key, _)| probe.tells.contains(&key.as_str())),
        "{} tells what it does not declare",
        probe.id
    );
    facts
}

fn ran(probe: &Probe, took: Duration) -> ProbeRun {
    ProbeRun {
        id: probe.id.to_owned(),
        about: probe.about.to_owned(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        tells: probe.tells.iter().filter_map(|key| Key::find(key).ok()).collect(),
    }
}

#[cfg(test)]
mod tests;
