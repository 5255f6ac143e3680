//! The view of `/var/mobile/Media` that AFC serves.
//!
//! It has two layers: the media of the phone, read-only, and an overlay of small files that hosts may write (the sync
//! lock, what Finder keeps below `/iTunes_Control`). The overlay is no part of a backup (docs/format.md 3.4) and survives a restart. Paths are those of AFC: from the root of the view, with or without a leading
//! slash.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Seek as _, SeekFrom};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{Content, Entry, Kind};
use super::index::Index;
use super::prng::Rng;
use super::{Disk, DiskError};

/// Domains whose `Media/` is what AFC shows.
const DOMAINS: [&str; 4] = ["CameraRollDomain", "MediaDomain", "TonesDomain", "BooksDomain"];

/// The largest file a host may write; the clients write kilobytes.
const LIMIT: u64 = 16 << 20;

/// Size of the phone's disk.
const TOTAL: u64 = 128_000_000_000;

/// Why an operation on the view failed; the service maps it to a status of AFC.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AfcError {
    /// Nothing has this path.
    #[error("no such file")]
    NotFound,
    /// Something has this path already.
    #[error("exists already")]
    Exists,
    /// It is a directory.
    #[error("is a directory")]
    IsDirectory,
    /// A part of the path is no directory.
    #[error("is not a directory")]
    NotADirectory,
    /// The directory is not empty.
    #[error("directory is not empty")]
    NotEmpty,
    /// Hosts may not change this.
    #[error("may not be changed")]
    Denied,
    /// The file would grow too large.
    #[error("no space")]
    NoSpace,
    /// The phone's folder cannot be read or written.
    #[error("the phone's disk failed")]
    Disk(#[source] DiskError),
}

impl From<io::Error> for AfcError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.into())
    }
}

/// What AFC tells of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfcStat {
    /// File, directory or link.
    pub kind: Kind,
    /// Length in bytes.
    pub size: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub modified: i64,
    /// Time of birth, nanoseconds since 1970.
    pub birth: i64,
    /// Number of hard links.
    pub links: u32,
    /// Where a symbolic link points.
    pub target: Option<String>,
}

/// Space on the phone, as AFC tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AfcSpace {
    /// Bytes in all.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Node {
    /// None for a directory.
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    target: Option<String>,
    modified: i64,
    birth: i64,
}

/// Files that hosts have written, by path without leading slash.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    nodes: BTreeMap<String, File>,
}

#[derive(Debug, Clone)]
struct File {
    body: Option<Vec<u8>>,
    target: Option<String>,
    modified: i64,
    birth: i64,
}

impl File {
    fn kind(&self) -> Kind {
        match (&self.body, &self.target) {
            (_, Some(_)) => Kind::Symlink,
            (Some(_), None) => Kind::File,
            (None, None) => Kind::Directory,
        }
    }
}

impl Overlay {
    /// Writes what a phone that was synchronised once has there.
    pub(crate) fn create(index: &Index, seed: u64, now: Timestamp) -> Result<(), DiskError> {
        let mut rng = Rng::new(seed, "afc");
        let time = nanoseconds(now.as_second() - 86_400);
        let mut overlay = Self::default();
        for path in [
            "Books",
            "Downloads",
            "PublicStaging",
            "iTunes_Control",
            "iTunes_Control/iTunes",
            "iTunes_Control/Music",
        ] {
            let directory = File { body: None, target: None, modified: time, birth: time };
            overlay.nodes.insert(path.to_owned(), directory);
        }
        for (path, length) in [
            ("Books/iBooksData2.plist", None),
            ("iTunes_Control/iTunes/IC-Info.sidv", Some(236)),
            ("iTunes_Control/iTunes/PhotosFolderPrefs", Some(64)),
            ("iTunes_Control/iTunes/VoiceMemos.plist", None),
            ("iTunes_Control/iTunes/iTunesPrefs", Some(496)),
            ("iTunes_Control/iTunes/iTunesPrefs.plist", None),
        ] {
            let body = match length {
                Some(length) => rng.bytes(length),
                None => preferences(&mut rng),
            };
            let file = File { body: Some(body), target: None, modified: time, birth: time };
            overlay.nodes.insert(path.to_owned(), file);
        }
        overlay.save(index)
    }

    pub(crate) fn open(index: &Index) -> Result<Self, DiskError> {
        let wrong = || DiskError::Property("afc");
        let text = index.property("afc")?.ok_or_else(wrong)?;
        let nodes: BTreeMap<String, Node> = serde_json::from_str(&text).map_err(|_| wrong())?;
        let mut overlay = Self::default();
        for (path, node) in nodes {
            let body = node.body.map(hex::decode).transpose().map_err(|_| wrong())?;
            let file =
                File { body, target: node.target, modified: node.modified, birth: node.birth };
            overlay.nodes.insert(path, file);
        }
        Ok(overlay)
    }

    fn save(&self, index: &Index) -> Result<(), DiskError> {
        let nodes: BTreeMap<&str, Node> = self
            .nodes
            .iter()
            .map(|(path, file)| {
                let body = file.body.as_ref().map(hex::encode);
                let node = Node {
                    body,
                    target: file.target.clone(),
                    modified: file.modified,
                    birth: file.birth,
                };
                (path.as_str(), node)
            })
            .collect();
        let text = serde_json::to_string(&nodes).map_err(|_| DiskError::Property("afc"))?;
        index.set_property("afc", &text)
    }

    fn has_children(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.nodes.range(prefix.clone()..).next().is_some_and(|(name, _)| name.starts_with(&prefix))
    }
}

fn preferences(rng: &mut Rng) -> Vec<u8> {
    let mut dictionary = plist::Dictionary::new();
    dictionary.insert("iPodPrefs".to_owned(), plist::Value::Data(rng.bytes(200)));
    dictionary.insert("LibraryID".to_owned(), rng.uuid().into());
    let mut bytes = Vec::new();
    plist::Value::Dictionary(dictionary)
        .to_writer_xml(&mut bytes)
        .expect("writing to memory does not fail");
    bytes
}

fn nanoseconds(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000)
}

/// Returns the path without slashes at its ends and without empty, `.` or `..` parts.
fn clean(path: &str) -> Result<String, AfcError> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            // A phone resolves it; nobody who backs up needs it, and it must never leave the view.
            ".." => return Err(AfcError::Denied),
            _ => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

impl Disk {
    /// Returns the names in a directory, sorted, without `.` and `..`.
    pub fn afc_list(&self, path: &str) -> Result<Vec<String>, AfcError> {
        let path = clean(path)?;
        if self.stat(&path)?.kind != Kind::Directory {
            return Err(AfcError::NotADirectory);
        }
        let mut names = BTreeSet::new();
        let prefix = if path.is_empty() { path } else { format!("{path}/") };
        let media = format!("Media/{prefix}");
        let on_disk = DOMAINS.iter().flat_map(|domain| self.index.domain(domain));
        let on_disk = on_disk.filter_map(|entry| entry.relative_path.strip_prefix(&media));
        let written = self.afc.nodes.keys().filter_map(|name| name.strip_prefix(&prefix));
        for rest in on_disk.chain(written).filter(|rest| !rest.is_empty()) {
            names.insert(rest.split('/').next().unwrap_or(rest).to_owned());
        }
        Ok(names.into_iter().collect())
    }

    /// Returns what is known of a file, a directory or a link (which is not followed).
    pub fn afc_stat(&self, path: &str) -> Result<AfcStat, AfcError> {
        self.stat(&clean(path)?)
    }

    fn stat(&self, path: &str) -> Result<AfcStat, AfcError> {
        if let Some(file) = self.afc.nodes.get(path) {
            let size = file.body.as_ref().map_or(0, Vec::len);
            return Ok(AfcStat {
                kind: file.kind(),
                size: u64::try_from(size).unwrap_or(u64::MAX),
                modified: file.modified,
                birth: file.birth,
                links: 1,
                target: file.target.clone(),
            });
        }
        if path.is_empty() || self.afc.has_children(path) {
            let (modified, birth) = (0, 0);
            return Ok(AfcStat {
                kind: Kind::Directory,
                size: 0,
                modified,
                birth,
                links: 2,
                target: None,
            });
        }
        let entry = self.media_entry(path).ok_or(AfcError::NotFound)?;
        Ok(AfcStat {
            kind: entry.kind,
            size: entry.size,
            modified: nanoseconds(entry.modified),
            birth: nanoseconds(entry.birth),
            links: if entry.kind == Kind::Directory { 2 } else { 1 },
            target: entry.target.clone(),
        })
    }

    fn media_entry(&self, path: &str) -> Option<&Entry> {
        let path = format!("Media/{path}");
        DOMAINS.iter().find_map(|domain| self.index.get(domain, &path))
    }

    /// Fills `buffer` with the bytes of a file at `offset` and returns how many there were; 0 at the end.
    pub fn afc_read(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, AfcError> {
        let path = clean(path)?;
        let mut slice = |bytes: &[u8]| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let mut rest = bytes.get(start..).unwrap_or_default();
            rest.read(buffer)
        };
        if let Some(file) = self.afc.nodes.get(&path) {
            return Ok(slice(file.body.as_ref().ok_or(AfcError::IsDirectory)?)?);
        }
        let entry = self.media_entry(&path).ok_or(AfcError::NotFound)?;
        match &entry.content {
            Content::None => Err(AfcError::IsDirectory),
            Content::Link => Err(AfcError::NotFound),
            Content::Bytes(bytes) => Ok(slice(bytes)?),
            Content::Generated(file) => Ok(file.read_at(offset, buffer)),
            Content::File(file) => {
                let mut file = fs_err::File::open(self.folder.join(file))?;
                file.seek(SeekFrom::Start(offset))?;
                Ok(file.read(buffer)?)
            }
        }
    }

    /// Opens a file for writing: makes it if it is not there, empties it if `truncate`.
    pub fn afc_create(
        &mut self,
        path: &str,
        truncate: bool,
        now: Timestamp,
    ) -> Result<(), AfcError> {
        let path = clean(path)?;
        self.writable(&path)?;
        let now = nanoseconds(now.as_second());
        if let Some(file) = self.afc.nodes.get_mut(&path) {
            let body = file.body.as_mut().ok_or(AfcError::IsDirectory)?;
            if truncate {
                body.clear();
                file.modified = now;
            }
        } else {
            let file = File { body: Some(Vec::new()), target: None, modified: now, birth: now };
            self.afc.nodes.insert(path, file);
        }
        self.save_afc()
    }

    /// Writes `data` into a file at `offset`; a gap is filled with zeros.
    pub fn afc_write(
        &mut self,
        path: &str,
        offset: u64,
        data: &[u8],
        now: Timestamp,
    ) -> Result<(), AfcError> {
        let path = clean(path)?;
        self.writable(&path)?;
        let end = offset.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if end > LIMIT {
            return Err(AfcError::NoSpace);
        }
        let file = self.afc.nodes.get_mut(&path).ok_or(AfcError::NotFound)?;
        let body = file.body.as_mut().ok_or(AfcError::IsDirectory)?;
        let start = usize::try_from(offset).map_err(|_| AfcError::NoSpace)?;
        let end = start + data.len();
        if body.len() < end {
            body.resize(end, 0);
        }
        if let Some(target) = body.get_mut(start..end) {
            target.copy_from_slice(data);
        }
        file.modified = nanoseconds(now.as_second());
        self.save_afc()
    }

    /// Cuts or extends a file to `size` bytes.
    pub fn afc_set_size(&mut self, path: &str, size: u64) -> Result<(), AfcError> {
        let path = clean(path)?;
        self.writable(&path)?;
        if size > LIMIT {
            return Err(AfcError::NoSpace);
        }
        let file = self.afc.nodes.get_mut(&path).ok_or(AfcError::NotFound)?;
        let body = file.body.as_mut().ok_or(AfcError::IsDirectory)?;
        body.resize(usize::try_from(size).map_err(|_| AfcError::NoSpace)?, 0);
        self.save_afc()
    }

    /// Makes a directory and its parents; an existing one is fine, as on a phone.
    pub fn afc_make_directory(&mut self, path: &str, now: Timestamp) -> Result<(), AfcError> {
        let path = clean(path)?;
        let now = nanoseconds(now.as_second());
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for ancestor in
            ends.filter_map(|end| path.get(..end)).filter(|ancestor| !ancestor.is_empty())
        {
            match self.stat(ancestor) {
                Ok(stat) if stat.kind == Kind::Directory => {}
                Ok(_) => return Err(AfcError::Exists),
                Err(AfcError::NotFound) => {
                    let directory = File { body: None, target: None, modified: now, birth: now };
                    self.afc.nodes.insert(ancestor.to_owned(), directory);
                }
                Err(error) => return Err(error),
            }
        }
        self.save_afc()
    }

    /// Removes a file, a link or an empty directory; with `contents` also a full one.
    pub fn afc_remove(&mut self, path: &str, contents: bool) -> Result<(), AfcError> {
        let path = clean(path)?;
        if !self.afc.nodes.contains_key(&path) {
            return Err(if self.stat(&path).is_ok() {
                AfcError::Denied
            } else {
                AfcError::NotFound
            });
        }
        if !contents && self.afc.has_children(&path) {
            return Err(AfcError::NotEmpty);
        }
        let below = format!("{path}/");
        self.afc.nodes.retain(|name, _| *name != path && !name.starts_with(&below));
        self.save_afc()
    }

    /// Renames a file or directory with all below it; a file in the way is replaced.
    pub fn afc_rename(&mut self, from: &str, to: &str) -> Result<(), AfcError> {
        let (from, to) = (clean(from)?, clean(to)?);
        self.writable(&to)?;
        if to == from {
            return Ok(());
        }
        let file = self.afc.nodes.get(&from).ok_or(AfcError::NotFound)?;
        if file.kind() == Kind::Directory && to.starts_with(&format!("{from}/")) {
            return Err(AfcError::Denied);
        }
        if self.afc.nodes.get(&to).is_some_and(|old| old.kind() == Kind::Directory) {
            return Err(AfcError::Exists);
        }
        let below = format!("{from}/");
        let moved: Vec<String> = self
            .afc
            .nodes
            .keys()
            .filter(|name| **name == from || name.starts_with(&below))
            .cloned()
            .collect();
        for name in moved {
            if let Some(file) = self.afc.nodes.remove(&name) {
                self.afc.nodes.insert(name.replacen(&from, &to, 1), file);
            }
        }
        self.save_afc()
    }

    /// Makes a symbolic link.
    pub fn afc_link(&mut self, target: &str, path: &str, now: Timestamp) -> Result<(), AfcError> {
        let path = clean(path)?;
        self.writable(&path)?;
        if self.stat(&path).is_ok() {
            return Err(AfcError::Exists);
        }
        let now = nanoseconds(now.as_second());
        let link = File { body: None, target: Some(target.to_owned()), modified: now, birth: now };
        self.afc.nodes.insert(path, link);
        self.save_afc()
    }

    /// Sets the time of the last change, nanoseconds since 1970.
    pub fn afc_set_modified(&mut self, path: &str, modified: i64) -> Result<(), AfcError> {
        let path = clean(path)?;
        self.writable(&path)?;
        self.afc.nodes.get_mut(&path).ok_or(AfcError::NotFound)?.modified = modified;
        self.save_afc()
    }

    /// Returns the space on the phone.
    pub fn afc_space(&self) -> AfcSpace {
        let used: u64 = self.index.iter().map(|entry| entry.size).sum();
        AfcSpace { total: TOTAL, free: (TOTAL - TOTAL / 5).saturating_sub(used) }
    }

    /// Says whether hosts may make or change `path`: its parent exists and it is none of the phone's own media.
    fn writable(&self, path: &str) -> Result<(), AfcError> {
        if path.is_empty() {
            return Err(AfcError::IsDirectory);
        }
        if self.media_entry(path).is_some() {
            return Err(AfcError::Denied);
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        match self.stat(parent)?.kind {
            Kind::Directory => Ok(()),
            _ => Err(AfcError::NotADirectory),
        }
    }

    fn save_afc(&self) -> Result<(), AfcError> {
        self.afc.save(&self.index).map_err(AfcError::Disk)
    }
}
