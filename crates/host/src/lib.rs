//! The machine we run on, behind one trait.
//!
//! Everything that a test must be able to replace goes through [`Host`]: the clock, the room on a disk, the names of the
//! machine and of its user, commands, random bytes. [`Os`] is the real machine, [`fake::FakeHost`] the one of the tests.
//!
//! Modules in reading order: [`disk`] (room on a volume), [`command`] (programs with a time limit and without our secrets),
//! [`secret`] (password files, generated passwords), [`text_file`] (short files, read with a limit), [`discretion`] (what the log must not tell), [`mod@awake`] (holds sleep off); what the doctor looks at: [`look`] (what a
//! look may meet), [`usb`], [`kernel_log`], [`process`], [`mount`], [`trial`] (of a folder), [`power`], [`route`], [`system`],
//! [`net`] (doors to the network); [`fake`] for tests, [`machine`] for a machine described in a file.
//!
//! Linux is tested. macOS and Windows compile and are not tested; what cannot be told there says so ([`LookError`]).
//!
//! Not here: settings and environment variables (`cli::settings` reads them, once), and anything about devices.

pub mod awake;
pub mod command;
pub mod discretion;
pub mod disk;
pub mod fake;
pub mod kernel_log;
pub mod look;
pub mod machine;
pub mod mount;
pub mod net;
pub mod power;
pub mod process;
pub mod route;
pub mod secret;
pub mod system;
pub mod text_file;
pub mod trial;
pub mod usb;

use camino::Utf8Path;
use jiff::Timestamp;

pub use crate::awake::{Awake, stay_awake};
pub use crate::command::{Command, CommandError, Output};
pub use crate::disk::{DiskError, Space};
pub use crate::kernel_log::KernelLine;
pub use crate::look::{LookError, apart};
pub use crate::mount::Mount;
pub use crate::net::{Network, RealNetwork};
pub use crate::power::{Power, Sleep};
pub use crate::process::Process;
pub use crate::secret::SecretError;
pub use crate::system::System;
pub use crate::text_file::read_text;
pub use crate::trial::FolderTrial;
pub use crate::usb::{UsbBus, UsbDevice};

/// The machine: what a job or a probe may ask of it.
///
/// Looks (from [`usb`](Self::usb) on) may take long where something hangs: [`apart`] leaves such a look behind.
pub trait Host: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns the room on the volume that holds `path`, or would hold it once made.
    fn space(&self, path: &Utf8Path) -> Result<Space, DiskError>;

    /// Returns the bytes that can still be written on the volume of `path`.
    fn free_bytes(&self, path: &Utf8Path) -> Result<u64, DiskError> {
        self.space(path).map(|space| space.free)
    }

    /// Returns how many more files the volume of `path` can hold; nothing where it knows no such limit.
    fn free_files(&self, path: &Utf8Path) -> Result<Option<u64>, DiskError>;

    /// Returns the name of this machine.
    fn host_name(&self) -> String;

    /// Returns the name of the user who runs this program.
    fn user_name(&self) -> String;

    /// Runs a program to its end or its time limit.
    fn run(&self, command: &Command) -> Result<Output, CommandError>;

    /// Fills `bytes` with randomness good enough for keys.
    fn random(&self, bytes: &mut [u8]);

    /// Lists what is on the USB bus.
    fn usb(&self) -> Result<UsbBus, LookError>;

    /// Returns what the kernel logged, oldest first.
    fn kernel_log(&self) -> Result<Vec<KernelLine>, LookError>;

    /// Lists the running programs.
    fn processes(&self) -> Result<Vec<Process>, LookError>;

    /// Lists what is mounted.
    fn mounts(&self) -> Result<Vec<Mount>, LookError>;

    /// Does in a folder what a backup does there, on a small scale, and takes it away again.
    fn try_folder(&self, path: &Utf8Path) -> FolderTrial;

    /// Says whether this machine may go to sleep by itself.
    fn sleep(&self) -> Result<Sleep, LookError>;

    /// Says what this machine runs on.
    fn power(&self) -> Result<Power, LookError>;

    /// Says whether this is a virtual machine.
    fn virtual_machine(&self) -> Result<bool, LookError>;

    /// Tells the operating system.
    fn system(&self) -> System;

    /// Returns the proxy that is set for this user, if any.
    fn proxy(&self) -> Option<String>;

    /// Returns the doors to the network.
    fn network(&self) -> &dyn Network;
}

/// The real machine.
#[derive(Debug, Clone)]
pub struct Os {
    user_name: String,
    proxy: Option<String>,
    network: RealNetwork,
}

impl Os {
    /// Makes the real machine; the user's name comes from whoever reads the environment.
    pub fn new(user_name: impl Into<String>) -> Self {
        Self { user_name: user_name.into(), proxy: None, network: RealNetwork }
    }

    /// Says which proxy is set for this user; it, too, comes from whoever reads the environment.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Option<String>) -> Self {
        self.proxy = proxy;
        self
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

    fn free_files(&self, path: &Utf8Path) -> Result<Option<u64>, DiskError> {
        disk::free_files(path)
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

    fn usb(&self) -> Result<UsbBus, LookError> {
        usb::list()
    }

    fn kernel_log(&self) -> Result<Vec<KernelLine>, LookError> {
        kernel_log::read()
    }

    fn processes(&self) -> Result<Vec<Process>, LookError> {
        process::list()
    }

    fn mounts(&self) -> Result<Vec<Mount>, LookError> {
        mount::list()
    }

    fn try_folder(&self, path: &Utf8Path) -> FolderTrial {
        let mut bytes = [0; 8];
        self.random(&mut bytes);
        trial::try_folder(path, &format!(".lifeboat-trial-{:016x}", u64::from_le_bytes(bytes)))
    }

    fn sleep(&self) -> Result<Sleep, LookError> {
        power::sleep()
    }

    fn power(&self) -> Result<Power, LookError> {
        power::power()
    }

    fn virtual_machine(&self) -> Result<bool, LookError> {
        power::virtual_machine()
    }

    fn system(&self) -> System {
        system::system()
    }

    fn proxy(&self) -> Option<String> {
        self.proxy.clone()
    }

    fn network(&self) -> &dyn Network {
        &self.network
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
