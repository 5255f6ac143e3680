//! One file, directory or link of the phone.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8PathBuf;

use super::domains;
use super::media::Generated;

/// What an entry is (docs/format.md 1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file; the only kind with a payload.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl Kind {
    /// Returns the file type bits of `st_mode`.
    pub fn mode_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
        }
    }
}

/// Where the bytes of an entry come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory: it has none.
    None,
    /// A symbolic link: its content is [`Entry::target`].
    Link,
    /// A small file, whole.
    Bytes(Arc<[u8]>),
    /// A database: a file under the phone's folder. On the disk it is alive (a write-ahead log may lie beside it),
    /// in a [`Frozen`](super::Frozen) view it is a merged copy.
    File(Utf8PathBuf),
    /// A file that is made where it is read.
    Generated(Generated),
}

impl Content {
    /// Returns content of these bytes.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// One row of what the phone holds, with the metadata a manifest wants (docs/format.md 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The backup domain.
    pub domain: String,
    /// The path below the domain's root; empty for the root itself.
    pub relative_path: String,
    /// File, directory or link.
    pub kind: Kind,
    /// Full `st_mode`, type bits included.
    pub mode: u32,
    /// Owner.
    pub uid: i32,
    /// Group.
    pub gid: i32,
    /// Inode number; two entries with the same one are hard links of one file.
    pub inode: u64,
    /// Length in bytes; 0 for directories and links.
    pub size: u64,
    /// Time of the last change of content, Unix seconds.
    pub modified: i64,
    /// Time of the last change of metadata, Unix seconds.
    pub changed: i64,
    /// Time of birth, Unix seconds.
    pub birth: i64,
    /// Data Protection class.
    pub protection_class: u8,
    /// BSD `st_flags`.
    pub flags: u32,
    /// Where a symbolic link points.
    pub target: Option<String>,
    /// Extended attributes by name.
    pub extended_attributes: BTreeMap<String, Vec<u8>>,
    /// Whether the manifest carries a digest of the payload.
    pub digest_wanted: bool,
    /// Whether only an encrypted backup takes it.
    pub only_encrypted: bool,
    /// The bytes.
    pub content: Content,
}

impl Entry {
    /// Returns a new entry with the metadata that is usual in its domain; sizes and times are set by the caller.
    pub(crate) fn new(domain: &str, path: &str, kind: Kind, content: Content) -> Self {
        let owner = domains::owner(domain);
        let permissions = match kind {
            Kind::File => 0o644,
            _ => 0o755,
        };
        Self {
            domain: domain.to_owned(),
            relative_path: path.to_owned(),
            kind,
            mode: kind.mode_bits() | permissions,
            uid: owner.uid,
            gid: owner.gid,
            inode: 0,
            size: 0,
            modified: 0,
            changed: 0,
            birth: 0,
            protection_class: if kind == Kind::File {
                domains::protection_class(domain)
            } else {
                0
            },
            flags: 0,
            target: None,
            extended_attributes: BTreeMap::new(),
            digest_wanted: kind == Kind::File && domains::wants_digest(domain),
            only_encrypted: domains::only_encrypted(domain, path),
            content,
        }
    }

    /// Sets the permission bits, keeping the type.
    pub(crate) fn permissions(&mut self, permissions: u32) -> &mut Self {
        self.mode = self.kind.mode_bits() | permissions;
        self
    }

    /// Sets owner and group.
    pub(crate) fn owner(&mut self, uid: i32, gid: i32) -> &mut Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// Sets the Data Protection class.
    pub(crate) fn class(&mut self, class: u8) -> &mut Self {
        self.protection_class = class;
        self
    }

    /// Adds an extended attribute.
    pub(crate) fn attribute(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.extended_attributes.insert(name.to_owned(), value.to_vec());
        self
    }

    /// Sets all three times to one moment.
    pub(crate) fn dated(&mut self, time: i64) -> &mut Self {
        (self.birth, self.modified, self.changed) = (time, time, time);
        self
    }
}
