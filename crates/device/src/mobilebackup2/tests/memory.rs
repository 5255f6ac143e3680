use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Cursor, Read},
    sync::{Arc, Mutex, MutexGuard, mpsc},
};

use tokio_util::sync::CancellationToken;

use crate::mobilebackup2::{
    DirectoryEntry, DirectoryEntryKind, FileError, FileSource, HostFiles, HostPath, Observer,
    TransferEvent, TransferStage,
};

/// A folder in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    directories: BTreeSet<String>,
    open: Option<(String, Vec<u8>)>,
    /// Bytes that fit, all when absent.
    room: Option<usize>,
    /// The size that files claim to have.
    claim: Option<u64>,
    /// After how many bytes a program error ends the reading of a file.
    breaks: Option<u64>,
    /// How files fail to get into their places.
    refuses: Option<fn() -> FileError>,
    /// The disk does not answer.
    hangs: Option<Hanging>,
}

/// A disk that does not answer until the other end of the channel is gone.
#[derive(Debug)]
struct Hanging {
    reached: CancellationToken,
    released: mpsc::Receiver<()>,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn content(&self) -> Vec<(String, Vec<u8>)> {
        self.state().files.clone().into_iter().collect()
    }

    pub(super) fn open_files(&self) -> usize {
        usize::from(self.state().open.is_some())
    }

    pub(super) fn fill_after(&self, bytes: usize) {
        self.state().room = Some(bytes);
    }

    pub(super) fn put(&self, path: &str, content: &[u8]) {
        self.state().files.insert(path.to_owned(), content.to_vec());
    }

    pub(super) fn claim(&self, size: u64) {
        self.state().claim = Some(size);
    }

    pub(super) fn break_after(&self, bytes: u64) {
        self.state().breaks = Some(bytes);
    }

    pub(super) fn refuse(&self, error: fn() -> FileError) {
        self.state().refuses = Some(error);
    }

    /// Lets the next operation hang until the sender is dropped; the token says that it does.
    pub(super) fn hang(&self) -> (CancellationToken, mpsc::Sender<()>) {
        let (release, released) = mpsc::channel();
        let reached = CancellationToken::new();
        self.state().hangs = Some(Hanging { reached: reached.clone(), released });
        (reached, release)
    }

    fn wait(&self) {
        let hanging = self.state().hangs.take();
        if let Some(Hanging { reached, released }) = hanging {
            reached.cancel();
            let _ended = released.recv();
        }
    }
}

/// Whether `path` is `folder` or lies in it.
fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A reader that is a defect.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
        panic!("a defect, as the test wants it");
    }
}

impl HostFiles for Memory {
    fn open(&mut self, path: &HostPath) -> Result<FileSource, FileError> {
        let state = self.state();
        let content = state.files.get(path.as_str()).ok_or(FileError::NotFound)?.clone();
        let size = state.claim.unwrap_or(content.len() as u64);
        let content = Cursor::new(content);
        let reader: Box<dyn Read + Send> = match state.breaks {
            Some(bytes) => Box::new(content.take(bytes).chain(Broken)),
            None => Box::new(content),
        };
        Ok(FileSource { size, reader })
    }

    fn begin(&mut self, path: &HostPath) -> Result<(), FileError> {
        self.wait();
        let mut state = self.state();
        assert!(state.open.is_none(), "one file at a time");
        state.open = Some((path.to_string(), Vec::new()));
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), FileError> {
        let mut state = self.state();
        if let Some(room) = &mut state.room {
            *room = room.checked_sub(data.len()).ok_or(FileError::NoSpace)?;
        }
        state.open.as_mut().expect("a file is open").1.extend_from_slice(data);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), FileError> {
        let mut state = self.state();
        if let Some(refuses) = state.refuses {
            return Err(refuses());
        }
        let (path, content) = state.open.take().expect("a file is open");
        state.files.insert(path, content);
        Ok(())
    }

    fn abandon(&mut self) {
        self.state().open = None;
    }

    fn list(&mut self, path: &HostPath) -> Result<Vec<DirectoryEntry>, FileError> {
        let state = self.state();
        if !state.directories.contains(path.as_str()) {
            return Err(FileError::NotFound);
        }
        let inside = format!("{path}/");
        let entry = |(name, content): (&String, &Vec<u8>)| {
            let name = name.strip_prefix(&inside)?;
            (!name.contains('/')).then(|| DirectoryEntry {
                name: name.to_owned(),
                kind: DirectoryEntryKind::File,
                size: content.len() as u64,
                modified: 1_700_000_000,
            })
        };
        Ok(state.files.iter().filter_map(entry).collect())
    }

    fn create_directory(&mut self, path: &HostPath) -> Result<(), FileError> {
        self.wait();
        self.state().directories.insert(path.to_string());
        Ok(())
    }

    fn rename(&mut self, from: &HostPath, to: &HostPath) -> Result<(), FileError> {
        let mut state = self.state();
        let content = state.files.remove(from.as_str()).ok_or(FileError::NotFound)?;
        state.files.insert(to.to_string(), content);
        Ok(())
    }

    fn remove(&mut self, path: &HostPath) -> Result<(), FileError> {
        let mut state = self.state();
        let before = state.files.len() + state.directories.len();
        state.files.retain(|file, _| !within(file, path.as_str()));
        state.directories.retain(|directory| !within(directory, path.as_str()));
        if before == state.files.len() + state.directories.len() {
            return Err(FileError::NotFound);
        }
        Ok(())
    }

    fn copy(&mut self, from: &HostPath, to: &HostPath) -> Result<(), FileError> {
        let mut state = self.state();
        let content = state.files.get(from.as_str()).ok_or(FileError::NotFound)?.clone();
        state.files.insert(to.to_string(), content);
        Ok(())
    }

    fn free_bytes(&mut self) -> Result<u64, FileError> {
        Ok(1 << 40)
    }

    fn purge(&mut self, _bytes: u64) -> Result<u64, FileError> {
        Err(FileError::Unsupported)
    }

    fn sync(&mut self) -> Result<(), FileError> {
        Ok(())
    }
}

/// An observer that keeps the stages.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Vec<TransferStage>>);

impl Log {
    pub(super) fn stages(&self) -> Vec<TransferStage> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Log {
    fn tell(&self, event: TransferEvent<'_>) {
        if let TransferEvent::Stage(stage) = event {
            self.0.lock().unwrap().push(stage);
        }
    }
}
