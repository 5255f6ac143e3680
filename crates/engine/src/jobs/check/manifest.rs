//! A snapshot's manifest against the snapshot's files: each row has its payload, with the right size and (reading all) digest.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use camino::Utf8Path;
use lifeboat_mobilesync::verify::{self, Options, Payloads, Report, Verifier, Weight};
use lifeboat_mobilesync::{FileId, ManifestDb};
use lifeboat_repo::{Content, Repository, Snapshot};

use super::{CheckSummary, found};
use crate::apple::{self, Form, Resealer};
use crate::error::{Cause, JobError};
use crate::event::{Event, Note};
use crate::job::{Context, Places};
use crate::jobs::backup::finish::say;
use crate::layout::{About, CONTROL, name};
use crate::scratch::Scratch;
use crate::verify::unreadable as unreadable_rows;
use crate::view;
use crate::words::{choose, things};
use crate::working_tree::base;

struct Stored<'a> {
    ctx: &'a Context,
    repository: &'a Repository,
    contents: HashMap<FileId, (Content, Form)>,
    /// What makes Apple's form of opened files again.
    resealer: Option<Resealer>,
}

impl Payloads for Stored<'_> {
    fn size(&self, id: &FileId) -> io::Result<Option<u64>> {
        Ok(self.contents.get(id).map(|(content, form)| form.size(content)))
    }

    fn open(&self, id: &FileId) -> io::Result<Box<dyn Read + '_>> {
        if self.ctx.cancel.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        let (content, form) = self.contents.get(id).ok_or(io::ErrorKind::NotFound)?;
        let sealing = match (form, &self.resealer) {
            (Form::AsSent, _) => None,
            (_, Some(resealer)) => resealer.sealing(Some(id), *form).map_err(io::Error::other)?,
            (_, None) => return Err(io::Error::other("the keys are not there")),
        };
        Ok(apple::read(self.repository, content, sealing).map_err(io::Error::other)?)
    }

    fn each(&self, visit: &mut dyn FnMut(FileId, u64)) -> io::Result<()> {
        let size = |(id, (content, form)): (&FileId, &(Content, Form))| (*id, form.size(content));
        let mut ids: Vec<_> = self.contents.iter().map(size).collect();
        ids.sort_unstable();
        for (id, size) in ids {
            visit(id, size);
        }
        Ok(())
    }
}

/// Checks one snapshot.
pub(super) fn check(
    ctx: &Context,
    repository: &Repository,
    snapshot: &Snapshot,
    places: &Places,
    digests: bool,
    summary: &mut CheckSummary,
) -> Result<(), JobError> {
    let object = Some(snapshot.id.to_string());
    let about = match view::about(repository, snapshot) {
        Ok(about) => about,
        Err(error) => {
            found(ctx, summary, "snapshot-unreadable", error.message, object);
            return Ok(());
        }
    };
    let mut contents = HashMap::new();
    let mut own = HashSet::new();
    let read = base::for_each_file(repository, snapshot, about.as_ref(), |stored| {
        if CONTROL.contains(&stored.path.as_str()) {
            own.insert(stored.path);
        } else if let Some(id) = stored.id() {
            contents.insert(id, (stored.content, stored.form));
        }
        Ok(())
    });
    if let Err(error) = read {
        found(ctx, summary, "snapshot-unreadable", error.message, object);
        return Ok(());
    }
    summary.files += contents.len() as u64;
    for name in CONTROL.iter().filter(|name| !own.contains(**name)) {
        found(
            ctx,
            summary,
            "snapshot-incomplete",
            format!("the snapshot has no {name}"),
            object.clone(),
        );
    }
    if let Some(about) = &about {
        tell_known(ctx, snapshot, about, summary);
    }
    if !own.contains("Manifest.db") || about.as_ref().is_some_and(About::is_sealed) {
        return Ok(());
    }
    let scratch = Scratch::new(places)?;
    let database = scratch.path("Manifest.db");
    let read = manifest(repository, snapshot, about.as_ref(), &database).and_then(|resealer| {
        verify(&Stored { ctx, repository, contents, resealer }, &database, digests)
    });
    // Whoever stopped it is told of no damage that only comes of that.
    ctx.go_on()?;
    match read {
        Ok(read) => compare(ctx, snapshot, about.as_ref(), &read, summary),
        Err(error) => found(ctx, summary, "manifest-unreadable", error.message, object),
    }
    Ok(())
}

/// Tells what is wrong now, apart from what was known to be wrong when the snapshot was made.
fn compare(
    ctx: &Context,
    snapshot: &Snapshot,
    about: Option<&About>,
    read: &ManifestRead,
    summary: &mut CheckSummary,
) {
    let object = || Some(snapshot.id.to_string());
    let known: HashSet<&str> =
        about.iter().flat_map(|about| &about.known_damage).map(String::as_str).collect();
    if let Some((count, message)) = &read.unreadable
        && about.is_none_or(|about| about.unreadable_rows != *count)
    {
        found(ctx, summary, "rows-unreadable", message.clone(), object());
    }
    let damage = |finding: &&verify::Finding| finding.problem.weight() == Weight::Damage;
    for finding in read.report.findings.iter().filter(damage) {
        if known.contains(finding.file_id.to_string().as_str()) {
            continue;
        }
        let name = name(&finding.domain, &finding.relative_path);
        let message = format!("{name}: {}", say(&finding.problem));
        found(ctx, summary, "file-damaged", message, object());
    }
}

/// Tells what was known to be missing when the snapshot was made: no damage. Not all of it can be seen later, as an old
/// content in the place of a new one.
fn tell_known(ctx: &Context, snapshot: &Snapshot, about: &About, summary: &mut CheckSummary) {
    if let Some(note) = view::changed_meanwhile(snapshot, about) {
        ctx.events.tell(Event::Note(note));
    }
    let missing = about.missing();
    if missing == 0 {
        return;
    }
    summary.known_incomplete += 1;
    let rows = match about.unreadable_rows {
        0 => String::new(),
        rows => format!(" ({} of its manifest cannot be read)", things(rows, "row")),
    };
    let message = format!(
        "snapshot {} is known incomplete since it was made ({}): {} {} missing{rows}{}",
        snapshot.id.short(),
        snapshot.time,
        things(missing, "file"),
        choose(missing, "is", "are"),
        view::naming(&about.missing_files, missing)
    );
    ctx.events.tell(Event::Note(Note::new("known-incomplete", message)));
}

/// What a manifest comes to.
struct ManifestRead {
    report: Report,
    /// How many rows cannot be read, and a text that says so.
    unreadable: Option<(u64, String)>,
}

/// Puts the manifest on the local disk, as plain text; returns what makes Apple's form of opened files.
fn manifest(
    repository: &Repository,
    snapshot: &Snapshot,
    about: Option<&About>,
    to: &Utf8Path,
) -> Result<Option<Resealer>, JobError> {
    let resealer = match about {
        Some(about) => Resealer::of(repository, snapshot, about, to)?,
        None => None,
    };
    if resealer.is_none() {
        let content = apple::own(repository, snapshot, "Manifest.db")?;
        apple::copy(repository.reader(&content)?, to)?;
    }
    Ok(resealer)
}

fn verify(
    stored: &Stored<'_>,
    database: &Utf8Path,
    digests: bool,
) -> Result<ManifestRead, JobError> {
    let unreadable =
        |error| JobError::of(Cause::RepositoryDamaged, "Manifest.db cannot be read", &error);
    let db = ManifestDb::open(database).map_err(unreadable)?;
    let mut verifier =
        Verifier::new(stored, Options { encrypted: stored.resealer.is_some(), digests });
    let mut broken = None;
    let mut without_record = 0;
    let tally = db.for_each(|row| {
        without_record += u64::from(row.file.is_none());
        if broken.is_none() {
            broken = verifier.row(&row).err();
        }
    });
    let tally = tally.map_err(unreadable)?;
    if let Some(error) = broken {
        return Err(disk(&error));
    }
    let report = verifier.finish().map_err(|error| disk(&error))?;
    Ok(ManifestRead { report, unreadable: unreadable_rows(&tally, without_record) })
}

fn disk(error: &io::Error) -> JobError {
    JobError::of(Cause::Disk, "the check's copy of the manifest", error)
}
