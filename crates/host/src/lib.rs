//! The machine we run on, behind one trait.
//!
//! Everything that a test must be able to replace goes through [`Host`]: the clock, the room on a disk, the names of the
//! machine and of its user, commands, random bytes. [`Os`] is the real machine, [`fake::FakeHost`] the one of the tests.
//!
//! Modules in reading order: [`disk`] (room on a volume), [`command`] (programs with a time limit and without our secrets),
//! [`secret`] (password files, generated passwords), [`fake`].
//!
//! Not here: settings and environment variables (`cli::settings` reads them, once), and anything about devices.

pub mod command;
pub mod disk;
pub mod fake;
pub mod secret;

use camino::Utf8Path;
use jiff::Timestamp;

pub use crate::command::{Command, CommandError, Output};
pub use crate::disk::{DiskError, Space};
pub use crate::secret::SecretError;

/// The machine: what a job may ask of it.
pub trait Host: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns the room on the volume that holds `path`, or would hold it once made.
    fn space(&self, path: &Utf8Path) -> Result<Space, DiskError>;

    /// Returns the bytes that can still be written on the volume of `path`.
    fn free_bytes(&self, path: &Utf8Path) -> Result<u64, DiskError> {
        self.space(path).map(|space| space.free)
    }

    /// Returns the name of this machine.
    fn host_name(&self) -> String;

    /// Returns the name of the user who runs this program.
    fn user_name(&self) -> String;

    /// Runs a program to its end or its time limit.
    fn run(&self, command: &Command) -> Result<Output, CommandError>;

    /// Fills `bytes` with randomness good enough for keys.
    fn random(&self, bytes: &mut [u8]);
}

/// The real machine.
#[derive(Debug, Clone)]
pub struct Os {
    user_name: String,
}

impl Os {
    /// Makes the real machine; the user's name comes from whoever reads the environment.
    pub fn new(user_name: impl Into<String>) -> Self {
        Self { user_name: user_name.into() }
    }
}

impl Host for Os {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock of the machine is read")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn space(&self, path: &Utf8Path) -> Result<Space, DiskError> {
        disk::space(path)
    }

    fn host_name(&self) -> String {
        host_name()
    }

    fn user_name(&self) -> String {
        self.user_name.clone()
    }

    fn run(&self, command: &Command) -> Result<Output, CommandError> {
        command::run(command)
    }

    fn random(&self, bytes: &mut [u8]) {
        use rand::TryRngCore as _;
        // Without randomness no key can be made and nothing may go on.
        rand::rngs::OsRng.try_fill_bytes(bytes).expect("the system gives random bytes");
    }
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    "computer".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_clock_a_name_and_randomness() {
        let os = Os::new("someone");
        assert!(os.now() > Timestamp::UNIX_EPOCH);
        assert!(!os.host_name().is_empty());
        assert_eq!(os.user_name(), "someone");
        let (mut a, mut b) = ([0u8; 32], [0u8; 32]);
        os.random(&mut a);
        os.random(&mut b);
        assert_ne!(a, b);
    }
}
