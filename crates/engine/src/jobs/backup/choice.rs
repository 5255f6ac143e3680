//! Which snapshot a backup builds upon (docs/decisions/0008): what is presented to the device is whole, or not presented at all.

use std::io;

use lifeboat_repo::{Content, Damage, Repository, Snapshot, SnapshotId, Tag, Writer};

use crate::error::{Cause, JobError};
use crate::event::Note;
use crate::layout::{About, BACKUP, CONTROL};
use crate::view;
use crate::words::{choose, first};
use crate::working_tree::base;

/// How many snapshots a note names.
const NAMED: usize = 5;

/// What a backup builds upon.
pub(super) struct Choice {
    /// The snapshot; without one the device sends everything.
    pub(super) base: Option<Snapshot>,
    /// What is wrong with snapshot files that cannot be read.
    pub(super) unreadable: Vec<Damage>,
    /// Newer snapshots that cannot serve, for something of them is lost, and what that is.
    passed_over: Vec<(SnapshotId, String)>,
    /// Whether something could not be read that the writer takes for whole: its packs must be looked at again.
    pub(super) surprised: bool,
}

impl Choice {
    /// Says which snapshots were passed over and why; nothing where there are none.
    pub(super) fn note(&self) -> Option<Note> {
        let base = self.base.as_ref().map(|base| base.id);
        let passed: Vec<_> = self.passed_over.iter().filter(|(id, _)| Some(*id) != base).collect();
        if passed.is_empty() {
            return None;
        }
        let names = passed.iter().map(|(id, why)| format!("{} ({why})", id.short()));
        let then = match &self.base {
            Some(base) => format!("the backup builds upon {}", base.id.short()),
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
    Whole,
    /// Payloads are missing: a device sees that, and sends everything.
    LacksFiles(Option<String>),
    /// It cannot be presented.
    Unfit(String),
    /// It is no backup.
    Nothing,
}

/// Returns what the device builds upon: its newest snapshot, complete or partial, whose control files can be read and in which no
/// row lacks its whole payload. Where there is none, the newest whose control files can be read: the device misses payloads and
/// sends everything.
pub(super) fn of(repository: &Repository, writer: &Writer, udid: &str) -> Result<Choice, JobError> {
    let (snapshots, unreadable) = repository.snapshots_and_damage()?;
    let mut choice = Choice { base: None, unreadable, passed_over: Vec::new(), surprised: false };
    let mut lacking = None;
    for snapshot in snapshots.into_iter().rev() {
        let is_backup = snapshot.is(Tag::Complete) || snapshot.is(Tag::Partial);
        if snapshot.udid != udid || !is_backup {
            continue;
        }
        match choice.fitness(repository, writer, &snapshot, lacking.is_none()) {
            Ok(Fitness::Whole) => {
                choice.base = Some(snapshot);
                return Ok(choice);
            }
            Ok(Fitness::LacksFiles(why)) => {
                choice.passed_over.extend(why.map(|why| (snapshot.id, why)));
                lacking.get_or_insert(snapshot);
            }
            Ok(Fitness::Unfit(why)) => choice.passed_over.push((snapshot.id, why)),
            Ok(Fitness::Nothing) => {}
            Err(error) if error.cause == Cause::RepositoryDamaged => {
                choice.surprised |= writer.healing().lost == 0;
                choice.passed_over.push((snapshot.id, error.message));
            }
            Err(error) => return Err(error),
        }
    }
    choice.base = lacking;
    Ok(choice)
}

impl Choice {
    /// Looks at a snapshot; at one that is known not to be whole only where that may serve.
    fn fitness(
        &mut self,
        repository: &Repository,
        writer: &Writer,
        snapshot: &Snapshot,
        lacking_may_serve: bool,
    ) -> Result<Fitness, JobError> {
        let about = view::about(repository, snapshot)?;
        // Only what a broken run left says nothing of itself, and what is older than this word.
        if about.is_none() && !snapshot.is(Tag::Complete) {
            return Ok(Fitness::Nothing);
        }
        let is_whole = about.as_ref().is_none_or(About::can_be_built_upon);
        if !is_whole && !lacking_may_serve {
            return Ok(Fitness::Nothing);
        }
        for name in CONTROL.into_iter().rev() {
            if let Some(why) = self.unread(repository, writer, snapshot, name)? {
                return Ok(Fitness::Unfit(why));
            }
        }
        if writer.healing().lost > 0 && has_lost(repository, writer, snapshot)? {
            let why = "files of it are lost".to_owned();
            // The manifest of a sealed one cannot be read here: a file that the device does not send again would be missed by
            // nobody.
            let is_sealed = about.is_some_and(|about| about.encrypted);
            return Ok(if is_sealed {
                Fitness::Unfit(why)
            } else {
                Fitness::LacksFiles(Some(why))
            });
        }
        Ok(if is_whole { Fitness::Whole } else { Fitness::LacksFiles(None) })
    }

    /// Reads one of the backup's own files to its end; says what is wrong with it, if anything is.
    fn unread(
        &mut self,
        repository: &Repository,
        writer: &Writer,
        snapshot: &Snapshot,
        name: &str,
    ) -> Result<Option<String>, JobError> {
        let entry = repository.entry(snapshot, &format!("{BACKUP}/{name}"))?;
        let Some(content) = entry.as_ref().and_then(|entry| entry.node.content()) else {
            return Ok(Some(format!("it has no {name}")));
        };
        if !writer.holds(content) {
            return Ok(Some(format!("its {name} is lost")));
        }
        let Err(error) = read(repository, content) else { return Ok(None) };
        tracing::warn!(%error, name, snapshot = %snapshot.id.short(), "a snapshot cannot be built upon");
        self.surprised = true;
        Ok(Some(format!("its {name} cannot be read")))
    }
}

fn read(repository: &Repository, content: &Content) -> io::Result<()> {
    let mut reader = repository.reader(content).map_err(io::Error::other)?;
    io::copy(&mut reader, &mut io::sink()).map(|_| ())
}

/// Whether packs that are missing or damaged have taken a file of it, as the writer knows.
fn has_lost(
    repository: &Repository,
    writer: &Writer,
    snapshot: &Snapshot,
) -> Result<bool, JobError> {
    base::ids(repository, snapshot)?;
    let mut files = false;
    let own = format!("{BACKUP}/");
    repository.walk(snapshot, |entry| {
        let lost = entry.node.content().is_some_and(|content| !writer.holds(content));
        files |= lost && !entry.path.starts_with(&own);
        Ok::<(), JobError>(())
    })?;
    Ok(files)
}
