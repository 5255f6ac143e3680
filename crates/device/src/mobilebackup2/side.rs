use std::{future::Future, pin::Pin};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{BackupError, CancelledBy};
use crate::{error::LinkError, sync::Notice};

/// What happens beside the stream.
#[derive(Debug)]
pub(super) enum SideEvent {
    /// The passcode sheet came or went.
    Passcode { shown: bool },
    /// The device is gone: only what it sent before is still to be had.
    Gone,
    /// The job is to end.
    Stop(BackupError),
}

/// Everything that can interrupt a wait on the stream.
pub(super) struct Side {
    pub(super) cancel: CancellationToken,
    /// What the device tells beside the job; nothing once it tells no more.
    pub(super) notices: Option<mpsc::Receiver<Notice>>,
    /// Ends when the device is gone; nothing once it has ended.
    pub(super) gone: Option<Gone>,
    /// The person has cancelled on the device.
    pub(super) refused: bool,
}

/// Ends when the device is gone.
pub(super) type Gone = Pin<Box<dyn Future<Output = Result<(), LinkError>> + Send>>;

impl Side {
    /// Says who has cancelled; from then on every event is the end.
    pub(super) fn cancelled(&self) -> Option<CancelledBy> {
        if self.cancel.is_cancelled() {
            Some(CancelledBy::Host)
        } else {
            self.refused.then_some(CancelledBy::Phone)
        }
    }

    /// Whether the device still tells what happens beside the job.
    pub(super) const fn hears(&self) -> bool {
        self.notices.is_some()
    }

    /// Returns the next event. Dropping the future loses nothing.
    pub(super) async fn event(&mut self) -> SideEvent {
        loop {
            if let Some(by) = self.cancelled() {
                return SideEvent::Stop(BackupError::Cancelled(by));
            }
            tokio::select! {
                () = self.cancel.cancelled() => {}
                notice = next(&mut self.notices) => match notice {
                    Some(Notice::PasscodeShown) => return SideEvent::Passcode { shown: true },
                    Some(Notice::PasscodeGone) => return SideEvent::Passcode { shown: false },
                    Some(Notice::CancelRequested) => self.refused = true,
                    None => self.notices = None,
                },
                gone = ended(&mut self.gone) => {
                    self.gone = None;
                    match gone {
                        Ok(()) => return SideEvent::Gone,
                        Err(error) => tracing::debug!(%error, "the mux tells no more of the device"),
                    }
                }
            }
        }
    }
}

async fn next(notices: &mut Option<mpsc::Receiver<Notice>>) -> Option<Notice> {
    match notices {
        Some(notices) => notices.recv().await,
        None => std::future::pending().await,
    }
}

async fn ended(gone: &mut Option<Gone>) -> Result<(), LinkError> {
    match gone {
        Some(gone) => gone.as_mut().await,
        None => std::future::pending().await,
    }
}
