//! What is between the callers and the workers: bounded, and able to say when it is empty.

use std::{
    ops::Range,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
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

/// Counts what is on its way. Nobody waits for longer than `patience` while nothing moves.
pub(super) struct Flow {
    state: Mutex<FlowState>,
    changed: Condvar,
    failed: AtomicBool,
    stalled: AtomicBool,
    patience: Duration,
}

/// Nothing moved for too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stalled;

#[derive(Default)]
struct FlowState {
    bytes: usize,
    /// Batches and full packs that are not done.
    pending: usize,
    /// How many are done.
    done: u64,
    failure: Option<RepoError>,
    /// The text of the first failure, once it was handed out.
    told: Option<String>,
    spare: Vec<Vec<u8>>,
}

impl Flow {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            failed: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            patience,
        }
    }

    /// Returns how long something may take.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    fn state(&self) -> MutexGuard<'_, FlowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room, then counts `bytes` in.
    pub(super) fn enter(&self, bytes: usize) -> Result<(), Stalled> {
        let is_full = |state: &FlowState| state.bytes > 0 && state.bytes + bytes > IN_FLIGHT;
        let mut state = self.wait_while(is_full)?;
        state.bytes += bytes;
        state.pending += 1;
        Ok(())
    }

    /// Waits while something is so, as long as anything is done meanwhile.
    fn wait_while(
        &self,
        is_so: impl Fn(&FlowState) -> bool,
    ) -> Result<MutexGuard<'_, FlowState>, Stalled> {
        let mut state = self.state();
        while is_so(&state) {
            let before = state.done;
            let wanted = |state: &mut FlowState| state.done == before && is_so(state);
            let waited = self.changed.wait_timeout_while(state, self.patience, wanted);
            let timeout;
            (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                self.stall();
                return Err(Stalled);
            }
        }
        Ok(state)
    }

    /// Remembers that somebody waited in vain: nobody waits for the threads any more.
    pub(super) fn stall(&self) {
        self.stalled.store(true, Ordering::Release);
    }

    pub(super) fn has_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
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
        state.done += 1;
        self.changed.notify_all();
    }

    /// Waits until nothing is on its way.
    pub(super) fn drain(&self) -> Result<(), Stalled> {
        self.wait_while(|state| state.pending > 0).map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_what_does_not_move() {
        let flow = Flow::new(Duration::from_millis(20));
        flow.drain().unwrap();
        // One that is alone is never held up.
        flow.enter(IN_FLIGHT + 1).unwrap();
        assert!(!flow.has_stalled());
        assert_eq!(flow.enter(1), Err(Stalled));
        assert_eq!(flow.drain(), Err(Stalled));
        assert!(flow.has_stalled());
        flow.leave(IN_FLIGHT + 1);
        flow.drain().unwrap();
    }

    #[test]
    fn what_moves_slowly_is_waited_for() {
        let flow = Flow::new(Duration::from_mins(10));
        flow.enter(IN_FLIGHT).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| flow.leave(IN_FLIGHT));
            flow.enter(1).unwrap();
        });
        flow.leave(1);
        flow.drain().unwrap();
    }
}
