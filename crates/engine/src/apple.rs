//! Apple's form of what a snapshot keeps: opened files are encrypted again, bit for bit as the device sent them.

use std::io::{self, Read, Write as _};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use lifeboat_mobilesync::crypto::{Decrypt, Encrypt, Key, stored_length};
use lifeboat_mobilesync::{FileId, ManifestDb, ManifestPlist};
use lifeboat_repo::{Content, Repository, Snapshot};

use crate::error::{Cause, JobError};
use crate::keys::{self, Keys};
use crate::layout::{About, BACKUP};
use crate::working_tree::area::private_file;

/// How a snapshot keeps a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the device sent it.
    AsSent,
    /// As plain text; the device sent it encrypted.
    Opened,
    /// As plain text; the device sent it encrypted and without padding.
    Unpadded,
}

impl Form {
    /// Returns how large the file is that the device sent.
    pub(crate) fn size(self, content: &Content) -> u64 {
        match self {
            Self::AsSent | Self::Unpadded => content.size,
            Self::Opened => stored_length(content.size),
        }
    }
}

/// A file of Apple's folder, as a snapshot keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its path there: `ab/abcd…`, `Manifest.db`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) content: Content,
    /// How it is kept.
    pub(crate) form: Form,
    /// When it was changed, Unix seconds.
    pub(crate) modified: i64,
}

impl Stored {
    /// Returns the file ID; nothing for the backup's own files.
    pub(crate) fn id(&self) -> Option<FileId> {
        self.path.rsplit('/').next()?.parse().ok()
    }
}

/// Makes Apple's form of the opened files of one snapshot.
pub(crate) struct Resealer {
    keys: Keys,
    /// The key of Manifest.db, where the device encrypts it.
    manifest: Option<Key>,
    database: Mutex<ManifestDb>,
}

fn damaged(what: impl Into<String>) -> JobError {
    JobError::new(Cause::RepositoryDamaged, what)
}

impl Resealer {
    /// Makes one of an opened snapshot; `scratch` is where its manifest goes on the local disk, readable by nobody else. Whoever
    /// calls removes it. Nothing for a snapshot that keeps everything as it was sent.
    pub(crate) fn of(
        repository: &Repository,
        snapshot: &Snapshot,
        about: &About,
        scratch: &Utf8Path,
    ) -> Result<Option<Self>, JobError> {
        if !about.is_opened() {
            return Ok(None);
        }
        let keys = keys::of_snapshot(repository, snapshot)?
            .ok_or_else(|| damaged("the snapshot's keys.json is missing or cannot be read"))?;
        let manifest = manifest_key(repository, snapshot, &keys)?;
        let content = own(repository, snapshot, "Manifest.db")?;
        let reader = repository.reader(&content)?;
        match &manifest {
            Some(key) if !about.manifest_opened => copy(Decrypt::new(key, reader), scratch)?,
            _ => copy(reader, scratch)?,
        }
        Self::with(keys, manifest, scratch).map(Some)
    }

    /// Makes one of keys and of a manifest on the local disk.
    pub(crate) fn with(
        keys: Keys,
        manifest: Option<Key>,
        database: &Utf8Path,
    ) -> Result<Self, JobError> {
        let database = ManifestDb::open(database).map_err(|error| unread(&error))?;
        Ok(Self { keys, manifest, database: Mutex::new(database) })
    }

    /// Returns the keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the key of a payload.
    pub(crate) fn key(&self, id: &FileId) -> Result<Key, JobError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let row = database.find(id).map_err(|error| unread(&error))?;
        let wrapped = row.and_then(|row| row.file).and_then(|file| file.encryption_key);
        let wrapped = wrapped.ok_or_else(|| damaged(format!("the manifest has no key of {id}")))?;
        self.keys.open(&wrapped).map_err(|error| {
            JobError::of(Cause::RepositoryDamaged, &format!("the key of {id}"), &error)
        })
    }

    /// Returns how a stored file, or the manifest where there is no ID, has to be encrypted; nothing where it is as it was sent.
    pub(crate) fn sealing(
        &self,
        id: Option<&FileId>,
        form: Form,
    ) -> Result<Option<Sealing>, JobError> {
        if form == Form::AsSent {
            return Ok(None);
        }
        let key = match id {
            Some(id) => Some(self.key(id)?),
            None => self.manifest.clone(),
        };
        Ok(key.map(|key| Sealing { key, form }))
    }
}

/// How plain text becomes what the device sent.
pub(crate) struct Sealing {
    key: Key,
    form: Form,
}

/// Opens what a snapshot keeps as the device sent it.
pub(crate) fn read(
    repository: &Repository,
    content: &Content,
    sealing: Option<Sealing>,
) -> Result<Box<dyn Read + Send>, JobError> {
    let reader = repository.reader(content)?;
    Ok(match sealing {
        None => Box::new(reader),
        Some(Sealing { key, form: Form::Unpadded }) => {
            Box::new(Encrypt::new(&key, reader).take(content.size))
        }
        Some(Sealing { key, .. }) => Box::new(Encrypt::new(&key, reader)),
    })
}

/// Returns the key of a snapshot's manifest; nothing where the device does not encrypt it.
pub(crate) fn manifest_key(
    repository: &Repository,
    snapshot: &Snapshot,
    keys: &Keys,
) -> Result<Option<Key>, JobError> {
    let plist = manifest_plist(repository, snapshot)?;
    let open = |wrapped: Vec<u8>| {
        keys.open(&wrapped).map_err(|error| {
            JobError::of(Cause::RepositoryDamaged, "the key of the manifest", &error)
        })
    };
    plist.manifest_key.map(open).transpose()
}

/// Returns a snapshot's Manifest.plist.
pub(crate) fn manifest_plist(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<ManifestPlist, JobError> {
    let bytes = repository.read(&own(repository, snapshot, "Manifest.plist")?)?;
    ManifestPlist::parse(&bytes).map_err(|error| {
        JobError::of(Cause::RepositoryDamaged, "Manifest.plist cannot be read", &error)
    })
}

/// Returns the content of one of the backup's own files.
pub(crate) fn own(
    repository: &Repository,
    snapshot: &Snapshot,
    name: &str,
) -> Result<Content, JobError> {
    let entry = repository.entry(snapshot, &format!("{BACKUP}/{name}"))?;
    let content = entry.and_then(|entry| entry.node.content().cloned());
    content.ok_or_else(|| damaged(format!("the snapshot has no {name}")))
}

fn unread(error: &lifeboat_mobilesync::ManifestError) -> JobError {
    JobError::of(Cause::RepositoryDamaged, "Manifest.db cannot be read", error)
}

/// Copies to a file that only its owner can read.
pub(crate) fn copy(mut from: impl Read, to: &Utf8Path) -> Result<(), JobError> {
    const BLOCK: usize = 128 << 10;
    let disk = |error: &io::Error| JobError::of(Cause::Disk, "a copy of the manifest", error);
    let mut file = private_file(to).map_err(|error| disk(&error))?;
    let mut block = vec![0; BLOCK];
    loop {
        let count = from.read(&mut block).map_err(|error| {
            JobError::of(Cause::RepositoryDamaged, "Manifest.db cannot be read", &error)
        })?;
        let Some(bytes) = block.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        file.write_all(bytes).map_err(|error| disk(&error))?;
    }
}

/// A decrypted file on the local disk that goes when nobody needs it any more.
#[derive(Debug)]
pub(crate) struct Plain(Utf8PathBuf);

impl Plain {
    /// Takes a path, whether something is there yet or not.
    pub(crate) fn at(path: Utf8PathBuf) -> Self {
        Self(path)
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Utf8Path {
        &self.0
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a decrypted file could not be removed");
        }
    }
}
