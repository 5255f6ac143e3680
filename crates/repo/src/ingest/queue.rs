//! What is between the callers and the workers: bounded, and able to say when it is empty.

use std::{
    ops::Range,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{error::RepoError, format::BlobKind, id::BlobId};

/// Bytes that may wait for the workers.
const IN_FLIGHT: usize = 16 << 20;
/// Buffers kept for the next blobs …
const SPARE: usize = 12;
/// … of at most this size.
const SPARE_SIZE: usize = 2 << 20;

/// New blobs for a worker; small ones travel together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) data: Vec<u8>,
    pub(super) items: Vec<Item>,
}

/// One new blob in a batch.
pub(super) struct Item {
    pub(super) kind: BlobKind,
    pub(super) id: BlobId,
    pub(super) range: Range<usize>,
}

/// Counts what is on its way.
#[derive(Default)]
pub(super) struct Flow {
    state: Mutex<FlowState>,
    changed: Condvar,
    failed: AtomicBool,
}

#[derive(Default)]
struct FlowState {
    bytes: usize,
    /// Batches and full packs that are not done.
    pending: usize,
    failure: Option<RepoError>,
    /// The text of the first failure, once it was handed out.
    told: Option<String>,
    spare: Vec<Vec<u8>>,
}

impl Flow {
    fn state(&self) -> MutexGuard<'_, FlowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room, then counts `bytes` in.
    pub(super) fn enter(&self, bytes: usize) {
        let mut state = self.state();
        while state.bytes > 0 && state.bytes + bytes > IN_FLIGHT {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += bytes;
        state.pending += 1;
    }

    /// Counts something in that was counted before under another name; never waits.
    pub(super) fn enter_at_once(&self) {
        self.state().pending += 1;
    }

    /// Counts out.
    pub(super) fn leave(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes -= bytes;
        state.pending -= 1;
        self.changed.notify_all();
    }

    /// Waits until nothing is on its way.
    pub(super) fn drain(&self) {
        let mut state = self.state();
        while state.pending > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Remembers the first failure; from then on nothing is written.
    pub(super) fn fail(&self, error: RepoError) {
        let mut state = self.state();
        if state.failure.is_none() && state.told.is_none() {
            state.failure = Some(error);
        }
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Returns the first failure: itself once, then that there was one.
    pub(super) fn check(&self) -> Result<(), RepoError> {
        if !self.has_failed() {
            return Ok(());
        }
        let mut state = self.state();
        if let Some(error) = state.failure.take() {
            state.told = Some(error.to_string());
            return Err(error);
        }
        Err(RepoError::Stopped(state.told.clone().unwrap_or_default()))
    }

    /// Returns an empty buffer, an old one if there is one.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.state().spare.pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(super) fn take_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && buffer.capacity() <= SPARE_SIZE {
            buffer.clear();
            let mut state = self.state();
            if state.spare.len() < SPARE {
                state.spare.push(buffer);
            }
        }
    }
}
