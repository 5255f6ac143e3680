//! Gives a snapshot back: as Apple's own folder, or as plain files.
//!
//! What comes out is a person's: DIR, where this makes it, and every folder directly in it have mode 0700, so that nobody
//! else reaches what is below. There Apple's folder has 0700 and 0600 throughout, and plain files have the modes that they
//! have on the device.

mod files;
mod finder;

use std::io::{self, Read, Write as _};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::crypto::Decrypt;
use lifeboat_repo::{Content, Repository, Snapshot};
use serde::Serialize;

use crate::apple::{self, Resealer};
use crate::error::{At as _, Cause, JobError};
use crate::event::Event;
use crate::job::{Context, Outcome, Places, blocking, seconds_since};
use crate::keys::Keyring;
use crate::layout::{About, NamedFile};
use crate::meter::Meter;
use crate::scratch::Scratch;
use crate::stage::Stage;
use crate::view::{self, SnapshotView};
use crate::working_tree::area::private_folder;

/// The two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `DIR/<UDID>/…`, byte for byte what the device sent.
    Finder,
    /// `DIR/<Domain>/<relative path>`.
    Files,
}

/// What to export.
#[derive(Debug, Clone)]
pub struct ExportPlan {
    /// Where things lie.
    pub places: Places,
    /// Which snapshot.
    pub snapshot: String,
    /// Which device, where the snapshot is named `latest`.
    pub udid: Option<String>,
    /// Absent or empty.
    pub target: Utf8PathBuf,
    /// The form.
    pub form: Form,
}

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportSummary {
    /// `done`, or `incomplete` when something could not be written.
    pub outcome: Outcome,
    /// The snapshot.
    pub snapshot: String,
    /// The folder that holds the backup (`finder`: with the UDID).
    pub folder: Utf8PathBuf,
    /// The form.
    #[serde(rename = "as")]
    pub form: Form,
    /// Files written.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files written under another name, for theirs cannot be a name here.
    pub renamed: Vec<Renamed>,
    /// Files of an encrypted backup that could not be written as plain text, and why.
    pub sealed: Vec<NamedFile>,
    /// How long it took.
    pub seconds: f64,
}

/// A file that got another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// `<Domain>/<relative path>`.
    pub from: String,
    /// Where it is, below the target.
    pub to: String,
}

/// Exports.
pub async fn run(ctx: &Context, plan: ExportPlan) -> Result<ExportSummary, JobError> {
    let ctx = ctx.clone();
    blocking(move || export(&ctx, &plan).at(Stage::Read)).await
}

fn export(ctx: &Context, plan: &ExportPlan) -> Result<ExportSummary, JobError> {
    let started = ctx.host.now();
    ctx.events.stage(Stage::Read);
    let repository = plan.places.open_to_read(&ctx.host)?;
    let SnapshotView { repository, snapshot, .. } =
        view::in_repository(&ctx.events, repository, &plan.snapshot, plan.udid.as_deref())?;
    let about = view::about(&repository, &snapshot)?;
    if let Some(note) = about.as_ref().and_then(|about| view::changed_meanwhile(&snapshot, about)) {
        ctx.events.tell(Event::Note(note));
    }
    let total = about.as_ref().map(|about| (about.files, about.bytes));
    let scratch = Scratch::new(&plan.places)?;
    let opened = open(ctx, &repository, &snapshot, about.as_ref(), plan.form, &scratch)?;
    let target = take_target(&plan.target)?;
    let folder = match plan.form {
        Form::Finder => target.join(&snapshot.udid),
        Form::Files => target,
    };
    let meter = Meter::new(ctx, Stage::Read, total);
    let mut export = Export {
        repository: &repository,
        snapshot: &snapshot,
        about: about.as_ref(),
        opened: opened.as_ref(),
        target: &folder,
        ctx,
        meter,
        sealed: Vec::new(),
    };
    let is_sealed = about.as_ref().is_some_and(About::is_sealed);
    let renamed = match plan.form {
        Form::Finder => finder::write(&mut export).map(|()| Vec::new())?,
        Form::Files if is_sealed => files::write_sealed(&mut export)?,
        Form::Files => files::write(&mut export)?,
    };
    export.meter.finish();
    let outcome = if export.sealed.is_empty() { Outcome::Done } else { Outcome::Incomplete };
    Ok(ExportSummary {
        outcome,
        sealed: export.sealed,
        snapshot: snapshot.id.to_string(),
        form: plan.form,
        files: export.meter.files(),
        bytes: export.meter.bytes(),
        folder: folder.clone(),
        renamed,
        seconds: seconds_since(ctx, started),
    })
}

/// What is said of a backup that cannot be opened.
const SEALED: &str = "the backup is encrypted and lies sealed in the snapshot";

/// Returns what opens the files of an encrypted snapshot, where the form needs it; its manifest is in `scratch` then.
fn open(
    ctx: &Context,
    repository: &Repository,
    snapshot: &Snapshot,
    about: Option<&About>,
    form: Form,
    scratch: &Scratch,
) -> Result<Option<Opened>, JobError> {
    let Some(about) = about.filter(|about| about.encrypted) else { return Ok(None) };
    let manifest = scratch.path("Manifest.db");
    if about.is_opened() {
        let resealer = Resealer::of(repository, snapshot, about, &manifest)?;
        return Ok(resealer.map(|resealer| Opened { resealer, manifest }));
    }
    if form == Form::Finder {
        return Ok(None);
    }
    let mut ring = Keyring::gather(ctx, Some(repository), &snapshot.udid)?;
    let plist = apple::manifest_plist(repository, snapshot)?;
    let of = about.device_name.as_deref().unwrap_or("the device");
    let keys = ring.open_or_ask(ctx, of, &plist)?.map_err(|locked| locked.error(SEALED))?;
    let key = apple::manifest_key(repository, snapshot, &keys)?;
    let reader = repository.reader(&apple::own(repository, snapshot, "Manifest.db")?)?;
    match &key {
        Some(key) => apple::copy(Decrypt::new(key, reader), &manifest)?,
        None => apple::copy(reader, &manifest)?,
    }
    let resealer = Resealer::with(keys, key, &manifest)?;
    Ok(Some(Opened { resealer, manifest }))
}

/// What opens an encrypted snapshot.
struct Opened {
    resealer: Resealer,
    /// Its manifest as plain text.
    manifest: Utf8PathBuf,
}

/// Makes a folder that only its owner can read, or finds it empty: nothing that is there is ever written over. Returns where it
/// is: a way through folders that are not there leads to where it ends, and none of them is made.
///
/// Fails with wrong usage where it has no name, and where it is not empty or not a folder; else as the disk does.
pub fn take_target(target: &Utf8Path) -> Result<Utf8PathBuf, JobError> {
    if target.as_str().is_empty() {
        return Err(JobError::new(Cause::WrongUsage, "the name of the folder is empty"));
    }
    let target = &leads_to(target)
        .map_err(|error| failed(&format!("cannot tell where {target} leads"), &error))?;
    match target.read_dir_utf8() {
        Ok(mut entries) => match entries.next() {
            None => Ok(target.clone()),
            Some(_) => Err(JobError::new(Cause::TargetNotEmpty, format!("{target} is not empty"))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Ok(place) = target.read_link_utf8() {
                let message = format!("{target} is a link to {place}, which is not there");
                return Err(JobError::new(Cause::WrongUsage, message));
            }
            make_folder(target).map(|()| target.clone())
        }
        Err(error) => {
            Err(JobError::of(Cause::TargetNotEmpty, &format!("{target} cannot be used"), &error))
        }
    }
}

/// Returns where a path leads: `..` goes out of what is there, links followed, and takes back what is not.
fn leads_to(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    if !path.components().any(|part| part == Utf8Component::ParentDir) {
        return Ok(path.to_owned());
    }
    let mut place = Utf8PathBuf::new();
    for part in camino::absolute_utf8(path)?.components() {
        if part == Utf8Component::ParentDir {
            place = place.canonicalize_utf8().unwrap_or(place);
            place.pop();
        } else {
            place.push(part);
        }
    }
    Ok(place)
}

fn make_folder(path: &Utf8Path) -> Result<(), JobError> {
    private_folder(path).map_err(|error| failed(&format!("cannot make the folder {path}"), &error))
}

/// For errors that name the file.
fn cannot_write(error: &io::Error) -> JobError {
    failed("cannot write", error)
}

fn failed(what: &str, error: &io::Error) -> JobError {
    let cause = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::TargetFull,
        _ => Cause::Disk,
    };
    JobError::of(cause, what, error)
}

/// Makes a file that only its owner can read and that was not there.
fn new_file(path: &Utf8Path) -> io::Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Writes what a reader gives to a new file; `more` is told the bytes as they are written.
fn write_file(
    ctx: &Context,
    path: &str,
    target: &Utf8Path,
    mut reader: impl Read,
    more: &mut dyn FnMut(u64),
) -> Result<fs_err::File, JobError> {
    let mut file = new_file(target).map_err(|error| cannot_write(&error))?;
    let mut buffer = vec![0; 1 << 17];
    loop {
        ctx.go_on()?;
        let count = reader.read(&mut buffer).map_err(|error| view::unreadable(path, error))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        file.write_all(bytes).map_err(|error| cannot_write(&error))?;
        more(count as u64);
    }
    Ok(file)
}

/// What the two forms share.
struct Export<'a> {
    repository: &'a Repository,
    snapshot: &'a Snapshot,
    about: Option<&'a About>,
    opened: Option<&'a Opened>,
    target: &'a Utf8Path,
    ctx: &'a Context,
    meter: Meter,
    /// Files that could not be written as plain text.
    sealed: Vec<NamedFile>,
}

impl Export<'_> {
    /// Writes a content to a new file below the target; the path was confined by the caller.
    fn file(&mut self, path: &str, content: &Content) -> Result<fs_err::File, JobError> {
        let reader = self.repository.reader(content)?;
        self.write(path, reader)
    }

    /// Writes what a reader gives to a new file below the target.
    fn write(&mut self, path: &str, reader: impl Read) -> Result<fs_err::File, JobError> {
        let meter = &mut self.meter;
        let target = self.target.join(path);
        let file = write_file(self.ctx, path, &target, reader, &mut |more| meter.bytes_more(more))?;
        self.meter.files_more(1);
        Ok(file)
    }

    fn folder(&self, path: &str) -> Result<(), JobError> {
        make_folder(&self.target.join(path))
    }
}
