//! A repository in memory, for tests: it counts what is asked of it and fails when told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{FileKind, PackSink, Store, StoreError};
use crate::id::FileId;

/// How often a store was asked for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Folder listings.
    pub lists: u64,
    /// Reads of whole files.
    pub reads: u64,
    /// Reads of ranges.
    pub range_reads: u64,
    /// Whole files written, packs among them.
    pub writes: u64,
    /// Files removed.
    pub removes: u64,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<(FileKind, FileId), Vec<u8>>,
    order: Vec<(FileKind, FileId)>,
    counts: Counts,
    writes_left: Option<u64>,
    full: bool,
    /// Listed, and gone before anybody reads them.
    vanished: BTreeSet<(FileKind, FileId)>,
}

/// A repository in memory. Clones share their content.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `count` writes and removals pass and fails every later one, as if the machine had died.
    pub fn fail_after(&self, count: u64) {
        self.state().writes_left = Some(count);
    }

    /// Makes every write fail for want of space.
    pub fn fill_up(&self) {
        self.state().full = true;
    }

    /// Lists a file that is not there, as if another program had removed it between the listing and the reading.
    pub fn vanish(&self, kind: FileKind, id: FileId) {
        let mut state = self.state();
        state.files.remove(&(kind, id));
        state.vanished.insert((kind, id));
    }

    /// Lets all writes pass again.
    pub fn heal(&self) {
        let mut state = self.state();
        state.writes_left = None;
        state.full = false;
    }

    /// Returns what was asked so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Returns the files in the order in which they became visible.
    pub fn order(&self) -> Vec<(FileKind, FileId)> {
        self.state().order.clone()
    }

    /// Returns an independent copy of the content.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state();
        let copy =
            State { files: state.files.clone(), order: state.order.clone(), ..State::default() };
        Self { state: Arc::new(Mutex::new(copy)) }
    }

    /// Changes a file in place, to play damage.
    pub fn damage(&self, kind: FileKind, id: FileId, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(data) = self.state().files.get_mut(&(kind, id)) {
            change(data);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_found(kind: FileKind, id: FileId) -> StoreError {
        StoreError::NotFound { kind, id, place: "memory".into() }
    }
}

impl State {
    fn may_change(&mut self) -> Result<(), StoreError> {
        let kind = match (&mut self.writes_left, self.full) {
            (_, true) => io::ErrorKind::StorageFull,
            (Some(0), _) => io::ErrorKind::BrokenPipe,
            (Some(left), _) => {
                *left -= 1;
                return Ok(());
            }
            (None, false) => return Ok(()),
        };
        Err(StoreError::Io { action: "write", place: "memory".into(), source: kind.into() })
    }

    fn put(&mut self, kind: FileKind, id: FileId, data: Vec<u8>) -> Result<(), StoreError> {
        self.may_change()?;
        self.counts.writes += 1;
        self.order.push((kind, id));
        self.files.insert((kind, id), data);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory".into()
    }

    fn create(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn list(&self, kind: FileKind) -> Result<Vec<(FileId, u64)>, StoreError> {
        let mut state = self.state();
        state.counts.lists += 1;
        let of_kind = state.files.iter().filter(|((found, _), _)| *found == kind);
        let there = of_kind.map(|((_, id), data)| (*id, data.len() as u64));
        let vanished = state.vanished.iter().filter(|(found, _)| *found == kind);
        Ok(there.chain(vanished.map(|(_, id)| (*id, 1))).collect())
    }

    fn read(&self, kind: FileKind, id: FileId) -> Result<Vec<u8>, StoreError> {
        let mut state = self.state();
        state.counts.reads += 1;
        state.files.get(&(kind, id)).cloned().ok_or_else(|| Self::not_found(kind, id))
    }

    fn read_range(
        &self,
        kind: FileKind,
        id: FileId,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let mut state = self.state();
        state.counts.range_reads += 1;
        let data = state.files.get(&(kind, id)).ok_or_else(|| Self::not_found(kind, id))?;
        let range =
            usize::try_from(offset).ok().and_then(|start| Some(start..start.checked_add(length)?));
        let part = range.and_then(|range| data.get(range));
        part.map(<[u8]>::to_vec).ok_or(StoreError::TooShort { kind, id })
    }

    fn write(&self, kind: FileKind, id: FileId, data: &[u8]) -> Result<(), StoreError> {
        self.state().put(kind, id, data.to_vec())
    }

    fn write_first(&self, kind: FileKind, id: FileId, data: &[u8]) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.files.contains_key(&(kind, id)) {
            return Ok(false);
        }
        state.put(kind, id, data.to_vec()).map(|()| true)
    }

    fn begin_pack(&self) -> Result<Box<dyn PackSink>, StoreError> {
        Ok(Box::new(MemoryPack { store: self.clone(), data: Vec::new() }))
    }

    fn remove(&self, kind: FileKind, id: FileId) -> Result<(), StoreError> {
        let mut state = self.state();
        state.may_change()?;
        state.counts.removes += 1;
        state.files.remove(&(kind, id));
        Ok(())
    }

    fn unfinished(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    fn remove_unfinished(&self, _names: &[String]) -> Result<(), StoreError> {
        Ok(())
    }
}

struct MemoryPack {
    store: MemoryStore,
    data: Vec<u8>,
}

impl PackSink for MemoryPack {
    fn append(&mut self, data: &[u8]) -> Result<(), StoreError> {
        self.data.extend_from_slice(data);
        Ok(())
    }

    fn finish(self: Box<Self>, id: FileId) -> Result<(), StoreError> {
        self.store.state().put(FileKind::Pack, id, self.data)
    }
}
