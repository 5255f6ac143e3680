//! Whether what arrived is a whole backup: the manifests read, and every row has its payload.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::verify::{
    Freshness, MOST_FINDINGS, Options, Payloads, Problem, Report, Verifier, Weight,
};
use lifeboat_mobilesync::{
    FileId, ManifestDb, ManifestError, ManifestPlist, Row, SnapshotState, StatusPlist, Tally,
};

use crate::error::{Cause, JobError};
use crate::keys::Locked;
use crate::layout::{MOST_NAMED, NamedFile, Names};
use crate::opening::{Fate, Fates};
use crate::unlock::Lock;
use crate::working_tree::overlay::{Overlay, Trouble};
use crate::working_tree::rows::Rows;
use crate::working_tree::tree::{Node, Origin};

/// The largest property list that is read.
const PLIST_LIMIT: u64 = 64 << 20;

/// A file that the device told an error of.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Its file ID, where it can be told.
    pub(crate) id: Option<FileId>,
    /// Its path on the device.
    pub(crate) device_path: String,
}

/// A backup that was found whole enough to keep.
pub(crate) struct Verified {
    /// What Manifest.plist says.
    pub(crate) manifest: ManifestPlist,
    /// Manifest.db on the local disk; `None` for an encrypted backup that stays sealed, its manifest like all else.
    pub(crate) database: Option<Utf8PathBuf>,
    /// What opened it, and why nothing did; neither of an unencrypted one.
    pub(crate) lock: Lock,
    /// Which names can be plain paths.
    pub(crate) names: Names,
    /// What was found; empty for a backup that stays sealed.
    pub(crate) report: Report,
    /// What the manifest's rows came to, those included that cannot be read.
    pub(crate) tally: Tally,
    /// Rows that were given out without a record.
    pub(crate) without_record: u64,
}

/// Says which rows of a manifest cannot be read; `None` when all can. A record that cannot be decoded is a finding about
/// its row; leftovers without a name are legal.
pub(crate) fn unreadable(tally: &Tally, rows_without_record: u64) -> Option<(u64, String)> {
    let kinds = tally.bad_records.saturating_sub(rows_without_record);
    let count = tally.bad_ids + tally.bad_texts + kinds;
    (count > 0).then(|| {
        let text = format!(
            "{} of the manifest cannot be read ({} without a file id, {} without a usable name, {kinds} of no known kind)",
            crate::words::things(count, "row"),
            tally.bad_ids,
            tally.bad_texts
        );
        (count, text)
    })
}

impl Verified {
    /// Returns how many rows cannot be read, and says so.
    pub(crate) fn unreadable(&self) -> Option<(u64, String)> {
        unreadable(&self.tally, self.without_record)
    }

    /// Returns the IDs of files that are not there or not whole; of very many only the first.
    pub(crate) fn damaged(&self) -> BTreeSet<FileId> {
        let findings = self.report.findings.iter();
        let damage = findings.filter(|finding| finding.problem.weight() == Weight::Damage);
        damage.map(|finding| finding.file_id).collect()
    }

    /// Returns how many files are missing or not whole, rows that cannot be read and files that the device told errors of
    /// among them; `told` has their IDs, where they can be told. None means that the backup is complete.
    pub(crate) fn missing(&self, told: &[Told]) -> u64 {
        let own = u64::from(self.damaged_own().is_some());
        let damaged = self.damaged();
        let count = match self.report.damages() {
            listed if listed <= MOST_FINDINGS => damaged.len() as u64,
            more => more,
        };
        let others: BTreeSet<_> =
            told.iter().filter_map(|told| told.id).filter(|id| !damaged.contains(id)).collect();
        let unnamed = told.iter().filter(|told| told.id.is_none()).count();
        own + count
            + (others.len() + unnamed) as u64
            + self.unreadable().map_or(0, |(rows, _)| rows)
    }

    /// Returns why the backup stays sealed.
    pub(crate) fn locked(&self) -> Option<&Locked> {
        match &self.lock {
            Lock::Sealed(locked) => Some(locked),
            Lock::None | Lock::Open(_) => None,
        }
    }

    /// Names the file of the backup's own that is damaged so that no password opens it.
    fn damaged_own(&self) -> Option<NamedFile> {
        let locked = self.locked()?;
        let path = locked.damaged()?.to_owned();
        Some(NamedFile { domain: None, path, why: locked.id().to_owned() })
    }

    /// Names the first files that are missing or not whole; `name_of` knows the names of those that the device told errors of.
    pub(crate) fn missing_files(
        &self,
        told: &[Told],
        name_of: &HashMap<FileId, NamedFile>,
    ) -> Vec<NamedFile> {
        let damaged = self.damaged();
        let others = told.iter().filter(|told| told.id.is_none_or(|id| !damaged.contains(&id)));
        let others = others.map(|told| {
            let known = told.id.and_then(|id| name_of.get(&id)).cloned();
            known.unwrap_or_else(|| NamedFile {
                domain: None,
                path: told.device_path.clone(),
                why: NOT_SENT.to_owned(),
            })
        });
        let found = self.found(|problem| problem.weight() == Weight::Damage);
        self.damaged_own().into_iter().chain(found).chain(others).take(MOST_NAMED).collect()
    }

    /// Names the first files that the device itself calls incomplete.
    pub(crate) fn known_incomplete(&self) -> Vec<NamedFile> {
        self.found(|problem| *problem == Problem::KnownIncomplete).take(MOST_NAMED).collect()
    }

    fn found(&self, wanted: impl Fn(&Problem) -> bool) -> impl Iterator<Item = NamedFile> {
        let findings = self.report.findings.iter();
        findings.filter(move |finding| wanted(&finding.problem)).map(|finding| NamedFile {
            domain: Some(finding.domain.clone()),
            path: finding.relative_path.clone(),
            why: why(&finding.problem).to_owned(),
        })
    }
}

/// Why a file is missing that the device told an error of.
pub(crate) const NOT_SENT: &str = "not-sent";

/// Returns the word for a problem in `about.json`.
fn why(problem: &Problem) -> &'static str {
    match problem {
        Problem::Missing => "missing",
        Problem::Stale => "stale",
        Problem::Size { .. } => "size",
        Problem::Digest => "digest",
        Problem::Unreadable(_) => "unreadable",
        Problem::Record => "record",
        Problem::NoKey => "no-key",
        Problem::KnownIncomplete => "known-incomplete",
        _ => "other",
    }
}

/// The payloads of a working tree.
struct TreePayloads<'a> {
    overlay: &'a Overlay,
    udid: &'a str,
    /// What the base's manifest said of its payloads.
    of_base: Rows,
    /// What became of the payloads of an encrypted backup.
    fates: Option<&'a Fates>,
}

fn io_error(trouble: Trouble) -> io::Error {
    match trouble {
        Trouble::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

impl TreePayloads<'_> {
    fn path(&self, id: &FileId) -> String {
        format!("{}/{}", self.udid, id.path())
    }
}

impl Payloads for TreePayloads<'_> {
    fn size(&self, id: &FileId) -> io::Result<Option<u64>> {
        Ok(self.overlay.tree().file(&self.path(id)).ok().map(|file| file.size))
    }

    fn open(&self, id: &FileId) -> io::Result<Box<dyn Read + '_>> {
        let (_, reader) = self.overlay.open(&self.path(id)).map_err(io_error)?;
        Ok(reader)
    }

    fn each(&self, visit: &mut dyn FnMut(FileId, u64)) -> io::Result<()> {
        for_each_payload(self.overlay, self.udid, &mut |id, size| {
            visit(id, size);
            Ok(())
        })
    }

    fn sha1(&self, id: &FileId) -> io::Result<Option<[u8; 20]>> {
        if let Some(Fate::Opened { sha1: Some(sha1), .. }) =
            self.fates.and_then(|fates| fates.get(id))
        {
            return Ok(Some(*sha1));
        }
        Ok(match self.overlay.tree().file(&self.path(id)).map(|file| file.origin) {
            Ok(Origin::Received(number)) => {
                self.overlay.received(number).and_then(|received| received.sha1)
            }
            Ok(Origin::Base(_)) => self.of_base.digest(id),
            Err(_) => None,
        })
    }

    fn freshness(&self, row: &Row) -> io::Result<Freshness> {
        let file = self.overlay.tree().file(&self.path(&row.file_id));
        let Ok(Origin::Base(number)) = file.map(|file| file.origin) else {
            return Ok(Freshness::Current);
        };
        let base = self.overlay.base();
        let stayed = base.is_some_and(|base| base.is_payload_of(number, &row.file_id));
        // What the device moved there in this run came in this run.
        Ok(if stayed { self.of_base.freshness(row) } else { Freshness::Current })
    }
}

/// Calls `each` for every payload in the device's folder.
pub(crate) fn for_each_payload<E>(
    overlay: &Overlay,
    udid: &str,
    each: &mut dyn FnMut(FileId, u64) -> Result<(), E>,
) -> Result<(), E> {
    for byte in 0..=255u8 {
        let prefix = format!("{byte:02x}");
        let Ok(directory) = overlay.tree().directory(&format!("{udid}/{prefix}")) else { continue };
        for (name, node) in directory.entries() {
            if let (Node::File(file), Ok(id)) = (node, name.parse::<FileId>())
                && id.prefix() == prefix
            {
                each(id, file.size)?;
            }
        }
    }
    Ok(())
}

fn failed(what: &str) -> impl Fn(Trouble) -> JobError + '_ {
    move |trouble| match trouble {
        Trouble::Io(error) => JobError::of(Cause::Disk, what, &error),
        _ => JobError::new(Cause::VerifyFailed, what.to_owned()),
    }
}

/// Reads the device's last word about its backup.
pub(crate) fn status(overlay: &Overlay, udid: &str) -> Result<StatusPlist, JobError> {
    let bytes = overlay
        .read(&format!("{udid}/Status.plist"), PLIST_LIMIT)
        .map_err(failed("Status.plist is not there"))?;
    StatusPlist::parse(&bytes)
        .map_err(|error| JobError::of(Cause::VerifyFailed, "Status.plist cannot be read", &error))
}

/// Reads Manifest.plist.
pub(crate) fn manifest_plist(overlay: &Overlay, udid: &str) -> Result<ManifestPlist, JobError> {
    let bytes = overlay
        .read(&format!("{udid}/Manifest.plist"), PLIST_LIMIT)
        .map_err(failed("Manifest.plist is not there"))?;
    ManifestPlist::parse(&bytes)
        .map_err(|error| JobError::of(Cause::VerifyFailed, "Manifest.plist cannot be read", &error))
}

/// Verifies the backup in a working tree; `lock` says what opens it where it is encrypted, `of_base` what the manifest of the base
/// says.
pub(crate) fn verify(
    overlay: &Overlay,
    udid: &str,
    lock: Lock,
    of_base: Rows,
) -> Result<Verified, JobError> {
    let status = status(overlay, udid)?;
    if status.snapshot_state != SnapshotState::Finished {
        let state = status.snapshot_state.as_str();
        return Err(JobError::new(
            Cause::VerifyFailed,
            format!("the device calls its backup “{state}”, not “finished”"),
        ));
    }
    let manifest = manifest_plist(overlay, udid)?;
    let path = format!("{udid}/Manifest.db");
    let mut verified = Verified::of(manifest, lock);
    let is_open = matches!(verified.lock, Lock::Open(_));
    if verified.manifest.is_encrypted && !is_open {
        overlay
            .tree()
            .file(&path)
            .map_err(|_| JobError::new(Cause::VerifyFailed, "Manifest.db is not there"))?;
        return Ok(verified);
    }
    let lock = std::mem::replace(&mut verified.lock, Lock::None);
    let (database, fates) = match &lock {
        Lock::Open(unlocked) => (unlocked.manifest.file.path().to_owned(), Some(&unlocked.fates)),
        _ => (overlay.materialize(&path).map_err(failed("Manifest.db is not there"))?, None),
    };
    let payloads = TreePayloads { overlay, udid, of_base, fates };
    verified.rows(&payloads, &database)?;
    verified.database = Some(database);
    verified.lock = lock;
    Ok(verified)
}

impl Verified {
    /// Makes one of which nothing was looked at yet.
    pub(crate) fn of(manifest: ManifestPlist, lock: Lock) -> Self {
        Self {
            manifest,
            database: None,
            lock,
            names: Names::new(),
            report: Report::default(),
            tally: Tally::default(),
            without_record: 0,
        }
    }

    /// Holds every row of a manifest against its payload.
    pub(crate) fn rows(
        &mut self,
        payloads: &dyn Payloads,
        database: &Utf8Path,
    ) -> Result<(), JobError> {
        let Self { manifest, names, report, tally, without_record, .. } = self;
        let db = ManifestDb::open(database).map_err(|error| manifest_error(&error))?;
        let options = Options { encrypted: manifest.is_encrypted, digests: true };
        let mut verifier = Verifier::new(payloads, options);
        let mut broken = None;
        let read = db.for_each(|row| {
            names.add(&row.domain, &row.relative_path, row.kind);
            *without_record += u64::from(row.file.is_none());
            if broken.is_none() {
                broken = verifier.row(&row).err();
            }
        });
        *tally = read.map_err(|error| manifest_error(&error))?;
        let found = match broken {
            Some(error) => Err(error),
            None => verifier.finish(),
        };
        *report = found
            .map_err(|error| JobError::of(Cause::Disk, "the backup cannot be verified", &error))?;
        Ok(())
    }
}

fn manifest_error(error: &ManifestError) -> JobError {
    let cause = match error {
        ManifestError::OldFormat => Cause::Unsupported,
        _ => Cause::VerifyFailed,
    };
    JobError::of(cause, "Manifest.db cannot be used", error)
}
