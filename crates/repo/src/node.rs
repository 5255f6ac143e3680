//! What a snapshot knows of one file, folder or link.

use jiff::Timestamp;

use crate::id::{BlobId, TreeId};

/// The bytes of one file: the blobs that make it up, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The pieces, in order.
    pub blobs: Vec<BlobId>,
    /// How many bytes they are together.
    pub size: u64,
}

/// What kind of thing a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File(Content),
    /// A folder; what is in it has nodes of its own.
    Directory,
    /// A symbolic link and its target.
    Symlink(String),
}

/// One file, folder or link with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// File, folder or link.
    pub kind: NodeKind,
    /// POSIX permissions with setuid, setgid and sticky (`mode & 0o7777`); type bits are ignored.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When the content changed last.
    pub modified: Timestamp,
    /// When the node changed last.
    pub changed: Timestamp,
    /// Inode number, 0 when unknown.
    pub inode: u64,
}

impl Node {
    /// Returns a plain file of mode 0600 with this content and time.
    pub fn file(content: Content, modified: Timestamp) -> Self {
        Self::plain(NodeKind::File(content), 0o600, modified)
    }

    /// Returns a folder of mode 0700 with this time.
    pub fn directory(modified: Timestamp) -> Self {
        Self::plain(NodeKind::Directory, 0o700, modified)
    }

    /// Returns a symbolic link to `target`.
    pub fn symlink(target: impl Into<String>, modified: Timestamp) -> Self {
        Self::plain(NodeKind::Symlink(target.into()), 0o777, modified)
    }

    fn plain(kind: NodeKind, mode: u32, modified: Timestamp) -> Self {
        Self { kind, mode, uid: 0, gid: 0, modified, changed: modified, inode: 0 }
    }

    /// Returns the size in bytes; 0 for folders and links.
    pub fn size(&self) -> u64 {
        self.content().map_or(0, |content| content.size)
    }

    /// Returns the content of a file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            NodeKind::File(content) => Some(content),
            NodeKind::Directory | NodeKind::Symlink(_) => None,
        }
    }

    /// Whether it is a folder.
    pub fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }
}

/// Returns the moment `seconds` and `nanos` after 1970, moved to the nearest one that a tree can hold.
pub fn moment(seconds: i64, nanos: u32) -> Timestamp {
    let nanos = i32::try_from(nanos.min(999_999_999)).unwrap_or(0);
    let seconds = seconds.clamp(FIRST_SECOND, LAST_SECOND);
    Timestamp::new(seconds, nanos).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// 0000-01-01T00:00:00Z: restic's time has no year before.
const FIRST_SECOND: i64 = -62_167_219_200;
/// 9999-12-30T00:00:00Z, the last whole day of jiff.
const LAST_SECOND: i64 = 253_402_128_000;

/// A node at its place in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the root of the snapshot, without a leading slash; empty for the root itself.
    pub path: String,
    /// What is there.
    pub node: Node,
    /// The tree of a folder: equal trees have equal content.
    pub tree: Option<TreeId>,
}

impl Entry {
    /// Returns the last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}
