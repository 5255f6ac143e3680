//! What is remembered of the last run of each device: how it ended, as facts for the doctor, and what the device's log told then.
//!
//! One small JSON file a device, `last-runs/<UDID>.json` in the working area, readable by its owner only. It holds what the run's error
//! said, with the path that it names; else no path, no name and no log line that is not needed: of the place where a run broke only a
//! digest, of the log only what the doctor's patterns know.
//! A file that cannot be read, or that a newer program wrote, counts as none.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use jiff::{SignedDuration, Timestamp};
use lifeboat_device::mux::same_udid;
use lifeboat_doctor::{Facts, For, RunSaid, Value};
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use crate::error::JobError;
use crate::working_tree::area::{is_udid, private_file, private_folder};

/// The version of the file's form.
const FORMAT: u32 = 1;
/// No honest file is longer.
const LONGEST: u64 = 4 << 20;
/// How many lines of the log are kept at most.
pub(crate) const MOST_LINES: usize = 500;
/// What the log of a run says counts this long.
const FRESH: SignedDuration = SignedDuration::from_hours(24);
/// How much of an error's text is kept, in characters.
const LONGEST_ERROR: usize = 2000;

/// What is remembered of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastRun {
    format: u32,
    /// When it began.
    #[serde(default)]
    pub(crate) began: Option<Timestamp>,
    /// When it ended.
    pub(crate) at: Timestamp,
    /// What it told: facts `job.*` and `log.*`.
    facts: BTreeMap<String, Stored>,
    /// A digest of the path where it broke.
    #[serde(default)]
    pub(crate) place: Option<String>,
    /// What the device's log said in the last minute of a run that failed.
    #[serde(default)]
    pub(crate) log: Vec<String>,
    /// What its error said.
    #[serde(default)]
    error: Option<String>,
    /// The path on the device that the error names.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// What was free at the destination when it ended, in bytes; nothing where it did not fail, or nobody looked.
    #[serde(default)]
    pub(crate) free: Option<i64>,
}

/// A value that is known; what is not known need not be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Flag(bool),
    Number(i64),
    Word(String),
}

impl LastRun {
    /// Remembers the facts `job.*` and `log.*` of a run.
    pub(crate) fn new(
        window: (Timestamp, Timestamp),
        facts: &Facts,
        place: Option<&str>,
        log: Vec<String>,
    ) -> Self {
        let (began, at) = window;
        let known = facts.iter().filter_map(|(key, value)| {
            let name = key.as_str();
            let mine = name.starts_with("job.") || name.starts_with("log.");
            Some((name.to_owned(), stored(value)?)).filter(|_| mine && !key.declared().private)
        });
        let (began, facts) = (Some(began), known.collect());
        let place = place.map(digest);
        Self { format: FORMAT, began, at, facts, place, log, error: None, path: None, free: None }
    }

    /// Adds what was free at the destination when it ended.
    pub(crate) fn with_free(self, free: Option<i64>) -> Self {
        Self { free, ..self }
    }

    /// Whether it ended within a day of that moment; one that is dated in the future is of another day, too.
    pub(crate) fn is_of_today(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).abs() <= FRESH
    }

    /// Adds what the run's error said.
    pub(crate) fn failed(self, error: Option<&JobError>) -> Self {
        let said = error.map(|error| error.message.chars().take(LONGEST_ERROR).collect());
        Self { error: said, path: error.and_then(|error| error.clues.path.clone()), ..self }
    }

    /// Returns what it said in words of others.
    pub(crate) fn said(&self) -> RunSaid {
        RunSaid { error: self.error.clone(), log: self.log.clone() }
    }

    /// Returns the facts; what this program's table does not know is left out.
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        for (key, value) in &self.facts {
            let told = match value {
                Stored::Flag(flag) => facts.insert(key, *flag),
                Stored::Number(number) => facts.insert(key, *number),
                Stored::Word(word) => facts.insert(key, word.as_str()),
            };
            if let Err(error) = told {
                tracing::debug!(%error, "a fact of the last run is not known here");
            }
        }
        facts
    }

    /// Says whether what the device's log told during this run may still be so: it was a backup to this computer, and speaks of such
    /// backups alone, and a log that is a day old says nothing of today.
    pub(crate) fn log_speaks(&self, concern: For, now: Timestamp) -> bool {
        concern == For::Computer && self.is_of_today(now)
    }

    /// Returns the log that still speaks.
    pub(crate) fn log_of_today(&self, concern: For, now: Timestamp) -> Vec<String> {
        if self.log_speaks(concern, now) { self.log.clone() } else { Vec::new() }
    }

    /// Returns the facts that still speak: all but those of a log that is too old, or of another kind of backup.
    pub(crate) fn facts_of_today(&self, concern: For, now: Timestamp) -> Facts {
        let mut facts = Facts::new();
        let speaks = self.log_speaks(concern, now);
        for (key, value) in self.facts().iter() {
            if speaks || !key.as_str().starts_with("log.") {
                facts.tell(key.as_str(), value.clone());
            }
        }
        facts
    }

    /// Says whether this run broke at that path.
    pub(crate) fn broke_at(&self, path: &str) -> bool {
        self.place.as_deref() == Some(digest(path).as_str())
    }

    /// Reads what is remembered of a device; nothing where there is nothing, or nothing that can be understood.
    pub(crate) fn read(working_area: &Utf8Path, udid: &str) -> Option<Self> {
        let path = path(working_area, udid)?;
        match read(&path) {
            Ok(run) => run,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "what is remembered of the last run cannot be read");
                None
            }
        }
    }

    /// Reads what is remembered where only one device ever ran: its UDID, and the run.
    pub(crate) fn only(working_area: &Utf8Path) -> Option<(String, Self)> {
        let mut found = None;
        for entry in folder(working_area).read_dir_utf8().ok()? {
            let entry = entry.ok()?;
            let Some(udid) = entry.file_name().strip_suffix(".json") else { continue };
            if found.replace(udid.to_owned()).is_some() {
                return None;
            }
        }
        let udid = found?;
        Self::read(working_area, &udid).map(|run| (udid, run))
    }

    /// Returns a UDID as it is written where something of that device is remembered: a device that is not there cannot say how it is
    /// spelled, and people leave its dash out or write small letters.
    pub(crate) fn spelled(working_area: &Utf8Path, typed: &str) -> String {
        let names = |folder: &Utf8Path| {
            let entries = folder.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
            entries.map(|entry| entry.file_name().to_owned()).collect::<Vec<_>>()
        };
        let runs = names(&folder(working_area)).into_iter();
        let runs = runs.filter_map(|name| name.strip_suffix(".json").map(str::to_owned));
        // A run that was killed has left its working area alone.
        let known = runs.chain(names(working_area)).find(|known| same_udid(known, typed));
        known.unwrap_or_else(|| typed.to_owned())
    }

    /// Writes it, whole or not at all.
    pub(crate) fn write(&self, working_area: &Utf8Path, udid: &str) -> io::Result<()> {
        let Some(path) = path(working_area, udid) else { return Ok(()) };
        private_folder(&folder(working_area))?;
        let fresh = path.with_extension("new");
        let mut file = private_file(&fresh)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    }
}

fn read(path: &Utf8Path) -> io::Result<Option<LastRun>> {
    if fs::metadata(path)?.len() > LONGEST {
        return Err(io::Error::other("it is too long"));
    }
    parse(&fs::read(path)?)
}

/// Understands what is remembered; nothing where a newer program wrote it.
fn parse(bytes: &[u8]) -> io::Result<Option<LastRun>> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_slice(bytes)?;
    if format > FORMAT {
        tracing::info!(format, "a newer program wrote what is remembered of the last run");
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(bytes)?))
}

/// Hands bytes to the reader; what was understood is written and comes back. For the fuzz target.
pub(crate) fn try_read(bytes: &[u8]) {
    let Ok(Some(run)) = parse(bytes) else { return };
    let _facts = run.facts();
    let json = serde_json::to_vec(&run).expect("it is plain data");
    assert_eq!(parse(&json).ok().flatten(), Some(run), "what is remembered comes back");
}

fn folder(working_area: &Utf8Path) -> Utf8PathBuf {
    working_area.join("last-runs")
}

/// A UDID comes from outside and becomes the name of a file.
fn path(working_area: &Utf8Path, udid: &str) -> Option<Utf8PathBuf> {
    is_udid(udid).then(|| folder(working_area).join(format!("{udid}.json")))
}

fn stored(value: &Value) -> Option<Stored> {
    match value {
        Value::Word(word) | Value::Text(word) => Some(Stored::Word(word.clone())),
        Value::Flag(flag) => Some(Stored::Flag(*flag)),
        Value::Number(number) | Value::AtLeast(number) => Some(Stored::Number(*number)),
        Value::Unknown(_) => None,
    }
}

fn digest(path: &str) -> String {
    hex::encode(Sha1::digest(path.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_run() -> impl Strategy<Value = LastRun> {
        let value = prop_oneof![
            any::<bool>().prop_map(Stored::Flag),
            any::<i64>().prop_map(Stored::Number),
            any::<String>().prop_map(Stored::Word),
        ];
        let key = prop_oneof!["job\\.[a-z-]{0,12}", any::<String>()];
        let facts = prop::collection::btree_map(key, value, 0..6);
        let moment = || {
            (-100_000_000_000_i64..100_000_000_000)
                .prop_map(|second| Timestamp::from_second(second).expect("a moment"))
        };
        let log = prop::collection::vec(any::<String>(), 0..4);
        let words = || any::<Option<String>>();
        let free = any::<Option<i64>>();
        let run =
            (prop::option::of(moment()), moment(), facts, words(), log, words(), words(), free);
        run.prop_map(|(began, at, facts, place, log, error, path, free)| LastRun {
            format: FORMAT,
            began,
            at,
            facts,
            place,
            log,
            error,
            path,
            free,
        })
    }

    proptest! {
        #[test]
        fn whatever_is_remembered_comes_back(run in any_run()) {
            let json = serde_json::to_vec(&run).unwrap();
            prop_assert_eq!(parse(&json).unwrap(), Some(run));
            try_read(&json);
        }

        #[test]
        fn noise_never_panics(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            run in any_run(),
            at: prop::sample::Index,
            to: u8,
        ) {
            try_read(&noise);
            let mut json = serde_json::to_vec(&run).unwrap();
            *at.get_mut(&mut json) = to;
            try_read(&json);
        }
    }

    const UDID: &str = "00008110-000A1B2C3D4E5F60";

    fn root() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    fn run() -> LastRun {
        let mut facts = Facts::new();
        facts.tell("job.code", 208);
        facts.tell("job.outcome", "failed");
        facts.tell("job.device-left", true);
        facts.tell("job.slow", lifeboat_doctor::Why::NotLooked);
        facts.tell("log.crash-path", "/var/mobile/anna");
        facts.tell("mux.state", "running");
        let window = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        LastRun::new(window, &facts, Some("HomeDomain/anna"), vec!["line".into()])
    }

    #[test]
    fn comes_back_as_it_was() {
        let (_dir, root) = root();
        run().write(&root, UDID).unwrap();
        let back = LastRun::read(&root, UDID).unwrap();
        assert_eq!(back, run());
        let facts = back.facts();
        assert_eq!(facts.value("job.code"), Some(&Value::Number(208)));
        assert!(facts.is("job.outcome", "failed") && facts.is("job.device-left", "yes"));
        assert_eq!((facts.value("mux.state"), facts.value("job.slow")), (None, None));
        assert!(back.broke_at("HomeDomain/anna") && !back.broke_at("HomeDomain/otto"));
        assert_eq!(LastRun::only(&root).map(|(udid, _)| udid).as_deref(), Some(UDID));
        let text = fs::read_to_string(path(&root, UDID).unwrap()).unwrap();
        assert!(!text.contains("anna"), "{text}");
    }

    /// A log that is a day old says nothing of today, and the log of a backup to this computer nothing of iCloud Backup.
    #[test]
    fn only_a_log_of_today_speaks_and_only_of_its_kind_of_backup() {
        let mut facts = Facts::new();
        facts.tell("job.outcome", "failed");
        facts.tell("log.power-lost", true);
        let at = Timestamp::UNIX_EPOCH;
        let run = LastRun::new((at, at), &facts, None, vec!["line".into()]);
        for (concern, hours, speaks) in [
            (For::Computer, 1, true),
            (For::Computer, 25, false),
            (For::Computer, 90 * 24, false),
            (For::Computer, -2, true),
            (For::Computer, -48, false),
            (For::Icloud, 1, false),
        ] {
            let now = at.checked_add(SignedDuration::from_hours(hours)).unwrap();
            assert_eq!(run.log_of_today(concern, now).is_empty(), !speaks, "{concern:?} {hours}");
            let told = run.facts_of_today(concern, now);
            assert_eq!(told.is("log.power-lost", "yes"), speaks, "{concern:?} {hours}");
            assert!(told.is("job.outcome", "failed"), "how it ended stays so");
        }
    }

    #[test]
    fn what_its_error_said_is_remembered_and_not_without_end() {
        let (_dir, root) = root();
        let mut error = JobError::new(crate::Cause::DeviceError, "no! ".repeat(1000));
        error.clues.path = Some("/.ba/mobile/anna".into());
        run().failed(Some(&error)).write(&root, UDID).unwrap();
        let back = LastRun::read(&root, UDID).unwrap();
        let said = back.said().error.unwrap();
        assert!(said.starts_with("no! no!") && said.len() == LONGEST_ERROR, "{}", said.len());
        assert_eq!((back.path.as_deref(), back.said().log), (Some("/.ba/mobile/anna"), back.log));
        assert_eq!(run().failed(None), run());
    }

    #[test]
    fn a_device_is_found_however_it_is_spelled() {
        let (_dir, root) = root();
        assert_eq!(LastRun::spelled(&root, UDID), UDID, "nothing is there yet");
        run().write(&root, UDID).unwrap();
        fs::create_dir(root.join("00008120-00FFEEDDCCBBAA99")).unwrap();
        for (typed, known) in [
            (UDID, UDID),
            ("00008110-000a1b2c3d4e5f60", UDID),
            ("00008110000a1b2c3d4e5f60", UDID),
            ("0000812000ffeeddccbbaa99", "00008120-00FFEEDDCCBBAA99"),
            ("00008110-000A1B2C3D4E5F61", "00008110-000A1B2C3D4E5F61"),
            ("last-runs-no", "last-runs-no"),
        ] {
            assert_eq!(LastRun::spelled(&root, typed), known);
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_dir, root) = root();
        run().write(&root, UDID).unwrap();
        let mode = |path: &Utf8Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path(&root, UDID).unwrap()), 0o600);
        assert_eq!(mode(&folder(&root)), 0o700);
    }

    #[test]
    fn what_cannot_be_understood_counts_as_none() {
        let (_dir, root) = root();
        assert_eq!(LastRun::read(&root, UDID), None);
        assert_eq!(LastRun::read(&root, "../../etc/passwd"), None);
        run().write(&root, UDID).unwrap();
        let path = path(&root, UDID).unwrap();
        for text in ["", "{", r#"{"format":2}"#, r#"{"format":1,"facts":7}"#, "[[[["] {
            fs::write(&path, text).unwrap();
            assert_eq!(LastRun::read(&root, UDID), None, "{text}");
        }
        // More fields, more facts and other words are no harm.
        let text = r#"{"format":1,"at":"2026-11-22T10:00:00Z","more":1,"facts":{"job.code":1,"job.new":2,"job.link":"new"}}"#;
        fs::write(&path, text).unwrap();
        assert_eq!(LastRun::read(&root, UDID).unwrap().facts().len(), 1);
    }
}
