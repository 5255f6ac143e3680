//! Writes the snapshot of a verified backup: unchanged files by reference, new ones from the packs they went into already.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use lifeboat_mobilesync::{EntryKind, FileId, InfoPlist, ManifestDb, Row};
use lifeboat_repo::{
    Content, NewSnapshot, Node, NodeKind, SnapshotId, Tag, TreeBuilder, WriteStats, Writer, moment,
};

use crate::error::{Cause, JobError};
use crate::layout::{
    ABOUT, About, BACKUP, CONTROL, FILES, FORMAT, IDS, Ids, MOST_NAMED, NamedFile, name,
    sealed_path,
};
use crate::verify::{NOT_SENT, Told, Verified, for_each_payload};
use crate::working_tree::checked::Checked;
use crate::working_tree::overlay::{Overlay, Received, Trouble};
use crate::working_tree::tree::Origin;

/// What the job knows about the run.
pub(crate) struct Run<'a> {
    /// The device.
    pub(crate) udid: &'a str,
    /// `full` or `incremental`.
    pub(crate) kind: &'a str,
    /// Files that the device told errors of, in the order in which it did.
    pub(crate) told: &'a [Told],
    /// When.
    pub(crate) now: Timestamp,
}

/// What was written.
pub(crate) struct Stored {
    /// The snapshot.
    pub(crate) snapshot: SnapshotId,
    /// What the repository counted.
    pub(crate) stats: WriteStats,
    /// What the snapshot says about itself.
    pub(crate) about: About,
}

struct Storing<'a> {
    overlay: &'a Overlay,
    writer: &'a Writer,
    run: &'a Run<'a>,
    tree: TreeBuilder,
    ids: Ids,
    /// Payloads that rows of the manifest name.
    claimed: HashSet<FileId>,
    /// The names of files that the device told errors of.
    told: HashMap<FileId, NamedFile>,
    files: u64,
    bytes: u64,
    sealed: u64,
}

/// Writes the snapshot.
pub(crate) fn store(
    overlay: &Overlay,
    writer: &Writer,
    verified: &Verified,
    run: &Run<'_>,
) -> Result<Stored, JobError> {
    let mut storing = Storing {
        overlay,
        writer,
        run,
        tree: TreeBuilder::new(),
        ids: Ids::new(),
        claimed: HashSet::new(),
        told: HashMap::new(),
        files: 0,
        bytes: 0,
        sealed: 0,
    };
    match &verified.database {
        Some(database) => storing.rows(database, verified)?,
        None => storing.all_sealed()?,
    }
    storing.control()?;
    let info = storing.info();
    let about = storing.about(verified, &info);
    storing.own(ABOUT, &serde_json::to_vec_pretty(&about).map_err(|error| internal(&error))?)?;
    if !storing.ids.is_empty() {
        storing.own(IDS, &serde_json::to_vec(&storing.ids).map_err(|error| internal(&error))?)?;
    }
    let new = NewSnapshot {
        time: run.now,
        udid: run.udid.to_owned(),
        tag: if about.missing() == 0 { Tag::Complete } else { Tag::Partial },
        label: about.device_name.clone(),
        description: None,
        parent: overlay.base().map(|base| base.snapshot.id),
    };
    let (snapshot, stats) = writer.commit(storing.tree, &new)?;
    Ok(Stored { snapshot, stats, about })
}

fn internal(error: &(dyn std::error::Error + 'static)) -> JobError {
    JobError::of(Cause::Internal, "the snapshot's description cannot be written", error)
}

fn unreadable(trouble: Trouble) -> JobError {
    match trouble {
        Trouble::Io(error) => {
            JobError::of(Cause::Disk, "a received file cannot be read back", &error)
        }
        other => JobError::new(Cause::Internal, format!("a received file is gone ({other:?})")),
    }
}

impl Storing<'_> {
    /// Places every row of the manifest.
    fn rows(&mut self, database: &camino::Utf8Path, verified: &Verified) -> Result<(), JobError> {
        let manifest =
            |error| JobError::of(Cause::VerifyFailed, "Manifest.db cannot be read", &error);
        let db = ManifestDb::open(database).map_err(manifest)?;
        let mut failed = None;
        db.for_each(|row| {
            if failed.is_none() {
                failed = self.row(&row, verified).err();
            }
        })
        .map_err(manifest)?;
        failed.map_or(Ok(()), Err)?;
        // A row that cannot be read may stand for any of the payloads that no other row claims.
        if verified.unreadable().is_some() { self.unclaimed() } else { Ok(()) }
    }

    /// Keeps the payloads that no row claims as the device sent them.
    fn unclaimed(&mut self) -> Result<(), JobError> {
        let mut left = Vec::new();
        for_each_payload(self.overlay, self.run.udid, &mut |id, _| {
            if !self.claimed.contains(&id) {
                left.push(id);
            }
            Ok::<(), JobError>(())
        })?;
        left.into_iter().try_for_each(|id| self.seal_payload(id))
    }

    fn row(&mut self, row: &Row, verified: &Verified) -> Result<(), JobError> {
        let place = verified.names.place(&row.domain, &row.relative_path, row.kind);
        if self.run.told.iter().take(MOST_NAMED).any(|told| told.id == Some(row.file_id)) {
            let (domain, path) = (Some(row.domain.clone()), row.relative_path.clone());
            self.told.insert(row.file_id, NamedFile { domain, path, why: NOT_SENT.to_owned() });
        }
        match row.kind {
            EntryKind::File => self.file(row, place),
            EntryKind::Directory => {
                self.place_or_skip(place, self.node(row, NodeKind::Directory));
                Ok(())
            }
            EntryKind::Symlink => {
                if let Some(target) = row.file.as_ref().and_then(|file| file.target.clone()) {
                    self.place_or_skip(place, self.node(row, NodeKind::Symlink(target)));
                }
                Ok(())
            }
        }
    }

    /// A folder or link that has no plain path is in the manifest all the same: nothing is lost.
    fn place_or_skip(&mut self, place: Option<String>, node: Node) {
        if let Some(place) = place
            && let Err(error) = self.tree.add(&place, node)
        {
            tracing::debug!(%error, "a folder or link stays in the manifest only");
        }
    }

    fn file(&mut self, row: &Row, place: Option<String>) -> Result<(), JobError> {
        // The verification told of a payload that is not there.
        let arrived = self.content(&format!("{}/{}", self.run.udid, row.file_id.path()))?;
        let aside = || self.overlay.base().and_then(|base| base.damaged(&row.file_id)).cloned();
        let Some(content) = arrived.or_else(aside) else { return Ok(()) };
        self.claimed.insert(row.file_id);
        self.files += 1;
        self.bytes += content.size;
        let node = self.node(row, NodeKind::File(content));
        if let Some(place) = place {
            match self.tree.add(&place, node.clone()) {
                Ok(()) => {
                    if FileId::of(&row.domain, &row.relative_path) != row.file_id
                        || row.relative_path.is_empty()
                    {
                        self.ids
                            .insert(row.file_id.to_string(), name(&row.domain, &row.relative_path));
                    }
                    return Ok(());
                }
                Err(error) => tracing::debug!(%error, "a file is stored under its id"),
            }
        }
        // Two rows of one name both lie here, and one id twice is refused.
        self.ids.insert(row.file_id.to_string(), name(&row.domain, &row.relative_path));
        self.seal(&row.file_id, node)
    }

    fn seal(&mut self, id: &FileId, node: Node) -> Result<(), JobError> {
        self.sealed += 1;
        let added = self.tree.add(&sealed_path(id), node);
        added.map_err(|error| {
            JobError::of(Cause::HostileData, "two rows of the manifest have one file id", &error)
        })
    }

    fn node(&self, row: &Row, kind: NodeKind) -> Node {
        match &row.file {
            Some(file) => Node {
                kind,
                mode: file.mode & 0o7777,
                uid: file.uid.cast_unsigned(),
                gid: file.gid.cast_unsigned(),
                modified: moment(file.modified, 0),
                changed: moment(file.changed, 0),
                inode: file.inode,
            },
            None => match kind {
                NodeKind::File(content) => Node::file(content, self.run.now),
                NodeKind::Directory => Node::directory(self.run.now),
                NodeKind::Symlink(target) => Node::symlink(target, self.run.now),
            },
        }
    }

    /// An encrypted backup: everything as the device sent it.
    fn all_sealed(&mut self) -> Result<(), JobError> {
        let (overlay, udid) = (self.overlay, self.run.udid);
        for_each_payload(overlay, udid, &mut |id, _| self.seal_payload(id))
    }

    fn seal_payload(&mut self, id: FileId) -> Result<(), JobError> {
        let path = format!("{}/{}", self.run.udid, id.path());
        let Some(content) = self.content(&path)? else { return Ok(()) };
        self.files += 1;
        self.bytes += content.size;
        let modified = self.overlay.tree().file(&path).map_or(0, |file| file.modified);
        self.seal(&id, Node::file(content, moment(modified, 0)))
    }

    /// The backup's own files.
    fn control(&mut self) -> Result<(), JobError> {
        for file in CONTROL {
            let path = format!("{}/{file}", self.run.udid);
            let modified = self.overlay.tree().file(&path).map_or(0, |file| file.modified);
            if let Some(content) = self.content(&path)? {
                self.add(&format!("{BACKUP}/{file}"), Node::file(content, moment(modified, 0)))?;
            }
        }
        // A backup without a single file still has the folder.
        if self.files == self.sealed {
            let _there_already = self.tree.add(FILES, Node::directory(self.run.now));
        }
        Ok(())
    }

    fn own(&mut self, path: &str, bytes: &[u8]) -> Result<(), JobError> {
        let content = self.writer.store(bytes, None)?;
        self.add(path, Node::file(content, self.run.now))
    }

    fn add(&mut self, path: &str, node: Node) -> Result<(), JobError> {
        let added = self.tree.add(path, node);
        added.map_err(|error| {
            JobError::of(Cause::Internal, "the snapshot cannot be put together", &error)
        })
    }

    /// Returns the content of a file of the tree: by reference where the repository has it, else it is stored now.
    fn content(&self, path: &str) -> Result<Option<Content>, JobError> {
        let Ok(file) = self.overlay.tree().file(path) else { return Ok(None) };
        let content = match file.origin {
            Origin::Base(number) => {
                self.overlay.base().and_then(|base| base.content(number)).cloned()
            }
            Origin::Received(number) => match self.overlay.received(number) {
                Some(Received { content: Some(content), .. }) => Some(content.clone()),
                Some(received) => Some(self.store_received(number, received)?),
                None => None,
            },
        };
        match content {
            Some(content) if content.size == file.size => Ok(Some(content)),
            _ => Err(JobError::new(Cause::Internal, format!("{path} is not what was received"))),
        }
    }

    /// Stores a file that lies in the working area only.
    fn store_received(&self, number: u64, received: &Received) -> Result<Content, JobError> {
        let reader = self.overlay.open_received(number).map_err(unreadable)?;
        let mut reader = Checked::new(reader);
        let content = self.writer.store(&mut reader, None)?;
        let passed = reader.passed();
        if received.local.is_some_and(|(span, sum)| (span.size, sum) == (passed.size, passed.sum)) {
            Ok(content)
        } else {
            Err(JobError::new(Cause::Disk, "a file in the working area has lost bytes"))
        }
    }

    fn info(&self) -> InfoPlist {
        let bytes = self
            .overlay
            .read(&format!("{}/Info.plist", self.run.udid), 64 << 20)
            .unwrap_or_default();
        InfoPlist::parse(&bytes).unwrap_or_else(|_| InfoPlist::new(plist::Dictionary::new()))
    }

    fn about(&self, verified: &Verified, info: &InfoPlist) -> About {
        let lockdown =
            |key: &str| verified.manifest.lockdown.get(key).and_then(plist::Value::as_string);
        let encrypted = verified.manifest.is_encrypted;
        About {
            format: FORMAT,
            program: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).to_owned(),
            udid: self.run.udid.to_owned(),
            device_name: info.device_name().or(lockdown("DeviceName")).map(ToOwned::to_owned),
            product_type: info.product_type().or(lockdown("ProductType")).map(ToOwned::to_owned),
            ios: info.product_version().or(lockdown("ProductVersion")).map(ToOwned::to_owned),
            kind: self.run.kind.to_owned(),
            encrypted,
            stored: if encrypted { "sealed" } else { "opened" }.to_owned(),
            files: self.files,
            bytes: self.bytes,
            sealed: self.sealed,
            file_errors: self.run.told.len() as u64,
            known_damage: verified.damaged().iter().map(ToString::to_string).collect(),
            unreadable_rows: verified.unreadable().map_or(0, |(rows, _)| rows),
            files_missing: Some(verified.missing(self.run.told)),
            missing_files: verified.missing_files(self.run.told, &self.told),
            known_incomplete: verified.known_incomplete(),
        }
    }
}
