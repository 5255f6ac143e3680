//! What the probes share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use jiff::{SignedDuration, Timestamp};
use lifeboat_device::link::Link;
use lifeboat_device::mux::{Mux, same_udid};
use lifeboat_device::{Device, LinkError, MuxAddress};
use lifeboat_host::Host;
use lifeboat_host::net::NetworkError;
use plist::{Dictionary, Value};
use tokio::sync::OnceCell;

use crate::catalogue::For;
use crate::fact::{Facts, Why};
use crate::patterns::Hit;
use crate::probe::Outside;
use crate::probes::pairing::{self, PairingLook};
use crate::report::Identifier;

/// For the questions that several probes wait for: less than a probe has.
const SHARED: Duration = Duration::from_secs(4);

/// Values of the device that name it or its owner (`docs/protocol.md`, values).
const NAMES: [&str; 16] = [
    "BluetoothAddress",
    "DeviceName",
    "EthernetAddress",
    "IntegratedCircuitCardIdentity",
    "InternationalMobileEquipmentIdentity",
    "InternationalMobileEquipmentIdentity2",
    "InternationalMobileSubscriberIdentity",
    "IntegratedCircuitCardIdentity2",
    "InternationalMobileSubscriberIdentity2",
    "MLBSerialNumber",
    "MobileEquipmentIdentifier",
    "PhoneNumber",
    "SerialNumber",
    "UniqueChipID",
    "UniqueDeviceID",
    "WiFiAddress",
];

/// When the last run began and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunWindow {
    /// Its beginning.
    pub began: Timestamp,
    /// Its end.
    pub ended: Timestamp,
}

/// The last backup of a device, as it lies there. All of it is looked at, nothing is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// When it was made.
    pub made: Option<Timestamp>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// A run writes it now.
    pub being_written: bool,
    /// What is left of a run that broke off lies there, for the next one to go on with.
    pub left_over: bool,
    /// A whole backup is there, whatever a later run left behind.
    pub complete: bool,
    /// `Status.plist`, where there is one.
    pub status: Option<Vec<u8>>,
    /// `Manifest.plist`, where there is one.
    pub manifest: Option<Vec<u8>>,
    /// The iOS that it was made of.
    pub ios: Option<String>,
    /// Rows of its manifest without their payload, where somebody counted.
    pub rows_missing: Option<u64>,
    /// Its database cannot be opened.
    pub database_broken: bool,
}

/// What is known here of the backup password that a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupPassword {
    /// It has none.
    None,
    /// The one that is known here opens the newest backup.
    Known,
    /// One was agreed upon here, and no backup has proved it yet.
    NotProved,
    /// It never passed through here.
    Unknown,
    /// One is kept here, and it is not the one: it was changed elsewhere.
    Differs,
    /// It is one that nobody chose: a line end behind what was typed, or the option of a program.
    Damaged,
}

impl BackupPassword {
    /// Returns the word of the fact.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Known => "known",
            Self::NotProved => "not-proved",
            Self::Unknown => "unknown",
            Self::Differs => "stored-differs",
            Self::Damaged => "damaged",
        }
    }
}

/// What the probes ask about backups that are there. Whoever keeps them implements it; all of it may block.
pub trait Backups: Send + Sync {
    /// Returns the last backup of a device; nothing where there is none.
    fn last(&self, udid: &str) -> Result<Option<Existing>, Why>;

    /// Returns a file of the last finished backup, at most `limit` bytes of it; nothing where it has none.
    fn file(
        &self,
        udid: &str,
        domain: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Why>;

    /// Returns what is known here of the backup password of a device. `encrypts` is what the device itself tells, where it could be
    /// asked; else its backups speak.
    fn password(&self, udid: &str, encrypts: Option<bool>) -> Result<BackupPassword, Why>;
}

/// Is told a line of the log and what it shows.
pub type Tell = dyn Fn(&str, &Hit) + Send + Sync;

/// Following the log of the device for a while.
#[derive(Clone)]
pub struct Listen {
    /// How long.
    pub time: Duration,
    /// Is told each line that a pattern knows, as soon as it is heard.
    pub tell: Arc<Tell>,
}

impl std::fmt::Debug for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listen").field("time", &self.time).finish_non_exhaustive()
    }
}

/// What the probes share: where to look, and what one found that others need.
pub struct ProbeContext {
    /// The machine.
    pub host: Arc<dyn Host>,
    /// Where devices are reached.
    pub mux: MuxAddress,
    /// Which device; the first that is there where nobody says.
    pub udid: Option<String>,
    /// Folders that a backup writes to.
    pub destinations: Vec<Utf8PathBuf>,
    /// The kind of backup.
    pub concern: For,
    /// Outside services.
    pub outside: Outside,
    /// Nothing outside the local network is asked.
    pub offline: bool,
    /// A device without trust may be asked for it; it then shows its dialog.
    pub ask_trust: bool,
    /// Whether the log is followed, and for how long; where nobody says, a moment.
    pub listen: Option<Listen>,
    /// Lines of the log that were recorded with a run.
    pub recorded_log: Vec<String>,
    /// What the last run told (`job.*`).
    pub given: Facts,
    /// When the last run was.
    pub window: Option<RunWindow>,
    /// The backups that are there.
    pub backups: Option<Arc<dyn Backups>>,
    /// Probes whose sight is taken away, for tests.
    pub blind: BTreeSet<String>,
    device: OnceCell<Result<Device, Why>>,
    pairing: OnceCell<PairingLook>,
    values: OnceCell<Result<Dictionary, Why>>,
    ahead: OnceCell<Result<SignedDuration, Why>>,
    /// What else a probe read that names somebody, or a thing of theirs.
    noted: Mutex<Vec<Identifier>>,
}

impl ProbeContext {
    /// Makes a context with nothing but a machine and the place where devices are reached.
    pub fn new(host: Arc<dyn Host>, mux: MuxAddress) -> Self {
        Self {
            host,
            mux,
            udid: None,
            destinations: Vec::new(),
            concern: For::Computer,
            outside: Outside::default(),
            offline: false,
            ask_trust: false,
            listen: None,
            recorded_log: Vec::new(),
            given: Facts::new(),
            window: None,
            backups: None,
            blind: BTreeSet::new(),
            device: OnceCell::new(),
            pairing: OnceCell::new(),
            values: OnceCell::new(),
            ahead: OnceCell::new(),
            noted: Mutex::default(),
        }
    }

    /// Returns the mux.
    pub(crate) fn mux(&self) -> Mux {
        Mux::new(self.mux.clone())
    }

    /// Returns the device that is meant.
    pub(crate) async fn device(&self) -> Result<&Device, Why> {
        let find = || async {
            let devices = shared(self.mux().devices()).await?;
            let wanted = |device: &Device| {
                self.udid.as_deref().is_none_or(|udid| same_udid(udid, &device.udid))
            };
            devices.into_iter().find(wanted).ok_or(Why::NoDevice)
        };
        self.device.get_or_init(find).await.as_ref().map_err(Clone::clone)
    }

    /// Returns what a try to make the link showed.
    pub(crate) async fn pairing(&self) -> &PairingLook {
        self.pairing.get_or_init(|| pairing::try_link(self)).await
    }

    /// Returns the link.
    pub(crate) async fn link(&self) -> Result<&Link, Why> {
        self.pairing().await.link.as_ref().map_err(Clone::clone)
    }

    /// Returns all values without a domain.
    pub(crate) async fn values(&self) -> Result<&Dictionary, Why> {
        let read = || async { self.read_domain(None).await };
        self.values.get_or_init(read).await.as_ref().map_err(Clone::clone)
    }

    /// Returns all values of a domain.
    pub(crate) async fn domain(&self, domain: &str) -> Result<Dictionary, Why> {
        self.read_domain(Some(domain)).await
    }

    async fn read_domain(&self, domain: Option<&str>) -> Result<Dictionary, Why> {
        let link = self.link().await?;
        let read = async {
            let mut session = link.session().await?;
            let value = session.value(domain, None).await?;
            session.close().await;
            Ok(value)
        };
        let value = shared(read).await?;
        let absent = || Why::NotThere("the device has no such values".to_owned());
        let wrong = || Why::Garbled("values that are no dictionary".to_owned());
        value.ok_or_else(absent)?.into_dictionary().ok_or_else(wrong)
    }

    /// Returns what names the device and its owner, as far as a probe has read it: it has no place in a text that is passed on.
    pub fn names(&self) -> Vec<Identifier> {
        let udid = self.udid.clone().into_iter();
        let device = self.device.get().and_then(|device| device.as_ref().ok());
        let values = self.values.get().and_then(|values| values.as_ref().ok());
        let told = NAMES.iter().filter_map(|key| match values?.get(key)? {
            Value::String(text) => Some(vec![text.clone()]),
            // A log writes the number of a chip in either way.
            Value::Integer(number) => {
                let hex = number.as_unsigned().map(|number| format!("{number:x}"));
                Some([Some(number.to_string()), hex].into_iter().flatten().collect())
            }
            _ => None,
        });
        let udids = udid.chain(device.map(|device| device.udid.clone()));
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = udids.chain(told.flatten()).filter(|name| !name.is_empty());
        told.map(Identifier::new).chain(noted).collect()
    }

    /// Notes what names somebody, or a thing of theirs.
    pub(crate) fn note_name(&self, name: &str) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(Identifier::new(name));
    }

    /// Returns how far true time is ahead of this computer's clock, by the first time server that answers.
    pub(crate) async fn ahead(&self) -> Result<SignedDuration, Why> {
        if self.offline {
            return Err(Why::Offline);
        }
        if self.blind.contains("P22") {
            return Err(Why::Blinded);
        }
        self.ahead.get_or_init(|| self.ask_time()).await.clone()
    }

    async fn ask_time(&self) -> Result<SignedDuration, Why> {
        let mut why = Why::NotThere("no time server is set".to_owned());
        let limit = SHARED / 2;
        for server in self.outside.time_servers.iter().take(2) {
            match self.host.network().time(server, limit).await {
                Ok(time) => return Ok(time.now.duration_since(self.host.now())),
                Err(error) => why = network(&error),
            }
        }
        Err(why)
    }
}

/// Waits for something that the device or the mux is asked.
pub(crate) async fn shared<T>(
    future: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, Why> {
    match tokio::time::timeout(SHARED, future).await {
        Ok(result) => result.map_err(|error| link(&error)),
        Err(_) => Err(Why::TimedOut),
    }
}

/// Says why a device told nothing.
pub(crate) fn link(error: &LinkError) -> Why {
    match error {
        LinkError::MuxAbsent { .. } | LinkError::DeviceNotFound => Why::NoDevice,
        LinkError::Timeout { .. } => Why::TimedOut,
        LinkError::NoService(_) => Why::NotThere(error.to_string()),
        LinkError::Malformed(_) | LinkError::Tls(_) => Why::Garbled(error.to_string()),
        LinkError::MuxRefused(_)
        | LinkError::NotPaired
        | LinkError::RecordDamaged(_)
        | LinkError::NotTrusted
        | LinkError::Locked
        | LinkError::BeforeFirstUnlock
        | LinkError::Refused(_)
        | LinkError::RefusedUnknown(_)
        | LinkError::HandshakeBroken(_)
        | LinkError::Lost(_) => Why::Refused(error.to_string()),
    }
}

/// Says why the network told nothing.
pub(crate) fn network(error: &NetworkError) -> Why {
    match error {
        NetworkError::TimedOut { .. } => Why::TimedOut,
        NetworkError::Offline => Why::Offline,
        NetworkError::Malformed(_) | NetworkError::TooLong { .. } => {
            Why::Garbled(error.to_string())
        }
        NetworkError::Refused
        | NetworkError::Unreachable
        | NetworkError::NoSuchName
        | NetworkError::Lost(_)
        | NetworkError::Tls(_)
        | NetworkError::Untrusted(_)
        | NetworkError::Address(_) => Why::Refused(error.to_string()),
    }
}

/// Says why the machine told nothing.
pub(crate) fn look(error: &lifeboat_host::LookError) -> Why {
    use lifeboat_host::LookError;
    match error {
        LookError::Denied { .. } | LookError::Failed { .. } => Why::Refused(error.to_string()),
        LookError::NotThere { .. } | LookError::Unsupported { .. } => {
            Why::NotThere(error.to_string())
        }
        LookError::TimedOut { .. } => Why::TimedOut,
        LookError::Offline => Why::Offline,
        LookError::Malformed { .. } => Why::Garbled(error.to_string()),
    }
}
