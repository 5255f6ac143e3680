//! The form of the file that describes a machine (`docs/machine.md`).

use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::kernel_log::KernelLine;
use crate::trial::{FolderState, Protection};
use crate::{FolderTrial, Mount, UsbBus, UsbDevice, usb};

/// A described machine. What is left out is as the real machine has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Description {
    /// What it is, for people.
    pub about: String,
    /// Seconds by which its clock is ahead of the real one; behind, where negative.
    pub clock: i64,
    /// Its USB bus.
    pub usb: Option<Usb>,
    /// What its kernel logged.
    pub kernel_log: Option<KernelLog>,
    /// Names of the programs that run.
    pub processes: Option<Vec<String>>,
    /// What is mounted.
    pub mounts: Option<Vec<MountRow>>,
    /// Folders that are other than they really are.
    pub folders: Vec<Folder>,
    /// Whether it may go to sleep.
    pub sleep: Option<SleepWord>,
    /// What it runs on.
    pub power: Option<PowerWord>,
    /// Whether it is a virtual machine.
    pub virtual_machine: Option<bool>,
    /// Its operating system.
    pub system: Option<SystemRow>,
    /// Its network.
    pub network: Option<NetworkRow>,
}

/// How a look is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// With what is there.
    #[default]
    Given,
    /// This user may not look.
    Denied,
    /// There is no such thing.
    NotThere,
    /// Not in time.
    TimedOut,
}

/// The USB bus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Usb {
    /// How a look at it is answered.
    pub answer: Answer,
    /// Ports that give power to something that says nothing.
    pub silent_ports: Option<u32>,
    /// What is plugged in.
    pub devices: Vec<UsbRow>,
}

/// A device on the USB bus: an iPhone unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct UsbRow {
    /// The vendor number.
    pub vendor: u16,
    /// The product number.
    pub product: u16,
    /// The serial number: the UDID without dash.
    pub serial: Option<String>,
    /// Mbit/s.
    pub speed: Option<u32>,
    /// Where it is plugged in: `1-2.3` is port 3 of a hub at port 2 of bus 1.
    pub port: String,
    /// Whether this user may open it.
    pub may_open: bool,
}

impl Default for UsbRow {
    fn default() -> Self {
        Self {
            vendor: usb::APPLE,
            product: 0x12a8,
            serial: None,
            speed: Some(480),
            port: "1-2".to_owned(),
            may_open: true,
        }
    }
}

impl Usb {
    pub(super) fn bus(&self) -> UsbBus {
        let device = |row: &UsbRow| UsbDevice {
            vendor: row.vendor,
            product: row.product,
            serial: row.serial.clone(),
            speed: row.speed,
            hubs: u32::try_from(row.port.matches('.').count()).unwrap_or(u32::MAX),
            port: row.port.clone(),
            may_open: Some(row.may_open),
        };
        UsbBus {
            devices: self.devices.iter().map(device).collect(),
            silent_ports: self.silent_ports,
        }
    }
}

/// What the kernel logged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelLog {
    /// How a look at it is answered.
    pub answer: Answer,
    /// Its lines, oldest first, all of a minute ago.
    pub lines: Vec<String>,
}

impl KernelLog {
    pub(super) fn lines(&self) -> Vec<KernelLine> {
        let line = |text: &String| KernelLine { ago: Duration::from_mins(1), text: text.clone() };
        self.lines.iter().map(line).collect()
    }
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MountRow {
    /// Where.
    pub path: Utf8PathBuf,
    /// The type of the file system.
    pub kind: String,
    /// What is mounted there.
    #[serde(default)]
    pub source: String,
    /// Nothing can be written there.
    #[serde(default)]
    pub read_only: bool,
}

impl MountRow {
    pub(super) fn mount(&self) -> Mount {
        Mount {
            path: self.path.clone(),
            kind: self.kind.clone(),
            source: self.source.clone(),
            read_only: self.read_only,
        }
    }
}

/// A folder that is other than it really is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Folder {
    /// The folder and all below it; `/` is everywhere.
    pub under: Utf8PathBuf,
    /// Bytes that are free.
    pub free: Option<u64>,
    /// Bytes in all.
    pub total: Option<u64>,
    /// Files that still fit.
    pub free_files: Option<u64>,
    /// What a trial says.
    pub state: Option<StateWord>,
    /// Rename over an existing file and locks work.
    pub rename: Option<bool>,
    /// The quota of this user is used up.
    pub over_quota: bool,
    /// A protection of the operating system.
    pub protection: Option<ProtectionWord>,
    /// A trial never ends.
    pub hangs: bool,
}

impl Default for Folder {
    fn default() -> Self {
        Self {
            under: "/".into(),
            free: None,
            total: None,
            free_files: None,
            state: None,
            rename: None,
            over_quota: false,
            protection: None,
            hangs: false,
        }
    }
}

impl Folder {
    /// Says whether the row tells how a trial ends.
    pub(super) fn is_tried(&self) -> bool {
        self.state.is_some()
            || self.rename.is_some()
            || self.over_quota
            || self.protection.is_some()
    }

    pub(super) fn trial(&self) -> FolderTrial {
        let state = match (self.state, self.protection) {
            (Some(word), _) => word.state(),
            (None, Some(_)) => FolderState::Denied,
            (None, None) => FolderState::Writable,
        };
        let writable = state == FolderState::Writable && !self.over_quota;
        FolderTrial {
            state,
            rename: writable.then(|| self.rename.unwrap_or(true)),
            over_quota: self.over_quota,
            full: self.free == Some(0) || self.free_files == Some(0),
            protection: self.protection.map(ProtectionWord::protection),
            said: said(state).map(str::to_owned),
        }
    }
}

/// What the system says to whoever tries such a folder.
fn said(state: FolderState) -> Option<&'static str> {
    match state {
        FolderState::ReadOnly => Some("Read-only file system (30)"),
        FolderState::Denied => Some("Permission denied (13)"),
        FolderState::IoError => Some("Input/output error (5)"),
        _ => None,
    }
}

/// What a trial says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateWord {
    /// It can be written.
    Writable,
    /// The file system takes no writes.
    ReadOnly,
    /// This user may not.
    Denied,
    /// It is not there.
    Missing,
    /// Something else has its name.
    NotAFolder,
    /// A link that leads nowhere.
    DanglingLink,
    /// The disk fails.
    IoError,
}

impl StateWord {
    fn state(self) -> FolderState {
        match self {
            Self::Writable => FolderState::Writable,
            Self::ReadOnly => FolderState::ReadOnly,
            Self::Denied => FolderState::Denied,
            Self::Missing => FolderState::Missing,
            Self::NotAFolder => FolderState::NotAFolder,
            Self::DanglingLink => FolderState::DanglingLink,
            Self::IoError => FolderState::IoError,
        }
    }
}

/// A protection of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtectionWord {
    /// macOS: Files and Folders.
    MacosPrivacy,
    /// Windows: controlled folder access.
    WindowsControlledFolder,
}

impl ProtectionWord {
    fn protection(self) -> Protection {
        match self {
            Self::MacosPrivacy => Protection::MacosPrivacy,
            Self::WindowsControlledFolder => Protection::WindowsControlledFolder,
        }
    }
}

/// Whether the machine may go to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SleepWord {
    /// Something holds it off.
    HeldOff,
    /// Nothing does.
    MaySleep,
}

/// What the machine runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerWord {
    /// Mains.
    Mains,
    /// Its battery.
    Battery,
}

/// An operating system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SystemRow {
    /// `linux`, `macos` or `windows`.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
}

/// The network. All is well unless a row says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkRow {
    /// The real network in place of a described one; all else in this table then counts for nothing.
    pub real: bool,
    /// There is a default route.
    pub route: bool,
    /// Percent of small packets that the router does not answer; 100 is silence.
    pub gateway_loss: u8,
    /// A tunnel is up.
    pub tunnel: bool,
    /// The proxy that is set.
    pub proxy: Option<String>,
    /// What is heard of the device on the local network.
    pub announced: AnnouncedWord,
    /// Hosts; the first row that fits counts.
    pub hosts: Vec<HostRow>,
    /// Pages; the first row that fits counts.
    pub pages: Vec<PageRow>,
    /// Time servers; the first row that fits counts.
    pub times: Vec<TimeRow>,
}

impl Default for NetworkRow {
    fn default() -> Self {
        Self {
            real: false,
            route: true,
            gateway_loss: 0,
            tunnel: false,
            proxy: None,
            announced: AnnouncedWord::Seen,
            hosts: Vec::new(),
            pages: Vec::new(),
            times: Vec::new(),
        }
    }
}

/// What is heard of the device on the local network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnnouncedWord {
    /// Its announcement.
    Seen,
    /// Only those of others.
    OthersOnly,
    /// Nothing at all.
    Nothing,
}

/// A host: all is well unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostRow {
    /// Its name; `*.example.com` is all below, `*` everybody.
    pub name: String,
    /// The row is for these ports only; empty for all of them and for its name.
    pub ports: Vec<u16>,
    /// What the resolver of this machine says.
    pub local_dns: DnsWord,
    /// What public resolvers say.
    pub public_dns: DnsWord,
    /// What connections meet.
    pub tcp: TcpWord,
    /// Milliseconds to connect.
    pub latency: u32,
    /// Milliseconds that every second connection takes longer.
    pub jitter: u32,
    /// Percent of connections that fail.
    pub loss: u8,
    /// What a TLS handshake meets.
    pub tls: TlsWord,
    /// Who signed.
    pub issuer: Option<String>,
    /// Large packets get through.
    pub large_packets: bool,
}

impl Default for HostRow {
    fn default() -> Self {
        Self {
            name: "*".to_owned(),
            ports: Vec::new(),
            local_dns: DnsWord::Ok,
            public_dns: DnsWord::Ok,
            tcp: TcpWord::Ok,
            latency: 20,
            jitter: 2,
            loss: 0,
            tls: TlsWord::Ok,
            issuer: None,
            large_packets: true,
        }
    }
}

/// What a resolver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsWord {
    /// An address.
    Ok,
    /// There is no such name.
    NoSuchName,
    /// An address that leads nowhere (0.0.0.0).
    Sinkhole,
    /// Nothing.
    Silent,
}

/// What a connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcpWord {
    /// It is taken.
    Ok,
    /// It is refused.
    Refused,
    /// Nobody answers.
    Silent,
}

/// What a TLS handshake meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsWord {
    /// A certificate that is trusted.
    Ok,
    /// One that somebody in between signed.
    Foreign,
    /// One that is not valid now, by the clock of this machine.
    WrongTime,
    /// Nobody answers.
    Silent,
    /// The connection breaks.
    Broken,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PageRow {
    /// Its address; one that ends with `*` is the beginning of many.
    pub url: String,
    /// The status.
    #[serde(default = "ok_status")]
    pub status: u16,
    /// Where a redirection leads.
    #[serde(default)]
    pub location: Option<String>,
    /// The page.
    #[serde(default)]
    pub body: String,
    /// The page is this many bytes long, filled with blanks.
    #[serde(default)]
    pub size: Option<u64>,
    /// Nobody answers.
    #[serde(default)]
    pub silent: bool,
}

fn ok_status() -> u16 {
    200
}

/// A time server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimeRow {
    /// Its name without port; `*` is everybody.
    #[serde(default = "everybody")]
    pub server: String,
    /// Seconds by which its time is ahead of the real clock.
    #[serde(default)]
    pub ahead: i64,
    /// Nobody answers.
    #[serde(default)]
    pub silent: bool,
}

fn everybody() -> String {
    "*".to_owned()
}
