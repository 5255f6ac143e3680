//! What every job gets: the machine, a place for events, a way to stop; and where its things lie.

mod places;

use std::sync::Arc;

use camino::Utf8PathBuf;
use lifeboat_host::Host;
use secrecy::SecretString;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::error::{Cause, JobError};
use crate::event::EventSink;
use crate::passwords::{NoPasswords, Passwords};

/// What every job gets.
#[derive(Clone)]
pub struct Context {
    /// The machine.
    pub host: Arc<dyn Host>,
    /// Where the job tells what happens.
    pub events: EventSink,
    /// Stops the job at the next clean place.
    pub cancel: CancellationToken,
    /// Where passwords of encrypted backups come from.
    pub passwords: Arc<dyn Passwords>,
}

impl Context {
    /// Makes a context.
    pub fn new(host: Arc<dyn Host>, events: EventSink) -> Self {
        Self { host, events, cancel: CancellationToken::new(), passwords: Arc::new(NoPasswords) }
    }

    /// Takes passwords from there.
    #[must_use]
    pub fn with_passwords(mut self, passwords: Arc<dyn Passwords>) -> Self {
        self.passwords = passwords;
        self
    }

    /// Fails where somebody stopped the job.
    pub(crate) fn go_on(&self) -> Result<(), JobError> {
        if self.cancel.is_cancelled() { Err(JobError::interrupted()) } else { Ok(()) }
    }
}

/// Where the things of a job lie; read once by the program, passed down by value.
#[derive(Debug, Clone)]
pub struct Places {
    /// The repository's folder.
    pub repository: Utf8PathBuf,
    /// The repository's password, where somebody gave one (prompt, password file).
    pub password: Option<SecretString>,
    /// The file with the generated key, used where no password was given.
    pub key_file: Utf8PathBuf,
    /// Whether a backup may make the repository (the default one, at the first backup).
    pub make_repository: bool,
    /// The folder for what a run has received and not yet stored; one folder a device below it.
    pub working_area: Utf8PathBuf,
    /// The folder for the catalogue; can be thrown away at any time.
    pub cache: Utf8PathBuf,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All is there.
    Done,
    /// A snapshot is there, some files are not.
    Incomplete,
    /// The conditions are not met yet; nothing is wrong.
    Postponed,
    /// It did not work; the cause says why.
    Failed,
    /// Somebody stopped it.
    Interrupted,
}

/// Runs what blocks beside the async tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(JobError::of(Cause::Internal, "a part of the job ended abnormally", &error))
        }
    }
}

/// Returns how long ago a moment was, in seconds.
pub(crate) fn seconds_since(ctx: &Context, started: jiff::Timestamp) -> f64 {
    ctx.host.now().duration_since(started).as_secs_f64().max(0.0)
}
