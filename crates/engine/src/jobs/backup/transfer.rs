//! The stage *transfer*: what the session with the device tells becomes events.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lifeboat_device::mobilebackup2::{Observer, ProblemSource, TransferEvent, TransferStage};

use crate::event::{Event, EventSink, Wait};
use crate::job::Context;
use crate::link;
use crate::meter::Meter;
use crate::stage::Stage;

/// Listens to a session.
pub(super) struct Watcher {
    events: EventSink,
    state: Mutex<State>,
}

struct State {
    meter: Meter,
    percent: Option<f64>,
    bytes: u64,
    files: u64,
    failed: u64,
}

impl Watcher {
    /// Makes one.
    pub(super) fn new(ctx: &Context) -> Self {
        let meter = Meter::new(ctx, Stage::Transfer, None);
        Self {
            events: ctx.events.clone(),
            state: Mutex::new(State { meter, percent: None, bytes: 0, files: 0, failed: 0 }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many files the device could not send.
    pub(super) fn files_failed(&self) -> u64 {
        self.state().failed
    }

    /// Tells the last state.
    pub(super) fn finish(&self) {
        self.state().meter.finish();
    }

    fn tell_progress(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let (bytes, files, percent) = (state.bytes, state.files, state.percent);
        state.meter.set(bytes, files, percent);
    }
}

impl Observer for Watcher {
    fn tell(&self, event: TransferEvent<'_>) {
        match event {
            TransferEvent::Stage(TransferStage::WaitingForPasscode) => {
                link::tell(&self.events, Wait::Passcode);
            }
            TransferEvent::Stage(_) => self.state().meter.finish(),
            TransferEvent::Progress { percent } => {
                self.tell_progress(|state| state.percent = Some(percent));
            }
            TransferEvent::Received { bytes } => self.tell_progress(|state| state.bytes += bytes),
            TransferEvent::FileReceived { .. } => self.tell_progress(|state| state.files += 1),
            TransferEvent::FileError(problem) if problem.by == ProblemSource::Phone => {
                let path = if problem.device_path.is_empty() {
                    &problem.path
                } else {
                    &problem.device_path
                };
                self.state().failed += 1;
                self.events
                    .tell(Event::FileError { path: path.clone(), message: problem.text.clone() });
            }
            TransferEvent::UnknownMessage { name } => {
                tracing::warn!(name, "the device sent a message that is not known");
            }
            TransferEvent::FileError(_)
            | TransferEvent::Batch { .. }
            | TransferEvent::Sent { .. }
            | TransferEvent::Purged { .. } => {}
        }
    }
}
