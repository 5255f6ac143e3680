//! Services that lockdownd starts, each a file, and the ports they wait on.

pub(crate) mod afc;
mod diagnostics;
mod heartbeat;
mod installation;
mod notification;
mod profiles;
mod springboard;
mod syslog;
mod trace;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifeboat_wire::lockdown::service;
use plist::{Dictionary, Value};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::backupd::{self, BackupdError};
use crate::channel::{self, ChannelError, Paced, PlistChannel, Rewound};
use crate::lockdownd::HANDSHAKE;
use crate::options::Knobs;
use crate::phone::{Phone, lock};

/// A service of the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// The media folder and the sync lock.
    Afc,
    /// Facts about hardware.
    Diagnostics,
    /// Keeps a Wi-Fi connection alive.
    Heartbeat,
    /// The list of apps.
    Installation,
    /// Backup and restore.
    MobileBackup2,
    /// Notifications.
    NotificationProxy,
    /// Configuration profiles.
    Profiles,
    /// Icons.
    SpringBoard,
    /// The log as lines of text.
    Syslog,
    /// The log as records.
    Trace,
}

const NAMES: [(&str, Service); 10] = [
    (service::AFC, Service::Afc),
    (service::DIAGNOSTICS_RELAY, Service::Diagnostics),
    (service::HEARTBEAT, Service::Heartbeat),
    (service::INSTALLATION_PROXY, Service::Installation),
    (service::MOBILEBACKUP2, Service::MobileBackup2),
    (service::NOTIFICATION_PROXY, Service::NotificationProxy),
    (service::MC_INSTALL, Service::Profiles),
    (service::SPRINGBOARD_SERVICES, Service::SpringBoard),
    (service::SYSLOG_RELAY, Service::Syslog),
    (service::OS_TRACE_RELAY, Service::Trace),
];

impl Service {
    /// Finds a service by the name hosts ask for.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, service)| *service)
    }

    /// Returns the name hosts ask for.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, service)| *service == self).map_or("", |(name, _)| name)
    }

    /// Whether it reads what is encrypted until the first unlock.
    pub(crate) fn needs_user_data(self) -> bool {
        !matches!(self, Self::Heartbeat | Self::NotificationProxy)
    }
}

/// A service that was started and waits for the host to connect.
#[derive(Debug)]
pub(crate) struct Waiting {
    service: Service,
    tls: Option<Arc<ServerConfig>>,
    until: Instant,
}

/// The ports of a phone that something waits on, beside lockdownd's.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    open: Mutex<BTreeMap<u16, Waiting>>,
}

/// The first port a phone gives to services; the last is the last there is.
const FIRST_EPHEMERAL: u16 = 0xc000;

impl Ports {
    /// Opens a port for one connection to a service.
    pub(crate) fn open(
        &self,
        service: Service,
        tls: Option<Arc<ServerConfig>>,
        knobs: &Knobs,
    ) -> u16 {
        let now = Instant::now();
        let until = now + Duration::from_secs(knobs.accept_window);
        let mut open = lock(&self.open);
        open.retain(|_, waiting| waiting.until > now);
        let port = loop {
            let random = u16::from_le_bytes(crate::keys::random());
            let port = random | FIRST_EPHEMERAL;
            if port != lifeboat_wire::lockdown::PORT && !open.contains_key(&port) {
                break port;
            }
        };
        open.insert(port, Waiting { service, tls, until });
        port
    }

    /// Takes what waits on a port, if it still does.
    pub(crate) fn take(&self, port: u16) -> Option<Waiting> {
        lock(&self.open).remove(&port).filter(|waiting| waiting.until > Instant::now())
    }

    /// Closes all ports, as pulling the cable does.
    pub(crate) fn close(&self) {
        lock(&self.open).clear();
    }
}

/// Serves one connection to a started service.
pub(crate) async fn serve(
    phone: Arc<Phone>,
    waiting: Waiting,
    mut stream: Rewound,
) -> Result<(), ServiceError> {
    let name = waiting.service.name();
    let concerns =
        |fault: &crate::fault::Fault| fault.text("service").is_some_and(|part| name.contains(part));
    if phone.faults.fire_if("no-answer", concerns).is_some() {
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        return Ok(());
    }
    let Some(config) = waiting.tls else {
        return run(phone, waiting.service, stream).await.map(drop);
    };
    if phone.faults.fire_if("tls-abort", concerns).is_some() {
        return Ok(());
    }
    let accept = TlsAcceptor::from(config).accept(stream);
    let tls = tokio::time::timeout(HANDSHAKE, accept).await.map_err(io::Error::from)??;
    let close_notify = phone.spec.knobs.close_notify;
    let mut tls = run(phone, waiting.service, tls).await?;
    if close_notify {
        channel::close(&mut tls).await;
    } else {
        channel::close(&mut tls.into_inner().0).await;
    }
    Ok(())
}

/// Runs a service to its end and gives the stream back.
async fn run<S>(phone: Arc<Phone>, service: Service, stream: S) -> Result<S, ServiceError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut stream = Paced::new(stream, &phone.spec.knobs);
    match service {
        Service::Afc => afc::serve(&phone, &mut stream).await?,
        Service::Diagnostics => {
            diagnostics::serve(&phone, &mut PlistChannel::new(&mut stream)).await?;
        }
        Service::Heartbeat => heartbeat::serve(&mut PlistChannel::new(&mut stream)).await?,
        Service::Installation => {
            installation::serve(&phone, &mut PlistChannel::new(&mut stream)).await?;
        }
        Service::MobileBackup2 => backupd::serve(&mut stream, phone).await?,
        Service::NotificationProxy => {
            notification::serve(&phone, &mut PlistChannel::new(&mut stream)).await?;
        }
        Service::Profiles => profiles::serve(&phone, &mut PlistChannel::new(&mut stream)).await?,
        Service::SpringBoard => {
            springboard::serve(&phone, &mut PlistChannel::new(&mut stream)).await?;
        }
        Service::Syslog => syslog::serve(&phone, &mut stream).await?,
        Service::Trace => trace::serve(&phone, &mut stream).await?,
    }
    Ok(stream.into_inner())
}

/// Makes a dictionary.
fn keys<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Returns the text of a key.
fn text<'a>(keys: &'a Dictionary, key: &str) -> Option<&'a str> {
    keys.get(key).and_then(Value::as_string)
}

/// A service came to a bad end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ServiceError {
    /// The connection broke or the handshake failed.
    #[error("the connection of a service broke")]
    Io(#[from] io::Error),
    /// The host does not speak the service's language.
    #[error("the host does not speak the language of the service")]
    Channel(#[from] ChannelError),
    /// The host does not speak AFC.
    #[error("the host does not speak AFC")]
    Afc(#[from] lifeboat_wire::afc::AfcError),
    /// The backup broke.
    #[error("the backup broke")]
    Backup(#[from] BackupdError),
}
