//! The stage *transfer*: what the session with the device tells becomes events.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use lifeboat_device::mobilebackup2::{Observer, ProblemSource, TransferEvent, TransferStage};
use lifeboat_device::mux::Connection;
use tokio::sync::watch;

use crate::event::{Event, EventSink, Wait};
use crate::job::Context;
use crate::link;
use crate::meter::Meter;
use crate::run_facts::Prompt;
use crate::stage::Stage;

/// Fewer bytes say nothing about how fast a connection is.
const TELLING: u64 = 64 << 20;
/// Bytes a second below which a cable is many times slower than it can be: the slowest of today carries twenty times as much.
const SLOW: u64 = 2_000_000;
/// The file that fails on many devices without harm (`docs/protocol.md` 4.6): no row of a manifest names it.
const HARMLESS: (&str, &str) = ("/FileProvider/", "/backup/backup_manifest.db");
/// How many names of unknown messages are kept.
const UNKNOWN: usize = 20;

/// Says whether a file, by its path on the device, is one that is known to fail without harm.
pub(super) fn is_harmless(path: &str) -> bool {
    path.contains(HARMLESS.0) && path.ends_with(HARMLESS.1)
}

/// Listens to a session.
pub(crate) struct Watcher {
    ctx: Context,
    events: EventSink,
    state: Mutex<State>,
    prompt: watch::Sender<bool>,
}

/// What was seen of a session, for the doctor.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// What became of the passcode prompt.
    pub(super) prompt: Prompt,
    /// The last file that came, by its path on the device.
    pub(super) last_file: Option<String>,
    /// Files that the device could not read.
    pub(super) unreadable: u64,
    /// Of them, those that are known to fail without harm.
    pub(super) harmless: u64,
    bytes: u64,
    seconds: f64,
    by_cable: bool,
}

impl Watched {
    /// Says whether the files came many times slower than a cable carries them; nothing where too little came, or by air.
    pub(super) fn slow(&self) -> Option<bool> {
        #[expect(clippy::cast_precision_loss, reason = "a rate, held against a round number")]
        let slow = self.bytes as f64 / self.seconds.max(0.001) < SLOW as f64;
        (self.by_cable && self.bytes >= TELLING).then_some(slow)
    }
}

struct State {
    meter: Meter,
    percent: Option<f64>,
    bytes: u64,
    files: u64,
    failed: u64,
    harmless: u64,
    unknown: Vec<String>,
    prompt: Prompt,
    last_file: Option<String>,
    first: Option<Timestamp>,
}

impl Watcher {
    /// Makes one.
    pub(crate) fn new(ctx: &Context) -> Self {
        let meter = Meter::new(ctx, Stage::Transfer, None);
        Self {
            ctx: ctx.clone(),
            events: ctx.events.clone(),
            state: Mutex::new(State {
                meter,
                percent: None,
                bytes: 0,
                files: 0,
                failed: 0,
                harmless: 0,
                unknown: Vec::new(),
                prompt: Prompt::None,
                last_file: None,
                first: None,
            }),
            prompt: watch::Sender::new(false),
        }
    }

    /// Tells whether the device asks for its passcode now.
    pub(super) fn prompt_shown(&self) -> watch::Receiver<bool> {
        // The sheet of an earlier session is gone.
        self.prompt.send_replace(false);
        self.prompt.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many files the device could not send, those left out that are known to fail without harm.
    pub(super) fn files_failed(&self) -> u64 {
        let state = self.state();
        state.failed.saturating_sub(state.harmless)
    }

    /// Returns the names of messages that are not known, each once.
    pub(super) fn unknown_messages(&self) -> Vec<String> {
        self.state().unknown.clone()
    }

    /// Returns what was seen.
    pub(super) fn watched(&self, connection: Connection) -> Watched {
        let state = self.state();
        let seconds = state
            .first
            .map_or(0.0, |first| self.ctx.host.now().duration_since(first).as_secs_f64().max(0.0));
        Watched {
            prompt: state.prompt,
            last_file: state.last_file.clone(),
            unreadable: state.failed,
            harmless: state.harmless,
            bytes: state.bytes,
            seconds,
            by_cable: connection == Connection::Usb,
        }
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
                self.state().prompt = Prompt::Shown;
                self.prompt.send_replace(true);
                link::tell(&self.events, Wait::Passcode);
            }
            TransferEvent::Stage(stage) => {
                self.prompt.send_replace(false);
                let mut state = self.state();
                if state.prompt == Prompt::Shown && stage == TransferStage::Receiving {
                    state.prompt = Prompt::Answered;
                }
                state.meter.finish();
            }
            TransferEvent::Progress { percent } => {
                self.tell_progress(|state| state.percent = Some(percent));
            }
            TransferEvent::Received { bytes } => {
                let now = self.ctx.host.now();
                self.tell_progress(|state| {
                    state.bytes += bytes;
                    state.first.get_or_insert(now);
                });
            }
            TransferEvent::FileReceived { device_path, .. } => self.tell_progress(|state| {
                state.files += 1;
                state.last_file = Some(device_path.to_owned());
            }),
            TransferEvent::FileError(problem) if problem.by == ProblemSource::Phone => {
                let path = if problem.device_path.is_empty() {
                    &problem.path
                } else {
                    &problem.device_path
                };
                let harmless = is_harmless(path);
                {
                    let mut state = self.state();
                    state.failed += 1;
                    state.harmless += u64::from(harmless);
                }
                // What does no harm becomes a note.
                if !harmless {
                    let (path, message) = (path.clone(), problem.text.clone());
                    self.events.tell(Event::FileError { path, message });
                }
            }
            TransferEvent::UnknownMessage { name } => {
                tracing::warn!(name, "the device sent a message that is not known");
                let known = &mut self.state().unknown;
                if known.len() < UNKNOWN && !known.iter().any(|known| known == name) {
                    known.push(name.to_owned());
                }
            }
            TransferEvent::FileError(_)
            | TransferEvent::Batch { .. }
            | TransferEvent::Sent { .. }
            | TransferEvent::Purged { .. } => {}
        }
    }
}
