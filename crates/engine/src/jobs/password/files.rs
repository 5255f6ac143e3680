//! What a device sees of its backup while its password changes.
//!
//! It reads `Manifest.plist` of what lies in `Snapshot/`, else of the finished backup, and writes the same file again with its
//! keybag wrapped anew (`docs/protocol.md` 8.3). That one file goes into the journal of the working area, as a file of a run does:
//! the next backup presents it in place of the snapshot's own. Everything else can be read and not be changed.

use lifeboat_device::mobilebackup2::{DirectoryEntry, FileError, FileSource, HostFiles, HostPath};

use super::PasswordStep;
use crate::event::{Event, EventSink};
use crate::working_tree::WorkingTree;

/// The files that a device may write.
const REWRAPPED: [&str; 2] = ["Manifest.plist", "Snapshot/Manifest.plist"];

/// The working tree of a device, of which only one file can be written, and only over one that is there.
pub(super) struct GuardedFiles {
    tree: WorkingTree,
    events: EventSink,
}

impl GuardedFiles {
    /// Guards a tree; `events` hears what the device does with its manifest.
    pub(super) fn new(tree: WorkingTree, events: EventSink) -> Self {
        Self { tree, events }
    }

    fn tell(&self, step: PasswordStep) {
        self.events.tell(Event::Step { step });
    }
}

impl HostFiles for GuardedFiles {
    fn open(&mut self, path: &HostPath) -> Result<FileSource, FileError> {
        self.tell(PasswordStep::Read);
        self.tree.open(path)
    }

    fn begin(&mut self, path: &HostPath) -> Result<(), FileError> {
        if !REWRAPPED.contains(&path.inside()) {
            return Err(FileError::Unsupported);
        }
        self.tell(PasswordStep::Write);
        // A manifest without a backup would be one of nothing.
        self.tree.open(path)?;
        self.tree.begin(path)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), FileError> {
        self.tree.write(data)
    }

    fn finish(&mut self) -> Result<(), FileError> {
        self.tree.finish()
    }

    fn abandon(&mut self) {
        self.tree.abandon();
    }

    fn list(&mut self, path: &HostPath) -> Result<Vec<DirectoryEntry>, FileError> {
        self.tree.list(path)
    }

    fn create_directory(&mut self, _path: &HostPath) -> Result<(), FileError> {
        Err(FileError::Unsupported)
    }

    fn rename(&mut self, _from: &HostPath, _to: &HostPath) -> Result<(), FileError> {
        Err(FileError::Unsupported)
    }

    fn remove(&mut self, _path: &HostPath) -> Result<(), FileError> {
        Err(FileError::Unsupported)
    }

    fn copy(&mut self, _from: &HostPath, _to: &HostPath) -> Result<(), FileError> {
        Err(FileError::Unsupported)
    }

    fn free_bytes(&mut self) -> Result<u64, FileError> {
        self.tree.free_bytes()
    }

    fn purge(&mut self, _bytes: u64) -> Result<u64, FileError> {
        Err(FileError::Unsupported)
    }

    /// Before the device is told that its manifest arrived, it survives a power cut.
    fn sync(&mut self) -> Result<(), FileError> {
        self.tell(PasswordStep::Keep);
        Ok(self.tree.state().settle()?)
    }
}
