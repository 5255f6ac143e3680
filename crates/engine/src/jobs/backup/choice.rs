//! Which snapshot a backup builds upon (docs/decisions/0008): what is presented to the device is whole, or not presented at all.

use std::io::{self, Read as _, Write};

use jiff::Timestamp;
use lifeboat_repo::{
    Content, Damage, Repository, Snapshot, SnapshotId, Tag, Writer, WriterOptions,
};

use crate::apple::{self, Resealer};
use crate::error::{Cause, JobError};
use crate::event::Note;
use crate::keys;
use crate::layout::{About, BACKUP, CONTROL};
use crate::view;
use crate::words::{choose, first};
use crate::working_tree::area::{Area, private_file};
use crate::working_tree::base::{self, Proven};
use crate::working_tree::disk;

/// How many snapshots a note names.
const NAMED: usize = 5;
/// How much of a file is read at a time.
const BLOCK: usize = 128 << 10;

/// What a backup builds upon.
pub(crate) struct Choice {
    /// The snapshot; without one the device sends everything.
    pub(crate) base: Option<Proven>,
    /// When the newest backup of the device was made, of those that are not dated in the future.
    pub(crate) newest: Option<Timestamp>,
    /// Backups of the device that are dated in the future.
    pub(crate) ahead: Vec<SnapshotId>,
    /// What is wrong with snapshot files that cannot be read.
    pub(crate) unreadable: Vec<Damage>,
    /// Newer snapshots that cannot serve, for something of them is lost, and what that is.
    passed_over: Vec<(SnapshotId, String)>,
    /// Whether something could not be read that the writer takes for whole: its packs must be looked at again.
    surprised: bool,
}

impl Choice {
    /// Says which snapshots were passed over and why; nothing where there are none.
    pub(super) fn note(&self) -> Option<Note> {
        let base = self.base.as_ref().map(|base| base.snapshot.id);
        let passed: Vec<_> = self.passed_over.iter().filter(|(id, _)| Some(*id) != base).collect();
        if passed.is_empty() {
            return None;
        }
        let names = passed.iter().map(|(id, why)| format!("{} ({why})", id.short()));
        let then = match &self.base {
            Some(base) => format!("the backup builds upon {}", base.snapshot.id.short()),
            None => "there is no other to build upon, and the device sends everything".to_owned(),
        };
        let message = format!(
            "{} passed over: {}; {then}; `lifeboat check` says more",
            choose(passed.len() as u64, "a snapshot is", "snapshots are"),
            first(names, NAMED)
        );
        Some(Note::new("base-passed-over", message))
    }
}

/// How a snapshot can serve.
enum Fitness {
    /// Everything of it is there.
    Whole(Proven),
    /// Payloads are missing: a device sees that, and sends everything.
    LacksFiles(Proven, Option<String>),
    /// It cannot be presented.
    Unfit(String),
    /// It is no backup.
    Nothing,
}

/// Locks the repository for writing and chooses under the lock: nobody removes the snapshot from there on.
pub(crate) fn open(
    repository: &Repository,
    options: &WriterOptions,
    area: &Area,
    udid: &str,
) -> Result<(Writer, Choice), JobError> {
    let writer = repository.writer(options)?;
    let choice = of(repository, &writer, area, udid)?;
    if !choice.surprised {
        return Ok((writer, choice));
    }
    // What a read found damaged is remembered: the next writer does not build upon it.
    drop(writer);
    let writer = repository.writer(options)?;
    let choice = of(repository, &writer, area, udid)?;
    Ok((writer, choice))
}

/// Returns what the device builds upon: its newest snapshot, complete or partial, whose control files can be read and in which no
/// row lacks its whole payload. Where there is none, the newest whose control files can be read: the device misses payloads and
/// sends everything.
fn of(
    repository: &Repository,
    writer: &Writer,
    area: &Area,
    udid: &str,
) -> Result<Choice, JobError> {
    let (snapshots, unreadable) = repository.snapshots_and_damage()?;
    area.clear_scratch().map_err(|error| disk("cannot clear the working area", &error))?;
    let looking = Looking { repository, writer, area };
    let mut backups = snapshots;
    backups.retain(|snapshot| {
        snapshot.udid == udid && (snapshot.is(Tag::Complete) || snapshot.is(Tag::Partial))
    });
    let (ahead, timely): (Vec<_>, Vec<_>) =
        backups.iter().partition(|snapshot| repository.is_ahead(snapshot));
    let mut choice = Choice {
        base: None,
        newest: timely.iter().map(|snapshot| snapshot.time).max(),
        ahead: ahead.iter().map(|snapshot| snapshot.id).collect(),
        unreadable,
        passed_over: Vec::new(),
        surprised: false,
    };
    let mut lacking = None;
    for snapshot in backups.into_iter().rev() {
        let id = snapshot.id;
        match choice.fitness(&looking, snapshot, lacking.is_none()) {
            Ok(Fitness::Whole(proven)) => {
                choice.base = Some(proven);
                return Ok(choice);
            }
            Ok(Fitness::LacksFiles(proven, why)) => {
                choice.passed_over.extend(why.map(|why| (id, why)));
                lacking.get_or_insert(proven);
            }
            Ok(Fitness::Unfit(why)) => choice.passed_over.push((id, why)),
            Ok(Fitness::Nothing) => {}
            Err(error) if error.cause == Cause::RepositoryDamaged => {
                choice.surprised |= writer.healing().lost == 0;
                choice.passed_over.push((id, error.message));
            }
            Err(error) => return Err(error),
        }
    }
    choice.base = lacking;
    Ok(choice)
}

/// Where is looked.
struct Looking<'a> {
    repository: &'a Repository,
    writer: &'a Writer,
    area: &'a Area,
}

impl Choice {
    /// Looks at a snapshot; at one that is known not to be whole only where that may serve. What is read of it is what will be
    /// presented: nothing of it is read a second time.
    fn fitness(
        &mut self,
        at: &Looking<'_>,
        snapshot: Snapshot,
        lacking_may_serve: bool,
    ) -> Result<Fitness, JobError> {
        let about = view::about(at.repository, &snapshot)?;
        // Only what a broken run left says nothing of itself, and what is older than this word.
        if about.is_none() && !snapshot.is(Tag::Complete) {
            return Ok(Fitness::Nothing);
        }
        let is_whole = about.as_ref().is_none_or(About::can_be_built_upon);
        if !is_whole && !lacking_may_serve {
            return Ok(Fitness::Nothing);
        }
        // The manifest of a sealed one cannot be read here.
        let is_sealed = about.as_ref().is_some_and(About::is_sealed);
        // One that lacks files may wait while others are looked at.
        let name = if lacking_may_serve { "base-manifest.db" } else { "older-manifest.db" };
        let copy = || {
            let path = at.area.scratch(name)?;
            Ok((private_file(&path)?, path))
        };
        let copy = (!is_sealed).then(copy).transpose();
        let mut copy = copy.map_err(|error| no_copy(&error))?;
        for name in CONTROL.into_iter().rev() {
            let to: &mut dyn Write = match &mut copy {
                Some((file, _)) if name == "Manifest.db" => file,
                _ => &mut io::sink(),
            };
            if let Some(why) = self.unread(at, &snapshot, name, to)? {
                return Ok(Fitness::Unfit(why));
            }
        }
        let ids = base::ids(at.repository, &snapshot)?;
        let lost = at.writer.healing().lost > 0 && has_lost(at, &snapshot)?;
        let manifest = copy.map(|(_, path)| path);
        let resealer = match (&about, &manifest) {
            (Some(about), Some(path)) if about.is_opened() => {
                Some(resealer(at.repository, &snapshot, about, path)?)
            }
            _ => None,
        };
        let proven = Proven { snapshot, about, ids, manifest, resealer };
        let why = lost.then(|| "files of it are lost".to_owned());
        Ok(match why {
            // A file that the device does not send again would be missed by nobody.
            Some(why) if is_sealed => Fitness::Unfit(why),
            None if is_whole => Fitness::Whole(proven),
            why => Fitness::LacksFiles(proven, why),
        })
    }

    /// Reads one of the backup's own files to its end; says what is wrong with it, if anything is.
    fn unread(
        &mut self,
        at: &Looking<'_>,
        snapshot: &Snapshot,
        name: &str,
        to: &mut dyn Write,
    ) -> Result<Option<String>, JobError> {
        let entry = at.repository.entry(snapshot, &format!("{BACKUP}/{name}"))?;
        let Some(content) = entry.as_ref().and_then(|entry| entry.node.content()) else {
            return Ok(Some(format!("it has no {name}")));
        };
        if !at.writer.holds(content) {
            return Ok(Some(format!("its {name} is lost")));
        }
        let Err(error) = read(at.repository, content, to)? else { return Ok(None) };
        tracing::warn!(%error, name, snapshot = %snapshot.id.short(), "a snapshot cannot be built upon");
        self.surprised = true;
        Ok(Some(format!("its {name} cannot be read")))
    }
}

/// Returns what makes Apple's form of an opened snapshot, whose manifest was copied as it is kept.
fn resealer(
    repository: &Repository,
    snapshot: &Snapshot,
    about: &About,
    copy: &camino::Utf8Path,
) -> Result<Resealer, JobError> {
    let gone =
        || JobError::new(Cause::RepositoryDamaged, "its keys.json is missing or cannot be read");
    if !about.manifest_opened {
        // As it was sent it is of no use here.
        return Resealer::of(repository, snapshot, about, copy)?.ok_or_else(gone);
    }
    let keys = keys::of_snapshot(repository, snapshot)?.ok_or_else(gone)?;
    let manifest = apple::manifest_key(repository, snapshot, &keys)?;
    Resealer::with(keys, manifest, copy)
}

fn no_copy(error: &io::Error) -> JobError {
    disk("cannot write to the working area", error)
}

/// Reads a file to its end, and copies it; what reading it meets is told apart from what writing meets.
fn read(
    repository: &Repository,
    content: &Content,
    to: &mut dyn Write,
) -> Result<io::Result<()>, JobError> {
    let mut reader = match repository.reader(content) {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(io::Error::other(error))),
    };
    let mut block = vec![0; BLOCK];
    loop {
        let count = match reader.read(&mut block) {
            Ok(count) => count,
            Err(error) => return Ok(Err(error)),
        };
        let Some(data) = block.get(..count).filter(|data| !data.is_empty()) else {
            return Ok(Ok(()));
        };
        to.write_all(data).map_err(|error| no_copy(&error))?;
    }
}

/// Whether packs that are missing or damaged have taken a file of it, as the writer knows.
fn has_lost(at: &Looking<'_>, snapshot: &Snapshot) -> Result<bool, JobError> {
    let mut files = false;
    let own = format!("{BACKUP}/");
    at.repository.walk(snapshot, |entry| {
        let lost = entry.node.content().is_some_and(|content| !at.writer.holds(content));
        files |= lost && !entry.path.starts_with(&own);
        Ok::<(), JobError>(())
    })?;
    Ok(files)
}
