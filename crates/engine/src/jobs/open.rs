//! Opens sealed snapshots whose password became known.
//!
//! Of each a second snapshot is written, of the same time and tagged `opened`. Only where every file of the sealed one was encrypted
//! again and compared, or is in the new one as it was sent, the sealed one is forgotten; else both stay.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::Arc;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use lifeboat_mobilesync::verify::Payloads;
use lifeboat_mobilesync::{FileId, ManifestPlist};
use lifeboat_repo::{Content, NewSnapshot, Repository, Snapshot, Tag, Writer, WriterOptions};
use serde::Serialize;

use crate::apple::{self, Form, Plain};
use crate::error::{At as _, Cause, JobError};
use crate::event::{Event, Note};
use crate::job::{Context, Outcome, Places, blocking, seconds_since};
use crate::keys::{Keyring, Keys, Locked};
use crate::layout::{About, CONTROL};
use crate::meter::Meter;
use crate::opening::{Fate, Fates, Opener, Source, Wanted};
use crate::scratch::Scratch;
use crate::stage::Stage;
use crate::store::{self, Backup, Own, Piece, Pieces, Run};
use crate::unlock::{Lock, PlainManifest, plain_manifest};
use crate::verify::Verified;
use crate::view;
use crate::words::{choose, first, things};
use crate::working_tree::area::Area;
use crate::working_tree::base;

/// How many snapshots a note names.
const NAMED: usize = 10;

/// What became of sealed snapshots.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenSummary {
    /// `done`; `incomplete` where one stays sealed; `postponed` where the next backup does it.
    pub outcome: Outcome,
    /// Those that were opened.
    pub opened: Vec<OpenedSnapshot>,
    /// Those that stay sealed.
    pub sealed: Vec<StillSealed>,
    /// How long it took.
    pub seconds: f64,
}

/// A snapshot that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenedSnapshot {
    /// The sealed one.
    pub sealed: String,
    /// The opened one.
    pub snapshot: String,
    /// When the backup was made.
    pub time: Timestamp,
    /// Files that stay as the device sent them.
    pub files_sealed: u64,
    /// Whether the sealed one was forgotten: all of it is in the opened one.
    pub forgotten: bool,
}

/// A snapshot that stays sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StillSealed {
    /// The snapshot.
    pub snapshot: String,
    /// When the backup was made.
    pub time: Timestamp,
    /// Why, in a word for programs: `password-unknown`, `backup-password-wrong`, `keybag-missing`, `keybag-damaged`,
    /// `manifest-key-damaged`, `manifest-damaged`, `repository-damaged`.
    pub why: String,
}

/// Opens all sealed snapshots of a device that something which is known opens: the context's passwords, those that the repository
/// keeps, and what earlier snapshots know.
pub async fn run(ctx: &Context, places: Places, udid: &str) -> Result<OpenSummary, JobError> {
    let (ctx, udid) = (ctx.clone(), udid.to_owned());
    blocking(move || {
        let started = ctx.host.now();
        ctx.events.stage(Stage::Snapshot);
        if Area::is_kept(&places.working_area, &udid) {
            return Ok(postponed(&ctx));
        }
        let repository = places.open_now(&*ctx.host)?;
        let scratch = Scratch::new(&places)?;
        let host = ctx.host.clone();
        let writer = repository.writer(&WriterOptions::new(Arc::new(move || host.now())))?;
        let ring = Keyring::gather(&ctx, Some(&repository), &udid)?;
        let place = scratch.path("sealed-manifest.db");
        let opening = Opening { ctx: &ctx, repository: &repository, writer: &writer, place };
        let mut summary = opening.all(&udid, ring).at(Stage::Snapshot)?;
        for opened in &summary.opened {
            ctx.events.tell(Event::Note(opened.note()));
        }
        if let Some(note) = still_sealed(&summary.sealed) {
            ctx.events.tell(Event::Note(note));
        }
        summary.seconds = seconds_since(&ctx, started);
        Ok(summary)
    })
    .await
}

/// What a broken run has kept rests on the newest snapshot as it is: nothing takes its place before the next backup.
fn postponed(ctx: &Context) -> OpenSummary {
    let message = "files of a broken run wait for the next backup, which opens the sealed snapshots at its end";
    ctx.events.tell(Event::Note(Note::new("opened-later", message)));
    let (opened, sealed) = (Vec::new(), Vec::new());
    OpenSummary { outcome: Outcome::Postponed, opened, sealed, seconds: 0.0 }
}

/// What opening sealed snapshots needs.
pub(crate) struct Opening<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) repository: &'a Repository,
    pub(crate) writer: &'a Writer,
    /// Where manifests go while they are read, on the local disk and readable by nobody else.
    pub(crate) place: Utf8PathBuf,
}

impl Opening<'_> {
    /// Opens all sealed snapshots of a device, the newest first.
    pub(crate) fn all(&self, udid: &str, mut ring: Keyring) -> Result<OpenSummary, JobError> {
        let (outcome, seconds) = (Outcome::Done, 0.0);
        let mut summary = OpenSummary { outcome, opened: Vec::new(), sealed: Vec::new(), seconds };
        // What could not be opened once is not tried again for the next snapshot of the same password.
        let mut in_vain: HashMap<Option<Vec<u8>>, String> = HashMap::new();
        for (snapshot, about) in self.sealed(udid)? {
            self.ctx.go_on()?;
            let opened =
                about.and_then(|about| self.one_of(&snapshot, &about, &mut ring, &mut in_vain));
            match opened {
                Ok(opened) => summary.opened.push(opened),
                Err(Stays::Because(why)) => {
                    summary.outcome = Outcome::Incomplete;
                    let (snapshot, time) = (snapshot.id.to_string(), snapshot.time);
                    summary.sealed.push(StillSealed { snapshot, time, why });
                }
                Err(Stays::Broken(error)) => return Err(*error),
            }
        }
        Ok(summary)
    }

    /// Opens one, unless what opened nothing once is all that there is for it.
    fn one_of(
        &self,
        snapshot: &Snapshot,
        about: &About,
        ring: &mut Keyring,
        in_vain: &mut HashMap<Option<Vec<u8>>, String>,
    ) -> Result<OpenedSnapshot, Stays> {
        let lost = |error| Stays::of(error, snapshot);
        let plist = apple::manifest_plist(self.repository, snapshot).map_err(lost)?;
        if let Some(why) = in_vain.get(&plist.keybag) {
            return Err(Stays::Because(why.clone()));
        }
        let keybag = plist.keybag.clone();
        self.one(snapshot, about, plist, ring).map_err(lost)?.map_err(|locked| {
            if locked.damaged().is_none() {
                in_vain.insert(keybag, locked.id().to_owned());
            }
            Stays::Because(locked.id().to_owned())
        })
    }

    /// Returns the sealed snapshots of a device that have no opened one of the same time, the newest first, and those that cannot tell
    /// what they are.
    fn sealed(&self, udid: &str) -> Result<Vec<OfSealed>, JobError> {
        let (snapshots, _) = self.repository.snapshots_and_damage()?;
        let of_device = snapshots.into_iter().filter(|snapshot| snapshot.udid == udid);
        let (opened, others): (Vec<_>, Vec<_>) =
            of_device.partition(|snapshot| snapshot.is(Tag::Opened));
        let mut sealed = Vec::new();
        for snapshot in others.into_iter().rev() {
            let is_backup = snapshot.is(Tag::Complete) || snapshot.is(Tag::Partial);
            if !is_backup || opened.iter().any(|opened| opened.time == snapshot.time) {
                continue;
            }
            match view::about(self.repository, &snapshot) {
                Ok(Some(about)) if about.is_sealed() => sealed.push((snapshot, Ok(about))),
                Ok(_) => {}
                Err(error) => {
                    let stays = Stays::of(error, &snapshot);
                    sealed.push((snapshot, Err(stays)));
                }
            }
        }
        Ok(sealed)
    }

    fn one(
        &self,
        snapshot: &Snapshot,
        sealed: &About,
        plist: ManifestPlist,
        ring: &mut Keyring,
    ) -> Result<Result<OpenedSnapshot, Locked>, JobError> {
        let keys = match ring.open(&plist, &|| self.ctx.go_on())? {
            Ok(keys) => keys,
            Err(locked) => return Ok(Err(locked)),
        };
        ring.learn(&keys);
        let manifest = match self.manifest(snapshot, &keys)? {
            Ok(manifest) => manifest,
            Err(locked) => return Ok(Err(locked)),
        };
        let contents = self.contents(snapshot, sealed)?;
        let fates = match self.open(&manifest, &keys, &contents) {
            Ok(fates) => fates,
            Err(error) if error.cause == Cause::VerifyFailed => {
                return Ok(Err(Locked::Manifest(error.message)));
            }
            Err(error) => return Err(error),
        };
        let mut verified = Verified::of(plist, Lock::None);
        let database = manifest.file.path().to_owned();
        let pieces = Sealed {
            repository: self.repository,
            writer: self.writer,
            contents: &contents,
            fates: &fates,
            manifest: &manifest,
        };
        verified.rows(&pieces, &database)?;
        verified.database = Some(database);
        self.write(snapshot, sealed, &pieces, &keys, &verified).map(Ok)
    }

    fn manifest(
        &self,
        snapshot: &Snapshot,
        keys: &Keys,
    ) -> Result<Result<PlainManifest, Locked>, JobError> {
        let key = apple::manifest_key(self.repository, snapshot, keys)?;
        let content = apple::own(self.repository, snapshot, "Manifest.db")?;
        let open = || apple::read(self.repository, &content, None);
        plain_manifest(&open, content.size, key.as_ref(), Plain::at(self.place.clone()))
    }

    /// Returns the files of a snapshot in Apple's folder, by their path there.
    fn contents(
        &self,
        snapshot: &Snapshot,
        about: &About,
    ) -> Result<BTreeMap<String, (Content, i64)>, JobError> {
        let mut contents = BTreeMap::new();
        base::for_each_file(self.repository, snapshot, Some(about), |stored| {
            contents.insert(stored.path, (stored.content, stored.modified));
            Ok(())
        })?;
        Ok(contents)
    }

    fn open(
        &self,
        manifest: &PlainManifest,
        keys: &Keys,
        contents: &BTreeMap<String, (Content, i64)>,
    ) -> Result<Fates, JobError> {
        let database = lifeboat_mobilesync::ManifestDb::open(manifest.file.path())
            .map_err(|error| crate::opening::manifest_error(&error))?;
        let opener = Opener {
            ctx: self.ctx,
            repository: Some(self.repository),
            writer: self.writer,
            segments: &self.place,
            keys,
        };
        let total = contents.values().map(|(content, _)| content.size).sum();
        let mut meter = Meter::new(self.ctx, Stage::Snapshot, None);
        let wanted = &mut |row: &lifeboat_mobilesync::Row| {
            let found = contents.get(&row.file_id.path());
            Ok(found.map_or(Wanted::Nothing, |(content, _)| {
                Wanted::Open(Source::Stored(content.clone()))
            }))
        };
        opener.open_all(&database, wanted, &mut |done| meter.set_bytes(done.min(total), total))
    }

    /// Writes the opened snapshot, and forgets the sealed one where nothing of it is lost.
    fn write(
        &self,
        snapshot: &Snapshot,
        sealed: &About,
        pieces: &Sealed<'_>,
        keys: &Keys,
        verified: &Verified,
    ) -> Result<OpenedSnapshot, JobError> {
        let info = match pieces.contents.get("Info.plist") {
            Some((content, _)) => self.repository.read(content)?,
            None => Vec::new(),
        };
        let backup =
            Backup { pieces, keys: Some(keys), verified, info: &info, keep_unclaimed: true };
        let run = Run { udid: &snapshot.udid, kind: &sealed.kind, told: &[], now: snapshot.time };
        let built = store::tree(&backup, self.writer, &run, |about| {
            // What the device told an error of is not in the manifest's hands.
            about.file_errors = sealed.file_errors;
            about.files_missing = Some(about.missing().max(sealed.missing()));
            about.missing_files.extend(sealed.missing_files.iter().cloned());
        })?;
        let is_whole = built.about.missing() == 0 && !snapshot.is(Tag::Partial);
        let new = NewSnapshot {
            time: snapshot.time,
            udid: snapshot.udid.clone(),
            tag: Tag::Opened,
            also: Some(if is_whole { Tag::Complete } else { Tag::Partial }),
            label: built.about.device_name.clone(),
            description: None,
            parent: snapshot.parent,
        };
        let (opened, _) = self.writer.commit(built.tree, &new)?;
        // What has no plain name or no row lies in it as it was sent.
        let forgotten = built.sealed.keys().all(|why| matches!(*why, "name" | "no-row"));
        if forgotten {
            self.writer.forget(snapshot.id)?;
        }
        let opened = OpenedSnapshot {
            sealed: snapshot.id.to_string(),
            snapshot: opened.to_string(),
            time: snapshot.time,
            files_sealed: built.about.sealed,
            forgotten,
        };
        Ok(opened)
    }
}

/// A sealed snapshot and what it says of itself, or why that is not known.
type OfSealed = (Snapshot, Result<About, Stays>);

/// Why a snapshot is not opened.
enum Stays {
    /// It stays sealed, in a word for programs.
    Because(String),
    /// The job cannot go on.
    Broken(Box<JobError>),
}

impl Stays {
    /// What one snapshot has lost keeps no other sealed.
    fn of(error: JobError, snapshot: &Snapshot) -> Self {
        if error.cause != Cause::RepositoryDamaged {
            return Self::Broken(Box::new(error));
        }
        tracing::warn!(%error, snapshot = %snapshot.id.short(), "it stays sealed");
        Self::Because(error.cause.id().to_owned())
    }
}

/// Says which snapshots stay sealed, and why; nothing where none do.
pub(crate) fn still_sealed(sealed: &[StillSealed]) -> Option<Note> {
    let named = sealed
        .iter()
        .map(|one| format!("{} ({})", one.snapshot.get(..8).unwrap_or(&one.snapshot), one.why));
    let count = sealed.len() as u64;
    let message = format!(
        "{} {} sealed: {}",
        things(count, "earlier snapshot"),
        choose(count, "stays", "stay"),
        first(named, NAMED)
    );
    (count > 0).then(|| Note::new("still-sealed", message))
}

impl OpenedSnapshot {
    /// Says what became of it.
    pub(crate) fn note(&self) -> Note {
        let short = |id: &str| id.get(..8).unwrap_or(id).to_owned();
        let (sealed, opened) = (short(&self.sealed), short(&self.snapshot));
        let message = if self.forgotten {
            format!(
                "the sealed snapshot {sealed} is opened now, as {opened}: every file was compared, and the sealed one is forgotten"
            )
        } else {
            format!(
                "the sealed snapshot {sealed} is opened as {opened}; some of its files stay sealed, and both snapshots stay"
            )
        };
        Note::new("snapshot-opened", message)
    }
}

/// The files of a sealed snapshot, opened.
struct Sealed<'a> {
    repository: &'a Repository,
    writer: &'a Writer,
    contents: &'a BTreeMap<String, (Content, i64)>,
    fates: &'a Fates,
    manifest: &'a PlainManifest,
}

impl Pieces for Sealed<'_> {
    fn payload(&self, id: &FileId) -> Result<Option<Piece>, JobError> {
        let Some(sealed) = self.as_sent(id)? else { return Ok(None) };
        Ok(Some(match self.fates.get(id) {
            Some(Fate::Opened { content, .. }) => {
                Piece { content: content.clone(), form: Form::Opened, ..sealed }
            }
            Some(Fate::Sealed(why)) => Piece { why: Some(*why), ..sealed },
            None => sealed,
        }))
    }

    fn as_sent(&self, id: &FileId) -> Result<Option<Piece>, JobError> {
        let piece = |(content, modified): &(Content, i64)| Piece {
            content: content.clone(),
            form: Form::AsSent,
            why: None,
            modified: *modified,
        };
        Ok(self.contents.get(&id.path()).map(piece))
    }

    fn aside(&self, _id: &FileId) -> Result<Option<Piece>, JobError> {
        Ok(None)
    }

    fn each(&self, visit: &mut dyn FnMut(FileId) -> Result<(), JobError>) -> Result<(), JobError> {
        let mut ids: Vec<FileId> = self.contents.keys().filter_map(|path| id_of(path)).collect();
        ids.sort_unstable();
        ids.into_iter().try_for_each(visit)
    }

    fn own(&self, name: &str) -> Result<Option<(Own, Form)>, JobError> {
        let Some((content, modified)) = self.contents.get(name) else { return Ok(None) };
        let modified = *modified;
        if name == "Manifest.db"
            && let Some(content) = self.manifest.store(self.writer)?
        {
            return Ok(Some((Own { content, modified }, self.manifest.form)));
        }
        Ok(Some((Own { content: content.clone(), modified }, Form::AsSent)))
    }
}

fn id_of(path: &str) -> Option<FileId> {
    if CONTROL.contains(&path) { None } else { path.rsplit('/').next()?.parse().ok() }
}

impl Payloads for Sealed<'_> {
    fn size(&self, id: &FileId) -> io::Result<Option<u64>> {
        Ok(self.contents.get(&id.path()).map(|(content, _)| content.size))
    }

    fn open(&self, id: &FileId) -> io::Result<Box<dyn Read + '_>> {
        let (content, _) = self.contents.get(&id.path()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(self.repository.reader(content).map_err(io::Error::other)?))
    }

    fn each(&self, visit: &mut dyn FnMut(FileId, u64)) -> io::Result<()> {
        for (path, (content, _)) in self.contents {
            if let Some(id) = id_of(path) {
                visit(id, content.size);
            }
        }
        Ok(())
    }

    fn sha1(&self, id: &FileId) -> io::Result<Option<[u8; 20]>> {
        Ok(match self.fates.get(id) {
            Some(Fate::Opened { sha1, .. }) => *sha1,
            _ => None,
        })
    }
}
