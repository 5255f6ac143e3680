//! A machine described in a TOML file, in place of this one: for trying things and for tests (`docs/machine.md`).
//!
//! Where the file says nothing the real machine answers, except the network outside: a file without `[network]` describes
//! a machine whose network cannot be looked at. What lies on this machine itself (`127.0.0.1`, `localhost`) is always real.

pub mod description;
mod network;

use std::sync::Arc;

use camino::Utf8Path;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

pub use crate::machine::description::Description;
pub use crate::machine::network::DescribedNetwork;

use crate::kernel_log::KernelLine;
use crate::machine::description::{Answer, Folder, PowerWord, SleepWord};
use crate::{
    Command, CommandError, DiskError, FolderTrial, Host, LookError, Mount, Network, Output, Power,
    Process, Sleep, Space, System, UsbBus,
};

/// A description that cannot be used.
#[derive(Debug, Error)]
pub enum DescriptionError {
    /// The file cannot be read.
    #[error("cannot read the description of the machine")]
    Read(#[source] std::io::Error),
    /// The text is not what it should be.
    #[error("the description of the machine is not valid")]
    Parse(#[source] Box<toml::de::Error>),
}

/// The longest description that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// A described machine over a real one.
pub struct Machine {
    real: Arc<dyn Host>,
    description: Description,
    network: DescribedNetwork,
}

impl Machine {
    /// Puts a description over a machine.
    pub fn new(real: Arc<dyn Host>, description: Description) -> Self {
        let network = DescribedNetwork::new(description.network.clone(), Arc::clone(&real));
        Self { real, description, network }
    }

    /// Reads a description from its text.
    pub fn parse(real: Arc<dyn Host>, text: &str) -> Result<Self, DescriptionError> {
        let description =
            toml::from_str(text).map_err(|source| DescriptionError::Parse(Box::new(source)))?;
        Ok(Self::new(real, description))
    }

    /// Reads a description from a file.
    pub fn read(real: Arc<dyn Host>, path: &Utf8Path) -> Result<Self, DescriptionError> {
        let text = crate::read_text(path, LONGEST).map_err(DescriptionError::Read)?;
        Self::parse(real, &text)
    }

    /// Returns what is said about the folder of `path`: the deepest row wins.
    fn folder(&self, path: &Utf8Path) -> Option<&Folder> {
        let rows = self.description.folders.iter().filter(|row| path.starts_with(&row.under));
        rows.max_by_key(|row| row.under.components().count())
    }
}

impl Host for Machine {
    fn now(&self) -> Timestamp {
        let now = self.real.now();
        now.checked_add(SignedDuration::from_secs(self.description.clock)).unwrap_or(now)
    }

    fn space(&self, path: &Utf8Path) -> Result<Space, DiskError> {
        let Some(free) = self.folder(path).and_then(|row| row.free) else {
            return self.real.space(path);
        };
        let total = self.folder(path).and_then(|row| row.total).unwrap_or(free.max(1 << 40));
        Ok(Space { free, total })
    }

    fn free_files(&self, path: &Utf8Path) -> Result<Option<u64>, DiskError> {
        match self.folder(path).and_then(|row| row.free_files) {
            Some(files) => Ok(Some(files)),
            None => self.real.free_files(path),
        }
    }

    fn host_name(&self) -> String {
        self.real.host_name()
    }

    fn user_name(&self) -> String {
        self.real.user_name()
    }

    fn run(&self, command: &Command) -> Result<Output, CommandError> {
        self.real.run(command)
    }

    fn random(&self, bytes: &mut [u8]) {
        self.real.random(bytes);
    }

    fn usb(&self) -> Result<UsbBus, LookError> {
        match &self.description.usb {
            None => self.real.usb(),
            Some(usb) => usb.answer.of("USB bus", || usb.bus()),
        }
    }

    fn kernel_log(&self) -> Result<Vec<KernelLine>, LookError> {
        match &self.description.kernel_log {
            None => self.real.kernel_log(),
            Some(log) => log.answer.of("kernel log", || log.lines()),
        }
    }

    fn processes(&self) -> Result<Vec<Process>, LookError> {
        let Some(names) = &self.description.processes else { return self.real.processes() };
        Ok((100..).zip(names).map(|(id, name)| Process { id, name: name.clone() }).collect())
    }

    fn mounts(&self) -> Result<Vec<Mount>, LookError> {
        match &self.description.mounts {
            None => self.real.mounts(),
            Some(rows) => Ok(rows.iter().map(description::MountRow::mount).collect()),
        }
    }

    fn try_folder(&self, path: &Utf8Path) -> FolderTrial {
        match self.folder(path) {
            Some(row) if row.hangs => loop {
                // Whoever asks leaves such a look behind.
                std::thread::park();
            },
            Some(row) if row.is_tried() => row.trial(),
            _ => self.real.try_folder(path),
        }
    }

    fn sleep(&self) -> Result<Sleep, LookError> {
        match self.description.sleep {
            None => self.real.sleep(),
            Some(SleepWord::HeldOff) => Ok(Sleep::HeldOff),
            Some(SleepWord::MaySleep) => Ok(Sleep::MaySleep),
        }
    }

    fn power(&self) -> Result<Power, LookError> {
        match self.description.power {
            None => self.real.power(),
            Some(PowerWord::Mains) => Ok(Power::Mains),
            Some(PowerWord::Battery) => Ok(Power::Battery),
        }
    }

    fn virtual_machine(&self) -> Result<bool, LookError> {
        match self.description.virtual_machine {
            None => self.real.virtual_machine(),
            Some(virtual_machine) => Ok(virtual_machine),
        }
    }

    fn system(&self) -> System {
        match &self.description.system {
            None => self.real.system(),
            Some(row) => System { name: row.name.clone(), version: row.version.clone() },
        }
    }

    fn proxy(&self) -> Option<String> {
        match &self.description.network {
            None => self.real.proxy(),
            Some(network) => network.proxy.clone(),
        }
    }

    fn network(&self) -> &dyn Network {
        &self.network
    }
}

impl Answer {
    /// Returns what is there, or the refusal that is described.
    fn of<T>(self, what: &str, there: impl FnOnce() -> T) -> Result<T, LookError> {
        let what = what.to_owned();
        match self {
            Self::Given => Ok(there()),
            Self::Denied => Err(LookError::Denied { what }),
            Self::NotThere => Err(LookError::NotThere { what }),
            Self::TimedOut => Err(LookError::TimedOut { what, seconds: 5 }),
        }
    }
}

#[cfg(test)]
mod tests;
