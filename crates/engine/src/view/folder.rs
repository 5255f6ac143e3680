//! A folder as Finder, iTunes and idevicebackup2 make it.

use std::collections::BTreeMap;
use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use lifeboat_mobilesync::{EntryKind, InfoPlist, ManifestDb, ManifestError, ManifestPlist, Row};

use super::{BackupView, Below, Domains, apps, no_such_path, not_a_file, seconds};
use crate::error::{Cause, JobError};
use crate::jobs::snapshots::{FileKind, Listed, SnapshotDetails, SnapshotInfo};
use crate::layout::{BACKUP, CONTROL, name};

/// A folder as Finder, iTunes and idevicebackup2 make it.
pub(crate) struct FolderView {
    folder: Utf8PathBuf,
    manifest: ManifestPlist,
    /// By path; empty when the manifest is encrypted.
    entries: BTreeMap<String, (Listed, Utf8PathBuf)>,
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
    pub(crate) fn open(folder: Utf8PathBuf) -> Result<Self, JobError> {
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
        let mut view = Self { folder, manifest, entries: BTreeMap::new() };
        if !view.manifest.is_encrypted {
            let db = ManifestDb::open(&view.folder.join("Manifest.db"))
                .map_err(|error| manifest_error(&error))?;
            let read = db.for_each(|row| view.add(&row));
            read.map_err(|error| manifest_error(&error))?;
        }
        Ok(view)
    }

    fn add(&mut self, row: &Row) {
        let path = name(&row.domain, &row.relative_path);
        let file = row.file.as_ref();
        let payload = self.folder.join(row.file_id.path());
        let (kind, size) = match row.kind {
            // What counts is what is there: databases have another size than their record says.
            EntryKind::File => {
                (FileKind::File, fs_err::metadata(&payload).map_or(0, |meta| meta.len()))
            }
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
        self.entries.insert(path, (listed, payload));
    }

    fn need_names(&self) -> Result<(), JobError> {
        if self.manifest.is_encrypted {
            return Err(JobError::new(
                Cause::BackupEncrypted,
                "the backup is encrypted: its names cannot be read",
            ));
        }
        Ok(())
    }
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
        for (listed, _) in self.entries.values() {
            let is_file = listed.kind == FileKind::File;
            domains.add(&listed.path, is_file.then_some(listed.size));
        }
        let (files, bytes) = domains.totals();
        let time = info
            .last_backup()
            .or(self.manifest.date)
            .and_then(|time| Timestamp::try_from(time).ok());
        let known = !self.manifest.is_encrypted;
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
        if let Some((listed, _)) = self.entries.get(path) {
            found = true;
            if listed.kind != FileKind::Directory {
                visit(listed.clone());
            }
        }
        for (name, (listed, _)) in self.entries.range(below.prefix.clone()..) {
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
        let file = if let Some((_, name)) = own {
            self.folder.join(name)
        } else {
            self.need_names()?;
            let (listed, payload) = self.entries.get(path).ok_or_else(|| no_such_path(path))?;
            if listed.kind != FileKind::File {
                return Err(not_a_file(path));
            }
            payload.clone()
        };
        let file = fs_err::File::open(file)
            .map_err(|error| JobError::of(Cause::NotABackup, path, &error))?;
        Ok(Box::new(file))
    }
}
