//! A folder as Finder, iTunes and idevicebackup2 make it.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek as _, SeekFrom};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use lifeboat_mobilesync::crypto::{Decrypt, Key, stored_length};
use lifeboat_mobilesync::manifest::unseal;
use lifeboat_mobilesync::{EntryKind, InfoPlist, ManifestDb, ManifestError, ManifestPlist, Row};

use super::{BackupView, Below, Domains, apps, no_such_path, not_a_file, seconds};
use crate::error::{Cause, JobError};
use crate::job::Context;
use crate::jobs::snapshots::{FileKind, Listed, SnapshotDetails, SnapshotInfo};
use crate::keys::{Keyring, Keys, Locked};
use crate::layout::{BACKUP, CONTROL, name};
use crate::scratch::Scratch;

/// A folder as Finder, iTunes and idevicebackup2 make it.
pub(crate) struct FolderView {
    folder: Utf8PathBuf,
    manifest: ManifestPlist,
    /// By path; empty when the manifest cannot be opened.
    entries: BTreeMap<String, Held>,
    /// What opens it, where it is encrypted, or why nothing does.
    keys: Option<Result<Keys, Locked>>,
}

/// What lies at a path.
struct Held {
    listed: Listed,
    payload: Utf8PathBuf,
    /// The wrapped key of an encrypted file.
    key: Option<Box<[u8]>>,
}

fn is_backup(folder: &Utf8Path) -> bool {
    ["Manifest.plist", "Manifest.db", "Manifest.mbdb"]
        .iter()
        .any(|name| folder.join(name).is_file())
}

/// Returns the folder of the backup: the one given, or the only one in it.
pub(crate) fn find(folder: Utf8PathBuf) -> Result<Utf8PathBuf, JobError> {
    if is_backup(&folder) {
        return Ok(folder);
    }
    let inside = folder
        .read_dir_utf8()
        .map_err(|error| JobError::of(Cause::NotABackup, folder.as_str(), &error))?;
    let mut backups =
        inside.flatten().map(|entry| entry.path().to_owned()).filter(|path| is_backup(path));
    match (backups.next(), backups.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            Err(JobError::new(Cause::NotABackup, format!("{folder} holds several backups")))
        }
        (None, _) => Err(JobError::new(Cause::NotABackup, format!("{folder} is not a backup"))),
    }
}

impl FolderView {
    /// Opens a folder.
    pub(crate) fn open(
        ctx: &Context,
        folder: Utf8PathBuf,
        cache: &Utf8Path,
    ) -> Result<Self, JobError> {
        let folder = find(folder)?;
        let unreadable = |error: &(dyn std::error::Error + 'static)| {
            JobError::of(Cause::NotABackup, folder.as_str(), error)
        };
        if !folder.join("Manifest.plist").is_file() {
            let missing = ManifestDb::open(&folder.join("Manifest.db")).err();
            return Err(manifest_error(
                &missing.unwrap_or(ManifestError::Missing(folder.join("Manifest.plist"))),
            ));
        }
        let bytes =
            fs_err::read(folder.join("Manifest.plist")).map_err(|error| unreadable(&error))?;
        let manifest = ManifestPlist::parse(&bytes).map_err(|error| unreadable(&error))?;
        let mut view = Self { folder, manifest, entries: BTreeMap::new(), keys: None };
        let database = view.folder.join("Manifest.db");
        if !view.manifest.is_encrypted {
            view.read(&database)?;
            return Ok(view);
        }
        let opened = view.keys(ctx)?;
        let key = opened.as_ref().ok().map(|keys| view.manifest_key(keys)).transpose()?;
        view.keys = Some(opened);
        match key {
            None => {}
            // Backups of iOS 10.0 and 10.1 have it as plain text.
            Some(None) => view.read(&database)?,
            Some(Some(key)) => {
                let scratch = Scratch::in_cache(cache)?;
                let plain = scratch.path("Manifest.db");
                unseal(&key, &database, &plain).map_err(|error| manifest_error(&error))?;
                view.read(&plain)?;
            }
        }
        Ok(view)
    }

    /// Opens the keybag with the passwords that a person gives.
    fn keys(&self, ctx: &Context) -> Result<Result<Keys, Locked>, JobError> {
        let info = fs_err::read(self.folder.join("Info.plist")).ok();
        let info = info.and_then(|bytes| InfoPlist::parse(&bytes).ok());
        let udid = info.as_ref().and_then(InfoPlist::udid).or(self.folder.file_name());
        let of = info.as_ref().and_then(InfoPlist::device_name).unwrap_or("this folder");
        let mut ring = Keyring::gather(ctx, None, udid.unwrap_or_default())?;
        ring.open_or_ask(ctx, of, &self.manifest)
    }

    fn manifest_key(&self, keys: &Keys) -> Result<Option<Key>, JobError> {
        let open = |wrapped: &Vec<u8>| {
            keys.open(wrapped)
                .map_err(|error| JobError::of(Cause::NotABackup, "the key of the manifest", &error))
        };
        self.manifest.manifest_key.as_ref().map(open).transpose()
    }

    fn read(&mut self, database: &Utf8Path) -> Result<(), JobError> {
        let db = ManifestDb::open(database).map_err(|error| manifest_error(&error))?;
        let read = db.for_each(|row| self.add(&row));
        read.map(drop).map_err(|error| manifest_error(&error))
    }

    fn add(&mut self, row: &Row) {
        let path = name(&row.domain, &row.relative_path);
        let file = row.file.as_ref();
        let payload = self.folder.join(row.file_id.path());
        let (kind, size) = match row.kind {
            // What counts is what is there: databases have another size than their record says.
            EntryKind::File => (FileKind::File, self.size(row, &payload)),
            EntryKind::Directory => (FileKind::Directory, 0),
            EntryKind::Symlink => (FileKind::Symlink, 0),
        };
        let listed = Listed {
            path: path.clone(),
            kind,
            size,
            mode: file.map_or(0, |file| file.mode & 0o7777),
            modified: file.and_then(|file| seconds(file.modified)),
            target: file.and_then(|file| file.target.clone()),
        };
        let key = file.and_then(|file| file.encryption_key.clone()).map(Vec::into_boxed_slice);
        let key = key.filter(|_| self.manifest.is_encrypted);
        self.entries.insert(path, Held { listed, payload, key });
    }

    /// Returns how large a file is.
    fn size(&self, row: &Row, payload: &Utf8Path) -> u64 {
        let found = fs_err::metadata(payload).map_or(0, |meta| meta.len());
        let Some(Ok(keys)) = &self.keys else { return found };
        let Some(file) = &row.file else { return found };
        if found == 0 || found == stored_length(file.size) {
            return file.size.min(found);
        }
        // Its end tells.
        let key = file.encryption_key.as_ref().and_then(|wrapped| keys.open(wrapped).ok());
        key.and_then(|key| plain_size(&key, payload, found).ok()).unwrap_or(found)
    }

    fn need_names(&self) -> Result<(), JobError> {
        match &self.keys {
            Some(Err(locked)) => {
                Err(locked.error("the backup is encrypted and its names cannot be read"))
            }
            _ => Ok(()),
        }
    }

    /// Opens the payload of a file as plain text.
    fn payload(&self, path: &str, held: &Held) -> Result<Box<dyn Read + Send>, JobError> {
        let failed = |error: &io::Error| JobError::of(Cause::NotABackup, path, error);
        let file = fs_err::File::open(&held.payload).map_err(|error| failed(&error))?;
        let Some(Ok(keys)) = &self.keys else { return Ok(Box::new(file)) };
        let length = file.metadata().map_err(|error| failed(&error))?.len();
        if length == 0 {
            return Ok(Box::new(file));
        }
        let damaged = |what: &str| JobError::new(Cause::NotABackup, format!("`{path}` {what}"));
        let wrapped = held.key.as_ref().ok_or_else(|| damaged("has no key"))?;
        let key = keys.open(wrapped).map_err(|error| {
            JobError::of(Cause::NotABackup, &format!("the key of `{path}`"), &error)
        })?;
        if !length.is_multiple_of(16) {
            return Err(damaged("is damaged: it ends inside a block of its cipher"));
        }
        Ok(Box::new(Decrypt::new(&key, file)))
    }
}

/// Returns how many bytes of plain text a payload holds: its last block says so.
fn plain_size(key: &Key, payload: &Utf8Path, length: u64) -> io::Result<u64> {
    let mut file = fs_err::File::open(payload)?;
    // A block is opened with the one before it: as a payload of two it opens to two.
    let start = length.saturating_sub(32);
    file.seek(SeekFrom::Start(start))?;
    let mut plain = Vec::new();
    Decrypt::new(key, file).read_to_end(&mut plain)?;
    Ok(start + plain.len() as u64)
}

fn manifest_error(error: &ManifestError) -> JobError {
    let cause = match error {
        ManifestError::OldFormat => Cause::Unsupported,
        _ => Cause::NotABackup,
    };
    JobError::new(cause, error.to_string())
}

impl BackupView for FolderView {
    fn details(&self) -> Result<SnapshotDetails, JobError> {
        let info = fs_err::read(self.folder.join("Info.plist"))
            .ok()
            .and_then(|bytes| InfoPlist::parse(&bytes).ok());
        let info = info.unwrap_or_else(|| InfoPlist::new(plist::Dictionary::new()));
        let lockdown =
            |key: &str| self.manifest.lockdown.get(key).and_then(plist::Value::as_string);
        let mut domains = Domains::default();
        for Held { listed, .. } in self.entries.values() {
            let is_file = listed.kind == FileKind::File;
            domains.add(&listed.path, is_file.then_some(listed.size));
        }
        let (files, bytes) = domains.totals();
        let time = info
            .last_backup()
            .or(self.manifest.date)
            .and_then(|time| Timestamp::try_from(time).ok());
        let known = self.need_names().is_ok();
        Ok(SnapshotDetails {
            info: SnapshotInfo {
                id: String::new(),
                time: time.unwrap_or(Timestamp::UNIX_EPOCH),
                udid: info.udid().or(self.folder.file_name()).unwrap_or_default().to_owned(),
                device_name: info.device_name().or(lockdown("DeviceName")).map(ToOwned::to_owned),
                ios: info.product_version().or(lockdown("ProductVersion")).map(ToOwned::to_owned),
                product_type: info
                    .product_type()
                    .or(lockdown("ProductType"))
                    .map(ToOwned::to_owned),
                tag: "folder".to_owned(),
                files_missing: None,
                files: known.then_some(files),
                bytes: known.then_some(bytes),
                bytes_added: None,
                dated_in_the_future: false,
            },
            encrypted: self.manifest.is_encrypted,
            sealed: 0,
            missing_files: Vec::new(),
            known_incomplete: Vec::new(),
            domains: domains.into_list(),
            apps: apps(&info),
        })
    }

    fn list(
        &self,
        path: &str,
        recursive: bool,
        visit: &mut dyn FnMut(Listed),
    ) -> Result<(), JobError> {
        self.need_names()?;
        let path = path.trim_matches('/');
        let below = Below::new(path, recursive);
        let mut found = path.is_empty();
        if let Some(Held { listed, .. }) = self.entries.get(path) {
            found = true;
            if listed.kind != FileKind::Directory {
                visit(listed.clone());
            }
        }
        for (name, Held { listed, .. }) in self.entries.range(below.prefix.clone()..) {
            if !below.has(name) {
                break;
            }
            found = true;
            if below.shows(name) {
                visit(listed.clone());
            }
        }
        if found { Ok(()) } else { Err(no_such_path(path)) }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, JobError> {
        let own =
            path.split_once('/').filter(|(top, name)| *top == BACKUP && CONTROL.contains(name));
        if let Some((_, name)) = own {
            let file = fs_err::File::open(self.folder.join(name))
                .map_err(|error| JobError::of(Cause::NotABackup, path, &error))?;
            return Ok(Box::new(file));
        }
        self.need_names()?;
        let held = self.entries.get(path).ok_or_else(|| no_such_path(path))?;
        if held.listed.kind != FileKind::File {
            return Err(not_a_file(path));
        }
        self.payload(path, held)
    }
}
