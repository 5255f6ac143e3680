//! Writes the snapshot of a verified backup: unchanged files by reference, new ones from the packs they went into already.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use lifeboat_mobilesync::{EntryKind, FileId, InfoPlist, ManifestDb, ManifestPlist, Row};
use lifeboat_repo::{
    Content, NewSnapshot, Node, NodeKind, SnapshotId, Tag, TreeBuilder, WriteStats, Writer, moment,
};

use crate::apple::Form;
use crate::error::{Cause, JobError};
use crate::keys::Keys;
use crate::layout::{
    ABOUT, About, BACKUP, CONTROL, FILES, FORMAT, IDS, Ids, KEYS, MOST_NAMED, NamedFile, Names,
    OPENED, SEALED_WHOLE, name, sealed_path,
};
use crate::opening::Why;
use crate::verify::{NOT_SENT, Told, Verified};

pub(crate) mod arrived;

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
    /// How many files of an opened backup stay as the device sent them, by the word for the reason.
    pub(crate) sealed: BTreeMap<&'static str, u64>,
}

/// The payload of a row.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Its content.
    pub(crate) content: Content,
    /// How that is kept.
    pub(crate) form: Form,
    /// Why it stays as the device sent it, where others are opened.
    pub(crate) why: Option<Why>,
    /// When it came, Unix seconds.
    pub(crate) modified: i64,
}

/// One of the backup's own files.
pub(crate) struct Own {
    /// Its content.
    pub(crate) content: Content,
    /// When it came, Unix seconds.
    pub(crate) modified: i64,
}

/// Where the files of a backup come from when its snapshot is put together.
pub(crate) trait Pieces {
    /// Returns the payload with this ID, where there is one.
    fn payload(&self, id: &FileId) -> Result<Option<Piece>, JobError>;

    /// Returns the payload with this ID as the device sent it.
    fn as_sent(&self, id: &FileId) -> Result<Option<Piece>, JobError>;

    /// Returns what an earlier backup has of a payload that did not come.
    fn aside(&self, id: &FileId) -> Result<Option<Piece>, JobError>;

    /// Names every payload.
    fn each(&self, visit: &mut dyn FnMut(FileId) -> Result<(), JobError>) -> Result<(), JobError>;

    /// Returns one of the backup's own files, and whether it is opened.
    fn own(&self, name: &str) -> Result<Option<(Own, Form)>, JobError>;
}

/// What the snapshot of a backup is made of.
pub(crate) struct Backup<'a> {
    /// Its files.
    pub(crate) pieces: &'a dyn Pieces,
    /// What opened it.
    pub(crate) keys: Option<&'a Keys>,
    /// What its verification found.
    pub(crate) verified: &'a Verified,
    /// The bytes of its Info.plist.
    pub(crate) info: &'a [u8],
    /// Whether payloads that no row names are kept.
    pub(crate) keep_unclaimed: bool,
}

struct Storing<'a> {
    backup: &'a Backup<'a>,
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
    manifest_opened: bool,
    manifest_unpadded: bool,
    /// Files of an opened backup that stay sealed.
    why: BTreeMap<&'static str, u64>,
    named: Vec<NamedFile>,
}

/// A tree that is put together, and what it says about itself.
pub(crate) struct Built {
    pub(crate) tree: TreeBuilder,
    pub(crate) about: About,
    pub(crate) sealed: BTreeMap<&'static str, u64>,
}

/// Writes the snapshot.
pub(crate) fn store(
    backup: &Backup<'_>,
    writer: &Writer,
    parent: Option<SnapshotId>,
    run: &Run<'_>,
) -> Result<Stored, JobError> {
    let Built { tree, about, sealed } = tree(backup, writer, run, |_| {})?;
    let new = NewSnapshot {
        time: run.now,
        udid: run.udid.to_owned(),
        tag: if about.missing() == 0 { Tag::Complete } else { Tag::Partial },
        also: None,
        label: about.device_name.clone(),
        description: None,
        parent,
    };
    let (snapshot, stats) = writer.commit(tree, &new)?;
    Ok(Stored { snapshot, stats, about, sealed })
}

/// Puts the tree of a backup together; `change` has the last word about what it says of itself.
pub(crate) fn tree(
    backup: &Backup<'_>,
    writer: &Writer,
    run: &Run<'_>,
    change: impl FnOnce(&mut About),
) -> Result<Built, JobError> {
    let mut storing = build(backup, writer, run)?;
    let mut about = storing.about();
    change(&mut about);
    storing.describe(&about)?;
    Ok(Built { tree: storing.tree, about, sealed: storing.why })
}

fn build<'a>(
    backup: &'a Backup<'a>,
    writer: &'a Writer,
    run: &'a Run<'a>,
) -> Result<Storing<'a>, JobError> {
    let mut storing = Storing {
        backup,
        writer,
        run,
        tree: TreeBuilder::new(),
        ids: Ids::new(),
        claimed: HashSet::new(),
        told: HashMap::new(),
        files: 0,
        bytes: 0,
        sealed: 0,
        manifest_opened: false,
        manifest_unpadded: false,
        why: BTreeMap::new(),
        named: Vec::new(),
    };
    match &backup.verified.database {
        Some(database) => storing.rows(database, backup.verified)?,
        None => storing.all_sealed()?,
    }
    storing.control()?;
    Ok(storing)
}

fn internal(error: &(dyn std::error::Error + 'static)) -> JobError {
    JobError::of(Cause::Internal, "the snapshot's description cannot be written", error)
}

impl Storing<'_> {
    /// Says in the tree what it is.
    fn describe(&mut self, about: &About) -> Result<(), JobError> {
        self.own(ABOUT, &serde_json::to_vec_pretty(about).map_err(|error| internal(&error))?)?;
        if !self.ids.is_empty() {
            self.own(IDS, &serde_json::to_vec(&self.ids).map_err(|error| internal(&error))?)?;
        }
        match self.backup.keys {
            Some(keys) => self.own(KEYS, &keys.encode()?),
            None => Ok(()),
        }
    }

    /// Places every row of the manifest.
    fn rows(&mut self, database: &camino::Utf8Path, verified: &Verified) -> Result<(), JobError> {
        let manifest =
            |error| JobError::of(Cause::VerifyFailed, "Manifest.db cannot be read", &error);
        let db = ManifestDb::open(database).map_err(manifest)?;
        let mut failed = None;
        db.for_each(|row| {
            if failed.is_none() {
                failed = self.row(&row, &verified.names).err();
            }
        })
        .map_err(manifest)?;
        failed.map_or(Ok(()), Err)?;
        // A row that cannot be read may stand for any of the payloads that no other row claims.
        if verified.unreadable().is_some() || self.backup.keep_unclaimed {
            self.unclaimed()
        } else {
            Ok(())
        }
    }

    /// Keeps the payloads that no row claims as the device sent them.
    fn unclaimed(&mut self) -> Result<(), JobError> {
        let mut left = Vec::new();
        self.backup.pieces.each(&mut |id| {
            if !self.claimed.contains(&id) {
                left.push(id);
            }
            Ok(())
        })?;
        for id in left {
            self.seal_payload(id)?;
            self.note_sealed(Why::NoRow, None, &id.to_string());
        }
        Ok(())
    }

    fn row(&mut self, row: &Row, names: &Names) -> Result<(), JobError> {
        let place = names.place(&row.domain, &row.relative_path, row.kind);
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
        let (pieces, id) = (self.backup.pieces, &row.file_id);
        let piece = match pieces.payload(id)? {
            None => pieces.aside(id)?,
            arrived => arrived,
        };
        let Some(piece) = piece else { return Ok(()) };
        self.claimed.insert(row.file_id);
        // Of an encrypted backup only plain text lies under its name.
        let is_plain = !self.backup.verified.manifest.is_encrypted || piece.form == Form::Opened;
        if let Some(place) = place.filter(|_| is_plain) {
            let node = self.node(row, NodeKind::File(piece.content.clone()));
            match self.tree.add(&place, node) {
                Ok(()) => {
                    self.count(&piece.content);
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
        let sealed = match piece.form {
            Form::AsSent => Some(piece),
            Form::Opened | Form::Unpadded => pieces.as_sent(id)?,
        };
        let Some(Piece { content, why, .. }) = sealed else { return Ok(()) };
        self.count(&content);
        if self.backup.keys.is_some() {
            self.note_sealed(why.unwrap_or(Why::Name), Some(&row.domain), &row.relative_path);
        }
        // Two rows of one name both lie here, and one id twice is refused.
        self.ids.insert(row.file_id.to_string(), name(&row.domain, &row.relative_path));
        let node = self.node(row, NodeKind::File(content));
        self.seal(&row.file_id, node)
    }

    fn count(&mut self, content: &Content) {
        self.files += 1;
        self.bytes += content.size;
    }

    /// Remembers a file of an opened backup that stays as the device sent it.
    fn note_sealed(&mut self, why: Why, domain: Option<&str>, path: &str) {
        if self.backup.keys.is_none() {
            return;
        }
        *self.why.entry(why.word()).or_default() += 1;
        if self.named.len() < MOST_NAMED {
            let (domain, path) = (domain.map(ToOwned::to_owned), path.to_owned());
            self.named.push(NamedFile { domain, path, why: why.word().to_owned() });
        }
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

    /// An encrypted backup that nobody can open: everything as the device sent it.
    fn all_sealed(&mut self) -> Result<(), JobError> {
        let mut all = Vec::new();
        self.backup.pieces.each(&mut |id| {
            all.push(id);
            Ok(())
        })?;
        all.into_iter().try_for_each(|id| self.seal_payload(id))
    }

    fn seal_payload(&mut self, id: FileId) -> Result<(), JobError> {
        let Some(piece) = self.backup.pieces.as_sent(&id)? else { return Ok(()) };
        self.count(&piece.content);
        self.seal(&id, Node::file(piece.content, moment(piece.modified, 0)))
    }

    /// The backup's own files.
    fn control(&mut self) -> Result<(), JobError> {
        for file in CONTROL {
            if let Some((Own { content, modified }, form)) = self.backup.pieces.own(file)? {
                self.manifest_opened |= form != Form::AsSent;
                self.manifest_unpadded |= form == Form::Unpadded;
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

    fn about(&self) -> About {
        let verified = self.backup.verified;
        let info = InfoPlist::parse(self.backup.info)
            .unwrap_or_else(|_| InfoPlist::new(plist::Dictionary::new()));
        let encrypted = verified.manifest.is_encrypted;
        let opened = !encrypted || self.backup.keys.is_some();
        let lockdown = |key| lockdown(&verified.manifest, key);
        About {
            format: FORMAT,
            program: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).to_owned(),
            udid: self.run.udid.to_owned(),
            device_name: info.device_name().or(lockdown("DeviceName")).map(ToOwned::to_owned),
            product_type: info.product_type().or(lockdown("ProductType")).map(ToOwned::to_owned),
            ios: info.product_version().or(lockdown("ProductVersion")).map(ToOwned::to_owned),
            kind: self.run.kind.to_owned(),
            encrypted,
            stored: if opened { OPENED } else { SEALED_WHOLE }.to_owned(),
            files: self.files,
            bytes: self.bytes,
            sealed: self.sealed,
            file_errors: self.run.told.len() as u64,
            known_damage: verified.damaged().iter().map(ToString::to_string).collect(),
            unreadable_rows: verified.unreadable().map_or(0, |(rows, _)| rows),
            files_missing: Some(verified.missing(self.run.told)),
            missing_files: verified.missing_files(self.run.told, &self.told),
            known_incomplete: verified.known_incomplete(),
            manifest_opened: self.manifest_opened,
            manifest_unpadded: self.manifest_unpadded,
            sealed_files: self.named.clone(),
        }
    }
}

fn lockdown<'a>(manifest: &'a ManifestPlist, key: &str) -> Option<&'a str> {
    manifest.lockdown.get(key).and_then(plist::Value::as_string)
}
