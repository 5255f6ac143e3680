//! What a device sees before it changes anything: the files of a snapshot under Apple's names, as metadata.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;
use lifeboat_mobilesync::{FileId, Row};
use lifeboat_repo::{Content, Repository, Snapshot, Writer};

use super::rows::{Reading, Rows};
use super::tree::{File, Origin, Refused, Tree};
use crate::apple::{self, Form, Resealer};
use crate::error::{Cause, JobError};
use crate::keys::Keys;
use crate::layout::{About, BACKUP, CONTROL, FILES, IDS, Ids, SEALED};

/// A snapshot that can be presented: its own files were read to their end, and this is what they say.
pub(crate) struct Proven {
    /// The snapshot.
    pub(crate) snapshot: Snapshot,
    /// What it says about itself.
    pub(crate) about: Option<About>,
    /// The file IDs that cannot be told from the names.
    pub(crate) ids: Ids,
    /// Its Manifest.db, on the local disk; nothing where it is sealed.
    pub(crate) manifest: Option<Utf8PathBuf>,
    /// What makes Apple's form of its opened files; nothing where none are.
    pub(crate) resealer: Option<Resealer>,
}

/// The files of a snapshot, by number.
pub(crate) struct Base {
    /// The snapshot.
    pub(crate) snapshot: Snapshot,
    contents: Vec<Kept>,
    /// Files that did not come, or not whole, when the snapshot was made: they are not presented, so that the device sends
    /// them again.
    damaged: HashMap<FileId, Option<(Content, Form)>>,
    repository: Repository,
    resealer: Option<Resealer>,
    /// What its own manifest says, until it is taken.
    rows: Mutex<Option<Reading>>,
}

/// A file of a snapshot.
struct Kept {
    /// Whose payload it is; `None` for the backup's own files.
    id: Option<FileId>,
    content: Content,
    form: Form,
}

/// Calls `each` for every payload and every file of the backup's own.
pub(crate) fn for_each_file(
    repository: &Repository,
    snapshot: &Snapshot,
    about: Option<&About>,
    each: impl FnMut(apple::Stored) -> Result<(), JobError>,
) -> Result<(), JobError> {
    each_with_ids(repository, snapshot, about, &ids(repository, snapshot)?, each)
}

fn each_with_ids(
    repository: &Repository,
    snapshot: &Snapshot,
    about: Option<&About>,
    ids: &Ids,
    mut each: impl FnMut(apple::Stored) -> Result<(), JobError>,
) -> Result<(), JobError> {
    let by_name: HashMap<&str, &str> =
        ids.iter().map(|(id, name)| (name.as_str(), id.as_str())).collect();
    repository.walk(snapshot, |entry| {
        let Some(content) = entry.node.content() else { return Ok::<(), JobError>(()) };
        let Some(path) = apple_path(&entry.path, &by_name) else { return Ok(()) };
        let form = form(&entry.path, about);
        let modified = entry.node.modified.as_second();
        each(apple::Stored { path, content: content.clone(), form, modified })
    })
}

/// Returns how a snapshot keeps what lies at a path of it.
fn form(path: &str, about: Option<&About>) -> Form {
    let Some(about) = about.filter(|about| about.is_opened()) else { return Form::AsSent };
    match path.split_once('/') {
        Some((FILES, _)) => Form::Opened,
        Some((BACKUP, "Manifest.db")) if about.manifest_unpadded => Form::Unpadded,
        Some((BACKUP, "Manifest.db")) if about.manifest_opened => Form::Opened,
        _ => Form::AsSent,
    }
}

/// Returns the file IDs that cannot be told from the names.
pub(crate) fn ids(repository: &Repository, snapshot: &Snapshot) -> Result<Ids, JobError> {
    let Some(entry) = repository.entry(snapshot, IDS)? else { return Ok(Ids::new()) };
    let Some(content) = entry.node.content() else { return Ok(Ids::new()) };
    serde_json::from_slice(&repository.read(content)?).map_err(|error| {
        JobError::of(
            Cause::RepositoryDamaged,
            "the snapshot's table of file ids cannot be read",
            &error,
        )
    })
}

/// Returns where a file of a snapshot lies in Apple's folder.
fn apple_path(path: &str, by_name: &HashMap<&str, &str>) -> Option<String> {
    let (top, rest) = path.split_once('/')?;
    match top {
        BACKUP => CONTROL.contains(&rest).then(|| rest.to_owned()),
        SEALED => {
            rest.split_once('/').and_then(|(_, id)| id.parse::<FileId>().ok()).map(|id| id.path())
        }
        FILES => {
            let id = if let Some(id) = by_name.get(rest) {
                id.parse().ok()?
            } else {
                let (domain, relative_path) = rest.split_once('/')?;
                FileId::of(domain, relative_path)
            };
            Some(id.path())
        }
        _ => None,
    }
}

impl Base {
    /// Reads the index of a snapshot into a tree, below the device's folder. What the packs are known to have lost is not
    /// presented: the device sends it again. Starts to read the rows of its manifest, for which there is time while the device
    /// sends.
    pub(crate) fn load(
        repository: &Repository,
        writer: Option<&Writer>,
        Proven { snapshot, about, ids, manifest, resealer }: Proven,
        tree: &mut Tree,
    ) -> Result<Self, JobError> {
        let is_whole = |content: &Content| writer.is_none_or(|writer| writer.holds(content));
        let udid = snapshot.udid.clone();
        for byte in 0..=255u8 {
            tree.create_directory(&format!("{udid}/{byte:02x}")).map_err(refused)?;
        }
        let mut contents = Vec::new();
        let mut damaged: HashMap<FileId, Option<(Content, Form)>> = about
            .iter()
            .flat_map(|about| &about.known_damage)
            .filter_map(|id| Some((id.parse().ok()?, None)))
            .collect();
        each_with_ids(repository, &snapshot, about.as_ref(), &ids, |stored| {
            let id = stored.id();
            let apple::Stored { path, content, form, modified } = stored;
            if !is_whole(&content) {
                // The backup's own files are written anew by every run.
                damaged.extend(id.map(|id| (id, None)));
                return Ok(());
            }
            if let Some(aside) = id.and_then(|id| damaged.get_mut(&id)) {
                *aside = Some((content, form));
                return Ok(());
            }
            let number = u32::try_from(contents.len()).map_err(|_| {
                JobError::new(
                    Cause::Unsupported,
                    "the snapshot has more than four thousand million files",
                )
            })?;
            let file = File { origin: Origin::Base(number), size: form.size(&content), modified };
            tree.put(&format!("{udid}/{path}"), file).map_err(refused)?;
            contents.push(Kept { id, content, form });
            Ok(())
        })?;
        let left_out: HashSet<FileId> = damaged.keys().copied().collect();
        let rows = manifest.map(|manifest| Reading::start(manifest, left_out)).transpose()?;
        let (repository, rows) = (repository.clone(), Mutex::new(rows));
        Ok(Self { snapshot, contents, damaged, repository, resealer, rows })
    }

    /// Returns what the base's own manifest says of its files; once.
    pub(crate) fn take_rows(&self) -> Result<Rows, JobError> {
        let reading = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        reading.map(Reading::finish).transpose().map(Option::unwrap_or_default)
    }

    /// Whether a file of the base was the payload of this row already: not one that the device moved there.
    pub(crate) fn is_payload_of(&self, number: u32, id: &FileId) -> bool {
        self.stored(number).is_some_and(|stored| stored.id.as_ref() == Some(id))
    }

    /// Returns what the snapshot has of a file that is not whole: better than nothing where the device does not send it again.
    pub(crate) fn damaged(&self, id: &FileId) -> Option<(&Content, Form)> {
        self.damaged.get(id)?.as_ref().map(|(content, form)| (content, *form))
    }

    /// Returns the content of a file, and how it is kept.
    pub(crate) fn content(&self, number: u32) -> Option<(&Content, Form)> {
        self.stored(number).map(|kept| (&kept.content, kept.form))
    }

    fn stored(&self, number: u32) -> Option<&Kept> {
        self.contents.get(usize::try_from(number).ok()?)
    }

    /// Opens a file as the device sent it.
    pub(crate) fn open(&self, number: u32) -> Result<Box<dyn Read + Send>, JobError> {
        let kept = self
            .stored(number)
            .ok_or_else(|| JobError::new(Cause::Internal, "a file of the base is gone"))?;
        self.as_sent(kept.id.as_ref(), &kept.content, kept.form)
    }

    /// Opens what the snapshot keeps of a file, or of the manifest where there is no ID, as the device sent it.
    pub(crate) fn as_sent(
        &self,
        id: Option<&FileId>,
        content: &Content,
        form: Form,
    ) -> Result<Box<dyn Read + Send>, JobError> {
        let sealing = match (form, &self.resealer) {
            (Form::AsSent, _) => None,
            (_, Some(resealer)) => resealer.sealing(id, form)?,
            (_, None) => {
                return Err(JobError::new(Cause::Internal, "the keys of the base are gone"));
            }
        };
        apple::read(&self.repository, content, sealing)
    }

    /// Says whether the payload of a row that was opened then is made again with the key that the row has now.
    pub(crate) fn has_key_of(&self, rows: &Rows, row: &Row, keys: &Keys) -> Result<bool, JobError> {
        let wrapped = row.file.as_ref().and_then(|file| file.encryption_key.as_deref());
        let (Some(wrapped), Some(resealer)) = (wrapped, &self.resealer) else { return Ok(false) };
        if rows.has_key_of(row) && resealer.keys().agrees(keys, wrapped) {
            return Ok(true);
        }
        // The same key may be wrapped anew.
        let Ok(now) = keys.open(wrapped) else { return Ok(false) };
        Ok(resealer.key(&row.file_id)? == now)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        // Nothing works on the folder of the run when the run is over.
        if let Err(error) = self.take_rows() {
            tracing::warn!(%error, "a thread is left behind");
        }
    }
}

fn refused(refused: Refused) -> JobError {
    JobError::new(
        Cause::RepositoryDamaged,
        format!("the snapshot cannot be presented to the device ({refused:?})"),
    )
}
